"""Manipulation functions: they move elements, so every rule moves them back."""

from __future__ import annotations

from .._graph import Mask, Primitive
from .._typing import Array, Namespace


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _concat_part(xp: Namespace, g: Array, index: int, axis: int, sizes: tuple[int, ...]) -> Array:
    start = sum(sizes[:index])
    return g[(slice(None),) * axis + (slice(start, start + sizes[index]), ...)]


reshape = Primitive(
    "reshape",
    lambda xp, x, shape: xp.reshape(x, shape),
    mask=Mask.LINEAR,
    x=lambda xp, g, x_shape: xp.reshape(g, x_shape),
)
broadcast_to = Primitive(
    "broadcast_to", lambda xp, x, shape: xp.broadcast_to(x, shape), mask=Mask.LINEAR, x=lambda xp, g: g
)
permute_dims = Primitive(
    "permute_dims",
    lambda xp, x, axes: xp.permute_dims(x, axes),
    mask=Mask.LINEAR,
    x=lambda xp, g, axes: xp.permute_dims(g, _inverse(axes)),
)
matrix_transpose = Primitive(
    "matrix_transpose",
    lambda xp, x: xp.matrix_transpose(x),
    mask=Mask.LINEAR,
    x=lambda xp, g: xp.matrix_transpose(g),
)
flip = Primitive(
    "flip",
    lambda xp, x, axis: xp.flip(x, axis=axis),
    mask=Mask.LINEAR,
    x=lambda xp, g, axis: xp.flip(g, axis=axis),
)
roll = Primitive(
    "roll",
    lambda xp, x, shift, axis: xp.roll(x, shift, axis=axis),
    mask=Mask.LINEAR,
    x=lambda xp, g, shift, axis: xp.roll(
        g, tuple(-n for n in shift) if isinstance(shift, tuple) else -shift, axis=axis
    ),
)
concat = Primitive(
    "concat",
    lambda xp, arrays, axis, sizes: xp.concat(list(arrays), axis=axis),
    mask=Mask.LINEAR,
    variadic=True,
    arrays=_concat_part,
)
stack = Primitive(
    "stack",
    lambda xp, arrays, axis: xp.stack(list(arrays), axis=axis),
    mask=Mask.LINEAR,
    variadic=True,
    arrays=lambda xp, g, index, axis: g[(slice(None),) * axis + (index, ...)],
)
