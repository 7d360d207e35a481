"""Compiled functions on CuPy: the generated kernels compute what the operations compute one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor

DTYPES = ("bool", "int8", "uint16", "int64", "uint64", "float32", "float64", "complex64", "complex128")
REAL = DTYPES[:-2]
SHAPES = [(7,), (40, 3), (2, 3, 50), (600, 40)]
"""Rows that one thread reduces, and rows that a block reduces."""


@pytest.fixture(autouse=True)
def _on_cuda(device: str) -> None:
    if not device.startswith("cuda"):
        pytest.skip("needs CuPy")


def compare(function: Callable[..., Any], *arguments: Any, exact: bool = True, calls: int | None = None) -> Any:
    """Compile, compare two replays with the function itself, and look how many calls the program makes."""
    compiled = ag.compile(function)
    expected = function(*arguments)
    for _ in range(3):
        _same(compiled(*arguments), expected, exact)
    report = compiled.report()
    assert report.captured, str(report)
    if calls is not None:
        assert report.programs[0]["calls"] == calls, compiled.source()
    return compiled


def _same(found: Any, expected: Any, exact: bool) -> None:
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            _same(one, other, exact)
        return
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    ours, theirs = found.numpy(), expected.numpy()
    if exact:
        np.testing.assert_array_equal(ours, theirs)
        if theirs.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(ours)[theirs == 0], np.signbit(theirs)[theirs == 0])
    else:
        tolerance = 1e-5 if theirs.dtype.itemsize == 4 else 1e-12
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.max(np.abs(theirs), initial=0.0))


def values(dtype: str, device: str) -> Tensor:
    """Numbers around zero, and what is special in a dtype."""
    if dtype == "bool":
        numbers = np.array([True, False, True, False, True, True, False, False])
    elif "int" in dtype:
        numbers = np.array([0, 1, 2, 3, 5, 7, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype=dtype)
    else:
        numbers = np.array([0.0, -0.0, 1.5, -2.5, 7.0, np.inf, -np.inf, np.nan]).astype(dtype)
        if "complex" in dtype:
            numbers = (numbers[:5] + 1j * numbers[[2, 3, 0, 4, 1]]).astype(dtype)
    return Tensor(numbers, device=device, requires_grad=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise(device: str, dtype: str) -> None:
    """Functions of each dtype, chained with a cast, are those of CuPy."""
    x = values(dtype, device)
    y = ag.flip(x)
    functions: list[Callable[..., Any]] = [ag.equal, ag.not_equal, lambda x, y: ag.where(x == y, x, y)]
    if dtype != "bool":
        functions += [ag.add, ag.subtract, ag.multiply, ag.negative, ag.square, ag.positive, lambda x, y: x * 3]
    if dtype in REAL and dtype != "bool":
        functions += [ag.maximum, ag.minimum, ag.less, ag.greater_equal, ag.sign, lambda x, y: ag.maximum(x, 2)]
        functions += [ag.logical_and, ag.abs, ag.floor, ag.isnan]
    if "int" in dtype:
        functions += [lambda x, y: x // 3, lambda x, y: x % 3, lambda x, y: x**2, ag.bitwise_xor, ag.bitwise_invert]
        functions += [lambda x, y: x / 4, lambda x, y: ag.pow(x, ag.abs(y) % 5)]
    if "float" in dtype:
        functions += [ag.divide, ag.floor_divide, ag.remainder, ag.copysign, ag.trunc, lambda x, y: x**3, ag.isinf]
        functions += [lambda x, y: x // -2.0, lambda x, y: x % -2.0, lambda x, y: 1 / x]
    if "complex" in dtype:
        functions += [ag.divide, ag.exp, ag.tanh, ag.conj, ag.abs, lambda x, y: x * 2j, lambda x, y: x**2]
    if dtype == "bool":
        functions += [ag.logical_or, ag.logical_not, ag.bitwise_and]

    def chain(x: Tensor, y: Tensor) -> Any:
        results = []
        for function in functions:
            try:
                results.append(function(x, y))
            except TypeError:
                results.append(function(x))
        return tuple(results)

    compare(chain, x, y, exact=dtype not in ("complex64", "complex128"))


@pytest.mark.parametrize("source", DTYPES)
def test_casts(device: str, source: str) -> None:
    x = values(source, device)
    x = x if source in ("bool",) or "int" in source else x[:5]  # what C++ makes of infinity as an integer is undefined
    targets = DTYPES if source in REAL else DTYPES[-2:]
    if "float" in source:
        targets = tuple(target for target in targets if not target.startswith("uint"))  # of negative numbers, too
    compare(lambda x: tuple(ag.astype(x, getattr(ag, target)) for target in targets), x)


def test_numbers_of_the_host_keep_the_dtype(device: str) -> None:
    x = Tensor([1.0, 2.0], device=device, dtype="float32", requires_grad=False)

    @ag.compile
    def step(x: Tensor, rate: float) -> Tensor:
        return x * rate - rate / 3

    for rate in (0.5, 0.1, 2.0, float("inf"), -0.0):
        _same(step(x, rate), x * rate - rate / 3, True)
    assert len(step.report().programs) == 1
    assert "double n0" in step.source()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint64", "complex64"])
def test_numbers_in_the_source(device: str, dtype: str) -> None:
    """Infinities, NaN, negative zeros and the ends of the integers, as numbers and as constants of one value."""
    x = values(dtype, device)
    if "int" in dtype:
        ends = [np.iinfo(dtype).min, np.iinfo(dtype).max, 1]
    else:
        ends = [np.inf, -np.inf, np.nan, -0.0, 0.1, 1e-45, 1 / 3]

    def f(x: Tensor) -> Any:
        filled = [ag.where(x == 0, x, ag.full_like(x, end)) for end in ends]
        return (*filled, *[ag.where(x != 0, end, x) for end in ends])

    compare(f, x)


def test_one_kernel_for_a_chain_with_broadcasting(device: str) -> None:
    rng = np.random.default_rng(1)
    x, row, column, one = (
        Tensor(rng.normal(size=shape), device=device, requires_grad=False) for shape in ((5, 4), (4,), (5, 1), (1, 1))
    )

    def chain(x: Tensor, row: Tensor, column: Tensor, one: Tensor) -> Any:
        scale = ag.exp(row) + one
        return ag.tanh(x * scale + column) - ag.reshape(row, (1, 4)), x.T + ag.reshape(column, (5,))

    compare(chain, x, row, column, one, calls=1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "complex128", "int32"])
def test_reductions(device: str, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = Tensor((rng.normal(size=shape) * 9).astype(dtype), device=device, requires_grad=False)

    def reduce(x: Tensor) -> Any:
        results = [ag.sum(x * 2), ag.sum(x + 1, axis=0) * 2, ag.sum(x, axis=-1, keepdims=True) - 1]
        if "complex" not in dtype:
            results += [ag.max(x - 1, axis=-1), ag.min(x, axis=0, keepdims=True), ag.min(x * x)]
            results += [ag.any(x > 20, axis=0), ag.all(x > -40)]
        if dtype != "int32":
            results += [ag.mean(x * x, axis=0), ag.mean(x), ag.prod(x / 9, axis=-1)]
        return tuple(results)

    compare(reduce, x, exact=False)


def test_extrema_hand_on_what_is_not_a_number(device: str) -> None:
    x = Tensor([[1.0, np.nan, 3.0], [np.inf, 2.0, -np.inf]], device=device, requires_grad=False)
    compare(lambda x: (ag.max(x, axis=1), ag.min(x, axis=1), ag.max(x), ag.min(x[1] + 0)), x)


@pytest.mark.parametrize("shape", [(20_000,), (3, 20_000), (20_000, 2), (30_000, 4), (70, 1000)])
def test_long_rows_are_cut_into_pieces(device: str, shape: tuple[int, ...]) -> None:
    """Two kernels: what is needed elsewhere is stored by the first one, what comes behind is in the second one."""
    x = Tensor(np.random.default_rng(3).normal(size=shape), device=device, requires_grad=False)
    scale = Tensor(np.linspace(1, 2, 3 if shape[0] == 3 else 1)[:, None], device=device, requires_grad=False)

    def f(x: Tensor, scale: Tensor) -> Any:
        x = x * ag.exp(scale) if x.ndim == 2 and x.shape[0] == 3 else x * 2
        y = ag.sin(x)
        axis = 0 if x.ndim == 2 and x.shape[1] <= 1000 else -1  # neighbours in memory are of different rows
        return y, ag.sqrt(ag.sum(y * y, axis=axis)) + 1, ag.max(y, axis=axis)

    compiled = compare(f, x, scale, exact=False)
    assert "_joined" in compiled.source()


def test_small_products_are_part_of_kernels(device: str) -> None:
    rng = np.random.default_rng(4)
    x, w, v, batch = (
        Tensor(rng.normal(size=shape), device=device, requires_grad=False)
        for shape in ((30, 4), (4, 6), (6,), (3, 1, 6, 5))
    )
    compare(lambda x, w, v: ag.tanh((ag.tanh(x @ w) * 2) @ v), x, w, v, exact=False, calls=2)
    compare(lambda v, batch: ag.exp(v @ batch), v, batch, exact=False, calls=1)
    compare(lambda w, batch: ag.exp(w @ batch) + 1, w, batch, exact=False, calls=1)
    compare(lambda v: v @ v + 1, v, exact=False, calls=1)
    compare(lambda v: (2 * v[:, None]) @ v[None, :] + 1, v, exact=False, calls=1)


def test_large_products_write_into_kept_memory(device: str) -> None:
    rng = np.random.default_rng(5)
    x, w = (Tensor(rng.normal(size=shape), device=device, requires_grad=False) for shape in ((30, 40), (40, 20)))
    compiled = compare(lambda x, w: ag.tanh(x @ w) @ ag.exp(w.T) + 1, x, w, exact=False)
    assert "out=b" in compiled.source()


def test_arrays_that_lie_otherwise(device: str) -> None:
    """A program is for the strides that it was recorded with; others are copied first."""
    rng = np.random.default_rng(6)
    x = ag.asarray(rng.normal(size=(6, 8)), device=device)
    step = ag.compile(lambda x: (ag.exp(x) + x.T, ag.sum(x, axis=0)))
    for y in (
        x[:, :6],
        x[:, 2:],
        ag.flip(x, axis=1)[:, :6],
        x[:, :6].T,
        ag.asarray(rng.normal(size=(6, 6)), device=device),
    ):
        for _ in range(2):
            _same(step(y), (ag.exp(y) + y.T, ag.sum(y, axis=0)), False)
    assert len(step.report().programs) == 1


def test_what_leaves_is_never_written_to_again(device: str) -> None:
    x = Tensor([1.0, 2.0, 3.0, 4.0], device=device, requires_grad=False)

    def f(x: Tensor) -> Any:
        y = ag.exp(x) @ ag.ones((4, 20), device=device)
        return ag.reshape(x * 2, (2, 2)).T, y, (x + 1)[::2], ag.reshape(y, (4, 5))

    step = ag.compile(f)
    step(x)
    first = step(x)
    kept = [value.numpy().copy() for value in first]
    step(x * 10)
    for value, before in zip(first, kept, strict=True):
        np.testing.assert_array_equal(value.numpy(), before)


def test_another_stream_waits_for_the_memory(device: str) -> None:
    import cupy

    x = Tensor(np.random.default_rng(7).normal(size=(300, 40)), device=device, requires_grad=False)
    w = Tensor(np.random.default_rng(8).normal(size=(40, 300)), device=device, requires_grad=False)

    def f(x: Tensor, w: Tensor) -> Tensor:
        return ag.tanh(ag.exp(x) @ w) @ x

    step = ag.compile(f)
    expected = f(x, w)
    for stream in (cupy.cuda.Stream(), cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True)):
        with stream:
            _same(step(x, w), expected, False)
            _same(step(x, w), expected, False)


def test_kernels_do_not_wait_for_each_other(device: str) -> None:
    """What one function needs of another one's result is in another kernel, also where both need a third one."""
    x = Tensor([0.5, 1.0, 1.5], device=device, requires_grad=False)

    def f(x: Tensor) -> Any:
        y = ag.exp(x)
        return y + 1, y * ag.cumulative_sum(y), ag.cumulative_sum(y * 2) + y

    compare(f, x)


def test_many_parameters_are_updated_at_once(device: str) -> None:
    """More operations than one kernel takes are several kernels."""
    parameters = [Tensor(np.full(n + 1, 2.0), device=device) for n in range(70)]

    @ag.compile
    def step(rate: float) -> Tensor:
        loss = sum(((p * p).sum() for p in parameters), start=ag.asarray(0.0, device=device))
        loss.backward()
        for p in parameters:
            p.gradient_update(rate)
        return loss

    for i in range(3):
        assert step(0.25).item() == 4.0 * sum(range(71)) / 4**i
    assert step.report().programs[0]["calls"] < 10


def test_the_source_shows_the_kernels(device: str) -> None:
    step = ag.compile(lambda x: ag.tanh(x) * 2)
    step(Tensor([1.0], device=device, requires_grad=False))
    assert "const double t2 = tanh(t1);" in step.source()
