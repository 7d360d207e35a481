"""Backends and devices: finding them, saying why one can't be used, never mixing them without a word."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import agrad as ag
from agrad import BackendUnavailableError, DeviceError, DTypeError, Tensor, backend, losses
from agrad.backend import Backend, dtype_name, find_device
from agrad.ops.searching import index_add
from tests.conftest import STRICT


@pytest.fixture
def fresh_registry(monkeypatch):
    """The registry as it is before any device was asked for, but for "cpu"."""
    cpu = find_device("cpu")
    monkeypatch.setattr(backend, "_backends", {"cpu": cpu.backend})
    monkeypatch.setattr(backend, "_devices", {"cpu": cpu})
    monkeypatch.setattr(backend, "_by_type", {})


# The registry --------------------------------------------------------------------------------------------------------


def test_a_device_is_one_object_per_name(device):
    found = find_device(device)
    assert find_device(device) is found is find_device(found) is find_device(found.name)
    assert str(found) == found.name
    assert repr(found) == f"Device('{found.name}')"


def test_a_kind_alone_means_its_first_device(device):
    kind = device.partition(":")[0]
    first = next(iter(find_device(device).backend.devices()))
    assert find_device(kind).name == first
    assert Tensor([1.0], device=kind).device == first


@pytest.mark.parametrize("name", ["tpu", "tpu:0", "", ":0", ".json:0", "a b:c", "cpu:1", "no_such_library:cpu"])
def test_unknown_devices(name):
    with pytest.raises(DeviceError, match=f"there is no device '{name}'"):
        Tensor([1.0], device=name)


def test_unknown_devices_say_which_there_are():
    with pytest.raises(
        DeviceError, match=r'known kinds are cpu, cuda.*"<library>:<device>", e.g. "torch:cpu", and must'
    ):
        find_device("tpu")
    with pytest.raises(DeviceError, match="there is no device 'cpu:1'; of this kind there are: cpu"):
        find_device("cpu:1")
    pytest.importorskip("array_api_strict")
    with pytest.raises(DeviceError, match=r"of this kind there are: .*array_api_strict:device1"):
        find_device("array_api_strict:device7")


def test_a_device_is_named_by_text():
    with pytest.raises(DeviceError, match=r'a device is given by its name, e.g. "cpu" or "cuda:1", not by 3'):
        Tensor([1.0], device=3)


def test_errors_of_devices_are_value_errors():
    assert issubclass(DeviceError, ValueError)
    assert issubclass(BackendUnavailableError, DeviceError)


def test_importing_agrad_imports_numpy_alone():
    code = """
import sys, agrad
x = agrad.Tensor([1.0])
(x * x).sum().backward()
agrad.random.normal(3)
heavy = {"cupy", "agrad_cupy", "torch", "jax", "array_api_strict", "array_api_compat", "importlib.metadata"}
print(sorted(heavy & set(sys.modules)))
print(agrad.devices()["cpu"], "cupy" in sys.modules and sys.modules["cupy"] is not None)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = result.stdout.splitlines()
    assert first == "[]"
    assert second.startswith("available")


def test_a_device_can_be_pickled(device):
    import pickle

    assert pickle.loads(pickle.dumps(find_device(device))) is find_device(device)


# Backends of other packages ------------------------------------------------------------------------------------------


class PluginBackend(Backend):
    """A device kind "plugin" whose arrays are NumPy's, by what is abstract alone."""

    kind = "plugin"
    arrays_from = "plugin_arrays"
    reason = None

    def unavailable(self):
        return self.reason

    def library(self, native):
        import array_api_compat.numpy as xp

        return xp

    def devices(self):
        return {"plugin:0": "cpu", "plugin:1": "cpu"}

    def device_name(self, array):
        return "plugin:0"

    def to_numpy(self, array):
        return array

    def asarray(self, value, device, dtype, copy):
        return np.array(value.tolist() if isinstance(value, np.ndarray) else value, dtype=dtype, copy=True)


