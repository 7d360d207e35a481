"""Error messages that belong to no single part: each says which function, which operands, and what to do."""

from __future__ import annotations

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, DTypeError, GraphError, OperandError, ShapeError, Tensor
from agrad._errors import AgradError, describe, diagnose
from agrad._graph import LEAF, Primitive
from agrad._tensor import unary
from agrad.backend import find_device
from tests.conftest import STRICT

BUILTIN = {
    ag.DeviceError: ValueError,
    ag.BackendUnavailableError: DeviceError,
    ag.ShapeError: ValueError,
    ag.DTypeError: TypeError,
    ag.GraphError: RuntimeError,
    ag.ConversionError: TypeError,
    ag.UnsupportedFunctionError: TypeError,
}


@pytest.mark.parametrize("error", BUILTIN, ids=lambda error: error.__name__)
def test_every_error_is_agrads_and_pythons(error):
    assert issubclass(error, AgradError)
    assert issubclass(error, BUILTIN[error])


def test_every_error_is_public():
    for name in ("AgradError", *[error.__name__ for error in BUILTIN], "GraphLeavingWarning"):
        assert name in ag.__all__ and hasattr(ag, name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: x + Tensor([1.0, 2.0, 3.0]),
            r"^add\(\(2,\) float64, \(3,\) float64\) on device 'cpu': operands could",
        ),
        (lambda x: x * np.ones(3), r"^multiply\(\(2,\) float64, \(3,\) float64\) on device 'cpu': "),
        (lambda x: x < Tensor([1.0, 2.0, 3.0]), r"^less\(\(2,\) float64, \(3,\) float64\) on device 'cpu': "),
        (lambda x: x @ Tensor([[1.0]]), r"^matmul\(\(2,\) float64, \(1, 1\) float64\) on device 'cpu': "),
        (
            lambda x: ag.concat([x.reshape(2, 1), x.reshape(1, 2)]),
            r"^concat\(\(2, 1\) float64, \(1, 2\) float64\) on device 'cpu': ",
        ),
        (lambda x: x.broadcast_to((3,)), r"^broadcast_to\(\(2,\) float64\) on device 'cpu': "),
        (lambda x: ag.maximum(x, np.ones(5)), r"^maximum\(\(2,\) float64, \(5,\) float64\) on device 'cpu': "),
    ],
)
def test_shapes_that_do_not_fit_are_told(call, message):
    with pytest.raises(ShapeError, match=message) as error:
        call(Tensor([1.0, 2.0]))
    assert error.value.__cause__ is not None  # what the backend said, for those who look


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ~x, r"^bitwise_invert\(\(2,\) float64\) on device 'cpu': "),
        (lambda x: x & 1, r"^bitwise_and\(\(2,\) float64, 1\) on device 'cpu': "),
        (lambda x: ag.bitwise_xor(x, x), r"^bitwise_xor\(\(2,\) float64, \(2,\) float64\) on device 'cpu': "),
    ],
)
def test_dtypes_that_do_not_fit_are_told(call, message):
    with pytest.raises(DTypeError, match=message):
        call(Tensor([1.0, 2.0]))


@pytest.mark.parametrize("index", [7, (0, 0), [5], np.array([-9])])
def test_indices_that_do_not_fit_are_told(index):
    with pytest.raises(IndexError, match=r"^getitem\(\(2,\) float64\) on device 'cpu': "):
        _ = Tensor([1.0, 2.0])[index]


def test_errors_on_other_devices_name_them(device):
    name = find_device(device).name
    with pytest.raises((ShapeError, DTypeError), match=rf"add\(\(2,\) .*, \(3,\) .*\) on device '{name}': "):
        Tensor([1.0, 2.0], device=device) + Tensor([1.0, 2.0, 3.0], device=device)


def test_errors_of_devices_in_functions_of_many_arguments():
    pytest.importorskip("array_api_strict")
    with pytest.raises(DeviceError, match=f"stack: one operand is on device 'cpu', another on '{STRICT}'"):
        Tensor([Tensor(1.0), Tensor(1.0, device=STRICT)])


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("k"), GraphError("its own")])
def test_what_is_not_about_operands_goes_through_unchanged(error):
    def fails(xp, x):
        raise error

    with pytest.raises(type(error)) as raised:
        unary(Primitive("fails", fails, x=lambda xp, g: g), Tensor(1.0))
    assert raised.value is error
    assert diagnose("f", "cpu", (), error) is error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("operands could not be broadcast together"), ShapeError),
        (TypeError("incompatible shapes"), ShapeError),
        (ValueError("Integers to negative integer powers are not allowed."), OperandError),
        (RuntimeError("r"), OperandError),
        (TypeError("t"), DTypeError),
        (IndexError("i"), IndexError),
    ],
)
def test_backends_errors_are_diagnosed(error, kind):
    found = diagnose("f", "cpu", (np.ones((2, 3), dtype="float32"), 4.0), error)
    assert type(found) is kind
    assert str(found) == f"f((2, 3) float32, 4.0) on device 'cpu': {error}"


def test_operands_are_described_by_shape_and_dtype():
    assert describe(np.ones((2, 0), dtype="int8")) == "(2, 0) int8"
    assert describe(2.5) == "2.5"


@pytest.mark.parametrize(
    ("value", "kind"), [("text", "str 'text'"), (None, "NoneType None"), ([1.0], r"list \[1.0\]"), ({}, "dict {}")]
)
def test_functions_need_arrays(value, kind):
    for call in (ag.exp, ag.sum, lambda x: ag.maximum(x, 1.0), lambda x: ag.concat([x])):
        with pytest.raises(DTypeError, match=f"an array, a Tensor or a number is needed, not {kind}"):
            call(value)


def test_numpy_scalars_are_numbers_for_functions():
    for scalar in (np.float32(0.5), np.int64(1), np.float64(0.5)):
        assert ag.exp(scalar).item() == pytest.approx(float(np.exp(scalar)))
        assert ag.add(scalar, scalar).item() == 2 * scalar


def test_triangles_are_of_matrices():
    for function in (ag.tril, ag.triu):
        with pytest.raises(
            ShapeError, match=rf"{function.__name__}: matrices are needed, not an array of shape \(2,\)"
        ):
            function(Tensor([1.0, 2.0]))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'agrad' has no attribute 'sin_of_greed'"):
        ag.sin_of_greed  # noqa: B018
    assert ag.float32 == np.float32


def test_a_leaf_is_not_computed():
    with pytest.raises(AssertionError, match="a leaf is not computed"):
        LEAF.forward(None)
    assert repr(LEAF) == "<primitive leaf>"


def test_a_failed_operation_leaves_its_operands_as_they_were(device):
    x = Tensor([1.0, 2.0], device=device)
    for call in (lambda: x + Tensor.ones(3, device=device), lambda: x.__iadd__(Tensor.ones(3, device=device))):
        with pytest.raises((ShapeError, DTypeError)):
            call()
    assert x.is_leaf and x.shape == (2,)
    (x * x).sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [2.0, 4.0])


@pytest.mark.parametrize("kind", [IndexError, ValueError, ShapeError])
def test_an_axis_out_of_bounds_is_what_numpy_makes_of_it(kind):
    with pytest.raises(ag.AxisError, match=r"^sum: axis 3 is out of bounds for an array of 1 dimensions$") as raised:
        ag.sum(Tensor([1.0]), axis=3)
    assert isinstance(raised.value, kind)
