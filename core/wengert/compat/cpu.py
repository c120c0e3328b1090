"""`torch.cpu`: what programs ask about the host in the words of the other devices.

Owns: the answers. May import: amp. Must not know: any device.
"""

from __future__ import annotations

import contextlib
from typing import Any

from wengert.compat import cpu_amp as amp  # noqa: F401  (torch.cpu.amp)


def is_available() -> bool:
    """Say that there is one."""
    return True


def is_initialized() -> bool:
    """Say that it needs no preparation."""
    return True


def device_count() -> int:
    """Return 1."""
    return 1


def current_device() -> str:
    """Return its name."""
    return "cpu"


def set_device(device: Any) -> None:
    """Return at once: there is one."""


def synchronize(device: Any = None) -> None:
    """Return at once: everything is done in order."""


def stream(stream: Any) -> contextlib.AbstractContextManager[None]:
    """Return a context that changes nothing."""
    return contextlib.nullcontext()
