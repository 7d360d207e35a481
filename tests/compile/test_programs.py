"""Random programs, compiled: what they give, and what they make of their parameters, is what they do eagerly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
import agrad.functional as F
from agrad import Tensor

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Step = Callable[[list[Tensor], Any], Tensor]
"""A step of a program: makes a tensor of those that there are, with a source of choices."""


def _pick(tensors: list[Tensor], choose: Any) -> Tensor:
    return tensors[choose(len(tensors))]


def _alike(tensors: list[Tensor], choose: Any) -> tuple[Tensor, Tensor]:
    """Two tensors whose shapes broadcast."""
    x = _pick(tensors, choose)
    fitting = [y for y in tensors if _broadcast(x.shape, y.shape)]
    return x, _pick(fitting, choose)


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return len(np.broadcast_shapes(a, b)) <= 3
    except ValueError:
        return False


def _unary(f: Callable[[Tensor], Tensor]) -> Step:
    return lambda tensors, choose: f(_pick(tensors, choose))


def _binary(f: Callable[[Tensor, Tensor], Tensor]) -> Step:
    return lambda tensors, choose: f(*_alike(tensors, choose))


def _matmul(tensors: list[Tensor], choose: Any) -> Tensor:
    matrices = [x for x in tensors if x.ndim == 2] or [tensors[0].reshape(-1, 1)]
    x = _pick(matrices, choose)
    return x @ _pick([y for y in matrices if y.shape[0] == x.shape[1]] or [x.mT], choose)


def _reduce(f: Callable[..., Tensor]) -> Step:
    def step(tensors: list[Tensor], choose: Any) -> Tensor:
        x = _pick(tensors, choose)
        axis = choose(x.ndim + 1)
        reduced = f if x.size else ag.sum
        return reduced(x, axis=None if axis == x.ndim else axis, keepdims=bool(choose(2)))

    return step


def _reshape(tensors: list[Tensor], choose: Any) -> Tensor:
    x = _pick(tensors, choose)
    return [x.reshape(-1), x.reshape((1, -1)), x.reshape((-1, 1)), x.T][choose(4)]


def _spread(tensors: list[Tensor], choose: Any) -> Tensor:
    x = _pick(tensors, choose)
    return ag.broadcast_to(x, (2, *x.shape)) if x.ndim < 3 else x


def _index(tensors: list[Tensor], choose: Any) -> Tensor:
    x = _pick(tensors, choose)
    if not x.ndim or not x.shape[0]:
        return x[None]
    return [x[0], x[::2], x[..., -1:], x[-1, ...], ag.flip(x), ag.roll(x, 1)][choose(6)]


def _write(tensors: list[Tensor], choose: Any) -> Tensor:
    x = _pick(tensors, choose) * 1
    if x.ndim and x.shape[0]:
        x[0] = ag.sum(_pick(tensors, choose))
    return x


def _join(tensors: list[Tensor], choose: Any) -> Tensor:
    x = _pick(tensors, choose)
    return ag.stack([x, _pick([y for y in tensors if y.shape == x.shape], choose)]) if x.ndim < 3 else x


def _where(tensors: list[Tensor], choose: Any) -> Tensor:
    x, y = _alike(tensors, choose)
    return ag.where(x > y, ag.sqrt(ag.abs(x)), y * 2)


def _side_by_side(x: Tensor, y: Tensor) -> Tensor:
    """Equal operations on several arrays, which an executor may do together."""
    one, other = ag.log(x * x + 1), ag.log(y * y + 1)
    return (1 - ag.tanh(one)) / (other + 1) + (1 - ag.tanh(other)) / (one + 1)


def _products(x: Tensor, y: Tensor) -> Tensor:
    """Sums of products, which an executor may compute as dot products."""
    terms = ag.exp(-x * x) * y - ag.exp(-y * y) * x
    return (ag.mean(terms) if terms.size else ag.sum(terms)) + ag.sum(ag.tanh(x) * ag.tanh(x))


STEPS: list[Step] = [
    *[_unary(f) for f in (ag.tanh, ag.sin, ag.exp, ag.negative, ag.square, ag.abs, F.sigmoid, F.relu, F.softplus)],
    *[_unary(f) for f in (lambda x: ag.log(x * x + 1), lambda x: 1 - x, lambda x: x / 3, lambda x: x**3, lambda x: -x)],
    *[_unary(f) for f in (lambda x: ag.atan(x) * 2 + 1, lambda x: x * 1 - 0, lambda x: x.detach() * x)],
    *[_binary(f) for f in (ag.add, ag.subtract, ag.multiply, ag.maximum, ag.hypot, lambda x, y: x / (y * y + 1))],
    *[_binary(f) for f in (lambda x, y: x - -y, lambda x, y: -x + y, lambda x, y: -x * -y, lambda x, y: x * y + x * y)],
    *[_binary(f) for f in (_side_by_side, _products)],
    *[_reduce(f) for f in (ag.sum, ag.mean, ag.max, ag.std, F.logsumexp)],
    *(_matmul, _matmul, _reshape, _spread, _index, _write, _join, _where),
]
SHAPES = [(), (3,), (2, 3), (3, 3), (3, 1), (1, 4), (4, 3), (2, 1, 3), (0, 3)]


def _run(numbers: list[int], tensors: list[Tensor]) -> Tensor:
    """The program that the numbers mean: the sum of what its last steps made."""
    tensors, rest = list(tensors), iter(numbers[1:])

    def choose(n: int) -> int:
        return next(rest, 1) % n

    for _ in range(2 + numbers[0] % 9):
        made = STEPS[choose(len(STEPS))](tensors, choose)
        if made.size <= 200:
            tensors.append(ag.tanh(made) if made.size and choose(3) == 0 else made)
    total = ag.asarray(0.0, device=tensors[0].device, dtype=tensors[0].dtype)
    for x in (tensors[0], *tensors[-3:]):
        total = total + ag.sum(ag.tanh(x))
    return total


def _draw(seed: int, shapes: list[tuple[int, ...]], device: str, dtype: str, leaf: bool) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return [Tensor(rng.normal(size=shape), device=device, dtype=dtype, requires_grad=leaf) for shape in shapes]


def _close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    tolerance = 1e-9 if "64" in str(ours.dtype) else 1e-3
    scale = max(1.0, np.max(np.abs(theirs.numpy()), initial=0.0))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=tolerance * scale)


programs = given(
    numbers=st.lists(st.integers(0, 1000), min_size=30, max_size=60),
    shapes=st.lists(st.sampled_from(SHAPES), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(["float64", "float64", "float32"]),
)
often = settings(
    max_examples=40,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # to shrink a failing program takes minutes
    report_multiple_bugs=False,
)


@often
@programs
def test_training(device: str, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    parameters = _draw(seed, shapes, device, dtype, leaf=True)
    twins = copy.deepcopy(parameters)

    def training(parameters: list[Tensor]) -> Any:
        def step(rate: float, x: Tensor) -> Any:
            loss = _run(numbers, [*parameters, x])
            loss.backward()
            for parameter in parameters:
                parameter.gradient_update(rate)
            return loss

        return step

    step, eager = ag.compile(training(parameters)), training(twins)
    with np.errstate(all="ignore"):
        for i in range(4):
            x = _draw(seed + i, [shapes[0]], device, dtype, leaf=False)[0]
            _close(step(0.01 / (1 + i), x), eager(0.01 / (1 + i), x))
            for parameter, twin in zip(parameters, twins, strict=True):
                _close(parameter, twin)
    assert step.report().captured, str(step.report())


@settings(often, max_examples=25)
@programs
def test_loops(device: str, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    parameters = _draw(seed, shapes, device, dtype, leaf=True)
    twins = copy.deepcopy(parameters)

    def training(parameters: list[Tensor]) -> Any:
        def step(rate: float, x: Tensor) -> Any:
            loss = _run(numbers, [*parameters, x, x * 2 + rate])
            loss.backward()
            for parameter in parameters:
                parameter.gradient_update(rate)
            return loss, ag.exp(-x)

        return step

    step, eager = ag.compile(training(parameters)), training(twins)
    x = _draw(seed, [shapes[0]], device, dtype, leaf=False)[0]
    with np.errstate(all="ignore"):
        losses, rest = step.repeat(5, 0.01, x)
        wanted = [eager(0.01, x) for _ in range(5)]
    _close(losses, ag.stack([loss.detach() for loss, _ in wanted]))
    _close(rest, ag.stack([one for _, one in wanted]))
    for parameter, twin in zip(parameters, twins, strict=True):
        _close(parameter, twin)
    assert step.report().captured, str(step.report())


@often
@programs
def test_gradients(device: str, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    def f(*xs: Tensor) -> Tensor:
        return _run(numbers, list(xs))

    gradient = ag.value_and_grad(f, argnums=tuple(range(len(shapes))))
    compiled = ag.compile(gradient)
    with np.errstate(all="ignore"):
        for i in range(3):
            xs = _draw(seed + i, shapes, device, dtype, leaf=False)
            ours, theirs = compiled(*xs), gradient(*xs)
            for one, other in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
                _close(one, other)
    assert compiled.report().captured, str(compiled.report())


@settings(often, max_examples=15)
@programs
def test_second_derivatives(device: str, numbers: list[int], shapes: list[Any], seed: int, dtype: str) -> None:
    def f(*xs: Tensor) -> Tensor:
        return _run(numbers, list(xs))

    def product(*arguments: Tensor) -> Any:
        return ag.hvp(f, arguments[: len(shapes)], arguments[len(shapes) :])

    compiled = ag.compile(product)
    with np.errstate(all="ignore"):
        for i in range(3):
            xs = _draw(seed + i, [*shapes, *shapes], device, "float64", leaf=False)
            for one, other in zip(compiled(*xs), product(*xs), strict=True):
                _close(one, other)
    assert compiled.report().captured, str(compiled.report())
