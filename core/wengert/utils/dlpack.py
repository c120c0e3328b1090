"""`wengert.utils.dlpack`: tensors to and from DLPack capsules, which other array libraries read.

Owns: the two functions. May import: tensor, registry. Must not know: devices; the memory is NumPy's.
"""

from __future__ import annotations

from typing import Any

from wengert._tensor import Tensor
from wengert.registry import registry

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> Any:
    """Return a DLPack capsule of a tensor's memory, which may be read once."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any) -> Tensor:
    """Return a tensor on the memory of a capsule, or of anything that has `__dlpack__`."""
    made: Tensor = registry.resolve("ops", "from_dlpack")(ext_tensor)
    return made
