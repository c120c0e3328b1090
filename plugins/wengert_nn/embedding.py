"""Rows of a table by number: embedding, embedding_bag, one_hot.

Owns: the `embedding` record, whose gradient adds to rows as often as they were taken, and what bags make of rows.
May import: wengert.extend. Must not know: devices; the kernel is in kernels_layers.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.extend import (
    OPS,
    cast,
    category,
    creation,
    dtypes,
    e,
    has_values,
    indexing,
    kind_of,
    labelled,
    r,
    s,
    structural,
)  # fmt: skip
from wengert.registry import registry


def infer_embedding(weight: Any, index: Any, padding: int, by_frequency: bool) -> Any:
    rows = weight.shape[0]
    if isinstance(index, np.ndarray) and index.size and not (0 <= index.min() and index.max() < rows):
        bad = index[(index < 0) | (index >= rows)][0]
        raise IndexError(f"index out of range in self: row {bad} of a table of {rows} (embedding)")
    return (*index.shape, *weight.shape[1:]), weight.dtype


def rows_rule(g: Any, weight_shape: Any, index: Any, padding: int, by_frequency: bool) -> Any:
    """Add each gradient to its row: none to the row `padding`; by_frequency: over how often the row was taken."""
    shape = tuple(weight_shape)
    if padding >= 0:
        g = e.where(s.reshape(index == padding, (*index.shape, 1)), 0.0, g)
    if by_frequency:
        ones = s.filled(g, tuple(index.shape), 1, None)
        times = indexing.index_get(indexing.index_sum(ones, (index,), shape[:1], (0,)), (index,), (0,))
        g = g / s.reshape(times, (*index.shape, 1))
    return indexing.index_sum(g, (index,), shape, (0,))


# weight[index]; padding: a row that gets no gradient (-1: none)
rows_ = structural("embedding", "weight index", infer_embedding, params="padding by_frequency", weight=rows_rule,
    rows="w c -> c")


def rows_that_count(g: Any, weight_shape: Any, index: Any, padding: int, by_frequency: bool) -> Any:
    """Return the gradient of a table as a sparse tensor: a row for each that was taken, as often as it was."""
    if by_frequency:
        raise RuntimeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
    index = s.reshape(index, (-1,))
    g = s.reshape(g, (*index.shape, *weight_shape[1:]))
    if padding >= 0:
        counts = index != padding
        index, g = OPS["mask_get"](index, counts, 0), OPS["mask_get"](g, counts, 0)
    return OPS["sparse_coo"](s.reshape(index, (1, *index.shape)), g, tuple(weight_shape), False)


# the same, whose gradient holds the rows that were taken and no others
rows_apart = structural("embedding_sparse", "weight index", infer_embedding, params="padding by_frequency", face="embedding",
    weight=rows_that_count)


def embedding_sparse(weight: Any, index: Any, padding: int, by_frequency: bool) -> Any:
    return rows_(weight, index, padding, by_frequency)


def taken(weight: Any, index: Any, padding: int, by_frequency: bool, sparse: bool) -> Any:
    """Return rows of a table by either record."""
    if not sparse:
        return rows_(weight, index, padding, by_frequency)
    registry.resolve("ops", "sparse_coo_tensor")  # brings the record that makes the gradient
    return rows_apart(weight, cast(index, dtypes.I64), padding, by_frequency)


def table(name: str, weight: Any, index: Any) -> None:
    kind = kind_of(name, index)
    kind_of(name, weight, "weight")
    if len(weight.shape) != 2:
        raise RuntimeError(f"{name}: 'weight' must be 2-D, got {len(weight.shape)}-D")
    if kind not in (dtypes.I64, np.dtype(np.int32)):
        raise RuntimeError(f"{name}: expected indices of dtype Long or Int, but got {index.dtype}")


def padding_row(weight: Any, padding_idx: int | None) -> int:
    """Return the row as a non-negative number, or -1 for none. Raises ValueError out of range."""
    if padding_idx is None:
        return -1
    rows = weight.shape[0]
    if not -rows <= padding_idx < rows:
        raise ValueError(f"Padding_idx must be within num_embeddings: {padding_idx} of {rows}")
    return int(padding_idx % rows)


def renormed(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are to be taken down to a norm, in place and without a history."""
    rows = creation.tensor(np.unique(index.detach().host()), device=weight.device)
    own = weight.detach()
    taken = own[rows]
    norms = r.norm(taken, norm_type, 1, True)
    own[rows] = e.where(norms > max_norm, taken * (max_norm / (norms + 1e-7)), taken)


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """Return the rows of weight that input names. Raises IndexError for a row that is not there.

    padding_idx: a row that gets no gradient. max_norm: rows that are taken are first scaled down to it, in weight itself.
    scale_grad_by_freq: a row's gradient is divided by how often it is taken. sparse: the gradient is a sparse tensor.
    """
    table("embedding", weight, input)
    padding = padding_row(weight, padding_idx)
    if max_norm is not None:
        renormed(weight, input, max_norm, norm_type)
    return taken(weight, input, padding, bool(scale_grad_by_freq), sparse)


