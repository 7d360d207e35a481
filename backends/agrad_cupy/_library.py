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
    """The namespace; its `linalg` is array-api-compat's, too, but for `pinv`."""

    def __init__(self) -> None:
        self.linalg = _LinearAlgebra()

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(compat, name)
        return value

    @staticmethod
    def sign(x: Array, /) -> Array:
        """NaN stays NaN, and of a complex number it is the direction: array-api-compat assigns these by masks."""
        if x.dtype.kind not in "fc":
            return cupy.sign(x)
        return _sign(x) if x.dtype.kind == "f" else _direction(x)


class _LinearAlgebra:
    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(compat.linalg, name)
        return value

    @staticmethod
    def pinv(x: Array, /, *, rtol: float | Array | None = None) -> Array:
        """The pseudo-inverse, of the singular values above `rtol` of the largest. CuPy's counts them on the host."""
        if rtol is None:
            rtol = max(x.shape[-2:]) * float(cupy.finfo(x.dtype).eps)
        u, s, vh = cupy.linalg.svd(x.conj(), full_matrices=False)
        if not s.size:
            return cupy.empty((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
        least = cupy.asarray(rtol)[..., None] * s.max(axis=-1, keepdims=True)
        large = s > least
        inverse = cupy.where(large, 1 / cupy.where(large, s, s.dtype.type(1)), s.dtype.type(0))
        return vh.swapaxes(-1, -2) @ (inverse[..., None] * u.swapaxes(-1, -2))


LIBRARY = Library()
