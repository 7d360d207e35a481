"""What a training step asks of a CUDA device, counted on the harness: nothing waits, nothing is copied."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import agrad as ag
from agrad import Tensor
from agrad.datasets import spiral
from agrad.functional import sigmoid, tanh
from agrad.losses import binary_cross_entropy, cross_entropy
from agrad.nn import Model
from agrad.optim import Adam
from tests import cuda_on_cpu

STEPS = 5


class Network(Model):
    def __init__(self, device: str) -> None:
        self.layers = [Tensor.from_random(*shape, device=device) for shape in ((2, 8), (8, 8), (8, 1))]

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.layers
        return sigmoid(tanh(tanh(x @ a) @ b) @ c)


def spiral_step(device: str) -> Callable[[], Tensor]:
    xs, ys = spiral(200, device=device)
    model = Network(device)

    def step() -> Tensor:
        loss = binary_cross_entropy(model(xs), ys)
        loss.backward()
        model.gradient_update(0.1)
        return loss

    return step


def classifier_step(device: str) -> Callable[[], Tensor]:
    """A layer with a bias, integer labels, and Adam: broadcasting, a gather and its scatter, an optimiser's state."""
    x = ag.random.normal((32, 6), device=device)
    labels = ag.random.integers(0, 4, (32,), device=device)
    parameters = {"weight": Tensor.from_random(6, 4, device=device), "bias": Tensor.zeros(4, device=device)}
    optimizer = Adam(parameters, lr=0.01)

    def step() -> Tensor:
        loss = cross_entropy(x @ parameters["weight"] + parameters["bias"], labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize(("make", "most"), [(spiral_step, 53), (classifier_step, 54)])
def test_a_step_waits_for_nothing(make: Callable[[str], Callable[[], Tensor]], most: int, device: str) -> None:
    if not device.startswith("cuda") or not cuda_on_cpu.is_active():
        pytest.skip("counts need CuPy on the harness tests/cuda_on_cpu")
    step = make(device)
    for _ in range(3):  # kernels are compiled and the pool is filled
        step()
    with cuda_on_cpu.counting() as counted:
        for _ in range(STEPS):
            loss = step()
    assert (counted.synchronizations, counted.host_to_device, counted.device_to_host) == (0, 0, 0)
    assert counted.mallocs == 0
    assert counted.launches + counted.gemms <= most * STEPS
    assert ag.isfinite(loss).item()
