"""HIPS autograd: functions in, gradient functions out."""

import autograd.numpy as anp
import numpy as np
from autograd import grad, make_vjp, value_and_grad

from benchmarks._measure import Contestant, Outcome
from benchmarks.peers import _bases
from benchmarks.workloads.black_scholes import BlackScholesProblem
from benchmarks.workloads.mlp import MlpProblem
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


class Mlp(Contestant):
    """The formulas on its wrapped NumPy, which has neither relu nor a cross entropy."""

    def __init__(self, problem: MlpProblem) -> None:
        self.problem = problem
        x, labels, rows = problem.x, problem.labels, np.arange(len(problem.x))

        def loss(weights: dict[str, np.ndarray]) -> np.floating:
            h = anp.maximum(x @ weights["A"] + weights["b"], 0)
            z = h @ weights["C"] + weights["d"]
            z = z - anp.max(z, axis=1, keepdims=True)
            return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[rows, labels])

        self.value_and_grad = value_and_grad(loss)

    def reset(self) -> None:
        """Copies of the initial weights, which are updated in place."""
        self.weights = {name: weight.copy() for name, weight in self.problem.weights.items()}

    def run(self, steps: int) -> None:
        """Value and gradients, then the update."""
        rate, weights = self.problem.rate, self.weights
        for _ in range(steps):
            loss, gradients = self.value_and_grad(weights)
            for name, weight in weights.items():
                weight -= rate * gradients[name]
        self.loss = loss

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        return {"loss": np.asarray(self.loss), **self.weights}


class BlackScholes(Contestant):
    """The formula, and `grad` of it."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        from autograd.scipy.stats import norm  # the only one here that needs SciPy

        rate = problem.rate

        def total(spot: np.ndarray, volatility: np.ndarray, strike: np.ndarray, years: np.ndarray) -> np.floating:
            width = volatility * anp.sqrt(years)
            d1 = (anp.log(spot / strike) + (rate + volatility**2 / 2) * years) / width
            d2 = d1 - width
            return anp.sum(spot * norm.cdf(d1) - strike * anp.exp(-rate * years) * norm.cdf(d2))

        self.gradient = grad(total, (0, 1))
        self.arguments = (problem.spot, problem.volatility, problem.strike, problem.years)

    def reset(self) -> None:
        """Every call starts from nothing."""
        self.greeks = None

    def run(self, steps: int) -> None:
        """One gradient a step."""
        for _ in range(steps):
            self.greeks = self.gradient(*self.arguments)

    def outcome(self) -> Outcome:
        """Delta and vega."""
        return dict(zip(("delta", "vega"), self.greeks, strict=True))


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


class ShortChain(Chain):
    """The same for the longest chains that it does in seconds."""

    longest = 100_000
