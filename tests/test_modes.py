"""The context state: recording, keeping, transforming; always restored, never shared between threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

import agrad as ag
from agrad import ConversionError, Tensor
from agrad._modes import is_keeping, is_recording, is_transforming, transforming


def modes():
    return is_recording(), is_keeping(), is_transforming()


DEFAULT = (True, False, False)


def test_no_grad_records_nothing(device):
    x = Tensor([1.0, 2.0], device=device)
    with ag.no_grad():
        results = [x * 2.0, ag.exp(x), x @ x, ag.concat([x, x]), x[0], x.sum(), ag.where(x > 0, x, 1.0), Tensor(x), -x]
        assert Tensor([1.0], device=device).requires_grad  # a leaf is what the user makes
    assert not any(result.requires_grad for result in results)
    assert (x * 2.0).requires_grad


def test_enable_grad_records_within_no_grad():
    x = Tensor(2.0)
    with ag.no_grad():
        with ag.enable_grad():
            y = x * x
        assert not (x * x).requires_grad
    y.backward()
    assert x.grad == 4.0


def test_no_grad_nests():
    x = Tensor(1.0)
    with ag.no_grad():
        with ag.no_grad():
            pass
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_and_enable_grad_are_decorators():
    @ag.no_grad()
    def constant(x):
        """Says what it is."""
        return x * 2.0

    @ag.enable_grad()
    def tracked(x):
        return x * 2.0

    x = Tensor(1.0)
    for _ in range(2):
        assert not constant(x).requires_grad
        assert (x * 2.0).requires_grad
        with ag.no_grad():
            assert tracked(x).requires_grad
    assert constant.__doc__ == "Says what it is."


def test_backward_works_under_no_grad():
    x = Tensor(3.0)
    y = x * x
    with ag.no_grad():
        y.backward()
    assert x.grad == 6.0


@pytest.mark.parametrize("mode", [ag.no_grad, ag.enable_grad, ag.keep_graph, transforming])
def test_an_exception_leaves_no_mode_switched(mode):
    with pytest.raises(ZeroDivisionError), mode():
        assert modes() != DEFAULT or mode is ag.enable_grad
        raise ZeroDivisionError
    assert modes() == DEFAULT


def fails(*_):
    assert modes() != DEFAULT or not is_transforming()
    raise ZeroDivisionError


def rule_fails(x):
    return x * 1.0, fails


@pytest.mark.parametrize(
    "run",
    [
        lambda x: ag.grad(fails)(x),
        lambda x: ag.value_and_grad(fails)(x),
        lambda x: ag.vjp(fails, x),
        lambda x: ag.grad(lambda y: ag.grad(fails)(y))(x),
        lambda x: ag.custom_gradient(fails)(x),
        lambda x: ag.custom_gradient(rule_fails)(x).backward(),
        lambda x: ag.grad(ag.custom_gradient(rule_fails))(x),
        lambda x: ag.no_grad()(fails)(x),
        lambda x: Tensor(1.0, prevs=[ag.Edge(x, None, fails)]).backward(),
    ],
)
def test_a_function_that_raises_leaves_no_mode_switched(run):
    with pytest.raises(ZeroDivisionError):
        run(Tensor(2.0))
    assert modes() == DEFAULT


def test_a_refused_conversion_leaves_no_mode_switched():
    import numpy as np

    with pytest.raises(ConversionError):
        ag.grad(lambda x: np.asarray(x * 2.0))(1.0)
    assert modes() == DEFAULT


def test_modes_are_not_shared_between_threads():
    x, seen = Tensor(1.0), {}
    inside, done = threading.Event(), threading.Event()

    def without():
        with ag.no_grad():
            inside.set()
            done.wait(10)
            seen["without"] = (x * 2.0).requires_grad

    def ordinary():
        inside.wait(10)
        seen["ordinary"] = (x * 2.0).requires_grad
        done.set()

    threads = [threading.Thread(target=f) for f in (without, ordinary)]
    with ag.no_grad():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == {"without": False, "ordinary": True}


def test_modes_are_not_shared_between_tasks():
    x = Tensor(1.0)

    async def without(started):
        with ag.no_grad():
            started.set()
            await asyncio.sleep(0)
            return (x * 2.0).requires_grad

    async def ordinary(started):
        await started.wait()
        return (x * 2.0).requires_grad

    async def both():
        started = asyncio.Event()
        return await asyncio.gather(without(started), ordinary(started))

    assert asyncio.run(both()) == [False, True]


def test_a_transform_records_within_no_grad():
    with ag.no_grad():
        value, gradient = ag.value_and_grad(lambda x: x * x)(3.0)
    assert (value.item(), gradient.item()) == (9.0, 6.0)


def test_a_transform_within_no_grad_gives_constants():
    w = Tensor(2.0)
    with ag.no_grad():
        value, gradient = ag.value_and_grad(lambda x: x * w)(Tensor(3.0))
    assert not value.requires_grad
    assert not gradient.requires_grad
