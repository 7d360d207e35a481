"""Which of agrad's functions runs when one of NumPy's is called on a Tensor (NEP 13 and NEP 18).

A name means agrad's function of that name, called as NumPy's was. A function here takes agrad's namespace and NumPy's
arguments, where NumPy's signature is not the standard's. What is not in the table is refused by `Tensor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agrad._typing import Namespace

Counterpart = str | Callable[..., Any]

_SAME_NAME = (
    *(
        "add",
        "subtract",
        "multiply",
        "divide",
        "power",
        "floor_divide",
        "remainder",
        "negative",
        "positive",
        "absolute",
    ),
    *(
        "exp",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "sqrt",
        "square",
        "reciprocal",
        "sign",
        "floor",
        "ceil",
        "trunc",
    ),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"),
    *("arctan2", "hypot", "logaddexp", "maximum", "minimum", "copysign", "nextafter", "conjugate", "rint", "matmul"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "signbit"),
    *("logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor"),
    *("invert", "left_shift", "right_shift", "vecdot"),
)
_STANDARD_NAMES = {
    "power": "pow",
    "absolute": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "arctan2": "atan2",
    "conjugate": "conj",
    "rint": "round",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
}


def _reduction(name: str) -> Callable[..., Any]:
    def call(ag: Namespace, a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        return getattr(ag, name)(a, axis=axis, keepdims=bool(keepdims))

    return call


def _total(name: str) -> Callable[..., Any]:
    def call(ag: Namespace, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
        return getattr(ag, name)(a, axis=axis, dtype=dtype, keepdims=bool(keepdims))

    return call


def _accumulated(name: str) -> Callable[..., Any]:
    def call(ag: Namespace, a: Any, axis: int | None = None, dtype: Any = None) -> Any:
        return getattr(ag, name)(
            ag.reshape(a, -1) if axis is None else a, axis=0 if axis is None else axis, dtype=dtype
        )

    return call


def _moment(name: str) -> Callable[..., Any]:
    def call(ag: Namespace, a: Any, axis: Any = None, *, ddof: float = 0, keepdims: Any = False) -> Any:
        return getattr(ag, name)(a, axis=axis, correction=ddof, keepdims=bool(keepdims))

    return call


def _joined(name: str) -> Callable[..., Any]:
    def call(ag: Namespace, arrays: Any, axis: int | None = 0) -> Any:
        return getattr(ag, name)(list(arrays), axis=axis)

    return call


def _transpose(ag: Namespace, a: Any, axes: Any = None) -> Any:
    return ag.permute_dims(a, tuple(reversed(range(a.ndim))) if axes is None else axes)


def _swapaxes(ag: Namespace, a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(a.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return ag.permute_dims(a, order)


def _squeeze(ag: Namespace, a: Any, axis: Any = None) -> Any:
    return ag.squeeze(a, tuple(i for i, n in enumerate(a.shape) if n == 1) if axis is None else axis)


def _clip(ag: Namespace, a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return ag.clip(a, a_min if min is None else min, a_max if max is None else max)


def _dot(ag: Namespace, a: Any, b: Any) -> Any:
    a, b = ag.asarray(a), ag.asarray(b)
    if 0 in (a.ndim, b.ndim):
        return a * b
    return ag.matmul(a, b) if b.ndim <= 2 else ag.tensordot(a, b, axes=([a.ndim - 1], [b.ndim - 2]))


def _outer(ag: Namespace, a: Any, b: Any) -> Any:
    return ag.reshape(ag.asarray(a), (-1, 1)) * ag.reshape(ag.asarray(b), (1, -1))


def _round(ag: Namespace, a: Any) -> Any:
    return ag.round(a)


def _where(ag: Namespace, condition: Any, x: Any, y: Any) -> Any:
    return ag.where(condition, x, y)


def _take(ag: Namespace, a: Any, indices: Any, axis: int | None = None) -> Any:
    return ag.take(ag.reshape(a, -1) if axis is None else a, indices, axis=0 if axis is None else axis)


def _diff(ag: Namespace, a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = ag.asarray(a)

    def end(x: Any) -> Any:
        x = None if x is None else ag.asarray(x)
        return x if x is None or x.ndim else ag.broadcast_to(x, tuple(a[_at(a, axis, slice(0, 1))].shape))

    return ag.diff(a, axis=axis, n=n, prepend=end(prepend), append=end(append))


def _at(a: Any, axis: int, index: slice) -> Any:
    return (slice(None),) * (axis % a.ndim) + (index,)


def _split(ag: Namespace, ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        if length % indices_or_sections:
            raise ValueError(f"np.split: {length} elements can't be split into {indices_or_sections} equal parts")
        ends = [i * length // indices_or_sections for i in range(1, indices_or_sections)]
    else:
        ends = [int(i) for i in indices_or_sections]
    return [ary[_at(ary, axis, slice(a, b))] for a, b in zip([0, *ends], [*ends, length], strict=True)]


def _at_least(ag: Namespace, x: Any, ndim: int) -> Any:
    """NumPy's new axes: the first one for a vector, the last one for a matrix in three dimensions."""
    x = ag.asarray(x)
    shapes = {0: (1,) * ndim, 1: ((1,) * (ndim - 1) + x.shape + (1,))[:ndim] if ndim < 3 else (1, *x.shape, 1)}
    shape = shapes.get(x.ndim, (*x.shape, 1))
    return x if x.ndim >= ndim else ag.reshape(x, shape)


