"""agrad.losses: the formulas, at the ends of the scale too, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import DTypeError, OperandError, ShapeError, Tensor
from agrad.backend import find_device
from agrad.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    mean_squared_error,
)

rng = np.random.default_rng(7)
PROBABILITIES, TARGETS = rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(0.0, 1.0, (3, 4))
LOGITS = rng.normal(size=(3, 4)) * 2
OF_PAIRS = {f.__name__: f for f in (mean_squared_error, binary_cross_entropy, binary_cross_entropy_with_logits)}
each_of_pairs = pytest.mark.parametrize("loss", OF_PAIRS.values(), ids=OF_PAIRS)


def doubles(data: Any, device: str) -> Tensor:
    return Tensor(np.array(data, dtype="float64"), device=device)


def gradient(x: Tensor) -> np.ndarray:
    return Tensor(x.grad).numpy()


def test_mean_squared_error(device: str) -> None:
    p, t = doubles(PROBABILITIES, device), doubles(TARGETS, device)
    loss = mean_squared_error(p, t)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(((PROBABILITIES - TARGETS) ** 2).mean(), rel=1e-14)
    loss.backward()
    np.testing.assert_allclose(gradient(p), 2 * (PROBABILITIES - TARGETS) / 12, rtol=1e-12)
    np.testing.assert_allclose(gradient(t), -gradient(p))


def test_a_perfect_prediction_has_no_gradient(device: str) -> None:
    p = doubles([1.0, 2.0], device)
    mean_squared_error(p, p.detach()).backward()
    np.testing.assert_array_equal(gradient(p), [0.0, 0.0])


def test_binary_cross_entropy(device: str) -> None:
    """The chapter's formula, the ε in it included."""
    p, t = doubles(PROBABILITIES, device), doubles(TARGETS, device)
    loss = binary_cross_entropy(p, t)
    formula = TARGETS * np.log(PROBABILITIES + 1e-16) + (1 - TARGETS) * np.log(1 - PROBABILITIES + 1e-16)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(-formula.mean(), rel=1e-14)
    loss.backward()
    np.testing.assert_allclose(
        gradient(p), (PROBABILITIES - TARGETS) / (PROBABILITIES * (1 - PROBABILITIES)) / 12, rtol=1e-10
    )
    np.testing.assert_allclose(gradient(t), np.log(1 / PROBABILITIES - 1) / 12, rtol=1e-10)


def test_binary_cross_entropy_of_certainties(device: str) -> None:
    """ε keeps the loss of a wrong certainty finite, and that of a right one 0."""
    p = doubles([0.0, 1.0, 1.0, 0.0], device)
    loss = binary_cross_entropy(p, doubles([0.0, 1.0, 0.0, 1.0], device))
    assert loss.item() == pytest.approx(-math.log(1e-16) / 2)
    loss.backward()
    assert np.isfinite(gradient(p)).all()
    assert gradient(p)[2] > 1e14 and gradient(p)[3] < -1e14


def test_binary_cross_entropy_with_logits(device: str) -> None:
    x, t = doubles(LOGITS, device), doubles(TARGETS, device)
    loss = binary_cross_entropy_with_logits(x, t)
    sigmoid = 1 / (1 + np.exp(-LOGITS))
    expected = -(TARGETS * np.log(sigmoid) + (1 - TARGETS) * np.log(1 - sigmoid)).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    np.testing.assert_allclose(gradient(x), (sigmoid - TARGETS) / 12, rtol=1e-10, atol=1e-16)


