// What the stand-in libraries share: the state of the pretended devices.
//
// Everything here lives in the library that plays libcuda.so.1. The stand-ins for cuBLAS, cuFFT and the
// others, and every compiled kernel, link to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace cuda_on_cpu {

// The order is the order of the fields of `Counters` in __init__.py.
enum class Counter {
  launches,
  graph_launches,
  gemms,
  library_calls,
  allocations,
  mallocs,
  frees,
  host_to_device,
  device_to_host,
  device_to_device,
  memsets,
  synchronizations,
  number_of_counters,
};

void count(Counter counter, std::int64_t by = 1);

// A device executes one thing at a time here: a kernel, a copy, a library call. CuPy gives up the GIL around
// all of them, so without this lock two Python threads would share one threadIdx and one __shared__ array.
std::mutex& execution_lock();

// The device of the calling thread, as cudaSetDevice has chosen it.
int current_device();

// Makes another device the current one for as long as it lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();

 private:
  int before_;
};

// True when [address, address + bytes) lies inside one live allocation, of whatever device.
bool is_device_memory(const void* address, std::size_t bytes = 1);
// True when the current device can follow the address, too: the memory is its own, or that of a device whose memory it
// has been given access to (cudaDeviceEnablePeerAccess).
bool is_reachable(const void* address, std::size_t bytes = 1);

// What a library call does before its work: take the device, be counted and be traced, under the name of the function
// that has it as a variable.
class LibraryCall {
 public:
  // A matrix product as cuBLAS is asked for it, which is by columns: m x k times k x n.
  struct Product {
    const void* stream;
    long long m, n, k, batch = 1;
  };
  // A kernel that does not come from the compiler in ../_compiler.py.
  struct Kernel {
    const void* stream;
    const char* name;
  };

  explicit LibraryCall(const char* name = __builtin_FUNCTION());
  explicit LibraryCall(const Product& product, const char* name = __builtin_FUNCTION());
  explicit LibraryCall(const Kernel& kernel);

 private:
  std::lock_guard<std::mutex> hold_;
};

// Fresh device memory is filled with this byte: not-a-number for every floating-point type, -1 for integers.
constexpr unsigned char fresh_poison = 0xFF;
// Freed device memory is filled with another one, so that a debugger can tell the two apart.
constexpr unsigned char freed_poison = 0xDD;

constexpr int multiprocessors = 4;
constexpr int max_threads_per_block = 1024;
constexpr int warp_size = 32;
constexpr std::size_t max_shared_memory_per_block = 48 * 1024;
constexpr int cuda_version = 13020;
constexpr int compute_capability_major = 9;
constexpr int compute_capability_minor = 0;

}  // namespace cuda_on_cpu
