"""The memory of devices that count it: how much arrays take, how much they may take, and giving back the rest.

On "cuda" that is CuPy's memory pool, which keeps what arrays no longer use for the next ones.
"""

from __future__ import annotations

import operator

from ._errors import DeviceError
from .backend import Device, Memory, find_device

__all__ = ["Memory", "info", "release", "set_limit"]


def info(device: str) -> Memory:
    """How much memory of a device is used, held, allowed and free, in bytes: see `Memory`.

    Raises DeviceError where nobody counts, as on "cpu".

    >>> import agrad as ag
    >>> ag.memory.info("cpu")
    Traceback (most recent call last):
        ...
    agrad.DeviceError: memory.info: nobody counts the memory of device 'cpu'; devices of kind "cuda" do
    """
    return _counted("info", device)[1]


def set_limit(limit: int | None, device: str) -> None:
    """Let the arrays on a device have no more than `limit` bytes from now on; None takes the limit away.

    What goes beyond raises OutOfMemoryError. The limit is that of CuPy's pool for all its arrays, agrad's or not.
    """
    where, _ = _counted("set_limit", device)
    if limit is not None:
        limit = operator.index(limit)
        if limit <= 0:
            raise ValueError(f"memory.set_limit: a limit is a positive number of bytes or None, not {limit}")
    where.backend.limit_memory(where, limit)


def release(device: str) -> None:
    """Give a device the memory that its array library holds and no array uses, for other programs to take.

    Nothing needs this to go on: arrays get what is held. It waits for the device.
    """
    where, _ = _counted("release", device)
    where.backend.release_memory(where)


def _counted(function: str, device: str) -> tuple[Device, Memory]:
    where = find_device(device)
    memory = where.backend.memory(where)
    if memory is None:
        raise DeviceError(
            f"memory.{function}: nobody counts the memory of device '{where}'; devices of kind \"cuda\" do"
        )
    return where, memory
