"""`wengert.cuda`: what programs ask about the CUDA device.

Owns: the answers, and what `.cuda()` means on a machine without one. May import: backend, registry; compat for the rest, late.
Must not know: CuPy.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from wengert import backend
from wengert.registry import registry

_warned = False


def _infos() -> list[backend.DeviceInfo]:
    if "cuda" not in registry.tables["devices"] and not registry.has("devices", "cuda"):
        return []
    return [info for info in backend.backend_named("cuda").devices() if info.available]


def is_available() -> bool:
    """Say whether there is a CUDA device that works."""
    return bool(_infos())


def device_count() -> int:
    """Return the number of CUDA devices."""
    return len(_infos())


def current_device() -> int:
    """Return the index of the current CUDA device."""
    return 0


def synchronize(device: Any = None) -> None:
    """Wait until the device has done what it was asked."""
    if is_available():
        backend.backend_named("cuda").synchronize(backend.resolve(device or "cuda").index or 0)


def manual_seed(seed: int) -> None:
    """Seed the default stream: one stream serves every device."""
    from wengert.ops import random

    random.manual_seed(seed)


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Return unused device memory, where there is a device."""


def accelerator() -> str:
    """Return the device that `.cuda()` means: CUDA, or without it this machine's best device, saying so once.

    WENGERT_CUDA_FALLBACK=0 makes the second case an error, as in PyTorch.
    """
    global _warned
    if is_available():
        return "cuda"
    if os.environ.get("WENGERT_CUDA_FALLBACK") == "0":
        raise RuntimeError("no CUDA device is available here; `wengert devices` says why")
    best = best_device()
    if not _warned:
        _warned = True
        warnings.warn(
            f"no cuda device is available: .cuda() and cuda.*Tensor use {best!r} here "
            f"(WENGERT_CUDA_FALLBACK=0 makes this an error; `wengert devices` says why)",
            UserWarning,
            stacklevel=3,
        )
    return best


def best_device() -> str:
    """Return the fastest kind of device that works here: cuda, then any other accelerator, then the host (which beats an
    OpenCL driver for the same processor)."""
    names = registry.names("devices")
    for name in sorted(names, key=lambda n: (n != "cuda", n)):
        infos = [] if name == backend.HOST else backend.backend_named(name).devices()
        if any(info.available and info.accelerator for info in infos):
            return name
    return backend.HOST


def __getattr__(name: str) -> Any:
    from wengert.ops.creation import typed_tensors

    types = typed_tensors("cuda")
    if name in types:
        return types[name]
    from wengert.compat import cuda as more

    if name == "random":  # PyTorch keeps the seeds there
        return sys.modules[__name__]
    if not name.startswith("_") and hasattr(more, name):
        return getattr(more, name)
    raise AttributeError(f"module 'wengert.cuda' has no attribute {name!r}")
