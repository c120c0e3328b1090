"""What `torch.utils.data._utils` shows: its modules, whose names are in `utils.data`, and what joins the samples of a type.

Owns: those names. May import: `wengert`. Must not know: how anything is loaded.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import Tensor
from wengert.utils import data

collate = fetch = worker = data
_collate_fn_t = Callable[[list[Any]], Any]

np_str_obj_array_pattern = re.compile("[SaUO]")  # the kinds of NumPy's dtypes that no tensor has
collate_tensor_fn, collate_str_fn, collate_float_fn, collate_int_fn, collate_numpy_array_fn = (
    data.default_collate_fn_map[kind] for kind in (Tensor, str, float, int, (np.ndarray, np.generic))
)
collate_numpy_scalar_fn = collate_numpy_array_fn


def pin_memory(data: Any, device: Any = None) -> Any:
    """Return the data: memory is not pinned."""
    return data
