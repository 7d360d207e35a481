"""Delta and vega of a million call options: the gradient of the sum of their Black-Scholes prices, in float64.

Some forty elementwise operations on arrays that fit in no cache: memory traffic and special functions, no overhead
to speak of. The gradient in spot and in volatility is asked for, not the prices themselves; who can leave out what
only they need, such as the second normal distribution function, may do so.

What is fair to divide by? The bases are the chain rule written out by hand, operation by operation, which is what a
library for gradients is there to save somebody from. `closed-form` is no base: it knows what no such library can
know, that two terms of the chain rule are equal, so that nearly all of it cancels. It is listed to show what
mathematics is worth here. The normal distribution function is most of the arithmetic, so everybody uses the one that
its users have: SciPy's for NumPy, agrad (which takes it where it is installed) and autograd, their own for JAX and
PyTorch. MyGrad has none and takes no part.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from math import erf, exp, log, pi, sqrt
from typing import Any

import numpy as np

from benchmarks._measure import Outcome
from benchmarks._workload import Peer, Workload, add_device, positive


@dataclass(frozen=True)
class BlackScholesProblem:
    """Options of all sorts: in and out of the money, a month to two years, quiet and wild."""

    spot: np.ndarray
    strike: np.ndarray
    years: np.ndarray
    volatility: np.ndarray
    rate: float = 0.03
    device: str = "cpu"
    steps: int = 1

    @classmethod
    def draw(cls, size: int, device: str = "cpu") -> "BlackScholesProblem":
        """Everything uniform in a range of its own."""
        uniform = np.random.default_rng(0).uniform
        return cls(
            spot=uniform(50.0, 150.0, size),
            strike=uniform(50.0, 150.0, size),
            years=uniform(0.1, 2.0, size),
            volatility=uniform(0.1, 0.5, size),
            device=device,
        )

    def expected(self) -> Outcome:
        """The textbook's formulas, number by number with Python's own functions."""
        greeks = []
        columns = (self.spot, self.strike, self.years, self.volatility)
        for s, k, t, v in zip(*(column.tolist() for column in columns), strict=True):
            d1 = (log(s / k) + (self.rate + v * v / 2) * t) / (v * sqrt(t))
            greeks.append(((1 + erf(d1 / sqrt(2))) / 2, s * sqrt(t) * exp(-d1 * d1 / 2) / sqrt(2 * pi)))
        delta, vega = np.array(greeks).T
        return {"delta": delta, "vega": vega}

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"options": self.spot.size, "dtype": "float64", "device": self.device}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--size", type=positive, default=1_000_000, help="how many options (default: %(default)s)")
    add_device(parser)


def _problems(options: Namespace) -> list[BlackScholesProblem]:
    return [BlackScholesProblem.draw(options.size, options.device)]


BLACK_SCHOLES = Workload(
    name="black-scholes",
    title="delta and vega of call options",
    unit="gradient",
    bases=("numpy", "numpy-out"),
    peers=(
        Peer("numpy", "hand-written NumPy", "numpy", "benchmarks.peers.numpy:BlackScholes", ("scipy",)),
        Peer(
            "numpy-out",
            "hand-written NumPy with out=",
            "numpy",
            "benchmarks.peers.numpy:BlackScholesInPlace",
            ("scipy",),
        ),
        Peer(
            "closed-form",
            "the textbook's formulas in NumPy",
            "numpy",
            "benchmarks.peers.numpy:BlackScholesClosedForm",
            ("scipy",),
        ),
        Peer("agrad", "agrad eager", "agrad", "benchmarks.peers.agrad:BlackScholes"),
        Peer("compiled", "agrad compiled", "agrad", "benchmarks.peers.agrad:CompiledBlackScholes"),
        Peer("jax", "JAX jit", "jax", "benchmarks.peers.jax:BlackScholes"),
        Peer("torch", "PyTorch eager", "torch", "benchmarks.peers.torch:BlackScholes"),
        Peer("autograd", "HIPS autograd", "autograd", "benchmarks.peers.autograd:BlackScholes", ("scipy",)),
    ),
    problems=_problems,
    rounds=15,
    add_options=_add_options,
)
