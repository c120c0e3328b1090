"""A compiled function: captured once for each kind of call, and run as a program from then on.

Owns: `Compiled`, and what makes two calls the same kind. May import: graph, guards, passes, program, training, varying.
Must not know: any op, any device. A call of a new kind runs eagerly the first time (optimizers make their state then) and is
captured the second time. Kinds that differ in the leading size alone are a family, which shares a general graph where there is
one.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors, faces, record, threads
from wengert._tensor import INFERENCE, Tensor
from wengert.compiler.explanation import explained
from wengert.compiler.guards import (
    OWN,
    Guard,
    Left,
    Nth,
    Number,
    Wrapper,
    _Contents,
    alike,
    defined,
    equal,
    opened,
    overlap,
    root_id,
    root_of,
)
from wengert.compiler.passes import optimised
from wengert.compiler.program import Program
from wengert.compiler.training import Joint, Training, resolved
from wengert.compiler.varying import SMALLEST, Formula, General, Log, Take, Unlike, generalised
from wengert.func.layers import innermost, leaves, mapped, running
from wengert.graph import Graph, _tensors, capture
from wengert.inplace import bump
from wengert.modes import off, state
from wengert.tape import node

CACHE = 16  # kinds of calls that are kept for one function, and general graphs of one family
INLINE = 100  # values that are watched by the function of a call itself; of more, it calls another that all programs share
INSTANCES = 64  # programs of general graphs that are kept
RECAPTURES = 8  # so many captures for changed surroundings before a warning says what changes
SEVERAL = 4  # so many floats that move are tried one by one, where all together are refused
FAILURES = 3  # so often a family is tried to be made general
LAYOUT = ("as_strided", "is_contiguous", "storage_offset", "stride")  # what asks how a tensor lies in memory
SOME = 2  # leading sizes that are captured of their own before a general graph is tried, unless dynamic=True


# ---- kinds of calls
_PLAIN = frozenset((bool, int, float, str, type(None)))
_MISSED = object()  # what a straight call returns where it is not good for this call


def _kind(x: Any) -> Any:
    """Return what of an argument must be equal for two calls to be of one kind."""
    kind = type(x)
    if kind is Tensor or isinstance(x, Tensor):
        a = x._array
        return type(a), a.shape, a.dtype, x._edge is not None
    if kind in _PLAIN:
        return kind, "-0.0" if kind is float and not x and math.copysign(1, x) < 0 else x  # which equals 0.0
    if isinstance(x, tuple | list):
        parts: Any = (kind, tuple([_kind(v) for v in x]))
        return parts if kind is tuple or kind is list or not getattr(x, "__dict__", None) else (*parts, _kind(vars(x)))
    if isinstance(x, dict):
        parts = (kind, tuple([(k, _kind(v)) for k, v in x.items()]))
        return parts if kind is dict or not getattr(x, "__dict__", None) else (*parts, _kind(vars(x)))
    if kind is set or kind is frozenset:
        return kind, frozenset([(type(v), v) for v in x])
    if kind is slice:
        return kind, _kind((x.start, x.stop, x.step))
    if alike(kind):
        with contextlib.suppress(TypeError):  # what has no hash
            hash(x)
            names = getattr(x, "__dataclass_fields__", None)  # whose values may be equal, and of other types
            return (kind, x) if names is None else (kind, x, tuple([type(getattr(x, n)) for n in names]))
    return kind, id(x)


def _kinds(kind: Any) -> Iterator[Any]:
    """Yield the kinds of tensors and numbers in a kind."""
    if isinstance(kind, tuple):
        if len(kind) == 4 and isinstance(kind[2], np.dtype):
            yield kind
        elif len(kind) == 2 and kind[0] is float:
            yield kind
        else:
            for part in kind:
                yield from _kinds(part)


def _changed(kind: Any, f: Callable[[Any], Any]) -> Any:
    """Return a kind with f of the kinds of tensors and floats in it."""
    if not isinstance(kind, tuple):
        return kind
    if (len(kind) == 4 and isinstance(kind[2], np.dtype)) or (len(kind) == 2 and kind[0] is float):
        return f(kind)
    return tuple([_changed(part, f) for part in kind])


def _leading(kind: Any) -> int | None:
    """Return the leading size of the first tensor that has one: None where it is 0 or 1, which are sizes of their own."""
    shape = next((k[1] for k in _kinds(kind) if len(k) == 4 and k[1]), (0,))
    return shape[0] if shape[0] >= SMALLEST else None


def _any_size(kind: Any, size: int) -> Any:
    """Return a kind with a mark in the place of the leading size."""

    def change(k: Any) -> Any:
        return (k[0], ("size", *k[1][1:]), *k[2:]) if len(k) == 4 and k[1] and k[1][0] == size else k

    return _changed(kind, change)


def _any_float(kind: Any) -> Any:
    """Return a kind with a mark in the place of floats."""
    return _changed(kind, lambda k: (float, None) if len(k) == 2 else k)


def _floats(arguments: Any) -> list[float]:
    return [x for x in leaves(arguments) if type(x) is float]


def _difference(old: Any, new: Any) -> str:
    """Say in what two kinds of calls differ."""
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return next((_difference(a, b) for a, b in zip(old, new, strict=True) if a != b), "")
    return f"{old!r} became {new!r}"


def _writes(x: Tensor) -> int:
    """Return how often a tensor was written to: 0 for one of inference mode, whose writes nobody counts."""
    return 0 if x.is_inference() else x._version


def _in_order(tensors: list[Tensor]) -> bool:
    """Say whether tensors lie in row-major order, from the beginning of their memory on."""
    return all(x.is_contiguous() and x.storage_offset() == 0 for x in tensors)


def _one_for_two(tensors: list[Tensor], around: list[Tensor]) -> bool:
    """Say whether one tensor, or one array, is met twice among arguments and what is around."""
    known = {id(y) for x in around for y in (x, x._array)}
    met = [id(y) for x in tensors for y in (x, x._array)]
    return len({*met}) < len(met) or not known.isdisjoint(met)


class Renewed(BaseException):
    """Stops a capture that leaves tensors somewhere: these places are to be known first."""


@contextlib.contextmanager
def _as_bases(tensors: list[Tensor]) -> Iterator[None]:
    """Let tensors be no views for a while: what asks how an argument lies in memory looks no further than the argument."""
    bases = [x._base for x in tensors]
    try:
        for x in tensors:
            x._base = None
        yield
    finally:
        for x, base in zip(tensors, bases, strict=True):
            x._base = base


class Captured:
    """What one capture of a function found: what it watches, writes to and reads, and its graph."""

    def __init__(self, guard: Guard, given: list[Tensor]) -> None:
        self.guard = guard
        self.keeps = False  # whether the program gives tensors for what is left behind, beside the result
        self.around = [t[3] for t in guard.tensors]
        self.laid = not guard.names.isdisjoint(LAYOUT)  # whether the code asks how arguments lie in memory
        self.before = [_writes(x) for x in (*self.around, *given)]
        self.moving: list[Number] = []  # floats around the function that the graph takes as they are at each call
        self.counted: list[Number] = []  # numbers that the function changes and no result depends on
        self.left = Left()  # what each call leaves behind; of a general graph, where
        self.general: General | None = None

    @property
    def counts(self) -> bool:
        """Whether the function leaves something behind in numbers and lists."""
        return bool(self.counted or self.left or (self.general is not None and self.general.moves))

    @property
    def computes(self) -> bool:
        """Whether the graph, or what was decided, depends on numbers that the function changes itself."""
        known = 0 if self.general is None else len(self.general.floats) - len(self.counted)
        return self.general is not None and any(i >= known for i in self.general.used)

    def settle(self, graph: Graph, joint: Joint, given: list[Tensor]) -> None:
        """Note what the capture wrote to. Raises RuntimeError for a tensor that is not watched, or an argument's gradient."""
        if any(leaf is x for leaf, _ in graph.grads for x in joint.given):
            raise RuntimeError(
                "wengert.compile: the function runs backward() to the .grad of an argument, which is another tensor at each "
                "call; return torch.autograd.grad(...) instead, or let the function reach the tensor by its closure"
            )
        self.graph, self.joint, self.keeps = graph, joint, bool(joint.left)
        self.states = {id(a) for _, a in graph.states} | {root_id(x._array) for x in self.around}
        self.grads = graph.entered  # leaves whose gradients are the last arguments
        looked = {id(t): (t, there) for t, there in graph.looked} | {id(t): (t, True) for t in graph.entered}
        if graph.entered:  # what reads gradients from outside takes all that there are
            cleared = {id(t) for t, _ in graph.grads}
            looked = {id(t): (t, t._grad is not None) for t in self.around if id(t) not in cleared} | looked
        self.guard.grads = list(looked.values())
        changed = [_writes(x) != v for x, v in zip((*self.around, *given), self.before, strict=True)]
        written = [x for x, c in zip(self.around, changed, strict=False) if c]
        self.written = list({id(x.version_box()): x for x in written}.values())  # tensors around that a run writes to
        self.written_arguments = [i for i, c in enumerate(changed[len(self.around) :]) if c]
        self.written_arguments += [i for i, _ in graph.writes if isinstance(i, int) and i >= len(given)]
        self.targets = [target for target, _ in graph.writes]
        known = {root_id(x._array) for x in self.around}  # x.data.add_(1) counts as no write to x
        for target, v in graph.writes:
            if not isinstance(target, int) and root_id(target) not in known:
                raise RuntimeError(
                    f"wengert.compile: the function writes to a tensor ({v.spec}) that is reached neither by its closure, "
                    f"globals and self nor by its arguments; pass it as an argument"
                )

    def apart(self, tensors: list[Tensor], roots: list[int]) -> bool:
        """Say whether arguments that share memory, with each other or with what is around, may be taken for ones that do not:
        none of that memory is written to, or looked at otherwise than by values."""
        if self.laid or _one_for_two(tensors, self.around):
            return False
        shared = {r for r in roots if r in self.states or roots.count(r) > 1}
        written = {roots[target] if isinstance(target, int) else root_id(target) for target in self.targets}
        return shared.isdisjoint(written | {roots[i] for i in self.written_arguments})

    def leaves(self, size: int | None, floats: list[Any]) -> Left | None:
        """Return what a call leaves behind, by the numbers as they are now: None where one is of another type."""
        if self.general is None:
            return self.left
        known = floats if self.computes else [*floats, *(n.now() for n in self.counted)]
        if [type(x) for x in known] != [type(x) for x in self.general.floats]:
            return None
        left = Left()
        try:
            moved, counts, added, _, others = self.general.left_behind(size or 0, known)
        except Unlike:
            return None
        left.numbers = [*zip(self.moving, moved, strict=True), *zip(self.counted, counts, strict=True)]
        left.lists = [(x, new) for (x, _), new in zip(self.left.lists, added, strict=True)]
        left.others = [(n, new) for (n, _), new in zip(self.left.others, others, strict=True)]
        return left


