"""The device "meta": tensors with a shape and a dtype and no values, to see what a program makes without the work.

Owns: its registration. May import: wengert's hook marker. The device itself is imported when a first tensor is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_devices(registry: Registry) -> None:
    registry.device("meta", "wengert_meta.device:MetaBackend")
