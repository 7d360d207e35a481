// Writes the trace: into memory for Python's `tracing()`, and into a file for AGRAD_CUDA_ON_CPU_TRACE.

#include "trace.h"

#include "device.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>

namespace cuda_on_cpu {
namespace {

std::atomic<bool> on{false};
std::mutex trace_lock;  // guards the three below
int readers = 0;
std::string text;
std::FILE* file = nullptr;

template <class Number>
std::string list(const Number* numbers, int length) {
  std::string items;
  for (int i = 0; numbers && i < length; ++i) items += (i ? "," : "") + std::to_string(numbers[i]);
  return "[" + items + "]";
}

// A line of JSON. The names are those of functions in C++: nothing in them needs an escape.
std::string line_of(const Launch& launch) {
  return std::string("{\"kind\":\"") + launch.kind + "\",\"name\":\"" + launch.name +
         "\",\"device\":" + std::to_string(current_device()) +
         ",\"stream\":" + std::to_string(reinterpret_cast<std::uintptr_t>(launch.stream)) +
         ",\"grid\":" + list(launch.grid, 3) + ",\"block\":" + list(launch.block, 3) +
         ",\"shared_bytes\":" + std::to_string(launch.shared_bytes) + ",\"shape\":" + list(launch.shape, 4) +
         ",\"captured\":" + (launch.captured ? "true" : "false") + "}\n";
}

}  // namespace

void trace(const Launch& launch) {
  if (!on) return;
  std::string line = line_of(launch);
  std::lock_guard<std::mutex> hold(trace_lock);
  if (readers > 0) text += line;
  if (file) {
    std::fwrite(line.data(), 1, line.size(), file);
    std::fflush(file);  // what is written is complete when a kernel crashes
  }
}

LibraryCall::LibraryCall(const char* name) : hold_(execution_lock()) {
  count(Counter::library_calls);
  trace({"library", name});
}
LibraryCall::LibraryCall(const Kernel& kernel) : hold_(execution_lock()) {
  count(Counter::launches);
  trace({"kernel", kernel.name, kernel.stream});
}
LibraryCall::LibraryCall(const Product& product, const char* name) : hold_(execution_lock()) {
  count(Counter::gemms);
  const long long shape[4] = {product.m, product.n, product.k, product.batch};
  trace({"gemm", name, product.stream, nullptr, nullptr, 0, shape});
}

}  // namespace cuda_on_cpu

using namespace cuda_on_cpu;

#pragma GCC visibility push(default)
extern "C" {

// Called through ctypes from Python.

// One reader more; where its part of the text begins.
std::size_t cuda_on_cpu_start_trace() {
  std::lock_guard<std::mutex> hold(trace_lock);
  ++readers;
  on = true;
  return text.size();
}
// The length of the text so far; and its bytes from `begin` on, when there is a place for them.
std::size_t cuda_on_cpu_read_trace(std::size_t begin, char* target, std::size_t length) {
  std::lock_guard<std::mutex> hold(trace_lock);
  if (target) std::memcpy(target, text.data() + begin, length);
  return text.size();
}
// One reader less; the last one takes the text away.
void cuda_on_cpu_stop_trace() {
  std::lock_guard<std::mutex> hold(trace_lock);
  if (--readers > 0) return;
  text.clear();
  on = file != nullptr;
}
// Appends to a file from now on. Answers false when it cannot be opened.
bool cuda_on_cpu_trace_to_file(const char* path) {
  std::lock_guard<std::mutex> hold(trace_lock);
  file = std::fopen(path, "ae");
  on = file != nullptr;
  return file != nullptr;
}

}  // extern "C"
#pragma GCC visibility pop
