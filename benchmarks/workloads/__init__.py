"""The workloads, one module each: the data, what has to come out, and who takes part. None imports a peer's library."""

from benchmarks._workload import Workload
from benchmarks.workloads.black_scholes import BLACK_SCHOLES
from benchmarks.workloads.capture import CAPTURE
from benchmarks.workloads.chain import CHAIN
from benchmarks.workloads.imports import IMPORT
from benchmarks.workloads.memory import MEMORY
from benchmarks.workloads.mlp import MLP
from benchmarks.workloads.overhead import OVERHEAD
from benchmarks.workloads.scalar import SCALAR
from benchmarks.workloads.spiral import SPIRAL

WORKLOADS: tuple[Workload, ...] = (SPIRAL, CAPTURE, MLP, BLACK_SCHOLES, SCALAR, OVERHEAD, CHAIN, MEMORY, IMPORT)
