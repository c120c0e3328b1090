"""The tape: nodes, the edges between them, and the engine that runs gradients backward.

Owns: `Node` and its kinds, `run` (the engine), the summing of gradients back to a broadcast input's shape.
May import: op records, modes, errors. Must not know: how tensors are made (record.py hands it `wrap`), any op's
formula, any device. Gradients are raw device arrays; with `create` they are Tensors and the same rules run on them.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wengert import errors
from wengert.modes import state
from wengert.op import Plan

Hook = Callable[[Any], Any]
# Set by tensor.py and record.py: (raw array, edge) -> Tensor; (g, shape) -> g summed to that shape.
wrap: Callable[[Any, Any], Any]
sum_to: Callable[[Any, tuple[int, ...]], Any]
duplicate: Callable[[Any], Any]  # raw array -> a copy


class Node:
    """One recorded call: which plan it follows, the nodes of its inputs, and the values its rules read.

    `guards` are the version boxes of the kept tensors and `stamp` the sum of their counts when they were kept:
    counts only grow, so an equal sum means that none was written to.
    """

    __slots__ = ("plan", "edges", "saved", "shapes", "guards", "stamp", "hooks", "label", "metadata_", "__weakref__")

    def __init__(
        self,
        plan: Plan,
        edges: tuple[Any, ...],
        saved: tuple[Any, ...],
        shapes: tuple[tuple[int, ...] | None, ...] | None,
        guards: Sequence[list[int]] = (),
        stamp: int = 0,
    ) -> None:
        self.plan = plan
        self.edges = edges
        self.saved: tuple[Any, ...] | None = saved
        self.shapes = shapes  # of the inputs, where the call broadcast them; else None
        self.guards = guards
        self.stamp = stamp
        self.hooks: Hooks | None = None  # `label` and `metadata_` are set when first needed

    # ---- what PyTorch shows of a node
    def name(self) -> str:
        """Return PyTorch's name for this node, such as `MulBackward0`."""
        label = getattr(self, "label", None)
        if label is not None:
            return label  # type: ignore[no-any-return]
        op = self.plan.op
        first = len(op.inputs) + 1
        params = self.saved[first : first + len(op.params)] if self.saved else (None,) * len(op.params)
        return op.label_of(params)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes this one sends gradients to, each with the number of the output meant."""
        return tuple(e.origin if isinstance(e, Slot) else (e, 0) for e in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary of the user's own, kept with the node."""
        try:
            return self.metadata_  # type: ignore[no-any-return, has-type]
        except AttributeError:
            self.metadata_: dict[str, Any] = {}
            return self.metadata_

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(grad_inputs, grad_outputs)` after this node ran; what it returns replaces grad_inputs."""
        return hooks_of(self).add("post", hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(grad_outputs)` before this node runs; what it returns replaces grad_outputs."""
        return hooks_of(self).add("pre", hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    # ---- what the engine asks of a node
    def pull(
        self, g: Any, create: bool, lift: Callable[[Any], Any] | None, needed: set[Any] | None
    ) -> Iterable[tuple[int, Any]]:
        """Return (input, gradient) for every input that needs one."""
        saved = self.check_saved()
        if type(g) is Part:
            g = tuple([g.parts.get(i) for i in range(self.plan.op.outputs)])
        if create:
            saved = self.tensors(saved)
        elif lift is not None:
            saved = tuple([lift(v) for v in saved])
        pulls = self.plan.pulls
        if needed is not None:
            edges = self.edges
            pulls = tuple([p for p in pulls if edges[p[0]] in needed])
        if len(pulls) == 1:
            i, rule = pulls[0]
            return ((i, rule(g, saved)),)
        return [(i, rule(g, saved)) for i, rule in pulls]

    def check_saved(self) -> tuple[Any, ...]:
        """Return the kept values. Raises RuntimeError when they were freed, or written to since."""
        if self.saved is None:
            raise errors.freed(self.name())
        now = 0
        for box in self.guards:
            now += box[0]
        if now != self.stamp:
            raise errors.overwritten(self.name(), self.out_shape(), now - self.stamp)
        return self.saved

    def out_shape(self) -> tuple[int, ...] | None:
        saved = self.saved or ()
        i = len(self.plan.op.inputs)
        return tuple(saved[i].shape) if i < len(saved) and saved[i] is not None else None

    def tensors(self, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the kept values as Tensors that know their history, so that rules can be recorded again."""
        op = self.plan.op
        values = list(saved)
        last = len(op.inputs) - 1
        for i in self.plan.inputs:
            if op.variadic and i == last:
                values[i] = tuple(wrap(a, e) for a, e in zip(saved[i], self.edges[last:], strict=True))
            elif saved[i] is not None:
                values[i] = wrap(saved[i], self.edges[i])
        if self.plan.out:
            values[last + 1] = wrap(saved[last + 1], self)
        return tuple(values)

    def free(self) -> None:
        """Let go of what was kept; a node that kept nothing can run again, as in PyTorch."""
        if self.plan.keeps_arrays:
            self.saved, self.guards, self.stamp = None, (), 0


