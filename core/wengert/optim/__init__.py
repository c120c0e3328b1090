"""`wengert.optim`: a namespace over the registry; every optimizer in it comes from a plugin.

Owns: nothing but the base class's name. Must not know: any optimizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wengert.optim.optimizer import Optimizer
from wengert.registry import namespace_dir, registry

if TYPE_CHECKING:
    from wengert_optim import *  # noqa: F403

__all__ = ["Optimizer"]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'wengert.optim' has no attribute {name!r}")
    if name == "lr_scheduler":
        import importlib

        return importlib.import_module("wengert.optim.lr_scheduler")
    found = globals()[name] = registry.resolve("optimizers", name)
    return found


def __dir__() -> list[str]:
    return namespace_dir("optimizers", "", [*globals(), "lr_scheduler"])
