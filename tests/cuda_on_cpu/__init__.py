"""Runs the stock CuPy wheel on a machine without a GPU, and counts what a GPU would be asked to do.

Call :func:`activate` before anything imports CuPy. From then on ``import cupy`` gives a CuPy with a device whose
memory is host memory, whose kernels are compiled by g++ and whose libraries are stand-ins; everything else, from
dispatch to the memory pool, is CuPy's own. README.md says what that proves and what it cannot.

Importing this package imports neither CuPy nor NumPy, and builds nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from ._build import Built, HarnessUnavailable, ensure_built

if TYPE_CHECKING:
    from ._compiler import Compiler, Kernel

__all__ = [
    "Counters",
    "HarnessUnavailable",
    "Launch",
    "activate",
    "compiled_kernels",
    "counters",
    "counting",
    "ensure_built",
    "is_active",
    "memory_limit",
    "real_gpu",
    "reset_counters",
    "tracing",
]


# Names a directory in which every kernel is written down that CuPy gets; nvrtc.py reads it.
RECORD_VARIABLE = "AGRAD_CUDA_ON_CPU_RECORD"
# Names a file to which every launch is written; see `Launch`.
TRACE_VARIABLE = "AGRAD_CUDA_ON_CPU_TRACE"


@dataclasses.dataclass
class Counters:
    """What the devices have been asked to do, since the start or since :func:`reset_counters`."""

    launches: int = 0
    """Kernels launched by CuPy one by one, random number kernels among them."""
    graph_launches: int = 0
    """CUDA graphs launched; the kernels inside are not counted again."""
    gemms: int = 0
    """Matrix and vector products by cuBLAS; a batch is one."""
    library_calls: int = 0
    """Other calls of a library: sorting, Fourier transforms, decompositions, cuRAND."""
    allocations: int = 0
    """Pieces of memory asked of CuPy's pool: one for each new array."""
    mallocs: int = 0
    """Calls of cudaMalloc: what the pool could not serve from what it had. They stop a GPU."""
    frees: int = 0
    """Calls of cudaFree."""
    host_to_device: int = 0
    """Copies of host memory to a device."""
    device_to_host: int = 0
    """Copies of device memory to the host; each makes the host wait."""
    device_to_device: int = 0
    """Copies inside a device or between devices."""
    memsets: int = 0
    """Calls of cudaMemset, which CuPy uses for zeros."""
    synchronizations: int = 0
    """Times that the host waited for a device, a stream or an event."""
    live_bytes: int = 0
    """Memory that cudaMalloc has given and cudaFree has not got back, CuPy's pool included."""
    peak_bytes: int = 0
    """The highest value of `live_bytes`."""


@dataclasses.dataclass(frozen=True)
class Launch:
    """One thing that a device was asked to do, as :func:`tracing` tells it."""

    kind: Literal["kernel", "gemm", "library", "graph"]
    """What it is counted as: one of `launches`, `gemms`, `library_calls` or `graph_launches`."""
    name: str
    """The kernel's name in CUDA, or the library's function: ``"cupy_multiply__float32_float_float32"``,
    ``"cublasSgemm_v2"``."""
    device: int
    """The device that was current."""
    stream: int
    """The stream, 0 being the default one. Only kernels, products and graphs have it."""
    grid: tuple[int, ...]
    """How many blocks, in three numbers; empty for everything that is not a kernel."""
    block: tuple[int, ...]
    """How many threads a block has, likewise."""
    shared_bytes: int
    """How much shared memory was asked for at the launch."""
    shape: tuple[int, ...]
    """Of a product: m, n, k, and how many there are. cuBLAS goes by columns, so m is the last axis of the result."""
    captured: bool
    """True for a kernel that was recorded in a CUDA graph and has not run; it is not counted as a launch."""


_EVENT_COUNTERS = tuple(field.name for field in dataclasses.fields(Counters))[:-2]


@dataclasses.dataclass(frozen=True)
class _Active:
    built: Built
    runtime: ctypes.PyDLL
    compiler: Compiler
    devices: int


_active: _Active | None = None


# ---- putting the stand-ins in place ----


def is_active() -> bool:
    """True once :func:`activate` has succeeded."""
    return _active is not None


