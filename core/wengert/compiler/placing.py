"""Placing: results of products where their readers want them, so that nothing is copied.

Owns: `Layout`, `placed`: in which order of dims a result lies in memory, and which results are parts of a larger one. May
import: graph, schedule, rows. Must not know: buffers, devices, or which kernels write to memory that they are given. A product
costs BLAS the same whichever way its result is turned; a copy of it costs a pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wengert.compiler.rows import lead
from wengert.compiler.schedule import Group, Step
from wengert.graph import Equation, Value

JOINS = ("stack", "concatenate")


@dataclass
class Layout:
    """Where a value lies: in memory of its own or at an index of a larger one's, with its dims in an order.

    axes: the dims of the value as they follow each other in memory. inside: the value that it is a part of, at `index`.
    """

    axes: tuple[int, ...]
    inside: Value | None = None
    index: tuple[Any, ...] = ()

    def view(self, memory: Any, shape: tuple[int, ...]) -> Any:
        """Return a value of this shape in contiguous memory: its own, or in its shape that of the larger one."""
        turned = memory.reshape([shape[a] for a in self.axes]) if self.inside is None else memory[self.index]
        return turned.transpose([self.axes.index(a) for a in range(len(shape))])


def placed(steps: Sequence[Step], writes: Callable[[Equation], bool], fixed: set[Value]) -> dict[Value, Layout]:
    """Return the layouts of results that are not simply laid out as they are numbered.

    writes: whether an equation's kernel computes in memory that it is given. fixed: values whose memory is decided already.
    """
    made_by: dict[Value, tuple[Equation, Step]] = {}
    readers: dict[Value, set[int]] = {}  # equations, by `id`: a view that a group takes may be taken again outside
    for step in steps:
        for e in getattr(step, "equations", [step]):
            made_by.update(dict.fromkeys(e.outs, (e, step)))
            for v in e.reads:
                readers.setdefault(v, set()).add(id(e))

    def turned(v: Value) -> tuple[Value, tuple[int, ...]] | None:
        """Return (the result of a product that a value is, the order of its dims in the value), None where it is none."""
        e, _ = made_by.get(v, (None, None))
        axes = tuple(range(len(v.shape)))
        if e is not None and e.op.name == "transpose":
            v, axes = e.inputs[0], tuple(e.params[0])
            e, _ = made_by.get(v, (None, None))
        if e is None or v in fixed or not writes(e):
            return None
        step = made_by[v][1]
        return (v, axes) if not isinstance(step, Group) or (lead(v, step.n) == 1 and axes[0] == 0) else None

    found: dict[Value, Layout] = {}
    for step in steps:
        if isinstance(step, Equation) and step.op.name in JOINS and step.outs[0] not in fixed:
            found.update(_parts(step, turned, found))
    for e, _ in list(made_by.values()):
        if e.op.name == "reshape" and isinstance(e.inputs[0], Value):
            product = turned(e.inputs[0])
            if product is not None and product[0] not in found and len(readers[product[0]]) == 1:
                found[product[0]] = Layout(product[1])
    return {v: layout for v, layout in found.items() if layout.inside is not None or list(layout.axes) != sorted(layout.axes)}


def _parts(e: Equation, turned: Callable[[Value], Any], known: dict[Value, Layout]) -> dict[Value, Layout]:
    """Return the layouts of values that are joined, if all of them are products'."""
    (parts,), (axis,), out = e.inputs, e.params, e.outs[0]
    axis %= len(out.shape)
    found: dict[Value, Layout] = {}
    start = 0
    for i, v in enumerate(parts):
        product = turned(v) if isinstance(v, Value) and v.dtype == out.dtype else None
        if product is None or product[0] in found or product[0] in known or axis == 0:
            return {}
        here: Any = i
        if e.op.name == "concatenate":
            here = slice(start, start + v.shape[axis])
            start += v.shape[axis]
        found[product[0]] = Layout(product[1], out, (*(slice(None),) * axis, here))
    return found
