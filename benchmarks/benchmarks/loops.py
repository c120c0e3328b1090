"""Whole programs from published notebooks: a thousand steps, what a user waits for.

Owns: the figures that the others should explain. May import: `common`, `programs`. Must not know: anything else.
"""

from __future__ import annotations

from . import programs
from .common import Peers

STEPS = 1000  # the milliseconds shown are microseconds a step


class Loop(Peers):
    """A thousand steps of gradient descent."""

    def time_parabola(self, module: str) -> None:
        programs.parabola(self.torch, STEPS)

    def time_two_equations(self, module: str) -> None:
        programs.equations(self.torch, STEPS)
