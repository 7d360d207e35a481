"""Statistical functions. `axis` is an integer, a tuple of them, or None for all axes."""

from __future__ import annotations

from typing import Any

from .._shapes import Axis
from .._tensor import Tensor, cast, floating, reduce
from ..rules import statistical as rules
from ._arguments import public, tensor


@public
def sum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum; `dtype` is what is summed in.

    >>> import agrad as ag
    >>> ag.sum(ag.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4., 6.])
    """
    x = tensor(x)
    return reduce(rules.sum, x if dtype is None else cast(x, x._device.dtype(dtype)), axis, keepdims)


@public
def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean.

    >>> import agrad as ag
    >>> ag.mean(ag.Tensor([1.0, 2.0, 6.0]))
    Tensor(3.)
    """
    return reduce(rules.mean, floating(tensor(x)), axis, keepdims)


@public
def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element. All elements that are the largest share its gradient equally.

    >>> import agrad as ag
    >>> ag.max(ag.Tensor([1.0, 5.0, 3.0]))
    Tensor(5.)
    """
    return reduce(rules.max, tensor(x), axis, keepdims)


@public
def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element. All elements that are the smallest share its gradient equally.

    >>> import agrad as ag
    >>> ag.min(ag.Tensor([1.0, 5.0, 3.0]))
    Tensor(1.)
    """
    return reduce(rules.min, tensor(x), axis, keepdims)


@public
def var(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance: the mean squared deviation from the mean, of n - correction.

    >>> import agrad as ag
    >>> ag.var(ag.Tensor([1.0, 3.0]))
    Tensor(1.)
    """
    return reduce(rules.var, floating(tensor(x)), axis, keepdims, correction)


@public
def std(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation, the root of `var`. Its derivative where all elements are equal is taken as 0.

    >>> import agrad as ag
    >>> ag.std(ag.Tensor([1.0, 3.0]))
    Tensor(1.)
    """
    return reduce(rules.std, floating(tensor(x)), axis, keepdims, correction)
