"""Threads: how many a compiled function may use, and its blocks spread over them.

Owns: `set_num_threads`, `get_num_threads`, `spread`, `lock`, `Turn`. May import: threadpoolctl. Must not know: arrays, graphs.
The number is that of OMP_NUM_THREADS, or of the cores that this process may use, until it is set. NumPy's loops release the
interpreter's lock, so blocks of rows run side by side. Meanwhile BLAS keeps to the thread that calls it: threads of its own
would share the cores with ours, and wait for one another.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

PIECES = 8  # of the blocks, for each thread: one that is late, or shares its core, leaves more of them to the others

_count: int | None = None
_jobs: Any = None  # of the threads that wait for some
_lock = threading.Lock()
_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def lock() -> Any:
    """Return a lock that whoever has it may take again, as a finalizer does or what handles a signal, and that is free in a
    forked process, where no other thread is."""
    made = threading.RLock()
    _locks.add(made)
    return made


class Turn(list[bool]):
    """In place of a lock where that takes too long: who deletes the one element has it, and puts it back."""

    __slots__ = ("__weakref__",)

    def __init__(self) -> None:
        super().__init__([True])
        _locks.add(self)

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def _is_owned(self) -> bool:
        return False

    def _at_fork_reinit(self) -> None:
        self[:] = [True]


def set_num_threads(n: int) -> None:
    """Let compiled functions spread large arrays, and BLAS its products, over n threads; 1: run on the caller's alone.

    Raises RuntimeError for less than 1.
    """
    global _count, _jobs
    if not isinstance(n, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    with _lock:
        if _jobs is not None:
            _jobs.put(None)
        _count, _jobs = n, None
    if _blas() is not None:
        _blas().limit(limits=n)


def get_num_threads() -> int:
    """Return over how many threads compiled functions may spread large arrays."""
    global _count
    if _count is None:
        given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _count = int(given) if given.isdigit() and int(given) else cores
    return _count


def spread(part: Callable[..., None], rows: int, step: int, quiet: Callable[[], Any], *arrays: Any) -> None:
    """Call part(thread, first, past last, *arrays) for all rows, in pieces cut at multiples of step.

    Each thread takes the next piece when it has done one. Raises what a part raised, once all of them are done.
    """
    blocks = -(-rows // step)
    count = min(get_num_threads(), blocks)
    if count == 1:
        part(0, 0, rows, *arrays)
        return
    pieces = min(blocks, count * PIECES)
    stops = [min(rows, blocks * i // pieces * step) for i in range(pieces + 1)]
    numbers = itertools.count()
    errors: list[BaseException] = []
    late: BaseException | None = None  # what comes in between, such as a KeyboardInterrupt
    over: set[int] = set()  # threads that are done

    def run(thread: int) -> None:
        with quiet():
            while (i := next(numbers)) < pieces:
                try:
                    part(thread, stops[i], stops[i + 1], *arrays)
                except BaseException as error:
                    errors.append(error)

    def work(thread: int, token: list[bool], end: Any) -> None:
        try:
            if _took(token):
                run(thread)
        finally:
            over.add(thread)
            end.release()

    jobs, waits = _waiting(), []
    _alone.begin()
    try:
        for thread in range(1, count):
            token, end = [True], threading.Lock()
            end.acquire()
            job = functools.partial(work, thread, token, end)
            waits.append((thread, token, end))
            jobs.put(job)
        run(0)
    except BaseException as error:
        late = error
    while waits:  # for those who have begun: they write to arrays that are somebody else's when this is over
        try:
            if late is not None:
                numbers = itertools.count(pieces)
            thread, token, end = waits[-1]
            if not _took(token) and thread not in over:
                end.acquire()
            waits.pop()
        except BaseException as error:
            late = error
    _alone.end()
    if late is not None:
        raise late
    if errors:
        raise errors[0]


def _took(token: list[bool]) -> bool:
    """Say whether this is the first who asks: then the work is theirs."""
    try:
        token.pop()
    except IndexError:
        return False
    return True


@functools.cache
def _blas() -> Any:
    """Return what limits the threads of every BLAS that is loaded, if threadpoolctl is there; else these stay as they are."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


class Alone:
    """Keeps BLAS to one thread while somebody spreads blocks over several."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0
        self.limits: Any = None

    def begin(self) -> None:
        with self.lock:
            self.count += 1
            if self.count == 1 and _blas() is not None:
                self.limits = _blas().limit(limits=1)

    def end(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count and self.limits is not None:
                self.limits.restore_original_limits()


_alone = Alone()


def _waiting() -> Any:
    """Return the queue that threads, one less than may run, wait at. A pool of futures takes 70 us more to begin and end."""
    global _jobs
    with _lock:
        if _jobs is None:
            _jobs = _queue()
            for i in range(get_num_threads() - 1):
                threading.Thread(target=_work, args=(_jobs,), name=f"wengert_{i}", daemon=True).start()
        return _jobs


def _queue() -> Any:
    import queue  # takes a millisecond that one thread does not need

    return queue.SimpleQueue()


def _work(jobs: Any) -> None:
    """Do jobs until there is one that is None, which the next thread finds as well."""
    while (job := jobs.get()) is not None:
        job()
        del job  # it holds arrays
    jobs.put(None)


def _forget() -> None:
    global _jobs, _lock, _alone
    _jobs, _lock, _alone = None, threading.Lock(), Alone()
    for other in _locks:
        if not other._is_owned():
            other._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
