"""Capture: one more backend, whose arrays are symbols and whose kernels write equations.

Owns: `capture`, `Graph` (equations of op records; printable, drawable, callable), `Symbol` and the recording backend.
May import: op, backend, record, tensor, modes. Must not know: any op's formula or gradient, any device, any optimizer:
forward, backward and update run unchanged on symbols. Writes become equations that give the storage a new value; what a
captured function changed (storages, `.grad`) is written back by each call of the graph.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert import backend, errors, record, threads
from wengert._tensor import Size, Tensor, wrap
from wengert.modes import state
from wengert.op import OPS, Op


class Value:
    """One value of a graph: a number to print it by, shape and dtype."""

    __slots__ = ("number", "shape", "dtype")

    def __init__(self, number: int, shape: Sequence[int], dtype: Any) -> None:
        self.number, self.shape, self.dtype = number, tuple(shape), np.dtype(dtype)

    def __repr__(self) -> str:
        return f"%{self.number}"

    @property
    def spec(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


@dataclass
class Equation:
    """`outs = op(*inputs, *params)`; inputs are values, 0-d host constants, or tuples of them."""

    op: Op
    inputs: tuple[Any, ...]
    params: tuple[Any, ...]
    outs: tuple[Value, ...]

    @functools.cached_property
    def reads(self) -> tuple[Value, ...]:
        """The values among the inputs."""
        return tuple([v for v in _flatten(self.inputs) if isinstance(v, Value)])

    def __str__(self) -> str:
        left = ", ".join(f"{v}: {v.spec}" for v in self.outs)
        args = [_show(x) for x in self.inputs] + [f"{n}={_show(p)}" for n, p in zip(self.op.params, self.params, strict=True)]
        return f"{left} = {self.op.name} {', '.join(args)}"


def _show(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return repr(x.item()) if not x.ndim else f"literal{list(x.shape)}"
    if isinstance(x, tuple):
        return "(" + ", ".join(_show(v) for v in x) + ")"
    return x.name if isinstance(x, Op) else repr(x)


class Cell:
    """One storage during a capture: the value it has now, and the real array it stands for, if any."""

    __slots__ = ("value", "array", "writes")

    def __init__(self, value: Value, array: Any = None) -> None:
        self.value, self.array, self.writes = value, array, 0


class Symbol:
    """A symbolic array: a storage and the views that lead from it here; `ghost` has its shape, dtype and strides."""

    __slots__ = ("recorder", "cell", "path", "ghost", "taken")
    __array_ufunc__ = None

    def __init__(self, recorder: Recorder, cell: Cell, path: tuple[Any, ...] = (), ghost: Any = None) -> None:
        self.recorder, self.cell, self.path = recorder, cell, path
        self.ghost = _ghost(cell.value.shape, cell.value.dtype) if ghost is None else ghost
        self.taken: tuple[int, Value] | None = None  # the view's value, and the storage's writes when it was taken

    @property
    def shape(self) -> tuple[int, ...]:
        log = self.recorder.log
        return self.ghost.shape if log is None else log.seen(self.ghost.shape)  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.ghost.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self.ghost.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        log = self.recorder.log
        return self.ghost.strides if log is None else log.seen(self.ghost.strides)  # type: ignore[no-any-return]

    @property
    def flags(self) -> Any:
        return self.ghost.flags

    @property
    def base(self) -> Any:
        return self.cell if self.path else None

    def __bool__(self) -> bool:
        raise errors.captured_value("a condition")

    def __getitem__(self, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        if any(i is ... for i in index):  # which the op does not take
            at = [i is ... for i in index].index(True)
            rest = self.ndim - sum(i is not None for i in index) + 1
            index = (*index[:at], *[slice(None)] * rest, *index[at + 1 :])
        return OPS["getitem"](self, index)

    def __repr__(self) -> str:
        return f"<symbol {self.cell.value}: {self.dtype}{list(self.shape)}>"


record.give_operators(Symbol)


NOWHERE = np.empty(32, np.uint8)  # where ghosts begin


def _ghost(shape: Sequence[int], dtype: Any) -> Any:
    """Return an array with a shape, dtype and row-major strides, and no memory: never read."""
    strides, step = [], np.dtype(dtype).itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    place = NOWHERE[: np.dtype(dtype).itemsize].view(dtype)
    return np.lib.stride_tricks.as_strided(place, tuple(shape), tuple(reversed(strides)))


@dataclass
class Graph:
    """What a captured function does, as equations. Call it with new arguments of the same shapes and types."""

    arguments: list[Value] = field(default_factory=list)
    states: list[tuple[Value, Any]] = field(default_factory=list)  # storages that were met on the way
    literals: list[tuple[Value, Any]] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)
    writes: list[tuple[Any, Value]] = field(default_factory=list)  # (storage or argument number, its new value)
    grads: list[tuple[Tensor, Value | None]] = field(default_factory=list)  # leaves whose .grad is replaced
    entered: list[Tensor] = field(default_factory=list)  # leaves whose .grad, as a call finds it, is one more argument
    looked: list[tuple[Tensor, bool]] = field(default_factory=list)  # leaves that had to have a .grad, or none
    outputs: Any = None  # the function's result, with a Value for every tensor
    devices: tuple[str, ...] = ()  # where its arrays are
    hosts: set[Value] = field(default_factory=set)  # values on the host: arguments, states, and what is made of these alone
    _program: Any = field(default=None, repr=False, compare=False)

    def __call__(self, *args: Any) -> Any:
        """Run the equations on real arrays, write back what changed, and return what the function returned.

        Raises TypeError for arguments of another shape or dtype than those of the capture.
        """
        arrays = [x._array for x in _tensors(args)]
        if [(tuple(a.shape), a.dtype) for a in arrays] != [(v.shape, v.dtype) for v in self.arguments]:
            wanted = ", ".join(v.spec for v in self.arguments)
            raise TypeError(f"this graph was captured for ({wanted}), got ({errors.describe(arrays)}); capture again")
        values: dict[Value, Any] = dict(zip(self.arguments, arrays, strict=True))
        values.update(self.states)
        values.update(self.literals)
        given = set(values)
        owner = backend.of_array(next(iter(values.values()))) if values else backend.default_device().backend
        if hasattr(owner, "fused") and len(self.devices) == 1:  # a device that makes one kernel of several equations
            if self._program is None:
                from wengert.compiler.program import Program

                self._program = Program(self)
            return self._program(arrays)
        with owner.quiet():
            for equation in self.equations:
                inputs = [_lookup(values, x) for x in equation.inputs]
                made = record.call_raw(equation.op, inputs, equation.params)
                values.update(zip(equation.outs, made if len(equation.outs) > 1 else (made,), strict=True))

        def taken(v: Value) -> Any:
            """Return a value that nobody else holds."""
            array = values[v]
            return owner.copy(array) if v in given or v in held or getattr(array, "base", None) is not None else array

        held: set[Value] = set()
        changed = []
        for target, v in self.writes:
            changed.append((arrays[target] if isinstance(target, int) else target, taken(v)))
        gradients = []
        for leaf, value in self.grads:
            gradients.append((leaf, None if value is None else wrap(taken(value))))
            held |= {value} if value is not None else set()

        def give(v: Value) -> Tensor:
            result = wrap(taken(v))
            held.add(v)
            return result

        result = _rebuild(self.outputs, give)
        for target, array in changed:
            owner.write(target, array)
        for leaf, grad in gradients:
            leaf._grad = grad
        return result

    def count(self) -> int:
        """Return a number above those of all values."""
        given = (*self.arguments, *(v for v, _ in self.states), *(v for v, _ in self.literals))
        return max((v.number for v in (*given, *(v for e in self.equations for v in e.outs))), default=-1) + 1

    def __str__(self) -> str:
        lines = ["graph(" + ", ".join(f"{v}: {v.spec}" for v in self.arguments) + ")"]
        lines += [f"  {v}: {v.spec} = state" for v, _ in self.states]
        lines += [f"  {v}: {v.spec} = literal {_shorten(a)}" for v, a in self.literals]
        lines += [f"  {equation}" for equation in self.equations]
        names = {id(a): v for v, a in self.states}
        for target, v in self.writes:
            lines.append(f"  write {self.arguments[target] if isinstance(target, int) else names[id(target)]} <- {v}")
        lines += [f"  grad of {names.get(id(_root(leaf._array)), 'a leaf')} <- {v}" for leaf, v in self.grads]
        return "\n".join([*lines, f"  return {_rebuild(self.outputs, lambda v: v)}"])

    def __repr__(self) -> str:
        return f"<graph of {len(self.equations)} equations>"

    def draw(self) -> Any:
        """Return a drawing: boxes for arguments, storages, equations and the result. A notebook shows it; it has `save(path)`,
        `dot()` and `mermaid()`."""
        from wengert.drawing import Box, Drawing

        boxes, arrows, place = list[Box](), list[tuple[int, int]](), dict[Value, int]()

        def add(box: Box, reads: Any) -> int:
            boxes.append(box)
            arrows.extend((place[v], len(boxes) - 1) for v in _flatten(reads) if isinstance(v, Value))
            return len(boxes) - 1

        given = {"argument": self.arguments, "state": [v for v, _ in self.states], "literal": [v for v, _ in self.literals]}
        for title, values in given.items():
            place.update((v, add(Box(title, "leaf", v.shape), ())) for v in values)
        for e in self.equations:
            place.update(dict.fromkeys(e.outs, add(Box(e.op.name, "op", e.outs[0].shape), e.inputs)))
        results: list[Value] = []
        _rebuild(self.outputs, results.append)
        for title, values in (("result", results), ("written", [v for _, v in self.writes])):
            for v in values:
                add(Box(title, "result", v.shape), (v,))
        for _, grad in self.grads:
            if grad is not None:
                add(Box("gradient", "result", grad.shape), (grad,))
        return Drawing(boxes, arrows)

    def dot(self) -> str:
        """Return the graph in Graphviz's language."""
        return str(self.draw().dot())

    def source(self) -> str:
        """Return the source text of the program that `wengert.compile` makes of the graph."""
        from wengert.compiler.passes import optimised
        from wengert.compiler.program import Program

        return Program(optimised(self)).source


