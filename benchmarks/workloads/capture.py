"""What it costs to capture a step: the first call of a compiled function, in eager steps.

Such a call does the step too. Its ratio to an eager step is the price of a capture, which later steps have to earn.
"""

from argparse import Namespace
from dataclasses import replace

from benchmarks._workload import Peer, Workload
from benchmarks.workloads.spiral import SpiralProblem


def _problems(options: Namespace) -> list[SpiralProblem]:
    return [replace(SpiralProblem.draw(), steps=20)]


CAPTURE = Workload(
    name="capture",
    title="the first call of the compiled spiral step, which captures it",
    unit="call",
    bases=("agrad",),
    peers=(
        Peer("agrad", "agrad eager", "agrad", "benchmarks.peers.agrad:Spiral"),
        Peer("captured", "agrad compiled anew for each step", "agrad", "benchmarks.peers.agrad:CapturedSpiral"),
    ),
    problems=_problems,
    rounds=25,
)
