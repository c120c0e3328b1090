"""What the benchmarks share: the module under test, chosen by name, and timing two things against each other.

Owns: the peers, how one is loaded or declared absent, pairs of samples. May import: the standard library. Must not
know: wengert and PyTorch but by name; so an old commit, or a machine without PyTorch, loses single figures only.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

MODULES = ["wengert", "torch"]  # asv keeps results by parameter: the list may not depend on what is installed
# Where there is a `setup`, asv times single calls. What takes microseconds is done this many times in one call;
# the milliseconds that asv shows are then microseconds each.
CALLS = 1000

Run = Callable[[int], Any]  # does something n times
Pair = tuple[float, float]  # ours, theirs


def present(module: str) -> bool:
    """Say whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def load(module: str) -> Any:
    """Return a module, held to one thread. Raises NotImplementedError, asv's "n/a", where it is missing."""
    if not present(module):
        raise NotImplementedError(f"{module} is not installed")
    loaded = importlib.import_module(module)
    loaded.set_num_threads(1)
    return loaded


class Peers:
    """A benchmark whose first parameter is the module: `self.torch`, whichever it is."""

    params: Any = (MODULES,)
    param_names = ["module"]

    def setup(self, module: str, *parameters: Any) -> None:
        self.torch = load(module)
        x = self.torch.tensor([1.0], requires_grad=True)
        (x * x).backward()  # what is loaded and made at the first use belongs to no benchmark
        self.prepare(*parameters)

    def prepare(self, *parameters: Any) -> None:
        """Make what the benchmark needs, from the parameters after the module."""


def seconds(run: Run, times: int) -> float:
    """Return how long one repetition took, of so many in a row; the garbage collector stays as it is."""
    start = time.perf_counter()
    run(times)
    return (time.perf_counter() - start) / times


def repetitions(*runs: Run, least: float = 0.02) -> int:
    """Return how many repetitions keep the quickest of the runs busy for `least` seconds; this warms them up."""
    times = 1
    while True:
        taken = times * min(seconds(run, times) for run in runs)
        if taken >= least:
            return times
        growth = 1.2 * least / max(taken, 1e-9)
        times = int(times * min(10, max(2, growth)))


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
