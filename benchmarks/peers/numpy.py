"""NumPy with the gradients worked out by hand: what the others are divided by."""

import numpy as np

from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.reference import spiral_numpy
from benchmarks.workloads.spiral import SpiralProblem


class Spiral(Contestant):
    """The frozen reference."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem

    def reset(self) -> None:
        """Take copies of the weights, since `train` writes to them."""
        self.weights = self.problem.fresh_weights()

    def run(self, steps: int) -> None:
        """Train."""
        self.loss = spiral_numpy.train(self.problem.xs, self.problem.ys, *self.weights, steps)

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return dict(zip("ABC", self.weights, strict=True), loss=np.asarray(self.loss))


class Chain(_bases.Chain):
    """The additions without any graph: as many forward as backward."""

    def start(self) -> None:
        """Start at x."""
        self.y = self.x = self.problem.x

    def forward(self, length: int) -> None:
        """One addition a node."""
        x = y = self.x
        for _ in range(length):
            y = y + x
        self.y = y

    def backward(self) -> None:
        """Every node hands its cotangent on to y, where it stays the same, and to x, where it is added up."""
        cotangent = np.ones_like(self.x)
        gradient = cotangent
        for _ in range(self.problem.steps):
            gradient = gradient + cotangent
        self.dx = gradient

    def value(self) -> np.ndarray:
        """The last sum."""
        return self.y

    def gradient(self) -> np.ndarray:
        """How often x is in it."""
        return self.dx


class Import(_bases.Command):
    """What agrad cannot do without."""

    code = "import numpy"
