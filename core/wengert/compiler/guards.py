"""What a captured function reads beside its arguments, watched.

Owns: `Guard`, `Number`, what a capture's Python left behind (`Left`), and which storages tensors share. May import: tensor,
modes, func.layers, plugins, `like` of graph. Must not know: what a graph consists of, programs.
"""

from __future__ import annotations

import contextlib
import contextvars
import copyreg
import dataclasses
import datetime
import dis
import enum
import functools
import io
import math
import os
import pickle
import random
import sys
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from wengert import errors
from wengert._tensor import Tensor
from wengert.func.layers import leaves, mapped
from wengert.graph import like
from wengert.plugins import BUILTIN
from wengert.tape import AccumulateGrad, Hooks

OWN = {"wengert", "wengert_codegen", "wengert_xp", *BUILTIN.values()}  # our packages
STILL = OWN | {"numpy", "scipy", "tqdm"} | sys.stdlib_module_names  # those whose functions and numbers are not watched
CONTAINERS = (list, dict, OrderedDict, defaultdict)  # those that are false where they are empty
READ = ("__getitem__", "__iter__", "__len__", "__contains__", "get", "keys", "items", "values", "copy")
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
MUTABLE = (set, deque, bytearray, np.ndarray, types.SimpleNamespace)
LASTING = (type, types.FunctionType, types.MethodType, functools.partial, enum.Enum)
WATCHED, WATCHED_BYTES = 10_000, 1 << 16  # values, and bytes of a NumPy array, that are looked at before each call
CALLED = {"forward", "backward", "setup_context", "jvp", "vmap"}  # methods that are called though no code of the user's does
LOOKING = {"getattr", "hasattr", "vars", "dir", "eval", "exec", "locals", "globals", "attrgetter", "asdict", "copy", "deepcopy",
           "__dict__", "__getattribute__"}  # names of what may read any attribute
COMPUTED = {"getattr", "vars", "attrgetter", "eval", "exec", "__dict__", "__getattribute__"}  # of what may compute the name
ENVIRONMENT = {"environ", "getenv"}
SOURCES = (  # C functions that give something else at each call: what, of which module (without _) or class, their names
    ("the clock", "time", "time time_ns perf_counter perf_counter_ns monotonic monotonic_ns process_time process_time_ns"),
    ("the clock", "time", "thread_time thread_time_ns localtime gmtime ctime asctime strftime"),
    ("the clock", datetime.date, "now utcnow today"),
    ("random numbers of the system", os.urandom.__module__, "urandom getrandom"),
    ("random numbers of the system", random.Random, "seed"),  # of None
    ("random numbers of the system", "uuid", "generate_time_safe UuidCreate"),
    ("what is typed", "builtins", "input"),
    ("a file", "io", "open"),
    ("a file", io.IOBase, "read read1 readinto readline readlines"),
    ("another process", "posixsubprocess", "fork_exec"),
    ("another process", "winapi", "CreateProcess"),
)
SOURCE = {name: (of, what) for what, of, names in SOURCES for name in names.split()}
ASKED = {"random", "secrets", "uuid", "pathlib", "json", "zipfile", "gzip", "subprocess", "numpy", "wengert.serialization",
         "wengert.npz", "wengert.utils.safetensors"}  # modules that read of these for the program
ONCE = {"__init__", "__new__", "__post_init__", "__del__", "__repr__", "__str__", "__reduce__", "__getstate__", "__setstate__",
        "__doc__", "__module__", "__qualname__", "__annotations__", "__dict__", "__slots__"}  # not read by calls


class Wrapper:
    """Something callable around a function of the user's: the function is what is watched."""

    function: Callable[..., Any]


class Watched:
    """A number of a capture that writes down what is done with it (varying.py)."""

    __slots__ = ("value",)
    value: Any


_PLAIN = bool | int | float | complex | str | bytes | None


class Number:
    """A number that a function reads beside its arguments: where it stands."""

    def __init__(self, name: str, container: Any, key: Any) -> None:
        self.name, self.container, self.key = name, container, key
        self.settable = not isinstance(container, _Defaults)

    def now(self) -> Any:
        """Return the number, None where there is none any more."""
        try:
            return at(self.container, self.key)
        except (KeyError, IndexError, ValueError):
            return None

    def put(self, value: Any) -> None:
        """Put something in its place: GONE is nothing."""
        if value is GONE:
            self.container.pop(self.key, None)
        else:
            self.container[self.key] = value

    def put_back(self, was: Any, shown: Any) -> None:
        """Put what was here in its place again, where what was shown there still is: the very thing, or a list with it."""
        now = self.now()
        if now is shown or (isinstance(self.container, _Contents) and list(map(id, now)) == list(map(id, shown))):
            self.put(was)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number) or type(self.key) is not type(other.key):
            return False
        mine, theirs = self.container, other.container
        if self.key is not other.key and (isinstance(self.key, Tensor) or self.key != other.key):
            return False
        return mine is theirs or (isinstance(mine, _Place | _Part) and mine == theirs)

    __hash__ = None  # type: ignore[assignment]


GONE = object()  # in the place of an entry of a dict that is not there


class Known:
    """What was there before a capture, in what the capture left somewhere: it stays the very same."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


class Nth:
    """In the place of a tensor: its number among those that a program takes, or gives for what is left somewhere."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nth) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]


class Opened(dict[Any, Any]):
    """An object that a capture made, as a dict of its class, under `type`, and its attributes: made anew by `closed`."""


def _openable(x: Any) -> bool:
    """Say whether an object is its attributes, and made as all objects are."""
    kind = type(x)
    if isinstance(x, (Tensor, Wrapper, *LASTING, types.ModuleType)) or hasattr(kind, "__next__"):
        return False
    if any([getattr(kind, name) is not getattr(object, name) for name in ("__new__", "__reduce_ex__", "__reduce__")]):
        return False
    if not _still(kind.__module__):
        return True
    ours = kind.__module__.split(".")[0] in OWN  # of which some are constants (a dtype), and those with tensors are not
    return ours and any(isinstance(v, Tensor) for v in leaves(list(_attributes(x).values())))


def _attributes(x: Any) -> dict[Any, Any]:
    slots = {n: getattr(x, n) for n in copyreg._slotnames(type(x)) if hasattr(x, n)}  # type: ignore[attr-defined]
    return {type: type(x), **slots, **getattr(x, "__dict__", {})}


