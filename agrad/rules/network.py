"""The functions of neural networks, numerically safe: no overflow at ±1000, NaN stays NaN.

Each is one node instead of several, which is what a training step of a small network is made of.
"""

from __future__ import annotations

import functools
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


# Numerators and denominators of Cody's rational approximations of erf and erfc, highest power first.
_ERF_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERFC_MIDDLE = (
    (
        *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1),
        *(2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3),
        1.23033935479799725e3,
    ),
    (
        *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3),
        *(3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
    ),
)
_ERFC_LARGE = (
    (
        *(1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1),
        *(1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    ),
    (
        *(1.0, 2.56852019228982242, 1.87295284992346725),
        *(5.27905102951428412e-1, 6.05183413124413191e-2, 2.33520497626869185e-3),
    ),
)


def _rational(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """A quotient of two polynomials in x, by Horner's scheme."""
    top, bottom = [functools.reduce(lambda total, c: total * x + c, p[1:], x * 0 + p[0]) for p in coefficients]
    return top / bottom


def _erf(xp: Namespace, x: Array) -> Array:
    """The error function: Cody, "Rational Chebyshev approximations for the error function", 1969."""
    a = xp.abs(x)
    ones = xp.ones_like(x)
    small = xp.where(a < 0.5, x, ones * 0)
    middle = xp.where((a >= 0.5) & (a <= 4), a, ones)
    large = xp.where(a > 4, xp.where(a < 30, a, ones * 30), ones * 4)
    inverse = 1 / (large * large)
    tail = (0.5641895835477563 - inverse * _rational(inverse, _ERFC_LARGE)) / large
    tail = xp.where(a > 4, tail * xp.exp(-large * large), _rational(middle, _ERFC_MIDDLE) * xp.exp(-middle * middle))
    return xp.where(
        xp.isnan(x), x, xp.where(a < 0.5, small * _rational(small * small, _ERF_SMALL), xp.sign(x) * (1 - tail))
    )


def _binary_cross_entropy(xp: Namespace, p: Array, t: Array) -> Array:
    return -xp.mean(t * xp.log(p + EPSILON) + (1 - t) * xp.log(1 - p + EPSILON))


def _binary_cross_entropy_p(xp: Namespace, g: Array, p: Array, t: Array) -> Array:
    return ((1 - t) / (1 - p + EPSILON) - t / (p + EPSILON)) * (g / prod(p.shape))


def _binary_cross_entropy_t(xp: Namespace, g: Array, p: Array) -> Array:
    return (xp.log(1 - p + EPSILON) - xp.log(p + EPSILON)) * (g / prod(p.shape))


sigmoid = Primitive("sigmoid", _sigmoid, x=lambda xp, g, y: g * (y * (1 - y)))
relu = Primitive("relu", _relu, x=lambda xp, g, y: xp.where(y <= 0, xp.zeros_like(g), g))
erf = Primitive("erf", _erf, x=lambda xp, g, x: g * (xp.exp(-(x * x)) * 1.1283791670955126))
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
binary_cross_entropy = Primitive(
    "binary_cross_entropy",
    _binary_cross_entropy,
    mask=Mask.STOP,
    p=_binary_cross_entropy_p,
    t=_binary_cross_entropy_t,
)
