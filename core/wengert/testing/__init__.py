"""`wengert.testing`: comparing tensors, and the conformance kit for packages that add devices, ops and optimizers.

Owns: the public names, loaded when they are asked for. Nothing here imports pytest; `wengert.testing.pytest` does, for who
opts in by `pytest_plugins = ["wengert.testing.pytest"]`. May import: its own parts, late. Must not know: any device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wengert.testing.comparison import assert_allclose as assert_allclose
    from wengert.testing.comparison import assert_close as assert_close
    from wengert.testing.device import DeviceSuite as DeviceSuite
    from wengert.testing.device import check_backend as check_backend
    from wengert.testing.isolation import isolated_registry as isolated_registry
    from wengert.testing.making import make_tensor as make_tensor
    from wengert.testing.ops import check_op as check_op
    from wengert.testing.optimizer import check_optimizer as check_optimizer

NAMES = {
    "DeviceSuite": "device", "assert_allclose": "comparison", "assert_close": "comparison", "check_backend": "device",
    "check_op": "ops", "check_optimizer": "optimizer", "isolated_registry": "isolation", "make_tensor": "making",
}  # fmt: skip
__all__ = [*NAMES]


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module 'wengert.testing' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"wengert.testing.{NAMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *NAMES})
