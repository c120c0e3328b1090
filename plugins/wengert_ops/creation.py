"""Making tensors from other libraries' memory, with strides of one's own, or of powers.

Owns: `asarray`, `frombuffer`, `from_dlpack`, `empty_strided` and its kin, `range`, `vander`, and the conversion to
bfloat16. May import: wengert.extend, NumPy. Must not know: devices but the host.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert import Tensor
from wengert.extend import creation, default_float, dtypes, s, shape_of


def bfloat16(input: Any, memory_format: Any = None) -> Any:
    """Return input converted to bfloat16. Raises ImportError where ml_dtypes is not installed."""
    return input.to(dtypes.ALL["bfloat16"])


# ---- from memory
def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Any:
    """Return obj as a tensor, sharing its memory where nothing must change; copy=True never shares, False always.

    Buffers are read as dtype. Raises ValueError where copy=False cannot share.
    """
    if not isinstance(obj, Tensor | np.ndarray | np.generic) and not hasattr(obj, "__array__"):
        if hasattr(obj, "__dlpack__"):
            obj = from_dlpack(obj)
        elif isinstance(obj, bytes | bytearray | memoryview):
            obj = frombuffer(obj, dtype=dtypes.of(default_float()) if dtype is None else dtype)
    result = creation.as_tensor(obj, dtype=dtype, device=device)
    source = obj._array if isinstance(obj, Tensor) else obj
    shares = result is obj or (
        isinstance(source, np.ndarray) and isinstance(result._array, np.ndarray) and np.may_share_memory(result._array, source)
    )
    if copy is False and not shares:
        raise ValueError("can't alias tensor: it would have to be converted, or its memory is no array's")
    if copy and shares:
        result = result.clone()
    if requires_grad is None or (requires_grad and result.requires_grad):
        return result
    result = result.detach() if result.requires_grad or result is obj else result
    return result.requires_grad_(requires_grad)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """Return a vector on the memory of a buffer: count elements of dtype from byte `offset` on.

    Raises ValueError where the buffer has not that many bytes.
    """
    wanted = dtypes.to_numpy(dtype)
    try:
        size = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    if size == 0 or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and below the buffer length ({size} bytes)")
    if count < 0 and (size - offset) % wanted.itemsize:
        raise ValueError(
            f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple of element size "
            f"({wanted.itemsize})"
        )
    if count > 0 and offset + count * wanted.itemsize > size:
        raise ValueError(
            f"requested buffer length ({count} * {wanted.itemsize} bytes) after offset ({offset} bytes) must not be greater "
            f"than actual buffer length ({size} bytes)"
        )
    result = creation.from_numpy(np.frombuffer(buffer, wanted, count, offset))
    return result.requires_grad_() if requires_grad else result


class _Capsule:
    """A DLPack capsule of the host as an object that is asked for it, as NumPy wants it."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **asked: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def array(self) -> Any:
        """Return the memory as an array. Capsules before DLPack 1.0 do not say whether it may be written: it may."""
        unversioned = '"dltensor"' in repr(self.capsule)
        try:
            made = np.from_dlpack(self)
        except ValueError as error:
            raise RuntimeError("from_dlpack received an invalid capsule; a DLPack capsule can be consumed only once") from error
        if made.flags.writeable or not unversioned:
            return made
        self.kept, (address, _) = made, made.__array_interface__["data"]
        self.__array_interface__ = {**made.__array_interface__, "data": (address, False)}
        return np.asarray(self)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """Return a tensor on the memory of another library's array, or of a DLPack capsule; a copy of what lies on a device that
    is not the host. copy: always (True), never (False), or where needed (None).

    Raises BufferError where the other library cannot share, ValueError where copy=False and a copy is needed, RuntimeError
    for what is no such array.
    """
    moved = False
    if isinstance(ext_tensor, Tensor) and not ext_tensor.requires_grad:
        made = ext_tensor.detach()
    elif creation.of_cuda(ext_tensor):
        made = creation.as_tensor(ext_tensor)
    elif hasattr(ext_tensor, "__dlpack__") or type(ext_tensor).__name__ == "PyCapsule":
        host = _Capsule(_exported(ext_tensor, copy) if hasattr(ext_tensor, "__dlpack__") else ext_tensor).array()
        moved = any(n < 0 for n in host.strides)
        made = creation.from_numpy(host.copy() if moved else host)
    else:
        raise RuntimeError(f"from_dlpack received an invalid capsule: {type(ext_tensor).__name__} has no __dlpack__()")
    there = made if device is None else made.to(device)
    moved = moved or there is not made
    if moved and copy is False:
        raise ValueError("from_dlpack: this memory has to be copied (another device, or negative strides), and copy=False")
    return there.clone() if copy and not moved else there