def _at_least_all(ndim: int) -> Callable[..., Any]:
    def call(ag: Namespace, *arys: Any) -> Any:
        found = tuple(_at_least(ag, x, ndim) for x in arys)
        return found[0] if len(found) == 1 else found

    return call


def _hstack(ag: Namespace, tup: Any) -> Any:
    arrays = [_at_least(ag, x, 1) for x in tup]
    return ag.concat(arrays, axis=0 if arrays[0].ndim == 1 else 1)


def _column(ag: Namespace, x: Any) -> Any:
    x = ag.asarray(x)
    return ag.reshape(x, (-1, 1)) if x.ndim < 2 else x


def _sort(ag: Namespace, a: Any, axis: int | None = -1, *, stable: Any = None) -> Any:
    return ag.sort(ag.reshape(a, -1) if axis is None else a, axis=-1 if axis is None else axis, stable=True)


def _unique(
    ag: Namespace,
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    *,
    equal_nan: bool = True,
) -> Any:
    values, indices, inverse, counts = ag.unique_all(ar)
    n = (
        int(ag.count_nonzero(ag.logical_not(ag.isnan(values))))
        if equal_nan and ag.isdtype(values.dtype, ("real floating", "complex floating"))
        else values.size
    )
    if n < values.size:  # NaN, which is last, once
        counts = ag.concat([counts[:n], ag.sum(counts[n:], keepdims=True)])
        values, indices, inverse = values[: n + 1], indices[: n + 1], ag.clip(inverse, max=n)
    asked = ((return_index, indices), (return_inverse, inverse), (return_counts, counts))
    found = (values, *[part for wanted, part in asked if wanted])
    return found if len(found) > 1 else values


def _isclose(ag: Namespace, a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08) -> Any:
    a, b = ag.asarray(a), ag.asarray(b)
    return ag.logical_or(ag.equal(a, b), ag.less_equal(ag.abs(a - b), ag.abs(b) * rtol + atol))


def _allclose(ag: Namespace, a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08) -> bool:
    return bool(ag.all(_isclose(ag, a, b, rtol, atol)))


