"""The pass `push`: what only repeats elements moves behind the elementwise ops that follow it, or goes away.

Owns: when an elementwise op may take the source of a broadcast, or run before it. May import: graph, op records. Must not
know: devices. Elementwise ops broadcast by themselves, and on few elements they cost less.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wengert.compiler.passes.common import Numbers, finished, renamed
from wengert.graph import Equation, Graph, Value


def push(graph: Graph) -> Graph:
    """Let elementwise ops read what was broadcast for them, and run on the small side of a broadcast."""
    numbers = Numbers(graph)
    made_by: dict[Value, Equation] = {}
    known: dict[Value, Any] = {}
    equations = []
    for equation in graph.equations:
        e = renamed(equation, known)
        if e.op.elementwise:
            e = _direct(e, made_by)
            before = _early(e, made_by, numbers)
            if before is not None:
                equations.append(before)
                made_by[before.outs[0]] = before
                e = _spread(before.outs[0], e.outs[0], made_by)
        equations.append(e)
        made_by.update(dict.fromkeys(e.outs, e))
    return finished(graph, equations, known, graph.literals)


def _source(x: Any, made_by: dict[Value, Equation]) -> Any:
    """Return what a value was broadcast from, itself where it was not."""
    e = made_by.get(x) if isinstance(x, Value) else None
    return e.inputs[0] if e is not None and e.op.name == "broadcast_to" else x


def _shape(inputs: Any) -> tuple[int, ...]:
    return np.broadcast_shapes(*(x.shape for x in inputs))


def _direct(e: Equation, made_by: dict[Value, Equation]) -> Equation:
    """Let an op read the source of a broadcast where its other inputs have the result's shape."""
    for i in range(len(e.inputs)):
        source = _source(e.inputs[i], made_by)
        if source is e.inputs[i]:
            continue
        inputs = (*e.inputs[:i], source, *e.inputs[i + 1 :])
        if _shape(inputs) == e.outs[0].shape:
            e = dataclasses.replace(e, inputs=inputs)
    return e


def _early(e: Equation, made_by: dict[Value, Equation], numbers: Numbers) -> Equation | None:
    """Return an op on the sources of its inputs, where all of them were broadcast."""
    sources = [_source(x, made_by) for x in e.inputs]
    if all(s is x for s, x in zip(sources, e.inputs, strict=True)) or _shape(sources) == e.outs[0].shape:
        return None
    return dataclasses.replace(e, inputs=tuple(sources), outs=(numbers.value(_shape(sources), e.outs[0].dtype),))


def _spread(small: Value, out: Value, made_by: dict[Value, Equation]) -> Equation:
    from wengert.op import OPS

    return Equation(OPS["broadcast_to"], (small,), (out.shape,), (out,))
