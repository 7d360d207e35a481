"""NumPy's quickest way for what a training step does most.

`np.sum`, `np.mean` and their like are Python functions around ufuncs' `reduce`: on small arrays the wrapper costs more
than the sum. The plain Array API code of each primitive is the oracle that the tests compare these with.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from agrad._typing import Array, Namespace, Shape

Axis = int | tuple[int, ...] | None

# Called by position, which the stubs of NumPy do not know, and which is the quickest way.
_add: Any = np.add.reduce
_maximum: Any = np.maximum.reduce
_minimum: Any = np.minimum.reduce


class _Constant(dict[Any, Array]):
    """A number as a 0-d array of each dtype: NumPy takes half as long again for an operand that is a Python number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __missing__(self, dtype: Any) -> Array:
        array = self[dtype] = np.asarray(self.number, dtype)
        return array


_ZERO, _ONE, _EPSILON = _Constant(0.0), _Constant(1.0), _Constant(1e-16)


class _Least(dict[Any, float]):
    """For each dtype a number whose negative has a finite exponential."""

    def __missing__(self, dtype: Any) -> float:
        least = self[dtype] = -float(np.log(np.finfo(dtype).max)) + 1
        return least


_LEAST = _Least()


def sum(x: Array, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """`numpy.sum` with the standard's result dtype."""
    return _add(x, axis, dtype, None, keepdims)


def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """`numpy.mean`, as a sum and a division."""
    total = _add(x, axis, None, None, keepdims)
    count = x.size // total.size if total.size else 0
    return total / count if count else np.mean(x, axis=axis, keepdims=keepdims)


def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """`numpy.max`."""
    return _maximum(x, axis, None, None, keepdims)


def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """`numpy.min`."""
    return _minimum(x, axis, None, None, keepdims)


def count_nonzero(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """`numpy.count_nonzero`, which gave a Python integer before NumPy 2.2."""
    return np.asarray(np.count_nonzero(x, axis=axis, keepdims=keepdims))


_LARGE = 1 << 13
"""Elements from which on `where` is done by bits."""
_ARRAYS = (np.ndarray, np.generic)
BITS: dict[int, Any] = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}
"""Integers of as many bytes as the elements that `where` can choose by bits."""


def where(condition: Array, x1: Array, x2: Array, /) -> Array:
    """`numpy.where`; of many elements by bits, `x2 ^ ((x1 ^ x2) & mask)`: NumPy guesses what each condition will be.

    Where the conditions have no pattern the guesses are wrong, which costs as much as twenty additions.
    """
    if type(condition) is not np.ndarray or condition.size < _LARGE or condition.dtype != np.bool_:
        return np.where(condition, x1, x2)
    if not isinstance(x1, _ARRAYS) or not isinstance(x2, _ARRAYS) or x1.dtype != x2.dtype:
        return np.where(condition, x1, x2)
    bits = BITS.get(x1.itemsize)
    if bits is None or condition.shape != np.broadcast_shapes(condition.shape, x1.shape, x2.shape):
        return np.where(condition, x1, x2)
    mask = np.negative(condition.view(np.int8))
    ones, others = x1.view(bits), x2.view(bits)
    chosen = np.bitwise_and(np.bitwise_xor(ones, others), mask)
    chosen ^= others
    return chosen.view(x1.dtype)


def matmul(x1: Array, x2: Array, /) -> Array:
    """`numpy.matmul`; `dot` for small matrices: half a microsecond less, and a fifth of the time of an outer product.

    `dot` fills its result with zeros first, which takes as long as 5 % of a larger product.
    """
    if x1.ndim == x2.ndim == 2 and x1.size + x2.size < _SMALL:
        return x1.dot(x2)
    return np.matmul(x1, x2)


_SMALL = 32768


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)): where exp overflows to infinity the result is exactly 0, so the warning says nothing.

    To see that nothing overflows takes a quarter of the time of switching the warning off.
    """
    y = np.negative(x)
    if _minimum(x, None, None, None, False, 0) > _LEAST[y.dtype]:
        y = np.exp(y)
    else:
        with np.errstate(over="ignore"):
            y = np.exp(y)
    y += _ONE[y.dtype]
    return np.reciprocal(y)


def relu(x: Array) -> Array:
    """max(x, 0), NaN included: `where` takes twenty times as long where it cannot guess what comes next."""
    return np.maximum(x, _ZERO[x.dtype])


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))). Many short rows are turned first: NumPy reduces columns five times as fast."""
    if axis == 1 and x.ndim == 2 and x.shape[0] > 2 * x.shape[1]:
        return log_softmax(np.ascontiguousarray(x.T), 0).T
    y = x - _maximum(x, axis, None, None, True)
    y -= np.log(_add(np.exp(y), axis, None, None, True))
    return y


