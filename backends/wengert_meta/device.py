"""The backend of arrays without values: each op's kernel is its record's `infer`, which says shape and dtype.

Owns: `Absent` and `MetaBackend`. May import: NumPy, the backend API. Must not know: any op but the one that carries values
away. An array's layout is that of a NumPy array over one element that stands for all; it tells shapes and strides, and is
never read.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, give_operators
from wengert.op import Op

_addresses = itertools.count(1)


def laid_out(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Return an array with the strides of a contiguous one of this shape, on the memory of one element."""
    strides, step = [], dtype.itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return np.lib.stride_tricks.as_strided(np.empty(1, dtype), shape, strides[::-1])


def no_data() -> NotImplementedError:
    return NotImplementedError(
        "Cannot copy out of meta tensor; no data! A tensor on the device 'meta' has a shape and a dtype and no values; "
        "make it on another device, or use to_empty() to move a module"
    )


class Absent:
    """An array that has everything but values."""

    __slots__ = ("layout", "base", "place", "__weakref__")
    __array_ufunc__ = None  # so that NumPy leaves operators to this class

    def __init__(self, layout: np.ndarray[Any, Any], base: Absent | None = None) -> None:
        self.layout, self.base = layout, base
        self.place: int = next(_addresses) if base is None else base.place

    shape = property(lambda self: self.layout.shape)
    dtype = property(lambda self: self.layout.dtype)
    strides = property(lambda self: self.layout.strides)
    ndim = property(lambda self: self.layout.ndim)
    size = property(lambda self: self.layout.size)
    nbytes = property(lambda self: self.layout.nbytes)
    flags = property(lambda self: self.layout.flags)

    def __bool__(self) -> bool:
        raise no_data()

    def __getitem__(self, index: Any) -> Absent:
        return Absent(self.layout[index], self if self.base is None else self.base)


class MetaBackend:
    """Shapes and dtypes alone: kernels infer, writes do nothing, and whoever asks for a value is told that there is none."""

    name = "meta"
    array_type = Absent
    valueless = True

    def devices(self) -> list[DeviceInfo]:
        return [DeviceInfo("meta", True, "shapes and dtypes without values", accelerator=False)]

    def from_host(self, array: Any, index: int) -> Absent:
        return self.made(array.shape, array.dtype)

    def filled(self, shape: Any, value: Any, index: int) -> Absent:
        return self.made(shape, value.dtype)

    def to_host(self, array: Absent) -> Any:
        raise no_data()

    def copy(self, array: Absent) -> Absent:
        return self.made(array.shape, array.dtype)

    def write(self, target: Absent, values: Any) -> Absent:
        np.broadcast_shapes(target.shape, np.shape(values) if not hasattr(values, "shape") else values.shape)
        return target

    def add_into(self, target: Absent, values: Any) -> None:
        """Nothing is there to be added to."""

    def address(self, array: Absent) -> int:
        first = array if array.base is None else array.base
        return array.place * (1 << 48) + array.layout.ctypes.data - first.layout.ctypes.data

    def index_of(self, array: Absent) -> None:
        return None

    def kernel(self, op: Op) -> Callable[..., Any] | None:
        if op.view:
            return lambda x, *params: Absent(op.kernels[np.ndarray](x.layout, *params), x if x.base is None else x.base)
        return None if op.infer is None or op.name == "to_device" else functools.partial(self.inferred, op)

    def inferred(self, op: Op, *args: Any, out: Any = ...) -> Any:
        assert op.infer is not None
        made = op.infer(*args)
        if out is not ...:
            return out
        return tuple([self.made(*m) for m in made]) if op.outputs > 1 else self.made(*made)

    def made(self, shape: Any, dtype: Any) -> Absent:
        return Absent(laid_out(tuple(shape), np.dtype(dtype)))

    def quiet(self) -> Any:
        return contextlib.nullcontext()

    def synchronize(self, index: int) -> None:
        """Nothing runs."""


give_operators(Absent)
