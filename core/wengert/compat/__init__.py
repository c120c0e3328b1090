"""`wengert.compat`: programs written for PyTorch, run as they are, and PyTorch's names that compute nothing.

Owns: `install` and `uninstall`, by which `import torch` (and `torch.nn`, `torch.utils.data` and so on) means wengert, and the
table of the names in this package, which are `wengert`'s too. May import: errors, dtypes; anything late.
Must not know: any op. `python -m wengert.compat program.py` runs a program so.
"""

from __future__ import annotations

import importlib
from typing import Any

PARTS = (
    "accelerator", "amp", "backends", "distributed", "hub", "jit", "mps", "multiprocessing", "onnx", "parallel",
    "version",
)  # fmt: skip
NAMES = {  # names of functions and classes, and the part of this package that has them
    **dict.fromkeys(
        (
            "GradScaler", "autocast", "clear_autocast_cache", "get_autocast_cpu_dtype", "get_autocast_dtype",
            "get_autocast_gpu_dtype", "is_autocast_cache_enabled", "is_autocast_cpu_enabled", "is_autocast_enabled",
        ),
        "amp",
    ),
    **dict.fromkeys(
        (
            "are_deterministic_algorithms_enabled", "get_deterministic_debug_mode", "get_float32_matmul_precision",
            "get_num_interop_threads", "is_deterministic_algorithms_warn_only_enabled", "is_storage", "is_warn_always_enabled",
            "layout", "memory_format", "set_deterministic_debug_mode", "set_float32_matmul_precision", "set_flush_denormal",
            "set_num_interop_threads", "set_warn_always", "typename", "use_deterministic_algorithms",
        ),
        "settings",
    ),
    **dict.fromkeys(("install", "uninstall"), "finder"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in PARTS:
        return importlib.import_module(f"wengert.compat.{name}")
    if name in NAMES:
        return getattr(importlib.import_module(f"wengert.compat.{NAMES[name]}"), name)
    raise AttributeError(f"module 'wengert.compat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PARTS, *NAMES})
