"""The default device, memory and waiting, on devices that every machine has."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, Tensor
from agrad.backend import find_device
from agrad.datasets import spiral
from tests.conftest import STRICT

# The default device --------------------------------------------------------------------------------------------------


def test_what_is_made_goes_to_the_default_device(device):
    name = find_device(device).name
    with ag.device(device):
        made = [
            *(Tensor([1.0, 2.0]), Tensor(3.0), Tensor.ones(2), Tensor.zeros(2), Tensor.from_random(2)),
            *(ag.asarray([1, 2]), ag.zeros(2), ag.ones(2), ag.empty(2), ag.full(2, 1.0), ag.eye(2), ag.arange(3)),
            *(ag.linspace(0, 1, 3), ag.fft.fftfreq(4), ag.fft.rfftfreq(4), ag.exp(1.0), Tensor.ones_like([1.0])),
            *(ag.where(Tensor(True), 1.0, 2.0), ag.random.uniform((2,)), ag.random.normal((2,))),
            *(ag.random.integers(0, 3, (2,)), ag.random.permutation(3), *spiral(2)),
        ]
        assert ag.__array_namespace_info__().default_device() == name
    assert {x.device for x in made} == {name}
    assert ag.ones(2).device == Tensor([1.0]).device == "cpu"


def test_arrays_tensors_and_what_is_told_stay_where_they_are():
    pytest.importorskip("array_api_strict")
    x = Tensor([1.0, 2.0])
    with ag.device(STRICT):
        assert Tensor(np.ones(2)).device == ag.asarray(np.ones(2)).device == Tensor(x).device == "cpu"
        assert (x * 2.0).device == ag.zeros_like(x).device == ag.ones(2, device="cpu").device == "cpu"
        with pytest.raises(DeviceError, match=f"add: one operand is on device 'cpu', another on '{STRICT}'"):
            x + ag.ones(2)


def test_default_devices_nest_and_are_restored():
    pytest.importorskip("array_api_strict")
    other = "array_api_strict:device2"

    @ag.device(other)
    def made():
        return ag.ones(1).device

    with pytest.raises(KeyError), ag.device(STRICT):
        assert made() == other
        with ag.device("cpu"):
            assert ag.ones(1).device == "cpu"
            with ag.no_grad():
                assert ag.ones(1).device == "cpu"
        with ag.no_grad(), ag.device(other):
            assert not (Tensor([1.0]) * 2.0).requires_grad
            assert ag.ones(1).device == other
        assert ag.ones(1).device == STRICT
        raise KeyError
    assert ag.ones(1).device == "cpu"


def test_threads_and_tasks_have_default_devices_of_their_own():
    pytest.importorskip("array_api_strict")
    found = []

    async def task(name):
        with ag.device(name):
            await asyncio.sleep(0)
            return ag.ones(1).device

    async def both():
        return await asyncio.gather(task(STRICT), task("array_api_strict:device2"))

    with ag.device(STRICT):
        thread = threading.Thread(target=lambda: found.append(ag.ones(1).device))
        thread.start()
        thread.join()
    assert found == ["cpu"]
    assert asyncio.run(both()) == [STRICT, "array_api_strict:device2"]


def test_foreign_code_creates_where_its_arrays_are():
    """The namespace of a tensor is that of its device, also where another one is the default."""
    pytest.importorskip("array_api_strict")
    x, y = Tensor([1.0]), Tensor([1.0], device=STRICT)
    with ag.device(STRICT):
        assert x.__array_namespace__().ones(1).device == "cpu"
        assert x.__array_namespace__() is x.__array_namespace__() is find_device("cpu").functions
        assert y.__array_namespace__().ones(1).device == STRICT
    assert x.__array_namespace__() is ag


def test_a_default_device_that_there_is_not():
    with pytest.raises(DeviceError, match="there is no device 'gpu'"), ag.device("gpu"):
        pass
    assert ag.ones(1).device == "cpu"


def test_compiled_functions_tell_default_devices_apart():
    pytest.importorskip("array_api_strict")
    f = ag.compile(lambda: ag.ones(2) * 2.0)
    for _ in range(2):
        assert f().device == "cpu"
        with ag.device(STRICT):
            assert f().device == STRICT
    assert "is compiled" in str(f.report())


# Waiting and memory --------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_wait_for_on_the_host():
    assert ag.synchronize("cpu") is None
    assert ag.synchronize() is None


def test_what_agrad_cannot_wait_for_says_so():
    pytest.importorskip("array_api_strict")
    with pytest.raises(DeviceError, match=f"synchronize: agrad can't wait for device '{STRICT}': use its library's"):
        ag.synchronize(STRICT)


@pytest.mark.parametrize("name", ["cpu", STRICT])
def test_memory_that_nobody_counts(name):
    if name == STRICT:
        pytest.importorskip("array_api_strict")
    calls = {
        "info": lambda: ag.memory.info(name),
        "set_limit": lambda: ag.memory.set_limit(1 << 20, name),
        "release": lambda: ag.memory.release(name),
    }
    for function, call in calls.items():
        with pytest.raises(
            DeviceError, match=f"memory.{function}: nobody counts the memory of device '{name}'; device"
        ):
            call()


class Counted:
    """What a device with counted memory is asked, for the tests of the arguments."""

    kind = "counted"

    def memory(self, device):
        return ag.memory.Memory(used=1536, held=3 << 20, limit=5 << 30, free=1000, total=8 << 30)

    def limit_memory(self, device, limit):
        self.limit = limit


@pytest.fixture
def counted(monkeypatch):
    backend = Counted()
    where = type("Where", (), {"backend": backend, "name": "counted:0", "__str__": lambda self: self.name})()
    monkeypatch.setattr(ag.memory, "find_device", lambda name: where)
    return where


def test_a_limit_is_a_positive_number_or_none(counted):
    ag.memory.set_limit(np.int64(10), "counted:0")
    assert counted.backend.limit == 10 and type(counted.backend.limit) is int
    ag.memory.set_limit(None, "counted:0")
    assert counted.backend.limit is None
    for wrong in (0, -1):
        with pytest.raises(
            ValueError, match=f"memory.set_limit: a limit is a positive number of bytes or None, not {wrong}"
        ):
            ag.memory.set_limit(wrong, "counted:0")
    with pytest.raises(TypeError):
        ag.memory.set_limit(1.5, "counted:0")


def test_the_error_says_what_is_used_and_allowed(counted):
    from agrad._errors import diagnose

    error = diagnose("exp", counted, (np.ones((2, 3)),), MemoryError("no 48 bytes."))
    assert str(error) == (
        "exp((2, 3) float64) on device 'counted:0' ran out of memory: no 48 bytes. Arrays use 1.5 KiB, their pool "
        "holds 3 MiB, and may hold 5 GiB; 1000 bytes of the device's 8 GiB are free. Let go of tensors and graphs that "
        "are not needed any more (del, agrad.no_grad()), take smaller batches or float32, or compute again instead of "
        "keeping (agrad.checkpoint); or raise the limit (agrad.memory.set_limit)."
    )


def test_the_host_runs_out_of_memory_in_the_same_words():
    x = Tensor.ones(1)
    ways = {
        "ones": lambda: ag.ones((1 << 40, 1 << 10)),
        "multiply": lambda: ag.broadcast_to(x, (1 << 40, 1 << 10)) * 2.0,
        "Tensor.ones": lambda: Tensor.ones(1 << 40, 1 << 10),
        "asarray": lambda: Tensor(np.broadcast_to(1.0, (1 << 40, 1 << 10))),
    }
    for way in ways.values():
        with pytest.raises(ag.OutOfMemoryError, match=r"on device 'cpu' ran out of memory: .*\. Let go of") as error:
            way()
        assert isinstance(error.value, MemoryError)


def test_a_backward_pass_out_of_memory_changes_nothing():
    x = Tensor.ones(1)
    (x * 3.0).sum().backward()
    y = ag.broadcast_to(x, (1 << 40, 1 << 10))[0, 0] * 2.0
    with pytest.raises(ag.OutOfMemoryError, match="backward"):
        y.backward()
    np.testing.assert_array_equal(x.grad, [3.0])


def test_a_backend_says_what_it_has_not():
    backend = find_device("cpu").backend
    with pytest.raises(NotImplementedError, match="the memory of device kind 'cpu' has no limit"):
        backend.limit_memory(find_device("cpu"), 1)
    with pytest.raises(NotImplementedError, match="device kind 'cpu' keeps no memory"):
        backend.release_memory(find_device("cpu"))
