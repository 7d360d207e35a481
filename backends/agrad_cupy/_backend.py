"""What agrad's Backend protocol asks for, in CuPy's terms. CuPy is imported where it is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from agrad._typing import Array, DType, Namespace
from agrad.backend import Backend, Body, Device

from . import _special
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
        return array.get()

    def asarray(self, value: Any, device: Device, dtype: DType | None, copy: bool | None) -> Array:
        """`value` as a cupy.ndarray on `device`."""
        import cupy

        with device.native:
            if isinstance(value, cupy.ndarray):
                return cupy.array(value, dtype=dtype, copy=copy)
            return cupy.array(value, dtype=dtype)

    def fast(self, device: Device) -> dict[str, Callable[..., Array]]:
        """CuPy's quickest way for some primitives."""
        from . import _fused

        return PRIMITIVES | _fused.PRIMITIVES

    def fast_backward(self, device: Device) -> dict[str, dict[str, Callable[..., Array]]]:
        """Rules as one kernel, or as a few."""
        from ._fused import RULES

        return RULES

    def executor(self, plan: Any, device: Device) -> Body | None:
        """Generated kernels, and memory kept between calls."""
        from ._executor import execute

        return execute(plan)

    def special(self, name: str) -> Callable[..., Array] | None:
        """CuPyX's special functions."""
        return _special.special(name)

    def generator(self, device: Device, seed: int | None) -> Any:
        """A cupy.random.Generator on `device`."""
        import cupy

        with device.native:
            return _Generator(cupy.random.default_rng(seed))

    def index_add(self, array: Array, index: Any, values: Array) -> Array:
        """A copy, added to."""
        result = array.copy()
        self.add_at(result, index, values)
        return result

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """`cupy.add.at` where an element can be named twice, else `+=`: both without waiting for the GPU."""
        import cupy

        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, cupy.ndarray) and part.dtype.kind in "iu" for part in parts):
            for target, source in _real_parts(array, values):
                cupy.add.at(target, index, source)
        else:
            array[index] += values

    def index_set(self, array: Array, index: Any, values: Array) -> Array:
        """A copy, written to."""
        result = array.copy()
        result[index] = values
        return result

    def owned(self, array: Array) -> Array:
        """`array` if it owns its memory, else a copy."""
        return array if array.base is None and array.flags.owndata else array.copy()


def _real_parts(target: Array, source: Array) -> list[tuple[Array, Array]]:
    """Views of real numbers, which atomic additions are made of: complex arrays are two of them."""
    if target.dtype.kind != "c":
        return [(target, source)]
    return [(target.real, source.real), (target.imag, source.imag)]


class _Generator:
    """A generator of CuPy with the few methods of NumPy's that agrad uses."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def random(self, shape: tuple[int, ...]) -> Array:
        return self._generator.random(shape)

    def standard_normal(self, shape: tuple[int, ...]) -> Array:
        return self._generator.standard_normal(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        return self._generator.integers(low, high, shape)

    def permutation(self, n: int) -> Array:
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
