"""`wengert.profiler`: where the time of a program goes, by op, device and direction; and what its tensors hold.

Owns: `profile`, its schedule, table and Chrome trace, `record_function`, `memory_summary`. May import: backend (which lets it
stand before every kernel while a profile runs, and not otherwise), modes, tensor, tape. Must not know: any op, any device.
"""

from __future__ import annotations

import enum
import functools
import gc
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from wengert import backend
from wengert._tensor import Tensor
from wengert.drawing import readable
from wengert.modes import state
from wengert.op import Op
from wengert.tape import Node

__all__ = [
    "ProfilerAction", "ProfilerActivity", "memory_summary", "profile", "record_function", "schedule", "supported_activities",
    "tensorboard_trace_handler",
]  # fmt: skip


@dataclass
class Event:
    """One kernel that ran, or one `record_function` block. Times in seconds; bytes of the arrays that came out."""

    name: str
    device: str
    direction: str  # "forward", "backward" or "block"
    start: float
    duration: float
    thread: int
    shapes: tuple[tuple[int, ...], ...]
    bytes: int


@dataclass
class Row:
    """All events of one op on one device in one direction."""

    key: str
    device: str
    direction: str
    count: int = 0
    total: float = 0.0
    longest: float = 0.0
    bytes: int = 0

    @property
    def cpu_time_total(self) -> float:
        """The total in microseconds, by PyTorch's name; of the kernel alone, as every time here."""
        return self.total * 1e6

    self_cpu_time_total = cpu_time_total

    @property
    def self_cpu_memory_usage(self) -> int:
        """The bytes of what was made."""
        return self.bytes

    cpu_memory_usage = self_cpu_memory_usage

    @property
    def cpu_time(self) -> float:
        """The mean in microseconds."""
        return self.total * 1e6 / max(self.count, 1)


class ProfilerActivity:
    """The names that PyTorch's `activities=` takes; every device that runs is recorded."""

    CPU, CUDA, XPU = "cpu", "cuda", "xpu"


def kineto_available() -> bool:
    """Say that PyTorch's library for this is not here."""
    return False


def supported_activities() -> set[str]:
    """Return the names that mean something here."""
    return {ProfilerActivity.CPU, ProfilerActivity.CUDA}


