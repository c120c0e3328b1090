"""Order statistics and searches: median, mode, k-th value, unique elements, places in sorted sequences.

Owns: the records of these, and what is made of sorting. May import: wengert.extend. Must not know: devices; kernels are in
wengert_ops.reduction_kernels. What depends on the values alone (unique, bincount) has no shape before it has run.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import (
    SAME,
    call,
    cast,
    count,
    dtypes,
    e,
    errors,
    indexing,
    one_dim,
    r,
    reduced,
    size_of,
    structural,
    tensor_like,
    write_out,
)  # fmt: skip


def infer_chosen(name: str) -> Any:
    """Return the infer of an op (x, ..., axis, keepdims) -> (values, indices) that needs an element to choose."""

    def infer(x: Any, *params: Any) -> Any:
        *_, axis, keepdims = params
        axes = (axis,) if len(x.shape) else ()
        if not count(tuple(x.shape), axes):
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size: the shape is {list(x.shape)}")
        shape = reduced(tuple(x.shape), axes, keepdims)
        return (shape, x.dtype), (shape, dtypes.I64)

    return infer


chosen_of_all = infer_chosen("median")


def known_by_value(name: str) -> Any:
    def infer(*args: Any) -> Any:
        raise errors.captured_value(name)

    return infer


def middle_rule(g: Any, x: Any, out: Any) -> Any:
    """Share the gradient evenly among the elements that equal the median, nan among those that are nan."""
    reached = e.logical_or(x == out, e.logical_and(x != x, out != out))
    return e.where(reached, g / cast(r.sum_(reached, None, False), r.dtype_of(g)), 0.0)


def chosen(g: Any, out: Any, x_shape: Any, axis: int, keepdims: bool) -> Any:
    return r.chosen_rule(g[0], out[1], tuple(x_shape), axis, keepdims)


# fmt: off
# the median of all elements; skip: of those that are not nan
median_all = structural("median_all", "x", lambda x, skip: ((), x.dtype), params="skip", face="median",
    label=lambda skip: "NanmedianBackward0" if skip else "MedianBackward0", x=lambda g, x, out: middle_rule(g, x, out))
# along one dim: (values, indices)
median_   = structural("median", "x", chosen_of_all, params="skip axis keepdims", outputs=2, keeps=(1,),
    label=lambda skip, *_: "NanmedianBackward1" if skip else "MedianBackward1", x=
    lambda g, out, x_shape, axis, keepdims: chosen(g, out, x_shape, axis, keepdims))
kthvalue_ = structural("kthvalue", "x", infer_chosen("kthvalue"), params="k axis keepdims", outputs=2, keeps=(1,), x=
    lambda g, out, x_shape, axis, keepdims: chosen(g, out, x_shape, axis, keepdims))
mode_     = structural("mode", "x", infer_chosen("mode"), params="axis keepdims", outputs=2, keeps=(1,), x=
    lambda g, out, x_shape, axis, keepdims: chosen(g, out, x_shape, axis, keepdims))
# how many elements of a sorted sequence (its last dim) are below each value; right: below or equal
searchsorted_ = structural("searchsorted", "sequence values",
    lambda sequence, values, right: (values.shape, dtypes.I64), params="right", constant=True)
isin_     = structural("isin", "x y", lambda x, y: (x.shape, dtypes.B8), domain=SAME, constant=True)
# (values, place of each element among them, how often each occurs), of all elements (axis None) or of slices; what is not
# asked for (inverse, counts) may be anything
unique_   = structural("unique", "x", known_by_value("unique"), params="axis inverse counts", outputs=3,
    label=lambda axis, *_: "Unique2Backward0" if axis is None else "UniqueDimBackward0")
unique_consecutive_ = structural("unique_consecutive", "x", known_by_value("unique_consecutive"), params="axis inverse counts",
    outputs=3)
# fmt: on

_MEDIAN, _NANMEDIAN, _KTHVALUE, _MODE = (r.named(n) for n in ("median", "nanmedian", "kthvalue", "mode"))


def _median(name: str, made: Any, skip: bool, input: Any, dim: int | None, keepdim: bool) -> Any:
    r.ordered(name, input)
    if input._array.dtype == dtypes.B8:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert to integers")
    if dim is None:
        return median_all(input, skip)
    axis = one_dim(name, input, dim)
    if 0 in input.shape:
        chosen_of_all(input, skip, axis, keepdim)  # raises where there is nothing to choose from
    return made(*median_(input, skip, axis, keepdim))


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median (the lower of two) of all elements, or (values, indices) over dim; nan where there is a nan."""
    return _median("median", _MEDIAN, False, input, dim, keepdim)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median of what is not nan, of all elements, or (values, indices) over dim."""
    return _median("nanmedian", _NANMEDIAN, True, input, dim, keepdim)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Return (values, indices) of the k-th smallest element over dim, k from 1. Raises RuntimeError for another k."""
    r.ordered("kthvalue", input)
    axis = one_dim("kthvalue", input, dim)
    n = input.shape[axis] if len(input.shape) else 1
    if not 1 <= k <= n:
        if not n:
            raise IndexError(f"kthvalue(): Expected reduction dim {axis} to have non-zero size.")
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}: k={k}, the dimension has {n}")
    return _KTHVALUE(*kthvalue_(input, k, axis, keepdim))


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """Return (values, indices) of the most frequent element over dim, the smallest of such, and where it stands last."""
    r.ordered("mode", input)
    return _MODE(*mode_(input, one_dim("mode", input, dim), keepdim))


