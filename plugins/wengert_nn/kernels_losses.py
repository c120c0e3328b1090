"""Losses on devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array. May import: NumPy, the other kernels. Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert_nn.kernels_activations import HALF, SINGLE, elementwise, logistic

ROWS_AT_ONCE = 1 << 16  # elements of the rows that are worked on together


def places(backend: Any, x: Any, index: Any, ignored: int) -> tuple[tuple[Any, ...], Any]:
    """Return the key of each sample's class in x, and where samples are ignored (None: nowhere); those count as class 0.

    Raises IndexError for other numbers that are no class.
    """
    xp = backend.xp
    beyond = (index < 0) | (index >= x.shape[1])
    gone = None
    if type(index) is not np.ndarray or beyond.any() or 0 <= ignored < x.shape[1]:
        gone = index == ignored
        if type(index) is np.ndarray and (beyond & ~gone).any():
            raise IndexError("a class is out of bounds")
        index = xp.where(gone, 0, index)
    ndim = index.ndim
    key = [xp.arange(n).reshape((n, *(1,) * (ndim - 1 - d))) for d, n in enumerate(index.shape)]
    return (*key[:1], index, *key[1:]), gone


def pick(backend: Any, x: Any, index: Any, ignored: int) -> Any:
    if (*x.shape[:1], *x.shape[2:]) != index.shape:
        raise ValueError("shapes differ")
    key, gone = places(backend, x, index, ignored)
    made = x[key]
    if gone is not None:
        made[gone] = 0
    return made


def in_rows(x: Any) -> list[slice]:
    """Return the parts of the first dim that are worked on together: those of a host array stay in the cache."""
    size = max(ROWS_AT_ONCE * len(x) // max(x.size, 1), 1) if type(x) is np.ndarray else max(len(x), 1)
    return [slice(start, start + size) for start in range(0, len(x), size)]


def cross_entropy(backend: Any, x: Any, index: Any, ignored: int) -> Any:
    """log(sum exp(x - top)) - (x[index] - top): exact also where the loss is small."""
    xp = backend.xp
    if x.dtype == HALF:
        return cross_entropy(backend, x.astype(SINGLE), index, ignored).astype(HALF)
    losses = pick(backend, x, index, ignored)
    for part in in_rows(x):
        top = xp.max(x[part], axis=1, keepdims=True)
        powers = xp.subtract(x[part], top, out=...)
        xp.exp(powers, out=powers)
        total = xp.log(xp.add.reduce(powers, 1))
        total -= losses[part] - top[:, 0]
        losses[part] = total
    if type(index) is not np.ndarray or ignored >= 0 or index.size and index.min() < 0:
        losses[index == ignored] = 0
    return losses


def cross_entropy_pull(backend: Any, a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    """a (softmax(x) - onehot(index))"""
    xp = backend.xp
    if x.dtype == HALF:
        a, x, y = (v.astype(SINGLE) for v in (a, x, y))
        return cross_entropy_pull(backend, a, x, y, index, ignored).astype(HALF)
    made = xp.empty(x.shape, x.dtype)
    key, gone = places(backend, x, index, ignored)
    chosen = xp.expand_dims(x[key], 1)
    y = xp.expand_dims(y, 1)
    a = xp.expand_dims(a if gone is None else xp.where(gone, 0, a), 1)
    for part in in_rows(x):
        powers = made[part]
        xp.subtract(x[part], chosen[part], out=powers)
        powers -= y[part]
        xp.exp(powers, out=powers)
        powers *= a[part]
    made[key] -= a[:, 0]
    return made


def count_samples(backend: Any, index: Any, ignored: int, dtype: Any) -> Any:
    return backend.xp.asarray(backend.xp.count_nonzero(index != ignored)).astype(dtype)


@elementwise(2)
def huber(backend: Any, x: Any, y: Any, delta: float) -> Any:
    """c (d - c / 2) with d = x - y, c = d limited to [-delta, delta]"""
    xp = backend.xp
    difference = xp.subtract(x, y, out=...)
    near = xp.maximum(difference, -delta, out=...)
    xp.minimum(near, delta, out=near)
    near *= 0.5
    difference -= near
    near *= 2
    near *= difference
    return near


def mse(backend: Any, x: Any, y: Any, mean: bool) -> Any:
    xp = backend.xp
    if x.dtype == HALF:
        return xp.asarray(mse(backend, x.astype(SINGLE), y.astype(SINGLE), mean)).astype(HALF)
    difference = xp.subtract(x, y, out=...)
    xp.multiply(difference, difference, out=difference)
    total = xp.add.reduce(difference, None)
    if mean:
        total = total / x.dtype.type(x.size)
    return xp.asarray(total)


@elementwise(2)
def bce(backend: Any, x: Any, y: Any) -> Any:
    xp = backend.xp
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    here, there = xp.log(x, out=...), xp.log1p(xp.negative(x, out=...), out=...)
    xp.maximum(here, -100, out=here)
    xp.maximum(there, -100, out=there)
    here -= there  # -(y (log x - log(1 - x)) + log(1 - x))
    here = here * y
    here = here + there
    return xp.negative(here, out=...)


@elementwise(2)
def bce_logits(backend: Any, x: Any, y: Any) -> Any:
    xp = backend.xp
    made = xp.absolute(x, out=...)
    xp.negative(made, out=made)
    xp.exp(made, out=made)
    xp.log1p(made, out=made)
    rest = xp.maximum(x, 0, out=...)
    made += rest
    return xp.subtract(made, xp.multiply(x, y, out=...), out=...)


@elementwise(3)
def bce_logits_pull(backend: Any, a: Any, x: Any, y: Any) -> Any:
    made = logistic(backend.xp, x)
    backend.xp.divide(1, made, out=made)
    made -= y
    made *= a
    return made
