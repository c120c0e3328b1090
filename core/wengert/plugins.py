"""Finding plugins and letting them register: lazily, each one isolated.

Owns: the hook specifications (pluggy), the scan of the entry-point group `wengert.plugins`, what became of each plugin.
May import: the registry, pluggy; importlib.metadata late. Must not know: what any plugin does.
`import wengert` loads neither this module nor pluggy: built-ins load with the first tensor, and the first name that is
not built in starts the scan.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pluggy

from wengert.registry import Registry, registry

GROUP = "wengert.plugins"
API = 1  # the version of the hook interface; a plugin may say which it was written for: __wengert_api__ = 1

# The same names as in pyproject.toml, for a checkout or a frozen program without metadata.
BUILTIN = {
    "numpy": "wengert_numpy", "meta": "wengert_meta", "opencl": "wengert_opencl", "cupy": "wengert_cupy",
    "optim": "wengert_optim", "ops": "wengert_ops",
    "special": "wengert_special", "linalg": "wengert_linalg", "fft": "wengert_fft", "nn": "wengert_nn", "data": "wengert_data",
    "distributions": "wengert_distributions", "sparse": "wengert_sparse",
}  # fmt: skip

hookspec = pluggy.HookspecMarker("wengert")
hookimpl = pluggy.HookimplMarker("wengert")


class Hooks:
    """The hooks a plugin module may implement, each marked with `@wengert.plugins.hookimpl`."""

    @hookspec
    def wengert_register_devices(self, registry: Registry) -> None:
        """Register device types.

        The value is a backend class, or "module:attr" of one, which is imported when the device is first used: naming a
        device must cost nothing on a machine that has none.

        Example::

            from wengert.plugins import hookimpl

            @hookimpl
            def wengert_register_devices(registry):
                registry.device("mirror", "wengert_numpy.device:NumpyBackend")
        """

    @hookspec
    def wengert_register_ops(self, registry: Registry) -> None:
        """Register ops: functions of `wengert`, methods of tensors, kernels, and the rows that prove them.

        `registry.op` names a function or record, `registry.method` a tensor's, `registry.family` a module of both.
        `registry.kernel` gives an op of any package a kernel on a device of any package. `registry.cases` names the table
        of case rows with which the conformance kit tries the ops on every device.

        Example::

            from wengert.plugins import hookimpl

            def twice(x):
                return x + x

            @hookimpl
            def wengert_register_ops(registry):
                registry.op("twice", twice)
                registry.method("twice", twice)
        """

    @hookspec
    def wengert_register_optimizers(self, registry: Registry) -> None:
        """Register optimizers, and learning-rate schedulers as "lr_scheduler.<name>".

        Example::

            from wengert.optim import Optimizer
            from wengert.plugins import hookimpl

            class SignSGD(Optimizer):
                def __init__(self, params, lr=0.01):
                    super().__init__(params, dict(lr=lr))

                def update(self, p, g, state, group):
                    p.sub_(g.sign(), alpha=group["lr"])

            @hookimpl
            def wengert_register_optimizers(registry):
                registry.optimizer("SignSGD", SignSGD)
        """

    @hookspec
    def wengert_register_modules(self, registry: Registry) -> None:
        """Register neural-network modules, as `wengert.nn.<name>`.

        Example::

            from wengert import nn
            from wengert.plugins import hookimpl

            class Scale(nn.Module):
                def __init__(self, by):
                    super().__init__()
                    self.by = by

                def forward(self, x):
                    return x * self.by

            @hookimpl
            def wengert_register_modules(registry):
                registry.module("Scale", Scale)
        """

    @hookspec
    def wengert_register_extensions(self, registry: Registry) -> None:
        """Register passes of compiled functions, and values of further kinds: communicators, or what a package made up.

        `registry.graph_pass` names a function of a captured graph that returns one which computes the same. Of kinds that
        wengert does not know, `registry.extension` names values. They are kept with the same care (isolation, rollback, no
        name twice, "module:attr" on first use); what they mean is up to whoever asks `registry.names(kind)` and
        `registry.resolve(kind, name)`.

        Example::

            from wengert.plugins import hookimpl

            class OneProcess:
                rank, size = 0, 1

                def allreduce_(self, flat):
                    return flat

            @hookimpl
            def wengert_register_extensions(registry):
                registry.extension("communicators", "alone", OneProcess)
        """


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
    names: tuple[str, ...] = ()  # what it registered; of one that failed, what was rolled back
    seconds: float = 0.0  # what importing it and running its hooks took


loaded: dict[str, Plugin] = {}
_lock = threading.RLock()
_scanned = False
_seen: set[tuple[str, str, str]] = set()  # entry points: name, value and distribution
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
        try:
            _load_installed()
        except KeyboardInterrupt:
            _scanned = False  # whoever asks next goes on with those that are not loaded yet
            raise


def _load_installed() -> None:
    """Load the plugins of the installed distributions that are not loaded yet."""
    for entry in sorted(_entries(), key=lambda e: (e.name, e.value)):
        name, version = _distribution(entry)
        told = (entry.name, entry.value, name)
        if BUILTIN.get(entry.name) == entry.value or told in _seen:
            continue
        if entry.name in loaded:
            first, second = loaded[entry.name], Plugin(f"{entry.name} ({name})", entry.value, name, version, "active")
            if first.status == "disabled":  # by its name, which is the name of both
                second.status, second.reason = first.status, first.reason
                loaded[second.name] = second
            else:
                taken = f"the plugin name {entry.name!r} is taken by {first.module} of {first.distribution}"
                _fail(second, "discovery", f"{taken}; uninstall one of the two", None)
        else:
            _load(entry.name, entry.value, name, version, functools.partial(_target, entry))
        _seen.add(told)


def _entries() -> list[Any]:
    """Return the entry points of the group, of every distribution whose metadata can be read."""
    if _only_builtins():
        return []
    from importlib import metadata

    try:
        return [*metadata.entry_points(group=GROUP)]
    except Exception:  # one distribution's file is no text, which must not take the others along: one at a time
        found: list[Any] = []
    for distribution in metadata.distributions():
        try:
            found += distribution.entry_points.select(group=GROUP)
        except Exception as error:
            path = Path(getattr(distribution, "_path", "?"))
            listed = path / "entry_points.txt"
            if path.stem in (*loaded, *(_listed("WENGERT_DISABLE_PLUGINS") or ())):
                continue
            if listed.is_file() and GROUP.encode() in listed.read_bytes():
                reason = " ".join(f"its metadata cannot be read: {type(error).__name__}: {error}".split())
                _fail(Plugin(path.stem, str(listed), path.stem, "", "active"), "discovery", reason, error)
    return [*{(e.name, e.value): e for e in reversed(found)}.values()]  # the first on the path, as Python imports


def _only_builtins() -> bool:
    """Say whether a look at the files is enough to know that nothing but wengert itself is in the group.

    importlib.metadata knows all that there may be, and takes 30 ms to be imported and to read a hundred distributions.
    """
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return False
    try:
        for place in filter(os.path.exists, (place or "." for place in sys.path)):
            if place.endswith(".egg"):
                return False
            for name in os.listdir(place):  # raises for a zip file
                listed = os.path.join(place, name, "entry_points.txt")
                if name.lower().endswith((".dist-info", ".egg-info")) and os.path.exists(listed):
                    text = Path(listed).read_bytes().decode()
                    if GROUP in text and not _of_builtins(text):
                        return False
    except (OSError, TypeError, ValueError):
        return False
    return True


def _of_builtins(text: str) -> bool:
    """Say whether the entry points of the group in a distribution's file are wengert's own."""
    _, begin, rest = text.partition(f"[{GROUP}]\n")
    listed = {*rest.partition("[")[0].split("\n")} - {""}
    return bool(begin) and GROUP not in rest and listed <= {f"{name} = {module}" for name, module in BUILTIN.items()}


def _target(entry: Any) -> Any:
    """Import what an entry point names. Raises ValueError for one that names nothing."""
    if not re.fullmatch(r"[\w.]+\s*(:\s*[\w.]+\s*)?(\[.*\])?", entry.value):
        raise ValueError(f"the entry point says {entry.value!r}, which is no module")
    return entry.load()


def _distribution(entry: Any) -> tuple[str, str]:
    """Return the name and version of the distribution that an entry point is of, as far as its metadata says."""
    try:
        known = entry.dist.metadata
        name, version = [str(known[key] or "?") if key in known else "?" for key in ("Name", "Version")]
        return name, version
    except Exception:  # no metadata, or no file that can be read as such
        return "?", "?"


def register(module: Any, name: str | None = None) -> None:
    """Load a plugin module or object by hand, as in a notebook. Raises what its hooks raise, after rolling back."""
    title = name or str(getattr(module, "__name__", type(module).__name__))
    with _lock:
        plugin = Plugin(title, title, "(by hand)", "", "active")
        _run_hooks(plugin, module, {})
        loaded[title] = plugin


def _load(name: str, module: str, distribution: str, version: str, load: Callable[[], Any]) -> None:
    plugin = loaded[name] = Plugin(name, module, distribution, version, "active")
    off, only = _listed("WENGERT_DISABLE_PLUGINS") or (), _listed("WENGERT_LOAD_PLUGINS")
    if name in off or (only is not None and name not in BUILTIN and name not in only):
        plugin.status, plugin.reason = "disabled", "by environment variable"
        return
    stage, start = "import", time.perf_counter()
    before, registered = {} if name in BUILTIN else _held(), _registered()
    try:
        with apart(name):
            found = load()
            stage = "version check"
            wanted = getattr(found, "__wengert_api__", API)
            if not re.fullmatch(r"-?\d+(\.\d+)*", str(wanted)):
                raise ValueError(f"__wengert_api__ is {wanted!r}, where the number of an interface is expected, as {API}")
            if int(str(wanted).split(".")[0]) != API:
                plugin.status = "incompatible"
                raise ValueError(f"it asks for plugin interface {wanted}, this wengert has {API}")
            stage = "registration"
            _run_hooks(plugin, found, before)
            if name not in BUILTIN and not manager().get_hookcallers(found) and _registered() == registered:
                manager().unregister(found)
                raise TypeError(f"{module} has no hook, so that nothing is registered; the hooks are {', '.join(_hooks())}")
    except KeyboardInterrupt:
        del loaded[name]
        raise
    except BaseException as error:  # SystemExit, and what else ends programs: here it is the plugin's mistake
        failure: BaseException = error
    else:
        return
    finally:
        plugin.seconds = time.perf_counter() - start
    _put_back(before)
    _fail(plugin, stage, " ".join(f"{type(failure).__name__}: {failure}".split()), failure)


@contextlib.contextmanager
def apart(plugin: str) -> Iterator[None]:
    """Run what a stranger wrote as on a fresh thread, whoever asked for it, and leave every setting as it was: recording,
    inference, capture, the defaults, the filters of warnings, NumPy's errors."""
    if plugin in BUILTIN:
        yield
        return
    wengert, modes = sys.modules["wengert"], sys.modules["wengert.modes"]
    held, defaults = dict(vars(modes.state)), ("default_dtype", "default_device")
    was = [getattr(wengert, f"get_{name}")() for name in defaults]
    vars(modes.state).clear()
    modes.turn(True)
    try:
        with warnings.catch_warnings(), np.errstate():
            yield
    finally:
        vars(modes.state).clear()
        vars(modes.state).update(held)
        modes.turn(modes.state.grad)
        for name, value in zip(defaults, was, strict=True):
            if getattr(wengert, f"get_{name}")() != value:
                getattr(wengert, f"set_{name}")(value)


