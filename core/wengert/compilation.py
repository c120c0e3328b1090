"""`wengert.compile`: a function captured once for each kind of call, and run as a program from then on.

Owns: `Compiled`, what makes two calls the same kind, the guards on what a function reads beside its arguments, and gradients
through a compiled function. May import: graph, passes, program, autograd. Must not know: any op, any device.
A call of a new kind runs eagerly the first time (optimizers make their state then) and is captured the second time.
"""

from __future__ import annotations

import dis
import functools
import threading
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wengert import dtypes
from wengert._tensor import Tensor, wrap
from wengert.func.layers import leaves, mapped, rebuilt
from wengert.graph import Equation, Graph, Value, _flatten, _tensors, capture
from wengert.inplace import bump
from wengert.modes import state
from wengert.passes import optimised, prune
from wengert.program import Program
from wengert.tape import AccumulateGrad

CACHE = 16  # kinds of calls that are kept for one function
RECAPTURES = 8  # so many captures for changed surroundings before a warning says what changes
WATCHED, WATCHED_BYTES = 10_000, 1 << 16  # values, and bytes of a NumPy array, that are looked at before each call
_PLAIN = bool | int | float | complex | str | bytes | None


# ---- what a function reads beside its arguments
class Guard:
    """What a function can reach by its closure, globals, self and arguments, as it was at the capture.

    A captured program reads tensors where they lie, and holds all else fixed; `changed` says what is no longer as it was.
    Raises RuntimeError where that is too much to be looked at before each call. What a class holds is not watched.
    """

    def __init__(self, function: Callable[..., Any], arguments: Any) -> None:
        self.tensors: list[tuple[str, Any, Any, Tensor, Any, bool]] = []  # (name, container, key, tensor, array, requires_grad)
        self.numbers: list[tuple[str, Any, Any, Any]] = []
        self.arrays: list[tuple[str, Any, bytes]] = []
        self.sizes: list[tuple[str, Any, int]] = []
        self._seen: set[int] = set()
        self._function(function, getattr(function, "__name__", "the function"))
        for number, value in enumerate(leaves(arguments)):  # tensors and numbers are part of the kind of call
            if not isinstance(value, Tensor | _PLAIN):
                self._object(value, f"argument {number}")

    def _function(self, f: Any, name: str) -> None:
        if isinstance(f, types.MethodType):
            self._object(f.__self__, f"{name}.self")
            f = f.__func__
        if isinstance(f, functools.partial):
            self._items(f.keywords, name)
            self._items(list(f.args), name)
            self._function(f.func, name)
            return
        if not isinstance(f, types.FunctionType):
            self._object(f, name)
            return
        if id(f) in self._seen or f.__module__.split(".")[0].startswith("wengert"):
            return
        self._seen.add(id(f))
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._found(variable, _Cell(cell), "contents")
        for variable in _names(f.__code__):
            if variable in f.__globals__:
                self._found(variable, f.__globals__, variable)

    def _found(self, name: str, container: Any, key: Any) -> None:
        try:
            value = container[key]
        except ValueError:  # a cell that is still empty
            return
        if isinstance(value, Tensor):
            if "_array" in value.__dict__:
                self.tensors.append((name, container, key, value, value._array, value.requires_grad))
        elif isinstance(value, _PLAIN):
            self.numbers.append((name, container, key, value))
        else:
            self._object(value, name)
        if len(self.tensors) + len(self.numbers) > WATCHED:
            raise RuntimeError(
                f"wengert.compile: {name} and what else the function reaches hold more than {WATCHED} values, too many to look "
                f"at before each call; pass what changes as arguments, as tensors"
            )

    def _object(self, value: Any, name: str) -> None:
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            self._function(value, name)
            return
        if id(value) in self._seen or isinstance(value, types.ModuleType | type | np.generic):
            return
        self._seen.add(id(value))
        if isinstance(value, Compiled):
            self._function(value.function, name)
        elif isinstance(value, np.ndarray):
            if value.nbytes > WATCHED_BYTES:
                raise RuntimeError(
                    f"wengert.compile: {name} is a NumPy array of {value.nbytes} bytes, too many to compare before each call; "
                    f"pass it as a tensor (torch.from_numpy shares its memory)"
                )
            self.arrays.append((name, value, value.tobytes()))
        elif isinstance(value, list | tuple | dict):
            self._items(value, name)
        elif hasattr(value, "__dict__"):
            self._items(vars(value), name)

    def _items(self, value: Any, name: str) -> None:
        if not isinstance(value, tuple):
            self.sizes.append((name, value, len(value)))
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            shown = f"{name}.{key}" if isinstance(key, str) else f"{name}[{key if isinstance(key, int) else '...'}]"
            self._found(shown, value, key)

    def changed(self) -> str | None:
        """Return what is no longer as it was, or None."""
        try:
            for name, container, key, tensor, array, requires in self.tensors:
                if container[key] is not tensor:
                    return f"{name} is another tensor"
                if tensor._array is not array:
                    return f"{name} has other memory"
                if (tensor._edge is not None) is not requires:
                    return f"{name}.requires_grad is {tensor.requires_grad}"
            for name, container, key, value in self.numbers:
                if container[key] is not value and container[key] != value:
                    return f"{name} is {container[key]!r}, was {value!r}"
        except (KeyError, IndexError, ValueError):
            return f"{name} is gone"
        for name, container, size in self.sizes:
            if len(container) != size:
                return f"{name} has {len(container)} entries, had {size}"
        return next((f"{name} has other elements" for name, array, was in self.arrays if array.tobytes() != was), None)


