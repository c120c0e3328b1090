"""Sparse tensors from indices and values, from dense ones, and back.

Owns: the constructors and conversions. May import: wengert.extend, the arrays and records. Must not know: devices.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from wengert.extend import OPS, Tensor, creation, dtypes, indexing, s, shape_of, wrap
from wengert_sparse import records
from wengert_sparse.arrays import COO, CSR, Coo, Csr, as_coo, beside, indices_of, is_sparse, no_kernel, on_host, rises


class check_sparse_tensor_invariants(contextlib.ContextDecorator):
    """Whether constructors look at indices on other devices than the host, too, and at all of a compressed tensor's.

    A context manager, or a decorator; `enable()`, `disable()` and `is_enabled()` turn it for good.
    """

    _on = False

    def __init__(self, enable: bool = True) -> None:
        self.state = enable
        self.before: list[bool] = []

    @staticmethod
    def is_enabled() -> bool:
        """Say whether it is on."""
        return check_sparse_tensor_invariants._on

    @staticmethod
    def enable() -> None:
        """Turn it on."""
        check_sparse_tensor_invariants._on = True

    @staticmethod
    def disable() -> None:
        """Turn it off."""
        check_sparse_tensor_invariants._on = False

    def __enter__(self) -> None:
        self.before.append(self.is_enabled())
        check_sparse_tensor_invariants._on = self.state

    def __exit__(self, *exc: object) -> None:
        check_sparse_tensor_invariants._on = self.before.pop()


def parts(indices: Any, values: Any, dtype: Any, device: Any) -> tuple[Any, Any]:
    """Return indices as int64 and values, as tensors on one device."""
    if device is None and not isinstance(values, Tensor) and isinstance(indices, Tensor):
        device = indices.device
    values = creation.as_tensor(values, dtype=dtype, device=device)
    return creation.as_tensor(indices).detach().to(values.device, dtypes.int64), values


def finished(made: Any, requires_grad: bool) -> Any:
    return made.requires_grad_() if requires_grad else made


def sparse_coo_tensor(
    indices: Any = None, values: Any = None, size: Any = None, *, dtype: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None,
    is_coalesced: bool | None = None, layout: Any = None,
) -> Any:  # fmt: skip
    """Return a sparse tensor with values[k] at indices[:, k]; what is named several times is added.

    indices: int64 (sparse dims, count). values: (count, dense dims ...). size: by default as small as it can be. With a size
    alone, an empty one. Raises RuntimeError for indices, values and a size that do not fit.

    >>> torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    if values is None:
        shape = shape_of((indices if size is None else size,), "sparse_coo_tensor")
        values = creation.empty(0, dtype=dtype, device=device)
        indices = wrap(beside(values._array, np.zeros((len(shape), 0), np.int64)))
        return finished(records.made(indices, values, shape, True), requires_grad)
    indices, values = parts(indices, values, dtype, device)
    if requires_grad:
        values = values.detach()
    if indices._array.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    if not values._array.ndim:
        values = s.reshape(values, (1,))
    sparse_dim, count = indices._array.shape
    if values._array.shape[0] != count:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {count}, nnz from values: {values.shape[0]}"
        )
    check = check_sparse_tensor_invariants.is_enabled() if check_invariants is None else check_invariants
    if size is None:
        rows = on_host(indices._array)
        within(rows, None)
        shape = (*[int(n) + 1 for n in rows.max(1, initial=-1)], *values._array.shape[1:])
    else:
        shape = shape_of((size,), "sparse_coo_tensor")
        if len(shape) != sparse_dim + values._array.ndim - 1:
            raise RuntimeError(
                f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(shape)}, "
                f"sparse_dim = {sparse_dim}, dense_dim = {values._array.ndim - 1}"
            )
        if tuple(values.shape[1:]) != shape[sparse_dim:]:
            raise RuntimeError(
                f"values has incorrect size, expected {[count, *shape[sparse_dim:]]}, got {list(values.shape)}"
            )
        if check or isinstance(indices._array, np.ndarray):
            within(on_host(indices._array), shape)
    return finished(records.made(indices, values, shape, bool(is_coalesced) or count < 2), requires_grad)


