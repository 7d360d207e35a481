// The trace: one line for each launch, for those who want to see what a step is made of.
#pragma once

#include <cstddef>

namespace cuda_on_cpu {

// What a line says. The Python side has the same as `Launch` in __init__.py, with the fields explained.
struct Launch {
  const char* kind;
  const char* name;
  const void* stream = nullptr;
  const unsigned* grid = nullptr;  // three numbers, as of the block; null for what is not a kernel
  const unsigned* block = nullptr;
  std::size_t shared_bytes = 0;
  const long long* shape = nullptr;  // four numbers; null for what is not a matrix product
  bool captured = false;
};

// Nearly always nobody reads, and then this does nothing.
void trace(const Launch& launch);

}  // namespace cuda_on_cpu
