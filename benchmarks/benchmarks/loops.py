"""Whole programs from published notebooks: a thousand steps, what a user waits for.

Owns: the figures that the others should explain. May import: engines, training. Must not know: anything else.
"""

from __future__ import annotations

from .engines import ENGINES, LAZY, MODES, engine, warmed
from .training import SMALL, WORKLOADS

STEPS = 1000  # the milliseconds shown are microseconds a step


class Loop:
    """A thousand steps of gradient descent."""

    params = (ENGINES, MODES, SMALL)
    param_names = ["engine", "mode", "workload"]
    timeout = 600

    def setup(self, name: str, mode: str, workload: str) -> None:
        if (name, mode) in LAZY:
            raise NotImplementedError(f"op by op {name} takes 10 ms a step: it is meant to be compiled")
        self.run = engine(name).run(warmed(name, WORKLOADS[workload], mode))

    def time_steps(self, name: str, mode: str, workload: str) -> None:
        self.run(STEPS)
