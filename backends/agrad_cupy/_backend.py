"""What agrad's Backend protocol asks for, in CuPy's terms. CuPy is imported where it is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from math import copysign
from typing import Any

from agrad._errors import diagnose
from agrad._typing import Array, DType, Namespace
from agrad.backend import Backend, Device, Memory, find_device

from . import _special
from ._current import Current
from ._functions import PRIMITIVES

_INSTALL = "pip install 'agrad[cuda12]' or, for CUDA 13, pip install 'agrad[cuda13]'"


class CupyBackend(Backend):
    """CuPy on CUDA GPUs."""

    kind = "cuda"
    arrays_from = "cupy"
    asynchronous = True
    in_place = True

    def __init__(self) -> None:
        self._reason: str | None = ""

    def unavailable(self) -> str | None:
        """Whether CuPy is missing, or what the driver said."""
        if self._reason == "":
            self._reason = _why_not()
        return self._reason

    def library(self, native: Any) -> Namespace:
        """CuPy's namespace as array-api-compat completes it."""
        from ._library import LIBRARY

        return LIBRARY

    def devices(self) -> dict[str, Any]:
        """The GPUs by number; "cuda" is the first one."""
        import cupy

        return {f"cuda:{i}": cupy.cuda.Device(i) for i in range(cupy.cuda.runtime.getDeviceCount())}

    def device_name(self, array: Array) -> str:
        """The GPU that `array` is on."""
        return f"cuda:{array.device.id}"

    def to_numpy(self, array: Array) -> Any:
        """A copy on the host; waits for the GPU."""
        try:
            return array.get()
        except MemoryError as error:  # what is not contiguous is copied on the GPU first
            raise diagnose("numpy", find_device(self.device_name(array)), (array,), error) from error

    def current(self, native: Any) -> Callable[[], AbstractContextManager[Any]] | None:
        """Where there are several GPUs: CuPy computes on its current device alone, and so do the libraries of CUDA."""
        import cupy

        return partial(Current, native.id) if cupy.cuda.runtime.getDeviceCount() > 1 else None

    def synchronize(self, device: Device) -> None:
        """Wait for all streams of the GPU."""
        device.native.synchronize()

    def memory(self, device: Device) -> Memory:
        """What CuPy's default pool and the driver say."""
        import cupy

        with Current(device.native.id):
            pool = cupy.get_default_memory_pool()
            free, total = device.native.mem_info
            return Memory(pool.used_bytes(), pool.total_bytes(), pool.get_limit() or None, free, total)

    def limit_memory(self, device: Device, limit: int | None) -> None:
        """The limit of CuPy's default pool."""
        import cupy

        with Current(device.native.id):
            cupy.get_default_memory_pool().set_limit(size=limit or 0)

    def release_memory(self, device: Device) -> None:
        """Free the blocks of CuPy's default pool that no array uses, on all streams."""
        import cupy

        with Current(device.native.id):
            cupy.get_default_memory_pool().free_all_blocks()

    def asarray(self, value: Any, device: Device, dtype: DType | None, copy: bool | None) -> Array:
        """`value` as a cupy.ndarray on `device`; nothing waits.

        Host arrays go through pinned memory of CuPy's, which keeps it until the GPU has read it: so the host is free to
        write to what it gave as soon as this returns.
        """
        import cupy

        with Current(device.native.id):
            if isinstance(value, cupy.ndarray):
                if value.device.id != device.native.id:
                    return _from_peer(value, dtype)
                return cupy.array(value, dtype=dtype, copy=copy)
            if _is_negative_zero(value):
                return cupy.array([value], dtype=dtype).reshape(())  # CuPy fills with a zero of no sign
            return cupy.array(value, dtype=dtype)

    def fast(self, device: Device) -> dict[str, Callable[..., Array]]:
        """CuPy's quickest way for some primitives."""
        return PRIMITIVES

    def special(self, name: str) -> Callable[..., Array] | None:
        """CuPyX's special functions."""
        return _special.special(name)

    def generator(self, device: Device, seed: int | None) -> Any:
        """A cupy.random.Generator on `device`."""
        import cupy

        with Current(device.native.id):
            return _Generator(cupy.random.default_rng(seed), device.native.id)

    def index_add(self, array: Array, index: Any, values: Array) -> Array:
        """A copy, added to."""
        result = array.copy()
        self.add_at(result, index, values)
        return result

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """`cupy.add.at` where an element can be named twice, else `+=`: both without waiting for the GPU.

        So nobody looks whether there are as many values as elements in a mask.
        """
        import cupy

        parts = index if isinstance(index, tuple) else (index,)
        mask = _mask_of(array, index)
        if any(isinstance(part, cupy.ndarray) and part.dtype.kind in "iu" for part in parts):
            _scatter(array, index, values)
        elif mask is not None:
            if getattr(values, "size", 1):
                array += cupy.where(_over(array, mask), _spread(array, mask, values), array.dtype.type(0))
        else:
            array[index] += values

    def index_set(self, array: Array, index: Any, values: Array) -> Array:
        """A copy, written to."""
        result = array.copy()
        self.set_at(result, index, values)
        return result

    def set_at(self, array: Array, index: Any, values: Any) -> None:
        """Without waiting for the GPU, but where an array is written to the elements of a mask, which are counted."""
        import cupy

        mask = _mask_of(array, index)
        if isinstance(values, float | complex) and _is_negative_zero(values):
            values = cupy.array([values]).reshape(())  # CuPy fills with a zero of no sign
        if mask is not None and getattr(values, "ndim", 0) == 0:
            array[...] = cupy.where(_over(array, mask), values, array)
        else:
            array[index] = values

    def owned(self, array: Array) -> Array:
        """`array` if it owns its memory, else a copy."""
        if array.base is None and array.flags.owndata:
            return array
        with Current(array.device.id):
            return array.copy()


