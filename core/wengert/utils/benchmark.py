"""`utils.benchmark`: how long a statement takes.

Owns: `Timer`, `Measurement` and their table `Compare`, the part of PyTorch's that programs use. May import: cuda (to wait
for the device). Must not know: what is timed.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable, Iterable
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
        size, unit = unit_of(self.median)
        shown = f"{self.median / size:.2f} {unit}"
        return f"{title}\n  Median: {shown}\n  {len(self.times)} blocks, {self.number_per_run} runs per block"


def unit_of(seconds: float) -> tuple[float, str]:
    """Return the unit that a time is best read in, and its length in seconds."""
    return next(((size, unit) for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")) if seconds >= size), (1e-9, "ns"))


class Compare:
    """A table of measurements for each label: a row for each sub_label and number of threads, a column for each description."""

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results = list(results)
        self._digits = 4

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Show two digits of each time."""
        self._digits = 2

    def colorize(self, rowwise: bool = False) -> None:
        """Accepted for PyTorch programs: the table is plain text."""

    highlight_warnings = colorize

    def __str__(self) -> str:
        tables: dict[str, list[Measurement]] = {}
        for m in self._results:
            tables.setdefault(m.label or "", []).append(m)
        return "\n".join(self._table(label, group) for label, group in tables.items())

    def _table(self, label: str, group: list[Measurement]) -> str:
        size, unit = unit_of(min(m.median for m in group))
        columns = list(dict.fromkeys(m.description or "" for m in group))
        rows: dict[tuple[str, int], dict[str, Measurement]] = {}
        for m in group:
            rows.setdefault((m.sub_label or "", m.num_threads), {})[m.description or ""] = m
        cells = [["", *columns]]
        for (name, threads), row in rows.items():
            title = name if len({t for _, t in rows}) == 1 else f"{name}, {threads} threads"
            times = [f"{row[c].median / size:.{self._digits}g}" if c in row else "" for c in columns]
            cells.append([title, *times])
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns) + 1)]
        lines = ["  |  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells]
        rule = "-" * len(lines[0])
        return "\n".join([f"[{label}]".center(len(rule), "-"), lines[0], rule, *lines[1:], f"Times are in {unit}."])

    def print(self) -> None:
        """Print the table."""
        print(self)


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

    def autorange(self, callback: Any = None) -> Measurement:
        """Time one block of as many runs as take 0.2 seconds."""
        number, taken = self._timer.autorange(callback)
        return Measurement(number, [taken], **self._told)  # type: ignore[arg-type]

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
