// The source of random bits for both of CuPy's random interfaces.
//
// Not cuRAND's numbers: a seed gives the same stream on every run here, another one on a GPU.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace cuda_on_cpu {

// SplitMix64 (Steele, Lea, Flood 2014): 16 bytes of state, and any state is a good one.
struct RandomEngine {
  using result_type = std::uint64_t;

  std::uint64_t state;

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() {
    std::uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  std::uint32_t bits32() { return static_cast<std::uint32_t>((*this)() >> 32); }
  // In [0, 1), with as many random bits as the type has digits.
  double uniform() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
  float uniform_float() { return static_cast<float>((*this)() >> 40) * 0x1p-24f; }
  // Box and Muller's transform; one of the two values is thrown away to keep the state small.
  double normal() {
    return std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(2.0 * M_PI * uniform());
  }
};

}  // namespace cuda_on_cpu
