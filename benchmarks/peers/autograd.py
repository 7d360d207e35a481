"""HIPS autograd: functions in, gradient functions out."""

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp, value_and_grad

from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.spiral import SpiralProblem


class Spiral(Contestant):
    """The chapter's formulas on its wrapped NumPy, with respect to all three weights at once."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem
        xs, ys, epsilon = problem.xs, problem.ys, problem.epsilon

        def loss(weights: tuple[np.ndarray, ...]) -> np.floating:
            a, b, c = weights
            p = 1 / (1 + anp.exp(-(anp.tanh(anp.tanh(xs @ a) @ b) @ c)))
            return -anp.mean(ys * anp.log(p + epsilon) + (1 - ys) * anp.log(1 - p + epsilon))

        self.value_and_grad = value_and_grad(loss)

    def reset(self) -> None:
        """Copies of the initial weights, which are updated in place."""
        self.weights = self.problem.fresh_weights()

    def run(self, steps: int) -> None:
        """Value and gradients, then the update."""
        rate, weights = self.problem.rate, self.weights
        for _ in range(steps):
            loss, gradients = self.value_and_grad(weights)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= rate * gradient
        self.loss = loss

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return dict(zip("ABC", self.weights, strict=True), loss=np.asarray(self.loss))


class Chain(_bases.Chain):
    """The additions under `make_vjp`, whose call is the forward pass; what it returns is the backward pass."""

    def start(self) -> None:
        """Forget the chain that there was."""
        self.y = self.vjp = self.dx = None

    def forward(self, length: int) -> None:
        """Trace the additions."""

        def chain(x: np.ndarray) -> np.ndarray:
            y = x
            for _ in range(length):
                y = y + x
            return y

        self.vjp, self.y = make_vjp(chain)(self.problem.x)

    def backward(self) -> None:
        """Seeded with ones."""
        self.dx = self.vjp(np.ones_like(self.problem.x))

    def value(self) -> np.ndarray:
        """The last sum."""
        return self.y

    def gradient(self) -> np.ndarray:
        """What the backward pass returned."""
        return self.dx
