"""The node itself: what it accepts, what it shows, what the operators return, and every message it raises."""

import ast
import copy
import math
import pickle
import random
import sys
from decimal import Decimal
from fractions import Fraction
from operator import add, ge, gt, le, lt, mul, pow, sub, truediv
from pathlib import Path

import numpy as np
import pytest

import agrad.scalar
from agrad.scalar import Edge, Scalar, functional, losses


def message(error, function, *args, **kwargs):
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    assert type(caught.value) is error
    return str(caught.value)


@pytest.mark.parametrize(
    "number", [3, -2.5, np.float64(0.1), np.float32(0.5), np.int64(7), Fraction(1, 4), 10**30, math.inf]
)
def test_a_real_number_becomes_a_float(number):
    x = Scalar(number)
    assert type(x.value) is float
    assert x.value == float(number)
    assert x.prevs == []
    assert x.requires_grad is True


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool: True"),
        (np.True_, "bool: np.True_"),
        (1 + 2j, "complex: (1+2j)"),
        ("3", "str: '3'"),
        (None, "NoneType: None"),
        (np.array([1.0]), "ndarray: array([1.])"),
        (np.array(1.0), "ndarray: array(1.)"),
        ([1.0], "list: [1.0]"),
        (Decimal(3), "Decimal: Decimal('3')"),
        (Scalar(3), "Scalar: Scalar(3.0)"),
    ],
)
def test_anything_else_is_refused_by_name(value, kind):
    expected = f"the value of a Scalar must be a real number (int or float), not {kind}"
    assert message(TypeError, Scalar, value) == expected
    x = Scalar(2)
    assert message(TypeError, setattr, x, "value", value) == expected
    assert x.value == 2.0


def test_an_int_too_large_for_a_float():
    assert message(OverflowError, Scalar, 10**400) == "int too large to convert to float"


def test_repr_and_float():
    assert repr(Scalar(2)) == str(Scalar(2)) == "Scalar(2.0)"
    assert repr(Scalar(-math.inf)) == "Scalar(-inf)"
    assert repr(Scalar(np.float64(0.1))) == "Scalar(0.1)"
    assert float(Scalar(0.3)) == 0.3
    assert type(float(Scalar(3))) is float


def test_a_fresh_node_has_no_gradient():
    x, y = Scalar(3), Scalar(5)
    for node in (x, y, x * y, functional.exp(x)):
        assert node.backwards_grad == 0.0
        assert type(node.backwards_grad) is float


def test_grad_is_backwards_grad():
    x = Scalar(3)
    (x * 7).backward()
    assert x.grad == x.backwards_grad == 7.0
    x.grad = 2.5
    assert x.backwards_grad == 2.5
    x.backwards_grad = -1.0
    assert x.grad == -1.0


def test_equality_and_hash_go_by_identity():
    x, y = Scalar(2), Scalar(2)
    assert x == x
    assert x != y
    assert x != 2.0
    assert len({x, y}) == 2


@pytest.mark.parametrize("compare", [lt, le, gt, ge])
@pytest.mark.parametrize(("a", "b"), [(1.5, 2), (2, 1.5), (2, 2), (math.nan, 1), (1, 10**400), (1, Fraction(1, 3))])
def test_order_goes_by_value(compare, a, b):
    expected = compare(a, b)
    assert compare(Scalar(a), b) is expected
    if b < 1e300:
        assert compare(Scalar(a), Scalar(b)) is expected
        assert compare(a, Scalar(b)) is expected
        assert compare(np.float64(a), Scalar(b)) is expected


def test_order_of_what_has_no_order():
    assert message(TypeError, lt, Scalar(1), "2") == "'<' not supported between instances of 'Scalar' and 'str'"
    assert message(TypeError, ge, None, Scalar(1)) == "'>=' not supported between instances of 'NoneType' and 'Scalar'"
    assert message(TypeError, le, Scalar(1), True) == "'<=' not supported between instances of 'Scalar' and 'bool'"
    assert max(Scalar(1), Scalar(3), Scalar(2)).value == 3.0
    assert [x.value for x in sorted([Scalar(3), Scalar(-1), Scalar(2)])] == [-1.0, 2.0, 3.0]


