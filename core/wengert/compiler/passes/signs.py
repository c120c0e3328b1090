"""The pass `signs`: changes of sign move towards the sums that take them in.

Owns: how a sign passes through a product, a quotient and a sum, and whether that pays. May import: graph, op records. Must not
know: devices. Gradients are full of them: -(x * y) + z is z - x * y, to the last bit, signs of zeros included.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from wengert.compiler.passes.common import Numbers, finished, renamed
from wengert.compiler.passes.prune import prune
from wengert.graph import Equation, Graph, Value
from wengert.op import OPS

SIGNED = ("negative", "multiply", "divide", "add", "subtract")


def signs(graph: Graph) -> Graph:
    """Let sums subtract what was negated to be added: where fewer elements are computed then."""
    if not any(e.op.name == "negative" for e in graph.equations):
        return graph
    numbers = Numbers(graph)
    known: dict[Value, Any] = {}
    opposite: dict[Value, Value] = {}  # of what is a negated value, that value
    equations: list[Equation] = []
    for equation in graph.equations:
        e = renamed(equation, known)
        if e.op.name in SIGNED and _real(e):
            e = _absorbed(e, opposite)
            bare = [opposite.get(x) if isinstance(x, Value) else None for x in e.inputs]
            if e.op.name == "negative":
                if bare[0] is not None:  # twice is not at all
                    known[e.outs[0]] = bare[0]
                    continue
                opposite[e.outs[0]] = e.inputs[0]
            elif bare.count(None) < len(bare) and (e.op.name in ("multiply", "divide") or _doubled(e)):
                out = numbers.value(e.outs[0].shape, e.outs[0].dtype)
                inputs = tuple([x if b is None else b for x, b in zip(e.inputs, bare, strict=True)])
                equations.append(dataclasses.replace(e, inputs=inputs, outs=(out,)))
                opposite[e.outs[0]] = out
                e = Equation(OPS["negative"], (out,), (), e.outs)
        equations.append(e)
    changed = prune(finished(graph, equations, known, graph.literals))
    return changed if _elements(changed) < _elements(prune(graph)) else graph


def _real(e: Equation) -> bool:
    """Say whether an equation is of real numbers alone, of one type."""
    values = [x for x in e.inputs if isinstance(x, Value)]
    return e.outs[0].dtype.kind == "f" and all(v.dtype == e.outs[0].dtype for v in values)


def _doubled(e: Equation) -> bool:
    return e.op.name == "add" and e.inputs[0] is e.inputs[1]


def _absorbed(e: Equation, opposite: dict[Value, Value]) -> Equation:
    """Return the equation without the signs that it can take in: two of a product, that of a summand. (-x - y is not
    -(x + y), which has another zero.)"""
    if len(e.inputs) < 2 or _doubled(e):
        return e
    (x, y), (minus_x, minus_y) = e.inputs, [opposite.get(x) if isinstance(x, Value) else None for x in e.inputs]
    if e.op.name in ("multiply", "divide"):
        both = minus_x is not None and minus_y is not None
        return dataclasses.replace(e, inputs=(minus_x, minus_y)) if both else e
    if minus_y is not None:
        return Equation(OPS["add" if e.op.name == "subtract" else "subtract"], (x, minus_y), (), e.outs)
    if e.op.name == "add" and minus_x is not None:
        return Equation(OPS["subtract"], (y, minus_x), (), e.outs)
    return e


def _elements(graph: Graph) -> int:
    return sum(math.prod(v.shape) for e in graph.equations if not e.op.view for v in e.outs)
