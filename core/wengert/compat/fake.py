"""`torch._subclasses.fake_tensor` and `torch.fx.experimental.proxy_tensor`: what is asked of them.

Owns: the questions. Must not know: anything else. Tensors without values are those of `device="meta"` here, of no type of
their own.
"""

from __future__ import annotations

from typing import Any


def is_fake(x: Any) -> bool:
    """Say that a tensor is none of that type."""
    return False


def get_proxy_mode() -> None:
    """Return None: functions are not traced in that way."""