def within(rows: Any, shape: Any) -> None:
    """Raise RuntimeError for an index that is negative or not below its dim."""
    for d, row in enumerate(rows if rows.size else ()):
        if row.min() < 0:
            raise RuntimeError(f"found negative index {row.min()} for dim {d}")
        if shape is not None and row.max() >= shape[d]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {d}, size is {shape[d]} but found index {row.max()}"
            )


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, *, dtype: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None, layout: Any = None,
) -> Any:  # fmt: skip
    """Return a sparse matrix by rows: row r has values[crow_indices[r]:crow_indices[r + 1]] in the columns col_indices.

    Raises RuntimeError for indices, values and a size that do not fit.
    """
    col, values = parts(col_indices, values, dtype, device)
    crow, _ = parts(crow_indices, values, None, None)
    if requires_grad:
        values = values.detach()
    if not (crow._array.ndim == col._array.ndim == values._array.ndim == 1):
        raise RuntimeError("sparse_csr_tensor: crow_indices, col_indices and values must be 1-D: one matrix, of numbers")
    starts, places = on_host(crow._array), on_host(col._array)
    count = values._array.shape[0]
    if not rises(starts, count) or places.size != count:
        raise RuntimeError(
            f"sparse_csr_tensor: crow_indices must rise from 0 to nnz, with a column for each value: got "
            f"{list(crow.shape)} crow_indices, {places.size} col_indices, {count} values"
        )
    shape = (starts.size - 1, int(places.max(initial=-1)) + 1) if size is None else shape_of((size,), "sparse_csr_tensor")
    if len(shape) != 2 or shape[0] != starts.size - 1:
        raise RuntimeError(f"crow_indices.shape[-1] must be equal to nrows + 1: got {starts.size} of size {list(shape)}")
    within(places[None], shape[1:])
    order = np.lexsort((places, np.repeat(np.arange(shape[0]), np.diff(starts))))
    if (order[1:] < order[:-1]).any():
        place = wrap(beside(values._array, order))
        col, values = indexing.index_get(col, (place,), (0,)), indexing.index_get(values, (place,), (0,))
    return finished(records.made_rows(crow, col, values, shape), requires_grad)


class SparseType:
    """A legacy type such as `sparse.FloatTensor`: a constructor, of (indices, values, size) or of sizes, and a type to ask
    for by isinstance()."""

    def __init__(self, name: str, dtype: str) -> None:
        self.__name__, self.dtype = name, dtypes.by_name(dtype)

    def __call__(self, *args: Any, device: Any = None) -> Any:
        if len(args) > 1 and isinstance(args[0], Tensor):
            if args[1].dtype is not self.dtype:
                raise TypeError(f"sparse.{self.__name__}: expected values of {self.dtype}, got {args[1].dtype}")
            return sparse_coo_tensor(*args, device=device).detach()
        size = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
        if not size:
            return wrap(Coo(np.zeros((1, 0), np.int64), np.zeros(0, self.dtype.numpy), (0,)))
        return sparse_coo_tensor(size, dtype=self.dtype, device=device)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.is_sparse and x.dtype is self.dtype

    def __repr__(self) -> str:
        return f"<class 'torch.sparse.{self.__name__}'>"


FloatTensor, DoubleTensor = SparseType("FloatTensor", "float32"), SparseType("DoubleTensor", "float64")
HalfTensor, BFloat16Tensor = SparseType("HalfTensor", "float16"), SparseType("BFloat16Tensor", "bfloat16")
ByteTensor, CharTensor = SparseType("ByteTensor", "uint8"), SparseType("CharTensor", "int8")
ShortTensor, IntTensor = SparseType("ShortTensor", "int16"), SparseType("IntTensor", "int32")
LongTensor, BoolTensor = SparseType("LongTensor", "int64"), SparseType("BoolTensor", "bool")


