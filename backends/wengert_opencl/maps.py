"""Elementwise ops: one generated kernel for each formula, type and layout; copies and conversions are the formula x.

Owns: what is computed in which type, the plan of a call (which kernel, how it is shared out), kept by the layout of its
arrays. May import: the shared printer, arrays, the runtime, op records. Must not know: tensors, gradients.
Numbers next to arrays come as 0-d host arrays and go to the kernel as its arguments.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.op import ANY, Op
from wengert_codegen import CTYPES, POWERS, SCALAR, Dialect, Operand, Unprintable, map_source, plan_dims, printed, template
from wengert_opencl.array import Array, Ints, dense, layout_of, overlap
from wengert_opencl.runtime import ELEMENTS, Runtime

SMALL = 4096  # elements up to which layouts share one kernel, whose steps are arguments
LONG = np.int64
SCALARS = {
    "uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32, "int": np.int32,
    "ulong": np.uint64, "long": np.int64, "float": np.float32, "double": np.float64, "float2": np.complex64,
    "double2": np.complex128,
}  # fmt: skip
REAL_RESULTS = {"absolute", "angle"}


def new(runtime: Runtime, shape: Ints, dtype: np.dtype[Any]) -> Array:
    """Return a fresh array in row-major order; its elements mean nothing yet."""
    size = dtype.itemsize
    count = math.prod(shape)
    buffer = runtime.allocate(count * size) if count else None
    return Array(runtime, buffer, 0, tuple(shape), dense(shape, size), dtype, packed=True)


def broadcast(shapes: Sequence[Ints]) -> Ints:
    first = shapes[0]
    for s in shapes:
        if s != first:
            return np.broadcast_shapes(*shapes)
    return first


def truth(value: Any) -> np.uint8:
    """Return a number next to bools."""
    return np.uint8(value != 0)


def whole(value: Any) -> np.int64:
    """Return a number next to integers. Raises NotImplementedError for one that is none."""
    if value != value or value != int(value):
        raise NotImplementedError(f"the number {value!r} next to integers; convert these to floats")
    return np.int64(value)


class Plan:
    """What a call with arrays of certain layouts does."""

    __slots__ = ("runtime", "shape", "strides", "dtype", "size", "nbytes", "layout", "kernel", "items", "group", "tail", "used",
                 "number")  # fmt: skip

    def __init__(self, runtime: Runtime, shape: Ints, dtype: Any, used: Sequence[Any], number: Any) -> None:
        """A result that is not given will be in row-major order."""
        self.runtime, self.shape, self.dtype, self.used, self.number = runtime, shape, dtype, used, number
        self.strides, self.size = dense(shape, dtype.itemsize), math.prod(shape)
        self.nbytes, self.layout = self.size * dtype.itemsize, layout_of(runtime, shape, self.strides, dtype)
        self.kernel: Any = None
        self.items: tuple[int, ...] = ()
        self.group: tuple[int, ...] = ()
        self.tail: tuple[int, ...] = ()


class Formula:
    """A formula ready to be run on arrays."""

    def __init__(
        self, name: str, text: Callable[[str], str], inputs: Sequence[str], numbers: Sequence[str] = (), *,
        boolean: bool = False, apart: Sequence[bool] = (), to: np.dtype[Any] | None = None,
    ) -> None:  # fmt: skip
        """text: the formula for a type's name; apart: inputs that keep their own type; to: the type that is computed in, else
        the one that the other inputs have in common."""
        self.name, self.text, self.inputs, self.numbers, self.boolean = name, text, inputs, numbers, boolean
        self.apart, self.to = list(apart) or [False] * len(inputs), to
        self.plans: dict[Any, Plan] = {}

    def __call__(self, arrays: Sequence[Any], numbers: Sequence[Any] = (), out: Any = ...) -> Array:
        key: Any = tuple([a.layout if type(a) is Array else a.dtype for a in arrays])
        if out is not ...:
            key = (key, out.layout)
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) > 4096:
                self.plans.clear()
            plan = self.plans[key] = self.plan(next(a.runtime for a in (out, *arrays) if type(a) is Array), arrays, out)
        runtime = plan.runtime
        if out is ...:
            buffer = runtime.allocate(plan.nbytes) if plan.nbytes else None
            made = Array(runtime, buffer, 0, plan.shape, plan.strides, plan.dtype, None, True, plan.layout, plan.size)
        else:
            made = out
        if made is out and (out.dtype != plan.dtype or any([type(a) is Array and overlap(out, a) for a in arrays])):
            return write(out, self(arrays, numbers))
        if plan.kernel is None:
            return made
        values = [made.buffer, made.offset and made.start]
        for a, used in zip(arrays, plan.used, strict=True):
            if type(a) is Array:
                values.append(a.buffer)
                values.append(a.offset and a.start)
            else:
                values.append(used(a[()]))
        if numbers:
            values += [plan.number(n) for n in numbers]
        runtime.launch(plan.kernel, plan.items, plan.group, (*values, *plan.tail))
        return made

    def compute(self, arrays: Sequence[Any]) -> np.dtype[Any]:
        """Return the type that a call computes in."""
        if self.to is not None:
            return self.to
        types = [a.dtype for a, apart in zip(arrays, self.apart, strict=True) if not apart]
        narrow = {a.dtype for a, apart in zip(arrays, self.apart, strict=True) if type(a) is Array and not apart}
        if len(narrow) == 1 and next(iter(narrow)).name == "bfloat16":  # a number beside them is float32, not to be rounded
            return narrow.pop()
        if not types:
            return arrays[0].dtype  # type: ignore[no-any-return]
        return types[0] if all([t == types[0] for t in types]) else np.result_type(*types)

    def plan(self, runtime: Runtime, arrays: Sequence[Any], out: Any) -> Plan:
        for a in arrays:
            if type(a) is not Array and a.ndim:
                raise RuntimeError(f"{self.name}: a host array of shape {a.shape} among arrays of opencl:{runtime.index}")
            if type(a) is Array and a.runtime is not runtime:
                raise RuntimeError(
                    f"{self.name}: arrays of opencl:{runtime.index} and opencl:{a.runtime.index}; move one by to()"
                )
        compute = self.compute(arrays)
        ctype = known(self.name, compute)
        text = self.text(compute.name)
        dtype = np.dtype(bool) if self.boolean else compute
        if self.name in REAL_RESULTS and compute.kind == "c":
            dtype = np.dtype(f"f{compute.itemsize // 2}")
        shape = out.shape if self.to is not None and out is not ... else broadcast([a.shape for a in arrays])
        used = [known(self.name, a.dtype) if apart else ctype for a, apart in zip(arrays, self.apart, strict=True)]
        number = whole if ctype.kind in "biu" else SCALARS[ctype.name]
        plan = Plan(runtime, tuple(shape), dtype, [truth if u.kind == "b" else SCALARS[u.name] for u in used], number)
        if out is not ... and out.shape != shape:
            raise ValueError(f"{self.name}: the result has shape {shape}, and out {out.shape}")
        if 0 in shape:
            return plan
        strides = plan.strides if out is ... else out.strides
        self.lay_out(plan, runtime, arrays, strides, used, ctype, text)
        return plan

    def lay_out(
        self, plan: Plan, runtime: Runtime, arrays: Sequence[Any], strides: Ints, used: Any, ctype: Any, text: str
    ) -> None:
        """Choose the kernel, and share the elements out."""
        here = [i for i, a in enumerate(arrays) if type(a) is Array]
        steps = [tuple([s // plan.dtype.itemsize for s in strides])]
        for i in here:
            a = arrays[i]
            steps.append(tuple([s // a.dtype.itemsize for s in a.broadcast_to(plan.shape).strides]))
        dims, steps = plan_dims(plan.shape, steps)
        n, count = dims[-1], math.prod(dims[:-1])
        if n * count == 1:
            steps = [(1,)] * len(steps)
        inner = [s[-1] if s[-1] in (0, 1) else -1 for s in steps]
        flat = len(dims) == 1 and inner[0] == 1 and -1 not in inner
        if not flat and n * count <= SMALL:
            inner = [-1] * len(inner)
            missing = (4 if len(dims) <= 4 else 8 if len(dims) <= 8 else len(dims)) - len(dims)
            dims, steps = (1,) * missing + dims, [(0,) * missing + s for s in steps]
        step_of = dict(zip(here, inner[1:], strict=True))
        operands = [
            Operand(name, known(self.name, a.dtype), u, i not in step_of, step_of.get(i, -1))
            for i, (name, a, u) in enumerate(zip(self.inputs, arrays, used, strict=True))
        ]
        kind = CTYPES["int64"] if ctype.kind in "biu" else ctype
        numbers = [(name, kind) for name in self.numbers]
        try:
            source = map_source(f"k_{self.name}", text, ctype, known(self.name, plan.dtype), inner[0], operands, numbers,
                                len(dims), runtime.dialect)  # fmt: skip
        except Unprintable as error:
            raise Missing(without(self.name, str(error))) from None
        scalars: list[Any] = [None, LONG]
        for o in operands:
            scalars += [SCALARS[o.used.name]] if o.scalar else [None, LONG]
        scalars += [SCALARS[kind.name]] * len(numbers)
        if flat:
            items, chunk = runtime.share(n)
            plan.tail = (n, chunk)
            plan.items, plan.group = runtime.grid(items)
        else:
            across, chunk = (
                (1, n) if runtime.dialect.cpu and (n <= ELEMENTS or count >= 8 * runtime.dialect.cores) else runtime.share(n)
            )
            down, rows = runtime.share(count, max(1, ELEMENTS // n))
            tail: list[int] = [n, chunk, count, rows, *dims[:-1]]
            for s, i in zip(steps, inner, strict=True):
                tail += [s[-1]] if i < 0 else []
                tail += s[:-1]
            plan.tail = tuple(tail)
            plan.items, plan.group = runtime.grid(across, down)
        scalars += [LONG] * len(plan.tail)
        plan.kernel = runtime.kernel(source, f"k_{self.name}", scalars)


@functools.cache
def ctype_of(dtype: np.dtype[Any]) -> Any:  # the name of a NumPy type is computed each time that it is asked for
    return CTYPES.get(dtype.name)


def known(name: str, dtype: np.dtype[Any]) -> Any:
    """Return the C type of a type. Raises NotImplementedError where there is none."""
    found = ctype_of(dtype)
    if found is None:
        raise NotImplementedError(f"{name}: OpenCL has no arrays of type {dtype}; .to() another type, or to device 'cpu'")
    return found


_conversions: dict[Any, Formula] = {}


def conversion(dtype: np.dtype[Any]) -> Formula:
    made = _conversions.get(dtype)
    if made is None:
        made = _conversions[dtype] = Formula("copy", lambda name: "x", ["x"], to=dtype)
    return made


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return a packed copy in another type."""
    return conversion(dtype)((x,))


