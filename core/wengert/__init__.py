"""PyTorch's autograd interface on any array device: `import wengert as torch`.

Owns: the public names. Built-in operations are bound here at import; whatever else is asked for by name comes from the
registry, which looks for plugins then and not before. Nothing here imports SciPy, a device library or a plugin.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from math import e, inf, nan, pi
from typing import Any

from wengert import cuda, doors, dtypes, faces
from wengert._version import __version__
from wengert.backend import device, get_default_device, set_default_device
from wengert.dtypes import can_cast, dtype, finfo, get_default_dtype, iinfo, promote_types, set_default_dtype
from wengert.errors import NoSuchName as _NoSuchName
from wengert.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

from wengert.ops import creation, random  # isort: skip
from wengert import ufuncs as ufuncs  # isort: skip
from wengert import autograd  # isort: skip  (it calls ops)
from wengert._tensor import Size, Tensor
from wengert.ops.random import Generator, default_generator, fork_rng
from wengert.printing import set_printoptions
from wengert.registry import registry as _registry
from wengert.threads import get_num_threads, set_num_threads

faces.dress()
globals().update(faces.FUNCTIONS)
globals().update(dtypes.ALL)
globals().update({alias: dtypes.ALL[name] for alias, name in dtypes.ALIASES.items()})
globals().update(creation.typed_tensors())
doors.open_doors()

strided, preserve_format, contiguous_format = sys.intern("torch.strided"), "torch.preserve_format", "torch.contiguous_format"
legacy_contiguous_format = contiguous_format
sparse_coo, sparse_csr = sys.intern("torch.sparse_coo"), sys.intern("torch.sparse_csr")
sparse_csc, sparse_bsr, sparse_bsc = "torch.sparse_csc", "torch.sparse_bsr", "torch.sparse_bsc"  # names; there are none such
channels_last, channels_last_3d = "torch.channels_last", "torch.channels_last_3d"  # accepted; results lie in row-major order
newaxis = None

__all__ = [
    "Generator", "Size", "Tensor", "__version__", "autograd", "can_cast", "cuda", "default_generator", "device", "dtype",
    "enable_grad", "finfo", "fork_rng", "get_default_device", "get_default_dtype", "get_num_threads", "iinfo", "inference_mode",
    "e", "inf", "nan", "pi", "is_grad_enabled", "is_inference", "is_inference_mode_enabled", "no_grad", "promote_types",
    "random", "set_default_device", "set_default_dtype", "set_grad_enabled", "set_num_threads",
    "set_printoptions", *faces.FUNCTIONS, *dtypes.ALL,
]  # fmt: skip

_SUBMODULES = (
    "array_api", "compat", "compiler", "distributions", "fft", "func", "graph", "library", "linalg", "masked", "nn",
    "opencl", "optim", "overrides", "plugins", "profiler", "serialization", "signal", "sparse", "special", "testing", "utils",
)  # fmt: skip
_LATE = {  # names whose module is loaded when they are used
    "compile": "compiler", "custom_op": "library", "draw": "drawing",
    "load": "serialization", "save": "serialization",
    "Event": "compat.accelerator", "Stream": "compat.accelerator",
    "is_anomaly_check_nan_enabled": "autograd.anomaly_mode", "is_anomaly_enabled": "autograd.anomaly_mode",
    "memory_summary": "profiler", "vmap": "func", "OutOfMemoryError": "errors",
    **dict.fromkeys(
        "as_strided_ compiled_with_cxx11_abi get_device_module has_lapack has_mkl has_openmp has_spectral is_vulkan_available "
        "resize_as_ set_anomaly_enabled sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum".split(),
        "compat.rare",
    ),
    **dict.fromkeys(
        "GradScaler accelerator amp are_deterministic_algorithms_enabled autocast backends clear_autocast_cache distributed "
        "get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype get_deterministic_debug_mode "
        "get_float32_matmul_precision get_num_interop_threads hub is_autocast_cache_enabled is_autocast_cpu_enabled "
        "is_autocast_enabled is_deterministic_algorithms_warn_only_enabled is_storage is_warn_always_enabled jit layout "
        "memory_format mps multiprocessing onnx set_deterministic_debug_mode set_float32_matmul_precision set_flush_denormal "
        "set_num_interop_threads set_warn_always typename use_deterministic_algorithms version".split(), "compat",
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Resolve a name that is not built in: a submodule, or an op that a plugin registered."""
    if name == "_C":
        return importlib.import_module("wengert.compat._C")
    if name.startswith("_"):  # what doctest, inspect and pickle probe for is never a plugin's
        raise AttributeError(f"module 'wengert' has no attribute {name!r}")
    if name in _SUBMODULES:
        return importlib.import_module(f"wengert.{name}")
    if name in _LATE:
        found = getattr(importlib.import_module(f"wengert.{_LATE[name]}"), name)
    else:
        try:
            found = _registry.resolve("ops", name)
        except _NoSuchName as error:  # the nearest name may be one of those that are here already
            before, _, known, after = error.args
            error.args = before, name, [n for n in (*known, *globals()) if not n.startswith("_")], after
            raise
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_registry.names("ops"), *_SUBMODULES, *_LATE})


def is_inference(input: Tensor) -> builtins.bool:
    """Say whether a tensor was made inside `inference_mode`."""
    return input.is_inference()


_device_by_type = False


def set_default_tensor_type(t: Any) -> None:
    """Set the default float dtype, and the device of new tensors, by a legacy type such as FloatTensor, or its name."""
    global _device_by_type
    kind, place = creation.legacy_name(t) if isinstance(t, str) else (t.dtype, t.device)
    set_default_dtype(kind)
    if place is not None or _device_by_type:
        set_default_device(cuda.accelerator() if place == "cuda" else place)
    _device_by_type = place is not None
