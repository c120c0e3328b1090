"""`ArrayModule`: a backend made of a module such as NumPy.

Owns: how an op's kernel is found there: an entry of the tables below under the op's name, else the module's ufunc of that
name. May import: op records, NumPy. Must not know: tensors, gradients, other backends.
Every elementwise kernel takes `out`: an array to write to, or `...` for a new array (never a scalar, also for 0-d).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.op import Op
from wengert_xp import reductions
from wengert_xp.reductions import within

Kernel = Callable[..., Any]
HALF = np.dtype(np.float16)
MANY = 1 << 14  # elements from which on it pays to add rows by more than one call
PRODUCTS = ("matmul", "rows", "mv", "dot")
# Structural ops whose kernels give arrays, never scalars. What they may warn of is treated as of elementwise ones.
BARE = (*PRODUCTS, "concatenate", "stack", "flip", "roll", "gather", "mask_get", "mask_put",
        "sum", "mean", "amax", "amin", "softmax", "log_softmax", "softmax_back", "log_softmax_back", "cumsum")  # fmt: skip


def key(indices: Any, places: Any) -> Any:
    """Return index arrays in their places as the module takes them, with all of the dims between."""
    parts: list[Any] = [slice(None)] * (places[-1] + 1)
    for index, place in zip(indices, places, strict=True):
        parts[place] = index
    return tuple(parts)


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
                made = xp.multiply(x, x, out=...)
                return xp.multiply(made, x, out=made if out is ... else out)
            return xp.power(x, x.dtype.type(exponent), out=out)

        def absolute(x: Any, out: Any = ...) -> Any:
            return xp.absolute(x, out=out)

        def rsqrt(x: Any, out: Any = ...) -> Any:
            if x.dtype is HALF:
                return self.in_single(rsqrt, out, x)
            root = xp.sqrt(x, out=out)
            return xp.divide(self.scalar(1, x.dtype), root, out=root)

        def sigmoid(x: Any, out: Any = ...) -> Any:
            if x.dtype is HALF:
                return self.in_single(sigmoid, out, x)
            one = self.scalar(1, x.dtype)
            made = xp.negative(x, out=out)  # by tanh, what is near 0 would lose its digits
            xp.exp(made, out=made)
            xp.add(made, one, out=made)
            return xp.divide(one, made, out=made)

        def add_exponentials(function: Any, exp: Any, scale: float, x: Any, y: Any, out: Any) -> Any:
            """Return max + scale * log1p(exp(-|x - y|)), of many elements in a tenth of the time the module's takes."""
            if x.size < 256 > y.size or x.dtype is HALF:
                return function(x, y, out=out)
            with self.quiet():
                apart = xp.where(x == y, x.dtype.type(0), -xp.absolute(x - y))  # of two infinities nan
                made = xp.log1p(exp(apart))
                return xp.add(xp.maximum(x, y), made if scale == 1 else made * x.dtype.type(scale), out=out)

        def logaddexp2(x: Any, y: Any, out: Any = ...) -> Any:
            return add_exponentials(xp.logaddexp2, xp.exp2, 1.4426950408889634, x, y, out)

        def logaddexp(x: Any, y: Any, out: Any = ...) -> Any:
            if x.dtype.kind != "c":
                return add_exponentials(xp.logaddexp, xp.exp, 1.0, x, y, out)
            first = x.real >= y.real
            large, small = xp.where(first, x, y), xp.where(first, y, x)
            return xp.add(large, xp.log1p(xp.exp(small - large)), out=out)

        def absent(bound: Any, value: float) -> bool:
            return type(bound) is np.ndarray and not bound.ndim and bound.item() == value

        def clip(x: Any, low: Any, high: Any, out: Any = ...) -> Any:
            if absent(high, np.inf):
                return xp.maximum(low, x, out=out)  # of two zeros the second, as PyTorch
            if absent(low, -np.inf):
                return xp.minimum(high, x, out=out)
            made = xp.maximum(low, x, out=...) if high.ndim else xp.maximum(low, x, out=out)
            return xp.minimum(high, made, out=made if out is ... and not high.ndim else out)

        def sign(x: Any, out: Any = ...) -> Any:
            if x.dtype.kind != "f":
                return xp.sign(x, out=out) if x.dtype != bool else self.give(x.copy(), out)
            if x.size >= MANY and type(x) is np.ndarray:
                made = np.subtract((x > 0).view(np.int8), (x < 0).view(np.int8))
                return made.astype(x.dtype) if out is ... else self.give(made, out)
            made = xp.sign(x, out=out)
            xp.copyto(made, 0, where=made != made)  # nan has no sign
            return made

        def sgn(x: Any, out: Any = ...) -> Any:
            if x.dtype.kind != "c":
                return sign(x, out)
            size = xp.absolute(x)
            return xp.divide(x, xp.where(size == 0, size.dtype.type(1), size), out=out)

        def power(x: Any, y: Any, out: Any = ...) -> Any:
            if x.dtype.kind != "i" or not (y < 0).any():
                return xp.power(x, y, out=out)
            unit = xp.where(abs(x) == 1, x, x.dtype.type(0))  # 1 / x rounds to 0, but for x = 1 and x = -1
            return self.give(xp.where(y >= 0, xp.power(x, abs(y)), xp.where(y & 1 == 1, unit, abs(unit))), out)

        def square(x: Any, out: Any = ...) -> Any:
            return xp.multiply(x, x, out=out)  # the module's own makes int8 of bool

        def relu(x: Any, out: Any = ...) -> Any:
            if x.dtype.kind in "bc":
                raise NotImplementedError("relu takes integers and real floats, no bools or complex numbers")
            return xp.maximum(self.scalar(0, x.dtype), x, out=out)

        def shift(name: str) -> Kernel:
            function = getattr(xp, name)

            def run(x: Any, y: Any, out: Any = ...) -> Any:
                if x.dtype.kind == "b":
                    raise TypeError("bools have no bits to shift")
                return function(x, y, out=out)

            return run

        def rounder(name: str) -> Kernel:
            function = getattr(xp, name)
            return lambda x, out=...: function(x, out=out) if x.dtype.kind in "fc" else self.give(x.copy(), out)

        return {
            "where": where, "copy": copy, "overwrite": overwrite, "rsub": rsub, "trunc_divide": trunc_divide,
            "power_number": power_number, "absolute": absolute, "rsqrt": rsqrt, "sigmoid": sigmoid,
            "logaddexp": logaddexp, "logaddexp2": logaddexp2, "clip": clip, "sign": sign, "sgn": sgn, "power": power,
            "square": square, "relu": relu,
            "left_shift": shift("left_shift"), "right_shift": shift("right_shift"), "floor": rounder("floor"),
            "ceil": rounder("ceil"), "trunc": rounder("trunc"), "rint": rounder("rint"),
        }  # fmt: skip

    block = 1 << 16  # elements that a reduction works on at a time, so that they stay in a core's cache
    direct = 1 << 8  # elements up to which the module's own `.at` adds them

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

        def getitem(x: Any, index: Any) -> Any:
            return x[(*index, ...)]

        def broadcast_to(x: Any, shape: Any) -> Any:
            return xp.broadcast_to(x, shape)

        def diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
            made = xp.diagonal(x, offset, axis1, axis2)
            with contextlib.suppress(AttributeError, ValueError):
                made.flags.writeable = True  # NumPy gives a read-only view of memory that may be written
            return made

        def as_strided(x: Any, shape: Any, strides: Any, offset: int, own: Any) -> Any:
            size, strider = x.dtype.itemsize, xp.lib.stride_tricks.as_strided
            steps = tuple([n * size for n in strides])
            if 0 in shape:
                return strider(x.reshape(-1)[:0] if not x.size else x, shape, steps)
            length = offset + 1 + sum([(n - 1) * step for n, step in zip(shape, strides, strict=True)])
            return strider(strider(x, (length,), (size,))[offset:], shape, steps)

        def filled(x: Any, shape: Any, value: Any, dtype: Any) -> Any:
            if value == 0 and "-" not in str(value):  # no bit set, unlike -0.0
                return xp.zeros(shape, dtype or x.dtype)
            made = xp.empty(shape, dtype or x.dtype)
            made[...] = value
            return made

        def index_get(x: Any, indices: Any, places: Any) -> Any:
            if len(places) == 1 and indices[0].dtype.char != "?":
                return x.take(indices[0], places[0])
            return dense(x[key(indices, places)])

        def add_rows(made: Any, index: Any, rows: Any, fresh: bool) -> Any:
            """Add each row to the row of `made` that the index names, in their order; return `made`. A product with a sparse
            matrix of ones runs at the speed of memory. fresh: all of it is 0."""
            count, width = rows.shape
            if width >= 4 and rows.size >= MANY and rows.dtype.char in "fdFD" and len(made) <= 4 * count:
                ones = xp.ones(count, rows.dtype)
                places = self.scipy("sparse").csc_matrix((ones, index, xp.arange(count + 1)), shape=(len(made), count))
                return xp.add(made, places @ rows, out=made)
            if width >= 8 and rows.size >= MANY:  # whole rows, each for the first time it is named
                numbers, first = xp.arange(count), xp.empty(len(made), np.int64)
                first[index[::-1]] = numbers[::-1]
                new = first[index] == numbers
                chosen, again = new.nonzero()[0], (~new).nonzero()[0]
                target = index[chosen]
                made[target] = (0 if fresh else made.take(target, 0)) + rows.take(chosen, 0)
                index, rows = index[again], rows.take(again, 0)
            at = index if width == 1 else (index[:, None] * width + xp.arange(width)).reshape(-1)
            xp.add.at(made.reshape(-1), at, rows.reshape(-1))
            return made

        def add_at(made: Any, values: Any, indices: Any, places: Any, fresh: bool = False) -> Any:
            """Add values to the elements of an array that index arrays name, each as often as it is named. fresh: it is 0."""
            if values.size < self.direct or (made.ndim == 1 and values.shape == indices[0].shape):
                if made.ndim == 1:
                    xp.add.at(made, indices[0].reshape(-1), values.reshape(-1))
                else:
                    xp.add.at(made, key(indices, places), values)
                return made
            if values.size < MANY and places == (0,) and values.shape == (*indices[0].shape, *made.shape[1:]):
                index = indices[0].astype(np.int64, copy=False).reshape(-1)
                add_rows(made.reshape(len(made), -1), index, values.reshape(index.size, -1), fresh)
                return made
            picked = np.broadcast_shapes(*[i.shape for i in indices])
            values = xp.broadcast_to(values, np.broadcast_shapes(values.shape, result_shape(made.shape, picked, places)))
            index, shape, count = None, made.shape, 1
            for i, place in zip(indices, places, strict=True):  # one index into the dims that are indexed, merged
                i = xp.where(i < 0, i + shape[place], i).astype(np.int64, copy=False)
                within(i, shape[place])  # a compiled gradient may be the only one that reads it
                index = i if index is None else index * shape[place] + i
                count *= shape[place]
            index = xp.broadcast_to(index, picked).reshape(-1)
            if len(places) == 1 and places[0] and type(made) is np.ndarray:
                return add_inside(made, index, values, places[0], fresh)
            rest = [d for d in range(made.ndim) if d not in places]
            front, ndim = first(places), len(picked)
            moved = [*range(front, front + ndim), *range(front), *range(front + ndim, values.ndim)]
            rows = values.transpose(moved).reshape(index.size, -1 if values.size else 0)
            order = [*places, *rest]
            laid = made.transpose(order)
            summed = add_rows(xp.ascontiguousarray(laid).reshape(count, -1), index, rows, fresh).reshape(laid.shape)
            if order == sorted(order):
                return made  # whose memory that is; itself and no view of it, so that its owner may be told
            return dense(summed.transpose([order.index(d) for d in range(made.ndim)]))

        def add_inside(made: Any, index: Any, values: Any, place: int, fresh: bool) -> Any:
            """Add values to the elements of an inner dim that a vector names, matrix by matrix, or many short ones at once."""
            before, n, after = math.prod(made.shape[:place]), made.shape[place], math.prod(made.shape[place + 1 :])
            target, given = made.reshape(before, n, after), values.reshape(before, index.size, after)
            if after >= 8 and index.size * after >= MANY:
                for matrix, rows in zip(target, given, strict=True):
                    add_rows(matrix, index, rows, fresh)
                return made
            step = max(1, self.block // max(given[0].size, 1)) if before else 1
            at = (index[:, None] * after + xp.arange(after)).reshape(-1)
            at = (xp.arange(min(step, before))[:, None] * (n * after) + at).reshape(-1)
            for i in range(0, before, step):
                part = given[i : i + step].reshape(-1)
                xp.add.at(target[i : i + step].reshape(-1), at[: part.size], part)
            return made

        def first(places: Any) -> int:
            """Return where the dims of index arrays stand in the result: in their place if adjacent, else in front."""
            return places[0] if places == tuple(range(places[0], places[0] + len(places))) else 0

        def result_shape(shape: Any, picked: Any, places: Any) -> Any:
            rest = [n for d, n in enumerate(shape) if d not in places]
            return (*rest[: first(places)], *picked, *rest[first(places) :])

        def widened(add: Kernel, x: Any, values: Any, *args: Any) -> Any:
            """Return x (an array, or the shape of zeros) with values added to it by a function, float16 in float32."""
            wide = np.float32 if values.dtype.char == "e" else values.dtype
            made = xp.zeros(x, wide) if isinstance(x, tuple) else x.astype(wide, order="C")
            return add(made, values.astype(wide, copy=False), *args).astype(values.dtype, copy=False)

        def index_put(x: Any, values: Any, indices: Any, places: Any, accumulate: bool) -> Any:
            if accumulate:
                return widened(add_at, x, values, indices, places)
            made = x.copy()
            made[key(indices, places)] = values
            return made

        def index_sum(values: Any, indices: Any, shape: Any, places: Any) -> Any:
            return widened(add_at, tuple(shape), values, indices, places, True)

        def along(shape: Any, index: Any, dim: int) -> Any:
            """Return where, in an array of a shape laid out in order, the elements are that an index names along dim."""
            offsets, step, own = None, 1, 1
            for d in reversed(range(len(shape))):
                if d == dim:
                    own = step
                elif index.shape[d] > 1:
                    part = (xp.arange(index.shape[d]) * step).reshape((-1,) + (1,) * (len(shape) - 1 - d))
                    offsets = part if offsets is None else offsets + part
                step *= shape[d]
            flat = index.astype(np.int64, copy=False)
            flat = flat if own == 1 else flat * own
            return flat if offsets is None else flat + offsets

        def gather(x: Any, index: Any, dim: int) -> Any:
            within(index, x.shape[dim])
            return x.reshape(-1).take(along(x.shape, index, dim))

        def scatter(x: Any, values: Any, index: Any, dim: int, accumulate: bool) -> Any:
            within(index, x.shape[dim])
            if accumulate:
                return widened(scatter_into, x, values, index, dim)
            made = x.copy()
            made.reshape(-1)[along(x.shape, index, dim)] = values
            return made

        def scatter_by(name: str) -> Kernel:
            def run(x: Any, values: Any, index: Any, dim: int) -> Any:
                within(index, x.shape[dim])
                made = x.copy()
                getattr(xp, name).at(made.reshape(-1), along(x.shape, index, dim).reshape(-1), values.reshape(-1))
                return made

            return run

        def scatter_into(made: Any, values: Any, index: Any, dim: int) -> Any:
            xp.add.at(made.reshape(-1), along(made.shape, index, dim).reshape(-1), values.reshape(-1))
            return made

        def scatter_sum(values: Any, index: Any, shape: Any, dim: int) -> Any:
            within(index, shape[dim])
            return widened(scatter_into, tuple(shape), values, index, dim)

        def mask_get(x: Any, mask: Any, dim: int) -> Any:
            if mask.ndim == x.ndim > 1:  # several times as fast as the module's own
                return x.reshape(-1).take(mask.reshape(-1).nonzero()[0])
            return dense(x[(slice(None),) * dim + (mask,)])

        def mask_put(x: Any, values: Any, mask: Any, dim: int) -> Any:
            made = x.copy()
            self.write_at(made, values, (mask,), (dim,))
            return made

        def concatenate(xs: Any, axis: int) -> Any:
            x = xs[0]
            if x.flags.c_contiguous or x.size + xs[-1].size < MANY or type(x) is not np.ndarray:
                return dense(xp.concatenate(xs, axis))
            shape = (*x.shape[:axis], sum([y.shape[axis] for y in xs]), *x.shape[axis + 1 :])
            return np.concatenate(xs, axis, out=np.empty(shape, np.result_type(*xs)))

        def stack(xs: Any, axis: int) -> Any:
            put_in = (slice(None),) * axis + (None,)
            return concatenate([x[put_in] for x in xs], axis)

        def roll(x: Any, shifts: Any, axes: Any) -> Any:
            if len(shifts) != 1 or not x.size:
                return dense(xp.roll(x, shifts, axes))
            (axis,) = axes
            whole, cut = (slice(None),) * axis, (x.shape[axis] - shifts[0]) % x.shape[axis]
            return concatenate((x[(*whole, slice(cut, None))], x[(*whole, slice(cut))]), axis)

        def nonzero(x: Any) -> Any:
            if not x.ndim:
                return xp.zeros((int(bool(x)), 0), np.int64)
            flat = x.reshape(-1).nonzero()[0]
            made = xp.empty((len(flat), x.ndim), np.int64)
            for d in reversed(range(1, x.ndim)):
                rest = flat // x.shape[d]
                made[:, d] = flat - rest * x.shape[d]
                flat = rest
            made[:, 0] = flat
            return made

        def complex_(real: Any, imag: Any) -> Any:
            made = xp.empty(np.broadcast_shapes(real.shape, imag.shape), np.result_type(real.dtype, np.complex64))
            made.real, made.imag = real, imag
            return made

        def product(x: Any, y: Any, out: Any = None) -> Any:
            if out is not None:
                return written(x, y, out)
            if x.dtype.char == "e":  # no library has a fast routine for it
                return product(x.astype(np.float32), y.astype(np.float32)).astype(np.float16)
            if x.ndim <= 2 and y.ndim <= 2:  # half the way to BLAS that the module's matmul takes, also for thin matrices
                made = x.dot(y)
                return made if made.ndim else xp.asarray(made)
            if y.ndim == 2 and x.flags.c_contiguous:
                return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).dot(y).reshape(*x.shape[:-1], y.shape[1])
            if type(y) is np.ndarray and y.shape[-2] <= 64 and y.strides[-2] < y.strides[-1]:
                y = np.ascontiguousarray(y)  # of many thin products, those by a transposed matrix take BLAS twice as long
            with self.quiet():
                outer = x.shape[-1] == 1 == y.shape[-2] and x.ndim > 2 < y.ndim
                return x * y if outer else xp.matmul(x, y)  # which is slow for many columns

        def written(x: Any, y: Any, out: Any) -> Any:
            """Write a product of arrays of out's type to out, which BLAS takes also where it is turned."""
            if x.ndim > 2 == y.ndim and x.flags.c_contiguous and out.flags.c_contiguous:
                rows = math.prod(x.shape[:-1])
                xp.matmul(x.reshape(rows, x.shape[-1]), y, out=out.reshape(rows, y.shape[1]))
                return out
            if y.ndim > 2 and y.shape[-2] <= 64 and y.strides[-2] < y.strides[-1]:  # as above
                y = xp.ascontiguousarray(y)
            return xp.matmul(x, y, out=out)

        product.fills = True  # type: ignore[attr-defined]

        def outer(x: Any, y: Any) -> Any:
            return xp.multiply(x[:, None], y)

        def cast(x: Any, dtype: Any) -> Any:
            if 0 in x.strides and any([n > 1 and not step for n, step in zip(x.shape, x.strides, strict=True)]):
                return x.astype(dtype, order="C")  # of what is expanded, as in arithmetic: steps of 0 have no order
            return x.astype(dtype)

        return {
            "cast": cast, **reductions.table(self), "reshape": lambda x, shape: x.reshape(shape),
            "transpose": lambda x, axes: x.transpose(axes), "broadcast_to": broadcast_to, "getitem": getitem,
            "diagonal": diagonal, "as_strided": as_strided, "concatenate": concatenate,
            "flip": lambda x, axes: (xp.flip(x, axes) if axes else x).copy(), "filled": filled, "index_get": index_get,
            "index_put": index_put, "index_sum": index_sum, "gather": gather, "scatter": scatter, "scatter_sum": scatter_sum,
            "scatter_prod": scatter_by("multiply"), "scatter_amax": scatter_by("maximum"),
            "scatter_amin": scatter_by("minimum"), "mask_get": mask_get, "mask_put": mask_put, "stack": stack, "roll": roll,
            "view_bytes": lambda x, dtype: x.view(dtype),
            "nonzero": nonzero, **dict.fromkeys(PRODUCTS, product), "outer": outer,
            "real": lambda x: x.real, "imag": lambda x: x.imag, "complex": complex_,
        }  # fmt: skip

    # ---- what a subclass may replace
    def scratch(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return memory for a kernel's intermediate results, which never leave it."""
        return self.xp.empty(shape, dtype)

    def in_single(self, kernel: Kernel, out: Any, *inputs: Any) -> Any:
        """Return what a kernel gives for halves, computed in float32: each of its steps would round."""
        return self.give(kernel(*[x.astype(np.float32) for x in inputs]).astype(HALF), out)

    def ones(self, n: int, dtype: Any) -> Any:
        """Return a row of ones, by which a product adds up rows; nobody writes to it."""
        return self.xp.ones(n, dtype)

    def scalar(self, value: float, dtype: Any) -> Any:
        """Return a number in the form that costs a ufunc least beside arrays of a type."""
        return dtype.type(value)

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

    @functools.cached_property
    def tables(self) -> dict[str, Kernel]:
        return {**self.elementwise_table(), **self.structural_table()}

    # ---- the protocol
    def kernel(self, op: Op) -> Kernel | None:
        found = self.tables.get(op.name)
        if found is None and op.elementwise:
            found = getattr(self.xp, op.name, None) or self.special(op)
        return None if found is None else self.finish(op, found)

    def copy(self, array: Any) -> Any:
        return array.copy()

    def write(self, target: Any, values: Any) -> Any:
        target[...] = values
        return target

    def write_at(self, target: Any, values: Any, indices: Any, places: Any) -> None:
        """Set the elements of an array that index arrays in their places, or one mask, name."""
        mask = indices[0]
        if mask.dtype.char == "?" and mask.ndim == target.ndim > 1 and target.flags.c_contiguous:
            target.reshape(-1)[mask.reshape(-1).nonzero()[0]] = values
        else:
            target[key(indices, places)] = values

    def scaled_into(self, op: Kernel, target: Any, scale: Kernel, values: Any, factor: Any) -> None:
        """Write op(target, scale(values, factor)) to target, block by block: the multiple never leaves the cache."""
        if not (target.flags.c_contiguous and values.flags.c_contiguous):
            op(target, scale(values, factor, out=...), out=target)
            return
        into, given = target.reshape(-1), values.reshape(-1)
        part = self.scratch((min(self.block, into.size),), target.dtype)
        for start in range(0, into.size, self.block):
            here = into[start : start + self.block]
            multiple = scale(given[start : start + self.block], factor, out=part[: here.size])
            op(here, multiple, out=here)

    def add_into(self, target: Any, values: Any) -> None:
        self.xp.add(target, values, out=target)
