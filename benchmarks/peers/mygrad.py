"""MyGrad with its default settings."""

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu, sigmoid
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.mlp import MlpProblem
from benchmarks.workloads.spiral import SpiralProblem


class Spiral(Contestant):
    """The chapter's formulas; the data is plain NumPy, which MyGrad takes for constant."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem

    def reset(self) -> None:
        """New tensors with the initial weights."""
        self.weights = [mg.tensor(weight) for weight in self.problem.fresh_weights()]

    def run(self, steps: int) -> None:
        """Forward, backward (which clears the graph), update."""
        xs, ys, rate, epsilon = self.problem.xs, self.problem.ys, self.problem.rate, self.problem.epsilon
        a, b, c = self.weights
        for _ in range(steps):
            p = sigmoid(mg.matmul(mg.tanh(mg.matmul(mg.tanh(mg.matmul(xs, a)), b)), c))
            loss = -mg.mean(ys * mg.log(p + epsilon) + (1 - ys) * mg.log(1 - p + epsilon))
            loss.backward()
            for weight in self.weights:
                weight.data -= rate * weight.grad
        self.loss = loss.item()

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return dict(zip("ABC", (weight.data for weight in self.weights), strict=True), loss=np.asarray(self.loss))


class Mlp(Contestant):
    """Its own activation and loss; the data is plain NumPy."""

    def __init__(self, problem: MlpProblem) -> None:
        self.problem = problem

    def reset(self) -> None:
        """New tensors with the initial weights."""
        self.weights = {name: mg.tensor(weight) for name, weight in self.problem.weights.items()}

    def run(self, steps: int) -> None:
        """Forward, backward (which clears the graph), update."""
        x, labels, rate = self.problem.x, self.problem.labels, self.problem.rate
        a, b, c, d = weights = list(self.weights.values())
        for _ in range(steps):
            logits = mg.matmul(relu(mg.matmul(x, a) + b), c) + d
            loss = softmax_crossentropy(logits, labels)
            loss.backward()
            for weight in weights:
                weight.data -= rate * weight.grad
        self.loss = loss.item()

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return {"loss": np.asarray(self.loss), **{name: weight.data for name, weight in self.weights.items()}}


class Chain(_bases.Chain):
    """The additions on tensors."""

    def start(self) -> None:
        """A new leaf."""
        self.y = self.x = mg.tensor(self.problem.x)

    def forward(self, length: int) -> None:
        """One tensor a node, of which only the last is held."""
        x = y = self.x
        for _ in range(length):
            y = y + x
        self.y = y

    def backward(self) -> None:
        """Seeded with ones."""
        self.y.backward()

    def value(self) -> np.ndarray:
        """The last sum."""
        return self.y.data

    def gradient(self) -> np.ndarray:
        """The leaf's gradient."""
        return self.x.grad


class ShortChain(Chain):
    """The same for the longest chains that it does in seconds."""

    longest = 100_000
