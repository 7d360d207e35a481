"""agrad's namespace on CuPy's first device, a GPU or the harness, as a module that the suite imports by name."""

from __future__ import annotations

from typing import Any

from agrad.backend import find_device

from . import _cuda  # noqa: F401 - before CuPy

_namespace = find_device("cuda:0").functions


def __getattr__(name: str) -> Any:
    return getattr(_namespace, name)
