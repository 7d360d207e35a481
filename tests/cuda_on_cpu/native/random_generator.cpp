// The kernels behind cupy.random.Generator (cupy.random.default_rng), linked into CuPy's _generator_api.

#include "cupy_distributions.cuh"

#include "device.h"
#include "random_engine.h"

#include <cstring>
#include <random>

namespace {

using cuda_on_cpu::LibraryCall;
using cuda_on_cpu::RandomEngine;

// A parameter that may differ from sample to sample: CuPy sends a device array that describes a broadcast array,
// namely its address, its number of axes, its shape and its strides.
template <class T>
class BroadcastParameter {
 public:
  explicit BroadcastParameter(intptr_t description) : fields_(reinterpret_cast<const int64_t*>(description)) {}

  T operator[](ssize_t index) const {
    const int64_t ndim = fields_[1], *shape = fields_ + 2, *strides = shape + ndim;
    const char* address = reinterpret_cast<const char*>(static_cast<intptr_t>(fields_[0]));
    for (int64_t axis = ndim - 1; axis >= 0; --axis) {
      address += strides[axis] * (index % shape[axis]);
      index /= shape[axis];
    }
    T value;
    std::memcpy(&value, address, sizeof value);
    return value;
  }

 private:
  const int64_t* fields_;
};

// Fills `out` with sample(engine, index); the engine's state stays in the generator's device memory.
template <class T, class Sample>
void fill(intptr_t state, intptr_t out, ssize_t size, intptr_t stream, Sample sample,
          const char* name = __builtin_FUNCTION()) {
  LibraryCall call(LibraryCall::Kernel{reinterpret_cast<void*>(stream), name});
  auto& engine = *reinterpret_cast<RandomEngine*>(state);
  T* values = reinterpret_cast<T*>(out);
  for (ssize_t i = 0; i < size; ++i) values[i] = static_cast<T>(sample(engine, i));
}

double gamma_sample(RandomEngine& engine, double shape) {
  return shape == 0 ? 0.0 : std::gamma_distribution<double>(shape)(engine);
}

}  // namespace

void init_curand_generator(int, intptr_t state, uint64_t seed, ssize_t, intptr_t stream) {
  LibraryCall call(LibraryCall::Kernel{reinterpret_cast<void*>(stream), __func__});
  RandomEngine engine{seed};
  // The first outputs of neighbouring seeds should not be neighbours in the stream.
  *reinterpret_cast<RandomEngine*>(state) = RandomEngine{engine()};
}

CUDA_ON_CPU_DISTRIBUTION(random_uniform) {
  fill<double>(state, out, size, stream, [](RandomEngine& engine, ssize_t) { return engine.uniform(); });
}
CUDA_ON_CPU_DISTRIBUTION(random_uniform_float) {
  fill<float>(state, out, size, stream, [](RandomEngine& engine, ssize_t) { return engine.uniform_float(); });
}
CUDA_ON_CPU_DISTRIBUTION(raw) {
  fill<uint32_t>(state, out, size, stream, [](RandomEngine& engine, ssize_t) { return engine.bits32(); });
}
CUDA_ON_CPU_DISTRIBUTION(interval_32, uint32_t highest, uint32_t mask) {
  fill<uint32_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t) {
    for (;;) {
      if (uint32_t value = engine.bits32() & mask; value <= highest) return value;
    }
  });
}
CUDA_ON_CPU_DISTRIBUTION(interval_64, uint64_t highest, uint64_t mask) {
  fill<uint64_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t) {
    for (;;) {
      if (uint64_t value = engine() & mask; value <= highest) return value;
    }
  });
}
CUDA_ON_CPU_DISTRIBUTION(standard_normal) {
  fill<double>(state, out, size, stream, [](RandomEngine& engine, ssize_t) { return engine.normal(); });
}
CUDA_ON_CPU_DISTRIBUTION(standard_normal_float) {
  fill<float>(state, out, size, stream, [](RandomEngine& engine, ssize_t) { return engine.normal(); });
}
CUDA_ON_CPU_DISTRIBUTION(exponential) {
  fill<double>(state, out, size, stream, [](RandomEngine& engine, ssize_t) { return -std::log1p(-engine.uniform()); });
}
CUDA_ON_CPU_DISTRIBUTION(beta, intptr_t a, intptr_t b) {
  fill<double>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    double x = gamma_sample(engine, BroadcastParameter<double>(a)[i]);
    double y = gamma_sample(engine, BroadcastParameter<double>(b)[i]);
    return x / (x + y);
  });
}
CUDA_ON_CPU_DISTRIBUTION(standard_gamma, intptr_t shape) {
  fill<double>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    return gamma_sample(engine, BroadcastParameter<double>(shape)[i]);
  });
}
CUDA_ON_CPU_DISTRIBUTION(poisson, intptr_t lam) {
  fill<int64_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    double mean = BroadcastParameter<double>(lam)[i];
    return mean == 0 ? int64_t{0} : std::poisson_distribution<int64_t>(mean)(engine);
  });
}
CUDA_ON_CPU_DISTRIBUTION(geometric, intptr_t p) {
  // std's counts the failures before the first success, NumPy's and CuPy's the success as well.
  fill<int64_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    double probability = BroadcastParameter<double>(p)[i];
    return probability >= 1 ? int64_t{1} : std::geometric_distribution<int64_t>(probability)(engine) + 1;
  });
}
CUDA_ON_CPU_DISTRIBUTION(binomial, intptr_t n, intptr_t p, intptr_t) {
  fill<int64_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    return std::binomial_distribution<int64_t>(BroadcastParameter<int>(n)[i], BroadcastParameter<double>(p)[i])(engine);
  });
}
CUDA_ON_CPU_DISTRIBUTION(hypergeometric, intptr_t good, intptr_t bad, intptr_t sample) {
  // By drawing one after the other, as the definition has it.
  fill<int64_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    int64_t good_left = BroadcastParameter<int64_t>(good)[i], bad_left = BroadcastParameter<int64_t>(bad)[i], found = 0;
    for (int64_t left = BroadcastParameter<int64_t>(sample)[i]; left > 0; --left) {
      bool is_good = engine.uniform() * static_cast<double>(good_left + bad_left) < static_cast<double>(good_left);
      found += is_good;
      (is_good ? good_left : bad_left) -= 1;
    }
    return found;
  });
}
CUDA_ON_CPU_DISTRIBUTION(logseries, intptr_t p) {
  // By inversion: the probability of k is -p**k / (k log(1 - p)).
  fill<int64_t>(state, out, size, stream, [=](RandomEngine& engine, ssize_t i) {
    double base = BroadcastParameter<double>(p)[i], left = engine.uniform(), term = -base / std::log1p(-base);
    int64_t k = 1;
    for (; left > term && term > 0; ++k) {
      left -= term;
      term *= base * static_cast<double>(k) / static_cast<double>(k + 1);
    }
    return k;
  });
}
