"""The pass `prune`: what no result depends on is left out, but for random numbers: those that are drawn later are others then.

Owns: liveness of equations. May import: graph. Must not know: any op.
"""

from __future__ import annotations

import dataclasses

from wengert.compiler.passes.common import results
from wengert.graph import Graph


def prune(graph: Graph) -> Graph:
    """Leave out what no result depends on, and that draws nothing."""
    wanted = set(results(graph))
    kept = []
    for e in reversed(graph.equations):
        if e.op.name == "drawn" or not wanted.isdisjoint(e.outs):
            kept.append(e)
            wanted.update(e.reads)
    kept.reverse()
    return dataclasses.replace(
        graph,
        equations=kept,
        literals=[(v, a) for v, a in graph.literals if v in wanted],
        states=[(v, a) for v, a in graph.states if v in wanted or any(t is a for t, _ in graph.writes)],
    )