def _transform(name: str) -> Callable[..., Any]:
    def call(ag: Namespace, a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
        return getattr(ag.fft, name)(a, n=n, axis=axis, norm=norm or "backward")

    return call


def _transforms(name: str, all_axes: Any) -> Callable[..., Any]:
    def call(ag: Namespace, a: Any, s: Any = None, axes: Any = all_axes, norm: Any = None) -> Any:
        return getattr(ag.fft, name)(a, s=s, axes=axes, norm=norm or "backward")

    return call


def _shift(name: str) -> Callable[..., Any]:
    return lambda ag, x, axes=None: getattr(ag.fft, name)(x, axes=axes)


def _of_linalg(name: str) -> Callable[..., Any]:
    return lambda ag, *args, **options: getattr(ag.linalg, name)(*args, **options)


def _matrix_axes(ag: Namespace, a: Any, axis1: int, axis2: int) -> Any:
    """The two axes moved to the end."""
    return ag.moveaxis(ag.asarray(a), (axis1, axis2), (-2, -1))


def _diagonal(ag: Namespace, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return ag.linalg.diagonal(_matrix_axes(ag, a, axis1, axis2), offset=offset)


def _trace(ag: Namespace, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return ag.linalg.trace(_matrix_axes(ag, a, axis1, axis2), offset=offset, dtype=dtype)


def _norm(ag: Namespace, x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    x = ag.asarray(x)
    if axis is None and ord is not None:
        axis = tuple(range(x.ndim))
    axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
    if axes is None or len(axes) == 1 or (len(axes) == 2 and ord is None):
        return ag.linalg.vector_norm(x, axis=axes, keepdims=bool(keepdims), ord=2 if ord is None else ord)
    y = ag.linalg.matrix_norm(_matrix_axes(ag, x, *axes), ord=ord, keepdims=bool(keepdims))
    return ag.moveaxis(y, (-2, -1), axes) if keepdims else y


FUNCTIONS: dict[Any, Counterpart] = {
    **{getattr(np, name): _STANDARD_NAMES.get(name, name) for name in _SAME_NAME if hasattr(np, name)},
    **{getattr(np, name): _reduction(name) for name in ("mean", "max", "min", "any", "all", "count_nonzero")},
    **{getattr(np, name): _reduction(name) for name in ("argmax", "argmin")},
    np.amax: _reduction("max"),
    np.amin: _reduction("min"),
    np.sum: _total("sum"),
    np.prod: _total("prod"),
    np.cumsum: _accumulated("cumulative_sum"),
    np.cumprod: _accumulated("cumulative_prod"),
    np.cumulative_sum: "cumulative_sum",
    np.cumulative_prod: "cumulative_prod",
    np.diff: _diff,
    np.ptp: lambda ag, a, axis=None, *, keepdims=False: (
        ag.max(a, axis=axis, keepdims=keepdims) - ag.min(a, axis=axis, keepdims=keepdims)
    ),
    np.std: _moment("std"),
    np.var: _moment("var"),
    np.concatenate: _joined("concat"),
    np.stack: _joined("stack"),
    np.append: lambda ag, arr, values, axis=None: ag.concat([ag.asarray(arr), ag.asarray(values)], axis=axis),
    np.hstack: _hstack,
    np.vstack: lambda ag, tup: ag.concat([_at_least(ag, x, 2) for x in tup], axis=0),
    np.dstack: lambda ag, tup: ag.concat([_at_least(ag, x, 3) for x in tup], axis=2),
    np.column_stack: lambda ag, tup: ag.concat([_column(ag, x) for x in tup], axis=1),
    np.atleast_1d: _at_least_all(1),
    np.atleast_2d: _at_least_all(2),
    np.atleast_3d: _at_least_all(3),
    np.unstack: "unstack",
    np.split: _split,
    np.meshgrid: "meshgrid",
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.moveaxis: "moveaxis",
    np.reshape: lambda ag, a, shape: ag.reshape(a, shape),
    np.ravel: lambda ag, a: ag.reshape(a, -1),
    np.squeeze: _squeeze,
    np.expand_dims: lambda ag, a, axis: ag.expand_dims(a, axis=axis),
    np.broadcast_to: "broadcast_to",
    np.broadcast_arrays: "broadcast_arrays",
    np.fliplr: lambda ag, m: ag.flip(m, axis=1),
    np.flipud: lambda ag, m: ag.flip(m, axis=0),
    np.flip: lambda ag, m, axis=None: ag.flip(m, axis=axis),
    np.roll: lambda ag, a, shift, axis=None: ag.roll(a, shift, axis=axis),
    np.repeat: lambda ag, a, repeats, axis=None: ag.repeat(a, repeats, axis=axis),
    np.tile: lambda ag, a, reps: ag.tile(a, (reps,) if isinstance(reps, int) else reps),
    np.where: _where,
    np.clip: _clip,
    np.take: _take,
    np.take_along_axis: lambda ag, arr, indices, axis=-1: ag.take_along_axis(arr, indices, axis=axis),
    np.dot: _dot,
    np.inner: lambda ag, a, b: _dot(ag, a, b) if ag.asarray(b).ndim < 2 else ag.tensordot(a, b, axes=([-1], [-1])),
    np.outer: _outer,
    np.tensordot: lambda ag, a, b, axes=2: ag.tensordot(a, b, axes=axes),
    np.matrix_transpose: "matrix_transpose",
    np.linalg.matmul: "matmul",
    np.linalg.matrix_transpose: "matrix_transpose",
    np.linalg.outer: _outer,
    np.linalg.tensordot: lambda ag, x1, x2, /, *, axes=2: ag.tensordot(x1, x2, axes=axes),
    np.linalg.vecdot: "vecdot",
    np.astype: lambda ag, x, dtype, /, *, copy=True: ag.astype(x, dtype, copy=copy),
    np.round: _round,
    np.around: _round,
    np.real: "real",
    np.imag: "imag",
    np.tril: lambda ag, m, k=0: ag.tril(m, k=k),
    np.triu: lambda ag, m, k=0: ag.triu(m, k=k),
    np.argsort: lambda ag, a, axis=-1: ag.argsort(a, axis=axis),
    np.sort: _sort,
    np.searchsorted: lambda ag, a, v, side="left", sorter=None: ag.searchsorted(a, v, side=side, sorter=sorter),
    np.unique: _unique,
    np.unique_all: "unique_all",
    np.unique_counts: "unique_counts",
    np.unique_inverse: "unique_inverse",
    np.unique_values: "unique_values",
    np.isin: lambda ag, element, test_elements, *, invert=False: ag.isin(
        ag.asarray(element), ag.asarray(test_elements), invert=invert
    ),
    np.nonzero: "nonzero",
    np.zeros_like: "zeros_like",
    np.ones_like: "ones_like",
    np.empty_like: "empty_like",
    np.full_like: "full_like",
    np.shape: lambda ag, a: a.shape,
    np.ndim: lambda ag, a: a.ndim,
    np.size: lambda ag, a: a.size,
    np.copy: lambda ag, a: ag.asarray(a, copy=True),
    np.isclose: _isclose,
    np.allclose: _allclose,
    np.array_equal: lambda ag, a1, a2: np.shape(a1) == np.shape(a2) and bool(ag.all(ag.equal(a1, a2))),
    np.result_type: "result_type",
    np.cross: lambda ag, a, b, *, axis=-1: ag.linalg.cross(a, b, axis=axis),
    np.diagonal: _diagonal,
    np.trace: _trace,
    np.linalg.norm: _norm,
    np.linalg.qr: lambda ag, a, mode="reduced": ag.linalg.qr(a, mode=mode),
    np.linalg.svd: lambda ag, a, full_matrices=True: ag.linalg.svd(a, full_matrices=full_matrices),
    **{
        getattr(np.linalg, name): _of_linalg(name)
        for name in (
            *("cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul"),
            *("matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "slogdet"),
            *("solve", "svdvals", "tensordot", "trace", "vecdot", "vector_norm"),
        )
    },
    **{getattr(np.fft, name): _transform(name) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{getattr(np.fft, name): _transforms(name, None) for name in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{getattr(np.fft, f"{name}2"): _transforms(f"{name}n", (-2, -1)) for name in ("fft", "ifft", "rfft", "irfft")},
    **{getattr(np.fft, name): _shift(name) for name in ("fftshift", "ifftshift")},
}