@pytest.mark.parametrize("operator", [add, sub, mul, truediv, pow])
@pytest.mark.parametrize(("a", "b"), [(3.7, 2.3), (0.4, -1.9), (5, 3)])
def test_operators_have_the_values_of_python(operator, a, b):
    expected = operator(float(a), float(b))
    mixed = [
        (Scalar(a), Scalar(b)),
        (Scalar(a), b),
        (a, Scalar(b)),
        (Scalar(a), np.float64(b)),
        (np.float64(a), Scalar(b)),
        (np.int64(a), Scalar(b)) if a == int(a) else (a, Scalar(b)),
        (Scalar(a, requires_grad=False), Scalar(b)),
        (Scalar(a), Scalar(b, requires_grad=False)),
        (Scalar(a, requires_grad=False), b),
    ]
    for left, right in mixed:
        result = operator(left, right)
        assert type(result) is Scalar
        assert type(result.value) is float
        assert result.value == expected
        for prev, local_grad in result.prevs:
            assert type(prev) is Scalar
            assert type(local_grad) is float


@pytest.mark.parametrize("operator", [add, sub, mul, truediv, pow])
@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (True, "bool"),
        (1j, "complex"),
        (None, "NoneType"),
        (object(), "object"),
        ({}, "dict"),
        (Decimal(2), "decimal.Decimal"),
    ],
)
def test_operators_refuse_what_is_no_real_number(operator, other, kind):
    symbol = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "** or pow()"}[operator.__name__]
    expected = f"unsupported operand type(s) for {symbol}: "
    assert message(TypeError, operator, Scalar(2), other) == expected + f"'Scalar' and '{kind}'"
    assert message(TypeError, operator, other, Scalar(2)) == expected + f"'{kind}' and 'Scalar'"


@pytest.mark.parametrize("operator", [add, sub, mul, truediv, pow])
@pytest.mark.parametrize("array", [np.array([1.0, 2.0]), np.array(2.0)])
def test_operators_refuse_arrays(operator, array):
    # Scalar declines, then it is NumPy's turn: the words are NumPy's
    assert message(TypeError, operator, Scalar(2), array).startswith("operand 'Scalar' does not support ufuncs")
    with pytest.raises(TypeError):
        operator(array, Scalar(2))


def test_unary_operators():
    x = Scalar(-3)
    assert ((-x).value, (+x).value, abs(x).value) == (3.0, -3.0, 3.0)
    assert [(node.prevs[0].prev is x, node.prevs[0].local_grad) for node in (-x, +x, abs(x))] == [
        (True, -1.0),
        (True, 1.0),
        (True, -1.0),
    ]
    assert +x is not x


def test_zero_plus_a_scalar_is_a_new_node():
    x = Scalar(3)
    y = 0 + x
    assert y is not x
    y.value = 10
    assert x.value == 3.0


def test_one_node_for_each_operation_with_a_number():
    x = Scalar(3)
    for node, local_grad in [
        (x + 2, 1.0),
        (2 + x, 1.0),
        (x - 2, 1.0),
        (2 - x, -1.0),
        (x * 2, 2.0),
        (2 * x, 2.0),
        (x / 2, 0.5),
        (x**2, 6.0),
        (-x, -1.0),
    ]:
        assert len(node.prevs) == 1
        assert node.prevs[0].prev is x
        assert node.prevs[0].local_grad == local_grad


def test_prevs_are_named_edges_in_the_order_of_the_operands():
    x, y = Scalar(3), Scalar(5)
    (first, second) = (x / y).prevs
    assert type(first) is Edge
    assert first.prev is x
    assert first.local_grad == 0.2
    assert second.prev is y
    assert second.local_grad == pytest.approx(-3 / 25)
    assert Edge._fields == ("prev", "local_grad")
    assert [edge.prev for edge in (x * x).prevs] == [x, x]


