"""What agrad_numpy computes in a faster way, against the plain Array API code that it stands in for."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import array_api_compat.numpy as plain_numpy
import numpy as np
import pytest

import agrad.rules
from agrad._graph import Primitive
from agrad.backend import find_device
from agrad_numpy import _fast

rng = np.random.default_rng(11)
SHAPES = [(), (3,), (2, 3), (0, 3), (2, 1, 3)]


def _rule_book() -> Iterator[Primitive]:
    for module in pkgutil.iter_modules(agrad.rules.__path__, "agrad.rules."):
        yield from (p for p in vars(importlib.import_module(module.name)).values() if isinstance(p, Primitive))


PRIMITIVES = {primitive.name: primitive for primitive in _rule_book()}


def _plain(primitive: Primitive) -> Callable[..., Any]:
    if primitive.forward is None:
        return getattr(plain_numpy, primitive.name)  # type: ignore[no-any-return]
    return partial(primitive.forward, plain_numpy)


def _data(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = rng.normal(size=shape) * 3
    return np.asarray(values + (1j * values[::-1] if shape and dtype.startswith("complex") else 0)).astype(dtype)


def _reductions(dtypes: tuple[str, ...], counted: bool) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype, keepdims in itertools.product(SHAPES, dtypes, (False, True)):
        for axis in [None, *[(i,) for i in range(len(shape))], tuple(range(len(shape)))]:
            x = _data(shape, dtype)
            count = int(np.prod([shape[i] for i in (range(len(shape)) if axis is None else axis)]))
            if counted and not count:
                continue
            params: dict[str, Any] = {"axis": axis, "keepdims": keepdims, "shape": ()}
            yield (x,), params | ({"count": count} if counted else {})


def _pairs(dtypes: tuple[str, ...]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for dtype, (left, right) in itertools.product(
        dtypes, [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((0, 3), (3,))]
    ):
        yield (_data(left, dtype), _data(right, dtype)), {}
        yield (_data(left, dtype), 2), {}


def _products() -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    shapes = [((2, 3), (3, 4)), ((4, 1), (1, 3)), ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((3,), (3,)), ((3,), (3, 2))]
    for dtype, (left, right) in itertools.product(("float64", "float32", "int64", "complex128"), shapes):
        yield (_data(left, dtype), _data(right, dtype)), {}
    stacks = [((5, 2, 3), (3,)), ((3,), (5, 3, 2)), ((5, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((70, 80), (80, 90))]
    for left, right in stacks:
        yield (_data(left, "float64"), _data(right, "float64")), {}
    yield (_data((5, 2, 3), "float64"), _data((3, 2), "float32")), {}
    yield (_data((2, 3), "float32"), _data((3, 2), "float64").T[:, :].T), {}


def _singles(shapes: list[tuple[int, ...]]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    yield from (((_data(shape, dtype),), {}) for shape in shapes for dtype in ("float64", "float32"))


def _labelled() -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype in itertools.product([(4, 3), (3,), (2, 3, 5), (1, 2)], ("float64", "float32")):
        for axis in range(len(shape)):
            labels = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
            yield (_data(shape, dtype),), {"labels": labels, "axis": axis}


def _along_axes() -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype in itertools.product([(4, 3), (9, 2), (3,), (2, 3, 5), (0, 3)], ("float64", "float32")):
        yield from (((_data(shape, dtype),), {"axis": axis}) for axis in range(len(shape)) if shape[axis])


def _probabilities() -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype in itertools.product([(), (3,), (2, 3)], ("float64", "float32")):
        p, t = [np.asarray(rng.uniform(size=shape)).astype(dtype) for _ in range(2)]
        yield (p, t), {}
        yield (p, np.asarray(t > 0.5).astype("float64")), {}
        yield (np.asarray(p > 0.5).astype(dtype), np.asarray(t > 0.5).astype(dtype)), {}


CASES: dict[str, Callable[[], Iterator[tuple[tuple[Any, ...], dict[str, Any]]]]] = {
    **dict.fromkeys(("add", "subtract", "multiply"), lambda: _pairs(("float64", "float32", "int64", "complex128"))),
    "divide": lambda: _pairs(("float64", "float32", "complex64")),
    "matmul": _products,
    "matrix_transpose": lambda: _singles([(2, 3), (2, 1, 3), (0, 3)]),
    "sigmoid": lambda: itertools.chain(
        _singles(SHAPES), [((np.array([-1000.0, 1000.0, np.inf, -np.inf, np.nan]),), {})]
    ),
    "relu": lambda: itertools.chain(
        _singles(SHAPES), [((np.array([-0.0, 0.0, -1.0, 1.0, np.inf, -np.inf, np.nan]),), {})]
    ),
    "log_softmax": _along_axes,
    "binary_cross_entropy": _probabilities,
    "negative_log_likelihood": _labelled,
    "sum": lambda: _reductions(("float64", "float32", "int64", "int8", "uint8", "bool", "complex128"), counted=False),
    "mean": lambda: _reductions(("float64", "float32", "complex128"), counted=True),
}


def test_every_fast_function_is_compared() -> None:
    assert set(_fast.PRIMITIVES) == set(CASES)
    assert set(_fast.RULES) <= set(PRIMITIVES)


@pytest.mark.parametrize("name", CASES)
def test_forward(name: str) -> None:
    fast, plain = _fast.PRIMITIVES[name], _plain(PRIMITIVES[name])
    for arguments, params in CASES[name]():
        before = [np.copy(argument) for argument in arguments]
        _same(fast(*arguments, **params), plain(*arguments, **params))
        for argument, copy in zip(arguments, before, strict=True):
            np.testing.assert_array_equal(argument, copy)


@pytest.mark.parametrize("name", ["sum", "max", "min", "mean", "count_nonzero"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), ()])
def test_functions(name: str, axis: Any, keepdims: bool) -> None:
    for dtype in ("float64", "float32", *([] if name == "mean" else ["int64", "int8"])):
        x = _data((2, 3), dtype)
        found = _fast.FUNCTIONS[name](x, axis=axis, keepdims=keepdims)
        _same(found, getattr(plain_numpy, name)(x, axis=axis, keepdims=keepdims))


def test_sum_in_another_dtype() -> None:
    x = _data((2, 3), "float32")
    _same(_fast.FUNCTIONS["sum"](x, dtype=np.float64), plain_numpy.sum(x, dtype=np.float64))


def test_matrix_transpose() -> None:
    x = _data((2, 1, 3), "float64")
    _same(_fast.FUNCTIONS["matrix_transpose"](x), plain_numpy.matrix_transpose(x))


class _Kept:
    """A node as a rule sees it."""

    def __init__(self, primitive: Primitive, arguments: tuple[Any, ...], y: Any, params: dict[str, Any]) -> None:
        self.primitive, self.ky, self.params = primitive, y, params
        self.k1, self.k2 = (*arguments, None)[:2]
        self.a, self.b = self.k1, self.k2


RULES = [(name, argument) for name, rules in _fast.RULES.items() for argument in rules]
RULE_DATA = {"tanh": lambda: _singles(SHAPES), "sigmoid": lambda: _singles(SHAPES)}


@pytest.mark.parametrize(("name", "argument"), RULES)
def test_backward(name: str, argument: str) -> None:
    """The rules that compute in place give what the rule book's give, and write over nothing that they were handed."""
    primitive = PRIMITIVES[name]
    index = primitive.arguments.index(argument)
    fast = primitive.callers(_fast.RULES[name])[index]
    xp = find_device("cpu").xp
    for arguments, params in RULE_DATA.get(name, CASES.get(name, tuple))():
        y = _plain(primitive)(*arguments, **params)
        node, g = _Kept(primitive, arguments, y, params), _data(np.shape(y), y.dtype.name)
        before = [np.copy(value) for value in (g, y, *arguments)]
        _same(fast(xp, g, node, index), primitive.backward[index](xp, g, node, index))
        for value, copy in zip((g, y, *arguments), before, strict=True):
            np.testing.assert_array_equal(value, copy)


def _same(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    rtol = 1e-5 if found.dtype in (np.float32, np.complex64) else 1e-13
    np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "complex64", "complex128", "bool"])
def test_where_by_bits_chooses_what_where_chooses(dtype: str) -> None:
    n = 2 * _fast._LARGE
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-310, 7.0])
    with np.errstate(all="ignore"):
        x, y = (rng.choice(odd, size=(2, n)).astype(dtype) for _ in range(2))
    condition = rng.random((2, n)) < 0.5
    number, row, column = x[0, :1].reshape(()), x[:1], x[:, :1]
    for a, b in ((x, y), (x, x), (number, y), (x, number), (number, number), (row, y), (y, column), (row, column)):
        for chosen in (condition, condition[:, ::-1], condition[:1], np.asfortranarray(condition)):
            ours, theirs = _fast.where(chosen, a, b), np.where(chosen, a, b)
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            assert ours.tobytes() == theirs.tobytes()
    for a, b in ((x, 1), (x, np.float64(2)), (x, y.astype("complex128"))):
        assert _fast.where(condition, a, b).tobytes() == np.where(condition, a, b).tobytes()
    assert _fast.where(x, x, y).tobytes() == np.where(x, x, y).tobytes()
