"""Shapes, searching, sorting, sets and reductions by the array API standard's signatures.

Owns: what is neither making arrays, nor elementwise, nor linear algebra. May import: wengert's public names, the types and
the creation functions beside. Must not know: kernels. `axis=None` means all dimensions, and a tuple several, everywhere.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import wengert as w
from wengert import Tensor, dtypes
from wengert.array_api.types import common


# ---- shapes
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Return arrays in the shape they broadcast to."""
    return tuple(w.broadcast_tensors(*arrays)) if arrays else ()


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """Return x repeated to a shape, without a copy."""
    return w.broadcast_to(x, tuple(shape))


def concat(arrays: Any, /, *, axis: int | None = 0) -> Any:
    """Return arrays joined along an axis, or flattened and joined."""
    parts = common(*arrays)
    return w.cat([p.reshape(-1) for p in parts], 0) if axis is None else w.cat(list(parts), axis)


def expand_dims(x: Any, /, axis: Any = 0) -> Any:
    """Return x with dimensions of length one put in at `axis`. Raises IndexError where there is no such place."""
    places = axis if isinstance(axis, tuple) else (axis,)
    ndim = x.ndim + len(places)
    if not builtins.all(-ndim <= place < ndim for place in places):
        raise IndexError(f"expand_dims: axis {axis} is out of range for {x.ndim} dimensions")
    for place in sorted(place % ndim for place in places):
        x = w.unsqueeze(x, place)
    return x


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """Return x in the opposite order along axes."""
    return w.flip(x, _axes(x, axis))


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """Return x with axes moved to other places."""
    return w.movedim(x, source, destination)


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    """Return x with its axes in another order."""
    return w.permute(x, tuple(axes))


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Return x with each element along an axis repeated."""
    if isinstance(repeats, Tensor):
        repeats = repeats.to(w.int64)
    return w.repeat_interleave(x, repeats, dim=axis)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """Return x in another shape; copy as in `asarray`."""
    made = x.view(tuple(shape)) if copy is False else w.reshape(x, tuple(shape))
    return made.clone() if copy else made


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Return x with elements moved along axes, those that fall out coming in at the other end."""
    if isinstance(shift, tuple) and isinstance(axis, int):
        axis = (axis,) * len(shift)
    elif isinstance(shift, int) and isinstance(axis, tuple):
        shift = (shift,) * len(axis)
    return x.clone() if axis == () else w.roll(x, shift, axis)


def squeeze(x: Any, /, axis: Any) -> Any:
    """Return x without axes of length one. Raises ValueError where one is longer."""
    places = _axes(x, axis)
    if builtins.any(x.shape[place] != 1 for place in places):
        raise ValueError(f"squeeze: the axes {axis} of shape {tuple(x.shape)} are not all of length 1")
    return w.squeeze(x, places)


def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    """Return arrays joined along a new axis."""
    return w.stack(list(common(*arrays)), axis)


def tile(x: Any, repetitions: Any, /) -> Any:
    """Return x repeated as a whole along its axes."""
    return w.tile(x, tuple(repetitions))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """Return the arrays along an axis."""
    return tuple(w.unbind(x, axis))