def offer(monkeypatch, **plugins):
    """Have other packages offer backends: functions by the name of the device kind."""

    def entry_points(*, group):
        assert group == "agrad.backends"
        return [SimpleNamespace(name=name, load=lambda load=load: load) for name, load in plugins.items()]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_a_package_can_bring_a_device_kind(monkeypatch, fresh_registry):
    offer(monkeypatch, plugin=PluginBackend)
    assert ag.devices()["plugin:0"] == ag.devices()["plugin:1"] == "available"
    x = Tensor([1.0, 2.0], device="plugin")
    assert x.device == "plugin:0"
    y = (ag.exp(x) * x).sum()
    y.backward()
    np.testing.assert_allclose(x.grad, np.exp([1.0, 2.0]) * [2.0, 3.0])
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    picked = ag.where(x > 1.0, ag.log(x), 0.0)
    picked.sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.5])
    assert np.exp(x).device == "plugin:0"
    assert ag.random.uniform(3, device="plugin:1").device == "plugin:1"  # without a generator: from the host's
    with pytest.raises(DeviceError, match="known kinds are cpu, cuda, plugin;"):
        find_device("tpu")


def test_a_package_that_cannot_be_used_says_why(monkeypatch, fresh_registry):
    class Broken(PluginBackend):
        reason = "the card is in the drawer"

    offer(monkeypatch, plugin=Broken)
    assert ag.devices()["plugin"] == "the card is in the drawer"
    with pytest.raises(BackendUnavailableError, match="device 'plugin:0' can't be used: the card is in the drawer"):
        Tensor([1.0], device="plugin:0")


def test_a_package_that_fails_leaves_the_other_devices(monkeypatch, fresh_registry):
    def fails():
        raise ImportError("libplugin.so is missing")

    offer(monkeypatch, plugin=fails)
    assert ag.devices()["cpu"] == "available"
    assert "libplugin.so is missing" in ag.devices()["plugin"]


@pytest.mark.parametrize("wrong", [lambda: "no backend", lambda: find_device("cpu").backend])
def test_a_package_has_to_bring_a_backend_of_its_kind(monkeypatch, fresh_registry, wrong):
    offer(monkeypatch, plugin=wrong)
    with pytest.raises(DeviceError, match=r"the package for device kind 'plugin' gave .* not a Backend of that kind"):
        find_device("plugin:0")


def test_a_backend_that_prints_itself_is_asked_for():
    with pytest.raises(NotImplementedError, match="device kind 'plugin' prints through the host"):
        PluginBackend().format(np.ones(2), "")


# CUDA where there is none --------------------------------------------------------------------------------------------


@pytest.fixture
def without_cupy(monkeypatch, fresh_registry):
    """A machine on which CuPy is not installed, whatever this one has."""
    from agrad_cupy import _backend

    monkeypatch.setitem(sys.modules, "cupy", None)
    _backend._why_not.cache_clear()
    yield
    _backend._why_not.cache_clear()


@pytest.fixture
def with_cupy(monkeypatch, fresh_registry):
    """A machine with a CuPy whose driver says what the test says: a number of devices or an error."""
    from agrad_cupy import _backend

    def install(answer):
        def device_count():
            if isinstance(answer, Exception):
                raise answer
            return answer

        fake = ModuleType("cupy")
        fake.__version__ = "13.9.9"
        fake.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=device_count))
        monkeypatch.setitem(sys.modules, "cupy", fake)

    _backend._why_not.cache_clear()
    yield install
    _backend._why_not.cache_clear()


def test_without_cupy_the_extras_are_named(without_cupy):
    reason = ag.devices()["cuda"]
    assert reason == "CuPy is not installed: pip install 'agrad[cuda12]' or, for CUDA 13, pip install 'agrad[cuda13]'"
    for name in ("cuda", "cuda:0", "cuda:7"):
        with pytest.raises(BackendUnavailableError) as error:
            Tensor([1.0], device=name)
        assert str(error.value) == f"device '{name}' can't be used: {reason}"


