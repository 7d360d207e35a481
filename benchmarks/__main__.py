"""The entry of `python -m benchmarks`: makes the process single-threaded, then hands over to the command line.

Array libraries read these settings when they are imported, so nothing that imports one may be imported up here.
"""

import sys

from benchmarks._environment import use_one_thread

if __name__ == "__main__":
    use_one_thread()
    from benchmarks._cli import main

    sys.exit(main())
