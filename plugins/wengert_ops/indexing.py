"""Indexing beside the core's: reductions at indices, writes along dims and where views look, indices as such.

Owns: PyTorch's functions of that kind, and the records of the reductions at indices that are no sums. May import:
wengert.extend, NumPy (for indices made on the host). Must not know: devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.extend import call, cast, creation, dtypes, e, errors, indexing, one_dim, relabel, s, structural, tensor_like

as_vector, index_put = indexing.as_vector, indexing.index_put
gather_, scatter_, scatter_sum = indexing.gather_, indexing.scatter_, indexing.scatter_sum


def infer_reduce(x: Any, values: Any, index: Any, dim: int) -> Any:
    indexing.fits_along("scatter_reduce", x, index, dim)
    return x.shape, x.dtype


def tied(g: Any, x: Any, values: Any, index: Any, out: Any, dim: int) -> Any:
    """Return g divided by how many of those that meet at a place are the extreme there."""
    mine = e.where(x == out, s.filled(g, tuple(x.shape), 1, None), 0.0)
    theirs = e.where(values == gather_(out, index, dim), s.filled(g, tuple(values.shape), 1, None), 0.0)
    count = scatter_(mine, theirs, index, dim, True)
    return g / e.where(count == 0, 1.0, count)


def tied_rule(g: Any, x: Any, values: Any, index: Any, out: Any, dim: int) -> Any:
    at = gather_(tied(g, x, values, index, out, dim), index, dim)
    return e.where(values == gather_(out, index, dim), at, 0.0)


def product_rule(g: Any, x: Any, values: Any, index: Any, dim: int) -> Any:
    """Return g * x * the product of the other values at each one's place, which for a zero is that of those not zero."""
    zero = values == 0
    if hasattr(values, "_array") and bool(zero.any()):
        raise NotImplementedError(
            "scatter_reduce, index_reduce: the second derivative of a product with a factor 0 is not implemented"
        )
    factors = e.where(zero, 1.0, values)
    zeros = scatter_sum(e.where(zero, s.filled(g, tuple(values.shape), 1, None), 0.0), index, tuple(g.shape), dim)
    others = gather_(zeros, index, dim) == e.where(zero, s.filled(g, tuple(values.shape), 1, None), 0.0)
    product = scatter_prod(g * x, factors, index, dim)
    return e.where(others, gather_(product, index, dim) / factors, 0.0)


# fmt: off
scatter_prod = structural("scatter_prod", "x values index", infer_reduce, params="dim",
    x=lambda g, values, index, dim: scatter_prod(g, values, index, dim), values=product_rule)
scatter_amax = structural("scatter_amax", "x values index", infer_reduce, params="dim",
    x=lambda g, x, values, index, out, dim: e.where(x == out, tied(g, x, values, index, out, dim), 0.0), values=tied_rule)
scatter_amin = structural("scatter_amin", "x values index", infer_reduce, params="dim",
    x=lambda g, x, values, index, out, dim: e.where(x == out, tied(g, x, values, index, out, dim), 0.0), values=tied_rule)
# fmt: on


# ---- reductions at indices
def _least(dtype: np.dtype[Any], sign: int) -> Any:
    """Return what no number of a type is below (sign 1) or above (-1)."""
    if dtypes.category(dtype) == dtypes.FLOATING:
        return -sign * float("inf")
    if dtype == dtypes.B8:
        return sign < 0
    return np.iinfo(dtype).min if sign > 0 else np.iinfo(dtype).max


def _reduced(x: Any, src: Any, index: Any, dim: int, reduce: str, include_self: bool) -> Any:
    """Return x combined with src at indices; without itself, x counts only where nothing comes."""
    dtype = x._array.dtype
    if not include_self:
        start = _least(dtype, 1 if reduce == "amax" else -1) if reduce in ("amax", "amin") else int(reduce == "prod")
        x = scatter_(x, s.filled(src, tuple(src.shape), start, None), index, dim, False)
    if reduce == "sum":
        return scatter_(x, src, index, dim, True)
    if reduce == "mean":
        ones = s.filled(src, tuple(src.shape), 1, None)
        count = scatter_sum(ones, index, tuple(x.shape), dim)
        count = count + 1 if include_self else e.where(count == 0, 1, count)
        total = scatter_(x, src, index, dim, True)
        return total / count if dtypes.category(dtype) >= dtypes.FLOATING else e.floor_divide(total, count)
    return {"prod": scatter_prod, "amax": scatter_amax, "amin": scatter_amin}[reduce](x, src, index, dim)


