// The part of cuBLAS that CuPy's matmul, dot, tensordot and linalg call. Matrices are column-major.
//
// Sums are taken in the type of the result, except that half precision is summed in float32 as cuBLAS does.
// Tensor cores and TF32 are not imitated.

#include "device.h"

#include <algorithm>
#include <complex>
#include <cstdio>
#include <utility>
#include <vector>

using cuda_on_cpu::is_reachable;
using cuda_on_cpu::LibraryCall;

namespace {

using half = _Float16;
using complex64 = std::complex<float>;
using complex128 = std::complex<double>;

enum Status { success = 0, invalid_value = 7, execution_failed = 13, not_supported = 15 };
enum Operation { none = 0, transposed = 1, adjoint = 2 };
enum PointerMode { on_host = 0, on_device = 1 };
// cudaDataType_t and cublasComputeType_t, as far as they occur.
enum DataType { R_32F = 0, R_64F = 1, R_16F = 2, C_32F = 4, C_64F = 5, R_16BF = 14 };
enum ComputeType { COMPUTE_16F = 64, COMPUTE_16F_PEDANTIC = 65 };

struct Handle {
  void* stream = nullptr;
  int pointer_mode = on_host;
  int math_mode = 0;
};
Handle& as_handle(void* handle) { return *static_cast<Handle*>(handle); }

LibraryCall::Product product(void* handle, long long m, long long n, long long k, long long batch = 1) {
  return {as_handle(handle).stream, m, n, k, batch};
}

// bfloat16 is the upper half of a float32, rounded to nearest even.
struct bfloat16 {
  std::uint16_t bits;
  bfloat16() = default;
  explicit bfloat16(float value) {
    std::uint32_t word;
    __builtin_memcpy(&word, &value, sizeof word);
    bits = value != value ? 0x7fff : static_cast<std::uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
  explicit operator float() const {
    std::uint32_t word = std::uint32_t{bits} << 16;
    float value;
    __builtin_memcpy(&value, &word, sizeof value);
    return value;
  }
};

float conjugate(float x) { return x; }
double conjugate(double x) { return x; }
template <class T>
std::complex<T> conjugate(std::complex<T> x) {
  return std::conj(x);
}

// A matrix in device memory as its caller describes it, with the operation applied.
template <class T>
struct Operand {
  const T* data;
  int leading;
  int operation;

