"""CuPy as the shared kernels speak of an array module: NumPy's language, where CuPy's differs.

Owns: `Module`, and the table of differences. May import: CuPy (by what it is given), NumPy for types. Must not know: ops,
tensors. What is not in the table is CuPy's own, under NumPy's name; what CuPy has not and nobody here asks for stays missing.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np


def number_of(x: Any) -> Any:
    """Return a 0-d host array as the number that CuPy's kernels take; bfloat16 has none of NumPy's own."""
    return float(x) if x.dtype.kind == "V" else x[()]


class Function:
    """A ufunc that takes `out=...` for a new array, and 0-d host arrays as numbers; with the methods that CuPy's has not."""

    def __init__(self, module: Module, name: str) -> None:
        self.module, self.name = module, name
        self.ufunc = getattr(module.cupy, name)

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, order: str = "K") -> Any:
        given = [a[()] if type(a) is np.ndarray else a for a in args]
        made = self.ufunc(*given, out=None if out is ... else out, dtype=dtype)
        return made if order != "C" else self.module.ascontiguousarray(made)

    def reduce(self, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """CuPy's reduces by add and multiply; extremes are functions there."""
        if axis == ():
            return x.astype(dtype or x.dtype)
        named = {"maximum": x.max, "minimum": x.min}.get(self.name)
        if named is None:
            return self.ufunc.reduce(x, axis, dtype, out, keepdims)
        return named(axis, out, keepdims)

    def accumulate(self, x: Any, axis: int = 0, dtype: Any = None) -> Any:
        """CuPy's accumulates by add and multiply. Others in log2(n) steps, each of which joins an element with the one that is
        as far before it as there were elements joined."""
        if self.name in ("add", "multiply"):
            return self.ufunc.accumulate(x, axis, dtype)
        made, whole, n = x.astype(dtype or x.dtype, copy=True), (slice(None),) * (axis % x.ndim), x.shape[axis]
        step = 1
        while step < n:
            later, before = made[(*whole, slice(step, None))], made[(*whole, slice(n - step))]
            later[...] = self.ufunc(before, later)
            step *= 2
        return made

    def at(self, target: Any, index: Any, values: Any) -> None:
        """CuPy's adds by atomic operations in types that the card has them for, and in no fixed order."""
        self.module.at(self.name, target, index, values)


class Module:
    """CuPy by NumPy's names."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.deterministic: Callable[[], bool] = lambda: False
        self.product: Callable[[Any, Any], Any] | None = None  # what multiplies while a stream is captured
        self.linalg = Linalg(self)
        self.lib = types.SimpleNamespace(stride_tricks=cupy.lib.stride_tricks)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.cupy, name)
        if isinstance(found, self.cupy.ufunc):
            found = Function(self, name)
        setattr(self, name, found)
        return found

    # ---- the table of differences
    def asarray(self, x: Any, dtype: Any = None) -> Any:
        """CuPy's copies from the host in steps that a stream waits for; a number is a kernel's argument instead."""
        if isinstance(x, np.ndarray | np.generic | bool | int | float | complex) and not np.ndim(x):
            value = np.asarray(x, dtype)
            made = self.cupy.empty((), value.dtype)
            made.fill(number_of(value))
            return made
        return self.cupy.asarray(x, dtype)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """CuPy's takes no 0-d host arrays."""
        return self.cupy.where(*[a[()] if type(a) is np.ndarray else a for a in (condition, x, y)])

    def ascontiguousarray(self, x: Any) -> Any:
        return x if x.flags.c_contiguous else x.copy("C")

    def zeros_like(self, x: Any) -> Any:
        """CuPy's keep the order of x, and so do NumPy's; the shared kernels want rows."""
        return self.cupy.zeros(x.shape, x.dtype)

    def empty_like(self, x: Any) -> Any:
        return self.cupy.empty(x.shape, x.dtype)

    def ones_like(self, x: Any) -> Any:
        return self.cupy.ones(x.shape, x.dtype)

    def full(self, shape: Any, value: Any, dtype: Any) -> Any:
        return self.cupy.full(shape, value, dtype)

    def max(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return x.max(axis, None, keepdims)

    def any(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """CuPy's takes an empty tuple of dims for all of them."""
        return x.astype(bool) if axis == () else x.any(axis, None, keepdims)

    def all(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return x.astype(bool) if axis == () else x.all(axis, None, keepdims)

    def argsort(self, x: Any, axis: int = -1, kind: str | None = None) -> Any:
        """CuPy's sort by merging and by radix, which are stable both, under another name; it has none for 0-d arrays."""
        return self.cupy.argsort(x, axis=axis)

    def take(self, x: Any, index: Any, axis: int | None = None) -> Any:
        return x.take(index, axis)

    def isin(self, x: Any, y: Any) -> Any:
        """CuPy's compares every element with every other for small arrays; this searches."""
        if not y.size:
            return self.cupy.zeros(x.shape, bool)
        ordered = self.cupy.sort(y.reshape(-1))
        places = self.cupy.searchsorted(ordered, x)
        return ordered.take(self.cupy.minimum(places, ordered.size - 1)) == x

    def lexsort(self, keys: Any) -> Any:
        """CuPy's takes floats and integers of some sizes; this sorts by the last key last, stably."""
        order = self.cupy.arange(keys.shape[1])
        for i in range(keys.shape[0]):
            order = order.take(self.cupy.argsort(keys[i].take(order)))
        return order

    def append(self, x: Any, value: Any) -> Any:
        """CuPy's makes an array of the number by a copy from the host."""
        return self.concatenate((x.reshape(-1), self.asarray(value, x.dtype).reshape(1)))

    def put_along_axis(self, target: Any, index: Any, values: Any, axis: int) -> None:
        axis %= target.ndim
        key = [self.cupy.arange(n).reshape((-1,) + (1,) * (target.ndim - 1 - d)) for d, n in enumerate(index.shape)]
        key[axis] = index
        target[tuple(key)] = values

    def frexp(self, x: Any) -> Any:
        """CuPy's keeps float32's exponents as int32, as NumPy's does; it has none for float16."""
        wide = x.astype(np.float32) if x.dtype.char == "e" else x
        mantissa, exponent = self.cupy.frexp(wide)
        return mantissa.astype(x.dtype, copy=False), exponent

    def bincount(self, x: Any, weights: Any = None, minlength: int = 0) -> Any:
        """CuPy's refuses integers beyond int32 with weights, and adds these up in no fixed order."""
        size = max(int(x.max()) + 1 if x.size else 0, minlength)
        made = self.cupy.zeros(size, np.int64 if weights is None else np.float64)
        ones = self.cupy.ones(x.shape, np.int64) if weights is None else weights.astype(np.float64)
        self.at("add", made, x.astype(np.int64, copy=False), ones)
        return made

    def einsum(self, subscripts: str, *operands: Any) -> Any:
        return self.cupy.einsum(subscripts, *operands)

    def roll(self, x: Any, shifts: Any, axes: Any) -> Any:
        return self.cupy.roll(x, shifts, axes)

    def nan_to_num(self, x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
        """CuPy's replaces infinities by numbers of Python's own, and takes no None for one of them."""
        if x.dtype.kind not in "fc":
            return x.copy()
        if x.dtype.kind == "c":
            made = self.cupy.empty(x.shape, x.dtype)
            made.real, made.imag = (self.nan_to_num(part, nan, posinf, neginf) for part in (x.real, x.imag))
            return made
        told = np.finfo(x.dtype)
        high, low = told.max if posinf is None else posinf, told.min if neginf is None else neginf
        kind, where = x.dtype.type, self.cupy.where
        made = where(x != x, kind(nan or 0), x)
        return where(made == np.inf, kind(high), where(made == -np.inf, kind(low), made))

    # ---- what CuPy refuses while a stream is captured
    def matmul(self, x: Any, y: Any, out: Any = None) -> Any:
        """CuPy calls no cuBLAS then."""
        try:
            return self.cupy.matmul(x, y, out=None if out is ... else out)
        except NotImplementedError:
            if self.product is None or x.dtype.kind not in "fcV":
                raise
        made = self.product(x, y)
        if out is None or out is ...:
            return made
        out[...] = made
        return out

    def concatenate(self, arrays: Any, axis: int = 0) -> Any:
        """CuPy's gives more than 8 arrays of one type to one kernel, with their addresses from the host."""
        try:
            return self.cupy.concatenate(arrays, axis)
        except RuntimeError as error:
            if len(arrays) <= 8 or "capturing" not in str(error):
                raise
        parts = [self.cupy.concatenate(arrays[i : i + 8], axis) for i in range(0, len(arrays), 8)]
        return self.concatenate(parts, axis)

    # ---- scattering
    def at(self, name: str, target: Any, index: Any, values: Any) -> None:
        """Join values with the elements of an array that an index names, each as often as it is named, in their order if
        `use_deterministic_algorithms` asks for it, or if the card has no atomic operation for it."""
        if isinstance(values, np.ndarray):
            values = values[()]
        atomic = {"add": "ilqILQefd", "maximum": "ilqILQ", "minimum": "ilqILQ"}.get(name, "")
        if target.dtype.char in "fd" and name in ("maximum", "minimum"):
            self.extremes_at(name, target, index, values)
            return
        if target.dtype.char in atomic and not (self.deterministic() and target.dtype.kind == "f" and name == "add"):
            if target.dtype.char in "lq" and name == "add":  # in two's complement, sums of unsigned numbers are the same
                self.cupy.add.at(target.view(np.uint64), index, self.bits(values, target.dtype))
            else:
                getattr(self.cupy, name).at(target, index, values)
            return
        if target.dtype.kind == "c" and name == "add":
            for part in ("real", "imag"):
                self.at(name, getattr(target, part), index, getattr(values, part))
            return
        self.in_order(getattr(self, name), target, index, values)

    def bits(self, values: Any, dtype: Any) -> Any:
        """Return int64 as the uint64 of the same bits."""
        if not isinstance(values, self.cupy.ndarray):
            return np.asarray(values, dtype).view(np.uint64)[()]
        return self.ascontiguousarray(values.astype(dtype, copy=False)).view(np.uint64)

    def extremes_at(self, name: str, target: Any, index: Any, values: Any) -> None:
        """CuPy's extremes of floats pass over nan, and take float64 for float32; this joins integers that are ordered as the
        floats are, with nan at the end that stays."""
        whole, bits = (np.dtype(np.uint32), 31) if target.dtype.char == "f" else (np.dtype(np.uint64), 63)
        high, shift = whole.type(1 << bits), whole.type(bits)
        last = whole.type(2 ** (bits + 1) - 1 if name == "maximum" else 0)
        where = self.cupy.where

        def ordered(x: Any) -> Any:
            plain = self.ascontiguousarray(x).view(whole)
            return where(x != x, last, where((plain >> shift).astype(bool), ~plain, plain | high))

        if not isinstance(values, self.cupy.ndarray):
            values = self.asarray(values, target.dtype)
        line, values = ordered(target), ordered(values.astype(target.dtype, copy=False))
        getattr(self.cupy, name).at(line, index, values)
        plain = where((line >> shift).astype(bool), line ^ high, ~line)
        target[...] = where(line == last, target.dtype.type(np.nan), plain.view(target.dtype))

    def in_order(self, function: Any, target: Any, index: Any, values: Any) -> None:
        """Join values in runs: those for one place, sorted to stand side by side, are joined pairwise until one is left; the
        order is that of their places and theirs, the same in every run."""
        places = self.cupy.arange(target.size).reshape(target.shape)[index]
        flat = places.reshape(-1)
        values = self.cupy.broadcast_to(values if isinstance(values, self.cupy.ndarray) else self.asarray(values), places.shape)
        order = self.cupy.argsort(flat)
        flat, kept = flat.take(order), values.astype(target.dtype).reshape(-1).take(order)
        step = 1
        ranks = self.ranks(flat)
        while step < flat.size:  # element r of a run takes in element r + step, where r is a multiple of 2 step
            joins = (ranks[:-step] % (2 * step) == 0) & (flat[:-step] == flat[step:])
            if not joins.any():
                break
            kept[:-step] = self.cupy.where(joins, function(kept[:-step], kept[step:]), kept[:-step])
            step *= 2
        first = (ranks == 0).nonzero()[0]
        where = flat.take(first)
        line = target.reshape(-1) if target.flags.c_contiguous else target.copy().reshape(-1)
        line[where] = function(line.take(where), kept.take(first))
        if not target.flags.c_contiguous:
            target[...] = line.reshape(target.shape)

    def ranks(self, ordered: Any) -> Any:
        """Return how many equal elements stand before each in a sorted array."""
        places = self.cupy.arange(ordered.size)
        begins = self.cupy.ones(ordered.size, bool)
        begins[1:] = ordered[1:] != ordered[:-1]
        starts = begins.nonzero()[0]
        return places - starts.take(self.cupy.cumsum(begins) - 1)


class Linalg:
    """`linalg`: CuPy's solves in place of raising; here, what cannot be factored raises as NumPy's does, at the price of a
    wait. One matrix at a time where cuSOLVER has no batches."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.module.cupy.linalg, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            import cupyx

            with cupyx.errstate(linalg="raise"):
                made = function(*args, **kwargs)
            return tuple(made) if isinstance(made, tuple) else made

        setattr(self, name, run)
        return run
