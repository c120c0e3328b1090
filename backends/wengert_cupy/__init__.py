"""CUDA, "cuda": NVIDIA's graphics cards, through CuPy.

Owns: its registration. May import: wengert's hook marker. CuPy is imported when the device is first used and a driver is there,
so that wengert goes on where either is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_devices(registry: Registry) -> None:
    registry.device("cuda", "wengert_cupy.device:CupyBackend")
