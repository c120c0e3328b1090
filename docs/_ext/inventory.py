"""What the API reference lists: every public name of wengert once, in groups, with the other names it has.

Owns: which names are public, and on which page each stands. May import: wengert. Must not know: Sphinx, how a page looks.
Names are asked of the package, not written down here: what a plugin registers appears by itself. `python
docs/_ext/inventory.py` prints them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import wengert
from wengert import plugins
from wengert.op import OPS, Op
from wengert.registry import registry

# Where a function of `wengert.*` stands, by the module that defines it; what none of these prefixes fits goes to "programs".
GROUPS = {
    "creation": ("wengert.ops.creation", "wengert_ops.creation", "wengert_fft.windows"),
    "random": ("wengert.ops.random", "wengert_ops.random"),
    "elementwise": (
        "wengert.record", "wengert.faces", "wengert.ops.elementwise", "wengert_ops.pointwise", "wengert_ops.complexes",
        "wengert_special",
    ),
    "reductions": ("wengert.ops.reductions", "wengert_ops.reductions", "wengert_ops.statistics", "wengert_ops.sorting"),
    "shapes": ("wengert.ops.shapes", "wengert_ops.shapes"),
    "indexing": ("wengert.ops.indexing", "wengert_ops.indexing"),
    "products": ("wengert.ops.products", "wengert_ops.products", "wengert_linalg", "wengert_fft"),
    "sparse": ("wengert_sparse",),
    "networks": ("wengert_nn",),
    "compat": ("wengert.compat",),
    "types": ("wengert.dtypes", "wengert.backend"),
}  # fmt: skip

# Modules whose public names are documented, besides those that wengert shows at its top and those that hold registered names.
MODULES = (
    "autograd", "autograd.functional", "autograd.forward_ad", "autograd.graph", "func", "graph", "library", "extend", "plugins",
    "profiler", "testing", "cuda", "amp", "backends", "accelerator", "jit", "hub", "onnx", "mps", "distributed",
    "utils.benchmark", "utils.checkpoint", "utils.data", "utils.dlpack", "utils.safetensors", "serialization", "version",
    "compat", "nn", "nn.functional", "nn.grad", "nn.init", "nn.parameter", "nn.utils", "nn.utils.parametrizations",
    "nn.utils.parametrize", "nn.utils.prune", "nn.utils.rnn", "optim", "optim.lr_scheduler", "array_api",
    "array_api.linalg", "array_api.fft",
)  # fmt: skip

# Classes that are described member by member, wherever they are defined.
IN_FULL = ("Tensor", "nn.Module", "optim.Optimizer", "autograd.Function", "registry.Registry", "backend.Backend")


@dataclass
class Entry:
    """One public thing: its name below `wengert`, and the other names it goes by."""

    name: str
    value: Any
    aliases: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """ "class", "function" or "data", as Sphinx's Python domain calls them."""
        if inspect.isclass(self.value):
            return "data" if self.value.__module__ == "builtins" else "class"  # torch.layout is str here
        return "function" if callable(self.value) else "data"


def record_of(function: Any) -> Op | None:
    """Return the op record whose call a public function is, if it is one."""
    found = _calls().get(id(getattr(function, "record", function)))
    if found is not None or isinstance(function, Op):
        return found or function
    for cell in getattr(function, "__closure__", None) or ():
        inner = cell.cell_contents
        if isinstance(inner, functools.partial) and inner.args and isinstance(inner.args[0], Op):
            return inner.args[0]
    return None


@functools.cache
def _calls() -> dict[int, Op]:
    return {id(op.__call__): op for op in OPS.values()}


def module_of(value: Any) -> str:
    """Return the module that defines a function or class; "" for plain values."""
    return getattr(inspect.unwrap(value), "__module__", "") or "" if callable(value) else ""


def group_of(name: str, value: Any) -> str:
    """Return the group of a name in the module `wengert` itself."""
    if isinstance(value, wengert.dtype) or isinstance(value, str | float | type(None)):
        return "types"
    where = module_of(value)
    for group, prefixes in GROUPS.items():
        if where.startswith(prefixes):
            return group
    return "shapes" if where == "wengert_ops.written" else "programs"  # copies of views; compile, save, no_grad, ...


def public(module: ModuleType) -> list[str]:
    """Return the public names of a module: its `__all__`, or the functions and classes that it or its package defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(n for n in listed if not n.startswith("_"))
    return sorted(n for n in dir(module) if not n.startswith("_") and _belongs(module, get(module, n)))


def _belongs(module: ModuleType, value: Any) -> bool:
    return (inspect.isclass(value) or inspect.isfunction(value)) and module_of(value).startswith(module.__name__)


def get(module: Any, name: str) -> Any:
    """Return what a module has under a name; None where it needs a library that is not installed."""
    try:
        return getattr(module, name, None)
    except ImportError:
        return None


def registered() -> Iterator[str]:
    """Yield the names that wengert's own plugins registered, below `wengert`; those of other installed plugins are theirs."""
    for kind, home in (("ops", ""), ("modules", "nn."), ("optimizers", "optim.")):
        for name in registry.names(kind):
            if registry.tables[kind][name].plugin in plugins.BUILTIN:
                yield home + name


