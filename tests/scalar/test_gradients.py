"""Every operator and function against central differences at random points, and the corners by hand."""

import math
import random

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agrad.scalar import Scalar, cos, exp, functional, log, relu, sigmoid, sin, tanh

inf, nan = math.inf, math.nan


def numerical_gradient(function, point):
    """Central differences of fourth order, one coordinate at a time."""
    gradient = []
    for i, x in enumerate(point):
        h = 1e-3 * max(abs(x), 0.1)

        def at(step, i=i, x=x):
            return function(*[Scalar(x + step if i == j else other) for j, other in enumerate(point)]).value

        gradient.append((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h))
    return gradient


def check_gradient(function, point):
    leaves = [Scalar(x) for x in point]
    weight = random.uniform(0.5, 2)
    (function(*leaves) * weight).backward()
    expected = [weight * g for g in numerical_gradient(function, point)]
    assert [leaf.backwards_grad for leaf in leaves] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def local_grads(node):
    return [edge.local_grad for edge in node.prevs]


anywhere = st.floats(-4, 4)
positive = st.floats(0.2, 4)
away_from_zero = st.one_of(positive, positive.map(lambda x: -x))


@given(anywhere, away_from_zero)
def test_arithmetic(x, y):
    for function in (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a * 1.7 - 0.3 / b + 2.5 - (0.4 + a) / 3,
        lambda a, b: (5 - a) * 2 + (-b) * (+a),
    ):
        check_gradient(function, [x, y])


@given(positive, anywhere)
@example(2.0, 3.0)
def test_power(x, y):
    check_gradient(lambda a, b: a**b, [x, y])
    check_gradient(lambda a: a**y, [x])
    check_gradient(lambda b: x**b, [y])


@given(away_from_zero, st.integers(-4, 5))
def test_power_of_any_number_to_a_whole_one(x, n):
    check_gradient(lambda a: a**n, [x])
    check_gradient(lambda a: a ** float(n), [x])
    check_gradient(lambda a: a ** Scalar(n, requires_grad=False), [x])
    node = Scalar(x) ** Scalar(n)
    assert node.value == x**n
    assert node.prevs[0].local_grad == pytest.approx(n * x ** (n - 1), rel=1e-14)


@given(anywhere)
def test_functions(x):
    for function in (exp, sin, cos, tanh, sigmoid):
        check_gradient(function, [x])
        check_gradient(lambda a, function=function: function(0.3 * a - 0.1), [x])


@given(away_from_zero)
def test_functions_that_have_a_kink_or_a_pole_at_zero(x):
    assume(abs(x) > 0.01)
    check_gradient(relu, [x])
    check_gradient(abs, [x])
    check_gradient(lambda a: log(abs(a)), [x])


@given(positive)
def test_log(x):
    check_gradient(log, [x])


@pytest.mark.parametrize("number", [0.3, 2, np.float64(0.7)])
@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos", "tanh", "sigmoid", "relu"])
def test_a_plain_number_is_a_constant(name, number):
    function = getattr(functional, name)
    result = function(number)
    assert type(result) is Scalar
    assert type(result.value) is float
    assert result.value == function(Scalar(number)).value
    assert (result.requires_grad, result.prevs) == (False, [])


@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos", "tanh", "sigmoid", "relu"])
def test_functions_refuse_what_is_no_real_number(name):
    for wrong, kind in [("1", "str: '1'"), (True, "bool: True"), (np.array([1.0]), "ndarray: array([1.])")]:
        with pytest.raises(TypeError) as caught:
            getattr(functional, name)(wrong)
        assert str(caught.value) == f"the value of a Scalar must be a real number (int or float), not {kind}"


# What follows are the corners. In each row: the expression, its value, its local gradients.


