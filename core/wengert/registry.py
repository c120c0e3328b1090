"""The table of names: devices, ops, optimizers and whatever else plugins bring.

Owns: `Registry`, who registered what, and the resolving of "module:attr" strings on first use. May import: errors,
op records; plugins (late, to scan when a name is not known). Must not know: tensors, any plugin by name.
"""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wengert import errors
from wengert.op import OPS, Op

KINDS = ("devices", "ops", "methods", "optimizers", "modules", "cases", "graph_passes")
SHOWN_IN = {"ops": "wengert", "optimizers": "wengert.optim", "modules": "wengert.nn"}  # the namespace of each kind
CALLED = ("methods", "optimizers", "graph_passes", "kernels")  # kinds whose values are called
METHODS = {"cases": "cases", "graph_passes": "graph_pass"}  # a kind's method, where it is not the kind without its last letter
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass
class Entry:
    """One registered name: the object, or where to import it from, and which plugin brought it."""

    value: Any
    plugin: str
    loaded: bool
    form: str = ""  # what is made of the value when it is first asked for: "out", "inplace", or "record" of an Op
    public: bool = False  # it has been made what is shown of its kind


class Registry:
    """What plugins register into; a plugin's hook gets one that knows its name."""

    def __init__(self, tables: dict[str, dict[str, Entry]] | None = None, plugin: str = "(direct)") -> None:
        self.tables = tables if tables is not None else {kind: {} for kind in KINDS}
        self.plugin = plugin
        self.kernels: dict[tuple[str, str], Entry] = {}

    # ---- what plugins call
    def device(self, name: str, backend: Any, *, override: bool = False) -> None:
        """Register a device type: a Backend class or object, or "module:attr" that is imported on first use."""
        self._add("devices", name, backend, override)

    def op(self, name: str, function: Any, *, override: bool = False) -> None:
        """Register a function as `wengert.<name>`; dotted names go below a namespace ("special.zeta")."""
        self._add("ops", name, function, override)

    def method(self, name: str, function: Any, *, override: bool = False) -> None:
        """Register a function of a tensor as `Tensor.<name>`."""
        self._add("methods", name, function, override)

    def family(
        self, module: str, names: str = "", *, functions: str = "", methods: str = "", inplace: str = "", out: str = "",
        exact_out: str = "", prefix: str = "",
    ) -> None:  # fmt: skip
        """Register a module of ops by the names of its functions, which load when one is first asked for.

        names: those that are `wengert.<name>` and `Tensor.<name>`; functions, methods: those that are one of both.
        inplace: names among them that also are `Tensor.<name>_`; out: names among them that take `out=`; exact_out: those whose
        `out=` must have the result's own dtype. prefix: the namespace of the functions ("linalg."). Where a name is no good
        name in Python: "max=max_" calls it max.
        """
        def targets(listed: str) -> dict[str, str]:
            parts = [part.partition("=") for part in listed.split()]
            return {public: f"{module}:{own or public}" for public, _, own in parts}

        errors.EXACT_OUT.update([prefix + public for public in exact_out.split()])
        taking_out, bound = {*out.split()}, targets(f"{names} {methods}")
        for public, target in targets(f"{names} {functions}").items():
            self._add("ops", prefix + public, target, False, "out" if public in taking_out else "")
        for public, target in bound.items():
            self._add("methods", public, target, False)
        for public in inplace.split():
            self._add("methods", f"{public}_", bound[public], False, "inplace")

    def optimizer(self, name: str, factory: Any, *, override: bool = False) -> None:
        """Register an optimizer as `wengert.optim.<name>`."""
        self._add("optimizers", name, factory, override)

    def module(self, name: str, value: Any, *, override: bool = False) -> None:
        """Register a neural-network name as `wengert.nn.<name>`."""
        self._add("modules", name, value, override)

    def cases(self, name: str, rows: Any, *, override: bool = False) -> None:
        """Register a table of case rows (`wengert.testing.cases`), with which the conformance kit tries a package's ops on
        every device."""
        self._add("cases", name, rows, override)

    def graph_pass(self, name: str, function: Any, *, override: bool = False) -> None:
        """Register a pass of compiled functions: a function of a `wengert.graph.Graph` that returns one which computes the
        same, or the graph itself where there is nothing to do. It runs after wengert's own passes, and these run again."""
        self._add("graph_passes", name, function, override)

    def extension(self, kind: str, name: str, value: Any, *, override: bool = False) -> None:
        """Register a value of a kind that wengert itself does not know, such as "communicators".

        Who defines the kind asks `registry.names(kind)` and `registry.resolve(kind, name)`. Raises ValueError for a kind of
        wengert's own, which has a method of its own.
        """
        if not isinstance(kind, str) or not kind.isidentifier():
            raise TypeError(f"plugin {self.plugin!r}: a kind must be an identifier in the plural, got {kind!r}")
        if kind in (*KINDS, "kernels"):
            raise ValueError(f"plugin {self.plugin!r}: {kind} are registered by registry.{METHODS.get(kind, kind[:-1])}()")
        self.tables.setdefault(kind, {})
        self._add(kind, name, value, override)

    def kernel(self, op: str, device: str, kernel: Any, *, override: bool = False) -> None:
        """Register a kernel of one op (of any package) for one device (of any package).

        device: its name; or "xp", every device made of an array module, whose kernels get the backend first and find the
        module as its `xp`; or "*", any device, by a function that calls other ops on raw arrays.
        """
        self._check("kernels", op, kernel)
        self._refuse_second("kernel", f"{op} on {device}", self.kernels.get((op, device)), override)
        self.kernels[op, device] = Entry(kernel, self.plugin, not isinstance(kernel, str))
        _forget_kernels(op)

    def _add(self, kind: str, name: str, value: Any, override: bool, form: str = "") -> None:
        self._check(kind, name, value)
        known = self.tables[kind].get(name)
        self._refuse_second(kind[:-1], name, known, override)
        if known is None and not override and (name in _namespace(kind) or (kind == "methods" and has_method(name))):
            raise ValueError(f"{kind[:-1]} {name!r} is built in; {self.plugin!r} cannot register it, under another name it can")
        if override and self is registry:
            _namespace(kind).pop(name, None)  # shown from now on: the new one
        self.tables[kind][name] = Entry(value, self.plugin, not isinstance(value, str), form)
        if kind == "methods" and self is registry:
            show_method(name)

    def _refuse_second(self, what: str, name: str, known: Entry | None, override: bool) -> None:
        if known is not None and not override:
            raise ValueError(
                f"{what} {name!r} is registered twice: by {known.plugin!r} and by {self.plugin!r}; rename one, or "
                f"pass override=True to replace it on purpose"
            )

    def _check(self, kind: str, name: str, value: Any) -> None:
        parts = name.replace("::", ".") if kind == "kernels" and isinstance(name, str) else name  # records may be "package::op"
        if not isinstance(parts, str) or not all(part.isidentifier() for part in parts.split(".")):
            raise TypeError(f"plugin {self.plugin!r}: a name in {kind} must be an identifier, got {name!r}")
        if isinstance(value, str) and not _TARGET.fullmatch(value):
            raise TypeError(f"plugin {self.plugin!r}, {kind} {name!r}: expected 'module:attribute', got {value!r}")
        if value is None:
            raise TypeError(f"plugin {self.plugin!r}, {kind} {name!r}: the registered value is None")
        usable = isinstance(value, str) or callable(value) or (kind == "methods" and hasattr(value, "__get__"))
        if kind in CALLED and not usable:
            what = type(value).__name__
            raise TypeError(f"plugin {self.plugin!r}, {kind} {name!r}: expected what can be called, got a {what}")

    # ---- what core asks
    def names(self, kind: str, scan: bool = True) -> list[str]:
        """Return the registered names of a kind; by default after looking for plugins."""
        if scan:
            _plugins().load_all()
        return sorted(self.tables.get(kind, ()))

    def has(self, kind: str, name: str) -> bool:
        """Say whether a name is registered; plugins are scanned only if no built-in has it."""
        for look in (_plugins().load_builtins, _plugins().load_all):
            if name in self.tables.get(kind, ()):
                return True
            look()
        return name in self.tables.get(kind, ())

    def resolve(self, kind: str, name: str) -> Any:
        """Return the object behind a name, imported now if it was registered as a string.

        Raises AttributeError (RuntimeError for devices) naming the nearest names, or the plugin that failed.
        """
        if not self.has(kind, name):
            if any(known.startswith(f"{name}.") for known in self.tables.get(kind, ())):
                return Namespace(kind, name)
            raise self._unknown(kind, name)
        return self._value(kind, name, self.tables[kind][name])

    def check_device(self, name: str) -> None:
        """Raise RuntimeError for a device type that no plugin brings."""
        if not self.has("devices", name):
            raise self._unknown("devices", name)

    def kernel_for(self, op: str, device: str) -> Callable[..., Any] | None:
        """Return the kernel that a plugin registered, if any."""
        entry = self.kernels.get((op, device))
        return None if entry is None else self._value("kernels", op, entry)

    def _value(self, kind: str, name: str, entry: Entry) -> Any:
        if not entry.loaded:
            try:
                with _plugins().apart(entry.plugin):
                    entry.value = load(entry.value)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit, and what else ends programs: here it is the plugin's mistake
                raise errors.broken_name(kind, name, entry.plugin, entry.value, error) from error
            entry.loaded = True
        if isinstance(entry.value, Op) and kind in ("ops", "methods") and not entry.form:
            entry.form = "record"
        if entry.form:
            entry.value, entry.form = forms[entry.form](name, entry.value), ""
        if kind in ("ops", "methods") and not entry.public:
            entry.value, entry.public = forms[kind](name, entry.value), True
        return entry.value

    def _unknown(self, kind: str, name: str) -> Exception:
        """Return the error for a name that is not there: the plugin that failed to bring it, or the nearest names."""
        plugin = _plugins().who_failed(kind, name)
        if plugin is not None:
            return errors.left_out(kind, name, plugin)
        if kind == "devices":
            return errors.unknown_device(name, self.tables[kind], _plugins().left_out())
        word = {"ops": "attribute", "methods": "tensor method"}.get(kind, kind[:-1])
        return errors.unknown_name(word, name, self.tables.get(kind, {}), _plugins().left_out())

    # ---- atomic registration of one plugin
    def staged(self, plugin: str) -> Registry:
        """Return a registry for one plugin, whose entries count only after `commit`."""
        stage = Registry({kind: dict(table) for kind, table in self.tables.items()}, plugin)
        stage.kernels = dict(self.kernels)
        return stage

    def brought(self, stage: Registry) -> dict[str, dict[str, Entry]]:
        """Return what a staged registry has that this one has not, by kind."""
        return {
            kind: {n: e for n, e in table.items() if self.tables.get(kind, {}).get(n) is not e}
            for kind, table in stage.tables.items()
        }

    def commit(self, stage: Registry) -> None:
        """Let what a plugin registered count."""
        with _lock:
            for kind, new in self.brought(stage).items():
                self.tables.setdefault(kind, {})
                for name in new:  # where it was replaced on purpose: show the new one from now on
                    _namespace(kind).pop(name, None)
                self.tables[kind].update(new)
                for name in new if kind == "methods" else ():
                    show_method(name)
            self.kernels.update(stage.kernels)
            for op, _ in self.kernels:
                _forget_kernels(op)


