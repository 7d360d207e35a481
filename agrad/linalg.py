"""Linear algebra: the standard's extension `linalg`.

Matrices are in the last two axes, the axes before them are batches. Integers become floating-point numbers. What
decompositions leave open, the signs or phases of vectors and the order within equal values, has no derivative: a
gradient is right for what does not depend on that.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ._errors import OperandError, ShapeError, diagnose
from ._graph import Primitive
from ._shapes import Axis, normalize_axes, normalize_axis
from ._tensor import Tensor, binary, cast, floating, reduce, unary, wrap
from ._typing import Shape
from .ops._arguments import public_in, same_device, tensor
from .ops.creation import eye
from .ops.data_types import result_type
from .ops.elementwise import abs as absolute
from .ops.elementwise import conj, isinf, real, sign
from .ops.linear_algebra import matmul, tensordot, vecdot
from .ops.manipulation import broadcast_shapes, concat, matrix_transpose, roll
from .ops.searching import where
from .ops.statistical import max as largest
from .ops.statistical import min as smallest
from .ops.statistical import sum as total
from .rules import linalg as rules

public = public_in("linalg")

for _function in (matmul, matrix_transpose, tensordot, vecdot):
    public(_function)


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


# Arguments -----------------------------------------------------------------------------------------------------------


def _matrices(function: str, x: Any) -> Tensor:
    given = tensor(x)
    if given.ndim < 2:
        raise ShapeError(f"linalg.{function}: matrices are needed, not an array of shape {given.shape}")
    return given


def _square(function: str, x: Any) -> Tensor:
    given = floating(_matrices(function, x))
    if given.shape[-1] != given.shape[-2]:
        raise ShapeError(f"linalg.{function}: square matrices are needed, not an array of shape {given.shape}")
    return given


def _is_complex(x: Tensor) -> bool:
    return x._device.kind_of(x.dtype) == "complex"


def _adjoint(x: Tensor) -> Tensor:
    return conj(x.mT) if _is_complex(x) else x.mT


def _outputs(primitive: Primitive, x: Tensor, shapes: tuple[tuple[int, ...], ...], **params: Any) -> list[Tensor]:
    """The outputs of a decomposition, which is one node, each of its shape after the batches."""
    y = unary(primitive, x, {**params, "shapes": shapes})
    parts, start = [], 0
    for shape in shapes:
        stop = start + prod(shape)
        parts.append(y[..., start:stop].reshape((*y.shape[:-1], *shape)))
        start = stop
    return parts


# Products and parts --------------------------------------------------------------------------------------------------


@public
def outer(x1: Any, x2: Any, /) -> Tensor:
    """The products of all elements of a vector with all of another: (m), (n) -> (m, n).

    >>> import agrad as ag
    >>> ag.linalg.outer(ag.Tensor([1.0, 2.0]), ag.Tensor([3.0, 4.0]))
    Tensor([[3., 4.],
            [6., 8.]])
    """
    left, right = tensor(x1), tensor(x2)
    if left.ndim != 1 or right.ndim != 1:
        raise ShapeError(f"linalg.outer: two vectors are needed, not the shapes {left.shape} and {right.shape}")
    return left.reshape((-1, 1)) * right


@public
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three numbers along `axis`; the other axes broadcast.

    >>> import agrad as ag
    >>> ag.linalg.cross(ag.Tensor([1.0, 0.0, 0.0]), ag.Tensor([0.0, 1.0, 0.0]))
    Tensor([0., 0., 1.])
    """
    x1, x2 = tensor(x1), tensor(x2)
    ndim = min(x1.ndim, x2.ndim)
    place = normalize_axis("linalg.cross", axis, ndim) - ndim
    if x1.shape[place] != 3 or x2.shape[place] != 3:
        raise ShapeError(f"linalg.cross: lengths {x1.shape[place]} and {x2.shape[place]} along axis {axis}, not 3")
    first = roll(x1, -1, axis=place) * roll(x2, -2, axis=place)
    return first - roll(x1, -2, axis=place) * roll(x2, -1, axis=place)


