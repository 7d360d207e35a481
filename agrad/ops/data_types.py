"""Data types: casting, and questions about dtypes.

Dtypes are the backend's; any backend's dtype, or a name, is understood.
"""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor, cast
from ..backend import DTYPES, Device, backend_of, device_of, dtype_name, find_device
from ._arguments import public, raw, same_device, tensor


@public
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """`x` in another dtype. Gradients come back in the old one; cast to integers, the result is a constant.

    >>> import agrad as ag
    >>> ag.astype(ag.Tensor([1.5, 2.5]), "float32")
    Tensor([1.5, 2.5], dtype=float32)
    """
    x = tensor(x)
    if device is not None:
        x = x.to(device)
    return cast(x, x._device.dtype(dtype))


@public
def to_device(x: Any, device: str, /) -> Tensor:
    """`x` on another device, differentiable.

    >>> import agrad as ag
    >>> to_device(ag.Tensor([1.0]), "cpu").device
    'cpu'
    """
    return tensor(x).to(device)


def _device(arrays: tuple[Any, ...]) -> Device:
    tensors = [tensor(x) for x in arrays if isinstance(x, Tensor) or device_of(x) is not None]
    return same_device("result_type", tensors) if tensors else find_device("cpu")


def _known(device: Device, x: Any) -> Any:
    """An array or number as it is, a dtype of any backend as the device's."""
    if isinstance(x, Tensor | bool | int | float | complex) or backend_of(x) is not None:
        return raw(x)
    return device.dtype(x)


@public
def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype to which the standard promotes all arguments.

    >>> import agrad as ag
    >>> ag.result_type(ag.Tensor([1.0]), "float32")
    dtype('float64')
    """
    device = _device(arrays_and_dtypes)
    known = [_known(device, x) for x in arrays_and_dtypes]
    if len(known) == 1 and not hasattr(known[0], "shape"):
        return known[0]
    return device.xp.result_type(*known)


@public
def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether one dtype can be cast to another by the standard's promotion.

    >>> import agrad as ag
    >>> ag.can_cast("float32", "float64")
    True
    """
    device = _device((from_,))
    source = from_.dtype if isinstance(from_, Tensor) or backend_of(from_) is not None else from_
    return bool(device.xp.can_cast(device.dtype(source), device.dtype(to)))


@public
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: "bool", "integral", "real floating", "complex floating", "numeric".

    >>> import agrad as ag
    >>> ag.isdtype("float32", "real floating")
    True
    """
    device = find_device("cpu")
    kinds = kind if isinstance(kind, tuple) else (kind,)
    known = tuple(device.dtype(k) if dtype_name(k) in DTYPES and k != "bool" else k for k in kinds)
    return bool(device.xp.isdtype(device.dtype(dtype), known))


@public
def finfo(type: Any, /) -> Any:
    """The limits of a floating-point dtype: bits, eps, max, min, smallest_normal.

    >>> import agrad as ag
    >>> float(ag.finfo("float64").eps)
    2.220446049250313e-16
    """
    device = _device((type,))
    return device.xp.finfo(type.dtype if isinstance(type, Tensor) else device.dtype(type))


@public
def iinfo(type: Any, /) -> Any:
    """The limits of an integer dtype: bits, max, min.

    >>> import agrad as ag
    >>> int(ag.iinfo("int8").max)
    127
    """
    device = _device((type,))
    return device.xp.iinfo(type.dtype if isinstance(type, Tensor) else device.dtype(type))
