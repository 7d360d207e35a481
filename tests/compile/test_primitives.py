"""Every function of the rule book's table, compiled: its value and its gradients are those that it has eagerly.

What can't be recorded is listed here, row by row, so that the share that runs eagerly is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agrad as ag
from agrad import Tensor
from agrad.backend import find_device
from tests.test_rules import CASES, Case

UNSHAPED = "the shape of the result depends on data"
FOREIGN = "that was not made by agrad's functions"
VALUE = "Python asks for the value of a tensor"

EAGER = {
    **{f"unique_{name}: {i}": UNSHAPED for name in ("all", "counts", "inverse", "values") for i in range(6)},
    # As many elements as values say.
    **{f"arange: {i}": VALUE for i in range(4)},
    # A mask that NumPy makes in every call.
    **{f"x[mask]: {i}": FOREIGN for i in (0, 1)},
    **{f"x[i] = v: {i}": FOREIGN for i in (22, 23, 24)},
    **{f"where: {i}": FOREIGN for i in (0, 1, 6, 7, 8)},
    "index_add: 3": FOREIGN,
}
"""The rows that run eagerly on some device, and why."""

SETTLING = ("gammainc", "gammaincc", "betainc", "stdtr", "fdtr", "fdtrc")
"""The special functions whose plain code adds until nothing changes. Where the library has them, they are one call."""


def compiled_twice(row: Case, device: str) -> Any:
    """The compiled pullback of the row's function, compared with the eager one at three places."""

    def value_and_gradients(*arguments: Tensor) -> Any:
        y, pullback = ag.vjp(row.function, *arguments[:-1])
        return y, pullback(arguments[-1])

    compiled = ag.compile(value_and_gradients)
    like = row.function(*[Tensor(x, device=device) for x in row.arguments])
    cotangent = np.random.default_rng(3).normal(size=like.shape)
    seed = Tensor(cotangent, device=device, dtype=like.dtype, requires_grad=False)
    for factor in (1.0, 1.001, 1.002):
        xs = [Tensor(x * factor, device=device, requires_grad=False) for x in row.arguments]
        ours, theirs = compiled(*xs, seed), value_and_gradients(*xs, seed)
        for one, other in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
            assert one.shape == other.shape
            assert one.dtype == other.dtype
            assert not one.requires_grad
            scale = np.max(np.abs(other.numpy()), initial=1e-30)
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0, atol=1e-10 * scale)
    return compiled


@pytest.mark.parametrize(("row", "name"), [pytest.param(p.values[0], str(p.id), id=p.id) for p in CASES])
def test_a_function_and_its_gradients(device: str, row: Case, name: str) -> None:
    for kind, reason in row.unsupported.items():
        if device.startswith(kind):
            pytest.skip(reason)
    report = compiled_twice(row, device).report()
    why = EAGER.get(name.rpartition(": ")[0])
    if why is None and name.removeprefix("special.").partition(":")[0] in SETTLING:
        settles = find_device(device).backend.special("gammainc") is None
        assert report.captured is not settles, str(report)
    elif why is None:
        assert report.captured, str(report)
    elif not report.captured:
        assert why in str(report)


def test_the_share_that_runs_eagerly() -> None:
    names = {str(p.id).rpartition(": ")[0] for p in CASES}
    assert names >= set(EAGER)
    assert len(EAGER) / len(CASES) < 0.026
