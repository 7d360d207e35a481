"""Statistical functions.

`shape` is the shape of the result with the reduced axes kept as 1, `count` how many elements each result is made of
(less the correction, for var and std).
"""

from __future__ import annotations

from math import prod as product

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


def _before(xp: Namespace, x: Array) -> Array:
    """The product of all elements before each one, along the last axis."""
    return xp.cumulative_prod(x, axis=-1, include_initial=True)[..., :-1]


def _prod(xp: Namespace, g: Array, x: Array, axis: Axes, shape: Shape) -> Array:
    """The product of all the others: of those before times of those behind. Nothing is divided, so zeros are exact."""
    axes = tuple(range(x.ndim)) if axis is None else axis
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = xp.moveaxis(x, axes, last)
    flat = xp.reshape(moved, (*moved.shape[: x.ndim - len(axes)], product(x.shape[i] for i in axes)))
    others = _before(xp, flat) * xp.flip(_before(xp, xp.flip(flat, axis=-1)), axis=-1)
    return xp.reshape(g, shape) * xp.moveaxis(xp.reshape(others, moved.shape), last, axes)


def _recurrence(xp: Namespace, a: Array, b: Array) -> Array:
    """The s with s[i] = b[i] + a[i] s[i + 1], and s[n - 1] = b[n - 1], along the last axis, in log2 n steps.

    Each step doubles how far the sums reach: Kogge & Stone, "A parallel algorithm for the efficient solution of a
    general class of recurrence equations", 1973.
    """
    reach = 1
    while reach < a.shape[-1]:
        b = xp.concat([b[..., :-reach] + a[..., :-reach] * b[..., reach:], b[..., -reach:]], axis=-1)
        a = xp.concat([a[..., :-reach] * a[..., reach:], a[..., -reach:]], axis=-1)
        reach *= 2
    return b


def _without_initial(g: Array, axis: int, include_initial: bool) -> Array:
    return g[(slice(None),) * axis + (slice(1, None), ...)] if include_initial else g


def _cumulative_sum(xp: Namespace, g: Array, axis: int, include_initial: bool) -> Array:
    """The sums from the end."""
    g = _without_initial(g, axis, include_initial)
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _cumulative_prod(xp: Namespace, g: Array, x: Array, axis: int, include_initial: bool) -> Array:
    """x[0] … x[i - 1] times s[i], the sum of g[k] x[i + 1] … x[k] over k >= i. Nothing is divided: zeros are exact."""
    g = xp.moveaxis(_without_initial(g, axis, include_initial), axis, -1)
    x = xp.moveaxis(x, axis, -1)
    return xp.moveaxis(_before(xp, x) * _recurrence(xp, xp.roll(x, -1, axis=-1), g), -1, axis)


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
prod = Primitive(
    "prod",
    lambda xp, x, axis, keepdims, shape: xp.prod(x, axis=axis, keepdims=keepdims),
    mask=Mask.STOP,
    x=_prod,
)
cumulative_sum = Primitive(
    "cumulative_sum",
    lambda xp, x, axis, include_initial: xp.cumulative_sum(x, axis=axis, include_initial=include_initial),
    mask=Mask.LINEAR,
    x=_cumulative_sum,
)
cumulative_prod = Primitive(
    "cumulative_prod",
    lambda xp, x, axis, include_initial: xp.cumulative_prod(x, axis=axis, include_initial=include_initial),
    mask=Mask.STOP,
    x=_cumulative_prod,
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
