"""Losses: how far predictions are from what they should be, as a 0-d tensor, the mean over all elements or samples."""

from __future__ import annotations

from typing import Any

from ._errors import DTypeError, OperandError, ShapeError
from ._shapes import normalize_axis
from ._tensor import Tensor, binary, cast, floating, unary
from ._typing import Array
from .functional import log_softmax, softplus
from .ops._arguments import same_device, tensor
from .rules import network as rules


def _same_shape(function: str, preds: Any, ys: Any) -> tuple[Tensor, Tensor]:
    p = preds if type(preds) is Tensor and preds._node is not None else floating(tensor(preds))
    ys = ys if type(ys) is Tensor else tensor(ys, p)
    shape = p._value.shape
    if shape != ys._value.shape:
        raise ShapeError(f"{function}: predictions of shape {p.shape} and targets of shape {ys.shape} differ")
    if 0 in shape:
        raise ShapeError(f"{function}: the mean over no elements (shape {p.shape}) is not defined")
    dtype = ys._value.dtype
    if dtype is not p._value.dtype and ys._device.kind_of(dtype) not in ("real", "complex"):
        ys = cast(ys, p.dtype)  # to the default float it would widen float32
    return p, ys


def mean_squared_error(preds: Any, ys: Any) -> Tensor:
    """mean((preds - ys)²). Both have the same shape.

    >>> from agrad import Tensor
    >>> mean_squared_error(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """
    p, y = _same_shape("mean_squared_error", preds, ys)
    difference = p - y
    return (difference * difference).mean()


def binary_cross_entropy(preds: Any, ys: Any) -> Tensor:
    """-mean(ys log(preds + ε) + (1 - ys) log(1 - preds + ε)) with ε = 1e-16, the chapter's formula.

    `preds` are probabilities, `ys` of the same shape what they should be: 0, 1 or between.

    >>> from agrad import Tensor
    >>> binary_cross_entropy(Tensor([0.5, 0.5]), Tensor([0.0, 1.0]))
    Tensor(0.69314718)
    """
    return binary(rules.binary_cross_entropy, *_same_shape("binary_cross_entropy", preds, ys))


def binary_cross_entropy_with_logits(logits: Any, ys: Any) -> Tensor:
    """Binary cross entropy of sigmoid(logits), exact also where that is 0 or 1: mean(softplus(x) - x y).

    >>> from agrad import Tensor
    >>> binary_cross_entropy_with_logits(Tensor([0.0, 1000.0]), Tensor([0.0, 1.0]))
    Tensor(0.34657359)
    """
    x, y = _same_shape("binary_cross_entropy_with_logits", logits, ys)
    return (softplus(x) - x * y).mean()


def cross_entropy(logits: Any, labels: Any, *, axis: int = -1) -> Tensor:
    """The mean over samples of -log softmax(logits) at the right class.

    Args:
        logits: any real numbers; the classes are along `axis`.
        labels: integers, the number of the right class, of the shape of `logits` without `axis`; or probabilities of
            the shape of `logits`.
        axis: the axis of the classes.

    Raises:
        ShapeError: the shapes do not fit, or there are no samples.
        OperandError: a label is no class; not checked on a GPU, where looking would wait for it.

    >>> from agrad import Tensor
    >>> cross_entropy(Tensor([[0.0, 0.0], [1000.0, 0.0]]), Tensor([0, 0]))
    Tensor(0.34657359)
    """
    given, target = floating(tensor(logits)), tensor(labels)
    same_device("cross_entropy", [given, target])
    place = normalize_axis("cross_entropy", axis, given.ndim)
    logs = log_softmax(given, axis=place)
    samples = given.size // given.shape[place] if given.size else 0
    if not samples:
        raise ShapeError(f"cross_entropy: the mean over no samples (shape {given.shape}) is not defined")
    kind = target._device.kind_of(target.dtype)
    if kind == "integral":
        if target.shape != given.shape[:place] + given.shape[place + 1 :]:
            raise ShapeError(
                f"cross_entropy: labels of shape {target.shape} for logits of shape {given.shape} with classes along "
                f"axis {axis}"
            )
        labels = _checked(target, given.shape[place])
        return unary(rules.negative_log_likelihood, logs, {"labels": labels, "axis": place})
    if kind != "real":
        raise DTypeError(f"cross_entropy: labels are integers or probabilities, not {target.dtype}")
    if target.shape != given.shape:
        raise ShapeError(f"cross_entropy: probabilities of shape {target.shape} for logits of shape {given.shape}")
    return -(logs * target).sum() / samples


def _checked(labels: Tensor, classes: int) -> Array:
    """The labels as an array; raises for those that are no class, where looking makes nobody wait for a device."""
    device = labels._device
    xp = device.xp
    values = labels._value if labels._value.dtype == xp.int64 else xp.astype(labels._value, xp.int64)
    if device.backend.asynchronous:
        return values
    least, most = xp.min(values), xp.max(values)
    if not device.backend.confirm(xp.logical_and(least >= 0, most < classes)):
        raise OperandError(
            f"cross_entropy: labels are from 0 to {classes - 1}; these are from {int(least)} to {int(most)}"
        )
    return values
