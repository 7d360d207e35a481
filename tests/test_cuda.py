"""The CuPy backend: what is copied, what waits, which stream and memory are used, and where CuPy is not NumPy.

The tests run where a CUDA device is among `--device`; what they count is counted by the harness (tests/cuda_on_cpu).
"""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.backend import find_device
from agrad.functional import sigmoid
from agrad.losses import binary_cross_entropy
from agrad.optim import Adam
from tests import cuda_on_cpu
from tests.test_functions import CALLS, DATA, Data
from tests.test_rules import TABLE, _arguments


@pytest.fixture
def gpu(device: str) -> str:
    if not device.startswith("cuda"):
        pytest.skip("about CUDA alone")
    return device


@pytest.fixture
def counted(gpu: str) -> str:
    if not cuda_on_cpu.is_active():
        pytest.skip("counted on the harness tests/cuda_on_cpu")
    return gpu


def number(device: str) -> int:
    return int(device.removeprefix("cuda:"))


def is_settled(cost: cuda_on_cpu.Counters) -> bool:
    """Whether nothing was copied from or to the host, and nothing waited for."""
    return (cost.host_to_device, cost.device_to_host, cost.synchronizations) == (0, 0, 0)


# Copies and waiting --------------------------------------------------------------------------------------------------

SIZES = "the shape of the result depends on values"
LOOKING = {
    **dict.fromkeys(("nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values", "x[mask]"), SIZES),
    **dict.fromkeys(("repeat", "bincount", "arange"), SIZES),
    "x[i] = v": "values are counted that go to the elements of a mask",
    "index_add": "the gradient of values that go to the elements of a mask has their number",
    **dict.fromkeys(("x.to", "to_device"), "it moves to the host and back"),
    **dict.fromkeys(
        [f"special.{name}" for name in ("gammainc", "gammaincc", "betainc", "stdtr", "fdtr", "fdtrc")],
        "a series is added up until it stays",
    ),
}
"""The functions that wait for the GPU, and why. No other does, forwards or backwards."""


class Held(Data):
    """The data of the functions' table, which is on the device already."""

    def __init__(self, device: str) -> None:
        arrays = {name: ag.asarray(data, device=device) for name, data in DATA.items()}
        super().__init__(find_device(device).functions, lambda data: data)
        self.arrays = arrays

    def __getattr__(self, name: str) -> Any:
        return self.arrays[name]


def function_of(xp: Any, name: str) -> Any:
    """The function of that name; None for operators."""
    found = xp
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def test_no_function_waits_or_leaves_the_device(counted: str) -> None:
    data = Held(counted)
    waiting = set()
    for name, call in CALLS.items():
        function = function_of(data.xp, name)
        call(function, data)  # what is made once, such as a handle of cuBLAS
        with cuda_on_cpu.counting() as cost:
            call(function, data)
        if not is_settled(cost):
            waiting.add(name)
    assert waiting == waiting & set(LOOKING)


def test_no_rule_waits_or_leaves_the_device(counted: str) -> None:
    waiting = set()
    for name, rows in TABLE.items():
        for row in rows:
            if "cuda" in row.unsupported:
                continue
            arguments = _arguments(row, counted)
            with cuda_on_cpu.counting() as forwards:  # constants are uploaded in some rows
                result = row.function(*arguments)
            gradient = ag.ones_like(result)
            with cuda_on_cpu.counting() as backwards:
                if result.requires_grad:
                    result.backward(gradient)
            if forwards.synchronizations or forwards.device_to_host or not is_settled(backwards):
                waiting.add(name)
    assert waiting == {name for name in LOOKING if name in TABLE} - {"nonzero"}


def test_uploads_do_not_wait_and_copy_once(counted: str) -> None:
    host = np.random.default_rng(0).normal(size=(50, 3))
    for value in (host, host.T, host.astype("float32"), host[::2], [[1.0, 2.0]], 3.0, np.float32(2), np.zeros((0, 2))):
        with cuda_on_cpu.counting() as cost:
            Tensor(value, device=counted)
        assert (cost.device_to_host, cost.synchronizations) == (0, 0)
        assert cost.host_to_device <= 1


def test_uploads_go_through_pinned_memory(gpu: str) -> None:
    import cupy

    pool, asked = cupy.get_default_pinned_memory_pool(), []

    def allocate(size: int) -> Any:
        asked.append(size)
        return pool.malloc(size)

    host = np.ones(1000)
    cupy.cuda.set_pinned_memory_allocator(allocate)
    try:
        Tensor(host, device=gpu)
    finally:
        cupy.cuda.set_pinned_memory_allocator(pool.malloc)
    assert sum(asked) >= host.nbytes


