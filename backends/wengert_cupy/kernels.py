"""Generated kernels on the card: compiling and launching them, and the ops that have one.

Owns: `Kernels`: which kernel a call gets, by the layout of its arrays, kept in plans; elementwise ops, reductions, ops on rows,
and groups of equations of a compiled function. May import: the shared generator, NumPy for types, CuPy by the backend.
Must not know: tensors, gradients. A kernel is compiled when it is first asked for, and CuPy keeps it on disk.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.op import ANY, Op
from wengert_codegen import CTYPES, Ctype, Unprintable, plan_dims, printed, template
from wengert_codegen import cuda as text
from wengert_codegen import joins as j
from wengert_codegen.cuda import CUDA, PACK, THREADS, WARP, Fold, Input, RowInput, Step
from wengert_codegen.expressions import BOOL_REFUSED

Kernel = Callable[..., Any]
Ints = tuple[int, ...]
LONG = np.int64
OPTIONS = ("--std=c++17",)
SCALARS = {
    "uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32, "int": np.int32,
    "ulong": np.uint64, "long": np.int64, "float": np.float32, "double": np.float64, "float2": np.complex64,
    "double2": np.complex128,
}  # fmt: skip
POWERS = {2: "x * x", 0.5: "sqrt(x)", 1: "x", -1: "1 / x", 3: "x * x * x", 0: "1"}
INTEGERS_ONLY = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift", "gcd", "lcm"}
REAL_RESULTS = {"absolute", "angle"}
BLOCKS = 16  # of a grid, for each processor of the card: threads stride over what is left
SHARED = 8192  # elements of a row from which on several blocks share it, where there are few rows
LARGE = 1 << 16  # elements from which on a generated kernel beats CuPy's own of the same function


@functools.cache
def ctype_of(dtype: np.dtype[Any]) -> Ctype | None:
    return CTYPES.get(dtype.name)


def known(dtype: np.dtype[Any]) -> Ctype:
    """Return the C type of a type. Raises NotImplementedError where there is none."""
    found = ctype_of(np.dtype(dtype))
    if found is None:
        raise NotImplementedError(f"CUDA kernels know no arrays of type {dtype}; .to() another type")
    return found


def wider(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that a type is computed in."""
    return np.dtype(np.float32) if dtype.name in ("float16", "bfloat16") else dtype


def summed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that sums and products of a type are computed in."""
    return np.dtype(np.int64) if dtype.kind in "biu" else wider(dtype)


def formula_of(op: Op, dtype: np.dtype[Any]) -> str | None:
    """Return an op's formula for a type, or None where there is none. What the op refuses raises when it is called."""
    ctype = ctype_of(dtype)
    if ctype is None or (op.name in INTEGERS_ONLY and ctype.kind not in "biu"):
        return None
    try:
        made = template(op.name, op.expr, ctype, dtype.itemsize * 8)
        printed(made, ctype, CUDA)
    except Unprintable:
        return None
    return made


def whole(value: Any) -> np.int64:
    if value != value or value != int(value):
        raise NotImplementedError(f"the number {value!r} next to integers; convert these to floats")
    return np.int64(value)


class Plan:
    """What a call with arrays of certain layouts does."""

    __slots__ = ("shape", "dtype", "kernel", "grid", "threads", "tail", "used", "number")

    def __init__(self, shape: Ints, dtype: Any, used: Sequence[Any], number: Any) -> None:
        self.shape, self.dtype, self.used, self.number = shape, dtype, used, number
        self.kernel: Any = None
        self.grid: Ints = ()
        self.threads: Ints = (THREADS,)
        self.tail: tuple[Any, ...] = ()


