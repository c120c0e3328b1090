"""`ArrayModule`: a backend made of a module such as NumPy.

Owns: how an op's kernel is found there: an entry of the tables below under the op's name, else the module's ufunc of that
name. May import: op records, NumPy. Must not know: tensors, gradients, other backends.
Every elementwise kernel takes `out`: an array to write to, or `...` for a new array (never a scalar, also for 0-d).
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.op import Op

Kernel = Callable[..., Any]
# What sums and products of a type, by its character, are added up in; None: in the type itself.
ADDS_IN: dict[str, Any] = {c: np.dtype(np.int64) for c in np.typecodes["AllInteger"] + "?"}
ADDS_IN |= {c: None for c in np.typecodes["AllFloat"]} | {"e": np.dtype(np.float32)}


class ArrayModule:
    """A backend over an array module `xp`; a subclass says what differs."""

    name: str
    array_type: type
    xp: Any

    # ---- elementwise ops that are no ufunc of the module: (xp, *inputs, out) -> array
    def elementwise_table(self) -> dict[str, Kernel]:
        xp = self.xp

        def where(c: Any, x: Any, y: Any, out: Any = ...) -> Any:
            return self.give(xp.where(c, x, y), out)

        def copy(x: Any, out: Any = ...) -> Any:
            return x.copy() if out is ... else self.give(x, out)

        def overwrite(x: Any, y: Any, out: Any = ...) -> Any:
            made = xp.empty_like(x) if out is ... else out
            made[...] = y
            return made

        def rsub(x: Any, y: Any, out: Any = ...) -> Any:
            return xp.subtract(y, x, out=out)

        multiply = xp.multiply

        def trunc_divide(x: Any, y: Any, out: Any = ...) -> Any:
            if x.dtype.kind in "fc":
                return xp.trunc(xp.divide(x, y, out=...), out=out)
            floor = xp.floor_divide(x, y, out=...)
            return self.give(floor + ((floor < 0) & (floor * y != x)), out)

        def power_number(x: Any, exponent: Any, out: Any = ...) -> Any:
            if exponent == 2:
                return multiply(x, x, out=out)
            if exponent == 0.5:
                return xp.sqrt(x, out=out)
            if exponent == 1:
                return xp.multiply(x, x.dtype.type(1), out=out)
            if exponent == -1:
                return xp.divide(x.dtype.type(1), x, out=out)
            if exponent == 3:
                return xp.multiply(xp.multiply(x, x, out=...), x, out=out)
            return xp.power(x, x.dtype.type(exponent), out=out)

        def absolute(x: Any, out: Any = ...) -> Any:
            return xp.absolute(x, out=out)

        def rsqrt(x: Any, out: Any = ...) -> Any:
            root = xp.sqrt(x, out=out)
            return xp.divide(x.dtype.type(1), root, out=root)

        def sigmoid(x: Any, out: Any = ...) -> Any:
            one = x.dtype.type(1)
            made = xp.exp(xp.negative(x, out=...), out=out)  # by tanh, what is near 0 would lose its digits
            xp.add(made, one, out=made)
            return xp.divide(one, made, out=made)

        def logaddexp(x: Any, y: Any, out: Any = ...) -> Any:
            return xp.logaddexp(x, y, out=out)

        def clip(x: Any, low: Any, high: Any, out: Any = ...) -> Any:
            return xp.minimum(xp.maximum(x, low, out=...), high, out=out)

        def sign(x: Any, out: Any = ...) -> Any:
            return xp.sign(x, out=out) if x.dtype != bool else self.give(x, out)

        def square(x: Any, out: Any = ...) -> Any:
            return xp.multiply(x, x, out=out)  # the module's own makes int8 of bool

        def shift(name: str) -> Kernel:
            function = getattr(xp, name)

            def run(x: Any, y: Any, out: Any = ...) -> Any:
                if x.dtype.kind == "b":
                    raise TypeError("bools have no bits to shift")
                return function(x, y, out=out)

            return run

        def real(x: Any, out: Any = ...) -> Any:
            return self.give(x.real.copy(), out)

        def rounder(name: str) -> Kernel:
            function = getattr(xp, name)
            return lambda x, out=...: function(x, out=out) if x.dtype.kind in "fc" else self.give(x.copy(), out)

        return {
            "where": where, "copy": copy, "overwrite": overwrite, "rsub": rsub, "trunc_divide": trunc_divide,
            "power_number": power_number, "absolute": absolute, "rsqrt": rsqrt, "sigmoid": sigmoid,
            "logaddexp": logaddexp, "clip": clip, "sign": sign, "real": real, "square": square,
            "left_shift": shift("left_shift"), "right_shift": shift("right_shift"), "floor": rounder("floor"),
            "ceil": rounder("ceil"), "trunc": rounder("trunc"), "rint": rounder("rint"),
        }  # fmt: skip

    scipy_module = "scipy"

    def scipy(self, name: str) -> Any:
        """Return a part of SciPy (of CuPy's, for CuPy), imported when it is first needed."""
        return importlib.import_module(f"{self.scipy_module}.{name}")

    def special(self, op: Op) -> Kernel | None:
        """Return the special function of an op's name as a kernel; results keep the type of the last input."""
        function = getattr(self.scipy("special"), op.name, None)
        if function is None:
            return None

        def run(*args: Any, out: Any = ...) -> Any:
            wanted = args[len(op.inputs) - 1].dtype
            return self.give(function(*args).astype(wanted, copy=False), out)  # float16 comes back wider

        return run

    # ---- ops that move, join or reduce: (*inputs, *params) -> array
    def structural_table(self) -> dict[str, Kernel]:
        xp = self.xp

        def dense(made: Any) -> Any:
            """Return an array in row-major order, as PyTorch lays out new results: view() works on them."""
            return made if made.ndim < 2 or made.flags.c_contiguous else xp.ascontiguousarray(made)

        def reduced(function: Any, x: Any, axis: Any, keepdims: bool) -> Any:
            made = function.reduce(x, axis, ADDS_IN[x.dtype.char], None, keepdims)
            return dense(made.astype(x.dtype) if x.dtype.char == "e" else made)

        def total(x: Any, axis: Any, keepdims: bool) -> Any:
            return reduced(xp.add, x, axis, keepdims)

        def mean(x: Any, axis: Any, keepdims: bool) -> Any:
            axes = range(x.ndim) if axis is None else axis
            n = 1
            for a in axes:
                n *= x.shape[a]
            made = xp.add.reduce(x, axis, ADDS_IN[x.dtype.char], None, keepdims)
            return dense((made / made.dtype.type(n)).astype(x.dtype, copy=False))

        def product(x: Any, axis: Any, keepdims: bool) -> Any:
            return reduced(xp.multiply, x, axis, keepdims)

        def norm2(x: Any, axis: Any, keepdims: bool) -> Any:
            size = xp.absolute(x) if x.dtype.kind == "c" else x
            wide = ADDS_IN[size.dtype.char]
            size = size if wide is None else size.astype(wide)  # a square of float16 soon leaves its range
            made = xp.sqrt(xp.add.reduce(size * size, axis, None, None, keepdims))
            return dense(made if wide is None else made.astype(x.dtype))

        def extreme(name: str) -> Kernel:
            function = getattr(xp, name)

            def run(x: Any, axis: Any, keepdims: bool) -> Any:
                if axis is not None and not isinstance(axis, int) and len(axis) == 1:
                    axis = axis[0]
                return dense(function(x, axis=axis, keepdims=keepdims))

            return run

        def argsort(x: Any, axis: int, descending: bool) -> Any:
            if not x.ndim:
                return xp.zeros((), np.int64)
            if not descending:
                return xp.argsort(x, axis=axis, kind="stable").astype(np.int64, copy=False)
            # stable and descending: sort the reversed array ascending, then reverse the order back
            n = x.shape[axis]
            order = xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)
            return (n - 1 - order).astype(np.int64, copy=False)

        def cumsum(x: Any, axis: int) -> Any:
            made = xp.cumsum(x, axis, dtype=ADDS_IN[x.dtype.char])
            return dense(made.astype(x.dtype) if x.dtype.char == "e" else made)

        def getitem(x: Any, index: Any) -> Any:
            return x[(*index, ...)]

        def broadcast_to(x: Any, shape: Any) -> Any:
            return xp.broadcast_to(x, shape)

        def diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
            made = xp.diagonal(x, offset, axis1, axis2)
            with contextlib.suppress(AttributeError, ValueError):
                made.flags.writeable = True  # NumPy gives a read-only view of memory that may be written
            return made

        def as_strided(x: Any, shape: Any, strides: Any, offset: int) -> Any:
            flat = x.reshape(-1, order="F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C")[offset:]
            return xp.lib.stride_tricks.as_strided(flat, shape, tuple(n * x.dtype.itemsize for n in strides))

        def filled(x: Any, shape: Any, value: Any, dtype: Any) -> Any:
            if value == 0:
                return xp.zeros(shape, dtype or x.dtype)
            made = xp.empty(shape, dtype or x.dtype)
            made[...] = value
            return made

        def key(x: Any, indices: Any, places: Any) -> Any:
            parts: list[Any] = [slice(None)] * x.ndim
            for index, place in zip(indices, places, strict=True):
                parts[place] = index
            return tuple(parts)

        def index_get(x: Any, indices: Any, places: Any) -> Any:
            return dense(x[key(x, indices, places)])

        def index_put(x: Any, values: Any, indices: Any, places: Any, accumulate: bool) -> Any:
            made = x.copy()
            if accumulate:
                xp.add.at(made, key(x, indices, places), values)
            else:
                made[key(x, indices, places)] = values
            return made

        def nonzero(x: Any) -> Any:
            if not x.ndim:
                return xp.zeros((int(bool(x)), 0), np.int64)
            return xp.stack(xp.nonzero(x), 1).astype(np.int64, copy=False)

        def dot(x: Any, y: Any) -> Any:
            return xp.dot(x, y) if x.dtype != bool else xp.logical_and(x, y).any()

        return {
            "cast": lambda x, dtype: x.astype(dtype), "sum": total, "mean": mean, "prod": product, "norm2": norm2,
            "amax": extreme("max"), "amin": extreme("min"),
            "any": lambda x, axis, keepdims: dense(xp.any(x, axis=axis, keepdims=keepdims)),
            "all": lambda x, axis, keepdims: dense(xp.all(x, axis=axis, keepdims=keepdims)),
            "argmax": lambda x, axis, keepdims: self.argextreme(xp.argmax, x, axis, keepdims),
            "argmin": lambda x, axis, keepdims: self.argextreme(xp.argmin, x, axis, keepdims),
            "argsort": argsort, "cumsum": cumsum, "reshape": lambda x, shape: x.reshape(shape),
            "transpose": lambda x, axes: x.transpose(axes), "broadcast_to": broadcast_to, "getitem": getitem,
            "diagonal": diagonal, "as_strided": as_strided, "concatenate": lambda xs, axis: dense(xp.concatenate(xs, axis)),
            "flip": lambda x, axes: xp.flip(x, axes).copy(), "filled": filled, "index_get": index_get,
            "index_put": index_put, "nonzero": nonzero, "matmul": xp.matmul, "dot": dot,
        }  # fmt: skip

    def argextreme(self, function: Kernel, x: Any, axis: Any, keepdims: bool) -> Any:
        return self.xp.asarray(function(x, axis=axis, keepdims=keepdims)).astype(np.int64, copy=False)

    # ---- what a subclass may replace
    def give(self, made: Any, out: Any) -> Any:
        """Return `made` as an array, written to `out` where one is given."""
        if out is ...:
            return self.xp.asarray(made)
        out[...] = made
        return out

    def finish(self, op: Op, kernel: Kernel) -> Kernel:
        """Return a kernel that gives arrays, never scalars, and no floating-point warnings."""
        return kernel

    def quiet(self) -> Any:
        return contextlib.nullcontext()

    # ---- the protocol
    def kernel(self, op: Op) -> Kernel | None:
        if not hasattr(self, "_tables"):
            self._tables = {**self.elementwise_table(), **self.structural_table()}
        found = self._tables.get(op.name)
        if found is None and op.elementwise:
            found = getattr(self.xp, op.name, None) or self.special(op)
        return None if found is None else self.finish(op, found)

    def copy(self, array: Any) -> Any:
        return array.copy()

    def write(self, target: Any, values: Any) -> Any:
        target[...] = values
        return target

    def add_into(self, target: Any, values: Any) -> None:
        self.xp.add(target, values, out=target)
