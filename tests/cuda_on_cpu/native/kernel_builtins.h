// CUDA C++ for g++: what NVRTC knows without any header and CuPy's kernels use.
//
// Only the names are imitated, not the arithmetic of a GPU: float32 denormals are kept, nothing is contracted
// to fused multiply-adds, and the fast intrinsics are exact.
#pragma once

#include <algorithm>
#include <cassert>
#include <cfloat>
#include <climits>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "launch.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __constant__ static const
// One copy for all blocks is enough: they run one after the other, under the execution lock.
#define __shared__ static

// ---- where a thread is ----

struct cuda_on_cpu_dim3 {
  unsigned x, y, z;
};
extern "C" {
extern cuda_on_cpu_dim3 cuda_on_cpu_thread_index, cuda_on_cpu_block_index, cuda_on_cpu_block_size,
    cuda_on_cpu_grid_size;
extern char cuda_on_cpu_dynamic_shared_memory[];
}
#define threadIdx cuda_on_cpu_thread_index
#define blockIdx cuda_on_cpu_block_index
#define blockDim cuda_on_cpu_block_size
#define gridDim cuda_on_cpu_grid_size
static const int warpSize = 32;

// ---- threads that wait for and talk to each other ----

static inline void __syncthreads() { cuda_on_cpu_block_barrier(); }
static inline void __syncwarp(unsigned = 0xffffffff) { cuda_on_cpu_warp_barrier(); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}

namespace cuda_on_cpu {

// Everyone shows its value, waits, looks at another lane's value, and waits again before the slot is reused.
template <class T>
T exchange(T value, unsigned source_lane) {
  static_assert(sizeof(T) <= 16, "a shuffled value has at most 16 bytes");
  unsigned lane = cuda_on_cpu_thread_number() % 32;
  std::memcpy(cuda_on_cpu_warp_slot(lane), &value, sizeof value);
  cuda_on_cpu_warp_barrier();
  T seen;
  std::memcpy(&seen, cuda_on_cpu_warp_slot(source_lane), sizeof seen);
  cuda_on_cpu_warp_barrier();
  return seen;
}

// The lane that a shuffle over groups of `width` lanes reads, or the own lane when that would leave the group.
inline unsigned lane_in_group(int target, int width) {
  int lane = static_cast<int>(cuda_on_cpu_thread_number() % 32);
  int group = lane / width * width;
  return static_cast<unsigned>(target < group || target >= group + width ? lane : target);
}
inline int own_lane() { return static_cast<int>(cuda_on_cpu_thread_number() % 32); }

}  // namespace cuda_on_cpu

template <class T>
T __shfl_sync(unsigned, T value, int source, int width = 32) {
  int group = cuda_on_cpu::own_lane() / width * width;
  return cuda_on_cpu::exchange(value, static_cast<unsigned>(group + (source & (width - 1))));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
  return cuda_on_cpu::exchange(value, cuda_on_cpu::lane_in_group(cuda_on_cpu::own_lane() ^ mask, width));
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned delta, int width = 32) {
  return cuda_on_cpu::exchange(value, cuda_on_cpu::lane_in_group(cuda_on_cpu::own_lane() - (int)delta, width));
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta, int width = 32) {
  return cuda_on_cpu::exchange(value, cuda_on_cpu::lane_in_group(cuda_on_cpu::own_lane() + (int)delta, width));
}
// Votes: one bit for every lane of the mask whose predicate holds. All of them have to take part, as on a GPU.
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
  unsigned thread = cuda_on_cpu_thread_number(), first = thread / 32 * 32, votes = 0;
  unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  bool vote = predicate != 0, other;
  std::memcpy(cuda_on_cpu_warp_slot(thread % 32), &vote, sizeof vote);
  cuda_on_cpu_warp_barrier();
  for (unsigned lane = 0; lane < 32 && first + lane < threads; ++lane) {
    std::memcpy(&other, cuda_on_cpu_warp_slot(lane), sizeof other);
    if (other) votes |= 1u << lane;
  }
  cuda_on_cpu_warp_barrier();
  return votes & mask;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
// Threads run one at a time: which others are active with it is not known, so each is on its own.
static inline unsigned __activemask() { return 1u << (cuda_on_cpu_thread_number() % 32); }

// ---- atomics: threads take turns only at barriers, so plain arithmetic is atomic ----