def test_without_a_driver_its_words_are_told(with_cupy):
    class CUDARuntimeError(RuntimeError):
        pass

    words = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
    with_cupy(CUDARuntimeError(words))
    reason = ag.devices()["cuda"]
    assert words in reason and "13.9.9" in reason
    with pytest.raises(BackendUnavailableError) as error:
        Tensor([1.0], device="cuda")
    assert reason in str(error.value)
    with pytest.raises(BackendUnavailableError, match="cudaErrorInsufficientDriver"):
        Tensor([1.0]).to("cuda:0")


def test_without_a_card_it_is_said(with_cupy):
    with_cupy(0)
    assert ag.devices()["cuda"] == "CuPy 13.9.9 found no CUDA device"


def test_a_cupy_that_cannot_be_imported_says_why(monkeypatch, with_cupy, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object', name='libx')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert ag.devices()["cuda"] == "CuPy can't be imported: libcudart.so.12: cannot open shared object"


# Mixed devices -------------------------------------------------------------------------------------------------------

MIXED = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: y * x,
    "matmul": lambda x, y: x @ y,
    "less": lambda x, y: x < y,
    "maximum": ag.maximum,
    "where": lambda x, y: ag.where(x > 0, x, y),
    "where ": lambda x, y: ag.where(y > 0, x, x),
    "concat": lambda x, y: ag.concat([x, y]),
    "stack": lambda x, y: ag.stack([x, y]),
    "indexing": lambda x, y: x[ag.astype(y, "int64")],
    "indexing ": lambda x, y: x[ag.astype(y, "int64").value],
    "x[i] = v": lambda x, y: x.__setitem__(0, y[0]),
    "backward": lambda x, y: (x * x).backward(y),
    "backwards_grad": lambda x, y: setattr(x, "grad", y),
    "add ": lambda x, y: x + y.value,
    "result_type": ag.result_type,
    "tensordot": lambda x, y: ag.tensordot(x, y, axes=1),
    "vecdot": ag.vecdot,
    "einsum": lambda x, y: ag.einsum("i,i->", x, y),
    "isin": ag.isin,
    "searchsorted": ag.searchsorted,
    "searchsorted ": lambda x, y: ag.searchsorted(x, x, sorter=ag.astype(y, "int64")),
    "take": lambda x, y: ag.take(x, ag.astype(y, "int64")),
    "take_along_axis": lambda x, y: ag.take_along_axis(x, ag.astype(y, "int64")),
    "index_add": lambda x, y: index_add(x, ag.asarray([0, 1], device=x.device), y),
    "repeat": lambda x, y: ag.repeat(x, ag.astype(y, "int64")),
    "clip": lambda x, y: ag.clip(x, y),
    "bincount": lambda x, y: ag.bincount(ag.astype(x, "int64"), weights=y),
    "diff": lambda x, y: ag.diff(x, prepend=y),
    "meshgrid": ag.meshgrid,
    "broadcast_arrays": ag.broadcast_arrays,
    "copysign": ag.copysign,
    "bitwise_and": lambda x, y: ag.astype(x, "int64") & ag.astype(y, "int64"),
    "linalg.outer": ag.linalg.outer,
    "linalg.solve": lambda x, y: ag.linalg.solve(ag.eye(2, device=x.device), y),
    "linalg.cross": lambda x, y: ag.linalg.cross(ag.concat([x, x[:1]]), ag.concat([y, y[:1]])),
    "linalg.pinv": lambda x, y: ag.linalg.pinv(ag.reshape(x, (1, 2)), rtol=y[:1]),
    "xlogy": ag.special.xlogy,
    "betainc": lambda x, y: ag.special.betainc(x, x, y / 2),
    "binary_cross_entropy": lambda x, y: losses.binary_cross_entropy(x / 4, y),
    "cross_entropy": lambda x, y: losses.cross_entropy(ag.reshape(x, (1, 2)), ag.astype(y[:1], "int64")),
    "gradient": lambda x, y: ag.vjp(lambda x: x * x, x)[1](y),
    "Edge": lambda x, y: Tensor(x.value, prevs=[ag.Edge(y, x.value, lambda tensor, local, prev: local)]),
}


