// The CUDA driver API that CuPy calls for itself: modules, kernels, launches; and how a grid runs on a CPU.
//
// A "cubin" is a shared object made by g++ (see ../_compiler.py), behind a magic number and its length.

#include "device.h"
#include "graph.h"
#include "launch.h"
#include "trace.h"

#include <cuda.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

struct dim3_on_cpu {
  unsigned x, y, z;
};

#pragma GCC visibility push(default)
// The variables that a kernel reads as threadIdx, blockIdx, blockDim and gridDim (see kernel_builtins.h), and
// the memory behind `extern __shared__`. They are plain globals because the execution lock is held.
extern "C" {
dim3_on_cpu cuda_on_cpu_thread_index, cuda_on_cpu_block_index, cuda_on_cpu_block_size, cuda_on_cpu_grid_size;
alignas(64) char cuda_on_cpu_dynamic_shared_memory[cuda_on_cpu::max_shared_memory_per_block];
}
#pragma GCC visibility pop

namespace cuda_on_cpu {

// ---- graphs ----

namespace {
std::mutex capture_lock;
std::map<const void*, std::unique_ptr<Graph>> captures;
}  // namespace

Graph* graph_captured_by(const void* stream) {
  std::lock_guard<std::mutex> hold(capture_lock);
  auto found = captures.find(stream);
  return found == captures.end() ? nullptr : found->second.get();
}
bool any_capture() {
  std::lock_guard<std::mutex> hold(capture_lock);
  return !captures.empty();
}
bool begin_capture(const void* stream) {
  std::lock_guard<std::mutex> hold(capture_lock);
  return captures.emplace(stream, std::make_unique<Graph>()).second;
}
Graph* end_capture(const void* stream) {
  std::lock_guard<std::mutex> hold(capture_lock);
  auto found = captures.find(stream);
  if (found == captures.end()) return nullptr;
  Graph* graph = found->second.release();
  captures.erase(found);
  return graph;
}

// ---- one block whose threads wait for each other ----

namespace {

enum class State { runnable, at_warp_barrier, at_block_barrier, finished };

// A thread of a block as a coroutine with its own stack. They are made once and then reused by every launch:
// making one costs a system call, switching between them (setjmp, longjmp) costs none.
class Fiber {
 public:
  State state = State::finished;
  jmp_buf position;

  void start_or_continue();

