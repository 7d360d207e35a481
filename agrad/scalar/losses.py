"""Losses: how far the predictions of a model are from the truth, as one Scalar to minimise.

Both are written with the operators of Scalar and with `log`, so they have no gradients of their own.
"""

from __future__ import annotations

from collections.abc import Iterable

from .core import Scalar
from .functional import _to_scalar, log


def mean_squared_error(preds: Iterable[Scalar | float], ys: Iterable[Scalar | float]) -> Scalar:
    """The mean squared error: the mean of (p - y)**2 over the n pairs of a prediction p and its truth y.

    Args:
        preds: The predictions of the model.
        ys: The truth, Scalars or plain numbers, as many as predictions.

    Raises:
        ValueError: There are no predictions, or not as many as there are ys.

    Example:
        >>> from agrad.scalar import Scalar, mean_squared_error
        >>> preds = [Scalar(1), Scalar(4)]
        >>> loss = mean_squared_error(preds, [1, 2])
        >>> loss
        Scalar(2.0)
        >>> loss.backward()
        >>> [p.backwards_grad for p in preds]
        [0.0, 2.0]
    """
    return _mean([(p - y) ** 2 for p, y in _pairs("mean_squared_error", preds, ys)])


def binary_cross_entropy(preds: Iterable[Scalar | float], ys: Iterable[Scalar | float]) -> Scalar:
    """The binary cross entropy: minus the mean of y * log(p) + (1 - y) * log(1 - p) over the n pairs.

    1e-16 is added to what the logarithm is taken of, so that a prediction of exactly 0 or 1 has a finite loss.

    Args:
        preds: The predictions of the model, probabilities between 0 and 1.
        ys: The truth, Scalars or plain numbers, as many as predictions.

    Raises:
        ValueError: There are no predictions, or not as many as there are ys, or one is not between 0 and 1.

    Example:
        >>> from agrad.scalar import Scalar, binary_cross_entropy
        >>> preds = [Scalar(0.5), Scalar(0.25)]
        >>> loss = binary_cross_entropy(preds, [1, 0])
        >>> loss
        Scalar(0.490414626505863)
        >>> loss.backward()
        >>> [round(p.backwards_grad, 4) for p in preds]
        [-1.0, 0.6667]
    """
    epsilon = 1e-16
    pairs = _pairs("binary_cross_entropy", preds, ys)
    for p, _ in pairs:
        if p < 0 or p > 1:
            raise ValueError(f"binary_cross_entropy: {p!r} is not between 0 and 1; put a sigmoid after the last layer")
    return -_mean([y * log(p + epsilon) + (1 - y) * log(1 - p + epsilon) for p, y in pairs])


def _pairs(function: str, preds: Iterable[Scalar | float], ys: Iterable[Scalar | float]) -> list[tuple[Scalar, Scalar]]:
    ps, ts = [_to_scalar(p) for p in preds], [_to_scalar(y) for y in ys]
    if len(ps) != len(ts):
        raise ValueError(f"{function}: {len(ps)} predictions, but {len(ts)} ys")
    if not ps:
        raise ValueError(f"{function}: there are no predictions, and the mean of nothing is undefined")
    return list(zip(ps, ts, strict=True))


def _mean(terms: list[Scalar]) -> Scalar:
    return sum(terms, start=Scalar(0, requires_grad=False)) / len(terms)