@pytest.mark.parametrize("name", MIXED)
def test_nothing_crosses_devices_silently(name):
    pytest.importorskip("array_api_strict")
    check_mixed(name, "cpu", STRICT)


def check_mixed(name, first, second):
    """The function refuses operands on two devices, names both and the way out, and has changed nothing."""
    x, y = Tensor([1.0, 2.0], device=first), Tensor([1.0, 1.0], device=second)
    with pytest.raises(
        DeviceError, match=r"is on device '.*, and nothing crosses devices silently: .*x\.to\('"
    ) as error:
        MIXED[name](x, y)
    message = str(error.value)
    assert f"'{first}'" in message and f"'{second}'" in message
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [0.0, 0.0])


def test_numbers_mix_with_all_devices(device):
    x = Tensor([1.0, 2.0], device=device)
    for y in (x + 1, 2.0 * x, x**2, ag.maximum(x, 1.5), ag.where(x > 1, x, 0.0), x * np.float64(2)):
        assert y.device == x.device


def test_devices_of_one_library_do_not_mix_either():
    pytest.importorskip("array_api_strict")
    with pytest.raises(DeviceError, match=r"add: one operand is on device '.*device1', another on '.*device2'"):
        Tensor([1.0], device=STRICT) + Tensor([1.0], device="array_api_strict:device2")


# Arrays of other libraries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "jax.numpy"])
def test_arrays_of_other_libraries_are_carried(library):
    xp = pytest.importorskip(library)
    array = xp.asarray([1.0, 2.0, 3.0])
    x = Tensor(array)
    kind = library.partition(".")[0]
    assert x.device.partition(":")[0] == kind
    assert x.dtype == array.dtype
    (ag.exp(x) * x).sum().backward()
    assert type(x.grad) is type(array)
    values = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(Tensor(x.grad).numpy(), np.exp(values) * (values + 1), rtol=1e-6)
    assert f"device='{x.device}'" in repr(x)
    assert any(name.startswith(kind) for name in ag.devices())
    back = x.to("cpu")
    assert type(back.value) is np.ndarray
    assert dtype_name(back.dtype) == dtype_name(array.dtype)


def test_an_array_leaves_the_graphs_of_its_own_library():
    torch = pytest.importorskip("torch")
    array = torch.ones(3, requires_grad=True)
    x = Tensor(array)
    assert not x.value.requires_grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    assert Tensor(array, device="cpu").numpy().tolist() == ag.asarray(array).numpy().tolist() == [1.0, 1.0, 1.0]


def test_an_array_is_carried_on_its_own_device():
    xp = pytest.importorskip("array_api_strict")
    x = Tensor(xp.asarray([1.0], device=xp.Device("device2")))
    assert x.device == "array_api_strict:device2"
    assert ag.zeros_like(x).device == x.device


def test_moving_between_all_devices_keeps_values_and_dtypes(device):
    for values, dtype in (
        ([1.5, 2.5], "float32"),
        ([[1, 2]], "int64"),
        ([True, False], "bool"),
        ([1 + 2j], "complex64"),
    ):
        x = Tensor(values, dtype=dtype)
        there = x.to(device)
        assert there.device == find_device(device).name
        assert dtype_name(there.dtype) == dtype
        np.testing.assert_array_equal(there.to("cpu").numpy(), x.numpy())
        assert Tensor(x.value, device=device).device == there.device


def test_arrays_without_elements_or_axes_can_be_moved(device):
    for shape in ((), (0,), (3, 0, 2)):
        x = Tensor.ones(shape, dtype="float32").to(device)
        assert x.shape == shape
        assert x.to("cpu").shape == shape


