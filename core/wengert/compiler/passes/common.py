"""What passes have in common: walking and rebuilding a graph.

Owns: `substituted`, `finished`, `results`. May import: graph. Must not know: any pass, any op.
A pass is a function of a graph; it never changes the graph it is given.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from wengert.graph import Equation, Graph, Value, _rebuild


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