class Slot:
    """One output of a node that has several: it hands its gradient to the node under its number."""

    __slots__ = ("origin", "edges", "hooks", "shapes", "__weakref__")

    def __init__(self, node: Any, number: int) -> None:
        self.origin = (node, number)
        self.edges = (node,)
        self.hooks: Hooks | None = None
        self.shapes = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and self.origin[0] is other.origin[0] and self.origin[1] == other.origin[1]

    def __hash__(self) -> int:
        return hash((id(self.origin[0]), self.origin[1]))

    def pull(self, g: Any, create: bool, lift: Any, needed: Any) -> Iterable[tuple[int, Any]]:
        return ((0, Part(self.origin[1], g)),)

    def free(self) -> None:
        pass


class Part:
    """Gradients on their way to a node with several outputs, by output number."""

    __slots__ = ("parts",)

    def __init__(self, number: int, g: Any) -> None:
        self.parts = {number: g}

    def __add__(self, other: Part) -> Part:
        both = Part(-1, None)
        both.parts = {**self.parts, **other.parts}
        return both


class AccumulateGrad:
    """The end of the tape at one leaf: it adds what arrives to the leaf's `.grad`.

    The leaf is held weakly, so that a tensor and its own end are no reference cycle.
    """

    __slots__ = ("leaf", "hooks", "__weakref__")
    edges: tuple[Any, ...] = ()
    next_functions: tuple[Any, ...] = ()

    def __init__(self, leaf: Any) -> None:
        self.leaf = weakref.ref(leaf)
        self.hooks: Hooks | None = None

    @property
    def variable(self) -> Any:
        """The leaf tensor, or None when it is gone."""
        return self.leaf()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        return hooks_of(self).add("post", hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        return hooks_of(self).add("pre", hook)

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"

    def free(self) -> None:
        pass


class Hooks:
    """The hooks of one node: `tensor` and `pre` before it runs, `post` after it, `leaf` after a leaf's accumulation."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[int, Callable[..., Any]]] = {}

    def add(self, kind: str, hook: Callable[..., Any]) -> Handle:
        handle = Handle(self.kinds.setdefault(kind, {}))
        handle.table[handle.id] = hook
        return handle

    def of(self, kind: str) -> list[Callable[..., Any]]:
        return list(self.kinds.get(kind, {}).values())


class Handle:
    """What registering a hook returns: `remove()` takes the hook away; also a context manager."""

    _next = 0

    def __init__(self, table: dict[int, Callable[..., Any]]) -> None:
        self.table, self.id = table, Handle._next
        Handle._next += 1

    def remove(self) -> None:
        self.table.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def hooks_of(node: Any) -> Hooks:
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks  # type: ignore[no-any-return]


_leaves = threading.Lock()  # several threads may run backward into the same leaves


def accumulate(node: AccumulateGrad, g: Any, create: bool, own: bool) -> None:
    """Add g to the leaf's gradient: in place, so that who holds `.grad` sees it; `own`: nobody else holds g."""
    leaf = node.leaf()
    if leaf is None:
        return
    with _leaves:
        grad = leaf._grad
        if state.recorder is not None:
            state.recorder.touch(leaf)
        if create:
            leaf._grad = g.clone() if grad is None else grad + g
        elif grad is None:
            leaf._grad = wrap(g, None) if own else wrap(duplicate(g), None)
        else:
            grad._accumulate_(g)
    if node.hooks is not None:
        for hook in node.hooks.of("leaf"):
            hook(leaf)


def run(
    roots: Sequence[tuple[Any, Any]], *, retain: bool, create: bool, targets: Sequence[Any] | None = None, leaves: bool = True
) -> dict[Any, Any]:
    """Run gradients backward from (edge, gradient) roots; return those that reached `targets`, by edge.

    Without targets every leaf accumulates; with targets only the nodes that lead to one run, and leaves accumulate
    only if they are targets and `leaves` is set. Each node runs once, when all its gradients have arrived.
    """
    grads: dict[Any, Any] = {}
    for edge, g in roots:
        grads[edge] = grads[edge] + g if edge in grads else g
    waiting, consumers = _count(grads, targets is not None)
    needed = None if targets is None else _ancestors(targets, consumers)
    for edge in grads:
        waiting[edge] -= 1
    ready = [edge for edge in reversed(list(grads)) if waiting[edge] == 0]
    wanted = set(targets or ())
    found: dict[Any, Any] = {}
    owned: set[Any] = set()  # leaves whose waiting gradient is theirs alone
    lift = state.recorder.lift if state.recorder is not None else None
    while ready:
        node = ready.pop()
        g = grads.pop(node, None)
        hooks = node.hooks
        if g is not None:
            if hooks is not None:
                g = _before(hooks, g, create)
            if node in wanted:
                found[node] = g
            if type(node) is AccumulateGrad and (targets is None or (leaves and node in wanted)):
                accumulate(node, g, create, node in owned)
        edges = node.edges
        if not edges:
            continue
        shapes = node.shapes
        sent: Iterable[tuple[int, Any]] = ()
        if g is not None and (needed is None or node in needed):
            sent = node.pull(g, create, lift, needed)
            if hooks is not None and "post" in hooks.kinds:
                sent = _after(hooks, sent, g, len(edges), create)
        for i, gi in sent:
            if gi is None:
                continue
            if shapes is not None and gi.shape != shapes[i]:
                gi = sum_to(gi, shapes[i])  # broadcasting is undone here and nowhere else
            edge = edges[i]
            if edge in grads:
                grads[edge] = grads[edge] + gi
                owned.add(edge)
            else:
                grads[edge] = gi
                if type(edge) is AccumulateGrad and _fresh(gi, g, node):
                    owned.add(edge)
        for edge in edges:
            if edge is not None:
                waiting[edge] = count = waiting[edge] - 1
                if count == 0:
                    ready.append(edge)
        if not retain:
            node.free()
    return found


def _count(roots: Iterable[Any], reverse: bool) -> tuple[dict[Any, int], dict[Any, list[Any]]]:
    """Return how many gradients each reachable node waits for (roots one more), and, if asked, who sends to whom."""
    waiting = dict.fromkeys(roots, 1)
    stack = list(waiting)
    consumers: dict[Any, list[Any]] = {}
    while stack:
        node = stack.pop()
        for edge in node.edges:
            if edge is None:
                continue
            if reverse:
                consumers.setdefault(edge, []).append(node)
            if edge in waiting:
                waiting[edge] += 1
            else:
                waiting[edge] = 1
                stack.append(edge)
    return waiting, consumers


def _ancestors(targets: Iterable[Any], consumers: dict[Any, list[Any]]) -> set[Any]:
    """Return the nodes from which a target can be reached, targets included."""
    seen = set(targets)
    stack = list(seen)
    while stack:
        for node in consumers.get(stack.pop(), ()):
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen


def _fresh(gi: Any, g: Any, node: Any) -> bool:
    """Say whether a rule made gi anew: it is not the gradient it was given, nor a kept value, nor a view of one."""
    saved = getattr(node, "saved", None) or ()
    return gi is not g and getattr(gi, "base", None) is None and all(gi is not v for v in saved)


def _before(hooks: Hooks, g: Any, create: bool) -> Any:
    """Run the hooks that see a node's incoming gradient; each may replace it."""
    for kind in ("tensor", "pre"):
        for hook in hooks.of(kind):
            given = g if create else wrap(g, None)
            result = hook((given,)) if kind == "pre" else hook(given)
            if isinstance(result, tuple):
                (result,) = result
            if result is not None:
                g = result if create else result._array
    return g


def _after(
    hooks: Hooks, sent: Iterable[tuple[int, Any]], g: Any, count: int, create: bool
) -> Iterable[tuple[int, Any]]:
    """Run the hooks that see what a node sends on; each may replace it."""

    def up(value: Any) -> Any:
        return value if value is None or create else wrap(value, None)

    values = dict(sent)
    for hook in hooks.of("post"):
        result = hook(tuple(up(values.get(i)) for i in range(count)), (up(g),))
        if result is not None:
            values = {i: r if create else r._array for i, r in enumerate(result) if r is not None}
    return values.items()