  template <class Sum>
  Sum at(std::ptrdiff_t row, std::ptrdiff_t column) const {
    Sum value = Sum(operation == none ? data[column * leading + row] : data[row * leading + column]);
    return operation == adjoint ? conjugate(value) : value;
  }
  // True when the device can reach the bytes of all elements.
  bool on_device(std::ptrdiff_t rows, std::ptrdiff_t columns) const {
    if (operation != none) std::swap(rows, columns);
    return rows == 0 || columns == 0 || is_reachable(data, ((columns - 1) * leading + rows) * sizeof(T));
  }
};

// c = alpha a b + beta c, with a of m x k and b of k x n.
template <class Sum, class T, class R>
int multiply(int m, int n, int k, Sum alpha, Operand<T> a, Operand<T> b, Sum beta, R* c, int leading) {
  if (m < 0 || n < 0 || k < 0) return invalid_value;
  if (!a.on_device(m, k) || !b.on_device(k, n) || !Operand<R>{c, leading, none}.on_device(m, n)) {
    std::fprintf(stderr, "cuda_on_cpu: a matrix product was given a matrix that is not in the memory of its device\n");
    return execution_failed;
  }
  // Copied into columns of a first, so that the innermost loop is contiguous whatever the operation. Every sum is
  // still taken in the order of the inner index.
  std::vector<Sum> columns(std::size_t(m) * k), sums(m);
  for (int p = 0; p < k; ++p) {
    for (int i = 0; i < m; ++i) columns[std::size_t(p) * m + i] = a.template at<Sum>(i, p);
  }
  for (int j = 0; j < n; ++j) {
    std::fill(sums.begin(), sums.end(), Sum(0));
    for (int p = 0; p < k; ++p) {
      const Sum factor = b.template at<Sum>(p, j), *column = &columns[std::size_t(p) * m];
      for (int i = 0; i < m; ++i) sums[i] += column[i] * factor;
    }
    for (int i = 0; i < m; ++i) {
      R& target = c[std::ptrdiff_t(j) * leading + i];
      // With beta = 0 the old value must not be looked at: it may be a NaN.
      target = R(beta == Sum(0) ? alpha * sums[i] : alpha * sums[i] + beta * Sum(target));
    }
  }
  return success;
}

template <class T>
int multiply_vector(int operation, int m, int n, T alpha, const T* a, int leading, const T* x, int step_x, T beta, T* y,
                    int step_y) {
  Operand<T> matrix{a, leading, operation};
  int rows = operation == none ? m : n, columns = operation == none ? n : m;
  if (!is_reachable(a) || !is_reachable(x) || !is_reachable(y)) return execution_failed;
  std::vector<T> result(rows);
  for (int i = 0; i < rows; ++i) {
    for (int p = 0; p < columns; ++p) result[i] += matrix.template at<T>(i, p) * x[std::ptrdiff_t(p) * step_x];
  }
  for (int i = 0; i < rows; ++i) {
    T& target = y[std::ptrdiff_t(i) * step_y];
    target = beta == T(0) ? alpha * result[i] : alpha * result[i] + beta * target;
  }
  return success;
}

template <class T>
int dot(void* handle, int n, const T* x, int step_x, const T* y, int step_y, T* result, bool conjugated,
        const char* name = __builtin_FUNCTION()) {
  LibraryCall call(product(handle, 1, 1, n), name);
  if (n && (!is_reachable(x) || !is_reachable(y))) return execution_failed;
  if ((as_handle(handle).pointer_mode == on_device) != is_reachable(result)) return execution_failed;
  T sum = T(0);
  for (int i = 0; i < n; ++i) {
    T left = x[std::ptrdiff_t(i) * step_x];
    sum += (conjugated ? conjugate(left) : left) * y[std::ptrdiff_t(i) * step_y];
  }
  *result = sum;
  return success;
}

template <class T>
int outer(int m, int n, T alpha, const T* x, int step_x, const T* y, int step_y, T* a, int leading, bool conjugated) {
  if (!is_reachable(x) || !is_reachable(y) || !is_reachable(a)) return execution_failed;
  for (int j = 0; j < n; ++j) {
    T right = y[std::ptrdiff_t(j) * step_y];
    if (conjugated) right = conjugate(right);
    for (int i = 0; i < m; ++i) a[std::ptrdiff_t(j) * leading + i] += alpha * x[std::ptrdiff_t(i) * step_x] * right;
  }
  return success;
}

template <class Sum, class T, class R = T>
int multiply_ex(int ta, int tb, int m, int n, int k, Sum alpha, const void* a, int lda, const void* b, int ldb, Sum beta,
                void* c, int ldc, long long offset_a, long long offset_b, long long offset_c) {
  return multiply(m, n, k, alpha, Operand<T>{static_cast<const T*>(a) + offset_a, lda, ta},
                  Operand<T>{static_cast<const T*>(b) + offset_b, ldb, tb}, beta, static_cast<R*>(c) + offset_c, ldc);
}

// The matrix product whose types are arguments.
int multiply_typed(int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int type_a, int lda,
                   const void* b, int type_b, int ldb, const void* beta, void* c, int type_c, int ldc, int compute,
                   long long offset_a = 0, long long offset_b = 0, long long offset_c = 0) {
  if (type_a != type_b) return not_supported;
  auto with = [&](auto sum, auto input, auto output) {
    using Sum = decltype(sum);
    Sum alpha_, beta_;
    if (compute == COMPUTE_16F || compute == COMPUTE_16F_PEDANTIC) {
      alpha_ = Sum(static_cast<float>(*static_cast<const half*>(alpha)));
      beta_ = Sum(static_cast<float>(*static_cast<const half*>(beta)));
    } else {
      alpha_ = *static_cast<const Sum*>(alpha);
      beta_ = *static_cast<const Sum*>(beta);
    }
    return multiply_ex<Sum, decltype(input), decltype(output)>(ta, tb, m, n, k, alpha_, a, lda, b, ldb, beta_, c, ldc,
                                                               offset_a, offset_b, offset_c);
  };
  if (type_a == R_32F && type_c == R_32F) return with(float(), float(), float());
  if (type_a == R_64F && type_c == R_64F) return with(double(), double(), double());
  if (type_a == C_32F && type_c == C_32F) return with(complex64(), complex64(), complex64());
  if (type_a == C_64F && type_c == C_64F) return with(complex128(), complex128(), complex128());
  if (type_a == R_16F && type_c == R_16F) return with(float(), half(), half());
  if (type_a == R_16F && type_c == R_32F) return with(float(), half(), float());
  if (type_a == R_16BF && type_c == R_16BF) return with(float(), bfloat16(), bfloat16());
  if (type_a == R_16BF && type_c == R_32F) return with(float(), bfloat16(), float());
  return not_supported;
}

// In-place triangular solve, side and fill mode as in BLAS: op(a) x = alpha b, or x op(a) = alpha b.
template <class T>
int solve_triangular(int side, int fill, int operation, int unit_diagonal, int m, int n, T alpha, const T* a, int lda,
                     T* b, int ldb) {
  bool left = side == 0;
  int size = left ? m : n, others = left ? n : m;
  // x op(a) = b is op(a)^T x^T = b^T, so that one loop serves both sides.
  auto coefficient = [&](int row, int column) {
    return left ? Operand<T>{a, lda, operation}.template at<T>(row, column)
                : Operand<T>{a, lda, operation}.template at<T>(column, row);
  };
  auto unknown = [&](int row, int other) -> T& {
    return left ? b[std::ptrdiff_t(other) * ldb + row] : b[std::ptrdiff_t(row) * ldb + other];
  };
  bool lower = (fill == 0) == ((operation == none) == left);
  for (int other = 0; other < others; ++other) {
    for (int step = 0; step < size; ++step) {
      int row = lower ? step : size - 1 - step;
      T value = alpha * unknown(row, other);
      for (int done = 0; done < step; ++done) {
        int column = lower ? done : size - 1 - done;
        value -= coefficient(row, column) * unknown(column, other);
      }
      unknown(row, other) = unit_diagonal ? value : value / coefficient(row, row);
    }
  }
  return success;
}

// LU decomposition with row exchanges, in place; pivots count from 1. Null pivots: no exchanges.
template <class T>
int decompose_lu(int n, T* a, int lda, int* pivots) {
  int info = 0;
  auto at = [&](int row, int column) -> T& { return a[std::ptrdiff_t(column) * lda + row]; };
  for (int k = 0; k < n; ++k) {
    int best = k;
    for (int row = k + 1; pivots && row < n; ++row) {
      if (std::abs(at(row, k)) > std::abs(at(best, k))) best = row;
    }
    if (pivots) pivots[k] = best + 1;
    if (at(best, k) == T(0)) {
      if (!info) info = k + 1;
      continue;
    }
    for (int column = 0; best != k && column < n; ++column) std::swap(at(k, column), at(best, column));
    for (int row = k + 1; row < n; ++row) {
      at(row, k) /= at(k, k);
      for (int column = k + 1; column < n; ++column) at(row, column) -= at(row, k) * at(k, column);
    }
  }
  return info;
}

template <class T>
void solve_lu(int operation, int n, int columns, const T* a, int lda, const int* pivots, T* b, int ldb) {
  auto exchange = [&](int row) {
    for (int column = 0; pivots && column < columns; ++column) {
      std::swap(b[std::ptrdiff_t(column) * ldb + row], b[std::ptrdiff_t(column) * ldb + pivots[row] - 1]);
    }
  };
  if (operation == none) {
    for (int row = 0; row < n; ++row) exchange(row);
    solve_triangular(0, 0, none, 1, n, columns, T(1), a, lda, b, ldb);
    solve_triangular(0, 1, none, 0, n, columns, T(1), a, lda, b, ldb);
  } else {
    solve_triangular(0, 1, operation, 0, n, columns, T(1), a, lda, b, ldb);
    solve_triangular(0, 0, operation, 1, n, columns, T(1), a, lda, b, ldb);
    for (int row = n - 1; row >= 0; --row) exchange(row);
  }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int cublasCreate_v2(void** handle) {
  *handle = new Handle;
  return success;
}
int cublasDestroy_v2(void* handle) {
  delete static_cast<Handle*>(handle);
  return success;
}
int cublasGetVersion_v2(void*, int* version) {
  *version = 130200;
  return success;
}
int cublasSetStream_v2(void* handle, void* stream) {
  as_handle(handle).stream = stream;
  return success;
}
int cublasGetStream_v2(void* handle, void** stream) {
  *stream = as_handle(handle).stream;
  return success;
}
int cublasSetPointerMode_v2(void* handle, int mode) {
  as_handle(handle).pointer_mode = mode;
  return success;
}
int cublasGetPointerMode_v2(void* handle, int* mode) {
  *mode = as_handle(handle).pointer_mode;
  return success;
}
int cublasSetMathMode(void* handle, int mode) {
  as_handle(handle).math_mode = mode;
  return success;
}
int cublasGetMathMode(void* handle, int* mode) {
  *mode = as_handle(handle).math_mode;
  return success;
}

// One function for each type, as the C interface has it. A batch is one call and counts as one.
#define CUDA_ON_CPU_BLAS(letter, T)                                                                                   \
  int cublas##letter##gemm_v2(void* handle, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda, \
                              const T* b, int ldb, const T* beta, T* c, int ldc) {                                    \
    LibraryCall call(product(handle, m, n, k));                                                                       \
    return multiply(m, n, k, *alpha, Operand<T>{a, lda, ta}, Operand<T>{b, ldb, tb}, *beta, c, ldc);                  \
  }                                                                                                                   \
  int cublas##letter##gemmStridedBatched(void* handle, int ta, int tb, int m, int n, int k, const T* alpha, const T* a,\
                                         int lda, long long step_a, const T* b, int ldb, long long step_b,            \
                                         const T* beta, T* c, int ldc, long long step_c, int batch) {                 \
    LibraryCall call(product(handle, m, n, k, batch));                                                                \
    for (int i = 0; i < batch; ++i) {                                                                                 \
      int status = multiply(m, n, k, *alpha, Operand<T>{a + i * step_a, lda, ta}, Operand<T>{b + i * step_b, ldb, tb},\
                            *beta, c + i * step_c, ldc);                                                              \
      if (status) return status;                                                                                      \
    }                                                                                                                 \
    return success;                                                                                                   \
  }                                                                                                                   \
  int cublas##letter##gemmBatched(void* handle, int ta, int tb, int m, int n, int k, const T* alpha, const T** a,     \
                                  int lda, const T** b, int ldb, const T* beta, T** c, int ldc, int batch) {          \
    LibraryCall call(product(handle, m, n, k, batch));                                                                \
    for (int i = 0; i < batch; ++i) {                                                                                 \
      int status = multiply(m, n, k, *alpha, Operand<T>{a[i], lda, ta}, Operand<T>{b[i], ldb, tb}, *beta, c[i], ldc); \
      if (status) return status;                                                                                      \
    }                                                                                                                 \
    return success;                                                                                                   \
  }                                                                                                                   \
  int cublas##letter##gemv_v2(void* handle, int operation, int m, int n, const T* alpha, const T* a, int lda,         \
                              const T* x, int step_x, const T* beta, T* y, int step_y) {                              \
    LibraryCall call(product(handle, operation == none ? m : n, 1, operation == none ? n : m));                       \
    return multiply_vector(operation, m, n, *alpha, a, lda, x, step_x, *beta, y, step_y);                             \
  }                                                                                                                   \
  int cublas##letter##trsm_v2(void*, int side, int fill, int operation, int unit_diagonal, int m, int n,              \
                              const T* alpha, const T* a, int lda, T* b, int ldb) {                                   \
    LibraryCall call;                                                                                                 \
    return solve_triangular(side, fill, operation, unit_diagonal, m, n, *alpha, a, lda, b, ldb);                      \
  }                                                                                                                   \
  int cublas##letter##trsmBatched(void*, int side, int fill, int operation, int unit_diagonal, int m, int n,          \
                                  const T* alpha, const T** a, int lda, T** b, int ldb, int batch) {                  \
    LibraryCall call;                                                                                                 \
    for (int i = 0; i < batch; ++i) {                                                                                 \
      solve_triangular(side, fill, operation, unit_diagonal, m, n, *alpha, a[i], lda, b[i], ldb);                     \
    }                                                                                                                 \
    return success;                                                                                                   \
  }                                                                                                                   \
  int cublas##letter##getrfBatched(void*, int n, T** a, int lda, int* pivots, int* info, int batch) {                 \
    LibraryCall call;                                                                                                 \
    for (int i = 0; i < batch; ++i) info[i] = decompose_lu(n, a[i], lda, pivots ? pivots + i * n : nullptr);          \
    return success;                                                                                                   \
  }                                                                                                                   \
  int cublas##letter##getrsBatched(void*, int operation, int n, int columns, const T** a, int lda, const int* pivots, \
                                   T** b, int ldb, int* info, int batch) {                                            \
    LibraryCall call;                                                                                                 \
    *info = 0;                                                                                                        \
    for (int i = 0; i < batch; ++i) {                                                                                 \
      solve_lu(operation, n, columns, a[i], lda, pivots ? pivots + i * n : nullptr, b[i], ldb);                       \
    }                                                                                                                 \
    return success;                                                                                                   \
  }                                                                                                                   \
  int cublas##letter##getriBatched(void*, int n, const T** a, int lda, int* pivots, T** c, int ldc, int* info,        \
                                   int batch) {                                                                       \
    LibraryCall call;                                                                                                 \
    for (int i = 0; i < batch; ++i) {                                                                                 \
      info[i] = 0;                                                                                                    \
      for (int j = 0; j < n; ++j) {                                                                                   \
        for (int row = 0; row < n; ++row) c[i][std::ptrdiff_t(j) * ldc + row] = T(row == j);                          \
      }                                                                                                               \
      solve_lu(none, n, n, a[i], lda, pivots ? pivots + i * n : nullptr, c[i], ldc);                                  \
    }                                                                                                                 \
    return success;                                                                                                   \
  }                                                                                                                   \
  int cublas##letter##geam(void*, int ta, int tb, int m, int n, const T* alpha, const T* a, int lda, const T* beta,   \
                           const T* b, int ldb, T* c, int ldc) {                                                      \
    LibraryCall call;                                                                                                 \
    for (int j = 0; j < n; ++j) {                                                                                     \
      for (int i = 0; i < m; ++i) {                                                                                   \
        T sum = T(0);                                                                                                 \
        if (*alpha != T(0)) sum += *alpha * Operand<T>{a, lda, ta}.template at<T>(i, j);                              \
        if (*beta != T(0)) sum += *beta * Operand<T>{b, ldb, tb}.template at<T>(i, j);                                \
        c[std::ptrdiff_t(j) * ldc + i] = sum;                                                                         \
      }                                                                                                               \
    }                                                                                                                 \
    return success;                                                                                                   \
  }