@functools.cache
def _registered(module: str) -> frozenset[str]:
    """Return the names that plugins registered in a namespace."""
    below = module.removeprefix("wengert").lstrip(".")
    parts = (name.rpartition(".") for name in registered())
    return frozenset(own for parent, _, own in parts if parent == below)


def namespaces() -> list[str]:
    """Return the names of the modules below `wengert` that have public names, without "wengert." in front."""
    found = {*MODULES, *wengert._SUBMODULES, *(name.rpartition(".")[0] for name in registered())}
    return sorted(found - {"", "signal", "utils", "multiprocessing"})  # they hold modules, or Python's own names


def load(namespace: str) -> Any:
    """Return a module below `wengert`, however it is reached."""
    try:
        return importlib.import_module(f"wengert.{namespace}")
    except ImportError:
        found: Any = wengert
        for part in namespace.split("."):
            found = getattr(found, part)
        return found


def names_of(namespace: str) -> list[str]:
    """Return the public names of a namespace, in order."""
    module = load(namespace)
    own = public(module) if isinstance(module, ModuleType) else []
    return sorted({*own, *(n for n in _registered(f"wengert.{namespace}") if not n.startswith("_"))})


def top() -> list[str]:
    """Return the public names of `wengert` itself that are no modules."""
    strange = set(registry.names("ops")) - set(registered())
    every = {*wengert.__all__, *dir(wengert)} - {"annotations", "Any"} - strange
    named = (n for n in every if not n.startswith("_") and "." not in n)
    return sorted(n for n in named if not isinstance(getattr(wengert, n), ModuleType))


@functools.cache
def pages() -> dict[str, list[Entry]]:
    """Return the entries of each group and namespace; one thing under two names is one entry."""
    plugins.load_all()
    made: dict[str, list[Entry]] = {}
    known: dict[int, Entry] = {}
    by_name: dict[str, Entry] = {}

    def enter(page: str, full: str, value: Any) -> None:
        entry = known.get(id(value)) if callable(value) else None
        entry = entry or (by_name.get(full[:-1]) if full.endswith("_") else None)  # exp_ stands with exp
        if entry is not None:
            entry.aliases.append(full)
            by_name[full] = entry
            return
        entry = by_name[full] = Entry(full, value)
        made.setdefault(page, []).append(entry)
        if callable(value):
            known[id(value)] = entry

    spelled = [(namespace, name) for namespace in namespaces() for name in names_of(namespace)]
    # A function that stands at the top and in a namespace belongs to the top, but for those of nn.
    first = sorted(top(), key=lambda n: (n.endswith("_"), not _is_canonical(n), n))
    later: list[str] = []
    for name in first:
        value = getattr(wengert, name)
        if group_of(name, value) == "networks":
            later.append(name)
        else:
            enter("Tensor" if name == "Tensor" else group_of(name, value), name, value)
    for namespace, name in spelled:
        value = get(load(namespace), name)
        if not isinstance(value, ModuleType):
            enter(namespace, f"{namespace}.{name}", value)
    for name in later:
        enter("networks", name, getattr(wengert, name))
    for name in ("Backend", "DeviceInfo", "backend_named"):
        enter("backend", f"backend.{name}", getattr(importlib.import_module("wengert.backend"), name))
    enter("registry", "registry.Registry", type(registry))
    for entries in made.values():
        entries.sort(key=lambda e: (e.name.lower(), e.name))
    return made


def _is_canonical(name: str) -> bool:
    """Say whether a name is the one its function was given, and not a further one."""
    value = getattr(wengert, name)
    if isinstance(value, wengert.dtype):
        return str(value) == f"torch.{name}"
    return getattr(value, "__name__", name) == name


def members(cls: type) -> list[tuple[str, Any]]:
    """Return the public members that a class itself defines, or for those of IN_FULL all that it has."""
    own = dir(cls) if full_name(cls) in IN_FULL else list(vars(cls))
    found = ((n, inspect.getattr_static(cls, n)) for n in own if not n.startswith("_"))
    return sorted(((n, v if isinstance(v, property) else getattr(cls, n, v)) for n, v in found), key=lambda pair: pair[0])


def plain(value: Any) -> bool:
    """Say whether a value documents itself: a number, a text, a flag."""
    return value is None or isinstance(value, str | float | int | tuple)


def full_name(cls: type) -> str:
    for entries in pages().values():
        for entry in entries:
            if entry.value is cls:
                return entry.name
    return cls.__name__


def methods() -> dict[str, Any]:
    """Return the public methods and attributes of Tensor, by name."""
    return {n: getattr(wengert.Tensor, n, None) for n in dir(wengert.Tensor) if not n.startswith("_")}


def spelled(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        yield entry.name
        yield from entry.aliases


if __name__ == "__main__":
    for page, entries in pages().items():
        print(f"{page} ({len(entries)}): {' '.join(spelled(entries))}\n")
