"""Losses on devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array. May import: NumPy, the other kernels. Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert_nn.kernels_activations import HALF, SINGLE, elementwise, logistic

ROWS_AT_ONCE = 1 << 16  # elements of the rows that are worked on together
LONG = np.dtype(np.int64)
NEAR = 32  # exponentials of what is nearer to 0 have all digits, and their sums
FEW = 1 << 13  # elements below which a call of the module costs more than what it computes


def places(backend: Any, x: Any, index: Any, ignored: int) -> tuple[Any, Any]:
    """Return the key of each sample's class in x as `keyed` gives it, and where samples are ignored (None: nowhere), which are
    taken as class 0.

    Raises IndexError for other numbers that are no class.
    """
    xp = backend.xp
    gone = None
    if not within(index, x.shape[1]) or 0 <= ignored < x.shape[1]:
        gone = index == ignored
        if type(index) is np.ndarray and (((index < 0) | (index >= x.shape[1])) & ~gone).any():
            raise IndexError("a class is out of bounds")
        index = xp.where(gone, 0, index)
    ndim = index.ndim
    if ndim == 1 and x.size and x.flags.c_contiguous:
        return xp.arange(0, x.size, x.shape[1]) + index, gone
    key = [xp.arange(n).reshape((n, *(1,) * (ndim - 1 - d))) for d, n in enumerate(index.shape)]
    return (*key[:1], index, *key[1:]), gone


def keyed(x: Any, key: Any) -> Any:
    """Return an array in the form that a key of `places` is of: flat, where the samples have one dim and lie in order."""
    return x if type(key) is tuple else x.reshape(-1)


def within(index: Any, classes: int) -> bool:
    """Say whether all indices on the host are of classes; elsewhere that is not asked."""
    if type(index) is not np.ndarray:
        return False
    unsigned = index.view(np.uint64) if index.dtype == LONG else index  # negative numbers are large then
    highest = np.maximum.reduce(unsigned, None) if index.size else 0
    return bool(highest < classes and (unsigned is not index or not index.size or index.min() >= 0))


def pick(backend: Any, x: Any, index: Any, ignored: int) -> Any:
    if (*x.shape[:1], *x.shape[2:]) != index.shape:
        raise ValueError("shapes differ")
    key, gone = places(backend, x, index, ignored)
    made = keyed(x, key)[key]
    if gone is not None:
        backend.xp.copyto(made, 0, where=gone)
    return made


def unpick(backend: Any, x: Any, index: Any, shape: Any, ignored: int) -> Any:
    made = backend.xp.zeros(shape, x.dtype)
    key, gone = places(backend, made, index, ignored)
    keyed(made, key)[key] = x if gone is None else backend.xp.where(gone, 0, x)
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
    if (*x.shape[:1], *x.shape[2:]) != index.shape:
        raise ValueError("shapes differ")
    key, gone = places(backend, x, index, ignored)
    losses = keyed(x, key)[key]
    if type(x) is np.ndarray and x.ndim == 2 and 0 < x.size <= FEW:
        turned = x.shape[1] < len(x)  # short rows take long to begin
        powers = np.array(x.T, order="C") if turned else x
        top = np.maximum.reduce(powers, 0 if turned else 1)
        powers = powers - (top if turned else top[:, None])
        np.exp(powers, out=powers)
        total = np.add.reduce(powers, 0) if turned else powers.dot(backend.ones(x.shape[1], x.dtype))
        losses = np.log(total) - (losses - top)
        if gone is not None:
            losses[gone] = 0
        return losses
    ones = np.ones(x.shape[1], x.dtype) if type(x) is np.ndarray and x.ndim == 2 else None  # BLAS adds in a quarter of the time
    spare = None if x.size > FEW else xp.empty(x.shape, x.dtype)
    for part in in_rows(x):
        top = xp.maximum.reduce(x[part], 1, None, None, True)
        spare = backend.scratch(x[part].shape, x.dtype) if spare is None else spare[: len(top)]
        powers = xp.subtract(x[part], top, out=spare)
        xp.exp(powers, out=powers)
        total = xp.log(xp.add.reduce(powers, 1) if ones is None else powers.dot(ones))
        total -= losses[part] - top[:, 0]
        losses[part] = total
    if gone is not None:
        xp.copyto(losses, 0, where=gone)
    return losses


def cross_entropy_pull(backend: Any, a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    """a (softmax(x) - onehot(index)), softmax being exp(x - chosen - y), or exp(x) times a factor of its sample."""
    xp = backend.xp
    if x.dtype == HALF:
        a, x, y = (v.astype(SINGLE) for v in (a, x, y))
        return cross_entropy_pull(backend, a, x, y, index, ignored).astype(HALF)
    made = xp.empty(x.shape, x.dtype)
    key, gone = places(backend, x, index, ignored)
    chosen = keyed(x, key)[key][:, None]
    y = (y if gone is None else xp.where(gone, y.dtype.type(np.inf), y))[:, None]  # whose exponentials are then 0
    a = (a if gone is None else xp.where(gone, 0, a))[:, None]
    factor = None
    if gone is None and x.size > FEW and bool(xp.min(chosen) > -NEAR) and bool(xp.max(chosen + y) < NEAR):
        factor = a * (xp.exp(-chosen) * xp.exp(-y))
    for part in in_rows(x):
        powers = made[part]
        if factor is not None:
            xp.exp(x[part], out=powers)
            powers *= factor[part]
            continue
        xp.subtract(x[part], chosen[part], out=powers)
        powers -= y[part]
        xp.exp(powers, out=powers)
        powers *= a[part]
    keyed(made, key)[key] -= a[:, 0]
    return made


def class_mean(backend: Any, x: Any, index: Any, ignored: int) -> Any:
    if x.dtype == HALF:
        return class_mean(backend, x.astype(SINGLE), index, ignored).astype(HALF)
    if type(x) is np.ndarray:
        return np.add.reduce(x, None) / int(np.count_nonzero(index != ignored))
    return backend.xp.divide(backend.xp.add.reduce(x, None), count_samples(backend, index, ignored, x.dtype), out=...)


def count_samples(backend: Any, index: Any, ignored: int, dtype: Any) -> Any:
    return backend.xp.asarray(backend.xp.count_nonzero(index != ignored), dtype)


@elementwise(2, spare=1)
def huber(backend: Any, made: Any, spare: Any, x: Any, y: Any, delta: float) -> None:
    """c (d - c / 2) with d = x - y, c = d limited to [-delta, delta]"""
    xp = backend.xp
    difference = xp.subtract(x, y, out=spare[0])
    xp.maximum(difference, -delta, out=made)
    xp.minimum(made, delta, out=made)
    made *= 0.5
    difference -= made
    made *= 2
    made *= difference


def mse(backend: Any, x: Any, y: Any, mean: bool) -> Any:
    xp = backend.xp
    if x.dtype == HALF:
        return xp.asarray(mse(backend, x.astype(SINGLE), y.astype(SINGLE), mean)).astype(HALF)
    difference = xp.subtract(x, y, out=...)
    xp.multiply(difference, difference, out=difference)
    total = xp.add.reduce(difference, None)
    return xp.asarray(total / x.size if mean else total)


@elementwise(2, spare=1)
def bce(backend: Any, made: Any, spare: Any, x: Any, y: Any) -> None:
    """-(y (log x - log(1 - x)) + log(1 - x))"""
    xp = backend.xp
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    here, there = xp.log(x, out=made), xp.negative(x, out=spare[0])
    xp.log1p(there, out=there)
    xp.maximum(here, -100, out=here)
    xp.maximum(there, -100, out=there)
    here -= there
    here *= y
    here += there
    xp.negative(here, out=made)


@elementwise(2, spare=1)
def bce_logits(backend: Any, made: Any, spare: Any, x: Any, y: Any) -> None:
    xp = backend.xp
    other = xp.absolute(x, out=spare[0])
    xp.negative(other, out=other)
    xp.exp(other, out=other)
    xp.log1p(other, out=other)
    xp.maximum(x, 0, out=made)
    made += other
    made -= xp.multiply(x, y, out=other)


@elementwise(3)
def bce_logits_pull(backend: Any, made: Any, a: Any, x: Any, y: Any) -> None:
    logistic(backend.xp, x, made)
    backend.xp.divide(1, made, out=made)
    made -= y
    made *= a