def opened(tree: Any, known: Container[int] = ()) -> Any:
    """Return nested tuples, lists and dicts with objects in them opened: those of whose `id` is not among the known. One that
    stands in several places, or holds itself, stays as it is."""
    parts: list[Any] = []  # all objects that are opened, in each place
    counts: Counter[int] = Counter()

    def count(x: Any) -> None:
        if isinstance(x, tuple | list | dict):
            for part in x.values() if isinstance(x, dict) else x:
                count(part)
        elif id(x) not in known and _openable(x):
            counts[id(x)] += 1
            parts.append(x)
            if counts[id(x)] == 1:
                count(_attributes(x))

    def open_(x: Any) -> Any:
        if isinstance(x, tuple | list | dict):
            return like(x, {k: open_(v) for k, v in x.items()} if isinstance(x, dict) else [open_(v) for v in x])
        return Opened({k: open_(v) for k, v in _attributes(x).items()}) if counts[id(x)] == 1 else x

    count(tree)
    return open_(tree) if parts else tree


def closed(tree: Any) -> Any:
    """Return nested tuples, lists and dicts with new objects in the places of those that were opened."""
    if isinstance(tree, Opened):
        made = object.__new__(tree[type])
        for name, value in tree.items():
            if name is not type:
                object.__setattr__(made, name, closed(value))
        return made
    if isinstance(tree, tuple | list | dict):
        parts = {k: closed(v) for k, v in tree.items()} if isinstance(tree, dict) else [closed(v) for v in tree]
        return like(tree, parts)
    return tree


class Left:
    """What a capture's Python left behind: numbers that it changed, what it added to lists, and what else it put somewhere."""

    def __init__(self) -> None:
        self.numbers: list[tuple[Number, Any]] = []
        self.lists: list[tuple[list[Any], Any]] = []
        self.others: list[tuple[Number, Any]] = []

    def __bool__(self) -> bool:
        return bool(self.numbers or self.lists or self.others)

    def leave(self, made: Sequence[Tensor] = ()) -> None:
        """Leave it behind again, with these tensors: tuples, lists, dicts and objects are made anew."""

        def there(value: Any) -> Any:
            return made[value.number] if isinstance(value, Nth) else value.value if isinstance(value, Known) else value

        for n, value in (*self.numbers, *self.others):
            n.put(made[value.number] if type(value) is Nth else closed(mapped(value, there)))
        for x, added in self.lists:
            x += closed(mapped(added, there))

    def remade(self) -> list[Number]:
        """Return the places where it leaves a new tuple or list for one that differs in numbers alone."""

        def alike(was: Any, now: Any) -> bool:
            if type(was) is not type(now) or type(now) not in (list, tuple) or len(was) != len(now):
                return False
            pairs = zip(was, now, strict=True)
            return all(a.__class__ is b.__class__ and (type(a) in (int, float) or equal(a, b)) for a, b in pairs)

        return [n for n, value in self.others if not isinstance(n.container, _Contents) and alike(n.now(), value)]

    def with_tensors(self) -> tuple[list[Number], list[Any]]:
        """Return where it leaves tensors: the places, and the lists that it adds to."""
        numbers = [n for n, value in self.others if any(isinstance(v, Nth) for v in leaves(value))]
        return numbers, [x for x, added in self.lists if any(isinstance(v, Nth) for v in leaves(added))]