def test_what_is_uploaded_may_be_written_to_at_once(gpu: str) -> None:
    host = np.arange(100_000.0)
    x = Tensor(host, device=gpu)
    host[:] = -1.0
    np.testing.assert_array_equal(x.numpy(), np.arange(100_000.0))


def test_downloads_are_one_copy(counted: str) -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3), device=counted)
    for look in (lambda: x.numpy(), lambda: x.to("cpu"), lambda: float(x[1, 2]), lambda: repr(x)):
        with cuda_on_cpu.counting() as cost:
            look()
        assert (cost.device_to_host, cost.host_to_device) == (1, 0)


def test_synchronize_waits(counted: str) -> None:
    for wait in (lambda: ag.synchronize(counted), ag.synchronize):
        with cuda_on_cpu.counting() as cost:
            wait()
        assert cost.synchronizations >= 1
    with cuda_on_cpu.counting() as cost:
        ag.synchronize("cpu")
    assert cost.synchronizations == 0


# Streams -------------------------------------------------------------------------------------------------------------


def test_operations_run_on_the_current_stream_of_the_thread(counted: str) -> None:
    """What a stream captures has been launched on it, and nowhere else."""
    import cupy

    x = Tensor([0.25, 0.5], device=counted)

    def step() -> Tensor:
        y = ag.tanh(x * 3.0) + 1.0
        y.backward()
        return y

    step()
    with ag.device(counted):
        stream = cupy.cuda.Stream(non_blocking=True)
        with cuda_on_cpu.counting() as cost, stream:
            stream.begin_capture()
            y = step()
            graph = stream.end_capture()
        assert cost.launches == 0
        graph.launch(stream)
    stream.synchronize()
    np.testing.assert_allclose(y.numpy(), np.tanh([0.75, 1.5]) + 1)
    np.testing.assert_allclose(Tensor(x.grad).numpy(), 3 * (1 - np.tanh([0.75, 1.5]) ** 2))


def test_threads_have_streams_of_their_own(gpu: str) -> None:
    import cupy

    results: dict[int, float] = {}

    def work(k: int) -> None:
        with ag.device(gpu), cupy.cuda.Stream(non_blocking=True):
            w = Tensor(np.full(20, float(k)), device=gpu)
            for _ in range(5):
                (w * w).sum().backward()
                w.gradient_update(0.25)
            results[k] = float(w.sum())

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: 20 * k / 2**5 for k in range(4)}


# Memory --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(counted: str) -> Iterator[Callable[[], Any]]:
    """A function that gives a context in which the device has no memory for anything new."""
    import cupy

    def filled() -> Any:
        gc.collect()
        return Filled()

    class Filled:
        def __enter__(self) -> None:
            with ag.device(counted):
                self.limit = cuda_on_cpu.memory_limit(1, number(counted))
                self.limit.__enter__()
                self.pieces = []
                try:
                    while True:
                        self.pieces.append(cupy.empty(1))
                except cupy.cuda.memory.OutOfMemoryError:
                    pass

        def __exit__(self, *reason: Any) -> None:
            self.pieces.clear()
            self.limit.__exit__(*reason)

    yield filled


MESSAGE = (
    r"ran out of memory: Out of memory allocating [\d,]+ bytes .*Arrays use .*, their pool holds .* free\. Let go of"
)


def test_running_out_of_memory_says_what_is_used_and_what_to_try(counted: str, full: Any) -> None:
    x = Tensor([1.0, 2.0], device=counted)
    with full(), pytest.raises(ag.OutOfMemoryError, match=MESSAGE) as error:
        x * 2.0
    text = str(error.value)
    assert text.startswith(f"multiply((2,) float64, 2.0) on device '{counted}' ran out of memory")
    assert "smaller batches" in text and "agrad.checkpoint" in text and "nvidia-smi" in text
    assert isinstance(error.value, MemoryError) and isinstance(error.value, ag.AgradError)
    np.testing.assert_array_equal((x * 2.0).numpy(), [2.0, 4.0])


