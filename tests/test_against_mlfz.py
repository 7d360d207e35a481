"""What is right here where mlfz 0.1.3, the library that the chapter was written with, is wrong.

Each row of docs/migrating-from-mlfz.md is a function of a library: it computes a few numbers with it. agrad's must be
the right ones; and where mlfz is installed, its own must be those that the page says.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "migrating-from-mlfz.md"
INF, NAN = math.inf, math.nan


@dataclass(frozen=True)
class Library:
    """The names that the examples use."""

    Tensor: Any
    functional: Any
    Scalar: Any
    scalar: Any
    Model: Any


@dataclass(frozen=True)
class Raises:
    """In the place of numbers: an exception."""

    kind: str
    message: str


@dataclass(frozen=True)
class Row:
    title: str
    example: Callable[[Library], Any]
    right: Any
    wrong: Any


ROWS: list[Row] = []


def row(title: str, *, right: Any, mlfz: Any) -> Callable[[Callable[[Library], Any]], None]:
    """Make an example a row: what it gives with agrad, and what with mlfz."""

    def add(example: Callable[[Library], Any]) -> None:
        ROWS.append(Row(title, example, right, mlfz))

    return add


# Derivatives ---------------------------------------------------------------------------------------------------------


@row("d(x / y)", right=[[1 / 3], [-2 / 3]], mlfz=[[1 / 6], [-1 / 12]])
def _(lib: Library) -> Any:
    x, y = lib.Tensor([6.0]), lib.Tensor([3.0])
    (x / y).backward()
    return [x.backwards_grad, y.backwards_grad]


@row("d(x / 3)", right=[1 / 3], mlfz=[1 / 6])
def _(lib: Library) -> Any:
    x = lib.Tensor([6.0])
    (x / 3).backward()
    return x.backwards_grad


@row("softmax by exp and sum", right=[-0.20171, -0.30357, 0.50528], mlfz=[-13.92752, -38.5772, -106.30028])
def _(lib: Library) -> Any:
    x = lib.Tensor([0.0, 1.0, 2.0])
    e = lib.functional.exp(x)
    (e / e.sum() * lib.Tensor([1.0, 2.0, 4.0])).sum().backward()
    return np.round(x.backwards_grad, 5)


@row("sum over an axis of a square array", right=[[1, 10], [1, 10]], mlfz=[[1, 1], [10, 10]])
def _(lib: Library) -> Any:
    x = lib.Tensor([[1.0, 2.0], [3.0, 4.0]])
    (x.sum(axis=0) * lib.Tensor([1.0, 10.0])).sum().backward()
    return x.backwards_grad


@row("mean over an axis of a square array", right=[[0.5, 5], [0.5, 5]], mlfz=[[0.5, 0.5], [5, 5]])
def _(lib: Library) -> Any:
    x = lib.Tensor([[1.0, 2.0], [3.0, 4.0]])
    (x.mean(axis=0) * lib.Tensor([1.0, 10.0])).sum().backward()
    return x.backwards_grad


@row("batched matmul", right=[[[3, 7], [3, 7]], [[11, 15], [11, 15]]], mlfz=[[[4, 12], [4, 12]], [[6, 14], [6, 14]]])
def _(lib: Library) -> Any:
    x = lib.Tensor(np.ones((2, 2, 2)))
    y = lib.Tensor(np.arange(1.0, 9.0).reshape(2, 2, 2))
    (x @ y).backward()
    return x.backwards_grad


@row("vector @ matrix", right=[[1, 1], [2, 2]], mlfz=3.0)
def _(lib: Library) -> Any:
    x, a = lib.Tensor([1.0, 2.0]), lib.Tensor([[1.0, 2.0], [3.0, 4.0]])
    (x @ a).backward()
    return a.backwards_grad


@row("vector @ vector", right=[[3, 4], [1, 2]], mlfz=Raises("ValueError", "does not have enough dimensions"))
def _(lib: Library) -> Any:
    x, y = lib.Tensor([1.0, 2.0]), lib.Tensor([3.0, 4.0])
    (x @ y).backward()
    return [x.backwards_grad, y.backwards_grad]


@row("indexing", right=[0, 5, 7], mlfz=[0, 0, 0])
def _(lib: Library) -> Any:
    x = lib.Tensor([1.0, 2.0, 3.0])
    (x[1:] * lib.Tensor([5.0, 7.0])).sum().backward()
    return x.backwards_grad


@row("0 ** 2", right=[[0], [0]], mlfz=[[0], [NAN]])
def _(lib: Library) -> Any:
    x, y = lib.Tensor([0.0]), lib.Tensor([2.0])
    (x**y).backward()
    return [x.backwards_grad, y.backwards_grad]


@row("log of a negative number", right=[-0.5], mlfz=[0.5])
def _(lib: Library) -> Any:
    x = lib.Tensor([-2.0])
    lib.functional.log(x).backward()
    return x.backwards_grad


# Graphs --------------------------------------------------------------------------------------------------------------


@row("1500 operations in a chain", right=[1], mlfz=Raises("RecursionError", "maximum recursion depth"))
def _(lib: Library) -> Any:
    x = y = lib.Tensor([0.0])
    for _ in range(1500):
        y = y + 1.0
    y.backward()
    return x.backwards_grad


@row("1500 operations on Scalars", right=1, mlfz=Raises("RecursionError", "maximum recursion depth"))
def _(lib: Library) -> Any:
    x = y = lib.Scalar(0.0)
    for _ in range(1500):
        y = y + 1
    y.backward()
    return x.backwards_grad


@row("backward(zero_grad=False), twice", right=[30], mlfz=[75])
def _(lib: Library) -> Any:
    x = lib.Tensor([1.0])
    y = (x * 3.0) * 5.0
    y.backward(zero_grad=False)
    y.backward(zero_grad=False)
    return x.backwards_grad


@row("the edges after an update", right=[2], mlfz=[0.5])
def _(lib: Library) -> Any:
    x, y = lib.Tensor([2.0]), lib.Tensor([3.0])
    z = x * y
    z.backward()
    edge_to_y = z.prevs[1]
    x.gradient_update(0.5)
    return edge_to_y.local_grad


@row("backward() after an update", right=Raises("GraphError", "run the forward pass again"), mlfz=[0.5])
def _(lib: Library) -> Any:
    x, y = lib.Tensor([2.0]), lib.Tensor([3.0])
    z = x * y
    z.backward()
    x.gradient_update(0.5)
    z.backward()
    return y.backwards_grad


# Values and dtypes ---------------------------------------------------------------------------------------------------


@row("relu of infinity and NaN", right=[INF, 0, NAN], mlfz=[INF, NAN, NAN])
def _(lib: Library) -> Any:
    return lib.functional.relu(lib.Tensor([INF, -INF, NAN])).value


@row("relu of a Scalar that is NaN", right=NAN, mlfz=0)
def _(lib: Library) -> Any:
    return lib.scalar.relu(lib.Scalar(NAN)).value


@row("sigmoid(-1000)", right=[0], mlfz=Raises("FloatingPointError", "overflow encountered in exp"))
def _(lib: Library) -> Any:
    with np.errstate(over="raise"):  # a RuntimeWarning, unless told
        return lib.functional.sigmoid(lib.Tensor([-1000.0])).value


@row("sigmoid(-1000) of a Scalar", right=0, mlfz=Raises("OverflowError", "math range error"))
def _(lib: Library) -> Any:
    return lib.scalar.sigmoid(lib.Scalar(-1000)).value


@row(
    "integer parameters",
    right=Raises("GraphError", "only floating-point and complex tensors are differentiable"),
    mlfz=Raises("UFuncTypeError", "Cannot cast ufunc 'subtract' output from dtype"),
)
def _(lib: Library) -> Any:
    w = lib.Tensor([1, 2])
    x = lib.Tensor([0.5, 0.25])
    (w * x).sum().backward()
    w.gradient_update(0.1)


@row("integers to the power of 0", right=[1, 1], mlfz=Raises("ValueError", "Integers to negative integer powers"))
def _(lib: Library) -> Any:
    return (lib.Tensor([3, 4]) ** 0).value


@row("integers and zero_grad=False", right=[3], mlfz=Raises("UFuncTypeError", "Cannot cast ufunc 'add' output"))
def _(lib: Library) -> Any:
    x = lib.Tensor([1.0])
    (x * lib.Tensor([3])).backward(zero_grad=False)
    return x.backwards_grad


@row("float32 stays float32", right=["float32", "float32"], mlfz=["float64", "float64"])
def _(lib: Library) -> Any:
    x = lib.Tensor(np.array([1, 2], dtype="float32"))
    y = (x * 2.0).mean()
    y.backward()
    return [str(y.value.dtype), str(x.backwards_grad.dtype)]


@row("broadcasting of empty arrays", right=[0, 3], mlfz=Raises("ValueError", "could not be broadcast together"))
def _(lib: Library) -> Any:
    return (lib.Tensor(np.ones((0, 3))) + lib.Tensor(np.ones((1, 3)))).shape


@row("ndarray @ Tensor", right=[[4, 6]], mlfz=Raises("TypeError", "unsupported operand"))
def _(lib: Library) -> Any:
    return (np.ones((1, 2)) @ lib.Tensor([[1.0, 2.0], [3.0, 4.0]])).value


@row("NumPy's functions", right=[7], mlfz=[0])
def _(lib: Library) -> Any:
    x = lib.Tensor([0.0])
    (np.exp(x) * lib.Tensor([7.0])).backward()
    return x.backwards_grad


@row("the bounds of from_random", right=True, mlfz=False)
def _(lib: Library) -> Any:
    x = lib.Tensor.from_random(100, lower=5, upper=6).value
    return bool(np.all((x >= 5) & (x < 6)))


# Scalars and models --------------------------------------------------------------------------------------------------


@row("the loss of a perfect prediction", right=[0, 0], mlfz=Raises("ValueError", "math domain error"))
def _(lib: Library) -> Any:
    prediction = lib.Scalar(3)
    loss = lib.scalar.mean_squared_error([prediction], [lib.Scalar(3)])
    loss.backward()
    return [loss.value, prediction.backwards_grad]


@row("0 ** 2 of a Scalar", right=[0, 0], mlfz=Raises("ValueError", "math domain error"))
def _(lib: Library) -> Any:
    x = lib.Scalar(0)
    y = x**2
    y.backward()
    return [y.value, x.backwards_grad]


@row("2 ** Scalar", right=[8, 8 * math.log(2)], mlfz=Raises("TypeError", "unsupported operand"))
def _(lib: Library) -> Any:
    x = lib.Scalar(3)
    y = 2**x
    y.backward()
    return [y.value, x.backwards_grad]


@row("parameter_values() and back", right=[2.0, 1.5], mlfz=Raises("AttributeError", "'numpy.ndarray' object"))
def _(lib: Library) -> Any:
    class Line(lib.Model):
        def __init__(self) -> None:
            self.slope = lib.Tensor([1.0])

        def forward(self, x: Any) -> Any:
            return self.slope * x

        def parameters(self) -> dict[str, Any]:
            return {"slope": self.slope}

    model = Line()
    model.load_parameters({"slope": np.array([2.0])})
    loaded = model.parameter_values()["slope"][0]
    model(lib.Tensor([5.0])).backward()
    model.gradient_update(0.1)
    return [loaded, model.slope.value[0]]


# The tests -----------------------------------------------------------------------------------------------------------

each_row = pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])


def check(example: Callable[[Library], Any], library: Library, expected: Any) -> None:
    with np.errstate(all="ignore"):
        if isinstance(expected, Raises):
            with pytest.raises(Exception, match=expected.message) as raised:
                example(library)
            assert raised.type.__name__.lstrip("_") == expected.kind
            return
        found = example(library)
    if not isinstance(expected, list):
        assert found == expected or (found != found and expected != expected)
    elif isinstance(expected[0], str):
        assert found == expected
    else:
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@each_row
def test_agrad_is_right(row: Row) -> None:
    import agrad as ag

    check(row.example, Library(ag.Tensor, ag.functional, ag.scalar.Scalar, ag.scalar, ag.nn.Model), row.right)


@each_row
def test_mlfz_is_wrong(row: Row) -> None:
    mlfz = pytest.importorskip("mlfz", reason="mlfz is not installed")
    names = {name: importlib.import_module(f"mlfz.nn.{name}") for name in ("tensor.functional", "scalar")}
    library = Library(mlfz.Tensor, names["tensor.functional"], mlfz.Scalar, names["scalar"], mlfz.nn.Model)
    check(row.example, library, row.wrong)
    assert row.right != row.wrong


def test_the_page_has_these_rows() -> None:
    """Its table, and an example under the same title for each."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| [")]
    assert table == [f"[{row.title}](#{anchor(row.title)})" for row in ROWS]
    assert [line.removeprefix("### ") for line in lines if line.startswith("### ")] == [row.title for row in ROWS]


def anchor(title: str) -> str:
    """What GitHub makes of a heading: letters, digits, - and _ stay, blanks become -."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
