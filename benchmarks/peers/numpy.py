"""NumPy with the gradients worked out by hand: what the others are divided by. On a CUDA device it is CuPy."""

import importlib
from typing import Any

import numpy as np

from benchmarks._measure import Contestant, Outcome, Unavailable
from benchmarks.peers import _bases
from benchmarks.reference import black_scholes_numpy, deep_numpy, mlp_numpy, spiral_numpy
from benchmarks.workloads.black_scholes import BlackScholesProblem
from benchmarks.workloads.memory import MemoryProblem
from benchmarks.workloads.mlp import MlpProblem
from benchmarks.workloads.overhead import ChainProblem
from benchmarks.workloads.spiral import SpiralProblem


def _library(device: str) -> Any:
    """The array library of a device: CuPy, with the card made the current one, for a card; NumPy for all others."""
    card = _bases.card(device)
    if card is None:
        return np
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise Unavailable("cupy not installed") from None
    cupy.cuda.Device(card).use()
    return cupy


def _special(device: str) -> Any:
    """The special functions that go with it."""
    return importlib.import_module("scipy.special" if _bases.card(device) is None else "cupyx.scipy.special")


def _wait(library: Any) -> None:
    """Until the device has done what it was asked for."""
    if library is not np:
        library.cuda.get_current_stream().synchronize()


def _host(library: Any, array: Any) -> np.ndarray:
    """The array, on the host."""
    return array if library is np else library.asnumpy(array)


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


class Mlp(Contestant):
    """By hand, with a new array for every result."""

    def __init__(self, problem: MlpProblem) -> None:
        self.problem = problem
        self.np = _library(problem.device)
        self.x, self.labels = self.np.asarray(problem.x), self.np.asarray(problem.labels)

    def reset(self) -> None:
        """Copies of the weights, which are written to."""
        self.weights = {name: self.np.array(weight) for name, weight in self.problem.weights.items()}

    def run(self, steps: int) -> None:
        """Train."""
        weights, rate = self.weights.values(), self.problem.rate
        self.loss = mlp_numpy.train(self.np, self.x, self.labels, *weights, rate, steps)
        _wait(self.np)

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        weights = {name: _host(self.np, weight) for name, weight in self.weights.items()}
        return {"loss": np.asarray(self.loss), **weights}


class MlpInPlace(Mlp):
    """By hand, in memory that is there before the clock starts."""

    def reset(self) -> None:
        """Copies of the weights, and the memory for the rest."""
        super().reset()
        self.buffers = mlp_numpy.Buffers(self.np, self.x, self.labels, *self.weights.values())

    def run(self, steps: int) -> None:
        """Train."""
        weights, rate = self.weights.values(), self.problem.rate
        self.loss = mlp_numpy.train_in_place(self.np, self.buffers, self.x, *weights, rate, steps)
        _wait(self.np)


class Memory(Contestant):
    """By hand, with a new array for every result."""

    def __init__(self, problem: MemoryProblem) -> None:
        self.problem = problem
        self.x, self.labels = problem.x(), problem.labels()

    def reset(self) -> None:
        """The initial weights."""
        self.weights = self.problem.weights()

    def run(self, steps: int) -> None:
        """Train."""
        self.loss = deep_numpy.train(self.x, self.labels, self.weights, self.problem.rate, steps)

    def outcome(self) -> Outcome:
        """The last loss, the first and the last matrix."""
        return {"loss": np.asarray(self.loss), "first": self.weights[0][0], "last": self.weights[-1][0]}


class BlackScholes(Contestant):
    """The chain rule by hand, with a new array for every result."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        self.np, self.ndtr = _library(problem.device), _special(problem.device).ndtr
        columns = (problem.spot, problem.strike, problem.years, problem.volatility)
        self.arguments = (*map(self.np.asarray, columns), problem.rate)

    def reset(self) -> None:
        """Every call starts from nothing."""
        self.delta = self.vega = None

    def run(self, steps: int) -> None:
        """One gradient a step."""
        for _ in range(steps):
            self.delta, self.vega = self.gradient()
        _wait(self.np)

    def gradient(self) -> tuple[Any, Any]:
        """Delta and vega."""
        return black_scholes_numpy.gradient(self.np, self.ndtr, *self.arguments)

    def outcome(self) -> Outcome:
        """Delta and vega."""
        return {"delta": _host(self.np, self.delta), "vega": _host(self.np, self.vega)}


class BlackScholesInPlace(BlackScholes):
    """The chain rule by hand, in memory that is there before the clock starts."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        super().__init__(problem)
        self.buffers = black_scholes_numpy.Buffers(self.np, self.arguments[0])

    def gradient(self) -> tuple[Any, Any]:
        """Delta and vega."""
        return black_scholes_numpy.gradient_in_place(self.np, self.ndtr, self.buffers, *self.arguments)


class BlackScholesClosedForm(BlackScholes):
    """What finance knows, with a new array for every result."""

    def gradient(self) -> tuple[Any, Any]:
        """Delta and vega."""
        return black_scholes_numpy.closed_form(self.np, self.ndtr, *self.arguments)


class Chain(_bases.Chain):
    """The additions without any graph: as many forward as backward."""

    def __init__(self, problem: ChainProblem) -> None:
        super().__init__(problem)
        self.np = _library(problem.device)

    def start(self) -> None:
        """Start at x."""
        self.y = self.x = self.np.asarray(self.problem.x)

    def run(self, steps: int) -> None:
        """The phases that are to be timed."""
        super().run(steps)
        _wait(self.np)

    def forward(self, length: int) -> None:
        """One addition a node."""
        x = y = self.x
        for _ in range(length):
            y = y + x
        self.y = y

    def backward(self) -> None:
        """Every node hands its cotangent on to y, where it stays the same, and to x, where it is added up."""
        cotangent = self.np.ones_like(self.x)
        gradient = cotangent
        for _ in range(self.problem.steps):
            gradient = gradient + cotangent
        self.dx = gradient

    def value(self) -> np.ndarray:
        """The last sum."""
        return _host(self.np, self.y)

    def gradient(self) -> np.ndarray:
        """How often x is in it."""
        return _host(self.np, self.dx)


class Import(_bases.Command):
    """What agrad cannot do without."""

    code = "import numpy"
