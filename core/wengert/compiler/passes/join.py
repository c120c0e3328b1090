"""The pass `join`: gradients of the parts of a value are laid side by side, in place of zeros with each, added up.

Owns: which sums of `placed` values are a concatenation or a stack. May import: graph, op records. Must not know: devices. What
reads a value in slices, as attention does its queries, keys and values, has such a sum in its backward. 0 is added to what is
laid side by side, as it was before: of -0.0 it makes 0.0.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wengert.compiler.passes.common import Numbers, finished, results
from wengert.compiler.passes.prune import prune
from wengert.graph import Equation, Graph, Value
from wengert.op import OPS

Part = tuple[int, int, int, bool]  # of a placed value: its axis, where it begins and ends there, whether it has that dim


def join(graph: Graph) -> Graph:
    """Let values be concatenated or stacked that were placed in zeros one by one and added."""
    if sum(e.op.name == "placed" for e in graph.equations) < 2:
        return graph
    uses: dict[Value, int] = {}
    for v in [*results(graph), *(v for e in graph.equations for v in e.reads)]:
        uses[v] = uses.get(v, 0) + 1
    numbers = Numbers(graph)
    made_by: dict[Value, Equation] = {}
    equations: list[Equation] = []
    for e in graph.equations:
        joined = _joined(_terms(e, made_by, uses), e, numbers) if e.op.name == "add" else None
        equations += joined or [e]
        made_by.update(dict.fromkeys(e.outs, e))
    return prune(finished(graph, equations, {}, graph.literals))


def _terms(e: Equation, made_by: dict[Value, Equation], uses: dict[Value, int]) -> list[Equation] | None:
    """Return the `placed` equations that a sum adds up, None where it adds anything else, or what is read elsewhere too."""
    found: list[Equation] = []
    for x in e.inputs:
        source = made_by.get(x) if isinstance(x, Value) and uses[x] == 1 else None
        inner = None
        if source is not None and source.op.name in ("add", "placed"):
            inner = [source] if source.op.name == "placed" else _terms(source, made_by, uses)
        if inner is None or x.shape != e.outs[0].shape or x.dtype != e.outs[0].dtype:
            return None
        found += inner
    return found


def _joined(terms: list[Equation] | None, e: Equation, numbers: Numbers) -> list[Equation] | None:
    """Return equations that lay the terms of a sum side by side, if they cover its result, each element once."""
    out = e.outs[0]
    if terms is None or out.dtype.kind not in "fc":
        return None
    found = [(part, term.inputs[0]) for term in terms for part in (_part(term),) if part is not None]
    parts = sorted(found, key=lambda pair: pair[0][:2])
    axis, _, _, kept = parts[0][0] if parts else (0, 0, 0, False)
    ends = [0, *(stop for (_, _, stop, _), _ in parts)]
    starts = [start if (d, k) == (axis, kept) else None for (d, start, _, k), _ in parts]
    if len(parts) < len(terms) or starts != ends[:-1] or ends[-1] != out.shape[axis]:
        return None
    made = numbers.value(out.shape, out.dtype)
    laid = Equation(OPS["concatenate" if kept else "stack"], (tuple(y for _, y in parts),), (axis,), (made,))
    return [laid, dataclasses.replace(e, inputs=(made, np.zeros((), out.dtype)))]


def _part(e: Equation) -> Part | None:
    """Return where a `placed` value is, if its path is a number or a run of one dim and all of the others."""
    shape, path = e.params
    if len(path) != 1 or path[0][0].name != "getitem":
        return None
    index: Any = path[0][1][0]
    limits = [(d, i) for d, i in enumerate(index) if i != slice(None)]
    if len(limits) != 1:
        return None
    d, i = limits[0]
    if isinstance(i, int):
        return d, i % shape[d], i % shape[d] + 1, False
    if not isinstance(i, slice):
        return None
    start, stop, step = i.indices(shape[d])
    return (d, start, stop, True) if step == 1 and stop > start else None