@pytest.mark.parametrize("name", ["float32", "float64", "int8", "uint16", "bool", "complex128"])
def test_dtypes_are_translated(device, name):
    expected = getattr(find_device(device).xp, name)
    cpu = getattr(find_device("cpu").xp, name)
    assert ag.ones((2,), device=device, dtype=name).dtype == expected
    assert ag.ones((2,), device=device, dtype=cpu).dtype == expected
    assert ag.astype(Tensor([1.0], device=device), cpu).dtype == expected
    assert ag.ones((2,), dtype=expected).dtype == cpu


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("int8", "int8"), (np.float32, "float32"), (np.dtype("bool"), "bool"), (np.bool_, "bool"), (float, "float")],
)
def test_names_of_dtypes(dtype, name):
    assert dtype_name(dtype) == name


def test_what_is_no_dtype_is_refused(device):
    with pytest.raises(DTypeError, match="'float16' is not a dtype of the standard; those are bool, int8"):
        ag.zeros(3, dtype="float16", device=device)


# The namespace of a device -------------------------------------------------------------------------------------------


def test_a_device_has_one_namespace(device):
    x, y = Tensor([1.0], device=device), Tensor([2, 3], device=device)
    xp = x.__array_namespace__()
    assert xp is y.__array_namespace__() is (x + x).__array_namespace__(api_version="2024.12")
    assert (xp is ag) == (device == "cpu")


def test_the_namespace_creates_on_its_device(device):
    xp = find_device(device).functions
    name = find_device(device).name
    created = [
        *(xp.zeros(3), xp.ones((2, 2)), xp.empty(2), xp.full(2, 7.0), xp.arange(3), xp.linspace(0, 1, 3), xp.eye(2)),
        *(xp.asarray([1.0, 2.0]), xp.asarray(3), xp.ones(2, device=None), xp.fft.fftfreq(3, device=None)),
    ]
    assert {x.device for x in created} == {name}
    assert not any(x.requires_grad for x in created)
    assert xp.ones(2).dtype == find_device(device).default_float()
    assert xp.zeros(2, device="cpu").device == "cpu"
    assert xp.zeros(2, requires_grad=True).requires_grad
    assert xp.exp(Tensor([0.0], device=device)).device == name


def test_the_namespace_has_the_standards_names(device):
    xp = find_device(device).functions
    assert xp.float32 == find_device(device).xp.float32
    assert xp.pi == ag.pi and xp.newaxis is None
    assert {"exp", "sum", "float64", "pi", "asarray"} <= set(dir(xp))
    assert xp.zeros is xp.zeros
    assert repr(xp) == f"<agrad functions on {find_device(device).name}>"
    for namespace in (xp, ag):
        with pytest.raises(AttributeError, match="no_such_function"):
            namespace.no_such_function  # noqa: B018


# What a backend computes ---------------------------------------------------------------------------------------------

SCATTERS = {
    "one element": (3, np.float64(10.0)),
    "a slice": (slice(1, 3), np.array([10.0, 20.0])),
    "integers": (np.array([0, 4, 2]), np.array([10.0, 20.0, 30.0])),
    "an element named twice": (np.array([1, 1, 4, 1]), np.array([10.0, 20.0, 30.0, 40.0])),
    "integers of more axes": (np.array([[0, 1], [1, 2]]), np.array([[10.0, 20.0], [30.0, 40.0]])),
    "one value for all": (np.array([2, 2, 3]), np.float64(5.0)),
    "no integers": (np.array([], dtype=np.int64), np.array([])),
    "a mask": (np.array([True, False, False, True, False]), np.array([10.0, 20.0])),
}


def moved(value, device):
    if isinstance(value, np.ndarray | np.generic):
        return find_device(device).asarray(value, dtype_name(value.dtype))
    return value


@pytest.mark.parametrize("name", SCATTERS)
def test_index_add_is_numpys(device, name):
    index, values = SCATTERS[name]
    start = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    expected = start.copy()
    np.add.at(expected, index, values)
    array = moved(start, device)
    result = find_device(device).xp.index_add(array, moved(index, device), moved(values, device))
    np.testing.assert_array_equal(Tensor(result).numpy(), expected)
    np.testing.assert_array_equal(Tensor(array).numpy(), start)


