"""What a captured function reads beside its arguments, watched.

Owns: `Guard`, `Number`, and which storages tensors share. May import: tensor, func.layers, plugins. Must not know: graphs,
programs.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import pickle
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

import numpy as np

from wengert._tensor import Tensor
from wengert.func.layers import leaves
from wengert.plugins import BUILTIN

OWN = {"wengert", "wengert_codegen", "wengert_xp", *BUILTIN.values()}  # our packages
STILL = OWN | {"numpy", "scipy", "tqdm"} | sys.stdlib_module_names  # those whose functions and numbers are not watched
CONTAINERS = (list, dict, OrderedDict, defaultdict)  # those that are false where they are empty
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
WATCHED, WATCHED_BYTES = 10_000, 1 << 16  # values, and bytes of a NumPy array, that are looked at before each call


class Wrapper:
    """Something callable around a function of the user's: the function is what is watched."""

    function: Callable[..., Any]


_PLAIN = bool | int | float | complex | str | bytes | None


class Number:
    """A number that a function reads beside its arguments: where it stands."""

    def __init__(self, name: str, container: Any, key: Any) -> None:
        self.name, self.container, self.key = name, container, key
        self.settable = not isinstance(container, _Defaults)

    def now(self) -> Any:
        """Return the number, None where there is none any more."""
        try:
            return self.container[self.key]
        except (KeyError, IndexError, ValueError):
            return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number) or self.key != other.key:
            return False
        mine, theirs = self.container, other.container
        return mine is theirs or (isinstance(mine, _Cell | _Part) and mine == theirs)

    __hash__ = None  # type: ignore[assignment]


class Left:
    """What a capture's Python left behind: numbers that it changed, and what it added to lists."""

    def __init__(self, numbers: list[tuple[Number, Any]], lists: list[tuple[list[Any], list[Any]]]) -> None:
        self.numbers, self.lists = numbers, lists

    def redo(self) -> None:
        """Leave it behind after all."""
        for n, value in self.numbers:
            n.container[n.key] = value
        for x, added in self.lists:
            x += added


