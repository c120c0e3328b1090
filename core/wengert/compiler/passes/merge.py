"""The pass `merge`: equal equations are computed once.

Owns: when two equations are equal. May import: graph. Must not know: any op beyond that random draws are never equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.compiler.passes.common import finished, renamed
from wengert.graph import Graph, Value, _flatten


def merge(graph: Graph) -> Graph:
    """Compute equal things once."""
    known: dict[Value, Any] = {}
    seen: dict[Any, tuple[Value, ...]] = {}
    equations = []
    for equation in graph.equations:
        e = renamed(equation, known)
        key = (e.op.name, _key(e.inputs), repr(e.params))
        if key in seen and e.op.name != "drawn" and all(not isinstance(p, np.ndarray) for p in _flatten(e.params)):
            known.update(zip(e.outs, seen[key], strict=True))
            continue
        seen[key] = e.outs
        equations.append(e)
    return finished(graph, equations, known, graph.literals)


def _key(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(_key(v) for v in x)
    if isinstance(x, Value):
        return x.number
    return ("constant", x.dtype.str, x.tobytes()) if isinstance(x, np.ndarray) else repr(x)
