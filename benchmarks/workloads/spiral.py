"""The chapter's network on the two spirals: full-batch gradient descent on a few small arrays.

What is measured is mostly what a library costs per operation: hand-written NumPy needs about three dozen array
operations a step, on arrays of at most 400 x 8.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measure import Outcome
from benchmarks._workload import Peer, Workload, add_device
from benchmarks.reference import spiral_numpy


@dataclass(frozen=True)
class SpiralProblem:
    """400 points on two spirals, and the weights of a 2-8-8-1 network as drawn, for everybody the same."""

    xs: np.ndarray
    ys: np.ndarray
    weights: Mapping[str, np.ndarray]
    device: str = "cpu"
    rate: float = spiral_numpy.RATE
    epsilon: float = spiral_numpy.EPSILON
    steps: int = 200  # training is chaotic: after some hundred steps, rounding decides where it goes

    @classmethod
    def draw(cls, device: str = "cpu") -> "SpiralProblem":
        """The reference's data, and weights that are uniform in [0, 1), as the chapter's are."""
        xs, ys = spiral_numpy.spiral()
        generator = np.random.default_rng(1)
        shapes = {"A": (2, 8), "B": (8, 8), "C": (8, 1)}
        return cls(xs, ys, {name: generator.random(shape) for name, shape in shapes.items()}, device)

    def fresh_weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Copies of A, B and C, to be written to."""
        return self.weights["A"].copy(), self.weights["B"].copy(), self.weights["C"].copy()

    def expected(self) -> Outcome:
        """What the hand-written reference arrives at."""
        a, b, c = self.fresh_weights()
        loss = spiral_numpy.train(self.xs, self.ys, a, b, c, self.steps)
        return {"loss": np.asarray(loss), "A": a, "B": b, "C": c}

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        return {"points": len(self.xs), "network": "2-8-8-1", "dtype": "float64", "device": self.device}


def _add_options(parser: ArgumentParser) -> None:
    add_device(parser)


def _problems(options: Namespace) -> list[SpiralProblem]:
    return [SpiralProblem.draw(options.device)]


SPIRAL = Workload(
    name="spiral",
    title="a training step of the chapter's spiral network",
    unit="step",
    bases=("numpy",),
    peers=(
        Peer("numpy", "hand-written NumPy", "numpy", "benchmarks.peers.numpy:Spiral"),
        Peer("agrad", "agrad eager", "agrad", "benchmarks.peers.agrad:Spiral"),
        Peer("compiled", "agrad compiled, one call a step", "agrad", "benchmarks.peers.agrad:CompiledSpiral"),
        Peer("repeated", "agrad compiled, all steps in one call", "agrad", "benchmarks.peers.agrad:RepeatedSpiral"),
        Peer("jax", "JAX jit, one call a step", "jax", "benchmarks.peers.jax:Spiral"),
        Peer("scan", "JAX lax.scan, all steps in one call", "jax", "benchmarks.peers.jax:ScannedSpiral"),
        Peer("torch", "PyTorch eager", "torch", "benchmarks.peers.torch:Spiral"),
        Peer("mygrad", "MyGrad", "mygrad", "benchmarks.peers.mygrad:Spiral"),
        Peer("autograd", "HIPS autograd", "autograd", "benchmarks.peers.autograd:Spiral"),
        Peer("mlfz", "mlfz", "mlfz", "benchmarks.peers.mlfz:Spiral"),
    ),
    problems=_problems,
    rounds=15,
    add_options=_add_options,
)
