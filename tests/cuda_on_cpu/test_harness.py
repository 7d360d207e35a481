"""The harness tested on its own: does stock CuPy compute what NumPy computes, and are the counters exact?

``pytest --device cuda`` activates the harness where there is no GPU. Without that option the tests are skipped, unless
AGRAD_CUDA_ON_CPU=1 asks for the harness: a CuPy that suddenly has a device could surprise the other tests of the run.
They are skipped, too, where CuPy is not installed, where the harness cannot be built and where there is a real GPU.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu
from tests.cuda_on_cpu import HarnessUnavailable, Launch, _build, _compiler, counting, memory_limit, nvrtc, tracing

REPOSITORY = pathlib.Path(__file__).parents[2]

REAL = ["float32", "float64"]
FLOATING = [*REAL, "complex64", "complex128"]
INTEGER = ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]


def reason_to_skip() -> str | None:
    """Activates the harness, or says why that cannot be."""
    if cuda_on_cpu.is_active():
        return None
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed"
    if cuda_on_cpu.real_gpu():
        return "there is a real GPU here, so the CUDA-on-CPU harness has no place"
    if os.environ.get("AGRAD_CUDA_ON_CPU") != "1":
        return "the CUDA-on-CPU harness is not active: pytest --device cuda activates it"
    if "cupy" in sys.modules:
        return "cupy has been imported before the harness could be activated"
    try:
        cuda_on_cpu.activate()
    except HarnessUnavailable as reason:
        return f"the CUDA-on-CPU harness is not available: {reason}"
    return None


@pytest.fixture
def cp() -> Any:
    """CuPy, on the harness."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    import cupy

    return cupy


