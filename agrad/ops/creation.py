"""Creation functions. What they make is a constant unless `requires_grad=True` asks for a leaf.

Where a number is asked for, a 0-d Tensor will do, and gradients flow back to it. `device` is a name, as in "cuda:1";
without it arrays go to the default device, which `agrad.device` chooses, and the namespace of a device
(`x.__array_namespace__()`) has its own as the default.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from .._errors import ShapeError
from .._modes import default_device
from .._shapes import as_shape
from .._tensor import Tensor, binary, create, leaf, stacked, upload, wrap
from .._typing import Array
from ..backend import Device, device_of, find_device
from ..rules.indexing import where as where_rule
from ._arguments import creating, owning, public, tensor


def _finished(value: Array, device: Device, requires_grad: bool) -> Tensor:
    return leaf(value, device, True) if requires_grad else wrap(value, device)


@creating
def asarray(
    obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`obj`, an array, nested lists, a number or a Tensor, as a Tensor. Arrays may be aliased: `copy=True` forbids it.

    A Tensor stays in its graph. ValueError where `copy=False` is asked for and another dtype or device needs a copy.

    >>> import agrad as ag
    >>> ag.asarray([1, 2, 3])
    Tensor([1, 2, 3])
    """
    tracked = stacked(obj)
    if tracked is not None:
        same = device in (None, tracked.device) and (dtype is None or tracked._device.dtype(dtype) == tracked.dtype)
        if same and not copy and not requires_grad:
            return tracked
        if copy is False and not same:
            raise ValueError(f"asarray: a copy is needed from {tracked.dtype} on device '{tracked.device}'")
        result = Tensor(tracked, dtype=dtype, device=device, requires_grad=requires_grad or None)
        return owning(result) if copy and same else result
    origin = device_of(obj)
    where = find_device(device) if device is not None else origin or default_device()
    return _finished(upload(obj, where, dtype, copy), where, requires_grad)


def _create(
    name: str, args: tuple[Any, ...], dtype: Any, device: str | None, requires_grad: bool, floats: bool = True
) -> Tensor:
    where = _place(device)
    kind = where.dtype(dtype) or (where.default_float() if floats else None)
    return _finished(create(name, where, args, kind), where, requires_grad)


def _place(device: str | None) -> Device:
    return default_device() if device is None else find_device(device)


def _number(x: Any) -> Any:
    """A 0-d Tensor as a Python number; anything else as it is."""
    return x.item() if isinstance(x, Tensor) else x


def _floating_tensor(numbers: tuple[Any, ...]) -> Tensor | None:
    """The first of the numbers that is a floating-point or complex Tensor."""
    tensors = [x for x in numbers if isinstance(x, Tensor)]
    return next((x for x in tensors if x._device.kind_of(x.dtype) in ("real", "complex")), None)


