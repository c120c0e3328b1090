"""Reductions of segments: runs of entries along a dim, by their lengths or by where they begin.

Owns: PyTorch's function. May import: wengert.extend, the family's `indexing`. Must not know: devices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert.extend import e, labelled, one_dim, s
from wengert_ops.indexing import scatter_reduce

REDUCED = {  # the name in scatter_reduce, and what an empty segment gives
    "sum": ("sum", 0.0), "mean": ("sum", math.nan), "prod": ("prod", 1.0),
    "max": ("amax", -math.inf), "min": ("amin", math.inf),
}  # fmt: skip


def shared_out(extreme: Any, data: Any, axis: int, index: Any) -> Any:
    """Return the extremes of segments, whose gradient goes in equal shares to the elements that attain them, or are nan."""
    attains = data.isnan() | (data == extreme.gather(axis, index))
    none = e.zeros(extreme)
    count = none.scatter_add(axis, index, attains.to(data.dtype))
    share = e.where(attains, data / count.gather(axis, index).clamp(min=1), 0.0)
    mean = none.scatter_add(axis, index, share)  # of equal numbers: the extreme, but for rounding
    return e.where(extreme.isfinite() | (count == 0), extreme + (mean - mean.detach()), mean)


@labelled("SegmentReduceBackward0")
def segment_reduce(
    data: Any, reduce: str, *, lengths: Any = None, indices: Any = None, offsets: Any = None, axis: int = 0,
    unsafe: bool = False, initial: Any = None,
) -> Any:  # fmt: skip
    """Return the sum, mean, max, min or prod of each segment along axis; dims before it are those of lengths too.

    lengths: of the segments. offsets: their beginnings, and the end of the last. initial: taken with every segment, and what
    an empty one gives (else 0, nan, -inf, inf or 1). Raises RuntimeError where lengths do not add up, unless `unsafe`.
    """
    if reduce not in REDUCED:
        raise RuntimeError(f"segment_reduce(): reduce is one of {', '.join(REDUCED)}, not {reduce!r}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet; give lengths or offsets")
    if (lengths is None) == (offsets is None):
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined, and not both")
    axis = one_dim("segment_reduce", data, axis)
    given = lengths if offsets is None else offsets
    if given.dim() != axis + 1 or tuple(given.shape[:-1]) != tuple(data.shape[:axis]):
        raise RuntimeError(
            f"segment_reduce(): lengths and offsets have the dims of data before axis and one more, of shape "
            f"{[*data.shape[:axis], '*']}, not {list(given.shape)}"
        )
    sizes = given.diff(dim=-1) if lengths is None else given
    counts = sizes.detach().host()
    if not unsafe and ((counts < 0).any() or (lengths is not None and (counts.sum(-1) != data.shape[axis]).any())):
        raise RuntimeError(
            f"segment_reduce(): Expected all rows of lengths along axis to sum to data.size({axis}) = {data.shape[axis]}, "
            f"and none to be negative; got {counts.tolist()}"
        )
    rows = np.clip(counts, -1, data.shape[axis] + 1).reshape(-1, counts.shape[-1])  # whose sum fits its type
    first = 0 if lengths is not None else given.detach().host().reshape(len(rows), -1)[:, 0]
    owner = np.zeros((len(rows), data.shape[axis]), np.int64)  # of each entry; those of none go to one segment more
    for row, lengths_of, begin in zip(owner, rows, np.broadcast_to(first, len(rows)), strict=True):
        row[:] = len(lengths_of)
        row[begin : begin + lengths_of.sum()] = np.repeat(np.arange(len(lengths_of)), lengths_of)
    how, empty = REDUCED[reduce]
    start = empty if initial is None else float(initial)
    index = data.new_tensor(owner, dtype=sizes.dtype).long().reshape((*data.shape[: axis + 1], *[1] * (data.dim() - axis - 1)))
    shape = (*data.shape[:axis], rows.shape[1] + 1, *data.shape[axis + 1 :])
    whole = data.new_full(shape, 0.0 if reduce == "mean" and initial is None else start)
    index = index.expand(data.shape)
    made = scatter_reduce(whole, axis, index, data, how, include_self=initial is not None)
    if reduce in ("max", "min"):
        made = shared_out(made.detach(), data, axis, index)
    made = s.narrow(made, axis, 0, rows.shape[1])
    if reduce != "mean":
        return made
    count = sizes.reshape((*sizes.shape, *[1] * (data.dim() - axis - 1)))
    return e.where(count > 0, made / count.clamp(min=1), start)
