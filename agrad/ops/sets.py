"""Sets: the distinct elements of an array, which are differentiable, where they are, and membership."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import _errors
from .._tensor import Tensor, cast, wrap
from .._typing import Array, Namespace
from ._arguments import pair, public, raw, same_device, tensor
from .data_types import result_type
from .searching import take


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


def _distinct(xp: Namespace, x: Array) -> tuple[Array, Array, Array]:
    """Of a one-dimensional array: where each distinct element is first, which one each is, how many there are of each.

    For libraries that cannot say: equal elements are neighbours after sorting.
    """
    order = xp.argsort(x, stable=True)
    ordered = xp.take(x, order, axis=0)
    n = x.shape[0]
    one = min(1, n)  # the standard has no slices beyond an empty axis
    first = xp.concat([xp.ones_like(x[:one], dtype=xp.bool), ordered[one:] != ordered[: n - one]], axis=0)
    (starts,) = xp.nonzero(first)
    ends = xp.concat([starts[one:], starts[:one] * 0 + n], axis=0)
    number = xp.cumulative_sum(xp.astype(first, starts.dtype), axis=0) - 1
    inverse = xp.take(number, xp.argsort(order), axis=0)
    return xp.take(order, starts, axis=0), inverse, ends - starts


@public
def unique_all(x: Any, /) -> UniqueAll:
    """The distinct elements, where each is first in the flattened array, which one each element is, and how many.

    NaN is distinct from NaN. The gradient of an element that is there several times goes to the first one.

    >>> import agrad as ag
    >>> values, indices, inverse, counts = ag.unique_all(ag.Tensor([3.0, 1.0, 3.0]))
    >>> values, indices, inverse, counts
    (Tensor([1., 3.]), Tensor([1, 0]), Tensor([1, 0, 1]), Tensor([1, 2]))
    """
    x = tensor(x)
    device, flat = x._device, x.reshape(-1) if x.size else x.reshape(0)
    try:
        _, indices, inverse, counts = device.xp.unique_all(flat._value)
    except NotImplementedError:
        indices, inverse, counts = device.entering(_distinct)(device.xp, flat._value)
    except Exception as error:
        raise _errors.diagnose("unique_all", device, (x._value,), error) from error
    inverse = device.xp.reshape(inverse, x.shape)
    return UniqueAll(take(flat, indices), *[wrap(found, device) for found in (indices, inverse, counts)])


@public
def unique_counts(x: Any, /) -> UniqueCounts:
    """The distinct elements, and how many there are of each.

    >>> import agrad as ag
    >>> ag.unique_counts(ag.asarray([3, 1, 3])).counts
    Tensor([1, 2])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@public
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The distinct elements, and which one each element of `x` is.

    >>> import agrad as ag
    >>> ag.unique_inverse(ag.asarray([3, 1, 3])).inverse_indices
    Tensor([1, 0, 1])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@public
def unique_values(x: Any, /) -> Tensor:
    """The distinct elements.

    >>> import agrad as ag
    >>> ag.unique_values(ag.asarray([3, 1, 3]))
    Tensor([1, 3])
    """
    return unique_all(x).values


@public
def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Which elements of `x1` are in `x2`, or with `invert` which are not.

    >>> import agrad as ag
    >>> ag.isin(ag.asarray([1, 2, 3]), ag.asarray([3, 1]))
    Tensor([ True, False,  True])
    """
    x1, x2 = pair(x1, x2)
    device = same_device("isin", [x for x in (x1, x2) if isinstance(x, Tensor)])
    if isinstance(x1, Tensor) and isinstance(x2, Tensor):
        dtype = result_type(x1, x2)
        x1, x2 = cast(x1, dtype), cast(x2, dtype)
    values = raw(x1), raw(x2)
    try:
        found = device.xp.isin(*values)
        return wrap(device.xp.logical_not(found) if invert else found, device)
    except Exception as error:
        raise _errors.diagnose("isin", device, values, error) from error
