"""Discrete Fourier transforms. Each is a symmetric matrix up to its scale, so the transpose of a transform is itself.

The lengths of the arguments are those of the transforms: cutting and padding are functions of their own.
"""

from __future__ import annotations

from .._graph import Mask, Primitive
from .._typing import Array, Namespace


def _irfft(xp: Namespace, g: Array, n: int, axis: int, norm: str) -> Array:
    """Each frequency stands for itself and its conjugate, but 0 and, for even n, n / 2, which are their own."""
    part = xp.fft.ihfft(g, axis=axis, norm=norm)
    middle = (slice(None),) * axis + (slice(1, (n + 1) // 2), ...)
    return xp.index_add(part, middle, part[middle])


fft = Primitive(
    "fft",
    lambda xp, x, axis, norm: xp.fft.fft(x, axis=axis, norm=norm),
    mask=Mask.STOP,
    x=lambda xp, g, axis, norm: xp.fft.fft(g, axis=axis, norm=norm),
)
ifft = Primitive(
    "ifft",
    lambda xp, x, axis, norm: xp.fft.ifft(x, axis=axis, norm=norm),
    mask=Mask.STOP,
    x=lambda xp, g, axis, norm: xp.fft.ifft(g, axis=axis, norm=norm),
)
fftn = Primitive(
    "fftn",
    lambda xp, x, axes, norm: xp.fft.fftn(x, axes=axes, norm=norm),
    mask=Mask.STOP,
    x=lambda xp, g, axes, norm: xp.fft.fftn(g, axes=axes, norm=norm),
)
ifftn = Primitive(
    "ifftn",
    lambda xp, x, axes, norm: xp.fft.ifftn(x, axes=axes, norm=norm),
    mask=Mask.STOP,
    x=lambda xp, g, axes, norm: xp.fft.ifftn(g, axes=axes, norm=norm),
)
rfft = Primitive(
    "rfft",
    lambda xp, x, n, axis, norm: xp.fft.rfft(x, axis=axis, norm=norm),
    mask=Mask.STOP,
    x=lambda xp, g, n, axis, norm: xp.fft.fft(g, n=n, axis=axis, norm=norm),
)
irfft = Primitive(
    "irfft", lambda xp, x, n, axis, norm: xp.fft.irfft(x, n=n, axis=axis, norm=norm), mask=Mask.STOP, x=_irfft
)
