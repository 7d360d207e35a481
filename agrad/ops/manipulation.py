"""Manipulation functions: the same elements in another shape or order. All are differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._errors import ShapeError, diagnose
from .._shapes import as_shape, normalize_axes, normalize_axis, resolve_reshape
from .._tensor import Tensor, cast, raw_index, unary, variadic
from .._typing import Shape
from ..rules import manipulation as rules
from ..rules.copying import identity
from ..rules.indexing import take
from ._arguments import owning, public, same_device, tensor
from .data_types import result_type


@public
def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The same elements in another shape, one length of which may be -1.

    With `copy=False`, OperandError where that takes a copy.

    >>> import agrad as ag
    >>> ag.reshape(ag.arange(4), (2, -1))
    Tensor([[0, 1],
            [2, 3]])
    """
    x = tensor(x)
    sizes = resolve_reshape("reshape", x.size, as_shape("reshape", shape))
    if copy is False:
        try:
            x._device.xp.reshape(x._value, sizes, copy=False)
        except Exception as error:
            raise diagnose("reshape", x._device, (x._value,), error) from error
    result = unary(rules.reshape, x, {"shape": sizes})
    return owning(result) if copy else result


@public
def broadcast_to(x: Any, /, shape: Any) -> Tensor:
    """`x` repeated along new axes and along those of length 1.

    >>> import agrad as ag
    >>> ag.broadcast_to(ag.Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]])
    """
    return tensor(x).broadcast_to(shape)


