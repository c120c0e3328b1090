"""What sparse tensors have and dense ones refuse: indices, values, and what is said of them.

Owns: the methods. May import: wengert.extend, the arrays and records. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import wrap
from wengert_sparse import records
from wengert_sparse.arrays import Coo, Csr, SparseArray, expected

COORDINATES, COMPRESSED = "sparse coordinate", "sparse row compressed"


def of_layout(name: str, self: Any, array_type: type, layout: str) -> Any:
    """Return the array of a tensor. Raises RuntimeError for one of another layout."""
    if not isinstance(self._array, array_type):
        raise expected(name, layout, self)
    return self._array


def coalesce(self: Any) -> Any:
    """Return this with each place named once, in order: values of one place are added."""
    return self if of_layout("coalesce", self, Coo, COORDINATES).coalesced else records.coalesced(self)


def is_coalesced(self: Any) -> bool:
    """Say whether each place is known to be named once, in order."""
    return bool(of_layout("is_coalesced", self, Coo, COORDINATES).coalesced)


def _coalesced_(self: Any, coalesced: bool) -> Any:
    """Say that each place is named once, in order, and return this."""
    of_layout("_coalesced_", self, Coo, COORDINATES).coalesced = bool(coalesced)
    return self


def indices(self: Any) -> Any:
    """Return where the values stand: a column each. Raises RuntimeError for an uncoalesced tensor."""
    if not of_layout("indices", self, Coo, COORDINATES).coalesced:
        raise RuntimeError("Cannot get indices on an uncoalesced tensor, please call .coalesce() first")
    return wrap(self._array.indices)


def _indices(self: Any) -> Any:
    """Return where the values stand, a column each; places may be named several times."""
    return wrap(of_layout("_indices", self, Coo, COORDINATES).indices)


def values(self: Any) -> Any:
    """Return the values. Raises RuntimeError for an uncoalesced tensor, and for a dense one."""
    array = of_layout("values", self, SparseArray, "sparse")
    if isinstance(array, Coo) and not array.coalesced:
        raise RuntimeError("Cannot get values on an uncoalesced tensor, please call .coalesce() first")
    return records.values_(self)


def _values(self: Any) -> Any:
    """Return the values without a history; those of one place are to be added."""
    return wrap(of_layout("_values", self, SparseArray, "sparse").values)


def _nnz(self: Any) -> int:
    """Return how many values are stored."""
    return int(of_layout("_nnz", self, SparseArray, "sparse").nnz)


def sparse_dim(self: Any) -> int:
    """Return how many dims are indexed; 0 for a dense tensor."""
    array = self._array
    return array.sparse_dim if isinstance(array, Coo) else 2 * isinstance(array, Csr)


def dense_dim(self: Any) -> int:
    """Return how many dims each value has."""
    return 0 if isinstance(self._array, Csr) else self._array.ndim - sparse_dim(self)


def crow_indices(self: Any) -> Any:
    """Return where each row begins among the values, and the last one ends."""
    return wrap(of_layout("crow_indices", self, Csr, COMPRESSED).crow)


def col_indices(self: Any) -> Any:
    """Return the column of each value."""
    return wrap(of_layout("col_indices", self, Csr, COMPRESSED).col)
