"""`wengert.accelerator`: the device besides the host, if there is one: CUDA, or what else a plugin brings.

Owns: the questions. May import: backend, cuda. Must not know: any particular device.
"""

from __future__ import annotations

from typing import Any

from wengert import backend, cuda


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


def synchronize(device: Any = None) -> None:
    """Wait until the device has done what it was asked."""
    target = current_accelerator() if device is None else backend.resolve(device)
    if target is not None:
        target.backend.synchronize(target.index or 0)


def empty_cache() -> None:
    """Accepted for PyTorch programs: unused memory is the device library's own matter."""
