"""The rest of `wengert.cuda`: PyTorch's words for streams, events, memory and properties of the CUDA device.

Owns: the answers that need no device, and the refusals of those that do. May import: cuda, random, amp.
Must not know: CuPy. There is one stream, in order; without a device, memory is 0 and nothing is initialised.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from wengert import cuda
from wengert.compat import amp as amp
from wengert.ops.random import get_rng_state as get_rng_state
from wengert.ops.random import initial_seed as initial_seed
from wengert.ops.random import seed as seed
from wengert.ops.random import set_rng_state as set_rng_state

seed_all = seed


class _OutOfMemory(RuntimeError):
    """What programs catch when a device has no more memory."""


OutOfMemoryError = _OutOfMemory


def get_rng_state_all() -> list[Any]:
    """Return the state of the default stream, which serves every device, in a list."""
    return [get_rng_state()]


def set_rng_state_all(new_states: Any) -> None:
    """Set the state of the default stream by a list of one."""
    for state in new_states:
        set_rng_state(state)


def _needs_device(name: str) -> None:
    if not cuda.is_available():
        raise RuntimeError(f"cuda.{name}: no CUDA device is available here; `wengert devices` says why")


def _unknown(name: str) -> NotImplementedError:
    return NotImplementedError(f"cuda.{name}: wengert does not ask the device for it")


def init() -> None:
    """Raise RuntimeError where there is no CUDA device."""
    _needs_device("init")


def is_initialized() -> bool:
    """Say whether there is a device: it needs no other preparation."""
    return cuda.is_available()


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Say False: no CUDA device here computes in bfloat16."""
    return False


def set_device(device: Any) -> None:
    """Accept the device in use. Raises RuntimeError without one, or for another than the first."""
    _needs_device("set_device")
    index = device if isinstance(device, int) else getattr(device, "index", None) or 0
    if index:
        raise RuntimeError(f"cuda.set_device({device}): tensors are made on device 0 unless device= says otherwise")


def get_device_name(device: Any = None) -> str:
    """Return what `wengert devices` calls the device. Raises RuntimeError without one."""
    _needs_device("get_device_name")
    return cuda._infos()[0].description


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Raise RuntimeError without a device, NotImplementedError with one."""
    _needs_device("get_device_capability")
    raise _unknown("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """Raise RuntimeError without a device, NotImplementedError with one."""
    _needs_device("get_device_properties")
    raise _unknown("get_device_properties")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Raise RuntimeError without a device, NotImplementedError with one."""
    _needs_device("mem_get_info")
    raise _unknown("mem_get_info")


def memory_allocated(device: Any = None) -> int:
    """Return 0 where there is no device. Raises NotImplementedError with one."""
    if cuda.is_available():
        raise _unknown("memory_allocated")
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Accepted for PyTorch programs: no peaks are kept."""


reset_max_memory_allocated = ipc_collect = reset_peak_memory_stats


class Stream:
    """The one stream of work, in which everything happens in order."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.device = device

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked."""
        cuda.synchronize()

    def wait_stream(self, stream: Any) -> None:
        """Return at once: all is one stream."""

    def wait_event(self, event: Any) -> None:
        """Return at once: all is one stream."""

    def query(self) -> bool:
        """Say that all work is done, having waited for it."""
        cuda.synchronize()
        return True


def current_stream(device: Any = None) -> Stream:
    """Return the one stream."""
    return Stream(device)


default_stream = current_stream


def stream(stream: Any) -> Any:
    """Return a context that changes nothing: all is one stream."""
    return contextlib.nullcontext(stream)


class Event:
    """A point in time, once the device has done what it was asked before."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._at: float | None = None

    def record(self, stream: Any = None) -> None:
        """Note the time."""
        cuda.synchronize()
        self._at = time.perf_counter()

    def synchronize(self) -> None:
        """Return at once: `record` has waited."""

    wait = synchronize

    def query(self) -> bool:
        """Say that what came before is done."""
        return True

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds from this event to another. Raises RuntimeError where one was not recorded."""
        if self._at is None or end_event._at is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return (end_event._at - self._at) * 1000


class device(contextlib.nullcontext[None]):
    """A context of PyTorch's in which a CUDA device is the current one; there is one current device here."""

    def __init__(self, device: Any) -> None:
        super().__init__()