class ProfilerAction(enum.Enum):
    """What a profile does in a step."""

    NONE, WARMUP, RECORD, RECORD_AND_SAVE = range(4)


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Return what to do in each step: after `skip_first`, again and again wait, warm up, and record `active` steps.

    repeat: the number of such cycles, 0 for no end. skip_first_wait: leave the first wait out. Raises ValueError for sizes
    below 0, and for `active` below 1.
    """
    if min(wait, warmup, repeat, skip_first, active - 1) < 0:
        given = f"{wait=}, {warmup=}, {repeat=}, {skip_first=} must be at least 0, {active=} at least 1"
        raise ValueError(f"profiler.schedule: {given}")
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step += (wait if skip_first_wait else 0) - skip_first
        if (repeat and step >= repeat * length) or step % length < wait:
            return ProfilerAction.NONE
        if step % length < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if step % length == length - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name: Any, worker_name: str | None = None, use_gzip: bool = False) -> Callable[..., None]:
    """Return an `on_trace_ready` that writes each trace to a directory, as a Chrome trace."""

    def write(p: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        p.export_chrome_trace(os.path.join(dir_name, f"{worker_name or 'wengert'}.{time.time_ns()}.pt.trace.json"))

    return write


class profile:
    """Record every kernel that runs inside of the block: `with profile() as p: ...; print(p.table())`.

    Each kernel is waited for, so that its time is its own; work between kernels is not counted. record_shapes: keep the
    shapes of inputs. schedule: what to do in each step (by `schedule()`), which `step()` ends; without one everything is
    recorded. on_trace_ready: called with the profile when a recording has ended. activities, profile_memory, with_stack and
    the like: accepted as PyTorch's; memory is always recorded.
    """

    def __init__(
        self, activities: Any = None, *, schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None, record_shapes: bool = False, profile_memory: bool = False,
        with_stack: bool = False, with_flops: bool = False, with_modules: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        self.record_shapes, self.on_trace_ready = record_shapes, on_trace_ready
        self.step_num = 0
        self.events: list[Event] = []
        self.began = self.ended = 0.0
        self._schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self._watching: Any = None

    def __enter__(self) -> profile:
        self._act(self._schedule(self.step_num))
        return self

    def __exit__(self, *exc: object) -> None:
        if self._watching is not None:
            self._finish()

    def start(self) -> None:
        """Do what entering the block does."""
        self.__enter__()

    def stop(self) -> None:
        """Do what leaving the block does."""
        self.__exit__()

    def step(self) -> None:
        """End a step: the schedule says what to do in the next one."""
        ending = self._schedule(self.step_num) is ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        if ending and self._watching is not None:
            self._finish()
        self._act(self._schedule(self.step_num))

    def _act(self, action: ProfilerAction) -> None:
        """Begin to record if a step says so."""
        if action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE) and self._watching is None:
            self.events = []
            self._watching = backend.watching(self._watch)
            self._watching.__enter__()
            _running.append(self)
            self.began = time.perf_counter()

    def _finish(self) -> None:
        self.ended = time.perf_counter()
        _running.remove(self)
        self._watching.__exit__(None, None, None)
        self._watching = None
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _watch(self, op: Op, owner: Any, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """Return a kernel that is timed."""
        wait = owner.synchronize

        @functools.wraps(kernel, assigned=(), updated=())
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            made = kernel(*args, **kwargs)
            wait(0)
            duration = time.perf_counter() - start
            results = made if isinstance(made, tuple) else (made,)
            size = 0 if op.view else sum(int(r.size) * r.dtype.itemsize for r in results if hasattr(r, "dtype"))
            shapes = tuple(tuple(a.shape) for a in args if hasattr(a, "shape")) if self.record_shapes else ()
            direction = "backward" if state.task is not None else "forward"
            self.events.append(Event(op.name, owner.name, direction, start, duration, threading.get_ident(), shapes, size))
            return made

        return run

    # ---- what was found
    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> Averages:
        """Return the events summed by op, device and direction (and by shapes, if they were recorded)."""
        rows: dict[Any, Row] = {}
        for e in self.events:
            name = f"{e.name} {list(map(list, e.shapes))}" if group_by_input_shape and e.shapes else e.name
            row = rows.setdefault((name, e.device, e.direction), Row(name, e.device, e.direction))
            row.count += 1
            row.total += e.duration
            row.longest = max(row.longest, e.duration)
            row.bytes += e.bytes
        return Averages(rows.values(), self.ended - self.began)

    def table(self, sort_by: str = "total", row_limit: int = 30) -> str:
        """Return the table of `key_averages()`."""
        return self.key_averages().table(sort_by, row_limit)

    def export_chrome_trace(self, path: Any) -> None:
        """Write the events for chrome://tracing or Perfetto: one line of boxes a thread, times in microseconds."""
        threads = {thread: i for i, thread in enumerate(dict.fromkeys(e.thread for e in self.events))}
        events = [
            {
                "name": e.name, "cat": e.direction, "ph": "X", "pid": e.device, "tid": threads[e.thread],
                "ts": (e.start - self.began) * 1e6, "dur": e.duration * 1e6,
                "args": {"bytes": e.bytes, **({"shapes": [list(s) for s in e.shapes]} if e.shapes else {})},
            }
            for e in self.events
        ]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all kernels, in microseconds."""
        return sum(e.duration for e in self.events if e.direction != "block") * 1e6

    def __str__(self) -> str:
        return self.table()


class Averages(list[Row]):
    """Rows of a profile, by total time."""

    def __init__(self, rows: Any, wall: float) -> None:
        super().__init__(sorted(rows, key=lambda r: -r.total))
        self.wall = wall

    def total_average(self) -> Row:
        """Return all rows of kernels as one."""
        rows = [r for r in self if r.direction != "block"]
        longest = max([r.longest for r in rows], default=0.0)
        calls, total, made = sum(r.count for r in rows), sum(r.total for r in rows), sum(r.bytes for r in rows)
        return Row("Total", "", "", calls, total, longest, made)

    def table(self, sort_by: str = "total", row_limit: int = 30, **options: Any) -> str:
        """Return the rows as text. sort_by: total, count, longest, bytes, or one of PyTorch's names for the total."""
        key = sort_by if sort_by in ("count", "longest", "bytes") else "total"
        rows = sorted((r for r in self if r.direction != "block"), key=lambda r: -getattr(r, key))
        blocks = [r for r in self if r.direction == "block"]
        kernels = sum(r.total for r in rows)
        width = max([len(r.key) for r in [*rows[:row_limit], *blocks]] + [4])
        head = f"{'op':{width}}  device    direction     calls    total ms   mean us    max us  share      made"
        lines = [head, "-" * len(head)]
        for r in [*rows[:row_limit], *blocks]:
            share = f"{100 * r.total / kernels:5.1f}%" if kernels and r.direction != "block" else "      "
            times = f"{r.total * 1e3:11.3f} {r.total / r.count * 1e6:9.1f} {r.longest * 1e6:9.1f}"
            lines.append(f"{r.key:{width}}  {r.device:8}  {r.direction:9} {r.count:9} {times} {share} {readable(r.bytes):>9}")
        if len(rows) > row_limit:
            lines.append(f"... {len(rows) - row_limit} more rows")
        outside = self.wall - kernels
        lines.append(f"kernels {kernels * 1e3:.3f} ms of {self.wall * 1e3:.3f} ms; between kernels {outside * 1e3:.3f} ms")
        return "\n".join(lines)


