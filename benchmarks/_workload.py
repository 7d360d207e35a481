"""What a workload is made of, and the way from a workload to its report: make, check, measure."""

import pkgutil
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from benchmarks._environment import Machine, is_installed, version_of
from benchmarks._measure import Contestant, Outcome, Unavailable, check, interleave, weigh
from benchmarks._memory import Allocated, Resident, weighed
from benchmarks._report import Quantity, Report, Row


class Problem(Protocol):
    """The data of a workload, the same for all peers, and what has to come out."""

    @property
    def steps(self) -> int:
        """The steps in a block: what is timed at a time, and after how many the outcomes are compared."""

    def expected(self) -> Outcome:
        """What every contestant must arrive at after these steps, computed without any of them."""

    def settings(self) -> Mapping[str, Any]:
        """What a reader has to know about the data, by name."""


@dataclass(frozen=True)
class Peer:
    """One row of a workload: its library, where its contestant is found ("package.module:Class"), what else it needs.

    The contestant's class is called with the problem. Its module imports the library, so it is itself imported only
    when it is about to run.
    """

    name: str
    label: str
    library: str
    contestant: str
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """The libraries that it needs and that are not installed."""
        return [library for library in (self.library, *self.needs) if not is_installed(library)]

    def is_installed(self) -> bool:
        """Whether all that it needs is there."""
        return not self.missing()

    def enter(self, problem: Problem) -> Contestant:
        """This peer's contestant, ready to run; raises Unavailable where its library cannot do the problem here."""
        return self.kind()(problem)

    def kind(self) -> Callable[[Problem], Contestant]:
        """The contestant's class."""
        kind: Callable[[Problem], Contestant] = pkgutil.resolve_name(self.contestant)
        return kind


@dataclass(frozen=True)
class Measure:
    """What is measured: how a peer enters, how figures are taken, one a round, and what they are in a table."""

    quantity: Quantity
    enter: Callable[[Peer, Problem], Contestant]
    take: Callable[[Mapping[str, Any], int, int], dict[str, tuple[float, ...]]]
    per_step: bool = False

    def figures(self, contestants: Mapping[str, Any], steps: int, rounds: int) -> dict[str, tuple[float, ...]]:
        """The figures of every contestant."""
        figures = self.take(contestants, steps, rounds)
        divisor = steps if self.per_step else 1
        return {name: tuple(figure / divisor for figure in taken) for name, taken in figures.items()}


def time_per(unit: str) -> Measure:
    """Microseconds per step, the contestants in turn in this process."""
    return Measure(Quantity(f"µs per {unit}", 1e6), Peer.enter, interleave)


ALLOCATED = Measure(Quantity("MB allocated", 1e-6), partial(weighed, scale=Allocated), weigh)
RESIDENT = Measure(Quantity("MB resident", 1e-6), partial(weighed, scale=Resident), weigh)


def positive(text: str) -> int:
    """An argparse type: a whole number that is at least 1."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{number} is not positive")
    return number


def add_device(parser: ArgumentParser) -> None:
    """Declare the option that says where the arrays live."""
    parser.add_argument(
        "--device",
        default="cpu",
        help="where agrad's arrays live; on CUDA the peers that see the card use it too (default: %(default)s)",
    )


def _no_options(parser: ArgumentParser) -> None:
    """The options of a workload that has none of its own."""


@dataclass(frozen=True)
class Workload:
    """A job that several peers can do, and how it is measured.

    `bases` are the peers that the others are divided by, so they are always measured when they are installed.
    `problems` makes one problem for every table from the command line's options, which `add_options` declares; where
    the tables differ in the setting called `sweep` alone, they are shown as one with a column for each of its values.
    `measure` says what is measured of a problem: time, unless a workload says otherwise.
    """

    name: str
    title: str
    unit: str
    bases: tuple[str, ...]
    peers: tuple[Peer, ...]
    problems: Callable[[Namespace], Sequence[Any]]
    rounds: int
    add_options: Callable[[ArgumentParser], None] = _no_options
    tolerance: float = 1e-8
    sweep: str = ""
    measure: Callable[[Any], Measure] | None = None

    def chosen(self, names: Collection[str] | None) -> tuple[Peer, ...]:
        """The peers of these names and the bases; all of them if no names are given."""
        return tuple(peer for peer in self.peers if names is None or peer.name in names or peer.name in self.bases)

    def reports(self, options: Namespace, names: Collection[str] | None, rounds: int) -> Iterator[Report]:
        """Check and measure every problem in turn. Raises Disagreement before anything of that problem is measured."""
        for problem in self.problems(options):
            yield self.report(problem, self.chosen(names), rounds)

    def report(self, problem: Problem, peers: Sequence[Peer], rounds: int) -> Report:
        """Check the peers that can take part against what is expected, measure them, and say of the others why not."""
        measure = self.measure(problem) if self.measure else time_per(self.unit)
        contestants: dict[str, Contestant] = {}
        absent: dict[str, str] = {}
        for peer in peers:
            try:
                if peer.is_installed():
                    contestants[peer.name] = measure.enter(peer, problem)
                else:
                    absent[peer.name] = f"{', '.join(peer.missing())} not installed"
            except Unavailable as error:
                absent[peer.name] = str(error)
        check(contestants, problem.expected(), problem.steps, self.tolerance)
        figures = measure.figures(contestants, problem.steps, rounds)
        return Report(
            workload=self.name,
            title=self.title,
            quantity=measure.quantity,
            settings={**problem.settings(), f"{self.unit}s a round": problem.steps, "rounds": rounds},
            machine=Machine.here(),
            bases=self.bases,
            rows=tuple(
                Row(peer.name, peer.label, version_of(peer.library), figures.get(peer.name, ()), absent.get(peer.name))
                if peer.is_installed()
                else Row(peer.name, peer.label, None, (), absent[peer.name])
                for peer in peers
            ),
            sweep=self.sweep,
        )
