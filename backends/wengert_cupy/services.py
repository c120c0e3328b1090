"""What `wengert.cuda` asks of the card: memory, streams, events, graphs, precision; in CuPy's terms.

Owns: `Services`. May import: CuPy by what it is given, NumPy. Must not know: tensors, ops.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from wengert_cupy.probe import Card


class Peak:
    """The most memory that was in use, looked at when somebody asks and when memory is asked of the card."""

    def __init__(self) -> None:
        self.used = self.held = 0


class Captured:
    """Work that was written down, the memory that it uses, and what each launch needs: where its random numbers begin."""

    def __init__(self, origin: Any) -> None:
        self.graph: Any = None
        self.pool: Any = None
        self.origin = origin  # the seed, and the first block of random numbers, where kernels read them
        self.begin: tuple[int, int] | None = None
        self.blocks = 0  # of random numbers that each launch draws
        self.noted: dict[int, list[str]] = {}  # the ops whose indices it looks at
        self.told: Any = None

    def draws(self, seed: int, first: int, blocks: int) -> int:
        """Note a draw, and return how far behind the first one it begins. Raises RuntimeError for a second generator."""
        if self.begin is None:
            self.begin = (seed, first)
        behind = first - self.begin[1]
        if seed != self.begin[0] or behind < self.blocks:
            raise RuntimeError("while a graph is captured random numbers are drawn from one generator, which nobody sets back")
        self.blocks = behind + blocks
        return behind

    def launch(self, seed: int = 0, first: int = 0) -> None:
        """Do the work on the current stream; its random numbers are those of a seed, from a block on."""
        if self.blocks:
            self.origin[:1].fill(np.uint64(seed))
            self.origin[1:].fill(np.uint64(first))
        if self.noted:
            self.told(self.noted)
        self.graph.launch()


class Services:
    """The answers of one process."""

    def __init__(self, cupy: Any, cards: tuple[Card, ...]) -> None:
        self.cupy, self.cards = cupy, cards
        self.peaks: dict[int, Peak] = {}
        self.local = threading.local()
        self.bounds: Any = None

    @property
    def capture(self) -> Captured | None:
        """What is being written down in this thread."""
        return getattr(self.local, "capture", None)

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

    def limit(self, index: int, fraction: float) -> None:
        with self.device(index):
            self.cupy.get_default_memory_pool().set_limit(fraction=fraction)

    def empty_cache(self) -> None:
        for card in self.cards:
            with self.cupy.cuda.Device(card.index):
                self.cupy.get_default_memory_pool().free_all_blocks()

    # ---- streams and events
    def stream(self, priority: int = 0, index: int | None = None) -> Any:
        with self.device(self.current() if index is None else index):
            return self.cupy.cuda.Stream(non_blocking=True, priority=priority)

    def external(self, address: int, index: int) -> Any:
        with self.device(index):
            return self.cupy.cuda.ExternalStream(address, index)

    @contextlib.contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        """Let work be put on a stream, on its device; CuPy takes none of another device than the current one."""
        with contextlib.nullcontext() if stream.device_id < 0 else self.device(stream.device_id), stream:
            yield

    def current_stream(self, index: int | None = None) -> Any:
        return self.cupy.cuda.get_current_stream(-1 if index is None else index)

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
        if self.capture is not None:
            raise RuntimeError("a graph is being captured already")
        pool = self.cupy.cuda.MemoryPool()
        with self.on(stream):
            made = Captured(self.cupy.zeros(2, np.uint64))
            with self.bounds.apart() as made.noted, self.cupy.cuda.using_allocator(pool.malloc):
                stream.begin_capture()
                self.local.capture = made
                try:
                    yield made
                except BaseException:
                    with contextlib.suppress(Exception):  # what went wrong inside has been said
                        stream.end_capture()
                    raise
                finally:
                    self.local.capture = None
                made.graph = stream.end_capture()
        made.pool, made.told = pool, self.bounds.again

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
