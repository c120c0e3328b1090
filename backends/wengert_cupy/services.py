"""What `wengert.cuda` asks of the card: memory, streams, events, graphs, precision; in CuPy's terms.

Owns: `Services`. May import: CuPy by what it is given, NumPy. Must not know: tensors, ops.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from wengert_cupy.probe import Card


class Peak:
    """The most memory that was in use, looked at when somebody asks and when memory is asked of the card."""

    def __init__(self) -> None:
        self.used = self.held = 0


class Captured:
    """Work that was written down, and the memory that it uses."""

    def __init__(self) -> None:
        self.graph: Any = None
        self.pool: Any = None

    def launch(self) -> None:
        self.graph.launch()


class Services:
    """The answers of one process."""

    def __init__(self, cupy: Any, cards: tuple[Card, ...]) -> None:
        self.cupy, self.cards = cupy, cards
        self.peaks: dict[int, Peak] = {}
        self.out_of_memory = cupy.cuda.memory.OutOfMemoryError

    def card(self, index: int) -> Card:
        """Return what is known of a card. Raises RuntimeError where it is not there."""
        if not 0 <= index < len(self.cards):
            raise RuntimeError(f"CUDA error: invalid device ordinal {index}: there are {len(self.cards)}")
        return self.cards[index]

    # ---- the current device
    def current(self) -> int:
        return int(self.cupy.cuda.runtime.getDevice())

    def use(self, index: int) -> None:
        self.card(index)
        self.cupy.cuda.Device(index).use()

    def device(self, index: int) -> Any:
        """Return the context in which a card is the current one."""
        self.card(index)
        return self.cupy.cuda.Device(index)

    # ---- memory
    def pool(self, index: int) -> Any:
        with self.device(index):
            return self.cupy.get_default_memory_pool()

    def memory(self, index: int) -> tuple[int, int]:
        """Return the bytes in use and those that the pool holds."""
        with self.device(index):
            pool = self.cupy.get_default_memory_pool()
            now = int(pool.used_bytes()), int(pool.total_bytes())
        peak = self.peaks.setdefault(index, Peak())
        peak.used, peak.held = max(peak.used, now[0]), max(peak.held, now[1])
        return now

    def peak(self, index: int) -> tuple[int, int]:
        self.memory(index)
        peak = self.peaks[index]
        return peak.used, peak.held

    def forget_peak(self, index: int) -> None:
        self.peaks.pop(index, None)

    def free(self, index: int) -> tuple[int, int]:
        """Return the card's free bytes and all of its."""
        with self.device(index):
            free, total = self.cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)

    def empty_cache(self) -> None:
        for card in self.cards:
            with self.cupy.cuda.Device(card.index):
                self.cupy.get_default_memory_pool().free_all_blocks()

    # ---- streams and events
    def stream(self, priority: int = 0) -> Any:
        return self.cupy.cuda.Stream(non_blocking=True, priority=priority)

    def current_stream(self) -> Any:
        return self.cupy.cuda.get_current_stream()

    def default_stream(self) -> Any:
        return self.cupy.cuda.Stream.null

    def event(self, timing: bool, blocking: bool) -> Any:
        return self.cupy.cuda.Event(block=blocking, disable_timing=not timing)

    def elapsed(self, start: Any, end: Any) -> float:
        return float(self.cupy.cuda.get_elapsed_time(start, end))

    # ---- graphs
    @contextlib.contextmanager
    def captured(self, stream: Any) -> Iterator[Captured]:
        """Let what is put on a stream be written down and not run; memory that is asked for inside is the graph's to keep."""
        made = Captured()
        pool = self.cupy.cuda.MemoryPool()
        with stream, self.cupy.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            try:
                yield made
            finally:
                made.graph = stream.end_capture()
        made.pool = pool

    # ---- precision
    def set_matmul_precision(self, precision: str) -> None:
        """Let cuBLAS take float32 apart into TF32 ("high", "medium"), or not ("highest", the default)."""
        with contextlib.suppress(ImportError, AttributeError):
            from cupy._core import _routines_linalg as routines

            kind = routines.COMPUTE_TYPE_DEFAULT if precision == "highest" else routines.COMPUTE_TYPE_TF32
            routines.set_compute_type(np.dtype(np.float32), kind)
            return
        if precision != "highest":
            raise NotImplementedError("this CuPy does not let TF32 be chosen; CUPY_TF32=1 does before it is imported")