template <class T, class U>
T atomicAdd(T* address, U value) {
  T old = *address;
  *address = static_cast<T>(old + static_cast<T>(value));
  return old;
}
template <class T, class U>
T atomicSub(T* address, U value) {
  T old = *address;
  *address = static_cast<T>(old - static_cast<T>(value));
  return old;
}
template <class T, class U>
T atomicMax(T* address, U value) {
  T old = *address;
  if (static_cast<T>(value) > old) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicMin(T* address, U value) {
  T old = *address;
  if (static_cast<T>(value) < old) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicExch(T* address, U value) {
  T old = *address;
  *address = static_cast<T>(value);
  return old;
}
template <class T, class U, class V>
T atomicCAS(T* address, U expected, V value) {
  T old = *address;
  if (old == static_cast<T>(expected)) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicAnd(T* address, U value) {
  T old = *address;
  *address = old & static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicOr(T* address, U value) {
  T old = *address;
  *address = old | static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicXor(T* address, U value) {
  T old = *address;
  *address = old ^ static_cast<T>(value);
  return old;
}

// ---- bits ----

template <class To, class From>
static inline To cuda_on_cpu_reinterpret(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
static inline long long __double_as_longlong(double x) { return cuda_on_cpu_reinterpret<long long>(x); }
static inline double __longlong_as_double(long long x) { return cuda_on_cpu_reinterpret<double>(x); }
static inline int __float_as_int(float x) { return cuda_on_cpu_reinterpret<int>(x); }
static inline float __int_as_float(int x) { return cuda_on_cpu_reinterpret<float>(x); }
static inline unsigned __float_as_uint(float x) { return cuda_on_cpu_reinterpret<unsigned>(x); }
static inline float __uint_as_float(unsigned x) { return cuda_on_cpu_reinterpret<float>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((1ull * a * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}
template <class T>
static inline T __ldg(const T* address) {
  return *address;
}

// ---- mathematics that CUDA has in the global namespace and C++ has not ----

using std::abs;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::pow;
using std::signbit;

static inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
static inline float rsqrt(float x) { return 1.0f / std::sqrt(x); }
static inline float rsqrtf(float x) { return rsqrt(x); }
static inline double rcbrt(double x) { return 1.0 / std::cbrt(x); }
static inline float rcbrt(float x) { return 1.0f / std::cbrt(x); }
static inline double sinpi(double x) { return std::sin(M_PI * std::remainder(x, 2.0)); }
static inline double cospi(double x) { return std::cos(M_PI * std::remainder(x, 2.0)); }
static inline float sinpi(float x) { return static_cast<float>(sinpi(static_cast<double>(x))); }
static inline float cospi(float x) { return static_cast<float>(cospi(static_cast<double>(x))); }
static inline double normcdf(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }
static inline float normcdf(float x) { return static_cast<float>(normcdf(static_cast<double>(x))); }
static inline float normcdff(float x) { return normcdf(x); }

// exp(x * x) erfc(x): from 10 on by its asymptotic series, where erfc itself ends at 26.
static inline double erfcx(double x) {
  if (!(x > 10)) return std::exp(x * x) * std::erfc(x);
  double t = 0.5 / x / x, series = 1;
  for (int k = 25; k > 0; k -= 2) series = 1 - k * t * series;
  return series * M_2_SQRTPI / 2 / x;
}
static inline float erfcx(float x) { return static_cast<float>(erfcx(static_cast<double>(x))); }
static inline float erfcxf(float x) { return erfcx(x); }
static inline double cyl_bessel_i0(double x) {
  return std::fabs(x) > 713 ? INFINITY : std::cyl_bessel_i(0.0, std::fabs(x));
}
static inline double cyl_bessel_i1(double x) {
  return std::copysign(std::fabs(x) > 713 ? INFINITY : std::cyl_bessel_i(1.0, std::fabs(x)), x);
}
static inline float cyl_bessel_i0(float x) { return static_cast<float>(cyl_bessel_i0(static_cast<double>(x))); }
static inline float cyl_bessel_i1(float x) { return static_cast<float>(cyl_bessel_i1(static_cast<double>(x))); }

// The inverse error function: a rough start, then Newton's method with Halley's correction. Near +-1 the
// residual is taken from erfc, where erf has no digits left.
static inline double erfinv(double y) {
  if (!(std::fabs(y) < 1.0)) return y == 1.0 ? INFINITY : y == -1.0 ? -INFINITY : NAN;
  double target = std::fabs(y), log_term = -std::log1p(-y * y);
  double start = 2 / (M_PI * 0.147) - log_term / 2;  // Winitzki's closed form, good to 0.2 %
  double x = std::sqrt(std::sqrt(start * start + log_term / 0.147) - start);
  for (int step = 0; step < 4; ++step) {
    double residual = target < 0.5 ? std::erf(x) - target : (1 - target) - std::erfc(x);
    double newton = residual / (M_2_SQRTPI * std::exp(-x * x));
    x -= newton / (1 + x * newton);
  }
  return std::copysign(x, y);
}
static inline float erfinv(float y) { return static_cast<float>(erfinv(static_cast<double>(y))); }
static inline double normcdfinv(double p) { return M_SQRT2 * erfinv(2.0 * p - 1.0); }
static inline float normcdfinv(float p) { return static_cast<float>(normcdfinv(static_cast<double>(p))); }

// CUDA's min and max: for every pair of equal types, and for floats such that a NaN loses.
#define CUDA_ON_CPU_MIN_MAX(T)                                \
  static inline T min(T a, T b) { return b < a ? b : a; }     \
  static inline T max(T a, T b) { return a < b ? b : a; }
CUDA_ON_CPU_MIN_MAX(int)
CUDA_ON_CPU_MIN_MAX(unsigned)
CUDA_ON_CPU_MIN_MAX(long)
CUDA_ON_CPU_MIN_MAX(unsigned long)
CUDA_ON_CPU_MIN_MAX(long long)
CUDA_ON_CPU_MIN_MAX(unsigned long long)
#undef CUDA_ON_CPU_MIN_MAX
static inline float min(float a, float b) { return std::fmin(a, b); }
static inline float max(float a, float b) { return std::fmax(a, b); }
static inline double min(double a, double b) { return std::fmin(a, b); }
static inline double max(double a, double b) { return std::fmax(a, b); }