class Guard:
    """What a function can reach by its closure, globals, self and arguments, as it was at the capture.

    A captured program reads tensors where they lie, and holds all else fixed; `changed` says what is no longer as it was.
    Raises RuntimeError where that is too much to be looked at before each call. What a class holds is not watched, nor the
    numbers in `moving`, which the program takes as they are, and the lists in `lists`, which it does not read.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Any, moving: Iterable[Number] = (), lists: Iterable[Any] = ()
    ) -> None:
        self.tensors: list[tuple[str, Any, Any, Tensor, Any, bool]] = []  # (name, container, key, tensor, array, requires_grad)
        self.inside: list[tuple[str, Any, Any]] = []  # (name, sparse array, its values): a write gives it others
        self.numbers: list[tuple[str, Any, Any, Any]] = []
        self.arrays: list[tuple[str, Any, bytes]] = []
        self.grads: list[tuple[Tensor, bool]] = []  # leaves, and whether they had gradients before
        self.edges: list[Any] = []  # where the gradients of the tensors go
        self.sizes: list[tuple[str, Any, int]] = []
        self.objects: list[tuple[str, Any, Any, Any]] = []  # whatever else stands somewhere
        self.remade: list[tuple[Number, Any]] = []  # where a capture put other objects, and those of the first one
        self.draws = [(name, source, _drawn(source)) for name, source in _generators()]
        self._seen: set[int] = {id(x) for x in lists}
        self.watched = (function, arguments)
        self._function(function, getattr(function, "__name__", "the function"))
        for number, value in enumerate(leaves(arguments)):  # tensors and numbers are part of the kind of call
            if not isinstance(value, Tensor | _PLAIN):
                self._object(value, f"argument {number}")
        skipped = list(moving)
        if skipped:
            self.numbers = [n for n in self.numbers if Number(*n[:3]) not in skipped]

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
        if id(f) in self._seen or _still(f.__module__):
            return
        self._seen.add(id(f))
        for i in range(len(f.__defaults__ or ())):
            self._found(f"{name}'s default {i}", _Defaults(f), i)
        self._items(f.__kwdefaults__ or {}, f"{name}'s defaults")
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._found(variable, _Cell(cell), "contents")
        self._module(f.__globals__)
        for variable, attributes in _reads(f.__code__):
            if variable in f.__globals__:
                self._global(f.__globals__, variable, attributes)

    def _module(self, names: dict[str, Any]) -> None:
        """Find the random generators of a module, which methods may draw from that are not looked into."""
        if id(names) not in self._seen:
            self._seen.add(id(names))
            for name, value in names.items():
                if isinstance(value, GENERATORS):
                    self._object(value, name)

    def _global(self, container: Any, name: str, attributes: list[str]) -> None:
        """Watch a global; of a module, what is read of it."""
        shown = name
        for attribute in attributes:
            value = container[name]
            if not isinstance(value, types.ModuleType):
                break
            if _still(value.__name__) or attribute not in vars(value):
                return
            container, name, shown = vars(value), attribute, f"{shown}.{attribute}"
        self._found(shown, container, name)

    def _found(self, name: str, container: Any, key: Any) -> None:
        try:
            value = container[key]
        except ValueError:  # a cell that is still empty
            return
        if isinstance(value, Tensor):
            if hasattr(value, "_array"):
                self.tensors.append((name, container, key, value, value._array, value.requires_grad))
                if hasattr(value._array, "parts"):
                    self.inside.append((name, value._array, value._array.values))
                self.edges.append(value._edge)
        elif isinstance(value, _PLAIN):
            self.numbers.append((name, container, key, value))
        elif isinstance(value, tuple):  # its elements, whichever tuple it is
            self._items(_Part(container, key), name)
        else:
            self.objects.append((name, container, key, value))
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
        if isinstance(value, Wrapper):
            self._function(value.function, name)
        elif isinstance(value, GENERATORS):
            self.draws.append((name, value, _drawn(value)))
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
            module = sys.modules.get(type(value).__module__)
            if module is not None and not _still(module.__name__):
                self._module(vars(module))
            self._items(vars(value), name, getattr(type(value), "_bookkeeping", ()))

    def _items(self, value: Any, name: str, unread: Container[str] = ()) -> None:
        if not isinstance(value, tuple):  # these are what was found at first: none of them can become another one
            self.sizes.append((name, value, len(value)))
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            if key in unread:  # what no result depends on
                continue
            shown = f"{name}.{key}" if isinstance(key, str) else f"{name}[{key if isinstance(key, int) else '...'}]"
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
                return name(container.cell)
            if isinstance(container, _Part):
                return f"{read(container.container, container.key)}[{key}]"
            return f"{name(container)}[{key!r}]" if type(key) in (str, int) else f"{name(container)}[{name(key)}]"

        was: dict[int, dict[Any, Any]] = {}  # what containers held
        for _, container, key, value, *_ in (*self.tensors, *self.numbers, *self.objects):
            was.setdefault(id(container), {})[key] = value
        numbers = Counter(id(container) for _, container, _, _ in self.numbers)
        whole = {id(c): c for _, c, size in self.sizes if type(c) is dict and numbers[id(c)] > 3 and len(was[id(c)]) == size}
        terms = [f"{name(c)} == {name(was[i])}" for i, c in whole.items()]
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
        terms += [f"{name(array)}.tobytes() == {name(was)}" for _, array, was in self.arrays]
        return " and ".join(dict.fromkeys(terms)) or "True", names  # a function may read the same thing more than once

    @functools.cached_property
    def same(self) -> Callable[[], bool]:
        """Say whether all is the very same as it was: quick, and False also where nothing that counts is otherwise."""
        text, names = self.check()
        return defined("same", "", [" try:", f"  return {text}", " except Exception:", "  return False"], names)

    def numbers_of(self, wanted: list[Number]) -> list[Number]:
        """Return the numbers that are among those wanted."""
        return [n for n in (Number(*n[:3]) for n in self.numbers) if n in wanted] if wanted else []

    def undo(self) -> Left:
        """Put back the numbers that a capture changed and shorten the lists that it added to; return both. What has tensors in
        it stays: it was made for somebody to read."""
        changed = [(Number(*n[:3]), n[3]) for n in self.numbers if type(n[3]) in (int, float)]
        counted = [(n, was) for n, was in changed if n.settable and isinstance(n.now(), int | float) and n.now() != was]
        grown = [(x, size) for _, x, size in self.sizes if type(x) is list and len(x) > size
                 and not any(isinstance(v, Tensor) for v in leaves(x[size:]))]  # fmt: skip
        left = Left([(n, type(was)(n.now())) for n, was in counted], [(x, x[size:]) for x, size in grown])
        for n, was in (*counted, *self.remade):
            n.container[n.key] = was
        for x, size in grown:
            del x[size:]
        # what the capture made anew is not read; what the first one made stays, as it had the numbers of the call
        other = [Number(*o[:3]) for o in self.objects if Number(*o[:3]).now() is not o[3]]
        self.objects = [o for o in self.objects if Number(*o[:3]) not in other]
        self.remade += [(n, now) for n in other if n.settable and (now := n.now()) is not None]
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
        for found, what in ((Guard(*self.watched), "leaves a tensor in"), (Guard(leaves, result), "returns an object with")):
            for name, *_, array, _ in found.tensors:
                if hasattr(type(array), "recorder"):
                    name = name if found.watched[0] is not leaves else name.replace("argument", "result")
                    raise RuntimeError(
                        f"wengert.compile: the function {what} {name}, where it is not renewed at each call; return the tensor "
                        f"itself, or copy it into one that was there before"
                    )

    def restore(self) -> None:
        """Put everything back as it was: the capture failed."""
        for _, source, was in self.draws:
            _set_drawn(source, was)
        for (_, _, _, tensor, array, _), edge in zip(self.tensors, self.edges, strict=True):
            tensor._array, tensor._edge = array, edge
        stood = [(c, key, x) for _, c, key, x, *_ in self.tensors] + [x[1:] for x in (*self.numbers, *self.objects)]
        for container, key, value in stood:
            with contextlib.suppress(IndexError, TypeError, ValueError):  # a list that is shorter, a default
                if container[key] is not value:
                    container[key] = value
        for _, container, size in self.sizes:
            for _ in range(len(container) - size if isinstance(container, list | dict) else 0):
                container.popitem() if isinstance(container, dict) else container.pop()

    def floats_that_changed(self) -> list[Number]:
        """Return the floats that are other floats now."""
        found = [(Number(*n[:3]), n[3]) for n in self.numbers if type(n[3]) is float]
        return [n for n, was in found if type(n.now()) is float and n.now() != was]

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
                if container[key] is not tensor:
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
                if container[key] is not value and container[key] != value:
                    return f"{name} is {container[key]!r}, was {value!r}"
            for name, container, key, value in self.objects:
                if container[key] is not value:
                    return f"{name} is another {type(value).__name__}"
            sizes = [len(container) for name, container, _ in self.sizes]
        except (KeyError, IndexError, ValueError, TypeError):
            return f"{name} is gone"
        for (name, container, size), now in zip(self.sizes, sizes, strict=True):
            if now != size:
                return f"{name} has {len(container)} entries, had {size}"
        return next((f"{name} has other elements" for name, array, was in self.arrays if array.tobytes() != was), None)


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


class _Cell:
    """A closure's variable, read as containers are."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell

    def __getitem__(self, key: Any) -> Any:
        return self.cell.cell_contents

    def __setitem__(self, key: Any, value: Any) -> None:
        self.cell.cell_contents = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cell) and self.cell is other.cell

    __hash__ = None  # type: ignore[assignment]


class _Part:
    """A tuple that stands in a container, whichever it is now; setting an element puts another one there."""

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

    def __getitem__(self, key: int) -> Any:
        return (self.function.__defaults__ or ())[key]


def _still(module: str | None) -> bool:
    """Say whether what a module holds is taken not to change."""
    return (module or "").split(".")[0] in STILL


def _reads(code: types.CodeType) -> list[tuple[str, list[str]]]:
    """Return the globals that a function's code, and the functions inside of it, read; each with the attributes read of it."""
    found: list[tuple[str, list[str]]] = []
    reading = False  # whether the instruction before took a global, or an attribute of one
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            found.append((str(step.argval), []))
            reading = True
        elif reading and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            found[-1][1].append(str(step.argval))
        else:
            reading = False
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _reads(constant)
    return found


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
