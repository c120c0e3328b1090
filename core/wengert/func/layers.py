"""Transforms are backends: an array of a running transform holds a tensor, and its kernels call ops on that.

Owns: `Layer` (such an array), `Level` (one running transform), the stack of levels, the backend protocol for them, and
which level an op belongs to. May import: tensor, record, backend, modes, Function. Must not know: what any transform does
to an op (batching.py, forward.py), any op's formula, any device. What a layer holds is a Tensor, so what happens inside of a
transform is recorded by the transforms around it: that is how they compose.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors, record
from wengert._tensor import Tensor, wrap
from wengert.autograd.function import Function
from wengert.graph import like
from wengert.inplace import move, refresh
from wengert.modes import state, turn
from wengert.op import OPS, Op


class _Stack(threading.local):
    levels: tuple[Level, ...] = ()


_stack = _Stack()
running: list[Level] = []  # those of all threads. Mostly there are none, and the stack of this thread need not be asked


class Level:
    """One running transform: how deep it is nested, and whether gradients are recorded around it."""

    name = "a transform"
    outlived = False  # whether its tensors are their values once it has ended; else they cannot be used then

    def __init__(self) -> None:
        self.depth = len(_stack.levels) + 1
        self.grad = state.grad
        self.free = True  # whether something that records inside began where this was recorded around the level, too
        self.inside = 0  # forwards of autograd.Functions that run inside: what they do is recorded around the level
        self.open = True
        self.adopted: list[weakref.ref[Tensor]] = []  # tensors from outside that hold arrays of this level

    def __enter__(self) -> Any:
        _stack.levels = (*_stack.levels, self)
        running.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        running.remove(self)
        living = [b for r in self.adopted if (b := r()) is not None]
        if living:
            with self.outside():
                for base in living:
                    self.give_back(base)
        _stack.levels = _stack.levels[:-1]
        self.open = False

    def recorded(self) -> bool:
        """Say whether what an op does here is recorded around this level: `no_grad` inside of it holds there too, but not that
        of a Function's forward or of a backward."""
        return self.free and (state.grad or (self.grad and (self.inside > 0 or state.task is not None)))

    def apply(self, op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
        """Return what an op gives for this level's arrays (and plain ones): layers, a tuple of them for several outputs."""
        raise NotImplementedError

    def text(self, layer: Layer) -> str | None:
        """Return what is printed for an array of this level."""
        return None

    def custom(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Return what an autograd.Function's own rule for this kind of transform gives; None where it has none."""
        return None

    @staticmethod
    def forwarded(forward: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        """Return what the forward of an autograd.Function gives: it is recorded around the levels, though not here."""
        levels = _stack.levels
        for level in levels:
            level.inside += 1
        try:
            return forward(*given)
        finally:
            for level in levels:
                level.inside -= 1

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Do what is done around this transform: on the levels below it, recorded as it was there."""
        levels, grad = _stack.levels, state.grad
        _stack.levels = levels[: self.depth - 1]
        turn(self.grad)
        try:
            yield
        finally:
            _stack.levels = levels
            turn(grad)

    def lift(self, value: Tensor) -> Layer:
        """Return a tensor from outside as an array of this level that is the same throughout."""
        return Layer(self, value)

    def constant(self, layer: Layer, deep: bool = True) -> Layer:
        """Return the same memory, without the history that this transform, and if deep those around it, keep of it."""
        return Layer(self, layer.value.detach() if deep else layer.value)

    def adopt(self, name: str, target: Tensor, values: Layer) -> None:
        """Let a tensor hold an array of this level, and its views too, as `name` will write such values to it: the same
        throughout, until then. Its history is that of what the array holds."""
        base = target if target._base is None else target._base
        value = wrap(base._array, base._edge)
        value._box = base.version_box()
        base._edge = None
        show(base, self.lift(value))
        self.adopted.append(weakref.ref(base))

    def give_back(self, base: Tensor) -> None:
        """Let a tensor that was adopted, and lives on, hold its values alone, with the history they have outside."""
        layer = base._array
        if isinstance(layer, Layer) and layer.level is self:
            show(base, layer.value._array)
            move(base, layer.value._edge)
            refresh(base)

    def read(self, layer: Layer) -> Any:
        """Return the values on the host, or raise the error that says why there are none."""
        raise NotImplementedError


def start_recording(on: bool = True) -> list[tuple[Level, bool]]:
    """Record here or not, and as it was until now around the levels."""
    around = [(level, level.free) for level in _stack.levels]
    for level, _ in around:
        level.free = level.recorded()
    turn(on)
    return around


def stop_recording(around: list[tuple[Level, bool]], before: bool) -> None:
    """Undo that; before: whether anything was recorded here."""
    turn(before)
    for level, free in around:
        level.free = free


def overrides(function: Any, name: str) -> bool:
    """Say whether an autograd.Function has a static method of its own in the place of the base's."""
    return getattr(function, name) is not getattr(Function, name)


def mixed(level: Level, function: Any, args: tuple[Any, ...]) -> bool:
    """Say whether a call of an autograd.Function is recorded on a level's tensors, with a ctx that forward itself writes to."""
    if overrides(function, "setup_context"):
        return False
    return any([isinstance(x, Tensor) and x.requires_grad and getattr(x._array, "level", None) is level for x in args])


def innermost() -> Level | None:
    """Return the transform that runs innermost on this thread."""
    return _stack.levels[-1] if _stack.levels else None


class Layer:
    """An array of one level: a tensor, and what the level keeps beside it (whether it is batched; its tangent).

    source: of a view, (the array that it is a view of, op, parameters), where what is beside it is one too; seen: of what.
    """

    __slots__ = ("level", "value", "beside", "shape", "_dtype", "source", "seen", "__weakref__")
    __array_ufunc__ = None

    def __init__(self, level: Level, value: Tensor, beside: Any = None, dropped: int = 0) -> None:
        self.level, self.value, self.beside = level, value, beside
        self.shape: tuple[int, ...] = tuple(value._array.shape[dropped:])
        self._dtype = dtypes.twin(value._array.dtype)
        self.source: tuple[Layer, Op, tuple[Any, ...]] | None = None
        self.seen: Any = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    def shown(self) -> str | None:
        """Return the text of a tensor of this, None where that is the text of a tensor with its values."""
        return self.level.text(self)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def strides(self) -> tuple[int, ...]:
        strides = self.value._array.strides
        return tuple(strides[len(strides) - len(self.shape) :])

    @property
    def flags(self) -> _Flags:
        return _Flags(self)

    @property
    def base(self) -> Any:
        return self.value  # it shares the tensor's memory: never the only holder

    def __bool__(self) -> bool:
        return bool(self.level.read(self))

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        open_ = [n for n, part in enumerate(parts) if part is ...]
        if open_:
            rest = self.ndim - sum(part is not None and part is not ... for part in parts)
            parts = (*parts[: open_[0]], *[slice(None)] * rest, *parts[open_[0] + 1 :])
        return OPS["getitem"](self, parts)

    def __repr__(self) -> str:
        return f"<{self.level.name} array {self.dtype}{list(self.shape)} at level {self.level.depth}>"


record.give_operators(Layer)


def show(base: Tensor, array: Any) -> None:
    """Let a tensor hold another array of its elements, and each of its views the same view of that, without history."""
    base._array = array
    for view in [v for r in base._views or () if (v := r()) is not None]:
        seen = array
        for op, params in view._path:
            seen = op.kernels[type(seen)](seen, *params)
        view._array, view._edge = seen, None


class _Flags:
    def __init__(self, layer: Layer) -> None:
        step = layer.dtype.itemsize
        self.c_contiguous = True
        for n, stride in zip(reversed(layer.shape), reversed(layer.strides), strict=True):
            self.c_contiguous &= n == 1 or stride == step
            step *= n
        self.c_contiguous |= 0 in layer.shape
        self.f_contiguous = False


# ---- an op among levels
def layered(inputs: Sequence[Any]) -> list[Any]:
    """Return a call's inputs with every tensor on the innermost level among them; those of outer levels, which keep their
    own history inside, count as constants of that level."""
    level = max((x._array.level for x in inputs if isinstance(x, Tensor) and isinstance(x._array, Layer)), key=_depth)
    if not level.open:
        raise RuntimeError(f"an array of {level.name} was used after it had ended: return it from the function instead")

    def lifted(x: Any) -> Any:
        if not isinstance(x, Tensor) or (isinstance(x._array, Layer) and x._array.level is level):
            return x
        return wrap(level.lift(x))

    return [lifted(x) for x in inputs]


def _depth(level: Level) -> int:
    return level.depth


def _outlived(x: Tensor) -> bool:
    return isinstance(x._array, Layer) and x._array.level.outlived and not x._array.level.open


def on_level(x: Tensor, level: Level | None) -> Tensor:
    """Return a tensor as one of a level (None: as it is), or of the deeper one it is on."""
    if level is None or (isinstance(x._array, Layer) and x._array.level.depth >= level.depth):
        return x
    return wrap(level.lift(x))


class Transforms:
    """The backend of layers: every request goes to the level, or to the tensor inside."""

    name = "transform"
    array_type = Layer
    rank = 1  # above sparse arrays, which may be held by layers

    def meet(self, op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
        """Return a call's inputs on one level; or what it gives for values, which tensors that outlived theirs become."""
        ended = [x for x in inputs if isinstance(x, Tensor) and _outlived(x)]
        for x in ended:
            x._array.level.give_back(x if x._base is None else x._base)
        if ended and not any(_outlived(x) for x in ended):
            given: list[Any] = [x.item() if record.is_constant(x) else x for x in inputs]
            fixed = len(op.inputs) - 1
            return record.call(op, [*given[:fixed], tuple(given[fixed:])] if op.variadic else given, params)
        return layered(inputs)

    def kernel(self, op: Op) -> Callable[..., Any]:
        width = len(op.inputs)

        def run(*args: Any, out: Any = ...) -> Any:
            inputs, params = args[:width], args[width:]
            level = max((a.level for a in record._flat(inputs) if isinstance(a, Layer)), key=_depth)
            before = state.grad
            turn(level.recorded())
            try:
                made = level.apply(op, inputs, params)
            finally:
                turn(before)
            return made if out is ... else self.write(out, made)

        return run

    def place(self, array: Layer) -> backend.device:
        return array.value.device

    def held(self, array: Layer) -> Any:
        return array.value._array

    def write(self, target: Layer, values: Any) -> Layer:
        level = target.level
        before = state.grad
        turn(level.recorded())
        try:
            return self._written(level, target, values)
        finally:
            turn(before)

    def _written(self, level: Level, target: Layer, values: Any) -> Layer:
        if isinstance(values, Layer) and values.level.depth > level.depth:
            raise errors.plain_target("a write in place")
        given = values if isinstance(values, Layer) and values.level is level else level.lift(wrap(values))
        level.write(target, given)  # type: ignore[attr-defined]
        return target

    def copy(self, array: Layer) -> Any:
        return self.kernel(OPS["copy"])(array)

    def add_into(self, target: Layer, values: Any) -> None:
        self.write(target, self.kernel(OPS["add"])(target, values))

    def to_host(self, array: Layer) -> Any:
        return array.level.read(array)

    def from_host(self, array: Any, index: int) -> Any:
        raise TypeError("a transform has no arrays of its own")

    def address(self, array: Layer) -> int:
        return array.value.data_ptr()

    def index_of(self, array: Layer) -> int:
        return array.value.device.index or 0

    def devices(self) -> list[backend.DeviceInfo]:
        return []

    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        return backend.backend_named(backend.HOST).quiet()  # type: ignore[no-any-return]

    def synchronize(self, index: int) -> None:
        """Nothing runs here."""


Layer.transform = Transforms()  # type: ignore[attr-defined]


# ---- nested arguments
def leaves(tree: Any) -> Iterator[Any]:
    """Yield what stands in nested tuples, lists and dicts, in order."""
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from leaves(part)
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from leaves(part)
    else:
        yield tree


def mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dicts with `function` of what stands in them."""
    if isinstance(tree, tuple | list):
        return like(tree, [mapped(part, function) for part in tree])
    if isinstance(tree, dict):
        return like(tree, {k: mapped(v, function) for k, v in tree.items()})
    return function(tree)


def rebuilt(tree: Any, values: Iterable[Any]) -> Any:
    """Return nested tuples, lists and dicts with these values in the places of what stands in them."""
    given = iter(values)
    return mapped(tree, lambda _: next(given))
