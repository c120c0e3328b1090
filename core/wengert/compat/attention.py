"""`torch.nn.attention`: choosing how attention is computed, of which there is one way here.

Owns: the names of PyTorch's ways, and a context that changes nothing. Must not know: attention.
"""

from __future__ import annotations

import contextlib
import enum
from typing import Any


class SDPBackend(enum.Enum):
    """PyTorch's ways to compute attention; here all give the same."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


def sdpa_kernel(backends: Any, set_priority: bool = False) -> contextlib.AbstractContextManager[None]:
    """Accepted for PyTorch programs: a context that changes nothing."""
    return contextlib.nullcontext()
