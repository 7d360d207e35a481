"""``python -m tests.cuda_on_cpu.build``: builds the harness now rather than in the first test that wants it."""

import sys
import time

from . import HarnessUnavailable, ensure_built


def main() -> None:
    """Builds, and says where the result is and how long it took."""
    start = time.perf_counter()
    try:
        built = ensure_built()
    except HarnessUnavailable as reason:
        sys.exit(f"The CUDA-on-CPU harness is not available: {reason}")
    print(f"{built.root} ({time.perf_counter() - start:.1f} s)")


if __name__ == "__main__":
    main()
