"""The chapter's pictures: points in the plane by their class, and what a model makes of the plane around them.

Host code: values are brought from any device. Matplotlib is imported when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import ShapeError
from ._modes import no_grad
from ._tensor import Tensor
from .backend import dtype_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_boundary", "scatter"]


def scatter(xs: Any, ys: Any, ax: Axes | None = None) -> Axes:
    """Draw points in the plane, coloured by their class.

    Args:
        xs: the points, of shape (n, 2): a Tensor on any device, or an array.
        ys: their classes, n numbers from 0 to 1.
        ax: where to draw; default: a new figure.

    Returns:
        The axes that were drawn on. Raises ShapeError where the shapes are others, ModuleNotFoundError where
        Matplotlib is not installed.

    >>> from agrad.datasets import spiral
    >>> ax = scatter(*spiral(n_points=50))
    >>> ax.collections[0].get_offsets().shape
    (100, 2)
    """
    points, ys = _host(xs), _host(ys)
    classes = ys.reshape(-1)
    if points.ndim != 2 or points.shape[1] != 2 or len(classes) != len(points):
        raise ShapeError(f"scatter: points of shape (n, 2) and n classes are drawn, not {points.shape} and {ys.shape}")
    with _axes(ax) as ax:
        ax.scatter(
            points[:, 0],
            points[:, 1],
            c=classes,
            cmap="Spectral",
            vmin=0,
            vmax=1,
            s=32,
            edgecolors="white",
            linewidths=0.7,
            zorder=10,
        )
    return ax


def decision_boundary(
    model: Callable[[Tensor], Tensor],
    xs: Any,
    ys: Any,
    *,
    res: int = 100,
    xrange: tuple[float, float] = (-10, 10),
    yrange: tuple[float, float] = (-10, 10),
    ax: Axes | None = None,
) -> Axes:
    """Draw what a model says at every point of a part of the plane, the line where it is undecided, and the data.

    The model is called once, under `no_grad`, with all res * res points of a grid, on the device and in the dtype of
    its parameters (of `xs`, where it has none).

    Args:
        model: gives for points of shape (n, 2) a tensor of n numbers from 0 to 1: a `Model`, or any such function.
        xs: the points of the data, of shape (n, 2).
        ys: their classes, n numbers from 0 to 1.
        res: how many points the grid has along each axis.
        xrange: where the grid begins and ends horizontally.
        yrange: where it does so vertically.
        ax: where to draw; default: a new figure.

    Returns:
        The axes that were drawn on. Raises ShapeError where the model gives something else than a number for each
        point, ModuleNotFoundError where Matplotlib is not installed.

    >>> from agrad.datasets import spiral
    >>> from agrad.functional import sigmoid
    >>> def right_half(points):
    ...     return sigmoid(points[:, 0])
    >>> ax = decision_boundary(right_half, *spiral(n_points=50), res=20)
    >>> ax.get_title()
    'the decision boundary of our model'
    """
    grid = np.meshgrid(np.linspace(*xrange, res), np.linspace(*yrange, res))
    points = np.stack(grid, axis=-1).reshape(-1, 2)
    device, dtype = _home(model, xs)
    with no_grad():
        answers = model(Tensor(points.astype(dtype), device=device, requires_grad=False))
    if answers.size != res * res:
        raise ShapeError(
            f"decision_boundary: one number for each point is drawn; for points of shape {points.shape} the model gave "
            f"a tensor of shape {answers.shape}"
        )
    heights = _host(answers).reshape(res, res)
    with _axes(ax) as ax:
        window = (*xrange, *yrange)
        # One image: the seams between the areas of contourf show through where they are transparent.
        ax.imshow(
            heights,
            extent=window,
            origin="lower",
            aspect="auto",
            interpolation="bilinear",
            cmap="coolwarm_r",
            vmin=0,
            vmax=1,
            alpha=0.4,
        )
        if heights.min() < 0.5 < heights.max():
            ax.contour(*grid, heights, levels=[0.5], colors="0.25", linewidths=1.2)
        scatter(xs, ys, ax)
        ax.set(xlim=xrange, ylim=yrange, xlabel="x", ylabel="y", title="the decision boundary of our model")
    return ax


def _host(data: Any) -> Any:
    """The data as a NumPy array."""
    return data.numpy() if isinstance(data, Tensor) else np.asarray(data)


def _home(model: Any, xs: Any) -> tuple[str, str]:
    """Where a model computes and in what dtype: those of its first Tensor, else of the data."""
    parameters: Iterable[Any] = model.parameters().values() if hasattr(model, "parameters") else []
    like = next((x for x in [*parameters, xs] if isinstance(x, Tensor)), None)
    return ("cpu", "float64") if like is None else (like.device, dtype_name(like.dtype))


@contextmanager
def _axes(ax: Axes | None) -> Iterator[Axes]:
    """The axes to draw on: those given, or new ones in the chapter's style."""
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":  # something that Matplotlib needs
            raise
        raise ModuleNotFoundError(
            "agrad.plot draws with Matplotlib, which is not installed: pip install 'agrad[demo]'", name=error.name
        ) from None
    with plt.style.context("seaborn-v0_8-white"):
        yield plt.figure(figsize=(8, 8)).gca() if ax is None else ax