@pytest.mark.parametrize(
    ("x", "y", "value", "by_x", "by_y"),
    [
        (0.0, 2.0, 0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 1.0, 0.0),
        (0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 5.0, 0.0, 0.0, 0.0),
        (0.0, 0.5, 0.0, inf, 0.0),
        (0.0, 1.5, 0.0, 0.0, 0.0),
        (-0.0, 3.0, -0.0, 0.0, 0.0),
        (3.0, 0.0, 1.0, 0.0, math.log(3)),
        (-3.0, 0.0, 1.0, 0.0, nan),
        (-3.0, 2.0, 9.0, -6.0, nan),
        (-3.0, 3.0, -27.0, 27.0, nan),
        (-2.0, -3.0, -0.125, -0.1875, nan),
        (2.0, 3.0, 8.0, 12.0, math.log(2) * 8),
        (1.0, 7.0, 1.0, 7.0, 0.0),
        (1e200, 2.0, inf, 2e200, inf),
        (-1e200, 3.0, -inf, inf, nan),
        (-1e200, 2.0, inf, -2e200, nan),
        (-1e-200, -3.0, -inf, -inf, nan),
        (0.5, -2000.0, inf, -inf, -inf),
        (0.5, 2000.0, 0.0, 0.0, 0.0),
        (inf, 2.0, inf, inf, inf),
        (inf, 1.0, inf, 1.0, inf),
        (nan, 0.0, 1.0, 0.0, nan),
        (nan, 2.0, nan, nan, nan),
    ],
)
def test_corners_of_power(x, y, value, by_x, by_y):
    def same(got, expected):
        assert got == pytest.approx(expected, rel=1e-14, abs=0, nan_ok=True)

    both = Scalar(x) ** Scalar(y)
    same([both.value, *local_grads(both)], [value, by_x, by_y])
    for exponent in (y, Scalar(y, requires_grad=False), *([int(y)] if y == int(y) else [])):
        node = Scalar(x) ** exponent
        same([node.value, *local_grads(node)], [value, by_x])
    for base in (x, Scalar(x, requires_grad=False)):
        node = base ** Scalar(y)
        same([node.value, *local_grads(node)], [value, by_y])


def test_two_to_a_scalar():
    x = Scalar(3)
    y = 2**x
    y.backward()
    assert y.value == 8.0
    assert x.backwards_grad == pytest.approx(8 * math.log(2))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Scalar(-8) ** (1 / 3), f"-8.0 ** {1 / 3}: a negative number can only be raised to a whole number"),
        (lambda: Scalar(-8) ** Scalar(0.5), "-8.0 ** 0.5: a negative number can only be raised to a whole number"),
        (lambda: (-8) ** Scalar(0.5), "-8.0 ** 0.5: a negative number can only be raised to a whole number"),
        (lambda: log(Scalar(-2)), "log of a negative number: log(Scalar(-2.0))"),
        (lambda: log(-inf), "log of a negative number: log(Scalar(-inf))"),
        (lambda: log(-5e-324), "log of a negative number: log(Scalar(-5e-324))"),
        (lambda: sin(Scalar(inf)), "sin of an infinite number: sin(Scalar(inf))"),
        (lambda: cos(Scalar(-inf)), "cos of an infinite number: cos(Scalar(-inf))"),
    ],
)
def test_what_has_no_real_value(build, text):
    with pytest.raises(ValueError) as caught:
        build()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Scalar(3) / Scalar(0), "3.0 / 0.0: division by zero"),
        (lambda: Scalar(3) / 0, "3.0 / 0.0: division by zero"),
        (lambda: 3 / Scalar(-0.0), "3.0 / -0.0: division by zero"),
        (lambda: np.float64(3) / Scalar(0), "3.0 / 0.0: division by zero"),
        (lambda: Scalar(0) / Scalar(0), "0.0 / 0.0: division by zero"),
        (lambda: Scalar(0) ** -1, "0.0 ** -1.0: zero cannot be raised to a negative power"),
        (lambda: Scalar(0) ** Scalar(-0.5), "0.0 ** -0.5: zero cannot be raised to a negative power"),
        (lambda: 0 ** Scalar(-2), "0.0 ** -2.0: zero cannot be raised to a negative power"),
    ],
)
def test_division_by_zero(build, text):
    with pytest.raises(ZeroDivisionError) as caught:
        build()
    assert str(caught.value) == text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_corners_of_division():
    assert local_grads(Scalar(3.0) / Scalar(5.0)) == pytest.approx([0.2, -0.12])
    assert local_grads(Scalar(3.0) / Scalar(-1e200)) == pytest.approx([-1e-200, 0.0], rel=1e-14, abs=0)
    assert local_grads(Scalar(3e-200) / Scalar(1e-180)) == pytest.approx([1e180, -3e160], rel=1e-14)
    assert local_grads(Scalar(3e-200) / 1e-180) == pytest.approx([1e180], rel=1e-14)
    assert local_grads(3e-200 / Scalar(1e-180)) == pytest.approx([-3e160], rel=1e-14)
    assert (Scalar(1e300) / Scalar(1e-300)).value == inf
    assert (Scalar(3.0) / Scalar(inf)).value == 0.0


