"""One op at a time, by size, on every engine: seconds, and what that is in GB/s and GFLOP/s.

Owns: nothing but the parameters; the ops are those of `wengert bench`. May import: common, engines. Must not know: any op.
`track_`, not `time_`: where there is a `setup` asv times single calls, which cannot be read below microseconds; here a sample
is as many calls as last long enough, so that sizes are comparable.
"""

from __future__ import annotations

import statistics
from typing import Any

from .common import kernels, timing
from .engines import TAPES, engine

SIZES = [100, 10_000, 1_000_000]
LARGE = SIZES[-1]
NAMES = list(kernels.KERNELS)
BESIDE = [*TAPES, "jax"]  # the others are NumPy, where nothing is differentiated, or lazy
SAMPLES = 5


def median(name: str, op: str, size: int) -> float:
    """Return the seconds of one call, waited for."""
    place = engine(name)
    run = kernels.prepared(kernels.KERNELS[op], place.T, place.place, place.wait, size)
    run(1)
    return float(statistics.median(timing.sample(run, SAMPLES)))


class Op:
    """One call, nothing recorded."""

    params: Any = (BESIDE, NAMES, SIZES)
    param_names = ["engine", "op", "n"]
    unit = "seconds"

    def setup(self, name: str, op: str, n: int) -> None:
        engine(name)

    def track_seconds(self, name: str, op: str, n: int) -> float:
        return median(name, op, n)


class Bandwidth:
    """The memory that a large op has to move, over its time."""

    params: Any = (BESIDE, NAMES)
    param_names = ["engine", "op"]
    unit = "GB/s"

    def setup(self, name: str, op: str) -> None:
        engine(name)

    def track_bandwidth(self, name: str, op: str) -> float:
        return float(kernels.KERNELS[op].work(LARGE)[1] / median(name, op, LARGE) / 1e9)


class Arithmetic:
    """The arithmetic of a large op, over its time."""

    params: Any = (BESIDE, [name for name in NAMES if kernels.KERNELS[name].flops])
    param_names = ["engine", "op"]
    unit = "GFLOP/s"

    def setup(self, name: str, op: str) -> None:
        engine(name)

    def track_arithmetic(self, name: str, op: str) -> float:
        return float(kernels.KERNELS[op].work(LARGE)[0] / median(name, op, LARGE) / 1e9)
