"""`python -m tests.conformance numpy FOLDER [pytest's options]`: run the suite on a backend and on agrad, and compare.

Ends with 1 where agrad is worse than its backend on a test, with 2 where the suite could not be run.
`python -m tests.conformance fetch FOLDER` clones the suite at the pinned commit, `check FOLDER` says if it is there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import suite
from .comparison import differences, summary

MODULES = {
    "numpy": ("array_api_compat.numpy", "agrad"),
    "strict": ("array_api_strict", "tests.conformance.agrad_on_strict"),
    "cupy": ("tests.conformance.cupy_itself", "tests.conformance.agrad_on_cupy"),
}
"""By backend: the module that it is itself, and agrad's namespace over it."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("task", choices=[*MODULES, "fetch", "check"])
    parser.add_argument("folder", type=Path, help="a checkout of the suite")
    chosen, options = parser.parse_known_args(arguments)
    folder = chosen.folder.resolve()
    try:
        if chosen.task == "fetch":
            suite.fetch(folder)
        suite.check(folder)
        return compare(chosen.task, folder, options) if chosen.task in MODULES else 0
    except suite.SuiteError as error:
        print(error, file=sys.stderr)
        return 2


def compare(backend: str, folder: Path, options: list[str]) -> int:
    print(f"{suite.REPOSITORY} at {suite.COMMIT[:7]}, standard {suite.VERSION}: {' '.join([*suite.OPTIONS, *options])}")
    theirs, ours = [suite.run(folder, module, options) for module in MODULES[backend]]
    print(summary(theirs, ours))
    return 1 if differences(theirs, ours)[0] else 0


if __name__ == "__main__":
    sys.exit(main())
