"""Forward mode: the tangent of an op, from the same rules that backward uses.

Owns: `Forward`, the level of one jvp; its arrays hold a value and (`beside`) its tangent, or None where it is constant
(`motion` says which: a view's tangent is the view of the tangent, so that writes to either are seen by both).
What the rules of a record read says what kind of op it is, and so what its tangent is: an elementwise rule takes the tangent
for g; a linear op is its own tangent; one that is linear in each input gives a sum; for any other op the rules are
transposed (they are linear in g, so their gradient with respect to g is the tangent map). There is no second formula.
May import: layers, record, autograd, ops by name. Must not know: any op's formula.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from wengert import dtypes, errors
from wengert._tensor import Tensor, wrap
from wengert.func.layers import Layer, Level, mixed, overrides, start_recording, stop_recording
from wengert.modes import state
from wengert.narrow import plan_of
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
        moved = motion(values)
        if moved is not None and dtypes.category(target.dtype) >= dtypes.FLOATING:
            make_room(target, moved)
        target.value.copy_(values.value)
        into = motion(target)
        if into is not None:
            into.copy_(moved) if moved is not None else into.zero_()

    def apply(self, op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
        args = [tuple(self.arg(a) for a in x) if isinstance(x, tuple) else self.arg(x) for x in inputs]
        made = op(*_with(args, _value), *params)
        if op.constant:
            return tuple(self.dual(m, None) for m in made) if isinstance(made, tuple) else self.dual(made, None)
        flat: list[Layer] = [a for x in args for a in (x if isinstance(x, tuple) else (x,))]
        if op.view and manner(op) == "linear" and dtypes.category(made._array.dtype) >= dtypes.FLOATING:
            seen = self.dual(made, None)
            seen.source = (flat[0], op, params)
            return seen
        moving = tuple([i for i, a in enumerate(flat) if motion(a) is not None])  # only floats ever move
        if op.outputs > 1:
            tangents = transposed(op, args, flat, made, params, moving) if moving else (None,) * len(made)
            return tuple(self.dual(m, t) for m, t in zip(made, tangents, strict=True))
        if not moving or dtypes.category(made._array.dtype) < dtypes.FLOATING:
            return self.dual(made, None)
        moved = tangent(op, args, flat, made, params, moving)
        if moved._base is not None or any([moved is a.beside for a in flat]):
            moved = moved.clone()  # a write to the result must not reach the tangent of an input
        return self.dual(made, moved)

    def custom(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call an autograd.Function outside of this level; its `jvp`, or else its backward, gives the tangents."""
        layers = [self.arg(x._array if isinstance(x._array, Layer) else x) if isinstance(x, Tensor) else x for x in args]
        tangents = [motion(x) if isinstance(x, Layer) else None for x in layers]
        moving = {i: t for i, t in enumerate(tangents) if t is not None}
        if not moving:
            return None
        if mixed(self, function, args):
            raise RuntimeError(
                f"{function.__name__}: forward mode over a gradient (such as hessian) needs an autograd.Function that has the "
                f"setup_context staticmethod, and a forward that takes no ctx"
            )
        with self.outside():
            values = [x.value if isinstance(x, Layer) else x for x in layers]
            if overrides(function, "jvp"):
                result, ctx = function._applied(*values)
                ctx.forwarding = True
                try:
                    moved = function.jvp(ctx, *[direction(x, ctx.materialize_grads) for x in layers])
                finally:
                    ctx.forwarding, ctx.saved_for_forward = False, ()
            else:
                result, moved = by_backward(function, values, moving)
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
                if t is not None:
                    make_room(x, t).copy_(t)
                return given
        return wrap(self.dual(y, t))

    def arg(self, x: Any) -> Layer:
        return x if isinstance(x, Layer) and x.level is self else self.dual(x if isinstance(x, Tensor) else wrap(x), None)


def motion(x: Layer) -> Tensor | None:
    """Return the tangent of an array, None where it is constant. That of a view is the view of the tangent, if there is one by
    now: what is written to either is seen by both."""
    if x.source is None:
        return x.beside  # type: ignore[no-any-return]
    whole, op, params = x.source
    moved = motion(whole)
    if moved is not x.seen:
        x.beside, x.seen = op(moved, *params), moved
    return x.beside  # type: ignore[no-any-return]


def make_room(x: Layer, moved: Tensor) -> Tensor:
    """Return the tangent of an array as one that `moved` can be written to: zeros, where there is none; where `moved` is a
    batch of a transform around this one and the tangent is not, it becomes one too."""
    whole, links = x, []
    while whole.source is not None:
        links.append(whole.source)
        whole = whole.source[0]
    own = whole.beside
    if own is None or batches(moved) - batches(own) or not all([op.name != "reshape" or _flat(w) for w, op, _ in links]):
        zeros = wrap(OPS["filled"](moved._array, whole.shape, 0, whole.dtype))
        whole.beside = zeros if own is None else zeros + own
    into = motion(x)
    assert into is not None
    return into


def _flat(whole: Layer) -> bool:
    moved = motion(whole)
    return moved is None or moved.is_contiguous()


def batches(x: Tensor) -> set[int]:
    """Return the depths of the transforms that a tensor is a batch of."""
    found = set()
    array = x._array
    while isinstance(array, Layer):
        if array.beside is True:
            found.add(array.level.depth)
        array = array.value._array
    return found


