"""The test matrix: every test that takes the `device` fixture runs once on each device asked for.

`pytest --device cpu --device cuda` chooses the devices; without it they are "cpu" and, where array-api-strict is
installed, its second device, the stand-in for an accelerator. A run without "cpu" leaves out the tests that do not
depend on a device. "cuda" means a GPU where there is one, else real CuPy on the CPU (see tests/cuda_on_cpu), which has
as many devices as are asked for: `--device cuda:1` runs the tests on the second one.

Tests marked `gpu` need a real GPU, whatever the devices; elsewhere they are skipped, and say why.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

import agrad as ag
from agrad.backend import find_device

# SciPy reads it once, when it is first imported, by whatever test that is.
os.environ["SCIPY_ARRAY_API"] = "1"

if find_spec("hypothesis"):
    from hypothesis import settings

    # A slow machine is no failure, and a failure is to come again.
    settings.register_profile("agrad", deadline=None, derandomize=True)
    settings.load_profile("agrad")

STRICT = "array_api_strict:device1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", action="append", default=None, help="a device to test, e.g. cpu, cuda, torch:cpu")
    parser.addoption("--standard-table", action="store_true", help="record the tests' outcomes in docs/standard.md")


def _devices(config: pytest.Config) -> list[str]:
    chosen = config.getoption("--device") or ["cpu", *([STRICT] if find_spec("array_api_strict") else [])]
    return ["cuda:0" if device == "cuda" else device for device in chosen]  # as the device calls itself


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--standard-table") and not hasattr(config, "workerinput"):  # pytest-xdist's first process
        from tests import standard

        config.pluginmanager.register(standard.Recorder())
    numbers = [int(device.removeprefix("cuda:")) for device in _devices(config) if device.startswith("cuda:")]
    if numbers:
        config.stash[_PLACE] = _prepare_cuda(1 + max(numbers))


_PLACE = pytest.StashKey[str]()


def _prepare_cuda(devices: int) -> str:
    """Where CUDA tests run; brings in the harness, with so many devices, where there is no GPU."""
    from tests import cuda_on_cpu

    if cuda_on_cpu.real_gpu():
        return "a real GPU"
    try:
        cuda_on_cpu.activate(devices)
    except cuda_on_cpu.HarnessUnavailable as reason:
        pytest.exit(f"no GPU here, and the harness that stands in for it can't be used: {reason}", returncode=3)
    return "real CuPy on the CPU (tests/cuda_on_cpu)"


def pytest_report_header(config: pytest.Config) -> list[str]:
    place = config.stash.get(_PLACE, "")
    return [f"agrad {ag.__version__} on {', '.join(_devices(config))}", *([f"cuda: {place}"] if place else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", _devices(metafunc.config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    reason = _why_no_gpu(config) if gpu else None
    if reason:
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason=f"only a real GPU can show this: {reason}"))
    if "cpu" not in _devices(config):
        chosen = [item for item in items if "device" in getattr(item, "fixturenames", ()) or _needs_cuda(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen


def _why_no_gpu(config: pytest.Config) -> str | None:
    """What keeps tests marked `gpu` from running here; None on a machine with a GPU and CuPy."""
    from tests import cuda_on_cpu

    if cuda_on_cpu.is_active():
        return "here CuPy runs on the CPU"
    if not cuda_on_cpu.real_gpu():
        return "no CUDA driver found one"
    try:
        find_device("cuda")
    except ag.BackendUnavailableError as reason:
        return str(reason)
    return None


def _needs_cuda(item: pytest.Item) -> bool:
    """True for the tests of the harness and of the GPU, which take no device since they know theirs."""
    return "cuda_on_cpu" in item.path.parts or item.get_closest_marker("gpu") is not None


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every test, whatever ran before it."""
    ag.random.seed(20240229)
