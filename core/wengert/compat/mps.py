"""`wengert.mps`: Apple's devices, of which PyTorch's programs ask whether there are any: there are none.

Owns: the answers. May import: random. Must not know: any device.
"""

from __future__ import annotations

from wengert.ops.random import manual_seed as manual_seed
from wengert.ops.random import seed as seed


def is_available() -> bool:
    """Say that there is none."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def synchronize() -> None:
    """Return at once."""


def empty_cache() -> None:
    """Return at once."""


def current_allocated_memory() -> int:
    """Return 0."""
    return 0
