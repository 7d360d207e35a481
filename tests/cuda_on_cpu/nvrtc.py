"""Compiles recorded kernels with the real NVRTC, for GPUs that are not there.

Record them in any run of the tests, then compile them; neither needs a driver, and `nox -s "tests(cupy)" kernels` does
both::

    AGRAD_CUDA_ON_CPU_RECORD=kernels pytest tests --device cuda
    python -m tests.cuda_on_cpu.nvrtc kernels

g++ accepts some things that NVRTC does not (a lambda's name as a kernel's, say), so this is what proves that the
kernels exist on a GPU at all. Needs the wheel nvidia-cuda-nvrtc.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.metadata
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

from . import _build
from ._compiler import Kernel

# Turing, Ampere, Hopper, Blackwell. CUDA 13 has given up everything older.
ARCHITECTURES = ("75", "80", "90", "120")


def available() -> bool:
    """True when NVRTC is installed as a wheel."""
    try:
        importlib.metadata.version("nvidia-cuda-nvrtc")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def compile_kernel(kernel: Kernel, architecture: str, scratch: str) -> str | None:
    """Compiles one kernel to a cubin with the options that CuPy would give; the error message if that fails.

    Nearly all of the work is reading CuPy's headers, so NVRTC keeps them in the directory `scratch`, precompiled.
    """
    from cupy.cuda import compiler

    include = [f"-I{path}" for path in _build.include_directories()]
    added = ("-ftz=true", "--device-as-default-execution-space", f"-arch=sm_{architecture}")
    faster = ("-pch", f"-pch-dir={scratch}", "-pch-messages=false")
    program = compiler._NVRTCProgram(
        kernel.source, "kernel.cu", name_expressions=kernel.name_expressions or None, method="cubin"
    )
    try:
        binary, _ = program.compile((*include, *kernel.options, *added, *faster))
    except compiler.CompileException as error:
        return str(error)
    return None if binary.startswith(b"\x7fELF") else "the result is not a cubin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compiles the kernels of a directory; 1 when one of them fails, or when there is none."""
    parser = argparse.ArgumentParser(prog="python -m tests.cuda_on_cpu.nvrtc", description=main.__doc__)
    parser.add_argument("directory", type=pathlib.Path, help="where AGRAD_CUDA_ON_CPU_RECORD has put the kernels")
    parser.add_argument("--arch", action="append", help=f"compute capabilities (default: {' '.join(ARCHITECTURES)})")
    chosen = parser.parse_args(arguments)
    architectures = chosen.arch or ARCHITECTURES
    files = sorted(chosen.directory.glob("*.json"))
    if not files:
        print(f'no kernels in {chosen.directory}: nox -s "tests(cupy)" puts them there')
        return 1
    jobs = [(file, architecture) for architecture in architectures for file in files]  # headers are kept for each
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(lambda job: compile_kernel(Kernel.load(job[0]), job[1], scratch), jobs))
    failed = [(job, error) for job, error in zip(jobs, errors, strict=True) if error]
    for (file, architecture), error in failed:
        print(f"{file} for sm_{architecture}:\n{error}\n")
    version = importlib.metadata.version("nvidia-cuda-nvrtc")
    targets = ", ".join(f"sm_{architecture}" for architecture in architectures)
    print(f"{len(files)} kernels for {targets}, by NVRTC {version}")
    print(f"{len(failed)} of {len(jobs)} compilations failed ({time.perf_counter() - start:.1f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
