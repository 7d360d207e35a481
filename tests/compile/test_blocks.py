"""Functions of the elements of large arrays, which NumPy computes in blocks: as eagerly, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
import agrad.functional as F
from agrad import Tensor
from agrad.losses import cross_entropy
from agrad_numpy import _blocks, _executor, _together

from . import test_programs
from .test_programs import often, programs

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

rng = np.random.default_rng(3)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """All arrays of three numbers or more are large, and a block is two or three numbers; `where` is by bits."""
    monkeypatch.setattr(_blocks, "LARGE", 17)
    monkeypatch.setattr(_blocks, "_FEWEST", 2)
    monkeypatch.setattr(_blocks, "_SMALLEST", 20)
    monkeypatch.setattr(_blocks, "_LARGEST", 24)
    monkeypatch.setattr(_executor, "_MANY", 2)
    monkeypatch.setattr(_executor, "_SMALL", 40)
    monkeypatch.setattr(_together, "SMALL", 0)


@often
@programs
def test_training(tiny: None, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    test_programs.test_training.hypothesis.inner_test("cpu", numbers, shapes, seed, dtype)  # type: ignore[attr-defined]


@often
@programs
def test_gradients(tiny: None, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    test_programs.test_gradients.hypothesis.inner_test("cpu", numbers, shapes, seed, dtype)  # type: ignore[attr-defined]


@settings(often, max_examples=15)
@programs
def test_second_derivatives(tiny: None, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    test = test_programs.test_second_derivatives.hypothesis.inner_test  # type: ignore[attr-defined]
    test("cpu", numbers, shapes, seed, dtype)


# Random functions of elements, bit for bit ----------------------------------------------------------------------------

UNARY: list[Callable[[Tensor], Tensor]] = [
    *(ag.exp, ag.sin, ag.tanh, ag.negative, ag.abs, ag.sign, ag.square, ag.floor, F.sigmoid, F.relu, F.softplus),
    *(ag.special.erf, ag.special.ndtr, lambda x: ag.log(ag.abs(x)), lambda x: x**3, lambda x: x**-1, lambda x: 2.5 - x),
    *(lambda x: ag.clip(x, -0.5, 0.75), lambda x: ag.where(x > 0, x, 0.0), lambda x: ag.where(ag.isfinite(x), 1.0, x)),
    *(lambda x: ag.astype(ag.astype(x, "float32"), x.dtype), lambda x: ag.astype(ag.isnan(x), x.dtype) + x),
    *(lambda x: ag.sqrt(x * x), lambda x: x * True, lambda x: ag.where(ag.abs(x) < 1, ag.sqrt(1 - x * x), x)),
]
BINARY: list[Callable[[Tensor, Tensor], Tensor]] = [
    *(ag.add, ag.subtract, ag.multiply, ag.divide, ag.maximum, ag.minimum, ag.hypot, ag.atan2, ag.copysign),
    *(
        lambda x, y: ag.where(x < y, x, y),
        lambda x, y: ag.where((x > 0) & (y <= 1), x * y, ag.exp(y)),
        lambda x, y: x - -y,
    ),
]
OPERANDS = [(), (1,), (1, 1), (1, 7), (11, 1), (7,), (11, 7)]


def elementwise(numbers: list[int]) -> Callable[..., list[Tensor]]:
    """The function that the numbers mean: all that it makes on its way."""

    def f(*xs: Tensor) -> list[Tensor]:
        rest = iter(numbers)
        made = list(xs)
        while (n := next(rest, None)) is not None:
            x, y = made[-1 - n % min(len(made), 4)], made[next(rest, 0) % len(made)]
            made.append(BINARY[n % len(BINARY)](x, y) if n % 3 else UNARY[n % len(UNARY)](x))
        return made[len(xs) :][-4:]

    return f


def arrays(shapes: list[Any], seed: int, dtype: str, layout: str) -> list[Tensor]:
    """Values with zeros, infinities and NaN among them, in arrays of a layout."""
    generator = np.random.default_rng(seed)
    found = []
    for shape in shapes:
        x = np.array(generator.normal(size=shape), dtype=dtype)
        odd = generator.random(shape) < 0.15
        x = np.where(odd, generator.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0], size=shape), x).astype(dtype)
        if layout == "F":
            x = np.asfortranarray(x)
        elif layout == "strided" and shape:
            x = np.repeat(x, 2, axis=-1)[..., ::2]
        found.append(Tensor(x, requires_grad=False) if layout != "strided" else ag.asarray(x))
    return [*found, found[0]]


def same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@settings(often, max_examples=150)
@given(
    numbers=st.lists(st.integers(0, 1000), min_size=4, max_size=40),
    shapes=st.lists(st.sampled_from(OPERANDS), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(["float64", "float32"]),
    layout=st.sampled_from(["C", "F", "strided"]),
)
def test_values(tiny: None, numbers: list[int], shapes: list[Any], seed: int, dtype: str, layout: str) -> None:
    f = elementwise(numbers)
    compiled = ag.compile(f)
    with np.errstate(all="ignore"):
        for i, other in enumerate((layout, layout, "C", "F", "strided")):
            xs = arrays([(11, 7), *shapes], seed + i, dtype, other)
            for one, two in zip(compiled(*xs), f(*xs), strict=True):
                same(one, two)
    assert compiled.report().captured


# At their real size ---------------------------------------------------------------------------------------------------


def chain(x: Tensor, y: Tensor) -> Tensor:
    z = ag.exp(-x * x) * y + ag.sqrt(x * x + 1)
    return ag.where(z > y, ag.tanh(z) * x, ag.special.erf(y) / 3)


def loop_in(compiled: Any) -> bool:
    return " in _blocks" in compiled.source()


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((200_001,), (200_001,)),
        ((200_001,), ()),
        ((401, 503), (401, 503)),
        ((401, 503), (1, 503)),
        ((401, 503), (401, 1)),
        ((401, 503), (503,)),
        ((3, 70_001), (3, 1)),
        ((70_001, 3), (70_001, 1)),
        ((3, 70_001), (1, 70_001)),
        ((2, 300, 400), (300, 1)),
        ((60, 60, 60), (60, 1, 60)),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_shapes_and_layouts(shape: Any, other: Any, dtype: str, order: str) -> None:
    if dtype == "float32":
        shape = (*shape[:-1], 2 * shape[-1])
        other = (*other[:-1], shape[-1]) if other and other[-1] > 1 else other
    f = chain if dtype != "complex128" else lambda x, y: ag.exp(-x * x) * y + ag.sqrt(x * x + 1)
    compiled = ag.compile(f)
    for _ in range(3):
        draws = [np.array(rng.normal(size=size), dtype=dtype, order=order) for size in (shape, other)]  # type: ignore[call-overload]
        x, y = (Tensor(draw, requires_grad=False) for draw in draws)
        same(compiled(x, y), f(x, y))
    same(compiled(x, y), f(*(Tensor(np.array(a.numpy(), order="C"), requires_grad=False) for a in (x, y))))
    assert loop_in(compiled)


def test_small_arrays_have_no_loop() -> None:
    compiled = ag.compile(chain)
    compiled(ag.ones((300, 300)), ag.ones((300, 300)))
    assert not loop_in(compiled)


@pytest.mark.parametrize("reduce", [ag.sum, ag.mean, ag.max, ag.min])
def test_numbers_made_of_all_elements(reduce: Any) -> None:
    def f(x: Tensor) -> Any:
        y = ag.sqrt(x * x + 1)
        z = y / reduce(y)
        return reduce(z * x), z, reduce(ag.exp(x) * 2)

    compiled = ag.compile(f)
    for i in range(3):
        x = ag.asarray(rng.normal(size=(300, 1001)))
        if i == 2:
            x[7, 7] = float("nan")
        for one, other in zip(compiled(x), f(x), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-13)
    assert compiled.source().count(" in _blocks") == 2  # what waits for the first sum is in the second one


def test_gradients_of_prices() -> None:
    def prices(spot: Tensor, strike: Tensor, volatility: Tensor, years: Tensor) -> Tensor:
        width = volatility * ag.sqrt(years)
        d1 = (ag.log(spot / strike) + (0.03 + volatility * volatility / 2) * years) / width
        return ag.sum(spot * ag.special.ndtr(d1) - strike * ag.exp(-0.03 * years) * ag.special.ndtr(d1 - width))

    greeks = ag.value_and_grad(prices, argnums=(0, 2))
    compiled = ag.compile(greeks)
    n = 150_001
    for _ in range(3):
        xs = [ag.asarray(rng.uniform(low, high, n)) for low, high in ((50, 150), (50, 150), (0.1, 0.5), (0.1, 2.0))]
        (total, parts), (wanted, others) = compiled(*xs), greeks(*xs)
        assert abs(float(total) - float(wanted)) <= 1e-12 * float(wanted)
        for one, other in zip(parts, others, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-10)
    assert compiled.source().count(" in _blocks") == 1


def peak(f: Callable[[], Any]) -> int:
    """The bytes that a call takes at most, with its result."""
    f()
    tracemalloc.start()
    result = f()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    del result
    f()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most - before


@pytest.mark.parametrize("order", ["C", "F"])
def test_nothing_between_is_kept(order: Any) -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        for _ in range(5):
            x = ag.sqrt(x * x + y * y) * ag.exp(-ag.abs(x)) + ag.where(x > y, x, 0.0)
        return x

    x, y = (Tensor(np.array(rng.normal(size=(1000, 500)), order=order), requires_grad=False) for _ in range(2))
    size = x.value.nbytes
    compiled = ag.compile(f)
    tracemalloc.start()
    compiled(x, y)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < size // 4  # the recorded call left nothing behind
    (figures,) = compiled.report().programs
    assert figures["bytes"] < size // 4
    assert peak(lambda: compiled(x, y)) < size // 4  # the memory of the last result is used again
    assert peak(lambda: f(x, y)) > 2 * size


def test_results_are_not_written_to_by_later_calls() -> None:
    compiled = ag.compile(lambda x: [ag.exp(x) + 1, ag.exp(x) * x])
    x = ag.asarray(rng.normal(size=200_000))
    kept = [compiled(x * i) for i in range(6)]
    for i, results in enumerate(kept):
        same(results[0], ag.exp(x * i) + 1)
        same(results[1], ag.exp(x * i) * (x * i))


def test_inputs_that_are_one_array_or_overlap() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        return (x * y + 1) / (y * y + x)

    compiled = ag.compile(f)
    whole = rng.normal(size=300_001)
    for x, y in ((whole[1:], whole[:-1]), (whole[1:], whole[1:]), (whole[:0:-1], whole[1:])):
        x, y = ag.asarray(x, copy=False), ag.asarray(y, copy=False)
        same(compiled(x, y), f(x, y))
    assert loop_in(compiled)


def test_training_with_large_parameters() -> None:
    def make() -> tuple[Any, Tensor]:
        w = Tensor(np.linspace(-2, 2, 300_000))

        def step(rate: float) -> Tensor:
            loss = ag.mean((ag.tanh(w * 2) - 0.5) ** 2 + F.relu(w))
            loss.backward()
            w.gradient_update(rate)
            return loss

        return step, w

    (step, w), (eager, twin) = make(), make()
    compiled = ag.compile(step)
    for i in range(4):
        one, other = compiled(100.0 + i), eager(100.0 + i)
        np.testing.assert_allclose(float(one), float(other), rtol=1e-13)
        np.testing.assert_allclose(w.numpy(), twin.numpy(), rtol=1e-12, atol=1e-15)
    losses = compiled.repeat(5, 90.0)
    np.testing.assert_allclose(losses.numpy(), [float(eager(90.0)) for _ in range(5)], rtol=1e-13)
    np.testing.assert_allclose(w.numpy(), twin.numpy(), rtol=1e-12, atol=1e-15)
    assert loop_in(compiled)


def test_an_error_leaves_everything_as_it_was() -> None:
    w = Tensor(np.ones(300_000))

    @ag.compile
    def step(x: Tensor) -> Tensor:
        loss = ag.sum(ag.log(x) * w)
        loss.backward()
        w.gradient_update(0.1)
        return loss

    step(ag.ones(300_000))
    before, x = w.numpy().copy(), np.ones(300_000)
    x[-1] = 0.0
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        step(ag.asarray(x))
    assert (w.numpy() == before).all()
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        step(ag.asarray(x))


def test_impure_operations_keep_their_order() -> None:
    def f(x: Tensor) -> list[Tensor]:
        y = ag.exp(x) * 2 + 1
        one = cross_entropy(ag.zeros((200_000, 2)), ag.astype(y > 2, "int64"))  # which looks at its labels
        z = ag.random.normal(x.shape) * x
        return [one, z * y - 1, ag.sum(z + y)]

    compiled = ag.compile(f)
    x = ag.asarray(np.linspace(-1.0, 1.0, 200_000))
    for seed in range(3):
        results = []
        for g in (compiled, f):
            ag.random.seed(seed)
            results.append(g(x))
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-12)
    assert compiled.source().count(" in _blocks") == 2


def test_a_long_program_is_recorded_in_time() -> None:
    def f(x: Tensor, w: Tensor) -> Tensor:
        for _ in range(60):
            x = ag.tanh(x @ w) * 0.5 + x
        return x

    compiled = ag.compile(f)
    x, w = ag.asarray(rng.normal(size=(6000, 30))), ag.asarray(rng.normal(size=(30, 30)) / 6)
    for _ in range(2):
        np.testing.assert_allclose(compiled(x, w).numpy(), f(x, w).numpy(), rtol=1e-9, atol=1e-9)
    assert compiled.source().count(" in _blocks") == 60
    assert compiled.report().programs[0]["bytes"] < 6 * x.value.nbytes


def test_quiet_functions_are_quiet() -> None:
    gradient = ag.grad(lambda x: ag.sum(ag.where(x > 0, ag.sqrt(x) * ag.log(x), x)))
    compiled = ag.compile(gradient)
    x = ag.asarray(np.linspace(1.0, 2.0, 200_000))
    for _ in range(2):
        same(compiled(x), gradient(x))
    assert loop_in(compiled)
    assert "_quiet()" in compiled.source()


def test_the_loop_can_be_read() -> None:
    compiled = ag.compile(lambda numbers: ag.exp(numbers) * numbers + 1)
    compiled(ag.ones(200_000))
    lines = [line.strip() for line in compiled.source().splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("for "))
    assert lines[start - 1 : start + 7] == [
        "v4 = _new0()",
        "for i1, b0 in _blocks5:",
        "x2 = v4[i1]",
        "x3 = numbers_2[i1]",
        "_exp(x3, b0)",
        "_multiply(b0, x3, b0)",
        "_add(b0, c4, x2)",
        "del x2, x3",
    ]
