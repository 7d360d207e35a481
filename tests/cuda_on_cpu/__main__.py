"""``python -m tests.cuda_on_cpu MODULE ARGUMENTS``: what ``python -m MODULE ARGUMENTS`` does, with CuPy on the CPU."""

import runpy
import sys

from . import HarnessUnavailable, activate


def main() -> None:
    """Activates the harness and runs the module."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        activate()
    except HarnessUnavailable as reason:
        sys.exit(f"The CUDA-on-CPU harness is not available: {reason}")
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
