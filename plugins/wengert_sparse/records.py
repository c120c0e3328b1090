"""The records of sparse tensors: from indices and values to one, and back; and the products with dense matrices.

Owns: the table below, and `masked`, what is left of a gradient in the places of a sparse tensor. Every other op of a sparse
tensor has the record, and the rules, that it has for dense ones. May import: wengert.extend, the arrays. A gradient with
respect to a sparse tensor is one matrix however often a place is named: so values are asked only of coalesced ones.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import OPS, Tensor, errors, indexing, products, relabel, s, structural, wrap
from wengert_sparse.arrays import Coo, Csr, as_coo, indices_of, is_sparse, raw


def infer_made(*args: Any) -> Any:
    """Say that a sparse result has no shape and dtype alone, which is all that a captured graph knows."""
    raise NotImplementedError(
        "sparse tensors have no place in a captured graph: make them outside of the compiled function; products with them can "
        "be captured"
    )


def infer_product(values: Any, rows: Any, cols: Any, dense: Any, n: int) -> Any:
    return (n, dense.shape[1]), dense.dtype


def infer_sampled(x: Any, y: Any, rows: Any, cols: Any) -> Any:
    return (rows.shape[0],), x.dtype


def part(indices: Any, d: int) -> Any:
    """Return one row of indices."""
    return OPS["getitem"](indices, (d,))


def picked(g: Any, indices: Any) -> Any:
    """Return what a gradient, sparse or dense, has at indices: one value a column."""
    if is_sparse(g):
        return picked_(g, indices)
    count = raw(indices).shape[0]
    if not count:
        return OPS["broadcast_to"](g, (raw(indices).shape[1], *raw(g).shape))
    return indexing.index_get(g, tuple([part(indices, d) for d in range(count)]), tuple(range(count)))


def masked(g: Any, x: Any) -> Any:
    """Return what a gradient has in the places of a sparse tensor, as a sparse tensor."""
    return beside(x, picked(g, indices_of(x)))


def beside(x: Any, values: Any) -> Any:
    """Return values in the places of a sparse tensor, in its layout; with other dense dims, if they have such."""
    array = raw(x)
    structure = [getattr(array, part) for part in (("crow", "col") if isinstance(array, Csr) else ("indices",))]
    if isinstance(x, Tensor):
        structure = [wrap(part) for part in structure]
    if isinstance(array, Csr):
        return made_rows(*structure, values, array.shape)
    return made(*structure, values, (*array.shape[: array.sparse_dim], *values.shape[1:]), array.coalesced)


# fmt: off
made       = structural("sparse_coo", "indices values", infer_made, params="shape coalesced",
    label="SparseCooTensorWithDimsAndTensorsBackward0", values=lambda g, indices: picked(g, indices))
made_rows  = structural("sparse_csr", "crow col values", infer_made, params="shape", face="sparse_csr_tensor",
    label="SparseCompressedTensorBackward0", values=lambda g, out: picked(g, indices_of(out)))
picked_    = structural("sparse_picked", "x indices", infer_made,
    x=lambda g, x_shape, indices: made(indices, g, tuple(x_shape), False))
coalesced  = structural("coalesce", "x", infer_made, x=lambda g: g)
by_rows    = structural("sparse_by_rows", "x", infer_made, label="ToSparseBackward0", x=lambda g: g)
by_places  = structural("sparse_by_places", "x", infer_made, label="ToSparseBackward0", x=lambda g: g)
values_    = structural("sparse_values", "x", infer_made, face="values", label="ValuesBackward0",
    x=lambda g, x: beside(x, g))
dense_     = structural("to_dense", "x", lambda x: (x.shape, raw(x).values.dtype),
    x=lambda g, x: masked(g, coalesced(x)))
times_sparse = structural("sparse_times_sparse", "x y", products.infer_matmul, face="matmul",
    label="SparseSparseMatmulBackward0",
    x=lambda g, x, y: masked(OPS["matmul"](g, s.mT(y)), coalesced(x)),
    y=lambda g, x, y: masked(OPS["matmul"](s.mT(x), g), coalesced(y)))
# zeros of n rows, with values[k] * dense[cols[k]] added to row rows[k]
product    = structural("sparse_product", "values rows cols dense", infer_product, params="n", face="sparse.mm",
    label="SparseAddmmBackward0",
    values=lambda g, rows, cols, dense: sampled(g, dense, rows, cols),
    dense=lambda g, values, rows, cols, dense_shape: product(values, cols, rows, g, dense_shape[0]))
# the same by compressed rows; never recorded: it stands for the product of two tensors
by_rows_   = structural("sparse_rows_product", "values crow col dense",
    lambda values, crow, col, dense: ((crow.shape[0] - 1, dense.shape[1]), dense.dtype), constant=True)
# the product of row rows[k] of x and row cols[k] of y
sampled    = structural("sparse_sampled", "x y rows cols", infer_sampled, face="sparse.sampled_addmm",
    x=lambda g, y, rows, cols, x_shape: product(g, rows, cols, y, x_shape[0]),
    y=lambda g, x, rows, cols, y_shape: product(g, cols, rows, x, y_shape[0]))
# fmt: on


def compact(x: Any) -> Any:
    """Return a sparse tensor with each place named once; itself, if it is such a one."""
    return coalesced(x) if isinstance(raw(x), Coo) and not raw(x).coalesced else x


def matrix(name: str, x: Any) -> Coo:
    """Return the array of a sparse matrix. Raises RuntimeError for other dims."""
    found = as_coo(raw(x))
    if found.ndim != 2 or found.sparse_dim != 2:
        raise RuntimeError(f"{name}: expected a matrix of two sparse dims, got {found.sparse_dim} of {found.ndim} dims")
    return found


def times_dense(name: str, x: Any, y: Any) -> Any:
    """Return x @ y for a sparse matrix and a dense one, whose gradient with respect to x is as sparse as x."""
    if y._array.ndim != 2 or x._array.ndim != 2 or x.shape[1] != y.shape[0]:
        raise errors.matmul(x._array, y._array)
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{name}: both matrices must have the same dtype, got {x.dtype} and {y.dtype}; convert with .to()")
    if not x.requires_grad and isinstance(x._array, Csr):
        return relabel(products.mm(x, y), "SparseAddmmBackward0")
    x = compact(x) if x.requires_grad else x
    indices = indices_of(x)
    matrix(name, x)
    return product(values_(x), part(indices, 0), part(indices, 1), y, x.shape[0])
