"""Making modules without what they start from.

Owns: `skip_init`, and what is said of memory formats. May import: nothing. Must not know: any module.
"""

from __future__ import annotations

from typing import Any


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a module whose values do not matter; memory is never handed out unset here, so it starts as it always does."""
    return module_cls(*args, **kwargs)


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Return the module: weights lie in row-major order, whatever the format that is asked for."""
    return module


convert_conv3d_weight_memory_format = convert_conv2d_weight_memory_format
