"""Kernels of the reductions, scans and searches of this package, for devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array or tuple of arrays; those of the host alone get no backend, which brings
its modules. May import: NumPy, wengert.extend (for argsort, which devices do their own way). Must not know: tensors, gradients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert.extend import r


def packed(xp: Any, x: Any) -> Any:
    """Return an array in row-major order."""
    return x if x.flags.c_contiguous else xp.ascontiguousarray(x)


# ---- scans
LONG = 256  # elements of a row from which on a scan over rows takes them one after another


def accumulated(backend: Any, step: Any, x: Any, axis: int) -> Any:
    """Return the results of a ufunc so far along an axis, in row-major order."""
    xp = backend.xp
    if x.size <= backend.block or (after := math.prod(x.shape[axis + 1 :])) < LONG:
        return packed(xp, step.accumulate(x, axis))
    made = xp.array(x, order="C")
    rows = made.reshape(-1, x.shape[axis], after)
    for i in range(1, x.shape[axis]):
        step(rows[:, i - 1], rows[:, i], out=rows[:, i])
    return made


def running(backend: Any, step: Any, x: Any, axis: int) -> tuple[Any, Any]:
    """Return the running extreme and where it stands: where an element equals it, or the place before."""
    xp = backend.xp
    if not x.ndim:
        return x.copy(), xp.zeros((), np.int64)
    n, large = x.shape[axis], x.size > backend.block
    values = accumulated(backend, step, x, axis)
    reached = x == values
    if x.dtype.kind == "f":
        reached |= x != x
    if large and axis == x.ndim - 1 and 8 * xp.count_nonzero(reached) < x.size:  # few: each stands until the next
        begins = reached.reshape(-1).nonzero()[0]
        return values, xp.repeat(begins % n, xp.diff(begins, append=x.size)).reshape(x.shape)
    kind = np.int16 if large and n < 1 << 15 else np.int64
    places = reached * xp.arange(n, dtype=kind).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    return values, accumulated(backend, xp.maximum, places, axis).astype(np.int64, copy=False)


def cummax(backend: Any, x: Any, axis: int) -> tuple[Any, Any]:
    return running(backend, backend.xp.maximum, x, axis)


def cummin(backend: Any, x: Any, axis: int) -> tuple[Any, Any]:
    return running(backend, backend.xp.minimum, x, axis)


def logcumsumexp(backend: Any, x: Any, axis: int) -> Any:
    xp = backend.xp
    if not x.ndim:
        return x.copy()
    if x.dtype.kind != "c":
        wide = x.astype(np.float32) if x.dtype.char == "e" else x
        return packed(xp, xp.logaddexp.accumulate(wide, axis).astype(x.dtype, copy=False))
    made = x.copy()
    rows = xp.moveaxis(made, axis, 0)
    for i in range(1, len(rows)):  # log(exp(a) + exp(b)) = a + log1p(exp(b - a)), a with the larger real part
        a, b = rows[i - 1], rows[i]
        first = (a.real >= b.real) | (a.real != a.real)
        high, low = xp.where(first, a, b), xp.where(first, b, a)
        rows[i] = xp.where(low.real == -np.inf, high, high + xp.log1p(xp.exp(low - high)))
    return made


# ---- order statistics
def alone(xp: Any, values: Any, places: Any, axis: int, keepdims: bool) -> tuple[Any, Any]:
    """Return values and their places, of which each has its axis kept at length 1, without it unless it is to be kept."""
    if not keepdims:
        values, places = xp.squeeze(values, axis), xp.squeeze(places, axis)
    return packed(xp, values), packed(xp, places).astype(np.int64, copy=False)


def scalar(xp: Any, x: Any) -> tuple[Any, Any]:
    return x.copy(), xp.zeros((), np.int64)


def nth(backend: Any, x: Any, k: int, axis: int) -> tuple[Any, Any]:
    """Return the elements that stand at k, from 0, of x in order, and their places; nan is at the end.

    Among many it costs less to find the first that equals the element than to part the places.
    """
    xp, here = backend.xp, (*(slice(None),) * axis, slice(k, k + 1))
    if x.size < 1 << 12 or type(x) is not np.ndarray:
        places = xp.argpartition(x, k, axis)[here]
        return xp.take_along_axis(x, places, axis), places
    values = np.partition(x, k, axis)[here]
    reached = x == values
    if x.dtype.kind == "f" and (values != values).any():
        reached |= (values != values) & (x != x)
    return values, reached.argmax(axis, keepdims=True)


def kthvalue(backend: Any, x: Any, k: int, axis: int, keepdims: bool) -> tuple[Any, Any]:
    xp = backend.xp
    if not x.ndim:
        return scalar(xp, x)
    return alone(xp, *nth(backend, x, k - 1, axis), axis, keepdims)


def median(backend: Any, x: Any, skip: bool, axis: int, keepdims: bool) -> tuple[Any, Any]:
    xp = backend.xp
    if not x.ndim:
        return scalar(xp, x)
    n = x.shape[axis]
    missing = xp.isnan(x) if x.dtype.kind == "f" else None
    if missing is None or not missing.any():
        return alone(xp, *nth(backend, x, (n - 1) // 2, axis), axis, keepdims)
    there = n - missing.sum(axis, keepdims=True)
    wanted = xp.maximum(there - 1, 0) // 2 if skip else xp.where(there < n, there, (n - 1) // 2)
    places = xp.take_along_axis(backend.tables["argsort"](x, axis, False), wanted, axis)
    return alone(xp, xp.take_along_axis(x, places, axis), places, axis, keepdims)


def median_all(backend: Any, x: Any, skip: bool) -> Any:
    xp, flat = backend.xp, x.reshape(-1)
    if not flat.size and x.dtype.kind != "f":
        raise ValueError("there are no elements")
    missing = xp.isnan(flat) if x.dtype.kind == "f" else None
    if missing is not None and missing.any():
        flat = flat[~missing] if skip else flat[:0]
    middle = (flat.size - 1) // 2
    return xp.partition(flat, middle)[middle].reshape(()) if flat.size else xp.full((), np.nan, x.dtype)


def sorted_at(x: Any, places: Any, axis: int) -> Any:
    """Return the elements at places of x in order: long rows are parted there instead, where these are few."""
    wanted = np.unique(places) if x.shape[axis] >= 1 << 12 else places
    few = wanted is not places and wanted.size <= 32
    return np.take_along_axis(np.partition(x, wanted, axis) if few else np.sort(x, axis), places, axis)


def order_at(x: Any, values: Any, places: Any, axis: int) -> Any:
    """Return where values that stand at places of x in order come from: a few, each of them once there, are found."""
    order = None
    if x.size >= 1 << 12 and places.shape[axis] <= 8:
        order = np.empty(places.shape, np.int64)
        for i in range(places.shape[axis]):
            one = (slice(None),) * axis + (slice(i, i + 1),)
            same = x == values[one]
            if (np.count_nonzero(same, axis, keepdims=True) != 1).any():  # the place among equal ones tells
                order = None
                break
            order[one] = same.argmax(axis, keepdims=True)
    return np.take_along_axis(r.argsort_(x, axis, False), places, axis) if order is None else order


def mode(backend: Any, x: Any, axis: int, keepdims: bool) -> tuple[Any, Any]:
    xp = backend.xp
    if not x.ndim:
        return scalar(xp, x)
    order = backend.tables["argsort"](x, axis, False)
    ordered = xp.moveaxis(xp.take_along_axis(x, order, axis), axis, -1)
    places = xp.broadcast_to(xp.arange(x.shape[axis]), ordered.shape)
    begins = xp.ones(ordered.shape, bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    length = places - xp.maximum.accumulate(xp.where(begins, places, 0), -1)
    best = xp.moveaxis(length.argmax(-1)[..., None], -1, axis)  # the end of the longest run, of the first such
    places = xp.take_along_axis(order, best, axis)
    return alone(xp, xp.take_along_axis(x, places, axis), places, axis, keepdims)


# ---- searches
def searchsorted(backend: Any, sequence: Any, values: Any, right: bool) -> Any:
    xp = backend.xp
    if sequence.ndim == 1:
        return xp.asarray(xp.searchsorted(sequence, values, "right" if right else "left"), np.int64)
    # sorted together, equal ones in the order they are joined in, each value stands behind the elements it counts
    n, m = sequence.shape[-1], values.shape[-1]
    joined = xp.concatenate((sequence, values) if right else (values, sequence), -1)
    order = backend.tables["argsort"](joined, joined.ndim - 1, False)
    first = 0 if right else m
    below = xp.cumsum((order >= first) & (order < first + n), -1)
    made = xp.empty(order.shape, np.int64)
    xp.put_along_axis(made, order, below, -1)
    return packed(xp, made[..., n:] if right else made[..., :m])


def isin(backend: Any, x: Any, y: Any) -> Any:
    return backend.xp.isin(x, y)


def runs(backend: Any, x: Any, axis: int | None, inverse: bool, counts: bool) -> tuple[Any, Any, Any]:
    """Return (elements or slices that differ from the one before, which run each belongs to, the runs' lengths)."""
    xp = backend.xp
    rows = x.reshape(-1) if axis is None else xp.moveaxis(x, axis, 0)
    n = rows.shape[0]
    begins = xp.ones(n, bool)
    if n > 1:
        if rows.ndim == 1:
            xp.not_equal(rows[1:], rows[:-1], out=begins[1:])
        else:
            begins[1:] = (rows[1:] != rows[:-1]).reshape(n - 1, -1).any(1)
    values = rows[begins] if axis is None else packed(xp, xp.moveaxis(rows[begins], 0, axis))
    places = xp.cumsum(begins) - 1 if inverse else begins
    places = places.reshape(x.shape) if axis is None else places
    return values, places, xp.diff(xp.append(xp.flatnonzero(begins), n)) if counts else begins


def unique_consecutive(backend: Any, x: Any, axis: int | None, inverse: bool, counts: bool) -> tuple[Any, Any, Any]:
    return runs(backend, x, axis, inverse, counts)


def unique(backend: Any, x: Any, axis: int | None, inverse: bool, counts: bool) -> tuple[Any, Any, Any]:
    xp = backend.xp
    if axis is None:
        if not (inverse or counts) and type(x) is np.ndarray and x.dtype.kind != "f":
            values = np.unique(x)  # of integers by a table
            return values, values, values
        if not inverse:
            return runs(backend, xp.sort(x.reshape(-1), -1), None, False, counts)
        order = backend.tables["argsort"](x.reshape(-1), 0, False)
        values, which, times = runs(backend, x.reshape(-1)[order], None, True, counts)
    else:
        rows = xp.moveaxis(x, axis, 0)
        order = xp.lexsort(rows.reshape(len(rows), -1).T[::-1]) if len(rows) and x.size else xp.arange(len(rows))
        values, which, times = runs(backend, rows[order], 0, inverse, counts)
        values = packed(xp, xp.moveaxis(values, 0, axis))
    if not inverse:
        return values, which, times
    places = xp.empty(order.shape, np.int64)
    places[order] = which
    return values, places.reshape(x.shape) if axis is None else places, times


# ---- counting
def bincount(backend: Any, x: Any, minlength: int) -> Any:
    return backend.xp.asarray(backend.xp.bincount(x, minlength=minlength), np.int64)


def bincount_weighted(backend: Any, x: Any, weights: Any, minlength: int) -> Any:
    return backend.xp.bincount(x, weights, minlength).astype(weights.dtype, copy=False)


def histc(backend: Any, x: Any, bins: int, low: float, high: float) -> Any:
    xp = backend.xp
    kept = x[(x >= low) & (x <= high)]
    places = ((kept - kept.dtype.type(low)) * bins / kept.dtype.type(high - low)).astype(np.int64)
    return xp.bincount(xp.minimum(places, bins - 1), minlength=bins).astype(x.dtype)


def counted(x: Any, edges: Any) -> Any:
    """Return how many elements of a part of a host array lie between edges: by division where these are evenly spaced, but for
    rounding, else by sorting the part."""
    bins, first, last = len(edges) - 1, edges[0], edges[-1]
    width = (last - first) / bins
    if not width > 0 or (np.abs(edges - (first + width * np.arange(bins + 1))) > width / 4).any():
        ends = np.sort(x)
        found = np.append(np.searchsorted(ends, edges[:-1]), np.searchsorted(ends, last, "right"))
        return np.diff(found)
    x = x[(x >= first) & (x <= last)]
    places = ((x - first) / width).astype(np.int64)
    np.minimum(places, bins - 1, out=places)
    places -= x < edges[places]
    places += (x >= edges[places + 1]) & (places != bins - 1)
    return np.bincount(places, minlength=bins)


def histogram(backend: Any, x: Any, weights: Any, edges: Any) -> Any:
    xp = backend.xp
    bins = len(edges) - 1
    if type(x) is np.ndarray and weights.strides == (0,) and x.size > backend.block and np.isfinite(edges).all():
        parts = [x[start : start + backend.block] for start in range(0, x.size, backend.block)]
        return (sum([counted(part, edges) for part in parts]) * weights[0]).astype(x.dtype)
    inside = (x >= edges[0]) & (x <= edges[-1])
    places = xp.searchsorted(edges, x[inside], "right") - 1
    return xp.bincount(xp.minimum(places, bins - 1), weights[inside], bins).astype(x.dtype)
