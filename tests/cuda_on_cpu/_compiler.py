"""Stands in for NVRTC: turns CuPy's CUDA kernels into shared objects with g++.

A kernel's source is ordinary C++ once ``native/kernel_prelude.h`` has given it CUDA's built-in names; what is left
to do in text is to find the ``__global__`` functions and to give each an entry point that the stand-in for the
driver can call. CuPy keeps the result in its own cache on the disk, as it keeps cubins.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib
import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from ._build import Built

# Recognized by cuModuleLoadData in native/cuda_driver.cpp.
CUBIN_MAGIC = b"CPUCUBIN"

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_KERNEL = re.compile(
    r"(?P<template>template\s*<[^;{}]*>\s*)?"
    r'(?:extern\s+"C"\s*)?'
    r"__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?"
    r"(?P<name>\w+)\s*\("
)
_DYNAMIC_SHARED = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\([^)]*\)\s*)?(?P<type>[\w:<>\s]+?)\s+(?P<name>\w+)\s*\[\s*\]\s*;"
)
_BARRIER = re.compile(r"__sync(?:threads|warp)|__\w+_sync\b")
# CuPy's kernels for `partition` count on the threads of a warp going in lockstep without saying so. Here they do not,
# and the result would be wrong.
_LOCKSTEP = "bitonic_sort_step"
# What the precompiled prelude has included already (and some of it only works there).
_INCLUDED = re.compile(
    r"^[ \t]*#[ \t]*include[ \t]*<(?:cupy/(?:complex|carray|atomics|float16|bfloat16)\.cuh|cupy/math_constants\.h"
    r"|cuda_fp16\.h|cuda_bf16\.h)>",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel as CuPy handed it to its compiler."""

    source: str
    options: tuple[str, ...]
    """All but those that say where headers are, which differ from machine to machine."""
    name_expressions: tuple[str, ...]

    def save(self, directory: pathlib.Path) -> None:
        """Writes the kernel to a file of `directory` that is named after its contents."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json").write_text(text)

    @classmethod
    def load(cls, file: pathlib.Path) -> Kernel:
        """Reads what :meth:`save` has written."""
        fields = json.loads(file.read_text())
        return cls(fields["source"], tuple(fields["options"]), tuple(fields["name_expressions"]))


def translate(source: str, name_expressions: Sequence[str] = ()) -> tuple[str, dict[str, str]]:
    """The C++ source of a CUDA source, and the names under which its `name_expressions` are exported."""
    code = _COMMENT.sub(" ", source)
    barriers = "true" if _BARRIER.search(code) else "false"
    exports = {match["name"]: match["name"] for match in _KERNEL.finditer(code) if not match["template"]}
    mapping = {expression: f"expression_{i}" for i, expression in enumerate(name_expressions)}
    exports.update({symbol: expression for expression, symbol in mapping.items()})
    code = _INCLUDED.sub("", source)
    code = _DYNAMIC_SHARED.sub(r"\g<type>* \g<name> = (\g<type>*)cuda_on_cpu_dynamic_shared_memory;", code)
    entries = [f"CUDA_ON_CPU_EXPORT({symbol}, {barriers}, {exports[symbol]})" for symbol in exports]
    return "\n".join(['#include "kernel_prelude.h"', code, *entries, ""]), mapping


class Compiler:
    """Compiles kernels for one CuPy, and remembers which ones it got."""

    def __init__(self, built: Built, record: pathlib.Path | None = None) -> None:
        self._built = built
        self._record = record
        self.requested: dict[Kernel, None] = {}  # in order, each once
        self._binaries: dict[tuple[str, tuple[str, ...]], concurrent.futures.Future[bytes]] = {}

    def install(self) -> None:
        """Takes NVRTC's place in ``cupy.cuda.compiler``."""
        from cupy.cuda import compiler

        load_or_compile = compiler._compile_with_cache_cuda

        def remember(source: str, options: tuple[str, ...], arch: Any, *args: Any, **kwargs: Any) -> Any:
            names = kwargs.get("name_expressions") or (args[3] if len(args) > 3 else None) or ()
            kernel = Kernel(source, tuple(o for o in options if not o.startswith("-I")), tuple(names))
            module = load_or_compile(source, options, arch, *args, **kwargs)
            if kernel not in self.requested:
                self.requested[kernel] = None
                if self._record:
                    kernel.save(self._record)
            return module

        compiler._compile_with_cache_cuda = remember
        compiler._compile_using_nvrtc_no_warning = self._compile
        # Part of the key of CuPy's cache: the prelude and the flags are in the name of the cache's directory.
        compiler._preprocess = lambda *args, **kwargs: "CUDA on CPU"
        compiler._get_nvrtc_version = lambda: (13, 2)

    def _compile(
        self,
        source: str,
        options: Sequence[str] = (),
        arch: str | None = None,
        filename: str = "kern.cu",
        name_expressions: Sequence[str] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[bytes, dict[str, str] | None]:
        """The counterpart of ``cupy.cuda.compiler._compile_using_nvrtc_no_warning``."""
        code, mapping = translate(source, name_expressions or ())
        passed_on = tuple(option for option in options if option.startswith(("-I", "-D")))
        # Threads that start together want the same kernels together: one compiles, the others wait for it.
        key, mine = (code, passed_on), concurrent.futures.Future[bytes]()
        binary = self._binaries.setdefault(key, mine)
        if binary is mine:
            try:
                mine.set_result(self._run_compiler(code, passed_on, filename))
            except BaseException as error:
                mine.set_exception(error)
        return binary.result(), mapping or None

    def _run_compiler(self, code: str, options: tuple[str, ...], filename: str) -> bytes:
        from cupy.cuda import compiler

        if _LOCKSTEP in code:
            message = "this kernel needs the lockstep of a warp, which the CUDA-on-CPU harness does not have"
            raise compiler.CompileException(message, code, filename, options, "CUDA on CPU")
        with tempfile.TemporaryDirectory(prefix="cuda-on-cpu-") as scratch:
            path = pathlib.Path(scratch, "kernel.cpp")
            output = path.with_suffix(".so")
            path.write_text(code)
            done = subprocess.run(self._built.kernel_command(path, output, options), capture_output=True, text=True)
            if done.returncode:
                raise compiler.CompileException(done.stderr, code, filename, options, "CUDA on CPU")
            binary = output.read_bytes()
        return CUBIN_MAGIC + struct.pack("<Q", len(binary)) + binary
