"""Threads: how many a compiled function may use, and its blocks spread over them.

Owns: `set_num_threads`, `get_num_threads`, `spread`. May import: the standard library. Must not know: arrays, graphs.
The number is that of OMP_NUM_THREADS, or of the cores that this process may use, until it is set. NumPy's loops release the
interpreter's lock, so blocks of rows run side by side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

_count: int | None = None
_pool: Any = None
_lock = threading.Lock()


def set_num_threads(n: int) -> None:
    """Let compiled functions spread large arrays over n threads; 1: run on the caller's alone. Raises for less than 1.

    The array library's own threads (BLAS) are set by OMP_NUM_THREADS before it is imported.
    """
    global _count, _pool
    if not isinstance(n, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    with _lock:
        _count, _pool = n, None


def get_num_threads() -> int:
    """Return over how many threads compiled functions may spread large arrays."""
    global _count
    if _count is None:
        given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _count = int(given) if given.isdigit() and int(given) else cores
    return _count


def spread(part: Callable[..., None], rows: int, step: int, quiet: Callable[[], Any], *arrays: Any) -> None:
    """Call part(thread, first, past last, *arrays) for all rows, in a part for each thread, cut at multiples of step.

    Raises what a part raised, once all of them are done.
    """
    blocks = -(-rows // step)
    count = min(get_num_threads(), blocks)
    if count == 1:
        part(0, 0, rows, *arrays)
        return
    stops = [min(rows, blocks * i // count * step) for i in range(count + 1)]

    def run(i: int) -> None:
        with quiet():
            part(i, stops[i], stops[i + 1], *arrays)

    futures = [_workers().submit(run, i) for i in range(1, count)]
    try:
        part(0, 0, stops[1], *arrays)
    finally:
        errors = [f.exception() for f in futures]
    for error in errors:
        if error is not None:
            raise error


def _workers() -> Any:
    from concurrent.futures import ThreadPoolExecutor  # a slow import

    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(get_num_threads() - 1, 1), "wengert")
        return _pool


def _forget() -> None:
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
