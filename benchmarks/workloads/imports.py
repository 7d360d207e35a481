"""What it costs to start: a fresh interpreter that imports a library and makes its first array."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks._measure import Outcome
from benchmarks._workload import Peer, Workload


@dataclass(frozen=True)
class ImportProblem:
    """Nothing is computed, so there is nothing to compare: the interpreter has to exit without an error."""

    steps: int = 1

    def expected(self) -> Outcome:
        """Nothing."""
        return {}

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"each import": "in a new process"}


def _problems(options: Namespace) -> list[ImportProblem]:
    return [ImportProblem()]


IMPORT = Workload(
    name="import",
    title="a fresh interpreter that imports the library",
    unit="start",
    bases=("numpy",),
    peers=(
        Peer("numpy", "import numpy", "numpy", "benchmarks.peers.numpy:Import"),
        Peer("agrad", "import agrad; agrad.Tensor([1.0])", "agrad", "benchmarks.peers.agrad:Import"),
    ),
    problems=_problems,
    rounds=40,
)
