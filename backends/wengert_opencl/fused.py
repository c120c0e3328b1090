"""Groups of equations as one generated kernel, and ops of rows (softmax, moments) as such groups.

Owns: `Fused`, which lays a group out for arrays of some strides and launches it, and `rowwise`. May import: the shared groups
and rows, arrays, maps, reductions, op records. Must not know: graphs beyond their equations, tensors, gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.backend import give_operators
from wengert.op import OPS, Op
from wengert_codegen import Dialect, Unprintable, plan_dims, printed
from wengert_codegen.groups import Group, group_of
from wengert_codegen.rows import GROUP, SCRATCH, names, source
from wengert_opencl import maps, reductions
from wengert_opencl.array import Array, Ints, dense
from wengert_opencl.maps import LONG, SCALARS, new
from wengert_opencl.runtime import ELEMENTS, ITEMS, Runtime

LONG_ROW = 1 << 15  # elements of a row from which on several work items share it, if there are few rows
SPARE = 64  # bytes of parameters that a driver may want for itself


class Plan:
    """How a group runs on arrays of certain strides."""

    __slots__ = ("kernel", "items", "group", "tail", "copied", "parts")

    def __init__(self) -> None:
        self.kernel: Any = None
        self.items: Ints = ()
        self.group: Ints = ()
        self.tail: Ints = ()
        self.copied: dict[int, Ints] = {}  # inputs that are packed first, in a shape
        self.parts = 1


class Fused:
    """A group as a kernel."""

    def __init__(self, group: Group, name: str) -> None:
        self.group, self.name = group, name
        self.plans: dict[Any, Plan] = {}
        self.numbers = tuple([SCALARS[c.name](v) for (_, c), v in zip(group.body.numbers, group.values, strict=True)])
        self.in_place = in_place(group)

    def __call__(self, arrays: Sequence[Any], out: Sequence[Any] = ()) -> list[Any]:
        group = self.group
        runtime = next(a.runtime for a in arrays if type(a) is Array)
        arrays = [a if type(a) is Array else self.upload(runtime, a) for a in arrays]
        key = tuple([a.layout for a in arrays])
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) > 256:
                self.plans.clear()
            plan = self.plans[key] = self.plan(runtime, arrays)
        for i, shape in plan.copied.items():
            arrays[i] = maps.copy(arrays[i].broadcast_to(shape))
        made: list[Any] = []
        for i, (shape, dtype) in enumerate(zip(group.shapes, group.dtypes, strict=True)):
            given = out[i] if out else None
            if i in group.joins:
                made.append(new(runtime, (math.prod(shape), plan.parts), group.joins[i][1]))
            elif given is None or not given.flags.c_contiguous or self.collides(i, given, arrays):
                made.append(new(runtime, shape, dtype))
            else:
                made.append(given)
        values: list[Any] = []
        for a in (*made, *arrays):
            values.append(a.buffer)
            values.append(a.offset and a.start)
        runtime.launch(plan.kernel, plan.items, plan.group, (*values, *self.numbers, *plan.tail))
        for i, (join, compute, final) in group.joins.items():
            joined = reductions.reduce(join, (made[i],), (1,), False, compute, final=final, to=group.dtypes[i])
            made[i] = joined.reshaped(group.shapes[i])
        for i, given in enumerate(out):
            if given is not None and given is not made[i]:
                made[i] = maps.write(given, made[i])
        return made

    def upload(self, runtime: Runtime, host: Any) -> Array:
        host = np.ascontiguousarray(host)
        made = new(runtime, host.shape, host.dtype)
        runtime.upload(made.buffer, host)
        return made

    def collides(self, output: int, given: Array, arrays: Sequence[Array]) -> bool:
        """Say whether a result in this place might be read as an input after it was written."""
        for i, a in enumerate(arrays):
            same = a.offset == given.offset and a.strides == given.strides and a.shape == given.shape
            if a.buffer is given.buffer and not (same and (output, i) in self.in_place):
                return True
        return False

    # ---- layouts
    def steps(self, arrays: Sequence[Array]) -> list[Ints]:
        """Return the strides, in elements, of each input that is not one element, over all dims (rows have 0 in theirs)."""
        shape, found = self.group.shape, []
        for a, (_, _, level) in zip(arrays, self.group.body.inputs, strict=True):
            if level != "one":
                found.append(tuple([s // a.dtype.itemsize for s in a.broadcast_to(shape).strides]))
        return found

    def plan(self, runtime: Runtime, arrays: Sequence[Array]) -> Plan:
        group, body, dialect = self.group, self.group.body, runtime.dialect
        plan, shape, levels = Plan(), group.shape, [level for _, _, level in self.group.body.inputs]
        arrays = list(arrays)
        kept = len(shape) - group.reduced
        for i, a in enumerate(arrays):
            if group.reduced and levels[i] == "full" and len(self.row_dims(a)[0]) > 1:
                plan.copied[i] = a.shape
                arrays[i] = a = packed_like(runtime, a.shape, a.dtype)
                if len(self.row_dims(a)[0]) > 1:
                    plan.copied[i], arrays[i] = shape, packed_like(runtime, shape, a.dtype)
        for attempt in range(2):
            moving = self.steps(arrays)
            if group.reduced:
                outer, outer_steps = plan_dims(shape[:kept], [s[:kept] for s in moving])
                n = math.prod(shape[kept:])
                full = [a for a, level in zip(arrays, levels, strict=True) if level == "full"]
                inner = [self.row_dims(a)[1] for a in full]
                if outer == (1,):
                    outer, outer_steps = (), [() for _ in moving]
            else:
                dims, (_, *steps) = plan_dims(shape, [dense(shape, 1), *moving])
                outer, n, outer_steps, inner = dims[:-1], dims[-1], [s[:-1] for s in steps], [s[-1] for s in steps]
            classes = [s if s in (0, 1) else -1 for s in inner]
            used = 2 * (len(body.outputs) + len(arrays)) + len(body.numbers) + 4
            used += len(outer) * (1 + len(moving)) + classes.count(-1)
            size = used * 8 + SPARE
            if size <= runtime.device.max_parameter_size:
                break
            if attempt:
                raise NotImplementedError(
                    f"{self.name}: {size} bytes of kernel parameters; opencl:{runtime.index} takes "
                    f"{runtime.device.max_parameter_size}"
                )
            for i, a in enumerate(arrays):  # fewer dims, so fewer parameters
                if levels[i] != "one":
                    plan.copied[i], arrays[i] = shape, packed_like(runtime, shape, a.dtype)
        count = math.prod(outer)
        if not group.reduced:
            across, chunk = (1, n) if dialect.cpu and (n <= ELEMENTS or count >= 8 * dialect.cores) else runtime.share(n)
            down, rows = runtime.share(count, max(1, ELEMENTS // n))
            plan.items, plan.group = runtime.grid(across, down)
        else:
            plan.parts = self.parts(runtime, count, n) if body.partial else 1
            chunk = -(-n // plan.parts)
            plan.parts = -(-n // chunk)
            if dialect.cpu:
                down, rows = runtime.share(count, max(1, ELEMENTS // n))
                plan.items, plan.group = (plan.parts, down), (1, 1)
            else:
                rows, size = 1, GROUP
                plan.items, plan.group = (plan.parts * size, count), (size, 1)
        tail = [n, chunk, count, rows, *outer]
        full_inner = iter(zip(inner, classes, strict=True))
        for level, own in zip([level for level in levels if level != "one"], outer_steps, strict=True):
            tail += own
            if level == "full":
                step, kind = next(full_inner)
                tail += [step] if kind < 0 else []
        plan.tail = tuple(tail)
        text = source(self.name, body, tuple(classes), len(outer), n <= SCRATCH, dialect)
        scalars: list[Any] = [None, LONG] * (len(body.outputs) + len(arrays))
        scalars += [SCALARS[c.name] for _, c in body.numbers] + [LONG] * len(tail)
        plan.kernel = runtime.kernel(text, self.name, scalars)
        return plan

    def row_dims(self, a: Array) -> tuple[Ints, int]:
        """Return the dims of a row as an array has them, merged, and the step along the last."""
        shape, kept = self.group.shape, len(self.group.shape) - self.group.reduced
        dims, (steps,) = plan_dims(shape[kept:], [a.broadcast_to(shape).strides[kept:]])
        return dims, steps[-1] // a.dtype.itemsize

    def parts(self, runtime: Runtime, count: int, n: int) -> int:
        wanted = runtime.dialect.cores * ITEMS if runtime.dialect.cpu else 512
        return max(1, min(-(-wanted // count), n // ELEMENTS))


def in_place(group: Group) -> set[tuple[int, int]]:
    """Return the pairs (output, input) that may have the same elements: what is written is made of what was there, and that is
    read by no line behind a call, which would come after the writing. A row is gone over again."""
    if group.reduced:
        return set()
    body, again = group.body, set[str]()
    behind: set[str] = set()  # lines with calls, or of lines with calls
    made_of: dict[str, set[str]] = {name: {name} for name, _, _ in body.inputs}
    for line in body.lines:
        read = names(line.text)
        made_of[line.name] = set().union(*[made_of.get(n, set()) for n in read])
        if printed(line.text, line.compute, Dialect(True, 1)).calls or behind.intersection(read):
            behind.add(line.name)
            again.update(read)
    inputs = [(i, name) for i, (name, _, _) in enumerate(body.inputs) if name not in again]
    return {(j, i) for j, out in enumerate(body.outputs) for i, name in inputs if name in made_of[out]}


def parted(runtime: Runtime) -> Callable[[int, int], bool]:
    few = 2 * runtime.dialect.cores if runtime.dialect.cpu else 64
    return lambda count, n: count < few and n > LONG_ROW


def fused(runtime: Runtime, equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Fused | None:
    """Return one kernel for equations, None where there is none: see `wengert.backend.Fusing`."""
    if not inputs:
        return None
    words = list(dict.fromkeys([e.op.name for e in equations]))
    try:
        made = Fused(group_of(equations, inputs, outputs, parted(runtime)), "k_" + "_".join(words)[:48])
        made.plan(runtime, [packed_like(runtime, v.shape, v.dtype) for v in inputs])  # compiled now: what cannot be is known
    except (Unprintable, NotImplementedError):
        return None
    return made


# ---- ops that are groups
class Sketch:
    """Stands for an array while a function of ops is written down; a row's dims are kept at 1."""

    __slots__ = ("shape", "dtype", "steps")

    def __init__(self, shape: Ints, dtype: Any, steps: list[Step]) -> None:
        self.shape, self.dtype, self.steps = tuple(shape), np.dtype(dtype), steps

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass(frozen=True)
class Step:
    """An equation, as `wengert.backend.Fusing` has them."""

    op: Any
    inputs: tuple[Any, ...]
    params: tuple[Any, ...]
    outs: tuple[Sketch, ...]


