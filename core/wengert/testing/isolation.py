"""A registry that a test may fill and break: everything is as before when it is left.

Owns: `isolated_registry`. May import: the registry, plugins, the tables it restores. Must not know: pytest, any plugin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wengert import backend, plugins
from wengert._tensor import Tensor
from wengert.op import OPS, Op
from wengert.registry import SHOWN_IN, Registry, registry


@contextmanager
def isolated_registry() -> Iterator[Registry]:
    """Let what is registered inside (by hand or by plugins) be gone afterwards, and what was replaced be back.

    Op records, names shown in `wengert`, `wengert.nn` and `wengert.optim`, methods of tensors, backends and the list of
    plugins are restored. Not for several threads at once.
    """
    plugins.load_builtins()
    manager, known = plugins.manager(), set(plugins.manager().get_plugins())
    modules = set(sys.modules)
    tables = {kind: dict(table) for kind, table in registry.tables.items()}
    kernels, loaded, scanned = dict(registry.kernels), dict(plugins.loaded), plugins._scanned
    records, by_name = dict(OPS), dict(backend._by_name)
    shown = {name: dict(vars(sys.modules[name])) for name in SHOWN_IN.values() if name in sys.modules}
    methods = dict(vars(Tensor))
    try:
        yield registry
    finally:
        for plugin in manager.get_plugins() - known:
            manager.unregister(plugin)
        # what a module that was imported meanwhile has entered stays: it will not be imported again
        values = [v for name in set(sys.modules) - modules for v in list(vars(sys.modules[name]).values())]
        records.update((op.name, op) for op in values if isinstance(op, Op) and OPS.get(op.name) is op)
        for now, before in ((OPS, records), (backend._by_name, by_name), (registry.kernels, kernels), (plugins.loaded, loaded)):
            _restore(now, before)
        registry.tables.clear()
        registry.tables.update(tables)
        plugins._scanned = scanned
        for name, before in shown.items():
            _restore(vars(sys.modules[name]), before)
        for name in vars(Tensor).keys() - methods.keys():
            delattr(Tensor, name)
        backend._forget()


def _restore(now: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Make a table what it was, without emptying it on the way: others may read it."""
    now.update(before)
    for name in now.keys() - before.keys():
        del now[name]