class Family:
    """Kinds of calls that differ in the leading size alone, and their general graphs: one for each way Python went."""

    def __init__(self) -> None:
        self.calls = 0  # those that no general graph served
        self.captured: set[int] = set()  # sizes that have graphs of their own
        self.general: list[Captured] = []
        self.failures = 0
        self.reason = ""  # why there is no general graph, or no further one


class Made:
    """A program of an entry, good while what its capture watches is as it was. Raises Unlike where a general graph has none."""

    def __init__(self, entry: Entry, captured: Captured, floats: list[float], fast_math: bool) -> None:
        graph, self.captured, self.size = captured.graph, captured, entry.size
        self.follow: list[tuple[Any, Formula]] = []  # arrays of the program that follow the floats that vary
        if captured.general is not None:
            graph, self.follow = captured.general.instance(entry.size, floats)
        self.floats = floats if captured.general is not None and floats else None  # as they were last
        self.training: Training | None = None
        if captured.joint.leaves:
            self.training = Training(graph, captured.joint, captured.around, captured.guard, fast_math, bool(self.floats))
            self.program = self.training.forward
        else:
            graph.outputs = graph.outputs[0]
            self.program = Program(optimised(graph, fast_math), fast_math)
        captured.joint.released()
        captured.guard.released()
        plain = entry.simple and self.floats is None and not captured.laid
        plain = plain and (not captured.counts or captured.general is None)  # else what it leaves is computed
        self.straight = _straight(entry, self) if plain else None
        self.lock = threads.lock()

    def run(self, tensors: list[Tensor]) -> Any:
        """Run the program on the arguments' tensors."""
        result = self.training(tensors) if self.training is not None else self.program([x._array for x in tensors])
        return resolved(result, tensors) if self.captured.joint.marked else result

    def decides_alike(self, floats: list[float]) -> bool:
        """Say whether Python would go the same way with these numbers."""
        general = self.captured.general
        if general is None or [*map(type, floats)] != [*map(type, general.floats[: len(floats)])]:
            return False
        return general.holds(self.size, floats)

    def follows(self, floats: list[float]) -> bool:
        """Let the arrays follow the floats, and say whether Python would go the same way with them."""
        if self.floats and all(map(equal, floats, self.floats)):
            return True
        if not self.decides_alike(floats):
            return False
        self.floats = []
        try:
            for array, formula in self.follow:
                formula.renew(array, self.size or 0, floats)
        except Unlike:
            return False
        self.floats = floats
        return True


