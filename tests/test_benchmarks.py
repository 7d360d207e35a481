"""The benchmarks measure what they say they measure. Nothing is timed here: clocks are fakes, problems are small."""

import gc
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _cli
from benchmarks._environment import Machine, is_installed, use_one_thread, version_of
from benchmarks._measure import Contestant, Disagreement, check, differences, interleave
from benchmarks._report import Ratio, Report, Row
from benchmarks._workload import Peer, Problem, Workload
from benchmarks.reference import spiral_numpy
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.imports import ImportProblem
from benchmarks.workloads.overhead import PHASES, ChainProblem
from benchmarks.workloads.scalar import ScalarProblem
from benchmarks.workloads.spiral import SPIRAL, SpiralProblem

ROOT = Path(__file__).parent.parent

# -- the peers ---------------------------------------------------------------------------------------------------------

SMALL_PROBLEMS: dict[str, list[Problem]] = {
    "spiral": [SpiralProblem.draw()],
    "capture": [replace(SpiralProblem.draw(), steps=2)],
    "scalar": [ScalarProblem.draw(samples=8, hidden=4)],
    "overhead": [ChainProblem(np.array([0.5, -1.25, 2.0]), 50, phase) for phase in PHASES],
    "import": [ImportProblem()],
}


@pytest.mark.parametrize(
    ("workload", "peer", "problem"),
    [
        pytest.param(workload, peer, problem, id=f"{workload.name}-{peer.name}-{number}")
        for workload in WORKLOADS
        for peer in workload.peers
        for number, problem in enumerate(SMALL_PROBLEMS[workload.name])
    ],
)
def test_peer_computes_what_the_reference_computes(workload: Workload, peer: Peer, problem: Problem) -> None:
    if not peer.is_installed():
        pytest.skip(f"{peer.library} is not installed")
    check({peer.name: peer.enter(problem)}, problem.expected(), problem.steps, workload.tolerance)


def test_contestants_start_again_from_the_same_weights() -> None:
    problem = SpiralProblem.draw()
    agrad = next(peer for peer in SPIRAL.peers if peer.name == "agrad")
    contestant = agrad.enter(problem)
    for _ in range(2):
        check({"agrad": contestant}, problem.expected(), problem.steps, 1e-8)


def test_scalars_recurse_as_deep_as_it_takes() -> None:
    if not is_installed("mlfz"):
        pytest.skip("mlfz is not installed")
    from benchmarks.peers.mlfz import ScalarTraining

    before = sys.getrecursionlimit()
    problem = ScalarProblem.draw(samples=1100, hidden=1)
    check({"mlfz": ScalarTraining(problem)}, problem.expected(), problem.steps, 1e-8)
    assert sys.getrecursionlimit() == before


# -- the reference -----------------------------------------------------------------------------------------------------


def test_reference_is_frozen() -> None:
    digest = hashlib.sha256(Path(spiral_numpy.__file__).read_bytes()).hexdigest()
    assert digest == "b516e869c3c4940b21206e0d8e30cc7d2c27953de5d7a75d9deb760945e954c9"


def test_reference_descends_along_the_gradient_of_its_loss() -> None:
    problem = SpiralProblem.draw()

    def loss(weights: Sequence[np.ndarray]) -> float:
        return spiral_numpy.train(problem.xs, problem.ys, *(weight.copy() for weight in weights), 1)

    before, after = problem.fresh_weights(), problem.fresh_weights()
    spiral_numpy.train(problem.xs, problem.ys, *after, 1)
    generator, step = np.random.default_rng(2), 1e-6
    direction = [generator.standard_normal(weight.shape) for weight in before]
    up, down = ([w + sign * step * d for w, d in zip(before, direction, strict=True)] for sign in (1, -1))
    slope = sum(((w - v) / problem.rate * d).sum() for w, v, d in zip(before, after, direction, strict=True))
    assert (loss(up) - loss(down)) / (2 * step) == pytest.approx(slope, rel=1e-7)


# -- checking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        ({}, "no w at all"),
        ({"w": np.ones(3)}, "w has the shape (3,) instead of (2,)"),
        ({"w": np.array([1.0, 1e-6])}, "w is off by 1.0e-06, relative; 1e-08 is allowed"),
        ({"w": np.array([1.0, np.nan])}, "w is off by nan, relative; 1e-08 is allowed"),
    ],
)
def test_a_difference_is_described(outcome: dict[str, np.ndarray], fault: str) -> None:
    assert differences(outcome, {"w": np.array([1.0, 0.0])}, 1e-8) == [fault]


def test_rounding_is_no_difference() -> None:
    assert differences({"w": np.array([1.0, 1e-12])}, {"w": np.array([1.0, 0.0])}, 1e-8) == []


