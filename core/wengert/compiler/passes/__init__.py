"""Passes: graphs into smaller graphs that compute the same.

Owns: `PASSES` in their order, `optimised`, and the door for passes of plugins. May import: the passes, one a module.
Must not know: what any pass does. A pass is a function of a graph; it never changes the graph it is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import backend, errors
from wengert.compiler.passes.common import results as results
from wengert.compiler.passes.fold import fold
from wengert.compiler.passes.join import join
from wengert.compiler.passes.lower import lower
from wengert.compiler.passes.merge import merge
from wengert.compiler.passes.prune import prune as prune
from wengert.compiler.passes.push import push
from wengert.compiler.passes.recompute import recompute as recompute
from wengert.compiler.passes.relax import relax
from wengert.compiler.passes.signs import signs
from wengert.compiler.passes.simplify import simplify
from wengert.graph import Graph, Value, spread
from wengert.registry import registry

Pass = Callable[[Graph], Graph]
PASSES: tuple[Pass, ...] = (prune, simplify, fold, merge, push, join, simplify, signs, prune)


def on_host(graph: Graph) -> set[Value]:
    """Return the values of a graph that are computed on the host: those made of values that are there alone."""
    found = set(graph.hosts) | {v for v, array in graph.literals if isinstance(array, np.ndarray)}
    for e in graph.equations:
        spread(found, e)
    return found


def owner_of(graph: Graph) -> Any:
    """Return the backend that a graph's arrays belong to: of several, the first that is not the host's."""
    names = sorted(graph.devices, key=lambda name: name == backend.HOST)
    return backend.backend_named(names[0]) if names else backend.default_device().backend


def optimised(graph: Graph, fast_math: bool = False) -> Graph:
    """Return what all passes make of a graph: wengert's, those of plugins in the order of their names, and wengert's again
    where one of those changed something. fast_math: also what holds for real numbers only."""
    relaxed: tuple[Pass, ...] = (relax,) if fast_math else ()
    passes = (*PASSES[:2], *relaxed, *PASSES[2:])
    for step in passes:
        graph = step(graph)
    for step in (*_added(), _lowered):
        changed = step(graph)
        if changed is not graph:
            graph = changed
            for again in passes:
                graph = again(graph)
    return graph


def _lowered(graph: Graph) -> Graph:
    return lower(graph, owner_of(graph))


def _added() -> list[Pass]:
    return [functools.partial(_of_plugin, name) for name in registry.names("graph_passes")]


def _of_plugin(name: str, graph: Graph) -> Graph:
    """Return what a plugin's pass makes of a graph. Raises RuntimeError where that is none."""
    step, who = registry.resolve("graph_passes", name), registry.tables["graph_passes"][name].plugin
    try:
        changed = step(graph)
    except Exception as error:
        raise errors.broken_pass(name, who, f"{type(error).__name__}: {error}") from error
    if not isinstance(changed, Graph):
        raise errors.broken_pass(name, who, f"it returned a {type(changed).__name__}, and no graph")
    return changed
