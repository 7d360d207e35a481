"""What only a real GPU can show: `pytest -m gpu`. Everything else about CUDA is tested on the harness, too.

None of it measures time. Nothing is asked of the order in which streams run, but that the results are right in any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.functional import sigmoid, tanh
from agrad.losses import binary_cross_entropy
from tests import test_spiral

pytestmark = pytest.mark.gpu

DEVICE = "cuda:0"
LARGE = 4096  # a product of two such matrices takes any GPU longer than the host takes to ask for it


@pytest.fixture
def cp() -> Iterator[Any]:
    """CuPy, with a pool that holds nothing of the tests before."""
    cupy = pytest.importorskip("cupy")
    cupy.get_default_memory_pool().free_all_blocks()
    yield cupy
    cupy.cuda.Device(0).synchronize()


def sample(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def on_gpu(values: Any, device: str = DEVICE) -> Tensor:
    return Tensor(values, device=device)


def network(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (tanh(x @ a) @ b).sum()


def gradients(loss: Callable[..., Tensor], *leaves: Tensor) -> list[Any]:
    """The raw arrays; nobody has looked at them yet."""
    for leaf in leaves:
        leaf.grad = None
    loss(*leaves).backward()
    return [leaf.grad for leaf in leaves]


def on_host(arrays: list[Any]) -> list[Any]:
    return [array if isinstance(array, np.ndarray) else array.get() for array in arrays]


def relative_error(got: Any, expected: Any) -> float:
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))


def worst_error(got: list[Any], expected: list[Any]) -> float:
    return max(map(relative_error, on_host(got), expected))


# ---- the host runs ahead ----


def test_forward_and_backward_do_not_wait_for_the_gpu(cp: Any) -> None:
    x, a, b = (on_gpu(sample(LARGE, LARGE, seed=seed)) for seed in range(3))
    for _ in range(3):  # kernels are compiled and the pool is filled
        gradients(network, x, a, b)
    cp.cuda.Device(0).synchronize()
    for _ in range(10):
        gradients(network, x, a, b)
    done = cp.cuda.Event()
    done.record()
    assert not done.done, "the host waited, or this GPU multiplies a trillion numbers in no time"
    done.synchronize()
    assert done.done


def test_reading_a_value_waits(cp: Any) -> None:
    x = on_gpu(np.ones((LARGE, LARGE), "float32"))
    for _ in range(5):
        y = x @ x
    assert float(y[0, 0]) == LARGE


# ---- streams ----


def test_the_current_stream_is_used(cp: Any) -> None:
    leaves = [on_gpu(sample(512, 512, seed=seed)) for seed in range(3)]
    expected = on_host(gradients(network, *leaves))
    for _ in range(20):
        with cp.cuda.Stream(non_blocking=True) as stream:
            found = gradients(network, *leaves)
            launched = cp.cuda.Event()
            launched.record(stream)
        launched.synchronize()  # of this stream alone: whatever ran on another one need not be done
        assert worst_error(found, expected) < 1e-5


def test_streams_side_by_side(cp: Any) -> None:
    sets = [[on_gpu(sample(256, 256, seed=10 * i + seed)) for seed in range(3)] for i in range(8)]
    expected = [on_host(gradients(network, *leaves)) for leaves in sets]
    streams = [cp.cuda.Stream(non_blocking=True) for _ in sets]
    cp.cuda.Device(0).synchronize()
    for _ in range(10):
        found = []
        for stream, leaves in zip(streams, sets, strict=True):
            with stream:
                found.append(gradients(network, *leaves))
        for stream in streams:
            stream.synchronize()
        assert max(map(worst_error, found, expected)) < 1e-5


def test_threads_with_streams_of_their_own(cp: Any) -> None:
    sets = [[on_gpu(sample(256, 256, seed=10 * i + seed)) for seed in range(3)] for i in range(4)]
    expected = [on_host(gradients(network, *leaves)) for leaves in sets]
    cp.cuda.Device(0).synchronize()
    errors: dict[int, list[float]] = {}

    def work(i: int) -> None:
        with cp.cuda.Device(0), cp.cuda.Stream(non_blocking=True):
            errors[i] = [worst_error(gradients(network, *sets[i]), expected[i]) for _ in range(25)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(sets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(errors) == [0, 1, 2, 3]
    assert max(map(max, errors.values())) < 1e-5


# ---- graphs ----


def test_a_step_without_products_is_captured_and_replayed(cp: Any) -> None:
    x, target = on_gpu(sample(1000)), on_gpu((sample(1000, seed=1) > 0).astype("float32"))

    def step() -> Any:
        (gradient,) = gradients(lambda leaf: binary_cross_entropy(sigmoid(leaf * 2.0), target), x)
        return gradient

    step()  # compiles
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        step()  # fills the pool of this stream
        stream.begin_capture()
        captured = step()
        graph = stream.end_capture()
    for seed in (2, 3):
        x.value[...] = cp.asarray(sample(1000, seed=seed))
        expected = step().get()
        cp.cuda.Device(0).synchronize()
        with stream:
            graph.launch(stream)
        stream.synchronize()
        np.testing.assert_array_equal(captured.get(), expected)


# ---- memory ----


def test_running_out_of_memory_is_survived(cp: Any) -> None:
    free, total = cp.cuda.Device(0).mem_info
    x = on_gpu(sample(256, 256))
    before = network(x, x, x).numpy()
    with pytest.raises(MemoryError):
        ag.zeros((total // 8 + 1,), dtype="float64", device=DEVICE)
    kept = []
    with pytest.raises(MemoryError):
        for _ in range(1 + 16 * total // max(free, 1)):
            kept.append(ag.ones((free // 16 // 8,), dtype="float64", device=DEVICE))
    assert kept
    del kept
    np.testing.assert_allclose(network(x, x, x).numpy(), before, rtol=1e-6)


def test_memory_is_given_back(cp: Any) -> None:
    pool = cp.get_default_memory_pool()
    leaves = [on_gpu(sample(1024, 1024, seed=seed)) for seed in range(3)]
    gradients(network, *leaves)
    used = pool.used_bytes()
    for _ in range(20):
        gradients(network, *leaves)
    assert pool.used_bytes() == used


# ---- numbers ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_have_the_digits_of_their_dtype(cp: Any, dtype: str) -> None:
    x, y = sample(700, 900, dtype="float64"), sample(900, 500, dtype="float64", seed=1)
    got = (on_gpu(x.astype(dtype)) @ on_gpu(y.astype(dtype))).numpy()
    expected = x.astype(dtype).astype("float64") @ y.astype(dtype).astype("float64")
    # TensorFloat-32 would be a thousand times worse.
    assert relative_error(got, expected) < {"float32": 3e-6, "float64": 1e-14}[dtype]


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "sqrt", "reciprocal", "atan", "log1p"])
def test_functions_have_the_digits_of_their_dtype(cp: Any, name: str) -> None:
    values = np.abs(sample(10000, dtype="float64")) + 0.1
    for dtype, tolerance in (("float32", 1e-6), ("float64", 2e-15)):
        x, host = on_gpu(values.astype(dtype)), Tensor(values.astype(dtype).astype("float64"))
        (got,) = on_host(gradients(lambda leaf: getattr(ag, name)(leaf).sum(), x))
        (expected,) = gradients(lambda leaf: getattr(ag, name)(leaf).sum(), host)
        # The derivative of tanh is what is left of 1, so the digits are those of 1.
        error = np.abs(got - expected) / np.maximum(np.abs(expected), 1.0)
        assert error.max() < 8 * tolerance, dtype


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_long_sums(cp: Any, axis: int | None) -> None:
    values = sample(3000, 2000) + 1
    got = on_gpu(values).sum(axis=axis).numpy()
    assert relative_error(got, values.astype("float64").sum(axis=axis)) < 1e-5


def test_additions_in_any_order(cp: Any) -> None:
    """The gradient of indexing with repeated indices is made of atomic additions."""
    index = np.random.default_rng(0).integers(0, 7, 100_000)
    weight = sample(100_000)
    expected = np.zeros(7)
    np.add.at(expected, index, weight.astype("float64"))
    x, places, factors = on_gpu(sample(7)), on_gpu(index), on_gpu(weight)
    for _ in range(5):
        (got,) = on_host(gradients(lambda leaf: (ag.take(leaf, places) * factors).sum(), x))
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-2)


def test_decompositions_by_cusolver(cp: Any) -> None:
    a = sample(60, 60, dtype="float64")
    positive = a @ a.T + 60 * np.eye(60)
    x, b = on_gpu(positive), on_gpu(sample(60, 3, dtype="float64", seed=1))
    host, b_host = Tensor(positive), Tensor(b.numpy())
    for function in (
        lambda x, b: ag.linalg.solve(x, b).sum(),
        lambda x, b: ag.linalg.cholesky(x).sum() + b.sum(),
        lambda x, b: ag.linalg.slogdet(x)[1] + b.sum(),
        lambda x, b: ag.linalg.svdvals(x).sum() + b.sum(),
        lambda x, b: ag.linalg.eigvalsh(x)[0] + b.sum(),
    ):
        found = on_host(gradients(function, x, b))
        for got, expected in zip(found, gradients(function, host, b_host), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("length", [1 << 12, 1009, 3 * 5 * 7 * 11])
def test_fourier_transforms_by_cufft(cp: Any, length: int) -> None:
    values = sample(3, length, dtype="float64")

    def power(leaf: Tensor) -> Tensor:
        return (abs(ag.fft.rfft(leaf)) ** 2).sum()

    (got,), (expected,) = on_host(gradients(power, on_gpu(values))), gradients(power, Tensor(values))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * length)


def test_random_numbers_by_curand(cp: Any) -> None:
    ag.random.seed(7)
    normal = ag.random.normal(1_000_000, device=DEVICE).numpy()
    uniform = ag.random.uniform(shape=1_000_000, device=DEVICE).numpy()
    ag.random.seed(7)
    np.testing.assert_array_equal(ag.random.normal(1_000_000, device=DEVICE).numpy(), normal)
    assert abs(normal.mean()) < 0.005 and abs(normal.std() - 1) < 0.005 and abs((normal**3).mean()) < 0.02
    assert 0 <= uniform.min() < 1e-4 and 1 - 1e-4 < uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.002
    assert abs(np.corrcoef(normal, uniform)[0, 1]) < 0.005


def test_the_spiral_is_learnt_as_on_the_cpu(cp: Any) -> None:
    expected, _ = test_spiral.train("cpu")
    losses, _ = test_spiral.train(DEVICE)
    np.testing.assert_allclose(losses, expected, rtol=1e-7)


# ---- other libraries and other GPUs ----


def test_torch_shares_the_memory(cp: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this torch cannot use the GPU")
    x = on_gpu(sample(5))
    there = torch.from_dlpack(x.value)
    assert there.data_ptr() == x.value.data.ptr
    there += 1
    torch.cuda.synchronize()
    np.testing.assert_allclose(x.numpy(), sample(5) + 1)
    back = Tensor(cp.from_dlpack(there * 2))
    assert back.device == DEVICE
    np.testing.assert_allclose(back.numpy(), 2 * (sample(5) + 1), rtol=1e-6)


@pytest.fixture
def second(cp: Any) -> str:
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("this machine has one GPU")
    return "cuda:1"


def test_gradients_flow_from_gpu_to_gpu(cp: Any, second: str) -> None:
    values = sample(300, 300)
    x = on_gpu(values)
    (tanh(x.to(second) * 2.0).to(DEVICE) @ x).sum().backward()
    host = Tensor(values.astype("float64"))
    (tanh(host * 2.0) @ host).sum().backward()
    assert x.grad.device.id == 0
    assert relative_error(x.grad.get(), host.grad) < 1e-5


def test_copies_from_gpu_to_gpu_arrive(cp: Any, second: str) -> None:
    values = sample(2000, 2000)
    for _ in range(10):
        there = on_gpu(values).to(second)
        assert there.device == second
        np.testing.assert_array_equal((there + 0).to(DEVICE).numpy(), values)


def test_peer_access_is_what_the_hardware_says(cp: Any, second: str) -> None:
    if not cp.cuda.runtime.deviceCanAccessPeer(0, 1):
        pytest.skip("these two GPUs cannot reach each other's memory")
    values = sample(1000, 1000)
    there = on_gpu(values, second)
    with cp.cuda.Device(0):
        np.testing.assert_array_equal(cp.asarray(there.value).get(), values)
