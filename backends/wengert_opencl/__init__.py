"""OpenCL, "opencl": any processor or graphics card that an OpenCL driver knows, through pyopencl.

Owns: its registration, and `host_fallback`. May import: wengert's hook marker. pyopencl is imported when the device is
first used, so that wengert goes on where it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_devices(registry: Registry) -> None:
    registry.device("opencl", "wengert_opencl.device:OpenCLBackend")


def __getattr__(name: str) -> Any:
    if name == "host_fallback":
        from wengert_opencl import host

        return host.host_fallback
    if name == "source":
        from wengert_opencl import device

        return device.source
    raise AttributeError(f"module 'wengert_opencl' has no attribute {name!r}")
