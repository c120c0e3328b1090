"""Groups of equations of a compiled function as one kernel.

Owns: `fused`, which turns equations into steps and folds of a generated kernel, and the plans of its calls. May import: the
kernels beside this module, the shared generator. Must not know: graphs beyond what `wengert.backend.Fusing` says of them.
A group without reductions is an elementwise kernel over arrays of any strides. One with reductions is a kernel on rows: what
its elements need is read once into registers where a row fits there, and nothing in between is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.op import ANY
from wengert_codegen import Ctype, numeral
from wengert_codegen import joins as j
from wengert_codegen.cuda import PACK, Fold, RowInput, Step
from wengert_cupy.kernels import POWERS, Kernels, Plan, formula_of, known, summed, wider

JOINS = {"sum": j.SUM, "mean": j.SUM, "amax": j.MAX, "amin": j.MIN}
Run = Callable[..., Any]


class Refused(Exception):
    """A group has no kernel: its equations run one by one."""


def fused(kernels: Kernels, equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Run | None:
    """Return run(arrays, out) for a group, or None."""
    try:
        return Group(kernels, equations, inputs, outputs).run
    except (
        Refused,
        NotImplementedError,
        TypeError,
        RuntimeError,
    ):  # the latter: what an op refuses, which it says itself when it runs
        return None


class Group:
    """One group, as a kernel that is chosen when the layout of its arrays is known."""

    def __init__(self, kernels: Kernels, equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.kernels, self.inputs, self.outputs = kernels, list(inputs), list(outputs)
        self.names = {v: f"v{i}" for i, v in enumerate([*inputs, *(e.outs[0] for e in equations)])}
        shapes = [tuple(e.outs[0].shape if e.op.elementwise or e.op.name == "cast" else e.inputs[0].shape) for e in equations]
        self.shape: tuple[int, ...] = np.broadcast_shapes(*shapes)
        self.first = self._first(equations)  # the dims from here on are reduced
        if not math.prod(self.shape):
            raise Refused("no elements")
        self.nodes = [self._node(e) for e in equations]
        self.outs = [(self.names[v], known(v.dtype)) for v in outputs]
        if len({n for n, _ in self.outs}) < len(self.outs) or any(v in self.inputs for v in outputs):
            raise Refused("a value that leaves twice")
        self.rows = self.first < len(self.shape) or any(isinstance(n, Fold) for n in self.nodes)
        self.plans: dict[Any, Any] = {}

    def _first(self, equations: Sequence[Any]) -> int:
        ndim = len(self.shape)
        found = set()
        for e in equations:
            if e.op.elementwise or e.op.name == "cast":
                continue
            if e.op.name not in JOINS or tuple(e.inputs[0].shape) != self.shape:
                raise Refused(e.op.name)
            axes = e.params[0]
            found.add(tuple(range(ndim)) if axes is None else tuple(sorted(a % ndim for a in axes)))
        if len(found) > 1:
            raise Refused("reductions over different dims")
        axes = found.pop() if found else ()
        if axes and axes != tuple(range(ndim - len(axes), ndim)):
            raise Refused("a reduction that is not over the last dims")
        return ndim - len(axes)

    # ---- equations as nodes
    def _node(self, e: Any) -> Step | Fold:
        out, name = e.outs[0], self.names[e.outs[0]]
        if e.op.name in JOINS and not e.op.elementwise:
            x = e.inputs[0]
            extreme = e.op.name.startswith("am")
            if x.dtype.kind not in "fV" or x.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
                raise Refused("a reduction of other types than floats")
            compute = wider(x.dtype) if extreme else summed(x.dtype)
            return Fold(
                name,
                JOINS[e.op.name],
                (self.names[x], known(x.dtype)),
                compute,
                "a / n" if e.op.name == "mean" else "a",
                known(out.dtype),
            )
        if e.op.name == "cast":
            x = e.inputs[0]
            return Step(name, "x", known(out.dtype), (("x", self.names[x], known(x.dtype), False),), (), known(out.dtype))
        free = [e.op.domain == ANY or n in e.op.free for n in e.op.inputs]
        types = [x.dtype for x, apart in zip(e.inputs, free, strict=True) if not apart] or [e.inputs[0].dtype]
        compute = types[0] if all(t == types[0] for t in types) else np.result_type(*types)
        formula = formula_of(e.op, compute)
        if formula is None or (compute.kind != "c" and any(x.dtype.kind == "c" for x in e.inputs)):
            raise Refused(e.op.name)
        if e.op.name == "power_number" and compute.kind == "f":
            formula = POWERS.get(e.params[0], formula)
        values = tuple(
            [
                (letter, *self._value(x, compute, apart), apart)
                for letter, x, apart in zip(e.op.inputs, e.inputs, free, strict=True)
            ]
        )
        numbers = tuple([(p, self._number(v, compute)) for p, v in zip(e.op.params, e.params, strict=True)])
        return Step(name, formula, known(compute), values, numbers, known(out.dtype))

    def _value(self, x: Any, compute: Any, apart: bool) -> tuple[str, Ctype]:
        if x in self.names if not isinstance(x, np.ndarray | np.generic) else False:
            return self.names[x], known(x.dtype)
        kind = known(x.dtype if apart else compute)
        return numeral(np.asarray(x).item(), kind), kind

    def _number(self, value: Any, compute: Any) -> str:
        if not isinstance(value, bool | int | float | np.number | np.bool_):
            raise Refused(f"the parameter {value!r}")
        if compute.kind in "biu":
            if value != value or value != int(value):
                raise Refused(f"the number {value!r} next to integers")
            return numeral(int(value), known(np.dtype(np.int64)))
        return numeral(float(value), known(np.dtype(np.float64)))

    # ---- calls
    def run(self, arrays: Sequence[Any], out: Sequence[Any]) -> list[Any]:
        """Compute the group; see `wengert.backend.Fusing`."""
        array = self.kernels.array
        key = tuple(
            [(a.strides, a.data.ptr % PACK) if type(a) is array else None for a in arrays]
            + [None if o is None else (o.strides, o.data.ptr % PACK) for o in out]
        )
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = (self.plan_rows if self.rows else self.plan_map)(arrays, out)
        return plan(arrays, out)  # type: ignore[no-any-return]

    def new(self, out: Sequence[Any]) -> list[Any]:
        empty = self.kernels.cupy.empty
        return [empty(v.shape, v.dtype) if o is None else o for v, o in zip(self.outputs, out, strict=True)]

    def plan_map(self, arrays: Sequence[Any], out: Sequence[Any]) -> Run:
        plan = Plan(self.shape, None, (), None)
        given = [(self.names[v], a, known(v.dtype)) for v, a in zip(self.inputs, arrays, strict=True)]
        steps: Any = self.nodes
        results = [(self.names[v], v.dtype) for v in self.outputs]
        if any(tuple(v.shape) != self.shape for v in self.outputs):
            raise RuntimeError("a result of a group has another shape than its elements")
        self.kernels.lay_out(plan, "k_group", given, steps, results, (), list(out))
        kernel, grid, threads, tail = plan.kernel, plan.grid, plan.threads, plan.tail

        def run(arrays: Sequence[Any], out: Sequence[Any]) -> list[Any]:
            made = self.new(out)
            kernel(grid, threads, (*made, *arrays, *tail))
            return made

        return run

    def plan_rows(self, arrays: Sequence[Any], out: Sequence[Any]) -> Run:
        cupy, first, shape = self.kernels.cupy, self.first, self.shape
        lead, row = shape[:first], shape[first:]
        reads, shaped = [], []
        for v, a in zip(self.inputs, arrays, strict=True):
            own = (1,) * (len(shape) - len(v.shape)) + tuple(v.shape)
            if math.prod(own) == 1:
                where, target = "all", (1,) * len(shape)
            elif math.prod(own[first:]) == 1:
                where, target = "row", (*lead, *(1,) * len(row))
            elif math.prod(own[:first]) == 1:
                where, target = "column", (*(1,) * first, *row)
            else:
                where, target = "element", shape
            reads.append(RowInput(self.names[v], known(v.dtype), where=where))
            ready = own == target and a.flags.c_contiguous
            shaped.append(None if ready else (own, target))

        def laid(arrays: Sequence[Any]) -> list[Any]:
            """Return the arrays in row-major order, repeated where they are short."""
            return [
                a if s is None else cupy.ascontiguousarray(cupy.broadcast_to(a.reshape(s[0]), s[1]))
                for a, s in zip(arrays, shaped, strict=True)
            ]

        B, R = math.prod(lead), math.prod(row)
        loose = [o is not None and not o.flags.c_contiguous for o in out]
        made = self.new([None if away else o for o, away in zip(out, loose, strict=True)])
        kernel, grid, threads = self.kernels.plan_rows("k_rows", reads, laid(arrays), self.nodes, self.outs, made, (B, 1, R))
        tail = tuple([np.int64(n) for n in (B, 1, R)])

        def run(arrays: Sequence[Any], out: Sequence[Any]) -> list[Any]:
            made = self.new([None if away else o for o, away in zip(out, loose, strict=True)])
            kernel(grid, threads, (*made, *laid(arrays), *tail))
            for i, away in enumerate(loose):
                if away:
                    out[i][...] = made[i]
                    made[i] = out[i]
            return made

        return run
