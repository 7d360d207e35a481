"""What agrad's Backend protocol asks for, in NumPy's terms."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

import numpy as np

from agrad._errors import DTypeError
from agrad._typing import Array, DType, Namespace
from agrad.backend import Backend, Body, Device

from . import _fast, _special


class _Library:
    """NumPy's namespace, with the fast reductions, completed by array-api-compat where this NumPy lacks a function."""

    def __init__(self) -> None:
        self.__dict__.update(_fast.FUNCTIONS)
        self.linalg = _LinearAlgebra()

    def __getattr__(self, name: str) -> Any:
        if hasattr(np, name) and name not in _NOT_THE_STANDARDS:
            value = getattr(np, name)
        else:
            import array_api_compat.numpy as compat

            value = getattr(compat, name)
        self.__dict__[name] = value
        return value


_NOT_THE_STANDARDS = ("argsort", "sort")
"""NumPy's functions whose signature is not the standard's."""

_CLIENTS = frozenset({"array_api_compat", "array_api_extra", "einops", "scipy", "skimage", "sklearn", "statsmodels"})
"""Libraries that make NumPy arrays of what they are given, and give results that a user takes for differentiable."""


class _LinearAlgebra:
    """NumPy's `linalg`, whose eigenvalues are real numbers where they happen to be: the standard's are complex."""

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(np.linalg, name)
        return value

    @staticmethod
    def eig(x: Array) -> tuple[Array, Array]:
        values, vectors = np.linalg.eig(x)
        return _complex(values), _complex(vectors)

    @staticmethod
    def eigvals(x: Array) -> Array:
        return _complex(np.linalg.eigvals(x))


def _complex(x: Array) -> Array:
    return x.astype(np.result_type(x, np.complex64), copy=False)


class NumpyBackend(Backend):
    """NumPy on the host."""

    kind = "cpu"
    arrays_from = "numpy"
    in_place = True

    def __init__(self) -> None:
        self._library = _Library()

    def unavailable(self) -> str | None:
        """NumPy is always there."""
        return None

    def library(self, native: Any) -> Namespace:
        """NumPy's namespace."""
        return self._library

    def devices(self) -> dict[str, Any]:
        """The one device."""
        return {"cpu": "cpu"}

    def device_name(self, array: Array) -> str:
        """Always "cpu"."""
        return "cpu"

    def to_numpy(self, array: Array) -> Any:
        """The array itself."""
        return np.asarray(array)

    def format(self, array: Array, prefix: str) -> str:
        """What numpy's repr of the array has between its parentheses, aligned to `prefix`."""
        text = np.array2string(array, separator=", ", prefix=prefix) if array.size else f"[], shape={array.shape}"
        implied = array.dtype in (np.dtype(float), np.dtype(complex), np.dtype(np.int64), np.dtype(bool))
        return text if implied and array.size else f"{text}, dtype={array.dtype}"

    def asarray(self, value: Any, device: Device, dtype: DType | None, copy: bool | None) -> Array:
        """`value` as a numpy.ndarray; arrays of other libraries on the host come by DLPack."""
        if not isinstance(value, np.ndarray | np.generic) and hasattr(value, "__dlpack__"):
            try:
                value = np.from_dlpack(value)
            except (TypeError, RuntimeError, BufferError, ValueError):
                value = np.asarray(value)
        try:
            array = np.array(value, dtype=dtype, copy=copy)
        except ValueError as error:
            if copy is False:
                raise ValueError(f"asarray: a copy is needed from {value!r:.80}") from None
            raise DTypeError(f"no array can be made of {value!r:.80}: {error}") from None
        if array.dtype.kind not in "biufc":
            raise DTypeError(
                f"dtype {array.dtype} of {value!r:.80} is not one of the standard's numeric or boolean dtypes"
            )
        return array

    def fast(self, device: Device) -> dict[str, Callable[..., Array]]:
        """NumPy's quickest way for some primitives."""
        return _fast.PRIMITIVES

    def fast_backward(self, device: Device) -> dict[str, dict[str, Callable[..., Array]]]:
        """Backward rules that compute in place."""
        return _fast.RULES

    def special(self, name: str) -> Callable[..., Array] | None:
        """SciPy's special functions, where it is installed."""
        return _special.special(name)

    fused = frozenset({"sigmoid"})

    def executor(self, plan: Any, device: Device) -> Body | None:
        """Ufuncs that write into memory kept between calls."""
        from ._blocks import execute

        return execute(plan, device)

    def generator(self, device: Device, seed: int | None) -> Any:
        """A numpy.random.Generator."""
        return np.random.default_rng(seed)

    def index_add(self, array: Array, index: Any, values: Array) -> Array:
        """A copy, added to."""
        result = np.array(array)
        self.add_at(result, index, values)
        return result

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """`np.add.at` where an element can be named twice, else `+=`."""
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in parts):
            np.add.at(array, index, values)
        else:
            array[index] += values

    def index_set(self, array: Array, index: Any, values: Array) -> Array:
        """A copy, written to."""
        result = np.array(array)
        result[index] = values
        return result

    def number(self, value: Any) -> Any:
        """NumPy's scalars are numbers: np.float64 is what float32 arrays are often multiplied by."""
        return value.item() if isinstance(value, np.generic) else None

    def owned(self, array: Array) -> Array:
        """`array` if it owns its memory and may be written to, else a copy."""
        if type(array) is np.ndarray and array.flags.owndata and array.flags.writeable:
            return array
        return np.array(array)

    def present(self, array: Array) -> Array:
        """NumPy's functions give scalars for 0-d results; users see arrays."""
        return np.asarray(array)

    def quiet(self) -> AbstractContextManager[Any]:
        """numpy.errstate with everything ignored."""
        return np.errstate(all="ignore")

    def asked_by_client(self, frame: FrameType | None) -> bool:
        """Whether one of the libraries that compute on NumPy arrays asks, through NumPy or not."""
        while frame is not None:
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package != "numpy":
                return package in _CLIENTS
            frame = frame.f_back
        return False

    def counterpart(self, function: Any) -> str | Callable[..., Any] | None:
        """What runs in the place of NumPy's functions, and NumPy's and SciPy's ufuncs, that are called on a Tensor."""
        from ._functions import counterpart_of

        return counterpart_of(function) or _special.counterpart(function)