def foreign(plugin: str) -> bool:
    """Say whether a plugin is another package's: not wengert's, and not the program's own."""
    return plugin != "(direct)" and plugin not in _plugins().BUILTIN


class Namespace:
    """What `wengert.special` is when plugins registered ops below it ("special.zeta") and nothing else has that name."""

    def __init__(self, kind: str, prefix: str) -> None:
        self.__kind, self.__name__ = kind, prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and not _private(self.__kind, f"{self.__name__}.{name}"):
            raise AttributeError(name)
        return registry.resolve(self.__kind, f"{self.__name__}.{name}")

    def __dir__(self) -> list[str]:
        return namespace_dir(self.__kind, f"{self.__name__}.", ())

    def __repr__(self) -> str:
        return f"<namespace {self.__name__!r} of plugins>"


def load(target: str) -> Any:
    """Import "module:attr"."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def lazy(kind: str, name: str, prefix: str = "", own: Iterable[str] = ()) -> tuple[Any, Any]:
    """Return `__getattr__` and `__dir__` for the module `wengert.<name>`, whose names are the registry's below `prefix`;
    `own` are submodules."""
    module = sys.modules[f"wengert.{name}"]

    def find(attribute: str) -> Any:
        if attribute.startswith("_") and not _private(kind, prefix + attribute):
            raise AttributeError(f"module 'wengert.{name}' has no attribute {attribute!r}")
        if attribute in own:
            return importlib.import_module(f"wengert.{name}.{attribute}")
        found = registry.resolve(kind, prefix + attribute)
        setattr(module, attribute, found)
        return found

    return find, lambda: namespace_dir(kind, prefix, [*vars(module), *own])


def _private(kind: str, name: str) -> bool:
    """Say whether a private name is one that built-in plugins have: PyTorch's programs import some."""
    if name.rpartition(".")[2].startswith("__"):
        return False
    _plugins().load_builtins()
    return name in registry.tables[kind]


def namespace_dir(kind: str, prefix: str, own: Iterable[str]) -> list[str]:
    """Return what dir() of a lazy namespace shows: its own names and the registered ones below `prefix`."""
    names = (n.removeprefix(prefix) for n in registry.names(kind) if n.startswith(prefix))
    return sorted({*own, *(n for n in names if "." not in n)})


def _namespace(kind: str) -> dict[str, Any]:
    """Return the names of the module that shows a kind, as far as it is loaded."""
    module = sys.modules.get(SHOWN_IN.get(kind, ""))
    return {} if module is None else vars(module)


def _forget_kernels(op: str) -> None:
    """Let an op look for its kernels anew."""
    if op in OPS:
        OPS[op].kernels.clear()


def _plugins() -> Any:
    from wengert import plugins

    return plugins


_lock = threading.RLock()
registry = Registry()
forms: dict[str, Callable[[str, Any], Any]] = {}  # by faces.py: what becomes of functions that take out=, of `name_`, of a kind


def show_method(name: str) -> None:
    """Let tensors have a method; replaced by faces.py, which knows the class."""


def has_method(name: str) -> bool:
    """Say whether tensors have an attribute; replaced by faces.py."""
    return False
