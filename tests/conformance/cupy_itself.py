"""CuPy as array-api-compat completes it, on a GPU or on the harness, as a module that the suite imports by name."""

from __future__ import annotations

from typing import Any

from . import _cuda  # noqa: F401 - before CuPy

import array_api_compat.cupy as _cupy  # isort: skip


def __getattr__(name: str) -> Any:
    return getattr(_cupy, name)
