"""The comparison with the official suite: it sees what is worse, is silent on what the backend fails itself, and runs
the pinned suite or says why not. The suite here is a small one of our own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance import __main__ as command
from tests.conformance import suite
from tests.conformance.comparison import differences, summary
from tests.conformance.suite import Run, SuiteError

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run_of(module: str, messages: dict[str, str] | None = None, **outcomes: str) -> Run:
    return Run(module, outcomes, messages or {}, 1.0)


BACKEND = run_of("backend", add="passed", eig="failed", exp="failed", take="skipped", sort="passed")


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        *[("add", "failed"), ("add", "error"), ("add", "skipped"), ("add", "xfailed")],
        *[("eig", "error"), ("eig", "skipped"), ("take", "failed"), ("new", "failed"), ("new", "skipped")],
    ],
)
def test_what_is_new_is_worse(test: str, outcome: str) -> None:
    agrad = Run("agrad", {**BACKEND.outcomes, test: outcome}, {test: "the reason"}, 1.0)
    worse, better = differences(BACKEND, agrad)
    assert not better
    assert [str(found) for found in worse] == [
        f"{test}\n    {BACKEND.outcomes.get(test, 'missing')} -> {outcome}: the reason"
    ]


def test_a_missing_test_is_worse_whatever_the_backend_makes_of_it() -> None:
    agrad = run_of("agrad", exp="failed", take="skipped")
    assert [(found.test, found.agrad) for found in differences(BACKEND, agrad)[0]] == [
        ("add", "missing"),
        ("eig", "missing"),
        ("sort", "missing"),
    ]


def test_what_the_backend_fails_itself_is_no_difference() -> None:
    assert differences(BACKEND, BACKEND) == ([], [])


def test_what_only_agrad_passes_is_better() -> None:
    agrad = run_of("agrad", **{**BACKEND.outcomes, "eig": "passed", "take": "passed", "new": "passed"})
    worse, better = differences(BACKEND, agrad)
    assert not worse
    assert [(found.test, found.backend) for found in better] == [
        ("eig", "failed"),
        ("new", "missing"),
        ("take", "skipped"),
    ]


def test_the_summary_has_the_counts_and_the_tests() -> None:
    agrad = run_of("agrad", {"add": "no dtype"}, add="failed", eig="passed", exp="failed", take="skipped")
    assert summary(BACKEND, agrad).splitlines() == [
        "          passed   failed  skipped  seconds",
        "backend        2        2        1        1",
        "agrad          1        2        1        1",
        "",
        "better in agrad than in its backend: 1",
        "eig",
        "    failed -> passed",
        "",
        "worse in agrad than in its backend: 2",
        "add",
        "    passed -> failed: no dtype",
        "sort",
        "    passed -> missing",
    ]


# A suite of our own ---------------------------------------------------------------------------------------------------

CONFTEST = """
from hypothesis import settings

def pytest_configure(config):
    settings.register_profile("suite", derandomize=config.getoption("--derandomize"))
    settings.load_profile("suite")

def pytest_addoption(parser):
    for option in ("--derandomize", "--disable-deadline"):
        parser.addoption(option, action="store_true")
    parser.addoption("--max-examples", type=int)
"""
TESTS = """
import os, random
import pytest
from hypothesis import HealthCheck, settings

module = os.environ["ARRAY_API_TESTS_MODULE"]
assert os.environ["ARRAY_API_TESTS_VERSION"] == os.environ["ARRAY_API_STRICT_API_VERSION"] == "2025.12"

def test_passes():
    pass

def test_fails_in_both():
    assert "one and" == "the other"

def test_fails_in_worse():
    assert module != "worse", "a reason"

def test_fails_in_good():
    assert module != "good"

@pytest.fixture
def broken():
    raise RuntimeError("no fixture")

def test_error(broken):
    pass

def test_skipped():
    pytest.skip("nothing to test")

@pytest.mark.xfail(reason="known")
def test_xfailed():
    assert False

@pytest.mark.xfail(reason="known")
def test_xpassed():
    pass

@pytest.mark.parametrize("number", [1 if module == "worse" else 2])
def test_parameters(number):
    pass

def test_random():
    assert random.random() == {random}

def test_settings():
    assert settings().derandomize and settings().suppress_health_check == (HealthCheck.too_slow,)
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=all")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def own_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a submodule, as the official suite is one, at the commits that are pinned during this test."""
    specification = tmp_path / "array-api"
    specification.mkdir()
    (specification / "spec.txt").write_text("the standard")
    monkeypatch.setattr(suite, "SPECIFICATION", commit(specification))
    origin = tmp_path / "suite"
    tests = origin / "array_api_tests"
    tests.mkdir(parents=True)
    import random

    random.seed("array_api_tests/test_all.py::test_random")
    (tests / "test_all.py").write_text(TESTS.replace("{random}", repr(random.random())))
    (tests / "test_broken.py").write_text("import no_such_module")
    (origin / "conftest.py").write_text(CONFTEST)
    git(origin, "init", "--quiet")
    git(origin, "submodule", "--quiet", "add", str(specification), "array-api")
    monkeypatch.setattr(suite, "COMMIT", commit(origin))
    monkeypatch.setattr(suite, "REPOSITORY", str(origin))
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    return origin


