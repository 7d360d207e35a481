"""Discrete Fourier transforms: the standard's extension `fft`.

`norm` says which direction divides by the number of elements: "backward" (the inverse does), "forward", or "ortho"
(each by its root). `n`, or `s` for several axes, are the lengths to which the input is cut or padded with zeros. Real
input of a complex transform is taken as complex.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._errors import DTypeError, ShapeError
from ._graph import Primitive
from ._modes import default_device
from ._shapes import normalize_axes, normalize_axis
from ._tensor import Tensor, cast, floating, unary
from .backend import Functions, dtype_name, find_device
from .ops._arguments import public_in, tensor
from .ops.creation import arange, zeros
from .ops.elementwise import conj
from .ops.manipulation import concat, roll
from .rules import fft as rules

public = public_in("fft")

_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _checked(function: str, x: Any, norm: str) -> Tensor:
    if norm not in _SWAPPED:
        raise ValueError(f"fft.{function}: norm is 'backward', 'ortho' or 'forward', not {norm!r}")
    return floating(tensor(x))


def _complex(x: Tensor) -> Tensor:
    if x._device.kind_of(x.dtype) == "complex":
        return x
    return cast(x, x._device.dtype("complex64" if dtype_name(x.dtype) == "float32" else "complex128"))


def _real(function: str, x: Tensor) -> Tensor:
    if x._device.kind_of(x.dtype) == "complex":
        raise DTypeError(f"fft.{function}: real numbers are needed, not {x.dtype}; fft.fft takes complex ones")
    return x


def _resized(function: str, x: Tensor, n: int, axis: int) -> Tensor:
    """`x` cut, or padded with zeros, to the length n along `axis`, which is not negative."""
    if n < 1:
        raise ShapeError(f"fft.{function}: a transform of {n} elements; one is the least")
    size = x.shape[axis]
    if n == size:
        return x
    if n < size:
        return x[(slice(None),) * axis + (slice(0, n), ...)]
    shape = (*x.shape[:axis], n - size, *x.shape[axis + 1 :])
    return concat([x, zeros(shape, dtype=x.dtype, device=x.device)], axis=axis)


def _along(primitive: Primitive, x: Any, n: int | None, axis: int, norm: str) -> Tensor:
    """A transform along one axis, of complex numbers."""
    name = primitive.name
    x = _complex(_checked(name, x, norm))
    place = normalize_axis(f"fft.{name}", axis, x.ndim)
    return unary(primitive, _resized(name, x, x.shape[place] if n is None else n, place), {"axis": place, "norm": norm})


def _lengths(
    function: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None
) -> tuple[tuple[int | None, ...], tuple[int, ...]]:
    """The length for each axis, None for the one it has, and the axes."""
    if axes is None and s is not None:
        axes = range(x.ndim - len(s), x.ndim)
    places = normalize_axes(f"fft.{function}", None if axes is None else tuple(axes), x.ndim)
    if s is not None and len(s) != len(places):
        raise ShapeError(f"fft.{function}: the lengths {tuple(s)} for the axes {places}: one is needed for each")
    return (None,) * len(places) if s is None else tuple(s), places


def _over(
    primitive: Primitive, function: str, x: Tensor, s: tuple[int | None, ...], axes: tuple[int, ...], norm: str
) -> Tensor:
    """A transform along several axes, of complex numbers."""
    x = _complex(x)
    for n, axis in zip(s, axes, strict=True):
        x = _resized(function, x, x.shape[axis] if n is None else n, axis)
    return unary(primitive, x, {"axes": axes, "norm": norm}) if axes else x


@public
def fft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The discrete Fourier transform along an axis.

    >>> import agrad as ag
    >>> ag.fft.fft(ag.Tensor([1.0, 2.0, 4.0, 0.0]))
    Tensor([ 7.+0.j, -3.-2.j,  3.+0.j, -3.+2.j])
    """
    return _along(rules.fft, x, n, axis, norm)


@public
def ifft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `fft`.

    >>> import agrad as ag
    >>> ag.real(ag.fft.ifft(ag.fft.fft(ag.Tensor([1.0, 2.0, 4.0, 0.0]))))
    Tensor([1., 2., 4., 0.])
    """
    return _along(rules.ifft, x, n, axis, norm)


@public
def fftn(
    x: Any, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """The discrete Fourier transform along several axes, all by default, or the last ones if only `s` is given.

    >>> import agrad as ag
    >>> ag.fft.fftn(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])
    """
    x = _checked("fftn", x, norm)
    return _over(rules.fftn, "fftn", x, *_lengths("fftn", x, s, axes), norm)


@public
def ifftn(
    x: Any, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """The inverse of `fftn`.

    >>> import agrad as ag
    >>> ag.real(ag.fft.ifftn(ag.fft.fftn(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]))))
    Tensor([[1., 2.],
            [3., 4.]])
    """
    x = _checked("ifftn", x, norm)
    return _over(rules.ifftn, "ifftn", x, *_lengths("ifftn", x, s, axes), norm)


def _rfft(function: str, x: Tensor, n: int | None, axis: int, norm: str) -> Tensor:
    x = _real(function, x)
    n = x.shape[axis] if n is None else n
    return unary(rules.rfft, _resized(function, x, n, axis), {"n": n, "axis": axis, "norm": norm})


def _irfft(function: str, x: Tensor, n: int | None, axis: int, norm: str) -> Tensor:
    n = 2 * (x.shape[axis] - 1) if n is None else n
    if n < 1:
        raise ShapeError(f"fft.{function}: a transform to {n} elements; one is the least: give n")
    return unary(rules.irfft, _resized(function, _complex(x), n // 2 + 1, axis), {"n": n, "axis": axis, "norm": norm})


@public
def rfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The transform of real numbers: the n // 2 + 1 frequencies of `fft` of which the others are the conjugates.

    >>> import agrad as ag
    >>> ag.fft.rfft(ag.Tensor([1.0, 2.0, 4.0, 0.0]))
    Tensor([ 7.+0.j, -3.-2.j,  3.+0.j])
    """
    x = _checked("rfft", x, norm)
    return _rfft("rfft", x, n, normalize_axis("fft.rfft", axis, x.ndim), norm)


