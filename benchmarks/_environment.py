"""What a figure depends on besides the code: threads, versions, machine. Knows no workload, imports no library."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # not about threads: of a GPU that JAX sees, leave the others their part
}


def use_one_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask every numerical library for one thread; this only reaches those that are imported afterwards."""
    environment.update(ONE_THREAD)


def is_installed(library: str) -> bool:
    """Whether `library` can be imported, found out without importing it."""
    return importlib.util.find_spec(library) is not None


def version_of(library: str) -> str:
    """The version of an installed library; a source tree without metadata is asked for its `__version__`."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(library), "__version__", "unknown"))


@dataclass(frozen=True)
class Machine:
    """The class of machine that a figure was measured on."""

    cpu: str
    cores: int
    system: str
    python: str

    @classmethod
    def here(cls) -> "Machine":
        """The machine and the interpreter that this process runs on."""
        return cls(
            cpu=_cpu_model(),
            cores=os.cpu_count() or 1,
            system=f"{platform.system()} {platform.machine()}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
        )

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.system}, {self.python}"


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
