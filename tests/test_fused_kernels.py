"""What agrad_cupy computes in one kernel, against the plain Array API code that it stands in for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import optim
from agrad._graph import Primitive
from agrad.backend import find_device
from agrad.rules import network

SHAPES = [(), (3,), (2, 3), (0, 3), (2, 1, 40)]
SPECIAL = [-1000.0, 1000.0, 0.0, -0.0, np.inf, -np.inf, np.nan]
rng = np.random.default_rng(12)


@pytest.fixture
def xp(device: str) -> Any:
    """The plain namespace: what is under agrad."""
    if not device.startswith("cuda"):
        pytest.skip("needs CuPy")
    return find_device(device).xp._library


def _data(xp: Any, shape: tuple[int, ...], dtype: str, low: float = -3.0, high: float = 3.0) -> Any:
    return xp.asarray(np.asarray(rng.uniform(low, high, shape)).astype(dtype))


def _singles(xp: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype in itertools.product(SHAPES, ("float64", "float32")):
        yield (_data(xp, shape, dtype),), {}
    yield (xp.asarray(np.array(SPECIAL)),), {}
    yield (_data(xp, (4, 5), "float64").T[::2],), {}


def _along_an_axis(xp: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype in itertools.product([(3,), (2, 3), (3, 0, 2)], ("float64", "float32")):
        for axis in range(len(shape)):
            if shape[axis]:
                yield (_data(xp, shape, dtype) * 100,), {"axis": axis}
    yield (xp.asarray(np.array([[1.0, np.inf, 2.0], [np.nan, 1.0, 2.0], [-np.inf, 0.0, 1.0]])),), {"axis": 1}


def _logsumexp(xp: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for (x,), params in _along_an_axis(xp):
        axis = params["axis"]
        kept = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
        for keepdims in (False, True):
            yield (x,), {"axis": (axis,), "keepdims": keepdims, "shape": kept}
    infinite = xp.asarray(np.array([[-np.inf, -np.inf], [np.inf, 1.0]]))
    yield (infinite,), {"axis": (1,), "keepdims": False, "shape": (2, 1)}
    yield (infinite,), {"axis": (0, 1), "keepdims": False, "shape": (1, 1)}


def _probabilities(xp: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    dtypes = [("float64", "float64"), ("float32", "float32"), ("float32", "float64")]
    for shape, (p, t) in itertools.product([(), (3,), (2, 3)], dtypes):
        yield (_data(xp, shape, p, 0, 1), _data(xp, shape, t, 0, 1)), {}
    yield (xp.asarray(np.array([0.0, 1.0, 0.0, 1.0])), xp.asarray(np.array([0.0, 1.0, 1.0, 0.0]))), {}


def _updates(xp: Any, count: int, numbers: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for shape, dtype in itertools.product(SHAPES, ("float64", "float32")):
        yield (*[_data(xp, shape, dtype, 0.1) for _ in range(count)], *numbers), {}


DATA = {
    **dict.fromkeys(("relu", "softplus", "sigmoid", "tanh"), _singles),
    **dict.fromkeys(("softmax", "log_softmax"), _along_an_axis),
    "logsumexp": _logsumexp,
    "binary_cross_entropy": _probabilities,
    "momentum": lambda xp: itertools.chain(_updates(xp, 3, (0.1, 0.9, True)), _updates(xp, 3, (0.1, 0.9, False))),
    "adam": lambda xp: _updates(xp, 4, (0.9, 0.1, 0.999, 0.001, 0.5, 1e-8, 0.01)),
}
NAMED = {p.name: p for module in (network, optim) for p in vars(module).values() if isinstance(p, Primitive)}
NAMED["tanh"] = ag.rules.elementwise.tanh


def test_everything_is_compared(xp: Any) -> None:
    from agrad_cupy import _fused

    assert set(_fused.PRIMITIVES) | set(_fused.RULES) == set(DATA)


@pytest.mark.parametrize("name", sorted(DATA.keys() - {"tanh"}))
def test_forward(xp: Any, name: str) -> None:
    from agrad_cupy._fused import PRIMITIVES

    for arguments, params in DATA[name](xp):
        plain = partial(NAMED[name].forward, xp)  # type: ignore[arg-type]
        _same(PRIMITIVES[name](*arguments, **params), plain(*arguments, **params), _tolerance(arguments))


@pytest.mark.parametrize("name", sorted(DATA.keys() - {"momentum", "adam"}))
def test_backward(xp: Any, name: str) -> None:
    from agrad_cupy._fused import RULES

    primitive = NAMED[name]
    forward = partial(primitive.forward, xp) if primitive.forward else getattr(xp, name)
    assert RULES[name].keys() == primitive.rules.keys()
    for index, fast in enumerate(primitive.callers(RULES[name])):
        for arguments, params in DATA[name](xp):
            y = forward(*arguments, **params)
            node = _Kept(arguments, y, params)
            g = _data(xp, y.shape, y.dtype.name)
            _same(fast(xp, g, node, index), primitive.backward[index](xp, g, node, index), _tolerance(arguments))


class _Kept:
    """A node as a rule sees it."""

    def __init__(self, arguments: tuple[Any, ...], y: Any, params: dict[str, Any]) -> None:
        self.k1, self.k2 = (*arguments, None)[:2]
        self.ky, self.params = y, params


def _tolerance(arguments: tuple[Any, ...]) -> float:
    """Where dtypes are mixed, the plain code computes a part in the smaller one."""
    return 1e-5 if any(getattr(x, "dtype", None) == np.float32 for x in arguments) else 1e-13


def _same(found: Any, expected: Any, tolerance: float) -> None:
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _same(one, other, tolerance)
        return
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.get(), expected.get(), rtol=tolerance, atol=tolerance)
