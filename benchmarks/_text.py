"""Tables inside a page of prose: what stands between two markers is replaced, the rest is left as it is.

The tables of the workload `spiral` stand between the lines `<!-- begin spiral -->` and `<!-- end spiral -->`.
"""

import re
from collections.abc import Sequence

from benchmarks._report import Report, tables, to_markdown


def begin(workload: str) -> str:
    """The line before a workload's tables."""
    return f"<!-- begin {workload} -->"


def end(workload: str) -> str:
    """The line after them."""
    return f"<!-- end {workload} -->"


def sections(page: str) -> list[str]:
    """The workloads that the page has a place for."""
    return [name for name in re.findall(r"^<!-- begin (\S+) -->$", page, re.MULTILINE) if end(name) in page]


def with_tables(page: str, reports: Sequence[Report]) -> str:
    """The page with new tables of those workloads that were measured and that it has a place for."""
    for workload in sections(page):
        mine = [to_markdown(t, heading=False) for t in tables(reports) if t[0].workload == workload]
        if mine:
            before, rest = page.split(begin(workload), 1)
            _, after = rest.split(end(workload), 1)
            page = "\n\n".join([before + begin(workload), *mine, end(workload) + after])
    return page
