"""Gradients through a compiled function: one graph for both directions, split into a forward and a backward program.

Owns: `Joint` (what is captured), `Training` (what runs) and the autograd function between them. May import: graph, passes,
program, autograd. Must not know: any op, any device.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from wengert import dtypes
from wengert._tensor import Tensor, wrap
from wengert.compiler.guards import Guard, Nth, Opened, closed, containers, opened, repeatable, root_id
from wengert.compiler.passes import on_host, optimised, prune, recompute
from wengert.compiler.program import Program
from wengert.func.layers import mapped
from wengert.graph import Equation, Graph, Value, _lookup, _tensors
from wengert.modes import state, turn
from wengert.record import call_raw
from wengert.tape import AccumulateGrad

NESTED = (tuple, list, dict, deque)  # whose attributes may be set


class Joint:
    """A function and, where its results require grad, their gradients for seeds that become arguments too."""

    def __init__(self, function: Callable[..., Any], guard: Guard, renew: Callable[..., None]) -> None:
        self.function, self.guard = function, guard
        self.renew = renew  # is told of places that hold other tensors at each call: those that are read, and others
        self.skeleton: Any = None  # the arguments, with `Nth` for tensors
        self.left: dict[int, Any] = {}  # tensors that it leaves somewhere, by their `id`
        self.given: list[Tensor] = []  # the arguments, as the function had them
        self.leaves: list[Tensor] = []  # whose gradients the graph gives, beside the arguments'
        self.places: list[int] = []  # the arguments that require grad, by their number
        self.outputs: list[int] = []  # the results that do
        self.count = 0  # how many arguments there are
        self.used: list[bool] = []
        self.marked = False  # whether some results are tensors that the function did not make

    def _marked(self, result: Any) -> Any:
        """Return what the function returns with `Same` for tensors that it did not make, or returns more than once."""
        around = {id(t[3]) for t in self.guard.tensors}
        seen: dict[int, int] = {}

        def mark(v: Any) -> Any:
            if not isinstance(v, Tensor):
                return v
            number = next((i for i, x in enumerate(self.given) if x is v), None)
            own = not hasattr(type(v._array), "recorder")
            same = Same(number) if number is not None else Same(around=v) if id(v) in around and own else None
            same = Same(result=seen[id(v)]) if id(v) in seen else same
            if same is None:
                seen[id(v)] = len(seen)
                return v
            self.marked = True
            return same

        made = mapped(result, mark)
        self.marked |= any(isinstance(part, Opened) for part in containers(made))
        return made

    def released(self) -> None:
        """Let go of the tensors of the capture."""
        self.given = []
        self.left = dict.fromkeys(self.left)
        self.guard.released()

    def __call__(self, args: Any, kwargs: Any, held: Any = ()) -> Any:
        """Call the function. held: what stands in the places that the guard holds for renewed, with `Nth` for arguments."""
        from wengert import autograd

        given = _tensors((args, kwargs, held))
        required = [x.requires_grad for x in given]
        fresh = [x.detach().requires_grad_() if x.requires_grad else x for x in given]
        self.given, self.count = fresh, len(fresh)
        arrays, edges = [x._array for x in fresh], [x._edge for x in fresh]
        rest = iter(fresh)
        args, kwargs, held = mapped((args, kwargs, held), lambda v: next(rest) if isinstance(v, Tensor) else v)
        held = mapped(held, lambda v: fresh[v.number] if isinstance(v, Nth) else v)
        number = {id(x): Nth(i) for i, x in enumerate(fresh)}
        self.skeleton = mapped((args, kwargs), lambda v: number[id(v)] if isinstance(v, Tensor) else v)
        before, modes = _parts((args, kwargs)), (state.grad, state.inference, dtypes.get_default_dtype())
        shown = [(n, n.now(), closed(v)) for n, v in zip(self.guard.renewed, held, strict=False) if _tensors(v)]
        try:
            for n, _, value in shown:
                n.put(value)
            self.guard.begin()
            with repeatable():
                result = self.function(*args, **kwargs)
        finally:
            for n, was, value in shown:
                n.put_back(was, value)
            now = (state.grad, state.inference, dtypes.get_default_dtype())
            turn(modes[0])
            state.inference = modes[1]
            dtypes.set_default_dtype(modes[2])
        if now != modes:
            raise RuntimeError(
                "wengert.compile: the function turns recording on or off, or sets the default dtype, and leaves it so, which a "
                "program would not; do it outside, or in a `with` block"
            )
        after = _parts((args, kwargs))
        if not all(a is b or (isinstance(a, tuple) and a == b) for a, b in itertools.zip_longest(before, after)):
            raise RuntimeError(
                "wengert.compile: the function changes a list, dict or set among its arguments, or sets an attribute of a "
                "tensor, which a program would not; return what it changes, or let the function reach it by its closure"
            )
        result = opened(result, self.guard.known)
        self.guard.settle(result)
        places, _ = self.guard.fixed(self.guard.undo(back=False), self.left, more=True).with_tensors()
        self.renew([n for n in places if self.guard.reads(n)], [n for n in places if not self.guard.reads(n)])
        if self.left:
            result = (result, [*self.left.values()])
        if any(id(x) in state.recorder.looks for x in fresh):
            raise RuntimeError(
                "wengert.compile: the function reads the .grad of an argument, which is another tensor at each call; let the "
                "function reach it by its closure, or pass the gradient as an argument too"
            )
        if any(x._array is not a for x, a in zip(fresh, arrays, strict=True)):
            raise RuntimeError(
                "wengert.compile: the function gives an argument other memory (x.data = y); write to it (x.copy_(y)) instead"
            )
        for x, was in zip(fresh, required, strict=True):
            if x._edge is not None and not was:
                x._edge = None
                raise RuntimeError(
                    "wengert.compile: the function writes what requires grad to an argument that does not, whose history would "
                    "be lost; write to a clone of it and return that"
                )
            if x._edge is None and was:
                raise RuntimeError(
                    "wengert.compile: the function turns requires_grad of an argument off, which a program would not; do it "
                    "outside, or use x.detach()"
                )
        if state.grad:  # an argument that is a result has its gradient too
            written = [x for x, e in zip(fresh, edges, strict=True) if x._edge is not e]
            result = mapped(result, lambda v: v.view_as(v) if any(v is x for x in written) else v)
        result = self._marked(result)
        made = _tensors(result)
        if any(y.__dict__ for y in made):
            raise RuntimeError(
                "wengert.compile: the function sets an attribute of a tensor that it returns, which a program's results have "
                "not; return the value too"
            )
        if any(y._edge is not None and y.is_leaf and hasattr(type(y._array), "recorder") and not any(y is x for x in fresh)
               for y in made):  # fmt: skip
            raise RuntimeError(
                "wengert.compile: the function returns a tensor that it made and that is to have a .grad (requires_grad, a "
                "Parameter), which a program's results have not; make it outside"
            )
        if any(y._grad is not None and hasattr(type(y._array), "recorder") for y in made):
            raise RuntimeError(
                "wengert.compile: the function returns a tensor that it made and that has a .grad, which a program's results "
                "have not; return the gradient too"
            )
        outs = [y for y in made if y._edge is not None and not any(y is x for x in fresh)]
        outs = [y for y in outs if not _spent(y._edge)]  # it may have run backward itself: that has no gradient any more
        if not outs or not state.grad:
            return result, ()
        self.outputs = [i for i, y in enumerate(made) if any(y is o for o in outs)]
        self.places = [i for i, x in enumerate(fresh) if x.requires_grad]
        own = [fresh[i] for i in self.places]
        histories = {edge for *_, x, _, _ in self.guard.tensors if (edge := x._edge) is not None and not x.is_leaf}
        behind = _behind([y._edge for y in outs], histories)
        self.renew(self.guard.places_of(histories.intersection(behind)))
        self.leaves = [*own, *(x for x in _leaves_among(behind, histories) if not any(x is y for y in own))]
        if not self.leaves:  # those that it made itself are gone
            return result, ()
        state.recorder.outside = dict.fromkeys(state.recorder.outside)  # the seeds are the last arguments
        seeds = []
        for y in outs:
            array = state.recorder.placed(np.zeros(y.shape, y._array.dtype))
            state.recorder.argument(array)
            seeds.append(wrap(state.recorder.lift(array)))
        with _unhooked(self.leaves):
            found = autograd.grad(outs, self.leaves, seeds, allow_unused=True)
        self.guard.settle(result)  # again: hooks ran
        self.used = [g is not None for g in found]
        return result, tuple(g for g in found if g is not None)


class Same:
    """In the place of a tensor that a function returns and did not make: an argument by its number, one around it, or one
    that is a result already."""

    def __init__(self, argument: int | None = None, around: Tensor | None = None, result: int = 0) -> None:
        self.argument, self.around, self.result = argument, around, result

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Same) and (self.argument, self.result) == (other.argument, other.result)
                and self.around is other.around)  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def among(self, arguments: list[Tensor], results: list[Tensor]) -> Tensor:
        """Return the tensor."""
        if self.argument is not None:
            return arguments[self.argument]
        return results[self.result] if self.around is None else self.around


def resolved(result: Any, arguments: list[Tensor]) -> Any:
    """Return a program's result with the very tensors that the function would return, and new objects."""
    made = _tensors(result)
    return closed(mapped(result, lambda v: v.among(arguments, made) if isinstance(v, Same) else v))


