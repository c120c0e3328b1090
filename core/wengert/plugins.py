"""Finding plugins and letting them register: lazily, each one isolated.

Owns: the hook specifications (pluggy), the scan of the entry-point group `wengert.plugins`, what became of each plugin.
May import: the registry; pluggy and importlib.metadata, both late. Must not know: what any plugin does.
Nothing is scanned at `import wengert`: built-ins load by name, and the first name that is not built in starts the scan.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pluggy

from wengert.registry import Registry, registry

GROUP = "wengert.plugins"
API = 1  # the version of the hook interface; a plugin may say which it was written for: __wengert_api__ = 1

# The same names as in pyproject.toml, for a checkout or a frozen program without metadata.
BUILTIN = {"numpy": "wengert_numpy", "optim": "wengert_optim"}

hookspec = pluggy.HookspecMarker("wengert")
hookimpl = pluggy.HookimplMarker("wengert")


class Hooks:
    """The hooks a plugin module may implement, each marked with `@wengert.plugins.hookimpl`."""

    @hookspec
    def wengert_register_devices(self, registry: Registry) -> None:
        """Register device types: `registry.device("foo", "wengert_foo.device:FooBackend")`."""

    @hookspec
    def wengert_register_ops(self, registry: Registry) -> None:
        """Register ops: `registry.op("foo", "wengert_foo.ops:foo")`."""

    @hookspec
    def wengert_register_optimizers(self, registry: Registry) -> None:
        """Register optimizers: `registry.optimizer("Foo", "wengert_foo.optim:Foo")`."""

    @hookspec
    def wengert_register_modules(self, registry: Registry) -> None:
        """Register neural-network modules: `registry.module("Foo", "wengert_foo.nn:Foo")`."""


class PluginWarning(UserWarning):
    """A plugin could not be loaded; everything else goes on."""


@dataclass
class Plugin:
    """What became of one plugin: `status` is "active", "disabled", "failed" or "incompatible"."""

    name: str
    module: str
    distribution: str
    version: str
    status: str
    reason: str = ""
    stage: str = ""
    error: BaseException | None = None


loaded: dict[str, Plugin] = {}
_lock = threading.RLock()
_scanned = False
_manager: pluggy.PluginManager | None = None


def manager() -> pluggy.PluginManager:
    """Return the pluggy manager that holds the hook specifications and the active plugins."""
    global _manager
    if _manager is None:
        _manager = pluggy.PluginManager("wengert")
        _manager.add_hookspecs(Hooks)
    return _manager


def load_builtins() -> None:
    """Load what ships with wengert."""
    with _lock:
        for name, module in BUILTIN.items():
            if name not in loaded:
                _load(name, module, "wengert", "", functools.partial(importlib.import_module, module))


def load_all() -> None:
    """Scan the installed distributions for plugins, once, and load them in the order of their names."""
    global _scanned
    with _lock:
        if _scanned:
            return
        _scanned = True  # before loading: a plugin that asks for a name while it loads must not scan again
        load_builtins()
        from importlib.metadata import entry_points

        for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
            if BUILTIN.get(entry.name) == entry.value:
                continue
            dist = entry.dist
            name, version = (str(dist.name), str(dist.version)) if dist is not None else ("?", "?")
            if entry.name in loaded:
                plugin = loaded[entry.name]
                _fail(
                    Plugin(f"{entry.name} ({name})", entry.value, name, version, "failed"),
                    "discovery",
                    f"the plugin name {entry.name!r} is taken by {plugin.module} of {plugin.distribution}",
                    None,
                )
                continue
            _load(entry.name, entry.value, name, version, entry.load)


def register(module: Any, name: str | None = None) -> None:
    """Load a plugin module or object by hand, as in a notebook. Raises what its hooks raise, after rolling back."""
    title = name or str(getattr(module, "__name__", type(module).__name__))
    with _lock:
        plugin = Plugin(title, title, "(by hand)", "", "active")
        _run_hooks(plugin, module)
        loaded[title] = plugin


def _load(name: str, module: str, distribution: str, version: str, load: Callable[[], Any]) -> None:
    plugin = loaded[name] = Plugin(name, module, distribution, version, "active")
    disabled = [n.strip() for n in os.environ.get("WENGERT_DISABLE_PLUGINS", "").split(",")]
    only = os.environ.get("WENGERT_LOAD_PLUGINS")
    if name in disabled or (only is not None and name not in BUILTIN and name not in only.split(",")):
        plugin.status, plugin.reason = "disabled", "by environment variable"
        return
    stage = "import"
    try:
        found = load()
        wanted = getattr(found, "__wengert_api__", API)
        if int(str(wanted).split(".")[0]) != API:
            plugin.status = "incompatible"
            _fail(plugin, "version check", f"it asks for plugin interface {wanted}, this wengert has {API}", None)
            return
        stage = "registration"
        _run_hooks(plugin, found)
    except Exception as error:
        _fail(plugin, stage, f"{type(error).__name__}: {error}", error)


def _run_hooks(plugin: Plugin, module: Any) -> None:
    """Call every hook the plugin implements, on a staged registry that counts only if all of them succeed."""
    hooks = manager()
    hooks.register(module, plugin.name)
    try:
        stage = registry.staged(plugin.name)
        for caller in hooks.get_hookcallers(module) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    implementation.function(*[stage for _ in implementation.argnames])
        unknown = [n for n in dir(module) if n.startswith("wengert_register_") and not hasattr(Hooks, n)]
        if unknown:
            raise TypeError(f"unknown hook {unknown[0]!r}; the hooks are {', '.join(n for n in vars(Hooks) if n[0] == 'w')}")
    except BaseException:
        hooks.unregister(module)
        raise
    registry.commit(stage)


def _fail(plugin: Plugin, stage: str, reason: str, error: BaseException | None) -> None:
    if plugin.status == "active":
        plugin.status = "failed"
    plugin.stage, plugin.reason, plugin.error = stage, reason, error
    loaded[plugin.name] = plugin
    if os.environ.get("WENGERT_STRICT_PLUGINS") == "1":
        raise RuntimeError(f"plugin {plugin.name!r} failed at {stage}: {reason}") from error
    try:
        warnings.warn(
            f"wengert plugin {plugin.name!r} ({plugin.distribution} {plugin.version}) was left out: {stage} failed: {reason}. "
            f"Silence this with WENGERT_DISABLE_PLUGINS={plugin.name.split(' ')[0]}; `wengert plugins` lists all.",
            PluginWarning,
            stacklevel=2,
        )
    except PluginWarning:
        pass  # warnings are errors in this process: the listing still tells, and the host must go on


def explain_failure(name: str) -> None:
    """Raise, with its reason, if a plugin that was left out is likely the owner of `name`; else return."""
    root = name.split(".")[0].lower()
    for plugin in loaded.values():
        if plugin.status != "active" and (plugin.name.lower() == root or root in _mentions(plugin)):
            raise RuntimeError(
                f"{name!r} would come from the plugin {plugin.name!r} ({plugin.distribution} {plugin.version}), which is "
                f"{plugin.status}: {plugin.stage} {plugin.reason}"
            ) from plugin.error


def _mentions(plugin: Plugin) -> set[str]:
    """Return names that a failed plugin spoke of in its traceback's own lines (best effort)."""
    if plugin.error is None:
        return set()
    lines = "".join(traceback.format_exception(plugin.error))
    return {word.strip("\"'(),").lower() for word in lines.split()}
