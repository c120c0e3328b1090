"""`torch.types`: the names that programs annotate with.

Owns: the aliases. May import: backend, dtypes, tensor. Must not know: anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wengert import backend, dtypes
from wengert._tensor import Size, Tensor

Number = int | float | bool
Device = backend.device | str | int | None
FileLike = Any
Storage = Any
_dtype, _device = dtypes.dtype, backend.device
_size = Size | list[int] | tuple[int, ...]
_TensorOrTensors = Tensor | Sequence[Tensor]
ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
