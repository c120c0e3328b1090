"""`StandardModule`: a backend made of any namespace of the array API standard.

Owns: `Array`, a library's array beside the place it takes in memory, and the kernels written with the standard's functions
alone. May import: wengert's protocol and op records, NumPy. Must not know: tensors, gradients, any library.
The standard has no strides, offsets or bases, which views need. They are those of a NumPy array that is never touched: what
is done to the library's array is done to its place as well. The operating system gives memory only to what is touched.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, give_operators
from wengert.op import SAME, Op
from wengert_xp.arraymodule import ArrayModule

Kernel = Callable[..., Any]
# The standard's names where they are not NumPy's.
NAMES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "bitwise_not": "bitwise_invert", "conjugate": "conj", "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift", "power": "pow", "right_shift": "bitwise_right_shift", "rint": "round", "sgn": "sign",
}  # fmt: skip
# What refuses bools, as on the host.
NO_BOOLS = (
    "floor_divide", "fmod", "left_shift", "negative", "power", "relu", "remainder", "right_shift", "rsub", "subtract",
    "trunc_divide",
)  # fmt: skip


def gaps(reasons: dict[str, str]) -> dict[str, str]:
    """Return reasons by the names of ops, as `wengert.testing.DeviceSuite` takes them."""
    return {name: reason for reason, names in reasons.items() for name in names.split()}


# What a device made by this class refuses; tests hold it to be exactly that.
NOT_WRITTEN = gaps({
    "no kernel made of the standard's functions is written for it": """
        attention_weights bincount bincount_weighted constant_pad convolution convolution_input convolution_weight
        count_samples cross_entropy cross_entropy_pull cummax cummin embedding fold_windows frames frexp gelu_tanh_pull
        gru_cell gru_pull histc histogram isin kthvalue logcumsumexp lstm_cell lstm_layer lstm_layer_pull lstm_pull
        masked_attention_weights median median_all mode moments mse normalise normalise_back normalise_weight overlap_add
        paired permutation pick pool_max pool_put pool_spread pool_sum pool_take pool_winner resample searchsorted triangle
        unfold_windows unique unique_consecutive windows_sum""",
    "the standard has no such factorization": """
        cholesky_solve cofactor eig eigvals geqrf ldl_factor ldl_solve lu_factor matrix_exp solve_triangular""",
    "its cut-off is another than the standard's": "pinv",
    "the standard's transforms take other arguments": "fft_c2c fft_c2r fft_r2c",
    "the standard does not look at the bytes of an element": "view_as_complex view_as_real view_bytes",
    "it is a function of the host's SciPy alone": "airy_ai_slope polygamma",
    "powers of bools are numbers of another type": "power-bool",
})  # fmt: skip
# What it refuses as well where no module in `beyond` has the function.
NO_FUNCTION = gaps({
    "the standard has no such function": """
        airy_ai angle chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w digamma
        erf erfc erfcx erfinv gammainc gammaincc gammaln gcd hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e j0 j1
        k0 k0e k1 k1e laguerre_polynomial_l lcm legendre_polynomial_p log_ndtr ndtri y0 y1 zeta""",
    "it is made of erf": "gelu gelu_pull ndtr",
    "it is made of a choice among numbers of the host": "nan_to_num",
})  # fmt: skip
# What it refuses as well where the library makes no view from strides.
NO_STRIDES = gaps({"the standard makes no view from strides": "as_strided diagonal windows"})


class Array:
    """A library's array (`raw`), and where it lies: shape, dtype, strides, what it is a view of."""

    __slots__ = ("raw", "place", "base", "__weakref__")
    __array_ufunc__ = None  # NumPy's scalars and arrays leave operators to this class

    def __init__(self, raw: Any, place: np.ndarray[Any, Any], base: Any = None) -> None:
        self.raw, self.place, self.base = raw, place, base

    shape = property(lambda self: self.place.shape)
    dtype = property(lambda self: self.place.dtype)
    ndim = property(lambda self: self.place.ndim)
    size = property(lambda self: self.place.size)
    strides = property(lambda self: self.place.strides)
    flags = property(lambda self: self.place.flags)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("an array of a device becomes no NumPy array by itself; Tensor.cpu() or .numpy() copies it")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.dtype}{list(self.shape)}>"


