"""Inspection: what a device's namespace can do, has as defaults, and knows of dtypes and devices."""

from __future__ import annotations

from typing import Any

from .._modes import default_device
from ..backend import Device, find_device
from ._arguments import creating


class NamespaceInfo:
    """The inspection utilities of the standard for the namespace of one device."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def _of(self, device: str | None) -> tuple[Device, Any]:
        """A device, and its library's own inspection."""
        where = self._device if device is None else find_device(device)
        return where, where.xp.__array_namespace_info__()

    def capabilities(self) -> dict[str, Any]:
        """What the library can do of that which the standard leaves open.

        >>> import agrad as ag
        >>> ag.__array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return dict(self._of(None)[1].capabilities())

    def default_device(self) -> str:
        """Where the creation functions of this namespace put arrays.

        >>> import agrad as ag
        >>> ag.__array_namespace_info__().default_device()
        'cpu'
        """
        return self._device.name

    def devices(self) -> tuple[str, ...]:
        """The devices of this namespace's library; `agrad.devices()` says which others there are.

        >>> import agrad as ag
        >>> ag.__array_namespace_info__().devices()
        ('cpu',)
        """
        return tuple(self._device.backend.devices())

    def default_dtypes(self, *, device: str | None = None) -> dict[str, Any]:
        """The dtypes of what is created without one: "real floating", "complex floating", "integral", "indexing".

        >>> import agrad as ag
        >>> sorted(ag.__array_namespace_info__().default_dtypes())
        ['complex floating', 'indexing', 'integral', 'real floating']
        """
        where, info = self._of(device)
        return {**info.default_dtypes(device=where.native), "real floating": where.default_float()}

    def dtypes(self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None) -> dict[str, Any]:
        """The dtypes by name, all of them or those of a kind, as in `isdtype`.

        >>> import agrad as ag
        >>> ag.__array_namespace_info__().dtypes(kind="real floating")
        {'float32': dtype('float32'), 'float64': dtype('float64')}
        """
        where, info = self._of(device)
        return dict(info.dtypes(device=where.native, kind=kind))


@creating
def __array_namespace_info__(*, device: str | None = None) -> NamespaceInfo:
    """The inspection utilities of the standard; a device's namespace gives those of its own device.

    >>> import agrad as ag
    >>> xp = ag.Tensor([1.0], device="array_api_strict:device1").__array_namespace__()
    >>> xp.__array_namespace_info__().default_device()
    'array_api_strict:device1'
    """
    return NamespaceInfo(default_device() if device is None else find_device(device))