@pytest.mark.parametrize("name", [name for name in SCATTERS if name != "an element named twice"])
def test_index_set_is_numpys(device, name):
    index, values = SCATTERS[name]
    start = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    expected = start.copy()
    expected[index] = values
    array = moved(start, device)
    result = find_device(device).xp.index_set(array, moved(index, device), moved(values, device))
    np.testing.assert_array_equal(Tensor(result).numpy(), expected)
    np.testing.assert_array_equal(Tensor(array).numpy(), start)


def test_index_add_with_several_axes(device):
    start = np.arange(12.0).reshape(3, 4)
    index, values = (np.array([0, 2, 0]), np.array([1, 3, 1])), np.array([10.0, 20.0, 30.0])
    expected = start.copy()
    np.add.at(expected, index, values)
    xp = find_device(device).xp
    result = xp.index_add(moved(start, device), tuple(moved(i, device) for i in index), moved(values, device))
    np.testing.assert_array_equal(Tensor(result).numpy(), expected)


def test_index_add_keeps_nan_where_it_is(device):
    xp = find_device(device).xp
    start, values = moved(np.array([np.nan, 1.0, 2.0]), device), moved(np.array([np.inf, 5.0]), device)
    result = Tensor(xp.index_add(start, moved(np.array([1, 2]), device), values)).numpy()
    np.testing.assert_array_equal(result, [np.nan, np.inf, 7.0])


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 3), (3, 0)])
def test_numpys_faster_functions_are_the_plain_ones(shape):
    from agrad_numpy import _fast

    x = np.random.default_rng(0).normal(size=shape)
    axes = [None, *range(len(shape)), tuple(range(len(shape)))]
    for name in ("sum", "mean", "max", "min", "count_nonzero"):
        fast = _fast.FUNCTIONS[name]
        for axis in axes:
            reduced = shape if axis is None else [shape[i] for i in np.atleast_1d(axis)] if axis != () else []
            if 0 in reduced and name in ("mean", "max", "min"):
                continue
            for keepdims in (False, True):
                plain = getattr(np, name)(x, axis=axis, keepdims=keepdims)
                np.testing.assert_allclose(fast(x, axis=axis, keepdims=keepdims), plain)


def _primitive(name):
    from agrad.rules import elementwise, linear_algebra, manipulation, network, statistical

    books = (elementwise, linear_algebra, manipulation, network, statistical)
    return next(getattr(book, name) for book in books if hasattr(book, name))


