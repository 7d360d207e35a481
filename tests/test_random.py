"""Random numbers: reproducible per device, within their ranges, roughly of their distributions."""

from __future__ import annotations

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, ShapeError, Tensor
from agrad.backend import find_device

DRAWS = {
    "uniform": lambda device: ag.random.uniform((3, 4), device=device),
    "normal": lambda device: ag.random.normal((3, 4), device=device),
    "integers": lambda device: ag.random.integers(0, 1000, (3, 4), device=device),
    "permutation": lambda device: ag.random.permutation(50, device=device),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_seed_repeats_the_numbers(device, name):
    ag.random.seed(5)
    first, second = DRAWS[name](device).numpy(), DRAWS[name](device).numpy()
    assert (first != second).any()
    ag.random.seed(5)
    np.testing.assert_array_equal(DRAWS[name](device).numpy(), first)
    ag.random.seed(6)
    assert (DRAWS[name](device).numpy() != first).any()


def test_no_seed_is_a_fresh_one(device):
    ag.random.seed()
    first = ag.random.uniform((8,), device=device).numpy()
    ag.random.seed(None)
    assert (ag.random.uniform((8,), device=device).numpy() != first).any()


def test_the_seed_is_an_integer():
    ag.random.seed(np.int64(3))
    with pytest.raises(TypeError):
        ag.random.seed(1.5)


@pytest.mark.parametrize("name", DRAWS)
def test_what_is_drawn_is_a_constant_on_its_device(device, name):
    x = DRAWS[name](device)
    assert isinstance(x, Tensor)
    assert x.device == find_device(device).name
    assert not x.requires_grad


def test_shapes(device):
    assert ag.random.uniform(device=device).shape == ()
    assert ag.random.normal(3, device=device).shape == (3,)
    assert ag.random.integers(0, 2, (0, 2), device=device).shape == (0, 2)
    assert ag.random.permutation(0, device=device).shape == (0,)


def test_dtypes(device):
    default = find_device(device).default_float()
    for draw in (ag.random.uniform, ag.random.normal):
        assert draw((2,), device=device).dtype == default
        x = draw((2,), device=device, dtype="float32")
        assert str(x.dtype).endswith("float32")
    assert str(ag.random.integers(0, 5, (2,), device=device).dtype).endswith("int64")
    assert str(ag.random.integers(0, 5, (2,), device=device, dtype="int8").dtype).endswith("int8")


def test_uniform(device):
    x = ag.random.uniform((20_000,), -3.0, 1.0, device=device).numpy()
    assert -3.0 <= x.min() < -2.99
    assert 0.99 < x.max() < 1.0
    assert x.mean() == pytest.approx(-1.0, abs=0.05)
    assert x.std() == pytest.approx(4 / 12**0.5, rel=0.02)


def test_normal(device):
    x = ag.random.normal((20_000,), 5.0, 0.5, device=device).numpy()
    assert x.mean() == pytest.approx(5.0, abs=0.02)
    assert x.std() == pytest.approx(0.5, rel=0.03)
    assert ((x - 5.0) ** 3).mean() == pytest.approx(0.0, abs=0.02)
    assert (np.abs(x - 5.0) < 0.5).mean() == pytest.approx(0.683, abs=0.02)


def test_integers(device):
    x = ag.random.integers(-2, 3, (5_000,), device=device).numpy()
    values, counts = np.unique(x, return_counts=True)
    np.testing.assert_array_equal(values, [-2, -1, 0, 1, 2])
    assert counts.min() > 800


def test_permutation(device):
    x = ag.random.permutation(100, device=device).numpy()
    np.testing.assert_array_equal(np.sort(x), np.arange(100))
    assert (x != np.arange(100)).any()


def test_arguments_that_cannot_be():
    with pytest.raises(ValueError, match=r"random\.uniform: lower=2\.0 is above upper=1\.0"):
        ag.random.uniform((2,), 2.0, 1.0)
    with pytest.raises(ValueError, match=r"random\.normal: a standard deviation is not negative, as -1\.0 is"):
        ag.random.normal((2,), std=-1.0)
    with pytest.raises(ValueError, match=r"random\.normal: a standard deviation is not negative, as nan is"):
        ag.random.normal((2,), std=float("nan"))
    with pytest.raises(ValueError, match=r"random\.integers: there is no integer from 3 up to, and without, 3"):
        ag.random.integers(3, 3)
    with pytest.raises(ShapeError, match=r"random\.uniform: a shape is an integer or a tuple of integers, not 2\.5"):
        ag.random.uniform(2.5)
    with pytest.raises(DeviceError, match="there is no device 'cqu'"):
        ag.random.normal(2, device="cqu")
    with pytest.raises(TypeError):
        ag.random.permutation(2.5)
