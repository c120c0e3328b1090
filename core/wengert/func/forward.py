"""Forward mode: the tangent of an op, from the same rules that backward uses.

Owns: `Forward`, the level of one jvp; its arrays hold a value and (`beside`) its tangent, or None where it is constant.
What the rules of a record read says what kind of op it is, and so what its tangent is: an elementwise rule takes the tangent
for g; a linear op is its own tangent; one that is linear in each input gives a sum; for any other op the rules are
transposed (they are linear in g, so their gradient with respect to g is the tangent map). There is no second formula.
May import: layers, record, autograd, ops by name. Must not know: any op's formula.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from wengert import dtypes
from wengert._tensor import Tensor, wrap
from wengert.func.layers import Layer, Level, overrides
from wengert.modes import state, turn
from wengert.op import OPS, Op
from wengert.record import sum_to


class Forward(Level):
    """One jvp."""

    name = "jvp"

    def dual(self, value: Tensor, tangent: Tensor | None) -> Layer:
        return Layer(self, value, tangent)

    def read(self, layer: Layer) -> Any:
        return layer.value.host()

    def write(self, target: Layer, values: Layer) -> None:
        if values.beside is not None and target.beside is None:
            target.beside = zeros_like(target.value)
        target.value.copy_(values.value)
        if target.beside is not None:
            target.beside.copy_(values.beside if values.beside is not None else zeros_like(values.value))

    def apply(self, op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
        args = [tuple(self.arg(a) for a in x) if isinstance(x, tuple) else self.arg(x) for x in inputs]
        made = op(*_with(args, _value), *params)
        if op.constant:
            return tuple(self.dual(m, None) for m in made) if isinstance(made, tuple) else self.dual(made, None)
        flat: list[Layer] = [a for x in args for a in (x if isinstance(x, tuple) else (x,))]
        moving = tuple([i for i, a in enumerate(flat) if a.beside is not None])  # only floats ever move
        if op.outputs > 1:
            tangents = transposed(op, args, flat, made, params, moving) if moving else (None,) * len(made)
            return tuple(self.dual(m, t) for m, t in zip(made, tangents, strict=True))
        if not moving or dtypes.category(made._array.dtype) < dtypes.FLOATING:
            return self.dual(made, None)
        moved = tangent(op, args, flat, made, params, moving)
        if not op.view and (moved._base is not None or any([moved is a.beside for a in flat])):
            moved = moved.clone()  # a write to the result must not reach the tangent of an input
        return self.dual(made, moved)

    def custom(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call an autograd.Function outside of this level, and its static `jvp` for the tangents."""
        layers = [self.arg(x._array if isinstance(x._array, Layer) else x) if isinstance(x, Tensor) else x for x in args]
        if not overrides(function, "jvp") or not any([isinstance(x, Layer) and x.beside is not None for x in layers]):
            return None
        with self.outside():
            values = [x.value if isinstance(x, Layer) else x for x in layers]
            result, ctx = function._applied(*values)
            ctx.forwarding = True
            try:
                moved = function.jvp(ctx, *[direction(x, ctx.materialize_grads) for x in layers])
            finally:
                ctx.forwarding = False
            if not isinstance(result, tuple):
                return self.entered(result, moved, args, layers)
            return tuple([self.entered(y, t, args, layers) for y, t in zip(result, moved, strict=True)])

    def entered(self, y: Any, t: Any, args: tuple[Any, ...], layers: Sequence[Any]) -> Any:
        """Return a result and its tangent as a tensor of this level: an argument that was written to as that."""
        if not isinstance(y, Tensor):
            return y
        if t is not None and t._array.shape != y._array.shape:
            raise RuntimeError(f"jvp: a tangent has shape {list(t.shape)}, its result {list(y.shape)}; they must be the same")
        if t is not None and (t._base is not None or any([isinstance(x, Layer) and t is x.beside for x in layers])):
            t = t.clone()  # a write to the result must not reach the tangent of an argument
        for given, x in zip(args, layers, strict=True):
            if isinstance(x, Layer) and x.value is y and given._array is x:
                x.beside = t
                return given
        return wrap(self.dual(y, t))

    def arg(self, x: Any) -> Layer:
        return x if isinstance(x, Layer) and x.level is self else self.dual(x if isinstance(x, Tensor) else wrap(x), None)


def direction(x: Any, materialize: bool) -> Any:
    """Return the tangent of an argument; zeros (or None, where they are not wanted) for a constant, None for no number."""
    if not isinstance(x, Layer) or x.beside is not None:
        return x.beside if isinstance(x, Layer) else None
    return zeros_like(x.value) if materialize and dtypes.category(x.dtype) >= dtypes.FLOATING else None


def zeros_like(x: Tensor) -> Tensor:
    return wrap(OPS["filled"](x._array, tuple(x.shape), 0, None))