def _check_reduce(name: str, reduce: str, known: Sequence[str]) -> None:
    if reduce not in known:
        raise RuntimeError(f"reduce argument must be one of {', '.join(known)}, got {reduce!r} ({name})")


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """Return input combined with src at index along dim, by "sum", "prod", "mean", "amax" or "amin".

    include_self: whether the elements of input that something comes to take part.
    """
    _check_reduce("scatter_reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    x, index, src, d = indexing.scatter_source("scatter_reduce", input, dim, index, src)
    if not index.numel():
        return relabel(indexing.unwritten(input, src), "ScatterReduceBackward0")
    made = _reduced(x, src, index, d, reduce, include_self)
    return relabel(made if input.dim() else s.reshape(made, ()), "ScatterReduceBackward0")


def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """Return input with the entries of dim that a vector of indices names combined with source's, as `scatter_reduce` does."""
    _check_reduce("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    d = indexing.index_source("index_reduce", input, dim, index, source)
    if not index.numel():
        return relabel(indexing.unwritten(input, source), "IndexReduceBackward0")
    x, source = as_vector(input), as_vector(source)
    shape = tuple(source.shape)
    along = s.reshape(index, tuple(n if i == d else 1 for i, n in enumerate(shape)))
    made = _reduced(x, source, s.broadcast_to(along, shape), d, reduce, include_self)
    return relabel(made if input.dim() else s.reshape(made, ()), "IndexReduceBackward0")


# ---- writes along a dim, at places, under a mask
def _entries(name: str, input: Any, dim: int, index: Any) -> tuple[Any, Any, int]:
    """Return input and a vector of indices into its dim, none of them 0-d. Raises IndexError for what is not there."""
    d = one_dim(name, input, dim)
    indexing.checked_index(name, index, vector=True, kind=IndexError)
    x, index = as_vector(input), as_vector(index)
    n = x.shape[d]
    values = index._array
    if isinstance(values, np.ndarray) and values.size and not (-n <= values.min() and values.max() < n):
        raise IndexError(f"{name}: an index is out of range for dimension {d} with size {n}")
    return x, index, d


def _types_differ(name: str, input: Any, source: Any) -> RuntimeError:
    return RuntimeError(f"{name}(): self and source expected to have the same dtype, but got {input.dtype} and {source.dtype}")


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Return input with source's entries written to those of dim that a vector of indices names."""
    x, index, d = _entries("index_copy", input, dim, index)
    if source.dtype is not input.dtype:
        raise _types_differ("index_copy_", input, source)
    shape = (*x.shape[:d], index.numel(), *x.shape[d + 1 :])
    if tuple(as_vector(source).shape) != shape:
        raise (IndexError if source.numel() and source.dim() == x.dim() and source.shape[d] != index.numel() else RuntimeError)(
            f"index_copy_(): Source must have the shape {list(shape)} for {index.numel()} indices, got {list(source.shape)}"
        )
    made = index_put(x, as_vector(source), (index,), (d,), False)
    return relabel(made if input.dim() else s.reshape(made, ()), "IndexCopyBackward0")


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Return input with one value written to the entries of dim that a vector of indices names."""
    x, index, d = _entries("index_fill", input, dim, index)
    outside, inside = (s.filled(index, shape, v, np.dtype(bool)) for shape, v in (((x.shape[d],), 0), (tuple(index.shape), 1)))
    mask = s.reshape(index_put(outside, inside, (index,), (0,), False), (-1, *(1,) * (x.dim() - 1 - d)))
    made = e.where(mask, _scalar("index_fill", input, value), x)
    return relabel(made if input.dim() else s.reshape(made, ()), "IndexFillBackward0")


def _scalar(name: str, input: Any, value: Any) -> Any:
    """Return a number, or a tensor that has no dims, as a 0-d tensor of input's type."""
    if not hasattr(value, "_array"):
        if isinstance(value, complex) and input._array.dtype.kind != "c":
            raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow: {value!r} ({name})")
        return tensor_like(input, np.array(value).astype(input._array.dtype))
    if value.dim():
        raise RuntimeError(f"{name} only supports a 0-dimensional value tensor, but got one of {value.dim()} dimension(s).")
    if value.is_complex() and not input.is_complex():
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow ({name})")
    return value if value._array.dtype == input._array.dtype else call(cast, (value,), (input._array.dtype,))


def fill(input: Any, value: Any) -> Any:
    """Return a tensor like input with one value everywhere."""
    return relabel(e.overwrite(input, _scalar("fill", input, value)), "FillBackward0")


def fill_diagonal_(input: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Write one value to the main diagonal (wrap: which starts anew below it in a tall matrix) and return the tensor."""
    if input.dim() < 2:
        raise RuntimeError("dimensions must larger than 1 (fill_diagonal_)")
    if input.dim() > 2 and len({*input.shape}) > 1:
        raise RuntimeError("all dimensions of input must be of equal length (fill_diagonal_)")
    height, width = input.shape[0], input.shape[1]
    step = sum(input.stride())
    starts = [0] if not wrap or input.dim() > 2 else range(0, height, width + 1)
    for top in starts:
        length = min(height - top, width)
        s.as_strided_(input, (length,), (step,), top * input.stride(0), tuple(input.stride())).fill_(fill_value)
    return input


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Return input with source's elements written (or added) at places of the flattened input."""
    indexing.checked_index("put_", index)
    if source.dtype is not input.dtype:
        raise _types_differ("put_", input, source)
    if source.numel() != index.numel():
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, got {source.numel()} and {index.numel()}"
        )
    flat, index, d = _entries("put_", s.ravel(input), 0, s.ravel(index))
    made = index_put(flat, s.ravel(source), (index,), (d,), accumulate)
    return relabel(s.reshape(made, tuple(input.shape)), "PutBackward0")


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """Return input with source's elements, in their order, written where mask (bool, broadcast) holds."""
    if mask._array.dtype != dtypes.B8:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if source.dtype is not input.dtype:
        raise _types_differ("masked_scatter", input, source)
    x, mask = s.broadcast_tensors(input, mask)
    count = int(mask.sum())
    if source.numel() < count:
        raise RuntimeError(f"masked_scatter: number of elements of source < ones in mask: {source.numel()} < {count}")
    values = s.getitem(s.ravel(source), (slice(0, count),))
    made = indexing.mask_put(as_vector(x), values, as_vector(mask), 0)
    return relabel(made if x.dim() else s.reshape(made, ()), "MaskedScatterBackward0")


# ---- writes where a view looks
def _scattered(name: str, input: Any, src: Any, op: Any, *params: Any) -> Any:
    shape, _ = op.infer(input._array, *params)
    if tuple(src.shape) != tuple(shape):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(shape)} "
            f"({name})"
        )
    if src._array.dtype != input._array.dtype:
        src = call(cast, (src,), (input._array.dtype,))
    return relabel(s.assign(input, src, ((op, params),)), "".join(w.title() for w in name.split("_")) + "Backward0")


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """Return input with src in the place of one index of a dim."""
    d, whole = one_dim("select_scatter", input, dim), input.shape
    if not -whole[d] <= index < whole[d]:
        raise IndexError(f"select_scatter: index {index} out of range for tensor of size {list(whole)} at dimension {d}")
    return _scattered("select_scatter", input, src, s.getitem, (*(slice(None),) * d, index % whole[d]))