class Entry:
    """One kind of call: how often it was made, and its programs once it has some."""

    def __init__(self, key: Any, floating: bool = False) -> None:
        self.key, self.floating = key, floating  # floating: floats among the arguments vary
        self.calls = 0
        self.made: Made | None = None  # the program that was good last
        self.kept: list[Made] = []  # all of them
        self.family: Family | None = None
        self.size: int | None = None
        self.tried: list[Captured] = []  # general graphs of the family that are not good for this size
        # whether all arguments are positional, and no tensors in tuples
        self.simple = key[0][1] is None and not any(issubclass(k[0], tuple | list | dict) for k in key[0][0])
        self.flat = self.simple and len(key[0]) == 2
        if len(key[0]) > 2:  # and the places that hold other tensors have nothing else in them, and each another one
            order, (_, held) = key[0][2]
            alone = list(order) == list(range(len(order)))
            self.simple &= alone and all(len(k) == 4 and isinstance(k[2], np.dtype) for k in held)
        self.eager = ""  # why this kind runs eagerly
        self.changed = False  # whether its last eager call was for surroundings that no program has

    def add(self, captured: Captured, floats: list[float], fast_math: bool) -> None:
        """Make a program. Raises Unlike where the general graph has none for the size."""
        self.made = Made(self, captured, floats, fast_math)
        self.kept.append(self.made)
        self.changed = False


