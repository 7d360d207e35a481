"""Builds the native half of the CUDA-on-CPU harness, once, into a cache outside the source tree.

It needs g++ and the packages of ``requirements.txt``, no CUDA toolkit, no driver and no GPU. This module knows CuPy
as files on the disk only: it must not import it, because importing CuPy is what the result has to come before.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Sequence

CUPY_DISTRIBUTION = "cupy-cuda13x"
CUPY_VERSION = "14.2.0"
CUDA_VERSION = 13020
CYTHON_VERSION = "3.2.4"
OLDEST_COMPILER = 12  # the first g++ with _Float16 in C++
CACHE_VARIABLE = "AGRAD_CUDA_ON_CPU_CACHE"

NATIVE_SOURCES = pathlib.Path(__file__).parent / "native"

# CuPy's extension modules with CUDA code linked in statically: a stand-in library cannot get between them and
# CUDA, so they are translated again from CuPy's own sources and linked to the stand-ins. Every other module of
# the wheel is used as it is.
# Their names, and what is linked to each.
REPLACED_MODULES: dict[str, tuple[str, ...]] = {
    "cupy_backends.cuda.api.runtime": (),
    "cupy.random._generator_api": ("random_generator.cpp",),
}

# What is looked for to see whether the CUDA headers are there, and the wheel that has it.
CUDA_HEADERS = {"cuda_runtime_api.h": "nvidia-cuda-runtime", "crt/host_defines.h": "nvidia-cuda-crt"}

# Not -ffast-math, no contraction: a kernel's arithmetic is IEEE arithmetic in the order that it says.
# Some distributions turn _FORTIFY_SOURCE on by themselves; it takes the switch between stacks for an attack.
COMPILER_FLAGS = ("-std=c++17", "-fPIC", "-w", "-ffp-contract=off", "-U_FORTIFY_SOURCE")
KERNEL_FLAGS = (*COMPILER_FLAGS, "-O1", "-fpermissive")


class HarnessUnavailable(Exception):
    """The harness cannot work here. The message says why, ready to be the reason of a skipped test."""


@dataclasses.dataclass(frozen=True)
class StandIn:
    """A shared library that takes the place of one of CUDA's."""

    soname: str
    sources: tuple[str, ...]
    # CuPy's module that links to it. The functions that it asks for and that the sources do not define, known by
    # their prefix, answer with the library's status code for "not supported".
    client: str = ""
    prefix: str = ""
    not_supported: int = 0


DEVICE_SOURCES = ("cuda_driver.cpp", "cuda_runtime.cpp", "trace.cpp")

# In the order in which they are loaded. Those without a client are only there because CuPy makes sure that the
# libraries which its libraries need are found.
STAND_INS = (
    StandIn("libcuda.so.1", DEVICE_SOURCES, "cupy_backends.cuda.api.runtime", "cuda", 801),
    StandIn("libnvJitLink.so.13", ()),
    StandIn("libcublasLt.so.13", ()),
    StandIn("libcublas.so.13", ("cublas.cpp",), "cupy_backends.cuda.libs.cublas", "cublas", 15),
    StandIn("libcurand.so.10", ("curand.cpp",), "cupy_backends.cuda.libs.curand", "curand", 999),
    StandIn("libcusparse.so.12", (), "cupy_backends.cuda.libs.cusparse", "cusparse", 10),
    StandIn("libcufft.so.12", ("cufft.cpp",), "cupy.cuda.cufft", "cufft", 16),
    StandIn("libcusolver.so.12", ("cusolver.cpp",), "cupy_backends.cuda.libs.cusolver", "cusolver", 9),
)


