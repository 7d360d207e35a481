"""The chapter's code runs as the book has it, and shows what the book shows.

cells.py is run from its first cell to its last in one namespace, as a notebook is. Two numbers of it are set from
outside, so that this takes seconds: the steps of the long training (`n_steps`, 100000 in the book, 300 here or what
AGRAD_CHAPTER_STEPS says) and the samples of section 13.5 (`n_samples`, 1000 in the book, 50 here).
"""

from __future__ import annotations

import ast
import io
import os
import random
import re
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import agrad as ag

SOURCE = Path(__file__).with_name("cells.py")
STEPS = int(os.environ.get("AGRAD_CHAPTER_STEPS", "300"))
SETTINGS = {"13.4-7": {"n_steps": STEPS}, "13.5-2": {"n_samples": 50}}
PLOTS = ["13.4-2", "13.4-6", "13.4-10"]  # the cells that draw


class Shown(NamedTuple):
    """What a reader sees of one cell, and what it warned of."""

    value: Any  # of the last line, if that is an expression
    printed: str
    warned: list[warnings.WarningMessage]
    pictures: list[Path]


def read_cells() -> dict[str, str]:
    """The source of every cell by its number."""
    _, *parts = re.split(r"^# %% (\S+)$", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


CELLS = read_cells()


def run(number: str, namespace: dict[str, Any], pictures: list[Path]) -> Shown:
    """Run one cell as a notebook does: in the common namespace, and keeping the value of its last line."""
    statements = ast.parse(CELLS[number], f"{SOURCE} {number}").body
    for name, setting in SETTINGS.get(number, {}).items():
        (found,) = [s for s in statements if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == name]
        found.value = ast.copy_location(ast.Constant(setting), found.value)
    last = statements.pop() if isinstance(statements[-1], ast.Expr) else None
    before = len(pictures)
    with redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        exec(compile(ast.Module(statements, []), str(SOURCE), "exec"), namespace)
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(SOURCE), "eval"), namespace)
    return Shown(value, printed.getvalue(), warned, pictures[before:])


