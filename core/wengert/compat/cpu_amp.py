"""`torch.cpu.amp`: `autocast` and `GradScaler` by their older names, without the device's.

Owns: nothing. May import: amp. Must not know: any op.
"""

from __future__ import annotations

import functools
from typing import Any

from wengert.compat import amp

GradScaler = functools.partial(amp.GradScaler, "cpu")


class autocast(amp.autocast):
    """`amp.autocast("cpu", ...)`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cpu", dtype, enabled, cache_enabled)
