"""The table of names: devices, ops, optimizers and whatever else plugins bring.

Owns: `Registry`, who registered what, and the resolving of "module:attr" strings on first use. May import: errors,
op records; plugins (late, to scan when a name is not known). Must not know: tensors, any plugin by name.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wengert import errors

KINDS = ("devices", "ops", "optimizers", "modules")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass
class Entry:
    """One registered name: the object, or where to import it from, and which plugin brought it."""

    value: Any
    plugin: str
    loaded: bool


class Registry:
    """What plugins register into; a plugin's hook gets one that knows its name."""

    def __init__(self, tables: dict[str, dict[str, Entry]] | None = None, plugin: str = "(direct)") -> None:
        self.tables = tables if tables is not None else {kind: {} for kind in KINDS}
        self.plugin = plugin
        self._kernels: dict[tuple[str, str], Any] = {}

    # ---- what plugins call
    def device(self, name: str, backend: Any, *, override: bool = False) -> None:
        """Register a device type: a Backend class or object, or "module:attr" that is imported on first use."""
        self._add("devices", name, backend, override)

    def op(self, name: str, function: Any, *, override: bool = False) -> None:
        """Register a function as `wengert.<name>`; dotted names go below a namespace ("special.zeta")."""
        self._add("ops", name, function, override)

    def optimizer(self, name: str, factory: Any, *, override: bool = False) -> None:
        """Register an optimizer as `wengert.optim.<name>`."""
        self._add("optimizers", name, factory, override)

    def module(self, name: str, value: Any, *, override: bool = False) -> None:
        """Register a neural-network name as `wengert.nn.<name>`."""
        self._add("modules", name, value, override)

    def kernel(self, op: str, device: str, kernel: Any) -> None:
        """Register a kernel of one op (of any package) for one device (of any package)."""
        self._check("kernels", op, kernel)
        self._kernels[op, device] = kernel

    def _add(self, kind: str, name: str, value: Any, override: bool) -> None:
        self._check(kind, name, value)
        known = self.tables[kind].get(name)
        if known is not None and not override:
            raise ValueError(
                f"{kind[:-1]} {name!r} is registered twice: by {known.plugin!r} and by {self.plugin!r}; rename one, or "
                f"pass override=True to replace it on purpose"
            )
        self.tables[kind][name] = Entry(value, self.plugin, not isinstance(value, str))

    def _check(self, kind: str, name: str, value: Any) -> None:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise TypeError(f"plugin {self.plugin!r}: a name in {kind} must be an identifier, got {name!r}")
        if isinstance(value, str) and not _TARGET.fullmatch(value):
            raise TypeError(f"plugin {self.plugin!r}, {kind} {name!r}: expected 'module:attribute', got {value!r}")
        if value is None:
            raise TypeError(f"plugin {self.plugin!r}, {kind} {name!r}: the registered value is None")

    # ---- what core asks
    def names(self, kind: str, scan: bool = True) -> list[str]:
        """Return the registered names of a kind; by default after looking for plugins."""
        if scan:
            _plugins().load_all()
        return sorted(self.tables[kind])

    def has(self, kind: str, name: str) -> bool:
        """Say whether a name is registered; plugins are scanned only if no built-in has it."""
        if name not in self.tables[kind]:
            _plugins().load_builtins()
        if name not in self.tables[kind]:
            _plugins().load_all()
        return name in self.tables[kind]

    def resolve(self, kind: str, name: str) -> Any:
        """Return the object behind a name, imported now if it was registered as a string.

        Raises AttributeError (RuntimeError for devices) naming the nearest names, or the plugin that failed.
        """
        if not self.has(kind, name):
            _plugins().explain_failure(name)
            raise (
                errors.unknown_device(name, self.tables[kind])
                if kind == "devices"
                else errors.unknown_name({"ops": "attribute"}.get(kind, kind[:-1]), name, self.tables[kind])
            )
        entry = self.tables[kind][name]
        if not entry.loaded:
            entry.value = load(entry.value)
            entry.loaded = True
        return entry.value

    def check_device(self, name: str) -> None:
        if not self.has("devices", name):
            _plugins().explain_failure(name)
            raise errors.unknown_device(name, self.tables["devices"])

    def kernel_for(self, op: str, device: str) -> Callable[..., Any] | None:
        found = self._kernels.get((op, device))
        if isinstance(found, str):
            found = self._kernels[op, device] = load(found)
        return found

    # ---- atomic registration of one plugin
    def staged(self, plugin: str) -> Registry:
        """Return a registry for one plugin, whose entries count only after `commit`."""
        stage = Registry({kind: dict(table) for kind, table in self.tables.items()}, plugin)
        stage._kernels = dict(self._kernels)
        return stage

    def commit(self, stage: Registry) -> None:
        with _lock:
            for kind, table in stage.tables.items():
                self.tables[kind].update({n: e for n, e in table.items() if e.plugin == stage.plugin})
            self._kernels.update(stage._kernels)


def load(target: str) -> Any:
    """Import "module:attr"."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def namespace_dir(kind: str, prefix: str, own: Iterable[str]) -> list[str]:
    """Return what dir() of a lazy namespace shows: its own names and the registered ones below `prefix`."""
    names = (n.removeprefix(prefix) for n in registry.names(kind) if n.startswith(prefix))
    return sorted({*own, *(n for n in names if "." not in n)})


def _plugins() -> Any:
    from wengert import plugins

    return plugins


_lock = threading.RLock()
registry = Registry()