def _mask_of(array: Array, index: Any) -> Array | None:
    """The mask that an index of `array` is, alone or before `...`; None for all other indices."""
    import cupy

    parts = index if isinstance(index, tuple) else (index,)
    mask = parts[0] if len(parts) == 1 or (len(parts) == 2 and parts[1] is ...) else None
    is_mask = isinstance(mask, cupy.ndarray) and mask.dtype.kind == "b" and mask.shape == array.shape[: mask.ndim]
    return mask if is_mask else None


def _over(array: Array, mask: Array) -> Array:
    """A mask of the first axes with axes of length 1 for the others."""
    return mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))


def _spread(array: Array, mask: Array, values: Any) -> Any:
    """The values for the elements of a mask, in order, each where its element is; anything elsewhere."""
    if getattr(values, "ndim", 0) <= array.ndim - mask.ndim:
        return values  # one for all
    taken = values.take(mask.ravel().cumsum() - 1, axis=0)
    return taken.reshape(mask.shape + values.shape[1:])


def _scatter(target: Array, index: Any, source: Array) -> None:
    """Add to the elements of `target` that `index` names, as often as it names them, by atomic additions."""
    import cupy

    if target.dtype.kind in "iub" and target.dtype.itemsize < 4:  # for which CUDA has none
        wide = target.astype(cupy.int32)
        cupy.add.at(wide, index, source)
        target[...] = wide
        return
    for part, added in _real_parts(target, source):
        cupy.add.at(part, index, added)


def _real_parts(target: Array, source: Array) -> list[tuple[Array, Array]]:
    """Views of real numbers, which atomic additions are made of: complex arrays are two of them."""
    if target.dtype.kind != "c":
        return [(target, source)]
    return [(target.real, source.real), (target.imag, source.imag)]


def _from_peer(array: Array, dtype: DType | None) -> Array:
    """A copy of another GPU's array on the current one. The host waits for nothing; the streams wait for each other.

    Without the second wait, the other GPU's pool could hand out the memory of `array` while it is still read.
    """
    import cupy

    here = cupy.cuda.get_current_stream()
    with Current(array.device.id):
        there = cupy.cuda.get_current_stream()
        source = cupy.ascontiguousarray(array, dtype=dtype)
        written = there.record()
    here.wait_event(written)
    result = cupy.empty(source.shape, dtype=source.dtype)
    result.data.copy_from_device_async(source.data, source.nbytes, here)
    read = here.record()
    with Current(array.device.id):
        there.wait_event(read)
    return result


def _is_negative_zero(value: Any) -> bool:
    """Whether a number, or an array without axes, is a floating-point zero with a sign."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        is_number = isinstance(value, float | complex)
    else:
        is_number = getattr(value, "shape", None) == () and getattr(dtype, "kind", None) in ("f", "c")
    return is_number and value == 0 and any(copysign(1.0, part) < 0 for part in (value.real, value.imag))


class _Generator:
    """A generator of CuPy, drawing on its own GPU, with the few methods of NumPy's that agrad uses."""

    def __init__(self, generator: Any, number: int) -> None:
        self._generator = generator
        self._number = number

    def random(self, shape: tuple[int, ...]) -> Array:
        with Current(self._number):
            return self._generator.random(shape)

    def standard_normal(self, shape: tuple[int, ...]) -> Array:
        with Current(self._number):
            return self._generator.standard_normal(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        with Current(self._number):
            return self._generator.integers(low, high, shape)

    def permutation(self, n: int) -> Array:
        with Current(self._number):
            return self._generator.random(n).argsort()


@cache
def _why_not() -> str | None:
    try:
        import cupy
    except ImportError as error:
        if (getattr(error, "name", None) or "cupy").partition(".")[0] == "cupy":
            return f"CuPy is not installed: {_INSTALL}"
        return f"CuPy can't be imported: {error}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return f"CuPy {cupy.__version__} found no usable CUDA driver: {error}"
    return None if count else f"CuPy {cupy.__version__} found no CUDA device"
