"""The two losses against formulas written out by hand."""

import math
import random

import numpy as np
import pytest

from agrad.scalar import Scalar
from agrad.scalar.losses import binary_cross_entropy, mean_squared_error

LOSSES = [mean_squared_error, binary_cross_entropy]


def draw(n, seed):
    generator = random.Random(seed)
    return [generator.uniform(0.05, 0.95) for _ in range(n)], [generator.uniform(0.05, 0.95) for _ in range(n)]


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("kind", [float, np.float64, Scalar, lambda y: Scalar(y, requires_grad=False)])
def test_mean_squared_error(n, kind):
    p, y = draw(n, seed=n)
    preds, ys = [Scalar(value) for value in p], [kind(value) for value in y]
    loss = mean_squared_error(preds, ys)
    loss.backward()
    assert type(loss) is Scalar
    assert loss.value == pytest.approx(sum((a - b) ** 2 for a, b in zip(p, y, strict=True)) / n, rel=1e-14)
    expected = [2 * (a - b) / n for a, b in zip(p, y, strict=True)]
    assert [q.backwards_grad for q in preds] == pytest.approx(expected, rel=1e-13)
    if kind is Scalar:
        assert [t.backwards_grad for t in ys] == pytest.approx([-g for g in expected], rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("kind", [float, np.float64, Scalar, lambda y: Scalar(y, requires_grad=False)])
def test_binary_cross_entropy(n, kind):
    p, y = draw(n, seed=10 + n)
    preds, ys = [Scalar(value) for value in p], [kind(value) for value in y]
    loss = binary_cross_entropy(preds, ys)
    loss.backward()
    pairs = list(zip(p, y, strict=True))
    expected = -sum(b * math.log(a) + (1 - b) * math.log(1 - a) for a, b in pairs) / n
    assert type(loss) is Scalar
    assert loss.value == pytest.approx(expected, rel=1e-13)
    expected = [((1 - b) / (1 - a) - b / a) / n for a, b in pairs]
    assert [q.backwards_grad for q in preds] == pytest.approx(expected, rel=1e-12)
    if kind is Scalar:
        expected = [(math.log(1 - a) - math.log(a)) / n for a, _ in pairs]
        assert [t.backwards_grad for t in ys] == pytest.approx(expected, rel=1e-12)


def test_a_perfect_prediction():
    preds, ys = [Scalar(0.3), Scalar(-2)], [Scalar(0.3), -2]
    loss = mean_squared_error(preds, ys)
    loss.backward()
    assert loss.value == 0.0
    assert [p.backwards_grad for p in preds] == [0.0, 0.0]
    preds = [Scalar(1), Scalar(0)]
    loss = binary_cross_entropy(preds, [1, 0])
    loss.backward()
    assert loss.value == 0.0
    assert [p.backwards_grad for p in preds] == pytest.approx([-0.5, 0.5])


def test_the_epsilon_is_the_chapters():
    for p, y in [(0, 1), (1, 0)]:
        pred = Scalar(p)
        loss = binary_cross_entropy([pred], [y])
        loss.backward()
        assert loss.value == pytest.approx(-math.log(1e-16), rel=1e-14)
        assert abs(pred.backwards_grad) == pytest.approx(1e16, rel=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_generators_and_constants(loss):
    p, y = draw(4, seed=1)
    expected = loss([Scalar(value) for value in p], y).value
    assert loss((Scalar(value) for value in p), iter(y)).value == expected
    assert loss(np.array(p), np.array(y)).value == expected
    constant = loss(p, y)
    assert type(constant) is Scalar
    assert constant.requires_grad is False


@pytest.mark.parametrize("loss", LOSSES)
def test_messages(loss):
    def message(error, *args):
        with pytest.raises(error) as caught:
            loss(*args)
        return str(caught.value)

    name = loss.__name__
    p = [Scalar(0.5), Scalar(0.25)]
    assert message(ValueError, p, [1]) == f"{name}: 2 predictions, but 1 ys"
    assert message(ValueError, [], [1, 0]) == f"{name}: 0 predictions, but 2 ys"
    assert message(ValueError, [], []) == f"{name}: there are no predictions, and the mean of nothing is undefined"
    text = "the value of a Scalar must be a real number (int or float), not "
    assert message(TypeError, p, [1, True]) == text + "bool: True"
    assert message(TypeError, p, ["a", 1]) == text + "str: 'a'"
    assert message(TypeError, p, np.array([[1.0], [0.0]])) == text + "ndarray: array([1.])"
    assert message(TypeError, p[0], [1]) == "'Scalar' object is not iterable"


@pytest.mark.parametrize(("p", "shown"), [(1.5, "Scalar(1.5)"), (-0.25, "Scalar(-0.25)")])
def test_predictions_that_are_no_probabilities(p, shown):
    with pytest.raises(ValueError) as caught:
        binary_cross_entropy([Scalar(0.5), Scalar(p)], [1, 0])
    expected = f"binary_cross_entropy: {shown} is not between 0 and 1; put a sigmoid after the last layer"
    assert str(caught.value) == expected
    assert math.isnan(binary_cross_entropy([Scalar(math.nan)], [1]).value)