def copy(x: Array) -> Array:
    """Return a packed copy."""
    if x.flags.c_contiguous:
        made = new(x.runtime, x.shape, x.dtype)
        if x.size:
            x.runtime.duplicate(made.buffer, x.buffer, x.nbytes, x.offset)
        return made
    return turned(x) or conversion(x.dtype)((x,))


TILE, NARROW = 64, 16  # elements of both dims that a work item of a cpu turns at a time, and that there have to be
MOVED = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong", 16: "ulong2"}  # elements that are moved alone, by their size


def turned_in_registers(t: str, width: int) -> str:
    """Return C that turns a square of elements: rows as vectors, which exchange halves, then quarters, and so on."""
    rows = list(range(width))
    text = " ".join([f"w_row r{k} = *(__global const w_row *)(x + (c + k_ + {k}) * x_n + r + l_);" for k in rows])
    d = width // 2
    while d:
        for i in [i for i in rows if not i & d]:
            low = ", ".join([str(j if not j & d else width + j - d) for j in rows])
            high = ", ".join([str(j + d if not j & d else width + j) for j in rows])
            text += f" {{ w_row p = r{i}, q = r{i + d};"
            text += f" r{i} = __builtin_shufflevector(p, q, {low}); r{i + d} = __builtin_shufflevector(p, q, {high}); }}"
        d //= 2
    return text + " " + " ".join([f"*(__global w_row *)(o + (r + l_ + {k}) * o_m + c + k_) = r{k};" for k in rows])