def _listed(variable: str) -> list[str] | None:
    """Return the names in an environment variable, None where it is not set."""
    value = os.environ.get(variable)
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def _held() -> dict[Any, dict[str, Any]]:
    """Return what the namespaces hold that a plugin might assign to."""
    modules: list[Any] = [sys.modules[name] for name in ("wengert", "wengert.nn", "wengert.optim") if name in sys.modules]
    return {holder: dict(vars(holder)) for holder in (*modules, modules[0].Tensor)}


def _put_back(before: dict[Any, dict[str, Any]]) -> list[str]:
    """Undo assignments to names that were there, or that the registry has; return these names."""
    undone = []
    kinds = {"wengert": "ops", "wengert.nn": "modules", "wengert.optim": "optimizers"}
    for holder, old in before.items():
        table = registry.tables[kinds.get(holder.__name__, "methods")]
        for name, value in list(vars(holder).items()):
            was = old.get(name, table)  # the table stands for: nothing
            entry = table.get(name)
            if value is was or (entry is None and was is table):  # the second: a name of the plugin's own
                continue
            if entry is not None and ((entry.loaded and entry.value is value) or entry.plugin == "(direct)"):
                continue  # the registry shows it: it was asked for for the first time, or registered without a hook
            undone.append(f"{holder.__name__}.{name}")
            if was is table:
                delattr(holder, name)
            else:
                setattr(holder, name, was)
        for name in old.keys() - vars(holder).keys():
            if name in table and table[name].plugin == "(direct)":
                continue
            undone.append(f"{holder.__name__}.{name}")
            setattr(holder, name, old[name])
    return undone


