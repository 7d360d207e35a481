"""Are the contestants equal, and what does a step of each cost, in time or memory? Knows neither libraries nor tables.

Every contestant does the same block of work in every round, in an order that is shuffled anew each round, so that
whatever disturbs the machine for a while disturbs all of them. What is compared later is the ratio within a round.
"""

import gc
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

Outcome = Mapping[str, np.ndarray]


class Contestant(ABC):
    """One library's way of doing a workload's problem."""

    traced: bool = True
    """Whether what it allocates is Python's or NumPy's, which tracemalloc sees."""

    @abstractmethod
    def reset(self) -> None:
        """Go back to where the problem starts. Not timed."""

    @abstractmethod
    def run(self, steps: int) -> None:
        """Do so many steps and wait until they are really done. This, and only this, is timed."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """What the last run computed, by name, as NumPy arrays. Not timed."""


class Disagreement(Exception):
    """Contestants that do not compute what the reference computes; there is no point in timing those."""


class Unavailable(Exception):
    """A contestant whose library is installed and still cannot take part here; the message says why, in a few words."""


def check(contestants: Mapping[str, Contestant], expected: Outcome, steps: int, tolerance: float) -> None:
    """Run every contestant once and raise Disagreement, naming all that are off by more than the relative tolerance."""
    faults = []
    for name, contestant in contestants.items():
        contestant.reset()
        contestant.run(steps)
        faults += [f"{name}: {fault}" for fault in differences(contestant.outcome(), expected, tolerance)]
    if faults:
        raise Disagreement(f"not the same computation as the reference after {steps} steps:\n  " + "\n  ".join(faults))


def differences(outcome: Outcome, expected: Outcome, tolerance: float) -> list[str]:
    """One sentence for each array that is missing, misshapen, or further off than tolerance times its largest entry."""
    found = []
    for name, right in expected.items():
        if name not in outcome:
            found.append(f"no {name} at all")
            continue
        value = np.asarray(outcome[name])
        if value.shape != right.shape:
            found.append(f"{name} has the shape {value.shape} instead of {right.shape}")
            continue
        error = np.abs(value - right).max() / np.abs(right).max()
        if not error <= tolerance:  # so that NaN is a difference
            found.append(f"{name} is off by {error:.1e}, relative; {tolerance:.0e} is allowed")
    return found


def interleave(
    contestants: Mapping[str, Contestant], steps: int, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, tuple[float, ...]]:
    """Seconds per step of every contestant, one figure a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    shuffle = random.Random(0)
    with _heap_set_aside():
        for _ in range(rounds):
            for name in shuffle.sample(list(contestants), len(contestants)):
                contestant = contestants[name]
                contestant.reset()
                gc.collect()  # nobody pays for the garbage of the one before
                start = clock()
                contestant.run(steps)
                seconds[name].append((clock() - start) / steps)
    return {name: tuple(figures) for name, figures in seconds.items()}


class Weighed(Contestant):
    """A contestant that also knows how much memory its last run took at the peak."""

    peak: float
    """In bytes."""


def weigh(contestants: Mapping[str, Weighed], steps: int, rounds: int) -> dict[str, tuple[float, ...]]:
    """Bytes at the peak of every contestant, one figure a round."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            contestant.reset()
            contestant.run(steps)
            figures[name].append(contestant.peak)
    return {name: tuple(peaks) for name, peaks in figures.items()}


@contextmanager
def _heap_set_aside() -> Iterator[None]:
    """Hide from the garbage collector what exists already.

    Collections are part of what a step costs, so they stay on. But they should cost what they would cost if each
    library were alone in the process, not what it costs to look through the modules of all the others.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