class Guard:
    """What a function can reach by its closure, globals, self and arguments, as it was at the capture.

    A captured program reads tensors where they lie, and holds all else fixed; `changed` says what is no longer as it was.
    Of the program's classes it is what the code names. Raises RuntimeError where that is too much to be looked at before each
    call, and for an iterator, of which nobody can say where it is. The numbers in `moving`, which the program takes as they
    are, are not watched, nor what stands in the places of `renewed`, nor the lists in `lists`, which it does not read. In the
    places of `remade` any list may stand with the same elements.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Any, moving: Iterable[Number] = (), lists: Iterable[Any] = (),
        renewed: Sequence[Number] = (), remade: Sequence[Number] = (),
    ) -> None:  # fmt: skip
        self.tensors: list[tuple[str, Any, Any, Tensor, Any, bool]] = []  # (name, container, key, tensor, array, requires_grad)
        self.inside: list[tuple[str, Any, Any]] = []  # (name, sparse array, its values): a write gives it others
        self.numbers: list[tuple[str, Any, Any, Any]] = []
        self.arrays: list[tuple[str, Any, bytes]] = []
        self.grads: list[tuple[Tensor, bool]] = []  # leaves, and whether they had gradients before
        self.edges: list[Any] = []  # where the gradients of the tensors go
        self.sizes: list[tuple[str, Any, int]] = []
        self.orders: list[tuple[str, Any, list[Any]]] = []  # (name, dict, its keys), of those that code may go through
        self.hooks: list[tuple[str, Any, Any, int]] = []  # (name, leaf's node, its hooks, how many)
        self.caches: list[tuple[Any, int]] = []  # (function of functools.cache, how often it had no result)
        self.objects: list[tuple[str, Any, Any, Any]] = []  # whatever else stands somewhere
        self.sets: list[tuple[str, Any, Any]] = []  # (name, set, what is in it)
        self.iterators: list[tuple[str, Any]] = []  # (name, attribute that it is, or None where code names it)
        self.classes: dict[type, set[str]] = {}  # those that were met, and what was looked at in each
        self.modules: dict[int, types.ModuleType] = {}  # of the program's, those that were met
        self.names = set(CALLED)  # what the code reads of others
        self.loads: set[str] = set()  # names that it does not only set
        self.spaces: set[int] = set()  # the `id` of dicts that are read by such names
        self.renewed, self.remade = renewed, remade
        self.contents: list[tuple[str, Any, Any]] = []  # (name, container, a copy of it)
        self.places: list[tuple[Number, Any]] = []  # what is no container, and what stands there
        self.draws = [(name, source, _drawn(source)) for name, source in _generators()]
        self.unread: list[tuple[str, Any, Any]] = []  # what no result depends on, unless the code names it
        self._seen: set[int] = {id(x) for x in lists}
        self._ordered = True  # whether a dict is reached otherwise than by an object of a package's
        self.watched = (function, arguments)
        self._function(function, getattr(function, "__name__", "the function"))
        for number, value in enumerate(leaves(arguments)):  # tensors and numbers are part of the kind of call
            if not isinstance(value, Tensor | _PLAIN):
                self._argument(value, f"argument {number}")
        self._of_classes()
        if not self.names.isdisjoint(ENVIRONMENT):
            self.sets.append(("os.environ", os.environ._data, dict(os.environ._data)))  # type: ignore[attr-defined]
        for name, container, key in [found for found in self.unread if found[2] in self.names]:
            self._found(name, container, key)
        # attributes that a user gave a tensor
        given = [n for n in self.names if n[:1] not in ("", "_") and not hasattr(Tensor, n)]
        for name, _, _, tensor, *_ in list({id(t[3]): t for t in self.tensors}.values()):
            for attribute in given:
                if hasattr(tensor, attribute):
                    self._found(f"{name}.{attribute}", _Slots(tensor), attribute)
        for name, attribute in self.iterators:
            if attribute is None or attribute in self.names:
                raise RuntimeError(
                    f"wengert.compile: {name} is an iterator, which gives something else at each call; take what it gives "
                    f"outside and pass that as an argument"
                )
        skipped = list(moving)
        if skipped:
            self.numbers = [n for n in self.numbers if Number(*n[:3]) not in skipped]

    @contextlib.contextmanager
    def emptied(self, lists: Sequence[Any]) -> Iterator[None]:
        """Let lists be empty for a while, and be so before a capture."""
        were, contents = [(x, [*x]) for x in lists], self.contents
        self.contents = [(name, x, [] if any(x is y for y in lists) else was) for name, x, was in contents]
        try:
            for x in lists:
                x.clear()
            yield
        finally:
            self.contents = contents
            for x, was in were:
                x[:0] = was

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
        if id(f) in self._seen or (_still(f.__module__) and f.__module__ != "functools"):  # whose wrappers have others in them
            return
        self._seen.add(id(f))
        if f.__dict__:
            self._items(f.__dict__, name)
        for key in (*range(len(f.__defaults__ or ())), *(f.__kwdefaults__ or ())):
            self._found(f"{name}'s default {key}", _Defaults(f), key)
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._found(variable, _Cell(cell), "contents")
        if not _installed(f.__module__ or ""):  # a notebook that loads a module anew puts other code in old functions
            self.objects.append((f"{name}'s code", _Slots(f), "__code__", f.__code__))
        if not _still(f.__module__):
            self._module(f.__globals__)
            reads, names, loads, stores = _reads(f.__code__)
            self.names.update(names)
            self.loads.update(loads)
            self.spaces.add(id(f.__globals__))
            for variable in stores:
                self._place(Number(variable, f.__globals__, variable), f.__globals__.get(variable, GONE))
            for variable, attributes in reads:
                if variable in f.__globals__:
                    self._global(f.__globals__, variable, attributes)

    def _module(self, names: dict[str, Any]) -> None:
        """Find the random generators of a module, which methods may draw from that are not looked into."""
        if id(names) not in self._seen:
            self._seen.add(id(names))
            for name, value in names.items():
                if isinstance(value, GENERATORS):
                    self._object(value, name)

    def _global(self, container: Any, name: str, attributes: Iterable[str]) -> None:
        """Watch a global; of a module, what is read of it."""
        shown = name
        for attribute in attributes:
            value = container[name]
            if not isinstance(value, types.ModuleType):
                break
            if _still(value.__name__) or attribute not in vars(value):
                return
            container, name, shown = vars(value), attribute, f"{shown}.{attribute}"
        self._place(Number(shown, container, name), container[name])
        self._found(shown, container, name)

    def _place(self, number: Number, value: Any) -> None:
        """Note a global that may be put back."""
        if not any(n.container is number.container and n.key == number.key for n, _ in self.places):
            self.places.append((number, value))

    def _found(self, name: str, container: Any, key: Any) -> None:
        try:
            value = container[key]
        except ValueError:  # a cell that is still empty
            return
        if isinstance(container, _Place):
            self.places.append((Number(name, container, key), value))
        if self.renewed and Number(name, container, key) in self.renewed:
            return
        if isinstance(value, Tensor):
            if hasattr(value, "_array"):
                self.tensors.append((name, container, key, value, value._array, value.requires_grad))
                if hasattr(value._array, "parts"):
                    self.inside.append((name, value._array, value._array.values))
                self.edges.append(value._edge)
                if type(value._edge) is AccumulateGrad:
                    self._hooks(value._edge, f"{name}'s hooks")
        elif isinstance(value, _PLAIN):
            self.numbers.append((name, container, key, value))
        elif isinstance(value, tuple):  # its elements, whichever tuple it is
            self._items(_Part(container, key), name)
            if hasattr(value, "__dict__"):
                self._object(vars(value), name)
        elif self.remade and type(value) is list and Number(name, container, key) in self.remade:
            self.contents.append((name, value, value.copy()))
            self._items(_Part(container, key), name)
        else:
            self.objects.append((name, container, key, value))
            if _advances(value):
                self.iterators.append((name, key if isinstance(key, str) and not isinstance(container, _Cell) else None))
            else:
                self._object(value, name)
        if len(self.tensors) + len(self.numbers) > WATCHED:
            raise RuntimeError(
                f"wengert.compile: {name} and what else the function reaches hold more than {WATCHED} values, too many to look "
                f"at before each call; pass what changes as arguments, as tensors"
            )

    def _hooks(self, leaf: AccumulateGrad, name: str) -> None:
        hooks = leaf.hooks
        self.objects.append((name, _Slots(leaf), "hooks", hooks))
        self.hooks.append((name, leaf, hooks, _count(hooks)))
        if hooks is not None:
            self._object(hooks, name)

    def _argument(self, value: Any, name: str) -> None:
        if _advances(value):
            self.iterators.append((name, None))
        else:
            self._object(value, name)

    def _class(self, cls: type, called: bool = False) -> None:
        """Note a class whose objects, or which itself, the function reaches: what it calls makes objects of it."""
        for c in cls.__mro__:
            if c not in self.classes and not _installed(c.__module__) and not issubclass(c, enum.Enum):
                self.classes[c] = set() if called else set(ONCE)
                self.sizes.append((c.__name__, vars(c), len(vars(c))))  # what is not there may be in a class behind it

    def _of_classes(self) -> None:
        """Watch what the classes hold that code asks for, and what their methods read: these may name more."""
        found: list[tuple[type, str]] = []
        while True:
            computed = not self.loads.isdisjoint(COMPUTED)  # the names of values may be: getattr(cls, f"size{n}")
            found = [(c, n) for c, done in self.classes.items() for n, value in vars(c).items()
                     if n not in done and (n in self.names or n[:2] == "__" or (computed and _is_value(value)))]  # fmt: skip
            for number, module in [*self.modules.items()] if computed else ():
                del self.modules[number]
                for key in [n for n, value in vars(module).items() if n[:2] != "__" and _is_value(value)]:
                    self._found(f"{module.__name__}.{key}", vars(module), key)
            if not found:
                return
            for cls, key in found:
                self.classes[cls].add(key)
                value, name = vars(cls)[key], f"{cls.__name__}.{key}"
                if isinstance(value, staticmethod | classmethod | property | functools.cached_property):
                    self.objects.append((name, _Class(cls), key, value))
                if isinstance(value, staticmethod | classmethod):
                    self._function(value.__func__, name)
                elif isinstance(value, property | functools.cached_property):
                    for f in (value.fget, value.fset) if isinstance(value, property) else (value.func,):
                        self._object(f, name)
                elif isinstance(value, types.FunctionType):
                    if key not in ONCE:
                        self.objects.append((name, _Class(cls), key, value))
                    self._function(value, name)
                elif key[:2] != "__" and not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
                    self._found(name, _Class(cls), key)

    def _object(self, value: Any, name: str) -> None:
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            self._function(value, name)
            return
        if isinstance(value, types.ModuleType) and not _installed(value.__name__):
            self.modules[id(value)] = value
        if id(value) in self._seen or isinstance(value, types.ModuleType | np.generic):
            return
        self._seen.add(id(value))
        if isinstance(value, type):
            self._class(value, called=True)
            self._class(type(value))
            return
        self._class(type(value))
        for shared in getattr(type(value), "_SHARED", ()):
            self._object(shared, f"what all objects of {type(value).__name__} share")
        if isinstance(value, Wrapper):
            self._function(value.function, name)
        elif isinstance(value, GENERATORS):
            self.draws.append((name, value, _drawn(value)))
        elif isinstance(value, contextvars.ContextVar):
            self._found(name, _Variable(value), "value")
        elif (array := _array(value)) is not None:
            if array.nbytes > WATCHED_BYTES:
                raise RuntimeError(
                    f"wengert.compile: {name} is an array of {array.nbytes} bytes, too many to compare before each call; "
                    f"pass it as a tensor (torch.from_numpy shares its memory)"
                )
            self.arrays.append((name, array, array.tobytes()))
        elif isinstance(value, list | deque) and self.renewed and Number(name, _Contents(value), None) in self.renewed:
            self.contents.append((name, value, value.copy()))
        elif isinstance(value, list | tuple | dict | deque | types.MappingProxyType):
            self._items(value, name)
            if self._ordered and isinstance(value, dict) and len(value) > 1:
                self.orders.append((name, value, [*value]))
            if type(value) not in CONTAINERS and hasattr(value, "__dict__"):
                self._items(vars(value), name)
        elif isinstance(value, set):
            self.sets.append((name, value, frozenset(value)))
            self.contents.append((name, value, set(value)))
        elif isinstance(value, weakref.ref):
            self._object(value(), name)
        elif isinstance(value, functools._lru_cache_wrapper):
            self.caches.append((value, value.cache_info().misses))
            self._object(value.__wrapped__, name)
        else:
            module = sys.modules.get(type(value).__module__)
            if not _installed(type(value).__module__):
                self.objects.append((f"{name}'s class", _Slots(value), "__class__", value.__class__))
            if module is not None and not _still(module.__name__):
                self._module(vars(module))
                for slot in copyreg._slotnames(type(value)):  # type: ignore[attr-defined]
                    if hasattr(value, slot):
                        self._found(f"{name}.{slot}", _Slots(value), slot)
            if hasattr(value, "__dict__"):
                self.spaces.add(id(vars(value)))
                before, self._ordered = self._ordered, not _installed(type(value).__module__)
                self._items(vars(value), name, getattr(type(value), "_bookkeeping", ()))
                self._ordered = before

    def _items(self, value: Any, name: str, unread: Container[str] = ()) -> None:
        kind: Any = type(value)
        if _reads_in_its_own_way(kind):  # which may do anything
            value = _Raw(value)
        if not isinstance(value, tuple):  # these are what was found at first: none of them can become another one
            self.sizes.append((name, value, len(value)))
            self.contents += [(name, value, value.copy())] if isinstance(value, list | dict | deque) else []
        for key in list(value) if isinstance(value, dict | types.MappingProxyType | _Raw) else range(len(value)):
            shown = _shown(name, key)
            if key in unread:
                self.unread.append((shown, value, key))
            else:
                self._found(shown, value, key)

    def check(self) -> tuple[str, dict[str, Any]]:
        """Return an expression that says whether all is the very same as it was, and the names in it, for `defined`.

        A dict whose entries are all watched and mostly numbers is compared as a whole, which is quicker.
        """
        names: dict[str, Any] = {}
        known: dict[int, str] = {}  # the name of what has one, by its `id`

        def name(value: Any) -> str:
            found = known.setdefault(id(value), f"g{len(names)}")
            names[found] = value
            return found

        def read(container: Any, key: Any) -> str:
            if isinstance(container, _Cell):
                return name(container.of)
            if isinstance(container, _Part):
                return f"{read(container.container, container.key)}[{key}]"
            if isinstance(container, _Slots):
                return f"{name(container.of)}.{key}"
            if isinstance(container, _Class):
                container = container.held
            if hasattr(type(container), "__missing__"):
                return f"{name(container)}.get({name(key)})"
            return f"{name(container)}[{key!r}]" if type(key) in (str, int) else f"{name(container)}[{name(key)}]"

        was: dict[int, dict[Any, Any]] = {}  # what containers held
        for _, container, key, value, *_ in (*self.tensors, *self.numbers, *self.objects):
            was.setdefault(id(container), {})[key] = value
        numbers = Counter(id(container) for _, container, _, _ in self.numbers)
        whole = {id(c): c for _, c, size in self.sizes if type(c) is dict and numbers[id(c)] > 3 and len(was[id(c)]) == size}
        terms = list[str]()
        for i, c in whole.items():
            terms.append(f"{name(c)} == {name(was[i])}")
            exact = [(key, v) for key, v in was[i].items() if isinstance(v, int | float) and v == v // 1]
            terms += [f"{read(c, key)} is {name(v)}" for key, v in exact]  # 1, 1.0 and True are equal
        for (_, container, key, tensor, array, _), edge in zip(self.tensors, self.edges, strict=True):
            t = name(tensor)
            terms += [f"{read(container, key)} is {t}", f"{t}._array is {name(array)}", f"{t}._edge is {name(edge)}"]
        terms += [f"{name(t)}._grad is {'not ' if there else ''}None" for t, there in self.grads]
        terms += [f"{name(array)}.values is {name(values)}" for _, array, values in self.inside]
        terms += [f"{read(c, key)} is {name(value)}" for _, c, key, value in self.numbers if id(c) not in whole]
        terms += [f"{read(c, key)} is {name(value)}" for _, c, key, value in self.objects]
        for _, c, size in self.sizes:
            if id(c) not in whole:
                terms.append(f"len({name(c)}) == {size}" if size or type(c) not in CONTAINERS else f"not {name(c)}")
        terms += [f"[*{name(c)}] == {name(keys)}" for _, c, keys in self.orders]
        terms += [f"{name(array)}.tobytes() == {name(was)}" for _, array, was in self.arrays]
        terms += [f"{name(now)} == {name(was)}" for _, now, was in self.sets]
        return " and ".join(dict.fromkeys(terms)) or "True", names  # a function may read the same thing more than once

    @functools.cached_property
    def same(self) -> Callable[[], bool]:
        """Say whether all is the very same as it was: quick, and False also where nothing that counts is otherwise."""
        text, names = self.check()
        lines = [" try:", f"  return {text}", " except Exception as error:", "  if of_a_signal(error): raise", "  return False"]
        return defined("same", "", lines, names | {"of_a_signal": errors.of_a_signal})

    def numbers_of(self, wanted: list[Number]) -> list[Number]:
        """Return the numbers that are among those wanted."""
        return [n for n in (Number(*n[:3]) for n in self.numbers) if n in wanted] if wanted else []

    def within(self, places: list[Number]) -> list[Number]:
        """Return the numbers in the tuples and lists that stand in these places."""
        numbers = (Number(*n[:3]) for n in self.numbers if isinstance(n[1], _Part) and type(n[3]) in (int, float))
        return [n for n in numbers if Number("", n.container.container, n.container.key) in places] if places else []

    def begin(self) -> None:
        """Note what cached functions have: a capture begins."""
        self.caches = [(cache, cache.cache_info().misses) for cache, _ in self.caches]

    def ask(self, given: list[Tensor]) -> None:
        """Raise RuntimeError where the code asks for what the arguments of a capture have and those of other calls may not."""
        asked = {n for x in given for n in x.__dict__}
        asked |= {"is_leaf", "grad_fn"} if any(x.requires_grad for x in given) else set()
        asked |= {"Parameter"} if any(type(x) is not Tensor for x in given) else set()
        found = sorted(self.names & asked) if given else []
        if found:
            raise RuntimeError(
                f"wengert.compile: the function asks for {', '.join(found)} of an argument, which is another tensor at each "
                f"call; pass what it needs of it as an argument too"
            )

    def reads(self, n: Number) -> bool:
        """Say whether code may read what stands in a place: an attribute that no code names but to set it is not read."""
        if not isinstance(n.container, _Slots | _Class) and id(n.container) not in self.spaces:
            return True
        return n.key in self.loads or not self.loads.isdisjoint(LOOKING)

    def undo(self, back: bool = True) -> Left:
        """Put back what a capture changed of all that is watched, but tensors, and return it. back: else leave it there."""
        left, held = Left(), list[tuple[Number, Any]]()

        def note(n: Number, was: Any, now: Any) -> None:
            if type(was) in (int, float) and isinstance(now, type(was)) and not isinstance(now, bool):
                left.numbers += [(n, now)] if issubclass(type(now), Watched) or was != now else []  # 0 now, 1 at another call
            elif now is not was:
                left.others.append((n, now))
            held.append((n, was))

        for name, x, was in self.contents:
            if isinstance(x, dict):
                for key in (*was, *(k for k in x if k not in was)):
                    if was.get(key, GONE) is not x.get(key, GONE):
                        note(Number(_shown(name, key), x, key), was.get(key, GONE), x.get(key, GONE))
            elif isinstance(x, list) and len(x) >= len(was) and Number("", _Contents(x), None) not in self.renewed:
                for i, value in enumerate(was):
                    if x[i] is not value:
                        note(Number(f"{name}[{i}]", x, i), value, x[i])
                if len(x) > len(was):
                    left.lists.append((x, x[len(was) :]))
                    if back:
                        del x[len(was) :]
            elif x != was if isinstance(x, set) else len(x) != len(was) or any(a is not b for a, b in zip(x, was, strict=True)):
                left.others.append((Number(name, _Contents(x), None), list(x)))
                if back:
                    _Contents(x)[None] = was
        for n, value in self.places:
            now = n.container.get(n.key, GONE) if isinstance(n.container, dict) else n.now()
            if now is not value:
                note(n, value, now)
        for n, value in held if back else ():
            n.put(value)
        for cache, misses in self.caches if back else ():
            if cache.cache_info().misses != misses:  # it has what the capture made
                cache.cache_clear()
        return left

    def fixed(self, left: Left, made: dict[int, Tensor], more: bool = False) -> Left:
        """Return what a capture left as each call can leave it. Raises RuntimeError for what would have to be made anew.

        made: the tensors that the graph gives for it, by their `id`; more: put those that are left there."""
        known = self._seen

        def fix(name: str, value: Any) -> Any:
            if value is GONE or isinstance(value, _PLAIN):
                return value
            if isinstance(value, Tensor) and (more or id(value) in made):
                made.setdefault(id(value), value)
                return Nth(list(made).index(id(value)))
            if id(value) in known:
                return Known(value)
            if isinstance(value, dict):
                return like(value, {k: fix(name, v) for k, v in value.items()})
            if isinstance(value, tuple | list):
                return like(value, [fix(name, v) for v in value])
            if isinstance(inside := opened(value, known), Opened):
                return fix(name, inside)
            if isinstance(value, LASTING) or (_still(type(value).__module__) and not isinstance(value, (Tensor, *MUTABLE))):
                return Known(value)
            raise RuntimeError(
                f"wengert.compile: the function leaves a {type(value).__name__} that it made in {name}, where it is not "
                f"renewed at each call; return it, or change one that was there before"
            )

        left.others = [(n, fix(n.name, value)) for n, value in left.others]
        left.lists = [(x, fix("a list", added)) for x, added in left.lists]
        return left

    def settle(self, result: Any) -> None:
        """Look at what a capture left behind. Raises RuntimeError for random numbers of Python's, and for tensors elsewhere
        than in the result: a program has neither."""
        for name, source, was in self.draws:
            if _drawn(source) != was:
                raise RuntimeError(
                    f"wengert.compile: the function draws random numbers from {name}, and would have the same at every call; "
                    f"draw them with wengert.rand and the like, or outside and pass them as tensors"
                )
        made = [x for x in leaves(result) if not isinstance(x, (Tensor, *LASTING)) and id(x) not in self._seen
                and (isinstance(x, MUTABLE) or not _still(type(x).__module__))]  # fmt: skip
        if made:
            raise RuntimeError(
                f"wengert.compile: the function returns a {type(made[0]).__name__} that it made, which would be the same one "
                f"at each call; return tensors and numbers, in tuples, lists and dicts"
            )
        attributes = [v for tree in containers(result) for v in leaves(getattr(tree, "__dict__", ())) if isinstance(v, Tensor)]
        if any(not any(v is x for x in leaves(result)) for v in attributes):
            raise RuntimeError(
                "wengert.compile: the function returns a tuple, list or dict with a tensor in an attribute, where it is not "
                "renewed at each call; return the tensor itself too"
            )
        for (name, _, _, tensor, _, required) in self.tensors:
            if (tensor._edge is not None) is not required:
                raise RuntimeError(
                    f"wengert.compile: the function makes {name} require grad, or no longer, which a program would not; call "
                    f"requires_grad_() outside, and write what has a history to a tensor of its own"
                )
        for name, leaf, _, count in self.hooks:
            if _count(leaf.hooks) != count:
                raise RuntimeError(
                    f"wengert.compile: the function adds to {name} or takes one away, which a program would not; do it outside"
                )
        _without_symbols(Guard(leaves, result), "returns an object with")

    def clean(self) -> None:
        """Raise RuntimeError where tensors of a capture stand that was undone."""
        _without_symbols(Guard(*self.watched), "leaves a tensor in")

    @property
    def known(self) -> Container[int]:
        """The `id` of the objects that were there before."""
        return self._seen

    def released(self) -> None:
        """Let go of the capture's tensors, but keep what else was given: a kind of call knows some objects by their `id`."""
        function, arguments = self.watched
        self.watched = function, [x for x in leaves(arguments) if not isinstance(x, Tensor)]

    def restore(self) -> None:
        """Put everything back as it was: the capture failed."""
        for _, source, was in self.draws:
            _set_drawn(source, was)
        for (_, _, _, tensor, array, _), edge in zip(self.tensors, self.edges, strict=True):
            tensor._array, tensor._edge = array, edge
        for _, leaf, hooks, _ in self.hooks:
            leaf.hooks = hooks
        for cache, _ in self.caches:
            cache.cache_clear()
        self.undo()

    def floats_that_changed(self) -> list[Number]:
        """Return the floats that are other floats now."""
        found = [(Number(*n[:3]), n[3]) for n in self.numbers if type(n[3]) is float]
        return [n for n, was in found if type(n.now()) is float and not equal(n.now(), was)]

    def tensors_that_changed(self) -> list[Number]:
        """Return the places where another tensor is now, of those that may hold any: a leaf that requires grad has a .grad."""
        changed = [(Number(*t[:3]), t[3]) for t in self.tensors if Number(*t[:3]).now() is not t[3]]
        fit = [n for n, was in changed if all(isinstance(x, Tensor) and not (x.requires_grad and x.is_leaf)
                                              for x in (n.now(), was))]  # fmt: skip
        return _settable(fit)

    def places_of(self, edges: Container[Any]) -> list[Number]:
        """Return the places that may hold other tensors, of those whose history is among these."""
        return _settable([Number(*t[:3]) for t in self.tensors if t[3]._edge is not None and t[3]._edge in edges])

    @contextlib.contextmanager
    def holding(self, numbers: Iterable[tuple[Number, Any]]) -> Iterator[None]:
        """Put other numbers in their places for a while."""
        pairs = list(numbers)
        held = [(n, n.now()) for n, _ in pairs]
        try:
            for n, value in pairs:
                n.container[n.key] = value
            yield
        finally:
            for n, value in held:
                n.container[n.key] = value

    def changed(self) -> str | None:
        """Return what is no longer as it was, or None."""
        try:
            for name, container, key, tensor, array, requires in self.tensors:
                if at(container, key) is not tensor:
                    return f"{name} is another tensor"
                if tensor._array is not array:
                    return f"{name} has other memory"
                if (tensor._edge is not None) is not requires:
                    return f"{name}.requires_grad is {tensor.requires_grad}"
            for t, there in self.grads:
                if (t._grad is not None) is not there:
                    return f"a gradient of {list(t._array.shape)} is {'gone' if there else 'there'}"
            for name, array, values in self.inside:
                if array.values is not values:
                    return f"{name} holds other values"
            for name, container, key, value in self.numbers:
                if (now := at(container, key)) is not value and not equal(now, value):
                    return f"{name} is {now!r}, was {value!r}"
            for name, container, key, value in self.objects:
                if at(container, key) is not value:
                    return f"{name} is another {type(value).__name__}"
            sizes = [len(container) for name, container, _ in self.sizes]
        except (KeyError, IndexError, ValueError, TypeError):
            return f"{name} is gone"
        for (name, _, size), count in zip(self.sizes, sizes, strict=True):
            if count != size:
                return f"{name} has {count} entries, had {size}"
        for name, container, keys in self.orders:
            if any(a is not b and a != b for a, b in zip(container, keys, strict=True)):
                return f"{name} is in another order"
        others = [name for name, array, was in self.arrays if array.tobytes() != was]
        others += [name for name, there, kept in self.sets if there != kept]
        return f"{others[0]} has other elements" if others else None


