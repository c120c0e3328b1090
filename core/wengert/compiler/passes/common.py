"""What passes have in common: walking and rebuilding a graph.

Owns: `substituted`, `renamed`, `finished`, `rewritten`, `results`. May import: graph. Must not know: any pass, any op.
A pass is a function of a graph; it never changes the graph it is given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from wengert.graph import Equation, Graph, Value, _rebuild


def substituted(x: Any, known: dict[Value, Any]) -> Any:
    """Return an input with replaced values in it."""
    if isinstance(x, tuple):
        return tuple([substituted(v, known) for v in x])
    return known.get(x, x) if isinstance(x, Value) else x


def renamed(e: Equation, known: dict[Value, Any]) -> Equation:
    """Return an equation with replaced values among its inputs, itself where none was."""
    if known.keys().isdisjoint(e.reads):
        return e
    return Equation(e.op, substituted(e.inputs, known), e.params, e.outs)


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


def rewritten(graph: Graph, rule: Callable[[Equation, dict[Value, Equation]], Value | Equation | None]) -> Graph:
    """Return a graph whose equations a rule has replaced, each by a value or by another equation, until it gives None.

    The rule also gets the equations so far by the values they make.
    """
    known: dict[Value, Any] = {}
    made_by: dict[Value, Equation] = {}
    equations = []
    for equation in graph.equations:
        e = renamed(equation, known)
        found: Value | Equation | None = e
        while isinstance(found, Equation):
            e = found
            found = rule(e, made_by)
        if found is not None:
            known[e.outs[0]] = found
            continue
        equations.append(e)
        made_by.update(dict.fromkeys(e.outs, e))
    return finished(graph, equations, known, graph.literals)


class Numbers:
    """Makes new values for a graph, numbered on from its own."""

    def __init__(self, graph: Graph) -> None:
        self.next = graph.count()

    def value(self, shape: tuple[int, ...], dtype: Any) -> Value:
        self.next += 1
        return Value(self.next - 1, shape, dtype)


def results(graph: Graph) -> list[Value]:
    """Return the values that a graph must compute."""
    found = [v for _, v in graph.writes] + [v for _, v in graph.grads if v is not None]
    _rebuild(graph.outputs, found.append)
    return found
