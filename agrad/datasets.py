"""Data to learn from. Drawn on the host, so that every device gets the same numbers, and given as constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._modes import default_device
from ._tensor import Tensor, wrap
from .backend import find_device

__all__ = ["spiral"]


def spiral(
    n_points: int = 200,
    noise: float = 2.0,
    twist: float = 380,
    *,
    seed: int = 0,
    device: str | None = None,
    dtype: Any = None,
) -> tuple[Tensor, Tensor]:
    """Two classes of points, each along one arm of a double spiral.

    A point of an arm is at the angle r and the distance r from the centre, where r² is uniform: the points are about
    equally dense all along the arm. Then each coordinate is moved by up to `noise`, in the positive direction.

    Args:
        n_points: how many points each arm has.
        noise: how far points are scattered.
        twist: the angle in degrees through which each arm winds.
        seed: of numpy.random.default_rng; the same seed gives the same points on every device.
        device: where the tensors are made; default: the default device.
        dtype: of both tensors; default: the device's default floating-point dtype.

    Returns:
        The points, of shape (2 * n_points, 2), and their classes 0.0 and 1.0, of shape (2 * n_points, 1): tensors
        that require no gradient. The points of class 0 come first.

    >>> xs, ys = spiral(n_points=2)
    >>> xs
    Tensor([[-2.82240166, -2.79868681],
            [ 3.32071212,  0.79674752],
            [ 4.11762026,  5.51247727],
            [-1.82866373,  2.89890848]])
    >>> ys.T
    Tensor([[0., 0., 1., 1.]])
    """
    rng = np.random.default_rng(seed)
    r = np.sqrt(rng.random(n_points)) * twist * 2 * np.pi / 360
    arms = []
    for side in (-1, 1):
        across = side * np.cos(r) * r + rng.random(n_points) * noise
        along = -side * np.sin(r) * r + rng.random(n_points) * noise
        arms.append(np.column_stack((across, along)))
    points = np.vstack(arms)
    classes = np.repeat([0.0, 1.0], n_points)[:, np.newaxis]
    return _constant(points, device, dtype), _constant(classes, device, dtype)


def _constant(data: Any, device: str | None, dtype: Any) -> Tensor:
    """Host data as a constant; it gets its dtype on the way, because not every device has the host's."""
    where = default_device() if device is None else find_device(device)
    return wrap(where.asarray(data, where.default_float() if dtype is None else dtype), where)
