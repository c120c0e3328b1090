"""`wengert.nn.parallel` of PyTorch: a module on several devices, or in several processes, of which there is one here.

Owns: `data_parallel`, `DataParallel` and `DistributedDataParallel`, which run the module as it is. May import: nn, late;
distributed. Must not know: any device.
"""

from __future__ import annotations

import contextlib
from typing import Any

from wengert.compat import distributed


def data_parallel(
    module: Any, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0, module_kwargs: Any = None
) -> Any:
    """Return what the module returns, on the one device where its parameters are."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def __getattr__(name: str) -> Any:
    if name not in ("DataParallel", "DistributedDataParallel"):
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

    class DistributedDataParallel(DataParallel):
        """A module whose gradients are the mean over the group of processes, which has one.

        Raises ValueError before `distributed.init_process_group`.
        """

        def __init__(self, module: Any, device_ids: Any = None, output_device: Any = None, **options: Any) -> None:
            distributed.get_backend()
            super().__init__(module)

        def no_sync(self) -> contextlib.AbstractContextManager[None]:
            """Return a context in which gradients are not exchanged, as they never are."""
            return contextlib.nullcontext()

        def join(self, *args: Any, **kwargs: Any) -> contextlib.AbstractContextManager[None]:
            """Return a context that waits for processes with more data, of which there are none."""
            return contextlib.nullcontext()

    globals().update(DataParallel=DataParallel, DistributedDataParallel=DistributedDataParallel)
    return globals()[name]