@dataclasses.dataclass(frozen=True)
class Built:
    """Where the finished parts lie."""

    root: pathlib.Path

    @property
    def libraries(self) -> tuple[pathlib.Path, ...]:
        """The stand-ins for CUDA's libraries, in the order in which they have to be loaded."""
        return tuple(self.root / stand_in.soname for stand_in in STAND_INS)

    @property
    def modules(self) -> dict[str, pathlib.Path]:
        """The extension modules that replace those of the CuPy wheel, by their import names."""
        return {name: self.root / f"{name}.so" for name in REPLACED_MODULES}

    @property
    def kernel_cache(self) -> pathlib.Path:
        """Where CuPy keeps compiled kernels from run to run."""
        return self.root / "kernels"

    @property
    def prelude(self) -> pathlib.Path:
        """The header that every kernel starts with."""
        return self.root / "kernel_prelude.h"

    def is_complete(self) -> bool:
        """True when nothing is missing. Something may be: caches get cleaned, file by file."""
        parts = [*self.libraries, *self.modules.values(), self.prelude, _precompiled(self.prelude)]
        return all(part.exists() for part in parts)

    def kernel_command(self, source: pathlib.Path, output: pathlib.Path, options: Sequence[str]) -> list[str]:
        """The command that compiles one kernel; `options` are the ``-I`` and ``-D`` that CuPy asks for."""
        include = [f"-I{path}" for path in (self.root, *include_directories())]
        return [_compiler(), *KERNEL_FLAGS, "-shared", *include, *options, "-o", str(output), str(source)]


def ensure_built() -> Built:
    """Builds the harness unless that has been done, and says where it is.

    Raises :class:`HarnessUnavailable` when something is missing. Two processes may call this at the same time:
    the second waits for the first.
    """
    if not sys.platform.startswith("linux"):
        raise HarnessUnavailable(f"the CUDA-on-CPU harness runs on Linux only, not on {sys.platform}")
    _check_packages()
    cache = _cache_directory()
    built = Built(cache / _fingerprint())
    if built.is_complete():
        return built
    with _locked(cache):
        if not built.is_complete():
            shutil.rmtree(built.root, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as scratch:
                work = pathlib.Path(scratch)
                result = work / "result"
                result.mkdir()
                _build(result, work, cache / "downloads")
                result.rename(built.root)
    return built


# ---- what is there ----


def _check_packages() -> None:
    """Refuses versions that do not belong together, before they fail in a way that nobody can read."""
    for distribution, wanted in ((CUPY_DISTRIBUTION, CUPY_VERSION), ("cython", CYTHON_VERSION)):
        found = _version(distribution)
        if found != wanted:
            raise HarnessUnavailable(f"{distribution} {wanted} is needed, found {found or 'none'}")
    _compiler()
    _cuda_include_directory()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _compiler() -> str:
    path = shutil.which("g++")
    if path is None:
        raise HarnessUnavailable("g++ is not installed")
    version = _run([path, "-dumpfullversion"]).strip()
    if int(version.split(".")[0]) < OLDEST_COMPILER:
        raise HarnessUnavailable(f"g++ {OLDEST_COMPILER} or newer is needed, found {version}")
    return path


@functools.cache
def _cuda_include_directory() -> pathlib.Path:
    """The directory of the CUDA headers, all of which come from two wheels."""
    directory = _site_packages() / "nvidia" / "cu13" / "include"
    for header, distribution in CUDA_HEADERS.items():
        if not (directory / header).exists():
            raise HarnessUnavailable(f"the header {header} is missing, which {distribution} for CUDA 13 has")
    return directory


def _site_packages() -> pathlib.Path:
    return pathlib.Path(str(importlib.metadata.distribution(CUPY_DISTRIBUTION).locate_file("")))


def include_directories() -> list[pathlib.Path]:
    """Where a kernel's headers are: CuPy's own and CUDA's, all in wheels."""
    cupy = _site_packages() / "cupy" / "_core" / "include"
    bundled = [cupy / "cupy" / "_cccl" / part for part in ("cub", "thrust", "libcudacxx")]
    return [cupy, *bundled, _cuda_include_directory()]


def _extension_of_wheel(module: str) -> pathlib.Path:
    return _site_packages().joinpath(*module.split(".")).with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))