def test_every_way_to_memory_raises_the_same_error(counted: str, full: Any) -> None:
    x = Tensor(np.ones((3, 4)), device=counted)
    ways: dict[str, Callable[[], Any]] = {
        "ones": lambda: ag.ones(3, device=counted),
        "Tensor.zeros": lambda: Tensor.zeros(3, device=counted),
        "eye": lambda: ag.eye(3, device=counted),
        "linspace": lambda: ag.linspace(0, 1, 3, device=counted),
        "zeros_like": lambda: ag.zeros_like(x),
        "Tensor": lambda: Tensor([1.0, 2.0], device=counted),
        "to": lambda: Tensor([1.0, 2.0]).to(counted),
        "random.uniform": lambda: ag.random.uniform((3,), device=counted),
        "numpy": lambda: x.mT.numpy(),
        "sum": lambda: x.sum(),
        "matmul": lambda: x @ x.mT,
        "concat": lambda: ag.concat([x, x]),
        "less": lambda: x < 2.0,
        "where": lambda: ag.where(x > 0, x, 0.0),
        "x[i]": lambda: x[[0, 2]],
        "x[i] = v": lambda: x.__setitem__(0, 2.0),
        "sort": lambda: ag.sort(x),
        "linalg.svd": lambda: ag.linalg.svd(x),
        "fft.fft": lambda: ag.fft.fft(x),
        "special.erf": lambda: ag.special.erf(x),
    }
    for way in ways.values():  # what is made once, is made here
        way()
    x = Tensor(np.ones((3, 4)), device=counted)
    with full():
        for name, way in ways.items():
            with pytest.raises(ag.OutOfMemoryError) as error:
                way()
            assert f"on device '{counted}'" in str(error.value), name
    np.testing.assert_array_equal(x.numpy(), np.ones((3, 4)))


def test_a_backward_pass_without_memory_changes_nothing(counted: str, full: Any) -> None:
    x = Tensor([0.5, 2.0], device=counted)
    (x * 3.0).sum().backward()
    y = (ag.exp(x) * x).sum()
    with full(), pytest.raises(ag.OutOfMemoryError, match=r"backward\(\(\) float64\) on device"):
        y.backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [3.0, 3.0])
    y.backward()
    expected = np.exp([0.5, 2.0]) * [1.5, 3.0]
    np.testing.assert_allclose(Tensor(x.grad).numpy(), expected)
    with full(), pytest.raises(ag.OutOfMemoryError):
        ag.grad(lambda x: (ag.exp(x) * x).sum())(x)
    np.testing.assert_allclose(ag.grad(lambda x: (ag.exp(x) * x).sum())(x).numpy(), expected)


@pytest.mark.parametrize("kind", ["descent", "Adam"])
def test_an_update_without_memory_changes_nothing(counted: str, full: Any, kind: str) -> None:
    parameters = {"a": Tensor([1.0, 2.0], device=counted), "b": Tensor([3.0], device=counted)}
    optimizer = Adam(parameters, lr=0.1)

    def update() -> None:
        if kind == "Adam":
            optimizer.step()
        else:
            for parameter in parameters.values():
                parameter.gradient_update(0.1)

    sum((p * p).sum() for p in parameters.values()).backward()
    with full(), pytest.raises(ag.OutOfMemoryError, match=r"gradient_update|Adam\.step"):
        update()
    np.testing.assert_array_equal(parameters["a"].numpy(), [1.0, 2.0])
    assert not optimizer.state
    update()
    assert (parameters["a"].numpy() < [1.0, 2.0]).all() and parameters["b"].item() < 3.0


def test_a_compiled_step_without_memory_changes_nothing(counted: str, full: Any) -> None:
    w = Tensor([0.5, -0.5], device=counted)
    x, y = ag.asarray([[1.0, 2.0], [3.0, 5.0]], device=counted), ag.asarray([0.0, 1.0], device=counted)

    @ag.compile
    def step() -> Tensor:
        loss = binary_cross_entropy(sigmoid(x @ w), y)
        loss.backward()
        w.gradient_update(0.1)
        return loss

    step()
    before = w.numpy()
    with full(), pytest.raises(ag.OutOfMemoryError, match="step"):
        for _ in range(3):  # a program may write to arrays that it has already
            step()
    assert np.isfinite(w.numpy()).all()
    step()
    assert (w.numpy() != before).all()
    assert "step is compiled" in str(step.report())


