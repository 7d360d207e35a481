"""mlfz, the chapter's own library, as the chapter uses it."""

from operator import attrgetter

from mlfz.nn import Model
from mlfz.nn.scalar import Scalar
from mlfz.nn.scalar import functional as scalar_functional
from mlfz.nn.scalar.loss import binary_cross_entropy as scalar_binary_cross_entropy
from mlfz.nn.tensor import Tensor
from mlfz.nn.tensor.functional import sigmoid, tanh
from mlfz.nn.tensor.loss import binary_cross_entropy

from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.spiral import SpiralProblem


class TwoLayerNetwork(Model):
    """The chapter's network for the spirals."""

    def __init__(self, a: Tensor, b: Tensor, c: Tensor) -> None:
        self.A = a
        self.B = b
        self.C = c

    def forward(self, x: Tensor) -> Tensor:
        """The predictions for all points at once."""
        return sigmoid(tanh(tanh(x @ self.A) @ self.B) @ self.C)

    def parameters(self) -> dict[str, Tensor]:
        """The weights by name."""
        return {"A": self.A, "B": self.B, "C": self.C}


class Spiral(Contestant):
    """The chapter's training; there are no constants here, so the data is differentiated as well."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem
        self.xs = Tensor(problem.xs)
        self.ys = Tensor(problem.ys)

    def reset(self) -> None:
        """A new model with the initial weights."""
        self.model = TwoLayerNetwork(*map(Tensor, self.problem.fresh_weights()))

    def run(self, steps: int) -> None:
        """The chapter's training loop."""
        model, xs, ys, rate = self.model, self.xs, self.ys, self.problem.rate
        for _ in range(steps):
            predictions = model(xs)
            loss = binary_cross_entropy(predictions, ys)
            loss.backward()
            model.gradient_update(rate)
        self.loss = loss.value

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return {"loss": self.loss, **self.model.parameter_values()}


class ScalarNetwork(_bases.ScalarModel, Model):
    """Section 13.5's network, scalar by scalar."""

    tanh = staticmethod(scalar_functional.tanh)
    sigmoid = staticmethod(scalar_functional.sigmoid)


class ScalarTraining(_bases.ScalarTraining):
    """Section 13.5's training with `Scalar`, whose `backward` is recursive."""

    node = Scalar
    model = ScalarNetwork
    loss = staticmethod(scalar_binary_cross_entropy)
    number = attrgetter("value")

    def run(self, steps: int) -> None:
        """Train, with the recursion that it takes."""
        with _bases.deep_recursion():
            super().run(steps)
