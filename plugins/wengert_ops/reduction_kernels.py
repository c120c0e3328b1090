"""Kernels of the reductions, scans and searches of this package, for devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array or tuple of arrays. May import: NumPy, for types; the backend brings
its modules. Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def packed(xp: Any, x: Any) -> Any:
    """Return an array in row-major order."""
    return x if x.flags.c_contiguous else xp.ascontiguousarray(x)


# ---- scans
def running(backend: Any, step: Any, x: Any, axis: int) -> tuple[Any, Any]:
    """Return the running extreme and where it stands: where an element equals it, or the place before."""
    xp = backend.xp
    if not x.ndim:
        return x.copy(), xp.zeros((), np.int64)
    values = step.accumulate(x, axis)
    reached = x == values
    if x.dtype.kind == "f":
        reached |= x != x
    places = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    places = xp.maximum.accumulate(xp.where(reached, places, 0), axis)
    return packed(xp, values), packed(xp, places)


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
def alone(xp: Any, x: Any, order: Any, axis: int, keepdims: bool) -> tuple[Any, Any]:
    """Return (values, indices) of the elements that `order`, with its axis kept at length 1, names."""
    values = xp.take_along_axis(x, order, axis)
    if not keepdims:
        values, order = xp.squeeze(values, axis), xp.squeeze(order, axis)
    return packed(xp, values), packed(xp, order).astype(np.int64, copy=False)


def scalar(xp: Any, x: Any) -> tuple[Any, Any]:
    return x.copy(), xp.zeros((), np.int64)


def part(k: int, axis: int) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, slice(k, k + 1))


def kthvalue(backend: Any, x: Any, k: int, axis: int, keepdims: bool) -> tuple[Any, Any]:
    xp = backend.xp
    if not x.ndim:
        return scalar(xp, x)
    return alone(xp, x, xp.argpartition(x, k - 1, axis)[part(k - 1, axis)], axis, keepdims)


def median(backend: Any, x: Any, skip: bool, axis: int, keepdims: bool) -> tuple[Any, Any]:
    xp = backend.xp
    if not x.ndim:
        return scalar(xp, x)
    n = x.shape[axis]
    missing = xp.isnan(x) if x.dtype.kind == "f" else None
    if missing is None or not missing.any():
        order = xp.argpartition(x, (n - 1) // 2, axis)[part((n - 1) // 2, axis)]
    else:  # nan is sorted to the end
        order = xp.argsort(x, axis, kind="stable")
        there = n - missing.sum(axis, keepdims=True)
        wanted = xp.maximum(there - 1, 0) // 2 if skip else xp.where(there < n, there, (n - 1) // 2)
        order = xp.take_along_axis(order, wanted, axis)
    return alone(xp, x, order, axis, keepdims)


def median_all(backend: Any, x: Any, skip: bool) -> Any:
    flat = x.reshape(-1)
    if not flat.size:
        if x.dtype.kind != "f":
            raise ValueError("there are no elements")
        return backend.xp.full((), np.nan, x.dtype)
    return median(backend, flat, skip, 0, False)[0]


def mode(backend: Any, x: Any, axis: int, keepdims: bool) -> tuple[Any, Any]:
    xp = backend.xp
    if not x.ndim:
        return scalar(xp, x)
    order = xp.argsort(x, axis, kind="stable")
    ordered = xp.moveaxis(xp.take_along_axis(x, order, axis), axis, -1)
    places = xp.broadcast_to(xp.arange(x.shape[axis]), ordered.shape)
    begins = xp.ones(ordered.shape, bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    length = places - xp.maximum.accumulate(xp.where(begins, places, 0), -1)
    best = xp.moveaxis(length.argmax(-1)[..., None], -1, axis)  # the end of the longest run, of the first such
    return alone(xp, x, xp.take_along_axis(order, best, axis), axis, keepdims)


# ---- searches
def searchsorted(backend: Any, sequence: Any, values: Any, right: bool) -> Any:
    xp = backend.xp
    if sequence.ndim == 1:
        return xp.asarray(xp.searchsorted(sequence, values, "right" if right else "left"), np.int64)
    # sorted together, equal ones in the order they are joined in, each value stands behind the elements it counts
    n, m = sequence.shape[-1], values.shape[-1]
    order = xp.argsort(xp.concatenate((sequence, values) if right else (values, sequence), -1), -1, kind="stable")
    first = 0 if right else m
    below = xp.cumsum((order >= first) & (order < first + n), -1)
    made = xp.empty(order.shape, np.int64)
    xp.put_along_axis(made, order, below, -1)
    return packed(xp, made[..., n:] if right else made[..., :m])


def isin(backend: Any, x: Any, y: Any) -> Any:
    return backend.xp.isin(x, y)


def runs(backend: Any, x: Any, axis: int | None) -> tuple[Any, Any, Any]:
    """Return (elements or slices that differ from the one before, which run each belongs to, the runs' lengths)."""
    xp = backend.xp
    rows = x.reshape(-1) if axis is None else xp.moveaxis(x, axis, 0)
    n = rows.shape[0]
    begins = xp.ones(n, bool)
    if n > 1:
        differs = rows[1:] != rows[:-1]
        begins[1:] = differs if differs.ndim == 1 else differs.reshape(n - 1, -1).any(1)
    starts = xp.flatnonzero(begins)
    places = xp.cumsum(begins) - 1
    values = rows[starts] if axis is None else packed(xp, xp.moveaxis(rows[starts], 0, axis))
    return values, places.reshape(x.shape) if axis is None else places, xp.diff(xp.append(starts, n))


def unique_consecutive(backend: Any, x: Any, axis: int | None) -> tuple[Any, Any, Any]:
    return runs(backend, x, axis)


def unique(backend: Any, x: Any, axis: int | None) -> tuple[Any, Any, Any]:
    xp = backend.xp
    if axis is None:
        order = xp.argsort(x.reshape(-1), kind="stable")
        values, which, times = runs(backend, x.reshape(-1)[order], None)
    else:
        rows = xp.moveaxis(x, axis, 0)
        order = xp.lexsort(rows.reshape(len(rows), -1).T[::-1]) if len(rows) and x.size else xp.arange(len(rows))
        values, which, times = runs(backend, rows[order], 0)
        values = packed(xp, xp.moveaxis(values, 0, axis))
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


def histogram(backend: Any, x: Any, weights: Any, edges: Any) -> Any:
    xp = backend.xp
    bins = len(edges) - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    places = xp.searchsorted(edges, x[inside], "right") - 1
    return xp.bincount(xp.minimum(places, bins - 1), weights[inside], bins).astype(x.dtype)
