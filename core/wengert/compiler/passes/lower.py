"""The pass `lower`: ops written in smaller ones, so that these are shared and run together.

Owns: which ops are lowered for which device, and how: by the function that a plugin registered for "compiled" and the device,
by the one for any device, and for devices that generate kernels by the decomposition that they could also run eagerly. May
import: graph, backend, registry. Must not know: any op's formula; the functions are captured as a user's would be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from wengert import backend
from wengert.compiler.passes.common import finished, renamed
from wengert.compiler.schedule import LARGE
from wengert.decompositions import TABLE
from wengert.graph import Cell, Equation, Graph, Recorder, Symbol, Value
from wengert.modes import state
from wengert.registry import registry

Written = Callable[..., Any]


def lower(graph: Graph, owner: Any) -> Graph:
    """Write ops in smaller ones where the device gains by it."""
    chosen = [_written(e, owner) for e in graph.equations]
    if not any(chosen):
        return graph
    known: dict[Value, Any] = {}
    recorder = Recorder(backend.device(owner.name))
    recorder.count = graph.count()
    recorder.graph.equations = equations = list[Equation]()
    with backend.recording(recorder):
        state.recorder = recorder
        try:
            for equation, function in zip(graph.equations, chosen, strict=True):
                e = renamed(equation, known)
                if function is None:
                    equations.append(e)
                    continue
                made = function(*(_symbols(recorder, x) for x in e.inputs), *e.params)
                outs = made if isinstance(made, tuple) else (made,)
                known.update((v, recorder.read(symbol)) for v, symbol in zip(e.outs, outs, strict=True))
        finally:
            state.recorder = None
    return finished(graph, equations, known, [*graph.literals, *recorder.graph.literals])


def _symbols(recorder: Recorder, x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(_symbols(recorder, v) for v in x)
    return Symbol(recorder, Cell(x)) if isinstance(x, Value) else x


def _written(e: Equation, owner: Any) -> Written | None:
    """Return the function that writes an equation in smaller ops, None where it stays as it is."""
    generates = hasattr(owner, "fused")
    largest = max((math.prod(v.shape) for v in (*e.reads, *e.outs)), default=0)
    if largest < LARGE and not generates:
        return None  # few elements: the calls cost more than the passes over memory
    if any(v.dtype.kind == "f" and v.dtype.itemsize < 4 for v in (*e.reads, *e.outs)):
        return None  # half types are computed in float32 and rounded once
    found = registry.kernel_for(e.op.name, f"compiled {owner.name}") or registry.kernel_for(e.op.name, "compiled")
    if found is None and generates and not e.op.elementwise:
        found = TABLE.get(e.op.name) if e.op.name in GENERATED else None
    return found


# Decompositions in elementwise ops and reductions alone: devices that generate kernels make one kernel of them.
GENERATED = {"softmax", "softmax_back", "log_softmax", "log_softmax_back", "logsumexp", "var", "std", "norm2"}