# -- measuring ---------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still unless somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Worker(Contestant):
    """Somebody whose steps take as long as given, a figure for each round."""

    def __init__(self, name: str, clock: Clock, seconds: Sequence[float], log: list[str]) -> None:
        self.name, self.clock, self.seconds, self.log = name, clock, iter(seconds), log

    def reset(self) -> None:
        self.clock.now += 1000.0  # which nobody may count

    def run(self, steps: int) -> None:
        self.log.append(self.name)
        self.clock.now += next(self.seconds) * steps

    def outcome(self) -> dict[str, np.ndarray]:
        return {}


def test_only_the_run_is_timed_and_divided_by_the_steps() -> None:
    clock = Clock()
    workers = {name: Worker(name, clock, figures, []) for name, figures in {"a": (2.0, 3.0), "b": (0.5, 0.25)}.items()}
    assert interleave(workers, steps=4, rounds=2, clock=clock) == {"a": (2.0, 3.0), "b": (0.5, 0.25)}


def test_every_round_has_everybody_once_in_an_order_of_its_own() -> None:
    clock, log = Clock(), []
    workers = {name: Worker(name, clock, [1.0] * 20, log) for name in "abcd"}
    interleave(workers, steps=1, rounds=20, clock=clock)
    rounds = [tuple(log[start : start + 4]) for start in range(0, len(log), 4)]
    assert all(sorted(order) == list("abcd") for order in rounds)
    assert len(set(rounds)) > 10


def test_the_ratio_is_the_median_over_rounds_and_not_the_ratio_of_medians() -> None:
    ratio = Ratio.of(seconds=(3.0, 4.0, 40.0), base=(1.0, 2.0, 4.0))
    assert ratio == Ratio(median=3.0, low=2.5, high=6.5)  # of 3, 2, 10; the medians are 4 and 2


def test_one_round_is_enough_for_a_ratio() -> None:
    assert Ratio.of((3.0,), (2.0,)) == Ratio(1.5, 1.5, 1.5)


def test_small_ratios_keep_their_digits() -> None:
    assert str(Ratio(median=0.00123, low=0.0009, high=12.345)) == "0.0012 (0.0009-12.35)"


def test_the_garbage_collector_is_left_as_it_was() -> None:
    class Failing(Worker):
        def run(self, steps: int) -> None:
            raise RuntimeError

    frozen = gc.get_freeze_count()
    with pytest.raises(RuntimeError):
        interleave({"a": Failing("a", Clock(), [], [])}, steps=1, rounds=1)
    assert gc.get_freeze_count() == frozen


# -- a workload and the command line -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counting:
    """The problem of counting up to the number of steps."""

    steps: int = 7

    def expected(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(7)}

    def settings(self) -> dict[str, str]:
        return {"kind": "counting"}


class Counter(Contestant):
    """Somebody who can count."""

    def __init__(self, problem: Counting) -> None:
        self.count = 0

    def reset(self) -> None:
        self.count = 0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.count += 1

    def outcome(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(self.count)}


class Miscounter(Counter):
    """Somebody who cannot."""

    def run(self, steps: int) -> None:
        self.count = steps + 1


def toy(*others: Peer) -> Workload:
    base = Peer("numpy", "the base", "numpy", f"{__name__}:Counter")
    return Workload("toy", "counting", "step", ("numpy",), (base, *others), lambda options: [Counting()], rounds=3)


GOOD = Peer("good", "a good one", "numpy", f"{__name__}:Counter")
WRONG = Peer("wrong", "a wrong one", "numpy", f"{__name__}:Miscounter")
MISSING = Peer("missing", "a missing one", "surely_not_installed", f"{__name__}:Counter")


