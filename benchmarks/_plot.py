"""The tables as pictures: bars of ratios, lines over a sweep. The only place that knows matplotlib."""

from pathlib import Path
from typing import Any

from benchmarks._report import Report, Table

WIDTH, HEIGHT = 8.0, 3.6


def draw(tables: list[Table], file: Path) -> None:
    """One picture below the other, in a file whose ending says what kind it is."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT * len(tables)), layout="constrained")
    grid = figure.subplots(len(tables), squeeze=False)
    for axes, table in zip(grid[:, 0], tables, strict=True):
        axes.set_title(f"{table[0].workload}: {table[0].title}", fontsize="medium")
        if table[0].sweep:
            _lines(axes, table)
        else:
            _bars(axes, table[0])
    figure.savefig(file)


def _bars(axes: Any, report: Report) -> None:
    """How much every peer needs of what the first base needs."""
    base = next((base for base in report.bases if report.has(base)), None)
    bars = []
    for row in report.rows:
        ratio = report.ratio(row, base) if base else None
        height = ratio.median if ratio else report.figure(row)
        if height is not None:
            bars.append((row.label, height))
    labels, heights = zip(*bars, strict=True)
    axes.bar_label(axes.barh(labels, heights), fmt="%.3g", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(f"{report.quantity.name}, {_settings(report)}" + (f", {report.label(base)} = 1" if base else ""))


def _lines(axes: Any, columns: Table) -> None:
    """A line for every peer over the values of the sweep, both axes logarithmic."""
    first = columns[0]
    for position, row in enumerate(first.rows):
        points = [
            (report.settings[first.sweep], figure)
            for report in columns
            if (figure := report.figure(report.rows[position])) is not None
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=row.label)
    axes.set(xscale="log", yscale="log", xlabel=f"{first.sweep}, {_settings(first)}", ylabel=first.quantity.name)
    axes.legend(fontsize="small")


def _settings(report: Report) -> str:
    unsaid = (report.sweep, "rounds")
    return ", ".join(f"{name} {value}" for name, value in report.settings.items() if name not in unsaid)
