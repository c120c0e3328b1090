"""The array of the OpenCL device: a place in a buffer, a shape and strides.

Owns: `Array` and its views, none of which copies. Strides and offsets are in bytes, as NumPy's. May import: NumPy, the
runtime. Must not know: kernels, tensors. Operators are given to it by wengert, which knows the ops.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert_opencl.runtime import Runtime

Ints = tuple[int, ...]


def dense(shape: Ints, size: int) -> Ints:
    """Return the strides of an array in row-major order whose elements have `size` bytes."""
    made = [size] * len(shape)
    for d in range(len(shape) - 1, 0, -1):
        made[d - 1] = made[d] * max(shape[d], 1)
    return tuple(made)


class Flags:
    """What is asked of NumPy's flags."""

    __slots__ = ("c_contiguous",)

    def __init__(self, c_contiguous: bool) -> None:
        self.c_contiguous = c_contiguous


PACKED, LOOSE = Flags(True), Flags(False)


class Layout:
    """A device, a shape, strides and a type: quick to look a plan up by."""

    __slots__ = ()


@functools.lru_cache(maxsize=1 << 16)
def layout_of(runtime: Runtime, shape: Ints, strides: Ints, dtype: np.dtype[Any]) -> Layout:
    return Layout()


class Array:
    """Elements in a buffer of an OpenCL device."""

    __slots__ = (
        "runtime", "buffer", "offset", "shape", "strides", "dtype", "size", "_flags", "_layout", "base", "__weakref__",
    )  # fmt: skip
    __array_ufunc__ = None  # NumPy's scalars and arrays leave operators to this class

    def __init__(
        self, runtime: Runtime, buffer: Any, offset: int, shape: Ints, strides: Ints, dtype: np.dtype[Any], base: Any = None,
        packed: bool | None = None, layout: Layout | None = None, size: int | None = None,
    ) -> None:  # fmt: skip
        self.runtime, self.buffer, self.offset = runtime, buffer, offset
        self.shape, self.strides, self.dtype, self.base = shape, strides, dtype, base
        self.size = math.prod(shape) if size is None else size
        self._flags = PACKED if packed else None
        self._layout = layout

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def flags(self) -> Flags:
        if self._flags is None:
            step, packed = self.dtype.itemsize, True
            if self.size:
                for n, s in zip(reversed(self.shape), reversed(self.strides), strict=True):
                    if n != 1 and s != step:
                        packed = False
                        break
                    step *= n
            self._flags = PACKED if packed else LOOSE
        return self._flags

    @property
    def layout(self) -> Layout:
        """What a plan depends on, the same object for all arrays that have it in common."""
        if self._layout is None:
            self._layout = layout_of(self.runtime, self.shape, self.strides, self.dtype)
        return self._layout

    @property
    def start(self) -> int:
        """The offset in elements."""
        return self.offset // self.dtype.itemsize

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("an array of an OpenCL device becomes no NumPy array by itself; Tensor.cpu() or .numpy() copies it")

    def __repr__(self) -> str:
        return f"<OpenCL array {self.dtype}{list(self.shape)} on opencl:{self.runtime.index}>"

    # ---- views
    def view(self, shape: Ints, strides: Ints, offset: int, dtype: np.dtype[Any] | None = None) -> Array:
        """Return an array of the same memory; the offset is counted from this array's."""
        base = self if self.base is None else self.base
        return Array(self.runtime, self.buffer, self.offset + offset, shape, strides, dtype or self.dtype, base)

    def broadcast_to(self, shape: Ints) -> Array:
        added = len(shape) - len(self.shape)
        strides = [0] * added
        for n, m, s in zip(self.shape, shape[added:], self.strides, strict=True):
            if n != m and n != 1:
                raise ValueError(f"an array of shape {self.shape} does not broadcast to {shape}")
            strides.append(s if n == m else 0)
        return self.view(tuple(shape), tuple(strides), 0)

    def transpose(self, axes: Sequence[int]) -> Array:
        return self.view(tuple([self.shape[a] for a in axes]), tuple([self.strides[a] for a in axes]), 0)

    def getitem(self, index: Sequence[Any]) -> Array:
        """Take a basic index: ints, slices and None."""
        shape, strides, offset, d = [], [], 0, 0
        for part in index:
            if part is None:
                shape.append(1)
                strides.append(0)
                continue
            n, step = self.shape[d], self.strides[d]
            d += 1
            if isinstance(part, slice):
                start, stop, by = part.indices(n)
                count = len(range(start, stop, by))
                shape.append(count)
                strides.append(step * by)
                offset += start * step if count else 0
            else:
                if not -n <= part < n:
                    raise IndexError(f"index {part} is out of bounds for dimension {d - 1} with size {n}")
                offset += (part + n if part < 0 else part) * step
        return self.view((*shape, *self.shape[d:]), (*strides, *self.strides[d:]), offset)

    def __getitem__(self, index: Any) -> Array:
        """Take ints, slices, None and an ellipsis, as formulas of ops write it."""
        index = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(index) if part is ...), None)
        if at is not None:
            given = len([part for part in index if part is not None]) - 1
            index = (*index[:at], *[slice(None)] * (self.ndim - given), *index[at + 1 :])
        return self.getitem(index)

    def diagonal(self, offset: int, axis1: int, axis2: int) -> Array:
        rows, columns = self.shape[axis1], self.shape[axis2]
        n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
        start = (offset * self.strides[axis2] if offset >= 0 else -offset * self.strides[axis1]) if n else 0
        rest = [d for d in range(self.ndim) if d not in (axis1, axis2)]
        step = self.strides[axis1] + self.strides[axis2]
        return self.view((*[self.shape[d] for d in rest], n), (*[self.strides[d] for d in rest], step), start)

    def reshaped(self, shape: Ints) -> Array | None:
        """Return a view in another shape, or None where elements would have to move."""
        if self.flags.c_contiguous or not self.size:
            made = self.view(tuple(shape), dense(shape, self.dtype.itemsize), 0)
            made._flags = PACKED
            return made
        old = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        strides = [0] * len(shape)
        i = j = 0
        while i < len(old):  # runs of old dims and of new ones that have the same number of elements
            taken, first = old[i][0], i
            i += 1
            begin = j
            made_of = 1
            while True:
                while made_of < taken or (j < len(shape) and shape[j] == 1):
                    made_of *= shape[j]
                    j += 1
                if made_of == taken:
                    break
                while taken < made_of:
                    taken *= old[i][0]
                    i += 1
            for k in range(first, i - 1):
                if old[k][1] != old[k + 1][0] * old[k + 1][1]:
                    return None
            step = old[i - 1][1]
            for k in range(j - 1, begin - 1, -1):
                strides[k] = step
                step *= shape[k]
        return self.view(tuple(shape), tuple(strides), 0)

    def as_strided(self, shape: Ints, strides: Ints, offset: int) -> Array:
        size = self.dtype.itemsize
        return self.view(tuple(shape), tuple([s * size for s in strides]), offset * size)

    def view_bytes(self, dtype: np.dtype[Any]) -> Array:
        old, new = self.dtype.itemsize, dtype.itemsize
        if old == new:
            return self.view(self.shape, self.strides, 0, dtype)
        return self.view((*self.shape[:-1], self.shape[-1] * old // new), (*self.strides[:-1], new), 0, dtype)

    def part(self, imaginary: bool) -> Array:
        """Return the real or the imaginary parts; those of real numbers are themselves."""
        if self.dtype.kind != "c":
            return self.view(self.shape, self.strides, 0)
        dtype = np.dtype(f"f{self.dtype.itemsize // 2}")
        return self.view(self.shape, self.strides, dtype.itemsize if imaginary else 0, dtype)


def extent(x: Array) -> tuple[int, int]:
    """Return the first byte of an array's elements and one past the last, in its buffer."""
    low = high = x.offset
    for n, s in zip(x.shape, x.strides, strict=True):
        low += min((n - 1) * s, 0)
        high += max((n - 1) * s, 0)
    return low, high + x.dtype.itemsize


def overlap(x: Array, y: Array) -> bool:
    """Say whether two arrays may share memory without being the same elements in the same order."""
    if x.buffer is not y.buffer or not x.size or not y.size:
        return False
    if x.offset == y.offset and x.shape == y.shape and x.strides == y.strides:
        return False
    (a, b), (c, d) = extent(x), extent(y)
    return a < d and c < b
