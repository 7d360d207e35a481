"""The NumPy backend of agrad: device "cpu".

It runs on NumPy's own namespace, which speaks the standard since 2.1 and imports in half the time of a compatibility
layer; what this NumPy lacks comes, lazily, from array-api-compat.
"""

from __future__ import annotations

from agrad.backend import Backend

from ._backend import NumpyBackend

__all__ = ["backend"]


def backend() -> Backend:
    """The one backend of the device kind "cpu"."""
    return NumpyBackend()
