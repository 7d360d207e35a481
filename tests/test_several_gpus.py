"""Arrays of two GPUs: operations run where their arrays are, whatever CuPy's current device is.

The tests run where `--device` asks for a second GPU, as in `pytest --device cuda:1`, which the harness
(tests/cuda_on_cpu) has as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.backend import find_device
from agrad.functional import sigmoid, tanh
from agrad.losses import binary_cross_entropy
from agrad.nn import Model
from agrad.optim import SGD, Adam
from tests import cuda_on_cpu
from tests.test_backends import MIXED, check_mixed

FIRST = "cuda:0"


@pytest.fixture
def second(device: str) -> str:
    if not device.startswith("cuda:") or device == FIRST:
        pytest.skip("about a second GPU")
    return device


def current() -> int:
    import cupy

    return int(cupy.cuda.runtime.getDevice())


def on(device: str, *values: Any) -> bool:
    """Whether raw arrays are where they should be."""
    return {f"cuda:{value.device.id}" for value in values} == {device}


# Where operations run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True])
def test_operations_run_where_their_arrays_are(second: str, inside: bool) -> None:
    def run() -> None:
        for device in (FIRST, second):
            x = Tensor([[0.5, -1.0], [2.0, 0.25]], device=device)
            y = (ag.tanh(x @ x.mT) * x + x[0]).sum(axis=0)
            y.backward(ag.asarray([1.0, -2.0], device=device))
            assert on(device, y.value, x.value, x.grad, y.grad)
            assert y.device == device
        expected = Tensor([[0.5, -1.0], [2.0, 0.25]], device="cpu")
        (ag.tanh(expected @ expected.mT) * expected + expected[0]).sum(axis=0).backward(np.array([1.0, -2.0]))
        np.testing.assert_allclose(Tensor(x.grad).numpy(), expected.grad)

    if inside:
        with ag.device(second):
            run()
            assert current() == int(second[-1])
    else:
        run()
    assert current() == 0


def test_products_and_zeros_do_not_land_on_the_current_gpu(second: str) -> None:
    """What CuPy computes on the current device without a word."""
    x = Tensor(np.ones((2, 2)), device=second)
    results = [x @ x, ag.zeros_like(x), ag.ones(2, device=second), ag.linalg.inv(x + ag.eye(2, device=second))]
    results += [ag.asarray(x, copy=True), x.detach(), Tensor(x.value), ag.fft.fft(x), ag.sort(x), ag.special.erf(x)]
    assert on(second, *[result.value for result in results])


def test_an_error_leaves_the_current_device_as_it_was(second: str) -> None:
    x = Tensor(np.ones((2, 3)), device=second)
    with pytest.raises(ag.ShapeError):
        x @ x
    assert current() == 0
    with pytest.raises(ag.GraphError):
        ag.zeros(2, device=second).backward()
    assert current() == 0


def test_threads_with_a_gpu_each(second: str) -> None:
    results: dict[str, float] = {}

    def work(device: str) -> None:
        w = Tensor(np.arange(4.0), device=device)
        for _ in range(10):
            (w * w * 0.5).sum().backward()
            w.gradient_update(0.5)
        assert on(device, w.value)
        results[device] = float(w.sum())

    threads = [threading.Thread(target=work, args=(device,)) for device in (FIRST, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {FIRST: 6 / 2**10, second: 6 / 2**10}


# Moving --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_arrays_move_from_gpu_to_gpu(second: str, dtype: Any) -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3), device=FIRST)
    for source in (x, x.mT, x[:, ::2], Tensor(1.5, device=FIRST), ag.zeros((0, 2), device=FIRST)):
        if cuda_on_cpu.is_active():
            with cuda_on_cpu.counting() as cost:
                moved = Tensor(source, device=second, dtype=dtype, requires_grad=False)
            assert (cost.host_to_device, cost.device_to_host, cost.synchronizations) == (0, 0, 0)
        else:
            moved = Tensor(source, device=second, dtype=dtype, requires_grad=False)
        assert on(second, moved.value)
        assert moved.dtype == (dtype or "float64")
        np.testing.assert_array_equal(moved.numpy(), source.numpy())
    assert current() == 0


def test_gradients_flow_from_gpu_to_gpu(second: str) -> None:
    a, b = Tensor([1.0, 2.0], device=FIRST), Tensor([3.0, 5.0], device=second)
    hidden = (a * a).to(second) * b
    loss = (hidden.to(FIRST) * a).sum().to("cpu") * 2.0
    loss.backward()
    assert on(FIRST, a.grad) and on(second, b.grad, hidden.grad)
    np.testing.assert_allclose(Tensor(a.grad).numpy(), 6 * np.array([1.0, 4.0]) * [3.0, 5.0])
    np.testing.assert_allclose(Tensor(b.grad).numpy(), 2 * np.array([1.0, 8.0]))
    gradient = ag.grad(lambda a: ((a * a).to(second) * b).sum())
    assert gradient(a).device == FIRST
    second_order = ag.hessian(lambda a: ((a * a * a).to(second) * b).sum())(a)
    np.testing.assert_allclose(second_order.numpy(), np.diag(6 * np.array([1.0, 2.0]) * [3.0, 5.0]))


@pytest.mark.parametrize("name", MIXED)
def test_two_gpus_do_not_mix(second: str, name: str) -> None:
    check_mixed(name, FIRST, second)
    check_mixed(name, second, FIRST)


def test_masks_and_assignments_stay_on_their_gpu(second: str) -> None:
    x = Tensor([1.0, -2.0, 3.0], device=second)
    y = x * 1.0
    y[x < 0] = 0.0
    y[0] = x[2] * 2.0
    y[1:] = x[:2]
    z = ag.where(y > 0, ag.log(y), y)
    z.sum().backward()
    assert on(second, x.grad, z.value)
    np.testing.assert_allclose(Tensor(x.grad).numpy(), [1.0, 1.0, 1 / 3])


# Training ------------------------------------------------------------------------------------------------------------


class TwoHalves(Model):
    """A network whose halves are on two GPUs."""

    def __init__(self, first: str, second: str) -> None:
        rng = np.random.default_rng(0)
        self.a = Tensor(rng.normal(size=(3, 4)), device=first)
        self.b = Tensor(rng.normal(size=(4, 1)), device=second)
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        return sigmoid(tanh(x @ self.a).to(self.second) @ self.b)


UPDATES: dict[str, Callable[[Model], Callable[[], None]]] = {
    "gradient_update": lambda model: lambda: model.gradient_update(0.5),
    "SGD": lambda model: SGD(model, lr=0.5, momentum=0.5).step,
    "Adam": lambda model: Adam(model, lr=0.1).step,
}


@pytest.mark.parametrize("name", UPDATES)
def test_a_model_on_two_gpus_learns_as_on_the_host(second: str, name: str) -> None:
    rng = np.random.default_rng(1)
    data, labels = rng.normal(size=(6, 3)), rng.integers(0, 2, size=(6, 1)).astype(float)
    found = []
    for first, last in (("cpu", "cpu"), (FIRST, second)):
        model = TwoHalves(first, last)
        update = UPDATES[name](model)
        x, y = ag.asarray(data, device=first), ag.asarray(labels, device=last)
        for _ in range(5):
            loss = binary_cross_entropy(model(x), y)
            loss.backward()
            update()
        found.append([loss.item(), *model.a.numpy().reshape(-1), *model.b.numpy().reshape(-1)])
    assert on(FIRST, model.a.value) and on(second, model.b.value)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


def test_compiled_functions_run_on_their_gpu(second: str) -> None:
    losses = []
    for device in ("cpu", second):
        w = Tensor([0.5, -0.25], device=device)
        x, y = ag.asarray([[1.0, 2.0], [3.0, 5.0]], device=device), ag.asarray([0.0, 1.0], device=device)

        @ag.compile
        def step(x: Tensor, y: Tensor, w: Tensor = w) -> Tensor:
            loss = binary_cross_entropy(sigmoid(x @ w), y)
            loss.backward()
            w.gradient_update(0.5)
            return loss

        losses.append([float(step(x, y)) for _ in range(4)])
        losses[-1] += step.repeat(3, x, y).numpy().tolist()
        assert "step is compiled" in str(step.report())
    assert on(second, w.value)
    assert current() == 0
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)


def test_what_computes_on_two_gpus_is_not_compiled_and_says_so(second: str) -> None:
    f = ag.compile(lambda x: (x * 2.0).to(second) + 1.0)
    x = ag.asarray([1.0, 2.0], device=FIRST)
    for _ in range(2):
        np.testing.assert_array_equal(f(x).numpy(), [3.0, 5.0])
    assert f"it computes on '{FIRST}' and '{second}': compile what is done on each" in str(f.report())


# Devices of their own ------------------------------------------------------------------------------------------------


def test_each_gpu_has_a_generator_of_its_own(second: str) -> None:
    ag.random.seed(5)
    alone = ag.random.normal((3,), device=second).numpy()
    ag.random.seed(5)
    ag.random.normal((10,), device=FIRST)
    drawn = [ag.random.normal((3,), device=second), ag.random.uniform((3,), device=second)]
    drawn += [ag.random.integers(0, 9, (3,), device=second), ag.random.permutation(5, device=second)]
    assert on(second, *[x.value for x in drawn])
    np.testing.assert_array_equal(drawn[0].numpy(), alone)


def test_the_default_device_is_cupys_too(second: str) -> None:
    import cupy

    with ag.device(second):
        x = Tensor([1.0, 2.0])
        (x * x).sum().backward()
        with ag.no_grad():
            x -= 0.25 * x.grad  # CuPy's own arithmetic
        assert on(second, cupy.zeros(2), x.value, ag.random.uniform((2,)).value, ag.ones(2).value)
        with ag.device(FIRST):
            assert on(FIRST, cupy.zeros(2), ag.ones(2).value)
        assert current() == int(second[-1])
    assert current() == 0
    np.testing.assert_array_equal(x.numpy(), [0.5, 1.0])


def test_memory_is_that_of_each_gpu(second: str) -> None:
    before = ag.memory.info(FIRST).used, ag.memory.info(second).used
    x = ag.zeros(1 << 15, device=second)
    assert (ag.memory.info(FIRST).used, ag.memory.info(second).used - before[1]) == (before[0], x.size * 8)
    ag.memory.set_limit(ag.memory.info(second).held + 1, second)
    try:
        with pytest.raises(ag.OutOfMemoryError, match=f"ones.* on device '{second}' ran out"):
            ag.ones(1 << 20, device=second)
        ag.ones(1 << 20, device=FIRST)
    finally:
        ag.memory.set_limit(None, second)
    assert ag.memory.info(FIRST).limit is None
    ag.synchronize(second)


def test_a_second_gpu_is_listed(second: str) -> None:
    assert ag.devices()[second] == "available"
    assert find_device("cuda").name == FIRST
    with pytest.raises(ag.DeviceError, match=r"there is no device 'cuda:99'; of this kind there are: cuda:0, cuda:1"):
        Tensor([1.0], device="cuda:99")
