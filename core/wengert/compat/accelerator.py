"""`wengert.accelerator`: the device besides the host, if there is one: CUDA, or what else a plugin brings.

Owns: the questions, `wengert.Stream` and `wengert.Event`. May import: backend, cuda. Must not know: any particular device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from wengert import backend, cuda
from wengert.cuda import Stream as Stream
from wengert.cuda import current_stream as current_stream


def is_available() -> bool:
    """Say whether a device other than the host works here."""
    return cuda.best_device() != backend.HOST


def current_accelerator(check_available: bool = False) -> Any:
    """Return the device, or None where there is only the host."""
    best = cuda.best_device()
    return None if best == backend.HOST else backend.device(best)


def device_count() -> int:
    """Return the number of devices of that kind."""
    best = cuda.best_device()
    return 0 if best == backend.HOST else sum(info.available for info in backend.infos(best))


def current_device_index() -> int:
    """Return the index of the current device."""
    return 0


current_device_idx = current_device_index


def set_device_index(device: Any) -> None:
    """Accept the first device. Raises RuntimeError for others: `device=` chooses those."""
    index = device if isinstance(device, int) else getattr(device, "index", None) or 0
    if index:
        raise RuntimeError(f"accelerator.set_device_index({device}): pass device= where tensors are made")


set_device_idx = set_device_index


@contextlib.contextmanager
def device_index(device: int | None) -> Iterator[None]:
    """Return a context in which a device of that index is the current one: the first, or None for any."""
    if device is not None:
        set_device_index(device)
    yield


class Event(cuda.Event):
    """A point in the work of a device, in time with enable_timing. To record one waits for devices other than CUDA's."""

    def __init__(
        self, device: Any = None, *, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        super().__init__(enable_timing, blocking, interprocess)
        self.device = current_accelerator() if device is None else backend.device(device)

    def record(self, stream: Any = None) -> None:
        """Put the event on a stream, the current one by default."""
        if self.raw is None:
            synchronize(self.device)
        super().record(stream)


def synchronize(device: Any = None) -> None:
    """Wait until the device has done what it was asked."""
    target = current_accelerator() if device is None else backend.resolve(device)
    if target is not None:
        target.backend.synchronize(target.ordinal)


def empty_cache() -> None:
    """Accepted for PyTorch programs: unused memory is the device library's own matter."""
