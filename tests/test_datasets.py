from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad.backend import find_device
from agrad.datasets import spiral
from benchmarks.reference import spiral_numpy


@pytest.mark.parametrize(
    "arguments",
    [{}, {"seed": 7}, {"n_points": 3, "noise": 0.25, "twist": 100, "seed": 11}, {"n_points": 0}],
    ids=str,
)
def test_spiral_has_the_numbers_of_the_reference(device: str, arguments: dict[str, Any]) -> None:
    xs, ys = spiral(**arguments, device=device, dtype="float64")
    right_xs, right_ys = spiral_numpy.spiral(**arguments)
    np.testing.assert_array_equal(xs.numpy(), right_xs)
    np.testing.assert_array_equal(ys.numpy(), right_ys)
    assert xs.numpy().dtype == ys.numpy().dtype == np.float64


def test_spiral_gives_constants_on_the_device(device: str) -> None:
    for data, shape in zip(spiral(30, device=device), [(60, 2), (60, 1)], strict=True):
        assert isinstance(data, ag.Tensor)
        assert data.shape == shape
        assert data.device == find_device(device).name
        assert data.dtype == find_device(device).default_float()
        assert not data.requires_grad


def test_spiral_takes_the_dtype_of_any_backend(device: str) -> None:
    xs, ys = spiral(4, device=device, dtype=np.float32)
    assert xs.dtype == ys.dtype == find_device(device).dtype("float32")
    np.testing.assert_array_equal(xs.numpy(), spiral_numpy.spiral(4)[0].astype(np.float32))


def test_spiral_leaves_other_random_numbers_alone() -> None:
    ag.random.seed(1)
    expected = ag.Tensor.from_random(3).numpy()
    before = np.random.get_state()[1].copy()
    ag.random.seed(1)
    spiral(10)
    np.testing.assert_array_equal(ag.Tensor.from_random(3).numpy(), expected)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_spiral_without_noise_lies_on_the_arms() -> None:
    xs, ys = (data.numpy() for data in spiral(50, noise=0.0, twist=90))
    radius = np.hypot(*xs.T)
    angle = np.arctan2(xs[:, 1], -xs[:, 0])
    angle[50:] = np.arctan2(-xs[50:, 1], xs[50:, 0])
    np.testing.assert_allclose(angle, radius, rtol=1e-12)
    assert radius.max() <= np.pi / 2
    np.testing.assert_array_equal(ys[:, 0], [0] * 50 + [1] * 50)


def test_unknown_device() -> None:
    with pytest.raises(ag.DeviceError, match="there is no device 'nowhere'"):
        spiral(2, device="nowhere")
