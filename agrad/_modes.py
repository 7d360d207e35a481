"""The state of the context: is the graph recorded, is all of it kept, does a transform run, where are arrays made?

One context variable, so that threads and asynchronous tasks do not disturb each other; every context manager here
restores what it found, also when an exception passes through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

from .backend import Device, find_device

RECORDING, KEEPING, TRANSFORMING = 1, 2, 4
"""The bits of the mode: is the graph recorded, is all of it kept, does a transform run?"""
_DEVICE = 3
"""Above these bits stands the number of the default device, so that whoever compares modes compares it too."""

_mode = ContextVar("agrad.mode", default=RECORDING)

current_mode = _mode.get


def is_recording() -> bool:
    """Whether operations on tensors that take part record a graph."""
    return bool(current_mode() & RECORDING)


def is_keeping() -> bool:
    """Whether graphs keep all of their tensors."""
    return bool(current_mode() & KEEPING)


def is_transforming() -> bool:
    """Whether a function runs that a transform differentiates."""
    return bool(current_mode() & TRANSFORMING)


_chosen: list[Device | None] = [None]
"""The devices that were made the default one, by their numbers; 0 is "cpu"."""


def is_told() -> bool:
    """Whether the default device is another one than "cpu"."""
    return current_mode() >> _DEVICE != 0


def default_device() -> Device:
    """The device of arrays that are made of Python numbers, and not told where."""
    return _chosen[current_mode() >> _DEVICE] or find_device("cpu")


@contextmanager
def device(name: str) -> Iterator[None]:
    """Make a device the default one inside: what is created there goes to it unless told otherwise. Also a decorator.

    It counts for lists and numbers, creation functions, `agrad.random` and `agrad.datasets`. Arrays and tensors stay
    where they are. On a machine with several GPUs, "cuda:1" is CuPy's current device inside, too; operations on
    tensors need no such context.

    >>> import agrad as ag
    >>> with ag.device("array_api_strict:device1"):
    ...     x = ag.Tensor([1.0, 2.0]) + ag.ones(2)
    >>> x
    Tensor([2., 3.], device='array_api_strict:device1')
    """
    where = find_device(name)
    if where.name == "cpu":
        number = 0
    else:
        if where not in _chosen:
            _chosen.append(where)
        number = _chosen.index(where)
    token = _mode.set(current_mode() & (1 << _DEVICE) - 1 | number << _DEVICE)
    try:
        with nullcontext() if where.current is None else where.current():
            yield
    finally:
        _mode.reset(token)


@contextmanager
def _switched(*, on: int = 0, off: int = 0) -> Iterator[None]:
    token = _mode.set(current_mode() & ~off | on)
    try:
        yield
    finally:
        _mode.reset(token)


@contextmanager
def no_grad() -> Iterator[None]:
    """Record no graph inside: results are constants. Also a decorator.

    >>> import agrad as ag
    >>> w = ag.Tensor([1.0, 2.0])
    >>> with ag.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    with _switched(off=RECORDING):
        yield


@contextmanager
def enable_grad() -> Iterator[None]:
    """Record the graph inside, also within `no_grad()`. Also a decorator.

    >>> import agrad as ag
    >>> w = ag.Tensor([1.0, 2.0])
    >>> with ag.no_grad(), ag.enable_grad():
    ...     y = w * 2
    >>> y.requires_grad
    True
    """
    with _switched(on=RECORDING):
        yield


@contextmanager
def keep_graph() -> Iterator[None]:
    """Keep every intermediate tensor that is made inside, for drawing and teaching.

    Without it, a tensor that nobody holds is let go, and a graph costs only what its rules need. Inside, `z.prevs`
    can be followed from the result down to the leaves.

    >>> import agrad as ag
    >>> with ag.keep_graph():
    ...     z = ag.exp(ag.Tensor([0.0, 1.0]) * 2).sum()
    >>> z.prevs[0].prev.prevs[0].prev
    Tensor([0., 2.])
    """
    with _switched(on=KEEPING):
        yield


@contextmanager
def transforming() -> Iterator[None]:
    """Mark the run of a function that a transform differentiates; the graph is recorded inside."""
    with _switched(on=TRANSFORMING | RECORDING):
        yield


@contextmanager
def recomputing() -> Iterator[None]:
    """Run a checkpointed function again, in the backward pass."""
    with _switched(on=TRANSFORMING | RECORDING, off=KEEPING):
        yield
