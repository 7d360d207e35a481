"""The benchmarks measure what they say they measure. Nothing is timed here: clocks are fakes, problems are small."""

import gc
import hashlib
import json
import math
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _cli, _memory, _plot, _text
from benchmarks._environment import Machine, is_installed, use_one_thread, version_of
from benchmarks._measure import Contestant, Disagreement, Unavailable, Weighed, check, differences, interleave
from benchmarks._report import Quantity, Ratio, Report, Row, tables, to_markdown
from benchmarks._workload import ALLOCATED, RESIDENT, Measure, Peer, Problem, Workload, add_device
from benchmarks.peers import _bases
from benchmarks.reference import deep_numpy, mlp_numpy, spiral_numpy
from benchmarks.workloads import WORKLOADS, chain
from benchmarks.workloads.black_scholes import BlackScholesProblem
from benchmarks.workloads.chain import DeepChainProblem
from benchmarks.workloads.imports import ImportProblem
from benchmarks.workloads.memory import MemoryProblem
from benchmarks.workloads.mlp import MLP, MlpProblem
from benchmarks.workloads.overhead import PHASES, ChainProblem
from benchmarks.workloads.scalar import ScalarProblem
from benchmarks.workloads.spiral import SPIRAL, SpiralProblem

ROOT = Path(__file__).parent.parent

# -- the peers ---------------------------------------------------------------------------------------------------------

