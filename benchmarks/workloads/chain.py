"""Deep graphs: the chain of `overhead` with a thousand to a million additions, forward and backward.

What a node costs should not depend on how many there are: no recursion that ends somewhere, nothing that grows faster
than the graph. Three tables: time; what Python and NumPy allocate at the peak, which tracemalloc sees of all but
PyTorch; and how far a fresh process grows, which can be asked of everybody, but means nothing for short chains.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks._measure import weigh
from benchmarks._memory import Allocated, Resident, weighed
from benchmarks._report import Quantity
from benchmarks._workload import Measure, Peer, Workload, add_device, positive, time_per
from benchmarks.workloads.overhead import ChainProblem

LENGTHS = [1_000, 10_000, 100_000, 1_000_000]
PROCESS = 100_000  # from here on, the graph is what a process grows by
MEASURES = {
    "time": time_per("node"),
    "allocated": Measure(
        Quantity("bytes allocated per node", 1), partial(weighed, scale=Allocated), weigh, per_step=True
    ),
    "resident": Measure(Quantity("bytes resident per node", 1), partial(weighed, scale=Resident), weigh, per_step=True),
}


@dataclass(frozen=True)
class DeepChainProblem(ChainProblem):
    """The chain, and what is measured of it."""

    measure: str = "time"

    def miniature(self) -> "DeepChainProblem":
        """The same with a few nodes."""
        return replace(self, steps=100)

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"elements": self.x.size, "device": self.device}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--length", type=positive, nargs="+", default=LENGTHS, help="additions, a column for each (default: 1e3 to 1e6)"
    )
    parser.add_argument(
        "--measure",
        choices=tuple(MEASURES),
        nargs="+",
        help="a table for each (default: all, elsewhere than on the CPU time); resident memory from 100,000 nodes on",
    )
    add_device(parser)


def _problems(options: Namespace) -> list[DeepChainProblem]:
    x = np.array([0.5, -1.25, 2.0])
    return [
        DeepChainProblem(x, length, "both", options.device, measure)
        for measure in options.measure or (MEASURES if options.device == "cpu" else ["time"])
        for length in options.length
        if measure != "resident" or length >= PROCESS
    ]


CHAIN = Workload(
    name="chain",
    title="a node of a chain of additions of 3 elements, forward and backward",
    unit="node",
    bases=("torch",),
    peers=(
        Peer("agrad", "agrad", "agrad", "benchmarks.peers.agrad:Chain"),
        Peer("torch", "PyTorch", "torch", "benchmarks.peers.torch:Chain"),
        Peer("mygrad", "MyGrad", "mygrad", "benchmarks.peers.mygrad:ShortChain"),
        Peer("autograd", "HIPS autograd", "autograd", "benchmarks.peers.autograd:ShortChain"),
    ),
    problems=_problems,
    rounds=3,
    add_options=_add_options,
    sweep="nodes a round",
    measure=lambda problem: MEASURES[problem.measure],
)