CUDA_ON_CPU_BLAS(S, float)
CUDA_ON_CPU_BLAS(D, double)
CUDA_ON_CPU_BLAS(C, complex64)
CUDA_ON_CPU_BLAS(Z, complex128)

#define CUDA_ON_CPU_DOT(name, T, conjugated)                                                         \
  int cublas##name(void* handle, int n, const T* x, int step_x, const T* y, int step_y, T* result) { \
    return dot(handle, n, x, step_x, y, step_y, result, conjugated);                                 \
  }
CUDA_ON_CPU_DOT(Sdot_v2, float, false)
CUDA_ON_CPU_DOT(Ddot_v2, double, false)
CUDA_ON_CPU_DOT(Cdotu_v2, complex64, false)
CUDA_ON_CPU_DOT(Cdotc_v2, complex64, true)
CUDA_ON_CPU_DOT(Zdotu_v2, complex128, false)
CUDA_ON_CPU_DOT(Zdotc_v2, complex128, true)

#define CUDA_ON_CPU_OUTER(name, T, conjugated)                                                                 \
  int cublas##name(void* handle, int m, int n, const T* alpha, const T* x, int step_x, const T* y, int step_y, \
                   T* a, int lda) {                                                                            \
    LibraryCall call(product(handle, m, n, 1));                                                                \
    return outer(m, n, *alpha, x, step_x, y, step_y, a, lda, conjugated);                                      \
  }
