"""`wengert.optim`: a namespace over the registry; every optimizer in it comes from a plugin.

Owns: nothing but the base class's name. Must not know: any optimizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.optim.optimizer import Optimizer
from wengert.registry import lazy

if TYPE_CHECKING:
    from wengert_optim import *  # noqa: F403

__all__ = ["Optimizer"]


__getattr__, __dir__ = lazy("optimizers", "optim", own=("lr_scheduler", "swa_utils"))