def _straight(entry: Entry, made: Made) -> Callable[[Any], Any]:
    """Return a function of a call's arguments, tensors and numbers, that runs the program if the call is of the entry's kind
    and all is the very same as at the capture, else gives _MISSED. What it needs is at hand, and nothing is built."""
    (kinds, _, *rest), grad, inference, number, here = entry.key
    captured = made.captured
    check, names = captured.guard.check()
    if len(names) > INLINE:
        check, names = "same()", {"same": captured.guard.same}
    boxes = {f"box{i}": x.version_box() for i, x in enumerate(captured.written)}
    program = made.program.run if made.training is None else made.training.__call__
    names.update(boxes, grad=grad, inference=inference, number=number, program=program)
    names.update(capturing=backend._recorders, running=running, state=state, dtypes=dtypes, MISSED=_MISSED, root=root_of,
                 bump=bump, states=captured.states, off=off, resolved=resolved, record=record,
                 node=node, of_a_signal=errors.of_a_signal)  # fmt: skip
    terms, arrays, tensors, roots = ["dtypes._default is number"], list[str](), list[str](), list[str]()
    terms.append("record.make_node is node")  # else hooks may have a say in what is saved
    for i, kind in enumerate(kinds):
        if len(kind) == 4:
            names.update({f"t{i}": kind[0], f"s{i}": kind[1], f"d{i}": kind[2]})
            terms += [f"type(a{i}) is t{i}", f"a{i}.shape == s{i}", f"a{i}.dtype == d{i}",
                      f"(x{i}._edge is not None) is {kind[3]}", f"id(r{i}) not in states"]  # fmt: skip
            arrays.append(f"a{i} = x{i}._array; r{i} = a{i} if a{i}.base is None else root(a{i})")
            tensors.append(f"x{i}")
            roots.append(f"id(r{i})")
        else:
            names[f"v{i}"] = kind[1]
            terms.append(f"x{i} is v{i}")
    if captured.graph.literals or any(not e.reads for e in captured.graph.equations):  # it makes tensors, where it is told to
        names.update(place=backend.default_device, here=here)
        terms.append("(place() is here or place() == here)")
    places = rest[0][1][1] if rest else ()
    for i, (kind, place) in enumerate(zip(places, captured.guard.renewed, strict=False), len(kinds)):
        names.update({f"t{i}": kind[0], f"s{i}": kind[1], f"d{i}": kind[2], f"c{i}": place.container, f"k{i}": place.key})
        terms += [f"type(a{i}) is t{i}", f"a{i}.shape == s{i}", f"a{i}.dtype == d{i}",
                  f"(x{i}._edge is not None) is {kind[3]}", f"id(r{i}) not in states"]  # fmt: skip
        arrays.append(f"x{i} = c{i}[k{i}]; a{i} = x{i}._array; r{i} = a{i} if a{i}.base is None else root(a{i})")
        tensors.append(f"x{i}")
        roots.append(f"id(r{i})")
    for i, leaf in enumerate(captured.grads, len(kinds) + len(places)):
        names.update({f"l{i}": leaf, f"t{i}": type(leaf._array)})
        terms += [f"type(a{i}) is t{i}", f"x{i}._edge is None", f"id(r{i}) not in states"]
        arrays.append(f"x{i} = l{i}._grad; a{i} = x{i}._array; r{i} = a{i} if a{i}.base is None else root(a{i})")
        tensors.append(f"x{i}")
        roots.append(f"id(r{i})")
    if len(roots) > 1:
        terms.append(f"len({{{', '.join(roots)}}}) == {len(roots)}")
    unpack = f"{''.join(f'x{i}, ' for i in range(len(kinds)))} = args" if kinds else "if args: return MISSED"
    listed = f"[{', '.join(tensors)}]"
    run = f"program({listed if made.training is not None else ', '.join(f'a{x[1:]}' for x in tensors)})"
    if captured.joint.marked:
        run = f"resolved({run}, {listed})"
    modes = "state.grad is not grad or state.inference is not inference"
    if grad:  # as it is on every thread that is not in `off`
        modes = f"off and ({modes})"
    lines = [
        f" if capturing or running or {modes}: return MISSED",
        " try:",
        *(f"  {line}" for line in (unpack, *arrays)),
        f"  if not ({' and '.join(terms)} and {check}): return MISSED",
        " except Exception as error:",
        "  if of_a_signal(error): raise",
        "  return MISSED",
        *(f" {name}[0] += 1" for name, box in boxes.items() if box is not INFERENCE),
        *(f" bump({tensors[i]})" for i in captured.written_arguments),
        f" return {run}" if not captured.left else f" made = {run}",
    ]
    if captured.left:
        names["leave"] = captured.left.leave
        lines += [" leave(made[1])", " return made[0]"] if captured.keeps else [" leave()", " return made"]
    return defined("straight", "args", lines, names)


