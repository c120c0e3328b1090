"""Kernels that copy or weigh elements along single dims, for devices made of an array module.

Owns: kernels (backend, x, *params) -> array. May import: NumPy, for the host's arrays; the backend brings its modules.
Must not know: tensors, gradients.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

FEW = 1 << 16  # products of elements and weights up to which all of them cost less than a call for each tap
DENSE = 32  # products of BLAS that cost less than one tap of one element


def weighed(x: Any, axis: int, table: Any) -> Any:
    """Return elements of the host times the table's matrix; None where one is not finite, which 0 would spread."""
    weights, shape = table.matrix(x.dtype), (*x.shape[:axis], table.length, *x.shape[axis + 1 :])
    if axis == x.ndim - 1:
        made = np.dot(x.reshape(-1, table.size), weights.T)
    else:
        made = np.matmul(weights, x.reshape(-1, table.size, math.prod(x.shape[axis + 1 :])))
    flat = made.reshape(-1)
    return made.reshape(shape) if flat.dot(np.zeros(flat.size, flat.dtype)) == 0 else None


def resample(backend: Any, x: Any, axis: int, table: Any) -> Any:
    xp, kind = backend.xp, x.dtype
    if kind.char == "e":  # sums of float16 soon lose their digits
        x = x.astype(xp.float32)
    few = 0 < x.size * table.length <= FEW or 0 < table.size * table.length <= DENSE * table.taps
    if few and len(table.steps) > 1 and type(x) is np.ndarray and x.size and x.dtype.char in "fd":
        made = weighed(x, axis, table)
        if made is not None:
            return made.astype(kind, copy=False)
    shape = (*x.shape[:axis], table.length, *x.shape[axis + 1 :])
    column = (-1, *(1,) * (x.ndim - axis - 1))
    real = x.real.dtype
    made = None
    for places, sources, weights in table.steps:
        part = xp.take(x, xp.asarray(sources), axis)
        if weights is not None:
            part *= xp.asarray(weights, dtype=real).reshape(column)
        if made is None:
            made = part if places is None else xp.zeros(shape, x.dtype)
            if places is None:
                continue
        if places is None:
            made += part
        else:
            made[(slice(None),) * axis + (xp.asarray(places),)] += part
    made = xp.zeros(shape, x.dtype) if made is None else made
    return xp.ascontiguousarray(made.astype(kind, copy=False))


def constant_pad(backend: Any, x: Any, pads: Any, value: Any) -> Any:
    shape, kept, place = padded(tuple(x.shape), pads)
    made = backend.xp.empty(shape, x.dtype)
    made[...] = value
    made[place] = x[kept]
    return made


@functools.lru_cache(256)
def padded(shape: tuple[int, ...], pads: Any) -> tuple[Any, Any, Any]:
    """Return the shape of what is padded, the elements of x that are kept, and where they are in it."""
    made = tuple(n + a + b for n, (a, b) in zip(shape, pads, strict=True))
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(shape, pads, strict=True))
    return made, kept, tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(made, pads, strict=True))
