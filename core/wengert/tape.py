"""The tape: nodes, the edges between them, and the engine that runs gradients backward.

Owns: `Node` and its kinds, `run` (the engine), the summing of gradients back to a broadcast input's shape.
May import: op records, modes, errors, threads. Must not know: how tensors are made (record.py hands it `wrap`), any op's
formula, any device. Gradients are raw device arrays; with `create` they are Tensors and the same rules run on them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from wengert import errors, threads
from wengert.modes import state
from wengert.op import Plan


def _unset(*args: Any) -> Any:
    raise RuntimeError("the tape is used before wengert._tensor and wengert.record were imported")


# Set by _tensor.py and record.py, which know tensors and ops.
wrap: Callable[..., Any] = _unset  # (raw array, edge) -> Tensor
duplicate: Callable[[Any], Any] = _unset  # raw array -> a copy
number: Callable[[Any, Any], Any] = _unset  # (what was kept of a number, g) -> a Tensor that rules read beside g
sum_to: Callable[[Any, tuple[int, ...]], Any] = _unset  # (g, shape) -> g summed to that shape
follow: Callable[..., dict[Any, Any] | None] = _unset  # set by routes.py: what a pass that is known has found, else None


class GraphNode:
    """What every node of the tape shows of itself, in PyTorch's words."""

    __slots__ = ()
    if TYPE_CHECKING:
        edges: tuple[Any, ...]  # where gradients go: to nodes, to slots of nodes, to leaves; None where none is wanted
        shapes: tuple[tuple[int, ...], ...] | None
        pull: Callable[..., Iterable[tuple[int, Any]]]
        hooks: Hooks | None
        metadata_: dict[str, Any]  # set when first needed
    outputs = 1

    def name(self) -> str:
        """Return PyTorch's name for this node, such as `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes this one sends gradients to, each with the number of the output meant."""
        ends = [e.origin if isinstance(e, Slot) else (e, 0) for e in self.edges]
        return tuple([(shown(node), number) for node, number in ends])

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary of the user's own, kept with the node."""
        try:
            return self.metadata_
        except AttributeError:
            object.__setattr__(self, "metadata_", {})
            return self.metadata_

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(grad_inputs, grad_outputs)` after this node ran; what it returns replaces grad_inputs."""
        return hooks_of(self).add("post", hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(grad_outputs)` before this node runs; what it returns replaces grad_outputs."""
        return hooks_of(self).add("pre", hook)

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"


class Node(GraphNode):
    """One recorded call: which plan it follows, the nodes of its inputs, and the values its rules read.

    `guards` are the write counters of the kept tensors, each with its count when the tensor was kept.
    """

    __slots__ = ("plan", "edges", "saved", "shapes", "guards", "hooks", "label", "metadata_", "__weakref__")
    label: str  # of the function that was called, where PyTorch prints that and not the op; set when first needed

    plan: Plan
    saved: tuple[Any, ...] | None
    shapes: tuple[tuple[int, ...], ...] | None  # of the inputs, where the call broadcast them; else None
    guards: tuple[Any, ...]

    def name(self) -> str:
        if hasattr(self, "label"):
            return self.label
        op = self.plan.op
        first = len(op.inputs) + 1
        params = self.saved[first : first + len(op.params)] if self.saved else (None,) * len(op.params)
        return op.label_of(params)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return self.plan.op.outputs

    # ---- what the engine asks of a node
    def pull(
        self, g: Any, create: bool, lift: Callable[[Any], Any] | None, needed: set[Any] | None
    ) -> Iterable[tuple[int, Any]]:
        """Return (input, gradient) for every input that needs one."""
        saved = self.saved
        if saved is None or self.guards:
            saved = self.check_saved()
        pulls = self.plan.pulls
        if create or lift is not None or needed is not None or type(g) is Part:
            if type(g) is Part:
                g = spread(g, self.outputs)
            if create:
                saved = self.tensors(saved, g)
            elif lift is not None:
                saved = tuple([lift(v) for v in saved])
            if needed is not None:
                pulls = tuple([p for p in pulls if self.edges[p[0]] in needed])
        if self.plan.once is not None and pulls:
            saved = (*saved, self.plan.once(g, saved))
        return [(i, rule(g, saved)) for i, rule in pulls]

    def check_saved(self) -> tuple[Any, ...]:
        """Return the kept values. Raises RuntimeError when they were freed, or written to since."""
        if self.saved is None:
            raise errors.freed(self.name())
        for number, (box, count) in enumerate(self.guards):
            if box[0] != count and not self._made_again(number):
                raise errors.overwritten(self.name(), self.out_shape(), box[0] - count)
        return self.saved

    def _made_again(self, number: int) -> bool:
        """Compute the result anew where only that was overwritten, and all it was made of is kept: PyTorch keeps no result
        there, and lets programs write to it. Say whether that was so."""
        plan, op, saved = self.plan, self.plan.op, self.saved or ()
        last = len(op.inputs)
        read = frozenset().union(*[op.reads[i] for i, _ in plan.pulls if i < last])
        if not plan.out or number != len(self.guards) - 1 or op.variadic or op.outputs != 1 or len(plan.inputs) != last:
            return False
        if not read.issuperset(op.params):
            return False
        params = [saved[op.places[name]] for name in op.params]
        self.saved = (*saved[:last], op(*saved[:last], *params), *saved[last + 1 :])
        self.guards = (*self.guards[:-1], ([0], 0))
        return True

    def out_shape(self) -> tuple[int, ...] | None:
        saved = self.saved or ()
        i = len(self.plan.op.inputs)
        made = saved[i] if i < len(saved) else None
        return tuple(made.shape) if made is not None and hasattr(made, "shape") else None

    def tensors(self, saved: tuple[Any, ...], g: Any = None) -> tuple[Any, ...]:
        """Return the kept values as Tensors that know their history, so that rules can be recorded again (on g)."""
        op, kept = self.plan.op, self.plan.inputs
        values = list(saved)
        last = len(op.inputs) - 1
        count = sum([len(saved[i]) if op.variadic and i == last else 1 for i in kept])
        if self.plan.out:
            count += 1 if op.outputs == 1 else sum([a is not None for a in saved[last + 1]])
        numbers = count - len(self.guards)  # numbers are kept without a counter: 0-d and without a node
        boxes = iter([box for box, _ in self.guards])

        def known(array: Any, edge: Any) -> Any:
            nonlocal numbers
            if numbers > 0 and edge is None and not array.ndim:
                numbers -= 1
                return number(array, g)
            value = wrap(array, edge)
            value._box = next(boxes, None)
            return value

        for i in kept:
            if op.variadic and i == last:
                values[i] = tuple([known(a, e) for a, e in zip(saved[i], self.edges[i:], strict=True)])
            else:
                values[i] = known(saved[i], self.edges[i])
        if self.plan.out:
            made = saved[last + 1]
            if op.outputs > 1:
                values[last + 1] = tuple([a if a is None else known(a, self.end(n, a)) for n, a in enumerate(made)])
            else:
                values[last + 1] = known(made, self)
        return tuple(values)

    def end(self, number: int, array: Any) -> Slot | None:
        """Return the edge of one of several results; what has no gradient, such as indices, has none."""
        return Slot(self, number) if array.dtype.kind not in "biu" else None

    def free(self) -> None:
        """Let go of what was kept; a node that kept nothing can run again, as in PyTorch."""
        if self.plan.keeps_arrays:
            self.saved = None


def node(
    plan: Plan, edges: tuple[Any, ...], saved: tuple[Any, ...], shapes: tuple[tuple[int, ...], ...] | None,
    guards: tuple[Any, ...] = (),
) -> Node:  # fmt: skip
    """Return a new node. (A function: every recorded op makes one, and an `__init__` of the class would take longer.)"""
    made = Node()
    made.plan = plan
    made.edges = edges
    made.saved = saved
    made.shapes = shapes
    made.guards = guards
    made.hooks = None
    return made


class Several(Node):
    """A call with several results, each of which sends its gradient through a Slot."""

    __slots__ = ()


class Watched(Node):
    """A call with hooks. (So the engine sees by the type alone that a node is an ordinary one.)"""

    __slots__ = ()


_kinds: dict[tuple[str, type[Node]], type[Node]] = {}  # the class of a name, for each kind of node


def shown(node: Any) -> Any:
    """Return a node as a program sees it: from now on its class has the name that PyTorch's has, such as AddBackward0.

    (Recording makes plain Nodes, which the engine runs in fewer steps; only what is looked at becomes a subclass.)
    """
    if isinstance(node, Node):
        kind, name = type(node), node.name().rpartition("::")[2]
        if kind.__name__ != name:
            base = kind.__bases__[0] if (kind.__name__, kind.__bases__[0]) in _kinds else kind
            if (name, base) not in _kinds:
                _kinds[name, base] = type(name, (base,), {"__slots__": (), "__module__": "builtins"})
            node.__class__ = _kinds[name, base]
    return node


class Slot:
    """One output of a node that has several: it hands its gradient to the node under its number."""

    __slots__ = ("origin", "edges", "hooks", "shapes", "__weakref__")
    outputs = 1

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


def nobody() -> None:
    """Stand where the reference to a leaf was, while the leaf requires no grad, and for a view made under `no_grad`."""


class AccumulateGrad(GraphNode):
    """The end of the tape at one leaf: it adds what arrives to the leaf's `.grad`.

    The leaf is held weakly, so that a tensor and its own end are no reference cycle.
    """

    __slots__ = ("leaf", "hooks", "metadata_", "__weakref__")
    edges: tuple[Any, ...] = ()
    shapes = None

    def __init__(self, leaf: Any) -> None:
        self.leaf: Callable[[], Any] = nobody if leaf is None else weakref.ref(leaf)
        self.hooks: Hooks | None = None

    @property
    def variable(self) -> Any:
        """The leaf tensor, or None when it is gone."""
        return self.leaf()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

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

    def __init__(self, table: dict[int, Callable[..., Any]], *beside: dict[int, bool]) -> None:
        self.table, self.id, self.beside = table, Handle._next, beside  # beside: what else is known of the hook
        Handle._next += 1

    def hooks_dict_ref(self) -> dict[int, Callable[..., Any]]:
        """Return the table that the hook is in."""
        return self.table

    def remove(self) -> None:
        self.table.pop(self.id, None)
        for marks in self.beside:
            marks.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def hooks_of(node: Any) -> Hooks:
    if node.hooks is None:
        node.hooks = Hooks()
        if type(node) is Node:
            node.__class__ = Watched
    return node.hooks  # type: ignore[no-any-return]


_leaves = threads.lock()  # several threads may run backward into the same leaves


def accumulate(node: AccumulateGrad, g: Any, create: bool, own: bool, recorder: Any) -> None:
    """Add g to the leaf's gradient: in place, so that who holds `.grad` sees it; `own`: nobody else holds g; recorder: of a
    capture that is running on this thread."""
    leaf = node.leaf()
    if leaf is None:
        return
    if recorder is not None:
        recorder.look(leaf)
        recorder.touch(leaf)
    with _leaves:
        grad = leaf._grad
        if grad is None:
            leaf._grad = g.clone() if create else wrap(g) if own else wrap(duplicate(g))
        elif create:
            leaf._grad = grad + g
        else:
            grad._accumulate_(g)
    if node.hooks is not None:
        for hook in node.hooks.of("leaf"):
            made = hook(leaf)
            if made is not None and made is not leaf:  # as an in-place step gives
                raise RuntimeError("Tensor post accumulate grad hooks should return None.")
        if "post" in node.hooks.kinds:
            _after(node, {}, g, create)


class Task:
    """One running backward: what it starts from, and which nodes it is limited to (None: all that can be reached)."""

    __slots__ = ("roots", "needed", "reached", "__weakref__")

    def __init__(self, roots: Sequence[tuple[Any, Any]], needed: set[Any] | None) -> None:
        self.roots, self.needed, self.reached = roots, needed, needed

    def runs(self, edge: Any) -> bool:
        """Say whether a gradient will arrive at an edge."""
        if self.reached is None:
            self.reached = _reachable([root for root, _ in self.roots])
        return edge in self.reached


# For types of arrays that take no 0-d host array beside them: what makes of a kept value one that they take.
numbers: dict[type, Callable[[Any], Any]] = {}
UNWATCHED = nullcontext()
anomaly: Any = None  # set by autograd.anomaly_mode: what notes where nodes were made, and looks at every gradient


def run(
    roots: Sequence[tuple[Any, Any]], *, retain: bool, create: bool, targets: Sequence[Any] | None = None, leaves: bool = True
) -> dict[Any, Any]:
    """Run gradients backward from (edge, gradient) roots; return those that reached `targets`, by edge.

    Without targets every leaf accumulates; with targets only the nodes that lead to one run, and leaves accumulate
    only if they are targets and `leaves` is set. Each node runs once, when all its gradients have arrived.
    """
    usual = Node if state.recorder is None and anomaly is None else None
    before, state.task = state.task, Task(roots, None)
    try:
        plain = usual is not None and len(roots) == 1 and (targets is None or not leaves)
        if plain and (found := follow(*roots[0], not retain, create, targets)) is not None:
            return found
        needed = None if targets is None else _ancestors(targets, [edge for edge, _ in roots])
        state.task, usual = Task(roots, needed), None if create else usual
        shared = _count([edge for edge, _ in roots], usual is None, needed)
        return _run(roots, retain, create, None if targets is None else {*targets}, needed, shared, leaves, usual)
    finally:
        state.task = before


def _run(
    roots: Sequence[tuple[Any, Any]], retain: bool, create: bool, targets: set[Any] | None, needed: set[Any] | None,
    shared: dict[Any, int], leaves: bool, usual: type[Node] | None,
) -> dict[Any, Any]:  # fmt: skip
    recorder = state.recorder
    lift = None if recorder is None else recorder.lift
    number = numbers.get(type(roots[0][1])) if numbers and lift is None else None
    frees, inner = not retain, None if targets is None or needed is None else needed - targets  # what lies on the way
    sums: dict[Any, Any] = {}  # what has arrived at nodes with several consumers
    summed: set[Any] = set()  # those whose gradient is a sum made here, which nobody else holds
    ready: list[tuple[Any, Any]] = []
    found: dict[Any, Any] = {}
    arrived: dict[AccumulateGrad, tuple[Any, bool]] = {}  # at leaves, which change only when all has gone well
    for edge, g in roots:
        _deliver(edge, g if lift is None or create else lift(g), shared, sums, summed, ready)
    while ready:
        node, g = ready.pop()
        while type(node) is usual and g is not None and (inner is None or node in inner):
            # the rest of this loop for the usual case, without what only options and hooks need
            plan = node.plan
            edges = node.edges
            shapes = node.shapes
            saved = node.saved
            if saved is None:
                raise errors.freed(node.name())
            for box, count in node.guards:
                if box[0] != count:
                    saved = node.check_saved()
            if number is not None:
                saved = tuple([number(v) for v in saved])
            if plan.once is not None:
                saved = (*saved, plan.once(g, saved))
            last = passed = None  # of the nodes that are ready now the last is the next
            for i, rule in plan.pulls:
                edge = edges[i]
                if needed is not None and edge not in needed:
                    continue
                gi = rule(g, saved)
                if shapes is not None and gi.shape != shapes[i]:
                    gi = sum_to(gi, shapes[i])
                if type(edge) is AccumulateGrad and edge.hooks is None:
                    known = arrived.get(edge)
                    arrived[edge] = (gi, _fresh(gi, g, saved)) if known is None else (known[0] + gi, True)
                    continue
                if edge in shared:
                    gi = _joined(edge, gi, shared, sums, summed)
                    if gi is WAITS:
                        continue
                if last is not None:
                    ready.append((last, passed))
                last, passed = edge, gi
            if frees and plan.keeps_arrays:
                node.saved = None
            node, g = last, passed
        if node is None:
            continue
        hooks = node.hooks
        if g is not None:
            if hooks is not None:
                g = _before(node, g, create)
            asked = targets is not None and node in targets
            if type(node) is AccumulateGrad and (targets is None or asked) and hooks is None:
                known = arrived.get(node)
                arrived[node] = (g, node in summed) if known is None else (known[0] + g, True)
                continue
            if asked:
                found[node] = g
            if type(node) is AccumulateGrad and (targets is None or (leaves and asked)):
                g = _before_all(node, g, create)
                if "leaf" not in hooks.kinds:
                    arrived[node] = g, False
                else:  # such as an optimizer's step, after which nobody holds this gradient
                    accumulate(node, g, create, False, recorder)
                continue
        edges, shapes = node.edges, node.shapes
        runs = needed is None or any([e in needed for e in edges])
        if hooks is not None and g is not None and (runs or leaves):
            g = _before_all(node, g, create)
        sent: dict[int, Any] = {}
        if edges and runs and g is not None:
            watched = anomaly is not None and type(node) is not Slot
            with anomaly.watching(node) if watched else UNWATCHED:
                sent = dict(node.pull(g, create, lift or number, needed))
                if hooks is not None and "post" in hooks.kinds:
                    sent = _after(node, sent, g, create)
                if watched:
                    anomaly.look(node, sent)
        for i, edge in enumerate(edges):
            if edge is None or (needed is not None and edge not in needed):
                continue
            gi = sent.get(i)
            if gi is not None and shapes is not None and gi.shape != shapes[i]:
                gi = sum_to(gi, shapes[i])  # broadcasting is undone here and nowhere else
            _deliver(edge, gi, shared, sums, summed, ready)
        if runs and not retain:
            node.free()
    for leaf, (g, own) in arrived.items():
        found[leaf] = g
        if leaves:
            accumulate(leaf, g, create, own, recorder)
    return found


WAITS = object()  # in the place of a gradient that has not arrived as a whole


def _joined(edge: Any, g: Any, shared: dict[Any, int], sums: dict[Any, Any], summed: set[Any]) -> Any:
    """Return what has arrived at a node with several consumers (None: nothing flows), WAITS until the last of it has come."""
    known = sums.get(edge)
    if known is not None and g is not None:
        g = known + g
        summed.add(edge)
    elif g is None:
        g = known
    count = shared[edge] = shared[edge] - 1
    if count:
        sums[edge] = g
        return WAITS
    sums.pop(edge, None)
    return g


def _deliver(
    edge: Any, g: Any, shared: dict[Any, int], sums: dict[Any, Any], summed: set[Any], ready: list[tuple[Any, Any]]
) -> None:
    """Take a gradient to a node, which is ready when its last one has come."""
    if edge in shared:
        g = _joined(edge, g, shared, sums, summed)
    if g is not WAITS:
        ready.append((edge, g))


def _count(roots: Sequence[Any], leaves: bool, needed: set[Any] | None) -> dict[Any, int]:
    """Return how many gradients each node that is needed waits for, where more than one; leaves that run nothing, only if
    asked."""
    seen: set[Any] = {None}
    shared: dict[Any, int] = {}
    found: list[Any] = []
    for edge in roots:
        if edge in seen:
            shared[edge] = shared.get(edge, 1) + 1
        else:
            seen.add(edge)
            found.append(edge)
    for node in found:  # which grows
        for edge in node.edges:
            if edge not in seen:
                if needed is not None and edge not in needed:
                    continue
                if type(edge) is not AccumulateGrad:
                    found.append(edge)
                elif not leaves and edge.hooks is None:
                    continue
                seen.add(edge)
            elif edge is not None:
                shared[edge] = shared.get(edge, 1) + 1
    return shared


def _ancestors(targets: Iterable[Any], roots: Iterable[Any]) -> set[Any]:
    """Return the nodes below the roots from which a target can be reached, those targets included."""
    consumers: dict[Any, list[Any]] = {}
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        for edge in node.edges:
            if edge is not None:
                consumers.setdefault(edge, []).append(node)
                if edge not in seen:
                    seen.add(edge)
                    stack.append(edge)
    needed = {node for node in targets if node in seen}
    stack = list(needed)
    while stack:
        for node in consumers.get(stack.pop(), ()):
            if node not in needed:
                needed.add(node)
                stack.append(node)
    return needed


def release(roots: Sequence[Any], targets: Sequence[Any]) -> None:
    """Let the nodes between roots and targets go of what they kept."""
    for node in _ancestors(targets, roots) - {*targets}:
        node.free()


def _reachable(roots: Iterable[Any]) -> set[Any]:
    seen = set(roots)
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return seen


def _fresh(gi: Any, g: Any, saved: tuple[Any, ...]) -> bool:
    """Say whether a rule made gi anew: it is not the gradient it was given, nor a kept value, nor a view of one."""
    if gi is g or getattr(gi, "base", None) is not None:
        return False
    return not any([gi is v for v in saved])


def spread(g: Any, outputs: int) -> tuple[Any, ...]:
    """Return the gradients that arrived at a node, one for each of its outputs, None where nothing came."""
    return tuple([g.parts.get(i) for i in range(outputs)]) if type(g) is Part else (g,)


def _up(value: Any, create: bool) -> Any:
    return value if value is None or create else wrap(value, None)


def _down(value: Any, create: bool) -> Any:
    return value if value is None or create else value._array


def _before(node: Any, g: Any, create: bool) -> Any:
    """Run the hooks of the tensor that a node made, which see its gradient; each may replace it."""
    for hook in node.hooks.of("tensor"):
        result = hook(_up(g, create))
        if result is not None:
            g = _down(result, create)
    return g


def _before_all(node: Any, g: Any, create: bool) -> Any:
    """Run the hooks of a node that is about to run, which see the gradients of all its results; each may replace them."""
    for hook in node.hooks.of("pre"):
        result = hook(tuple([_up(v, create) for v in spread(g, node.outputs)]))
        if result is None:
            continue
        values = [_down(v, create) for v in _counted(hook, result, node.outputs)]
        if type(g) is Part:
            g.parts = {i: v for i, v in enumerate(values) if v is not None}
        else:
            (g,) = values
    return g


def _after(node: Any, sent: dict[int, Any], g: Any, create: bool) -> dict[int, Any]:
    """Run the hooks that see what a node sends on; each may replace it."""
    given = tuple([_up(v, create) for v in spread(g, node.outputs)])
    for hook in node.hooks.of("post"):
        result = hook(tuple([_up(sent.get(i), create) for i in range(len(node.edges))]), given)
        if result is not None:
            results = _counted(hook, result, len(node.edges))
            sent = {i: _down(r, create) for i, r in enumerate(results) if r is not None}
    return sent


def _counted(hook: Any, result: Any, expected: int) -> Any:
    """Return what a hook returned as a tuple of as many gradients as it was given. Raises RuntimeError."""
    results = result if isinstance(result, tuple | list) else (result,)
    if len(results) != expected:
        raise errors.hook_count(hook, len(results), expected)
    return results