def _run_hooks(plugin: Plugin, module: Any, before: dict[Any, dict[str, Any]]) -> None:
    """Call every hook the plugin implements, on a staged registry that counts only if all of them succeed."""
    hooks = manager()
    if hooks.is_registered(module):
        raise ValueError(f"{plugin.module} is loaded already, as plugin {hooks.get_name(module)!r}")
    stage = registry.staged(plugin.name)
    try:
        with warnings.catch_warnings(record=True) as deprecations:  # of hooks and of arguments: `warn_on_impl`
            warnings.simplefilter("always")
            try:
                hooks.register(module, plugin.name)
            except pluggy.PluginValidationError as error:
                said = " ".join(str(error).split())
                raise TypeError(f"a hook takes one argument, which is called registry: {said}") from error
        for told in deprecations:
            _warn(f"wengert plugin {plugin.name!r} ({plugin.distribution} {plugin.version}): {told.message}", told.category)
        _check_hooks(hooks, module)
        for caller in hooks.get_hookcallers(module) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    made = implementation.function(*[stage for _ in implementation.argnames])
                    if inspect.isgenerator(made) or inspect.iscoroutine(made):
                        made.close()
                        raise TypeError(
                            f"hook {caller.name!r} is a generator or a coroutine, whose body never runs; use a plain def"
                        )
        if undone := _put_back(before):
            raise TypeError(
                f"it assigned to {', '.join(undone)}, which is undone: registry.op() and the like take override=True to "
                f"replace a name for everybody on purpose"
            )
        plugin.names = _names(stage)
    except BaseException:
        plugin.names = _names(stage)
        if hooks.is_registered(module):
            hooks.unregister(module)
        raise
    registry.commit(stage)