def sample(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    """Numbers without any symmetry: of both signs where the type has them, and no two alike."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0 if np.dtype(dtype).kind == "u" else -9, 10, shape).astype(dtype)
    values = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def check(cp: Any, function: Callable[..., Any], *arrays: np.ndarray[Any, Any], exact: bool = False) -> None:
    """Compares function(cupy, ...) with function(numpy, ...) in values, shapes and dtypes."""
    got, expected = function(cp, *map(cp.asarray, arrays)), np.asarray(function(np, *arrays))
    assert isinstance(got, cp.ndarray)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if exact or expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(got.get(), expected)
    else:
        tolerance = 100 * float(np.finfo(expected.dtype).eps)
        np.testing.assert_allclose(got.get(), expected, rtol=tolerance, atol=tolerance)


# ---- values ----


def test_there_are_the_devices_asked_for(cp: Any) -> None:
    assert cp.is_available()
    assert cp.cuda.runtime.getDeviceCount() == cuda_on_cpu._require_active().devices
    assert cp.cuda.runtime.getDeviceProperties(0)["name"] == b"CUDA on CPU 0"


@pytest.mark.parametrize("dtype", ["bool", *INTEGER, "float16", *FLOATING])
def test_arithmetic(cp: Any, dtype: str) -> None:
    x, y = sample(dtype, (3, 4)), sample(dtype, (4,), seed=1)
    check(cp, lambda xp, x, y: x + y, x, y)
    check(cp, lambda xp, x, y: x * y, x, y)
    check(cp, lambda xp, x, y: xp.equal(x, y), x, y)
    check(cp, lambda xp, x, y: xp.where(x == y, x, x * x), x, y)


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos", "tanh", "sqrt", "abs", "reciprocal", "square", "sign"])
def test_elementwise_functions(cp: Any, name: str, dtype: str) -> None:
    x = sample(dtype, (3, 4))
    if name in ("log", "sqrt") and dtype in REAL:
        x = np.abs(x)
    check(cp, lambda xp, x: getattr(xp, name)(x), x)


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", *REAL])
def test_comparisons_and_logic(cp: Any, dtype: str) -> None:
    x, y = sample(dtype, (50,)), sample(dtype, (50,), seed=1)
    for name in ("less", "greater_equal", "logical_and", "logical_xor", "maximum", "minimum"):
        check(cp, lambda xp, x, y, name=name: getattr(xp, name)(x, y), x, y)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("dtype", ["int64", *FLOATING])
def test_sums(cp: Any, dtype: str, axis: Any) -> None:
    # Longer than a warp and than a block, and not a multiple of either.
    x = sample(dtype, (5, 70, 33))
    check(cp, lambda xp, x: xp.sum(x, axis=axis), x)
    check(cp, lambda xp, x: xp.sum(x, axis=axis, keepdims=True), x)
    if dtype != "int64":
        check(cp, lambda xp, x: xp.mean(x, axis=axis), x)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "prod", "any", "all", "cumsum", "var"])
@pytest.mark.parametrize("axis", [0, 1])
def test_other_reductions(cp: Any, name: str, axis: int) -> None:
    x = sample("float64", (40, 67))
    check(cp, lambda xp, x: getattr(xp, name)(x, axis=axis), x)


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (2, 4, 5)), ((6, 1, 3, 4), (2, 4, 5))],
)
def test_matmul(cp: Any, dtype: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    check(cp, lambda xp, x, y: x @ y, sample(dtype, left), sample(dtype, right, seed=1))


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", *FLOATING])
def test_matmul_of_transposed_matrices(cp: Any, dtype: str) -> None:
    x, y = sample(dtype, (4, 3)), sample(dtype, (5, 4), seed=1)
    check(cp, lambda xp, x, y: x.T @ y.T, x, y)
    check(cp, lambda xp, x, y: x.T.copy() @ y.T, x, y)
    check(cp, lambda xp, x, y: x.T @ y.T.copy(), x, y)
    check(cp, lambda xp, x, y: x[::2].T @ y[:, ::2].T, x, y)
    check(cp, lambda xp, x, y: x.conj().T @ y.conj().T, x, y)
    check(cp, lambda xp, x, y: xp.tensordot(x, y, axes=((0,), (1,))), x, y)
    check(cp, lambda xp, x, y: xp.einsum("ji,kj->ik", x, y), x, y)


def test_shapes_and_indexing(cp: Any) -> None:
    x, index = sample("float64", (6, 7)), np.array([5, 0, 5, 2])
    check(cp, lambda xp, x: x[1:5:2, ::-1], x, exact=True)
    check(cp, lambda xp, x, i: x[i], x, index, exact=True)
    check(cp, lambda xp, x, i: xp.take(x, i, axis=1), x, index, exact=True)
    check(cp, lambda xp, x: x[x > 0], x, exact=True)
    check(cp, lambda xp, x: xp.concatenate([x.T, x.T[:2]]), x, exact=True)
    check(cp, lambda xp, x: xp.stack([x, -x], axis=1), x, exact=True)
    check(cp, lambda xp, x: xp.broadcast_to(x[:, None], (6, 3, 7)).sum(axis=1), x)
    check(cp, lambda xp, x: xp.tril(x, k=1), x, exact=True)


def test_assignment_and_scatter(cp: Any) -> None:
    def assign(xp: Any, x: Any, index: Any) -> Any:
        x = x.copy()
        x[1:3] = 7.0
        x[x < 0] = 0.5
        x[index, index] = -1.0
        return x

    def scatter(xp: Any, x: Any, index: Any) -> Any:
        x = x.copy()
        xp.add.at(x, index, x[index] * 2.0 + 1.0)
        return x

    # The index 5 occurs twice: both additions have to arrive.
    x, index = sample("float64", (6, 7)), np.array([5, 0, 5, 2])
    check(cp, assign, x, index, exact=True)
    check(cp, scatter, x, index)
    check(cp, scatter, x.astype("float32"), index)


@pytest.mark.parametrize("dtype", ["bool", "int32", *REAL])
def test_sorting(cp: Any, dtype: str) -> None:
    x = sample(dtype, (5, 40))
    for axis in (0, 1):
        check(cp, lambda xp, x, axis=axis: xp.sort(x, axis=axis), x, exact=True)
        check(cp, lambda xp, x, axis=axis: xp.take_along_axis(x, xp.argsort(x, axis=axis), axis), x, exact=True)
    check(cp, lambda xp, x: xp.unique(x), x, exact=True)
    check(cp, lambda xp, x: xp.lexsort(xp.stack([x[0], x[1]])), sample("float64", (2, 9)), exact=True)


def test_not_a_number_comes_last(cp: Any) -> None:
    check(cp, lambda xp, x: xp.sort(x), np.array([2.0, np.nan, -1.0, 3.0]), exact=True)


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("length", [1, 4, 7, 12])
def test_fourier_transforms(cp: Any, dtype: str, length: int) -> None:
    x = sample(dtype, (3, length))
    for norm in ("backward", "ortho", "forward"):
        check(cp, lambda xp, x, norm=norm: xp.fft.fft(x, axis=1, norm=norm), x)
        check(cp, lambda xp, x, norm=norm: xp.fft.ifft(x, axis=0, norm=norm), x)
        check(cp, lambda xp, x, norm=norm: xp.fft.fftn(x, norm=norm), x)
        check(cp, lambda xp, x, norm=norm: xp.fft.irfft(x, n=length + 1, norm=norm), x)
        if dtype in REAL:
            check(cp, lambda xp, x, norm=norm: xp.fft.rfftn(x, norm=norm), x)


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_linear_algebra(cp: Any, dtype: str, batch: tuple[int, ...]) -> None:
    a = (sample(dtype, (*batch, 4, 4)) + 4 * np.eye(4)).astype(dtype)
    b, tall = sample(dtype, (*batch, 4, 2), seed=1), sample(dtype, (*batch, 5, 3), seed=2)
    positive = (a @ a.conj().swapaxes(-1, -2)).astype(dtype)

    def from_singular_values(xp: Any, x: Any) -> Any:
        u, s, vh = xp.linalg.svd(x, full_matrices=False)
        return (u * s[..., None, :]).astype(x.dtype) @ vh

    def from_eigenvalues(xp: Any, x: Any) -> Any:
        w, v = xp.linalg.eigh(x)
        return (v * w[..., None, :]).astype(x.dtype) @ v.conj().swapaxes(-1, -2)

    def from_qr(xp: Any, x: Any) -> Any:
        q, r = xp.linalg.qr(x)
        return q @ r

    check(cp, lambda xp, a, b: xp.linalg.solve(a, b), a, b)
    check(cp, lambda xp, a: xp.linalg.inv(a), a)
    check(cp, lambda xp, a: xp.linalg.det(a), a)
    check(cp, lambda xp, a: xp.linalg.slogdet(a)[1], a)
    check(cp, lambda xp, a: xp.linalg.cholesky(a), positive)
    check(cp, lambda xp, a: xp.linalg.eigvalsh(a), positive)
    check(cp, from_eigenvalues, positive)
    check(cp, from_singular_values, tall)
    check(cp, from_singular_values, tall.swapaxes(-1, -2))
    check(cp, from_qr, tall)


@pytest.mark.parametrize("dtype", FLOATING)
def test_general_eigenvalues(cp: Any, dtype: str) -> None:
    # A rotation is in it, so that a real matrix has complex eigenvalues.
    a = np.array([[0, -2, 1], [2, 0, 3], [0, 0, 5]]).astype(dtype)
    w, v = cp.linalg.eig(cp.asarray(a))
    np.testing.assert_allclose(a @ v.get(), v.get() * w.get(), atol=1e-4)
    np.testing.assert_allclose(sorted(w.get(), key=lambda z: z.imag), [-2j, 5, 2j], atol=1e-4)


def test_random_generator(cp: Any) -> None:
    def draw(seed: int) -> list[Any]:
        rng = cp.random.default_rng(seed)
        return [rng.random(1000), rng.standard_normal(1000, dtype=cp.float32), rng.integers(-3, 4, 1000)]

    uniform, normal, integers = draw(seed=0)
    assert 0 <= float(uniform.min()) < 0.01 and 0.99 < float(uniform.max()) < 1
    assert abs(float(normal.mean())) < 0.1 and abs(float(normal.std()) - 1) < 0.1
    assert sorted(set(integers.get().tolist())) == list(range(-3, 4))
    for first, again, other in zip(draw(0), draw(0), draw(1), strict=True):
        np.testing.assert_array_equal(first.get(), again.get())
        assert not (first == other).all()


def test_older_random_functions(cp: Any) -> None:
    cp.random.seed(0)
    assert sorted(cp.random.permutation(50).get()) == list(range(50))
    assert 0.4 < float(cp.random.rand(1000).mean()) < 0.6


def test_raw_kernel_with_shared_memory_and_shuffles(cp: Any) -> None:
    kernel = cp.RawKernel(
        r"""
        extern "C" __global__ void reverse_and_swap(const float* x, float* y) {
            extern __shared__ float shared[];
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            shared[threadIdx.x] = x[i];
            __syncthreads();
            y[i] = __shfl_xor_sync(0xffffffff, shared[blockDim.x - 1 - threadIdx.x], 1);
        }""",
        "reverse_and_swap",
    )
    x, y = cp.arange(128, dtype=cp.float32), cp.empty(128, dtype=cp.float32)
    kernel((2,), (64,), (x, y), shared_mem=64 * 4)
    reversed_blocks = np.arange(128.0).reshape(2, 64)[:, ::-1]
    np.testing.assert_array_equal(y.get().reshape(2, 32, 2), reversed_blocks.reshape(2, 32, 2)[..., ::-1])


def test_votes_of_a_warp(cp: Any) -> None:
    kernel = cp.RawKernel(
        r"""
        extern "C" __global__ void vote(unsigned* ballots, int* any, int* all) {
            int i = threadIdx.x;
            ballots[i] = __ballot_sync(0xffffffff, i % 3 == 0);
            any[i] = __any_sync(0xffffffff, i == 33);
            all[i] = __all_sync(0xffffffff, i < 32);
        }""",
        "vote",
    )
    ballots, some, every = cp.empty(64, cp.uint32), cp.empty(64, cp.int32), cp.empty(64, cp.int32)
    kernel((1,), (64,), (ballots, some, every))
    expected = [sum(1 << lane for lane in range(32) if (warp * 32 + lane) % 3 == 0) for warp in range(2)]
    assert ballots.get().reshape(2, 32).tolist() == [[votes] * 32 for votes in expected]
    assert some.get().tolist() == [0] * 32 + [1] * 32
    assert every.get().tolist() == [1] * 32 + [0] * 32


def test_kernel_that_needs_lockstep_is_refused(cp: Any) -> None:
    with pytest.raises(cp.cuda.compiler.CompileException, match="needs the lockstep of a warp"):
        cp.partition(cp.asarray(sample("float64", (20000,))), 10)


def test_fused_function_is_one_launch(cp: Any) -> None:
    swish = cp.fuse(kernel_name="swish")(lambda x: x / (1.0 + cp.exp(-x)))
    x = sample("float32", (30,))
    on_device = cp.asarray(x)
    with counting() as cost:
        y = swish(on_device)
    np.testing.assert_allclose(y.get(), x / (1 + np.exp(-x)), rtol=1e-5)
    assert cost.launches == 1


def test_templates_are_found_by_name_expression(cp: Any) -> None:
    code = "template <class T, int factor> __global__ void scale(T* x) { x[threadIdx.x] *= factor; }"
    module = cp.RawModule(code=code, name_expressions=["scale<float, 3>", "scale<double, 4>"])
    x = cp.ones(4)
    module.get_function("scale<double, 4>")((1,), (4,), (x,))
    assert x.get().tolist() == [4.0] * 4


def test_error_of_the_kernel_compiler(cp: Any) -> None:
    kernel = cp.ElementwiseKernel("T x", "T y", "y = no_such_function(x)", "wrong")
    with pytest.raises(cp.cuda.compiler.CompileException, match="no_such_function"):
        kernel(cp.ones(3))
    assert not any("no_such_function" in kernel.source for kernel in cuda_on_cpu.compiled_kernels())


# ---- what is counted ----


def test_counts_of_single_operations(cp: Any) -> None:
    x, y = cp.asarray(sample("float32", (8, 8))), cp.empty((8, 8), dtype=cp.float32)
    host = sample("float32", (8, 8))
    operations: dict[str, tuple[Callable[[], Any], dict[str, int]]] = {
        "add": (lambda: x + x, {"launches": 1, "allocations": 1}),
        "tanh": (lambda: cp.tanh(x), {"launches": 1, "allocations": 1}),
        "out=": (lambda: cp.tanh(x, out=x), {"launches": 1}),
        "sum": (lambda: x.sum(), {"launches": 1, "allocations": 1}),
        "matmul": (lambda: x @ x, {"gemms": 1, "allocations": 1}),
        "view": (lambda: x.T[2:, None], {}),
        "upload": (lambda: cp.asarray(host), {"host_to_device": 1, "allocations": 1}),
        "download": (lambda: x.get(), {"device_to_host": 1, "synchronizations": 1}),
        "float": (lambda: float(x[0, 0]), {"device_to_host": 1, "synchronizations": 1}),
        "copy": (lambda: x.copy(), {"launches": 1, "allocations": 1}),
        "copy of memory": (lambda: y.data.copy_from_device(x.data, x.nbytes), {"device_to_device": 1}),
        "zeros": (lambda: cp.zeros((3, 3)), {"memsets": 1, "allocations": 1}),
        "empty": (lambda: cp.empty((3, 3)), {"allocations": 1}),
        "where": (lambda: cp.where(x > 0, x, x), {"launches": 2, "allocations": 2}),
        "synchronize": (lambda: cp.cuda.Device().synchronize(), {"synchronizations": 1}),
    }
    for name, (operation, expected) in operations.items():
        operation()  # fills the pool and compiles
        with counting() as cost:
            operation()
        found = {field: value for field, value in vars(cost).items() if value and not field.endswith("bytes")}
        assert found == expected, name


def test_masks_synchronize(cp: Any) -> None:
    x = cp.asarray(sample("float32", (8, 8)))
    with counting() as cost:
        x[x > 0]
    assert cost.synchronizations == cost.device_to_host == 1


def test_memory_is_counted(cp: Any) -> None:
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    with counting() as outer:
        with counting() as cost:
            x = cp.empty(1 << 20, dtype=cp.uint8)
            y = cp.empty(1 << 20, dtype=cp.uint8)
            del y
            pool.free_all_blocks()
        assert cost.mallocs == 2 and cost.frees == 1
        assert cost.live_bytes == 1 << 20
        assert cost.peak_bytes == 2 << 20
        del x
        pool.free_all_blocks()
    assert outer.live_bytes == 0
    assert outer.peak_bytes == 2 << 20


def test_counters_can_be_reset(cp: Any) -> None:
    cp.ones(3) + 1
    assert cuda_on_cpu.counters().launches > 0
    cuda_on_cpu.reset_counters()
    counted = cuda_on_cpu.counters()
    assert counted.launches == counted.allocations == 0
    assert counted.peak_bytes == counted.live_bytes


def test_counting_survives_an_exception(cp: Any) -> None:
    x = cp.ones(3)
    with pytest.raises(ZeroDivisionError), counting() as cost:
        x + 1
        1 / 0  # noqa: B018
    assert cost.launches == 1


# ---- the trace ----


def test_trace_of_a_kernel(cp: Any) -> None:
    kernel = cp.RawKernel('extern "C" __global__ void traced(float* x) {}', "traced")
    x, stream = cp.ones(3, dtype=cp.float32), cp.cuda.Stream()
    with tracing() as launches, stream:
        kernel((2, 3), (4, 5, 6), (x,), shared_mem=70)
    assert launches == [
        Launch(
            kind="kernel",
            name="traced",
            device=0,
            stream=stream.ptr,
            grid=(2, 3, 1),
            block=(4, 5, 6),
            shared_bytes=70,
            shape=(),
            captured=False,
        )
    ]


def test_trace_of_products(cp: Any) -> None:
    x, y = cp.ones((3, 4), dtype=cp.float32), cp.ones((4, 5), dtype=cp.float32)
    pairs = [(x, y), (x[0], y), (cp.ones((7, 3, 4)), cp.ones((7, 4, 5)))]
    with tracing() as launches, cp.cuda.Stream() as stream:
        for left, right in pairs:
            left @ right
    assert [launch.kind for launch in launches] == ["gemm"] * 3
    assert [launch.shape for launch in launches] == [(5, 3, 4, 1), (5, 1, 4, 1), (5, 3, 4, 7)]
    assert {launch.stream for launch in launches} == {stream.ptr}
    assert launches[-1].name == "cublasGemmStridedBatchedEx"
    assert launches[0].grid == launches[0].block == ()


def test_trace_agrees_with_the_counters(cp: Any) -> None:
    x = cp.asarray(sample("float64", (6, 6)))
    with counting() as cost, tracing() as launches:
        cp.linalg.solve(x + 9 * cp.eye(6), cp.tanh(x @ x))
        cp.fft.fft(cp.sort(x, axis=0))
        cp.random.default_rng(0).standard_normal(5)
        cp.random.rand(3)
    found = {kind: sum(launch.kind == kind for launch in launches) for kind in ("kernel", "gemm", "library", "graph")}
    assert found == {
        "kernel": cost.launches,
        "gemm": cost.gemms,
        "library": cost.library_calls,
        "graph": cost.graph_launches,
    }
    assert {"thrust::sort", "cufftExecZ2Z", "standard_normal", "curandGenerateUniformDouble"} <= {
        launch.name for launch in launches
    }


def test_trace_of_a_graph(cp: Any) -> None:
    x = cp.ones(4)
    with tracing() as launches, cp.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        cp.add(x, 1, out=x)
        stream.end_capture().launch()
    assert [(launch.kind, launch.captured) for launch in launches] == [("kernel", True), ("graph", False)]
    assert x.get().tolist() == [2.0] * 4


def test_trace_names_the_template(cp: Any) -> None:
    code = "template <class T, int factor> __global__ void scale(T* x) { x[threadIdx.x] *= factor; }"
    x = cp.ones(4)
    with tracing() as launches:
        module = cp.RawModule(code=code, name_expressions=["scale<double, 5>"])
        module.get_function("scale<double, 5>")((1,), (4,), (x,))
    assert [launch.name for launch in launches] == ["scale<double, 5>"]


def test_traces_can_be_nested(cp: Any) -> None:
    x = cp.ones(3)
    with tracing() as outer:
        x + x
        with pytest.raises(ZeroDivisionError), tracing() as inner:
            x * x
            1 / 0  # noqa: B018
        x - x
    x + x
    assert [launch.name.split("__")[0] for launch in inner] == ["cupy_multiply"]
    assert [launch.name.split("__")[0] for launch in outer] == ["cupy_add", "cupy_multiply", "cupy_subtract"]
    with tracing() as nothing:
        pass
    assert nothing == []


# ---- what is refused, as a GPU refuses it ----


def test_out_of_memory(cp: Any) -> None:
    # Far above what arrays of other tests may still hold.
    with memory_limit(64 << 20):
        cp.empty(16 << 20, dtype=cp.uint8)
        with pytest.raises(cp.cuda.memory.OutOfMemoryError):
            cp.empty(65 << 20, dtype=cp.uint8)
    assert cp.zeros(65 << 20, dtype=cp.uint8)[-1] == 0


def test_fresh_memory_is_poisoned(cp: Any) -> None:
    first = cp.zeros(1000)
    address = first.data.ptr
    del first
    again = cp.empty(1000)
    assert again.data.ptr == address, "the pool was expected to hand out the same memory again"
    assert cp.isnan(again).all()
    assert (cp.empty(1000, dtype=cp.int32) == -1).all()


def on_host(cp: Any, values: np.ndarray[Any, Any]) -> Any:
    """A CuPy array that lies about where its memory is."""
    memory = cp.cuda.UnownedMemory(values.ctypes.data, values.nbytes, values, device_id=0)
    return cp.ndarray(values.shape, values.dtype, cp.cuda.MemoryPointer(memory, 0))


def test_host_memory_is_refused(cp: Any, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = on_host(cp, np.ones((3, 3), dtype="float32"))
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        wrong + wrong
    with pytest.raises(RuntimeError, match="CUBLAS_STATUS_EXECUTION_FAILED"):
        wrong @ wrong
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidValue"):
        wrong.get()
    said = capfd.readouterr().err
    assert "a kernel was given an array that is not in the memory of its device" in said
    assert "a matrix product was given a matrix that is not in the memory of its device" in said
    assert "is not device memory" in said


def test_arrays_that_reach_beyond_their_allocation_are_refused(cp: Any) -> None:
    cp.get_default_memory_pool().free_all_blocks()
    x = cp.empty(1 << 20, dtype=cp.uint8)
    too_long = cp.ndarray((2 << 20,), cp.uint8, x.data)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        too_long + too_long


def test_impossible_launches_are_refused(cp: Any) -> None:
    kernel = cp.RawKernel('extern "C" __global__ void nothing() {}', "nothing")
    for grid, block in (((1,), (2048,)), ((1, 70000), (1,))):
        with pytest.raises(cp.cuda.driver.CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
            kernel(grid, block, ())


# ---- streams, graphs, threads ----


def test_graph_is_recorded_and_replayed(cp: Any) -> None:
    x, y = cp.arange(4.0), cp.empty(4)
    cp.multiply(x, 2.0, out=y)
    y.fill(0)
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        cp.multiply(x, 2.0, out=y)
        cp.add(y, x, out=y)
        graph = stream.end_capture()
    assert y.get().tolist() == [0.0] * 4, "captured work must not be done yet"
    x += 1
    with counting() as cost:
        graph.launch()
    assert y.get().tolist() == [3.0, 6.0, 9.0, 12.0]
    assert (cost.graph_launches, cost.launches) == (1, 0)


def test_threads_train_side_by_side(cp: Any) -> None:
    weights = sample("float64", (8, 16, 16))

    def train(xp: Any, w: Any) -> Any:
        for _ in range(30):
            h = xp.tanh(w @ w.T)
            slope = xp.where(h > 0, h, h * 0.1) - h.sum(axis=0) / 16
            w = w - 0.01 * slope + xp.sum(w) * 1e-5
            w = w[xp.argsort(w[:, 0])]
            xp.add.at(w, xp.asarray([3, 3, 5]), 0.01)
        return w

    results: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: train(cp, cp.asarray(weights[i])).get()}))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        np.testing.assert_allclose(results[i], train(np, weights[i]), rtol=1e-9)


# ---- the harness's own doings ----


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_harness_imports_nothing_heavy() -> None:
    code = "import sys, tests.cuda_on_cpu; print(sorted({'cupy', 'numpy'} & set(sys.modules)))"
    assert run_python(code).strip() == "[]"


def test_activation_comes_before_cupy(cp: Any) -> None:
    code = """
import cupy, tests.cuda_on_cpu
try:
    tests.cuda_on_cpu.activate()
except RuntimeError as error:
    print(error)
"""
    assert run_python(code).strip() == "tests.cuda_on_cpu.activate() has to be called before cupy is imported"


def test_stock_cupy_without_a_driver(cp: Any) -> None:
    """Not on the harness: what agrad says where CuPy is installed, and nothing else."""
    code = """
import sys
import agrad as ag
print(ag.zeros(3).tolist(), "cupy" in sys.modules)
print(ag.devices()["cuda"])
import cupy
print(cupy.__version__)
try:
    ag.zeros(3, device="cuda")
except ag.BackendUnavailableError as error:
    print(error)
"""
    host, listed, version, error = run_python(code).splitlines()
    assert host == "[0.0, 0.0, 0.0] False"
    assert listed.startswith(f"CuPy {version} found no usable CUDA driver: cudaErrorInsufficientDriver: ")
    assert error == f"device 'cuda' can't be used: {listed}"


def test_several_devices(cp: Any) -> None:
    code = """
import tests.cuda_on_cpu
tests.cuda_on_cpu.activate(devices=2)
import cupy
with cupy.cuda.Device(1):
    x = cupy.arange(3.0) + 1
print(x.device.id, cupy.asarray(x).device.id, cupy.asarray(x) * 2)
try:
    cupy.ones(3) + x
except ValueError as error:
    print(error)
"""
    first, second = run_python(code).strip().splitlines()
    assert first == "1 0 [2. 4. 6.]"
    assert second.startswith("The device where the array resides (1) is different from the current device (0)")


def test_memory_of_another_device_is_refused(cp: Any) -> None:
    code = """
import tests.cuda_on_cpu
tests.cuda_on_cpu.activate(devices=2)
import cupy, cupy.cublas
kernel = cupy.RawKernel('extern "C" __global__ void first(double* x) { *x = 7; }', "first")
with cupy.cuda.Device(1):
    x = cupy.ones((3, 3))
    y = cupy.ones((3, 3))
    x @ y
def attempt(function):
    try:
        function()
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("done")
attempt(lambda: kernel((1,), (1,), (x,)))
attempt(lambda: cupy.cublas.gemm("N", "N", x, y))
attempt(lambda: cupy.cuda.runtime.memcpyPeer(x.data.ptr, 0, y.data.ptr, 1, 8))
attempt(lambda: cupy.cuda.runtime.memcpyPeer(x.data.ptr, 1, y.data.ptr, 0, 8))
attempt(lambda: cupy.cuda.runtime.memcpyPeer(x.data.ptr, 1, y.data.ptr, 1, 8))
attempt(lambda: cupy.cuda.runtime.deviceEnablePeerAccess(1))
"""
    of_kernel, of_gemm, *of_copies, of_access = run_python(code).strip().splitlines()
    assert of_kernel.startswith("CUDADriverError CUDA_ERROR_ILLEGAL_ADDRESS")
    assert "CUBLAS_STATUS_EXECUTION_FAILED" in of_gemm
    assert of_copies == [*["CUDARuntimeError cudaErrorInvalidValue: invalid argument"] * 2, "done"]
    assert of_access.startswith("CUDARuntimeError cudaErrorPeerAccessUnsupported: peer access is not supported")


def test_copies_between_devices_are_counted(cp: Any) -> None:
    code = """
import tests.cuda_on_cpu
from tests.cuda_on_cpu import counting
tests.cuda_on_cpu.activate(devices=2)
import cupy
x = cupy.arange(5.0)
with counting() as cost, counting(device=1) as there, cupy.cuda.Device(1):
    y = cupy.asarray(x)
print(y.device.id, y.get(), cost.device_to_device, cost.host_to_device, cost.device_to_host, cost.live_bytes)
print(there.live_bytes > 0)
"""
    assert run_python(code).strip().splitlines() == ["1 [0. 1. 2. 3. 4.] 1 0 0 0", "True"]


def test_devices_can_be_let_into_each_other(cp: Any) -> None:
    code = """
import tests.cuda_on_cpu
from tests.cuda_on_cpu import tracing
tests.cuda_on_cpu.activate(devices=2, peer_access=True)
import cupy, warnings
warnings.simplefilter("ignore")
runtime = cupy.cuda.runtime
print(runtime.deviceCanAccessPeer(0, 1), runtime.deviceCanAccessPeer(1, 1))
with cupy.cuda.Device(1), tracing() as launches:
    x = cupy.arange(3.0)
print({launch.device for launch in launches})
print(cupy.ones(3) + x)
with cupy.cuda.Device(0):
    runtime.deviceDisablePeerAccess(1)
kernel = cupy.RawKernel('extern "C" __global__ void first(double* x) { *x = 7; }', "first")
try:
    kernel((1,), (1,), (x,))
except cupy.cuda.driver.CUDADriverError as error:
    print(error)
"""
    possible, devices, total, error = run_python(code).strip().splitlines()
    assert (possible, devices, total) == ("1 0", "{1}", "[1. 2. 3.]")
    assert error.startswith("CUDA_ERROR_ILLEGAL_ADDRESS")


def test_trace_in_a_file(cp: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trace"
    monkeypatch.setenv("AGRAD_CUDA_ON_CPU_TRACE", str(file))
    code = """
import tests.cuda_on_cpu
tests.cuda_on_cpu.activate()
import cupy, cupy.cublas
x = cupy.ones(3)
with tests.cuda_on_cpu.tracing() as launches:
    cupy.cublas.dot(x, x)
print(launches[-1].name, launches[-1].shape)
"""
    assert run_python(code).strip() == "cublasDdot_v2 (1, 1, 3, 1)"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["kind"], line["name"]) for line in lines][-2:] == [("kernel", "cupy_fill"), ("gemm", "cublasDdot_v2")]
    monkeypatch.setenv("AGRAD_CUDA_ON_CPU_TRACE", str(tmp_path / "nowhere" / "trace"))
    code = """
import tests.cuda_on_cpu
try:
    tests.cuda_on_cpu.activate()
except tests.cuda_on_cpu.HarnessUnavailable as error:
    print(error)
"""
    assert run_python(code).strip() == f"cannot write the trace to {tmp_path / 'nowhere' / 'trace'}"


def test_no_toolkit_is_used(cp: Any) -> None:
    code = """
import tests.cuda_on_cpu
tests.cuda_on_cpu.activate()
import cupy
x = cupy.ones((3, 3)) + cupy.eye(3)
cupy.linalg.inv(x @ x), cupy.fft.fft(x), cupy.sort(x), cupy.random.default_rng(0).random(3)
for line in open("/proc/self/maps"):
    path = line.split(maxsplit=5)[-1].strip()
    if ".so" in path:
        print(path)
"""
    loaded = {pathlib.Path(line) for line in run_python(code).split()}
    built = _build.ensure_built()
    stand_ins = {path.name for path in built.libraries}
    assert {path.parent for path in loaded if path.name in stand_ins} == {built.root}
    of_cuda = {path for path in loaded if path.name.startswith(("libcu", "libnv"))}
    assert {path.name for path in of_cuda} == stand_ins, "a library of a real CUDA was loaded"
    command = built.kernel_command(pathlib.Path("kernel.cpp"), pathlib.Path("kernel.so"), ())
    include = {pathlib.Path(part[2:]) for part in command if part.startswith("-I")}
    assert all(path == built.root or _build._site_packages() in path.parents for path in include)


def test_functions_want_an_active_harness() -> None:
    code = """
import tests.cuda_on_cpu
try:
    tests.cuda_on_cpu.counters()
except RuntimeError as error:
    print(error)
"""
    assert run_python(code).strip() == "tests.cuda_on_cpu.activate() has not been called"


def test_missing_compiler_is_a_reason(cp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    _build._compiler.cache_clear()
    try:
        with pytest.raises(HarnessUnavailable, match=r"g\+\+ is not installed"):
            _build.ensure_built()
    finally:
        _build._compiler.cache_clear()


def test_old_compiler_is_a_reason(cp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_build, "_run", lambda command: "9.4.0\n")
    _build._compiler.cache_clear()
    try:
        with pytest.raises(HarnessUnavailable, match=r"g\+\+ 12 or newer is needed, found 9\.4\.0"):
            _build.ensure_built()
    finally:
        _build._compiler.cache_clear()


def test_wrong_version_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_build, "_version", lambda distribution: "1.0")
    with pytest.raises(HarnessUnavailable, match=r"cupy-cuda13x 14\.2\.0 is needed, found 1\.0"):
        _build.ensure_built()


def complete(result: pathlib.Path) -> None:
    """Makes a directory look like a finished build."""
    built = _build.Built(result)
    for part in (*built.libraries, *built.modules.values(), built.prelude, _build._precompiled(built.prelude)):
        part.touch()


def test_two_builders_build_once(cp: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    builds = []

    def build(result: pathlib.Path, work: pathlib.Path, downloads: pathlib.Path) -> None:
        builds.append(result)
        time.sleep(0.2)
        complete(result)

    monkeypatch.setenv(_build.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(_build, "_build", build)
    found: list[_build.Built] = []
    threads = [threading.Thread(target=lambda: found.append(_build.ensure_built())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert found[0] == found[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["lock", found[0].root.name])


def test_damaged_build_is_replaced(cp: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv(_build.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(_build, "_build", lambda result, work, downloads: complete(result))
    built = _build.ensure_built()
    built.libraries[0].unlink()
    assert not built.is_complete()
    assert _build.ensure_built().is_complete()


def test_failed_build_leaves_nothing(cp: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    def build(result: pathlib.Path, work: pathlib.Path, downloads: pathlib.Path) -> None:
        (result / "half").write_text("done")
        raise HarnessUnavailable("no luck")

    monkeypatch.setenv(_build.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(_build, "_build", build)
    with pytest.raises(HarnessUnavailable, match="no luck"):
        _build.ensure_built()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_translation_finds_the_kernels() -> None:
    source = """
    #include <cupy/complex.cuh>
    // __global__ void in_a_comment()
    template <class T> __global__ void a_template(T* x) {}
    extern "C" __global__ void __launch_bounds__(128) wanted(float* x) {
        extern __shared__ __align__(8) unsigned char buffer[];
        __syncthreads();
    }
    """
    code, names = _compiler.translate(source, ["a_template<float>"])
    assert names == {"a_template<float>": "expression_0"}
    assert "CUDA_ON_CPU_EXPORT(wanted, true, wanted)" in code
    assert "CUDA_ON_CPU_EXPORT(expression_0, true, a_template<float>)" in code
    assert "EXPORT(a_template" not in code and "EXPORT(in_a_comment" not in code
    assert "unsigned char* buffer = (unsigned char*)cuda_on_cpu_dynamic_shared_memory;" in code
    assert "cupy/complex.cuh" not in code


def test_kernels_compile_for_real_gpus(cp: Any, tmp_path: pathlib.Path) -> None:
    if not nvrtc.available():
        pytest.skip("nvidia-cuda-nvrtc is not installed")
    x = cp.asarray(sample("float32", (4, 4)))
    before = set(cuda_on_cpu.compiled_kernels())
    square_and_add = cp.ElementwiseKernel("T x", "T y", "y = x * x + 43", "square_and_add")
    square_and_add(x)
    for kernel in set(cuda_on_cpu.compiled_kernels()) - before:
        kernel.save(tmp_path)
    _compiler.Kernel("__global__ void wrong() { undeclared(); }", (), ()).save(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.cuda_on_cpu.nvrtc", "--arch", "80", "--arch", "120", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "2 kernels for sm_80, sm_120, by NVRTC 13.2" in done.stdout
    assert "2 of 4 compilations failed" in done.stdout
    assert "undeclared" in done.stdout


def test_no_kernels_are_a_failure(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nvrtc.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith(f"no kernels in {tmp_path}: ")


def test_requested_kernels_are_remembered(cp: Any) -> None:
    cp.ElementwiseKernel("T x", "T y", "y = x + 41", "remembered")(cp.ones(3))
    kernels = [kernel for kernel in cuda_on_cpu.compiled_kernels() if "x + 41" in kernel.source]
    assert len(kernels) == 1
    assert kernels[0].name_expressions == ()
    assert not any(option.startswith("-I") for option in kernels[0].options)
