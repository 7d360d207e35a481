"""The command line: picks a workload and its peers, prints the tables, writes the figures down as JSON."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._environment import version_of
from benchmarks._measure import Disagreement
from benchmarks._report import Report
from benchmarks._workload import Workload, positive
from benchmarks.workloads import WORKLOADS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 if a peer does not compute what the reference computes."""
    options = parser().parse_args(arguments)
    status: int = options.command(options)
    return status


def parser() -> ArgumentParser:
    """The options of every command; a workload adds its own."""
    parser = ArgumentParser(prog="python -m benchmarks", description="How fast agrad is, next to its peers.")
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="the workloads and their peers")
    listing.set_defaults(command=_list)
    show = commands.add_parser("show", help="print the tables of a JSON file again")
    show.add_argument("file", type=Path)
    show.set_defaults(command=_show)
    for workload in WORKLOADS:
        command = commands.add_parser(workload.name, help=workload.title)
        command.add_argument("--peers", type=_peers_of(workload), metavar="A,B,C", help="only these, and the bases")
        command.add_argument("--rounds", type=positive, default=workload.rounds, help="default: %(default)s")
        command.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
        workload.add_options(command)
        command.set_defaults(command=_run, workload=workload)
    return parser


def _peers_of(workload: Workload) -> Callable[[str], list[str]]:
    known = [peer.name for peer in workload.peers]

    def peers(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise ArgumentTypeError(f"{', '.join(unknown)}: {workload.name} has {', '.join(known)}")
        return names

    return peers


def _list(options: Namespace) -> int:
    for workload in WORKLOADS:
        print(f"{workload.name}: {workload.title}")
        for peer in workload.peers:
            state = version_of(peer.library) if peer.is_installed() else f"{', '.join(peer.missing())} not installed"
            print(f"  {peer.name:14} {peer.label:38} {peer.library} {state}")
    return 0


def _show(options: Namespace) -> int:
    for data in json.loads(options.file.read_text(encoding="utf-8")):
        print(Report.from_json(data).to_markdown(), end="\n\n")
    return 0


def _run(options: Namespace) -> int:
    reports = []
    try:
        for report in options.workload.reports(options, options.peers, options.rounds):
            print(report.to_markdown(), end="\n\n", flush=True)
            reports.append(report.to_json())
    except Disagreement as error:
        print(f"{options.workload.name}: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
    return 0