@public
def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape to which arrays of these shapes broadcast.

    >>> import agrad as ag
    >>> ag.broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    ndim = max((len(shape) for shape in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for i, n in enumerate(shape, ndim - len(shape)):
            if result[i] == 1:
                result[i] = n
            elif n not in (1, result[i]):
                raise ShapeError(f"broadcast_shapes: the shapes {', '.join(map(str, shapes))} do not fit each other")
    return tuple(result)


@public
def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    """All arrays broadcast to their common shape.

    >>> import agrad as ag
    >>> [x.shape for x in ag.broadcast_arrays(ag.zeros((3, 1)), ag.zeros(4))]
    [(3, 4), (3, 4)]
    """
    tensors = [tensor(x) for x in arrays]
    same_device("broadcast_arrays", tensors)
    shape = broadcast_shapes(*[x.shape for x in tensors])
    return tuple([x.broadcast_to(shape) for x in tensors])


@public
def permute_dims(x: Any, /, axes: Sequence[int]) -> Tensor:
    """The axes in another order: axis i of the result is axis axes[i] of `x`.

    >>> import agrad as ag
    >>> ag.permute_dims(ag.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = tensor(x)
    order = normalize_axes("permute_dims", tuple(axes), x.ndim)
    if len(order) != x.ndim:
        raise ShapeError(f"permute_dims: {x.ndim} axes are needed, not {tuple(axes)}")
    return unary(rules.permute_dims, x, {"axes": order})


@public
def moveaxis(x: Any, source: Any, destination: Any, /) -> Tensor:
    """The axes `source` moved to `destination`, the others kept in order.

    >>> import agrad as ag
    >>> ag.moveaxis(ag.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = tensor(x)
    moved = normalize_axes("moveaxis", source, x.ndim)
    targets = normalize_axes("moveaxis", destination, x.ndim)
    if len(moved) != len(targets):
        raise ShapeError(f"moveaxis: {len(moved)} axes can't move to {len(targets)} places")
    order = [axis for axis in range(x.ndim) if axis not in moved]
    for target, axis in sorted(zip(targets, moved, strict=True)):
        order.insert(target, axis)
    return permute_dims(x, order)


@public
def matrix_transpose(x: Any, /) -> Tensor:
    """The last two axes swapped.

    >>> import agrad as ag
    >>> ag.matrix_transpose(ag.zeros((2, 3, 4))).shape
    (2, 4, 3)
    """
    return tensor(x).mT


@public
def expand_dims(x: Any, /, axis: int | tuple[int, ...] = 0) -> Tensor:
    """New axes of length 1 where `axis` says that the result has them.

    >>> import agrad as ag
    >>> ag.expand_dims(ag.zeros(3), axis=-1).shape
    (3, 1)
    """
    given = tensor(x)
    ndim = given.ndim + (len(axis) if isinstance(axis, tuple) else 1)
    places = normalize_axes("expand_dims", axis, ndim)
    lengths = iter(given.shape)
    return given.reshape(tuple(1 if i in places else next(lengths) for i in range(ndim)))


@public
def squeeze(x: Any, /, axis: Any) -> Tensor:
    """Without the axes `axis`, each of which has length 1.

    >>> import agrad as ag
    >>> ag.squeeze(ag.zeros((3, 1)), axis=1).shape
    (3,)
    """
    given = tensor(x)
    axes = normalize_axes("squeeze", axis, given.ndim)
    if any(given.shape[i] != 1 for i in axes):
        raise ShapeError(f"squeeze: an axis of {axis} has not length 1 in the shape {given.shape}")
    return given.reshape(tuple(n for i, n in enumerate(given.shape) if i not in axes))


@public
def flip(x: Any, /, *, axis: Any = None) -> Tensor:
    """The elements in reverse order along `axis`, or along all axes.

    >>> import agrad as ag
    >>> ag.flip(ag.arange(3))
    Tensor([2, 1, 0])
    """
    x = tensor(x)
    return unary(rules.flip, x, {"axis": normalize_axes("flip", axis, x.ndim)})


@public
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Tensor:
    """The elements moved by `shift` places along `axis`, around the end; along the flattened array by default.

    >>> import agrad as ag
    >>> ag.roll(ag.arange(4), 1)
    Tensor([3, 0, 1, 2])
    """
    x = tensor(x)
    places = None if axis is None else normalize_axes("roll", axis, x.ndim)
    shifts = tuple(shift) if isinstance(shift, list | tuple) else shift
    if places is not None and not isinstance(shifts, tuple):
        shifts = (shifts,) * len(places)
    if isinstance(shifts, tuple) and len(shifts) != len(places or ()):
        raise ShapeError(f"roll: shifts {shift!r} for the axes {axis!r}: one is needed for each")
    if places == ():  # which libraries refuse
        return unary(identity, x)
    return unary(rules.roll, x, {"shift": shifts, "axis": places})


def promoted(function: str, arrays: Any) -> list[Tensor]:
    """`arrays` as Tensors of their common dtype; at least one, and all of one device."""
    tensors = [tensor(x) for x in arrays]
    if not tensors:
        raise ShapeError(f"{function}: at least one array is needed")
    same_device(function, tensors)
    dtype = result_type(*tensors)
    return [cast(x, dtype) for x in tensors]


@public
def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Tensor:
    """Arrays joined along an axis that they have; `axis=None` flattens them first.

    >>> import agrad as ag
    >>> ag.concat([ag.zeros(1), ag.ones(2)])
    Tensor([0., 1., 1.])
    """
    tensors = promoted("concat", arrays)
    if axis is None:
        tensors, axis = [x.reshape(-1) for x in tensors], 0
    place = normalize_axis("concat", axis, tensors[0].ndim)
    for x in tensors:
        if x.ndim != tensors[0].ndim:
            raise ShapeError(f"concat: arrays of {tensors[0].ndim} and of {x.ndim} dimensions can't be joined")
    return variadic(rules.concat, tensors, {"axis": place, "sizes": tuple(x.shape[place] for x in tensors)})


@public
def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Tensor:
    """Arrays of one shape joined along a new axis.

    >>> import agrad as ag
    >>> ag.stack([ag.zeros(2), ag.ones(2)])
    Tensor([[0., 0.],
            [1., 1.]])
    """
    tensors = promoted("stack", arrays)
    return variadic(rules.stack, tensors, {"axis": normalize_axis("stack", axis, tensors[0].ndim + 1)})


@public
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The arrays of which `x` is made along `axis`.

    >>> import agrad as ag
    >>> ag.unstack(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    (Tensor([1., 3.]), Tensor([2., 4.]))
    """
    x = tensor(x)
    place = normalize_axis("unstack", axis, x.ndim)
    return tuple(x[(slice(None),) * place + (i,)] for i in range(x.shape[place]))


@public
def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Each element `repeats` times, along `axis` or of the flattened array; an array says how often for each.

    >>> import agrad as ag
    >>> ag.repeat(ag.arange(2), 2)
    Tensor([0, 0, 1, 1])
    """
    x = tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    place = normalize_axis("repeat", axis, x.ndim)
    repeats = raw_index(repeats, x._device)
    if not isinstance(repeats, int):
        xp = x._device.xp
        try:
            indices = xp.repeat(xp.arange(x.shape[place], device=x._device.native), repeats)
        except Exception as error:
            raise diagnose("repeat", x._device, (x._value, repeats), error) from error
        return unary(take, x, {"indices": indices, "axis": place})
    spread = expand_dims(x, axis=place + 1).broadcast_to((*x.shape[: place + 1], repeats, *x.shape[place + 1 :]))
    return spread.reshape((*x.shape[:place], x.shape[place] * repeats, *x.shape[place + 1 :]))


@public
def tile(x: Any, repetitions: Sequence[int], /) -> Tensor:
    """The whole array repeated along each axis.

    >>> import agrad as ag
    >>> ag.tile(ag.arange(2), (3,))
    Tensor([0, 1, 0, 1, 0, 1])
    """
    given = tensor(x)
    counts = (1,) * (given.ndim - len(repetitions)) + tuple(repetitions)
    shape = (1,) * (len(counts) - given.ndim) + given.shape
    spread = given.reshape(tuple(part for n in shape for part in (1, n)))
    spread = spread.broadcast_to(tuple(part for k, n in zip(counts, shape, strict=True) for part in (k, n)))
    return spread.reshape(tuple(k * n for k, n in zip(counts, shape, strict=True)))


@public
def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinate matrices of one-dimensional arrays: "xy" for plots, "ij" for matrices.

    >>> import agrad as ag
    >>> ag.meshgrid(ag.arange(2), ag.arange(2))[0]
    Tensor([[0, 1],
            [0, 1]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    tensors = [tensor(x) for x in arrays]
    same_device("meshgrid", tensors)
    n = len(tensors)
    grids = broadcast_arrays(*[x.reshape((1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(tensors)])
    if indexing == "ij" or n < 2:
        return grids
    return tuple([permute_dims(grid, (1, 0, *range(2, n))) for grid in grids])
