"""CuPy's namespace as array-api-compat completes it, without the places where that waits for the GPU."""

from __future__ import annotations

from typing import Any

import array_api_compat.cupy as compat
import cupy

from agrad._typing import Array

_sign = cupy.ElementwiseKernel("T x", "T y", "y = x > T(0) ? T(1) : x < T(0) ? T(-1) : x - x", "agrad_sign")
_direction = cupy.ElementwiseKernel(
    "T x", "T y", "const auto size = abs(x); y = size == 0 ? T(0) : x / size", "agrad_direction"
)


class Library:
    """The namespace."""

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(compat, name)
        return value

    @staticmethod
    def sign(x: Array, /) -> Array:
        """NaN stays NaN, and of a complex number it is the direction: array-api-compat assigns these by masks."""
        if x.dtype.kind not in "fc":
            return cupy.sign(x)
        return _sign(x) if x.dtype.kind == "f" else _direction(x)


LIBRARY = Library()
