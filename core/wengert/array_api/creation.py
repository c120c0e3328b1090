"""Making arrays by the array API standard's signatures.

Owns: `asarray`, `zeros` and its kin, ranges, grids, triangles. May import: wengert's public names, dtypes, the types beside.
Must not know: how a device holds data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import wengert as w
from wengert import Tensor, dtypes


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """Return numbers, nested sequences, a buffer or an array as an array. copy: always (True), never (False: ValueError
    where one is needed), or where needed (None)."""
    if isinstance(obj, Tensor):
        made = obj.to(dtype=dtype, device=device, copy=bool(copy))
        if copy is False and made is not obj:
            raise ValueError(f"asarray: {obj.dtype} on {obj.device} as {dtype} on {device} needs a copy, and copy=False")
        return made
    shared = hasattr(obj, "__dlpack__") or hasattr(obj, "__array__") or isinstance(obj, bytes | bytearray | memoryview)
    host = np.asarray(obj) if shared or hasattr(obj, "__buffer__") else None
    if host is not None:
        made = w.asarray(np.array(host) if copy or not host.flags.writeable else host, dtype=dtype, device=device)
        if copy is False and not np.shares_memory(made.detach().numpy(force=True), host):
            raise ValueError("asarray: this object's memory cannot be used as it is, and copy=False")
        return made
    if copy is False:
        raise ValueError(f"asarray: a {type(obj).__name__} has no memory to share, and copy=False")
    return w.tensor(obj, dtype=dtype, device=device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """Return an array on the memory of another library's array. Raises BufferError where that cannot be."""
    return w.from_dlpack(x, device=device, copy=copy)


def _size(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Return zeros."""
    return w.zeros(_size(shape), dtype=dtype, device=device)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Return ones."""
    return w.ones(_size(shape), dtype=dtype, device=device)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Return an array whose values are whatever is there."""
    return w.empty(_size(shape), dtype=dtype, device=device)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Return an array of one value, whose kind decides the type where none is given."""
    return w.full(_size(shape), fill_value, dtype=dtype, device=device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Return zeros of x's shape."""
    return w.zeros_like(x, dtype=dtype, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Return ones of x's shape."""
    return w.ones_like(x, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Return an array of x's shape whose values are whatever is there."""
    return w.empty_like(x, dtype=dtype, device=device)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """Return an array of x's shape and one value."""
    return w.full_like(x, fill_value, dtype=dtype, device=device)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Return start, start + step, ... before stop; empty where the step leads away from it."""
    if stop is None:
        start, stop = 0, start
    whole = all(isinstance(v, int) for v in (start, stop, step))
    if (-((start - stop) // step) if whole else math.ceil((stop - start) / step)) > 0:
        return w.arange(start, stop, step, dtype=dtype, device=device)
    return w.zeros(0, dtype=dtype or (w.int64 if whole else None), device=device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Any:  # fmt: skip
    """Return `num` evenly spaced values from start to stop, which is left out without `endpoint`."""
    whole = w.linspace(start, stop, num if endpoint else num + 1, dtype=dtype, device=device)
    return whole if endpoint else whole[:num]


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Any:
    """Return a matrix with ones on its k-th diagonal."""
    wanted = dtypes.default_float() if dtype is None else dtypes.to_numpy(dtype)
    return w.tensor(np.eye(n_rows, n_rows if n_cols is None else n_cols, k, dtype=wanted), device=device)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Return one-dimensional arrays as coordinates of a grid, rows first ("xy") or in order ("ij")."""
    return tuple(w.meshgrid(*arrays, indexing=indexing)) if arrays else ()


def tril(x: Any, /, *, k: int = 0) -> Any:
    """Return the part of matrices on and below their k-th diagonal."""
    return w.tril(x, k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    """Return the part of matrices on and above their k-th diagonal."""
    return w.triu(x, k)
