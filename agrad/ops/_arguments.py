"""What every public function does with its arguments before a primitive sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .. import _errors
from .._modes import default_device
from .._tensor import Tensor, wrap
from .._typing import Array
from ..backend import Device, Functions, backend_of, find_device

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """Register a function of the namespace, which every device's namespace then has."""
    Functions.registered[function.__name__] = function
    return function


def creating(function: F) -> F:
    """Register a function that creates arrays or gives dtypes: a device's namespace hands it its own device."""
    Functions.creating.add(function.__name__)
    return public(function)


def public_in(extension: str) -> Callable[[F], F]:
    """Register a function of one of the standard's extensions, as `public` does for the namespace itself."""

    def register(function: F) -> F:
        Functions.registered[f"{extension}.{function.__name__}"] = function
        return function

    return register


def tensor(x: Any, like: Tensor | None = None) -> Tensor:
    """`x` as a Tensor: arrays are wrapped, not copied; numbers go to the device, and take the dtype, of `like`."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, bool | int | float | complex):
        device = default_device() if like is None else like._device
        return wrap(device.asarray(x, None if like is None else like._value.dtype), device)
    backend = backend_of(x)
    if backend is None:
        raise _errors.DTypeError(f"an array, a Tensor or a number is needed, not {type(x).__name__} {x!r:.60}")
    number = backend.number(x)
    if number is not None:
        return tensor(number, like)
    return wrap(x, find_device(backend.device_name(x)))


def pair(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two operands of which at least one is a Tensor; numbers stay numbers, which take the other's dtype."""
    if not isinstance(x1, Tensor) and not is_number(x1):
        x1 = _operand(x1)
    if not isinstance(x2, Tensor) and not is_number(x2):
        x2 = _operand(x2)
    if is_number(x1) and is_number(x2):
        x1 = tensor(x1)
    return x1, x2


def _operand(x: Any) -> Any:
    """An array as a Tensor, a backend's scalar as a Python number."""
    backend = backend_of(x)
    number = None if backend is None else backend.number(x)
    return tensor(x) if number is None else number


def is_number(x: Any) -> bool:
    """Whether `x` is a Python number, whose dtype is that of what it meets."""
    return isinstance(x, bool | int | float | complex)


def same_device(function: str, tensors: Iterable[Tensor]) -> Device:
    """The one device of all `tensors`; the default device where there are none."""
    devices = [tensor._device for tensor in tensors]
    for device in devices:
        if device is not devices[0]:
            raise _errors.mixed_devices(function, devices[0], device)
    return devices[0] if devices else default_device()


def owning(x: Tensor) -> Tensor:
    """`x`, a handle that was just made, with a copy of its array."""
    x._value = x._device.xp.asarray(x._value, copy=True)
    return x


def raw(x: Any) -> Array:
    """The raw array of a Tensor; anything else as it is."""
    return x._value if isinstance(x, Tensor) else x
