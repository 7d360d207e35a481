// cuRAND's host interface: what cupy.random's older functions (RandomState, rand, permutation, ...) call.

#include "device.h"
#include "random_engine.h"

using cuda_on_cpu::LibraryCall;
using cuda_on_cpu::RandomEngine;

namespace {

enum Status { success = 0, type_error = 103 };

template <class T, class Sample>
int fill(void* generator, T* out, std::size_t size, Sample sample, const char* name = __builtin_FUNCTION()) {
  if (size && !cuda_on_cpu::is_reachable(out, size * sizeof(T))) return type_error;
  LibraryCall call(name);
  auto& engine = *static_cast<RandomEngine*>(generator);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<T>(sample(engine));
  return success;
}

// cuRAND's uniform numbers are in (0, 1], not in [0, 1).
double uniform_above_zero(RandomEngine& engine) { return 1.0 - engine.uniform(); }

int poisson_sample(RandomEngine& engine, double mean) {
  // Knuth's method in logarithms, so that a large mean does not underflow.
  int k = 0;
  for (double sum = 0; (sum -= std::log(uniform_above_zero(engine))) < mean;) ++k;
  return k;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int curandCreateGenerator(void** generator, int) {
  *generator = new RandomEngine{0};
  return success;
}
int curandDestroyGenerator(void* generator) {
  delete static_cast<RandomEngine*>(generator);
  return success;
}
int curandGetVersion(int* version) {
  *version = 10400;
  return success;
}
int curandSetStream(void*, void*) { return success; }
int curandSetGeneratorOrdering(void*, int) { return success; }
int curandSetPseudoRandomGeneratorSeed(void* generator, unsigned long long seed) {
  static_cast<RandomEngine*>(generator)->state = seed;
  return success;
}
int curandSetGeneratorOffset(void* generator, unsigned long long offset) {
  static_cast<RandomEngine*>(generator)->state += 0x9E3779B97F4A7C15u * offset;
  return success;
}
int curandGenerate(void* generator, unsigned* out, std::size_t size) {
  return fill(generator, out, size, [](RandomEngine& engine) { return engine.bits32(); });
}
int curandGenerateLongLong(void* generator, unsigned long long* out, std::size_t size) {
  return fill(generator, out, size, [](RandomEngine& engine) { return engine(); });
}
int curandGenerateUniform(void* generator, float* out, std::size_t size) {
  return fill(generator, out, size, [](RandomEngine& engine) { return 1.0f - engine.uniform_float(); });
}
int curandGenerateUniformDouble(void* generator, double* out, std::size_t size) {
  return fill(generator, out, size, uniform_above_zero);
}
int curandGenerateNormal(void* generator, float* out, std::size_t size, float mean, float deviation) {
  return fill(generator, out, size, [=](RandomEngine& engine) { return mean + deviation * engine.normal(); });
}
int curandGenerateNormalDouble(void* generator, double* out, std::size_t size, double mean, double deviation) {
  return fill(generator, out, size, [=](RandomEngine& engine) { return mean + deviation * engine.normal(); });
}
int curandGenerateLogNormal(void* generator, float* out, std::size_t size, float mean, float deviation) {
  return fill(generator, out, size, [=](RandomEngine& engine) { return std::exp(mean + deviation * engine.normal()); });
}
int curandGenerateLogNormalDouble(void* generator, double* out, std::size_t size, double mean, double deviation) {
  return fill(generator, out, size, [=](RandomEngine& engine) { return std::exp(mean + deviation * engine.normal()); });
}
int curandGeneratePoisson(void* generator, unsigned* out, std::size_t size, double mean) {
  return fill(generator, out, size, [=](RandomEngine& engine) { return poisson_sample(engine, mean); });
}

}  // extern "C"
#pragma GCC visibility pop