def slice_scatter(input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """Return input with src in the place of a slice of a dim."""
    d = one_dim("slice_scatter", input, dim)
    if step <= 0:
        raise RuntimeError(f"slice step must be positive, got {step} (slice_scatter)")
    first, last, step = slice(start, end, step).indices(input.shape[d])
    part = slice(first, max(first, last), step)
    return _scattered("slice_scatter", input, src, s.getitem, (*(slice(None),) * d, part))


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return input with src in the place of a diagonal of two dims."""
    a, b = one_dim("diagonal_scatter", input, dim1), one_dim("diagonal_scatter", input, dim2)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2} (diagonal_scatter)")
    return _scattered("diagonal_scatter", input, src, s.diagonal_, offset, a, b)


def as_strided_scatter(input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Return input with src where a shape, strides and an offset look in its memory, of which each place counts once."""
    shape, strides = tuple(size), tuple(stride)
    x = s.contiguous(input)
    offset = storage_offset or 0
    if len(shape) != len(strides) or offset < 0 or offset + s.reach(shape, strides) > x.numel():
        raise RuntimeError(
            f"as_strided_scatter: sizes {list(shape)}, strides {list(strides)}, storage offset {offset} are out of bounds for "
            f"the memory of {x.numel()} elements"
        )
    return _scattered("as_strided_scatter", x, src, s.as_strided_, shape, strides, offset, tuple(x.stride()))


# ---- indices as such
def argwhere(input: Any) -> Any:
    """Return the indices of elements that are not zero, as rows."""
    return indexing.nonzero(input)


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """Return the first `size` rows of `nonzero`, filled up with a value where there are less."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    rows = s.getitem(indexing.nonzero(input), (slice(0, size),))
    return s.cat((rows, s.filled(rows, (size - rows.shape[0], input.dim()), fill_value, None)), 0)


def _triangle(name: str, row: int, col: int, offset: int, upper: bool, dtype: Any, device: Any) -> Any:
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must be non-negative, got {row} and {col}")
    with errors.roomy(name):
        inside = np.tri(row, col, offset - upper, bool) != upper
        return creation.tensor(np.stack(np.nonzero(inside)), dtype=dtype or dtypes.int64, device=device)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None, pin_memory: bool = False
) -> Any:
    """Return the places of a matrix's lower triangle, row by row: a row of row numbers and one of column numbers."""
    return _triangle("tril_indices", row, col, offset, False, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None, pin_memory: bool = False
) -> Any:
    """Return the places of a matrix's upper triangle, row by row: a row of row numbers and one of column numbers."""
    return _triangle("triu_indices", row, col, offset, True, dtype, device)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Return, for places of the flattened tensor of a shape, a tensor of indices for each dim."""
    if dtypes.category(indices._array.dtype) != dtypes.INTEGRAL:
        raise TypeError(f"unravel_index: expected 'indices' to be an integer dtype, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"unravel_index: 'shape' cannot have negative values, but got {sizes}")
    indices, found, step = indices.long(), [], 1
    for n in reversed(sizes):
        found.append(e.remainder(e.floor_divide(indices, step), max(n, 1)))
        step *= n
    return tuple(reversed(found))