_running: list[profile] = []


@contextmanager
def record_function(name: str) -> Iterator[None]:
    """Name a stretch of a program, so that a profile shows it."""
    start = time.perf_counter()
    try:
        yield
    finally:
        duration = time.perf_counter() - start
        for p in _running:
            p.events.append(Event(name, "", "block", start, duration, threading.get_ident(), (), 0))


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return a table of the memory that living tensors, and graphs kept for backward, hold on each device.

    Arrays that share memory count once. device: only this one. Sizes in bytes, as binary multiples.
    """
    gc.collect()
    seen: set[int] = set()
    table: dict[tuple[str, str], list[int]] = {}
    wanted = None if device is None else backend.resolve(device).type

    def count(array: Any, kind: str) -> None:
        while getattr(array, "base", None) is not None and hasattr(array.base, "dtype"):
            array = array.base
        owner = str(backend.device_of(array))
        if id(array) in seen or (wanted is not None and owner.split(":")[0] != wanted):
            return
        seen.add(id(array))
        entry = table.setdefault((owner, kind), [0, 0])
        entry[0] += 1
        entry[1] += int(array.size) * array.dtype.itemsize

    objects = gc.get_objects()  # of all libraries: asked by type, as `isinstance` runs a foreign object's own code
    tensors = [x for x in objects if issubclass(type(x), Tensor)]
    gradients = {id(x._grad) for x in tensors if x._grad is not None}
    for x in tensors:
        if hasattr(x, "_array") and not hasattr(x._array, "level"):
            leaf = "leaves that require grad" if x.is_leaf and x.requires_grad else "tensors"
            count(x._array, "gradients" if id(x) in gradients else leaf)
    for node in objects:
        if issubclass(type(node), Node) and node.saved is not None:
            for value in node.saved:
                for array in value if isinstance(value, tuple) else (value,):
                    if hasattr(array, "dtype") and hasattr(array, "strides") and not hasattr(array, "level"):
                        count(array, "kept by graphs alone")
    lines = [f"{'device':10}  {'held by':26} {'arrays':>8} {'size':>10}"]
    lines += [f"{place:10}  {kind:26} {n:8} {readable(size):>10}" for (place, kind), (n, size) in sorted(table.items())]
    total = sum(size for _, size in table.values())
    return "\n".join([*lines, f"{'all':10}  {'':26} {sum(n for n, _ in table.values()):8} {readable(total):>10}"])