@creating
def zeros(shape: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros.

    >>> import agrad as ag
    >>> ag.zeros(3)
    Tensor([0., 0., 0.])
    """
    return _create("zeros", (as_shape("zeros", shape),), dtype, device, requires_grad)


@creating
def ones(shape: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones.

    >>> import agrad as ag
    >>> ag.ones((2, 2), dtype="float32")
    Tensor([[1., 1.],
            [1., 1.]], dtype=float32)
    """
    return _create("ones", (as_shape("ones", shape),), dtype, device, requires_grad)


@creating
def empty(shape: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """An array whose elements are whatever was in the memory.

    >>> import agrad as ag
    >>> ag.empty((2, 3)).shape
    (2, 3)
    """
    return _create("empty", (as_shape("empty", shape),), dtype, device, requires_grad)


@creating
def full(
    shape: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """An array filled with one number, whose kind gives the default dtype.

    >>> import agrad as ag
    >>> ag.full(2, 7.0)
    Tensor([7., 7.])
    """
    if isinstance(fill_value, Tensor):
        filled = fill_value.broadcast_to(shape)
        return asarray(filled, dtype=dtype, device=device, requires_grad=requires_grad)
    floats = dtype is None and isinstance(fill_value, float)
    return _create("full", (as_shape("full", shape), fill_value), dtype, device, requires_grad, floats)


@creating
def arange(
    start: Any,
    /,
    stop: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from start (0 if only one bound is given) up to, and without, stop.

    >>> import agrad as ag
    >>> ag.arange(1, 8, 3)
    Tensor([1, 4, 7])
    """
    start, stop = (0, start) if stop is None else (start, stop)
    like = _floating_tensor((start, stop, step))
    if like is not None:
        count = max(0, ceil((_number(stop) - _number(start)) / _number(step)))
        ramp = start + step * arange(count, dtype=like.dtype, device=like.device)
        return asarray(ramp, dtype=dtype, device=device, requires_grad=requires_grad)
    start, stop, step = _number(start), _number(stop), _number(step)
    floats = dtype is None and any(isinstance(bound, float) for bound in (start, stop, step))
    return _create("arange", (start, stop, step), dtype, device, requires_grad, floats)


@creating
def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:
    """`num` numbers evenly spaced from start to stop.

    >>> import agrad as ag
    >>> ag.linspace(0, 1, 5)
    Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    start, stop = [asarray(x, device=device) if isinstance(x, complex) else x for x in (start, stop)]
    like = _floating_tensor((start, stop))
    if like is not None:
        share = linspace(0.0, 1.0, num, dtype=like.dtype, device=like.device, endpoint=endpoint)
        ramp = start * (1 - share) + stop * share
        return asarray(ramp, dtype=dtype, device=device, requires_grad=requires_grad)
    where = _place(device)
    kind = where.dtype(dtype) or where.default_float()
    value = create("linspace", where, (_number(start), _number(stop), num), kind, endpoint=endpoint)
    return _finished(value, where, requires_grad)


@creating
def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A matrix with ones on its k-th diagonal.

    >>> import agrad as ag
    >>> ag.eye(2)
    Tensor([[1., 0.],
            [0., 1.]])
    """
    where = _place(device)
    kind = where.dtype(dtype) or where.default_float()
    return _finished(create("eye", where, (n_rows, n_cols), kind, k=k), where, requires_grad)


def _create_like(
    name: str, x: Any, args: tuple[Any, ...], dtype: Any, device: str | None, requires_grad: bool
) -> Tensor:
    like = tensor(x)
    where = like._device if device is None else find_device(device)
    kind = where.dtype(like.dtype if dtype is None else dtype)
    return _finished(create(name, where, (like.shape, *args), kind), where, requires_grad)


@public
def zeros_like(x: Any, /, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and device of `x`.

    >>> import agrad as ag
    >>> ag.zeros_like(ag.Tensor([1.0, 2.0]))
    Tensor([0., 0.])
    """
    return _create_like("zeros", x, (), dtype, device, requires_grad)


@public
def ones_like(x: Any, /, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of `x`.

    >>> import agrad as ag
    >>> ag.ones_like(ag.Tensor([1.0, 2.0]))
    Tensor([1., 1.])
    """
    return _create_like("ones", x, (), dtype, device, requires_grad)


@public
def empty_like(x: Any, /, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """An uninitialised array of the shape, dtype and device of `x`.

    >>> import agrad as ag
    >>> ag.empty_like(ag.Tensor([1.0, 2.0])).shape
    (2,)
    """
    return _create_like("empty", x, (), dtype, device, requires_grad)


@public
def full_like(
    x: Any, /, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """An array filled with one number, of the shape, dtype and device of `x`.

    >>> import agrad as ag
    >>> ag.full_like(ag.Tensor([1.0, 2.0]), 7.0)
    Tensor([7., 7.])
    """
    if isinstance(fill_value, Tensor):
        like = tensor(x)
        where = like.device if device is None else device
        kind = like.dtype if dtype is None else dtype
        return full(like.shape, fill_value, dtype=kind, device=where, requires_grad=requires_grad)
    return _create_like("full", x, (fill_value,), dtype, device, requires_grad)


@creating
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """The array behind any object with DLPack support, as a constant; a Tensor stays in its graph.

    >>> import agrad as ag, numpy as np
    >>> ag.from_dlpack(np.arange(3))
    Tensor([0, 1, 2])
    """
    return asarray(x, device=device, copy=copy)


def _triangle(name: str, x: Any, k: int) -> Tensor:
    x = tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: matrices are needed, not an array of shape {x.shape}")
    xp = x._device.xp
    keep = getattr(xp, name)(xp.ones(x.shape[-2:], dtype=xp.int8, device=x._device.native), k=k)
    zero = wrap(xp.zeros((), dtype=x.dtype, device=x._device.native), x._device)
    return binary(where_rule, x, zero, {"condition": xp.astype(keep, xp.bool)})


@public
def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """The matrices of `x` with zeros above the k-th diagonal.

    >>> import agrad as ag
    >>> ag.tril(ag.ones((2, 2)))
    Tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle("tril", x, k)


@public
def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """The matrices of `x` with zeros below the k-th diagonal.

    >>> import agrad as ag
    >>> ag.triu(ag.ones((2, 2)))
    Tensor([[1., 1.],
            [0., 1.]])
    """
    return _triangle("triu", x, k)
