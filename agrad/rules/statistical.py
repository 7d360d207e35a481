"""Statistical functions.

`shape` is the shape of the result with the reduced axes kept as 1, `count` how many elements each result is made of
(less the correction, for var and std).
"""

from __future__ import annotations

from .._graph import Mask, Primitive
from .._typing import Array, Namespace, Shape

Axes = tuple[int, ...] | None


def _spread(xp: Namespace, g: Array, x_shape: Shape, shape: Shape) -> Array:
    return xp.broadcast_to(xp.reshape(g, shape), x_shape)


def _extremum(xp: Namespace, g: Array, x: Array, y: Array, axis: Axes, shape: Shape) -> Array:
    """All elements that are the extremum share equally."""
    hit = xp.astype(x == xp.reshape(y, shape), g.dtype)
    return hit * (xp.reshape(g, shape) / xp.sum(hit, axis=axis, keepdims=True))


def _deviation(xp: Namespace, x: Array, axis: Axes) -> Array:
    return x - xp.mean(x, axis=axis, keepdims=True)


def _std(xp: Namespace, g: Array, x: Array, y: Array, axis: Axes, shape: Shape, count: float) -> Array:
    """(x - mean) / (count std), and 0 where all elements are equal."""
    scale = xp.where(y == 0, xp.ones_like(y), y) * count
    return _deviation(xp, x, axis) * xp.reshape(xp.where(y == 0, xp.zeros_like(g), g / scale), shape)


sum = Primitive(
    "sum",
    lambda xp, x, axis, keepdims, shape: xp.sum(x, axis=axis, keepdims=keepdims),
    mask=Mask.LINEAR,
    x=lambda xp, g, x_shape, shape: _spread(xp, g, x_shape, shape),
)
mean = Primitive(
    "mean",
    lambda xp, x, axis, keepdims, shape, count: xp.mean(x, axis=axis, keepdims=keepdims),
    mask=Mask.LINEAR,
    x=lambda xp, g, x_shape, shape, count: _spread(xp, g / count, x_shape, shape),
)
max = Primitive(
    "max",
    lambda xp, x, axis, keepdims, shape: xp.max(x, axis=axis, keepdims=keepdims),
    mask=Mask.STOP,
    x=_extremum,
)
min = Primitive(
    "min",
    lambda xp, x, axis, keepdims, shape: xp.min(x, axis=axis, keepdims=keepdims),
    mask=Mask.STOP,
    x=_extremum,
)
var = Primitive(
    "var",
    lambda xp, x, axis, keepdims, shape, count, correction: xp.var(
        x, axis=axis, keepdims=keepdims, correction=correction
    ),
    mask=Mask.STOP,
    x=lambda xp, g, x, axis, shape, count: _deviation(xp, x, axis) * xp.reshape(g * 2 / count, shape),
)
std = Primitive(
    "std",
    lambda xp, x, axis, keepdims, shape, count, correction: xp.std(
        x, axis=axis, keepdims=keepdims, correction=correction
    ),
    mask=Mask.STOP,
    x=_std,
)
