"""`torch.sparse`: products, sums and softmax of sparse tensors, whose gradients are as sparse as they are.

Owns: the functions. May import: wengert.extend, the arrays and records. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.extend import Tensor, axes_of, indexing, labelled, one_dim, products, r, relabel, s, wrap, write_out
from wengert_sparse import records
from wengert_sparse.arrays import as_coo, beside, indices_of, is_sparse, keys_of, no_kernel


def mm(mat1: Any, mat2: Any, reduce: str | None = None, *, out: Any = None) -> Any:
    """Return mat1 @ mat2, at least one of them sparse; the gradient of a sparse factor of a dense one is as sparse.

    reduce: what is taken of the products in the place of their sum, "mean", "amax" or "amin", of a sparse mat1 and a dense
    mat2; 0 in rows without any. Raises RuntimeError for other dims than two, and sizes that differ.
    """
    if reduce not in (None, "sum"):
        return reduced(mat1, mat2, reduce)
    if is_sparse(mat1) and not is_sparse(mat2) and isinstance(mat2, Tensor):
        made = records.times_dense("sparse.mm", mat1, mat2)
    else:
        made = products.mm(mat1, mat2)
    return made if out is None else write_out("sparse.mm", made, out)


def reduced(x: Any, y: Any, how: str) -> Any:
    """Return the mean, the largest or the smallest of the products that each element of x @ y adds up."""
    if how not in ("mean", "amax", "amin") or not is_sparse(x) or is_sparse(y):
        raise no_kernel(f"sparse.mm(reduce={how!r}) of layouts {x.layout} and {y.layout}", x.layout)
    x = records.compact(x)
    known = records.matrix("sparse.mm", x)
    if how == "mean":
        counts = np.bincount(known.host[0], minlength=known.shape[0]).clip(1).astype(known.values.dtype)
        return records.times_dense("sparse.mm", x, y) / wrap(beside(known.values, counts[:, None]))
    rows, cols = (wrap(row) for row in known.rows)
    found = s.reshape(records.values_(x), (known.nnz, 1)) * indexing.index_get(y, (cols,), (0,))
    zeros = s.filled(found.detach(), (known.shape[0], y.shape[1]), 0, None)
    return zeros.scatter_reduce(0, s.broadcast_to(s.reshape(rows, (-1, 1)), found.shape), found, how, include_self=False)


def smm(input: Any, mat: Any) -> Any:
    """Return the product of a sparse matrix and a dense one, as a sparse tensor."""
    return mm(input, mat).to_sparse()


@labelled("SparseAddmmBackward0")
def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * mat + alpha * mat1 @ mat2 for a sparse mat1."""
    return products.added("sparse.addmm", mat, mm(mat1, mat2), beta, alpha)


def sampled_addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """Return beta * input + alpha * (mat1 @ mat2) in the places of a sparse matrix, where alone the product is computed."""
    if not is_sparse(input):
        raise RuntimeError("sparse.sampled_addmm: expected input to be sparse")
    records.matrix("sparse.sampled_addmm", input)
    input = records.compact(input)
    indices = indices_of(input)
    product = records.sampled(mat1, s.mT(mat2), records.part(indices, 0), records.part(indices, 1))
    made = records.beside(input, beta * records.values_(input) + alpha * product)
    return made if out is None else write_out("sparse.sampled_addmm", made, out)


def sum(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """Return the sum over dims: a dense tensor over all that are indexed, else a sparse one."""
    if not is_sparse(input):
        raise RuntimeError(f"sparse.sum: expected a sparse tensor, got one of layout {input.layout}")
    x = records.compact(input if dtype is None else input.to(dtype))
    known = as_coo(x._array)
    axes = set(axes_of("sparse.sum", x, dim) or range(known.ndim)) if dim is not None else set(range(known.ndim))
    d = known.sparse_dim
    values = records.values_(x)
    inner = tuple([a - d + 1 for a in sorted(axes) if a >= d])
    values = r.sum(values, inner) if inner else values
    left = [a for a in range(d) if a not in axes]
    if not left:
        return relabel(r.sum(values, 0), "SparseSumBackward0")
    host = known.host[left]
    shape = tuple([n for a, n in enumerate(known.shape) if a not in axes])
    made = records.made(wrap(beside(known.values, host)), values, shape, len(left) == d)
    return relabel(records.compact(made), "SparseSumBackward0")


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return exp(x) over its sum along dim, of the elements that are stored: the others count as minus infinity."""
    return relabel(_shares(input, dim, dtype, r.softmax), "SparseSoftmaxBackward0")


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return x - log sum exp(x) along dim, of the elements that are stored: the others count as minus infinity."""
    return relabel(_shares(input, dim, dtype, r.log_softmax), "SparseLogSoftmaxBackward0")


def _shares(input: Any, dim: int, dtype: Any, share: Any) -> Any:
    """Lay the values of each line along dim in a row of a table, take the share there, and look it up."""
    if not is_sparse(input):
        raise RuntimeError(f"sparse.softmax: expected a sparse tensor, got one of layout {input.layout}")
    x = records.compact(input if dtype is None else input.to(dtype))
    known, d = as_coo(x._array), one_dim("sparse.softmax", x, dim)
    values = records.values_(x)
    if d >= known.sparse_dim:
        return records.beside(x, share(values, d - known.sparse_dim + 1))
    if not known.nnz:
        return x
    others = [a for a in range(known.sparse_dim) if a != d]
    line = keys_of(known.host[others], tuple(known.shape[a] for a in others))
    _, line, counts = np.unique(line, return_inverse=True, return_counts=True)
    order = np.argsort(line, kind="stable")
    slot = np.empty(line.size, np.int64)
    slot[order] = np.arange(line.size) - np.repeat(np.cumsum(counts) - counts, counts)
    places = tuple([wrap(beside(known.values, i.reshape(-1))) for i in (line, slot)])
    table = s.filled(values.detach(), (counts.size, int(counts.max()), *values.shape[1:]), float("-inf"), None)
    laid = indexing.index_put(table, values, places, (0, 1), False)
    return records.beside(x, indexing.index_get(share(laid, 1), places, (0, 1)))