@public
def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices, above the main one for a positive offset: (…, m, n) -> (…, k).

    >>> import agrad as ag
    >>> ag.linalg.diagonal(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1., 4.])
    """
    given = _matrices("diagonal", x)
    m, n = given.shape[-2:]
    count = max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))
    start = offset if offset >= 0 else -offset * n
    stop = start + (count - 1) * (n + 1) + 1
    flat = given.reshape((*given.shape[:-2], m * n))
    return flat[..., start : stop : n + 1] if count else flat[..., :0]


@public
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of the diagonals of matrices: (…, m, n) -> (…).

    >>> import agrad as ag
    >>> ag.linalg.trace(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.)
    """
    return total(diagonal(x, offset=offset), axis=-1, dtype=dtype)


@public
def matrix_power(x: Any, n: int, /) -> Tensor:
    """Square matrices to the power of an integer, of their inverses for a negative one.

    >>> import agrad as ag
    >>> ag.linalg.matrix_power(ag.Tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    Tensor([[1., 5.],
            [0., 1.]])
    """
    base = _square("matrix_power", x)
    if n == 0:
        return base * 0 + eye(base.shape[-1], dtype=base.dtype, device=base.device)
    base, n = (inv(base), -n) if n < 0 else (base, n)
    result: Tensor | None = None
    while n:
        if n & 1:
            result = base if result is None else result @ base
        n >>= 1
        base = base @ base if n else base
    assert result is not None
    return result


# Determinants and equations ------------------------------------------------------------------------------------------


@public
def det(x: Any, /) -> Tensor:
    """The determinants of square matrices: (…, n, n) -> (…).

    >>> import agrad as ag
    >>> ag.grad(ag.linalg.det)(ag.Tensor([[2.0, 1.0], [3.0, 4.0]]))
    Tensor([[ 4., -3.],
            [-1.,  2.]])
    """
    return unary(rules.det, _square("det", x))


@public
def slogdet(x: Any, /) -> SlogdetResult:
    """The signs of the determinants of square matrices, and the logarithms of their sizes: (…, n, n) -> (…), (…).

    >>> import agrad as ag
    >>> ag.linalg.slogdet(ag.Tensor([[0.0, 1.0], [1.0, 0.0]]))
    SlogdetResult(sign=Tensor(-1.), logabsdet=Tensor(0.))
    """
    y = unary(rules.slogdet, _square("slogdet", x))
    return SlogdetResult(y[..., 0], real(y[..., 1]) if _is_complex(y) else y[..., 1])


