"""The result of a measurement as a record, as a Markdown table and as JSON. Knows no library and measures nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, starmap
from operator import truediv
from statistics import median, quantiles
from typing import Any

from benchmarks._environment import Machine


@dataclass(frozen=True)
class Ratio:
    """How many times as much as a base: the median over the rounds, and between what the middle half of them is."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Iterable[float], base: Iterable[float]) -> "Ratio":
        """The ratio of figures to the base's figures of the same rounds."""
        ratios = list(starmap(truediv, zip(figures, base, strict=True)))
        low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return cls(median(ratios), low, high)

    def __str__(self) -> str:
        return f"{_ratio(self.median)} ({_ratio(self.low)}-{_ratio(self.high)})"


@dataclass(frozen=True)
class Quantity:
    """What the figures are: in a table's head it is called `name`, and `scale` times a figure is what stands below."""

    name: str
    scale: float


@dataclass(frozen=True)
class Row:
    """One peer: what it is, and its figures, in seconds or bytes, one a round, or why there are none."""

    name: str
    label: str
    version: str | None
    figures: tuple[float, ...] = ()
    absence: str | None = None


@dataclass(frozen=True)
class Report:
    """What was measured, where, how, and each peer's figures: a table, or with `sweep` a column of one."""

    workload: str
    title: str
    quantity: Quantity
    settings: Mapping[str, Any]
    machine: Machine
    bases: tuple[str, ...]
    rows: tuple[Row, ...]
    sweep: str = ""

    def figure(self, row: Row) -> float | None:
        """What stands in the table: the median over the rounds, scaled; None if nothing was measured."""
        return median(row.figures) * self.quantity.scale if row.figures else None

    def ratio(self, row: Row, base: str) -> Ratio | None:
        """The ratio of a row to the row called `base`; None if one of the two was not measured."""
        divisor = next((other.figures for other in self.rows if other.name == base), ())
        return Ratio.of(row.figures, divisor) if row.figures and divisor else None

    def label(self, name: str) -> str | None:
        """What the row of this name is called; None if there is no such row."""
        return next((row.label for row in self.rows if row.name == name), None)

    def has(self, name: str) -> bool:
        """Whether the row of this name was measured."""
        return any(row.name == name and row.figures for row in self.rows)

    def table(self) -> tuple[Any, ...]:
        """What reports have in common that are columns of the same table; without a sweep every report is its own."""
        own = [item for item in self.settings.items() if item[0] != self.sweep] if self.sweep else object()
        return self.workload, self.quantity, own, [row.name for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """Plain data: the raw figures of every round, and what follows from them for those who only want to look."""
        return {
            **asdict(self),
            "rows": [
                {
                    **asdict(row),
                    "figure": self.figure(row),
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
            quantity=Quantity(**data["quantity"]),
            settings=data["settings"],
            machine=Machine(**data["machine"]),
            bases=tuple(data["bases"]),
            rows=tuple(
                Row(r["name"], r["label"], r["version"], tuple(r["figures"]), r["absence"]) for r in data["rows"]
            ),
            sweep=data["sweep"],
        )


Table = Sequence[Report]
"""One report, or the columns of a sweep."""


def tables(reports: Iterable[Report]) -> Iterator[Table]:
    """Put reports together that are columns of the same table, each table as soon as it is complete."""
    return (list(columns) for _, columns in groupby(reports, Report.table))


def to_markdown(table: Table, heading: bool = True) -> str:
    """A heading, a line each for the settings and the machine, and the table."""
    report = table[0]
    lines = _sweep(table) if report.sweep else _single(report)
    settings = {name: value for name, value in report.settings.items() if name != report.sweep}
    return "\n".join(
        [
            *([f"## {report.workload}: {report.title}", ""] if heading else []),
            "* " + ", ".join(f"{name} {_number(value)}" for name, value in settings.items()),
            f"* {report.machine}",
            *lines,
        ]
    )


def _single(report: Report) -> list[str]:
    """A row for each peer: its figure, and its ratio to each base."""
    bases = [base for base in report.bases if report.label(base)]
    head = ["peer", "version", report.quantity.name, *(f"ratio to {report.label(base)}" for base in bases)]
    lines = ["", _line(head), _rule(len(head))]
    for row in report.rows:
        ratios = [report.ratio(row, base) for base in bases]
        cells = [row.version or "", _figure(report.figure(row)), *("" if r is None else str(r) for r in ratios)]
        lines.append(_line([row.label, *(cells if row.figures else [row.absence or "", *[""] * (len(cells) - 1)])]))
    return lines


def _sweep(columns: Table) -> list[str]:
    """A row for each peer and a column for each value: the figure, and in brackets the ratio to the first base."""
    first = columns[0]
    base = next((base for base in first.bases if any(report.has(base) for report in columns)), None)
    told = f"* {first.quantity.name}" + (f", in brackets the ratio to {first.label(base)}" if base else "")
    head = [first.sweep, "version", *(_number(report.settings[first.sweep]) for report in columns)]
    lines = [told, "", _line(head), _rule(len(head))]
    for position, row in enumerate(first.rows):
        cells = []
        for report in columns:
            ratio = report.ratio(report.rows[position], base) if base else None
            cells.append(
                _figure(report.figure(report.rows[position])) + (f" ({_ratio(ratio.median)})" if ratio else "")
            )
        reasons = dict.fromkeys(report.rows[position].absence for report in columns)
        versions = [row.version] if row.version and any(cells) else []
        lines.append(_line([row.label, ", ".join(filter(None, [*versions, *reasons])), *cells]))
    return lines


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(columns: int) -> str:
    return _line(["---", "---", *["---:"] * (columns - 2)])


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _figure(figure: float | None) -> str:
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:#.3g}"
