from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import agrad as ag
from agrad import Tensor, plot
from agrad.backend import find_device
from agrad.datasets import spiral
from agrad.functional import sigmoid
from agrad.nn import Model


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


class Plane(Model):
    """sigmoid(x · w), which counts its calls."""

    def __init__(self, device: str, dtype: str = "float64") -> None:
        self.w = Tensor([[2.0], [-1.0]], device=device, dtype=dtype)
        self.calls: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        result = sigmoid(x @ self.w)
        self.calls.append(x)
        self.result = result
        return result


def test_scatter_draws_the_points_in_their_colours(device: str) -> None:
    xs, ys = spiral(20, device=device)
    ax = plot.scatter(xs, ys)
    (drawn,) = ax.collections
    np.testing.assert_array_equal(drawn.get_offsets(), xs.numpy())
    np.testing.assert_array_equal(drawn.get_array(), ys.numpy()[:, 0])
    first, last = drawn.to_rgba(drawn.get_array())[[0, -1]]
    np.testing.assert_allclose(first, plt.cm.Spectral(0.0))
    np.testing.assert_allclose(last, plt.cm.Spectral(1.0))
    assert tuple(ax.figure.get_size_inches()) == (8, 8)


def test_scatter_takes_arrays_and_tensors_with_history() -> None:
    xs, ys = spiral(5)
    moved = Tensor(xs.numpy()) * 2
    ax = plot.scatter(moved, ys.numpy()[:, 0])
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), 2 * xs.numpy())


def test_drawing_on_axes_that_are_there() -> None:
    figure, axes = plt.subplots(1, 2)
    xs, ys = spiral(5)
    assert plot.scatter(xs, ys, axes[0]) is axes[0]
    assert plot.decision_boundary(Plane("cpu"), xs, ys, res=5, ax=axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]


def test_scatter_says_what_it_draws() -> None:
    with pytest.raises(
        ag.ShapeError, match=r"points of shape \(n, 2\) and n classes are drawn, not \(4, 3\) and \(4,\)"
    ):
        plot.scatter(np.ones((4, 3)), np.ones(4))
    with pytest.raises(ag.ShapeError, match=r"not \(4, 2\) and \(3, 1\)"):
        plot.scatter(np.ones((4, 2)), np.ones((3, 1)))
    assert plt.get_fignums() == []


def test_decision_boundary_shows_what_the_model_says(device: str) -> None:
    xs, ys = spiral(10, device=device)
    model = Plane(device)
    ax = plot.decision_boundary(model, xs, ys, res=7, xrange=(-3, 3), yrange=(-1, 2))

    (points,) = model.calls  # one forward pass
    assert points.shape == (49, 2)
    assert points.device == find_device(device).name
    assert not model.result.requires_grad

    (image,) = ax.images
    columns, rows = np.meshgrid(np.linspace(-3, 3, 7), np.linspace(-1, 2, 7))
    np.testing.assert_allclose(image.get_array(), 1 / (1 + np.exp(rows - 2 * columns)), rtol=1e-12)
    assert image.get_extent() == [-3, 3, -1, 2]
    assert image.origin == "lower"
    assert ax.get_xlim() == (-3, 3)
    assert ax.get_ylim() == (-1, 2)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert ax.get_title() == "the decision boundary of our model"

    line, data = ax.collections  # where the model is undecided: y = 2x
    (path,) = line.get_paths()
    np.testing.assert_allclose(path.vertices[:, 1], 2 * path.vertices[:, 0], atol=0.1)  # of a coarse grid
    np.testing.assert_array_equal(data.get_offsets(), xs.numpy())


def test_decision_boundary_is_drawn_in_the_models_dtype(device: str) -> None:
    model = Plane(device, "float32")
    plot.decision_boundary(model, *spiral(5, device=device), res=4)
    assert model.calls[0].dtype == model.w.dtype


def test_decision_boundary_leaves_gradients_alone(device: str) -> None:
    model = Plane(device)
    xs, ys = spiral(5, device=device, dtype="float64")
    loss = model(xs).sum()
    loss.backward()
    before = Tensor(model.w.grad).numpy()
    plot.decision_boundary(model, xs, ys, res=4)
    np.testing.assert_array_equal(Tensor(model.w.grad).numpy(), before)
    loss.backward()  # the graph of before is still there


def test_decision_boundary_of_a_function(device: str) -> None:
    """Without parameters it is where the data is; and where nothing is undecided, no line is drawn."""
    seen = []

    def half(points: Tensor) -> Tensor:
        seen.append(points)
        return points[:, 0] * 0 + 0.25

    ax = plot.decision_boundary(half, *spiral(5, device=device), res=3)
    assert seen[0].device == find_device(device).name
    assert len(ax.collections) == 1
    np.testing.assert_array_equal(ax.images[0].get_array(), np.full((3, 3), 0.25))


def test_decision_boundary_of_raw_data() -> None:
    xs, ys = (data.numpy() for data in spiral(5))
    ax = plot.decision_boundary(lambda points: sigmoid(points).mean(axis=1), xs, ys, res=3)
    np.testing.assert_array_equal(ax.collections[-1].get_offsets(), xs)


def test_decision_boundary_wants_a_number_for_each_point() -> None:
    with pytest.raises(ag.ShapeError, match=r"for points of shape \(9, 2\) the model gave a tensor of shape \(9, 2\)"):
        plot.decision_boundary(sigmoid, *spiral(5), res=3)


@pytest.mark.parametrize(
    ("missing", "message"), [("matplotlib", r"pip install 'agrad\[demo\]'"), ("cycler", "^cycler$")]
)
def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, missing: str, message: str) -> None:
    """The error names the extra; but a Matplotlib that is there and broken says so itself."""
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(missing, name=missing)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=message) as raised:
        plot.scatter(*spiral(5))
    assert raised.value.name == missing
