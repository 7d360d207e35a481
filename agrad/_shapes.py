"""Arithmetic on shapes and axes. Plain integers and tuples: no array is touched here, but in `unbroadcast`."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from math import prod

from ._errors import AxisError, ShapeError
from ._typing import Array, Namespace, Shape

Axis = int | tuple[int, ...] | None


def as_shape(function: str, shape: int | Iterable[int]) -> Shape:
    """A shape given as one integer or a sequence of them."""
    try:
        sizes = tuple([operator.index(n) for n in shape]) if isinstance(shape, Iterable) else (operator.index(shape),)
    except TypeError:
        raise ShapeError(f"{function}: a shape is an integer or a tuple of integers, not {shape!r}") from None
    return sizes


def normalize_axis(function: str, axis: int, ndim: int) -> int:
    """`axis` as a number from 0 to ndim - 1."""
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"{function}: an axis is an integer, not {axis!r}") from None
    if not -ndim <= number < ndim:
        raise AxisError(f"{function}: axis {axis} is out of bounds for an array of {ndim} dimensions")
    return number % ndim


def normalize_axes(function: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` means: all of them for None; each at most once."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(normalize_axis(function, a, ndim) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{function}: axis {axis} names an axis twice")
    return axes


def keepdims_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """`shape` with 1 for the axes that a reduction sums over."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def resolve_reshape(function: str, size: int, shape: Shape) -> Shape:
    """`shape` with its one -1, if any, replaced by what `size` elements need."""
    if -1 not in shape and prod(shape) == size:
        return shape
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known and size % known == 0:
        return tuple(size // known if n == -1 else n for n in shape)
    if -1 in shape or known != size:
        raise ShapeError(f"{function}: {size} elements do not fit the shape {shape}")
    return shape


def unbroadcast(xp: Namespace, array: Array, shape: Shape) -> Array:
    """Sum `array` over the axes along which `shape` was broadcast to it."""
    extra = array.ndim - len(shape)
    if extra < 0:  # a value with axes of length 1 in front, as an assignment takes it
        return unbroadcast(xp, xp.reshape(array, (1,) * -extra + tuple(array.shape)), shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 and array.shape[extra + i] != 1)
    if axes:
        array = xp.sum(array, axis=axes)
    return array if array.shape == shape else xp.reshape(array, shape)
