"""Rules of gradients, kernels and devices that other packages bring, looked at as they run.

Owns: `watched`, `watched_kernel`, `watched_device`. May import: errors, NumPy. Must not know: tensors, any device. Nobody
looks at a gradient later on: one of a wrong shape would be broadcast, or be what a leaf gets. What wengert's own packages
bring, which the tests prove, runs as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import errors


def known(rule: Any) -> bool:
    """Say whether a rule is of one of wengert's own packages."""
    package = getattr(rule, "__module__", "").partition(".")[0]
    return package in ("wengert", *getattr(sys.modules.get("wengert.plugins"), "BUILTIN", {}).values())


def looks(op: Any, i: int) -> frozenset[str]:
    """Return what a node keeps beside what a rule reads, to look at what the rule gives."""
    told = op.rules[i] is None or known(op.rules[i])
    return frozenset() if told else frozenset({f"{op.inputs[i]}_shape", f"{op.inputs[i]}_dtype"})


def watched(op: Any, i: int, pull: Callable[..., Any]) -> Callable[..., Any]:
    """Return the pull of a rule with a look at what it gives: of the shape of the input, or of what is broadcast to the
    result; of floats, and complex only where the input or the result is. Raises TypeError for no array and for another kind,
    RuntimeError for another shape; what the rule itself raises has a note that says where."""
    rule, name = op.rules[i], op.inputs[i]
    if rule is None or known(rule):
        return pull
    where = f"op {op.name!r}, rule of input {name!r} ({rule.__module__}, line {rule.__code__.co_firstlineno})"
    several = op.variadic and i == len(op.inputs) - 1
    places = op.places[f"{name}_shape"], op.places[f"{name}_dtype"]

    def run(g: Any, s: Any, index: int = 0) -> Any:
        try:
            made = pull(g, s, index)
        except Exception as error:
            error.add_note(f"in {where}")
            raise
        alien = op.outputs == 1 and hasattr(made, "_array") is not hasattr(g, "_array")  # a tensor among arrays
        shape = None if alien else getattr(made, "shape", None)
        own, dtype = [s[place][index] if several else s[place] for place in places]
        expected = tuple(g.shape if op.broadcasts else own)
        if shape is None or (tuple(shape) != expected and not (op.broadcasts and _fits(shape, expected))):
            raise errors.of_rule(where, shape, expected, made)
        gave, came = getattr(made, "_array", made).dtype, getattr(getattr(g, "_array", g), "dtype", dtype)
        if gave.kind not in "fcV" or (gave.kind == "c" and "c" not in (dtype.kind, came.kind)):
            raise errors.of_rule_type(where, gave, dtype)
        return made

    return run


def _fits(shape: Sequence[int], wide: Sequence[int]) -> bool:
    """Say whether a shape is broadcast to another."""
    return len(shape) <= len(wide) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(wide), strict=False))


def watched_kernel(op: Any, owner: Any, kernel: Callable[..., Any], plugin: str) -> Callable[..., Any]:
    """Return a kernel whose results are looked at: what it gives must be what the op says it gives, and in memory of its own,
    where the op is no view; an argument that it hands back is copied."""

    def run(*args: Any, **options: Any) -> Any:
        made = kernel(*args, **options)
        try:
            told = op.infer(*args) if op.infer is not None else None
        except (AttributeError, TypeError):  # a number among the inputs, of which the op's own words say nothing
            told = None
        results: list[Any] = [made] if op.outputs == 1 else list(made) if isinstance(made, tuple | list) else []
        if len(results) != op.outputs:
            raise errors.wrong_result(op, owner.name, plugin, made, f"{op.outputs} arrays")
        said = [None] * op.outputs if told is None else [told] if op.outputs == 1 else list(told)
        for result, words in zip(results, said, strict=True):
            right, wanted = _belongs(result, owner), f"an {owner.array_type.__name__}"
            if words is not None:
                shape, dtype = tuple(words[0]), np.dtype(words[1])
                right = right and tuple(result.shape) == shape and result.dtype == dtype
                wanted = f"{dtype} of shape {list(shape)}"
            if not right:
                raise errors.wrong_result(op, owner.name, plugin, result, wanted)
        if op.view or options.get("out", ...) is not ...:
            return made
        apart = [owner.copy(result) if any([_meet(result, a) for a in args]) else result for result in results]
        return apart[0] if op.outputs == 1 else tuple(apart)

    return run


def _belongs(array: Any, owner: Any) -> bool:
    return isinstance(array, owner.array_type) or (owner.array_type is np.ndarray and isinstance(array, np.generic))


def _meet(result: Any, given: Any) -> bool:
    """Say whether a write to a result might change an argument."""
    arrays = isinstance(result, np.ndarray) and isinstance(given, np.ndarray)
    return result is given or (arrays and np.may_share_memory(result, given))


def watched_device(device: Any, plugin: str) -> Any:
    """Return a device whose ways from the host and back are looked at: an array keeps its shape and type on them. What they
    raise has a note that says where."""
    if not isinstance(device.array_type, type):
        raise errors.broken_backend(device.name, plugin, f"has {device.array_type!r} as its array_type, which is no class")

    def look(way: str, wanted: Any) -> Callable[..., Any]:
        go = getattr(device, way)

        def run(array: Any, *place: Any) -> Any:
            try:
                made = go(array, *place)
            except Exception as error:
                error.add_note(f"in {way} of device {device.name!r} of plugin {errors.origin(plugin)}")
                raise
            same = isinstance(made, wanted) and tuple(made.shape) == tuple(array.shape) and made.dtype == array.dtype
            if not same:
                raise errors.lost_array(device.name, plugin, way, made, f"{array.dtype} of shape {list(array.shape)}", wanted)
            return made

        return run

    for way, wanted in ("from_host", device.array_type), ("to_host", np.ndarray):
        setattr(device, way, look(way, wanted))
    return device
