// The head of every kernel's translation unit, precompiled once: CUDA's built-in names, then all the headers of
// CuPy that its generated kernels may include, then the entry points' templates.
#pragma once

#include "kernel_builtins.h"

#include <cupy/complex.cuh>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// CuPy takes float16 from CUDA's header only where it believes to be compiled by a CUDA compiler.
#define __CUDACC_VER_MAJOR__ 13
#include <cupy/bfloat16.cuh>
#include <cupy/carray.cuh>
#include <cupy/float16.cuh>
#undef __CUDACC_VER_MAJOR__
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>

#include "kernel_entry.h"
