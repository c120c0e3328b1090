"""Collating: a list of samples becomes one batch.

Owns: `collate`, `default_collate` and its table, `default_convert`. May import: `wengert`'s public names.
Must not know: datasets, loaders.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import wengert
from wengert import Tensor


def _mapped(data: Any, each: Callable[[Any], Any]) -> Any:
    """Return a mapping of the same type with other values, or a dict where the type cannot be made so."""
    values = {key: each(key) for key in data}
    with contextlib.suppress(TypeError):
        if isinstance(data, MutableMapping):
            clone = copy.copy(data)
            clone.update(values)
            return clone
        return type(data)(values)
    return values


def _listed(data: Any, values: list[Any]) -> Any:
    """Return a sequence of the same type with other values, or a list where the type cannot be made so."""
    with contextlib.suppress(TypeError):
        if isinstance(data, MutableSequence):
            clone = copy.copy(data)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return type(data)(values)
    return values


def _named(data: Any) -> bool:
    return isinstance(data, tuple) and hasattr(data, "_fields")


def _numeric(data: Any) -> bool:
    return isinstance(data, np.ndarray | np.generic) and data.dtype.kind not in "SUOMmV"


def default_convert(data: Any) -> Any:
    """Return data with NumPy arrays and numbers as tensors, within mappings and sequences; the rest stays."""
    if isinstance(data, Tensor):
        return data
    if _numeric(data):
        return wengert.as_tensor(data)
    if isinstance(data, Mapping):
        return _mapped(data, lambda key: default_convert(data[key]))
    if _named(data):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _listed(data, [default_convert(d) for d in data])
    return data


# ---- what joins the samples of a type; a program may enter types of its own
def _tensors(batch: Any, *, collate_fn_map: Any = None) -> Any:
    return wengert.stack(list(batch), 0)


def _arrays(batch: Any, *, collate_fn_map: Any = None) -> Any:
    if not _numeric(batch[0]):
        raise TypeError(_refusal(batch[0].dtype))
    return wengert.stack([wengert.as_tensor(b) for b in batch], 0)


def _floats(batch: Any, *, collate_fn_map: Any = None) -> Any:
    return wengert.tensor(batch, dtype=wengert.float64)


def _ints(batch: Any, *, collate_fn_map: Any = None) -> Any:
    return wengert.tensor(batch)


def _words(batch: Any, *, collate_fn_map: Any = None) -> Any:
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    str: _words, bytes: _words, Tensor: _tensors, (np.ndarray, np.generic): _arrays, float: _floats, int: _ints,
}  # fmt: skip


def collate(batch: Any, *, collate_fn_map: Mapping[Any, Callable[..., Any]] | None = None) -> Any:
    """Return one batch of a list of samples: those of a type in the map are joined by `f(batch, collate_fn_map=...)`,
    containers are gone into. Keys of the map are types or tuples of types.

    Raises RuntimeError for samples of different lengths, TypeError for what cannot be put together.
    """
    first, known = batch[0], collate_fn_map or {}
    join = known.get(type(first)) or next((f for kind, f in known.items() if isinstance(first, kind)), None)
    if join is not None:
        return join(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        return _mapped(first, lambda key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map))
    if _named(first):
        return type(first)(*(collate(values, collate_fn_map=collate_fn_map) for values in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if len({len(sample) for sample in batch}) > 1:
            raise RuntimeError("each element in list of batch should be of equal size; pass collate_fn= to join others")
        columns = [collate(values, collate_fn_map=collate_fn_map) for values in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _listed(first, columns)
    raise TypeError(_refusal(type(first)))


def default_collate(batch: Any) -> Any:
    """Return one batch of a list of samples: tensors are stacked, numbers become a tensor, containers are gone into, and
    `default_collate_fn_map` says what else is joined how.

    Strings stay a list. Raises RuntimeError for samples of different lengths, TypeError for what cannot be put together.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def _refusal(found: Any) -> str:
    return (
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {found}; pass "
        f"collate_fn= to join others"
    )