 private:
  static constexpr std::size_t stack_bytes = 256 * 1024;
  static constexpr std::size_t guard_bytes = 4096;
  bool started_ = false;
  ucontext_t origin_;
};

struct Block {
  void (*body)(void*) = nullptr;
  void* context = nullptr;
  unsigned running = 0;  // the number of the thread that runs now
  jmp_buf scheduler;
  Fiber fibers[max_threads_per_block];
  alignas(16) char warp_slots[max_threads_per_block][16];
};

Block& block() {
  static Block* the_block = new Block;  // never freed: a fiber may still be parked at exit
  return *the_block;
}

void pause(State state) {
  Fiber& fiber = block().fibers[block().running];
  fiber.state = state;
  if (_setjmp(fiber.position) == 0) _longjmp(block().scheduler, 1);
}

void fiber_main() {
  for (;;) {
    block().body(block().context);
    pause(State::finished);
  }
}

void Fiber::start_or_continue() {
  if (started_) _longjmp(position, 1);
  started_ = true;
  void* stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) {
    std::perror("cuda_on_cpu: no memory for the stack of a GPU thread");
    std::abort();
  }
  mprotect(stack, guard_bytes, PROT_NONE);  // so that a too deep stack is a crash and not a wrong result
  getcontext(&origin_);
  origin_.uc_stack.ss_sp = stack;
  origin_.uc_stack.ss_size = stack_bytes;
  origin_.uc_link = nullptr;
  makecontext(&origin_, fiber_main, 0);
  setcontext(&origin_);
}

void set_thread_index(unsigned number) {
  const dim3_on_cpu& size = cuda_on_cpu_block_size;
  cuda_on_cpu_thread_index = {number % size.x, number / size.x % size.y, number / (size.x * size.y)};
}

void run_until_it_pauses(unsigned number) {
  block().running = number;
  set_thread_index(number);
  if (_setjmp(block().scheduler) == 0) block().fibers[number].start_or_continue();
}

// Runs the threads [begin, end) of one warp until all of them have finished or wait for the whole block.
void run_warp(unsigned begin, unsigned end) {
  Fiber* fibers = block().fibers;
  for (bool progress = true; progress;) {
    progress = false;
    for (unsigned thread = begin; thread < end; ++thread) {
      if (fibers[thread].state == State::runnable) {
        progress = true;
        run_until_it_pauses(thread);
      }
    }
    for (unsigned thread = begin; thread < end; ++thread) {
      if (fibers[thread].state == State::at_warp_barrier) {
        progress = true;
        fibers[thread].state = State::runnable;
      }
    }
  }
}

void run_block_with_barriers(unsigned threads, void (*body)(void*), void* context) {
  block().body = body;
  block().context = context;
  Fiber* fibers = block().fibers;
  for (unsigned thread = 0; thread < threads; ++thread) fibers[thread].state = State::runnable;
  for (bool unfinished = true; unfinished;) {
    unfinished = false;
    for (unsigned begin = 0; begin < threads; begin += warp_size) {
      run_warp(begin, begin + warp_size < threads ? begin + warp_size : threads);
    }
    for (unsigned thread = 0; thread < threads; ++thread) {
      if (fibers[thread].state == State::at_block_barrier) {
        unfinished = true;
        fibers[thread].state = State::runnable;
      }
    }
  }
}

// ---- modules ----

constexpr char cubin_magic[8] = {'C', 'P', 'U', 'C', 'U', 'B', 'I', 'N'};

// Loads a shared object from memory. dlopen wants a file, and wants another name for every one: it answers a name
// that it has seen with what it loaded then.
void* load_shared_object(const char* bytes, std::size_t length) {
  const char* directory = std::getenv("TMPDIR");
  std::string path = std::string(directory && *directory ? directory : "/tmp") + "/cuda-on-cpu-XXXXXX";
  int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) {
    std::perror("cuda_on_cpu: no temporary file for a kernel");
    return nullptr;
  }
  bool written = true;
  for (std::size_t done = 0; done < length && written;) {
    ssize_t step = write(file, bytes + done, length - done);
    written = step > 0;
    done += static_cast<std::size_t>(step);
  }
  close(file);
  void* handle = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!handle) std::fprintf(stderr, "cuda_on_cpu: %s\n", written ? dlerror() : "cannot write a kernel to a file");
  unlink(path.c_str());  // it stays loaded
  return handle;
}

}  // namespace
}  // namespace cuda_on_cpu

using namespace cuda_on_cpu;

