"""PyTorch in eager mode, on one thread of the CPU, or on a card."""

import numpy as np
import torch
from torch.nn import Linear, ReLU, Sequential
from torch.nn.functional import cross_entropy

from benchmarks._measure import Contestant, Outcome, Unavailable
from benchmarks.peers import _bases
from benchmarks.workloads.black_scholes import BlackScholesProblem
from benchmarks.workloads.memory import MemoryProblem
from benchmarks.workloads.mlp import MlpProblem
from benchmarks.workloads.overhead import ChainProblem
from benchmarks.workloads.spiral import SpiralProblem


def _device(device: str) -> torch.device:
    """PyTorch's own device for one of agrad's device names: the card, or the CPU."""
    torch.set_num_threads(1)
    card = _bases.card(device)
    if card is None:
        return torch.device("cpu")
    if card >= torch.cuda.device_count():
        raise Unavailable(f"sees no {device}")
    return torch.device("cuda", card)


def _wait(device: torch.device) -> None:
    """Until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Spiral(Contestant):
    """The chapter's formulas, and plain gradient descent under `no_grad`."""

    def __init__(self, problem: SpiralProblem) -> None:
        self.problem = problem
        self.device = _device(problem.device)
        self.xs = torch.tensor(problem.xs, device=self.device)
        self.ys = torch.tensor(problem.ys, device=self.device)

    def reset(self) -> None:
        """New leaves with the initial weights."""
        weights = self.problem.fresh_weights()
        self.weights = [torch.tensor(weight, device=self.device, requires_grad=True) for weight in weights]

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
        _wait(self.device)

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        a, b, c = (weight.numpy(force=True) for weight in self.weights)
        return {"loss": np.asarray(self.loss), "A": a, "B": b, "C": c}


class Mlp(Contestant):
    """Its own layers, loss and optimiser."""

    def __init__(self, problem: MlpProblem) -> None:
        self.problem = problem
        self.device = _device(problem.device)
        self.x = torch.tensor(problem.x, device=self.device)
        self.labels = torch.tensor(problem.labels, device=self.device)

    def reset(self) -> None:
        """A new model with the initial weights; a Linear holds its matrix transposed."""
        a, b, c, d = (torch.tensor(weight) for weight in self.problem.weights.values())
        self.model = Sequential(Linear(*a.shape), ReLU(), Linear(*c.shape))
        self.model.load_state_dict({"0.weight": a.T, "0.bias": b, "2.weight": c.T, "2.bias": d})
        self.model.to(self.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=self.problem.rate)

    def run(self, steps: int) -> None:
        """Forward, backward, update."""
        model, x, labels, optimizer = self.model, self.x, self.labels, self.optimizer
        for _ in range(steps):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
        self.loss = loss.item()
        _wait(self.device)

    def outcome(self) -> Outcome:
        """The last loss and the weights."""
        a, b, c, d = (weight.numpy(force=True) for weight in self.model.parameters())
        return {"loss": np.asarray(self.loss), "A": a.T, "b": b, "C": c.T, "d": d}


class Memory(Contestant):
    """Its own layers, loss and optimiser."""

    traced = False

    def __init__(self, problem: MemoryProblem) -> None:
        torch.set_num_threads(1)
        self.problem = problem
        self.x = torch.from_numpy(problem.x())
        self.labels = torch.from_numpy(problem.labels())

    def reset(self) -> None:
        """A new model with the initial weights."""
        modules: list[torch.nn.Module] = []
        for matrix, bias in self.problem.weights():
            layer = Linear(*matrix.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(matrix.T))
                layer.bias.copy_(torch.from_numpy(bias))
            modules += [layer, ReLU()]
        self.model = Sequential(*modules[:-1])
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=self.problem.rate)

    def run(self, steps: int) -> None:
        """Forward, backward, update."""
        model, x, labels, optimizer = self.model, self.x, self.labels, self.optimizer
        for _ in range(steps):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
        self.loss = loss.item()

    def outcome(self) -> Outcome:
        """The last loss, the first and the last matrix."""
        first, last = (layer.weight.numpy(force=True).T for layer in (self.model[0], self.model[-1]))
        return {"loss": np.asarray(self.loss), "first": first, "last": last}


class BlackScholes(Contestant):
    """The formula on leaves, and `torch.autograd.grad`."""

    def __init__(self, problem: BlackScholesProblem) -> None:
        self.device, self.rate = _device(problem.device), problem.rate
        self.spot, self.volatility = (
            torch.tensor(column, device=self.device, requires_grad=True)
            for column in (problem.spot, problem.volatility)
        )
        self.strike, self.years = (
            torch.tensor(column, device=self.device) for column in (problem.strike, problem.years)
        )

    def total(self) -> torch.Tensor:
        """The sum of the prices."""
        spot, volatility, strike, years, rate = self.spot, self.volatility, self.strike, self.years, self.rate
        width = volatility * torch.sqrt(years)
        d1 = (torch.log(spot / strike) + (rate + volatility**2 / 2) * years) / width
        d2 = d1 - width
        ndtr = torch.special.ndtr
        return torch.sum(spot * ndtr(d1) - strike * torch.exp(-rate * years) * ndtr(d2))

    def reset(self) -> None:
        """Every step starts from nothing."""
        self.greeks = None

    def run(self, steps: int) -> None:
        """One gradient a step."""
        for _ in range(steps):
            self.greeks = torch.autograd.grad(self.total(), (self.spot, self.volatility))
        _wait(self.device)

    def outcome(self) -> Outcome:
        """Delta and vega."""
        delta, vega = (greek.numpy(force=True) for greek in self.greeks)
        return {"delta": delta, "vega": vega}


class Chain(_bases.Chain):
    """The additions on tensors."""

    traced = False

    def __init__(self, problem: ChainProblem) -> None:
        super().__init__(problem)
        self.device = _device(problem.device)

    def start(self) -> None:
        """A new leaf."""
        self.y = self.x = torch.tensor(self.problem.x, device=self.device, requires_grad=True)

    def run(self, steps: int) -> None:
        """The phases that are to be timed."""
        super().run(steps)
        _wait(self.device)

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
        return self.x.grad.numpy(force=True)
