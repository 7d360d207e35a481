"""Section 13.5's one-layer network built from scalars: a graph of some ten thousands of the smallest possible nodes.

The last row is the same network built from tensors, which is the point of that section: it is some hundred times as
fast, and the more so the more neurons there are. The chapter draws all weights uniformly in [0, 1); here those of the
second layer are divided by the number of neurons. With the chapter's, the predictions of a wide network are so close
to 1 that nothing of the gradient is left in the rounding of 1 - p, and there is nothing to compare.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measure import Outcome
from benchmarks._workload import Peer, Workload, positive

HIDDEN = [8, 16, 32, 64, 128, 256, 512]


@dataclass(frozen=True)
class ScalarProblem:
    """Random samples of two features, random targets, and the weights of a 2-n-1 network, for everybody the same."""

    xs: np.ndarray
    ys: np.ndarray
    a: np.ndarray
    b: np.ndarray
    rate: float = 0.01
    epsilon: float = 1e-16
    steps: int = 3

    @classmethod
    def draw(cls, samples: int, hidden: int) -> "ScalarProblem":
        """Everything uniform in [0, 1), as in the chapter, but for B."""
        random = np.random.default_rng(0).random
        xs, ys, a, b = random((samples, 2)), random((samples, 1)), random((2, hidden)), random((hidden, 1))
        return cls(xs, ys, a, b / hidden)

    def expected(self) -> Outcome:
        """The same training, with the gradients by hand."""
        a, b = self.a.copy(), self.b.copy()
        for _ in range(self.steps):
            h = np.tanh(self.xs @ a)
            p = 1 / (1 + np.exp(-(h @ b)))
            q = 1 - p
            loss = -(self.ys * np.log(p + self.epsilon) + (1 - self.ys) * np.log(q + self.epsilon)).mean()
            dp = ((1 - self.ys) / (q + self.epsilon) - self.ys / (p + self.epsilon)) / len(self.xs)
            dz = dp * p * q
            da = self.xs.T @ (dz @ b.T * (1 - h * h))
            b -= self.rate * (h.T @ dz)
            a -= self.rate * da
        return {"loss": np.asarray(loss), "A": a, "B": b}

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"samples": len(self.xs), "hidden neurons": self.a.shape[1]}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--samples", type=positive, default=100, help="default: %(default)s; the chapter has 1000")
    parser.add_argument(
        "--hidden",
        type=positive,
        nargs="+",
        default=HIDDEN,
        help="hidden neurons, a column for each number (default: 8 to 512)",
    )


def _problems(options: Namespace) -> list[ScalarProblem]:
    return [ScalarProblem.draw(options.samples, hidden) for hidden in options.hidden]


SCALAR = Workload(
    name="scalar",
    title="a training step of section 13.5's network, built from scalars",
    unit="step",
    bases=("agrad",),
    peers=(
        Peer("agrad", "agrad Scalar", "agrad", "benchmarks.peers.agrad:ScalarTraining"),
        Peer("mlfz", "mlfz Scalar", "mlfz", "benchmarks.peers.mlfz:ScalarTraining"),
        Peer("micrograd", "micrograd Value", "micrograd", "benchmarks.peers.micrograd:ScalarTraining"),
        Peer("agrad-tensor", "agrad Tensor", "agrad", "benchmarks.peers.agrad:TensorTraining"),
    ),
    problems=_problems,
    rounds=5,
    add_options=_add_options,
    sweep="hidden neurons",
)