def test_logits_far_out(device: str) -> None:
    x = doubles([1000.0, -1000.0, 1000.0, -1000.0], device)
    loss = binary_cross_entropy_with_logits(x, doubles([1.0, 0.0, 0.0, 1.0], device))
    assert loss.item() == 500.0
    loss.backward()
    np.testing.assert_array_equal(gradient(x), [0.0, 0.0, 0.25, -0.25])


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def test_cross_entropy_of_labels(device: str) -> None:
    x = doubles(LOGITS, device)
    loss = cross_entropy(x, ag.asarray([3, 0, 3], device=device))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(-_log_softmax(LOGITS, 1)[[0, 1, 2], [3, 0, 3]].mean(), rel=1e-13)
    loss.backward()
    right = np.zeros((3, 4))
    right[[0, 1, 2], [3, 0, 3]] = 1
    np.testing.assert_allclose(gradient(x), (np.exp(_log_softmax(LOGITS, 1)) - right) / 3, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_cross_entropy_of_probabilities(axis: int, device: str) -> None:
    shares = TARGETS / TARGETS.sum(axis=axis, keepdims=True)
    loss = cross_entropy(doubles(LOGITS, device), doubles(shares, device), axis=axis)
    assert loss.item() == pytest.approx(-(shares * _log_softmax(LOGITS, axis)).sum(axis=axis).mean(), rel=1e-13)


def test_labels_are_certain_probabilities(device: str) -> None:
    x = doubles(LOGITS.reshape(3, 2, 2), device)
    labels = np.array([[1, 0], [0, 0], [1, 1]])
    certain = np.stack([labels == 0, labels == 1], axis=1).astype("float64")
    one = cross_entropy(x, ag.asarray(labels, device=device), axis=1)
    assert one.item() == pytest.approx(cross_entropy(x, doubles(certain, device), axis=1).item(), rel=1e-14)


def test_one_sample_without_a_batch(device: str) -> None:
    assert cross_entropy(doubles([0.0, 0.0], device), ag.asarray(1, device=device)).item() == pytest.approx(math.log(2))


def test_cross_entropy_far_out(device: str) -> None:
    x = doubles([[1000.0, 0.0], [-1000.0, 1000.0]], device)
    loss = cross_entropy(x, ag.asarray([0, 0], device=device))
    assert loss.item() == 1000.0
    loss.backward()
    np.testing.assert_array_equal(gradient(x), [[0.0, 0.0], [-0.5, 0.5]])


@each_of_pairs
def test_float32_stays_float32(loss: Callable[..., Tensor], device: str) -> None:
    p = Tensor(PROBABILITIES, device=device, dtype="float32")
    for targets in (Tensor(TARGETS, device=device, dtype="float32"), ag.asarray((TARGETS > 0.5) * 1, device=device)):
        result = loss(p, targets)
        result.backward()
        assert result.numpy().dtype == gradient(p).dtype == "float32"
    for number in (1.0, np.float64(1.0), np.float32(1.0), 1):
        assert loss(Tensor(0.5, device=device, dtype="float32"), number).numpy().dtype == "float32"


@each_of_pairs
def test_integers_and_booleans_are_numbers(loss: Callable[..., Tensor], device: str) -> None:
    p = doubles(PROBABILITIES[0], device)
    for targets in ([1, 0, 1, 1], [True, False, True, True]):
        expected = loss(p, doubles(targets, device)).item()
        assert loss(p, ag.asarray(targets, device=device)).item() == expected


@each_of_pairs
def test_raw_arrays(loss: Callable[..., Tensor], device: str) -> None:
    p, t = doubles(PROBABILITIES, device), doubles(TARGETS, device)
    assert loss(p, t.value).item() == loss(p.value, t).item() == loss(p, t).item()


@each_of_pairs
def test_shapes_have_to_agree(loss: Callable[..., Tensor], device: str) -> None:
    """(3,) against (3, 1) would broadcast to (3, 3): the mistake that nobody sees in the loss curve."""
    with pytest.raises(
        ShapeError,
        match=rf"^{loss.__name__}: predictions of shape \(3, 1\) and targets of shape \(3,\) differ$",
    ):
        loss(ag.zeros((3, 1), device=device), ag.zeros(3, device=device))


@each_of_pairs
def test_no_elements(loss: Callable[..., Tensor], device: str) -> None:
    with pytest.raises(
        ShapeError, match=rf"^{loss.__name__}: the mean over no elements \(shape \(0, 2\)\) is not defined$"
    ):
        loss(ag.zeros((0, 2), device=device), ag.zeros((0, 2), device=device))


def test_errors_of_cross_entropy(device: str) -> None:
    x = doubles(LOGITS, device)
    with pytest.raises(
        ShapeError,
        match=r"^cross_entropy: labels of shape \(4,\) for logits of shape \(3, 4\) with classes along axis -1$",
    ):
        cross_entropy(x, ag.asarray([0, 1, 2, 0], device=device))
    with pytest.raises(
        ShapeError, match=r"^cross_entropy: probabilities of shape \(4,\) for logits of shape \(3, 4\)$"
    ):
        cross_entropy(x, ag.zeros(4, device=device))
    with pytest.raises(DTypeError, match=r"^cross_entropy: labels are integers or probabilities, not .*bool$"):
        cross_entropy(x, ag.asarray([True, False, True], device=device))
    with pytest.raises(
        ShapeError, match=r"^cross_entropy: the mean over no samples \(shape \(0, 4\)\) is not defined$"
    ):
        cross_entropy(ag.zeros((0, 4), device=device), ag.zeros(0, dtype="int64", device=device))
    with pytest.raises(ShapeError, match=r"^cross_entropy: axis 2 is out of bounds for an array of 2 dimensions$"):
        cross_entropy(x, ag.asarray([0, 1, 2], device=device), axis=2)


@pytest.mark.parametrize("wrong", [-1, 4])
def test_labels_that_are_no_class(wrong: int, device: str) -> None:
    """A negative label would take a class from the end, without a word."""
    if find_device(device).backend.asynchronous:
        pytest.skip("not checked where looking at a value waits for the device")
    logits, labels = doubles(LOGITS, device), Tensor([0, wrong, 1], device=device, dtype="int8")
    low, high = min(0, wrong), max(1, wrong)
    with pytest.raises(OperandError, match=rf"^cross_entropy: labels are from 0 to 3; these are from {low} to {high}$"):
        cross_entropy(logits, labels)