def msort(input: Any) -> Any:
    """Return input sorted along its first dim."""
    r.ordered("msort", input)
    return r.sort_(input, 0, False)[0]


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Any = None, out: Any = None,
) -> Any:  # fmt: skip
    """Return where values belong in a sorted sequence (its last dim): how many elements are below, or (right) not above.

    sorter: indices that sort the sequence. Raises RuntimeError where leading dims differ, or `side` opposes `right`.

    >>> torch.searchsorted(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.5, 2.0, 9.0]))
    tensor([0, 1, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites: side='left', right=True")
    if not hasattr(input, "_array"):
        input = _number("searchsorted", sorted_sequence, input)
    if sorter is not None:
        sorted_sequence = _in_order(sorted_sequence, sorter)
    ahead = tuple(sorted_sequence.shape[:-1])
    if not len(sorted_sequence.shape):
        raise RuntimeError("torch.searchsorted(): the sorted sequence needs at least one dimension")
    if len(ahead) and (tuple(input.shape[:-1]) != ahead or not len(input.shape)):
        raise RuntimeError(
            f"torch.searchsorted(): the sequence should have 1 dimension, or all its dimensions but the last be those of the "
            f"values: the sequence has shape {list(sorted_sequence.shape)}, the values {list(input.shape)}"
        )
    return _placed("searchsorted", sorted_sequence, input, right or side == "right", out_int32, out)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False, out: Any = None) -> Any:
    """Return the index of the bucket that each value falls in, between sorted boundaries; see `searchsorted`."""
    if len(boundaries.shape) != 1:
        raise RuntimeError(f"bucketize: boundaries tensor must be 1 dimension, but got dim({len(boundaries.shape)})")
    if not hasattr(input, "_array"):
        input = _number("bucketize", boundaries, input)
    return _placed("bucketize", boundaries, input, right, out_int32, out)


def _placed(name: str, sequence: Any, values: Any, right: bool, out_int32: bool, out: Any) -> Any:
    if out is not None and out.dtype is not (dtypes.by_name("int32") if out_int32 else dtypes.int64):
        raise RuntimeError(f"torch.{name}(): out is {out.dtype}, but out_int32={out_int32} gives another dtype")
    common = dtypes.promote(sequence._array.dtype, values._array.dtype)
    places = searchsorted_(*[call(cast, (x.detach(),), (common,)) for x in (sequence, values)], bool(right))
    places = call(cast, (places,), (dtypes.to_numpy(dtypes.by_name("int32")),)) if out_int32 else places
    return places if out is None else write_out(name, places, out)


def _number(name: str, like: Any, value: Any) -> Any:
    """Return a number as a 0-d tensor that is compared with `like`: a float as `like` holds it, if that is one of floats."""
    import numpy as np

    if not isinstance(value, bool | int | float):
        raise errors.not_a_tensor(name, value, "input")
    dtype = like._array.dtype
    same = isinstance(value, float) and dtypes.category(dtype) == dtypes.FLOATING
    return tensor_like(like, np.asarray(value).astype(dtype if same else dtypes.of_number(value)))


def _in_order(sequence: Any, sorter: Any) -> Any:
    if tuple(sorter.shape) != tuple(sequence.shape):
        raise RuntimeError(
            f"torch.searchsorted(): the sequence and its sorter must have the same size, but have {list(sequence.shape)} and "
            f"{list(sorter.shape)}"
        )
    if sorter.dtype is not dtypes.int64:
        raise RuntimeError(f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter.dtype}")
    return indexing.gather(sequence, -1, sorter)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Say for each element whether it is among the test elements (invert: whether it is not); one of both may be a number."""
    tensors = [x for x in (elements, test_elements) if hasattr(x, "_array")]
    if not tensors:
        raise errors.not_a_tensor("isin", elements, "elements")
    if any(x._array.dtype.kind == "c" for x in tensors):
        raise RuntimeError("Unsupported input type encountered for isin(): complex numbers")
    found = isin_(*[x if hasattr(x, "_array") else _number("isin", tensors[0], x) for x in (elements, test_elements)])
    return e.logical_not(found) if invert else found


def _distinct(name: str, record: Any, input: Any, inverse: bool, counts: bool, dim: int | None) -> Any:
    r.ordered(name, input)
    if dim is not None:
        dim = one_dim(name, input, dim)
        if not size_of(input.shape) and input.shape[dim]:
            raise RuntimeError(
                f"{name}: there are no elements along dim {dim} to compare, but it has a size above 0: the shape is "
                f"{list(input.shape)}"
            )
        dim = dim if len(input.shape) else None
    values, places, times = record(input, dim, bool(inverse), bool(counts))
    results = (values, *([places] if inverse else []), *([times] if counts else []))
    return results if len(results) > 1 else values


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Return the different elements (or slices along dim) in order, and on demand each element's place among them, and how
    often each occurs.

    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return _distinct("unique", unique_, input, return_inverse, return_counts, dim)


def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """Return the elements (or slices along dim) that differ from the one before; see `unique`."""
    return _distinct("unique_consecutive", unique_consecutive_, input, return_inverse, return_counts, dim)
