"""The workloads, one module each: the data, what has to come out, and who takes part. None imports a peer's library."""

from benchmarks._workload import Workload
from benchmarks.workloads.capture import CAPTURE
from benchmarks.workloads.imports import IMPORT
from benchmarks.workloads.overhead import OVERHEAD
from benchmarks.workloads.scalar import SCALAR
from benchmarks.workloads.spiral import SPIRAL

WORKLOADS: tuple[Workload, ...] = (SPIRAL, CAPTURE, SCALAR, OVERHEAD, IMPORT)
