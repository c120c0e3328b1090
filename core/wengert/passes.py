"""Passes: graphs into smaller graphs that compute the same, bit for bit.

Owns: `PASSES` in their order, and what each does: `simplify` (ops that do nothing, by `IDENTITIES`), `fold` (what is the same
in every run), `merge` (equal equations), `prune` (what nobody reads). May import: graph, op records, record. Must not know:
devices. A pass is a function of a graph; it never changes the graph it is given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import backend, record
from wengert.graph import Equation, Graph, Value, _flatten, _rebuild
from wengert.op import OPS

Pass = Callable[[Graph], Graph]
FOLDED_BYTES = 1 << 16  # constants above this are made anew in each run, rather than kept


# ---- walking a graph
def substituted(x: Any, known: dict[Value, Any]) -> Any:
    """Return an input with replaced values in it."""
    if isinstance(x, tuple):
        return tuple(substituted(v, known) for v in x)
    return known.get(x, x) if isinstance(x, Value) else x


def finished(graph: Graph, equations: list[Equation], known: dict[Value, Any], literals: list[Any]) -> Graph:
    """Return a graph with new equations, whose results are followed through replacements."""

    def final(v: Any) -> Any:
        return known.get(v, v)

    return dataclasses.replace(
        graph,
        equations=equations,
        literals=literals,
        writes=[(target, final(v)) for target, v in graph.writes],
        grads=[(leaf, None if v is None else final(v)) for leaf, v in graph.grads],
        outputs=_rebuild(graph.outputs, final),
    )


def results(graph: Graph) -> list[Value]:
    """Return the values that a graph must compute."""
    found = [v for _, v in graph.writes] + [v for _, v in graph.grads if v is not None]
    _rebuild(graph.outputs, found.append)
    return found


# ---- simplify
def _constant(x: Any, number: float, full: dict[Value, float]) -> bool:
    """Say whether an input is this number everywhere."""
    if isinstance(x, np.ndarray):
        return not x.ndim and bool(x == number)
    return isinstance(x, Value) and full.get(x) == number


def _passes_through(e: Equation, i: int) -> Any:
    """Return input i if it has the result's shape and type already."""
    x, out = e.inputs[i], e.outs[0]
    return x if isinstance(x, Value) and x.shape == out.shape and x.dtype == out.dtype else None


def _product(e: Equation, made_by: Any, full: Any) -> Any:
    x, y = e.inputs
    if _constant(y, 1.0, full):
        return _passes_through(e, 0)
    return _passes_through(e, 1) if _constant(x, 1.0, full) else None


def _power(e: Equation, made_by: Any, full: Any) -> Any:
    exponent = e.params[0]
    if exponent == 1:
        return _passes_through(e, 0)
    if exponent == 2:
        return Equation(OPS["multiply"], (e.inputs[0], e.inputs[0]), (), e.outs)
    return Equation(OPS["sqrt"], e.inputs, (), e.outs) if exponent == 0.5 else None


def _moved(name: str) -> Callable[[Equation, Any, Any], Any]:
    """Return the rule of an op that moves elements: nothing to do for the same shape, and twice is once."""

    def rule(e: Equation, made_by: Any, full: Any) -> Any:
        (x,) = e.inputs
        before = made_by.get(x)
        if name == "transpose":
            axes = e.params[0]
            if tuple(axes) == tuple(range(len(axes))):
                return x
            if before is not None and before.op.name == name:
                return Equation(e.op, before.inputs, (tuple(before.params[0][a] for a in axes),), e.outs)
            return None
        if _passes_through(e, 0) is not None:
            return x
        if before is not None and before.op.name == name:
            return Equation(e.op, before.inputs, e.params, e.outs)
        return None

    return rule


