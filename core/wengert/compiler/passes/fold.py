"""The pass `fold`: what is the same in every run is computed once.

Owns: which equations that are, and how large their results may be. May import: graph, backend. Must not know: any
op's formula, any device.
"""

from __future__ import annotations

import math
from typing import Any

from wengert import backend
from wengert.compiler.passes.common import finished, substituted
from wengert.graph import Graph, Value, _flatten

FOLDED_BYTES = 1 << 16  # constants above this are made anew in each run, rather than kept


def fold(graph: Graph) -> Graph:
    """Compute once what is the same in every run: ops on numbers alone, and arrays of one number."""
    constant: dict[Value, Any] = dict(graph.literals)
    like = next((a for _, a in [*graph.states, *graph.literals]), None)
    equations = []
    for e in graph.equations:
        inputs = e.reads
        same = e.op.name == "filled" or (e.op.name != "drawn" and all(v in constant for v in inputs))
        size = sum(math.prod(v.shape) * v.dtype.itemsize for v in e.outs)
        if not same or size > FOLDED_BYTES or (e.op.name == "filled" and like is None and inputs[0] not in constant):
            equations.append(e)
            continue
        given, params = e.inputs, e.params
        if e.op.name == "filled" and inputs[0] not in constant:  # of any array of the device, in its own type
            given, params = (like,), (*params[:2], e.outs[0].dtype)
        arrays = substituted(given, constant)
        with backend.of_array(next(_flatten(arrays))).quiet():
            made = e.op(*arrays, *params)  # by its own call: what looks at memory (as_strided) lays it as it was
        constant.update(zip(e.outs, made if isinstance(made, tuple) else (made,), strict=True))
    return finished(graph, equations, {}, list(constant.items()))
