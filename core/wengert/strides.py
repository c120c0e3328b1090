"""How what a capture computes lies in memory, as Python sees it: which strides it has, and whether a reshape copies.

Owns: `shown`. May import: backend, op, graph. Must not know: programs, which may lay values otherwise; what is a copy
is decided here, and holds there too.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from wengert import backend
from wengert.graph import NOWHERE, Cell, Recorder, Symbol
from wengert.op import Op

KEEPING = {"cast", "normalise"}  # ops that lay out their results as elementwise ones of the first input do
WHOLE = {"ceil", "floor", "rint", "sgn", "sign", "trunc"}  # elementwise ones that copy whole numbers, row by row
OLD = np.__version__.startswith("2.0.")  # where `reshape` cannot be told not to copy; since 2.5 a shape may not be set


def shown(recorder: Recorder, op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
    """Return what a call gives for symbols, written down as an equation, or as a view: a symbol, or a tuple of them."""
    if op.view and (ghost := view_of(op, inputs[0].ghost, params)) is not None:
        return Symbol(recorder, inputs[0].cell, (*inputs[0].path, (op, params)), ghost)
    outs = recorder.emit(op, tuple([recorder.read(x) for x in inputs]), params)
    made = tuple([Symbol(recorder, Cell(v), (), laid(op, inputs, v)) for v in outs])
    return made if op.outputs > 1 else made[0]


def view_of(op: Op, ghost: Any, params: tuple[Any, ...]) -> Any:
    """Return the view of a ghost that a view op takes; None where elements would have to move."""
    if op.name == "reshape" and not ghost.flags.c_contiguous and ghost.size:
        try:
            if OLD:
                ghost = ghost.view()
                ghost.shape = params[0]
                return ghost
            return ghost.reshape(params[0], copy=False)
        except (AttributeError, ValueError):
            return None
    return backend.kernel_of(op, backend.real_owner(np.ndarray))(ghost, *params)  # type: ignore[misc]


def laid(op: Op, inputs: tuple[Any, ...], value: Any) -> Any:
    """Return the ghost of what an elementwise op gives where an input of its shape is not row-major: its dims as NumPy orders
    them. None for any other result, which is row-major."""
    ghosts = [x.ghost for x in (inputs[:1] if op.name in KEEPING else inputs) if hasattr(x, "ghost")]
    if not (op.elementwise or op.name in KEEPING) or all([g.flags.c_contiguous for g in ghosts]):
        return None
    if op.name == "copy" or (op.name in WHOLE and value.dtype.kind not in "fc"):
        return None
    if all([g.shape != value.shape for g in ghosts]):
        return None
    steps = _steps(tuple([_small(g, value.shape) for g in ghosts]), len(value.shape))
    order = sorted(range(len(steps)), key=lambda axis: -steps[axis])
    full, step = [0] * len(order), value.dtype.itemsize
    for axis in reversed(order):
        full[axis] = step
        step *= max(value.shape[axis], 1)
    place = NOWHERE[: value.dtype.itemsize].view(value.dtype)
    return np.lib.stride_tricks.as_strided(place, value.shape, full)


def _small(ghost: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a shape of ones and twos, and strides in the same order: what tells how the result is laid out."""
    steps = [0, *sorted({abs(s) for s in ghost.strides} - {0})]
    small = [2 if n > 1 or full == 1 else 1 for n, full in zip(ghost.shape, shape[len(shape) - ghost.ndim :], strict=True)]
    return tuple(small), tuple([steps.index(abs(s)) * 8 for s in ghost.strides])


@functools.cache
def _steps(arrays: tuple[Any, ...], ndim: int) -> tuple[int, ...]:
    memory = np.empty(1)
    given = [np.lib.stride_tricks.as_strided(memory, shape, strides) for shape, strides in arrays]
    flags: Any = [*[["readonly"]] * len(given), ["writeonly", "allocate"]]
    made = np.nditer([*given, None], op_flags=flags, order="K").operands[-1]
    return (0,) * (ndim - made.ndim) + made.strides
