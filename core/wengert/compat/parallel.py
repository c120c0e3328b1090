"""`wengert.nn.parallel` of PyTorch: a module on several devices, or in several processes, of which there is one here.

Owns: `data_parallel`, `DataParallel` and `DistributedDataParallel`, which run the module as it is, and what programs do the
same with by hand: `scatter`, `replicate`, `parallel_apply`, `gather`. May import: tensor; nn, late; distributed. Must not know:
any device.
"""

from __future__ import annotations

import contextlib
from typing import Any

from wengert._tensor import Tensor
from wengert.compat import distributed


def data_parallel(
    module: Any, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0, module_kwargs: Any = None
) -> Any:
    """Return what the module returns, on the one device where its parameters are."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> list[Any]:
    """Return the inputs in as many parts as there are devices, each on its own: tensors are cut, containers gone into."""
    count = len(target_gpus)
    if isinstance(inputs, Tensor):
        parts = inputs.chunk(count, dim)
        return [part.to(device) for part, device in zip(parts, target_gpus, strict=False)]
    if isinstance(inputs, tuple | list) and inputs:
        made = [*zip(*(scatter(x, target_gpus, dim) for x in inputs), strict=False)]
        return [type(inputs)._make(part) if hasattr(inputs, "_make") else type(inputs)(part) for part in made]
    if isinstance(inputs, dict) and inputs:
        columns = zip(*(scatter(x, target_gpus, dim) for x in inputs.values()), strict=False)
        return [type(inputs)(zip(inputs, part, strict=True)) for part in columns]
    return [inputs] * count


def scatter_kwargs(inputs: Any, kwargs: Any, target_gpus: Any, dim: int = 0) -> tuple[Any, Any]:
    """Return positional and named arguments in parts, as many of the one as of the other."""
    own, named = (scatter(x, target_gpus, dim) if x else [] for x in (inputs, kwargs))
    more = max(len(own), len(named))
    return (*own, *[()] * (more - len(own))), (*named, *[{} for _ in range(more - len(named))])


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Return parts as one, on a device: tensors are joined, containers gone into."""
    first = outputs[0]
    if isinstance(first, Tensor):
        import wengert

        return wengert.cat([wengert.atleast_1d(x.to(target_device)) for x in outputs], dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((key, gather([part[key] for part in outputs], target_device, dim)) for key in first)
    made = [gather(parts, target_device, dim) for parts in zip(*outputs, strict=True)]
    return type(first)._make(made) if hasattr(first, "_make") else type(first)(made)


def replicate(network: Any, devices: Any, detach: bool = False) -> list[Any]:
    """Return the module for each device: on the one device it is the same."""
    return [network] * len(devices)


def parallel_apply(modules: Any, inputs: Any, kwargs_tup: Any = None, devices: Any = None) -> list[Any]:
    """Return what each module returns of its inputs, one after the other."""
    named = kwargs_tup or [{}] * len(modules)
    given = [x if isinstance(x, tuple) else (x,) for x in inputs]
    return [module(*x, **more) for module, x, more in zip(modules, given, named, strict=True)]


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
