"""Recomputation: what a backward program computes again instead of having it kept by the forward one.

Owns: `recompute`, and which equations are cheap. May import: graph. Must not know: devices.
An equation without a function call in its C text costs less than writing its result to memory and reading it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wengert.graph import Equation, Value

CHEAP_CALLS = {"fabs", "fmin", "fmax"}


def cheap(e: Equation) -> bool:
    """Say whether an equation is elementwise arithmetic."""
    if not e.op.elementwise or e.op.expr is None:
        return False
    return set(re.findall(r"([A-Za-z_]\w*)\s*\(", e.op.expr)) <= CHEAP_CALLS


def recompute(kept: Iterable[Value], made_by: dict[Value, Equation], free: set[Value]) -> tuple[list[Value], list[Equation]]:
    """Return what has still to be kept, and the equations that make the rest of it again, in order.

    kept: what backward reads of forward. free: what costs nothing to read again (storages that are watched).
    """
    staying = dict.fromkeys(kept)
    again: list[Equation] = []
    for v in reversed([*staying]):  # the later first: what it is made of may be kept anyway
        e = made_by.get(v)
        if e is None or not cheap(e) or len(staying) < 2:
            continue
        read = set(e.reads)
        if read <= (staying.keys() - {v}) | free and all(x.shape == v.shape or x in free or not x.shape for x in read):
            del staying[v]
            again.append(e)
    again.reverse()
    return [*staying], again
