// What CuPy's random Generator is compiled against, in place of the header of the same name: the signatures of
// the functions that are kernels on a GPU. Addresses travel as integers, as CuPy's Cython sources have it.
#pragma once

#include <cstdint>
#include <sys/types.h>

struct rk_binomial_state {
  // Kept between calls on a GPU. Nothing is kept here, but CuPy allocates by this size.
  int unused[2];
};

#define CUDA_ON_CPU_DISTRIBUTION(name, ...) \
  void name(int generator, intptr_t state, ssize_t state_size, intptr_t out, ssize_t size, intptr_t stream, ##__VA_ARGS__)

void init_curand_generator(int generator, intptr_t state, uint64_t seed, ssize_t size, intptr_t stream);
CUDA_ON_CPU_DISTRIBUTION(random_uniform);
CUDA_ON_CPU_DISTRIBUTION(random_uniform_float);
CUDA_ON_CPU_DISTRIBUTION(raw);
CUDA_ON_CPU_DISTRIBUTION(interval_32, uint32_t highest, uint32_t mask);
CUDA_ON_CPU_DISTRIBUTION(interval_64, uint64_t highest, uint64_t mask);
CUDA_ON_CPU_DISTRIBUTION(beta, intptr_t a, intptr_t b);
CUDA_ON_CPU_DISTRIBUTION(exponential);
CUDA_ON_CPU_DISTRIBUTION(geometric, intptr_t p);
CUDA_ON_CPU_DISTRIBUTION(hypergeometric, intptr_t good, intptr_t bad, intptr_t sample);
CUDA_ON_CPU_DISTRIBUTION(logseries, intptr_t p);
CUDA_ON_CPU_DISTRIBUTION(standard_normal);
CUDA_ON_CPU_DISTRIBUTION(standard_normal_float);
CUDA_ON_CPU_DISTRIBUTION(standard_gamma, intptr_t shape);
CUDA_ON_CPU_DISTRIBUTION(poisson, intptr_t lam);
CUDA_ON_CPU_DISTRIBUTION(binomial, intptr_t n, intptr_t p, intptr_t unused_state);
