"""What a captured function reads beside its arguments, watched.

Owns: `Guard`, and which storages tensors share. May import: tensor, func.layers, plugins. Must not know: graphs, programs.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert._tensor import Tensor
from wengert.func.layers import leaves
from wengert.plugins import BUILTIN

OWN = {"wengert", "wengert_codegen", "wengert_xp", *BUILTIN.values()}  # our packages
STILL = OWN | {"numpy", "scipy", "tqdm"} | sys.stdlib_module_names  # those whose functions and numbers are not watched
WATCHED, WATCHED_BYTES = 10_000, 1 << 16  # values, and bytes of a NumPy array, that are looked at before each call


class Wrapper:
    """Something callable around a function of the user's: the function is what is watched."""

    function: Callable[..., Any]


_PLAIN = bool | int | float | complex | str | bytes | None


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
        if id(f) in self._seen or _still(f.__module__):
            return
        self._seen.add(id(f))
        for i in range(len(f.__defaults__ or ())):
            self._found(f"{name}'s default {i}", _Defaults(f), i)
        self._items(f.__kwdefaults__ or {}, f"{name}'s defaults")
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._found(variable, _Cell(cell), "contents")
        for variable, attributes in _reads(f.__code__):
            if variable in f.__globals__:
                self._global(f.__globals__, variable, attributes)

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
        if isinstance(value, Wrapper):
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


def root_id(array: Any) -> int:
    while getattr(array, "base", None) is not None and isinstance(array.base, type(array)):
        array = array.base
    return id(array)


def overlap(tensors: list[Tensor]) -> bool:
    """Say whether two arguments share memory."""
    if len(tensors) < 2:
        return False
    roots = [root_id(x._array) for x in tensors]
    return len(set(roots)) < len(roots)