def _settable(places: list[Number]) -> list[Number]:
    """Return the places, of those given or of the tuples that they are in, in which something else can be put."""
    found: list[Number] = []
    for n in places:
        while isinstance(n.container, _Part):
            n = Number(n.name, n.container.container, n.container.key)  # noqa: PLW2901
        free = isinstance(n.container, dict | list | _Place) and n.settable and not isinstance(n.container, _Raw)
        found += [n] if free and n not in found else []
    return found


def _without_symbols(guard: Guard, what: str) -> None:
    for name, *_, array, _ in guard.tensors:
        if hasattr(type(array), "recorder"):
            name = name if guard.watched[0] is not leaves else name.replace("argument", "result")
            raise RuntimeError(
                f"wengert.compile: the function {what} {name}, where it is not renewed at each call; return the tensor "
                f"itself, or copy it into one that was there before"
            )


def at(container: Any, key: Any) -> Any:
    """Return what stands in a container, where a defaultdict would make it. Raises KeyError, IndexError, ValueError."""
    if hasattr(type(container), "__missing__") and key not in container:
        raise KeyError(key)
    return container[key]


def _shown(name: str, key: Any) -> str:
    return f"{name}.{key}" if isinstance(key, str) else f"{name}[{key if isinstance(key, int) else '...'}]"


