"""`utils.benchmark`: how long a statement takes.

Owns: `Timer` and `Measurement`, the part of PyTorch's that programs use. May import: cuda (to wait for the device).
Must not know: what is timed.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wengert import cuda


@dataclass
class Measurement:
    """Seconds that blocks of runs took."""

    number_per_run: int
    raw_times: list[float]
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    num_threads: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> list[float]:
        """Seconds of one run, by block."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.times)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def iqr(self) -> float:
        """The distance of the quartiles; 0 for one block."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4)
        return high - low

    def __repr__(self) -> str:
        title = ": ".join(t for t in (self.label, self.sub_label, self.description) if t) or "measurement"
        power, unit = next((p, u) for p, u in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns")) if self.median >= p)
        shown = self.median / (power or 1e-9)
        return f"{title}\n  Median: {shown:.2f} {unit}\n  {len(self.times)} blocks, {self.number_per_run} runs per block"


class Timer:
    """Times a statement, as Python's timeit: `Timer("f(x)", globals={"f": f, "x": x}).timeit(100)`."""

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "", timer: Callable[[], float] = time.perf_counter,
        globals: dict[str, Any] | None = None, label: str | None = None, sub_label: str | None = None,
        description: str | None = None, env: str | None = None, num_threads: int = 1, language: Any = None,
    ) -> None:  # fmt: skip
        def clock() -> float:
            cuda.synchronize()
            return timer()

        self._timer = timeit.Timer(stmt, setup, clock, globals)
        self._told = {"label": label or stmt, "sub_label": sub_label, "description": description, "num_threads": num_threads}

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Time `number` runs as one block, after a short one that is not counted."""
        self._timer.timeit(max(number // 100, 2))
        return Measurement(number, [self._timer.timeit(number)], **self._told)  # type: ignore[arg-type]

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Time blocks of runs until `min_run_time` seconds have passed."""
        number = 1
        while (taken := self._timer.timeit(number)) < min_run_time / 100 and number < 10**9:
            number *= 10
        times = [taken]
        while sum(times) < min_run_time:
            times.append(self._timer.timeit(number))
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, **self._told)  # type: ignore[arg-type]

    adaptive_autorange = blocked_autorange
