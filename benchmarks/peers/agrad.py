"""agrad as the chapter uses it: parameters that are Tensors, `backward()`, `gradient_update`."""

from operator import attrgetter

import numpy as np

from agrad import Tensor, compile
from agrad.functional import sigmoid, tanh
from agrad.losses import binary_cross_entropy
from agrad.nn import Model
from agrad.scalar import Scalar
from agrad.scalar import functional as scalar_functional
from agrad.scalar import losses as scalar_losses
from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.scalar import ScalarProblem
from benchmarks.workloads.spiral import SpiralProblem


class _Training(Contestant):
    """A model and constant data; a subclass makes them in `reset`."""

    model: Model
    xs: Tensor
    ys: Tensor
    rate: float

    def run(self, steps: int) -> None:
        """The chapter's training loop."""
        model, xs, ys, rate = self.model, self.xs, self.ys, self.rate
        for _ in range(steps):
            predictions = model(xs)
            loss = binary_cross_entropy(predictions, ys)
            loss.backward()
            model.gradient_update(rate)
        self.loss = float(loss)

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        weights = {name: weight.numpy() for name, weight in self.model.parameters().items()}
        return {"loss": np.asarray(self.loss), **weights}


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


class Spiral(_Training):
    """The chapter's training on any device that agrad knows."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem
        self.rate = problem.rate
        self.xs = Tensor(problem.xs, requires_grad=False, device=problem.device)
        self.ys = Tensor(problem.ys, requires_grad=False, device=problem.device)

    def reset(self) -> None:
        """A new model with the initial weights."""
        weights = (Tensor(weight, device=self.problem.device) for weight in self.problem.fresh_weights())
        self.model = TwoLayerNetwork(*weights)


class CompiledSpiral(Spiral):
    """The same step, compiled, called once a step."""

    def __init__(self, problem: SpiralProblem) -> None:
        super().__init__(problem)
        super().reset()
        model, xs, ys, rate = self.model, self.xs, self.ys, self.rate

        @compile
        def step() -> Tensor:
            loss = binary_cross_entropy(model(xs), ys)
            loss.backward()
            model.gradient_update(rate)
            return loss

        self.step = step
        step.repeat(2)

    def reset(self) -> None:
        """The initial weights."""
        weights = dict(zip("ABC", self.problem.fresh_weights(), strict=True))
        self.model.load_parameters(weights)

    def run(self, steps: int) -> None:
        """One call a step."""
        step = self.step
        for _ in range(steps):
            loss = step()
        self.loss = float(loss)


class RepeatedSpiral(CompiledSpiral):
    """The same step, compiled, all steps in one call."""

    def run(self, steps: int) -> None:
        """One call, which records the losses."""
        self.loss = float(self.step.repeat(steps)[-1])


class CapturedSpiral(Spiral):
    """The same step, compiled anew for each step: every call is a first one."""

    def run(self, steps: int) -> None:
        """Capture, and never replay."""
        model, xs, ys, rate = self.model, self.xs, self.ys, self.rate

        def step() -> Tensor:
            loss = binary_cross_entropy(model(xs), ys)
            loss.backward()
            model.gradient_update(rate)
            return loss

        for _ in range(steps):
            loss = compile(step)()
        self.loss = float(loss)


class TensorNetwork(Model):
    """Section 13.5's network for all samples at once."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.A = a
        self.B = b

    def forward(self, x: Tensor) -> Tensor:
        """The predictions for all samples at once."""
        return sigmoid(tanh(x @ self.A) @ self.B)

    def parameters(self) -> dict[str, Tensor]:
        """The weights by name."""
        return {"A": self.A, "B": self.B}


class TensorTraining(_Training):
    """Section 13.5's training with tensors in the place of scalars."""

    def __init__(self, problem: ScalarProblem) -> None:
        self.problem = problem
        self.rate = problem.rate
        self.xs = Tensor(problem.xs, requires_grad=False)
        self.ys = Tensor(problem.ys, requires_grad=False)

    def reset(self) -> None:
        """A new model with the initial weights."""
        self.model = TensorNetwork(Tensor(self.problem.a), Tensor(self.problem.b))


class ScalarNetwork(_bases.ScalarModel, Model):
    """Section 13.5's network, scalar by scalar."""

    tanh = staticmethod(scalar_functional.tanh)
    sigmoid = staticmethod(scalar_functional.sigmoid)


class ScalarTraining(_bases.ScalarTraining):
    """Section 13.5's training with `Scalar`."""

    node = Scalar
    model = ScalarNetwork
    loss = staticmethod(scalar_losses.binary_cross_entropy)
    number = attrgetter("value")


class Chain(_bases.Chain):
    """The additions on Tensors."""

    def start(self) -> None:
        """A new leaf."""
        self.y = self.x = Tensor(self.problem.x)

    def forward(self, length: int) -> None:
        """One Tensor a node, of which only the last is held."""
        x = y = self.x
        for _ in range(length):
            y = y + x
        self.y = y

    def backward(self) -> None:
        """A root that is not a scalar is seeded with ones."""
        self.y.backward()

    def value(self) -> np.ndarray:
        """The last sum."""
        return self.y.value

    def gradient(self) -> np.ndarray:
        """The leaf's gradient."""
        return self.x.grad


class Import(_bases.Command):
    """The least that one can do with agrad."""

    code = "import agrad; agrad.Tensor([1.0])"
