"""Floats of two bytes, which are computed in float32 and rounded once: bfloat16 on the host, and the rules of both halves.

Owns: `BFloat16Array`, whose type leads an op to its kernel for float32, and the way of plain arrays into it; `plan_of`.
May import: dtypes, op records, NumPy. Must not know: tensors, any op but `cast`.
"""

from __future__ import annotations

import dataclasses
import dis
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import dtypes
from wengert.dtypes import F32
from wengert.op import ANY, OPS, Op, Plan, Rule

Kernel = Callable[..., Any]


class BFloat16Array(np.ndarray[Any, Any]):
    """An array of bfloat16. Python's operators and NumPy's functions compute in float32 and round their result."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        made = np.asarray(getattr(ufunc, method)(*[widen(x) for x in inputs], **options))
        if out is not None:
            out[0][...] = made
            return out[0]
        wider = any(isinstance(x, np.ndarray) and x.ndim and x.dtype == F32 for x in inputs)
        return made if wider or made.dtype != F32 else rounded(made)

    @staticmethod
    def widened(op: Op, kernel: Kernel) -> Kernel:
        """Return a kernel for arrays among which some are bfloat16, of one that knows no such type."""
        if op.name == "to_device":  # nothing is computed
            return kernel
        if op.view:
            return lambda x, *params: hosted(kernel(x.view(np.ndarray), *params))
        return elementwise(op, kernel) if op.elementwise else structural(op, kernel)


def hosted(array: Any) -> Any:
    """Return a host array as the type that leads to its kernels: bfloat16 as a BFloat16Array, others as they are; and its
    dtype as the object that `dtypes.native` tells of."""
    native = dtypes.native(array.dtype)
    if array.dtype is not native:
        array = array.view(native) if array.dtype.isnative else array.astype(native)
    return array.view(BFloat16Array) if native is dtypes.BF16 else array


def rounded(array: Any) -> Any:
    return array.astype(dtypes.BF16).view(BFloat16Array)


def widen(x: Any) -> Any:
    """Return bfloat16 as float32, also inside of a tuple; anything else as it is."""
    if isinstance(x, tuple):
        return tuple(widen(v) for v in x)
    return np.asarray(x).astype(F32) if getattr(x, "dtype", None) is dtypes.BF16 else x


def elementwise(op: Op, kernel: Kernel) -> Kernel:
    typed = [i for i, name in enumerate(op.inputs) if name not in op.free]
    deciding = typed[:1] if op.domain == ANY else typed  # inputs of the others have one type; numbers stay float32

    def run(*args: Any, out: Any = ...) -> Any:
        made = kernel(*[widen(a) for a in args], out=...)
        if out is not ...:
            out[...] = made
            return out
        narrow = made.dtype == F32 and any(args[i].dtype is dtypes.BF16 for i in deciding)
        return rounded(made) if narrow else made

    return run


def structural(op: Op, kernel: Kernel) -> Kernel:
    def run(*args: Any) -> Any:
        made = kernel(*[widen(a) for a in args])
        if op.outputs > 1:
            return tuple(as_told(m, dtype) for m, dtype in zip(made, told(op, args), strict=True))
        return hosted(made) if made.dtype != F32 else as_told(made, told(op, args)[0])

    return run


def told(op: Op, args: Sequence[Any]) -> list[Any]:
    """Return the type of each result; where only the values tell its shape, bfloat16 as the inputs are."""
    assert op.infer is not None
    try:
        specs = op.infer(*args)
    except RuntimeError:
        return [dtypes.BF16] * op.outputs
    return [dtype for _, dtype in (specs if op.outputs > 1 else (specs,))]


def as_told(made: Any, dtype: Any) -> Any:
    if hasattr(made, "like"):  # an array that holds others
        return made.like(as_told(made.values, dtype))
    return rounded(made) if dtype is dtypes.BF16 and made.dtype == F32 else hosted(made)


# ---- rules
def plan_of(op: Op, needs: tuple[bool, ...], dtype: Any) -> Plan:
    """Return the plan of a call with a result of some type. Of halves, the rules of an elementwise op that take more than a
    step are computed in float32, as PyTorch does."""
    if dtype.kind == "c":
        return op.complex_plan(needs)
    if dtype.itemsize > 2 or not op.elementwise or op.free or op.domain == ANY:
        return op.plan(needs)
    plan = op._plans.get((needs, dtype))
    if plan is None:
        base = op.plan(needs)
        again = base.out and len(base.inputs) == len(op.inputs)  # the result is made of what is kept
        kept = kept_wide(op, again)

        def wide(pull: Callable[..., Any]) -> Callable[..., Any]:
            return lambda g, s: cast(pull(cast(g, F32), kept(s)), dtype)

        cast, once = OPS["cast"], base.once
        pulls = tuple([(i, pull if is_step(op.rules[i]) else wide(pull)) for i, pull in base.pulls])
        shared = None if once is None else lambda g, s: once(cast(g, F32), kept(s))
        plan = op._plans[needs, dtype] = dataclasses.replace(base, pulls=pulls, once=shared, out=base.out and not again)
    return plan


def kept_wide(op: Op, again: bool) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return what makes float32 of the halves that a node keeps. again: compute the result of them, without its rounding."""
    cast, width = OPS["cast"], len(op.inputs)

    def kept(s: tuple[Any, ...]) -> tuple[Any, ...]:
        values = [None if v is None else cast(v, F32) for v in s[: width + (not again)]]
        if again:
            values.append(op(*values, *s[width + 1 : width + 1 + len(op.params)]))
        return *values, *s[width + 1 :]

    return kept


def is_step(rule: Rule | None) -> bool:
    """Say whether a rule rounds once at most: it calls nothing, and reckons once."""
    steps = [i.opname for i in dis.get_instructions(rule)] if rule is not None else []
    return sum([name in ("BINARY_OP", "UNARY_NEGATIVE") for name in steps]) < 2 and not any(["CALL" in name for name in steps])