def activate(devices: int = 1, peer_access: bool = False) -> None:
    """Puts the stand-ins in place and imports CuPy onto them; a second call does nothing.

    `devices` is the number of devices that CuPy will find, and `peer_access` says whether they may be let into each
    other's memory; copies from one to another are possible in any case. Raises :class:`HarnessUnavailable`
    where the harness cannot work, a machine with a real GPU being one such place, and RuntimeError when CuPy has been
    imported before: then its modules are bound to whatever libraries they found.
    """
    global _active
    if _active is not None:
        return
    if "cupy" in sys.modules:
        raise RuntimeError("tests.cuda_on_cpu.activate() has to be called before cupy is imported")
    if real_gpu():
        raise HarnessUnavailable("a real GPU is present")
    built = ensure_built()
    # Compiled kernels of the harness are no use to a GPU, nor the other way round, so the cache is its own.
    os.environ["CUPY_CACHE_DIR"] = str(built.kernel_cache)
    # CUB's kernels need a real compiler for CUDA; without CUB, CuPy takes its own reductions.
    os.environ["CUPY_ACCELERATORS"] = ""
    # A library that is loaded under its soname is what the modules of the wheel get when they ask for it.
    libraries = [ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in built.libraries]
    runtime = libraries[0]
    _declare(runtime)
    _lend_lapack(next(library for library in libraries if hasattr(library, "cuda_on_cpu_set_lapack")))
    runtime.cuda_on_cpu_set_devices(devices, peer_access)
    trace = os.environ.get(TRACE_VARIABLE)
    if trace and not runtime.cuda_on_cpu_trace_to_file(os.fsencode(trace)):
        raise HarnessUnavailable(f"cannot write the trace to {trace}")
    sys.meta_path.insert(0, _ReplacedModules(built))

    from . import _compiler, _thrust

    record = os.environ.get(RECORD_VARIABLE)
    compiler = _compiler.Compiler(built, pathlib.Path(record) if record else None)
    compiler.install()
    _thrust.install(runtime.cuda_on_cpu_count_library_call)
    _poison_allocations(runtime)
    _active = _Active(built, runtime, compiler, devices)


def _lend_lapack(solver: ctypes.PyDLL) -> None:
    """Tells the stand-in for cuSOLVER where the LAPACK inside NumPy's wheel is, if there is one."""
    import numpy as np

    for library in pathlib.Path(np.__file__).parent.with_name("numpy.libs").glob("libscipy_openblas64_*"):
        solver.cuda_on_cpu_set_lapack(str(library).encode())


class _ReplacedModules:
    """Finds the extension modules that the harness has built instead of those in the wheel."""

    def __init__(self, built: Built) -> None:
        self._modules = built.modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._modules.get(name)
        return importlib.util.spec_from_file_location(name, file) if file else None