def _count(hooks: Hooks | None) -> int:
    return 0 if hooks is None else sum(map(len, hooks.kinds.values()))


def defined(function: str, parameters: str, lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Return a function of parameters and indented lines, with these names bound: nothing is looked up when it runs. The name
    of a closure's cell is a variable of that closure."""
    cells = [name for name, value in names.items() if isinstance(value, types.CellType)]
    values = {name: value for name, value in names.items() if name not in cells}
    inside = [f"def {function}({', '.join([*filter(None, [parameters]), *values])}):", *lines]
    around = ["def around():", *(f" {name} = None" for name in cells), *(f" {line}" for line in inside), f" return {function}"]
    scope: dict[str, Any] = {}
    exec(compile("\n".join(around), "<what a compiled function watches>", "exec"), scope)  # noqa: S102
    code = scope["around"]().__code__
    closure = tuple(names[name] for name in code.co_freevars)
    return types.FunctionType(code, scope, function, tuple(values.values()), closure)


def _generators() -> list[tuple[str, Any]]:
    """Return the random generators that Python and NumPy have for everybody."""
    return [("random", random.random.__self__), ("numpy.random", np.random.get_state.__self__)]  # type: ignore[attr-defined]


def _drawn(source: Any) -> Any:
    """Return the state of a random generator, which changes as numbers are drawn."""
    if isinstance(source, random.Random):
        return source.getstate()
    return pickle.dumps(source.get_state() if isinstance(source, np.random.RandomState) else source.bit_generator.state)


def _set_drawn(source: Any, was: Any) -> None:
    if isinstance(source, random.Random):
        source.setstate(was)
    elif isinstance(source, np.random.RandomState):
        source.set_state(pickle.loads(was))  # noqa: S301
    else:
        source.bit_generator.state = pickle.loads(was)  # noqa: S301


class _Place:
    """What is read as containers are, though it is none."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and type(self) is type(other) and self.of is other.of

    __hash__ = None  # type: ignore[assignment]


class _Cell(_Place):
    """A closure's variable."""

    def __getitem__(self, key: Any) -> Any:
        return self.of.cell_contents

    def __setitem__(self, key: Any, value: Any) -> None:
        self.of.cell_contents = value


class _Raw(_Place):
    """A dict or list of a class that reads and writes in its own way, as it is without that."""

    def __len__(self) -> int:
        return dict.__len__(self.of) if isinstance(self.of, dict) else list.__len__(self.of)

    def __iter__(self) -> Iterator[Any]:
        return dict.__iter__(self.of) if isinstance(self.of, dict) else iter(range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(self.of, dict) and not dict.__contains__(self.of, key):  # which a class may make, as defaultdict does
            raise KeyError(key)
        return dict.__getitem__(self.of, key) if isinstance(self.of, dict) else list.__getitem__(self.of, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        dict.__setitem__(self.of, key, value) if isinstance(self.of, dict) else list.__setitem__(self.of, key, value)


class _Contents(_Place):
    """All that a list, deque or set holds."""

    def __getitem__(self, key: None) -> Any:
        return list(self.of)

    def __setitem__(self, key: None, value: Any) -> None:
        self.of.clear()
        self.of.update(value) if isinstance(self.of, set) else self.of.extend(value)


class _Variable(_Place):
    """A variable of the context."""

    def __getitem__(self, key: Any) -> Any:
        return self.of.get(None)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.of.set(value)


class _Slots(_Place):
    """The attributes of an object that its class keeps places for."""

    def __getitem__(self, key: str) -> Any:
        return getattr(self.of, key, None)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self.of, key, value)


class _Class(_Place):
    """What a class holds."""

    def __init__(self, of: type) -> None:
        super().__init__(of)
        self.held = vars(of)

    def __getitem__(self, key: str) -> Any:
        return self.held[key]

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self.of, key, value)


class _Memory:
    """What shows its bytes (a bytearray, an array of Python's, a number of C's), read as arrays are."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def tobytes(self) -> bytes:
        return memoryview(self.of).tobytes()

    @property
    def nbytes(self) -> int:
        return memoryview(self.of).nbytes


def _array(value: Any) -> Any:
    """Return what `nbytes` and `tobytes` are read of: None for what shows no bytes."""
    if isinstance(value, np.ndarray):
        return value
    with contextlib.suppress(TypeError, ValueError, BufferError):
        memoryview(value)
        return _Memory(value)
    return None


class _Part:
    """A tuple or list that stands in a container, whichever it is now; setting an element puts another one there."""

    def __init__(self, container: Any, key: Any) -> None:
        self.container, self.key = container, key

    def __len__(self) -> int:
        return len(self.container[self.key])

    def __getitem__(self, key: Any) -> Any:
        return self.container[self.key][key]

    def __setitem__(self, key: int, value: Any) -> None:
        now = self.container[self.key]
        parts = [*now[:key], value, *now[key + 1 :]]
        self.container[self.key] = type(now)(*parts) if hasattr(now, "_fields") else type(now)(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Part) and Number("", self.container, self.key) == Number("", other.container, other.key)

    __hash__ = None  # type: ignore[assignment]


class _Defaults:
    """A function's defaults, read as containers are; they may be replaced."""

    def __init__(self, function: types.FunctionType) -> None:
        self.function = function

    def __getitem__(self, key: int | str) -> Any:
        return (self.function.__kwdefaults__ or {})[key] if isinstance(key, str) else (self.function.__defaults__ or ())[key]


def _is_value(x: Any) -> bool:
    """Say whether something in a class or module is a value: no function, class, module or descriptor."""
    return isinstance(x, (Tensor, *CONTAINERS, *MUTABLE, tuple)) or (isinstance(x, _PLAIN) and x is not None)


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Look at the C functions that the program's code calls meanwhile. Raises RuntimeError for one of `SOURCES`: what it gave
    would stand still. A profiler that is no Python function is the only one of its thread, and nobody looks."""
    found: list[str] = []
    outer: Any = sys.getprofile()

    def look(frame: Any, event: str, called: Any) -> None:  # at every call and return: as little as can be
        if event == "c_call" and called.__name__ in SOURCE:
            refuse(frame, called)

    def look_too(frame: Any, event: str, called: Any) -> None:
        outer(frame, event, called)
        look(frame, event, called)

    def refuse(frame: Any, called: Any) -> None:
        of, what = SOURCE[called.__name__]
        owner = called.__self__
        if isinstance(of, str):
            if not isinstance(owner, types.ModuleType) or owner.__name__.strip("_") != of:
                return
        elif not (issubclass(owner, of) if isinstance(owner, type) else isinstance(owner, of)):
            return
        if called.__name__ == "seed" and frame.f_locals.get("a") is not None:
            return
        while frame is not None and not ASKED.isdisjoint(((name := frame.f_globals.get("__name__", "")), name.split(".")[0])):
            frame = frame.f_back
        if frame is not None and not _installed(frame.f_globals.get("__name__", "")):
            found.append(
                f"wengert.compile: the function reads {what}, which would stand still; read it outside of the function"
            )
            raise RuntimeError(found[0])

    alone = outer is not None and not callable(outer)
    try:
        if not alone:
            sys.setprofile(look if outer is None else look_too)
        yield
    finally:
        if not alone:
            sys.setprofile(outer)
    if found:  # and went on
        raise RuntimeError(found[0])


def _still(module: str | None) -> bool:
    """Say whether what a module holds is taken not to change."""
    return (module or "").split(".")[0] in STILL


@functools.cache
def _reads_in_its_own_way(kind: type) -> bool:
    """Say whether a class of dicts or lists does not read them as these do."""
    base = next((b for b in (dict, list) if issubclass(kind, b)), kind)
    if kind is base or kind in CONTAINERS:
        return False
    return any(getattr(kind, n, None) not in [getattr(c, n, None) for c in (base, *CONTAINERS)] for n in READ)


@functools.cache
def _installed(module: str) -> bool:
    """Say whether a module is of an installed package, whose classes are taken not to change."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return _still(module) or "site-packages" in file or "dist-packages" in file


@functools.lru_cache(4096)
def _reads(code: types.CodeType) -> tuple[Any, frozenset[str], frozenset[str], frozenset[str]]:
    """Return the globals that a function's code, and the functions inside of it, read, each with the attributes read of it;
    all names in it that may be attributes of something; those of them that it does not only set; the globals that it sets."""
    found: list[tuple[str, list[str]]] = []
    names, loads, stores = set(code.co_names), set[str](), set[str]()
    reading = False  # whether the instruction before took a global, or an attribute of one
    for step in dis.get_instructions(code):
        if step.opname == "STORE_GLOBAL":
            stores.add(str(step.argval))
        elif step.argval in names and not step.opname.startswith(("STORE_", "DELETE_")):
            loads.add(str(step.argval))
        if step.opname == "LOAD_GLOBAL":
            found.append((str(step.argval), []))
            reading = True
        elif reading and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            found[-1][1].append(str(step.argval))
        else:
            reading = False
    reads = tuple((variable, tuple(attributes)) for variable, attributes in found)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner, *others = _reads(constant)
            reads += inner
            for mine, theirs in zip((names, loads, stores), others, strict=True):
                mine |= theirs
        elif isinstance(constant, str) and constant.isidentifier():  # getattr(x, "name")
            names.add(constant)
            loads.add(constant)
    return reads, frozenset(names), frozenset(loads), frozenset(stores)


def containers(tree: Any) -> Iterator[Any]:
    """Yield nested tuples, lists and dicts, the outer ones first."""
    if isinstance(tree, tuple | list | dict):
        yield tree
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from containers(part)


def equal(a: Any, b: Any) -> bool:
    """Say whether two numbers or texts are the very same: 1 is not 1.0, and 0.0 is not -0.0."""
    if type(a) is not type(b) or a != b:
        return False
    return type(a) is not float or bool(a) or math.copysign(1, a) == math.copysign(1, b)


def alike(kind: type) -> bool:
    """Say whether two objects of a type that are equal are so in all that a function may read of them."""
    if not any("__eq__" in vars(c) for c in kind.__mro__[:-1]) or _still(kind.__module__) or issubclass(kind, enum.Enum):
        return True
    if not dataclasses.is_dataclass(kind):
        return False
    return bool(kind.__dataclass_params__.frozen) and all(f.compare for f in dataclasses.fields(kind))  # type: ignore[attr-defined]


def _advances(value: Any) -> bool:
    """Say whether something is an iterator that does not show where it is, as an object of a user's class does."""
    kind = type(value)
    return hasattr(kind, "__next__") and _still(kind.__module__) and not isinstance(value, io.IOBase)


def root_of(array: Any) -> Any:
    """Return the array whose memory an array is a view of: itself, where it is none."""
    base = getattr(array, "base", None)
    while base is not None and isinstance(base, type(array)):
        array, base = base, base.base
    return array


def root_id(array: Any) -> int:
    return id(root_of(array))


def overlap(tensors: list[Tensor]) -> bool:
    """Say whether two arguments share memory."""
    if len(tensors) < 2:
        return False
    roots = [root_id(x._array) for x in tensors]
    return len(set(roots)) < len(roots)