class Kernels:
    """The generated kernels of a backend over CuPy."""

    def __init__(self, cupy: Any, processors: int) -> None:
        self.cupy, self.array, self.processors = cupy, cupy.ndarray, processors
        self.compiled: dict[tuple[int, str], Any] = {}
        self.plans: dict[Any, Plan] = {}
        self.large = LARGE

    # ---- programs
    def get(self, source: str, name: str) -> Any:
        """Return a kernel of a source text on the current device."""
        key = (self.cupy.cuda.runtime.getDevice(), source)
        made = self.compiled.get(key)
        if made is None:
            made = self.compiled[key] = self.cupy.RawModule(code=source, options=OPTIONS).get_function(name)
        return made

    def grid(self, blocks: int, y: int = 1) -> Ints:
        return (max(1, min(blocks, self.processors * BLOCKS * (32 if y == 1 else 1))), y)

    def aligned(self, arrays: Sequence[Any], pack: int) -> bool:
        return all([a.data.ptr % (pack * a.dtype.itemsize) == 0 for a in arrays])

    def packed(self, x: Any) -> Any:
        return x if x.flags.c_contiguous else self.cupy.ascontiguousarray(x) if x.ndim else x.copy()

    def check_place(self, name: str, arrays: Sequence[Any]) -> None:
        for a in arrays:
            if isinstance(a, np.ndarray) and a.ndim:
                raise RuntimeError(f"{name}: a host array of shape {a.shape} among arrays of cuda; move it by to('cuda')")

    # ---- elementwise
    def elementwise(self, op: Op, otherwise: Kernel | None, plain: bool) -> Kernel | None:
        """Return the kernel of an op by its formula; `otherwise` for types that it has none for. plain: CuPy has the same
        function under the op's name, which is called sooner: it takes what is small."""
        width, plans, free = len(op.inputs), dict[Any, Plan](), [op.domain == ANY or n in op.free for n in op.inputs]
        if otherwise is None and all(formula_of(op, np.dtype(t)) is None for t in (np.float32, np.int64, np.complex64)):
            return None
        array, empty, large, refuses = self.array, self.cupy.empty, self.large, op.name in BOOL_REFUSED

        def run(*args: Any, out: Any = ...) -> Any:
            arrays = args[:width]
            if plain and max([a.size for a in arrays]) < large and not (refuses and arrays[0].dtype.kind == "b"):
                return otherwise(*args, out=out)  # type: ignore[misc]
            key: list[Any] = [(a.shape, a.strides, a.dtype, a.data.ptr % PACK) if type(a) is array else a.dtype for a in arrays]
            if op.name == "power_number":
                key.append(args[width] if args[width] in POWERS else None)
            if out is not ...:
                key.append((out.shape, out.strides, out.dtype, out.data.ptr % PACK))
            plan = plans.get(tuple(key))
            if plan is None:
                made = self.plan_elementwise(op, arrays, free, args[width:], out)
                if made is None:
                    if otherwise is None:
                        raise NotImplementedError(
                            f"{op.name}: no CUDA kernel for {', '.join(str(a.dtype) for a in arrays)}; .to() another type"
                        )
                    return otherwise(*args, out=out)
                if len(plans) > 4096:
                    plans.clear()
                plan = plans[tuple(key)] = made
            target = empty(plan.shape, plan.dtype) if out is ... else out
            if out is not ... and (out.dtype != plan.dtype or any([type(a) is array and self.overlap(out, a) for a in arrays])):
                out[...] = run(*args)
                return out
            if plan.kernel is None:
                return target
            values = [target]
            for a, used in zip(arrays, plan.used, strict=True):
                values.append(a if type(a) is array else used(a[()]))
            plan.kernel(plan.grid, plan.threads, (*values, *[plan.number(n) for n in args[width:]], *plan.tail))
            return target

        return run

    def overlap(self, x: Any, y: Any) -> bool:
        """Say whether arrays may share memory without being the same elements in the same order."""
        if x.data.ptr == y.data.ptr and x.shape == y.shape and x.strides == y.strides:
            return False
        return bool(self.cupy.may_share_memory(x, y))

    def plan_elementwise(self, op: Op, arrays: Any, free: Any, numbers: Any, out: Any) -> Plan | None:
        self.check_place(op.name, arrays)
        types = [a.dtype for a, apart in zip(arrays, free, strict=True) if not apart] or [arrays[0].dtype]
        compute = types[0] if all([t == types[0] for t in types]) else np.result_type(*types)
        formula, ctype = formula_of(op, compute), ctype_of(compute)
        if formula is None or ctype is None or any(ctype_of(a.dtype) is None for a in arrays):
            return None
        if compute.kind != "c" and any(a.dtype.kind == "c" for a in arrays):
            return None
        if op.name == "power_number" and compute.kind == "f":
            formula = POWERS.get(numbers[0], formula)
        dtype = np.dtype(bool) if op.boolean else compute
        if op.name in REAL_RESULTS and compute.kind == "c":
            dtype = np.dtype(f"f{compute.itemsize // 2}")
        shape = np.broadcast_shapes(*[a.shape for a in arrays])
        if out is not ... and out.shape != shape:
            raise ValueError(f"{op.name}: the result has shape {shape}, and out {out.shape}")
        names = [f"v{i}" for i in range(len(arrays))]
        given = [known(a.dtype) if type(a) is self.array or apart else ctype for a, apart in zip(arrays, free, strict=True)]
        values = tuple(zip(op.inputs, names, given, free, strict=True))
        kind = "long" if compute.kind in "biu" else "double"
        told = [(f"n{i}", kind) for i in range(len(numbers))]
        letters = tuple(zip(op.params, [n for n, _ in told], strict=True))
        step = Step("r", formula, ctype, values, letters, known(dtype))
        plan = Plan(shape, dtype, [SCALARS[c.name] for c in given], whole if kind == "long" else np.float64)
        inputs = [(n, a, c) for n, a, c in zip(names, arrays, given, strict=True)]
        like = None if out is ... else [out]
        self.lay_out(plan, f"k_{op.name}", inputs, [step], [("r", dtype)], told, like)
        return plan

    def lay_out(
        self, plan: Plan, name: str, inputs: Sequence[Any], steps: Sequence[Step], outs: Sequence[Any], told: Any, given: Any
    ) -> None:
        """Choose the loop for arrays, and share the elements out. inputs: (name, array or number, type); outs: (name, dtype);
        given: the arrays that are written, None for new ones."""
        n = math.prod(plan.shape)
        if not n:
            return
        arrays = [a for _, a, _ in inputs if type(a) is self.array]
        order = dense(plan.shape)
        steps_of = [order if given is None or g is None else elements(g) for g in (given or [None] * len(outs))]
        steps_of += [elements(self.cupy.broadcast_to(a, plan.shape)) for a in arrays]
        dims, strides = plan_dims(plan.shape, steps_of)
        here = iter(strides[len(outs) :])
        flat = (
            len(dims) == 1 and all(s[0] == 1 or n == 1 for s in strides[: len(outs)]) and all(s[0] in (0, 1) for s in strides)
        )
        made = []
        for label, a, c in inputs:
            scalar = type(a) is not self.array
            still = not scalar and next(here)[-1] == 0
            made.append(Input(label, c, scalar, flat and still))
        results = [(label, known(t)) for label, t in outs]
        if flat:
            moving = [a for a, i in zip(inputs, made, strict=True) if not i.scalar and not i.still]
            sizes = [t.itemsize for _, t in outs] + [a.dtype.itemsize for _, a, _ in moving]
            pack = PACK // max(sizes)
            fits = self.aligned([a for _, a, _ in moving] + [g for g in given or () if g is not None], pack)
            pack = pack if fits and n >= pack else 1
            source = text.map_source(name, made, steps, results, told, pack, 0, True)
            plan.grid, plan.tail = self.grid(-(-n // (THREADS * pack))), (LONG(n),)
        else:
            plan.grid = self.grid(-(-n // THREADS))
            most = n + plan.grid[0] * THREADS  # a thread's last place is below
            wide = max(most, *[reach(dims, s) for s in strides]) >= 1 << 31
            whole_number = np.int64 if wide else np.int32
            source = text.map_source(name, made, steps, results, told, 1, len(dims), wide)
            tail = [n, *dims[1:], *(s for each in strides for s in each)]
            plan.tail = tuple([whole_number(v) for v in tail])
        plan.kernel = self.get(source, name)

    def formula(self, name: str, formula: str, given: dict[str, Any], shape: Ints, dtype: np.dtype[Any]) -> Any:
        """Return a formula of arrays, by their letters, as a new array; they broadcast to its shape."""
        key = (name, formula, dtype, *[(a.shape, a.strides, a.dtype, a.data.ptr % PACK) for a in given.values()], shape)
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = Plan(shape, dtype, (), None)
            compute, inputs = known(wider(dtype)), [(f"v{i}", a, known(a.dtype)) for i, a in enumerate(given.values())]
            values = tuple([(letter, n, c, False) for letter, (n, _, c) in zip(given, inputs, strict=True)])
            step = Step("r", formula, compute, values, (), known(dtype))
            self.lay_out(plan, f"k_{name}", inputs, [step], [("r", dtype)], (), None)
        made = self.cupy.empty(shape, dtype)
        if plan.kernel is not None:
            plan.kernel(plan.grid, plan.threads, (made, *given.values(), *plan.tail))
        return made

    # ---- reductions
    def reduce(
        self, join: j.Join, arrays: Sequence[Any], axis: Any, keepdims: bool, compute: np.dtype[Any], *, element: str = "x",
        final: str = "a", beside: Sequence[Any] = (), to: Any = None,
    ) -> Any:  # fmt: skip
        """Return join of element(x, y; p; k) over dims, in type `compute`, as type `to`."""
        x = arrays[0]
        axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
        to = compute if to is None else to
        kept = [n for d, n in enumerate(x.shape) if d not in axes]
        shape = tuple([1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes])
        made = self.cupy.empty(shape, to)
        if not made.size:
            return made
        if not math.prod([x.shape[d] for d in axes]):
            made[...] = join.start(compute)
            return made
        (B, M, R), views = self.seen(arrays, axes, kept)
        along = M == 1 or R > 1 and all([steps[2] == 1 for _, steps in views])
        lanes = 0 if not along else WARP if R <= 1024 else THREADS
        units = -(-B * M * lanes // THREADS) if along else B * -(-M // WARP)
        wanted = self.processors * 4
        splits = min(-(-wanted // units), R // (SHARED // 2 if along else 64)) if units < wanted else 1
        splits = max(1, min(splits, 1024))
        sizes = [a.dtype.itemsize for a, _ in views]
        pack = PACK // max(sizes)
        fits = along and R >= pack and all(s[2] == 1 and (B * M == 1 or s[0] % pack == s[1] % pack == 0) for _, s in views)
        pack = pack if fits and self.aligned([a for a, _ in views], pack) else 1
        part = -(-R // splits)
        part = -(-part // pack) * pack
        splits = -(-R // part)
        last = splits == 1
        target = made if last else self.cupy.empty((B * M, splits), compute)
        ctype, out = known(compute), known(to if last else compute)
        reads = tuple([(n, known(a.dtype)) for n, (a, _) in zip("xyz", views, strict=False)])
        sides = tuple([(n, known(p.dtype)) for n, p in zip("pq", beside, strict=False)])
        name = f"k_{join.name}"
        source = text.reduce_source(
            name,
            join,
            element,
            reads,
            sides,
            ctype,
            compute,
            out,
            final if last else "a",
            lanes,
            pack,
        )
        values: list[Any] = [target]
        for a, steps in views:
            values += [a, *[LONG(s) for s in steps]]
        values += [self.packed(p) for p in beside]
        values += [LONG(v) for v in (B, M, R, splits, part)]
        blocks = -(-B * M // (THREADS // lanes)) if along else B * -(-M // WARP)
        self.get(source, name)(self.grid(blocks, splits), (THREADS,), tuple(values))
        if last:
            return made
        return self.reduce(join, (target,), (1,), False, compute, final=final, to=to).reshape(shape)

    def seen(self, arrays: Sequence[Any], axes: Ints, kept: Sequence[int]) -> tuple[Ints, list[tuple[Any, Ints]]]:
        """Return the sizes (outer, inner, along) of arrays of one shape, and each with its three steps, in elements."""
        x = arrays[0]
        rest = tuple([d for d in range(x.ndim) if d not in axes])
        groups = []
        for group in (rest, axes):
            steps = [elements(a) for a in arrays]
            groups.append(plan_dims(tuple([x.shape[d] for d in group]), [tuple([s[d] for d in group]) for s in steps]))
        (outer, outer_steps), (along, along_steps) = groups
        if len(outer) > 2 or len(along) > 1:
            arrays = [self.cupy.ascontiguousarray(a.transpose((*rest, *axes))) for a in arrays]
            n, r = math.prod(kept), math.prod([x.shape[d] for d in axes])
            return (n, 1, r), [(a, (r, 0, 1)) for a in arrays]
        if len(outer) == 1:  # one dim that stays: rows where the elements of one lie together, else columns
            side_by_side = all([o[0] == 1 for o in outer_steps])
            outer, outer_steps = (
                ((1, *outer), [(0, *s) for s in outer_steps]) if side_by_side else ((*outer, 1), [(*s, 0) for s in outer_steps])
            )
        return (*outer, *along), [(a, (*o, *r)) for a, o, r in zip(arrays, outer_steps, along_steps, strict=True)]

    def reductions(self) -> dict[str, Kernel]:
        """Return the kernels of reductions by the names of their ops, for types that CTYPES knows."""
        reduce = self.reduce

        def result(dtype: Any) -> Any:
            return np.dtype(np.int64) if dtype.kind in "biu" else dtype

        def count(x: Any, axis: Any) -> int:
            return math.prod(x.shape if axis is None else [x.shape[d] for d in axis])

        def total(x: Any, axis: Any, keepdims: bool) -> Any:
            return reduce(j.SUM, (x,), axis, keepdims, summed(x.dtype), to=result(x.dtype))

        def product(x: Any, axis: Any, keepdims: bool) -> Any:
            join = j.PROD_COMPLEX if x.dtype.kind == "c" else j.PROD
            return reduce(join, (x,), axis, keepdims, summed(x.dtype), to=result(x.dtype))

        def mean(x: Any, axis: Any, keepdims: bool) -> Any:
            n = count(x, axis)
            final = f"a / {n}.0" if n else "a / 0.0"
            if x.dtype.kind != "f" or not n:
                made = total(x, axis, keepdims)
                return (made / made.dtype.type(n)).astype(x.dtype, copy=False)
            return reduce(j.SUM, (x,), axis, keepdims, summed(x.dtype), final=final, to=x.dtype)

        def norm2(x: Any, axis: Any, keepdims: bool) -> Any:
            if x.dtype.kind == "c":
                sizes = x.real * x.real + x.imag * x.imag
                return reduce(j.SUM, (sizes,), axis, keepdims, sizes.dtype, final="sqrt(a)")
            return reduce(j.SUM, (x,), axis, keepdims, summed(x.dtype), element="x * x", final="sqrt(a)", to=x.dtype)

        def variance(x: Any, axis: Any, correction: float, keepdims: bool, final: str = "a") -> Any:
            if x.dtype.kind == "c":
                made = variance(x.real, axis, correction, keepdims) + variance(x.imag, axis, correction, keepdims)
                return made if final == "a" else self.cupy.sqrt(made)
            compute, n = summed(x.dtype), count(x, axis)
            if not n:
                return self.cupy.full_like(reduce(j.SUM, (x,), axis, keepdims, compute, to=x.dtype), np.nan)
            middle = reduce(j.SUM, (x,), axis, False, compute, final=f"a / {n}.0")
            scaled = f"a / {float(max(n - correction, 0))!r}"
            return reduce(j.SUM, (x,), axis, keepdims, compute, element="(x - p) * (x - p)", beside=(middle,),
                          final=scaled if final == "a" else final.replace("a", scaled), to=x.dtype)  # fmt: skip

        def deviation(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
            return variance(x, axis, correction, keepdims, "sqrt(a)")

        def extreme(join: j.Join) -> Kernel:
            return lambda x, axis, keepdims: reduce(join, (x,), axis, keepdims, wider(x.dtype), to=x.dtype)

        return {
            "sum": total, "prod": product, "mean": mean, "norm2": norm2, "var": variance, "std": deviation,
            "amax": extreme(j.MAX), "amin": extreme(j.MIN),
        }  # fmt: skip

    # ---- ops on rows
    def rows(self) -> dict[str, Kernel]:
        """Return the kernels of softmax and its kin, (*inputs, axis), for floats."""

        def step(name: str, formula: str, c: Ctype, *values: str) -> Step:
            return Step(name, formula, c, tuple([(x, v, c, False) for x, v in zip("xyz", values, strict=False)]), (), c)

        def fold(name: str, join: j.Join, value: str, c: Ctype, t: Any) -> Fold:
            return Fold(name, join, (value, c), t, "a", c)

        def powers(c: Ctype, t: Any, top: str) -> list[Any]:
            return [step("power", "exp(x - y)", c, "v0", top), fold("total", j.SUM, "power", c, t)]

        def softmax(c: Ctype, t: Any) -> list[Any]:
            return [fold("most", j.MAX, "v0", c, t), *powers(c, t, "most"), step("r", "x / y", c, "power", "total")]

        def log_softmax(c: Ctype, t: Any) -> list[Any]:
            return [
                fold("most", j.MAX, "v0", c, t),
                *powers(c, t, "most"),
                step("r", "x - y - log(z)", c, "v0", "most", "total"),
            ]

        def logsumexp(c: Ctype, t: Any) -> list[Any]:
            finite = step("high", "x - x == 0 ? x : 0", c, "most")
            return [fold("most", j.MAX, "v0", c, t), finite, *powers(c, t, "high"), step("r", "log(x) + y", c, "total", "high")]

        def softmax_back(c: Ctype, t: Any) -> list[Any]:
            product = step("product", "x * y", c, "v0", "v1")
            return [product, fold("total", j.SUM, "product", c, t), step("r", "(x - z) * y", c, "v0", "v1", "total")]

        def log_softmax_back(c: Ctype, t: Any) -> list[Any]:
            return [fold("total", j.SUM, "v0", c, t), step("r", "x - exp(y) * z", c, "v0", "v1", "total")]

        def along(name: str, nodes_of: Any) -> Kernel:
            def run(*args: Any) -> Any:
                *inputs, axis = args
                return self.row_op(name, nodes_of, inputs, axis)

            return run

        def folded(x: Any, axis: Any, keepdims: bool) -> Any:
            return self.row_op("logsumexp", logsumexp, [x], axis, keepdims)

        table = {
            "softmax": softmax,
            "log_softmax": log_softmax,
            "softmax_back": softmax_back,
            "log_softmax_back": log_softmax_back,
        }
        return {**{name: along(name, nodes) for name, nodes in table.items()}, "logsumexp": folded}

    def row_op(self, name: str, nodes_of: Any, inputs: Any, axis: Any, keepdims: bool | None = None) -> Any:
        """Run an op on the rows that lie along dims, which follow each other; keepdims: one result a row."""
        x = inputs[0]
        axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
        first, last = (min(axes), max(axes)) if axes else (x.ndim, x.ndim - 1)
        if last - first + 1 != len(axes):  # dims apart: side by side by a copy
            rest = [d for d in range(x.ndim) if d not in axes]
            order = (*rest, *axes)
            moved = self.row_op(name, nodes_of, [a.transpose(order) for a in inputs], tuple(range(len(rest), x.ndim)), keepdims)
            if keepdims is None:
                return self.packed(moved.transpose([order.index(d) for d in range(x.ndim)]))
            return moved.reshape([1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes])
        B, R, M = math.prod(x.shape[:first]), math.prod(x.shape[first : last + 1]), math.prod(x.shape[last + 1 :])
        shape = (
            x.shape
            if keepdims is None
            else tuple([1 if d in axes else n for d, n in enumerate(x.shape) if keepdims or d not in axes])
        )
        made = self.cupy.empty(shape, x.dtype)
        if not made.size:
            return made
        if not R:
            made[...] = -np.inf
            return made
        compute = wider(x.dtype)
        c, stored = known(compute), known(x.dtype)
        arrays = [self.packed(a) for a in inputs]
        reads = [RowInput(f"v{i}", known(a.dtype)) for i, a in enumerate(arrays)]
        kernel, grid, threads = self.plan_rows(
            f"k_{name}", reads, arrays, nodes_of(c, compute), [("r", stored)], [made], (B, M, R)
        )
        kernel(grid, threads, (made, *arrays, *[LONG(n) for n in (B, M, R)]))
        return made

    def plan_rows(
        self,
        name: str,
        reads: Any,
        arrays: Any,
        nodes: Any,
        outs: Any,
        made: Any,
        sizes: tuple[int, int, int],
        numbers: Any = (),
    ) -> tuple[Any, Ints, Ints]:
        """Return the kernel for rows of these sizes, and how it is launched."""
        B, M, R = sizes
        many = [a for a, i in zip(arrays, reads, strict=True) if not i.scalar and i.where in ("element", "column")]
        moving = [*many, *[m for m, (n, _) in zip(made, outs, strict=True) if m.size == B * M * R]]
        pack = PACK // max([a.dtype.itemsize for a in moving], default=PACK)
        pack = pack if M == 1 and R % pack == 0 and self.aligned(moving, pack) else 1
        kept, lanes = 0, 1024
        for threads in (WARP, THREADS, 1024):
            if R <= threads * pack * text.KEPT:
                kept, lanes = -(-R // (threads * pack)), threads
                break
        pack = pack if kept else 1
        source = rows_source(name, tuple(reads), tuple(nodes), tuple(outs), tuple(numbers), lanes, pack, kept, M > 1)
        block = max(lanes, THREADS)
        return self.get(source, name), self.grid(-(-B * M // (block // lanes))), (block,)


rows_source = functools.lru_cache(maxsize=4096)(text.rows_source)


def dense(shape: Ints) -> Ints:
    """Return the steps of an array in row-major order, in elements."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return tuple(reversed(steps))


def elements(x: Any) -> Ints:
    """Return an array's steps in elements."""
    size = x.dtype.itemsize
    return tuple([s // size for s in x.strides])


def reach(dims: Ints, steps: Ints) -> int:
    """Return how far from its first element an array goes."""
    return sum([(n - 1) * abs(s) for n, s in zip(dims, steps, strict=True)])
