"""`torch._subclasses.fake_tensor` and `torch.fx.experimental.proxy_tensor`: what is asked of them.

Owns: the questions. Must not know: anything else. Tensors without values are those of `device="meta"` here, of no type of
their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


def is_fake(x: Any) -> bool:
    """Say that a tensor is none of that type."""
    return False


def get_proxy_mode() -> None:
    """Return None: functions are not traced in that way."""


@contextlib.contextmanager
def unset_fake_temporarily() -> Iterator[None]:
    """Leave the mode of tensors without values for a while: nothing is in it."""
    yield