def test_memory_is_counted_and_limited(gpu: str) -> None:
    gc.collect()
    before = ag.memory.info(gpu)
    x = ag.zeros(1 << 17, device=gpu)
    after = ag.memory.info(gpu)
    assert after.used - before.used == 1 << 20 == x.size * 8
    assert after.used <= after.held <= after.total and 0 < after.free <= after.total
    del x
    assert ag.memory.info(gpu).used == before.used
    held = ag.memory.info(gpu).held
    ag.memory.release(gpu)
    assert ag.memory.info(gpu).held <= held - (1 << 20)
    assert before.limit is None
    ag.memory.set_limit(ag.memory.info(gpu).held + (1 << 20), gpu)
    try:
        ag.zeros(1 << 16, device=gpu)
        with pytest.raises(ag.OutOfMemoryError, match=r"and may hold .* MiB; .* or raise the limit \(agrad\.memory\.s"):
            ag.zeros(1 << 18, device=gpu)
    finally:
        ag.memory.set_limit(None, gpu)
    assert ag.memory.info(gpu).limit is None
    ag.zeros(1 << 18, device=gpu)


# Random numbers ------------------------------------------------------------------------------------------------------


def test_random_numbers_are_drawn_on_the_device(counted: str) -> None:
    ag.random.seed(3)
    first = ag.random.normal((4,), device=counted)
    with cuda_on_cpu.counting() as cost:
        more = [ag.random.uniform((3,), device=counted), ag.random.integers(0, 9, (3,), device=counted)]
    assert cost.host_to_device == cost.device_to_host == 0
    assert {x.device for x in more} == {counted}
    ag.random.seed(3)
    np.testing.assert_array_equal(ag.random.normal((4,), device=counted).numpy(), first.numpy())


# Where CuPy is not NumPy ---------------------------------------------------------------------------------------------


def test_negative_zeros_stay(gpu: str) -> None:
    x = Tensor([1.0, 2.0, 3.0], device=gpu)
    x[0] = -0.0
    x[x > 2.5] = -0.0
    found = [x.detach(), Tensor(-0.0, device=gpu), ag.full(2, -0.0, device=gpu), ag.where(x > 0, x, -0.0)]
    found += [ag.asarray(np.float32(-0.0), device=gpu), ag.asarray(np.array(-0.0), device=gpu)]
    for values in found:
        flat = values.numpy().reshape(-1)
        assert np.signbit(flat[flat == 0]).all()
    assert np.signbit(Tensor(complex(-0.0, -0.0), device=gpu).numpy().imag)
    assert not np.signbit(Tensor(0.0, device=gpu).numpy())


def test_scalars_of_numpy_do_not_widen(gpu: str) -> None:
    x = Tensor([1.0, 2.0], device=gpu, dtype="float32")
    for y in (x * np.float64(2), np.float64(2) * x, ag.maximum(x, np.float64(1.5)), ag.where(x > 1, x, np.float64(0))):
        assert y.dtype == np.float32


def test_arrays_of_numpy_are_not_uploaded_unseen(gpu: str) -> None:
    x = Tensor([1.0, 2.0, 3.0], device=gpu)
    for use in (
        lambda: x[np.array([0, 1])],
        lambda: x + np.ones(3),
        lambda: ag.take(x, np.array([0])),
        lambda: ag.where(x > 0, x, np.zeros(3)),
        lambda: np.ones(3) * x,
    ):
        with pytest.raises(ag.DeviceError, match="nothing crosses devices silently"):
            use()


def test_indices_beyond_the_end_wrap_as_the_page_says(gpu: str) -> None:
    x = Tensor([1.0, 2.0, 3.0], device=gpu)
    np.testing.assert_array_equal(x[ag.asarray([3, 4, 7], device=gpu)].numpy(), [1.0, 2.0, 2.0])
    with pytest.raises(IndexError):
        x[3]