class Writer:
    """The backend of sketches, whose kernels write steps."""

    @staticmethod
    def kernel(op: Op) -> Callable[..., Any]:
        def write(*args: Any, out: Any = ...) -> Sketch:
            inputs, params = args[: len(op.inputs)], args[len(op.inputs) :]
            steps = next(a.steps for a in inputs if type(a) is Sketch)
            assert op.infer is not None
            shape, dtype = op.infer(*inputs, *params)
            made = Sketch(shape, dtype, steps)
            steps.append(Step(op, inputs, params, (made,)))
            return made

        return write


Sketch.transform = Writer  # type: ignore[attr-defined]  # what a table of kernels asks for an array's kernels
give_operators(Sketch)


def rowwise(function: Callable[..., Any], otherwise: Callable[..., Any], shapes: Callable[..., Any] | None = None) -> Any:
    """Return the kernel of an op that a function of ops writes, as one kernel where its reductions are over the last dims.

    otherwise: the op's kernel elsewhere. shapes: (*args) -> the shapes of the results, where the function's are with dims kept.
    Halves are computed in float32.
    """
    known: dict[Any, tuple[Any, Any]] = {}  # (the group or None, the shapes of its results) by the layouts of arrays

    def prepare(args: Sequence[Any], arrays: Sequence[Array]) -> Fused | None:
        steps: list[Step] = []
        inputs = [Sketch(a.shape, a.dtype, steps) for a in arrays]
        numbers = iter(inputs)
        wide = [OPS["cast"](v, reductions.floats(v.dtype)) if reductions.floats(v.dtype) != v.dtype else v for v in inputs]
        numbers = iter(wide)
        made = function(*grafted(args, lambda a: next(numbers)))
        results = list(made) if isinstance(made, tuple) else [made]
        dtype = arrays[0].dtype
        results = [OPS["cast"](v, dtype) if reductions.floats(dtype) != dtype else v for v in results]
        if any([v is i for v in results for i in inputs]):
            return None
        return fused(arrays[0].runtime, steps, inputs, results)

    def run(*args: Any) -> Any:
        arrays: list[Array] = []
        rest = grafted(args, arrays.append)
        key = (rest, *[a.layout for a in arrays])
        made, after = known.get(key, (..., None))
        if made is ...:
            if len(known) > 1024:
                known.clear()
            made = prepare(args, arrays) if all([a.size for a in arrays]) else None
            after = shapes(*args) if shapes is not None else None
            known[key] = made, after
        if made is None:
            return otherwise(*args)
        found = made(arrays)
        if after is not None:
            found = [v.reshaped(s) for v, s in zip(found, after, strict=True)]
        return tuple(found) if len(found) > 1 else found[0]

    return run


def grafted(value: Any, change: Callable[[Array], Any]) -> Any:
    """Return a value with its arrays changed."""
    if isinstance(value, tuple | list):
        return tuple([grafted(v, change) for v in value])
    return change(value) if type(value) is Array else value


def packed_like(runtime: Runtime, shape: Ints, dtype: Any) -> Array:
    """Return what a packed array in a shape looks like; it has no memory."""
    return Array(runtime, None, 0, tuple(shape), dense(tuple(shape), np.dtype(dtype).itemsize), np.dtype(dtype))
