"""The pass `relax`: identities that hold for real numbers and not for every IEEE number. Only under `fast_math=True`.

Owns: `FAST`, the table of them. May import: graph, op records. Must not know: devices.
Results differ by rounding, and where infinities, nan or signed zeros take part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.compiler.passes.common import rewritten
from wengert.graph import Equation, Graph, Value
from wengert.op import OPS

Rule = Callable[[Equation, dict[Value, Equation]], Any]


def _number(x: Any) -> float | None:
    return float(x) if isinstance(x, np.ndarray) and not x.ndim and x.dtype.kind == "f" else None


def _same_type(x: Any, e: Equation) -> Any:
    out = e.outs[0]
    return x if isinstance(x, Value) and (x.shape, x.dtype) == (out.shape, out.dtype) else None


def _before(x: Any, name: str, made_by: dict[Value, Equation]) -> Equation | None:
    e = made_by.get(x) if isinstance(x, Value) else None
    return e if e is not None and e.op.name == name else None


def _inverse(name: str) -> Rule:
    """f(g(x)) is x where f and g undo each other."""

    def rule(e: Equation, made_by: dict[Value, Equation]) -> Any:
        inner = _before(e.inputs[0], name, made_by)
        return None if inner is None else _same_type(inner.inputs[0], e)

    return rule


def _scaled(e: Equation, made_by: dict[Value, Equation]) -> Any:
    """(x * a) * b is x * (a * b) for numbers a and b; x * 0 is 0 only for numbers that are finite, and is left."""
    x, b = e.inputs if _number(e.inputs[1]) is not None else e.inputs[::-1]
    factor, inner = _number(b), _before(x, "multiply", made_by)
    if factor is None or inner is None:
        return None
    y, a = inner.inputs if _number(inner.inputs[1]) is not None else inner.inputs[::-1]
    first = _number(a)
    if first is None or not isinstance(y, Value) or y.dtype != e.outs[0].dtype:
        return None
    return Equation(e.op, (y, np.asarray(first * factor, a.dtype)), (), e.outs)


def _divided(e: Equation, made_by: dict[Value, Equation]) -> Any:
    """x / a is x * (1 / a) for a number a."""
    number = _number(e.inputs[1])
    if not number or not isinstance(e.inputs[0], Value):
        return None
    return Equation(OPS["multiply"], (e.inputs[0], np.asarray(1 / number, e.inputs[1].dtype)), (), e.outs)


def _added(e: Equation, made_by: dict[Value, Equation]) -> Any:
    """x + 0 is x."""
    for x, y in (e.inputs, e.inputs[::-1]):
        if _number(y) == 0:
            return _same_type(x, e)
    return None


def _cancelled(e: Equation, made_by: dict[Value, Equation]) -> Any:
    """(x + y) - y and (x + y) - x."""
    x, y = e.inputs
    inner = _before(x, "add", made_by)
    for kept, gone in () if inner is None else (inner.inputs, inner.inputs[::-1]):
        if gone is y:
            return _same_type(kept, e)
    return None


FAST: dict[str, Rule] = {
    "log": _inverse("exp"), "exp": _inverse("log"), "square": _inverse("sqrt"), "negative": _inverse("negative"),
    "reciprocal": _inverse("reciprocal"), "multiply": _scaled, "divide": _divided, "add": _added, "subtract": _cancelled,
}  # fmt: skip


def relax(graph: Graph) -> Graph:
    """Use identities of real numbers."""
    return rewritten(graph, lambda e, made_by: FAST[e.op.name](e, made_by) if e.op.name in FAST else None)
