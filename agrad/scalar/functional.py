"""Functions of one Scalar: each computes a value and, in closed form, the local gradient of its one edge.

A plain number is taken for a constant, and so is the result then.
"""

from __future__ import annotations

import math

from .core import Scalar, _from_one


def exp(x: Scalar | float) -> Scalar:
    """The exponential function; inf where it is too large for a float.

    d/dx exp(x) = exp(x)

    >>> from agrad.scalar import Scalar, exp
    >>> x = Scalar(0)
    >>> exp(x)
    Scalar(1.0)
    >>> exp(3 * x).backward()
    >>> x.backwards_grad
    3.0
    """
    x = _to_scalar(x)
    try:
        y = math.exp(x._value)
    except OverflowError:
        y = math.inf
    return _from_one(y, x, y)


def log(x: Scalar | float) -> Scalar:
    """The natural logarithm; at 0 it is -inf, with the gradient inf.

    d/dx log(x) = 1 / x

    Raises:
        ValueError: x is negative.

    Example:
        >>> from agrad.scalar import Scalar, log
        >>> x = Scalar(4)
        >>> log(x)
        Scalar(1.3862943611198906)
        >>> log(x).backward()
        >>> x.backwards_grad
        0.25
    """
    x = _to_scalar(x)
    v = x._value
    if v < 0.0:
        raise ValueError(f"log of a negative number: log({x!r})")
    if v == 0.0:
        return _from_one(-math.inf, x, math.inf)
    return _from_one(math.log(v), x, 1.0 / v)


def sin(x: Scalar | float) -> Scalar:
    """The sine of an angle in radians.

    d/dx sin(x) = cos(x)

    Raises:
        ValueError: x is infinite.

    Example:
        >>> from agrad.scalar import Scalar, sin
        >>> x = Scalar(0)
        >>> sin(x).backward()
        >>> x.backwards_grad
        1.0
    """
    x = _to_scalar(x)
    if math.isinf(x._value):
        raise ValueError(f"sin of an infinite number: sin({x!r})")
    return _from_one(math.sin(x._value), x, math.cos(x._value))


def cos(x: Scalar | float) -> Scalar:
    """The cosine of an angle in radians.

    d/dx cos(x) = -sin(x)

    Raises:
        ValueError: x is infinite.

    Example:
        >>> from agrad.scalar import Scalar, cos
        >>> x = Scalar(0.5)
        >>> cos(x).backward()
        >>> x.backwards_grad
        -0.479425538604203
    """
    x = _to_scalar(x)
    if math.isinf(x._value):
        raise ValueError(f"cos of an infinite number: cos({x!r})")
    return _from_one(math.cos(x._value), x, -math.sin(x._value))


def tanh(x: Scalar | float) -> Scalar:
    """The hyperbolic tangent.

    d/dx tanh(x) = 1 - tanh(x)**2

    >>> from agrad.scalar import Scalar, tanh
    >>> x = Scalar(0)
    >>> tanh(x)
    Scalar(0.0)
    >>> tanh(x).backward()
    >>> x.backwards_grad
    1.0
    """
    x = _to_scalar(x)
    y = math.tanh(x._value)
    return _from_one(y, x, 1.0 - y * y)


def sigmoid(x: Scalar | float) -> Scalar:
    """The logistic function s(x) = 1 / (1 + exp(-x)), computed from exp(-|x|), which cannot overflow.

    d/dx s(x) = s(x) * (1 - s(x))

    >>> from agrad.scalar import Scalar, sigmoid
    >>> x = Scalar(0)
    >>> sigmoid(x)
    Scalar(0.5)
    >>> sigmoid(x).backward()
    >>> x.backwards_grad
    0.25
    """
    x = _to_scalar(x)
    e = math.exp(-abs(x._value))
    y = 1.0 / (1.0 + e) if x._value >= 0.0 else e / (1.0 + e)
    return _from_one(y, x, e / (1.0 + e) ** 2)


def relu(x: Scalar | float) -> Scalar:
    """The rectified linear unit max(0, x); nan stays nan.

    d/dx relu(x) = 1 for x > 0, else 0

    >>> from agrad.scalar import Scalar, relu
    >>> x = Scalar(3)
    >>> relu(x), relu(-x)
    (Scalar(3.0), Scalar(0.0))
    >>> relu(x).backward()
    >>> x.backwards_grad
    1.0
    """
    x = _to_scalar(x)
    if x._value <= 0.0:
        return _from_one(0.0, x, 0.0)
    return _from_one(x._value, x, 1.0)


def _to_scalar(x: Scalar | float) -> Scalar:
    return x if isinstance(x, Scalar) else Scalar(x, requires_grad=False)
