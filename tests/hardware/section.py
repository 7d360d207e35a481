"""The section as text: what it says of a card and of what ran on it, and its place in a page. Runs nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

BEGIN = "<!-- hardware: from here on written by `nox -s hardware` -->"
END = "<!-- hardware: to here -->"


@dataclass(frozen=True)
class Card:
    """A GPU, and what agrad reaches it through."""

    name: str
    capability: str
    memory: int
    """In bytes."""
    driver: str
    cuda: str
    cupy: str
    is_harness: bool = False

    def __str__(self) -> str:
        parts = [f"compute capability {self.capability}", f"{self.memory / 2**30:.0f} GiB"]
        parts += [*([f"driver {self.driver}"] if self.driver else []), f"CUDA {self.cuda}", f"CuPy {self.cupy}"]
        return f"{self.name} ({', '.join(parts)})"


@dataclass(frozen=True)
class Outcome:
    """How a run of tests went."""

    what: str
    passed: int
    failed: int
    skipped: int
    reasons: Counter[str] = field(default_factory=Counter)
    """Why tests were skipped, and how many for this reason."""


@dataclass(frozen=True)
class Table:
    """The benchmark of one workload as Markdown, or why there is none."""

    workload: str
    text: str = ""
    error: str = ""


def section(agrad: str, card: Card, date: str, tests: Sequence[Outcome], tables: Sequence[Table]) -> str:
    """What stands between the marks; `agrad` is the version, and the commit where it is known."""
    lines = [f"agrad {agrad}, {date}, on {card}:"]
    if card.is_harness:
        lines = [
            "**This is no hardware.** What follows was made on the harness in `tests/cuda_on_cpu`, which runs CuPy on",
            "the CPU, to see what this section would look like. Its times say nothing about a GPU.",
            "",
            *lines,
        ]
    lines += ["", "| tests | passed | failed | skipped |", "|---|---:|---:|---:|"]
    lines += [f"| {run.what} | {run.passed} | {run.failed} | {run.skipped} |" for run in tests]
    for run in tests:
        if run.reasons:
            reasons = "; ".join(f"{reason} ({number})" for reason, number in run.reasons.most_common())
            lines += ["", f"Skipped of {run.what}: {reasons}."]
    for table in tables:
        text = re.sub(r"^## ", "### ", table.text, flags=re.MULTILINE)
        lines += ["", text or f"`python -m benchmarks {table.workload}` failed: {table.error}"]
    return "\n".join(lines)


def filled(page: str, text: str) -> str:
    """The page with `text` between the marks, in place of what was there. Raises ValueError without the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the page has to have these marks, once each and in this order: {BEGIN} {END}")
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"
