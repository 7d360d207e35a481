"""`python -m tests.hardware`: run agrad on the GPU of this machine, and write down in README.md what came out.

Ends with 1 where a test or a benchmark fails, which is written down too, and with 2, having written nothing, where
there is no GPU. `--harness --readme COPY` does the same on the CPU, for a copy of the page outside the checkout.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import agrad
from agrad.backend import find_device
from tests import cuda_on_cpu

from .section import Card, Outcome, Table, filled, section

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"

ONLY_HERE, EVERYTHING = "what only hardware shows (`pytest -m gpu`)", "the suite on the GPU (`pytest --device cuda`)"


class Refused(Exception):
    """Why nothing is run and nothing written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and write; the exit status is in the module's docstring."""
    parser = ArgumentParser(prog="python -m tests.hardware", description=__doc__)
    parser.add_argument("--readme", type=Path, default=README, help="the page to write to (default: %(default)s)")
    parser.add_argument("--harness", action="store_true", help="on the CPU, to see what the section looks like")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="pytest's arguments (default: all tests)")
    parser.add_argument("--workloads", nargs="*", help="the benchmarks (default: all that can run on a GPU)")
    parser.add_argument("--rounds", type=int, help="the benchmarks' rounds (default: what each has)")
    options = parser.parse_args(arguments)
    try:
        card = card_for(options.harness, options.readme)
        filled(options.readme.read_text(encoding="utf-8"), "")  # better now than when all has run
    except (Refused, OSError, ValueError) as reason:
        print(f"nothing is written: {reason}", file=sys.stderr)
        return 2
    tests = [run_tests(ONLY_HERE, ["-m", "gpu", *options.tests])]
    tests += [run_tests(EVERYTHING, ["--device", "cuda", "-m", "not gpu", *options.tests])]
    tests[1].reasons.clear()  # there are too many, and they are those of every device
    tables = [run_benchmark(name, options) for name in options.workloads or workloads()]
    text = section(version(), card, datetime.date.today().isoformat(), tests, tables)
    print(text)
    options.readme.write_text(filled(options.readme.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(f"\nwritten to {options.readme}")
    return 1 if any(run.failed or not run.passed + run.skipped for run in tests) or any(t.error for t in tables) else 0


def card_for(harness: bool, readme: Path) -> Card:
    """The card to run on. Raises Refused where that is not one, or where it would be taken for one."""
    if harness:
        if readme.resolve().is_relative_to(ROOT):
            raise Refused(f"figures of the harness are not hardware's: {readme} is a page of the checkout, not a copy")
        try:
            cuda_on_cpu.activate()
        except cuda_on_cpu.HarnessUnavailable as reason:
            raise Refused(f"the harness cannot be used: {reason}") from None
    elif not cuda_on_cpu.real_gpu():
        raise Refused("no GPU here, and what is written about hardware has to come from hardware")
    try:
        find_device("cuda")
    except agrad.BackendUnavailableError as reason:
        raise Refused(str(reason)) from None
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    cuda = cupy.cuda.runtime.driverGetVersion()
    return Card(
        name=properties["name"].decode(),
        capability=f"{properties['major']}.{properties['minor']}",
        memory=properties["totalGlobalMem"],
        driver=driver_version(),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}",
        cupy=cupy.__version__,
        is_harness=harness,
    )


def driver_version() -> str:
    """The version of the driver by its own count; "" where nobody says."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def version() -> str:
    """agrad's version, and the commit in a checkout."""
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True)
    return f"{agrad.__version__} at {done.stdout.strip()}" if done.returncode == 0 else agrad.__version__


def run_tests(what: str, arguments: Sequence[str]) -> Outcome:
    """Run pytest in a process of its own, which shows its progress, and count."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments]
        done = subprocess.run(command, cwd=ROOT)
        if not report.exists():
            return Outcome(f"{what}: pytest ended with {done.returncode}", 0, 1, 0)
        cases = list(ElementTree.parse(report).iter("testcase"))
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skips = [skip.get("message", "") for case in cases if (skip := case.find("skipped")) is not None]
    return Outcome(what, len(cases) - failed - len(skips), failed, len(skips), Counter(skips))


def workloads() -> list[str]:
    """The benchmarks that can be told to use a GPU."""
    from benchmarks.workloads import WORKLOADS

    def options_of(workload: object) -> str:
        parser = ArgumentParser()
        workload.add_options(parser)  # type: ignore[attr-defined]
        return parser.format_help()

    return [workload.name for workload in WORKLOADS if "--device" in options_of(workload)]


def run_benchmark(name: str, options: Namespace) -> Table:
    """Measure one workload on the GPU, with all peers that are installed, in a process of its own."""
    print(f"benchmark {name}", flush=True)
    launcher = ["tests.cuda_on_cpu", "benchmarks"] if options.harness else ["benchmarks"]
    environment = {variable: value for variable, value in os.environ.items() if variable != "JAX_PLATFORMS"}
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch, "figures.json")
        rounds = [] if options.rounds is None else ["--rounds", str(options.rounds)]
        for command in ([name, "--device", "cuda", *rounds, "--json", str(figures)], ["show", str(figures)]):
            done = subprocess.run(
                [sys.executable, "-m", *launcher, *command], cwd=ROOT, env=environment, capture_output=True, text=True
            )
            if done.returncode:
                return Table(name, error=(done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return Table(name, text=done.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