def _parts(tree: Any) -> list[Any]:
    """Return what nested arguments consist of, in order: what stands in them, and for each container its keys or its size."""
    if isinstance(tree, Tensor):
        return [tree, *_parts(dict(tree.__dict__))]
    own = _parts(vars(tree)) if isinstance(tree, NESTED) and getattr(tree, "__dict__", None) else []
    if isinstance(tree, dict):
        return [tuple(tree), *(v for part in tree.values() for v in _parts(part)), *own]
    if isinstance(tree, tuple | list | deque):
        return [(type(tree), len(tree)), *(v for part in tree for v in _parts(part)), *own]
    return [(frozenset(tree),)] if isinstance(tree, set) else [tree]


def _spent(root: Any) -> bool:
    """Say whether no backward can go through a graph any more: one has been, or what is kept was written to since."""
    stack, seen = [root], {root}
    while stack:
        node = stack.pop()
        if getattr(node, "saved", ()) is None or getattr(getattr(node, "ctx", None), "_saved", ()) is None:
            return True
        if any(box[0] != count for box, count in getattr(node, "guards", ())):
            return True
        for edge in node.edges:
            if edge is not None and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return False


@contextlib.contextmanager
def _unhooked(leaves: Iterable[Tensor]) -> Iterator[None]:
    """Let leaves have no hooks for a while: these see the gradient that a program gives."""
    hooked: dict[Any, Any] = {x._edge: x._edge.hooks for x in leaves if x._edge is not None and x._edge.hooks is not None}
    try:
        for edge in hooked:
            edge.hooks = None
        yield
    finally:
        for edge, hooks in hooked.items():
            edge.hooks = hooks


