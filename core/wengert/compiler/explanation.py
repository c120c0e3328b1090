"""What became of a captured function, in words: what runs together, what does not and why, bytes moved.

Owns: `explained`. May import: program, schedule. Must not know: any op.
"""

from __future__ import annotations

from wengert.compiler.program import Program, equations_of
from wengert.compiler.rows import flat_inputs
from wengert.compiler.schedule import LARGE, Group, Kernel, size
from wengert.graph import Equation, Value


def explained(program: Program) -> list[str]:
    """Return lines about a program: its equations, groups, the large equations that run alone, bytes read and written."""
    equations = program.graph.equations
    single = sum(e.outs[0] in program.scalars for e in equations)
    before = sum(_moved([e], set()) for e in equations)
    after = sum(_moved(equations_of(step), _inside(program, step)) for step in program.steps)
    lines = [
        f"{len(equations)} equations, {single} of them on single elements; "
        f"{_bytes(before)} moved one by one, {_bytes(after)} as it runs"
    ]
    for step in program.steps:
        names = ", ".join(e.op.name for e in equations_of(step))
        if isinstance(step, Group):
            lines.append(f"  in blocks of {step.step} of {step.n} rows: {names}")
        elif isinstance(step, Kernel):
            lines.append(f"  as one kernel: {names}")
        elif not step.op.view and max(map(size, (*step.reads, *step.outs)), default=0) >= LARGE:
            lines.append(f"  alone: {step.op.name} {step.outs[0].spec}: {why_alone(program, step)}")
    return lines


def why_alone(program: Program, e: Equation) -> str:
    """Return why a large equation is in no group."""
    if not program.host:
        return "its device runs it by a kernel of its own"
    if e.op.elementwise:
        shapes = {x.shape for x in e.reads} - {e.outs[0].shape}
        return "no neighbour works on the same rows" + (f" ({len(shapes)} of its inputs are broadcast)" if shapes else "")
    if e.op.rows or e.op.name in ("sum", "mean", "matmul", "linear", "rows", "mv"):
        return "it needs more than the rows of its result, or its weights are too large to be read for each block"
    return f"nothing says how {e.op.name} runs on a part of the rows (Op.rows)"


def _inside(program: Program, step: object) -> set[Value]:
    """Return the values that stay in the cache or in registers."""
    if not isinstance(step, Group | Kernel):
        return set()
    made = {v for e in step.equations for v in e.outs}
    end = program.steps.index(step)
    return {v for v in made if program.last[v] <= end}


def _moved(equations: list[Equation], inside: set[Value]) -> int:
    """Return the bytes that equations read from memory and write to it, each value once a group."""
    read = {x for e in equations if not e.op.view for x in flat_inputs(e) if isinstance(x, Value)}
    written = {v for e in equations if not e.op.view for v in e.outs}
    return sum(size(v) * v.dtype.itemsize for v in (read - written) | (written - inside))


def _bytes(n: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 10_000 or unit == "MB":
            return f"{n:.0f} {unit}" if n < 10_000 else f"{n:,.0f} {unit}"
        n //= 1000
    return str(n)