def embedding_of_table(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """Return the rows of weight that indices name; padding_idx: a row that gets no gradient, -1 for none."""
    return embedding(indices, weight, None if padding_idx < 0 else padding_idx, None, 2.0, scale_grad_by_freq, sparse)


def bags_of(offsets: Any, size: int, include_last: bool) -> tuple[np.ndarray[Any, Any], int]:
    """Return which bag each index is in, and how many bags there are. Raises RuntimeError for offsets that are none."""
    starts = offsets.detach().host()
    if starts.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if starts.size and starts[0] != 0:
        raise RuntimeError(f"offsets[0] has to be 0: the first bag starts at the first index. However, got {starts[0]}")
    if starts.size and starts[-1] > size:
        raise RuntimeError(f"offsets[-1] can not be greater than input's length({size}) but got offsets[-1] of {starts[-1]}")
    if include_last:
        starts = starts[:-1]
    return np.searchsorted(starts, np.arange(size), side="right") - 1, len(starts)


@labelled("EmbeddingBagBackward0")
def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """Return the sum, mean or maximum of the rows of each bag: a row of a matrix input, or what starts at each offset.

    per_sample_weights: factors of the rows, for sums. padding_idx: a row that does not count. Raises ValueError for wrong
    arguments.
    """
    table("embedding_bag", weight, input)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"embedding_bag: per_sample_weights is only supported for mode='sum' (got mode={mode!r})")
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            raise ValueError(
                f"embedding_bag: per_sample_weights ({list(per_sample_weights.shape)}) must have the shape of the input "
                f"({list(input.shape)})"
            )
        if per_sample_weights.dtype is not weight.dtype:
            raise RuntimeError(
                f"embedding_bag: weight ({weight.dtype}) and per_sample_weights ({per_sample_weights.dtype}) are to have the "
                "same type"
            )
    if len(input.shape) == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None: each row is a bag")
        bags, length = input.shape
        of_bag = np.repeat(np.arange(bags), length)
    elif len(input.shape) == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        of_bag, bags = bags_of(offsets, input.shape[0], include_last_offset)
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {len(input.shape)}")
    padding = padding_row(weight, padding_idx)
    index = s.reshape(input, (input._array.size,))
    if max_norm is not None:
        renormed(weight, index, max_norm, norm_type)
    if sparse and mode == "max":
        raise ValueError("max mode does not support sparse weights")
    rows = taken(weight, index, padding, bool(scale_grad_by_freq), sparse)
    return pooled(rows, None if padding < 0 else index != padding, of_bag, bags, mode, per_sample_weights)


def pooled(rows: Any, counts: Any, of_bag: np.ndarray[Any, Any], bags: int, mode: str, factors: Any) -> Any:
    """Return the sum, mean or maximum of the rows of each bag that count (None: all)."""
    place = creation.tensor(of_bag, device=rows.device)
    shape = (bags, rows.shape[1])

    def counted(other: float) -> Any:
        return rows if counts is None else e.where(s.unsqueeze(counts, 1), rows, other)

    if mode == "max" and of_bag.size:
        lengths = np.bincount(of_bag, minlength=bags)
        longest = int(lengths.max())
        slot = np.arange(of_bag.size) - (np.cumsum(lengths) - lengths)[of_bag]
        low = s.filled(rows, (bags, longest, shape[1]), float("-inf"), None)
        places = (place, creation.tensor(slot, device=rows.device))
        grid = indexing.index_put(low, counted(float("-inf")), places, (0, 1), False)
        top = r.max(grid, 1)[0]
        return e.where(top == float("-inf"), 0.0, top)
    rows = counted(0.0)
    if factors is not None:
        rows = rows * s.reshape(factors, (rows.shape[0], 1))
    total = indexing.index_sum(rows, (place,), shape, (0,))
    if mode == "sum":
        return total
    ones = s.filled(rows, (rows.shape[0], 1), 1, None) if counts is None else cast(s.unsqueeze(counts, 1), rows._array.dtype)
    sizes = indexing.index_sum(ones, (place,), (bags, 1), (0,))
    return total / e.maximum(sizes, 1.0)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return int64 zeros with ones at the classes that a tensor of integers names, in a new last dim.

    Raises RuntimeError for a class that is negative or too large, where values can be read.
    """
    if category(kind_of("one_hot", tensor)) != dtypes.INTEGRAL:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}")
    if tensor._array.size == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return s.filled(tensor, (*tensor.shape, num_classes), 0, dtypes.I64)
    if num_classes != -1 and num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    if num_classes == -1 or has_values(tensor._array):
        if int(r.min(tensor)) < 0:
            raise RuntimeError("Class values must be non-negative.")
        highest = int(r.max(tensor))
        if num_classes == -1:
            num_classes = highest + 1
        elif num_classes <= highest:
            raise RuntimeError(f"Class values must be smaller than num_classes: {highest} of {num_classes}")
    shape = tuple(tensor.shape)
    ones, places = s.filled(tensor, (*shape, 1), 1, dtypes.I64), s.reshape(cast(tensor, dtypes.I64), (*shape, 1))
    return r.put_along(ones, places, (*shape, num_classes), len(shape))
