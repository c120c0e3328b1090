"""Kernels of windows, for devices made of an array module.

Owns: functions (backend, *inputs, *params) -> array. May import: nothing; the backend brings its modules.
Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any


def windows(backend: Any, x: Any, dim: int, size: int, step: int) -> Any:
    shape = (*x.shape[:dim], (x.shape[dim] - size) // step + 1, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return backend.xp.lib.stride_tricks.as_strided(x, shape, strides)


def windows_sum(backend: Any, values: Any, shape: Any, dim: int, size: int, step: int) -> Any:
    """Add windows up where they lie: by the places in a window or by windows, of which there are less."""
    made = backend.xp.zeros(shape, values.dtype)
    whole, count = (slice(None),) * dim, values.shape[dim]
    if size <= count:
        for k in range(size):
            made[(*whole, slice(k, k + (count - 1) * step + 1, step))] += values[..., k]
    else:
        for i in range(count):
            made[(*whole, slice(i * step, i * step + size))] += backend.xp.moveaxis(values[(*whole, i)], -1, dim)
    return made
