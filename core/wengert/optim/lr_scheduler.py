"""`wengert.optim.lr_scheduler`: a namespace over the registry's names below "lr_scheduler.".

Owns: nothing. Must not know: any schedule.
"""

from __future__ import annotations

from typing import Any

from wengert.registry import namespace_dir, registry


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'wengert.optim.lr_scheduler' has no attribute {name!r}")
    found = globals()[name] = registry.resolve("optimizers", f"lr_scheduler.{name}")
    return found


def __dir__() -> list[str]:
    return namespace_dir("optimizers", "lr_scheduler.", globals())
