"""The filler of the README's section about hardware: what it writes, where, and that it takes nothing else for that."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import agrad
from tests import cuda_on_cpu
from tests.cuda_on_cpu._build import CUPY_VERSION
from tests.hardware import __main__ as command
from tests.hardware.section import BEGIN, END, Card, Outcome, Table, filled, section

CARD = Card("NVIDIA H100", "9.0", 80 << 30, "580.82", "13.0", "14.2.0")
PAGE = f"# Title\n\n{BEGIN}\n\nold text\n\n{END}\n\nMore.\n"


def test_the_page_is_filled_between_the_marks() -> None:
    once = filled(PAGE, "new text\n")
    assert once == f"# Title\n\n{BEGIN}\n\nnew text\n\n{END}\n\nMore.\n"
    assert filled(once, "new text") == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", PAGE + BEGIN, PAGE + END, PAGE * 2])
def test_a_page_without_the_marks_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="has to have these marks, once each and in this order: <!--"):
        filled(page, "text")


def test_the_readme_has_the_marks() -> None:
    page = filled(command.README.read_text(encoding="utf-8"), "new text")
    assert page.index("## Devices and hardware") < page.index(f"{BEGIN}\n\nnew text\n\n{END}") < page.index("## Speed")


def test_the_section_says_what_ran_on_what() -> None:
    tests = [
        Outcome("one", 7, 0, 3, Counter({"this machine has one GPU": 2, "no torch": 1})),
        Outcome("two", 8000, 1, 5),
    ]
    tables = [Table("spiral", "## spiral: a step\n\n| a | b |"), Table("mlp", error="it broke")]
    text = section("0.1.0 at abc", CARD, "2026-01-02", tests, tables)
    assert text == (
        "agrad 0.1.0 at abc, 2026-01-02, on NVIDIA H100 (compute capability 9.0, 80 GiB, driver 580.82, CUDA 13.0, "
        "CuPy 14.2.0):\n\n| tests | passed | failed | skipped |\n|---|---:|---:|---:|\n| one | 7 | 0 | 3 |\n"
        "| two | 8000 | 1 | 5 |\n\nSkipped of one: this machine has one GPU (2); no torch (1).\n\n"
        "### spiral: a step\n\n| a | b |\n\n`python -m benchmarks mlp` failed: it broke"
    )
    of_harness = Card("CUDA on CPU", "9.0", 2 << 30, "", "13.2", "14.2.0", is_harness=True)
    text = section("0.1.0", of_harness, "2026-01-02", tests, tables)
    assert text.startswith("**This is no hardware.**")
    assert "driver" not in text


def test_without_a_gpu_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cuda_on_cpu, "real_gpu", lambda: False)
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert command.main(["--readme", str(page)]) == 2
    assert "nothing is written: no GPU here, and what is written about hardware" in capsys.readouterr().err
    assert page.read_text() == PAGE


def test_the_harness_is_not_taken_for_hardware(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = command.README.read_text(encoding="utf-8")
    link = tmp_path / "link.md"
    link.symlink_to(command.README)
    for arguments in ([], ["--readme", str(link)], ["--readme", str(command.ROOT / "docs" / "standard.md")]):
        assert command.main(["--harness", *arguments]) == 2
        assert "nothing is written: figures of the harness are not hardware's" in capsys.readouterr().err
    assert command.README.read_text(encoding="utf-8") == before

    def unavailable() -> None:
        raise cuda_on_cpu.HarnessUnavailable("a real GPU is present")

    monkeypatch.setattr(cuda_on_cpu, "activate", unavailable)
    assert command.main(["--harness", "--readme", str(tmp_path / "copy.md")]) == 2
    assert "the harness cannot be used: a real GPU is present" in capsys.readouterr().err


def test_what_agrad_misses_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def unavailable(name: str) -> None:
        raise agrad.BackendUnavailableError("CuPy is not installed")

    monkeypatch.setattr(cuda_on_cpu, "real_gpu", lambda: True)
    monkeypatch.setattr(command, "find_device", unavailable)
    assert command.main([]) == 2
    assert "nothing is written: CuPy is not installed" in capsys.readouterr().err


TESTS = """
import pytest

def test_passes(): pass
def test_fails(): assert False
@pytest.fixture
def broken(): raise RuntimeError
def test_error(broken): pass
@pytest.mark.parametrize("number", [1, 2])
def test_skipped(number): pytest.skip("why not")
"""


def test_tests_are_counted(tmp_path: Path) -> None:
    (tmp_path / "test_all.py").write_text(TESTS)
    assert command.run_tests("these", [str(tmp_path)]) == Outcome("these", 1, 2, 2, Counter({"why not": 2}))
    assert command.run_tests("these", ["--no-such-option"]) == Outcome("these: pytest ended with 4", 0, 1, 0)


def test_the_spiral_can_be_measured_on_a_gpu() -> None:
    assert "spiral" in command.workloads()
    assert "import" not in command.workloads()


def test_the_whole_way_on_the_harness(device: str, tmp_path: Path) -> None:
    if not device.startswith("cuda") or not cuda_on_cpu.is_active():
        pytest.skip("needs CuPy on the harness tests/cuda_on_cpu")
    page = tmp_path / "README.md"
    shutil.copy(command.README, page)
    arguments = ["--readme", str(page), "--tests", "tests/test_spiral.py", "tests/test_gpu.py", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.hardware", "--harness", *arguments, "--workloads", "spiral", "no-such"],
        cwd=command.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    text, _, after = rest.partition(END)
    readme = command.README.read_text(encoding="utf-8")
    assert readme.startswith(before) and readme.endswith(after)
    assert text.startswith("\n\n**This is no hardware.**")
    assert f"on CUDA on CPU 0 (compute capability 9.0, 2 GiB, CUDA 13.2, CuPy {CUPY_VERSION}):" in text
    assert "(`pytest -m gpu`) | 0 | 0 | " in text
    assert ": only a real GPU can show this: no CUDA driver found one (" in text
    assert "(`pytest --device cuda`) | 1 | 0 | 0 |" in text
    assert "\n### spiral: " in text and "agrad eager" in text
    assert "`python -m benchmarks no-such` failed: " in text and "invalid choice: 'no-such'" in text
