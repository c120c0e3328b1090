"""What a node shows of the values it keeps, under PyTorch's names: `grad_fn._saved_self`, `grad_fn._raw_saved_result`.

Owns: these properties of `Node`, a pair for each name that an op has for an input or a parameter. May import: op, tape, errors;
autograd.saving late. Must not know: any op, how values are packed.
"""

from __future__ import annotations

import functools
from typing import Any

from wengert import errors
from wengert.op import Op
from wengert.tape import AccumulateGrad, Node


def show_kept(op: Op) -> None:
    """Let nodes show what their op keeps in PyTorch's words: `_saved_self`, `_saved_other`, `_saved_result`, and `_saved_` with
    the name of an input or a parameter. (A `__getattr__` would do without this, and make each attribute of a node slower.)"""
    for name in ("self", "other", "result", *op.inputs, *op.params):
        if not hasattr(Node, f"_saved_{name}"):
            setattr(Node, f"_saved_{name}", property(functools.partial(_saved, name)))
            setattr(Node, f"_raw_saved_{name}", property(functools.partial(_raw_saved, name)))


def _place(name: str, node: Node) -> int:
    """Return where a node keeps what PyTorch calls by a name."""
    op, saved = node.plan.op, node.saved
    if saved is None:
        raise errors.freed(node.name())
    known = dict(zip(("self", "other"), op.inputs, strict=False)) | {"result": "out"}
    place = op.places.get(known.get(name, name))
    if place is None or place >= len(saved) or saved[place] is None:
        raise AttributeError(f"{node.name()} keeps no value '_saved_{name}'")
    return place


def _names(node: Node) -> list[str]:
    """Return the attributes of a node; of what it keeps, only what it does keep."""
    op, plan, saved = node.plan.op, node.plan, node.saved
    kept = {op.inputs[i] for i in plan.inputs} | ({"out"} if plan.out else set()) | {*op.params}
    kept = {n for n in kept if saved is None or saved[op.places[n]] is not None}
    words = dict(zip(op.inputs, ("self", "other"), strict=False)) | {"out": "result"}
    own = [f"{prefix}{words.get(n, n)}" for n in kept for prefix in ("_saved_", "_raw_saved_")]
    return sorted({n for n in object.__dir__(node) if not n.startswith(("_saved_", "_raw_saved_"))} | {*own})


setattr(Node, "__dir__", _names)


def _saved(name: str, node: Node) -> Any:
    place = _place(name, node)
    value = node.tensors(node.check_saved())[place]
    edge = getattr(value, "_edge", None)
    leaf = edge.variable if type(edge) is AccumulateGrad else None
    return leaf if leaf is not None and leaf._array is value._array else value


def _raw_saved(name: str, node: Node) -> Any:
    from wengert.autograd.saving import SavedTensor

    return SavedTensor(node, _place(name, node))
