"""What a library costs per operation: a long chain of additions of three numbers, where arithmetic is next to nothing.

The base does the same additions on bare NumPy arrays, so what is above it is the price of the graph.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measure import Outcome
from benchmarks._workload import Peer, Workload, add_device, positive

PHASES = ("forward", "backward", "both")


@dataclass(frozen=True)
class ChainProblem:
    """y = x + x + ... + x, one addition a step, and its gradient; `phase` says which of the two is timed."""

    x: np.ndarray
    steps: int
    phase: str
    device: str = "cpu"

    def expected(self) -> Outcome:
        """Every addition adds one x."""
        outcome = {"value": (self.steps + 1) * self.x, "gradient": np.full_like(self.x, self.steps + 1)}
        if self.phase == "forward":
            del outcome["gradient"]
        return outcome

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"phase": self.phase, "elements": self.x.size, "device": self.device}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--length", type=positive, default=10_000, help="additions in the chain (default: %(default)s)")
    parser.add_argument(
        "--phase",
        choices=PHASES,
        nargs="+",
        default=list(PHASES),
        help="what is timed, a table for each (default: all)",
    )
    add_device(parser)


def _problems(options: Namespace) -> list[ChainProblem]:
    x = np.array([0.5, -1.25, 2.0])
    return [ChainProblem(x, options.length, phase, options.device) for phase in options.phase]


OVERHEAD = Workload(
    name="overhead",
    title="a node of a chain of additions of 3 elements",
    unit="node",
    bases=("numpy", "torch"),
    peers=(
        Peer("numpy", "bare NumPy", "numpy", "benchmarks.peers.numpy:Chain"),
        Peer("agrad", "agrad", "agrad", "benchmarks.peers.agrad:Chain"),
        Peer("torch", "PyTorch", "torch", "benchmarks.peers.torch:Chain"),
        Peer("mygrad", "MyGrad", "mygrad", "benchmarks.peers.mygrad:Chain"),
        Peer("autograd", "HIPS autograd", "autograd", "benchmarks.peers.autograd:Chain"),
    ),
    problems=_problems,
    rounds=9,
    add_options=_add_options,
)
