"""Rows: which equations can be worked on in blocks of rows, and how.

Owns: `cut`, the table `ROWS` for the core's ops, the text that other ops declare it with (`Op.rows`). May import: graph, op
records. Must not know: devices, or what a block is run by.
A value has `n` rows if the product of its first dims is n; those dims are its lead. An equation runs in blocks if its result
at some rows needs the same rows of its inputs, or is a sum over rows. In a block the lead is one dim of fewer rows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wengert.graph import Equation, Value

# How a block uses a value. CUT: its rows; WHOLE: all of it; TURNED: its rows are its last dim; SUMMED: one term of a sum.
CUT, WHOLE, TURNED, SUMMED = "c", "w", "t", "s"
SMALL = 1 << 13  # elements of a matrix that is multiplied with few rows at a time without loss


class _Rows:
    """Stands in params for the number of rows of a block."""

    def __repr__(self) -> str:
        return "rows"


HERE = _Rows()


@dataclass
class Cut:
    """How an equation runs on a block: a mark for each input (flattened) and result, the params, what sums are divided by."""

    inputs: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[Any, ...]
    count: int = 1


Rule = Callable[[Equation, int], "Cut | None"]


def lead(v: Value, n: int) -> int | None:
    """Return how many first dims of a value make its n rows, None where none do."""
    rows = 1
    for k, size in enumerate(v.shape, 1):
        rows *= size
        if rows == n:
            return k
        if rows > n:
            return None
    return None


def flat_inputs(e: Equation) -> list[Any]:
    return [y for x in e.inputs for y in (x if isinstance(x, tuple) else (x,))]


def cut(e: Equation, n: int) -> Cut | None:
    """Return how an equation runs on blocks of n rows, None where it does not."""
    if e.op.elementwise:
        return _elementwise(e, n)
    rule = ROWS.get(e.op.name)
    if rule is not None:
        return rule(e, n)
    return _declared(e, n) if e.op.rows else None


def beside(x: Any, out: Value, k: int) -> str | None:
    """Return the mark of an input that broadcasts to a result with a lead of k dims."""
    if not isinstance(x, Value):
        return WHOLE
    missing = len(out.shape) - len(x.shape)
    if not missing and x.shape[:k] == out.shape[:k]:
        return CUT
    return WHOLE if all(size == 1 for size in x.shape[: max(k - missing, 0)]) else None


def _elementwise(e: Equation, n: int) -> Cut | None:
    out = e.outs[0]
    k = lead(out, n)
    marks = [] if k is None else [beside(x, out, k) for x in e.inputs]
    if k is None or None in marks or CUT not in marks:
        return None
    return Cut(tuple(marks), (CUT,), e.params)  # type: ignore[arg-type]


# ---- params
def shifted(axes: Any, ndim: int, k: int) -> Any:
    """Return axes of an array for one whose first k dims are one; None where they touch the lead in part."""
    given = tuple(range(ndim)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    given = tuple(a % max(ndim, 1) for a in given)
    inside = [a for a in given if a < k]
    if inside and len(set(inside)) < k:
        return None
    made = (*((0,) if inside else ()), *(a - k + 1 for a in given if a >= k))
    return made if axes is None or isinstance(axes, tuple) else made[0]


def _reduction(e: Equation, n: int, sums: bool = False) -> Cut | None:
    (x,), (axis, keepdims) = e.inputs, e.params
    k = lead(x, n)
    axes = None if k is None else shifted(axis, len(x.shape), k)
    if axes is None:
        return None
    over = axes if isinstance(axes, tuple) else (axes,)
    if 0 not in over:
        return Cut((CUT,), (CUT,) * len(e.outs), (axes, keepdims)) if len(over) else None
    if not sums or e.outs[0].dtype.char not in "fd" or x.dtype != e.outs[0].dtype:
        return None
    kept = math.prod(e.outs[0].shape)
    return Cut((CUT,), (SUMMED,), (axes, keepdims), math.prod(x.shape) // max(kept, 1) if e.op.name == "mean" else 1)


def _along(e: Equation, n: int) -> Cut | None:
    """Ops along axes that keep the shape: softmax, cumsum and their gradients."""
    x = e.outs[0]
    k = lead(x, n)
    axes = None if k is None else shifted(e.params[0], len(x.shape), k)
    if axes is None or 0 in (axes if isinstance(axes, tuple) else (axes,)) or any(v.shape != x.shape for v in e.inputs):
        return None
    return Cut((CUT,) * len(e.inputs), (CUT,), (axes, *e.params[1:]))


# ---- moving
def _reshape(e: Equation, n: int) -> Cut | None:
    (x,), out = e.inputs, e.outs[0]
    k, rows = lead(x, n), lead(out, n)
    return None if k is None or rows is None else Cut((CUT,), (CUT,), ((HERE, *out.shape[rows:]),))


def _broadcast(e: Equation, n: int) -> Cut | None:
    (x,), out = e.inputs, e.outs[0]
    k = lead(out, n)
    if k is None or len(x.shape) != len(out.shape) or x.shape[:k] != out.shape[:k]:
        return None
    return Cut((CUT,), (CUT,), ((HERE, *out.shape[k:]),))


def _transpose(e: Equation, n: int) -> Cut | None:
    (x,), axes = e.inputs, tuple(e.params[0])
    k = lead(x, n)
    if k is not None and axes[:k] == tuple(range(k)):
        return Cut((CUT,), (CUT,), ((0, *(a - k + 1 for a in axes[k:])),))
    return Cut((CUT,), (TURNED,), e.params) if k == 1 and axes == (1, 0) else None


def _getitem(e: Equation, n: int) -> Cut | None:
    (x,), index = e.inputs, e.params[0]
    k = lead(x, n)
    basic = isinstance(index, tuple) and all(isinstance(i, slice | int) for i in index)
    if k is None or not basic or len(index) < k or any(i != slice(None) for i in index[:k]):
        return None
    return Cut((CUT,), (CUT,), ((slice(None), *index[k:]),))


def _joined(e: Equation, n: int) -> Cut | None:
    """concatenate and stack along a dim that is not part of the lead."""
    (xs,), (axis,) = e.inputs, e.params
    leads = {lead(v, n) if isinstance(v, Value) else None for v in (*xs, *e.outs)}
    (k,) = leads if len(leads) == 1 else (None,)
    if k is None or axis < k or any(v.shape[:k] != e.outs[0].shape[:k] for v in xs):
        return None
    return Cut((CUT,) * len(xs), (CUT,), (axis - k + 1,))


def _same(e: Equation, n: int) -> Cut | None:
    return None if lead(e.outs[0], n) is None else Cut((CUT,), (CUT,), e.params)


# ---- products
def _small(x: Any) -> bool:
    return isinstance(x, Value) and math.prod(x.shape) <= SMALL


def _matmul(e: Equation, n: int) -> Cut | None:
    x, y = e.inputs
    k, ndim = lead(e.outs[0], n), len(x.shape)
    if k is not None and ndim == len(y.shape) and k <= ndim - 2 and x.shape[:k] == y.shape[:k]:
        return Cut((CUT, CUT), (CUT,), ())
    if lead(x, n) == 1 == k and len(x.shape) == 2 and len(y.shape) <= 2 and _small(y):
        return Cut((CUT, WHOLE), (CUT,), ())
    return _contraction(e, n)


def _contraction(e: Equation, n: int) -> Cut | None:
    """A product that sums over rows: those of the second factor are the columns of the first."""
    x, y = e.inputs
    if len(x.shape) == 2 and x.shape[1] == n and lead(y, n) == 1 and len(y.shape) <= 2 and _small(e.outs[0]):
        return Cut((TURNED, CUT), (SUMMED,), ())
    return None


def _mv(e: Equation, n: int) -> Cut | None:
    if lead(e.inputs[0], n) == 1:
        return Cut((CUT, WHOLE), (CUT,), ())
    return _contraction(e, n)


def _linear(e: Equation, n: int) -> Cut | None:
    x, weight, *bias = e.inputs
    k = lead(x, n)
    if k is None or k >= len(x.shape) or not _small(weight):
        return None
    return Cut((CUT, *(WHOLE,) * (len(bias) + 1)), (CUT,), ())


def _dot(e: Equation, n: int) -> Cut | None:
    return Cut((CUT, CUT), (SUMMED,), ()) if lead(e.inputs[0], n) == 1 else None


_sum = functools.partial(_reduction, sums=True)
ROWS: dict[str, Rule] = {
    "cast": _same, "copy": _same,
    "sum": _sum, "mean": _sum, **dict.fromkeys(("amax", "amin", "prod", "norm2", "logsumexp", "any", "all"), _reduction),
    **dict.fromkeys(("softmax", "log_softmax", "softmax_back", "log_softmax_back", "cumsum", "cumprod"), _along),
    "reshape": _reshape, "broadcast_to": _broadcast, "transpose": _transpose, "getitem": _getitem,
    "concatenate": _joined, "matmul": _matmul, "mv": _mv, "rows": _linear, "linear": _linear, "dot": _dot,
}  # fmt: skip


# ---- declared with an op
def _declared(e: Equation, n: int) -> Cut | None:
    """Read `Op.rows`: a mark for each input, "->", a mark for each result, and perhaps "axes NAME" or "last N".

    c: has the rows; w: whole; b: whichever broadcasts; s (a result): a sum over rows. The lead is the first dim alone; with
    "axes" it is any dims before those that the param NAME lists, with "last" any but the last N of each input marked c.
    """
    left, _, right = e.op.rows.partition("->")
    marks, (results, *more) = left.split(), _right(right)
    leads = {lead(v, n) for x, m in zip(e.inputs, marks, strict=True) if m == CUT for v in _each(x)}
    leads |= {lead(v, n) for v, m in zip(e.outs, results, strict=True) if m == CUT}
    if len(leads) != 1 or None in leads:
        return None
    k: int = leads.pop()  # type: ignore[assignment]
    params = list(e.params)
    cut_values = [v for x, m in zip(e.inputs, marks, strict=True) if m == CUT for v in _each(x)]
    if more and more[0] == "axes":
        place = e.op.params.index(more[1])
        axes = shifted(params[place], len(cut_values[0].shape), k)
        if axes is None or 0 in (axes if isinstance(axes, tuple) else (axes,)):
            return None
        params[place] = axes
    elif k > 1 and not (more and more[0] == "last"):
        return None
    if more and more[0] == "last" and any(len(v.shape) - k < int(more[1]) for v in cut_values):
        return None
    found: list[str] = []
    for x, m in zip(e.inputs, marks, strict=True):
        for v in _each(x):
            mark = beside(v, cut_values[0], k) if m == "b" else m
            if mark is None:
                return None
            found.append(mark)
    if SUMMED in results and e.outs[0].dtype.char not in "fd":
        return None
    return Cut(tuple(found), tuple(results), tuple(params))


def _each(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _right(text: str) -> list[Any]:
    words = text.split()
    stop = next((i for i, w in enumerate(words) if w in ("axes", "last")), len(words))
    return [words[:stop], *words[stop:]]