def spread(hosts: set[Value], e: Equation) -> None:
    """Add what an equation computes to the values on the host, where it is computed there."""
    place = e.params[e.op.params.index("place")] if "place" in e.op.params else None  # where what is moved or drawn is to be
    if e.reads and hosts.issuperset(e.reads) if place is None else place.type == backend.HOST:
        hosts.update(e.outs)


def _shorten(array: Any) -> str:
    text = np.array2string(backend.of_array(array).to_host(array), threshold=6).replace("\n", " ")
    return text if len(text) < 60 else text[:57] + "..."


class Recorder:
    """The recording backend of one capture. It stands in for every backend on its thread."""

    array_type = Symbol

    def __init__(self, place: backend.device, log: Any = None) -> None:
        self.name, self.index = place.type, place.ordinal
        self.log = log  # of numbers that vary from call to call (compiler/varying.py), where these are watched
        self.graph = Graph()
        self.given: list[Cell] = []  # of the arguments, in their order
        self.cells: dict[int, Cell] = {}  # by the id of the real storage, which the cell keeps alive
        self.count = 0
        self.leaves: dict[int, tuple[Tensor, Tensor | None]] = {}  # whose .grad changed, and what it was
        self.outside: dict[int, Tensor | None] = {}  # leaves by the array of the .grad that they had before, and by its storage
        self.looks: dict[int, tuple[Tensor, bool]] = {}  # leaves that were asked for it, and whether there was one
        self.closed = False
        self.met: list[str] = []  # the devices of real arrays

    # ---- values
    def value(self, shape: Sequence[int], dtype: Any) -> Value:
        self.count += 1
        return Value(self.count - 1, shape, dtype)

    def lift(self, x: Any) -> Any:
        """Return a real array as the symbol of its storage; symbols, constants and other values as they are."""
        if isinstance(x, tuple | list):
            return tuple(self.lift(v) for v in x)
        if isinstance(x, Symbol):
            if x.recorder is not self or self.closed:
                raise errors.escaped_symbol()
            return x
        if isinstance(x, np.generic):
            x = np.asarray(x)
        if not hasattr(x, "dtype") or not hasattr(x, "strides") or record.is_constant(x) or hasattr(x, "level"):
            return x  # the last: an array of a func transform, which holds symbols itself
        if hasattr(x, "parts"):
            raise errors.captured_sparse()
        if id(x) in self.outside and id(x) not in self.cells:
            self.enter(x)
        root = x if id(x) in self.cells else _root(x)
        if id(root) in self.outside and id(root) not in self.cells:
            self.enter(root)
        cell = self.cells.get(id(root))
        if cell is None:
            cell = self.cells[id(root)] = Cell(self.value(root.shape, root.dtype), root)
            self.graph.states.append((cell.value, root))
            self.meet(cell.value, root)
        if x is root or (x.shape == root.shape and x.strides == root.strides):
            return Symbol(self, cell)
        if x.size == root.size and x.flags.c_contiguous and root.flags.c_contiguous:
            return Symbol(self, cell, ((OPS["reshape"], (tuple(x.shape),)),), _ghost(x.shape, x.dtype))
        item = root.dtype.itemsize
        owner = _owner(root)
        offset = (owner.address(x) - owner.address(root)) // item
        params = (tuple(x.shape), tuple(n // item for n in x.strides), offset, tuple(n // item for n in root.strides))
        ghost = backend.kernel_of(OPS["as_strided"], _owner(NOWHERE))(_ghost(root.shape, root.dtype), *params)  # type: ignore[misc]
        return Symbol(self, cell, ((OPS["as_strided"], params),), ghost)

    def meet(self, value: Value, array: Any) -> None:
        """Remember where a real array is."""
        self.met.append(_owner(array).name)
        if self.met[-1] == backend.HOST:
            self.graph.hosts.add(value)

    def argument(self, array: Any) -> None:
        """Make an array an argument of the graph: a storage of its own, whatever it is a view of."""
        if hasattr(array, "parts"):
            raise errors.captured_sparse()
        cell = self.cells[id(array)] = Cell(self.value(array.shape, array.dtype), array)
        self.graph.arguments.append(cell.value)
        self.given.append(cell)
        self.meet(cell.value, array)

    def enter(self, array: Any) -> None:
        """Make the gradient that a leaf had before an argument: it is another tensor at the next call. Raises RuntimeError
        where it shares memory, and where all arguments are known already."""
        leaf = self.outside[id(array)]
        if leaf is None:
            raise RuntimeError(
                "wengert.compile: the function reads a gradient that was there before and shares memory with another tensor, "
                "or reads it in a hook; take what it needs as an argument"
            )
        self.argument(array)
        self.graph.entered.append(leaf)

    def placeholder(self, array: Any, shape: Sequence[int]) -> Symbol:
        """Return a symbol of a shape as an argument of the graph, in the place of an array of that type and device."""
        cell = Cell(self.value(shape, array.dtype))
        self.cells[id(cell)] = cell
        self.graph.arguments.append(cell.value)
        self.given.append(cell)
        self.meet(cell.value, array)
        return Symbol(self, cell)

    def literal(self, array: Any) -> Symbol:
        """Return data made during the capture as a symbol that is the same in every run."""
        v = self.value(array.shape, array.dtype)
        self.graph.literals.append((v, array))
        if type(array) is not np.ndarray or array.ndim:  # numbers meet any device's
            self.meet(v, array)
        return Symbol(self, Cell(v))

    def read(self, x: Any) -> Any:
        """Return the value an input has now; a view is taken by equations, once for each state of its storage."""
        if isinstance(x, tuple | list):
            return tuple(self.read(v) for v in x)
        x = self.lift(x)
        if not isinstance(x, Symbol):
            return x
        if x.taken is None or x.taken[0] != x.cell.writes:
            v = x.cell.value
            for op, params in x.path:
                (v,) = self.emit(op, (v,), params)
            x.taken = (x.cell.writes, v)
        return x.taken[1]

    def emit(self, op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> tuple[Value, ...]:
        """Append an equation and return its values."""
        assert op.infer is not None
        specs = op.infer(*inputs, *params)
        outs = tuple(self.value(*s) for s in (specs if op.outputs > 1 else (specs,)))
        self.graph.equations.append(Equation(op, inputs, params, outs))
        spread(self.graph.hosts, self.graph.equations[-1])
        return outs

    # ---- as a backend
    def kernel(self, op: Op) -> Callable[..., Any]:
        from wengert.strides import shown

        def append(*args: Any, out: Any = ...) -> Any:
            width = len(op.inputs)
            inputs, params = args[:width], args[width:]
            if self.log is not None:
                self.log.called()
                params = self.log.plain(params)
            made = shown(self, op, tuple(self.lift(x) for x in inputs), params)
            return made if out is ... else self.write(out, made)

        return append

    def write(self, target: Any, values: Any) -> Any:
        symbol = self.lift(target)
        v = self.read(values)
        if isinstance(v, np.ndarray):
            v = self.literal(v).cell.value
        if v.dtype != symbol.dtype:
            (v,) = self.emit(OPS["cast"], (v,), (symbol.dtype,))
        if v.shape != symbol.shape:
            (v,) = self.emit(OPS["broadcast_to"], (v,), (symbol.shape,))
        if symbol.path:
            (v,) = self.emit(OPS["assign"], (symbol.cell.value, v), (symbol.path,))
        symbol.cell.value = v
        symbol.cell.writes += 1
        return target

    def copy(self, array: Any) -> Any:
        return self.kernel(OPS["copy"])(array)

    def add_into(self, target: Any, values: Any) -> None:
        self.kernel(OPS["add"])(target, values, out=target)

    def from_host(self, array: Any, index: int) -> Any:
        return self.literal(self.placed(array))

    def placed(self, array: Any) -> Any:
        """Return a host array on the device that is recorded."""
        return array if self.name == backend.HOST else backend.backend_named(self.name).from_host(array, self.index)

    def to_host(self, array: Any) -> Any:
        raise errors.captured_value("reading elements (item, numpy, tolist, print, a condition)")

    def address(self, array: Any) -> int:
        if not isinstance(array, Symbol):
            return int(_owner(array).address(array))
        start, first = array.ghost.ctypes.data - NOWHERE.ctypes.data, array.cell.array
        return int(start + (id(array.cell) if first is None else _owner(first).address(first)))

    def index_of(self, array: Any) -> int:
        return 0

    def place(self, array: Any) -> backend.device:
        """Return where an array is, so that its transfer is recorded: what is not made on the host is where the capture is."""
        real = array if not isinstance(array, Symbol) else None if array.cell.writes else array.cell.array
        if isinstance(array, Symbol) and array.cell.value in self.graph.hosts:
            real = NOWHERE
        owner = self if real is None else _owner(real)
        place = backend.device.__new__(backend.device)
        place.type = owner.name
        place.index = None if owner.name == backend.HOST else self.index if real is None else owner.index_of(real)
        return place

    def quiet(self) -> Any:
        return contextlib.nullcontext()

    def synchronize(self, index: int) -> None:
        """Nothing runs."""

    # ---- what the tape tells
    def touch(self, leaf: Tensor) -> None:
        """Remember a leaf whose `.grad` is about to change, and what it was."""
        self.leaves.setdefault(id(leaf), (leaf, leaf._grad))

    def look(self, leaf: Tensor) -> None:
        """Remember whether a leaf had a `.grad` before, which the function asks for."""
        if id(leaf) not in self.leaves:
            self.looks.setdefault(id(leaf), (leaf, leaf._grad is not None))

    def finish(self, outputs: Any) -> Graph:
        """Complete the graph: what is returned, what is written back; `.grad` of leaves is put back as it was."""
        graph = self.graph
        for leaf, before in self.leaves.values():
            now = leaf._grad
            if now is not before or now is None:  # a call may find one where the capture found none
                graph.grads.append((leaf, None if now is None else self.read(now._array)))
                leaf._grad = before
        graph.outputs = _rebuild_tensors(outputs, lambda x: self.read(x._array))
        graph.devices = tuple(dict.fromkeys([self.name, *self.met] if not graph.arguments else self.met))
        numbers = {id(cell): number for number, cell in enumerate(self.given)}
        for cell in self.cells.values():
            if cell.writes:
                graph.writes.append((numbers.get(id(cell), cell.array), cell.value))
        graph.looked = list(self.looks.values())
        self.closed = True
        return graph


def _root(array: Any) -> Any:
    while getattr(array, "base", None) is not None and isinstance(array.base, type(array)):
        array = array.base
    return array


def _owner(array: Any) -> Any:
    return backend.real_owner(type(array))


def _flatten(x: Any) -> Iterator[Any]:
    if isinstance(x, tuple):
        for v in x:
            yield from _flatten(v)
    else:
        yield x


def _lookup(values: dict[Value, Any], x: Any) -> Any:
    return tuple(_lookup(values, v) for v in x) if isinstance(x, tuple) else values[x] if isinstance(x, Value) else x


def _tensors(x: Any) -> list[Tensor]:
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, tuple | list):
        return [t for v in x for t in _tensors(v)]
    return [t for v in x.values() for t in _tensors(v)] if isinstance(x, dict) else []


def _map(x: Any, kind: type, f: Callable[[Any], Any]) -> Any:
    if isinstance(x, kind):
        return f(x)
    if isinstance(x, tuple | list):
        return like(x, [_map(v, kind, f) for v in x])
    if not isinstance(x, dict):
        return x
    return like(x, {k: _map(v, kind, f) for k, v in x.items()})


def like(tree: Any, parts: Any) -> Any:
    """Return parts as a tuple, list or dict of another's kind, with its attributes: a part that is one is the new one there."""
    kind = type(tree)
    if kind is tuple:
        return tuple(parts)
    if kind is list or kind is dict:
        return parts
    if isinstance(tree, tuple):
        if kind is Size:  # also with what stands for sizes
            return tuple.__new__(Size, parts)
        made = kind(*parts) if hasattr(tree, "_fields") else kind(parts)
    else:
        made = copy.copy(tree)
        for key, value in parts.items() if isinstance(tree, dict) else enumerate(parts):
            made[key] = value
    own = getattr(tree, "__dict__", None)
    if own:
        olds, news = (tree.values(), parts.values()) if isinstance(tree, dict) else (tree, parts)
        new = {id(old): new for old, new in zip(olds, news, strict=True)}
        vars(made).update({name: new.get(id(value), value) for name, value in own.items()})
    return made


def _rebuild(x: Any, f: Callable[[Value], Any]) -> Any:
    return _map(x, Value, f)


def _rebuild_tensors(x: Any, f: Callable[[Tensor], Any]) -> Any:
    return _map(x, Tensor, f)


_one_at_a_time = threads.lock()


def capture(function: Callable[..., Any], *args: Any, log: Any = None, leaves: Sequence[Tensor] = ()) -> Graph:
    """Run a function on symbols instead of numbers, and return what it does as a graph.

    log: of numbers that vary (compiler/varying.py), which gives the arguments their place and looks on.
    leaves: tensors whose `.grad` is another one at each call: what is read of it becomes one more argument. Where no tensor is
    given, the first of them that is not on the host tells the device.
    args: tensors (or tuples, lists and dicts of them) that become the graph's arguments; every other tensor the function
    meets is state: read and written where it is at each call. The function's effects are recorded, not done.
    Raises RuntimeError where it asks for a value (`item`, a condition), naming the remedy.
    """
    with _one_at_a_time:
        tensors = _tensors(args)
        near = [x for x in (*tensors, *leaves) if x.device.type != backend.HOST]
        recorder = Recorder(near[0].device if near else backend.default_device(), log)
        for x in {id(x): x for x in leaves}.values():
            array = None if x._grad is None else x._grad._array
            if array is not None and not hasattr(array, "parts"):
                root = _root(array)
                alone = id(root) not in recorder.outside
                recorder.outside[id(root)] = None
                recorder.outside[id(array)] = x if alone else None
        with backend.recording(recorder):
            state.recorder = recorder
            try:
                if log is not None:
                    with log.watching():
                        return recorder.finish(log.plain(function(*log.given(recorder, args))))
                for x in tensors:
                    recorder.argument(x._array)
                return recorder.finish(function(*args))
            finally:
                state.recorder = None
                for leaf, before in recorder.leaves.values():
                    leaf._grad = before