@public
def inv(x: Any, /) -> Tensor:
    """The inverses of square matrices.

    >>> import agrad as ag
    >>> ag.linalg.inv(ag.Tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return unary(rules.inv, _square("inv", x))


@public
def pinv(x: Any, /, *, rtol: Any = None) -> Tensor:
    """The pseudo-inverses of matrices: (…, m, n) -> (…, n, m). Its derivative is that where the rank stays.

    >>> import agrad as ag
    >>> ag.linalg.pinv(ag.Tensor([[2.0], [0.0]]))
    Tensor([[0.5, 0. ]])
    """
    x = floating(_matrices("pinv", x))
    return unary(rules.pinv, x, {"rtol": _tolerance("pinv", rtol, x)})


def _tolerance(function: str, rtol: Any, x: Tensor) -> Any:
    """A tolerance as the library of `x` takes it: a number, or an array."""
    if not isinstance(rtol, Tensor):
        return rtol
    same_device(function, [x, rtol])
    return rtol._value


@public
def solve(x1: Any, x2: Any, /) -> Tensor:
    """The solutions y of x1 @ y = x2: (…, n, n) and (n), or (…, n, k), whose other axes broadcast.

    >>> import agrad as ag
    >>> ag.linalg.solve(ag.Tensor([[2.0, 0.0], [1.0, 4.0]]), ag.Tensor([2.0, 9.0]))
    Tensor([1., 2.])
    """
    x1, x2 = _square("solve", x1), floating(tensor(x2))
    same_device("linalg.solve", [x1, x2])
    rows = x2.shape[0] if x2.ndim == 1 else x2.shape[-2] if x2.ndim else 0
    if rows != x1.shape[-1] or not x2.ndim:
        raise ShapeError(f"linalg.solve: matrices of shape {x1.shape} and right-hand sides of shape {x2.shape}")
    dtype = result_type(x1, x2)
    x1, x2 = cast(x1, dtype), cast(x2, dtype)
    if x2.ndim == 1:
        return _solved(x1, x2.reshape((-1, 1)))[..., 0]
    return _solved(x1, x2)


def _solved(x1: Tensor, x2: Tensor) -> Tensor:
    """`solve` with the same axes before the matrices on both sides, which not every library broadcasts."""
    stacks = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    return binary(rules.solve, _stack_of(x1, stacks), _stack_of(x2, stacks))


def _stack_of(x: Tensor, stacks: Shape) -> Tensor:
    return x if x.shape[:-2] == stacks else x.broadcast_to((*stacks, *x.shape[-2:]))


@public
def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """The lower triangles L of x = L @ Lᴴ, or the upper ones U of x = Uᴴ @ U. What is not Hermitian in x is ignored.

    >>> import agrad as ag
    >>> ag.linalg.cholesky(ag.Tensor([[4.0, 2.0], [2.0, 5.0]]))
    Tensor([[2., 0.],
            [1., 2.]])
    """
    lower = unary(rules.cholesky, _square("cholesky", x))
    return _adjoint(lower) if upper else lower


# Decompositions ------------------------------------------------------------------------------------------------------


@public
def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """x = Q @ R with orthonormal columns in Q and upper triangles R: (…, m, n) -> (…, m, k), (…, k, n).

    k is the smaller one of m and n, with mode="complete" it is m.

    >>> import agrad as ag
    >>> q, r = ag.linalg.qr(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> bool(ag.all(ag.abs(q @ r - ag.Tensor([[1.0, 2.0], [3.0, 4.0]])) < 1e-12))
    True
    """
    x = floating(_matrices("qr", x))
    if mode not in ("reduced", "complete"):
        raise ValueError(f"linalg.qr: mode is 'reduced' or 'complete', not {mode!r}")
    m, n = x.shape[-2:]
    if m < n:  # the first m columns give Q, on which the others are projected
        q, left = qr(x[..., :, :m])
        return QRResult(q, concat([left, _adjoint(q) @ x[..., :, m:]], axis=-1))
    k = m if mode == "complete" else n
    return QRResult(*_outputs(rules.qr, x, ((m, k), (k, n)), mode=mode))


@public
def eigh(x: Any, /) -> EighResult:
    """The eigenvalues, ascending, and eigenvectors, in columns, of Hermitian matrices: (…, n, n) -> (…, n), (…, n, n).

    >>> import agrad as ag
    >>> ag.linalg.eigh(ag.Tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    Tensor([1., 3.])
    """
    x = _square("eigh", x)
    n = x.shape[-1]
    w, v = _outputs(rules.eigh, x, ((n,), (n, n)))
    return EighResult(real(w) if _is_complex(w) else w, v)


@public
def eigvalsh(x: Any, /) -> Tensor:
    """The eigenvalues of Hermitian matrices, ascending: (…, n, n) -> (…, n).

    >>> import agrad as ag
    >>> ag.linalg.eigvalsh(ag.Tensor([[2.0, 1.0], [1.0, 2.0]]))
    Tensor([1., 3.])
    """
    return unary(rules.eigvalsh, _square("eigvalsh", x))


@public
def eig(x: Any, /) -> EigResult:
    """The eigenvalues and eigenvectors, in columns of length 1, of square matrices, all complex.

    >>> import agrad as ag
    >>> ag.linalg.eig(ag.Tensor([[0.0, -1.0], [1.0, 0.0]])).eigenvalues
    Tensor([0.+1.j, 0.-1.j])
    """
    x = _square("eig", x)
    n = x.shape[-1]
    return EigResult(*_outputs(rules.eig, x, ((n,), (n, n))))


@public
def eigvals(x: Any, /) -> Tensor:
    """The eigenvalues of square matrices, complex: (…, n, n) -> (…, n).

    >>> import agrad as ag
    >>> ag.linalg.eigvals(ag.Tensor([[0.0, -1.0], [1.0, 0.0]]))
    Tensor([0.+1.j, 0.-1.j])
    """
    return unary(rules.eigvals, _square("eigvals", x))


@public
def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """The singular value decomposition x = U @ diag(S) @ Vh: (…, m, n) -> (…, m, m), (…, k), (…, n, n).

    k is the smaller one of m and n; without full_matrices U has k columns and Vh k rows.

    >>> import agrad as ag
    >>> ag.linalg.svd(ag.Tensor([[3.0, 0.0], [0.0, 4.0]])).S
    Tensor([4., 3.])
    """
    x = floating(_matrices("svd", x))
    m, n = x.shape[-2:]
    k = min(m, n)
    shapes = ((m, m), (k,), (n, n)) if full_matrices else ((m, k), (k,), (k, n))
    u, s, vh = _outputs(rules.svd, x, shapes, full_matrices=full_matrices)
    return SVDResult(u, real(s) if _is_complex(s) else s, vh)


@public
def svdvals(x: Any, /) -> Tensor:
    """The singular values of matrices, descending: (…, m, n) -> (…, k), k the smaller one of m and n.

    >>> import agrad as ag
    >>> ag.linalg.svdvals(ag.Tensor([[3.0, 0.0], [0.0, 4.0]]))
    Tensor([4., 3.])
    """
    return unary(rules.svdvals, floating(_matrices("svdvals", x)))


@public
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """How many singular values are more than `rtol` times the largest one: (…, m, n) -> (…). It has no derivative.

    >>> import agrad as ag
    >>> ag.linalg.matrix_rank(ag.Tensor([[1.0, 2.0], [2.0, 4.0]]))
    Tensor(1)
    """
    x = floating(_matrices("matrix_rank", x))
    options = {} if rtol is None else {"rtol": _tolerance("matrix_rank", rtol, x)}
    try:
        rank = x._device.xp.linalg.matrix_rank(x._value, **options)
    except Exception as error:
        raise diagnose("matrix_rank", x._device, (x._value,), error) from error
    return wrap(x._device.xp.asarray(rank), x._device)


# Norms ---------------------------------------------------------------------------------------------------------------


@public
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of vectors: the root of order `ord` of the sum of powers of sizes; the largest size for infinity.

    Its derivative where it is 0 is taken as 0.

    >>> import agrad as ag
    >>> ag.linalg.vector_norm(ag.Tensor([3.0, 4.0])), ag.linalg.vector_norm(ag.Tensor([3.0, -4.0]), ord=1)
    (Tensor(5.), Tensor(7.))
    """
    x = floating(tensor(x))
    axes = normalize_axes("linalg.vector_norm", axis, x.ndim)
    if ord == 2:
        return reduce(rules.vector_norm, x, axes, keepdims)
    size = absolute(x)
    if ord in (float("inf"), -float("inf")):
        return (largest if ord > 0 else smallest)(size, axis=axes, keepdims=keepdims)
    if ord in (0, 1):
        return total(size if ord else sign(size), axis=axes, keepdims=keepdims)
    powers = where(size == 0, 0.0 if ord > 0 else float("inf"), where(size == 0, 1.0, size) ** ord)
    sums = total(powers, axis=axes, keepdims=keepdims)
    zero = sums == 0 if ord > 0 else isinf(sums)
    return where(zero, 0.0, where(zero, 1.0, sums) ** (1 / ord))


@public
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of matrices: (…, m, n) -> (…).

    "fro" is the root of the sum of squares, "nuc" the sum of the singular values, 2 and -2 the largest and the smallest
    one of them, 1 and -1 the largest and the smallest sum of the sizes in a column, inf and -inf in a row.

    >>> import agrad as ag
    >>> ag.linalg.matrix_norm(ag.Tensor([[3.0, 0.0], [0.0, 4.0]]))
    Tensor(5.)
    """
    x = floating(_matrices("matrix_norm", x))
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord == "nuc":
        y = total(svdvals(x), axis=-1)
    elif ord in (2, -2):
        y = (largest if ord > 0 else smallest)(svdvals(x), axis=-1)
    elif ord in (1, -1, float("inf"), -float("inf")):
        sums = total(absolute(x), axis=-2 if ord in (1, -1) else -1)
        y = (largest if ord > 0 else smallest)(sums, axis=-1)
    else:
        raise OperandError(
            f"linalg.matrix_norm: ord is 'fro', 'nuc', 1, 2, inf or the negative of a number, not {ord!r}"
        )
    return y[..., None, None] if keepdims else y