def _leaves_among(nodes: dict[Any, None], histories: set[Any]) -> list[Tensor]:
    """Return the leaves that results were computed from. Raises RuntimeError where one was by a history from outside."""
    if not histories.isdisjoint(nodes):
        raise RuntimeError(
            "wengert.compile: the function reads a tensor around it that was computed from others that require grad; pass "
            "it as an argument"
        )
    return [node.variable for node in nodes if type(node) is AccumulateGrad and node.variable is not None]


def _behind(roots: Iterable[Any], last: Container[Any] = ()) -> dict[Any, None]:
    """Return the nodes of a history, and not what is behind those in `last`."""
    stack, seen = list(roots), dict[Any, None]()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen[node] = None
        if type(node) is not AccumulateGrad and node not in last:
            stack.extend(node.edges)
    return seen


class Training:
    """A captured function whose results require grad: a forward program, and a backward one over what forward kept."""

    def __init__(
        self, graph: Graph, joint: Joint, watched: list[Tensor], guard: Guard, fast_math: bool = False, moves: bool = False
    ) -> None:
        count = len(graph.arguments) - len(joint.outputs)
        drawn = any(e.op.name == "drawn" for e in graph.equations)
        self.writes = drawn or bool(graph.writes or graph.grads or graph.entered)
        self.guard, self.moves = guard, moves  # the latter: whether numbers vary from call to call
        arguments, seeds = graph.arguments[:count], graph.arguments[count:]
        whole = optimised(graph, fast_math)
        outputs, grads = whole.outputs
        # what depends on a seed belongs to backward; forward is the rest that its results need
        late: set[Value] = set(seeds)
        first: list[Equation] = []
        second: list[Equation] = []
        for e in whole.equations:
            if _depends(e, late):
                second.append(e)
                late.update(e.outs)
            else:
                first.append(e)
        made_by = {v: e for e in first for v in e.outs}
        views: dict[Value, Equation] = {}  # views are taken again in backward: what they look at is kept
        kept: dict[Value, None] = {}
        # storages that no watched tensor has could change unnoticed before backward: their values are kept as well
        seen = {root_id(x._array) for x in (*watched, *joint.leaves)}
        unseen = {v for v, array in whole.states if root_id(array) not in seen}
        read = [v for e in second for v in e.reads] + [v for v in grads if v not in late]
        for v in read:
            source = made_by.get(v)
            if source is not None and source.op.view and isinstance(source.inputs[0], Value):
                views[v] = source
                read.append(source.inputs[0])
            elif source is not None or v in arguments or v in unseen:
                kept[v] = None
        written = {v for v, array in whole.states if any(target is array for target, _ in whole.writes)}
        watched_states = {v for v, _ in whole.states} - unseen - written
        kept_now, made_again = recompute(kept, made_by, watched_states)
        kept = dict.fromkeys(kept_now)
        chosen = {*views, *(v for e in made_again for v in e.outs)}
        again = [e for e in first if e.outs[0] in chosen]
        rest: dict[str, Any] = {"states": whole.states, "literals": whole.literals, "devices": whole.devices}
        rest["hosts"] = on_host(whole)
        forward = Graph(
            arguments, equations=first, writes=whole.writes, grads=whole.grads, outputs=(outputs, tuple(kept)), **rest
        )  # fmt: skip
        rest["states"] = [(v, array) for v, array in whole.states if v not in kept]
        backward = Graph([*kept, *seeds], equations=again + second, outputs=tuple(grads), **rest)
        self.forward, self.backward = Program(prune(forward), fast_math), Program(prune(backward), fast_math)
        self.joint = joint
        self.parameters = joint.leaves[len(joint.places) :]
        self.watched = [*self.parameters, *watched]
        met = {v for e in whole.equations for v in e.reads} | {*kept}
        self.read = {i for i, v in enumerate(arguments) if v in met}  # the histories of others are let go
        self.used = joint.used if any(joint.used) else [True] * len(joint.used)

    def versions(self, tensors: Sequence[Tensor | None]) -> list[int]:
        """Return the write counters of what backward reads."""
        return [x._version for x in (*tensors[: self.joint.count], *self.watched) if x is not None]

    def again(self, tensors: list[Tensor], seeds: Sequence[Tensor]) -> list[Any]:
        """Return the gradients as functions of the arguments, the parameters and the seeds: of a run of the function as it is,
        whose effects are undone. Raises NotImplementedError where it might not do the same once more."""
        from wengert import autograd

        joint = self.joint
        leaves = [*itertools.compress([*(tensors[i] for i in joint.places), *self.parameters], joint.used)]
        edges, histories = {x._edge for x in leaves}, {e for x in leaves if not x.is_leaf for e in x._edge.edges}
        writes = "it writes to tensors, draws random numbers or leaves tensors somewhere" if self.writes or joint.left else None
        why = writes or ("a number that it reads varies" if self.moves else self.guard.changed())
        if why is None and not edges.isdisjoint(_behind(histories)):
            why = "an argument was computed from another, or from a parameter"
        if why is not None:
            raise NotImplementedError(
                f"the gradient of a compiled function cannot be differentiated again ({why}): compile the function that takes "
                f"the gradient instead (grad inside of the compiled function)"
            )
        args, kwargs = mapped(joint.skeleton, lambda v: tensors[v.number] if isinstance(v, Nth) else v)
        guard = Guard(joint.function, (args, kwargs))
        try:
            made = _tensors(opened(joint.function(*args, **kwargs), guard.known))
        finally:
            guard.undo()
        kept = list({id(y): y for y in made}.values())
        with _unhooked(leaves):
            found = autograd.grad([kept[i] for i in joint.outputs], leaves, seeds, create_graph=True, allow_unused=True)
        return list(found)

    def __call__(self, tensors: list[Tensor]) -> Any:
        box: list[Any] = []
        leaves = itertools.compress([tensors[i] for i in self.joint.places] + self.parameters, self.used)
        outs = _compiled_function().apply(self, tensors, box, *leaves)
        made = _tensors(box[0])
        for i, y in zip(self.joint.outputs, outs, strict=True):
            made[i] = y
        rest = iter(made)
        return mapped(box[0], lambda v: next(rest) if isinstance(v, Tensor) else v)


