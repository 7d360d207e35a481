// cuFFT for plans on one device: discrete Fourier transforms of any length, rank and layout, computed in double
// precision whatever the type.

#include "device.h"

#include <complex>
#include <functional>
#include <map>
#include <numeric>
#include <vector>

using cuda_on_cpu::is_reachable;
using cuda_on_cpu::LibraryCall;

namespace {

using complex128 = std::complex<double>;

enum Status { success = 0, invalid_plan = 1, execution_failed = 6 };
enum Type { R2C = 0x2a, C2R = 0x2c, C2C = 0x29, D2Z = 0x6a, Z2D = 0x6c, Z2Z = 0x69 };

// Where the elements of a batch of arrays lie, as cuFFT's advanced data layout describes it.
struct Layout {
  std::vector<int> embed;
  std::ptrdiff_t stride, distance;

  std::ptrdiff_t position(const std::vector<int>& index, int batch) const {
    std::ptrdiff_t at = 0;
    for (std::size_t axis = 0; axis < index.size(); ++axis) at = at * embed[axis] + index[axis];
    return batch * distance + at * stride;
  }
};

struct Plan {
  std::vector<int> shape;
  Layout input, output;
  int type, batch;
};

std::mutex plans_lock;
std::map<int, Plan> plans;

int smallest_factor(int n) {
  for (int p = 2; p * p <= n; ++p) {
    if (n % p == 0) return p;
  }
  return n;
}

// The transform of n numbers that lie `step` apart, into `out`, by splitting off the smallest prime factor
// (Cooley and Tukey); roots[j] is exp(sign 2 pi i j / size), and n divides size.
void transform(const complex128* in, std::ptrdiff_t step, int n, complex128* out, const std::vector<complex128>& roots) {
  if (n == 1) {
    *out = *in;
    return;
  }
  int size = static_cast<int>(roots.size()), p = smallest_factor(n), m = n / p;
  for (int r = 0; r < p; ++r) transform(in + r * step, step * p, m, out + r * m, roots);
  std::vector<complex128> parts(p);
  for (int k = 0; k < m; ++k) {
    for (int r = 0; r < p; ++r) parts[r] = out[r * m + k];
    for (int q = 0; q < p; ++q) {
      complex128 sum = 0;
      for (int r = 0; r < p; ++r) {
        auto turn = static_cast<long long>(r) * (k + static_cast<long long>(q) * m) % n;
        sum += parts[r] * roots[turn * (size / n)];
      }
      out[q * m + k] = sum;
    }
  }
}

void transform_axis(std::vector<complex128>& values, const std::vector<int>& shape, std::size_t axis, int sign) {
  int n = shape[axis];
  std::vector<complex128> roots(n), line(n);
  for (int j = 0; j < n; ++j) roots[j] = std::polar(1.0, sign * 2.0 * M_PI * j / n);
  std::ptrdiff_t inner = std::accumulate(shape.begin() + axis + 1, shape.end(), std::ptrdiff_t{1}, std::multiplies<>());
  std::ptrdiff_t block = inner * n;
  for (std::size_t start = 0; start < values.size(); start += block) {
    for (std::ptrdiff_t i = 0; i < inner; ++i) {
      complex128* first = &values[start + i];
      transform(first, inner, n, line.data(), roots);
      for (int j = 0; j < n; ++j) first[j * inner] = line[j];
    }
  }
}

template <class Visit>
void for_each_index(const std::vector<int>& shape, Visit visit) {
  std::vector<int> index(shape.size());
  std::ptrdiff_t total = std::accumulate(shape.begin(), shape.end(), std::ptrdiff_t{1}, std::multiplies<>());
  for (std::ptrdiff_t flat = 0; flat < total; ++flat) {
    std::ptrdiff_t rest = flat;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis]) index[axis] = rest % shape[axis];
    visit(flat, index);
  }
}

// The shape with the last axis cut to n / 2 + 1: what is kept of the transform of a real array.
std::vector<int> half_of(std::vector<int> shape) {
  shape.back() = shape.back() / 2 + 1;
  return shape;
}

