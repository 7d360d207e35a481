"""Indexing, searching, sorting and truth: what gives elements is differentiable, what gives indices is not."""

from __future__ import annotations

from typing import Any

from .. import _errors
from .._modes import default_device
from .._shapes import Axis, normalize_axis
from .._tensor import Tensor, binary, cast, floating, full_index, raw_index, unary, wrap
from ..rules import indexing as rules
from ._arguments import is_number, pair, public, raw, same_device, tensor
from .data_types import met, result_type
from .manipulation import broadcast_shapes


@public
def where(condition: Any, x1: Any, x2: Any, /) -> Tensor:
    """The elements of `x1` where `condition` is true, of `x2` elsewhere.

    No NaN or infinity of what was not taken reaches a gradient, whatever its derivative there is.

    >>> import agrad as ag
    >>> x = ag.Tensor([0.0, 2.0])
    >>> y = ag.where(x > 0, 1 / ag.where(x > 0, x, 1.0), 0.0)
    >>> y.sum().backward()
    >>> x.grad
    array([ 0.  , -0.25])
    """
    if not isinstance(condition, bool):
        condition = tensor(condition)
    x1, x2 = pair(x1, x2) if not is_number(x1) or not is_number(x2) else _numbers(condition, x1, x2)
    if isinstance(condition, bool):
        device = (x1 if isinstance(x1, Tensor) else x2)._device
        condition = tensor(device.asarray(condition))
    if not condition._device.xp.isdtype(condition.dtype, "bool"):
        raise _errors.DTypeError(f"where: the condition is of booleans, not of {condition.dtype}")
    same_device("where", [x for x in (condition, x1, x2) if isinstance(x, Tensor)])
    if isinstance(x1, Tensor) and isinstance(x2, Tensor):
        dtype = result_type(x1, x2)
        x1, x2 = cast(x1, dtype), cast(x2, dtype)
    elif isinstance(x1, Tensor):
        x1, x2 = met("where", x1, x2)
    else:
        x2, x1 = met("where", x2, x1)
    return binary(rules.where, x1, x2, {"condition": condition._value})


def _numbers(condition: Any, x1: Any, x2: Any) -> tuple[Tensor, Any]:
    """Two numbers of the kind that both have in common, one of them as a Tensor on the condition's device."""
    kind = type(x1) if type(x1) is type(x2) else type(x1 + x2)
    device = condition._device if isinstance(condition, Tensor) else default_device()
    return wrap(device.asarray(kind(x1), device.default_float() if kind is float else None), device), kind(x2)


@public
def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Tensor:
    """The elements at `indices` along `axis`, which may be left out for one dimension.

    >>> import agrad as ag
    >>> ag.take(ag.Tensor([1.0, 2.0, 3.0]), ag.asarray([2, 0]))
    Tensor([3., 1.])
    """
    x = tensor(x)
    if axis is None and x.ndim != 1:
        raise _errors.ShapeError(f"take: axis is needed for an array of {x.ndim} dimensions")
    place = normalize_axis("take", 0 if axis is None else axis, x.ndim)
    return unary(rules.take, x, {"indices": raw_index(indices, x._device), "axis": place})


@public
def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Tensor:
    """For each place in `indices`, the element of `x` there along `axis`; the other axes broadcast.

    >>> import agrad as ag
    >>> ag.take_along_axis(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]), ag.asarray([[1], [0]]), axis=1)
    Tensor([[2.],
            [3.]])
    """
    x, indices = tensor(x), tensor(indices)
    same_device("take_along_axis", [x, indices])
    place = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim != x.ndim:
        raise _errors.ShapeError(f"take_along_axis: indices of {indices.ndim} dimensions for an array of {x.ndim}")
    shape = broadcast_shapes(*[(*s[:place], 1, *s[place + 1 :]) for s in (x.shape, indices.shape)])
    x = x.broadcast_to((*shape[:place], x.shape[place], *shape[place + 1 :]))
    indices = indices.broadcast_to((*shape[:place], indices.shape[place], *shape[place + 1 :]))
    xp = x._device.xp
    grid = [
        xp.reshape(xp.arange(n, dtype=xp.int64, device=x._device.native), (1,) * i + (-1,) + (1,) * (x.ndim - 1 - i))
        for i, n in enumerate(x.shape)
    ]
    grid[place] = indices._value
    return unary(rules.getitem, x, {"index": tuple(grid)})


@public
def index_add(x: Any, index: Any, values: Any) -> Tensor:
    """A new array: `x` with `values` added at `index`, where an element may be named several times.

    >>> import agrad as ag
    >>> index_add(ag.zeros(3), ag.asarray([1, 1]), ag.Tensor([1.0, 2.0]))
    Tensor([0., 3., 0.])
    """
    x = tensor(x)
    return binary(rules.index_add, x, tensor(values, like=x), {"index": full_index(index, x)})


@public
def index_set(x: Any, index: Any, values: Any) -> Tensor:
    """A new array: `x` with `values` at `index`.

    >>> import agrad as ag
    >>> index_set(ag.zeros(3), slice(1, 3), ag.Tensor([1.0, 2.0]))
    Tensor([0., 1., 2.])
    """
    result = Tensor(tensor(x))
    result[index] = values
    return result