@functools.cache
def turned_source(t: str, rank: int) -> str:
    """Return the source of a copy whose elements lie side by side along another dim than they will: a work item has a strip of
    tiles, which it reads along the one and writes along the other."""
    head = "".join([f", long d{k}, long o_s{k}, long x_s{k}" for k in range(rank)])
    rest = "".join([f"  at = i % d{k}; i /= d{k}; o += at * o_s{k}; x += at * x_s{k};\n" for k in range(rank)])
    width = {"uint": 16, "ulong": 8}.get(t, 0)
    kind = f"typedef {t} w_row __attribute__((ext_vector_type({width}), aligned({64 // width})));" if width else ""
    one = "o[(r + l) * o_m + c + k] = x[(c + k) * x_n + r + l];"
    whole = f"""
    int h_ = h / {width} * {width}, w_ = w / {width} * {width};
    for (int l_ = 0; l_ < h_; l_ += {width}) for (int k_ = 0; k_ < w_; k_ += {width}) {{
      {turned_in_registers(t, width)}
    }}
    for (int k = w_; k < w; k++) {SCALAR}for (int l = 0; l < h; l++) {one}
    for (int k = 0; k < w_; k++) {SCALAR}for (int l = h_; l < h; l++) {one}""" if width else f"""
    if (h == {TILE} && w == {TILE}) {{
      {t} tile[{TILE}][{TILE}];
      for (int k = 0; k < {TILE}; k++) for (int l = 0; l < {TILE}; l++) tile[l][k] = x[(c + k) * x_n + r + l];
      for (int l = 0; l < {TILE}; l++) for (int k = 0; k < {TILE}; k++) o[(r + l) * o_m + c + k] = tile[l][k];
    }} else for (int k = 0; k < w; k++) for (int l = 0; l < h; l++) {one}"""  # fmt: skip
    return f"""
{kind}
__kernel void k_turned(__global {t} * restrict o, __global const {t} * restrict x, long x_at, long m, long n, long o_m,
    long x_n, long count{head}) {{
  long i = get_global_id(0), strips = (m + {TILE - 1}) / {TILE}, at;
  if (i >= count * strips) return;
  long r = i % strips * {TILE}; i /= strips; x += x_at;
{rest}  int h = m - r < {TILE} ? (int)(m - r) : {TILE};
  for (long c = 0; c < n; c += {TILE}) {{
    int w = n - c < {TILE} ? (int)(n - c) : {TILE};{whole}
  }}
}}
"""


