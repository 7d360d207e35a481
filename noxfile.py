"""The project's automation: tests per backend, linters, types, doctests, the wheel, the official suite, the benchmarks.

`python -m pip install nox && nox` runs what needs nothing but Python and pip: the tests on NumPy and on
array-api-strict, lint, types, docs and wheel. The rest is asked for by name, for example `nox -s "tests(jax)"`, and
is skipped with a reason where the machine lacks something. What follows `--` goes to pytest, or to the benchmarks.

Sessions run on the Python that nox runs on. Another one, of 3.11 to 3.13, is asked for like this, where `-N` makes
the environments anew: `nox -N -s "tests(numpy)" --force-python 3.12`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests(numpy)", "tests(strict)", "lint", "types", "docs", "wheel"]
nox.options.reuse_existing_virtualenvs = True
# virtualenv comes with nox and brings its own pip, so this works where Python lacks ensurepip, and without uv.
nox.options.default_venv_backend = "virtualenv"

ROOT = Path(__file__).parent
PACKAGES = ["agrad", "agrad_cupy", "agrad_numpy"]
DEPENDENCIES = ["array-api-compat", "numpy"]

# What `pytest --device` is given, and what each backend needs besides the test extra.
DEVICES = {
    "numpy": "cpu",
    "strict": "array_api_strict:device1",
    "jax": "jax:cpu",
    "torch": "torch:cpu",
    "cupy": "cuda",
}
# On Linux, `torch` from PyPI is the CUDA build and brings several GB; say which one to take in AGRAD_TORCH.
TORCH = os.environ.get("AGRAD_TORCH", "torch")
REQUIREMENTS = {"jax": "jax", "torch": TORCH}

# The tests that docs/standard.md is written from.
RECORDED = ["--standard-table", "tests/test_functions.py::test_values", "tests/test_rules.py::test_rule"]

# One thread a process: the arrays of the tests are small, and the tests run in two processes.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "JAX_ENABLE_X64": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "PIP_PROGRESS_BAR": "off",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


@nox.session
@nox.parametrize("backend", [nox.param(name, id=name) for name in DEVICES])
def tests(session: nox.Session, backend: str) -> None:
    """Run the test suite on one backend; on NumPy with coverage, which must reach 95 % of the lines."""
    arguments = on_backend(session, backend)
    if backend == "numpy" and not session.posargs:  # a chosen part of the tests covers only a part
        arguments += ["--cov", "--cov-report=term", "--cov-fail-under=95"]
    if backend == "cupy":
        session.env["AGRAD_CUDA_ON_CPU_RECORD"] = str(recorded_kernels(session))
        if not session.posargs:  # all tests: what an older version of them used is not to be in the record
            shutil.rmtree(recorded_kernels(session), ignore_errors=True)
    session.run("pytest", *arguments, *session.posargs)


@nox.session
@nox.parametrize("backend", [nox.param(name, id=name) for name in DEVICES])
def table(session: nox.Session, backend: str) -> None:
    """Write down in docs/standard.md what the tests of the standard's functions say on one backend."""
    arguments = on_backend(session, backend)
    session.run("pytest", *arguments, *RECORDED)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: the rules and the formatting."""
    prepare(session)
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of agrad and of the backends with mypy --strict."""
    prepare(session)
    session.install("-e", ".[demo]", "mypy")
    session.run("mypy", "--strict")