class _Cell:
    """A closure's variable, read as containers are."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell

    def __getitem__(self, key: Any) -> Any:
        return self.cell.cell_contents


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the globals that a function's code reads, and the functions inside of it."""
    yield from dict.fromkeys(str(i.argval) for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


# ---- kinds of calls
def _kind(x: Any) -> Any:
    """Return what of an argument must be equal for two calls to be of one kind."""
    if isinstance(x, Tensor):
        a = x._array
        return type(a), a.shape, a.dtype, x._edge is not None
    if isinstance(x, tuple | list):
        return type(x), tuple([_kind(v) for v in x])
    if isinstance(x, dict):
        return dict, tuple([(k, _kind(v)) for k, v in x.items()])
    try:
        hash(x)
    except TypeError:
        return type(x), id(x)
    return type(x), x


class Entry:
    """One kind of call: how often it was made, and its program once it has one."""

    def __init__(self) -> None:
        self.calls = 0
        self.program: Program | None = None
        self.training: Training | None = None
        self.guard: Guard | None = None
        self.states: set[int] = set()
        self.written: list[Tensor] = []  # tensors around the function that a run writes to
        self.written_arguments: list[int] = []
        self.eager = ""  # why this kind runs eagerly


class Compiled:
    """What `compile` returns: call it as the function."""

    def __init__(self, function: Callable[..., Any], fallback: str | None, explain: bool) -> None:
        functools.update_wrapper(self, function)
        self.name = str(getattr(function, "__name__", function))
        self.function, self.fallback, self.explain = function, fallback, explain
        self.entries: OrderedDict[Any, Entry] = OrderedDict()
        self.recaptures: list[str] = []
        self.lock = threading.RLock()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None:  # inside of another capture: part of it
            return self.function(*args, **kwargs)
        key = (_kind(args), _kind(kwargs) if kwargs else None, state.grad, state.inference, dtypes.default_float())
        entry = self.entries.get(key)
        if entry is None:
            entry = self._enter(key)
        if entry.eager:
            return self.function(*args, **kwargs)
        if entry.program is None:
            entry.calls += 1
            if entry.calls == 1:
                return self.function(*args, **kwargs)
            return self._first(entry, args, kwargs)
        why = entry.guard.changed()  # type: ignore[union-attr]
        if why is not None:
            return self._again(entry, why, args, kwargs)
        return self._run(entry, args, kwargs)

    def _run(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        tensors = _tensors((args, kwargs)) if args or kwargs else []
        if any([_root_id(x._array) in entry.states for x in tensors]) or _overlap(tensors):
            return self.function(*args, **kwargs)  # an argument shares memory with state or another: the program assumed not
        for x in entry.written:  # writes count, as eager ones do: what was kept of these before is stale
            bump(x)
        for i in entry.written_arguments:
            bump(tensors[i])
        if entry.training is not None:
            return entry.training(tensors)
        assert entry.program is not None
        return entry.program([x._array for x in tensors])

    def _enter(self, key: Any) -> Entry:
        with self.lock:
            entry = self.entries.setdefault(key, Entry())
            while len(self.entries) > CACHE:
                self.entries.popitem(last=False)
            return entry

    def _again(self, entry: Entry, why: str, args: Any, kwargs: Any) -> Any:
        self.recaptures.append(why)
        if len(self.recaptures) == RECAPTURES:
            warnings.warn(
                f"wengert.compile: {self.name} was captured {RECAPTURES} times because what it reads beside its arguments "
                f"changes (last: {why}); pass what changes as an argument, as a tensor. It runs eagerly from now on.",
                stacklevel=3,
            )
        if len(self.recaptures) >= RECAPTURES:
            entry.eager = why
            return self.function(*args, **kwargs)
        entry.program = entry.training = entry.guard = None
        entry.calls = 1
        return self.function(*args, **kwargs)

    def _first(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        """Capture a kind of call, and run it. Raises RuntimeError where the function asks for values."""
        if _overlap(_tensors((args, kwargs))):
            return self.function(*args, **kwargs)
        with self.lock:
            if entry.program is None:
                try:
                    self._capture(entry, args, kwargs)
                except RuntimeError as error:
                    if self.fallback != "eager":
                        raise
                    entry.eager = str(error)
                    warnings.warn(f"wengert.compile: {self.name} runs eagerly: {error}", stacklevel=3)
                    return self.function(*args, **kwargs)
        return self._run(entry, args, kwargs)

    def _capture(self, entry: Entry, args: Any, kwargs: Any) -> None:
        entry.guard = Guard(self.function, (args, kwargs))
        around, given = [t[3] for t in entry.guard.tensors], _tensors((args, kwargs))
        before = [x._version for x in (*around, *given)]
        joint = _Joint(self.function)
        graph = capture(joint, args, kwargs)
        entry.states = {id(a) for _, a in graph.states}
        changed = [x._version != v for x, v in zip((*around, *given), before, strict=True)]
        entry.written = [x for x, c in zip(around, changed, strict=False) if c]
        entry.written_arguments = [i for i, c in enumerate(changed[len(around) :]) if c]
        known = {_root_id(x._array) for x in (*entry.written, *(given[i] for i in entry.written_arguments))}
        for target, v in graph.writes:
            if not isinstance(target, int) and _root_id(target) not in known:
                raise RuntimeError(
                    f"wengert.compile: the function writes to a tensor ({v.spec}) that is reached neither by its closure, "
                    f"globals and self nor by its arguments; pass it as an argument"
                )
        if joint.leaves:
            entry.training = Training(graph, joint, [t[3] for t in entry.guard.tensors])
            entry.program = entry.training.forward
        else:
            graph.outputs = graph.outputs[0]
            entry.program = Program(optimised(graph))
        if self.explain:
            print(self.explanation())

    # ---- to read
    @property
    def programs(self) -> list[Program]:
        """The programs made so far, one for each kind of call."""
        found: list[Program] = []
        for entry in self.entries.values():
            if entry.training is not None:
                found += [entry.training.forward, entry.training.backward]
            elif entry.program is not None:
                found.append(entry.program)
        return found

    def graph(self) -> Graph:
        """Return the graph of the kind of call that was captured last. Raises RuntimeError before the second call."""
        if not self.programs:
            raise RuntimeError("wengert.compile: nothing is captured yet: the second call of a kind captures it")
        return self.programs[-1].graph

    def source(self) -> str:
        """Return the source text of the programs."""
        return "\n\n".join(p.source for p in self.programs)

    def explanation(self) -> str:
        """Return what became of the function: programs, equations, groups that run in blocks, recaptures."""
        lines = [f"{self.name}: {len(self.programs)} programs"]
        for p in self.programs:
            made = sum(int(np.prod(v.shape)) * v.dtype.itemsize for e in p.graph.equations for v in e.outs if not e.op.view)
            groups = ", ".join(f"{n} equations over {size} elements" for n, size in p.fused) or "none"
            lines.append(
                f"  {len(p.graph.equations)} equations, {len(p.scalars)} of them on single elements, in blocks: {groups}; "
                f"{made} bytes computed"
            )
        lines += [f"  captured again: {why}" for why in self.recaptures]
        lines += [f"  eager: {e.eager}" for e in self.entries.values() if e.eager]
        return "\n".join(lines)


def _root_id(array: Any) -> int:
    while getattr(array, "base", None) is not None and isinstance(array.base, type(array)):
        array = array.base
    return id(array)


def _overlap(tensors: list[Tensor]) -> bool:
    """Say whether two arguments share memory."""
    if len(tensors) < 2:
        return False
    roots = [_root_id(x._array) for x in tensors]
    return len(set(roots)) < len(roots)


# ---- gradients through a compiled function
class _Joint:
    """A function and, where its results require grad, their gradients for seeds that become arguments too."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.leaves: list[Tensor] = []  # whose gradients the graph gives, beside the arguments'
        self.places: list[int] = []  # the arguments that require grad, by their number
        self.outputs: list[int] = []  # the results that do
        self.used: list[bool] = []

    def __call__(self, args: Any, kwargs: Any) -> Any:
        from wengert import autograd

        given = _tensors((args, kwargs))
        fresh = [x.detach().requires_grad_() if x.requires_grad else x for x in given]
        rest = iter(fresh)
        args, kwargs = mapped((args, kwargs), lambda v: next(rest) if isinstance(v, Tensor) else v)
        result = self.function(*args, **kwargs)
        made = _tensors(result)
        outs = [y for y in made if y._edge is not None and not any(y is x for x in fresh)]
        if not outs or not state.grad or state.recorder.leaves:  # the last: it ran backward itself
            return result, ()
        self.outputs = [i for i, y in enumerate(made) if any(y is o for o in outs)]
        self.places = [i for i, x in enumerate(fresh) if x.requires_grad]
        own = [fresh[i] for i in self.places]
        self.leaves = [*own, *(x for x in _leaves_behind(outs) if not any(x is y for y in own))]
        seeds = []
        for y in outs:
            array = np.zeros(y.shape, y._array.dtype)
            state.recorder.argument(array)
            seeds.append(wrap(state.recorder.lift(array)))
        found = autograd.grad(outs, self.leaves, seeds, allow_unused=True)
        self.used = [g is not None for g in found]
        return result, tuple(g for g in found if g is not None)


def _leaves_behind(outputs: list[Tensor]) -> list[Tensor]:
    found, stack, seen = [], [y._edge for y in outputs], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node) is AccumulateGrad:
            if node.variable is not None:
                found.append(node.variable)
        else:
            stack.extend(node.edges)
    return found


class Training:
    """A captured function whose results require grad: a forward program, and a backward one over what forward kept."""

    def __init__(self, graph: Graph, joint: _Joint, watched: list[Tensor]) -> None:
        count = len(graph.arguments) - len(joint.outputs)
        arguments, seeds = graph.arguments[:count], graph.arguments[count:]
        whole = optimised(graph)
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
        seen = {_root_id(x._array) for x in (*watched, *joint.leaves)}
        unseen = {v for v, array in whole.states if _root_id(array) not in seen}
        read = [v for e in second for v in _flatten(e.inputs) if isinstance(v, Value)] + [v for v in grads if v not in late]
        for v in read:
            source = made_by.get(v)
            if source is not None and source.op.view and isinstance(source.inputs[0], Value):
                views[v] = source
                read.append(source.inputs[0])
            elif source is not None or v in arguments or v in unseen:
                kept[v] = None
        again = [e for e in first if e.outs[0] in views]
        rest: dict[str, Any] = {"states": whole.states, "literals": whole.literals}
        forward = Graph(
            arguments, equations=first, writes=whole.writes, grads=whole.grads, outputs=(outputs, tuple(kept)), **rest
        )  # fmt: skip
        rest["states"] = [(v, array) for v, array in whole.states if v not in kept]
        backward = Graph([*kept, *seeds], equations=again + second, outputs=tuple(grads), **rest)
        self.forward, self.backward = Program(prune(forward)), Program(prune(backward))
        self.joint = joint
        self.parameters = joint.leaves[len(joint.places) :]
        self.watched = [*self.parameters, *watched]

    def versions(self, tensors: list[Tensor]) -> list[int]:
        """Return the write counters of what backward reads."""
        return [x._version for x in (*tensors, *self.watched)]

    def __call__(self, tensors: list[Tensor]) -> Any:
        box: list[Any] = []
        leaves = [tensors[i] for i in self.joint.places] + self.parameters
        outs = _compiled_function().apply(self, tensors, box, *leaves)
        made = _tensors(box[0])
        for i, y in zip(self.joint.outputs, outs, strict=True):
            made[i] = y
        return rebuilt(box[0], made) if isinstance(box[0], tuple | list | dict) else made[0]


@functools.cache
def _compiled_function() -> Any:
    """Return the autograd function that runs a training's two programs; made late, as autograd functions load late."""
    from wengert.autograd.function import Function

    class CompiledFunction(Function):
        @staticmethod
        def forward(ctx: Any, training: Training, tensors: list[Tensor], box: list[Any], *leaves: Tensor) -> Any:
            result, ctx.kept = training.forward([x._array for x in tensors])
            ctx.training, ctx.tensors, ctx.versions = training, tensors, training.versions(tensors)
            box.append(result)
            made = _tensors(result)
            return tuple(made[i] for i in training.joint.outputs)

        @staticmethod
        def backward(ctx: Any, *seeds: Any) -> Any:
            training = ctx.training
            if state.grad:
                raise NotImplementedError(
                    "the gradient of a compiled function cannot be differentiated again: compile the function that takes the "
                    "gradient instead (grad inside of the compiled function)"
                )
            if training.versions(ctx.tensors) != ctx.versions:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: a tensor "
                    "that a compiled function reads was written to between forward and backward"
                )
            found = iter(training.backward([x._array for x in (*ctx.kept, *seeds)]))
            return (None, None, None, *(next(found) if used else None for used in training.joint.used))

    return CompiledFunction


def _depends(e: Equation, late: set[Value]) -> bool:
    return any(v in late for v in _flatten(e.inputs) if isinstance(v, Value))


def compile(
    function: Callable[..., Any] | None = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = None,
    mode: str | None = None, options: Any = None, disable: bool = False, fallback: str | None = None, explain: bool = False,
) -> Any:  # fmt: skip
    """Return a function that is captured as a graph and runs as one program: forward, backward and optimizer step alike.

    fallback="eager": a function that cannot be captured runs as it is, and a warning says why (else it raises).
    explain: print what was made of it. fullgraph, dynamic, backend, mode, options: accepted as PyTorch's.
    Raises RuntimeError at the second call where the function asks for values (item(), a condition), with the remedy.
    """
    if function is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable,
            fallback=fallback, explain=explain,
        )  # fmt: skip
    if disable:
        return function
    if fallback not in (None, "eager"):
        raise ValueError(f"compile: fallback must be None or 'eager', got {fallback!r}")
    return Compiled(function, fallback, explain)
