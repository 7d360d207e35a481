"""The chapter's network learns the same on every device: one script, with one string changed."""

from __future__ import annotations

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.datasets import spiral
from agrad.functional import sigmoid, tanh
from agrad.losses import binary_cross_entropy
from agrad.nn import Model
from benchmarks.reference import spiral_numpy

STEPS, SEED = 200, 3


class TwoLayerNetwork(Model):
    def __init__(self, device: str) -> None:
        self.A = Tensor.from_random(2, 8, device=device, dtype="float64")
        self.B = Tensor.from_random(8, 8, device=device, dtype="float64")
        self.C = Tensor.from_random(8, 1, device=device, dtype="float64")

    def forward(self, x: Tensor) -> Tensor:
        return sigmoid(tanh(tanh(x @ self.A) @ self.B) @ self.C)


def train(device: str) -> tuple[list[float], list[np.ndarray]]:
    """The losses before each step, and the weights at the end."""
    ag.random.seed(SEED)
    xs, ys = spiral(seed=SEED, device=device, dtype="float64")
    model = TwoLayerNetwork(device)
    losses = []
    for _ in range(STEPS):
        loss = binary_cross_entropy(model(xs), ys)
        loss.backward()
        model.gradient_update(spiral_numpy.RATE)
        losses.append(float(loss))
    return losses, [weight.numpy() for weight in model.parameters().values()]


def train_by_hand() -> tuple[list[float], list[np.ndarray]]:
    """The same in NumPy, without agrad but for the initial weights."""
    ag.random.seed(SEED)
    xs, ys = spiral_numpy.spiral(seed=SEED)
    weights = [weight.numpy() for weight in TwoLayerNetwork("cpu").parameters().values()]
    losses = [spiral_numpy.train(xs, ys, *weights, steps=1) for _ in range(STEPS)]
    return losses, weights


def test_the_same_losses_on_every_device(device: str) -> None:
    expected, expected_weights = train_by_hand()
    losses, weights = train(device)
    assert len(set(losses)) == STEPS
    assert losses[-1] < 0.7 * losses[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    for weight, right in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(weight, right, rtol=1e-8)


def test_the_reference_is_sensitive() -> None:
    """A wrong learning rate, one part in a million, would be seen: the comparison above is not blind."""
    expected, _ = train_by_hand()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spiral_numpy, "RATE", spiral_numpy.RATE * (1 + 1e-6))
        wrong, _ = train_by_hand()
    assert not np.allclose(wrong, expected, rtol=1e-9)
