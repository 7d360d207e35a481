"""The functions of neural networks, numerically safe: no overflow at ±1000, NaN stays NaN.

Each is one node instead of several, which is what a training step of a small network is made of.
"""

from __future__ import annotations

from math import prod

from .._graph import Mask, Primitive
from .._typing import Array, Namespace, Shape

EPSILON = 1e-16
"""What binary_cross_entropy adds to the argument of its logarithms."""


def _sigmoid(xp: Namespace, x: Array) -> Array:
    """1 / (1 + exp(-x)) for x >= 0 and exp(x) / (1 + exp(x)) for x < 0: no exponential overflows."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x < 0, e, xp.ones_like(e)) / (e + 1)


def _relu(xp: Namespace, x: Array) -> Array:
    return xp.where(x < 0, xp.zeros_like(x), x)


def _softplus(xp: Namespace, x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    return _relu(xp, x) + xp.log1p(xp.exp(-xp.abs(x)))


def _logsumexp(xp: Namespace, x: Array, axis: tuple[int, ...], keepdims: bool, shape: Shape) -> Array:
    """The maximum, plus the logarithm of what is left; an infinite maximum is the result itself."""
    top = xp.max(x, axis=axis, keepdims=True)
    infinite = xp.isinf(top)
    left = xp.sum(xp.exp(x - xp.where(infinite, xp.zeros_like(top), top)), axis=axis, keepdims=True)
    total = xp.log(xp.where(infinite, xp.ones_like(left), left)) + top
    return total if keepdims else xp.squeeze(total, axis=axis)


def _logsumexp_x(xp: Namespace, g: Array, x: Array, y: Array, shape: Shape) -> Array:
    top = xp.reshape(xp.where(y == -float("inf"), xp.zeros_like(y), y), shape)
    return xp.reshape(g, shape) * xp.exp(x - top)


def _softmax(xp: Namespace, x: Array, axis: int) -> Array:
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def _log_softmax(xp: Namespace, x: Array, axis: int) -> Array:
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def _is_label(xp: Namespace, like: Array, labels: Array, shape: Shape, axis: int) -> Array:
    """For each element of an array of this shape whether its place along `axis` is the label."""
    places = xp.arange(shape[axis], dtype=labels.dtype, device=like.device)
    return xp.equal(xp.expand_dims(labels, axis=axis), xp.reshape(places, (-1,) + (1,) * (len(shape) - axis - 1)))


def _likelihood(xp: Namespace, x: Array, labels: Array, axis: int) -> Array:
    right = _is_label(xp, x, labels, x.shape, axis)
    return -xp.sum(xp.where(right, x, xp.zeros_like(x))) / prod(labels.shape)


def _likelihood_x(xp: Namespace, g: Array, x_shape: Shape, labels: Array, axis: int) -> Array:
    share = -g / prod(labels.shape)
    return xp.where(_is_label(xp, g, labels, x_shape, axis), share, xp.zeros_like(share))


def _binary_cross_entropy(xp: Namespace, p: Array, t: Array) -> Array:
    return -xp.mean(t * xp.log(p + EPSILON) + (1 - t) * xp.log(1 - p + EPSILON))


def _binary_cross_entropy_p(xp: Namespace, g: Array, p: Array, t: Array) -> Array:
    return ((1 - t) / (1 - p + EPSILON) - t / (p + EPSILON)) * (g / prod(p.shape))


def _binary_cross_entropy_t(xp: Namespace, g: Array, p: Array) -> Array:
    return (xp.log(1 - p + EPSILON) - xp.log(p + EPSILON)) * (g / prod(p.shape))


sigmoid = Primitive("sigmoid", _sigmoid, x=lambda xp, g, y: g * (y * (1 - y)))
relu = Primitive("relu", _relu, x=lambda xp, g, y: xp.where(y <= 0, xp.zeros_like(g), g))
softplus = Primitive("softplus", _softplus, x=lambda xp, g, y: g * -xp.expm1(-y))
logsumexp = Primitive(
    "logsumexp",
    _logsumexp,
    mask=Mask.STOP,
    x=_logsumexp_x,
)
softmax = Primitive(
    "softmax",
    _softmax,
    mask=Mask.STOP,
    x=lambda xp, g, y, axis: y * (g - xp.sum(g * y, axis=axis, keepdims=True)),
)
log_softmax = Primitive(
    "log_softmax",
    _log_softmax,
    mask=Mask.STOP,
    x=lambda xp, g, y, axis: g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True),
)
negative_log_likelihood = Primitive("negative_log_likelihood", _likelihood, mask=Mask.STOP, x=_likelihood_x)
binary_cross_entropy = Primitive(
    "binary_cross_entropy",
    _binary_cross_entropy,
    mask=Mask.STOP,
    p=_binary_cross_entropy_p,
    t=_binary_cross_entropy_t,
)