class Chapter(NamedTuple):
    shown: dict[str, Shown]
    texts: dict[str, str]  # the repr of each value, of the time when it was shown
    namespace: dict[str, Any]


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chapter]:
    """The whole chapter, run once."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder = tmp_path_factory.mktemp("pictures")
    pictures: list[Path] = []

    def save_and_close() -> None:
        pictures.append(folder / f"{len(pictures)}.png")
        plt.savefig(pictures[-1])
        plt.close()

    ag.random.seed(13)
    np.random.seed(13)
    random.seed(13)
    namespace: dict[str, Any] = {"__name__": "chapter"}
    shown, texts = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt, "show", save_and_close)
        for number in CELLS:
            shown[number] = run(number, namespace, pictures)
            texts[number] = repr(shown[number].value)
    yield Chapter(shown, texts, namespace)


ONES = "Tensor([[1., 1., 1., 1.],\n        [1., 1., 1., 1.],\n        [1., 1., 1., 1.]])"

# What the book shows. The rows of a Tensor are aligned here, which they are not there.
EXPECTED = {
    "13.1-1": ONES,
    "13.1-2": "Tensor([[1, 2],\n        [3, 4]])",
    "13.1-4": "Tensor([[0., 0.],\n        [0., 0.],\n        [0., 0.],\n        [0., 0.],\n        [0., 0.]])",
    "13.1-5": ONES,
    "13.1-7": "array([[0., 0., 0., 0.],\n       [0., 0., 0., 0.],\n       [0., 0., 0., 0.]])",
    "13.2-1": ONES.replace("1", "3"),
    "13.2-2": "Tensor([[ 2.71828183,  7.3890561 ],\n        [20.08553692, 54.59815003]])",
    "13.2-3": "Tensor(12.)",
    "13.2-4": "Tensor([3., 3., 3., 3.])",
    "13.2-5": "Tensor([4., 4., 4.])",
    "13.2-6": "Tensor(2.5)",
    "13.2-7": "Tensor([2., 3.])",
    "13.3-3": "(1, 1)",
}


@pytest.mark.parametrize("number", EXPECTED)
def test_what_a_cell_shows(chapter: Chapter, number: str) -> None:
    assert chapter.texts[number] == EXPECTED[number]


def test_cells_are_counted() -> None:
    """Sections 13.1 to 13.5, each numbered from 1 without a gap."""
    assert list(CELLS) == [
        f"13.{section}-{place}" for section, n in [(1, 8), (2, 7), (3, 7), (4, 10), (5, 8)] for place in range(1, n + 1)
    ]


@pytest.mark.parametrize(("number", "shape"), [("13.1-3", (2, 4)), ("13.3-2", (1, 1))])
def test_random_tensors(chapter: Chapter, number: str, shape: tuple[int, ...]) -> None:
    shown = chapter.shown[number].value
    assert isinstance(shown, ag.Tensor)
    assert shown.shape == shape
    assert 0 < shown.numpy().min() <= shown.numpy().max() < 1
    row = r"\[0\.\d+ *(, 0\.\d+ *)*\]"
    assert re.fullmatch(rf"Tensor\(\[{row}(,\n {{8}}{row})*\]\)", chapter.texts[number])


def test_prevs_are_the_edges_of_the_book(chapter: Chapter) -> None:
    first, second = edges = chapter.shown["13.1-8"].value
    ones = np.ones((3, 4))
    for edge in edges:
        assert isinstance(edge, ag.Edge)
        assert isinstance(edge.prev, ag.Tensor)
        np.testing.assert_array_equal(edge.prev.numpy(), ones)
        np.testing.assert_array_equal(edge.local_grad, ones)
        assert type(edge.local_grad) is np.ndarray
    assert first.prev is not second.prev
    edge = re.escape(f"Edge(prev={ONES}, local_grad={ones!r}, backward_fn=<function _pointwise at ") + r"0x\w+>\)"
    assert re.fullmatch(rf"\[{edge}, {edge}\]", chapter.texts["13.1-8"])


def test_the_gradients_of_section_3(chapter: Chapter) -> None:
    """The formulas of the graph written out: y = σ(tanh(x A) B)."""
    gradients = [chapter.shown[f"13.3-{i}"].value for i in (5, 6, 7)]
    y = chapter.shown["13.3-2"].value.numpy()
    parents = chapter.shown["13.3-2"].value.prevs
    assert [type(g) for g in gradients] == [np.ndarray] * 3
    assert [g.shape for g in gradients] == [(1, 3), (3, 5), (5, 1)]
    assert len(parents) == 1

    x, a, b = fresh_section_3()
    hidden = np.tanh(x @ a)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-(hidden @ b))), rtol=1e-14)
    at_output = y * (1 - y)
    at_hidden = (at_output @ b.T) * (1 - hidden**2)
    for found, right in zip(gradients, [at_hidden @ a.T, x.T @ at_hidden, hidden.T @ at_output], strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12)


def fresh_section_3() -> list[np.ndarray]:
    """The random numbers that the chapter drew: a (2, 4), then x, A and B."""
    ag.random.seed(13)
    ag.Tensor.from_random(2, 4)
    return [ag.Tensor.from_random(*shape).numpy() for shape in [(1, 3), (3, 5), (5, 1)]]


def test_the_training_learns(chapter: Chapter) -> None:
    lines = chapter.shown["13.4-7"].printed.splitlines()
    matches = [re.fullmatch(r"step no\. (\d+), loss = (\d\.\d+)", line) for line in lines]
    assert all(matches), lines
    steps = [int(match[1]) for match in matches if match]
    losses = [float(match[2]) for match in matches if match]
    assert steps == [1, *range(10000, STEPS + 1, 10000)]
    last = chapter.namespace["l"]
    assert last.shape == ()
    assert last.item() < min(0.7, losses[0])
    if STEPS >= 100000:  # chaotic in its details: the book's loss is 0.24 then
        assert 0.1 < losses[-1] < 0.45


def test_the_model_of_section_4(chapter: Chapter) -> None:
    model = chapter.namespace["model"]
    xs, ys = chapter.namespace["xs"], chapter.namespace["ys"]
    assert {name: p.shape for name, p in model.parameters().items()} == {"A": (2, 8), "B": (8, 8), "C": (8, 1)}
    assert (xs.shape, ys.shape) == ((400, 2), (400, 1))
    accuracy = ((model(xs).numpy() > 0.5) == (ys.numpy() > 0.5)).mean()
    assert accuracy > 0.6
    for parameter in model.parameters().values():
        assert parameter.is_leaf
        assert np.abs(parameter.backwards_grad).max() > 0


@pytest.mark.parametrize("number", CELLS)
def test_warnings(chapter: Chapter, number: str) -> None:
    """Cells that plot warn that points leave the graph, and of nothing else; the other cells are silent.

    `[x[0] for x in xs]` makes Tensors with a history, which Matplotlib turns into arrays.
    """
    expected = {ag.GraphLeavingWarning} if number in PLOTS else set()
    warned = chapter.shown[number].warned
    assert {w.category for w in warned} == expected, [str(w.message) for w in warned]
    assert all("x.numpy()" in str(w.message) for w in warned)


@pytest.mark.parametrize("number", PLOTS)
def test_pictures(chapter: Chapter, number: str) -> None:
    import matplotlib.image

    (picture,) = chapter.shown[number].pictures
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape == (800, 800, 4)
    assert len(np.unique(pixels[..., 0].round(2))) > 30  # shades of red: not an empty page


def test_the_boundary_is_another_one_after_training(chapter: Chapter) -> None:
    before, after = (chapter.shown[number].pictures[0].read_bytes() for number in ("13.4-6", "13.4-10"))
    assert before != after


def test_section_5_scalars_and_tensors_agree(chapter: Chapter) -> None:
    """The two networks of the comparison, from the same weights: the same loss, the same gradients."""
    names = chapter.namespace
    scalar_net, tensor_net = names["ScalarNetwork"](), names["TensorNetwork"]()
    width = names["n_hidden_neurons"]
    weights = {name: p.value for name, p in scalar_net.parameters().items()}
    assert len(weights) == 3 * width
    tensor_net.load_parameters(
        {
            "A": [[weights[f"a{i}{j}"] for j in range(width)] for i in range(2)],
            "B": [[weights[f"b{i}"]] for i in range(width)],
        }
    )
    scalar_loss = names["bce_scalar"]([scalar_net(x) for x in names["xs_scalar"]], names["ys_scalar"])
    tensor_loss = names["bce_tensor"](tensor_net(names["xs_tensor"]), names["ys_tensor"])
    assert scalar_loss.value == pytest.approx(tensor_loss.item(), rel=1e-12)
    scalar_loss.backward()
    tensor_loss.backward()
    expected = [[scalar_net.A[i][j].backwards_grad for j in range(width)] for i in range(2)]
    np.testing.assert_allclose(tensor_net.A.backwards_grad, expected, rtol=1e-9)
    np.testing.assert_allclose(tensor_net.B.backwards_grad[:, 0], [b.backwards_grad for b in scalar_net.B], rtol=1e-9)


def test_section_5_steps_learn(chapter: Chapter) -> None:
    """The cells ran one step of each; more of them make the loss smaller."""
    names = chapter.namespace

    def tensor_loss() -> float:
        return float(names["bce_tensor"](names["tensor_net"](names["xs_tensor"]), names["ys_tensor"]))

    losses = [tensor_loss()]
    for _ in range(3):
        names["tensor_network_step"]()
        losses.append(tensor_loss())
    assert all(after < before for before, after in pairwise(losses))
    before = {name: p.value for name, p in names["scalar_net"].parameters().items()}
    names["scalar_network_step"]()
    assert all(p.value != before[name] for name, p in names["scalar_net"].parameters().items())
