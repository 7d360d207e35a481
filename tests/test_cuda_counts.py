"""What a training step asks of a CUDA device, counted on the harness: nothing waits, nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import agrad as ag
from agrad import Tensor
from agrad.datasets import spiral
from agrad.functional import relu, sigmoid, tanh
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


def perceptron_step(device: str) -> Callable[[], Tensor]:
    """Two layers with biases, integer labels: broadcasting, a gather and its scatter."""
    x = ag.random.normal((64, 20), device=device)
    labels = ag.random.integers(0, 5, (64,), device=device)
    shapes = {"w1": (20, 32), "b1": (32,), "w2": (32, 5), "b2": (5,)}
    p = {name: Tensor.from_random(*shape, device=device) for name, shape in shapes.items()}

    def step() -> Tensor:
        loss = cross_entropy(relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"], labels)
        loss.backward()
        for parameter in p.values():
            parameter.gradient_update(0.1)
        return loss

    return step


def optimizer_step(device: str) -> Callable[[], Tensor]:
    """Adam, with its state of two arrays and a number for each parameter."""
    p = {name: Tensor.from_random(*shape, device=device) for name, shape in (("a", (30, 4)), ("b", (4,)), ("c", ()))}
    optimizer = Adam(p, lr=0.01)

    def step() -> Tensor:
        loss = ((p["a"] * p["b"] - p["c"]) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


Made = Callable[[str], Callable[[], Tensor]]

# Launches and matrix products together, the latter, and the bytes of arrays at the highest.
EAGER: list[tuple[Made, int, int, int]] = [
    (spiral_step, 24, 8, 110_000),
    (perceptron_step, 35, 5, 60_000),
    (optimizer_step, 15, 0, 8_000),
]
COMPILED: list[tuple[Made, int, int, int]] = [
    (spiral_step, 10, 3, 85_000),
    (perceptron_step, 12, 4, 52_000),
    (optimizer_step, 3, 0, 8_000),
]


def _count(step: Callable[[], Tensor], most: int, products: int) -> int:
    """Count some steps, and give the bytes of arrays that one has at once, beyond those that there are before it."""
    for _ in range(4):  # kernels are compiled, a program is recorded, the pool is filled
        loss = step()
    with cuda_on_cpu.counting() as counted:
        for _ in range(STEPS):
            loss = step()
    assert (counted.synchronizations, counted.host_to_device, counted.device_to_host) == (0, 0, 0)
    assert counted.mallocs == 0
    assert counted.gemms <= products * STEPS
    assert counted.launches + counted.gemms <= most * STEPS
    with _peak() as peak:
        step()
    assert ag.isfinite(loss).item()
    return max(peak)


@contextmanager
def _peak() -> Iterator[list[int]]:
    """The bytes that arrays take after each allocation of a block, less what they take before it."""
    import cupy

    class Hook(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "peak"

        def malloc_postprocess(self, **_: object) -> None:
            used.append(pool.used_bytes() - before)

    pool = cupy.get_default_memory_pool()
    before, used = pool.used_bytes(), [0]
    with Hook():
        yield used


@pytest.fixture
def on_harness(device: str) -> str:
    if not device.startswith("cuda") or not cuda_on_cpu.is_active():
        pytest.skip("counts need CuPy on the harness tests/cuda_on_cpu")
    return device


@pytest.mark.parametrize(("make", "most", "products", "most_bytes"), EAGER)
def test_a_step_waits_for_nothing(make: Made, most: int, products: int, most_bytes: int, on_harness: str) -> None:
    assert _count(make(on_harness), most, products) <= most_bytes


@pytest.mark.parametrize(("make", "most", "products", "most_bytes"), COMPILED)
def test_a_compiled_step_waits_for_nothing(
    make: Made, most: int, products: int, most_bytes: int, on_harness: str
) -> None:
    step = ag.compile(make(on_harness))
    peak = _count(step, most, products)
    assert step.report().captured, str(step.report())
    assert peak + step.report().programs[0]["bytes"] <= most_bytes


def test_a_loss_is_downloaded_when_somebody_looks(on_harness: str) -> None:
    loss = spiral_step(on_harness)()
    with cuda_on_cpu.counting() as counted:
        value = loss.value
    assert (type(value).__module__.partition(".")[0], counted.device_to_host) == ("cupy", 0)
    with cuda_on_cpu.counting() as counted:
        loss.item()
    assert counted.device_to_host == 1


def _pull(function: Callable[..., Tensor], *arguments: Tensor) -> None:
    y, pullback = ag.vjp(function, *arguments)
    pullback(ag.ones_like(y))


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "abs": (ag.abs, "float64"),
    "abs of complex numbers": (ag.abs, "complex128"),
    "sign": (ag.sign, "float64"),
    "sign of complex numbers": (ag.sign, "complex128"),
    "copysign": (lambda x: ag.copysign(x, x + 1), "float64"),
    "masks": (lambda x: ag.where(x > 0, x, x * 2), "float64"),
    "extrema": (lambda x: ag.max(ag.maximum(x, 0.5), axis=0), "float64"),
    "power": (lambda x: x**x, "float64"),
    "sorting": (lambda x: ag.sort(x, axis=0), "float64"),
    "inverse": (ag.linalg.inv, "float64"),
    "erfinv": (lambda x: ag.special.erfinv(x / 10), "float64"),
    "i0e": (ag.special.i0e, "float64"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_their_gradients_wait_for_nothing(name: str, on_harness: str) -> None:
    function, dtype = FUNCTIONS[name]
    x = Tensor([[1.0, -2.0], [0.0, 0.5]], device=on_harness, dtype=dtype)
    _pull(function, x)
    with cuda_on_cpu.counting() as counted:
        _pull(function, x)
    assert (counted.synchronizations, counted.host_to_device, counted.device_to_host) == (0, 0, 0)
