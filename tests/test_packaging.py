"""What pyproject.toml promises: one version, two dependencies, three packages, the extras that the README names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import agrad

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PACKAGES = ["agrad", "backends/agrad_numpy", "backends/agrad_cupy"]


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, without their bounds."""
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements}


def test_the_version_has_one_source() -> None:
    assert "version" in PROJECT["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "agrad/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", agrad.__version__)


def test_two_dependencies_and_no_more() -> None:
    assert names(PROJECT["dependencies"]) == {"numpy", "array-api-compat"}
    assert PROJECT["requires-python"] == ">=3.11"


def test_extras() -> None:
    extras = {extra: names(requirements) for extra, requirements in PROJECT["optional-dependencies"].items()}
    assert extras.keys() == {"cuda12", "cuda13", "demo", "bench", "test", "dev"}
    assert extras["cuda12"] == {"cupy-cuda12x"}
    assert extras["cuda13"] == {"cupy-cuda13x"}
    assert extras["demo"] == {"matplotlib", "tqdm"}
    assert extras["bench"] >= {"autograd", "jax", "mlfz", "mygrad", "micrograd", "torch"}
    assert extras["test"] >= {"pytest", "hypothesis", "array-api-strict"}
    assert extras["dev"] == {"mypy", "nox", "ruff"}


def test_the_console_script_is_declared() -> None:
    assert PROJECT["scripts"] == {"agrad": "agrad.cli:main"}


def test_three_packages_are_installed_and_each_is_typed() -> None:
    assert PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file(), package


def test_backends_is_a_folder_and_no_package() -> None:
    assert not (ROOT / "backends" / "__init__.py").exists()
    assert sorted(path.parent.name for path in ROOT.glob("backends/*/__init__.py")) == ["agrad_cupy", "agrad_numpy"]
