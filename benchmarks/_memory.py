"""How much memory a contestant takes: it runs in a fresh process, which nobody else has allocated anything in.

The parent writes down who runs what, the child runs it and writes down the peak and what came out. Before the child
looks at its memory it does the same work in miniature, so that libraries that are imported, threads that are started
and whatever else happens once do not count. From then on everything counts that is there while the contestant runs,
the problem's data too; what is gone again before it runs does not.
"""

import gc
import os
import pickle
import subprocess
import sys
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._measure import Outcome, Unavailable, Weighed

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")

# The C library returns large arrays to the system as soon as they are freed, instead of learning not to.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "131072"}


class _Scale(ABC):
    """A way of weighing what is done inside a `with` block; `peak` says in bytes how much more there was at a time."""

    peak: int

    @abstractmethod
    def __enter__(self) -> "_Scale": ...

    @abstractmethod
    def forget(self) -> None:
        """Let the peak be what is there now."""

    @abstractmethod
    def __exit__(self, *exception: object) -> None: ...


class Allocated(_Scale):
    """What Python and NumPy allocate, to the byte, as tracemalloc sees it."""

    def __enter__(self) -> "Allocated":
        tracemalloc.start()
        return self

    def forget(self) -> None:
        """Let the peak be what is allocated now."""
        tracemalloc.reset_peak()

    def __exit__(self, *exception: object) -> None:
        _, self.peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()


class Resident(_Scale):
    """How far the process grows, whoever it is that allocates, as the system sees it."""

    def __enter__(self) -> "Resident":
        self.forget()
        self._before = _peak_resident()
        return self

    def forget(self) -> None:
        """Let the peak be what is resident now."""
        CLEAR_REFS.write_text("5")

    def __exit__(self, *exception: object) -> None:
        self.peak = _peak_resident() - self._before


def _peak_resident() -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{STATUS} has no VmHWM")


def weighed(peer: Any, problem: Any, scale: Callable[[], _Scale]) -> Weighed:
    """The peer's contestant in a child process, on a scale; itself, if it knows its weight."""
    kind = peer.kind()
    knows = isinstance(kind, type) and issubclass(kind, Weighed)
    return kind(problem) if knows else Elsewhere(peer, problem, scale)


class Elsewhere(Weighed):
    """A contestant that does everything in a child process, every run in a new one."""

    def __init__(self, peer: Any, problem: Any, scale: Callable[[], _Scale]) -> None:
        if scale is Allocated and not peer.kind().traced:
            raise Unavailable("not seen by tracemalloc")
        if scale is Resident and not os.access(CLEAR_REFS, os.W_OK):
            raise Unavailable("measured on Linux only")
        peer.enter(problem)  # raises Unavailable here rather than in the child
        self.order = pickle.dumps((peer, problem, scale))

    def reset(self) -> None:
        """Every child starts from nothing anyway."""

    def run(self, steps: int) -> None:
        """Start the child and wait for it; one that fails raises CalledProcessError."""
        with TemporaryDirectory() as folder:
            order, answer = Path(folder, "order"), Path(folder, "answer")
            order.write_bytes(self.order)
            path = os.pathsep.join(filter(None, sys.path))
            command = [sys.executable, "-m", __name__, str(order), str(answer), str(steps)]
            subprocess.run(command, env={**os.environ, **MALLOC, "PYTHONPATH": path}, check=True)
            self.peak, self.result = pickle.loads(answer.read_bytes())

    def outcome(self) -> Outcome:
        """What the child computed."""
        result: Outcome = self.result
        return result


def _child(order: str, answer: str, steps: str) -> None:
    peer, problem, scale = pickle.loads(Path(order).read_bytes())
    small = problem.miniature()
    rehearsal = peer.enter(small)
    rehearsal.reset()
    rehearsal.run(small.steps)
    del rehearsal
    gc.collect()
    with scale() as weighed:
        contestant = peer.enter(problem)
        contestant.reset()
        weighed.forget()
        contestant.run(int(steps))
    Path(answer).write_bytes(pickle.dumps((weighed.peak, contestant.outcome())))


if __name__ == "__main__":
    _child(*sys.argv[1:])