#pragma GCC visibility push(default)
extern "C" {

// ---- what kernels call (launch.h) ----

void cuda_on_cpu_block_barrier() { pause(State::at_block_barrier); }
void cuda_on_cpu_warp_barrier() { pause(State::at_warp_barrier); }
unsigned cuda_on_cpu_thread_number() { return block().running; }
void* cuda_on_cpu_warp_slot(unsigned lane) {
  return block().warp_slots[block().running / warp_size * warp_size + lane % warp_size];
}
bool cuda_on_cpu_is_reachable(const void* address, std::size_t bytes) { return is_reachable(address, bytes); }

void cuda_on_cpu_run_grid(const cuda_on_cpu_launch* launch, bool barriers, void (*body)(void*), void* context) {
  const unsigned* grid = launch->grid;
  const unsigned* size = launch->block;
  cuda_on_cpu_grid_size = {grid[0], grid[1], grid[2]};
  cuda_on_cpu_block_size = {size[0], size[1], size[2]};
  unsigned threads = size[0] * size[1] * size[2];
  for (unsigned z = 0; z < grid[2]; ++z) {
    for (unsigned y = 0; y < grid[1]; ++y) {
      for (unsigned x = 0; x < grid[0]; ++x) {
        cuda_on_cpu_block_index = {x, y, z};
        if (launch->shared_bytes) std::memset(cuda_on_cpu_dynamic_shared_memory, fresh_poison, launch->shared_bytes);
        if (barriers) {
          run_block_with_barriers(threads, body, context);
        } else {
          for (unsigned thread = 0; thread < threads; ++thread) {
            set_thread_index(thread);
            body(context);
          }
        }
      }
    }
  }
}

// ---- the driver API ----

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* version) {
  *version = cuda_version;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult error, const char** name) {
  switch (error) {
    case CUDA_ERROR_INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case CUDA_ERROR_INVALID_IMAGE: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
    case CUDA_ERROR_NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case CUDA_ERROR_ILLEGAL_ADDRESS: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case CUDA_ERROR_NOT_SUPPORTED: *name = "CUDA_ERROR_NOT_SUPPORTED"; break;
    default: *name = "CUDA_ERROR_UNKNOWN";
  }
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char** text) {
  switch (error) {
    case CUDA_ERROR_INVALID_VALUE: *text = "invalid argument"; break;
    case CUDA_ERROR_INVALID_IMAGE: *text = "device kernel image is invalid"; break;
    case CUDA_ERROR_NOT_FOUND: *text = "named symbol not found"; break;
    case CUDA_ERROR_ILLEGAL_ADDRESS: *text = "an illegal memory access was encountered"; break;
    case CUDA_ERROR_NOT_SUPPORTED: *text = "operation not supported by the CUDA-on-CPU harness"; break;
    default: *text = "unknown error in the CUDA-on-CPU harness";
  }
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = reinterpret_cast<CUcontext>(static_cast<std::uintptr_t>(0x100 + current_device()));
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* device) {
  *device = current_device();
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  const char* bytes = static_cast<const char*>(image);
  if (std::memcmp(bytes, cubin_magic, sizeof cubin_magic) != 0) return CUDA_ERROR_INVALID_IMAGE;
  std::uint64_t length;
  std::memcpy(&length, bytes + sizeof cubin_magic, sizeof length);
  *module = reinterpret_cast<CUmodule>(load_shared_object(bytes + sizeof cubin_magic + sizeof length, length));
  return *module ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  std::string symbol = std::string("cuda_on_cpu_kernel_") + name;
  *function = static_cast<CUfunction>(dlsym(module, symbol.c_str()));
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void** arguments,
                        void**) {
  // What a real device refuses is refused here too.
  bool empty = !grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z;
  bool too_big = grid_x > 2147483647u || grid_y > 65535 || grid_z > 65535 || block_z > 64 ||
                 std::uint64_t{block_x} * block_y * block_z > max_threads_per_block ||
                 shared_bytes > max_shared_memory_per_block;
  if (empty || too_big) return CUDA_ERROR_INVALID_VALUE;
  auto* kernel = reinterpret_cast<cuda_on_cpu_kernel*>(function);
  cuda_on_cpu_launch launch = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
  Graph* graph = graph_captured_by(stream);
  trace({"kernel", kernel->name, stream, launch.grid, launch.block, shared_bytes, nullptr, graph != nullptr});
  if (graph) {
    void** kept = kernel->keep_arguments(arguments);
    graph->record([=, device = current_device()] {
      OnDevice here(device);
      return kernel->run(kept, &launch);
    });
    return CUDA_SUCCESS;
  }
  count(Counter::launches);
  std::lock_guard<std::mutex> execute(execution_lock());
  return static_cast<CUresult>(kernel->run(arguments, &launch));
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction) {
  *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? max_threads_per_block : 0;
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int, size_t) {
  *blocks = 2;
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* size, CUfunction, CUoccupancyB2DSize, size_t, int) {
  *grid = multiprocessors;
  *size = 128;
  return CUDA_SUCCESS;
}

}  // extern "C"
#pragma GCC visibility pop
