"""agrad as the chapter uses it: parameters that are Tensors, `backward()`, `gradient_update`."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

import agrad as ag
from agrad import Tensor, compile
from agrad.functional import relu, sigmoid, tanh
from agrad.losses import binary_cross_entropy, cross_entropy
from agrad.nn import Model
from agrad.scalar import Scalar
from agrad.scalar import functional as scalar_functional
from agrad.scalar import losses as scalar_losses
from agrad.special import ndtr
from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.black_scholes import BlackScholesProblem
from benchmarks.workloads.memory import MemoryProblem
from benchmarks.workloads.mlp import MlpProblem
from benchmarks.workloads.scalar import ScalarProblem
from benchmarks.workloads.spiral import SpiralProblem


def _wait(last: Tensor) -> None:
    """Until `last` is computed, and with it all that its device was asked for before: a number of it is read."""
    last.reshape(-1)[0].item()


class _Training(Contestant):
    """A model and constant data; a subclass makes them in `reset`."""

    model: Model
    xs: Tensor
    ys: Tensor
    rate: float
    loss_function: Callable[[Tensor, Tensor], Tensor] = staticmethod(binary_cross_entropy)

    def run(self, steps: int) -> None:
        """The chapter's training loop."""
        model, xs, ys, rate, loss_function = self.model, self.xs, self.ys, self.rate, self.loss_function
        for _ in range(steps):
            predictions = model(xs)
            loss = loss_function(predictions, ys)
            loss.backward()
            model.gradient_update(rate)
        self.loss = float(loss)  # which a device computes after all that it was asked for before: this waits for it

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


class Perceptron(Model):
    """One hidden layer with relu, and logits."""

    def __init__(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> None:
        self.A = a
        self.b = b
        self.C = c
        self.d = d

    def forward(self, x: Tensor) -> Tensor:
        """The logits of all samples at once."""
        return relu(x @ self.A + self.b) @ self.C + self.d


class Mlp(_Training):
    """The chapter's training of the perceptron, on any device that agrad knows."""

    loss_function = staticmethod(cross_entropy)

    def __init__(self, problem: MlpProblem) -> None:
        self.problem = problem
        self.rate = problem.rate
        self.xs = Tensor(problem.x, requires_grad=False, device=problem.device)
        self.ys = Tensor(problem.labels, device=problem.device)

    def reset(self) -> None:
        """A new model with the initial weights."""
        self.model = Perceptron(
            *(Tensor(weight, device=self.problem.device) for weight in self.problem.weights.values())
        )


class CompiledMlp(Mlp):
    """The same step, compiled, called once a step with the batch as its arguments."""

    def __init__(self, problem: MlpProblem) -> None:
        super().__init__(problem)
        super().reset()
        model, rate = self.model, self.rate

        @compile
        def step(xs: Tensor, ys: Tensor) -> Tensor:
            loss = cross_entropy(model(xs), ys)
            loss.backward()
            model.gradient_update(rate)
            return loss

        self.step = step
        step.repeat(2, self.xs, self.ys)

    def reset(self) -> None:
        """The initial weights."""
        self.model.load_parameters(self.problem.weights)

    def run(self, steps: int) -> None:
        """One call a step."""
        step, xs, ys = self.step, self.xs, self.ys
        for _ in range(steps):
            loss = step(xs, ys)
        self.loss = float(loss)


class RepeatedMlp(CompiledMlp):
    """The same step, compiled, all steps in one call."""

    def run(self, steps: int) -> None:
        """One call, which records the losses."""
        self.loss = float(self.step.repeat(steps, self.xs, self.ys)[-1])


class DeepPerceptron(Model):
    """Hidden layers with relu, and logits."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]]) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """The logits of all samples at once."""
        for matrix, bias in self.layers[:-1]:
            x = relu(x @ matrix + bias)
        matrix, bias = self.layers[-1]
        return x @ matrix + bias


class Memory(_Training):
    """The chapter's training of the deep perceptron."""

    loss_function = staticmethod(cross_entropy)

    def __init__(self, problem: MemoryProblem) -> None:
        self.problem = problem
        self.rate = problem.rate
        self.xs = ag.asarray(problem.x())
        self.ys = ag.asarray(problem.labels())

    def reset(self) -> None:
        """A new model with the initial weights."""
        pairs = self.problem.weights()
        self.model = DeepPerceptron([(Tensor(matrix), Tensor(bias)) for matrix, bias in pairs])

    def outcome(self) -> Outcome:
        """The last loss, the first and the last matrix."""
        first, last = (self.model.layers[position][0].numpy() for position in (0, -1))
        return {"loss": np.asarray(self.loss), "first": first, "last": last}


class CompiledMemory(Memory):
    """The same step, compiled; the loop begins with the calls that record it."""

    def run(self, steps: int) -> None:
        """One call a step."""
        model, rate = self.model, self.rate

        @compile
        def step(xs: Tensor, ys: Tensor) -> Tensor:
            loss = cross_entropy(model(xs), ys)
            loss.backward()
            model.gradient_update(rate)
            return loss

        for _ in range(steps):
            loss = step(self.xs, self.ys)
        self.loss = float(loss)


class BlackScholes(Contestant):
    """The formula, and `ag.grad` of it."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        rate = problem.rate

        def total(spot: Tensor, volatility: Tensor, strike: Tensor, years: Tensor) -> Tensor:
            width = volatility * ag.sqrt(years)
            d1 = (ag.log(spot / strike) + (rate + volatility**2 / 2) * years) / width
            d2 = d1 - width
            return ag.sum(spot * ndtr(d1) - strike * ag.exp(-rate * years) * ndtr(d2))

        self.gradient: Callable[..., Any] = ag.grad(total, (0, 1))
        columns = (problem.spot, problem.volatility, problem.strike, problem.years)
        self.arguments = [Tensor(column, requires_grad=False, device=problem.device) for column in columns]

    def reset(self) -> None:
        """Every call starts from nothing."""
        self.delta = self.vega = None

    def run(self, steps: int) -> None:
        """One gradient a step."""
        for _ in range(steps):
            self.delta, self.vega = self.gradient(*self.arguments)
        _wait(self.vega)

    def outcome(self) -> Outcome:
        """Delta and vega."""
        return {"delta": self.delta.numpy(), "vega": self.vega.numpy()}


class CompiledBlackScholes(BlackScholes):
    """The same, compiled."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        super().__init__(problem)
        self.gradient = compile(self.gradient)
        self.gradient(*self.arguments)


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
        self.y = self.x = Tensor(self.problem.x, device=self.problem.device)

    def run(self, steps: int) -> None:
        """The phases that are to be timed."""
        super().run(steps)
        if self.x.device != "cpu":
            _wait(self.y)

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
        return self.y.numpy()

    def gradient(self) -> np.ndarray:
        """The leaf's gradient."""
        return Tensor(self.x.grad).numpy()


class Import(_bases.Command):
    """The least that one can do with agrad."""

    code = "import agrad; agrad.Tensor([1.0])"