def test_prevs_is_a_new_list_each_time_and_cannot_be_set():
    y = Scalar(3) * Scalar(5)
    y.prevs.clear()
    assert len(y.prevs) == 2
    with pytest.raises(AttributeError, match="prevs"):
        y.prevs = []


@pytest.mark.parametrize("n", range(8))
def test_nodes_built_by_hand_keep_their_edges(n):
    leaves = [Scalar(i) for i in range(n)]
    weights = [random.uniform(1, 2) for _ in range(n)]
    node = Scalar(1.5, prevs=[Edge(leaf, weight) for leaf, weight in zip(leaves, weights, strict=True)])
    assert node.value == 1.5
    assert all(type(edge) is Edge for edge in node.prevs)
    assert [edge.prev for edge in node.prevs] == leaves
    assert [edge.local_grad for edge in node.prevs] == weights
    (3 * node).backward()
    assert node.backwards_grad == 3.0
    assert [leaf.backwards_grad for leaf in leaves] == [3 * weight for weight in weights]


def test_edges_may_be_plain_pairs_and_any_iterable_and_any_real_number():
    x, y = Scalar(3), Scalar(5)
    node = Scalar(8, prevs=iter([(x, np.float64(2)), (y, Fraction(1, 2))]))
    assert [(edge.local_grad, type(edge.local_grad)) for edge in node.prevs] == [(2.0, float), (0.5, float)]


def test_edges_that_are_none():
    x = Scalar(3)
    expected = "the prev of an Edge must be a Scalar, not float: 2.0"
    assert message(TypeError, Scalar, 1, [Edge(2.0, x)]) == expected
    expected = "the local_grad of an Edge must be a real number (int or float), not Scalar: Scalar(3.0)"
    assert message(TypeError, Scalar, 1, [Edge(x, x)]) == expected
    expected = "the local_grad of an Edge must be a real number (int or float), not bool: True"
    assert message(TypeError, Scalar, 1, [Edge(x, True)]) == expected
    expected = "prevs must hold pairs (prev, local_grad), not Scalar: Scalar(3.0)"
    assert message(TypeError, Scalar, 1, [x]) == expected
    assert message(TypeError, Scalar, 1, [(x, 1.0, 2.0)]).startswith(
        "prevs must hold pairs (prev, local_grad), not tuple"
    )
    expected = "a Scalar with prevs cannot have requires_grad=False: leave out one of the two"
    assert message(ValueError, Scalar, 1, [Edge(x, 1.0)], requires_grad=False) == expected


def test_constants_get_no_edges():
    x, c = Scalar(3), Scalar(5, requires_grad=False)
    assert [(edge.prev, edge.local_grad) for edge in (x * c).prevs] == [(x, 5.0)]
    assert [(edge.prev, edge.local_grad) for edge in (c * x).prevs] == [(x, 5.0)]
    by_hand = Scalar(1, prevs=[Edge(c, 2.0), Edge(x, 7.0), Edge(c, 3.0)])
    assert by_hand.prevs == [Edge(x, 7.0)]
    for constant in (c + 1, c * c, -c, c**2, 2**c, functional.tanh(c), Scalar(1, prevs=[Edge(c, 2.0)])):
        assert constant.requires_grad is False
        assert constant.prevs == []
    (x * c).backward()
    assert (x.backwards_grad, c.backwards_grad) == (5.0, 0.0)


def test_detach():
    x = Scalar(3)
    y = x * 2
    d = y.detach()
    assert (type(d), d.value, d.prevs, d.requires_grad) == (Scalar, 6.0, [], False)
    (y * d).backward()
    assert x.backwards_grad == 12.0
    assert d.backwards_grad == 0.0


