"""One op at a time, by size, on every engine: seconds, and what that is in GB/s and GFLOP/s.

Owns: nothing but the parameters; the ops are those of `wengert bench`. May import: common, engines. Must not know: any op.
`track_`, not `time_`: where there is a `setup` asv times single calls, which cannot be read below microseconds; here a sample
is as many calls as last long enough, so that sizes are comparable.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from typing import Any

from .common import kernels, timing
from .engines import MODES, TAPES, engine

SIZES = [100, 10_000, 1_000_000]
LARGE = SIZES[-1]
HUGE = 10_000_000  # beyond every cache
NAMES = list(kernels.KERNELS)
BESIDE = [*TAPES, "jax"]  # the others are NumPy, where nothing is differentiated, or lazy
SAMPLES = 5


def median(name: str, op: str, size: int, mode: str = "eager") -> float:
    """Return the seconds of one call, waited for."""
    place, kernel = engine(name), kernels.KERNELS[op]
    if mode == "captured":
        compiled = place.capture(functools.partial(kernel.run, place.T))
        kernel = dataclasses.replace(kernel, run=lambda T, *arrays: compiled(*arrays))
    run = kernels.prepared(kernel, place.T, place.place, place.wait, size)
    run(1 if mode == "eager" else 3)  # compilers capture the second call
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


class Fused:
    """A formula of seven ops on a large array: call by call, and as what the engine's own compiler makes of it."""

    params: Any = (BESIDE, MODES)
    param_names = ["engine", "mode"]
    unit = "seconds"

    def setup(self, name: str, mode: str) -> None:
        engine(name)

    def track_seconds(self, name: str, mode: str) -> float:
        return median(name, "formula", HUGE, mode)


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