@needs_git
def test_a_run_has_the_outcome_of_each_test_and_leaves_the_folder_as_it_is(own_suite: Path) -> None:
    before = sorted(own_suite.rglob("*"))
    found = suite.run(own_suite, "good")
    assert {test.rpartition("::")[2]: outcome for test, outcome in found.outcomes.items()} == {
        "array_api_tests/test_broken.py": "error",
        "test_passes": "passed",
        "test_fails_in_both": "failed",
        "test_fails_in_worse": "passed",
        "test_fails_in_good": "failed",
        "test_error": "error",
        "test_skipped": "skipped",
        "test_xfailed": "xfailed",
        "test_xpassed": "xpassed",
        "test_parameters[2]": "passed",
        "test_random": "passed",
        "test_settings": "passed",
    }
    name = "array_api_tests/test_all.py::test_"
    assert "nothing to test" in found.messages[f"{name}skipped"]
    assert "one and" in found.messages[f"{name}fails_in_both"]
    assert "no fixture" in found.messages[f"{name}error"]
    assert "no_such_module" in found.messages["array_api_tests/test_broken.py"]
    assert found.module == "good" and found.seconds > 0
    assert sorted(own_suite.rglob("*")) == before


@needs_git
def test_the_command_compares(
    own_suite: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MODULES", {"numpy": ("good", "worse"), "strict": ("good", "good")})
    assert command.main(["numpy", str(own_suite), "-n0"]) == 1
    printed = capsys.readouterr().out
    assert "--max-examples=20" in printed
    assert "better in agrad than in its backend: 2\n" in printed and "test_parameters[1]\n" in printed
    assert "worse in agrad than in its backend: 2\n" in printed and "passed -> missing" in printed
    assert "test_fails_in_worse\n    passed -> failed: " in printed and "a reason" in printed
    assert command.main(["strict", str(own_suite), "-n0", "-k", "passes"]) == 0
    assert "-n2 -n0 -k passes" in (printed := capsys.readouterr().out)
    assert "worse in agrad than in its backend: 0" in printed


@needs_git
def test_a_run_without_tests_is_an_error(own_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["numpy", str(own_suite), "--no-such-option"]) == 2
    assert "pytest ended with 4 on array_api_compat.numpy:" in (error := capsys.readouterr().err)
    assert "--no-such-option" in error


@needs_git
def test_the_suite_is_the_pinned_one(own_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.check(own_suite)
    with pytest.raises(SuiteError, match=r"array-api is not a checkout of .*suite"):
        suite.check(tmp_path / "array-api")
    (own_suite / "conftest.py").write_text("changed")
    with pytest.raises(SuiteError, match=r"suite is not as it was committed: M conftest\.py"):
        suite.check(own_suite)
    git(own_suite, "checkout", "conftest.py")
    pinned, specification = suite.COMMIT, suite.SPECIFICATION
    monkeypatch.setattr(suite, "SPECIFICATION", "0" * 40)
    with pytest.raises(SuiteError, match=rf"array-api is at commit {specification}: check out {'0' * 40}"):
        suite.check(own_suite)
    monkeypatch.setattr(suite, "COMMIT", "1" * 40)
    with pytest.raises(SuiteError, match=rf"suite is at commit {pinned}: check out {'1' * 40}, at which"):
        suite.check(own_suite)
    exported = tmp_path / "exported"
    shutil.copytree(own_suite / "array_api_tests", exported / "array_api_tests")
    with pytest.raises(SuiteError, match=rf"exported is not a git checkout, so its commit is unknown: {'1' * 40}"):
        suite.check(exported)


@needs_git
def test_the_command_says_which_commit_is_wrong(
    own_suite: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "COMMIT", "1" * 40)
    for task in ("numpy", "check"):
        assert command.main([task, str(own_suite)]) == 2
        assert f"check out {'1' * 40}" in capsys.readouterr().err


@needs_git
def test_a_clone(own_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    assert command.main(["fetch", str(clone)]) == 0
    assert (clone / "array-api" / "spec.txt").exists()
    monkeypatch.setattr(suite, "REPOSITORY", str(tmp_path / "nowhere"))
    suite.fetch(clone)  # it is there already
    with pytest.raises(SuiteError, match=r"git fetch in .*another: .*nowhere"):
        suite.fetch(tmp_path / "another")


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SuiteError, match=r"git init in .*: .*No such file"):
        suite.fetch(tmp_path)


def test_the_modules_of_cupy_are_its_own_namespace_and_agrads(device: str) -> None:
    if not device.startswith("cuda"):
        pytest.skip("needs CuPy, on a GPU or on the harness")
    from tests.conformance import agrad_on_cupy, cupy_itself

    x = agrad_on_cupy.zeros(2)
    assert x.device == "cuda:0"
    assert type(x.value) is type(cupy_itself.zeros(2)) is cupy_itself.ndarray
    assert cupy_itself.__array_namespace_info__().capabilities()["boolean indexing"]
    assert not hasattr(cupy_itself, "no_such_function") and not hasattr(agrad_on_cupy, "no_such_function")


def test_the_module_over_strict_is_the_namespace_of_its_second_device() -> None:
    pytest.importorskip("array_api_strict")
    from tests.conformance import agrad_on_strict

    x = agrad_on_strict.zeros(2)
    assert x.device == "array_api_strict:device1"
    assert agrad_on_strict.float64 == x.dtype
    assert agrad_on_strict.__array_namespace_info__().default_device() == x.device
    assert not hasattr(agrad_on_strict, "no_such_function")
