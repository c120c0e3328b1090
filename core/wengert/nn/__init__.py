"""`wengert.nn`: a namespace over the registry; every module in it comes from a plugin.

Owns: nothing. Must not know: any module.
"""

from __future__ import annotations

from typing import Any

from wengert.registry import namespace_dir, registry


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'wengert.nn' has no attribute {name!r}")
    found = globals()[name] = registry.resolve("modules", name)
    return found


def __dir__() -> list[str]:
    return namespace_dir("modules", "", globals())
