"""`wengert.opencl`: memory, waiting and exchange of arrays on OpenCL devices.

Owns: these calls in PyTorch's words where `torch.cuda` has them. May import: backend, tensor. Must not know: pyopencl; the
device's package answers.
"""

from __future__ import annotations

from typing import Any

from wengert import backend
from wengert._tensor import Tensor, wrap


def _device(device: Any) -> tuple[Any, int]:
    place = backend.resolve("opencl" if device is None else f"opencl:{device}" if isinstance(device, int) else device)
    if place.type != "opencl":
        raise ValueError(f"expected an OpenCL device, got {place}")
    return place.backend, place.index or 0


def is_available() -> bool:
    """Say whether there is an OpenCL device that works."""
    return device_count() > 0


def device_count() -> int:
    """Return the number of OpenCL devices."""
    return sum(info.available for info in backend.backend_named("opencl").devices())


def synchronize(device: Any = None) -> None:
    """Wait until the device has done what it was asked. Raises IndexError where an index was out of range on the way."""
    owner, index = _device(device)
    owner.synchronize(index)


def memory_stats(device: Any = None) -> dict[str, int]:
    """Return bytes: `allocated` to arrays, `reserved` with what is kept for reuse, `peak` of the first, and the `limit`."""
    owner, index = _device(device)
    found: dict[str, int] = owner.memory_stats(index)
    return found


def memory_allocated(device: Any = None) -> int:
    """Return how many bytes arrays have."""
    return memory_stats(device)["allocated"]


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that arrays had, since the start or `reset_peak_memory_stats`."""
    return memory_stats(device)["peak"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count the peak from now on."""
    owner, index = _device(device)
    owner.reset_peak(index)


def set_memory_limit(limit: int | None, device: Any = None) -> None:
    """Raise `wengert.OutOfMemoryError` when arrays would have more bytes than this; None: the device's memory."""
    owner, index = _device(device)
    owner.set_limit(limit, index)


def empty_cache(device: Any = None) -> None:
    """Give back memory that is kept for reuse."""
    owner, index = _device(device)
    owner.empty_cache(index)


def queue(device: Any = None) -> Any:
    """Return pyopencl's command queue of a device, whose context arrays must have that are exchanged with others' code."""
    owner, index = _device(device)
    return owner.queue(index)


def to_pyopencl(input: Tensor) -> Any:
    """Return a tensor as a `pyopencl.array.Array` of the same memory."""
    return backend.of_array(input._array).export(input.detach()._array)


def from_pyopencl(array: Any) -> Tensor:
    """Return a `pyopencl.array.Array` as a tensor of the same memory. Raises ValueError for one of another context."""
    return wrap(backend.backend_named("opencl").adopt(array))


def from_numpy(array: Any, device: Any = None) -> Tensor:
    """Return a NumPy array as a tensor of the same memory, on a device that works in the host's.

    Raises RuntimeError for other devices, where `.to("opencl")` copies, and for an array that is not contiguous.
    """
    owner, index = _device(device)
    return wrap(owner.around(array, index))
