// From a __global__ function to what the driver can launch.
#pragma once

#include "launch.h"

namespace cuda_on_cpu {

// ---- may a GPU follow this argument's pointer? ----

template <class T>
bool is_on_device(const T&) {
  return true;  // a number, an index, a structure that we know nothing about
}

template <class T>
bool is_on_device(T* const& pointer) {
  // The length is unknown, so one element has to do. Null is legal: the kernel may not use it.
  return !pointer || cuda_on_cpu_is_reachable(pointer, 1);
}

// An array of CuPy: from its strides follows every byte that it can reach.
template <class T, int ndim, bool c_contiguous, bool use_32bit_indexing>
bool is_on_device(const CArray<T, ndim, c_contiguous, use_32bit_indexing>& array) {
  if (array.size() == 0) return true;
  const char* data;
  std::memcpy(&data, &array, sizeof data);  // the first member, which is private
  std::ptrdiff_t lowest = 0, highest = sizeof(T);
  if constexpr (ndim > 0) {
    for (int axis = 0; axis < ndim; ++axis) {
      std::ptrdiff_t reach = (array.shape()[axis] - 1) * array.strides()[axis];
      (reach < 0 ? lowest : highest) += reach;
    }
  }
  return cuda_on_cpu_is_reachable(data + lowest, static_cast<std::size_t>(highest - lowest));
}

// ---- the entry points of one kernel ----

template <class T>
using Stored = std::remove_const_t<std::remove_reference_t<T>>;

template <bool barriers, class... Parameters, std::size_t... index>
int run(void (*kernel)(Parameters...), void** arguments, const cuda_on_cpu_launch* launch,
        std::index_sequence<index...>) {
  if (!(is_on_device(*static_cast<Stored<Parameters>*>(arguments[index])) && ...)) {
    std::fprintf(stderr, "cuda_on_cpu: a kernel was given an array that is not in the memory of its device\n");
    return cuda_on_cpu_illegal_address;
  }
  auto body = [&] { kernel(*static_cast<Stored<Parameters>*>(arguments[index])...); };
  cuda_on_cpu_run_grid(launch, barriers, [](void* body_) { (*static_cast<decltype(body)*>(body_))(); }, &body);
  return cuda_on_cpu_success;
}

template <bool barriers, class... Parameters>
int run(void (*kernel)(Parameters...), void** arguments, const cuda_on_cpu_launch* launch) {
  return run<barriers>(kernel, arguments, launch, std::index_sequence_for<Parameters...>{});
}

template <class... Parameters, std::size_t... index>
void** keep_arguments(void (*)(Parameters...), void** arguments, std::index_sequence<index...>) {
  return new void*[sizeof...(Parameters) + 1]{
      new Stored<Parameters>(*static_cast<Stored<Parameters>*>(arguments[index]))...};
}

template <class... Parameters>
void** keep_arguments(void (*kernel)(Parameters...), void** arguments) {
  return keep_arguments(kernel, arguments, std::index_sequence_for<Parameters...>{});
}

}  // namespace cuda_on_cpu

// Exports a kernel under `symbol`; `barriers` as in cuda_on_cpu_run_grid. The kernel comes last because the name of a
// template may contain commas.
#define CUDA_ON_CPU_EXPORT(symbol, barriers, ...)                                                 \
  extern "C" cuda_on_cpu_kernel cuda_on_cpu_kernel_##symbol = {                                   \
      #__VA_ARGS__,                                                                               \
      [](void** arguments, const cuda_on_cpu_launch* launch) {                                    \
        return cuda_on_cpu::run<barriers>((__VA_ARGS__), arguments, launch);                      \
      },                                                                                          \
      [](void** arguments) { return cuda_on_cpu::keep_arguments((__VA_ARGS__), arguments); }};