# ---- picking and searching
def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """Return the elements at indices along an axis, which may be left out for one dimension."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take: axis is needed for {x.ndim} dimensions")
        axis = 0
    wrapped = w.where(indices < 0, indices.to(w.int64) + x.shape[axis], indices.to(w.int64))
    return w.index_select(x, axis, wrapped)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """Return the elements at indices of the same dimensions, each along its row of an axis."""
    return w.take_along_dim(x, indices.to(w.int64), axis)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the index of the first largest element."""
    return _arg(w.argmax, x, axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the index of the first smallest element."""
    return _arg(w.argmin, x, axis, keepdims)


def _arg(find: Callable[..., Any], x: Any, axis: int | None, keepdims: bool) -> Any:
    if axis is not None:
        return find(x, axis, keepdims)
    found = find(x.reshape(-1), 0)
    return found.reshape((1,) * x.ndim) if keepdims else found


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return how many elements are not zero."""
    return w.sum(x != 0, _axes(x, axis), keepdims)


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """Return the indices of elements that are not zero, an array for each dimension. Raises ValueError for none."""
    if not x.ndim:
        raise ValueError("nonzero: an array without dimensions has no indices")
    return tuple(w.nonzero(x, as_tuple=True))


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Return where elements of x2 belong in the sorted x1 (sorted by `sorter`)."""
    a, b = common(x1, x2)
    return w.searchsorted(a if sorter is None else take(a, sorter), b, side=side)


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """Return x1 where condition holds, else x2."""
    return w.where(condition, *common(x1, x2))


# ---- sets: each nan is a value of its own
class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def unique_all(x: Any, /) -> UniqueAll:
    """Return the different values in order, where each stands first, which one each element is, and how often it occurs."""
    flat = x.reshape(-1)
    order = argsort(flat.imag) if x.dtype.is_complex else argsort(flat)
    if x.dtype.is_complex:  # by real parts, and among equal ones by imaginary parts
        order = order[argsort(flat.real[order])]
    ordered = flat[order]
    count = ordered.shape[0]
    starts = w.ones(count, dtype=w.bool, device=x.device)
    if count > 1:
        starts[1:] = ordered[1:] != ordered[:-1]
    places = w.nonzero(starts, as_tuple=True)[0]
    ends = w.cat([places[1:], w.full((1,), count, dtype=w.int64, device=x.device)]) if count else places
    inverse = w.empty(count, dtype=w.int64, device=x.device)
    inverse[order] = w.cumsum(starts.to(w.int64), 0) - 1
    return UniqueAll(ordered[places], order[places], inverse.reshape(x.shape), ends - places)


def unique_counts(x: Any, /) -> UniqueCounts:
    """Return the different values, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """Return the different values, and which one each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Any:
    """Return the different values."""
    return unique_all(x).values


# ---- order
def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Return the indices that put elements along an axis in order."""
    return w.argsort(x, dim=axis, descending=descending, stable=stable)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Return elements in order along an axis."""
    return w.sort(x, dim=axis, descending=descending, stable=stable)[0]


# ---- reductions
def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    """Return axes counted from the front. Raises IndexError for one that is not there."""
    if axis is None:
        return tuple(range(x.ndim))
    places = axis if isinstance(axis, tuple) else (axis,)
    if not builtins.all(-x.ndim <= place < x.ndim for place in places):
        raise IndexError(f"axis {axis} is out of range for {x.ndim} dimensions")
    return tuple([place % x.ndim for place in places])


def _summed(x: Any, dtype: Any) -> Any:
    """Return x in the type its sum has: integers of less than 64 bits in those of 64, signed or not as they were."""
    if dtype is None and x.dtype.category == dtypes.INTEGRAL:
        dtype = w.int64 if x.dtype.is_signed else w.uint64
    return x if dtype is None else x.to(dtype)


def _joined(x: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """Return x with the axes that are reduced as its last one, and those axes."""
    axes = _axes(x, axis)
    kept = [place for place in range(x.ndim) if place not in axes]
    length = math.prod([x.shape[place] for place in axes])
    return w.permute(x, (*kept, *axes)).reshape((*[x.shape[place] for place in kept], length)), axes


def _kept(made: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return expand_dims(made, axis=axes) if keepdims and axes else made


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Return the sum."""
    typed, axes = _summed(x, dtype), _axes(x, axis)
    return w.sum(typed, axes, keepdims, dtype=typed.dtype) if axes else typed.clone()


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Return the product."""
    typed = _summed(x, dtype)
    joined, axes = _joined(typed, axis)
    return _kept(w.prod(joined, -1, dtype=typed.dtype), axes, keepdims)


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the mean."""
    axes = _axes(x, axis)
    return w.mean(x, axes, keepdims) if axes else x.clone()


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Return the mean square distance from the mean, over n - correction."""
    joined, axes = _joined(x, axis)
    return _kept(w.var(joined, -1, correction=correction), axes, keepdims)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Return the square root of `var`."""
    joined, axes = _joined(x, axis)
    return _kept(w.std(joined, -1, correction=correction), axes, keepdims)


def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the largest element; nan where there is one."""
    axes = _axes(x, axis)
    return w.amax(x, axes, keepdims) if axes else x.clone()


def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the smallest element; nan where there is one."""
    axes = _axes(x, axis)
    return w.amin(x, axes, keepdims) if axes else x.clone()


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Say whether all elements are true (not zero)."""
    joined, axes = _joined(x.to(w.bool), axis)
    return _kept(w.all(joined, -1), axes, keepdims)


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Say whether any element is true (not zero)."""
    joined, axes = _joined(x.to(w.bool), axis)
    return _kept(w.any(joined, -1), axes, keepdims)


def _cumulative(
    run: Callable[..., Any], first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Any:  # fmt: skip
    if axis is None:
        if x.ndim > 1:
            raise ValueError(f"cumulative functions need an axis for {x.ndim} dimensions")
        axis = 0
    typed = _summed(x, dtype)
    made = run(typed, axis, dtype=typed.dtype)
    if not include_initial:
        return made
    start = [*typed.shape]
    start[axis] = 1
    return w.cat([w.full(start, first, dtype=typed.dtype, device=x.device), made], axis)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Return the sums up to each element; the first can be the 0 before them."""
    return _cumulative(w.cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Return the products up to each element; the first can be the 1 before them."""
    return _cumulative(w.cumprod, 1, x, axis, dtype, include_initial)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Return the n-th differences of neighbours."""
    return w.diff(x, n, axis, prepend, append)


# ---- products
def matmul(x1: Any, x2: Any, /) -> Any:
    """Return the product of matrices (vectors where one-dimensional), in stacks that broadcast."""
    return w.matmul(*common(x1, x2))


def matrix_transpose(x: Any, /) -> Any:
    """Return matrices with rows and columns exchanged."""
    return x.mT


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Return the product summed over the last and first `axes` dimensions, or over two lists of them."""
    return w.tensordot(*common(x1, x2), dims=axes if isinstance(axes, int) else [list(a) for a in axes])


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Return sum(conj(x1) * x2) along an axis, counted from the end where the dimensions differ."""
    a, b = common(x1, x2)
    if not -builtins.min(a.ndim, b.ndim) <= axis < 0 and a.ndim != b.ndim:
        raise IndexError(f"vecdot: axis {axis} must be negative and in both of {a.ndim} and {b.ndim} dimensions")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: the axis is {a.shape[axis]} long in the first, {b.shape[axis]} in the second")
    return w.matmul(w.movedim(w.conj(a), axis, -1).unsqueeze(-2), w.movedim(b, axis, -1).unsqueeze(-1)).squeeze((-1, -2))


