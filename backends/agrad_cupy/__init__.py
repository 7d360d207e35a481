"""The CuPy backend of agrad: devices "cuda:0", "cuda:1", … of one machine, through array-api-compat.

Importing this package imports no CuPy, and nothing touches the driver before a device is asked for.
"""

from __future__ import annotations

from agrad.backend import Backend

from ._backend import CupyBackend

__all__ = ["backend"]


def backend() -> Backend:
    """The one backend of the device kind "cuda"."""
    return CupyBackend()
