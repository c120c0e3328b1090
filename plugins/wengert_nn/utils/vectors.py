"""Parameters as one vector, and back.

Owns: both ways. May import: `wengert`'s public names. Must not know: modules, devices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import wengert
from wengert import Tensor


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """Return the elements of all parameters as one vector."""
    return wengert.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Let parameters be the parts of a vector, on its memory. Raises TypeError for no tensor, RuntimeError for a short one."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    parts, start = [], 0
    for p in parameters:
        count = p.numel()
        parts.append((p, vec.detach()[start : start + count].reshape(p.shape).data))
        start += count
    for p, part in parts:  # only now, when all of them fit
        p.data = part
