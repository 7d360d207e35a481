"""PyTorch in eager mode, on the CPU and one thread."""

import numpy as np
import torch

from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.overhead import ChainProblem
from benchmarks.workloads.spiral import SpiralProblem


class Spiral(Contestant):
    """The chapter's formulas, and plain gradient descent under `no_grad`."""

    def __init__(self, problem: SpiralProblem) -> None:
        torch.set_num_threads(1)
        self.problem = problem
        self.xs = torch.tensor(problem.xs)
        self.ys = torch.tensor(problem.ys)

    def reset(self) -> None:
        """New leaves with the initial weights."""
        self.weights = [torch.tensor(weight, requires_grad=True) for weight in self.problem.fresh_weights()]

    def run(self, steps: int) -> None:
        """Forward, backward, update."""
        xs, ys, rate, epsilon = self.xs, self.ys, self.problem.rate, self.problem.epsilon
        a, b, c = self.weights
        for _ in range(steps):
            p = torch.sigmoid(torch.tanh(torch.tanh(xs @ a) @ b) @ c)
            loss = -(ys * torch.log(p + epsilon) + (1 - ys) * torch.log(1 - p + epsilon)).mean()
            loss.backward()
            with torch.no_grad():
                for weight in self.weights:
                    weight -= rate * weight.grad
                    weight.grad = None
        self.loss = loss.item()

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        a, b, c = (weight.numpy(force=True) for weight in self.weights)
        return {"loss": np.asarray(self.loss), "A": a, "B": b, "C": c}


class Chain(_bases.Chain):
    """The additions on tensors."""

    def __init__(self, problem: ChainProblem) -> None:
        torch.set_num_threads(1)
        super().__init__(problem)

    def start(self) -> None:
        """A new leaf."""
        self.y = self.x = torch.tensor(self.problem.x, requires_grad=True)

    def forward(self, length: int) -> None:
        """One tensor a node, of which only the last is held."""
        x = y = self.x
        for _ in range(length):
            y = y + x
        self.y = y

    def backward(self) -> None:
        """Seeded with ones; retaining the graph keeps its release out of the backward pass, as in the others."""
        self.y.backward(torch.ones_like(self.y), retain_graph=True)

    def value(self) -> np.ndarray:
        """The last sum."""
        return self.y.numpy(force=True)

    def gradient(self) -> np.ndarray:
        """The leaf's gradient."""
        return self.x.grad.numpy()