def test_a_wrong_peer_is_refused_before_anything_is_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD, WRONG),))
    file = tmp_path / "figures.json"
    assert _cli.main(["toy", "--json", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert not file.exists()
    assert err == (
        "toy: not the same computation as the reference after 7 steps:\n"
        "  wrong: count is off by 1.4e-01, relative; 1e-08 is allowed\n"
    )


def test_all_wrong_peers_are_named() -> None:
    problem = Counting()
    with pytest.raises(Disagreement, match=r"(?s)one: count is off.*two: count is off"):
        check({"one": Miscounter(problem), "two": Miscounter(problem)}, problem.expected(), 7, 1e-8)


def test_a_missing_peer_is_listed() -> None:
    report = toy(GOOD, MISSING).report(Counting(), toy(GOOD, MISSING).peers, rounds=2)
    assert [row.name for row in report.rows] == ["numpy", "good", "missing"]
    assert report.rows[-1] == Row("missing", "a missing one", version=None)
    assert report.to_markdown().splitlines()[-1] == "| a missing one | not installed |  |  |"


def test_a_missing_base_leaves_its_column_empty() -> None:
    seconds = (1e-6, 3e-6, 2e-6)
    rows = (Row("a", "A", "1.0", seconds), Row("b", "B", None))
    report = Report(
        "toy", "counting", "step", {"kind": "counting"}, Machine("cpu", 2, "os", "python"), ("a", "b"), rows
    )
    assert report.to_markdown() == (
        "## toy: counting\n"
        "\n"
        "* kind counting\n"
        "* cpu, 2 cores, os, python\n"
        "\n"
        "| peer | version | µs per step | ratio to A | ratio to B |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| A | 1.0 | 2.00 | 1.00 (1.00-1.00) |  |\n"
        "| B | not installed |  |  |  |"
    )


def test_json_round_trips(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD, MISSING),))
    file = tmp_path / "figures.json"
    assert _cli.main(["toy", "--rounds", "4", "--json", str(file)]) == 0
    tables = capsys.readouterr().out
    (data,) = json.loads(file.read_text(encoding="utf-8"))
    assert data["settings"] == {"kind": "counting", "steps a round": 7, "rounds": 4}
    assert json.loads(json.dumps(Report.from_json(data).to_json())) == data
    base, good, missing = data["rows"]
    assert len(good["seconds"]) == 4
    assert good["ratios"]["numpy"]["median"] == np.median(np.divide(good["seconds"], base["seconds"]))
    assert (missing["version"], missing["microseconds"], missing["ratios"]) == (None, None, {})
    assert _cli.main(["show", str(file)]) == 0
    assert capsys.readouterr().out == tables


def test_chosen_peers_bring_the_bases_along() -> None:
    assert [peer.name for peer in toy(GOOD, WRONG, MISSING).chosen(["missing"])] == ["numpy", "missing"]


def test_unknown_peers_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD),))
    with pytest.raises(SystemExit, match="2"):
        _cli.main(["toy", "--peers", "good,nobody"])
    assert "nobody: toy has numpy, good" in capsys.readouterr().err


def test_rounds_are_positive(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(),))
    with pytest.raises(SystemExit, match="2"):
        _cli.main(["toy", "--rounds", "0"])
    assert "0 is not positive" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["spiral", "--device", "somewhere"], [{"device of agrad": "somewhere"}]),
        (["scalar", "--samples", "5", "--hidden", "2", "3"], [{"hidden neurons": 2}, {"hidden neurons": 3}]),
        (["overhead", "--length", "9", "--phase", "backward"], [{"phase": "backward"}]),
        (["import"], [{}]),
    ],
)
def test_options_reach_the_problems(arguments: list[str], settings: list[dict[str, object]]) -> None:
    options = _cli.parser().parse_args(arguments)
    problems = options.workload.problems(options)
    assert [wanted | dict(problem.settings()) for problem, wanted in zip(problems, settings, strict=True)] == [
        dict(problem.settings()) for problem in problems
    ]


def test_list_names_all_workloads_and_peers() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, "-W", "error", "-m", "benchmarks", "list"]
    listing = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    for workload in WORKLOADS:
        assert f"{workload.name}: {workload.title}\n" in listing
        assert all(f"  {peer.name} " in listing for peer in workload.peers)


# -- the environment ---------------------------------------------------------------------------------------------------


def test_one_thread_is_asked_for() -> None:
    environment = {"OMP_NUM_THREADS": "8", "HOME": "/home"}
    use_one_thread(environment)
    assert {environment[f"{library}_NUM_THREADS"] for library in ("OMP", "OPENBLAS", "MKL")} == {"1"}
    assert environment["HOME"] == "/home"


def test_numpy_is_imported_with_one_thread() -> None:
    code = (
        "import os, runpy, sys; sys.argv = ['benchmarks', 'import', '--peers', 'numpy', '--rounds', '1']\n"
        "class Spy:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'numpy': print('numpy with', os.environ.get('OPENBLAS_NUM_THREADS'), 'thread')\n"
        "sys.meta_path.insert(0, Spy())\n"
        "runpy.run_module('benchmarks', run_name='__main__')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("numpy with 1 thread\n")


def test_version_of_an_installed_library() -> None:
    assert version_of("numpy") == np.__version__


def test_version_of_a_source_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "only_a_source_tree.py").write_text('__version__ = "1.2.3"')
    monkeypatch.syspath_prepend(tmp_path)
    assert is_installed("only_a_source_tree")
    assert version_of("only_a_source_tree") == "1.2.3"


def test_machine_is_described() -> None:
    machine = Machine.here()
    assert machine.cpu
    assert f"{machine.cores} cores" in str(machine)
    assert machine.python == f"CPython {sys.version.split()[0]}" or not machine.python.startswith("CPython")