@functools.cache
def _compiled_function() -> Any:
    """Return the autograd function that runs a training's two programs; made late, as autograd functions load late."""
    from wengert.autograd.function import Function

    class CompiledFunction(Function):
        @staticmethod
        def forward(ctx: Any, training: Training, tensors: list[Tensor], box: list[Any], *leaves: Tensor) -> Any:
            result, ctx.kept = training.forward([x._array for x in tensors])
            ctx.training, ctx.tensors = training, [x if i in training.read else None for i, x in enumerate(tensors)]
            ctx.versions = training.versions(ctx.tensors)
            box.append(result)
            made = _tensors(result)
            return tuple(made[i] for i in training.joint.outputs)

        @staticmethod
        def backward(ctx: Any, *seeds: Any) -> Any:
            training = ctx.training
            if training.versions(ctx.tensors) != ctx.versions:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: a tensor "
                    "that a compiled function reads was written to between forward and backward"
                )
            arrays = [x._array for x in (*ctx.kept, *seeds)]
            none = [None] * (len(training.used) - sum(training.joint.used))
            if state.grad:  # create_graph
                return (None, None, None, *training.again(ctx.tensors, seeds), *none)
            batched = any(hasattr(type(a), "transform") for a in arrays)  # one of func's transforms goes over the gradient
            found = by_equations(training.backward.graph, arrays) if batched else training.backward(arrays)
            return (None, None, None, *found, *none)

    return CompiledFunction


def by_equations(graph: Graph, arrays: list[Any]) -> list[Tensor]:
    """Return the results of a graph whose ops are called one by one, on arrays of any kind."""
    values: dict[Any, Any] = dict(zip(graph.arguments, arrays, strict=True)) | dict(graph.states) | dict(graph.literals)
    for e in graph.equations:
        made = call_raw(e.op, [_lookup(values, x) for x in e.inputs], e.params)
        values.update(zip(e.outs, made if len(e.outs) > 1 else (made,), strict=True))
    return [wrap(values[v]) for v in graph.outputs]


def _depends(e: Equation, late: set[Value]) -> bool:
    return not late.isdisjoint(e.reads)