def _reduced(name: str, x: Any, **options: Any) -> Tensor:
    x = tensor(x)
    try:
        return wrap(getattr(x._device.xp, name)(x._value, **options), x._device)
    except Exception as error:
        raise _errors.diagnose(name, x._device, (x._value,), error) from error


@public
def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest element is, the first one of several.

    >>> import agrad as ag
    >>> ag.argmax(ag.Tensor([1.0, 5.0, 3.0]))
    Tensor(1)
    """
    return _reduced("argmax", x, axis=axis, keepdims=keepdims)


@public
def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest element is, the first one of several.

    >>> import agrad as ag
    >>> ag.argmin(ag.Tensor([4.0, 1.0, 3.0]))
    Tensor(1)
    """
    return _reduced("argmin", x, axis=axis, keepdims=keepdims)


@public
def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort along `axis`.

    >>> import agrad as ag
    >>> ag.argsort(ag.Tensor([4.0, 1.0, 3.0]))
    Tensor([1, 2, 0])
    """
    return _reduced("argsort", x, axis=axis, descending=descending, stable=stable)


@public
def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in ascending order along `axis`. Each takes its gradient back to where it came from.

    >>> import agrad as ag
    >>> ag.sort(ag.Tensor([4.0, 1.0, 3.0]))
    Tensor([1., 3., 4.])
    """
    x = tensor(x)
    place = normalize_axis("sort", axis, x.ndim)
    if x._node is None:
        return _reduced("sort", x, axis=place, descending=descending, stable=stable)
    indices = argsort(x, axis=place, descending=descending, stable=stable)
    return unary(rules.sort, x, {"indices": indices._value, "axis": place})


@public
def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Tensor:
    """Where the elements of `x2` belong in `x1`, which is sorted, or is put in order by the indices `sorter`.

    "left" is before equal elements, "right" behind them.

    >>> import agrad as ag
    >>> ag.searchsorted(ag.Tensor([1.0, 2.0, 4.0]), ag.Tensor([2.0, 3.0]))
    Tensor([1, 2])
    """
    x1 = tensor(x1)
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    if x1.ndim != 1:
        raise _errors.ShapeError(f"searchsorted: x1 has one dimension, not {x1.ndim}")
    if isinstance(x2, float):
        x1 = floating(x1)
    x2 = tensor(x2, like=x1)
    device = same_device("searchsorted", [x1, x2, *([sorter] if isinstance(sorter, Tensor) else [])])
    dtype = result_type(x1, x2)
    values = cast(x1, dtype)._value, cast(x2, dtype)._value
    try:
        return wrap(device.xp.searchsorted(*values, side=side, sorter=raw(sorter)), device)
    except Exception as error:
        raise _errors.diagnose("searchsorted", device, values, error) from error


@public
def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, an array for each axis.

    >>> import agrad as ag
    >>> ag.nonzero(ag.Tensor([0.0, 7.0]))
    (Tensor([1]),)
    """
    x = tensor(x)
    return tuple(wrap(indices, x._device) for indices in x._device.xp.nonzero(x._value))


@public
def count_nonzero(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not zero.

    >>> import agrad as ag
    >>> ag.count_nonzero(ag.Tensor([0.0, 7.0]))
    Tensor(1)
    """
    return _reduced("count_nonzero", x, axis=axis, keepdims=keepdims)


@public
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on is in `x`, or the sum of its `weights`; gradients flow to these.

    An addition to the standard, which other people's code looks for. `x` has one dimension and no negative elements,
    else OperandError; `weights` has the shape of `x`, else ShapeError.

    >>> import agrad as ag
    >>> ag.bincount(ag.asarray([0, 2, 2]))
    Tensor([1, 0, 2])
    >>> ag.bincount(ag.asarray([0, 2, 2]), ag.Tensor([0.5, 1.0, 2.0]))
    Tensor([0.5, 0. , 3. ])
    """
    x = tensor(x)
    xp, native = x._device.xp, x._device.native
    if x.ndim != 1 or not xp.isdtype(x.dtype, "integral") or (x.size and int(xp.min(x._value)) < 0):
        raise _errors.OperandError(f"bincount: x is a row of integers from 0 on, not {_errors.describe(x)} {x!r:.60}")
    places = xp.arange(max(minlength, int(xp.max(x._value)) + 1 if x.size else 0), device=native)
    if weights is None:
        return index_add(wrap(xp.zeros_like(places), x._device), x, xp.ones_like(x._value, dtype=places.dtype))
    values = floating(tensor(weights))
    same_device("bincount", [x, values])
    if values.shape != x.shape:
        raise _errors.ShapeError(f"bincount: weights of shape {values.shape} for x of shape {x.shape}")
    return index_add(wrap(xp.zeros_like(places, dtype=values.dtype), x._device), x, values)


@public
def all(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true.

    >>> import agrad as ag
    >>> ag.all(ag.asarray([True, False]))
    Tensor(False)
    """
    return _reduced("all", x, axis=axis, keepdims=keepdims)


@public
def any(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is true.

    >>> import agrad as ag
    >>> ag.any(ag.asarray([True, False]))
    Tensor(True)
    """
    return _reduced("any", x, axis=axis, keepdims=keepdims)
