"""Rules of gradients that other packages bring, looked at as they run.

Owns: `watched`. May import: errors. Must not know: tensors, devices. Nobody looks at a gradient later on: one of a wrong shape
would be broadcast, or be what a leaf gets. Rules of wengert's own packages, which the tests prove, run as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from wengert import errors


def watched(op: Any, i: int, pull: Callable[..., Any]) -> Callable[..., Any]:
    """Return the pull of a rule with a look at what it gives: of the shape of the input where the rule reads that, or of what
    is broadcast to the result. Raises TypeError for no array, RuntimeError for another shape; what the rule itself raises has
    a note that says where."""
    rule, name = op.rules[i], op.inputs[i]
    package = getattr(rule, "__module__", "").partition(".")[0]
    if rule is None or package in ("wengert", *getattr(sys.modules.get("wengert.plugins"), "BUILTIN", {}).values()):
        return pull
    where = f"op {op.name!r}, rule of input {name!r} ({rule.__module__}, line {rule.__code__.co_firstlineno})"
    single = not (op.variadic and i == len(op.inputs) - 1)
    places = [op.places[n] for n in (f"{name}_shape", name) if n in op.reads[i] and single]

    def run(g: Any, s: Any, index: int = 0) -> Any:
        try:
            made = pull(g, s, index)
        except Exception as error:
            error.add_note(f"in {where}")
            raise
        alien = op.outputs == 1 and hasattr(made, "_array") is not hasattr(g, "_array")  # a tensor among arrays
        shape = None if alien else getattr(made, "shape", None)
        known = g if op.broadcasts else s[places[0]] if places else made
        expected = tuple(getattr(known, "shape", known if shape is not None else ()))
        if shape is None or (tuple(shape) != expected and not (op.broadcasts and _fits(shape, expected))):
            raise errors.of_rule(where, shape, expected, made)
        return made

    return run


def _fits(shape: Sequence[int], wide: Sequence[int]) -> bool:
    """Say whether a shape is broadcast to another."""
    return len(shape) <= len(wide) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(wide), strict=False))
