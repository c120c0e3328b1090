"""`torch.types` and `torch.nn.common_types`: the names that programs annotate with.

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
IntLikeType, FloatLikeType, BoolLikeType = int, float, bool
_int, _float, _bool = int, float, bool
_scalar_or_tuple_any_t = int | tuple[int, ...]
_scalar_or_tuple_1_t = int | tuple[int]
_scalar_or_tuple_2_t = int | tuple[int, int]
_scalar_or_tuple_3_t = int | tuple[int, int, int]
_scalar_or_tuple_4_t = int | tuple[int, int, int, int]
_scalar_or_tuple_5_t = int | tuple[int, int, int, int, int]
_scalar_or_tuple_6_t = int | tuple[int, int, int, int, int, int]
_size_any_t, _size_1_t, _size_2_t = _scalar_or_tuple_any_t, _scalar_or_tuple_1_t, _scalar_or_tuple_2_t
_size_3_t, _size_4_t = _scalar_or_tuple_3_t, _scalar_or_tuple_4_t
_size_5_t, _size_6_t = _scalar_or_tuple_5_t, _scalar_or_tuple_6_t
_size_any_opt_t = tuple[int | None, ...]
_size_2_opt_t = tuple[int | None, int | None]
_size_3_opt_t = tuple[int | None, int | None, int | None]
_ratio_any_t = float | tuple[float, ...]
_ratio_2_t = float | tuple[float, float]
_ratio_3_t = float | tuple[float, float, float]
_maybe_indices_t = Tensor | tuple[Tensor, Tensor]
ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
