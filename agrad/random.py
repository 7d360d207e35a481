"""Random numbers, drawn on the device where they are needed; reproducible per device from one seed.

What a library has no generator for is drawn on the host and uploaded. Initial values of parameters are always drawn on
the host (`Tensor.from_random`), so that they are the same on each device.
"""

from __future__ import annotations

import operator
from typing import Any

from ._errors import diagnose
from ._modes import default_device
from ._shapes import as_shape
from ._tensor import Tensor, wrap
from .backend import find_device, seed_generators


def seed(value: int | None = None) -> None:
    """Start all generators, of every device, again from `value`; None takes fresh entropy.

    >>> import agrad as ag
    >>> ag.random.seed(0)
    >>> ag.random.uniform((2,))
    Tensor([0.63696169, 0.26978671])
    """
    seed_generators(None if value is None else operator.index(value))


def _draw(device: str | None, dtype: Any, method: str, *args: Any) -> Tensor:
    where = default_device() if device is None else find_device(device)
    try:
        return wrap(where.backend.draw(where, method, args, dtype), where)
    except MemoryError as error:
        raise diagnose(f"random.{method}", where, (), error) from error


def uniform(
    shape: Any = (), lower: float = 0.0, upper: float = 1.0, *, device: str | None = None, dtype: Any = None
) -> Tensor:
    """Uniform numbers in [lower, upper), up to rounding.

    >>> import agrad as ag
    >>> bool(ag.all(ag.random.uniform((100,), 2.0, 3.0) >= 2.0))
    True
    """
    if not lower <= upper:
        raise ValueError(f"random.uniform: lower={lower} is above upper={upper}")
    unit = _draw(device, dtype or float, "random", as_shape("random.uniform", shape))
    return unit * (upper - lower) + lower


def normal(
    shape: Any = (), mean: float = 0.0, std: float = 1.0, *, device: str | None = None, dtype: Any = None
) -> Tensor:
    """Normal numbers of the given mean and standard deviation.

    >>> import agrad as ag
    >>> ag.random.normal((2, 3)).shape
    (2, 3)
    """
    if not std >= 0:
        raise ValueError(f"random.normal: a standard deviation is not negative, as {std} is")
    unit = _draw(device, dtype or float, "standard_normal", as_shape("random.normal", shape))
    return unit * std + mean


def integers(lower: int, upper: int, shape: Any = (), *, device: str | None = None, dtype: Any = "int64") -> Tensor:
    """Integers from lower up to, and without, upper.

    >>> import agrad as ag
    >>> bool(ag.all(ag.random.integers(0, 6, (100,)) < 6))
    True
    """
    if not lower < upper:
        raise ValueError(f"random.integers: there is no integer from {lower} up to, and without, {upper}")
    return _draw(device, dtype, "integers", lower, upper, as_shape("random.integers", shape))


def permutation(n: int, *, device: str | None = None) -> Tensor:
    """The integers from 0 to n - 1 in random order.

    >>> import agrad as ag
    >>> sorted(int(i) for i in ag.random.permutation(4))
    [0, 1, 2, 3]
    """
    return _draw(device, "int64", "permutation", operator.index(n))