def turned(x: Array) -> Array | None:
    """Return a packed copy of an array whose elements lie side by side along another dim than the last, None for others."""
    if x.size <= SMALL or not x.runtime.dialect.cpu:
        return None
    size = x.dtype.itemsize
    dims, (own, steps) = plan_dims(x.shape, [dense(x.shape, 1), tuple([s // size for s in x.strides])])
    side = next((d for d, s in enumerate(steps[:-1]) if s == 1 and dims[d] >= NARROW), None)
    if side is None or steps[-1] == 1 or dims[-1] < NARROW:
        return None
    runtime, made = x.runtime, new(x.runtime, x.shape, x.dtype)
    others = [d for d in range(len(dims) - 1) if d != side]
    count = math.prod([dims[d] for d in others])
    rank = max(2, len(others))  # one kernel for most
    kernel = runtime.kernel(turned_source(MOVED[size], rank), "k_turned", [None, None, *[LONG] * (6 + 3 * rank)])
    items, group = runtime.grid(count * -(-dims[side] // TILE))
    values = [dims[side], dims[-1], own[side], steps[-1], count]
    for d in others:
        values += [dims[d], own[d], steps[d]]
    values += [1, 0, 0] * (rank - len(others))
    runtime.launch(kernel, items, group, (made.buffer, x.buffer, x.start, *values))
    return made


def packed(x: Array) -> Array:
    """Return an array in row-major order: x itself if it is."""
    return x if x.flags.c_contiguous else copy(x)


def write(target: Array, values: Any) -> Array:
    """Set the elements of an array to values of its device, or a number, broadcast and converted."""
    if type(values) is not Array:
        host = np.asarray(values)
        if host.ndim:
            raise RuntimeError("values for an array on OpenCL must be there, too")
        if target.size:
            fill(target, host)
        return target
    if overlap(target, values):
        values = copy(values)
    if not target.size:
        return target
    alike = values.dtype == target.dtype and values.shape == target.shape
    if alike and values.flags.c_contiguous and target.flags.c_contiguous:
        if target.buffer is not values.buffer or target.offset != values.offset:
            target.runtime.duplicate(target.buffer, values.buffer, values.nbytes, values.offset, target.offset)
    else:
        conversion(target.dtype)((values.broadcast_to(target.shape),), out=target)
    return target


def fill(target: Array, value: np.ndarray[Any, Any]) -> None:
    """Set all elements to one number."""
    number = value
    if value.dtype != target.dtype:
        with np.errstate(all="ignore"):
            number = value.astype(target.dtype)
    if target.flags.c_contiguous:
        target.runtime.fill(target.buffer, number, target.nbytes, target.offset)
    else:
        conversion(target.dtype)((number.astype(np.float32) if target.dtype.name == "bfloat16" else number,), out=target)


class Missing(NotImplementedError):
    """There is no kernel for these types."""


def kernel_of(op: Op, otherwise: Callable[[Op, Missing], Callable[..., Any]]) -> Callable[..., Any] | None:
    """Return the kernel of an elementwise record, or None where no formula is known for any type; `otherwise` gives what to
    run for types that it is not known for."""
    width = len(op.inputs)

    def text(name: str) -> str:
        ctype = CTYPES[name]
        try:
            return template(op.name, op.expr, ctype, np.dtype(name).itemsize * 8 if name != "bfloat16" else 16)
        except Unprintable as error:
            raise Missing(without(op.name, str(error))) from None

    if not any([printable(op.name, op.expr, name) for name in ("float32", "int64", "complex64")]):
        return None
    apart = [op.domain == ANY or n in op.free for n in op.inputs]
    options: dict[str, Any] = {"boolean": op.boolean, "apart": apart}
    if op.name.startswith("logical_"):  # of any types, each by whether it is 0
        options |= {"apart": (), "to": np.dtype(bool)}
    formula = Formula(op.name, text, op.inputs, op.params, **options)
    if op.name == "power_number":
        special = {p: Formula(f"power_{i}", constantly(t), ["x"]) for i, (p, t) in enumerate(POWERS.items())}

        def power(x: Any, exponent: Any, out: Any = ...) -> Any:
            chosen = special.get(exponent) if x.dtype.kind == "f" else None
            return formula((x,), (exponent,), out) if chosen is None else chosen((x,), (), out)

        return power

    def run(*args: Any, out: Any = ...) -> Any:
        try:
            return formula(args[:width], args[width:], out)
        except Missing as error:
            return otherwise(op, error)(*args, out=out)

    return run


def constantly(text: str) -> Callable[[str], str]:
    return lambda name: text


def printable(name: str, expr: str | None, dtype: str) -> bool:
    """Say whether a formula has C text for a type."""
    try:
        printed(template(name, expr, CTYPES[dtype], 64), CTYPES[dtype], Dialect(False, 1))
    except Unprintable:
        return False
    except (RuntimeError, TypeError, NotImplementedError):
        return True
    return True


def without(name: str, what: str) -> str:
    """Return the message for an op that this device has no kernel for."""
    return (
        f"{name}: no OpenCL kernel for {what}; move the tensors to device 'cpu' for it, or let it run there: "
        f"WENGERT_HOST_FALLBACK=1 or wengert_opencl.host_fallback()"
    )
