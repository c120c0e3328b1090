"""Kernels that copy or weigh elements along single dims, for devices made of an array module.

Owns: kernels (backend, x, *params) -> array. May import: nothing; the backend brings its modules.
Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any


def resample(backend: Any, x: Any, axis: int, table: Any) -> Any:
    xp, kind = backend.xp, x.dtype
    if kind.char == "e":  # sums of float16 soon lose their digits
        x = x.astype(xp.float32)
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
    made = backend.xp.empty(tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)), x.dtype)
    made[...] = value
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pads, strict=True))
    place = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(made.shape, pads, strict=True))
    made[place] = x[kept]
    return made
