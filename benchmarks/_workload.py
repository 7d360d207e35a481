"""What a workload is made of, and the way from a workload to its report: make, check, measure."""

import pkgutil
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks._environment import Machine, is_installed, version_of
from benchmarks._measure import Contestant, Outcome, Unavailable, check, interleave
from benchmarks._report import Report, Row


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
        contestant: Contestant = pkgutil.resolve_name(self.contestant)(problem)
        return contestant


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
    `problems` makes one problem for every table from the command line's options, which `add_options` declares.
    """

    name: str
    title: str
    unit: str
    bases: tuple[str, ...]
    peers: tuple[Peer, ...]
    problems: Callable[[Namespace], Sequence[Problem]]
    rounds: int
    add_options: Callable[[ArgumentParser], None] = _no_options
    tolerance: float = 1e-8

    def chosen(self, names: Collection[str] | None) -> tuple[Peer, ...]:
        """The peers of these names and the bases; all of them if no names are given."""
        return tuple(peer for peer in self.peers if names is None or peer.name in names or peer.name in self.bases)

    def reports(self, options: Namespace, names: Collection[str] | None, rounds: int) -> Iterator[Report]:
        """Check and measure every problem in turn. Raises Disagreement before anything of that problem is timed."""
        for problem in self.problems(options):
            yield self.report(problem, self.chosen(names), rounds)

    def report(self, problem: Problem, peers: Sequence[Peer], rounds: int) -> Report:
        """Check the peers that are installed against what is expected, time them, and list the others as missing."""
        contestants: dict[str, Contestant] = {}
        absent: dict[str, str] = {}
        for peer in peers:
            try:
                if peer.is_installed():
                    contestants[peer.name] = peer.enter(problem)
                else:
                    absent[peer.name] = f"{', '.join(peer.missing())} not installed"
            except Unavailable as error:
                absent[peer.name] = str(error)
        check(contestants, problem.expected(), problem.steps, self.tolerance)
        seconds = interleave(contestants, problem.steps, rounds)
        return Report(
            workload=self.name,
            title=self.title,
            unit=self.unit,
            settings={**problem.settings(), f"{self.unit}s a round": problem.steps, "rounds": rounds},
            machine=Machine.here(),
            bases=self.bases,
            rows=tuple(
                Row(peer.name, peer.label, None, absence=absent[peer.name])
                if peer.name in absent
                else Row(peer.name, peer.label, version_of(peer.library), seconds[peer.name])
                for peer in peers
            ),
        )