CUDA_ON_CPU_OUTER(Sger_v2, float, false)
CUDA_ON_CPU_OUTER(Dger_v2, double, false)
CUDA_ON_CPU_OUTER(Cgeru_v2, complex64, false)
CUDA_ON_CPU_OUTER(Cgerc_v2, complex64, true)
CUDA_ON_CPU_OUTER(Zgeru_v2, complex128, false)
CUDA_ON_CPU_OUTER(Zgerc_v2, complex128, true)

int cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int type_a,
                 int lda, const void* b, int type_b, int ldb, const void* beta, void* c, int type_c, int ldc,
                 int compute, int) {
  LibraryCall call(product(handle, m, n, k));
  return multiply_typed(ta, tb, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, compute);
}
int cublasSgemmEx(void* handle, int ta, int tb, int m, int n, int k, const float* alpha, const void* a, int type_a,
                  int lda, const void* b, int type_b, int ldb, const float* beta, void* c, int type_c,
                  int ldc) {
  LibraryCall call(product(handle, m, n, k));
  return multiply_typed(ta, tb, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, 0);
}
int cublasGemmStridedBatchedEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
                               int type_a, int lda, long long step_a, const void* b, int type_b, int ldb,
                               long long step_b, const void* beta, void* c, int type_c, int ldc, long long step_c,
                               int batch, int compute, int) {
  LibraryCall call(product(handle, m, n, k, batch));
  for (int i = 0; i < batch; ++i) {
    int status = multiply_typed(ta, tb, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, compute,
                                i * step_a, i * step_b, i * step_c);
    if (status) return status;
  }
  return success;
}

}  // extern "C"
#pragma GCC visibility pop
