"""What is worked out instead of measured."""

from benchmarks._measure import Outcome, Weighed
from benchmarks.workloads.memory import MemoryProblem


class Memory(Weighed):
    """The budget of the memory workload."""

    def __init__(self, problem: MemoryProblem) -> None:
        self.problem = problem
        self.peak = problem.budget()

    def reset(self) -> None:
        """There is nothing to start."""

    def run(self, steps: int) -> None:
        """There is nothing to run."""

    def outcome(self) -> Outcome:
        """Nobody can disagree with it."""
        return self.problem.expected()
