"""Schedule: the order in which equations run, and which run together in blocks of rows.

Owns: `schedule`, `Group` and the sizes from which blocks pay. May import: graph, rows, memory. Must not know: devices, buffers.
A group reads its rows of everything once and keeps what is between its equations in the cache. Equations that need the whole
of what a group makes run after it, those that need nothing of it before; draws of random numbers keep their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wengert.compiler.rows import CUT, SMALL, SUMMED, TURNED, WHOLE, Cut, cut, flat_inputs, lead
from wengert.graph import Equation, Value
from wengert.memory import NEAR

LARGE = 1 << 15  # elements of an array from which on equations run in blocks
ROW = 1 << 16  # elements of a row, at most
BLOCK_BYTES = 1 << 20  # of what a block needs at once: what is used next is still in a core's cache
WIDE_BYTES = 1 << 22 if NEAR else BLOCK_BYTES  # the same, of arrays that still are
SHARES = 8  # blocks: enough for several threads
MANY, LINE = 256, 16  # blocks of so many rows have a multiple of these: each begins with a cache line, if the array does
TERMS = 1 << 20  # elements of a sum's terms, of all blocks together


@dataclass
class Group:
    """Equations that run together on blocks of `step` of the `n` rows."""

    n: int
    step: int
    equations: list[Equation] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)

    @property
    def blocks(self) -> int:
        return -(-self.n // self.step)

    def __str__(self) -> str:
        lines = [f"in blocks of {self.step} of {self.n} rows:"]
        for e, c in zip(self.equations, self.cuts, strict=True):
            summed = "sum of " if SUMMED in c.outs else ""
            lines.append(f"  {summed}{e}")
        return "\n".join(lines)


Step = Any  # an Equation, a Group or a Kernel


def size(v: Value) -> int:
    return math.prod(v.shape)


def _read(equations: Sequence[Equation]) -> set[Value]:
    return set[Value]().union(*[e.reads for e in equations])


class Links:
    """Which equations have rows in common."""

    def __init__(self, equations: Sequence[Equation]) -> None:
        self.users: dict[Value, list[Equation]] = {}  # who makes a value, and who reads it
        for e in equations:
            for v in dict.fromkeys((*e.reads, *e.outs)):
                self.users.setdefault(v, []).append(e)
        self.cuts: dict[tuple[int, int], Cut | None] = {}
        self.beside: dict[tuple[int, int], list[Equation]] = {}

    def cut(self, e: Equation, n: int) -> Cut | None:
        key = (id(e), n)
        if key not in self.cuts:
            self.cuts[key] = cut(e, n)
        return self.cuts[key]

    def linked(self, e: Equation, n: int) -> list[Equation]:
        """Return the equations that make or read rows which this one makes or reads."""
        key = (id(e), n)
        if key not in self.beside:
            c = self.cut(e, n)
            marked = zip((*flat_inputs(e), *e.outs), (*c.inputs, *c.outs), strict=True) if c is not None else ()
            rows = [v for v, mark in marked if isinstance(v, Value) and mark not in (WHOLE, SUMMED)]
            self.beside[key] = [other for v in rows for other in self.users[v]]
        return self.beside[key]

    def related(self, e: Equation, n: int) -> dict[int, Equation]:
        """Return the equations (by `id`) that a chain of common rows links to this one: what one makes or reads, another reads.
        Others would fill the cache with what has nothing to do with it."""
        found, stack = {id(e): e}, [e]
        while stack:
            for other in self.linked(stack.pop(), n):
                if id(other) not in found:
                    found[id(other)] = other
                    stack.append(other)
        return found


def schedule(equations: Sequence[Equation], wanted: set[Value], links: Links | None = None) -> list[Step]:
    """Return the steps of a program: equations, and groups of them.

    wanted: what is read after the last step. links: of all equations, where these are some of them.
    """
    links = links or Links(equations)
    steps: list[Step] = []
    rest = list(equations)
    while rest:
        start = next((i for i, e in enumerate(rest) if _large(e)), None)
        if start is None:
            return [*steps, *rest]
        found = _grown(rest, start, wanted, links)
        if found is None:
            steps += rest[: start + 1]
            rest = rest[start + 1 :]
            continue
        before, group, rest = found
        steps += [*schedule(before, wanted | _read([*group.equations, *rest]), links), group]
    return steps


def _large(e: Equation) -> bool:
    return not e.op.view and max(map(size, (*e.reads, *e.outs)), default=0) >= LARGE


Parts = tuple[list[Equation], Group, list[Equation]]


def _grown(rest: list[Equation], start: int, wanted: set[Value], links: Links) -> Parts | None:
    """Return (what runs before, the largest group around an equation, what runs after), None where there is none."""
    e = rest[start]
    largest = max((*e.reads, *e.outs), key=size)
    best: Parts | None = None
    rows = 1
    for n in largest.shape:
        rows *= n
        if rows < 2 or size(largest) > ROW * rows:
            continue
        related = links.related(e, rows) if links.cut(e, rows) is not None else {}
        if related:
            found = _around(rest, start, rows, related, links)
            if best is None or len(found[1].equations) >= len(best[1].equations):
                best = found
    return _apart(rest, best, wanted) if best is not None and _several(best[1]) else None


def _several(group: Group) -> bool:
    return sum(not e.op.view for e in group.equations) >= 2


def _around(rest: list[Equation], start: int, n: int, related: dict[int, Equation], links: Links) -> Parts:
    """Return (what is there before, the group of n rows that begins at an equation, what waits for it); of a group of one
    equation nothing else is known."""
    before, after = rest[:start], list[Equation]()
    group = Group(n, 1)
    marks: dict[Value, str] = {}  # of what the group makes
    late: set[Value] = set()  # what is there after the group only
    drawn_late = False
    stop = next(i for i in range(len(rest), start, -1) if id(rest[i - 1]) in related)  # behind it none is in the group
    for e in rest[start:stop]:
        waits = not late.isdisjoint(e.reads) or (drawn_late and e.op.name == "drawn")
        inside = not waits and not marks.keys().isdisjoint(e.reads)
        fits = not waits and id(e) in related and (inside or not e.op.view)  # a view of what is there anyway is taken before
        c = _fitting(e, n, marks, links) if fits else None
        if c is not None:
            group.equations.append(e)
            group.cuts.append(c)
            marks.update(zip(e.outs, c.outs, strict=True))
            late.update(v for v, mark in zip(e.outs, c.outs, strict=True) if mark == SUMMED)
        elif waits or inside:
            after.append(e)
            late.update(e.outs)
            drawn_late |= e.op.name == "drawn"
        else:
            before.append(e)
    if _several(group):
        late |= marks.keys()
        for e in rest[stop:]:
            if not late.isdisjoint(e.reads) or (drawn_late and e.op.name == "drawn"):
                after.append(e)
                late.update(e.outs)
                drawn_late |= e.op.name == "drawn"
            else:
                before.append(e)
    return before, group, after


def _apart(rest: list[Equation], parts: Parts, wanted: set[Value]) -> Parts:
    """Complete a group: its blocks have a size, views of its values that are read outside are taken again outside, and what can
    wait for the rest waits."""
    before, group, after = parts
    n, marks = group.n, {v: mark for e, c in zip(group.equations, group.cuts, strict=True)
                         for v, mark in zip(e.outs, c.outs, strict=True)}  # fmt: skip
    made = {e.outs[0]: e for e in group.equations if e.op.view}
    outside = wanted | _read(after)
    again: dict[Value, Equation] = {}
    stack = [v for v in made if v in outside]
    while stack:
        v = stack.pop()
        if v not in again:
            again[v] = made[v]
            stack += [x for x in made[v].reads if x in made]
    views = [e for e in group.equations if e.outs[0] in again]
    row = max(_row_bytes(group, marks), 1)
    step = max(1, min(n, max(BLOCK_BYTES // row, min(WIDE_BYTES // row, n // SHARES))))
    step = -(-n // -(-n // step))  # blocks of one size
    group.step = step if step < MANY else min(n, -(-step // LINE) * LINE)
    postponed = _later(rest, before, group.equations, after)
    waiting = [before[i] for i in sorted(postponed)]
    return [e for i, e in enumerate(before) if i not in postponed], group, [*views, *waiting, *after]


def _row_bytes(group: Group, marks: dict[Value, str]) -> int:
    """Return how many bytes a row takes of what is needed at once, at most."""
    last = readers(group)
    live, most = 0, 1
    seen: set[Value] = set()
    for i, e in enumerate(group.equations):
        used = {v for v in (*e.reads, *e.outs) if lead(v, group.n) is not None or marks.get(v) == TURNED}
        live += 0 if e.op.view else sum(_bytes(v) for v in used - seen)
        seen |= used
        most = max(most, live // group.n)
        live -= 0 if e.op.view else sum(_bytes(v) for v in used if last.get(v, i) <= i)
    return most


def _bytes(v: Value) -> int:
    return size(v) * int(v.dtype.itemsize)


def _fitting(e: Equation, n: int, marks: dict[Value, str], links: Links) -> Cut | None:
    """Return how an equation runs in a group, if what the group makes has the marks that it needs."""
    if e.op.name == "drawn" or any(size(v) > ROW * n for v in e.outs):
        return None
    c = links.cut(e, n)
    if c is None or WHOLE not in c.inputs and CUT not in c.inputs and TURNED not in c.inputs:
        return None
    for v, mark in zip(flat_inputs(e), c.inputs, strict=True):
        if isinstance(v, Value) and v in marks and marks[v] != mark:
            return None
    for v, mark in zip(e.outs, c.outs, strict=True):
        if mark == SUMMED and size(v) > SMALL:
            return None
    return c


def readers(group: Group) -> dict[Value, int]:
    """Return by which equation of a group, counted from 0, each value is read last."""
    return {v: i for i, e in enumerate(group.equations) for v in e.reads}


# ---- devices that generate kernels
REDUCTIONS = {"sum", "mean", "amax", "amin"}


@dataclass
class Kernel:
    """Equations that a device runs as one generated kernel."""

    equations: list[Equation]
    inputs: list[Value]
    outputs: list[Value]
    run: Callable[..., Any]

    def __str__(self) -> str:
        return "\n".join(["as one kernel:", *(f"  {e}" for e in self.equations)])


Fused = Callable[[list[Equation], list[Value], list[Value]], "Callable[..., Any] | None"]


def generated(equations: Sequence[Equation], wanted: set[Value], fused: Fused, hosts: set[Value] | None = None) -> list[Step]:
    """Return the steps of a program on a device that makes one kernel of several equations (`Backend.fused`).

    hosts: values that are on the host, whose equations run alone.
    """
    hosts = hosts or set()
    steps: list[Step] = []
    rest = list(equations)
    while rest:
        before, group, after = _joined(rest, hosts, reductions=True)
        kernel = _kernel(group, before, after, wanted, fused)
        if kernel is None and any(not _pointwise(e) for e in group):
            before, group, after = _joined(rest, hosts, reductions=False)
            kernel = _kernel(group, before, after, wanted, fused)
        if kernel is None:
            steps.append(rest[0])
            rest = rest[1:]
            continue
        steps += [*generated(before, wanted | _read([*group, *after]), fused, hosts), kernel]
        rest = after
    return steps


def _later(rest: list[Equation], before: list[Equation], group: list[Equation], after: list[Equation]) -> set[int]:
    """Return the places in `before` of elementwise equations of given values that are read in `after` alone: what an optimizer
    does to its state runs with the rest of the update, then."""
    made, needed, wanted = set[Value]().union(*[e.outs for e in rest]), _read(group), _read(after)
    found: set[int] = set()
    for i in reversed(range(len(before))):
        e = before[i]
        if _pointwise(e) and made.isdisjoint(e.reads) and needed.isdisjoint(e.outs) and not wanted.isdisjoint(e.outs):
            found.add(i)
        else:
            needed.update(e.reads)
    return found


def _pointwise(e: Equation) -> bool:
    return (e.op.elementwise and e.op.expr is not None) or e.op.name == "cast"


def _reduced(e: Equation, shape: tuple[int, ...]) -> int:
    """Return over how many of the last dims an equation reduces arrays of this shape, 0 where it does anything else."""
    if e.op.name not in REDUCTIONS or e.inputs[0].shape != shape or not shape:
        return 0
    axis, _ = e.params
    axes = range(len(shape)) if axis is None else [a % len(shape) for a in axis]
    return len(axes) if sorted(axes) == list(range(len(shape) - len(axes), len(shape))) else 0


def _joined(
    rest: list[Equation], hosts: set[Value], reductions: bool
) -> tuple[list[Equation], list[Equation], list[Equation]]:  # fmt: skip
    """Return (what runs before, the group that the first equation begins, what runs after)."""
    first = rest[0]
    if not hosts.isdisjoint((*first.reads, *first.outs)):
        return [], [first], rest[1:]
    if not _pointwise(first):
        if not (reductions and first.op.name in REDUCTIONS and first.inputs[0].shape):
            return [], [first], rest[1:]
    shape = first.outs[0].shape if _pointwise(first) else first.inputs[0].shape
    shapes = {shape}  # of results in the group
    before, group, after = list[Equation](), list[Equation](), list[Equation]()
    inside: set[Value] = set()
    late: set[Value] = set()
    drawn, row = False, 0  # row: how many dims a row has, once there is a reduction
    for e in rest:
        read = e.reads
        fits = _reduced(e, shape) if reductions else 0
        fits = fits if row in (0, fits) else 0
        if not late.isdisjoint(read) or (drawn and e.op.name == "drawn"):
            after.append(e)
            late.update(e.outs)
            drawn |= e.op.name == "drawn"
        elif ((_pointwise(e) and e.outs[0].shape in shapes) or fits) and hosts.isdisjoint((*read, *e.outs)):
            group.append(e)
            inside.update(e.outs)
            row = row or fits
            if fits and e.params[1]:
                shapes.add(e.outs[0].shape)
            elif fits:
                late.update(e.outs)
        elif inside.isdisjoint(read):
            before.append(e)
        else:
            after.append(e)
            late.update(e.outs)
            drawn |= e.op.name == "drawn"
    later = _later(rest, before, group, after)
    return [e for i, e in enumerate(before) if i not in later], group, [*(before[i] for i in sorted(later)), *after]


def _kernel(
    group: list[Equation], before: list[Equation], after: list[Equation], wanted: set[Value], fused: Fused
) -> Kernel | None:  # fmt: skip
    if len(group) < 2:
        return None
    made = {v for e in group for v in e.outs}
    inputs = list(dict.fromkeys(v for e in group for v in e.reads if v not in made))
    outside = wanted | _read(after)
    outputs = [v for e in group for v in e.outs if v in outside]
    run = fused(group, inputs, outputs) if inputs and outputs else None
    return None if run is None else Kernel(group, inputs, outputs, run)