class StandardModule(ArrayModule):
    """A backend over a namespace of the array API standard (2024.12); a subclass gives `name` and `namespace`.

    What it may replace: `devices`, what the library calls its devices (`place_of`), `strided` if the library can make a view
    from strides, `beyond`: modules with further elementwise functions, found there by the names of ops.
    """

    namespace: Any
    beyond: tuple[Any, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.array_type = type(f"{cls.__name__}Array", (Array,), {"__slots__": ()})
        give_operators(cls.array_type)

    def __init__(self) -> None:
        xp = self.namespace
        names = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()
        self.dtypes = {np.dtype(n): getattr(xp, n) for n in names if hasattr(xp, n)}
        self.named = {repr(xp.empty((0,), dtype=own).dtype): dtype for dtype, own in self.dtypes.items()}

    # ---- what a subclass may replace
    def devices(self) -> list[DeviceInfo]:
        version = getattr(self.namespace, "__version__", "")
        return [DeviceInfo(f"{self.name}:0", True, f"{self.namespace.__name__} {version}".strip(), False)]

    def place_of(self, index: int) -> Any:
        """Return the library's name of a device by index. Raises RuntimeError where there is none."""
        if index:
            raise RuntimeError(f"no device {self.name}:{index}: {self.namespace.__name__} has one, {self.name}:0")
        return None

    def index_of(self, array: Any) -> int:
        return 0

    def synchronize(self, index: int) -> None:
        """Nothing to wait for, unless the library works on its own time."""

    strided: Callable[[Any, Any, Any, int], Any] | None = None  # (root's raw, shape, strides in elements, offset) -> view

    def quiet(self) -> Any:
        return np.errstate(all="ignore")

    # ---- arrays
    def wrap(self, raw: Any) -> Any:
        """Return a library's array as one of the device; the array is a new one."""
        dtype = self.named.get(repr(raw.dtype))
        if dtype is None:
            raise NotImplementedError(f"{self.name}: wengert has no type for {raw.dtype} of {self.namespace.__name__}")
        if not raw.ndim:
            raw = self.namespace.asarray(raw)  # some libraries give scalars
        return self.array_type(raw, np.empty(tuple(raw.shape), dtype))

    def view(self, raw: Any, x: Any, place: np.ndarray[Any, Any]) -> Any:
        return self.array_type(raw, place, x if x.base is None else x.base)

    def raw(self, value: Any, dtype: Any = None) -> Any:
        """Return what the library takes for an array of the device, or for a number or an array of the host next to one."""
        if isinstance(value, Array):
            return value.raw
        host = np.asarray(value, dtype)
        return self.namespace.asarray(host.tolist(), dtype=self.known(host.dtype)) if host.size < 64 else self.up(host, 0)

    def known(self, dtype: Any) -> Any:
        own = self.dtypes.get(np.dtype(dtype))
        if own is None:
            raise NotImplementedError(f"{self.name}: {self.namespace.__name__} has no type {np.dtype(dtype)}")
        return own

    def up(self, host: np.ndarray[Any, Any], index: int) -> Any:
        place = self.place_of(index)
        self.known(host.dtype)
        return self.namespace.asarray(np.array(host), **({} if place is None else {"device": place}))

    def empty(self, shape: Any, dtype: Any) -> Any:
        return self.namespace.empty(tuple(int(n) for n in shape), dtype=self.known(dtype))

    # ---- the protocol
    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Any:
        return self.wrap(self.up(np.asarray(array), index))

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        try:
            made = np.from_dlpack(array.raw)
        except (TypeError, AttributeError, RuntimeError, BufferError, ValueError):
            made = np.asarray(array.raw)
        return np.array(made, array.dtype, order="C")

    def copy(self, array: Any) -> Any:
        return self.wrap(self.namespace.asarray(array.raw, copy=True))

    def write(self, target: Any, values: Any) -> Any:
        if target.size:
            raw = self.raw(values, None if isinstance(values, Array) else target.dtype)
            if isinstance(values, Array) and np.may_share_memory(values.place, target.place):
                raw = self.namespace.asarray(raw, copy=True)
            try:
                target.raw[...] = self.cast_raw(raw, target.dtype)
            except ValueError as error:
                raise NotImplementedError(f"device '{self.name}': this view cannot be written to: {error}") from error
        return target

    def write_at(self, target: Any, values: Any, indices: Any, places: Any) -> None:
        """Set the elements that index arrays in their places, or one mask, name."""
        mask = indices[0].dtype.kind == "b"
        put = self._tables["mask_put"] if mask else self._tables["index_put"]
        values = values if isinstance(values, Array) else self.wrap(self.raw(values, target.dtype))
        arguments = (indices[0], places[0]) if mask else (indices, places, False)
        self.write(target, put(target, values, *arguments))

    def add_into(self, target: Any, values: Any) -> None:
        self.write(target, self.wrap(self.namespace.add(target.raw, self.raw(values, target.dtype))))

    def scaled_into(self, op: Kernel, target: Any, scale: Kernel, values: Any, factor: Any) -> None:
        op(target, scale(values, factor), out=target)

    def address(self, array: Any) -> int:
        return int(array.place.__array_interface__["data"][0])

    def give(self, made: Any, out: Any) -> Any:
        return self.wrap(made) if out is ... else self.write(out, self.wrap(made))

    def cast_raw(self, raw: Any, dtype: Any) -> Any:
        own, xp = self.known(dtype), self.namespace
        if raw.dtype == own:
            return raw
        if np.dtype(dtype).kind != "c" and "complex" in str(raw.dtype):
            raw = xp.real(raw)
        return xp.astype(raw, own)

    # ---- kernels
    def kernel(self, op: Op) -> Kernel | None:
        if not hasattr(self, "_tables"):
            self._tables = self.structural_table()
        found = self._tables.get(op.name)
        if found is not None or not op.elementwise or op.name == "clip":  # the standard's clip refuses bounds that cross
            return found
        for module, name in ((self.namespace, NAMES.get(op.name, op.name)), *[(m, op.name) for m in self.beyond]):
            if hasattr(module, name):
                return self.elementwise(op, getattr(module, name))
        return self.elementwise(op, self.written[op.name]) if op.name in self.written else None

    @functools.cached_property
    def written(self) -> dict[str, Kernel]:
        """Elementwise functions that the standard lacks, written with those that it has."""
        xp = self.namespace

        def unless_nan(choose: Kernel) -> Kernel:
            return lambda x, y: xp.where(xp.isnan(x), y, xp.where(xp.isnan(y), x, choose(x, y)))

        def rest(x: Any, y: Any) -> Any:
            left = xp.remainder(xp.abs(x), xp.abs(y))
            return xp.copysign(left, x) if "float" in str(x.dtype) else xp.where(x < 0, -left, left)

        def quotient(x: Any, y: Any) -> Any:
            return xp.trunc(x / y) if "float" in str(x.dtype) else xp.floor_divide(x - rest(x, y), y)

        return {
            "exp2": lambda x: xp.pow(xp.full_like(x, 2), x), "fmax": unless_nan(xp.maximum), "fmin": unless_nan(xp.minimum),
            "fmod": rest, "trunc_divide": quotient, "rsub": lambda x, y: xp.subtract(y, x),
        }  # fmt: skip

    def elementwise(self, op: Op, function: Kernel) -> Kernel:
        """Return the kernel of a function of the standard, for inputs of one type, and numbers next to them."""
        typed = [i for i, name in enumerate(op.inputs) if name not in op.free]

        count = len(op.inputs)

        def run(*args: Any, out: Any = ...) -> Any:
            kinds = [args[i].dtype for i in typed if isinstance(args[i], Array)]
            kind = kinds[0] if kinds and kinds.count(kinds[0]) == len(kinds) else np.result_type(*kinds) if kinds else None
            raws = [self.raw(a, kind if i in typed else None) for i, a in enumerate(args[:count])]
            told = kind
            if kind is not None:
                told = np.dtype(bool) if op.name.startswith("logical_") else kind
                raws = [self.cast_raw(r, told) if i in typed else r for i, r in enumerate(raws)]
            try:
                with np.errstate(all="ignore"):  # of libraries that are made of NumPy
                    made = function(*raws, *args[count:])
            except (TypeError, NotImplementedError, RuntimeError) as error:  # a type that the library refuses
                if told is None or told.kind != "b" or op.name in NO_BOOLS:
                    raise NotImplementedError(f"op '{op.name}' ({op.face}) of {kind} on '{self.name}': {error}") from error
                made = function(*[self.cast_raw(r, np.int8) if i in typed else r for i, r in enumerate(raws)], *args[count:])
            if kind is not None and kind.kind == "b" and op.domain == SAME:  # libraries count with bools in other types
                made = self.cast_raw(made, kind)
            return self.give(made, out)

        return run

    def structural_table(self) -> dict[str, Kernel]:
        """Return the kernels of ops that move, join, reduce or look at elements."""
        xp, wrap = self.namespace, self.wrap
        raw = self.raw

        # ---- views: the same on the library's array and on its place
        def getitem(x: Any, index: Any) -> Any:
            key = (*index, ...)
            return self.view(x.raw[key], x, x.place[key])

        def transpose(x: Any, axes: Any) -> Any:
            return self.view(xp.permute_dims(x.raw, tuple(axes)), x, x.place.transpose(axes))

        def broadcast_to(x: Any, shape: Any) -> Any:
            place = np.broadcast_to(x.place, shape)
            steps = np.lib.stride_tricks.as_strided(x.place, place.shape, place.strides)  # which may be written to
            return self.view(xp.broadcast_to(x.raw, tuple(shape)), x, steps)

        def reshape(x: Any, shape: Any) -> Any:
            place = x.place.reshape(shape)
            if x.size and not np.may_share_memory(place, x.place):  # elements had to move
                return wrap(xp.reshape(xp.asarray(x.raw, copy=True), place.shape))
            return self.view(xp.reshape(x.raw, place.shape), x, place)

        def laid(op: str, x: Any, place: Any) -> Any:
            """Return the view that looks at the elements at a place, by a library that knows strides."""
            root, size = x if x.base is None else x.base, x.dtype.itemsize
            if self.strided is None:
                raise NotImplementedError(f"op '{op}' on '{self.name}': {xp.__name__} makes no view from strides")
            offset = (place.__array_interface__["data"][0] - root.place.__array_interface__["data"][0]) // size
            steps = tuple(n // size for n in place.strides)
            return self.view(self.strided(root.raw, place.shape, steps, offset if place.size else 0), x, place)

        def diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
            place = np.diagonal(x.place, offset, axis1, axis2)
            place.flags.writeable = True
            if self.strided is None and place.size and x.ndim == 2 and x.flags.c_contiguous:
                first, step = (offset if offset > 0 else -offset * x.shape[1]), x.shape[1] + 1
                if axis1 > axis2:
                    first = -offset if offset < 0 else offset * x.shape[1]
                key = (slice(first, first + (len(place) - 1) * step + 1, step),)
                return self.view(xp.reshape(x.raw, (-1,))[key], x, place)
            return laid("diagonal", x, place)

        def as_strided(x: Any, shape: Any, strides: Any, offset: int, own: Any) -> Any:
            size = x.dtype.itemsize
            flat = np.lib.stride_tricks.as_strided(x.place, (x.size,), (size,))
            return laid("as_strided", x, np.lib.stride_tricks.as_strided(flat[offset:], shape, [n * size for n in strides]))

        def windows(x: Any, dim: int, size: int, step: int) -> Any:
            every = np.lib.stride_tricks.sliding_window_view(x.place, size, dim, writeable=True)
            return laid("windows", x, every[(slice(None),) * dim + (slice(None, None, step),)])

        def part(function: str) -> Kernel:
            def run(x: Any) -> Any:
                if x.dtype.kind != "c":
                    return getitem(x, ()) if function == "real" else wrap(xp.zeros_like(x.raw))
                return self.view(getattr(xp, function)(x.raw), x, getattr(x.place, function))

            return run

        # ---- new arrays, and joining
        def filled(x: Any, shape: Any, value: Any, dtype: Any) -> Any:
            dtype = np.dtype(dtype or x.dtype)
            return wrap(xp.full(tuple(shape), np.asarray(value, dtype).item(), dtype=self.known(dtype)))

        def cast(x: Any, dtype: Any) -> Any:
            return wrap(xp.asarray(self.cast_raw(x.raw, dtype), copy=True))

        def joined(name: str) -> Kernel:
            def run(xs: Any, axis: int) -> Any:
                dtype = np.result_type(*[x.dtype for x in xs])
                return wrap(getattr(xp, name)([self.cast_raw(raw(x), dtype) for x in xs], axis=axis))

            return run

        def roll(x: Any, shifts: Any, axes: Any) -> Any:
            return wrap(xp.roll(x.raw, tuple(shifts) if axes is not None else sum(shifts), axis=axes))

        def complex_(real: Any, imag: Any) -> Any:
            dtype = np.result_type(real.dtype, np.complex64)
            shape = np.broadcast_shapes(real.shape, imag.shape)
            made = wrap(self.empty(shape, dtype))
            self.write(part("real")(made), real)
            self.write(part("imag")(made), imag)
            return made

        # ---- reductions
        def reduction(name: str, wide: bool = False) -> Kernel:
            function = getattr(xp, name)

            def run(x: Any, axis: Any, keepdims: bool) -> Any:
                axis = None if axis is None else tuple(axis) if isinstance(axis, tuple | list) else (axis,)
                kind = np.dtype(np.int64) if wide and x.dtype.kind in "biu" else x.dtype
                return wrap(function(self.cast_raw(x.raw, kind), axis=axis, keepdims=keepdims))

            return run

        def place(name: str) -> Kernel:
            function = getattr(xp, name)

            def run(x: Any, axis: Any, keepdims: bool) -> Any:
                numbers = self.cast_raw(x.raw, np.int8) if x.dtype.kind == "b" else x.raw
                return wrap(self.cast_raw(function(numbers, axis=axis, keepdims=keepdims), np.int64))

            return run

        def scan(name: str) -> Kernel:
            def run(x: Any, axis: int) -> Any:
                kind = np.dtype(np.int64) if x.dtype.kind in "biu" else x.dtype
                if not x.ndim:
                    return cast(x, kind)
                return wrap(getattr(xp, name)(self.cast_raw(x.raw, kind), axis=axis))

            return run

        # ---- by indices: all of it is taking from, and putting into, one dim
        def merged(shape: Any, indices: Any, places: Any) -> tuple[Any, list[int], int]:
            """Return one index into the dims that are indexed, merged; the order that brings these to the front; their size."""
            index, count = None, 1
            for i, d in zip(indices, places, strict=True):
                one = self.cast_raw(i.raw, np.int64)
                one = xp.where(one < 0, one + shape[d], one)
                index = one if index is None else index * shape[d] + one
                count *= shape[d]
            return index, [*places, *[d for d in range(len(shape)) if d not in places]], count

        def first(places: Any) -> int:
            """Return where the dims of index arrays stand in the result: in their place if adjacent, else in front."""
            return places[0] if tuple(places) == tuple(range(places[0], places[0] + len(places))) else 0

        def index_get(x: Any, indices: Any, places: Any) -> Any:
            if indices[0].dtype.kind == "b":
                return mask_get(x, indices[0], places[0])
            index, order, count = merged(x.shape, indices, places)
            rest = [x.shape[d] for d in order[len(places) :]]
            rows = xp.reshape(xp.permute_dims(x.raw, tuple(order)), (count, *rest))
            taken = xp.reshape(xp.take(rows, xp.reshape(index, (-1,)), axis=0), (*index.shape, *rest))
            n, front = index.ndim, first(places)
            moved = [*range(n, n + front), *range(n), *range(n + front, taken.ndim)]
            return wrap(xp.asarray(xp.permute_dims(taken, tuple(moved)), copy=True))

        def put(flat: Any, values: Any, index: Any, how: str) -> Any:
            """Return rows with values put at an index, or combined with what is there; of several writes the last counts."""
            n, k = flat.shape[0], index.shape[0]
            if not k or not math.prod(flat.shape):
                return xp.asarray(flat, copy=True)
            hits = xp.arange(n)[:, None] == index[None, :]
            if how == "last":
                last = xp.max(xp.where(hits, xp.arange(1, k + 1)[None, :], 0), axis=1)
                found = xp.take(values, xp.where(last > 0, last - 1, 0), axis=0)
                return xp.where(xp.reshape(last > 0, (n,) + (1,) * (flat.ndim - 1)), found, flat)
            hits = xp.reshape(hits, (n, k) + (1,) * (flat.ndim - 1))
            start = {"sum": 0, "prod": 1, "max": -math.inf, "min": math.inf}[how]
            if isinstance(start, float) and "float" not in str(flat.dtype):
                start = getattr(xp.iinfo(flat.dtype), "min" if how == "max" else "max")
            filler = xp.full((), start, dtype=flat.dtype)
            joined_ = getattr(xp, how)(xp.where(hits, values[None, ...], filler), axis=1)
            joined_ = xp.astype(joined_, flat.dtype)
            return {"sum": xp.add, "prod": xp.multiply, "max": xp.maximum, "min": xp.minimum}[how](flat, joined_)

        def index_put(x: Any, values: Any, indices: Any, places: Any, accumulate: bool) -> Any:
            if indices[0].dtype.kind == "b":
                return mask_put(x, values, indices[0], places[0])
            index, order, count = merged(x.shape, indices, places)
            rest = tuple(x.shape[d] for d in order[len(places) :])
            n, front = index.ndim, first(places)
            shape = (*rest[:front], *index.shape, *rest[front:])
            given = xp.broadcast_to(self.cast_raw(raw(values, x.dtype), x.dtype), shape)
            moved = [*range(front, front + n), *range(front), *range(front + n, len(shape))]
            rows = xp.reshape(xp.permute_dims(given, tuple(moved)), (math.prod(index.shape), *rest))
            laid_ = xp.permute_dims(x.raw, tuple(order))
            made = put(xp.reshape(laid_, (count, *rest)), rows, xp.reshape(index, (-1,)), "sum" if accumulate else "last")
            back = [order.index(d) for d in range(x.ndim)]
            return wrap(xp.asarray(xp.permute_dims(xp.reshape(made, tuple(laid_.shape)), tuple(back)), copy=True))

        def index_sum(values: Any, indices: Any, shape: Any, places: Any) -> Any:
            zeros = wrap(xp.zeros(tuple(shape), dtype=values.raw.dtype))
            return index_put(zeros, values, indices, places, True)

        def positions(shape: Any, index: Any, dim: int) -> Any:
            """Return where in a flattened array the elements are that an index names along a dim."""
            made, step = None, 1
            for d in reversed(range(len(shape))):
                if d == dim:
                    one = self.cast_raw(index.raw, np.int64)
                else:
                    one = xp.reshape(xp.arange(index.shape[d]), (-1,) + (1,) * (len(shape) - 1 - d))
                made = one * step if made is None else made + one * step
                step *= shape[d]
            if made is None:  # 0-d: there is one place
                return xp.reshape(index.raw, (-1,)) * 0
            return xp.reshape(xp.broadcast_to(made, index.shape), (-1,))

        def gather(x: Any, index: Any, dim: int) -> Any:
            return wrap(xp.reshape(xp.take(xp.reshape(x.raw, (-1,)), positions(x.shape, index, dim), axis=0), index.shape))

        def scatter_by(how: str) -> Kernel:
            def run(x: Any, values: Any, index: Any, dim: int) -> Any:
                flat = xp.reshape(x.raw, (-1,))
                part_ = xp.reshape(self.cast_raw(raw(values, x.dtype), x.dtype), (-1,))
                return wrap(xp.reshape(put(flat, part_, positions(x.shape, index, dim), how), x.shape))

            return run

        def scatter(x: Any, values: Any, index: Any, dim: int, accumulate: bool) -> Any:
            return scatter_by("sum" if accumulate else "last")(x, values, index, dim)

        def scatter_sum(values: Any, index: Any, shape: Any, dim: int) -> Any:
            return scatter_by("sum")(wrap(xp.zeros(tuple(shape), dtype=values.raw.dtype)), values, index, dim)

        def where_true(mask: Any) -> list[Any]:
            return [wrap(self.cast_raw(i, np.int64)) for i in xp.nonzero(mask.raw)]

        def mask_get(x: Any, mask: Any, dim: int) -> Any:
            return index_get(x, where_true(mask), tuple(range(dim, dim + mask.ndim)))

        def mask_put(x: Any, values: Any, mask: Any, dim: int) -> Any:
            return index_put(x, values, where_true(mask), tuple(range(dim, dim + mask.ndim)), False)

        def nonzero(x: Any) -> Any:
            if not x.ndim:
                return wrap(xp.zeros((int(bool(x.raw)), 0), dtype=self.known(np.int64)))
            return wrap(xp.stack([self.cast_raw(i, np.int64) for i in xp.nonzero(x.raw)], axis=1))

        def argsort(x: Any, axis: int, descending: bool) -> Any:
            if not x.ndim:
                return wrap(xp.zeros((), dtype=self.known(np.int64)))
            numbers = self.cast_raw(x.raw, np.int8) if x.dtype.kind == "b" else x.raw
            return wrap(self.cast_raw(xp.argsort(numbers, axis=axis, descending=descending, stable=True), np.int64))

        # ---- products
        def product(x: Any, y: Any) -> Any:
            return wrap(xp.matmul(x.raw, y.raw))

        def factors(*made: Any) -> Any:
            return tuple(wrap(m) for m in made)

        def linear(x: Any, weight: Any, bias: Any) -> Any:
            return wrap(xp.matmul(x.raw, xp.matrix_transpose(weight.raw)) + bias.raw)

        def mirrored(x: Any, upper: bool) -> Any:
            """Return a symmetric matrix that has one triangle of x: factorizations of the standard read either."""
            half = (xp.triu if upper else xp.tril)(x.raw)
            other = xp.matrix_transpose((xp.triu if upper else xp.tril)(x.raw, k=1 if upper else -1))
            return half + (xp.conj(other) if x.dtype.kind == "c" else other)

        def solve(x: Any, y: Any) -> Any:
            return wrap(xp.linalg.solve(x.raw, y.raw))

        extension: dict[str, Kernel] = {}
        if hasattr(xp, "linalg"):
            la = xp.linalg
            extension = {
                "det": lambda x: wrap(la.det(x.raw)), "inv": lambda x: wrap(la.inv(x.raw)), "solve": solve,
                "slogdet": lambda x: factors(*la.slogdet(x.raw)),
                "cholesky": lambda x, upper: wrap(la.cholesky(mirrored(x, upper), upper=upper)),
                "qr": lambda x, complete: factors(*la.qr(x.raw, mode="complete" if complete else "reduced")),
                "svd": lambda x, full: factors(*la.svd(x.raw, full_matrices=full)),
                "svdvals": lambda x: wrap(la.svdvals(x.raw)),
                "eigh": lambda x, upper: factors(*la.eigh(mirrored(x, upper))),
                "eigvalsh": lambda x, upper: wrap(la.eigvalsh(mirrored(x, upper))),
            }  # fmt: skip
        return {
            "getitem": getitem, "transpose": transpose, "broadcast_to": broadcast_to, "reshape": reshape, "diagonal": diagonal,
            "as_strided": as_strided, "windows": windows, "real": part("real"), "imag": part("imag"), "complex": complex_,
            "filled": filled, "cast": cast, "concatenate": joined("concat"), "stack": joined("stack"), "roll": roll,
            "flip": lambda x, axes: wrap(xp.asarray(xp.flip(x.raw, axis=tuple(axes)), copy=True)),
            "sum": reduction("sum", True), "prod": reduction("prod", True), "amax": reduction("max"), "amin": reduction("min"),
            "any": reduction("any"), "all": reduction("all"), "argmax": place("argmax"), "argmin": place("argmin"),
            "cumsum": scan("cumulative_sum"), "cumprod": scan("cumulative_prod"), "index_get": index_get,
            "index_put": index_put, "index_sum": index_sum, "gather": gather, "scatter": scatter, "scatter_sum": scatter_sum,
            "scatter_prod": scatter_by("prod"), "scatter_amax": scatter_by("max"), "scatter_amin": scatter_by("min"),
            "mask_get": mask_get, "mask_put": mask_put, "nonzero": nonzero, "argsort": argsort,
            "outer": lambda x, y: wrap(x.raw[:, None] * y.raw[None, :]), **dict.fromkeys(("matmul", "rows"), product),
            "mv": product, "dot": product, "linear": linear, **extension,
        }  # fmt: skip
