"""The result of a measurement as a record, as a Markdown table and as JSON. Knows no library and measures nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import starmap
from operator import truediv
from statistics import median, quantiles
from typing import Any

from benchmarks._environment import Machine


@dataclass(frozen=True)
class Ratio:
    """How many times as long as a base: the median over the rounds, and between what the middle half of them is."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Iterable[float], base: Iterable[float]) -> "Ratio":
        """The ratio of figures to the base's figures of the same rounds."""
        ratios = list(starmap(truediv, zip(seconds, base, strict=True)))
        low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return cls(median(ratios), low, high)

    def __str__(self) -> str:
        return f"{_ratio(self.median)} ({_ratio(self.low)}-{_ratio(self.high)})"


@dataclass(frozen=True)
class Row:
    """One peer: what it is, and the seconds per step that it took in each round, or why there are none."""

    name: str
    label: str
    version: str | None
    seconds: tuple[float, ...] = ()
    absence: str = ""

    @property
    def microseconds(self) -> float | None:
        """The median over the rounds; None if nothing was measured."""
        return median(self.seconds) * 1e6 if self.seconds else None


@dataclass(frozen=True)
class Report:
    """One table: what was measured, where, how, and each peer's figures."""

    workload: str
    title: str
    unit: str
    settings: Mapping[str, Any]
    machine: Machine
    bases: tuple[str, ...]
    rows: tuple[Row, ...]

    def ratio(self, row: Row, base: str) -> Ratio | None:
        """The ratio of a row to the row called `base`; None if one of the two was not measured."""
        divisor = next((other.seconds for other in self.rows if other.name == base), ())
        return Ratio.of(row.seconds, divisor) if row.seconds and divisor else None

    def to_markdown(self) -> str:
        """A heading, a line each for the settings and the machine, and the table."""
        labels = {row.name: row.label for row in self.rows}
        bases = [base for base in self.bases if base in labels]
        head = ["peer", "version", f"µs per {self.unit}", *(f"ratio to {labels[base]}" for base in bases)]
        return "\n".join(
            [
                f"## {self.workload}: {self.title}",
                "",
                "* " + ", ".join(f"{name} {value}" for name, value in self.settings.items()),
                f"* {self.machine}",
                "",
                _line(head),
                _line(["---", "---", *["---:"] * (len(head) - 2)]),
                *(_line(self._cells(row, bases)) for row in self.rows),
            ]
        )

    def _cells(self, row: Row, bases: Iterable[str]) -> list[str]:
        if not row.seconds:
            return [row.label, row.absence, "", *("" for _ in bases)]
        ratios = [self.ratio(row, base) for base in bases]
        return [row.label, row.version, _figure(row.microseconds), *("" if r is None else str(r) for r in ratios)]

    def to_json(self) -> dict[str, Any]:
        """Plain data: the raw figures of every round, and what follows from them for those who only want to look."""
        return {
            **asdict(self),
            "rows": [
                {
                    **asdict(row),
                    "microseconds": row.microseconds,
                    "ratios": {base: asdict(ratio) for base in self.bases if (ratio := self.ratio(row, base))},
                }
                for row in self.rows
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Report":
        """The report that `to_json` wrote down."""
        return cls(
            workload=data["workload"],
            title=data["title"],
            unit=data["unit"],
            settings=data["settings"],
            machine=Machine(**data["machine"]),
            bases=tuple(data["bases"]),
            rows=tuple(
                Row(r["name"], r["label"], r["version"], tuple(r["seconds"]), r["absence"]) for r in data["rows"]
            ),
        )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _figure(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:#.3g}"
