"""`wengert.distributed`: training by several processes, of which there is one.

Owns: the answers of one process, and the refusal to start others. Must not know: anything else.
"""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Say that there is no communication between processes."""
    return False


def is_initialized() -> bool:
    """Say that no group of processes was made."""
    return False


is_torchelastic_launched = is_initialized


def get_rank(group: Any = None) -> int:
    """Return which process this is: 0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """Return the number of processes: 1."""
    return 1


def barrier(*args: Any, **kwargs: Any) -> None:
    """Return at once: there is nobody to wait for."""


def destroy_process_group(group: Any = None) -> None:
    """Return at once: there is no group."""


def init_process_group(*args: Any, **kwargs: Any) -> None:
    """Raise RuntimeError: one process is all there is."""
    raise RuntimeError("distributed.init_process_group: wengert has no communication between processes; run without it")


def all_reduce(*args: Any, **kwargs: Any) -> None:
    """Raise RuntimeError: there is no group of processes."""
    raise RuntimeError("distributed: no process group was made, and wengert has no communication between processes")


all_gather = broadcast = reduce = gather = scatter = send = recv = all_reduce
