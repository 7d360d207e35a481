"""Where the suite finds CUDA: on the GPU of this machine, else on the harness that runs CuPy on the CPU."""

from tests import cuda_on_cpu

if not cuda_on_cpu.real_gpu():
    cuda_on_cpu.activate()