@public
def irfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`: n real numbers, by default the even number that fits.

    >>> import agrad as ag
    >>> ag.fft.irfft(ag.fft.rfft(ag.Tensor([1.0, 2.0, 4.0, 0.0])))
    Tensor([1., 2., 4., 0.])
    """
    x = _checked("irfft", x, norm)
    return _irfft("irfft", x, n, normalize_axis("fft.irfft", axis, x.ndim), norm)


@public
def rfftn(
    x: Any, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """`rfft` along the last of `axes`, then `fftn` along the others.

    >>> import agrad as ag
    >>> ag.fft.rfftn(ag.Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).shape
    (2, 2)
    """
    x = _checked("rfftn", x, norm)
    lengths, places = _last("rfftn", x, s, axes)
    y = _rfft("rfftn", x, lengths[-1], places[-1], norm)
    return _over(rules.fftn, "rfftn", y, lengths[:-1], places[:-1], norm)


@public
def irfftn(
    x: Any, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """The inverse of `rfftn`.

    >>> import agrad as ag
    >>> ag.fft.irfftn(ag.fft.rfftn(ag.Tensor([[1.0, 2.0], [4.0, 5.0]])))
    Tensor([[1., 2.],
            [4., 5.]])
    """
    x = _checked("irfftn", x, norm)
    lengths, places = _last("irfftn", x, s, axes)
    y = _over(rules.ifftn, "irfftn", x, lengths[:-1], places[:-1], norm)
    return _irfft("irfftn", y, lengths[-1], places[-1], norm)


def _last(
    function: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None
) -> tuple[tuple[int | None, ...], tuple[int, ...]]:
    lengths, places = _lengths(function, x, s, axes)
    if not places:
        raise ShapeError(f"fft.{function}: at least one axis is needed")
    return lengths, places


@public
def hfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The transform of a signal whose second half is the conjugate of its first, which is given: n real numbers.

    >>> import agrad as ag
    >>> ag.fft.hfft(ag.Tensor([1.0, 2.0, 3.0]))
    Tensor([ 8., -2.,  0., -2.])
    """
    x = _checked("hfft", x, norm)
    return _irfft("hfft", conj(x), n, normalize_axis("fft.hfft", axis, x.ndim), _SWAPPED[norm])


@public
def ihfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `hfft`.

    >>> import agrad as ag
    >>> ag.real(ag.fft.ihfft(ag.Tensor([8.0, -2.0, 0.0, -2.0])))
    Tensor([1., 2., 3.])
    """
    x = _checked("ihfft", x, norm)
    return conj(_rfft("ihfft", x, n, normalize_axis("fft.ihfft", axis, x.ndim), _SWAPPED[norm]))


def _frequencies(function: str, first: int, last: int, n: int, d: float, dtype: Any, device: str | None) -> Tensor:
    if n < 1:
        raise ShapeError(f"fft.{function}: the frequencies of {n} elements; one is the least")
    where = default_device() if device is None else find_device(device)
    kind = where.dtype(dtype) or where.default_float()
    return arange(first, last, dtype=kind, device=where.name) * (1.0 / (n * d))


@public
def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of what `fft` gives for n samples at distances d.

    >>> import agrad as ag
    >>> ag.fft.fftfreq(4, d=0.5)
    Tensor([ 0. ,  0.5, -1. , -0.5])
    """
    return ifftshift(_frequencies("fftfreq", -(n // 2), (n + 1) // 2, n, d, dtype, device))


@public
def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of what `rfft` gives for n samples at distances d.

    >>> import agrad as ag
    >>> ag.fft.rfftfreq(4, d=0.5)
    Tensor([0. , 0.5, 1. ])
    """
    return _frequencies("rfftfreq", 0, n // 2 + 1, n, d, dtype, device)


Functions.creating.update({"fft.fftfreq", "fft.rfftfreq"})


@public
def fftshift(x: Any, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The frequency 0 moved to the middle, along all axes by default.

    >>> import agrad as ag
    >>> ag.fft.fftshift(ag.fft.fftfreq(5, d=0.2))
    Tensor([-2., -1.,  0.,  1.,  2.])
    """
    return _shifted("fftshift", x, axes, 1)


@public
def ifftshift(x: Any, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`: the frequency 0 moved from the middle to the beginning.

    >>> import agrad as ag
    >>> ag.fft.ifftshift(ag.Tensor([-2.0, -1.0, 0.0, 1.0, 2.0]))
    Tensor([ 0.,  1.,  2., -2., -1.])
    """
    return _shifted("ifftshift", x, axes, -1)


def _shifted(function: str, x: Any, axes: int | Sequence[int] | None, sign: int) -> Tensor:
    x = tensor(x)
    places = normalize_axes(f"fft.{function}", axes if axes is None or isinstance(axes, int) else tuple(axes), x.ndim)
    return roll(x, tuple(sign * (x.shape[i] // 2) for i in places), axis=places)