@nox.session
def docs(session: nox.Session) -> None:
    """Run every example: of the docstrings, of README.md and of docs/*.md."""
    prepare(session)
    session.install("-e", ".[test]")
    session.env["SCIPY_ARRAY_API"] = "1"  # SciPy reads it when it is imported, which an earlier example may do
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    pages = [blank_the_fences(page, Path(session.create_tmp())) for page in texts]
    session.run(
        "pytest",
        "--doctest-modules",
        "--doctest-glob=*.md",
        "agrad",
        "backends/agrad_numpy",
        *map(str, pages),
    )


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distribution, install the wheel in a bare environment, check what arrived and that it works."""
    prepare(session)
    session.install("build", "virtualenv")
    temporary = Path(session.create_tmp()).resolve()
    shutil.rmtree(temporary)  # what an earlier run built
    session.run("python", "-m", "build", "--outdir", str(temporary / "dist"), silent=True)
    (built,) = (temporary / "dist").glob("*.whl")
    check_contents(session, built)

    session.run("python", "-m", "virtualenv", "--quiet", str(temporary / "bare"))
    scripts = temporary / "bare" / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    bare = installed(session, python)
    session.run(python, "-m", "pip", "install", "--quiet", str(built), external=True)
    arrived = sorted(installed(session, python) - bare)
    if arrived != sorted(["agrad", *DEPENDENCIES]):
        session.error(f"installing the wheel brought {arrived}")

    session.chdir(temporary)  # away from the checkout: what is imported is what was installed
    session.run(python, "-c", SMOKE_TEST, external=True)
    session.run(str(scripts / "agrad"), "devices", external=True)


@nox.session
@nox.parametrize("backend", [nox.param(name, id=name) for name in ("numpy", "strict", "cupy")])
def conformance(session: nox.Session, backend: str) -> None:
    """Run the Array API's official suite on agrad and on its backend; fail where agrad is worse on any test."""
    prepare(session)
    checkout = array_api_tests(session)
    session.install("-e", ".[test]", "-r", str(checkout / "requirements.txt"))
    if backend == "cupy":
        cupy_or_harness(session)
    session.run("python", "-m", "tests.conformance", backend, str(checkout), *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """Compile the kernels that `tests(cupy)` used on the harness with the real NVRTC, for GPUs of four generations."""
    prepare(session)
    if driver_cuda_version() is not None:
        session.skip("tests(cupy) runs on the GPU of this machine, for which NVRTC compiles its kernels")
    install_harness(session)
    session.run("python", "-m", "tests.cuda_on_cpu.nvrtc", str(recorded_kernels(session)), *session.posargs)


@nox.session
def hardware(session: nox.Session) -> None:
    """Run the tests and the benchmarks on the GPU of this machine, and write what comes out to README.md."""
    prepare(session)
    cuda = driver_cuda_version()
    if cuda is None:
        session.skip("no GPU here, and what README.md says of hardware has to come from hardware")
    session.install("-e", ".[test]", cupy_for(cuda))
    # The libraries that agrad is compared with, on the card if they can; a table says which of them are missing.
    for requirement in (TORCH, f"jax[cuda{13 if cuda >= 13 else 12}]"):
        session.run("python", "-m", "pip", "install", "--quiet", requirement, success_codes=[0, 1])
    session.run("python", "-m", "tests.hardware", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Time agrad and its peers; what is timed follows `--`, by default the spiral network."""
    prepare(session)
    with missing(session, f"pip cannot install {TORCH}, or another of the peers, here"):
        session.install(TORCH)
        session.install("-e", ".[bench]")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["spiral"]))


# -- what the sessions above use -----------------------------------------------------------------------------------


def prepare(session: nox.Session) -> None:
    """Set what every session has in its environment, and check that the environment is of the Python asked for."""
    session.env.update(ENVIRONMENT)
    version = session.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", silent=True, log=False)
    wanted = session.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    if str(version).strip() != wanted:
        session.error(f"the environment has Python {str(version).strip()}, not {wanted}: make it anew with `nox -N`")


def on_backend(session: nox.Session, backend: str) -> list[str]:
    """Install what the tests need on one backend; the arguments with which pytest runs them there."""
    prepare(session)
    session.install("-e", ".[test]")
    arguments = ["--device", DEVICES[backend], "-n", "2"]
    if backend == "cupy":
        arguments += cupy_or_harness(session)
    else:
        arguments += ["-m", "not gpu"]
    if backend in REQUIREMENTS:
        with missing(session, f"pip cannot install {REQUIREMENTS[backend]} here"):
            session.install(REQUIREMENTS[backend])
    return arguments


@contextmanager
def missing(session: nox.Session, reason: str) -> Iterator[None]:
    """Skip the session for this reason where a command fails; on CI, where nothing may be missing, fail."""
    try:
        yield
    except CommandFailed:
        if os.environ.get("CI"):
            raise
        session.skip(reason)


def array_api_tests(session: nox.Session) -> Path:
    """The official suite: the checkout that AGRAD_ARRAY_API_TESTS names, or else a clone.

    Without either the session is skipped, on CI too, which must not fail for a network that lets no clone through.
    """
    named = os.environ.get("AGRAD_ARRAY_API_TESTS")
    if named:
        session.run("python", "-m", "tests.conformance", "check", named)
        return Path(named).resolve()
    clone = Path(session.cache_dir).resolve() / "array-api-tests"
    try:
        session.run("python", "-m", "tests.conformance", "fetch", str(clone))
    except CommandFailed:
        session.skip("git can't clone data-apis/array-api-tests here; AGRAD_ARRAY_API_TESTS may name a checkout of it")
    return clone


def cupy_or_harness(session: nox.Session) -> list[str]:
    """Install CuPy for the GPU of this machine, or the harness that runs CuPy on its CPU; the arguments for pytest."""
    cuda = driver_cuda_version()
    if cuda is not None:
        package = cupy_for(cuda)
        session.log(f"CuPy runs on the GPU of this machine, whose driver supports CUDA {cuda}")
        with missing(session, f"pip cannot install {package} here"):
            session.install(package)
        return ["-n", "0"]  # in one process, since there are tests that take all the memory of the GPU
    install_harness(session)
    session.log("no GPU here: CuPy runs on the CPU, with the harness in tests/cuda_on_cpu")
    with missing(session, "no GPU here, and the harness that runs CuPy on the CPU cannot be built"):
        session.run("python", "-m", "tests.cuda_on_cpu.build")
    return ["-m", "not gpu"]


def install_harness(session: nox.Session) -> None:
    """Install what the harness needs; skip the session where it can't work."""
    if not sys.platform.startswith("linux") or shutil.which("g++") is None:
        session.skip("no GPU here, and the harness that runs CuPy on the CPU needs Linux and g++")
    with missing(session, "no GPU here, and pip cannot install what the harness that runs CuPy on the CPU needs"):
        session.install("-r", "tests/cuda_on_cpu/requirements.txt")


def recorded_kernels(session: nox.Session) -> Path:
    """Where `tests(cupy)` leaves the kernels that it used on the harness, for `kernels`."""
    return Path(session.cache_dir).resolve() / "kernels"


def driver_cuda_version() -> int | None:
    """The major version of CUDA that the driver supports; None on a machine without a driver or a card."""
    try:
        report = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"CUDA (?:UMD )?Version:\s*(\d+)", report)
    return int(version.group(1)) if version else None


def cupy_for(cuda: int) -> str:
    """CuPy's wheel for a driver, with the CUDA libraries that it needs."""
    return f"cupy-cuda{13 if cuda >= 13 else 12}x[ctk]"


def blank_the_fences(page: Path, folder: Path) -> Path:
    """Copy a Markdown page without its fences, which doctest would read as output; lines keep their numbers."""
    copy = folder / page.relative_to(ROOT)
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(re.sub(r"^ *```.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
    return copy


def check_contents(session: nox.Session, built: Path) -> None:
    """The wheel holds the three packages, each marked as typed, and nothing else."""
    names = set(zipfile.ZipFile(built).namelist())
    top = sorted({name.split("/")[0] for name in names if ".dist-info/" not in name})
    if top != PACKAGES:
        session.error(f"the wheel holds {top}, where {PACKAGES} is right")
    untyped = [package for package in PACKAGES if f"{package}/py.typed" not in names]
    if untyped:
        session.error(f"py.typed is missing in {untyped}")


def installed(session: nox.Session, python: str) -> set[str]:
    """The names of the distributions in an environment."""
    listing = session.run(python, "-m", "pip", "list", "--format=json", silent=True, external=True, stderr=None)
    return {distribution["name"].lower().replace("_", "-") for distribution in json.loads(str(listing))}


SMOKE_TEST = """
import importlib.metadata, importlib.util

import agrad

assert agrad.__version__ == importlib.metadata.version("agrad")
assert importlib.util.find_spec("backends") is None
x = agrad.Tensor([1.0, 2.0, 3.0])
(x * x).sum().backward()
assert x.grad.tolist() == [2.0, 4.0, 6.0], x.grad
print("agrad", agrad.__version__, "works from", agrad.__file__)
"""
