"""Which GPU a thread computes on: CUDA's current device, and a context that changes it.

CuPy allocates, launches and calls libraries on the current device, wherever its arguments are. It refuses what it
notices to be elsewhere, and computes some of the rest (`matmul`, `zeros_like`) on the wrong GPU.
"""

from __future__ import annotations

from functools import cache
from typing import Any


class Current:
    """A context in which the GPU of this number is the current one; entering it where it is costs one question."""

    __slots__ = ("_before", "_number")

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        self._before = before = _runtime().getDevice()
        if before != self._number:
            _runtime().setDevice(self._number)

    def __exit__(self, *_: object) -> None:
        if self._before != self._number:
            _runtime().setDevice(self._before)


@cache
def _runtime() -> Any:
    from cupy.cuda import runtime

    return runtime
