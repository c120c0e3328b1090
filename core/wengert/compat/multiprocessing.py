"""`wengert.multiprocessing`: Python's own, whose processes may be given tensors, and PyTorch's additions to it.

Owns: `spawn` and the sharing strategies. May import: the standard library. Must not know: tensors, which are sent as copies
unless `share_memory_()` was called before processes were made by fork.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing, name)


class ProcessRaisedException(Exception):
    """What is raised where a spawned process failed."""


def spawn(
    fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> Any:  # fmt: skip
    """Run fn(i, *args) in processes i = 0..nprocs-1; wait for them, or return them. Raises where one failed."""
    context = multiprocessing.get_context(start_method)
    processes = [context.Process(target=fn, args=(i, *args), daemon=daemon) for i in range(nprocs)]  # type: ignore[attr-defined]
    for process in processes:
        process.start()
    if not join:
        return processes
    for i, process in enumerate(processes):
        process.join()
        if process.exitcode:
            raise ProcessRaisedException(f"spawn: process {i} ended with exit code {process.exitcode}")
    return None


def get_all_sharing_strategies() -> set[str]:
    """Return the one strategy there is."""
    return {"file_system"}


def get_sharing_strategy() -> str:
    """Return the one strategy there is."""
    return "file_system"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted for PyTorch programs."""
