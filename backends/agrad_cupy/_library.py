"""CuPy's namespace as array-api-compat completes it, but for what would make the host wait without need."""

from __future__ import annotations

from typing import Any

import array_api_compat.cupy as compat
import cupy

from agrad._typing import Array


class Library:
    """The namespace; its `linalg` and `fft` are array-api-compat's, too."""

    def __init__(self) -> None:
        self.linalg = _LinearAlgebra()

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(compat, name)
        return value

    @staticmethod
    def sign(x: Array, /) -> Array:
        """-1, 0, 1, or NaN where x is; of complex numbers x / |x|. array-api-compat's looks for NaN and 0 by masks."""
        if x.dtype.kind == "c":
            size = cupy.abs(x)
            return x / cupy.where(size == 0, size.dtype.type(1), size)
        result = cupy.sign(x)
        return result if _SIGNS_NAN or x.dtype.kind != "f" else cupy.where(x == x, result, x)


_SIGNS_NAN = int(cupy.__version__.partition(".")[0]) >= 14
"""Whether the sign of NaN is NaN."""


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
