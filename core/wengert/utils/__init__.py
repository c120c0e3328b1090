"""`wengert.utils`: what programs need around the tape.

Owns: the names of its modules, which load on first use, and `swap_tensors`. Must not know: what they do.
"""

from __future__ import annotations

import importlib
from typing import Any

from wengert._tensor import swap_tensors as swap_tensors

__all__ = ["benchmark", "checkpoint", "collect_env", "data", "dlpack", "safetensors", "tensorboard"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wengert.utils' has no attribute {name!r}")
    return importlib.import_module(f"wengert.utils.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
