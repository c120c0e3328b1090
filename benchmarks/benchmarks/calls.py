"""One call: nothing recorded, recorded, with a number; and what recording costs over NumPy's own call.

Owns: the cost of a single op. May import: `common`, `programs`. Must not know: how an op is recorded.
Each `time_` figure is CALLS calls.
"""

from __future__ import annotations

import functools
import statistics

from . import programs
from .common import CALLS, Taped, timing

RANGE = range(CALLS)


class PlainCall(Taped):
    """Nobody asked for a gradient."""

    def prepare(self) -> None:
        self.a, self.b = self.torch.tensor([1.5]), self.torch.tensor([2.0])

    def time_multiply(self, name: str) -> None:
        a, b = self.a, self.b
        for _ in RANGE:
            a * b

    def time_exp(self, name: str) -> None:
        a, exp = self.a, self.torch.exp
        for _ in RANGE:
            exp(a)

    def time_number(self, name: str) -> None:
        a = self.a
        for _ in RANGE:
            a * 2.0


class RecordedCall(Taped):
    """One operand is a parameter, of one element."""

    def prepare(self) -> None:
        self.p, self.c = self.torch.tensor([1.5], requires_grad=True), self.torch.tensor([2.0])

    def time_multiply(self, name: str) -> None:
        p, c = self.p, self.c
        for _ in RANGE:
            p * c

    def time_multiply_by_itself(self, name: str) -> None:
        p = self.p
        for _ in RANGE:
            p * p

    def time_exp(self, name: str) -> None:
        p, exp = self.p, self.torch.exp
        for _ in RANGE:
            exp(p)

    def time_no_grad(self, name: str) -> None:
        p, c = self.p, self.c
        with self.torch.no_grad():
            for _ in RANGE:
                p * c


class NumberOperand(Taped):
    """A parameter and a Python number."""

    def prepare(self) -> None:
        self.p = self.torch.tensor([1.5], requires_grad=True)

    def time_subtract(self, name: str) -> None:
        p = self.p
        for _ in RANGE:
            p - 3

    def time_multiply_from_the_left(self, name: str) -> None:
        p = self.p
        for _ in RANGE:
            2.0 * p

    def time_square(self, name: str) -> None:
        p = self.p
        for _ in RANGE:
            p**2


class OverNumPy(Taped):
    """What recording adds to the arithmetic, measured in pairs, so that a slow moment cancels."""

    params = (["wengert:cpu", "torch:cpu"],)
    unit = "microseconds over np.multiply"

    def track_product(self, name: str) -> float:
        found = timing.paired(functools.partial(programs.product, self.torch), programs.numpy_product, 11)
        return 1e6 * statistics.median(ours - theirs for ours, theirs in found)
