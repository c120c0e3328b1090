"""Moving, joining and splitting beside the core's: windows, strides, products of sets, copies of views.

Owns: PyTorch's functions of that kind, and two records, for the windows of a dim. May import: wengert.extend, NumPy (for
indices made on the host). Must not know: devices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import (
    creation,
    dtypes,
    e,
    indexing,
    labelled,
    look,
    one_dim,
    relabel,
    s,
    shape_of,
    size_of,
    structural,
    sum_to,
    tensor_like,
    write_out,
)
from wengert_ops.asking import detach


def infer_windows(x: Any, dim: int, size: int, step: int) -> Any:
    n = x.shape[dim]
    return (*x.shape[:dim], (n - size) // step + 1, *x.shape[dim + 1 :], size), x.dtype


# fmt: off
windows     = structural("windows", "x", infer_windows, params="dim size step", view=True, label="UnfoldBackward0",
    x=lambda g, x_shape, dim, size, step: windows_sum(g, tuple(x_shape), dim, size, step))
windows_sum = structural("windows_sum", "x", lambda x, shape, dim, size, step: (shape, x.dtype), params="shape dim size step",
    x=lambda g, dim, size, step: windows(g, dim, size, step))
# fmt: on


# ---- other looks at the same memory
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Return the view of input's memory that a shape, strides and an offset (all in elements) lead to.

    Raises RuntimeError where that leaves the memory.

    >>> torch.arange(6).as_strided((4, 3), (1, 1))  # all windows of three, without a copy
    tensor([[0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
            [3, 4, 5]])
    """
    shape, strides = shape_of((size,), "as_strided"), shape_of((stride,), "as_strided")
    if len(shape) != len(strides):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(strides)} and {len(shape)} (as_strided)")
    if any(n < 0 for n in strides):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(strides)}")
    s.in_known_memory(input)
    start = input.storage_offset()
    offset = start if storage_offset is None else storage_offset
    end = offset + s.reach(shape, strides)
    source = input
    if offset < start or end > start + s.reach(tuple(input.shape), input.stride()):
        source = input if input._base is None else input._base
        if offset < 0 or end > s.reach(tuple(source.shape), source.stride()):
            raise RuntimeError(
                f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset} are out of bounds for the "
                f"memory of {source.numel()} elements (as_strided)"
            )
        if input.requires_grad:
            raise NotImplementedError("as_strided: the gradient for memory outside of a view is not implemented")
        start = 0
    return s.as_strided_(source, shape, strides, offset - start, tuple(source.stride()))


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Return the view of all windows of a length along a dim, `step` apart, with the places in a window as the last dim."""
    d = one_dim("unfold", input, dimension)
    n = input.shape[d] if input.dim() else 1
    if size < 0 or size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size} (unfold)")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0 (unfold)")
    found = windows(input if input.dim() else s.reshape(input, (1,)), d, size, step)
    return found if input.dim() else s.reshape(found, (size,))


def adjoint(input: Any) -> Any:
    """Return matrices transposed and conjugated. Raises RuntimeError for a vector."""
    if input.dim() == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return input.mH if input.dim() else e.conj(input)


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Return input turned k times by a right angle in the plane of two dims, from the first towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {list(dims)} (rot90)")
    if input.dim() < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.dim()} (rot90)")
    a, b = one_dim("rot90", input, dims[0]), one_dim("rot90", input, dims[1])
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]} (rot90)")
    turns = {0: lambda x: e.clone(x), 1: lambda x: s.transpose(s.flip(x, (b,)), a, b), 2: lambda x: s.flip(x, (a, b))}
    turns[3] = lambda x: s.flip(s.transpose(x, a, b), (b,))
    return relabel(turns[k % 4](input), "Rot90Backward0")


def fliplr(input: Any) -> Any:
    """Return input with its columns in reversed order. Raises RuntimeError for less than 2 dims."""
    if input.dim() < 2:
        raise RuntimeError("Input must be >= 2-d. (fliplr)")
    return s.flip(input, (1,))


def flipud(input: Any) -> Any:
    """Return input with its rows in reversed order. Raises RuntimeError for a 0-d tensor."""
    if input.dim() < 1:
        raise RuntimeError("Input must be >= 1-d. (flipud)")
    return s.flip(input, (0,))


def sum_to_size(input: Any, *size: Any) -> Any:
    """Return input summed to a shape that broadcasts to its own. Raises RuntimeError for any other."""
    shape = shape_of(size, "sum_to_size")
    old = tuple(input.shape)
    if len(shape) > len(old) or any(m not in (1, n) for m, n in zip(reversed(shape), reversed(old), strict=False)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(old)}}}. (sum_to_size)")
    return sum_to(input, shape) if shape else input.sum()


def alias(input: Any) -> Any:
    """Return a view of all of input."""
    return s.getitem(input, ())


# ---- resizing in place
def resize_(input: Any, *sizes: Any, memory_format: Any = None) -> Any:
    """Give the tensor another shape: its elements in order, as many as fit; new ones have any value."""
    shape = shape_of(sizes, "resize_")
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if shape and min(shape) < 0:
        raise RuntimeError(f"resize_: sizes cannot be negative: {list(shape)}")
    count, wanted = input.numel(), size_of(shape)
    if wanted <= count and input.is_contiguous():
        return look("resize_", input, s.reshape(s.getitem(s.reshape(input, (count,)), (slice(0, wanted),)), shape))
    whole = s.reshape(input, (count,))
    grown = s.place(whole, (wanted,), "getitem", (slice(0, count),)) if wanted > count else whole[:wanted]
    input.data = s.reshape(grown, shape)
    return input


def resize_as_(input: Any, other: Any, *, memory_format: Any = None) -> Any:
    """Give the tensor the shape of another; see `resize_`."""
    return resize_(input, tuple(other.shape))


# ---- dims put in front or behind
def _each_or_one(function: Callable[[Any], Any], tensors: Any) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], tuple | list):
        return function(tensors[0])
    given = tensors[0] if len(tensors) == 1 else tensors
    return tuple(function(x) for x in given)


def _at_least(x: Any, ndim: int) -> Any:
    shape = tuple(x.shape)
    if len(shape) >= ndim:
        return x
    made = s.reshape(x, {1: (size_of(shape),), 2: (1, size_of(shape)), 3: (1, *shape, 1)[-3:] if shape else (1, 1, 1)}[ndim])
    return relabel(made, "UnsqueezeBackward0") if shape else made


def atleast_1d(*tensors: Any) -> Any:
    """Return tensors with at least one dim."""
    return _each_or_one(lambda x: _at_least(x, 1), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Return tensors with at least two dims: vectors as rows."""
    return _each_or_one(lambda x: _at_least(x, 2), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Return tensors with at least three dims: vectors as (1, n, 1), matrices as (m, n, 1)."""
    return _each_or_one(lambda x: _at_least(x, 3), tensors)


# ---- joins
def column_stack(tensors: Any) -> Any:
    """Return tensors joined along the second dim, vectors as columns."""
    return s.cat([x if x.dim() > 1 else s.reshape(x, (x.numel(), 1)) for x in s.several("column_stack", tensors)], 1)


def dstack(tensors: Any) -> Any:
    """Return tensors joined along the third dim."""
    return s.cat([_at_least(x, 3) for x in s.several("dstack", tensors)], 2)


@labelled("BlockDiagBackward0")
def block_diag(*tensors: Any) -> Any:
    """Return matrices (vectors as rows) along the diagonal of one, zeros elsewhere."""
    given = s.several("block_diag", tensors or (creation.zeros(0),))
    for i, x in enumerate(given):
        if x.dim() > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.dim()}")
    blocks = [_at_least(x, 2) for x in given]
    width, left = sum(x.shape[1] for x in blocks), 0
    rows = []
    for x in blocks:
        n, m = x.shape
        rows.append(s.cat((s.filled(x, (n, left), 0, None), x, s.filled(x, (n, width - left - m), 0, None)), 1))
        left += m
    return s.cat(rows, 0)


def cartesian_prod(*tensors: Any) -> Any:
    """Return all combinations of the elements of vectors, as rows."""
    for x in s.several("cartesian_prod", tensors):
        if x.dim() != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)} (cartesian_prod)")
    if len(tensors) == 1:
        return tensors[0]
    return s.stack([s.reshape(x, (x.numel(),)) for x in s.meshgrid(*tensors)], 1)


@labelled("StackBackward0")
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Return all sets of r elements of a vector (with_replacement: also with repetitions), as rows in its order.

    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)} (combinations)")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r} (combinations)")
    if not r:
        return s.filled(input, (0,), 0, None)
    if r == 2:
        pairs = np.stack(np.triu_indices(input.numel(), 0 if with_replacement else 1), 1)
        return indexing.index_get(input, (tensor_like(input, pairs),), (0,))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.fromiter(itertools.chain.from_iterable(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    return indexing.index_get(input, (tensor_like(input, rows),), (0,))


def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Return each element along dim (None: of the flattened input) repeated; repeats is a number, or one for each.

    With one tensor of numbers only: index i as often as number i says.

    >>> torch.repeat_interleave(torch.tensor([7, 8]), torch.tensor([1, 3]))
    tensor([7, 8, 8, 8])
    """
    if repeats is None:
        return repeat_interleave(creation.arange(input.numel(), device=input.device), input, 0, output_size=output_size)
    x = s.ravel(input) if dim is None else input
    d = 0 if dim is None else one_dim("repeat_interleave", x, dim)
    x = indexing.as_vector(x)
    n = x.shape[d]
    if hasattr(repeats, "_array"):
        if dtypes.category(repeats._array.dtype) != dtypes.INTEGRAL or repeats.itemsize < 4:
            raise RuntimeError(f"repeats has to be Long or Int tensor, got {repeats.dtype} (repeat_interleave)")
        if repeats.dim() > 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor (repeat_interleave)")
    times = np.asarray(repeats.host() if hasattr(repeats, "_array") else repeats.__index__())
    if times.size and times.min() < 0:
        raise RuntimeError(f"Repeats must be non-negative, got {times.min()} (repeat_interleave)")
    if times.size not in (1, n):
        raise RuntimeError(f"repeats must have the same size as input along dim: {times.size} and {n} (repeat_interleave)")
    if times.sum(dtype=np.float64) >= 2**62:
        raise RuntimeError(f"repeats add up to {times.sum(dtype=float):.3g}, more than a tensor may have (repeat_interleave)")
    total = int(times.sum()) if times.ndim and times.size == n else n * int(times.reshape(-1)[0])
    if output_size is not None and output_size != total:
        raise RuntimeError(f"allocated size does not match required size: {output_size} and {total} (repeat_interleave)")
    if times.size == 1:
        k, shape = int(times.reshape(-1)[0]), tuple(x.shape)
        if 1 < k <= 4 and d == len(shape) - 1:  # a few times the whole: short rows take longer to copy
            return s.reshape(s.stack((x,) * k, d + 1), (*shape[:d], n * k))
        wide = s.broadcast_to(s.unsqueeze(x, d + 1), (*shape[: d + 1], k, *shape[d + 1 :]))
        return s.reshape(e.clone(wide), (*shape[:d], n * k, *shape[d + 1 :]))
    return indexing.index_select(x, d, tensor_like(x, np.repeat(np.arange(n), times)))


# ---- splits
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return views along dim: so many of nearly equal length, or cut at the places given."""
    if not input.dim():
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = one_dim("tensor_split", input, dim)
    n, cuts = input.shape[d], indices_or_sections
    if hasattr(cuts, "_array"):
        if cuts._array.dtype != dtypes.I64 or cuts.dim() > 1:
            raise RuntimeError(
                f"tensor_split expected tensor_indices_or_sections to be a 0-dimensional or 1-dimensional int64 tensor, got "
                f"{cuts.dtype} of shape {list(cuts.shape)}"
            )
        cuts = cuts.tolist()
    if not hasattr(cuts, "__len__"):
        if cuts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {cuts} (tensor_split)")
        short, longer = divmod(n, cuts)
        cuts = [i * short + min(i, longer) for i in range(1, cuts)]
    ends = [min(max(c + n if c < 0 else c, 0), n) for c in (*cuts, n)]
    starts = [0, *ends[:-1]]
    whole = (slice(None),) * d
    return tuple(s.getitem(input, (*whole, slice(a, max(a, b)))) for a, b in zip(starts, ends, strict=True))


def _split_along(name: str, input: Any, cuts: Any, dim: int) -> tuple[Any, ...]:
    if not hasattr(cuts, "__len__") and (cuts <= 0 or input.shape[dim] % cuts):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {input.shape[dim]} is not "
            f"divisible by the split_size {cuts}!"
        )
    return tensor_split(input, cuts, dim)


def _needs_dims(name: str, input: Any, ndim: int) -> None:
    if input.dim() < ndim:
        raise RuntimeError(f"torch.{name} requires a tensor with at least {ndim} dimensions, but got one with {input.dim()}!")


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Return views along the second dim (a vector's only one); see `tensor_split`."""
    _needs_dims("hsplit", input, 1)
    return _split_along("hsplit", input, indices_or_sections, 0 if input.dim() == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Return views along the first dim; see `tensor_split`."""
    _needs_dims("vsplit", input, 2)
    return _split_along("vsplit", input, indices_or_sections, 0)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Return views along the third dim; see `tensor_split`."""
    _needs_dims("dsplit", input, 3)
    return _split_along("dsplit", input, indices_or_sections, 2)


def diagflat(input: Any, offset: int = 0) -> Any:
    """Return a matrix with the elements of input as its diagonal."""
    return s.diag_embed(s.ravel(input), offset)


unsafe_split, unsafe_chunk = s.split, s.chunk  # PyTorch's give views too, and trust that they are not written to


# ---- views, copied
def copying(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives copies of what a view function gives."""

    def run(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        found = view(input, *args, **kwargs)
        if out is not None:
            if isinstance(found, tuple):
                return tuple(write_out(run.__name__, x, o) for x, o in zip(found, out, strict=True))
            return write_out(run.__name__, found, out)
        return tuple(e.clone(x) for x in found) if isinstance(found, tuple) else e.clone(found)

    run.__name__ = f"{view.__name__}_copy"
    run.__doc__ = f"As `{view.__name__}`, but a copy.\n\n{view.__doc__}"
    return run


def slice_(input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """Return every step-th element along dim, from start up to end."""
    axis = one_dim("slice_copy", input, dim)
    return s.getitem(input, (*(slice(None),) * axis, slice(start, end, step)))


slice_.__name__ = "slice"
alias_copy, as_strided_copy, diagonal_copy = copying(alias), copying(as_strided), copying(s.diagonal)
expand_copy, narrow_copy, permute_copy = copying(s.expand), copying(s.narrow), copying(s.permute)
split_copy, split_with_sizes_copy, squeeze_copy = copying(s.split), copying(s.split), copying(s.squeeze)
t_copy, transpose_copy, unbind_copy = copying(s.t), copying(s.transpose), copying(s.unbind)
unfold_copy, unsqueeze_copy, view_copy = copying(unfold), copying(s.unsqueeze), copying(s.view)
select_copy, slice_copy, detach_copy = copying(s.select), copying(slice_), copying(detach)
