"""Primitives for which CuPy has a quicker way than the plain Array API code."""

from __future__ import annotations

import operator
from collections.abc import Callable

from agrad._typing import Array

PRIMITIVES: dict[str, Callable[..., Array]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}
