"""micrograd's Value. It has relu only, so tanh, sigmoid and log are added here, each a node in micrograd's own way."""

import math
from collections.abc import Sequence
from operator import attrgetter

from micrograd.engine import Value

from benchmarks.peers import _bases
from benchmarks.workloads.scalar import ScalarProblem


def _unary(x: Value, value: float, derivative: float, name: str) -> Value:
    out = Value(value, (x,), name)

    def _backward() -> None:
        x.grad += derivative * out.grad

    out._backward = _backward
    return out


def tanh(x: Value) -> Value:
    """The hyperbolic tangent; its derivative is 1 - tanh(x)^2."""
    t = math.tanh(x.data)
    return _unary(x, t, 1 - t * t, "tanh")


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x)); its derivative is s (1 - s)."""
    s = 1 / (1 + math.exp(-x.data))
    return _unary(x, s, s * (1 - s), "sigmoid")


def log(x: Value) -> Value:
    """The natural logarithm; its derivative is 1 / x."""
    return _unary(x, math.log(x.data), 1 / x.data, "log")


class ScalarNetwork(_bases.ScalarModel):
    """Section 13.5's network, scalar by scalar, with an update like that of micrograd's own demo."""

    tanh = staticmethod(tanh)
    sigmoid = staticmethod(sigmoid)

    def __call__(self, x: Sequence[Value]) -> Value:
        """The prediction for one sample."""
        return self.forward(x)

    def gradient_update(self, rate: float) -> None:
        """A step of gradient descent. Gradients add up over backward passes, so they are set back to zero here."""
        for weight in self.parameters().values():
            weight.data -= rate * weight.grad
            weight.grad = 0


class ScalarTraining(_bases.ScalarTraining):
    """Section 13.5's training with `Value`, whose `backward` is recursive."""

    node = Value
    model = ScalarNetwork
    number = attrgetter("data")

    def __init__(self, problem: ScalarProblem) -> None:
        super().__init__(problem)
        self.epsilon = problem.epsilon

    def loss(self, predictions: Sequence[Value], targets: Sequence[Value]) -> Value:
        """The chapter's binary cross entropy."""
        epsilon = self.epsilon
        terms = [
            y * log(p + epsilon) + (1 - y) * log(1 - p + epsilon) for p, y in zip(predictions, targets, strict=True)
        ]
        return -sum(terms) / len(predictions)

    def run(self, steps: int) -> None:
        """Train, with the recursion that it takes."""
        with _bases.deep_recursion():
            super().run(steps)
