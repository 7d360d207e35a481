"""What a machine with a GPU says of agrad, and README.md's section about it.

`python -m tests.hardware` runs the tests that only a GPU can pass, the whole suite on the GPU, and the benchmarks there
beside PyTorch and JAX; then it writes what came out between two marks of README.md. `nox -s hardware` installs what
that takes. Figures of the harness in tests/cuda_on_cpu are never written there.
"""
