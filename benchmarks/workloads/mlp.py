"""A multilayer perceptron in float32: matrix products that keep a core busy, with small arrays around them.

The bases are the same step by hand, once as one writes it down, and once with every result in memory that is kept.
Batches of a size like this are trained on everywhere, so this is what an everyday step costs above its arithmetic.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measure import Outcome
from benchmarks._workload import Peer, Workload, add_device, positive
from benchmarks.reference import mlp_numpy


@dataclass(frozen=True)
class MlpProblem:
    """A batch of random images with random labels, and the weights of a network with one hidden layer."""

    x: np.ndarray
    labels: np.ndarray
    weights: Mapping[str, np.ndarray]
    device: str = "cpu"
    rate: float = 0.1
    steps: int = 50

    @classmethod
    def draw(cls, sizes: Sequence[int], batch: int, device: str = "cpu") -> "MlpProblem":
        """Pixels uniform in [0, 1), weights as He draws them for relu, biases of zero, all in float32."""
        inputs, hidden, classes = sizes
        generator = np.random.default_rng(0)

        def layer(rows: int, columns: int) -> np.ndarray:
            return (generator.standard_normal((rows, columns)) * np.sqrt(2 / rows)).astype(np.float32)

        return cls(
            x=generator.random((batch, inputs), dtype=np.float32),
            labels=generator.integers(0, classes, batch),
            weights={
                "A": layer(inputs, hidden),
                "b": np.zeros(hidden, np.float32),
                "C": layer(hidden, classes),
                "d": np.zeros(classes, np.float32),
            },
            device=device,
        )

    def expected(self) -> Outcome:
        """The same training in float64, by hand."""
        weights = {name: weight.astype(np.float64) for name, weight in self.weights.items()}
        x = self.x.astype(np.float64)
        loss = mlp_numpy.train(np, x, self.labels, *weights.values(), self.rate, self.steps)
        return {"loss": np.asarray(loss), **weights}

    def settings(self) -> Mapping[str, Any]:
        """What the table says about it."""
        batch, inputs = self.x.shape
        hidden, classes = self.weights["C"].shape
        network = f"{inputs}-{hidden}-{classes}"
        return {"network": network, "batch": batch, "dtype": "float32", "device": self.device}


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--sizes",
        type=positive,
        nargs=3,
        default=[784, 256, 10],
        metavar=("INPUTS", "HIDDEN", "CLASSES"),
        help="default: 784 256 10",
    )
    parser.add_argument("--batch", type=positive, default=128, help="default: %(default)s")
    add_device(parser)


def _problems(options: Namespace) -> list[MlpProblem]:
    return [MlpProblem.draw(options.sizes, options.batch, options.device)]


MLP = Workload(
    name="mlp",
    title="a training step of a perceptron with one hidden layer",
    unit="step",
    bases=("numpy", "numpy-out"),
    peers=(
        Peer("numpy", "hand-written NumPy", "numpy", "benchmarks.peers.numpy:Mlp"),
        Peer("numpy-out", "hand-written NumPy with out=", "numpy", "benchmarks.peers.numpy:MlpInPlace"),
        Peer("agrad", "agrad eager", "agrad", "benchmarks.peers.agrad:Mlp"),
        Peer("compiled", "agrad compiled, one call a step", "agrad", "benchmarks.peers.agrad:CompiledMlp"),
        Peer("repeated", "agrad compiled, all steps in one call", "agrad", "benchmarks.peers.agrad:RepeatedMlp"),
        Peer("jax", "JAX jit, one call a step", "jax", "benchmarks.peers.jax:Mlp"),
        Peer("torch", "PyTorch eager", "torch", "benchmarks.peers.torch:Mlp"),
        Peer("mygrad", "MyGrad", "mygrad", "benchmarks.peers.mygrad:Mlp"),
        Peer("autograd", "HIPS autograd", "autograd", "benchmarks.peers.autograd:Mlp"),
    ),
    problems=_problems,
    rounds=15,
    add_options=_add_options,
    tolerance=1e-4,  # single precision, after 50 steps
)