def _value(a: Layer) -> Tensor:
    return a.value


@functools.cache
def manner(op: Op) -> str:
    """Return how an op's tangent is made, by what its rules read."""
    smooth = {n for n, rule in zip(op.inputs, op.rules, strict=True) if rule is not None}
    reads = {op.inputs[i]: op.reads[i] & {*smooth, "out"} for i, rule in enumerate(op.rules) if rule is not None}
    if op.elementwise:
        return "elementwise"
    if op.name == "cast":
        return "cast"
    if not any(reads.values()):
        return "linear"
    return "multilinear" if not op.variadic and all(r == smooth - {n} for n, r in reads.items()) else "other"


def tangent(
    op: Op, args: Sequence[Any], flat: Sequence[Layer], made: Tensor, params: Any, moving: tuple[int, ...]
) -> Tensor:
    """Return the tangent of a single result; `moving` are the inputs that have one."""
    how = manner(op)
    result = made._array.dtype
    if how == "elementwise" and result.kind != "c" and all([a.dtype.kind != "c" for a in flat]):
        saved = kept(op, args, made, params)
        return total([op.pulls[i](spread(flat[i].beside, made), saved) for i in moving])
    if how == "cast" and result.kind == flat[0].dtype.kind:
        return op(flat[0].beside, *params)  # type: ignore[no-any-return]
    if how == "linear":
        return op(*_with(args, lambda a: _constant(a) if a.beside is None else a.beside), *params)  # type: ignore[no-any-return]
    if how == "multilinear":
        return total([op(*[a.beside if j == i else a.value for j, a in enumerate(flat)], *params) for i in moving])
    (found,) = transposed(op, args, flat, made, params, moving)
    return found


def _constant(a: Layer) -> Tensor:
    """Return what stands for a constant input of a linear op: no motion; what is no number of the formula stays."""
    return zeros_like(a.value) if dtypes.category(a.dtype) >= dtypes.FLOATING else a.value


def _with(args: Sequence[Any], pick: Any) -> list[Any]:
    return [tuple(pick(a) for a in x) if isinstance(x, tuple) else pick(x) for x in args]


def spread(t: Tensor, made: Tensor) -> Tensor:
    return t if t._array.shape == made._array.shape else OPS["broadcast_to"](t, tuple(made.shape))


def total(parts: Sequence[Tensor]) -> Tensor:
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


@functools.cache
def reads_specs(op: Op) -> bool:
    return any(name.endswith(("_shape", "_dtype")) and name in op.places for read in op.reads for name in read)


def kept(op: Op, args: Sequence[Any], made: Any, params: Any) -> tuple[Any, ...]:
    """Return the values that rules read, at their places."""
    values = [*_with(args, _value), made]
    if not reads_specs(op):
        return (*values, *params)
    specs = []
    for value in values:
        many = isinstance(value, tuple)
        specs.append(tuple(tuple(v.shape) for v in value) if many else tuple(value.shape))
        specs.append(tuple(v._array.dtype for v in value) if many else value._array.dtype)
    return (*values, *params, *specs)


def transposed(
    op: Op, args: Sequence[Any], flat: Sequence[Layer], made: Any, params: Any, moving: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Return the tangents of the results: the transpose of the op's rules, as the gradient of what they give for a g."""
    from wengert import autograd

    results = made if isinstance(made, tuple) else (made,)
    before = state.grad
    turn(True)
    try:
        floating = [dtypes.category(r._array.dtype) >= dtypes.FLOATING for r in results]
        seeds = [zeros_like(r).requires_grad_() if f else None for r, f in zip(results, floating, strict=True)]
        g = tuple(seeds) if op.outputs > 1 else seeds[0]
        saved = kept(op, args, made, params)
        is_complex = op.outputs == 1 and results[0]._array.dtype.kind == "c"
        plan = (op.complex_plan if is_complex else op.plan)(tuple([i in moving for i in range(len(flat))]))
        if plan.once is not None:
            saved = (*saved, plan.once(g, saved))
        sent, tangents = [], []
        for i, pull in plan.pulls:
            pulled, shape = pull(g, saved), tuple(flat[i].value.shape)
            if tuple(pulled.shape) != shape:
                pulled = sum_to(pulled, shape)
            if pulled.requires_grad:
                sent.append(pulled)
                tangents.append(flat[i].beside)
        wanted = [s for s in seeds if s is not None]
        found: Sequence[Any] = (None,) * len(wanted)
        if sent:
            found = autograd.grad(sent, wanted, tangents, create_graph=before, allow_unused=True)
    finally:
        turn(before)
    arrived = iter(found)
    given = [next(arrived) if f else None for f in floating]
    return tuple(zeros_like(r) if t is None and f else t for r, t, f in zip(results, given, floating, strict=True))  # type: ignore[misc]