def test_from_random_respects_the_bounds_and_the_seed():
    for lower, upper in [(0, 1), (-3, -2), (5, 5.5), (4, 4)]:
        values = [Scalar.from_random(lower, upper).value for _ in range(200)]
        assert all(lower <= value <= upper for value in values)
        if lower < upper:
            assert len(set(values)) == 200
            assert max(values) - min(values) > 0.8 * (upper - lower)
    assert all(0 <= Scalar.from_random().value <= 1 for _ in range(200))
    assert 8 <= Scalar.from_random(upper=9, lower=8).value <= 9
    random.seed(3)
    first = Scalar.from_random().value
    random.seed(3)
    assert Scalar.from_random().value == first == pytest.approx(0.23796462709189137)
    assert Scalar.from_random().requires_grad is True


def test_gradient_update():
    x = Scalar(3)
    (x * x).backward()
    x.gradient_update(0.25)
    assert x.value == 3 - 0.25 * 6
    x.gradient_update(np.float32(0.5))
    assert (x.value, type(x.value)) == (-1.5, float)
    fresh = Scalar(2)
    fresh.gradient_update(lr=10)
    assert fresh.value == 2.0
    expected = "the learning rate must be a real number (int or float), not Scalar: Scalar(0.1)"
    assert message(TypeError, x.gradient_update, Scalar(0.1)) == expected


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_leaves_can_be_copied(duplicate):
    x = Scalar(3.25)
    (x * 7).backward()
    c = Scalar(2, requires_grad=False)
    for original in (x, c):
        twin = duplicate(original)
        assert twin is not original
        assert type(twin) is Scalar
        assert (twin.value, twin.backwards_grad) == (original.value, original.backwards_grad)
        assert (twin.requires_grad, twin.prevs) == (original.requires_grad, [])
    twin = duplicate(x)
    (twin * twin).backward()
    assert (twin.backwards_grad, x.backwards_grad) == (6.5, 7.0)
    twin.value = 1
    assert x.value == 3.25


def test_a_copied_dictionary_of_parameters_is_a_snapshot():
    parameters = {"a": Scalar(1.5), "b": Scalar(-2)}
    snapshot = copy.deepcopy(parameters)
    (parameters["a"] * parameters["b"]).backward()
    for p in parameters.values():
        p.gradient_update(0.1)
    assert [p.value for p in snapshot.values()] == [1.5, -2.0]
    assert [p.backwards_grad for p in snapshot.values()] == [0.0, 0.0]


def test_a_small_graph_is_copied_whole():
    x, y = Scalar(3), Scalar(5)
    node = Scalar(0, prevs=[Edge(x, 1.0), Edge(y, 2.0), Edge(x, 4.0)])
    x2, z2 = pickle.loads(pickle.dumps((x, node * x)))
    z2.backward()
    assert x2.backwards_grad == 3 * 5.0
    assert x.backwards_grad == 0.0


def test_subclasses_are_scalars():
    class Weight(Scalar):
        pass

    w = Weight.from_random(2, 3)
    assert type(w) is Weight
    y = 2 * w + w
    assert type(y) is Scalar
    y.backward()
    assert w.backwards_grad == 3.0


def test_numpy_functions_do_not_swallow_a_scalar():
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.sin(Scalar(1))


def test_the_face():
    for module in (functional, losses):
        for name in {"functional": functional, "losses": losses}:
            assert getattr(agrad.scalar, name) is not None
        for name in vars(module):
            if name in agrad.scalar.__all__:
                assert getattr(agrad.scalar, name) is getattr(module, name)
    assert set(agrad.scalar.__all__) == {
        *("Edge", "Scalar", "functional", "losses", "binary_cross_entropy", "mean_squared_error"),
        *("cos", "exp", "log", "relu", "sigmoid", "sin", "tanh"),
    }


def test_only_the_standard_library_is_imported():
    for path in Path(agrad.scalar.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert all(alias.name.partition(".")[0] in sys.stdlib_module_names for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or (node.module or "").partition(".")[0] in sys.stdlib_module_names
