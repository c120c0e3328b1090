"""The pass `simplify`: ops that do nothing, by the table `IDENTITIES`.

Owns: identities that hold for every IEEE number, and what becomes of the equations they apply to. May import: graph, op
records. Must not know: devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.compiler.passes.common import rewritten
from wengert.graph import Equation, Graph, Value
from wengert.op import OPS


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
    if _constant(y, -1.0, full) and _passes_through(e, 0) is not None and e.outs[0].dtype.kind == "f":
        return Equation(OPS["negative"], (x,), (), e.outs)  # which a sum may take in: the pass `signs`
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
    full: dict[Value, float] = {}

    def rule(e: Equation, made_by: dict[Value, Equation]) -> Value | Equation | None:
        identity = IDENTITIES.get(e.op.name)
        found = None if identity is None else identity(e, made_by, full)
        if isinstance(found, Value | Equation):
            return found
        if e.op.name == "filled":
            full[e.outs[0]] = e.params[1]
        elif e.op.name in ("broadcast_to", "reshape") and e.inputs[0] in full:
            full[e.outs[0]] = full[e.inputs[0]]
        return None

    return rewritten(graph, rule)