class Compiled(Wrapper):
    """What `compile` returns: call it as the function."""

    def __init__(
        self, function: Callable[..., Any], fallback: str | None, explain: bool, fast_math: bool, dynamic: bool | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = str(getattr(function, "__name__", function))
        self.function, self.fallback, self.explain = function, fallback, explain
        self.fast_math, self.dynamic = fast_math, dynamic
        self.entries: OrderedDict[Any, Entry] = OrderedDict()
        self.families: OrderedDict[Any, Family] = OrderedDict()
        self.floating: OrderedDict[Any, Any] = OrderedDict()  # kinds by their floats' places: the first key, or True
        self.moving: list[Number] = []  # floats around the function that were seen to change
        self.fixed: list[Number] = []  # those of them that cannot be taken as they are
        self.refused: dict[str, str] = {}  # why not, by their names
        self.recaptures: list[str] = []
        self.renewed: list[Number] = []  # places that hold another tensor at each call, which is one more argument
        self.replaced: list[Number] = []  # places where others put another tensor, once at least
        self.brought: list[Number] = []  # those of `renewed` among them
        self.stays: list[Number] = []  # places where that was tried, in vain
        self.silent: list[Number] = []  # places where the function leaves tensors, and reads none
        self.remade: list[Number] = []  # places where the function leaves a new list of numbers at each call
        self.crowded = False  # whether a warning has said that there are too many kinds of calls
        self.straight: Callable[[Any], Any] | None = None  # that of the entry called last
        self.lock = threads.lock()

    def __reduce__(self) -> str:
        """Return its name, as a function has it: a copy is this very one."""
        return getattr(self, "__qualname__", self.name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        straight = self.straight
        if straight is not None and not kwargs:  # the kind of the call before, most likely
            made = straight(args)
            if made is not _MISSED:
                return made
        if state.recorder is not None or innermost() is not None:  # inside of another capture, or a transform: part of it
            return self.function(*args, **kwargs)
        if state.packing:  # what is saved goes through hooks
            return self.function(*args, **kwargs)
        key = self._key(args, kwargs)
        entry = self.entries.get(key)
        if entry is None:
            entry = self._enter(key)
        made = entry.made
        if made is None:
            return self._early(entry, args, kwargs)
        guard = made.captured.guard
        if not guard.same():
            why = guard.changed()
            if why is not None:
                made = self._other(entry, args, kwargs)
                if made is None:
                    return self._again(entry, why, args, kwargs)
        self.straight = made.straight
        return self._run(entry, made, args, kwargs)

    def _key(self, args: Any, kwargs: Any) -> Any:
        """Return what is equal for calls of one kind."""
        given: Any = (tuple([_kind(x) for x in args]), _kind(kwargs) if kwargs else None)
        if self.renewed:
            given = (*given, self._kinds_held(args, kwargs))
        return given, state.grad, state.inference, dtypes.default_float(), backend.default_device()

    def _kinds_held(self, args: Any, kwargs: Any) -> Any:
        """Return the kinds of what stands in the places that hold others at each call, and which of it are one and the same."""
        held = self._held()
        known: dict[int, int] = {}
        order = [known.setdefault(id(x), i) for i, x in enumerate(_tensors((args, kwargs, held)))]
        return tuple(order), _changed(_kind(held), lambda k: ("number", *k) if len(k) == 2 else k)

    def _held(self) -> tuple[Any, ...]:
        """Return what stands in the places that hold other tensors at each call, with objects opened."""
        return tuple([opened(n.now()) for n in self.renewed])

    def _given(self, args: Any, kwargs: Any) -> list[Tensor]:
        """Return the tensors that a program takes: the arguments', and those in such places."""
        own = _tensors((args, kwargs))
        if not self.renewed:
            return own
        known = {id(x) for x in own}
        return own + list({id(x): x for x in _tensors(self._held()) if id(x) not in known}.values())

    def _taken(self, args: Any, kwargs: Any) -> Any:
        """Return what stands in such places with `Nth` for tensors that were met before."""
        known = {id(x): i for i, x in enumerate(_tensors((args, kwargs)))}

        def take(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            if id(x) in known:
                return Nth(known[id(x)])
            known[id(x)] = len(known)
            return x

        return mapped(self._held(), take)

    def _guard(self, args: Any, kwargs: Any, moving: list[Number] | None = None, lists: list[Any] | None = None) -> Guard:
        """Return the guard of a capture."""
        return Guard(self.function, (args, kwargs), moving or (), lists or (), [*self.renewed, *self.silent], self.remade)

    def _run(self, entry: Entry, made: Made, args: Any, kwargs: Any) -> Any:
        captured = made.captured
        tensors = [x for x in args if isinstance(x, Tensor)] if entry.flat else self._given(args, kwargs)
        if captured.grads:
            grads = [x._grad for x in captured.grads]
            fit = [g for g, x in zip(grads, captured.grads, strict=True)
                   if g is not None and g._edge is None and type(g._array) is type(x._array)]  # fmt: skip
            if len(fit) < len(grads):
                return self.function(*args, **kwargs)
            tensors += fit
        roots = [root_id(x._array) for x in tensors]
        shared = roots and (len({*roots}) < len(roots) or not captured.states.isdisjoint(roots))
        if shared and not captured.apart(tensors, roots):  # with state or another argument: the program assumed not
            return self.function(*args, **kwargs)
        if captured.laid and not _in_order(tensors):
            return self.function(*args, **kwargs)
        if made.floats is None and not captured.counts:
            return self._write(made, tensors)
        for other in (made, *reversed(entry.kept)):
            if other is not made and other.captured.guard.changed() is not None:
                continue
            with other.lock:  # one call at a time has floats of its own
                floats = self._floats(entry, other.captured, args, kwargs)
                left = other.captured.leaves(entry.size, floats) if other.captured.counts else Left()
                if left is None or not (other.floats is None or other.follows(floats)):
                    continue
                if other is made:
                    entry.made = made
                    result = self._write(made, tensors)
                    if not captured.keeps:
                        left.leave()
                        return result
                    left.leave(result[1])
                    return result[0]
            return self._run(entry, other, args, kwargs)  # with the gradients that it takes
        return self._again(entry, "a number that varies leads another way", args, kwargs)

    def _write(self, made: Made, tensors: list[Tensor]) -> Any:
        for x in made.captured.written:  # writes count, as eager ones do: what was kept of these before is stale
            bump(x)
        for i in made.captured.written_arguments:
            bump(tensors[i])
        return made.run(tensors)

    def _floats(self, entry: Entry, captured: Captured, args: Any, kwargs: Any) -> list[Any]:
        """Return the numbers that vary as they are now: those around the function, those among the arguments, and those that
        the function changes, where they count."""
        found = [n.now() for n in captured.moving] + (_floats((args, kwargs)) if entry.floating else [])
        return found + [n.now() for n in captured.counted] if captured.computes else found

    # ---- kinds that are met
    def _enter(self, key: Any) -> Entry:
        """Return the entry of a kind that is new, or of the one that stands for it."""
        with self.lock:
            key, floating = self._with_floats(key)
            entry = self.entries.get(key)
            if entry is not None:
                return entry
            entry = self.entries[key] = Entry(key, floating)
            self._join_family(entry)
            own = [k for k, e in self.entries.items() if e is entry or e.made is None or e.made.captured.general is None]
            if len(own) > CACHE:
                old = own[0]
                del self.entries[old]
                if not self.crowded:
                    self.crowded = True
                    _warn(
                        f"wengert.compile: {self.name} is called in more than {CACHE} ways, and the last {CACHE} are kept: "
                        f"{_difference(old, key)}. Pass numbers that change as tensors, and pad what changes its shape.",
                    )
            if len(self.entries) > CACHE + INSTANCES:
                self.entries.popitem(last=False)
            return entry

    def _with_floats(self, key: Any) -> tuple[Any, bool]:
        """Return the key that stands for one with floats, once these were seen to change."""
        if self.dynamic is False or not any(len(k) == 2 for k in _kinds(key[0])):
            return key, False
        place = (_any_float(key[0]), *key[1:])
        first = self.floating.setdefault(place, key)
        if len(self.floating) > CACHE + INSTANCES:
            self.floating.popitem(last=False)
        if first is None or (first is not True and first == key):  # None: it was tried, in vain
            return key, False
        self.floating[place] = True
        return place, True

    def _join_family(self, entry: Entry) -> None:
        """Find the kinds that differ in the leading size alone."""
        size = None if self.dynamic is False else _leading(entry.key[0])
        if size is None:
            return
        entry.family = self.families.setdefault((_any_size(entry.key[0], size), *entry.key[1:]), Family())
        entry.size = size
        if len(self.families) > CACHE:
            self.families.popitem(last=False)

    def _early(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        """Call a kind that has no program: where its family has none for it either, the first call runs eagerly, the second is
        captured."""
        if entry.eager:
            return self.function(*args, **kwargs)
        with self.lock:
            fits = (m for m in reversed(entry.kept) if m.captured.guard.changed() is None
                    and (m.floats is None or m.decides_alike(self._floats(entry, m.captured, args, kwargs))))  # fmt: skip
            made = entry.made = entry.made or next(fits, None) or self._instance(entry, args, kwargs)
            fresh = not entry.calls
            if made is None:
                outdated = entry.kept[-1].captured if entry.kept else None
                if outdated is not None and (why := outdated.guard.changed()) and outdated.guard.floats_that_changed():
                    self._drop(outdated, why)
                entry.calls += 1
                family = entry.family
                if family is not None:
                    family.calls += 1
                    if self._may_be_general(family) and (not self.dynamic or family.calls > 1 + len(family.general)):
                        entry.calls += 1
        if made is not None:
            return self._run(entry, made, args, kwargs)
        if entry.calls == 1 and not entry.floating:
            return self.function(*args, **kwargs)
        return self._first(entry, args, kwargs, fresh)

    def _instance(self, entry: Entry, args: Any, kwargs: Any) -> Made | None:
        """Return the program that a general graph of the family gives, None where there is none."""
        for captured in list(entry.family.general) if entry.family is not None else ():
            why = None if captured.guard.same() else captured.guard.changed()
            if why is not None:
                if captured.guard.floats_that_changed():
                    self._drop(captured, why)
            elif captured not in entry.tried:
                floats = self._floats(entry, captured, args, kwargs)
                if captured.general is not None and captured.general.holds(entry.size, floats):
                    with contextlib.suppress(Unlike):
                        entry.add(captured, floats, self.fast_math)
                        return entry.made
                if not floats:
                    entry.tried.append(captured)
        return None

    def _may_be_general(self, family: Family) -> bool:
        wanted = bool(self.dynamic) or len(family.captured) >= SOME
        return wanted and family.failures < FAILURES and len(family.general) < CACHE

    def _other(self, entry: Entry, args: Any, kwargs: Any) -> Made | None:
        """Return a program that was made when all was as it is now (a model that goes from training to evaluation and back)."""
        with self.lock:
            found = next((m for m in reversed(entry.kept) if m.captured.guard.changed() is None), None)
            entry.made = found or self._instance(entry, args, kwargs)
            return entry.made

    def _again(self, entry: Entry, why: str, args: Any, kwargs: Any) -> Any:
        """Call a kind whose surroundings changed: eagerly this time. What changes all the time runs eagerly from then on."""
        with self.lock:
            outdated = entry.kept[-1].captured if entry.kept else None
            if outdated is not None and outdated.guard.floats_that_changed():
                self._drop(outdated, why)
            else:
                self._count(why)
            others = [] if outdated is None else [n for n in outdated.guard.tensors_that_changed() if n not in self.stays]
            once, self.replaced = self.replaced, self.replaced + others
            if others := [n for n in others if n in once]:  # not for the first time
                self.renewed += others
                self.brought += others
                self._forget()
                return self.function(*args, **kwargs)
            entry.made, entry.calls = None, 1
            if len(self.recaptures) >= RECAPTURES:
                entry.eager = why
                entry.kept.clear()
            elif entry.changed:  # it goes back and forth: there was an eager call before
                return self._first(entry, args, kwargs)
            entry.changed = True
        return self.function(*args, **kwargs)

    def _forget(self) -> None:
        """Let go of all kinds of calls: these are others from now on."""
        self.straight = None
        for kinds in (self.entries, self.families, self.floating):
            kinds.clear()

    def _drop(self, captured: Captured, why: str) -> None:
        """Drop what was captured with other floats, which are taken as they are from now on."""
        known = [*self.moving, *self.fixed]
        self.moving += [n for n in captured.guard.floats_that_changed() if n not in known]
        for family in self.families.values():
            family.general = [c for c in family.general if c is not captured]
        for entry in self.entries.values():
            entry.kept = [m for m in entry.kept if m.captured is not captured]
            if entry.made is not None and entry.made.captured is captured:
                entry.made, entry.calls = None, 1
        self._count(why)

    def _count(self, why: str) -> None:
        self.straight = None
        self.recaptures.append(why)
        if len(self.recaptures) == RECAPTURES:
            _warn(
                f"wengert.compile: {self.name} was captured {RECAPTURES} times because what it reads beside its arguments "
                f"changes (last: {why}); pass what changes as an argument, as a tensor. It runs eagerly from now on.",
            )

    # ---- captures
    def _first(self, entry: Entry, args: Any, kwargs: Any, fresh: bool = False) -> Any:
        """Capture a kind of call, and run it. Raises RuntimeError where the function asks for values.

        fresh: the kind never ran, and where it cannot be captured, it runs: it may make what the next call finds there.
        """
        tensors = self._given(args, kwargs)
        with self.lock:
            if entry.made is None:
                try:
                    before = self._guard(args, kwargs)
                    before.ask(tensors)
                except RuntimeError as error:
                    return self._eagerly(entry, error, args, kwargs)
                around = [t[3] for t in before.tensors]
                shared = {root_id(x._array) for x in around} & {root_id(x._array) for x in tensors}
                alone = not shared and not overlap(tensors)
                if not alone and (_one_for_two(tensors, around) or not before.names.isdisjoint(LAYOUT)):
                    return self.function(*args, **kwargs)
                if not (before.names.isdisjoint(LAYOUT) or _in_order(tensors)):
                    return self.function(*args, **kwargs)
                given = [(x, x._array, x._edge) for x in tensors]
                try:
                    with _as_bases([] if before.names.isdisjoint(LAYOUT) else tensors):
                        self._capture(entry, args, kwargs)
                except Renewed:
                    before.restore()
                    for x, array, edge in given:
                        x._array, x._edge = array, edge
                    self._forget()
                    entry = self._enter(self._key(args, kwargs))
                    entry.calls = 2
                    return self._first(entry, args, kwargs, fresh)
                except Exception as error:
                    before.restore()
                    for x, array, edge in given:
                        x._array, x._edge = array, edge
                    if fresh:
                        entry.calls = 1
                        return self.function(*args, **kwargs)
                    if self.brought:  # which may be why
                        self.renewed = [n for n in self.renewed if n not in self.brought]
                        self.stays, self.brought = self.stays + self.brought, []
                        self._forget()
                        return self.function(*args, **kwargs)
                    return self._eagerly(entry, error, args, kwargs)
                if self.explain:
                    print(self.explanation())
        assert entry.made is not None
        return self._run(entry, entry.made, args, kwargs)

    def _eagerly(self, entry: Entry, error: Exception, args: Any, kwargs: Any) -> Any:
        """Call a kind that cannot be captured. Raises the error where that is not wanted, or the function's own."""
        if isinstance(error, RuntimeError):
            _locate(error)
        if self.fallback != "eager":
            raise error
        result = self.function(*args, **kwargs)
        entry.eager = f"{'' if isinstance(error, RuntimeError) else f'{type(error).__name__}: '}{error}"
        _warn(f"wengert.compile: {self.name} runs eagerly: {entry.eager}")
        return result

    def _capture(self, entry: Entry, args: Any, kwargs: Any) -> None:
        """Capture a kind of call: as general as it can be."""
        family = entry.family
        sized = family is not None and self._may_be_general(family)
        guard = self._guard(args, kwargs)
        moving = [n for n in guard.numbers_of(self.moving) if n.settable and type(n.now()) is float]
        ways = (True, False) if sized else (False,)
        if moving or entry.floating:
            if any(self._tried(entry, way, moving, args, kwargs) for way in ways):
                return
            good = [n for n in moving if 1 < len(moving) <= SEVERAL and self._works(entry, n, args, kwargs)]
            self.fixed += [n for n in moving if n not in good]
            self.moving = [n for n in self.moving if n in good or n not in moving]
            if good and any(self._tried(entry, way, good, args, kwargs) for way in ways):
                return
        if sized and not entry.floating and self._tried(entry, True, [], args, kwargs):
            return
        if entry.floating:  # floats that cannot vary: each is a kind again
            self.floating[entry.key] = None
            self.entries.pop(entry.key, None)
        given = self._given(args, kwargs)
        captured = Captured(guard, given)
        joint = Joint(self.function, guard, self._renew)
        graph = capture(joint, args, kwargs, self._taken(args, kwargs), leaves=captured.around)
        left = guard.fixed(guard.undo(), joint.left)
        guard.clean()
        remade = guard.within(self._remade(left))
        if left.numbers or left.lists or remade:  # the function counts, or keeps a list: does that matter to the graph?
            try:
                self._build_general(entry, False, [], args, kwargs)
                return
            except Unlike as error:
                self.refused["what it counts itself"] = str(error)
                grown = left.with_tensors()[1]
                self._renew([Number("a list", _Contents(x), None) for x in grown])
        captured.left = left
        captured.settle(graph, joint, given)
        entry.add(captured, [], self.fast_math)
        if family is not None and entry.size is not None:
            family.captured.add(entry.size)

    def _remade(self, left: Left) -> list[Number]:
        """Return the places where a capture left a new tuple or list of numbers. Raises Renewed where a list is there first."""
        found = left.remade()
        self._renew([], remade=[n for n in found if type(n.now()) is list])
        return found

    def _renew(self, places: list[Number], silent: Sequence[Number] = (), remade: Sequence[Number] = ()) -> None:
        """Let places hold other tensors at each call, which are arguments, but for those that are not read; and others other
        lists.

        Raises Renewed where some are not known yet."""
        known = len(self.renewed) + len(self.silent) + len(self.remade)
        self.remade += [n for n in remade if n not in self.remade]
        self.renewed += [n for n in places if n not in self.renewed]
        self.silent += [n for n in silent if n not in self.silent and n not in self.renewed]
        if len(self.renewed) + len(self.silent) + len(self.remade) > known:
            raise Renewed

    def _tried(self, entry: Entry, sized: bool, moving: list[Number], args: Any, kwargs: Any) -> bool:
        """Say whether there is a general graph, which gives the entry a program."""
        try:
            self._build_general(entry, sized, moving, args, kwargs)
        except Unlike as error:
            if moving or entry.floating:
                self.refused[", ".join(n.name for n in moving) or "the floats among the arguments"] = str(error)
            if sized and entry.family is not None and not moving:
                entry.family.reason, entry.family.failures = str(error), entry.family.failures + 1
            return False
        return True

    def _works(self, entry: Entry, moving: Number, args: Any, kwargs: Any) -> bool:
        """Say whether a graph can take a float as it is."""
        try:
            self._general(entry, False, [moving], args, kwargs)
        except Unlike as error:
            self.refused[moving.name] = str(error)
            return False
        return True

    def _build_general(self, entry: Entry, sized: bool, moving: list[Number], args: Any, kwargs: Any) -> None:
        """Give an entry a program of a general graph. Raises Unlike where there is none."""
        captured = self._general(entry, sized, moving, args, kwargs)
        entry.add(captured, self._floats(entry, captured, args, kwargs), self.fast_math)
        if entry.family is not None and entry.size is not None:
            if sized:
                entry.family.general.append(captured)
            else:
                entry.family.captured.add(entry.size)

    def _general(self, entry: Entry, sized: bool, moving: list[Number], args: Any, kwargs: Any) -> Captured:
        """Capture for some sizes and floats, and return what they have in common. Raises Unlike."""
        given, size = self._given(args, kwargs), entry.size if sized else None
        watched, counted, lists, held = self._guard(args, kwargs), list[Number](), list[Any](), self._taken(args, kwargs)
        own = _floats((args, kwargs)) if entry.floating else []
        before: Log | None = None  # of the first capture

        def take(size: int | None, floats: list[float], empty: bool = False, bare: bool = False) -> Take:
            """Capture once; what Python counts meanwhile is put back. empty: with nothing in the lists that it adds to. bare:
            with no number under watch."""
            log = Log(entry.size, size, floats, before, lists, bare)
            numbers = iter(log.numbers[len(moving) : len(moving) + len(own)])
            mine = mapped((args, kwargs), lambda x: next(numbers) if own and type(x) is float else x)
            joint = Joint(self.function, watched, self._renew)
            numbered = [*zip(moving, log.numbers, strict=False)]
            numbered += zip(counted, log.numbers[len(moving) + len(own) :], strict=True)
            try:
                with watched.holding(numbered), watched.emptied(lists if empty else ()):
                    graph = capture(joint, *mine, held, log=log, leaves=captured.around)
                    counts = [[n.now() for n in numbers] for numbers in (moving, counted)]
            except Exception as error:
                raise Unlike(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
            finally:
                left = watched.undo()
            watched.fixed(left, joint.left)
            watched.clean()
            again = self._remade(left)
            left.others = [(n, value) for n, value in left.others if n not in again]  # their numbers are counted, each
            changed = [n for n in [*(n for n, _ in left.numbers), *watched.within(again)] if n not in [*moving, *counted]]
            grown = [x for x, _ in left.lists if not any(x is y for y in lists)]
            if changed or grown:  # once more, with what it counts under watch
                if before is not None:
                    raise Unlike("what it counts differs from capture to capture")
                counted.extend(changed)
                lists.extend(grown)
                return take(size, floats + [n.now() for n in changed])
            captured.left = left if before is None else captured.left  # others may have decided otherwise
            others = [n.name for n, _ in left.others], [value for _, value in left.others]
            return Take(log, graph, joint, (*counts, [added for _, added in left.lists], *others))

        captured = Captured(watched, given)
        first = take(size, [n.now() for n in moving] + own)
        before = first.log
        captured.before[len(captured.around) :] = [0] * len(given)
        captured.settle(first.graph, first.joint, first.log.stands)
        captured.general = generalised(take, first, bool(lists))
        captured.moving, captured.counted = moving, counted
        captured.guard = self._guard(args, kwargs, [*moving, *counted], lists)
        captured.guard.grads = watched.grads
        return captured

    # ---- to read
    @property
    def programs(self) -> list[Program]:
        """The programs made so far, one for each kind of call."""
        found: list[Program] = []
        for made in [m for e in self.entries.values() for m in e.kept]:
            found += [made.program] if made.training is None else [made.training.forward, made.training.backward]
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
        """Return what became of the function: programs, what runs together and what alone, and why, recaptures."""
        lines = [f"{self.name}: {len(self.programs)} programs"]
        lines += [f"  {line}" for p in self.programs for line in explained(p)]
        lines += [f"  captured again: {why}" for why in self.recaptures]
        families = self.families.values()
        lines += [f"  any leading size: {len(f.general)} graphs" for f in families if f.general]
        lines += [f"  a leading size of its own: {f.reason}" for f in families if f.reason]
        lines += [f"  captured for each value of {name}: {why}" for name, why in self.refused.items()]
        lines += [f"  eager: {e.eager}" for e in self.entries.values() if e.eager]
        return "\n".join(lines)


faces.show_call(Compiled.__call__)


def _locate(error: RuntimeError) -> None:
    """Add to an error of a capture which line of the user's it came from."""
    found = [f for f in traceback.extract_tb(error.__traceback__) if not _own(f.filename)]
    if found and error.args and "\n  in " not in str(error.args[0]):
        place = found[-1]
        error.args = (f"{error.args[0]}\n  in {place.filename}, line {place.lineno}: {place.line}", *error.args[1:])


def _warn(text: str) -> None:
    """Warn, by the line of the program that made the call."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _own(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def _own(filename: str) -> bool:
    """Say whether a file is in one of wengert's packages."""
    files = [getattr(sys.modules.get(name), "__file__", None) for name in OWN]
    return any(filename.startswith(str(Path(file).parent) + os.sep) for file in files if file)
