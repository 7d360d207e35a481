"""`python -m agrad`: the same as the console script `agrad`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
