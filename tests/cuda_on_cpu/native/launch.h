// The contract between a compiled kernel and the driver that launches it.
#pragma once

#include <cstddef>

extern "C" {

struct cuda_on_cpu_launch {
  unsigned grid[3];
  unsigned block[3];
  std::size_t shared_bytes;
};

// Calls body(context) once for every thread of the grid, with threadIdx and blockIdx set.
// `barriers` says that the kernel may wait for other threads of its block: then each thread gets its own stack.
void cuda_on_cpu_run_grid(const cuda_on_cpu_launch* launch, bool barriers, void (*body)(void*), void* context);

// Gives up the processor until the other threads of the block (or warp) have come as far.
void cuda_on_cpu_block_barrier();
void cuda_on_cpu_warp_barrier();

// The calling thread's number in its block, and where thread `lane` of its warp leaves values for the others.
unsigned cuda_on_cpu_thread_number();
void* cuda_on_cpu_warp_slot(unsigned lane);

// May the device that runs the kernel follow this address? It may not into another device's memory.
bool cuda_on_cpu_is_reachable(const void* address, std::size_t bytes);
}

// CUresult values that a kernel can answer.
enum { cuda_on_cpu_success = 0, cuda_on_cpu_illegal_address = 700 };

// A kernel object exports, for every kernel K, cuda_on_cpu_kernel_K: its name and what the driver does with it.
struct cuda_on_cpu_kernel {
  const char* name;
  int (*run)(void** arguments, const cuda_on_cpu_launch* launch);
  // A copy of the arguments that outlives the call, for a launch that is recorded in a graph.
  void** (*keep_arguments)(void** arguments);
};
