"""Primitives and rules as one or a few kernels each, where the plain Array API code launches one for every operation.

Formulas, and the order of their operations, are those of the plain code, which is the oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy

from agrad._typing import Array, Namespace, Shape

Axes = tuple[int, ...]


def _map(name: str, parameters: str, code: str, results: str = "T y") -> Callable[..., Any]:
    """A kernel that computes elements of arrays of one dtype `T`, and of numbers."""
    kernel = cupy.ElementwiseKernel(parameters, results, code, f"agrad_{name}")
    count = parameters.count("T ")

    def call(*operands: Any) -> Any:
        arrays = operands[:count]
        dtype = arrays[0].dtype
        if any(x.dtype != dtype for x in arrays):
            dtype = cupy.result_type(*arrays)
            arrays = tuple(x.astype(dtype, copy=False) for x in arrays)
        return kernel(*arrays, *operands[count:])

    return call


def _sum(name: str, parameters: str, code: str, after: str = "y = a") -> Callable[..., Array]:
    """A kernel that sums over one axis or several, which are kept with length 1."""
    kernel = cupy.ReductionKernel(parameters, "T y", code, "a + b", after, "0", f"agrad_{name}")
    return lambda *operands, axis: kernel(*operands, axis=axis, keepdims=True)


_EPSILON = "const T e = T(1e-16);"

_relu = _map("relu", "T x", "y = x < T(0) ? T(0) : x")
_relu_x = _map("relu_x", "T g, T y0", "y = y0 <= T(0) ? T(0) : g")
_softplus = _map("softplus", "T x", "y = (x < T(0) ? T(0) : x) + log1p(exp(x < T(0) ? x : -x))")
_softplus_x = _map("softplus_x", "T g, T y0", "y = g * -expm1(-y0)")
_sigmoid = _map("sigmoid", "T x", "const T e = exp(x < T(0) ? x : -x); y = (x < T(0) ? e : T(1)) / (e + T(1))")
_sigmoid_x = _map("sigmoid_x", "T g, T y0", "y = g * (y0 * (T(1) - y0))")
_tanh_x = _map("tanh_x", "T g, T y0", "y = g * (T(1) - y0 * y0)")

_bernoulli = _map("bernoulli", "T p, T t", _EPSILON + "y = -(t * log(p + e) + (T(1) - t) * log(T(1) - p + e))")
_bernoulli_p = _map(
    "bernoulli_p",
    "T g, T p, T t, float64 n",
    _EPSILON + "y = ((T(1) - t) / (T(1) - p + e) - t / (p + e)) * (g / T(n))",
)
_bernoulli_t = _map(
    "bernoulli_t", "T g, T p, float64 n", _EPSILON + "y = (log(T(1) - p + e) - log(p + e)) * (g / T(n))"
)

_sum_exp = _sum("sum_exp", "T x, T top", "exp(x - top)")
_log_sum_exp = _sum("log_sum_exp", "T x, T top", "exp(x - top)", "y = log(a)")
_sum_exp_finite = _sum("sum_exp_finite", "T x, T top", "exp(x - (isinf(top) ? T(0) : top))")
_sum_product = _sum("sum_product", "T g, T y0", "g * y0")
_exp_by = _map("exp_by", "T x, T top, T total", "y = exp(x - top) / total")
_shift = _map("shift", "T x, T top, T total", "y = x - top - total")
_softmax_x = _map("softmax_x", "T g, T y0, T total", "y = y0 * (g - total)")
_log_softmax_x = _map("log_softmax_x", "T g, T y0, T total", "y = g - exp(y0) * total")
_log_total = _map("log_total", "T total, T top", "y = (isinf(top) ? T(0) : log(total)) + top")
_logsumexp_x = _map("logsumexp_x", "T g, T x, T top", "y = g * exp(x - (top < T(0) && isinf(top) ? T(0) : top))")

_momentum = _map(
    "momentum",
    "T value, T gradient, T velocity, float64 rate, float64 momentum, bool nesterov",
    "y = T(momentum) * velocity + gradient; value1 = value - T(rate) * (nesterov ? gradient + T(momentum) * y : y)",
    "T value1, T y",
)
_adam = _map(
    "adam",
    "T value, T gradient, T mean, T square, float64 beta1, float64 rest1, float64 beta2, float64 rest2, "
    "float64 root, float64 eps, float64 rate",
    """
    mean1 = mean * T(beta1) + gradient * T(rest1);
    square1 = square * T(beta2) + gradient * gradient * T(rest2);
    value1 = value - T(rate) * mean1 / (sqrt(square1) / T(root) + T(eps));
    """,
    "T value1, T mean1, T square1",
)


def _binary_cross_entropy(p: Array, t: Array) -> Array:
    return _bernoulli(p, t).mean()


def _softmax(x: Array, axis: int) -> Array:
    top = x.max(axis=axis, keepdims=True)
    return _exp_by(x, top, _sum_exp(x, top, axis=axis))


def _log_softmax(x: Array, axis: int) -> Array:
    top = x.max(axis=axis, keepdims=True)
    return _shift(x, top, _log_sum_exp(x, top, axis=axis))


def _logsumexp(x: Array, axis: Axes, keepdims: bool, shape: Shape) -> Array:
    top = x.max(axis=axis, keepdims=True)
    total = _log_total(_sum_exp_finite(x, top, axis=axis), top)
    return total if keepdims else total.squeeze(axis=axis)


PRIMITIVES: dict[str, Callable[..., Any]] = {
    "relu": _relu,
    "softplus": _softplus,
    "sigmoid": _sigmoid,
    "binary_cross_entropy": _binary_cross_entropy,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "momentum": _momentum,
    "adam": _adam,
}


def _of(kernel: Callable[..., Array]) -> Callable[..., Array]:
    """A rule that is a kernel of the cotangent and the result."""
    return lambda xp, g, y: kernel(g, y)


def _bce_p(xp: Namespace, g: Array, p: Array, t: Array) -> Array:
    return _bernoulli_p(g, p, t, p.size)


def _bce_t(xp: Namespace, g: Array, p: Array) -> Array:
    return _bernoulli_t(g, p, p.size)


def _of_softmax(xp: Namespace, g: Array, y: Array, axis: int) -> Array:
    return _softmax_x(g, y, _sum_product(g, y, axis=axis))


def _of_log_softmax(xp: Namespace, g: Array, y: Array, axis: int) -> Array:
    return _log_softmax_x(g, y, g.sum(axis=axis, keepdims=True))


def _of_logsumexp(xp: Namespace, g: Array, x: Array, y: Array, shape: Shape) -> Array:
    return _logsumexp_x(g.reshape(shape), x, y.reshape(shape))


RULES: dict[str, dict[str, Callable[..., Array]]] = {
    "relu": {"x": _of(_relu_x)},
    "softplus": {"x": _of(_softplus_x)},
    "sigmoid": {"x": _of(_sigmoid_x)},
    "tanh": {"x": _of(_tanh_x)},
    "binary_cross_entropy": {"p": _bce_p, "t": _bce_t},
    "softmax": {"x": _of_softmax},
    "log_softmax": {"x": _of_log_softmax},
    "logsumexp": {"x": _of_logsumexp},
}
