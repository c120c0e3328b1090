"""`torch._C`, as far as programs use it: the switches of `__torch_function__`, and names.

Owns: nothing. May import: overrides. Must not know: any op.
"""

from __future__ import annotations

import enum
import sys

from wengert._tensor import Tensor as TensorBase
from wengert._tensor import _disabled_torch_function_impl
from wengert.errors import LinAlgError as _LinAlgError  # noqa: F401
from wengert.modes import no_grad as _AutoDispatchBelowAutograd  # noqa: F401
from wengert.overrides import DisableTorchFunction, DisableTorchFunctionSubclass

_TensorBase, _TensorMeta = TensorBase, type(TensorBase)


class DispatchKey(enum.Enum):
    """The names of PyTorch's dispatcher for kinds of devices and layers above them; here they select nothing."""

    CPU, CUDA, XPU, Meta, AutogradCPU, AutogradCUDA, AutocastCPU, AutocastCUDA, AutocastXPU, ADInplaceOrView, Python = range(11)


class DispatchKeySet:
    """A set of these names."""

    def __init__(self, *keys: DispatchKey) -> None:
        self._keys = frozenset(keys)

    def __or__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*self._keys, *other._keys)

    def has(self, key: DispatchKey) -> bool:
        """Say whether a name is in the set."""
        return key in self._keys


def _get_tracing_state() -> None:
    """Return None: TorchScript traces nothing here."""


def _is_tracing() -> bool:
    """Say the same as a bool."""
    return False


def _are_functorch_transforms_active() -> bool:
    """Say whether a vmap, grad or jvp is running."""
    layers = sys.modules.get("wengert.func.layers")
    return layers is not None and layers.innermost() is not None


def _log_api_usage_once(key: str) -> None:
    """Accepted for libraries that tell PyTorch what is used: nobody is told."""


def _jit_set_profiling_executor(on: bool) -> None:
    """Accepted for programs that switch TorchScript's optimizers, of which there are none."""


_jit_set_profiling_mode = _jit_set_texpr_fuser_enabled = _jit_set_nvfuser_enabled = _jit_set_profiling_executor
_jit_override_can_fuse_on_cpu = _jit_override_can_fuse_on_gpu = _jit_set_profiling_executor
_debug_set_autodiff_subgraph_inlining = _jit_set_profiling_executor


__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "TensorBase", "_disabled_torch_function_impl"]