def _registered() -> int:
    """Return how many names and kernels there are."""
    return sum(map(len, registry.tables.values())) + len(registry.kernels)


def _hooks() -> list[str]:
    return [name for name, caller in vars(manager().hook).items() if caller.has_spec()]


def _names(stage: Registry) -> tuple[str, ...]:
    return tuple(name for new in registry.brought(stage).values() for name in new)


def _check_hooks(hooks: pluggy.PluginManager, module: Any) -> None:
    """Raise TypeError for a hook that does not exist, or that was written but not marked: neither would ever be called."""
    known = _hooks()
    for name in dir(module):
        options = hooks.parse_hookimpl_opts(module, name)
        marked = options is not None
        if options and (options.get("optionalhook") or options.get("specname") in known):
            continue  # for another version, or under another name
        if name not in known and (marked or name.startswith("wengert_register_")):
            raise TypeError(f"unknown hook {name!r}; the hooks are {', '.join(known)}")
        if name in known and not marked:
            raise TypeError(f"hook {name!r} is not marked with @wengert.plugins.hookimpl")


def _fail(plugin: Plugin, stage: str, reason: str, error: BaseException | None) -> None:
    if plugin.status == "active":
        plugin.status = "failed"
    plugin.stage, plugin.reason, plugin.error = stage, reason, error
    loaded[plugin.name] = plugin
    if os.environ.get("WENGERT_STRICT_PLUGINS") == "1":
        raise RuntimeError(f"plugin {plugin.name!r} failed at {stage}: {reason}") from error
    _warn(
        f"wengert plugin {plugin.name!r} ({plugin.distribution} {plugin.version}) was left out: {stage} failed: {reason}. "
        f"Silence this with WENGERT_DISABLE_PLUGINS={plugin.name.split(' ')[0]}; `wengert plugins` lists all.",
        PluginWarning,
    )


def _warn(text: str, category: type[Warning]) -> None:
    try:
        warnings.warn(text, category, stacklevel=3)
    except Warning:
        pass  # warnings are errors in this process: the listing still tells, and the host must go on


def left_out() -> list[Plugin]:
    """Return the plugins that failed."""
    return [plugin for plugin in loaded.values() if plugin.status in ("failed", "incompatible")]


def who_failed(kind: str, name: str) -> Plugin | None:
    """Return the plugin that was left out and that had registered `name`, or bears it."""
    root = name.split(".")[0].lower()
    for plugin in loaded.values():
        if plugin.status != "active" and (name in plugin.names or root in re.split(r"[^a-z0-9]+", plugin.name.lower())):
            return plugin
    return None