# What an op that does nothing gives instead: (equation, equations by their results, values that are one number) -> the
# value it equals, an equation to put in its place, or None. Each holds for every IEEE number, -0.0, inf and nan too.
IDENTITIES: dict[str, Callable[[Equation, Any, Any], Any]] = {
    "copy": lambda e, made_by, full: e.inputs[0],
    "cast": lambda e, made_by, full: _passes_through(e, 0),
    "multiply": _product,
    "divide": lambda e, made_by, full: _passes_through(e, 0) if _constant(e.inputs[1], 1.0, full) else None,
    "subtract": lambda e, made_by, full: _passes_through(e, 0) if _constant(e.inputs[1], 0.0, full) else None,
    "power_number": _power,
    "reshape": _moved("reshape"),
    "broadcast_to": _moved("broadcast_to"),
    "transpose": _moved("transpose"),
}


def simplify(graph: Graph) -> Graph:
    """Drop ops that do nothing: copies of values (which never change), products with 1, moves that move nothing."""
    known: dict[Value, Any] = {}
    made_by: dict[Value, Equation] = {}
    full: dict[Value, float] = {}
    equations = []
    for equation in graph.equations:
        e = dataclasses.replace(equation, inputs=substituted(equation.inputs, known))
        found: Any = e
        while isinstance(found, Equation):
            e = found
            rule = IDENTITIES.get(e.op.name)
            found = rule(e, made_by, full) if rule is not None else None
        if isinstance(found, Value):
            known[e.outs[0]] = found
            continue
        if e.op.name == "filled":
            full[e.outs[0]] = e.params[1]
        elif e.op.name in ("broadcast_to", "reshape") and e.inputs[0] in full:
            full[e.outs[0]] = full[e.inputs[0]]
        equations.append(e)
        for out in e.outs:
            made_by[out] = e
    return finished(graph, equations, known, graph.literals)


# ---- fold
def fold(graph: Graph) -> Graph:
    """Compute once what is the same in every run: ops on numbers alone, and arrays of one number."""
    constant: dict[Value, Any] = dict(graph.literals)
    like = next((a for _, a in [*graph.states, *graph.literals]), None)
    equations = []
    for e in graph.equations:
        inputs = [v for v in _flatten(e.inputs) if isinstance(v, Value)]
        size = sum(int(np.prod(v.shape)) * v.dtype.itemsize for v in e.outs)
        same = e.op.name == "filled" or (e.op.name != "drawn" and all(v in constant for v in inputs))
        if not same or size > FOLDED_BYTES or (e.op.name == "filled" and like is None and inputs[0] not in constant):
            equations.append(e)
            continue
        given = [like if e.op.name == "filled" and v not in constant else v for v in e.inputs]
        arrays = substituted(tuple(given), constant)
        with backend.of_array(next(_flatten(arrays))).quiet():
            made = record.call_raw(e.op, arrays, e.params)
        constant.update(zip(e.outs, made if isinstance(made, tuple) else (made,), strict=True))
    return finished(graph, equations, {}, list(constant.items()))


# ---- merge
def merge(graph: Graph) -> Graph:
    """Compute equal things once."""
    known: dict[Value, Any] = {}
    seen: dict[Any, tuple[Value, ...]] = {}
    equations = []
    for equation in graph.equations:
        e = dataclasses.replace(equation, inputs=substituted(equation.inputs, known))
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


# ---- prune
def prune(graph: Graph) -> Graph:
    """Leave out what no result depends on."""
    wanted = set(results(graph))
    kept = []
    for e in reversed(graph.equations):
        if not wanted.isdisjoint(e.outs):
            kept.append(e)
            wanted.update(v for v in _flatten(e.inputs) if isinstance(v, Value))
    kept.reverse()
    return dataclasses.replace(
        graph,
        equations=kept,
        literals=[(v, a) for v, a in graph.literals if v in wanted],
        states=[(v, a) for v, a in graph.states if v in wanted or any(t is a for t, _ in graph.writes)],
    )


PASSES: tuple[Pass, ...] = (prune, simplify, fold, merge, simplify, prune)


def optimised(graph: Graph) -> Graph:
    """Return what all passes make of a graph."""
    for step in PASSES:
        graph = step(graph)
    return graph