template <class In, class Out>
int execute(int handle, const In* in, Out* out, int sign, const char* name = __builtin_FUNCTION()) {
  Plan plan;
  {
    std::lock_guard<std::mutex> hold(plans_lock);
    auto found = plans.find(handle);
    if (found == plans.end()) return invalid_plan;
    plan = found->second;
  }
  if (!is_reachable(in) || !is_reachable(out)) return execution_failed;
  constexpr bool real_input = std::is_floating_point_v<In>, real_output = std::is_floating_point_v<Out>;
  const std::vector<int> in_shape = real_output ? half_of(plan.shape) : plan.shape;
  const std::vector<int> out_shape = real_input ? half_of(plan.shape) : plan.shape;
  const std::size_t last = plan.shape.size() - 1;
  LibraryCall call(name);
  for (int batch = 0; batch < plan.batch; ++batch) {
    std::vector<complex128> values(std::accumulate(in_shape.begin(), in_shape.end(), std::size_t{1}, std::multiplies<>()));
    for_each_index(in_shape, [&](std::ptrdiff_t flat, const std::vector<int>& index) {
      values[flat] = complex128(in[plan.input.position(index, batch)]);
    });
    for (std::size_t axis = 0; axis < last; ++axis) transform_axis(values, in_shape, axis, sign);
    if constexpr (real_output) {
      // The other half of each line is the conjugate mirror image; the ends are taken as real.
      const int kept = in_shape[last], n = plan.shape[last];
      std::vector<complex128> full(values.size() / kept * n);
      for (std::size_t line = 0; line < values.size() / kept; ++line) {
        const complex128* half = &values[line * kept];
        for (int j = 0; j < n; ++j) full[line * n + j] = j < kept ? half[j] : std::conj(half[n - j]);
        full[line * n] = half[0].real();
        if (n % 2 == 0) full[line * n + n / 2] = half[n / 2].real();
      }
      values = std::move(full);
    }
    transform_axis(values, plan.shape, last, sign);
    for_each_index(out_shape, [&](std::ptrdiff_t, const std::vector<int>& index) {
      std::ptrdiff_t flat = 0;
      for (std::size_t axis = 0; axis < index.size(); ++axis) flat = flat * plan.shape[axis] + index[axis];
      Out& target = out[plan.output.position(index, batch)];
      if constexpr (real_output) {
        target = static_cast<Out>(values[flat].real());
      } else {
        target = Out(values[flat]);
      }
    });
  }
  return success;
}

Layout contiguous(std::vector<int> shape) {
  std::ptrdiff_t size = std::accumulate(shape.begin(), shape.end(), std::ptrdiff_t{1}, std::multiplies<>());
  return {std::move(shape), 1, size};
}

int set_plan(int handle, Plan plan, std::size_t* work_size) {
  std::lock_guard<std::mutex> hold(plans_lock);
  plans[handle] = std::move(plan);
  *work_size = 0;
  return success;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int cufftCreate(int* handle) {
  static int next = 1;
  std::lock_guard<std::mutex> hold(plans_lock);
  *handle = next++;
  return success;
}
int cufftDestroy(int handle) {
  std::lock_guard<std::mutex> hold(plans_lock);
  plans.erase(handle);
  return success;
}
int cufftGetVersion(int* version) {
  *version = 12000;
  return success;
}
int cufftSetAutoAllocation(int, int) { return success; }
int cufftSetWorkArea(int, void*) { return success; }
int cufftSetStream(int, void*) { return success; }

int cufftMakePlan1d(int handle, int n, int type, int batch, std::size_t* work_size) {
  std::vector<int> shape{n}, half = half_of(shape);
  return set_plan(handle,
                  {shape, contiguous(type == C2R || type == Z2D ? half : shape),
                   contiguous(type == R2C || type == D2Z ? half : shape), type, batch},
                  work_size);
}
int cufftMakePlanMany(int handle, int rank, int* n, int* in_embed, int in_stride, int in_distance, int* out_embed,
                      int out_stride, int out_distance, int type, int batch, std::size_t* work_size) {
  std::vector<int> shape(n, n + rank), half = half_of(shape);
  Layout input = contiguous(type == C2R || type == Z2D ? half : shape);
  Layout output = contiguous(type == R2C || type == D2Z ? half : shape);
  // Without the shape of what the arrays are embedded in, strides and distances are ignored too.
  if (in_embed) input = {{in_embed, in_embed + rank}, in_stride, in_distance};
  if (out_embed) output = {{out_embed, out_embed + rank}, out_stride, out_distance};
  return set_plan(handle, {shape, input, output, type, batch}, work_size);
}

int cufftExecC2C(int handle, std::complex<float>* in, std::complex<float>* out, int direction) {
  return execute(handle, in, out, direction);
}
int cufftExecZ2Z(int handle, complex128* in, complex128* out, int direction) {
  return execute(handle, in, out, direction);
}
int cufftExecR2C(int handle, float* in, std::complex<float>* out) { return execute(handle, in, out, -1); }
int cufftExecD2Z(int handle, double* in, complex128* out) { return execute(handle, in, out, -1); }
int cufftExecC2R(int handle, std::complex<float>* in, float* out) { return execute(handle, in, out, 1); }
int cufftExecZ2D(int handle, complex128* in, double* out) { return execute(handle, in, out, 1); }

}  // extern "C"
#pragma GCC visibility pop