def _cache_directory() -> pathlib.Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    cache = pathlib.Path(chosen) if chosen else base / "agrad" / "cuda-on-cpu"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessUnavailable(f"cannot write to the cache {cache}: {error}") from error
    return cache.absolute()


def _fingerprint() -> str:
    """A name for everything that the result depends on: the sources, CuPy, Python, the compiler, the machine."""
    digest = hashlib.sha256()
    for path in sorted([*NATIVE_SOURCES.rglob("*.*"), pathlib.Path(__file__)]):
        digest.update(path.name.encode() + path.read_bytes())
    versions = [CUPY_VERSION, CYTHON_VERSION, sys.version, platform.machine(), str(_site_packages())]
    versions += [str(_version(distribution)) for distribution in CUDA_HEADERS.values()]
    versions.append(_run([_compiler(), "-dumpfullversion", "-dumpmachine"]))
    digest.update("\n".join(versions).encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(directory: pathlib.Path) -> Iterator[None]:
    # The system lets go of the lock when the process dies, so there are no stale ones.
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- building ----


def _run(command: Sequence[str | os.PathLike[str]], **options: object) -> str:
    """Runs a command; when it fails, what it said becomes the reason."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    except OSError as error:
        raise HarnessUnavailable(f"cannot run {command[0]}: {error}") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
        raise HarnessUnavailable(f"building the harness failed: {' '.join(map(str, command))}\n{said}")
    return str(done.stdout)


def _build(result: pathlib.Path, work: pathlib.Path, downloads: pathlib.Path) -> None:
    for header in NATIVE_SOURCES.glob("*.h"):
        shutil.copy2(header, result)
    (result / "kernels").mkdir()
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        prelude = pool.submit(_precompile, Built(result).prelude)
        objects = {source: pool.submit(_compile, NATIVE_SOURCES / source, work) for source in _native_sources()}
        sources = _translate_modules(work, downloads)
        modules = {name: pool.submit(_compile, source, work) for name, source in sources.items()}
        for name, module in modules.items():
            extra = [objects[source].result() for source in REPLACED_MODULES[name]]
            _link(result / f"{name}.so", [module.result(), *extra])
        for stand_in in STAND_INS:
            _link_stand_in(stand_in, [objects[source].result() for source in stand_in.sources], result, work)
        prelude.result()


def _native_sources() -> list[str]:
    return [source for part in (*(s.sources for s in STAND_INS), *REPLACED_MODULES.values()) for source in part]


def _compile(source: pathlib.Path, work: pathlib.Path) -> pathlib.Path:
    include = [NATIVE_SOURCES, NATIVE_SOURCES / "toolkit", _cuda_include_directory(), sysconfig.get_paths()["include"]]
    target = work / f"{source.stem}.o"
    # O3 for the loops of the matrix products; CuPy's wrappers are long and need no optimization.
    optimization = "-O3" if source.parent == NATIVE_SOURCES else "-O0"
    _run([_compiler(), *COMPILER_FLAGS, optimization, *(f"-I{path}" for path in include), "-c", source, "-o", target])
    return target


def _link(target: pathlib.Path, inputs: Sequence[str | os.PathLike[str]]) -> None:
    # The soname is what the modules of the wheel ask the loader for: a library that is loaded already answers.
    _run([_compiler(), "-shared", f"-Wl,-soname,{target.name}", "-o", target, *inputs])


def _link_stand_in(
    stand_in: StandIn, objects: Sequence[pathlib.Path], result: pathlib.Path, work: pathlib.Path
) -> None:
    """Links a stand-in; all but the first also to the device."""
    device = result / STAND_INS[0].soname
    inputs = [*objects, *([device] if device.exists() else [])]
    if stand_in.client:
        inputs.append(_compile(_refusals(stand_in, objects, result, work), work))
    _link(result / stand_in.soname, [*inputs, "-ldl"])


def _refusals(
    stand_in: StandIn, objects: Sequence[pathlib.Path], result: pathlib.Path, work: pathlib.Path
) -> pathlib.Path:
    """A source file that answers every function which the client needs and the objects lack."""
    client = result / f"{stand_in.client}.so"
    needed = _symbols(client if client.exists() else _extension_of_wheel(stand_in.client), "--undefined-only")
    defined = set[str]().union(*(_symbols(path, "--defined-only", dynamic=False) for path in objects))
    rest = sorted(name for name in needed - defined if name.startswith(stand_in.prefix))
    source = work / f"not_supported_by_{stand_in.prefix}.cpp"
    lines = [f"int {name}() {{ return {stand_in.not_supported}; }}" for name in rest]
    source.write_text("\n".join(['extern "C" {', *lines, "}", ""]))
    return source


def _symbols(library: pathlib.Path, which: str, dynamic: bool = True) -> set[str]:
    """The names that an object file needs or has, without the versions that some carry (``name@library``)."""
    listing = _run(["nm", *(["--dynamic"] if dynamic else []), which, library])
    return {line.split()[-1].split("@")[0] for line in listing.splitlines() if line.strip()}


def _precompiled(header: pathlib.Path) -> pathlib.Path:
    return header.with_name(header.name + ".gch")  # where g++ looks for it


def _precompile(header: pathlib.Path) -> None:
    include = [f"-I{path}" for path in (header.parent, *include_directories())]
    _run([_compiler(), *KERNEL_FLAGS, *include, "-x", "c++-header", header, "-o", _precompiled(header)])


# ---- CuPy's own modules ----

TRANSLATE = """
import Cython, Cython.Build, setuptools, sys
constants = dict(CUPY_USE_CUDA_PYTHON=False, CUPY_CUFFT_STATIC=False, CUPY_CYTHON_VERSION=Cython.__version__,
                 CUPY_CUDA_VERSION=int(sys.argv[1]), CUPY_HIP_VERSION=0)
modules = [setuptools.Extension(name, [name.replace(".", "/") + ".pyx"], language="c++") for name in sys.argv[2:]]
Cython.Build.cythonize(modules, language_level=3, compile_time_env=constants, quiet=True)
"""


def _translate_modules(work: pathlib.Path, downloads: pathlib.Path) -> dict[str, pathlib.Path]:
    """Turns the Cython sources of the replaced modules into C++, and says where."""
    sources = _cupy_sources(work, downloads)
    # The original of this header leads to cuRAND's; and it lies where the compiler looks first.
    shutil.copy2(NATIVE_SOURCES / "cupy_distributions.cuh", sources / "cupy" / "random")
    _run([sys.executable, "-c", TRANSLATE, str(CUDA_VERSION), *REPLACED_MODULES], cwd=sources)
    return {name: sources.joinpath(*name.split(".")).with_suffix(".cpp") for name in REPLACED_MODULES}


def _cupy_sources(work: pathlib.Path, downloads: pathlib.Path) -> pathlib.Path:
    """CuPy's source package, unpacked; downloaded unless an earlier build has done it."""
    archive = downloads / f"cupy-{CUPY_VERSION}.tar.gz"
    if not archive.exists():
        # pip asks the package for its metadata, and CuPy's setup asks for CUDA unless it is told to use stubs.
        environment = {**os.environ, "CUPY_INSTALL_USE_STUB": "1"}
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
        command += ["--no-binary", "cupy", "--dest", str(work), f"cupy=={CUPY_VERSION}"]
        _run(command, env=environment)
        downloads.mkdir(exist_ok=True)
        (work / archive.name).rename(archive)
    with tarfile.open(archive) as package:
        package.extractall(work, filter="data")
    return work / f"cupy-{CUPY_VERSION}"
