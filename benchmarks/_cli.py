"""The command line: picks workloads and their peers, prints the tables, and writes them down where it is asked to."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import _plot, _text
from benchmarks._environment import is_installed, version_of
from benchmarks._measure import Disagreement
from benchmarks._report import Report, tables, to_markdown
from benchmarks._workload import Workload, add_device, positive
from benchmarks.workloads import WORKLOADS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 if a peer does not compute what the reference computes."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(given or ["all"])
    status: int = options.command(options)
    return status


def parser() -> ArgumentParser:
    """The options of every command; a workload adds its own."""
    parser = ArgumentParser(prog="python -m benchmarks", description="How fast agrad is, next to its peers.")
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="the workloads and their peers")
    listing.set_defaults(command=_list)
    show = commands.add_parser("show", help="the tables of JSON files again")
    show.add_argument("file", type=Path, nargs="+")
    _add_outputs(show)
    show.set_defaults(command=_show)
    everything = commands.add_parser("all", help="all workloads with their default options (no command means this)")
    everything.add_argument("--rounds", type=positive, help="default: what each workload finds right")
    everything.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    add_device(everything)
    _add_outputs(everything)
    everything.set_defaults(command=_all)
    for workload in WORKLOADS:
        command = commands.add_parser(workload.name, help=workload.title)
        command.add_argument("--peers", type=_peers_of(workload), metavar="A,B,C", help="only these, and the bases")
        command.add_argument("--rounds", type=positive, default=workload.rounds, help="default: %(default)s")
        command.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
        _add_outputs(command)
        workload.add_options(command)
        command.set_defaults(command=_one, workload=workload)
    return parser


def _add_outputs(command: ArgumentParser) -> None:
    command.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to this file")
    command.add_argument(
        "--into", type=_marked, metavar="FILE", help="replace the tables between the markers in this Markdown file"
    )
    command.add_argument("--plot", type=_picture, metavar="FILE", help="draw the tables (needs matplotlib)")


def _peers_of(workload: Workload) -> Callable[[str], list[str]]:
    known = [peer.name for peer in workload.peers]

    def peers(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise ArgumentTypeError(f"{', '.join(unknown)}: {workload.name} has {', '.join(known)}")
        return names

    return peers


def _picture(text: str) -> Path:
    """The file of a plot, refused now and not when everything is measured."""
    if not is_installed("matplotlib"):
        raise ArgumentTypeError("needs matplotlib: python -m pip install matplotlib")
    return Path(text)


def _marked(text: str) -> Path:
    """A file with markers, refused now and not when everything is measured."""
    path = Path(text)
    if not path.is_file() or not _text.sections(path.read_text(encoding="utf-8")):
        raise ArgumentTypeError(f"{text} has no lines like {_text.begin('spiral')} and {_text.end('spiral')}")
    return path


def _list(options: Namespace) -> int:
    for workload in WORKLOADS:
        print(f"{workload.name}: {workload.title}")
        for peer in workload.peers:
            state = version_of(peer.library) if peer.is_installed() else f"{', '.join(peer.missing())} not installed"
            print(f"  {peer.name:14} {peer.label:38} {peer.library} {state}")
    return 0


def _show(options: Namespace) -> int:
    reports = (Report.from_json(data) for file in options.file for data in json.loads(file.read_text(encoding="utf-8")))
    _write(_printed(reports), options)
    return 0


def _one(options: Namespace) -> int:
    return _run([(options.workload, options)], options)


def _all(options: Namespace) -> int:
    jobs = []
    for workload in WORKLOADS:
        own = parser().parse_args([workload.name])
        own.rounds = options.rounds or own.rounds
        if "device" in own:
            own.device = options.device
        jobs.append((workload, own))
    return _run(jobs, options)


def _run(jobs: Iterable[tuple[Workload, Namespace]], options: Namespace) -> int:
    """Measure the workloads, each with its own options; one whose peers disagree does not keep the others from it."""
    reports: list[Report] = []
    status = 0
    for workload, own in jobs:
        try:
            reports += _printed(workload.reports(own, own.peers, own.rounds))
        except Disagreement as error:
            print(f"{workload.name}: {error}", file=sys.stderr)
            status = 1
    _write(reports, options)
    if options.json and reports:
        figures = json.dumps([report.to_json() for report in reports], indent=1)
        options.json.write_text(figures + "\n", encoding="utf-8")
    return status


def _printed(reports: Iterable[Report]) -> list[Report]:
    """All the reports, each table printed as soon as it is complete."""

    def columns() -> Iterator[Report]:
        for table in tables(reports):
            print(to_markdown(table), end="\n\n", flush=True)
            yield from table

    return list(columns())


def _write(reports: Sequence[Report], options: Namespace) -> None:
    """Write and draw the tables where the options say so."""
    if not reports:
        return
    if options.markdown:
        text = "\n\n".join(map(to_markdown, tables(reports)))
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.into:
        page = options.into.read_text(encoding="utf-8")
        options.into.write_text(_text.with_tables(page, reports), encoding="utf-8")
    if options.plot:
        _plot.draw(list(tables(reports)), options.plot)
