"""How much memory a chapter-style training loop takes at its peak: a deep perceptron in float32, each in a new process.

A graph keeps what its rules declare that they need, and nothing else. For this network that is little: a matrix
product needs its two operands, relu needs its result, which is the next product's operand, an addition needs nothing.
So the budget can be worked out by hand, in `budget`: the data, the parameters, their gradients, the result of each
relu, what the loss keeps, and one array to work with, as large as the largest.

Two tables: what Python and NumPy allocate at the peak, to the byte, which tracemalloc sees of all but PyTorch; and how
far the process grows, which can be asked of everybody and includes what a BLAS takes for itself. The compiled
step includes its recording, in the same loop.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks._measure import Outcome
from benchmarks._workload import ALLOCATED, RESIDENT, Peer, Workload, positive
from benchmarks.reference import deep_numpy

CLASSES = 10
MEASURES = {"allocated": ALLOCATED, "resident": RESIDENT}


@dataclass(frozen=True)
class MemoryProblem:
    """A network with hidden layers of equal width. All arrays are drawn anew when they are asked for, and not kept."""

    layers: int
    width: int
    batch: int
    measure: str = "allocated"
    rate: float = 0.1
    steps: int = 2

    def miniature(self) -> "MemoryProblem":
        """The same work on next to nothing."""
        return replace(self, width=16, batch=8)

    def x(self) -> np.ndarray:
        """The samples."""
        return np.random.default_rng(0).random((self.batch, self.width), dtype=np.float32)

    def labels(self) -> np.ndarray:
        """The right classes."""
        return np.random.default_rng(1).integers(0, CLASSES, self.batch)

    def shapes(self) -> list[tuple[int, int]]:
        """Of the matrices."""
        return [(self.width, self.width)] * (self.layers - 1) + [(self.width, CLASSES)]

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """A matrix, as He draws it for relu, and a bias of zeros for each layer."""
        generator = np.random.default_rng(2)
        pairs = []
        for rows, columns in self.shapes():
            matrix = generator.standard_normal((rows, columns), dtype=np.float32)
            matrix *= np.float32(np.sqrt(2 / rows))
            pairs.append((matrix, np.zeros(columns, np.float32)))
        return pairs

    def expected(self) -> Outcome:
        """The same training, by hand."""
        return _trained(replace(self, measure=""))

    def budget(self) -> int:
        """In bytes, what has to be there at the same time."""
        itemsize = np.dtype(np.float32).itemsize
        data = self.batch * self.width * itemsize + self.batch * np.dtype(np.int64).itemsize
        parameters = sum((rows + 1) * columns for rows, columns in self.shapes()) * itemsize
        saved = (self.layers - 1) * self.batch * self.width * itemsize + self.batch * CLASSES * itemsize
        working = max(self.batch, self.width) * self.width * itemsize
        return data + 2 * parameters + saved + working

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"layers": self.layers, "width": self.width, "batch": self.batch, "dtype": "float32"}


@lru_cache(maxsize=1)
def _trained(problem: MemoryProblem) -> Outcome:
    """What comes out by hand, which takes as long as a contestant and is asked for with every measure."""
    weights = problem.weights()
    loss = deep_numpy.train(problem.x(), problem.labels(), weights, problem.rate, problem.steps)
    return {"loss": np.asarray(loss), "first": weights[0][0], "last": weights[-1][0]}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--layers", type=positive, default=8, help="default: %(default)s")
    parser.add_argument("--width", type=positive, default=768, help="default: %(default)s")
    parser.add_argument("--batch", type=positive, default=1536, help="default: %(default)s")
    parser.add_argument(
        "--measure", choices=tuple(MEASURES), nargs="+", default=list(MEASURES), help="a table for each (default: all)"
    )


def _problems(options: Namespace) -> list[MemoryProblem]:
    return [MemoryProblem(options.layers, options.width, options.batch, measure) for measure in options.measure]


MEMORY = Workload(
    name="memory",
    title="the peak of a training loop of a deep perceptron",
    unit="step",
    bases=("budget",),
    peers=(
        Peer("budget", "budget, by hand", "agrad", "benchmarks.peers.budget:Memory"),
        Peer("numpy", "hand-written NumPy", "numpy", "benchmarks.peers.numpy:Memory"),
        Peer("agrad", "agrad eager", "agrad", "benchmarks.peers.agrad:Memory"),
        Peer("compiled", "agrad compiled", "agrad", "benchmarks.peers.agrad:CompiledMemory"),
        Peer("torch", "PyTorch eager", "torch", "benchmarks.peers.torch:Memory"),
    ),
    problems=_problems,
    rounds=1,
    add_options=_add_options,
    tolerance=1e-4,  # single precision
    measure=lambda problem: MEASURES[problem.measure],
)