# ---- between dense and sparse
def to_sparse(
    self: Any, sparse_dim: int | None = None, *, layout: Any = None, blocksize: Any = None, dense_dim: int | None = None
) -> Any:
    """Return this by coordinates (or as `layout` says); sparse_dim: how many dims are indexed, by default all."""
    if isinstance(sparse_dim, str):
        sparse_dim, layout = None, sparse_dim
    if layout == CSR:
        return to_sparse_csr(self)
    if layout == "torch.strided":
        return to_dense(self)
    if layout not in (None, COO):
        raise no_kernel(f"to_sparse(layout={layout})", self.layout)
    if isinstance(self._array, Coo):
        return self
    if isinstance(self._array, Csr):
        return records.by_places(self)
    ndim = self._array.ndim
    d = ndim if sparse_dim is None else sparse_dim
    d = d if dense_dim is None else ndim - dense_dim
    if not min(ndim, 1) <= d <= ndim:
        raise RuntimeError(f"to_sparse: sparse_dim must be between {min(ndim, 1)} and {ndim}, got {d}")
    there = self.detach() != 0
    if d < ndim:
        there = there.any(-1) if d == ndim - 1 else there.reshape((*self.shape[:d], -1)).any(-1)
    indices = wrap(OPS["transpose"](there.nonzero()._array, (1, 0)))
    made = records.made(indices, records.picked(self, indices), tuple(self.shape), True)
    return made


def to_sparse_csr(self: Any, dense_dim: int | None = None) -> Any:
    """Return this matrix by compressed rows. Raises RuntimeError for other dims than two."""
    if isinstance(self._array, Csr):
        return self
    if self._array.ndim != 2 or (isinstance(self._array, Coo) and self._array.sparse_dim != 2):
        raise RuntimeError(f"to_sparse_csr: only matrices of numbers have compressed rows here, got {list(self.shape)}")
    return records.by_rows(to_sparse(self))


def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """Return this with every element; a gradient goes to those that are stored. A dense tensor as it is."""
    made = records.dense_(self) if is_sparse(self) else self
    return made if dtype is None else made.to(dtype)


def sparse_mask(self: Any, mask: Any) -> Any:
    """Return what this has in the places of a sparse tensor, as a sparse tensor."""
    if not is_sparse(mask):
        raise RuntimeError(f"sparse_mask: mask must be sparse, got a tensor of layout {mask.layout}")
    if tuple(self.shape) != tuple(mask.shape):
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(self.shape)} but mask has size "
            f"{list(mask.shape)}"
        )
    known = as_coo(mask._array)
    made = records.made(indices_of(mask), records.picked(self, indices_of(mask)), known.shape, known.coalesced)
    return records.by_rows(made) if isinstance(mask._array, Csr) else made


def spdiags(diagonals: Any, offsets: Any, shape: Any, layout: Any = None) -> Any:
    """Return a sparse matrix with the rows of `diagonals` on the diagonals `offsets`: element (r, c) is diagonals[k, c].

    Raises ValueError or RuntimeError for offsets that repeat, or are not as many as the rows.
    """
    diagonals = s.reshape(diagonals, (1, -1)) if diagonals._array.ndim == 1 else diagonals
    places = on_host(offsets._array).reshape(-1)
    if diagonals._array.ndim != 2 or diagonals.shape[0] != places.size:
        raise RuntimeError(
            f"spdiags(): number of diagonals ({diagonals.shape[0]}) does not match the number of offsets ({places.size})"
        )
    if np.unique(places).size != places.size:
        raise RuntimeError("spdiags(): Offset tensor contains duplicate values")
    rows, cols = shape_of((shape,), "spdiags")
    column, which = np.meshgrid(np.arange(min(diagonals.shape[1], cols)), np.arange(places.size))
    row = column - places[:, None]
    inside = (row >= 0) & (row < rows)
    host = np.stack([row[inside], column[inside]])
    taken = np.stack([which[inside], column[inside]])
    at = [wrap(beside(diagonals._array, i)) for i in taken]
    values = indexing.index_get(diagonals, tuple(at), (0, 1))
    made = records.made(wrap(beside(diagonals._array, host)), values, (rows, cols), False)
    return to_sparse_csr(made) if layout == CSR else made