def binary_cross_entropy(p: Array, t: Array) -> Array:
    """-mean(t log(p + ε) + (1 - t) log(1 - p + ε)) in few temporaries."""
    one, epsilon = _ONE[p.dtype], _EPSILON[p.dtype]
    below = one - p
    below += epsilon
    total = t.ravel().dot(np.log(p + epsilon).ravel())
    total += (one - t).ravel().dot(np.log(below).ravel())
    return total / -p.size


def negative_log_likelihood(x: Array, labels: Array, axis: int) -> Array:
    """Minus the mean of what is at the labels, which are looked up."""
    rows = np.moveaxis(x, axis, -1).reshape(labels.size, -1)
    return _add(rows[np.arange(labels.size), labels.ravel()], None) / -labels.size


# Backward rules, in place where they can be: on small arrays an allocation costs as much as the arithmetic.


def _matmul_x1(xp: Namespace, g: Array, x1_shape: Shape, x2: Array) -> Array:
    if len(x1_shape) == x2.ndim == 2:
        if x2.size < 4096 and g.size < _SMALL:  # OpenBLAS takes longer for a transposed matrix than the copy does
            return g.dot(np.ascontiguousarray(x2.T))
        return matmul(g, x2.T)
    if x2.ndim == 1:
        return g[..., None] * x2
    return np.matmul(g, x2.mT) if len(x1_shape) > 1 else np.matmul(x2, g[..., None])[..., 0]


def _matmul_x2(xp: Namespace, g: Array, x1: Array, x2_shape: Shape) -> Array:
    if x1.ndim == len(x2_shape) == 2:
        return x1.T.dot(g) if x1.size + g.size < _SMALL else np.matmul(x1.T, g)
    if x1.ndim == 1:
        return x1[:, None] * g[..., None, :] if len(x2_shape) > 1 else g * x1
    return np.matmul(x1.mT, g) if len(x2_shape) > 1 else np.matmul(x1.mT, g[..., None])[..., 0]


def _tanh(xp: Namespace, g: Array, y: Array) -> Array:
    part = y * y
    part = np.subtract(_ONE[part.dtype], part, part if part.ndim else None)
    part *= g
    return part


def _sigmoid(xp: Namespace, g: Array, y: Array) -> Array:
    part = _ONE[y.dtype] - y
    part *= y
    part *= g
    return part


def _relu(xp: Namespace, g: Array, y: Array) -> Array:
    """`g` and 0 where y <= 0, also for infinite `g`: by its bits, of which all or none are kept, without a branch."""
    bits = _BITS[g.dtype.itemsize]
    part = (y <= _ZERO[y.dtype]).astype(bits)
    part -= 1
    part &= g.view(bits)
    return part.view(g.dtype)


_BITS = {4: np.int32, 8: np.int64}


def _log_softmax(xp: Namespace, g: Array, y: Array, axis: int) -> Array:
    part = np.exp(y)
    part *= _add(g, axis, None, None, True)
    return np.subtract(g, part, part)


def _binary_cross_entropy_p(xp: Namespace, g: Array, p: Array, t: Array) -> Array:
    one, epsilon = _ONE[p.dtype], _EPSILON[p.dtype]
    below = one - p
    below += epsilon
    part = (one - t) / below
    part -= t / (p + epsilon)
    part *= g / part.size
    return part


def _negative_log_likelihood(xp: Namespace, g: Array, x_shape: Shape, labels: Array, axis: int) -> Array:
    part = np.zeros((*labels.shape, x_shape[axis]), g.dtype)
    part.reshape(labels.size, -1)[np.arange(labels.size), labels.ravel()] = g / -labels.size
    return part if axis == len(x_shape) - 1 else np.moveaxis(part, -1, axis)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "sum": sum,
    "mean": mean,
    "max": max,
    "min": min,
    "count_nonzero": count_nonzero,
    "where": where,
    "matmul": matmul,
    "matrix_transpose": operator.attrgetter("mT"),
}

PRIMITIVES: dict[str, Callable[..., Array]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "matmul": matmul,
    "matrix_transpose": operator.attrgetter("mT"),
    "sigmoid": sigmoid,
    "relu": relu,
    "log_softmax": log_softmax,
    "binary_cross_entropy": binary_cross_entropy,
    "negative_log_likelihood": negative_log_likelihood,
    "sum": lambda x, axis, keepdims, shape: _add(x, axis, None, None, keepdims),
    "mean": lambda x, axis, keepdims, shape, count: mean(x, axis=axis, keepdims=keepdims),
}

RULES: dict[str, dict[str, Callable[..., Array]]] = {
    "matmul": {"x1": _matmul_x1, "x2": _matmul_x2},
    "tanh": {"x": _tanh},
    "sigmoid": {"x": _sigmoid},
    "relu": {"x": _relu},
    "log_softmax": {"x": _log_softmax},
    "binary_cross_entropy": {"p": _binary_cross_entropy_p},
    "negative_log_likelihood": {"x": _negative_log_likelihood},
}