def _exported(x: Any, copy: bool | None) -> Any:
    """Return the capsule of another library's array: versioned where the library knows how, of a copy on the host where the
    array is elsewhere."""
    asked: dict[str, Any] = {"max_version": (1, 0)}
    if hasattr(x, "__dlpack_device__") and int(x.__dlpack_device__()[0]) not in (1, 3):  # neither host nor pinned host memory
        if copy is False:
            raise ValueError(f"from_dlpack: a {type(x).__name__} on another device has to be copied, and copy=False")
        asked["dl_device"] = (1, 0)
    try:
        return x.__dlpack__(**asked)
    except TypeError:  # a library of the time before DLPack 1.0
        return x.__dlpack__()


# ---- with strides
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Return a tensor of a size and strides in elements. Raises RuntimeError where their numbers differ."""
    shape, steps = shape_of((size,), "empty_strided"), shape_of((stride,), "empty_strided")
    if len(shape) != len(steps):
        raise RuntimeError(
            f"mismatch in length of strides and shape: dimensionality of sizes ({len(shape)}) must match dimensionality of "
            f"strides ({len(steps)})"
        )
    if any(n < 0 for n in (*shape, *steps)):
        raise RuntimeError(f"empty_strided: sizes and strides must not be negative, got {list(shape)} and {list(steps)}")
    reach = 0 if 0 in shape else 1 + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    memory = creation.zeros(reach, dtype=dtype, device=device)
    result = s.as_strided_(memory, shape, steps, 0, (1,)).detach()
    return result.requires_grad_() if requires_grad else result


def new_empty_strided(
    self: Any, size: Any, stride: Any, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Return a tensor of a size and strides, of this one's dtype and device."""
    dtype, device = self.dtype if dtype is None else dtype, self.device if device is None else device
    return empty_strided(size, stride, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Return a tensor of a size whose dims lie in memory in the order of physical_layout, the last one densest.

    Raises RuntimeError for an order that is none.
    """
    shape, order = shape_of((size,), "empty_permuted"), shape_of((physical_layout,), "empty_permuted")
    if len(shape) != len(order):
        raise RuntimeError(f"empty_permuted: {len(shape)} sizes, but {len(order)} dims in physical_layout")
    if len({*order}) != len(order):
        raise RuntimeError(f"Duplicate dim not allowed: {list(order)} (empty_permuted)")
    if any(not 0 <= d < len(shape) for d in order):
        raise RuntimeError(f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {list(order)})")
    steps, step = [0] * len(shape), 1
    for d in reversed(order):
        steps[d], step = step, step * max(shape[d], 1)
    return empty_strided(shape, steps, dtype=dtype, device=device, requires_grad=requires_grad)


# ---- of a range
def range(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, out: Any = None,
) -> Any:  # fmt: skip
    """Return start, start + step, ... up to end, which is included: floor((end - start) / step) + 1 values."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    wanted = creation.chosen("range", dtype, out)
    values = start + np.arange(math.floor((end - start) / step) + 1) * step
    return creation.in_order("range", values.astype(wanted), device, requires_grad, out)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Return the matrix x_i^(N-1-j), or x_i^j if increasing; N is len(x) by default."""
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    x = x.to(dtypes.int64) if x.dtype.category < dtypes.FLOATING else x
    powers = creation.arange(n, device=x.device)
    return s.unsqueeze(x, 1) ** (powers if increasing else s.flip_face(powers, 0))


# ---- questions
def is_complex(input: Any) -> bool:
    """Say whether the elements of input are complex."""
    return bool(input.is_complex())


def is_nonzero(input: Any) -> bool:
    """Say whether the one element of input is not 0. Raises RuntimeError where there are more or none."""
    return bool(input)
