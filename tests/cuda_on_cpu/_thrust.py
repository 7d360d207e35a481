"""Stands in for Thrust, which CuPy links in as compiled GPU code: sorting, by NumPy.

The functions get addresses, as ``cupy.cuda.thrust`` does, and leave NaNs at the end, as CuPy has it.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def _view(address: int, dtype: npt.DTypeLike, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Device memory as a NumPy array; it is host memory after all."""
    dtype = np.dtype(dtype)
    buffer = (ctypes.c_char * (math.prod(shape) * dtype.itemsize)).from_address(address)
    return np.ndarray(tuple(shape), dtype, buffer=memoryview(buffer))


def install(count_call: Callable[[bytes], None]) -> None:
    """Replaces the functions of ``cupy.cuda.thrust``; each call of them calls `count_call` with its name."""
    from cupy.cuda import thrust

    def sort(dtype: npt.DTypeLike, data: int, keys: int, shape: Sequence[int]) -> None:
        count_call(b"thrust::sort")
        values = _view(data, dtype, shape)
        values[...] = np.sort(values, axis=-1)

    def argsort(dtype: npt.DTypeLike, indices: int, data: int, keys: int, shape: Sequence[int]) -> None:
        count_call(b"thrust::argsort")
        values = _view(data, dtype, shape)
        order = np.argsort(values, axis=-1, kind="stable")
        _view(indices, np.intp, shape)[...] = order
        values[...] = np.take_along_axis(values, order, -1)

    def lexsort(dtype: npt.DTypeLike, indices: int, keys: int, rows: int, columns: int) -> None:
        count_call(b"thrust::lexsort")
        _view(indices, np.intp, (columns,))[...] = np.lexsort(_view(keys, dtype, (rows, columns)))

    thrust.sort, thrust.argsort, thrust.lexsort = sort, argsort, lexsort