def test_corners_of_exp():
    for x, value in [(1000, inf), (-1000, 0.0), (inf, inf), (-inf, 0.0), (0, 1.0), (709, math.exp(709))]:
        node = exp(Scalar(x))
        assert (node.value, *local_grads(node)) == (value, value)
    assert math.isnan(exp(nan).value)


def test_corners_of_log():
    for zero in (0, 0.0, -0.0):
        node = log(Scalar(zero))
        assert (node.value, *local_grads(node)) == (-inf, inf)
    assert (log(inf).value, local_grads(log(Scalar(inf)))) == (inf, [0.0])
    assert log(Scalar(5e-324)).value == pytest.approx(-744.4400719213812)
    assert math.isnan(log(nan).value)


def test_corners_of_sigmoid():
    for x, value, grad in [
        (-1000, 0.0, 0.0),
        (1000, 1.0, 0.0),
        (-inf, 0.0, 0.0),
        (inf, 1.0, 0.0),
        (0, 0.5, 0.25),
        (-40, math.exp(-40), math.exp(-40)),
        (40, 1.0, math.exp(-40)),
        (-700, math.exp(-700), math.exp(-700)),
    ]:
        node = sigmoid(Scalar(x))
        assert [node.value, *local_grads(node)] == pytest.approx([value, grad], rel=1e-14, abs=0)
    assert math.isnan(sigmoid(nan).value)


def test_corners_of_tanh():
    for x, value, grad in [(1000, 1.0, 0.0), (-inf, -1.0, 0.0), (0, 0.0, 1.0)]:
        node = tanh(Scalar(x))
        assert (node.value, *local_grads(node)) == (value, grad)


def test_corners_of_relu():
    for x, value, grad in [(inf, inf, 1.0), (-inf, 0.0, 0.0), (0, 0.0, 0.0), (-0.0, 0.0, 0.0), (5e-324, 5e-324, 1.0)]:
        node = relu(Scalar(x))
        assert (node.value, *local_grads(node)) == (value, grad)
    assert math.isnan(relu(Scalar(nan)).value)


def test_corners_of_abs():
    for x, value, grad in [(0, 0.0, 0.0), (-0.0, 0.0, 0.0), (-inf, inf, -1.0), (inf, inf, 1.0)]:
        node = abs(Scalar(x))
        assert (node.value, *local_grads(node)) == (value, grad)


@given(st.floats(allow_nan=True, allow_infinity=True))
@example(1e200)
@example(-1e200)
def test_no_float_is_refused_where_the_value_exists(x):
    for function in (exp, tanh, sigmoid, relu, abs, lambda a: a**2, lambda a: a**3, lambda a: a * a, lambda a: -a):
        node = function(Scalar(x))
        assert type(node.value) is float
        assert all(type(local_grad) is float for local_grad in local_grads(node))