_WITH_PARAMETERS = {"sum", "mean", "matmul", "matrix_transpose", "log_softmax", "negative_log_likelihood"}
"""Compared in test_fast_forward."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 3)])
def test_numpys_faster_primitives_are_the_plain_ones(shape, dtype):
    from agrad._tensor import binary, unary
    from agrad_numpy import _fast

    cpu, rng = find_device("cpu"), np.random.default_rng(0)
    given = [np.asarray(rng.uniform(0.1, 0.9, size=shape), dtype=dtype) for _ in range(2)]
    before = [array.copy() for array in given]
    for name in {*_fast.PRIMITIVES, *_fast.RULES} - _WITH_PARAMETERS:
        primitive = _primitive(name)
        arrays = given[: primitive.arity]
        if name == "binary_cross_entropy" and 0 in shape:
            continue
        if name in _fast.PRIMITIVES:
            plain = primitive.forward(cpu.xp, *arrays) if primitive.forward else getattr(np, name)(*arrays)
            fast = _fast.PRIMITIVES[name](*arrays)
            np.testing.assert_allclose(fast, plain, rtol=1e-6)
            assert fast.dtype == plain.dtype
        leaves = [Tensor(array) for array in arrays]
        node = (unary if len(leaves) == 1 else binary)(primitive, *leaves)._node
        g = np.asarray(rng.normal(size=node.shape), dtype=dtype)
        for i, (plain, fast) in enumerate(zip(primitive.backward, cpu.backward[primitive], strict=True)):
            expected, result = plain(cpu.xp, g, node, i), fast(cpu.xp, g, node, i)
            np.testing.assert_allclose(result, expected, rtol=1e-5)
            assert result.dtype == expected.dtype
        for array, old in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, old)


def test_a_mean_of_nothing_warns_as_numpys_does():
    from agrad_numpy import _fast

    with pytest.warns(RuntimeWarning, match="Mean of empty slice|invalid value"):
        assert np.isnan(_fast.mean(np.ones((0,))))


def test_numpys_sigmoid_is_safe():
    from agrad_numpy import _fast

    x = np.array([-1000.0, -3.0, 0.0, 3.0, 1000.0, np.nan, np.inf, -np.inf])
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-x))
    np.testing.assert_array_equal(_fast.sigmoid(x), expected)
    assert _fast.sigmoid(np.float32(0.5)).dtype == np.float32


def test_what_numpy_lacks_comes_from_the_compatibility_layer():
    library = find_device("cpu").backend.library("cpu")
    assert library.float64 is np.float64
    assert callable(library.__array_namespace_info__)
    with pytest.raises(AttributeError):
        library.no_such_function  # noqa: B018


def test_numpy_arrays_of_other_kinds_are_refused():
    with pytest.raises(DTypeError, match=r"dtype datetime64.* is not one of the standard's numeric or boolean dtypes"):
        Tensor(np.array(["2020-01-01"], dtype="datetime64[D]"))


def test_a_foreign_object_with_the_array_protocol_is_taken():
    class Column:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0], dtype=dtype)

    assert Tensor(Column()).shape == (2,)


def test_a_foreign_object_that_refuses_dlpack_is_taken_by_the_array_protocol():
    class Column:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0], dtype=dtype)

        def __dlpack__(self, **options):
            raise BufferError("not today")

        def __dlpack_device__(self):
            return (1, 0)

    np.testing.assert_array_equal(Tensor(Column()).value, [1.0, 2.0])


def test_what_is_not_an_array_has_no_backend():
    class LooksLikeOne:
        shape, dtype = (2,), "float64"

    for value in ("text", None, [1.0], 3.0, object(), np.dtype("float64"), LooksLikeOne()):
        assert backend.backend_of(value) is None
        assert backend.device_of(value) is None


def test_a_dtype_is_not_taken_for_an_array(device):
    """Some libraries define their dtypes where they define their arrays."""
    dtype = Tensor([1.0], device=device).dtype
    assert backend.backend_of(dtype) is None
    assert ag.finfo(dtype).bits in (32, 64)
    assert ag.result_type(dtype, dtype) == ag.result_type(dtype)


def test_only_arrays_written_in_place_are_added_to(device):
    backend = find_device(device).backend
    array, values = moved(np.zeros(4), device), moved(np.array([1.0, 2.0, 3.0]), device)
    index = moved(np.array([0, 3, 3]), device)
    if not backend.in_place:
        with pytest.raises(NotImplementedError, match=r"arrays of device kind '\w+' are not written to"):
            backend.add_at(array, index, values)
        return
    add_at = find_device(device).entering(backend.add_at)
    add_at(array, index, values)
    add_at(array, slice(0, 2), 0.5)
    np.testing.assert_array_equal(Tensor(array).numpy(), [1.5, 0.5, 0.0, 5.0])


def test_an_index_that_a_library_does_not_take_is_checked():
    x = Tensor(np.zeros((2, 3, 4)), device="array_api_strict:device1")
    two = moved(np.array([0, 1]), "array_api_strict:device1")
    wrong = moved(np.array([True, False, True]), "array_api_strict:device1")
    with pytest.raises(IndexError, match="an index for 4 axes of an array that has 3"):
        x[two, :, :, :]
    with pytest.raises(IndexError, match=r"a mask of shape \(3,\) for axes of lengths \(4,\)"):
        x[..., wrong]
    with pytest.raises(IndexError):
        x[two, :, two + 4]
