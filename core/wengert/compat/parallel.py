"""`wengert.nn.parallel` of PyTorch: a module on several devices, or in several processes.

Owns: `DataParallel`, which runs the module as it is, and the refusal of `DistributedDataParallel`. May import: nn, late.
Must not know: any device.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "DataParallel":
        raise AttributeError(f"module 'wengert.compat.parallel' has no attribute {name!r}")
    from wengert import nn

    class DataParallel(nn.Module):
        """A module that runs on the one device where its parameters are."""

        def __init__(self, module: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            """Return what the module returns."""
            return self.module(*args, **kwargs)

    globals()[name] = DataParallel
    return DataParallel


class DistributedDataParallel:
    """Raises RuntimeError: there is one process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("DistributedDataParallel: wengert has no communication between processes; use the module itself")