def test_remainders_by_infinity_are_as_the_page_says(gpu: str) -> None:
    one, endless = Tensor([1.0, -1.0], device=gpu), Tensor([np.inf, np.inf], device=gpu)
    assert np.isnan((one % endless).numpy()).all()
    np.testing.assert_array_equal((one // endless).numpy(), [0.0, 0.0])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "float32", "complex64"])
def test_every_dtype_can_be_added_to(gpu: str, dtype: str) -> None:
    xp = find_device(gpu).xp
    array, values = ag.zeros(3, dtype=dtype, device=gpu).value, ag.ones(4, dtype=dtype, device=gpu).value
    index = ag.asarray([0, 2, 2, 2], device=gpu).value
    result = Tensor(xp.index_add(array, index, values))
    np.testing.assert_array_equal(result.numpy(), np.array([1, 0, 3], dtype=dtype))
    assert result.numpy().dtype == dtype


MASKS = {"all axes": (3, 4), "first axis": (3,)}


@pytest.mark.parametrize("shape", MASKS.values(), ids=MASKS)
def test_masks_are_written_and_added_to_as_by_numpy(gpu: str, shape: tuple[int, ...]) -> None:
    rng, xp = np.random.default_rng(1), find_device(gpu).xp
    start, mask = rng.normal(size=(3, 4)), rng.random(shape) < 0.6
    count, rest = int(mask.sum()), (3, 4)[len(shape) :]
    for values in (np.array(2.0), rng.normal(size=rest), rng.normal(size=(1, *rest)), rng.normal(size=(count, *rest))):
        array, index, added = [ag.asarray(x, device=gpu).value for x in (start, mask, values)]
        for place in (index, (index, ...)):
            expected = start.copy()
            np.add.at(expected, mask, values)
            np.testing.assert_array_equal(Tensor(xp.index_add(array, place, added)).numpy(), expected)
            expected[mask] = values
            np.testing.assert_array_equal(Tensor(xp.index_set(array, place, added)).numpy()[mask], expected[mask])
    none = ag.asarray(np.zeros(shape, dtype=bool), device=gpu).value
    nothing = ag.zeros((0, *rest), device=gpu).value
    np.testing.assert_array_equal(Tensor(xp.index_add(array, none, nothing)).numpy(), start)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64"])
def test_signs(gpu: str, dtype: str) -> None:
    data = np.array([-3, 0, 2, 5]).astype(dtype)
    if dtype != "int64":
        data = np.append(data, np.array([np.nan], dtype=dtype))
    if dtype == "complex128":
        data = data * (3 + 4j)
    found = ag.sign(ag.asarray(data, device=gpu)).numpy()
    np.testing.assert_allclose(found, np.sign(data), rtol=1e-6)
    assert found.dtype == dtype


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (0, 3), (3, 0)])
def test_pseudo_inverses(gpu: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    data = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    if data.ndim == 2 and data.size:
        data[1] = 2 * data[0]  # of lower rank
        data[3] = 3 * data[0]
    for options in ({}, {"rtol": 0.5}):
        found = ag.linalg.pinv(ag.asarray(data, device=gpu), **options).numpy()
        np.testing.assert_allclose(found, np.linalg.pinv(data, **options), atol=1e-12)


# The page ------------------------------------------------------------------------------------------------------------


def test_the_code_of_the_page_runs(gpu: str) -> None:
    """The examples of docs/gpu.md for GPUs, which the documentation's tests leave out."""
    page = Path(__file__).parent.parent / "docs" / "gpu.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        if ">>>" not in block and ("cuda:1" not in block or "cuda:1" in ag.devices()):
            try:
                exec(compile(block, str(page), "exec"), names)
            finally:
                ag.memory.set_limit(None, "cuda")
    assert float(names["loss"]) > 0 and names["weights"].grad.shape == (1000, 10)


def test_the_page_has_the_messages_of_this_version(gpu: str) -> None:
    page = (Path(__file__).parent.parent / "docs" / "gpu.md").read_text(encoding="utf-8")
    x = Tensor([1.0], device="cuda")
    for use in (lambda: x + ag.ones(1), lambda: np.asarray(x), lambda: np.asarray(x.value)):
        with pytest.raises((ag.AgradError, TypeError)) as error:
            use()
        assert re.split(r", and nothing|\. Please", str(error.value))[0].removeprefix("add: ") in page


# CuPy without a driver -----------------------------------------------------------------------------------------------


def test_the_stock_cupy_without_a_driver_explains_itself(gpu: str) -> None:
    if not cuda_on_cpu.is_active():
        pytest.skip("a GPU is here")
    code = """
import agrad as ag
ag.random.seed(0)
reason = ag.devices()["cuda"]
assert "found no usable CUDA driver" in reason, reason
for use in (lambda: ag.Tensor([1.0], device="cuda"), lambda: ag.ones(2).to("cuda:1"),
            lambda: ag.memory.info("cuda"), lambda: ag.synchronize("cuda"), lambda: ag.device("cuda").__enter__()):
    try:
        use()
    except ag.BackendUnavailableError as error:
        assert reason in str(error)
    else:
        raise AssertionError("a device without a driver")
ag.synchronize()
print((ag.ones(2) * 2).sum(), ag.devices()["cpu"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["Tensor(4.)", "available"]
    listed = subprocess.run([sys.executable, "-m", "agrad", "devices"], capture_output=True, text=True, check=True)
    assert "found no usable CUDA driver" in listed.stdout