SMALL_PROBLEMS: dict[str, list[Problem]] = {
    "spiral": [SpiralProblem.draw()],
    "capture": [replace(SpiralProblem.draw(), steps=2)],
    "mlp": [MlpProblem.draw((12, 7, 5), batch=9)],
    "black-scholes": [BlackScholesProblem.draw(100)],
    "scalar": [ScalarProblem.draw(samples=8, hidden=4)],
    "chain": [DeepChainProblem(np.array([0.5, -1.25, 2.0]), 50, "both")],
    "memory": [MemoryProblem(layers=3, width=20, batch=11)],
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


def slope_along(
    loss: Callable[[Sequence[np.ndarray]], float], at: Sequence[np.ndarray], gradients: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Along a random direction: the slope of the loss by central differences, and by the gradients."""
    generator, step = np.random.default_rng(2), 1e-6
    direction = [generator.standard_normal(array.shape) for array in at]
    up, down = ([w + sign * step * d for w, d in zip(at, direction, strict=True)] for sign in (1, -1))
    return (loss(up) - loss(down)) / (2 * step), sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))


def test_reference_is_frozen() -> None:
    digest = hashlib.sha256(Path(spiral_numpy.__file__).read_bytes()).hexdigest()
    assert digest == "b516e869c3c4940b21206e0d8e30cc7d2c27953de5d7a75d9deb760945e954c9"


def test_reference_descends_along_the_gradient_of_its_loss() -> None:
    problem = SpiralProblem.draw()

    def loss(weights: Sequence[np.ndarray]) -> float:
        return spiral_numpy.train(problem.xs, problem.ys, *(weight.copy() for weight in weights), 1)

    before, after = problem.fresh_weights(), problem.fresh_weights()
    spiral_numpy.train(problem.xs, problem.ys, *after, 1)
    numerical, by_hand = slope_along(loss, before, [(b - a) / problem.rate for b, a in zip(before, after, strict=True)])
    assert numerical == pytest.approx(by_hand, rel=1e-7)


def test_mlp_reference_descends_along_the_gradient_of_its_loss() -> None:
    problem = MlpProblem.draw((12, 7, 5), batch=9)
    x = problem.x.astype(np.float64)

    def loss(weights: Sequence[np.ndarray]) -> float:
        return mlp_numpy.train(np, x, problem.labels, *(weight.copy() for weight in weights), problem.rate, 1)

    before = [weight.astype(np.float64) for weight in problem.weights.values()]
    after = [weight.copy() for weight in before]
    mlp_numpy.train(np, x, problem.labels, *after, problem.rate, 1)
    numerical, by_hand = slope_along(loss, before, [(b - a) / problem.rate for b, a in zip(before, after, strict=True)])
    assert numerical == pytest.approx(by_hand, rel=1e-7)


def test_deep_reference_descends_along_the_gradient_of_its_loss() -> None:
    problem = MemoryProblem(layers=3, width=6, batch=7)
    x = problem.x().astype(np.float64)

    def train(weights: Sequence[np.ndarray]) -> float:
        pairs = list(zip(weights[::2], weights[1::2], strict=True))
        return deep_numpy.train(x, problem.labels(), pairs, problem.rate, 1)

    before = [array.astype(np.float64) for pair in problem.weights() for array in pair]
    after = [array.copy() for array in before]
    train(after)
    gradients = [(b - a) / problem.rate for b, a in zip(before, after, strict=True)]
    numerical, by_hand = slope_along(lambda weights: train([w.copy() for w in weights]), before, gradients)
    assert numerical == pytest.approx(by_hand, rel=1e-6)


def test_black_scholes_expects_the_derivatives_of_the_price() -> None:
    problem = BlackScholesProblem.draw(20)

    def normal(x: np.ndarray) -> np.ndarray:
        return np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in x])

    def total(arguments: Sequence[np.ndarray]) -> float:
        spot, volatility = arguments
        width = volatility * np.sqrt(problem.years)
        d1 = (np.log(spot / problem.strike) + (problem.rate + volatility**2 / 2) * problem.years) / width
        discounted = problem.strike * np.exp(-problem.rate * problem.years)
        return float((spot * normal(d1) - discounted * normal(d1 - width)).sum())

    greeks = problem.expected()
    numerical, exact = slope_along(total, [problem.spot, problem.volatility], [greeks["delta"], greeks["vega"]])
    assert numerical == pytest.approx(exact, rel=1e-6)


def test_the_budget_is_what_has_to_be_there() -> None:
    data = 4 * (5 * 3) + 8 * 5  # float32 samples, int64 labels
    parameters = 4 * (3 * 3 + 3 + 3 * 10 + 10)
    saved = 4 * (5 * 3 + 5 * 10)  # the result of relu, and of the logarithm of softmax
    working = 4 * (5 * 3)
    assert MemoryProblem(layers=2, width=3, batch=5).budget() == data + 2 * parameters + saved + working


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
    ratio = Ratio.of(figures=(3.0, 4.0, 40.0), base=(1.0, 2.0, 4.0))
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
    kind: str = "counting"

    def expected(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(7)}

    def settings(self) -> dict[str, str]:
        return {"kind": self.kind}


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


class Shy(Counter):
    """Somebody who does not want to."""

    def __init__(self, problem: Counting) -> None:
        raise Unavailable("sees no card")


class Miscounter(Counter):
    """Somebody who cannot."""

    def run(self, steps: int) -> None:
        self.count = steps + 1


STEP = Quantity("µs per step", 1e6)
HERE = Machine("cpu", 2, "os", "python")


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
    assert report.rows[-1] == Row(
        "missing", "a missing one", version=None, absence="surely_not_installed not installed"
    )
    assert to_markdown([report]).splitlines()[-1] == "| a missing one | surely_not_installed not installed |  |  |"


def test_a_missing_base_leaves_its_column_empty() -> None:
    seconds = (1e-6, 3e-6, 2e-6)
    rows = (Row("a", "A", "1.0", seconds), Row("b", "B", None, absence="not here"))
    report = Report("toy", "counting", STEP, {"kind": "counting"}, HERE, ("a", "b"), rows)
    assert to_markdown([report]) == (
        "## toy: counting\n"
        "\n"
        "* kind counting\n"
        "* cpu, 2 cores, os, python\n"
        "\n"
        "| peer | version | µs per step | ratio to A | ratio to B |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| A | 1.0 | 2.00 | 1.00 (1.00-1.00) |  |\n"
        "| B | not here |  |  |  |"
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
    assert len(good["figures"]) == 4
    assert good["ratios"]["numpy"]["median"] == np.median(np.divide(good["figures"], base["figures"]))
    assert good["figure"] == pytest.approx(np.median(good["figures"]) * 1e6)
    assert (missing["version"], missing["figure"], missing["ratios"]) == (None, None, {})
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
        (["spiral", "--device", "somewhere"], [{"device": "somewhere"}]),
        (
            ["mlp", "--sizes", "3", "4", "5", "--batch", "2", "--device", "somewhere"],
            [{"network": "3-4-5", "batch": 2, "device": "somewhere"}],
        ),
        (["black-scholes", "--size", "9", "--device", "somewhere"], [{"options": 9, "device": "somewhere"}]),
        (["chain", "--measure", "time", "--length", "4", "5"], [{"device": "cpu"}, {"device": "cpu"}]),
        (["chain", "--measure", "resident", "--length", "4", "100000"], [{"device": "cpu"}]),
        (["chain", "--length", "4"], [{"device": "cpu"}] * 2),
        (["chain", "--length", "4", "--device", "somewhere"], [{"device": "somewhere"}]),
        (
            ["memory", "--layers", "2", "--width", "4", "--batch", "3"],
            [{"layers": 2, "width": 4, "batch": 3}, {"layers": 2, "width": 4, "batch": 3}],
        ),
        (["scalar", "--samples", "5", "--hidden", "2", "3"], [{"hidden neurons": 2}, {"hidden neurons": 3}]),
        (["overhead", "--length", "9", "--phase", "backward"], [{"phase": "backward", "device": "cpu"}]),
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


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [ALLOCATED, RESIDENT], ids=["allocated", "resident"])
def test_memory_is_that_of_a_fresh_process(measure: Measure) -> None:
    if measure is RESIDENT and not _memory.CLEAR_REFS.exists():
        pytest.skip("Linux only")
    problem = MemoryProblem(layers=3, width=256, batch=8192)  # 8 MB an array
    peer = Peer("numpy", "by hand", "numpy", "benchmarks.peers.numpy:Memory")
    contestants = {"numpy": measure.enter(peer, problem)}
    check(contestants, problem.expected(), problem.steps, 1e-4)
    ((peak,),) = measure.figures(contestants, problem.steps, 1).values()
    assert 0.9 * problem.budget() < peak < 2 * problem.budget()


def test_memory_per_step() -> None:
    class Heavy(Weighed):
        peak = 700

        def reset(self) -> None: ...

        def run(self, steps: int) -> None: ...

        def outcome(self) -> dict[str, np.ndarray]:
            return {}

    per_node = chain.MEASURES["allocated"]
    assert per_node.figures({"heavy": Heavy()}, steps=7, rounds=2) == {"heavy": (100.0, 100.0)}
    assert ALLOCATED.figures({"heavy": Heavy()}, steps=7, rounds=1) == {"heavy": (700.0,)}


def test_what_is_not_pythons_is_not_traced() -> None:
    class Elsewhere(Counter):
        traced = False

    class Stranger(Peer):
        def kind(self) -> type[Contestant]:
            return Elsewhere

    with pytest.raises(Unavailable, match="not seen by tracemalloc"):
        ALLOCATED.enter(Stranger("toy", "toy", "numpy", ""), Counting())


def test_resident_memory_is_asked_of_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_memory, "CLEAR_REFS", tmp_path / "nothing")
    with pytest.raises(Unavailable, match="measured on Linux only"):
        RESIDENT.enter(GOOD, Counting())


def test_a_budget_is_not_measured() -> None:
    problem = MemoryProblem(layers=2, width=3, batch=5)
    budget = Peer("budget", "budget", "agrad", "benchmarks.peers.budget:Memory")
    contestant = ALLOCATED.enter(budget, problem)
    assert ALLOCATED.figures({"budget": contestant}, problem.steps, 1) == {"budget": (problem.budget(),)}


def test_long_chains_are_left_to_those_that_do_them_in_seconds() -> None:
    problem = DeepChainProblem(np.ones(3), 100_001, "both")
    for peer in chain.CHAIN.peers:
        if peer.name in ("mygrad", "autograd") and peer.is_installed():
            for measure in chain.MEASURES.values():
                with pytest.raises(Unavailable, match="left out beyond 100,000"):
                    measure.enter(peer, problem)


# -- devices -----------------------------------------------------------------------------------------------------------


def test_cards_have_numbers() -> None:
    assert [_bases.card(name) for name in ("cpu", "cuda", "cuda:1", "array_api_strict:device1")] == [None, 0, 1, None]


@pytest.mark.parametrize("workload", [w for w in WORKLOADS if "device" in _cli.parser().parse_args([w.name])])
def test_agrad_and_its_base_compute_the_same_on_every_device(workload: Workload, device: str) -> None:
    (problem, *_) = SMALL_PROBLEMS[workload.name]
    there = replace(problem, device=device)
    peers = [peer for peer in workload.peers if peer.library in ("agrad", "numpy") and peer.is_installed()]
    check({peer.name: peer.enter(there) for peer in peers}, there.expected(), there.steps, workload.tolerance)


@pytest.mark.parametrize("library", ["torch", "jax", "numpy"])
def test_who_does_not_see_the_card_takes_no_part(library: str) -> None:
    if not is_installed(library):
        pytest.skip(f"{library} is not installed")
    (peer,) = (peer for peer in MLP.peers if peer.name == library)
    problem = replace(MlpProblem.draw((2, 3, 4), batch=5), device="cuda:99")
    with pytest.raises(Unavailable, match=r"sees no cuda:99|cupy not installed"):
        peer.enter(problem)


def test_who_takes_no_part_is_listed_with_the_reason() -> None:
    shy = Peer("shy", "a shy one", "numpy", f"{__name__}:Shy")
    report = toy(shy).report(Counting(), toy(shy).peers, rounds=1)
    assert report.rows[-1] == Row("shy", "a shy one", np.__version__, (), "sees no card")
    assert to_markdown([report]).splitlines()[-1] == "| a shy one | sees no card |  |  |"


# -- sweeps, files and plots -------------------------------------------------------------------------------------------


def sweep(*values: int, workload: str = "toy") -> list[Report]:
    """Reports that differ in the setting `size`: A takes it in seconds, B twice as long, and C is missing at 30."""
    return [
        Report(
            workload,
            "sizes",
            STEP,
            {"size": value, "rounds": 1},
            HERE,
            ("a",),
            (
                Row("a", "A", "1.0", (value * 1e-6,)),
                Row("b", "B", "2.0", (value * 2e-6,)),
                Row("c", "C", "3.0", *(((), "too long") if value == 30 else ((value * 3e-6,),))),
                Row("d", "D", None, (), "not installed"),
            ),
            sweep="size",
        )
        for value in values
    ]


def test_a_sweep_is_one_table() -> None:
    (table,) = tables(sweep(5, 30))
    assert to_markdown(table) == (
        "## toy: sizes\n"
        "\n"
        "* rounds 1\n"
        "* cpu, 2 cores, os, python\n"
        "* µs per step, in brackets the ratio to A\n"
        "\n"
        "| size | version | 5 | 30 |\n"
        "| --- | --- | ---: | ---: |\n"
        "| A | 1.0 | 5.00 (1.00) | 30.0 (1.00) |\n"
        "| B | 2.0 | 10.0 (2.00) | 60.0 (2.00) |\n"
        "| C | 3.0, too long | 15.0 (3.00) |  |\n"
        "| D | not installed |  |  |"
    )


def test_other_reports_are_tables_of_their_own() -> None:
    single = [replace(report, sweep="") for report in sweep(5, 5)]
    other = [replace(report, quantity=Quantity("bytes", 1)) for report in sweep(7)]
    assert [len(table) for table in tables([*single, *sweep(5, 30), *other])] == [1, 1, 2, 1]


def test_a_sweep_survives_json() -> None:
    for report in sweep(5, 30):
        assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_base_that_was_never_measured_is_no_base() -> None:
    (table,) = tables([replace(report, bases=("d", "b")) for report in sweep(5)])
    assert "* µs per step, in brackets the ratio to B" in to_markdown(table).splitlines()


def test_tables_are_written_to_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD),))
    assert _cli.main(["toy", "--markdown", str(tmp_path / "tables.md")]) == 0
    assert (tmp_path / "tables.md").read_text(encoding="utf-8") + "\n" == capsys.readouterr().out


PAGE = (
    "# A page\n\n<!-- begin toy -->\n\nold\n\n<!-- end toy -->\n\nProse.\n\n<!-- begin other -->\n<!-- end other -->\n"
)


def test_tables_replace_what_is_between_their_markers() -> None:
    reports = [*sweep(5), *sweep(6, workload="elsewhere")]
    (table,) = tables(sweep(5))
    expected = PAGE.replace("old", to_markdown(table, heading=False))
    assert _text.with_tables(PAGE, reports) == expected
    assert _text.with_tables(expected, reports) == expected


def test_tables_are_written_into_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD),))
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text(PAGE, encoding="utf-8")
    assert _cli.main(["toy", "--into", str(page), "--json", str(figures)]) == 0
    written = page.read_text(encoding="utf-8")
    assert "| a good one |" in written
    assert "old" not in written
    page.write_text(PAGE, encoding="utf-8")
    assert _cli.main(["show", str(figures), "--into", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == written


def test_tables_of_one_workload_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (replace(toy(), name="first"), replace(toy(), name="second")))
    file = tmp_path / "figures.json"
    assert _cli.main(["all", "--json", str(file)]) == 0
    capsys.readouterr()
    assert _cli.main(["show", str(file), "--only", "second"]) == 0
    shown = capsys.readouterr().out
    assert "## second: counting" in shown
    assert "## first" not in shown


def test_a_page_without_markers_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD),))
    page = tmp_path / "page.md"
    page.write_text("# Nothing\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        _cli.main(["toy", "--into", str(page)])
    assert "page.md has no lines like <!-- begin spiral --> and <!-- end spiral -->" in capsys.readouterr().err


def test_tables_are_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD, MISSING),))
    assert _cli.main(["toy", "--plot", str(tmp_path / "bars.svg")]) == 0
    bars = (tmp_path / "bars.svg").read_text(encoding="utf-8")
    assert "a good one" in bars
    assert "a missing one" not in bars
    _plot.draw(list(tables(sweep(5, 30))), tmp_path / "lines.svg")
    lines = (tmp_path / "lines.svg").read_text(encoding="utf-8")
    assert [name in lines for name in ("<!-- A -->", "<!-- B -->", "<!-- C -->", "<!-- D -->")] == [
        True,
        True,
        True,
        False,
    ]


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_cli, "WORKLOADS", (toy(GOOD),))
    monkeypatch.setattr(_cli, "is_installed", lambda library: False)
    with pytest.raises(SystemExit, match="2"):
        _cli.main(["toy", "--plot", "bars.svg"])
    assert "argument --plot: needs matplotlib: python -m pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["all"]])
def test_all_workloads_run_and_one_that_fails_does_not_stop_the_others(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workloads = (replace(toy(WRONG), name="first"), replace(toy(GOOD), name="second"))
    monkeypatch.setattr(_cli, "WORKLOADS", workloads)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    assert _cli.main() == 1
    out, err = capsys.readouterr()
    assert "## second: counting" in out
    assert "## first" not in out
    assert err.startswith("first: not the same computation")


def test_all_workloads_take_their_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def somewhere(options: Namespace) -> list[Counting]:
        return [Counting(kind=options.device)]

    placed = replace(toy(), name="placed", problems=somewhere, add_options=add_device)
    monkeypatch.setattr(_cli, "WORKLOADS", (placed, toy()))
    file = tmp_path / "figures.json"
    assert _cli.main(["all", "--rounds", "2", "--device", "somewhere", "--json", str(file)]) == 0
    settings = [data["settings"] for data in json.loads(file.read_text(encoding="utf-8"))]
    assert [(each["kind"], each["rounds"]) for each in settings] == [("somewhere", 2), ("counting", 2)]


def test_the_page_of_results_has_a_place_for_every_workload() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert sorted(_text.sections(page)) == sorted(workload.name for workload in WORKLOADS)


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