def _declare(runtime: ctypes.PyDLL) -> None:
    sizes = [ctypes.POINTER(ctypes.c_size_t)] * 3
    runtime.cuda_on_cpu_read_counters.argtypes = [ctypes.POINTER(ctypes.c_int64)]
    runtime.cuda_on_cpu_read_memory.argtypes = [ctypes.c_int, *sizes]
    runtime.cuda_on_cpu_set_peak.argtypes = [ctypes.c_int, ctypes.c_size_t]
    runtime.cuda_on_cpu_set_memory_limit.argtypes = [ctypes.c_int, ctypes.c_size_t]
    runtime.cuda_on_cpu_poison_allocation.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    runtime.cuda_on_cpu_set_devices.argtypes = [ctypes.c_int, ctypes.c_bool]
    runtime.cuda_on_cpu_count_library_call.argtypes = [ctypes.c_char_p]
    runtime.cuda_on_cpu_trace_to_file.argtypes = [ctypes.c_char_p]
    runtime.cuda_on_cpu_trace_to_file.restype = ctypes.c_bool
    runtime.cuda_on_cpu_start_trace.restype = ctypes.c_size_t
    runtime.cuda_on_cpu_read_trace.argtypes = [ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    runtime.cuda_on_cpu_read_trace.restype = ctypes.c_size_t


def _poison_allocations(runtime: ctypes.PyDLL) -> None:
    """Puts an allocator before CuPy's pool that spoils memory which is handed out a second time."""
    import cupy

    pool_malloc = cupy.get_default_memory_pool().malloc
    poison = runtime.cuda_on_cpu_poison_allocation

    def malloc(size: int) -> cupy.cuda.MemoryPointer:
        pointer = pool_malloc(size)
        poison(pointer.ptr, size)
        return pointer

    # It counts as CuPy's own: agrad.compile asks of all code that runs in a step whose it is.
    malloc.__code__ = malloc.__code__.replace(co_filename=cupy.__file__)
    cupy.cuda.set_allocator(malloc)


_COUNT_GPUS = """
import ctypes
driver = ctypes.CDLL("libcuda.so.1")
number = ctypes.c_int(0)
raise SystemExit(driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(number)) or number.value == 0)
"""


@functools.cache
def real_gpu() -> bool:
    """True when the machine has a CUDA driver with a device.

    Asked in another process, because here the real driver would be loaded under the name that the stand-in needs.
    """
    if is_active():
        return False
    return subprocess.run([sys.executable, "-c", _COUNT_GPUS], stderr=subprocess.DEVNULL).returncode == 0


# ---- counting ----


def _require_active() -> _Active:
    if _active is None:
        raise RuntimeError("tests.cuda_on_cpu.activate() has not been called")
    return _active


def _read_memory(device: int) -> tuple[int, int, int]:
    live, peak, limit = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_size_t()
    _require_active().runtime.cuda_on_cpu_read_memory(device, live, peak, limit)
    return live.value, peak.value, limit.value


def counters(device: int = 0) -> Counters:
    """The counters so far. Events are counted over all devices, memory for one `device`."""
    values = (ctypes.c_int64 * len(_EVENT_COUNTERS))()
    _require_active().runtime.cuda_on_cpu_read_counters(values)
    counted = Counters(*values)
    counted.live_bytes, counted.peak_bytes, _ = _read_memory(device)
    return counted


def reset_counters(device: int = 0) -> None:
    """Starts counting again from zero; the peak of memory starts from what is in use."""
    runtime = _require_active().runtime
    runtime.cuda_on_cpu_reset_counters()
    runtime.cuda_on_cpu_set_peak(device, 0)


@contextlib.contextmanager
def counting(device: int = 0) -> Iterator[Counters]:
    """Counts what happens in a ``with`` block. The counters that it gives are filled when the block ends.

    `live_bytes` and `peak_bytes` are relative to the memory in use at the start. Blocks can be nested.
    """
    runtime = _require_active().runtime
    before = counters(device)
    runtime.cuda_on_cpu_set_peak(device, 0)
    difference = Counters()
    try:
        yield difference
    finally:
        after = counters(device)
        for name in (*_EVENT_COUNTERS, "live_bytes"):
            setattr(difference, name, getattr(after, name) - getattr(before, name))
        difference.peak_bytes = after.peak_bytes - before.live_bytes
        runtime.cuda_on_cpu_set_peak(device, max(before.peak_bytes, after.peak_bytes))


@contextlib.contextmanager
def tracing() -> Iterator[list[Launch]]:
    """Writes down what is launched in a ``with`` block. The list that it gives is filled when the block ends.

    The launches of all threads are in it, in the order in which they were made. Blocks can be nested.
    """
    runtime = _require_active().runtime
    begin = runtime.cuda_on_cpu_start_trace()
    launches: list[Launch] = []
    try:
        yield launches
    finally:
        length = runtime.cuda_on_cpu_read_trace(begin, None, 0) - begin
        lines = ctypes.create_string_buffer(length)
        runtime.cuda_on_cpu_read_trace(begin, lines, length)
        runtime.cuda_on_cpu_stop_trace()
        launches += map(_launch_of, lines.raw.decode().splitlines())


def _launch_of(line: str) -> Launch:
    fields = json.loads(line)
    return Launch(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


@contextlib.contextmanager
def memory_limit(bytes: int, device: int = 0) -> Iterator[None]:
    """Lets a device have no more than `bytes` of memory in a ``with`` block.

    CuPy's pool gives back at the start what no array uses, so that the limit is about arrays.
    """
    import cupy

    runtime = _require_active().runtime
    with cupy.cuda.Device(device):
        cupy.get_default_memory_pool().free_all_blocks()
    _, _, before = _read_memory(device)
    runtime.cuda_on_cpu_set_memory_limit(device, bytes)
    try:
        yield
    finally:
        runtime.cuda_on_cpu_set_memory_limit(device, before)


def compiled_kernels() -> list[Kernel]:
    """Every kernel that CuPy has got in this process, from its cache or not, in the order of first use."""
    return list(_require_active().compiler.requested)