def by_backward(function: Any, values: Sequence[Any], moving: dict[int, Tensor]) -> tuple[Any, Any]:
    """Return what an autograd.Function gives, and its tangent: backward is linear in g, and the tangent is its transpose.

    What forward does is no guide: a Function may be there to have another gradient than its forward's. Raises RuntimeError
    for one that has no backward, or one that cannot be differentiated.
    """
    from wengert.autograd import Function, grad

    if function._pick_backward() is Function.backward:
        function.jvp(None)  # raises
    before, around = state.grad, start_recording()
    try:
        given = list(values)
        for i in moving:
            given[i] = values[i].view_as(values[i]) if values[i].requires_grad else values[i]._bare().requires_grad_()
        made, _ = function._applied(*given)
        results = made if isinstance(made, tuple) else (made,)
        smooth = {n: r for n, r in enumerate(results) if isinstance(r, Tensor) and r.requires_grad}
        live = {n: filled_like(r, 1).requires_grad_() for n, r in smooth.items()}
        wanted, seeds = [given[i] for i in moving], list(live.values())
        sent = grad([results[n] for n in live], wanted, seeds, create_graph=True, allow_unused=True) if live else ()
        if any([s is not None and not s.requires_grad and _differs_from_zero(s) for s in sent]):
            raise RuntimeError(
                f"{function.__name__}: its backward detaches the gradient that it is given, and has no tangent; compute with "
                f"the gradient itself, or give the Function a jvp staticmethod"
            )
        paired = [(s, t) for s, t in zip(sent, moving.values(), strict=bool(live)) if s is not None and s.requires_grad]
        found: Sequence[Any] = (None,) * len(seeds)
        if paired:
            found = grad([s for s, _ in paired], seeds, [t for _, t in paired], create_graph=before, allow_unused=True)
    finally:
        stop_recording(around, before)
    real = before and any([isinstance(v, Tensor) and v.requires_grad for v in values])
    if not real:  # all that is recorded leads to the leaves made here
        results = tuple([r._bare() if n in live else r for n, r in enumerate(results)])
    if not real and not any([t.requires_grad for t in moving.values()]):
        found = [t if t is None else t._bare() for t in found]
    arrived = dict(zip(live, found, strict=True))
    moved = tuple([zeros_like(results[n]) if n in live and arrived[n] is None else arrived.get(n) for n in range(len(results))])
    return (results, moved) if isinstance(made, tuple) else (results[0], moved[0])


def direction(x: Any, materialize: bool) -> Any:
    """Return the tangent of an argument; zeros (or None, where they are not wanted) for a constant, None for no number."""
    if not isinstance(x, Layer) or motion(x) is not None:
        return motion(x) if isinstance(x, Layer) else None
    return zeros_like(x.value) if materialize and dtypes.category(x.dtype) >= dtypes.FLOATING else None


def filled_like(x: Tensor, value: int) -> Tensor:
    return wrap(OPS["filled"](x._array, tuple(x.shape), value, None))


def zeros_like(x: Tensor) -> Tensor:
    return filled_like(x, 0)


def _innermost(x: Tensor) -> Tensor:
    while isinstance(x._array, Layer):
        x = x._array.value
    return x


def _differs_from_zero(x: Tensor) -> bool:
    return state.recorder is not None or bool((_innermost(x).detach() != 0).any())


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
    if not op.view and not set().union(*op.reads).issuperset(op.params):
        return "other"  # a parameter that no rule reads may be a constant that the op adds, as the value of a padding
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
    if any([_innermost(x).layout != "torch.strided" for x in (*results, *map(_value, flat))]):
        raise errors.no_sparse_tangent(op)  # zeros in the place of g have no entries to ask for
    before, around = state.grad, start_recording()
    try:
        floating = [dtypes.category(r._array.dtype) >= dtypes.FLOATING for r in results]
        seeds = [zeros_like(r).requires_grad_() if f else None for r, f in zip(results, floating, strict=True)]
        g = tuple(seeds) if op.outputs > 1 else seeds[0]
        saved = kept(op, args, made, params)
        needs = tuple([i in moving for i in range(len(flat))])
        plan = plan_of(op, needs, results[0]._array.dtype) if op.outputs == 1 else op.plan(needs)
        if plan.once is not None:
            saved = (*saved, plan.once(g, saved))
        sent, tangents = [], []
        for i, pull in plan.pulls:
            pulled, shape = pull(g, saved), tuple(flat[i].value.shape)
            if tuple(pulled.shape) != shape:
                pulled = sum_to(pulled, shape)
            if pulled._array.dtype.kind == "c" and flat[i].dtype.kind != "c":
                pulled = OPS["real"](pulled)
            if pulled.requires_grad:
                sent.append(pulled)
                tangents.append(flat[i].beside)
        wanted = [s for s in seeds if s is not None]
        found: Sequence[Any] = (None,) * len(wanted)
        if sent:
            found = autograd.grad(sent, wanted, tangents, create_graph=before, allow_unused=True)
    finally:
        stop_recording(around, before)
    arrived = iter(found)
    given = [next(arrived) if f else None for f in floating]
    return tuple(zeros_like(r) if t is None and f else t for r, t, f in zip(results, given, floating, strict=True))  # type: ignore[misc]
