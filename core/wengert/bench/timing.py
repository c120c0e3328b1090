"""How anything is timed: samples that last long enough, in turn where two or more are compared, and what disturbed them.

Owns: clocks of a `Run`, which does something so many times and waits until it is done; `Noise`. May import: the standard
library. Must not know: what is timed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Run = Callable[[int], Any]  # does something n times
Pair = tuple[float, float]  # ours, theirs
LEAST = 0.02  # seconds that a sample lasts, at least
SHARE = 0.9  # of the time that passed, at most so much on the processor: someone else had it
SPREAD = 1.3  # quartile over quartile of what repeats the same work: more is not the work's


def seconds(run: Run, times: int) -> float:
    """Return how long one repetition took, of so many in a row; the garbage collector stays as it is."""
    start = time.perf_counter()
    run(times)
    return (time.perf_counter() - start) / times


def repetitions(*runs: Run, least: float = LEAST) -> int:
    """Return how many repetitions keep the quickest of the runs busy for `least` seconds; this warms them up."""
    times = 1
    while True:
        taken = times * min(seconds(run, times) for run in runs)
        if taken >= least:
            return times
        growth = 1.2 * least / max(taken, 1e-9)
        times = int(times * min(10, max(2, growth)))


def sample(run: Run, count: int = 5, least: float = LEAST) -> list[float]:
    """Return seconds of one repetition, as often as asked."""
    times = repetitions(run, least=least)
    return [seconds(run, times) for _ in range(count)]


def paired(ours: Run, theirs: Run, pairs: int, seen: Callable[[int], object] | None = None) -> list[Pair]:
    """Return pairs of seconds for one repetition, measured in turn: ours, theirs, theirs, ours, and so on.

    Whatever slows the machine for longer than a pair slows both sides; who goes first alternates.
    `seen` is told how many pairs there are so far.
    """
    times = repetitions(ours, theirs)
    found = []
    for done in range(1, pairs + 1):
        if done % 2:
            a = seconds(ours, times)
            b = seconds(theirs, times)
        else:
            b = seconds(theirs, times)
            a = seconds(ours, times)
        found.append((a, b))
        if seen is not None:
            seen(done)
    return found


def rounds(
    runs: Mapping[str, Run], count: int, seen: Callable[[int], object] | None = None, least: float = LEAST
) -> dict[str, list[float]]:
    """Return the seconds of one repetition by name, measured in turn, round by round, the first of a round moving on.

    Each run has its own number of repetitions, so that a slow one does not take minutes to let a quick one be seen.
    """
    names = list(runs)
    times = {name: repetitions(runs[name], least=least) for name in names}
    found: dict[str, list[float]] = {name: [] for name in names}
    for done in range(count):
        for i in range(len(names)):
            name = names[(i + done) % len(names)]
            found[name].append(seconds(runs[name], times[name]))
        if seen is not None:
            seen(done + 1)
    return found


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile; of few values, the least and the greatest."""
    if len(values) < 4:
        return min(values), statistics.median(values), max(values)
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


class Noise:
    """What disturbed a measurement: time without a processor, more processors than one, the same work at different times.

    `with noise.watched(name): ...` around work of so many threads; `noise.seen(samples)` for what repeats the same work.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self.spent: dict[str, list[float]] = {}  # seconds that passed, and that processors worked for this process
        self.spreads: list[float] = []
        self.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Count the time that passes, and how much of it this process spends on processors."""
        wall, used = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent = self.spent.setdefault(name, [0.0, 0.0])
            spent[0] += time.perf_counter() - wall
            spent[1] += time.process_time() - used

    def seen(self, samples: list[float]) -> None:
        """Note how far samples of the same work lie apart."""
        low, _, high = quartiles(samples)
        self.spreads.append(high / low)

    def problems(self) -> list[str]:
        """Return what to say beside the figures; nothing on a quiet machine."""
        found = []
        wall, used = (sum(column) for column in zip(*self.spent.values(), strict=True)) if self.spent else (1.0, 1.0)
        if used < SHARE * wall:
            found.append(f"this process had a processor for {used / wall:.0%} of the time only: other programs run")
        for name, (wall, used) in self.spent.items():
            if used > self.threads * wall / SHARE:
                meant = self.threads if self.threads > 1 else "one"
                found.append(f"{name} kept {used / wall:.1f} processors busy, and not {meant}")
        spread = statistics.median(self.spreads) if self.spreads else 1.0
        if spread > SPREAD:
            found.append(f"the same work took {spread - 1:.0%} longer at one time than at another (quartiles, the usual case)")
        return found
