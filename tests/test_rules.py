"""Every backward rule against central differences, in first and second order: one table.

A row is a function of the public face, under the name that a user writes, with the arguments at which it is checked.
All data is random, none of it symmetric, and the cotangents are random. A public function or a primitive of the rule
book without a row fails here.
"""

from __future__ import annotations

import importlib
import operator
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import agrad as ag
import agrad.functional as F
import agrad.losses
import agrad.rules
from agrad import Tensor
from agrad._engine import topological
from agrad._graph import Primitive
from agrad.backend import Functions, dtype_name
from agrad.ops.data_types import to_device
from agrad.ops.searching import index_add, index_set
from agrad.testing import check_gradients
from tests import standard

rng = np.random.default_rng(20240229)


# Data ----------------------------------------------------------------------------------------------------------------


def real(*shape: int) -> np.ndarray:
    """Numbers of both signs, none near 0."""
    return rng.uniform(0.4, 1.8, shape) * rng.choice([-1.0, 1.0], shape)


def positive(*shape: int) -> np.ndarray:
    return rng.uniform(0.4, 1.8, shape)


def inside(*shape: int) -> np.ndarray:
    """Numbers between -1 and 1."""
    return real(*shape) / 2


def probability(*shape: int) -> np.ndarray:
    """Numbers between 0 and 1."""
    return rng.uniform(0.1, 0.9, shape)


def far(*shape: int) -> np.ndarray:
    """Numbers of both signs, some of them large, none near an integer, where special functions have poles."""
    return rng.integers(-4, 9, shape) + rng.uniform(0.2, 0.8, shape)


def above_one(*shape: int) -> np.ndarray:
    return 1 + positive(*shape)


def compl(*shape: int) -> np.ndarray:
    return real(*shape) + 1j * real(*shape)


def with_zeros(n: int, *shape: int) -> np.ndarray:
    """Numbers of which `n` are 0, at random places."""
    data = real(*shape)
    data.reshape(-1)[rng.permutation(data.size)[:n]] = 0
    return data


def like(x: Tensor, data: Any) -> Any:
    """A raw array of the device and dtype of `x`."""
    return ag.asarray(data, device=x.device, dtype=x.dtype).value


def mask_of(x: Tensor, *places: int) -> Tensor:
    """Booleans of the shape of `x`, true at the given places of the flattened array."""
    flat = [i in places for i in range(x.size)]
    return ag.asarray(np.reshape(np.array(flat, dtype=bool), x.shape), device=x.device)


# Special functions of one real number.
REAL = (
    *("erf", "erfc", "erfcx", "ndtr", "log_ndtr", "expit", "gammaln", "digamma", "psi"),
    *("i0", "i1", "i0e", "i1e"),
)


# The table -----------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    function: Callable[..., Tensor]
    arguments: tuple[Any, ...]
    unsupported: dict[str, str]
    """Device kinds whose library cannot do this, with the reason."""
    name: str = ""
    """The row's."""


def case(function: Callable[..., Tensor], *arguments: Any, **unsupported: str) -> Case:
    return Case(function, arguments, unsupported)


# What a library cannot do.
STEPS = "a slice of torch has no negative step"
LEFT = "an array of array-api-strict refuses a Tensor as its right operand"
EMPTY = "torch warns of no degrees of freedom where there is no result either"
NO_ELEMENTS = "the Fourier transforms of torch refuse arrays without elements"
PROMOTION = "the operator @ of torch does not promote real numbers to complex ones"


def of_one(function: Callable[[Tensor], Tensor], *domains: Callable[..., np.ndarray]) -> list[Case]:
    """A function of one argument, on data of several kinds: a matrix, 0-d, empty."""
    shapes = [(2, 3), (), (0, 2)]
    return [case(function, domain(*shape)) for domain in domains for shape in shapes]


BROADCASTING = (
    *(((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2, 2)), ((2, 2), ()), ((), ())),
    *(((0, 3), (3,)), ((3,), (0, 3)), ((1,), (0,))),
)
SOME = (((2, 3), (3,)), ((2, 1), (1, 3)), ((0, 3), (3,)))


def of_two(
    function: Callable[[Any, Any], Tensor],
    left: Callable[..., np.ndarray],
    right: Callable[..., np.ndarray],
    shapes: tuple[Any, ...] = BROADCASTING,
    **raw_left_unsupported: str,
) -> list[Case]:
    """A function of two arguments that broadcast against each other, also against numbers and raw arrays."""
    data = left(3).tolist(), right(3).tolist()
    return [
        *[case(function, left(*a), right(*b)) for a, b in shapes],
        case(lambda x: function(x, 2), left(2, 3)),
        case(lambda x: function(2, x), right(2, 3)),
        case(lambda x: function(x, 1.7), left(2, 3)),
        case(lambda x: function(1.7, x), right(2, 3)),
        case(lambda x: function(x, np.float64(1.7)), left(2, 3)),
        case(lambda x: function(x, like(x, data[1])), left(2, 3)),
        case(lambda x: function(like(x, data[0]), x), right(2, 3), **raw_left_unsupported),
        case(lambda x: function(x, x * 0.7), positive(2, 3)),
    ]


def over_axes(
    function: Callable[..., Tensor], domain: Callable[..., np.ndarray] = real, **empty_unsupported: str
) -> list[Case]:
    """A reduction over every kind of axis, with and without keepdims."""

    def reduced(axis: Any, keepdims: bool) -> Callable[[Tensor], Tensor]:
        return lambda x: function(x, axis=axis, keepdims=keepdims)

    axes = (None, 0, -1, (0, 1), (-1, 0), (1,))
    return [
        *[case(reduced(axis, keepdims), domain(2, 3)) for axis in axes for keepdims in (False, True)],
        *[case(reduced(axis, False), domain(2, 3, 2)) for axis in (1, (0, 2), (-2, 0))],
        case(reduced(1, False), domain(0, 3), **empty_unsupported),
        case(reduced(None, False), domain()),
        case(reduced(None, True), domain(3, 3)),
    ]


def regular(*shape: int) -> np.ndarray:
    """Square matrices, the last axis twice, far from singular ones and with distinct singular values."""
    return real(*shape, shape[-1]) / 2 + np.diag(np.arange(2.0, shape[-1] + 2) * 1.5)


def tall(m: int, n: int) -> np.ndarray:
    """A matrix of full rank."""
    return real(m, n) / 2 + np.eye(m, n) * np.arange(2.0, n + 2)


def spread(n: int) -> np.ndarray:
    """A matrix whose eigenvalues are real and far from each other."""
    return real(n, n) / 4 + np.diag(np.arange(1.0, n + 1) ** 2)


def adjoint(x: Tensor) -> Tensor:
    return ag.conj(x.mT)


def projected(vectors: Tensor, k: int) -> Tensor:
    """The projection onto all but the first k columns, whatever basis, sign and phase they have."""
    rest = vectors[..., :, k:]
    return rest @ adjoint(rest)


def of_lines(vectors: Tensor, rows: Tensor) -> Tensor:
    """The projections onto each column, and the sizes in a matrix: whatever sign and phase there is."""
    products = vectors[..., :, None, :] * ag.conj(vectors)[..., None, :, :]
    return weighted([products, ag.abs(rows)])


def of_eigen(values: Tensor, vectors: Tensor) -> Tensor:
    products = vectors[..., :, None, :] * ag.conj(vectors)[..., None, :, :]
    return weighted([values, products])


