"""What contestants of the same workload share, whatever their library is."""

import os
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np

from benchmarks._measure import Contestant, Outcome, Unavailable
from benchmarks.workloads.imports import ImportProblem
from benchmarks.workloads.overhead import ChainProblem
from benchmarks.workloads.scalar import ScalarProblem

Node = Any  # a number or an array of some library that takes part in its graph


def card(device: str) -> int | None:
    """The number of the CUDA card that one of agrad's device names means; None if it is another kind of device."""
    kind, _, number = device.partition(":")
    return int(number or 0) if kind == "cuda" else None


class ScalarModel:
    """Section 13.5's ScalarNetwork. A subclass names the functions; the library's Model, mixed in, adds the update."""

    tanh: Callable[[Node], Node]
    sigmoid: Callable[[Node], Node]

    def __init__(self, a: list[list[Node]], b: list[Node]) -> None:
        self.A = a
        self.B = b

    def forward(self, x: Sequence[Node]) -> Node:
        """The prediction for one sample."""
        hidden = range(len(self.B))
        fs = [sum([self.A[i][j] * x[i] for i in range(2)]) for j in hidden]
        fs_tanh = [self.tanh(f) for f in fs]
        gs = sum([self.B[i] * fs_tanh[i] for i in hidden])
        return self.sigmoid(gs)

    def parameters(self) -> dict[str, Node]:
        """All weights by name."""
        a = {f"a{i}{j}": self.A[i][j] for i, j in product(range(2), range(len(self.B)))}
        b = {f"b{i}": weight for i, weight in enumerate(self.B)}
        return {**a, **b}


class ScalarTraining(Contestant):
    """Section 13.5's training step. A subclass names the library's node, model and loss, and how to read a node."""

    node: Callable[[float], Node]
    model: Callable[[list[list[Node]], list[Node]], Any]
    loss: Callable[[Sequence[Node], Sequence[Node]], Node]
    number: Callable[[Node], float]

    def __init__(self, problem: ScalarProblem) -> None:
        self.problem = problem

    def reset(self) -> None:
        """Make nodes of the data, as in the chapter, and of the initial weights."""
        self.xs, self.a = (
            [[self.node(v) for v in row] for row in m.tolist()] for m in (self.problem.xs, self.problem.a)
        )
        self.ys, self.b = ([self.node(v) for [v] in m.tolist()] for m in (self.problem.ys, self.problem.b))
        self.network = self.model(self.a, self.b)

    def run(self, steps: int) -> None:
        """Forward, loss, backward, update."""
        for _ in range(steps):
            predictions = [self.network(x) for x in self.xs]
            loss = self.loss(predictions, self.ys)
            loss.backward()
            self.network.gradient_update(self.problem.rate)
        self.last_loss = self.number(loss)

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return {
            "loss": np.asarray(self.last_loss),
            "A": np.array([[self.number(weight) for weight in row] for row in self.a]),
            "B": np.array([[self.number(weight)] for weight in self.b]),
        }


@contextmanager
def deep_recursion(depth: int = 1_000_000) -> Iterator[None]:
    """Let libraries that walk the graph recursively walk a deep one."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class Chain(Contestant):
    """The chain of additions. A subclass says how it is built, differentiated and read."""

    longest: int | None = None
    """With more nodes it takes too long to wait for; None if nothing does."""

    def __init__(self, problem: ChainProblem) -> None:
        if self.longest is not None and problem.steps > self.longest:
            raise Unavailable(f"left out beyond {self.longest:,}")
        self.problem = problem

    @abstractmethod
    def start(self) -> None:
        """Make the first node, and let go of the chain that there was."""

    @abstractmethod
    def forward(self, length: int) -> None:
        """Do so many additions."""

    @abstractmethod
    def backward(self) -> None:
        """Differentiate, with a cotangent of ones."""

    @abstractmethod
    def value(self) -> np.ndarray:
        """The last node's value."""

    @abstractmethod
    def gradient(self) -> np.ndarray:
        """The first node's gradient."""

    def reset(self) -> None:
        """Start again; where only the backward pass is timed, with the chain already built."""
        self.start()
        if self.problem.phase == "backward":
            self.forward(self.problem.steps)

    def run(self, steps: int) -> None:
        """The phases that are to be timed."""
        if self.problem.phase != "backward":
            self.forward(steps)
        if self.problem.phase != "forward":
            self.backward()

    def outcome(self) -> Outcome:
        """The value, and the gradient where there is one."""
        if self.problem.phase == "forward":
            return {"value": self.value()}
        return {"value": self.value(), "gradient": self.gradient()}


class Command(Contestant):
    """A line of Python that a fresh interpreter runs. A subclass says which."""

    code: str

    def __init__(self, problem: ImportProblem) -> None:
        # A source tree has to be cached as compiled, like what was installed; the run of the check does that.
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def reset(self) -> None:
        """Every interpreter starts from nothing anyway."""

    def run(self, steps: int) -> None:
        """Start interpreters, one after the other; one that fails raises CalledProcessError."""
        for _ in range(steps):
            subprocess.run([sys.executable, "-c", self.code], env=self.environment, check=True)

    def outcome(self) -> Outcome:
        """Nothing: it ran without an error."""
        return {}