def of_singular(u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
    k = s.shape[-1]
    products = u[..., :, None, :k] * vh.mT[..., None, :, :k]
    return weighted([s, products])


def of_a_transform(function: Callable[..., Tensor], *domains: Callable[..., np.ndarray]) -> list[Case]:
    """A Fourier transform along one axis: even and odd lengths, cut and padded, each norm, batches, an empty one."""
    return [
        *[case(lambda x: function(x), domain(n)) for domain in domains for n in (4, 3)],
        *[case(lambda x, n=n: function(x, n=n), domain(4)) for domain in domains for n in (3, 6, 7)],
        *[case(lambda x, norm=norm: function(x, n=4, norm=norm), domains[-1](3)) for norm in ("ortho", "forward")],
        case(lambda x: function(x, axis=0, n=5), domains[0](3, 2)),
        case(lambda x: function(x, axis=-2), domains[-1](2, 3, 1)),
        case(lambda x: function(x), domains[-1](0, 3), torch=NO_ELEMENTS),
    ]


def of_transforms(function: Callable[..., Tensor], *domains: Callable[..., np.ndarray]) -> list[Case]:
    """A Fourier transform along several axes."""
    return [
        *[case(lambda x: function(x), domain(3, 4)) for domain in domains],
        *[case(lambda x: function(x, s=(2, 5)), domain(2, 3, 3)) for domain in domains],
        *[case(lambda x, norm=norm: function(x, norm=norm), domains[-1](2, 3)) for norm in ("ortho", "forward")],
        case(lambda x: function(x, axes=(-1, 0)), domains[0](2, 1, 3)),
        case(lambda x: function(x, axes=(1,), s=(5,)), domains[-1](2, 3)),
        case(lambda x: function(x, axes=(1,)), domains[-1](0, 3), torch=NO_ELEMENTS),
    ]


def written(x: Tensor, index: Any, value: Any) -> Tensor:
    y = x * 1.0
    y[index] = value
    return y


def added(x: Tensor, value: Any) -> Tensor:
    x = x * 1.0
    x += value
    return x


def subtracted(x: Tensor, value: Any) -> Tensor:
    x = x * 1.0
    x -= value
    return x


def multiplied(x: Tensor, value: Any) -> Tensor:
    x = x * 1.0
    x *= value
    return x


def divided(x: Tensor, value: Any) -> Tensor:
    x = x * 1.0
    x /= value
    return x


def raised(x: Tensor, value: Any) -> Tensor:
    x = x * 1.0
    x **= value
    return x


def matmultiplied(x: Tensor, value: Any) -> Tensor:
    x = x * 1.0
    x @= value
    return x


def elsewhere(x: Tensor) -> Tensor:
    """`x` on another device and back."""
    return (x.to("array_api_strict:device1" if x.device == "cpu" else "cpu") * 2).to(x.device) * x


def weighted(parts: Any) -> Tensor:
    """One tensor of several, each with its own weight."""
    return ag.concat([part.reshape(-1) * (i + 2) for i, part in enumerate(parts)])


@ag.custom_gradient
def cubed(x: Tensor) -> Any:
    return x * x * x, lambda g: g * x * x * 3


MATMUL = (
    *(((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((3, 3), (3, 3)), ((1, 3), (3, 1))),
    *(((2, 1), (1, 3)), ((0, 3), (3, 2)), ((2, 0), (0, 3))),
    *(
        ((2, 2, 3), (3, 2)),
        ((2, 3), (2, 3, 2)),
        ((2, 2, 3), (2, 3, 2)),
        ((2, 1, 2, 3), (3, 3, 2)),
        ((1, 2, 3), (2, 3, 1)),
    ),
    *(((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 1, 1), (2, 1, 3))),
)
SCATTER = "array-api-strict has no x[integers] = v"

# An index, and what to do without it.
INDICES: tuple[tuple[Any, dict[str, str]], ...] = (
    *((1, {}), (-1, {}), (slice(None), {}), (slice(1, 3), {}), (slice(None, None, 2), {}), (slice(2, 2), {})),
    *((slice(None, None, -1), {"torch": STEPS}), (slice(-1, 0, -2), {"torch": STEPS})),
    *((..., {}), ((..., 1), {}), ((..., slice(1, None)), {}), ((1, slice(None, None, 2)), {}), ((1, 2), {})),
    *(((slice(None), -1), {}), ((None, 1), {}), ((slice(None), None, slice(0, 2)), {}), ((..., None), {})),
)
INTEGERS: tuple[tuple[Any, dict[str, str]], ...] = (
    *(
        ([2, 0], {}),
        ([1, 1, -1, 1], {}),
        (([0, 2, 2], [1, 3, 3]), {}),
        (([[0, 1], [1, 1]], [[3, 0], [0, 0]]), {}),
    ),
    *(((1, [0, 3, 3]), {}), (([1, 0, 1], ..., slice(1, 3)), {})),
    *(((slice(None), [3, 3, 0]), {}),),
)


def taken(index: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: x[index]


def put(index: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, v: written(x, index, v)


def shape_of(index: Any) -> tuple[int, ...]:
    parts = tuple(np.array(part) if type(part) is list else part for part in index) if type(index) is tuple else index
    return np.zeros((3, 4))[np.array(parts) if type(parts) is list else parts].shape


OF_ONE: dict[str, tuple[Callable[..., np.ndarray], ...]] = {
    **dict.fromkeys(("exp", "expm1", "sin", "cos", "sinh", "cosh", "square", "reciprocal"), (real, compl)),
    **dict.fromkeys(("tan", "tanh", "atan", "asinh", "abs", "negative", "conj", "positive", "sign"), (real, compl)),
    **dict.fromkeys(("log", "log1p", "log2", "log10", "sqrt"), (positive, compl)),
    **dict.fromkeys(("asin", "acos", "atanh"), (inside, compl)),
    "acosh": (above_one, compl),
    **dict.fromkeys(("real", "imag"), (compl,)),
    **dict.fromkeys(("floor", "ceil", "trunc", "round"), (real,)),
}

TABLE: dict[str, list[Case]] = {
    # Elementwise
    **{name: of_one(getattr(ag, name), *domains) for name, domains in OF_ONE.items()},
    "-x": of_one(lambda x: -x, real, compl),
    "+x": of_one(lambda x: +x, real, compl),
    "abs(x)": of_one(abs, real, compl),
    **{
        f"x {sign} y": [*of_two(f, real, real, array_api_strict=LEFT), case(f, compl(2, 1), compl(2))]
        for sign, f in (("+", operator.add), ("-", operator.sub), ("*", operator.mul), ("/", operator.truediv))
    },
    "x ** y": [
        *of_two(operator.pow, positive, real, array_api_strict=LEFT),
        *[case(lambda x, n=n: x**n, real(2, 3)) for n in (0, 1, 2, 3, -1, -2, 4.0)],
        *[case(lambda x, n=n: x**n, positive(3)) for n in (0.5, -1.5)],
        case(lambda x: x ** ag.asarray([0.0, 1.0, 2.0, 3.0, -2.0], device=x.device, dtype=x.dtype), real(5)),
        case(lambda x, y: x**y, compl(2, 3), compl(3)),
        case(lambda x, y: x**y, positive(2), compl(2)),
        case(lambda x: x**3, compl(3)),
    ],
    "add": [
        *of_two(ag.add, real, real)[:3],
        case(ag.add, compl(2), real(2)),
        case(ag.add, real(2), compl(2)),
        case(ag.add, real(0, 2), real(2)),
    ],
    "subtract": [
        *of_two(ag.subtract, real, real)[:3],
        case(ag.subtract, real(2), compl(2)),
        case(ag.subtract, compl(2), compl(1)),
        case(ag.subtract, real(0, 2), real(2)),
    ],
    "multiply": [
        *of_two(ag.multiply, real, real)[:3],
        case(ag.multiply, compl(2, 2), compl(2)),
        case(ag.multiply, real(2), compl(2)),
        case(ag.multiply, real(2), real(0, 2)),
        case(lambda x: x * (2 - 3j), compl(2)),
    ],
    "divide": [
        *of_two(ag.divide, real, real)[:3],
        case(ag.divide, compl(2), compl(2, 1)),
        case(ag.divide, compl(2), real(2)),
        case(ag.divide, real(2), compl(2)),
        case(ag.divide, real(0, 2), real(2)),
    ],
    "pow": [
        *of_two(ag.pow, positive, real)[:3],
        case(ag.pow, compl(2), compl(2, 1)),
        case(ag.pow, positive(0), real(0)),
    ],
    "maximum": of_two(ag.maximum, real, real, SOME),
    "minimum": of_two(ag.minimum, real, real, SOME),
    "floor_divide": of_two(ag.floor_divide, real, real, SOME),
    "remainder": of_two(ag.remainder, real, real, SOME),
    "x // y": of_two(operator.floordiv, real, real, SOME, array_api_strict=LEFT),
    "x % y": of_two(operator.mod, real, real, SOME, array_api_strict=LEFT),
    "copysign": of_two(ag.copysign, real, real, SOME),
    "nextafter": of_two(ag.nextafter, real, real, SOME),
    "atan2": of_two(ag.atan2, real, real, SOME),
    "hypot": of_two(ag.hypot, real, real, SOME),
    "logaddexp": of_two(ag.logaddexp, real, real, SOME),
    "clip": [
        case(lambda x: ag.clip(x, -0.9, 1.1), real(3, 3)),
        case(lambda x: ag.clip(x, -0.9), real(6)),
        case(lambda x: ag.clip(x, max=0.9), real(6)),
        case(lambda x: ag.clip(x), real(2)),
        case(ag.clip, real(3, 3), -positive(3), positive(3, 1)),
        case(ag.clip, real(), np.array(-0.2), np.array(0.3)),
        case(lambda x, low: ag.clip(x, low), real(2, 3), real(3)),
        case(lambda x, high: ag.clip(x, max=high), real(3), real(2, 1)),
        case(ag.clip, real(0, 2), real(2), real(2)),
    ],
    "x += v": [
        case(added, real(2, 3), real(3)),
        case(lambda x: added(x, 2), real(2)),
        case(lambda x: added(x, x), real(2)),
    ],
    "x -= v": [case(subtracted, real(2, 3), real(2, 1)), case(lambda x: subtracted(x, 2.5), real(2))],
    "x *= v": [case(multiplied, real(2, 3), real(3)), case(lambda x: multiplied(x, x), real(2))],
    "x /= v": [case(divided, real(2, 3), real(3)), case(lambda x: divided(x, 3), real(2))],
    "x **= v": [case(raised, positive(2, 3), real(3)), case(lambda x: raised(x, 3), real(2))],
    "x @= v": [case(matmultiplied, real(2, 3), real(3, 3))],
    # Data types and creation
    "astype": [
        case(lambda x: ag.astype(x * x, "complex64") * (1 + 2j), compl(2).astype("complex64")),
        case(lambda x: ag.astype(x, x.dtype), compl(2, 2)),
        case(lambda x: ag.astype(x, x.dtype, copy=False) * x, real(0, 2)),
        case(lambda x: ag.astype(x * x, "complex128") * (1 + 2j), real(2, 3)),
        case(lambda x: ag.astype(x * x, "float32") * 2, real(2, 3).astype("float32")),
        case(lambda x: ag.astype(ag.astype(x * x, "float64") ** 2, "float32"), real(2).astype("float32")),
    ],
    "asarray": [
        case(lambda x: ag.asarray([x[0], x[1] * x[0]]), compl(2)),
        case(lambda x: ag.asarray(x, copy=True), real(0, 2)),
        case(lambda x: ag.asarray(x) * x, real(2)),
        case(lambda x, y: ag.asarray([[x, y], [y * x, 2.0]]) ** 2, real(), real()),
    ],
    "Tensor": [case(lambda x, y: Tensor([x, y, x * y]), real(3), real(3)), case(lambda x: Tensor(x) * x, real(2))],
    "tril": [
        case(ag.tril, real(2, 0)),
        case(ag.tril, real(3, 3)),
        case(lambda x: ag.tril(x, k=-1), real(2, 2, 3)),
        case(ag.tril, compl(2, 2)),
    ],
    "triu": [
        case(ag.triu, compl(3, 2)),
        case(ag.triu, real(3, 3)),
        case(lambda x: ag.triu(x, k=1), real(3, 2)),
        case(ag.triu, real(0, 2)),
    ],
    "x.to": [case(elsewhere, real(2, 3)), case(elsewhere, compl(2))],
    "to_device": [case(lambda x: to_device(x * x, "cpu").to(x.device), real(2, 3))],
    "custom_gradient": [case(cubed, real(2, 3))],
    "stop_gradient": [case(lambda x: ag.stop_gradient(x - x) + x * x, real(2, 3))],
    # Linear algebra
    "x @ y": [
        *[case(lambda x, y: x @ y, real(*a), real(*b)) for a, b in MATMUL],
        case(lambda x: x @ like(x, [[1.0, 2.0], [3.0, 5.0], [7.0, 4.0]]), real(2, 3)),
        case(lambda x: like(x, [[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]]) @ x, real(3, 2), array_api_strict=LEFT),
        case(lambda x: x @ x, real(3, 3)),
        case(lambda x, y: x @ y, compl(2, 3), compl(3, 2)),
        case(lambda x, y: x @ y, compl(3), real(2, 3, 2), torch=PROMOTION),
    ],
    "matmul": [
        *[case(ag.matmul, real(*a), real(*b)) for a, b in MATMUL],
        case(ag.matmul, compl(2, 1), compl(1, 2)),
        case(ag.matmul, compl(3), compl(2, 3, 2)),
        case(ag.matmul, compl(2, 3), compl(3)),
    ],
    "vecdot": [
        case(ag.vecdot, real(3), real(3)),
        case(ag.vecdot, real(2, 3), real(3)),
        case(ag.vecdot, real(3), real(2, 3)),
        case(lambda x, y: ag.vecdot(x, y, axis=-2), real(3, 2), real(2, 3, 1)),
        case(ag.vecdot, compl(2, 3), compl(3)),
        case(ag.vecdot, compl(3), real(3)),
        case(ag.vecdot, real(3), compl(2, 3)),
        case(ag.vecdot, real(2, 0), real(0)),
    ],
    "einsum": [
        case(lambda x, y: ag.einsum("ij,kj->ik", x, y), real(2, 3), real(4, 3)),
        case(lambda x, y: ag.einsum("ij,ij->", x, y), compl(2, 3), compl(2, 3)),
    ],
    "tensordot": [
        case(ag.tensordot, real(2, 3), real(2, 3)),
        case(lambda x, y: ag.tensordot(x, y, axes=1), real(2, 3), real(3, 2)),
        case(lambda x, y: ag.tensordot(x, y, axes=0), real(2), real(3)),
        case(lambda x, y: ag.tensordot(x, y, axes=([0, -1], [1, 0])), real(2, 2, 3), real(3, 2, 2)),
        case(lambda x, y: ag.tensordot(x, y, axes=1), compl(2, 2), compl(2)),
        case(lambda x, y: ag.tensordot(x, y, axes=1), real(0, 2), real(2, 3)),
    ],
    # Manipulation
    "reshape": [
        case(lambda x: ag.reshape(x, (3, -1)), real(2, 3)),
        case(lambda x: ag.reshape(x, (1, 1)), real()),
        case(lambda x: ag.reshape(x, (0, 4)), real(2, 0)),
        case(lambda x: ag.reshape(x, (6,), copy=True), real(2, 3)),
        case(lambda x: ag.reshape(x, (2, 2)), compl(4)),
    ],
    "x.reshape": [case(lambda x: x.reshape(3, 2), real(2, 3)), case(lambda x: x.reshape((-1,)), real(3, 1, 2))],
    "broadcast_to": [
        case(lambda x: ag.broadcast_to(x, (2, 3)), real(3)),
        case(lambda x: ag.broadcast_to(x, (2, 3, 2)), real(3, 1)),
        case(lambda x: ag.broadcast_to(x, (2, 2)), real()),
        case(lambda x: ag.broadcast_to(x, (0, 2)), real(1, 2)),
        case(lambda x: ag.broadcast_to(x, (2, 3)), compl(3)),
        case(lambda x: ag.broadcast_to(x, (2, 0)), real(0)),
    ],
    "x.broadcast_to": [case(lambda x: x.broadcast_to((2, 3)), real(2, 1))],
    "broadcast_arrays": [
        case(lambda x, y: weighted(ag.broadcast_arrays(x, y)), real(2, 1), real(3)),
        case(lambda x, y: weighted(ag.broadcast_arrays(x, y)), compl(), real(0, 2)),
        case(lambda x, y: weighted(ag.broadcast_arrays(x, y)), compl(2, 1), compl(2)),
    ],
    "permute_dims": [
        case(lambda x: ag.permute_dims(x, (2, 0, 1)), real(2, 3, 2)),
        case(lambda x: ag.permute_dims(x, (-1, 0)), real(3, 3)),
        case(lambda x: ag.permute_dims(x, (1, 0)), compl(3, 2)),
        case(lambda x: ag.permute_dims(x, (1, 0)), real(0, 2)),
        case(lambda x: ag.permute_dims(x, ()), real()),
    ],
    "moveaxis": [
        case(lambda x: ag.moveaxis(x, 0, -1), real(2, 3, 2)),
        case(lambda x: ag.moveaxis(x, (0, 2), (1, 0)), real(2, 2, 3)),
        case(lambda x: ag.moveaxis(x, 0, 1), compl(3, 2)),
        case(lambda x: ag.moveaxis(x, -1, 0), real(0, 2)),
    ],
    "matrix_transpose": [
        case(ag.matrix_transpose, real(2, 3, 3)),
        case(ag.matrix_transpose, compl(2, 2)),
        case(ag.matrix_transpose, real(0, 2)),
    ],
    "x.T": [case(lambda x: x.T, real(3, 3)), case(lambda x: x.T, real(2, 1, 3)), case(lambda x: x.T * x, real(3))],
    "x.mT": [case(lambda x: x.mT, real(3, 3)), case(lambda x: x.mT, real(2, 3, 1))],
    "expand_dims": [
        *[case(lambda x, a=a: ag.expand_dims(x, axis=a) * x[:, None, ...], real(2, 2)) for a in (0, 1, -1, -3)],
        case(lambda x: ag.expand_dims(x, (0, -1)), real(2, 2)),
        case(lambda x: ag.expand_dims(x, axis=0), compl(2)),
        case(lambda x: ag.expand_dims(x, axis=-1), real(0)),
        case(lambda x: ag.expand_dims(x, axis=0), real()),
    ],
    "squeeze": [
        case(lambda x: ag.squeeze(x, 1), real(3, 1)),
        case(lambda x: ag.squeeze(x, (0, -1)), real(1, 3, 1)),
        case(lambda x: ag.squeeze(x, 0), compl(1, 2)),
        case(lambda x: ag.squeeze(x, 0), real(1, 0)),
        case(lambda x: ag.squeeze(x, 0), real(1)),
    ],
    "flip": [
        *[case(lambda x, a=a: ag.flip(x, axis=a), real(2, 3)) for a in (None, 0, -1, (0, 1))],
        case(lambda x: ag.flip(x, axis=1), compl(2, 3)),
        case(ag.flip, real(0, 2)),
        case(ag.flip, real()),
    ],
    "roll": [
        case(lambda x: ag.roll(x, 1), real(2, 3)),
        case(lambda x: ag.roll(x, -2, axis=1), real(2, 3)),
        case(lambda x: ag.roll(x, (1, 2), axis=(0, -1)), real(2, 3)),
        case(lambda x: ag.roll(x, [1, 2], axis=[0, 1]), real(2, 3)),
        case(lambda x: ag.roll(x, 1), real(0)),
        case(lambda x: ag.roll(x, 1, axis=-1), compl(2, 3)),
    ],
    "concat": [
        case(lambda x, y: ag.concat([x, y]), real(2, 2), real(1, 2)),
        case(lambda x, y: ag.concat((x, y, x), axis=-1), real(2, 2), real(2, 1)),
        case(lambda x, y: ag.concat([x, y], axis=None), real(2, 2), real(2)),
        case(lambda x, y: ag.concat([x, y]), real(0, 2), real(1, 2)),
        case(lambda x, y: ag.concat([x, y]), real(2), compl(2)),
        case(lambda x: ag.concat([like(x, [1.0, 2.0]), x]), real(2)),
    ],
    "stack": [
        case(lambda x, y: ag.stack([x, y]), real(2, 2), real(2, 2)),
        case(lambda x, y: ag.stack([x, y, x], axis=-1), real(2, 3), real(2, 3)),
        case(lambda x, y: ag.stack([x, y]), real(), real()),
        case(lambda x, y: ag.stack([x, y], axis=1), real(2), compl(2)),
        case(lambda x, y: ag.stack([x, y], axis=-2), real(0, 2), real(0, 2)),
    ],
    "unstack": [
        *[case(lambda x, a=a: weighted(ag.unstack(x, axis=a)), real(2, 3)) for a in (0, -1)],
        case(lambda x: weighted(ag.unstack(x)), compl(2, 2)),
        case(lambda x: weighted(ag.unstack(x, axis=1)), real(0, 2)),
    ],
    "repeat": [
        case(lambda x: ag.repeat(x, 3), real(2, 2)),
        case(lambda x: ag.repeat(x, 2, axis=0), real(2, 3)),
        case(lambda x: ag.repeat(x, 2, axis=-1), real(2, 3)),
        case(lambda x: ag.repeat(x, 0), real(2)),
        case(lambda x: ag.repeat(x, 2, axis=1), compl(1, 2)),
        case(lambda x: ag.repeat(x, 2, axis=1), real(2, 0)),
        case(lambda x: ag.repeat(x, 3), real()),
        case(lambda x: ag.repeat(x, ag.asarray([2, 0, 3], device=x.device)), real(3)),
        case(lambda x: ag.repeat(x, [1, 2], axis=0), real(2, 2)),
    ],
    "tile": [
        case(lambda x: ag.tile(x, (3,)), real(2)),
        case(lambda x: ag.tile(x, (2, 1, 2)), real(2, 3)),
        case(lambda x: ag.tile(x, (2,)), real(2, 2)),
        case(lambda x: ag.tile(x, (2, 0)), real(2)),
        case(lambda x: ag.tile(x, (2,)), compl(1, 2)),
        case(lambda x: ag.tile(x, (2, 2)), real(0, 1)),
        case(lambda x: ag.tile(x, (2,)), real()),
    ],
    "meshgrid": [
        case(lambda x, y: weighted(ag.meshgrid(x, y)), real(2), real(3)),
        case(lambda x, y: weighted(ag.meshgrid(x, y, indexing="ij")), real(2), real(3)),
        case(lambda x, y: weighted(ag.meshgrid(x, y)), compl(2), compl(3)),
        case(lambda x, y, z: weighted(ag.meshgrid(x, y, z)), real(2), real(1), real(3)),
        case(lambda x, y: weighted(ag.meshgrid(x, y)), real(0), real(2)),
    ],
    # Indexing and searching
    "x[mask]": [
        case(lambda x: x[mask_of(x, 1, 4, 5)], real(2, 3)),
        case(lambda x: x[mask_of(x)], real(2, 3)),
        case(lambda x: x[ag.asarray([True, False, True], device=x.device)], real(3, 2)),
        case(lambda x: x[..., ag.asarray([True, False, True], device=x.device)] * 2.0, real(2, 3)),
    ],
    "x[i]": [
        *[case(taken(index), real(3, 4), **without) for index, without in (*INDICES, *INTEGERS)],
        case(lambda x: x[ag.asarray([2, 2, 0], device=x.device)], real(3)),
        case(lambda x: x[()], real()),
        case(lambda x: x[None, ...], real()),
        case(lambda x: x[1:, ::2] * x[:-1, 1::2], compl(3, 4)),
        case(lambda x: x[[1, 1, 0]], compl(3)),
        case(lambda x: ag.stack([row * (i + 1) for i, row in enumerate(x)]), real(3, 2)),
    ],
    "x[i] = v": [
        *[case(put(index), real(3, 4), real(*shape_of(index)), **without) for index, without in INDICES],
        *[
            case(put(index), real(3, 4), real(*shape_of(index)), **{"array_api_strict": SCATTER, **without})
            for index, without in (([2, 0], {}), (([0, 2, 2], [1, 3, 0]), {}), ((slice(None), [3, 0]), {}))
        ],
        case(lambda x, v: written(x, slice(1, 3), v), real(3, 2), real(2)),
        case(lambda x, v: written(x, (slice(None), 1), v), real(3, 2), real()),
        case(lambda x, v: written(x, mask_of(x, 1, 3), v), real(2, 2), real()),
        case(lambda x, v: written(x, mask_of(x, 1, 3), v), real(2, 2), real(2)),
        case(lambda x: written(x, mask_of(x, 0, 3), 2.0), real(2, 2)),
        case(lambda x: written(x, 0, 2), real(2, 2)),
        case(lambda x: written(x, 1, like(x, [2.0, 3.0])), real(2, 2)),
        case(lambda x: written(x, 0, x[1] * x[1]), real(2, 2)),
        case(lambda x, v: written(x, 0, v), compl(2), real()),
        case(lambda x, v: written(x, (), v), real(), real()),
    ],
    "where": [
        case(lambda x, y: ag.where(mask_of(x, 1, 3), x, y), real(2, 2), real(2, 2)),
        case(lambda x, y: ag.where(mask_of(x, 1, 3), x, y), real(2, 2), real(2)),
        case(lambda x, y: ag.where(ag.asarray([True, False], device=x.device), x, y), real(3, 1), real()),
        case(lambda x: ag.where(x > 0, x * x, 1.5), real(2, 3)),
        case(lambda x: ag.where(x > 0, 2, x * x), real(2, 3)),
        case(lambda x: ag.where(x > 0, x**3, like(x, [1.0, 2.0])), real(3, 2)),
        case(lambda x, y: ag.where(mask_of(x, 0), x, y), real(2), compl(2)),
        case(lambda x, y: ag.where(mask_of(x), x, y), real(0, 2), real(2)),
        case(lambda x, y: ag.where(mask_of(x, 0), x, y), real(), real()),
    ],
    "take": [
        case(lambda x: ag.take(x, ag.asarray([2, 0, 2], device=x.device), axis=1), real(2, 3)),
        case(lambda x: ag.take(x, [1, 1]), real(3)),
        case(lambda x: ag.take(x, [1, 1, 0], axis=-2), real(2, 2, 2)),
        case(lambda x: ag.take(x, [1, 1]), compl(2)),
        case(lambda x: ag.take(x, [-1, 0, -1]), real(3)),
        case(lambda x: ag.take(x, [1, 1], axis=1), real(0, 2)),
        case(lambda x: ag.take(x, ag.asarray([0, 1], device=x.device)[:0], axis=1), real(2, 2)),
    ],
    "take_along_axis": [
        case(lambda x: ag.take_along_axis(x, ag.asarray([[2, 2], [0, 1]], device=x.device)), real(2, 3)),
        case(lambda x: ag.take_along_axis(x, ag.asarray([[1, 0, 1]], device=x.device), axis=0), real(2, 3)),
        case(lambda x: ag.take_along_axis(x, ag.asarray([[1], [0]], device=x.device), axis=1), real(1, 3)),
        case(lambda x: ag.take_along_axis(x, ag.asarray([[-1, -1], [0, -2]], device=x.device)), real(2, 3)),
        case(lambda x: ag.take_along_axis(x, ag.asarray([[1, 1]], device=x.device), axis=0), compl(2, 2)),
        case(lambda x: ag.take_along_axis(x, ag.asarray([[1, 1]], device=x.device)), real(0, 2)),
    ],
    "sort": [
        case(ag.sort, real(5)),
        case(lambda x: ag.sort(x, axis=0), real(4, 2)),
        case(lambda x: ag.sort(x * x, axis=1, descending=True), real(2, 4, 2)),
        case(lambda x: ag.sort(x, stable=False), real(2, 3)),
        case(ag.sort, real(0)),
        case(lambda x: ag.sort(x, axis=0), real(2, 0)),
        # two equal elements that stay so: a stable order keeps apart what comes from each
        case(lambda x: ag.sort(ag.concat([x, x]), descending=True), real(3)),
        case(lambda x: ag.sort(ag.concat([x, x])), real(3)),
    ],
    **{
        name: [
            case(function, real(4)),
            case(lambda x, f=function: f(x * x), real(2, 3)),
            case(lambda x, f=function: f(ag.concat([x, x, x[:1] + x[1:2]])), real(3)),
            case(function, real(0)),
            case(function, real()),
            case(function, compl(3), torch="torch sorts no complex numbers"),
        ]
        for name, function in {
            "unique_all": lambda x: ag.unique_all(x).values,
            "unique_counts": lambda x: ag.unique_counts(x).values,
            "unique_inverse": lambda x: ag.unique_inverse(x).values,
            "unique_values": ag.unique_values,
        }.items()
    },
    "index_add": [
        case(
            lambda x, v: index_add(x, ag.asarray([1, 1, 0], device=x.device), v),
            *(real(3, 2), real(3, 2)),
        ),
        case(lambda x, v: index_add(x, ag.asarray([1, 1, 0], device=x.device), v), real(3), real()),
        case(lambda x, v: index_add(x, (slice(None), 1), v), real(3, 2), real(3)),
        case(lambda x, v: index_add(x, mask_of(x, 1, 2), v), real(2, 2), real(2)),
    ],
    "index_set": [case(lambda x, v: index_set(x, slice(1, 3), v), real(3, 2), real(2))],
    # Statistical
    "sum": [
        *over_axes(ag.sum),
        *over_axes(ag.sum, compl)[:3],
        case(lambda x: ag.sum(x, axis=()), real(2, 2)),
        case(lambda x: ag.sum(x * x, dtype="float64"), real(2, 3)),
    ],
    "x.sum": [case(lambda x: x.sum(), real(2, 3)), case(lambda x: x.sum(axis=0, keepdims=True), real(3, 3))],
    "mean": [*over_axes(ag.mean), *over_axes(ag.mean, compl)[:3]],
    "x.mean": [case(lambda x: x.mean(), real(2, 3)), case(lambda x: x.mean(1), real(3, 3))],
    "prod": [
        *over_axes(ag.prod),
        *over_axes(ag.prod, compl)[:3],
        case(lambda x: ag.prod(x, axis=()), real(2, 2)),
        case(lambda x: ag.prod(x * x, dtype="float64"), real(2, 3)),
        *[case(ag.prod, with_zeros(n, *shape)) for n in (1, 2, 3) for shape in ((4,), (2, 2))],
        case(lambda x: ag.prod(x, axis=(2, 0)), with_zeros(3, 2, 2, 2)),
        case(lambda x: ag.prod(x, axis=0), with_zeros(2, 3, 2) * (1 + 2j)),
    ],
    "cumulative_sum": [
        case(ag.cumulative_sum, real(4)),
        case(lambda x: ag.cumulative_sum(x, axis=0, include_initial=True), real(3, 2)),
        case(lambda x: ag.cumulative_sum(x, axis=-2), real(2, 3, 2)),
        case(lambda x: ag.cumulative_sum(x, axis=1), compl(2, 2)),
        case(lambda x: ag.cumulative_sum(x * x, dtype="float64"), real(3)),
        case(ag.cumulative_sum, real(0)),
        case(ag.cumulative_sum, real(1)),
    ],
    "cumulative_prod": [
        *[case(ag.cumulative_prod, real(n)) for n in (0, 1, 2, 5, 8)],
        *[case(ag.cumulative_prod, with_zeros(n, 5)) for n in (1, 2, 3, 5)],
        case(lambda x: ag.cumulative_prod(x, include_initial=True), with_zeros(1, 4)),
        case(lambda x: ag.cumulative_prod(x, axis=0, include_initial=True), real(3, 2)),
        case(lambda x: ag.cumulative_prod(x, axis=-2), with_zeros(3, 2, 3, 2)),
        case(lambda x: ag.cumulative_prod(x, axis=1), compl(2, 3)),
        case(lambda x: ag.cumulative_prod(x * x, dtype="float64"), real(3)),
    ],
    "diff": [
        case(ag.diff, real(4)),
        case(lambda x: ag.diff(x, axis=0, n=2), real(4, 2)),
        case(lambda x: ag.diff(x, n=0), real(2)),
        case(lambda x: ag.diff(x, n=3), real(2)),
        case(lambda x, y: ag.diff(x, prepend=y, append=x[:, :1] * y), real(2, 3), real(2, 1)),
        case(ag.diff, compl(2, 3)),
        case(ag.diff, real(0, 3)),
    ],
    "max": over_axes(ag.max),
    "bincount": [
        case(lambda w: ag.bincount(ag.asarray([0, 3, 1, 3], device=w.device), w), real(4)),
        case(lambda w: ag.bincount(ag.asarray([0, 3, 1, 3], device=w.device), w, 6), compl(4)),
        case(lambda w: ag.bincount(ag.zeros(0, dtype="int64", device=w.device), w, minlength=2), real(0)),
    ],
    "median": [*over_axes(ag.median), case(ag.median, real(5)), case(lambda x: ag.median(x, axis=0), real(4, 2))],
    "min": over_axes(ag.min),
    "var": [*over_axes(ag.var, torch=EMPTY), case(lambda x: ag.var(x, axis=1, correction=1), real(2, 3))],
    "std": [
        *[c for c in over_axes(ag.std, torch=EMPTY) if c.arguments[0].shape],
        case(lambda x: ag.std(x, axis=1, correction=1), real(2, 3)),
        case(lambda x: ag.std(x, axis=1, correction=1.5), real(2, 3), torch="torch takes whole corrections only"),
    ],
    # Fourier transforms
    **{f"fft.{name}": of_a_transform(getattr(ag.fft, name), real, compl) for name in ("fft", "ifft")},
    **{f"fft.{name}": of_a_transform(getattr(ag.fft, name), real) for name in ("rfft", "ihfft")},
    **{
        f"fft.{name}": [
            *of_a_transform(f, compl),
            case(lambda x, f=f: f(x, n=5), real(3)),
            case(lambda x, f=f: f(x, n=1), compl(1)),
            case(lambda x, f=f: f(x, n=2), compl(2)),
        ]
        for name, f in (("irfft", ag.fft.irfft), ("hfft", ag.fft.hfft))
    },
    **{f"fft.{name}": of_transforms(getattr(ag.fft, name), real, compl) for name in ("fftn", "ifftn")},
    "fft.rfftn": of_transforms(ag.fft.rfftn, real),
    "fft.irfftn": of_transforms(ag.fft.irfftn, compl),
    **{
        f"fft.{name}": [
            case(lambda x, f=f: f(x), real(5)),
            case(lambda x, f=f: f(x, axes=-1), compl(2, 3)),
            case(lambda x, f=f: f(x, axes=(0, 1)), real(2, 3, 2)),
            case(lambda x, f=f: f(x), real(0, 2)),
        ]
        for name, f in (("fftshift", ag.fft.fftshift), ("ifftshift", ag.fft.ifftshift))
    },
    # Linear algebra, the extension
    "linalg.matmul": [
        case(ag.linalg.matmul, real(2, 3), real(3, 2)),
        case(ag.linalg.matmul, compl(2, 3), compl(3)),
        case(ag.linalg.matmul, real(0, 2), real(2)),
    ],
    "linalg.matrix_transpose": [
        case(ag.linalg.matrix_transpose, data) for data in (real(2, 3), compl(2, 3), real(0, 2))
    ],
    "linalg.tensordot": [
        *[case(ag.linalg.tensordot, f(2, 3), f(2, 3)) for f in (real, compl)],
        case(lambda x, y: ag.linalg.tensordot(x, y, axes=1), real(0, 2), real(2, 3)),
    ],
    "linalg.vecdot": [case(ag.linalg.vecdot, compl(3), compl(3)), case(ag.linalg.vecdot, real(0, 3), real(3))],
    "linalg.outer": [case(ag.linalg.outer, real(2), real(3)), case(ag.linalg.outer, compl(2), real(0))],
    "linalg.cross": [
        case(ag.linalg.cross, real(3), real(3)),
        case(ag.linalg.cross, real(2, 3), compl(3)),
        case(lambda x, y: ag.linalg.cross(x, y, axis=0), real(3, 2), real(3, 2)),
        case(ag.linalg.cross, real(0, 3), real(3)),
    ],
    "linalg.diagonal": [
        *[case(lambda x, k=k: ag.linalg.diagonal(x, offset=k), real(3, 4)) for k in (0, 1, 3, 4, -1, -2, -3)],
        case(ag.linalg.diagonal, compl(2, 3, 2)),
        case(ag.linalg.diagonal, real(0, 2)),
    ],
    "linalg.trace": [
        case(ag.linalg.trace, real(3, 3)),
        case(lambda x: ag.linalg.trace(x, offset=-1), compl(2, 3, 2)),
        case(lambda x: ag.linalg.trace(x * x, dtype="float64"), real(2, 3)),
        case(ag.linalg.trace, real(0, 2)),
    ],
    "linalg.matrix_power": [
        *[case(lambda x, n=n: ag.linalg.matrix_power(x, n), regular(3)) for n in (0, 1, 2, 3, 5, -1, -2)],
        case(lambda x: ag.linalg.matrix_power(x, 2), regular(2, 2) + 1j * real(2, 2, 2)),
        case(lambda x: ag.linalg.matrix_power(x, -3), regular(2) + 1j * real(2, 2)),
        case(lambda x: ag.linalg.matrix_power(x, 3), real(0, 2, 2)),
    ],
    **{
        f"linalg.{name}": [
            case(f, regular(3)),
            case(f, regular(1)),
            case(f, regular(2, 3)),
            case(f, regular(2, 2) + 1j * real(2, 2, 2)),
            case(f, regular(0)),
        ]
        for name, f in (
            ("det", ag.linalg.det),
            ("inv", ag.linalg.inv),
            ("slogdet", lambda x: weighted(ag.linalg.slogdet(x))),
        )
    },
    "linalg.solve": [
        case(ag.linalg.solve, regular(3), real(3, 2)),
        case(ag.linalg.solve, regular(3), real(3)),
        case(ag.linalg.solve, regular(2, 3), real(3)),
        case(ag.linalg.solve, regular(2, 3), real(3, 1)),
        case(ag.linalg.solve, regular(3), real(2, 3, 2)),
        case(ag.linalg.solve, regular(3) + 1j * real(3, 3), compl(3)),
        case(ag.linalg.solve, regular(3), compl(3, 2)),
        case(ag.linalg.solve, regular(0), real(0, 2)),
    ],
    "linalg.pinv": [
        case(ag.linalg.pinv, regular(3)),
        case(ag.linalg.pinv, tall(4, 2)),
        case(ag.linalg.pinv, tall(4, 2).T.copy()),
        case(lambda x, y: ag.linalg.pinv(x @ y, rtol=1e-4), tall(4, 2), tall(3, 2).T.copy()),
        case(ag.linalg.pinv, np.stack([tall(3, 2), tall(3, 2)])),
        case(ag.linalg.pinv, tall(3, 2) + 1j * real(3, 2)),
        case(ag.linalg.pinv, tall(2, 3) + 1j * real(2, 3)),
        case(ag.linalg.pinv, regular(2) + 1j * real(2, 2)),
        case(ag.linalg.pinv, real(0, 3, 2)),
    ],
    "linalg.cholesky": [
        case(lambda x: ag.linalg.cholesky(x @ adjoint(x)), regular(3)),
        case(lambda x: ag.linalg.cholesky(x @ adjoint(x), upper=True), regular(3)),
        case(lambda x: ag.linalg.cholesky(x @ adjoint(x)), regular(2, 2)),
        case(lambda x: ag.linalg.cholesky(x @ adjoint(x)), regular(3) + 1j * real(3, 3)),
        case(lambda x: ag.linalg.cholesky(x @ adjoint(x), upper=True), regular(2) + 1j * real(2, 2)),
        case(lambda x: ag.linalg.cholesky(x @ adjoint(x)), regular(0)),
    ],
    "linalg.qr": [
        *[case(lambda x: weighted(ag.linalg.qr(x)), data) for data in (regular(3), tall(4, 2), tall(4, 2).T.copy())],
        case(lambda x: weighted(ag.linalg.qr(x)), regular(2, 2)),
        case(lambda x: ag.linalg.qr(x)[0], tall(3, 2)),
        case(lambda x: ag.linalg.qr(x)[1], tall(3, 2)),
        case(lambda x: projected(ag.linalg.qr(x, mode="complete")[0], 2), tall(4, 2)),
        case(lambda x: weighted(ag.linalg.qr(x, mode="complete")), tall(4, 2).T.copy()),
        case(lambda x: of_lines(*ag.linalg.qr(x)), tall(3, 2) + 1j * real(3, 2)),
        case(lambda x: of_lines(*ag.linalg.qr(x)), tall(2, 4) + 1j * real(2, 4)),
        case(lambda x: of_lines(*ag.linalg.qr(x)), np.stack([regular(2), regular(2)]) + 1j * real(2, 2, 2)),
        case(lambda x: projected(ag.linalg.qr(x, mode="complete")[0], 2), tall(4, 2) + 1j * real(4, 2)),
        case(lambda x: weighted(ag.linalg.qr(x)), real(0, 3, 2)),
    ],
    "linalg.eigh": [
        case(lambda x: of_eigen(*ag.linalg.eigh(x + adjoint(x))), regular(3)),
        case(lambda x: ag.linalg.eigh(x + adjoint(x))[0], regular(3)),
        case(lambda x: projected(ag.linalg.eigh(x + adjoint(x))[1], 1), regular(3)),
        case(lambda x: of_eigen(*ag.linalg.eigh(x + adjoint(x))), regular(2, 2)),
        case(lambda x: of_eigen(*ag.linalg.eigh(x + adjoint(x))), regular(3) + 1j * real(3, 3)),
        case(lambda x: of_eigen(*ag.linalg.eigh(x + adjoint(x))), regular(0)),
    ],
    "linalg.eigvalsh": [
        case(lambda x: ag.linalg.eigvalsh(x + adjoint(x)), regular(3)),
        case(lambda x: ag.linalg.eigvalsh(x + adjoint(x)), regular(2, 2)),
        case(lambda x: ag.linalg.eigvalsh(x + adjoint(x)), regular(3) + 1j * real(3, 3)),
        case(lambda x: ag.linalg.eigvalsh(x + adjoint(x)), real(0, 2, 2)),
    ],
    "linalg.eig": [
        case(lambda x: of_eigen(*ag.linalg.eig(x)), spread(3)),
        case(lambda x: ag.linalg.eig(x)[0], np.array([[1.0, -2.0], [3.0, 1.5]])),
        case(lambda x: of_eigen(*ag.linalg.eig(x)), np.stack([spread(2), spread(2)])),
        case(lambda x: of_eigen(*ag.linalg.eig(x)), spread(3) + 0.3j * real(3, 3)),
        case(lambda x: of_eigen(*ag.linalg.eig(x)), real(0, 2, 2)),
    ],
    "linalg.eigvals": [
        case(ag.linalg.eigvals, spread(3)),
        case(ag.linalg.eigvals, spread(2) + 0.3j * real(2, 2)),
        case(ag.linalg.eigvals, np.stack([spread(2), spread(2)])),
        case(ag.linalg.eigvals, real(0, 2, 2)),
    ],
    "linalg.svd": [
        *[
            case(lambda x, full=full: of_singular(*ag.linalg.svd(x, full_matrices=full)), data)
            for data in (regular(3), tall(4, 2), tall(4, 2).T.copy(), np.stack([tall(3, 2), tall(3, 2)]))
            for full in (False, True)
        ],
        case(lambda x: projected(ag.linalg.svd(x)[0], 2), tall(4, 2)),
        case(lambda x: projected(adjoint(ag.linalg.svd(x)[2]), 2), tall(4, 2).T.copy()),
        case(lambda x: ag.linalg.svd(x)[1], tall(3, 2)),
        case(lambda x: of_singular(*ag.linalg.svd(x)), tall(3, 2) + 1j * real(3, 2)),
        case(lambda x: of_singular(*ag.linalg.svd(x)), regular(2) + 1j * real(2, 2)),
        case(lambda x: of_singular(*ag.linalg.svd(x)), tall(2, 3) + 1j * real(2, 3)),
        case(lambda x: projected(ag.linalg.svd(x)[0], 2), tall(3, 2) + 1j * real(3, 2)),
        case(lambda x: of_singular(*ag.linalg.svd(x)), real(0, 3, 2)),
        *[case(lambda x: of_singular(*ag.linalg.svd(x)), real(*shape)) for shape in ((0, 2), (2, 0), (2, 2, 0))],
    ],
    "linalg.svdvals": [
        case(ag.linalg.svdvals, tall(4, 2)),
        case(ag.linalg.svdvals, regular(2, 2)),
        case(ag.linalg.svdvals, tall(3, 2).T + 1j * real(2, 3)),
        case(ag.linalg.svdvals, real(0, 3, 2)),
    ],
    "linalg.vector_norm": [
        *over_axes(ag.linalg.vector_norm)[:-2],
        case(ag.linalg.vector_norm, compl(2, 3)),
        *[
            case(lambda x, p=p: ag.linalg.vector_norm(x, ord=p, axis=-1), real(2, 3))
            for p in (0, 1, 1.5, 2, 3, float("inf"), -float("inf"), -1)
        ],
        case(lambda x: ag.linalg.vector_norm(x, ord=3, keepdims=True), compl(2, 3)),
        *[
            case(lambda x, p=p: ag.linalg.vector_norm(x, ord=p, axis=0), compl(2, 3))
            for p in (0, 1, 2.5, float("inf"), -float("inf"), -2)
        ],
        case(lambda x: ag.linalg.vector_norm(x, axis=1), real(0, 3)),
        case(ag.linalg.vector_norm, real(0)),
    ],
    "linalg.matrix_norm": [
        *[
            case(lambda x, p=p: ag.linalg.matrix_norm(x, ord=p), tall(3, 2))
            for p in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))
        ],
        case(lambda x: ag.linalg.matrix_norm(x, ord=2, keepdims=True), regular(2, 2)),
        case(lambda x: ag.linalg.matrix_norm(x, keepdims=True), compl(2, 3, 2)),
        *[
            case(lambda x, p=p: ag.linalg.matrix_norm(x, ord=p), tall(2, 3) + 1j * real(2, 3))
            for p in ("nuc", 1, -1, 2, -2, float("inf"), -float("inf"))
        ],
        case(lambda x: ag.linalg.matrix_norm(x, ord="nuc"), real(0, 3, 2)),
    ],
    # Special functions
    **{f"special.{name}": of_one(getattr(ag.special, name), real, far) for name in REAL},
    **{f"special.{name}": of_one(getattr(ag.special, name), probability) for name in ("logit", "entr")},
    **{
        f"special.{name}": of_two(getattr(ag.special, name), positive, positive, SOME)
        for name in ("xlogy", "xlog1py", "rel_entr", "betaln")
    },
    **{
        f"special.{name}": [
            *[case(lambda x, f=f, n=n: f(n, x), far(2, 3)) for n in (2, 0, 1, 3)],
            *of_one(lambda x, f=f: f(1, x), real),
        ]
        for name, f in (("polygamma", ag.special.polygamma), ("iv", ag.special.iv), ("ive", ag.special.ive))
    },
    "special.logsumexp": over_axes(ag.special.logsumexp),
    **{f"special.{name}": of_one(getattr(ag.special, name), probability) for name in ("ndtri", "erfinv")},
    **{
        f"special.{name}": [
            *of_one(lambda x, f=f: f(2.5, x), positive),
            case(lambda x, f=f: f(like(x, [0.7, 9.0, 2.0]), x), positive(2, 1)),
        ]
        for name, f in (("gammainc", ag.special.gammainc), ("gammaincc", ag.special.gammaincc))
    },
    "special.betainc": [
        *of_one(lambda x: ag.special.betainc(2.5, 0.7, x), probability),
        case(lambda x: ag.special.betainc(like(x, [0.7, 9.0, 2.0]), 3, x), probability(2, 1)),
    ],
    "special.stdtr": [
        *of_one(lambda t: ag.special.stdtr(3, t), real, far),
        case(lambda t: ag.special.stdtr(like(t, [0.7, 9.0, 2.0]), t), real(2, 1)),
    ],
    **{
        f"special.{name}": of_one(lambda x, f=f: f(3, 4.0, x), positive)
        for name, f in (("fdtr", ag.special.fdtr), ("fdtrc", ag.special.fdtrc))
    },
    # Networks
    **{f"functional.{name}": of_one(getattr(F, name), real) for name in ("exp", "sin", "cos", "tanh")},
    "functional.log": of_one(F.log, positive),
    "functional.sigmoid": of_one(F.sigmoid, real),
    "functional.relu": of_one(F.relu, real),
    "functional.softplus": of_one(F.softplus, real),
    "functional.gelu": [
        *of_one(F.gelu, real),
        *of_one(lambda x: F.gelu(x * 3.5), real)[:1],
        *of_one(lambda x: F.gelu(x, approximate="tanh"), real),
    ],
    "functional.logsumexp": over_axes(F.logsumexp),
    "functional.softmax": [case(lambda x, a=a: F.softmax(x, axis=a), real(2, 3, 2)) for a in (0, 1, -1)],
    "functional.log_softmax": [case(lambda x, a=a: F.log_softmax(x, axis=a), real(2, 3, 2)) for a in (0, 1, -1)],
    "losses.mean_squared_error": [
        case(ag.losses.mean_squared_error, real(2, 3), real(2, 3)),
        case(ag.losses.mean_squared_error, real(), real()),
    ],
    "losses.binary_cross_entropy": [
        case(ag.losses.binary_cross_entropy, positive(2, 3) / 2, positive(2, 3) / 2),
        case(lambda p: ag.losses.binary_cross_entropy(p, like(p, [0.0, 1.0, 1.0])), positive(3) / 2),
    ],
    "losses.binary_cross_entropy_with_logits": [
        case(ag.losses.binary_cross_entropy_with_logits, real(2, 3), positive(2, 3) / 2)
    ],
    "losses.cross_entropy": [
        case(lambda x: ag.losses.cross_entropy(x, ag.asarray([2, 0, 2], device=x.device)), real(3, 3)),
        case(lambda x: ag.losses.cross_entropy(x, ag.asarray([[1, 0]], device=x.device), axis=1), real(1, 3, 2)),
        case(lambda x: ag.losses.cross_entropy(x, ag.asarray(1, device=x.device)), real(3)),
        case(ag.losses.cross_entropy, real(2, 3), positive(2, 3) / 4),
        case(lambda x, p: ag.losses.cross_entropy(x, p, axis=0), real(3, 2), positive(3, 2) / 4),
    ],
    "full": [
        case(lambda x: ag.full((2, 3), x), real()),
        case(lambda x: ag.full(2, x, dtype="complex128"), real()),
        case(lambda x: ag.full((0, 2), x), compl()),
    ],
    "full_like": [
        case(lambda x, value: x * ag.full_like(x, value), real(2, 3), real()),
        case(lambda x, value: x * ag.full_like(x, value), real(0), real()),
        case(lambda x, value: ag.full_like(x, value, dtype=value.dtype), real(2), compl()),
    ],
    "linspace": [
        case(lambda start, stop: ag.linspace(start, stop, 4), real(), real()),
        case(lambda start, stop: ag.linspace(start, stop, 4), compl(), compl()),
        case(lambda start: ag.linspace(start, 5.0, 3, endpoint=False), real()),
        case(lambda stop: ag.linspace(0, stop, 1), real()),
        case(lambda stop: ag.linspace(0, stop, 0), real()),
    ],
    "arange": [
        case(lambda start, step: ag.arange(start, start + 2.5 * step, step), real(), positive()),
        case(lambda step: ag.arange(1, 1 + 3.5 * step, step), -positive()),
        case(lambda stop: ag.arange(stop), positive()),
        case(lambda start: ag.arange(start, -9.0), positive()),
    ],
}

# Public functions without a derivative: what they give is indices, truth values, integers, dtypes or new constants.
NO_DERIVATIVE = {
    *("all", "any", "argmax", "argmin", "argsort", "count_nonzero", "nonzero", "searchsorted", "isin"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("isfinite", "isinf", "isnan", "signbit", "logical_and", "logical_not", "logical_or", "logical_xor"),
    *("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor"),
    *("empty", "empty_like", "eye", "from_dlpack"),
    *("ones", "ones_like", "zeros", "zeros_like", "broadcast_shapes", "can_cast", "finfo", "iinfo", "isdtype"),
    *("result_type", "__array_namespace_info__", "fft.fftfreq", "fft.rfftfreq", "linalg.matrix_rank"),
}


# The tests -----------------------------------------------------------------------------------------------------------


def _each_case() -> Iterator[Any]:
    for name, cases in TABLE.items():
        for number, row in enumerate(cases):
            shapes = "-".join(f"{x.dtype.name}{x.shape}".replace(" ", "") for x in row.arguments)
            yield pytest.param(row._replace(name=name), id=f"{name}: {number}: {shapes}")


CASES = list(_each_case())


def _arguments(row: Case, device: str) -> list[Tensor]:
    """The arguments as leaves on `device`; skips what its library cannot do."""
    for kind, reason in row.unsupported.items():
        if device.startswith(kind):
            pytest.skip(reason)
    return [Tensor(x, device=device) for x in row.arguments]


@pytest.mark.parametrize("row", CASES)
def test_rule(row: Case, device: str, record_property: Callable[..., None]) -> None:
    """What passes is recorded for the page docs/standard.md."""
    is_complex = any(x.dtype.kind == "c" for x in row.arguments)
    record_property(*standard.about(row.name, device, ("gradient", "second", *(["complex"] if is_complex else []))))
    arguments = _arguments(row, device)
    check_gradients(row.function, *arguments, order=1)
    record_property(*standard.reached("gradient"))
    check_gradients(row.function, *arguments, order=2)
    for aspect in ("second", "complex"):
        record_property(*standard.reached(aspect))


SINGLE = {"float64": "float32", "complex128": "complex64", "float32": "float32", "complex64": "complex64"}
# The cases that ask for a dtype, which the arguments' own does not change.
ASK_FOR_A_DTYPE = {"astype", "full", "sum", "prod", "cumulative_sum", "cumulative_prod", "linalg.trace"}


@pytest.mark.parametrize("row", CASES)
def test_float32_stays_and_is_close(row: Case, device: str) -> None:
    """Values, gradients and second derivatives of single precision are of single precision, and right to it."""
    exact = _arguments(row, device)
    single = [Tensor(x.value, dtype=SINGLE[dtype_name(x.dtype)]) for x in exact]
    rng = np.random.default_rng(3)
    y, first = ag.vjp(row.function, *exact)
    y32, first32 = ag.vjp(row.function, *single)
    assert dtype_name(y32.dtype) == SINGLE[dtype_name(y.dtype)] or row.name in ASK_FOR_A_DTYPE
    _compare_single(y32, y)
    seed = rng.normal(size=y.shape)
    directions = [rng.normal(size=x.shape) for x in exact]

    def contracted(like: Tensor) -> Callable[..., Tensor]:
        def gradient(*xs: Tensor) -> Tensor:
            parts = ag.vjp(row.function, *xs)[1](constant(seed, like))
            return sum(ag.sum(ag.real(part * constant(d, part))) for part, d in zip(parts, directions, strict=True))

        return gradient

    second, second32 = [
        ag.grad(contracted(like), tuple(range(len(xs))))(*xs) for like, xs in ((y, exact), (y32, single))
    ]
    for g32, g, x32 in zip(first32(constant(seed, y32)), first(constant(seed, y)), single, strict=True):
        assert g32.dtype == x32.dtype
        _compare_single(g32, g)
    for g32, g, x32 in zip(second32, second, single, strict=True):
        assert g32.dtype == x32.dtype
        _compare_single(g32, g)


def constant(data: np.ndarray, like: Tensor) -> Tensor:
    """A constant of the dtype and device of `like`."""
    return Tensor(data.astype(dtype_name(like.dtype)), device=like.device, requires_grad=False)


def _compare_single(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, float(np.max(np.abs(expected.numpy()), initial=0)))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=2e-4, atol=1e-4 * scale)


# What the standard defines for real numbers alone. All else that has a derivative takes complex numbers.
OF_REAL_NUMBERS = {
    *("floor", "ceil", "trunc", "round", "maximum", "minimum", "floor_divide", "remainder", "copysign", "nextafter"),
    *(
        "arange",
        "atan2",
        "hypot",
        "logaddexp",
        "clip",
        "sort",
        "max",
        "min",
        "var",
        "std",
        "fft.rfft",
        "fft.ihfft",
        "fft.rfftn",
    ),
}


def test_every_function_of_complex_numbers_has_complex_cases() -> None:
    found = {name for name in TABLE if any(x.dtype.kind == "c" for row in TABLE[name] for x in row.arguments)}
    assert standard.FUNCTIONS & set(TABLE) - found == OF_REAL_NUMBERS


def test_every_function_has_a_case_without_elements() -> None:
    found = {name for name in TABLE if any(x.size == 0 for row in TABLE[name] for x in row.arguments)}
    of_numbers = {"arange", "full", "linspace"}
    assert standard.FUNCTIONS & set(TABLE) - found == of_numbers


def test_every_public_function_has_a_row_or_no_derivative() -> None:
    public = {*Functions.registered, *[f"functional.{name}" for name in F.__all__]}
    public |= {f"losses.{name}" for name, f in vars(ag.losses).items() if _defined_in(f, ag.losses)}
    assert public - set(TABLE) - NO_DERIVATIVE == set()
    assert set(TABLE) & NO_DERIVATIVE == set()
    assert NO_DERIVATIVE - public == set()


def _defined_in(function: Any, module: Any) -> bool:
    return getattr(function, "__module__", "") == module.__name__ and not function.__name__.startswith("_")


def test_every_primitive_has_a_row(device: str) -> None:
    """Whatever is in the rule book is in the graph of the first row of some function."""
    seen: set[Primitive] = set()
    for row in [rows[0] for rows in TABLE.values()]:
        root = row.function(*[Tensor(x, device=device) for x in row.arguments])
        seen.update(node.primitive for node in topological(root._node)[0])
    missing = {primitive.name for primitive in _rule_book() if primitive not in seen}
    assert missing == set()


def _rule_book() -> Iterator[Primitive]:
    for module in pkgutil.iter_modules(agrad.rules.__path__, "agrad.rules."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Primitive):
                yield value
