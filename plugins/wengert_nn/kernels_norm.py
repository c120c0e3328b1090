"""Normalisation on devices made of an array module, a block that fits the cache at a time.

Owns: kernels (backend, *inputs, *params) -> array. May import: the standard library; the backend brings its modules.
Must not know: tensors, gradients. `axes` are those that statistics are taken over; mean and rstd have size 1 there. weight
and bias broadcast to x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

BLOCK = 1 << 15  # elements


def rows(x: Any, axes: Any, *others: Any) -> tuple[Any, Any, list[Any]]:
    """Return arrays with the dims before and those in `axes` merged into one each, where `axes` are the last dims and no other
    array varies over some of each; (x, axes, others)."""
    first = x.ndim - len(axes)
    if axes != tuple(range(first, x.ndim)):
        return x, axes, [*others]
    shape = (math.prod(x.shape[:first]), math.prod(x.shape[first:]))

    def merged(a: Any) -> Any:
        lead = a.ndim - len(axes)
        if lead <= 0 and a.size == shape[1]:
            return a.reshape(shape[1])
        width = math.prod(a.shape[max(lead, 0) :])
        return a.reshape(shape[0], width) if a.shape[: max(lead, 0)] == x.shape[:first] and width in (1, shape[1]) else None

    made = [merged(a) for a in others]
    return (x, axes, [*others]) if any(a is None for a in made) else (x.reshape(shape), (1,), made)


def parts(x: Any, axes: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (index of a block of x, function that takes the same block of an array which broadcasts to x)."""
    axis = next((d for d in range(x.ndim) if d not in axes), None)
    if axis is None:
        yield ..., lambda a: a
        return
    n = x.shape[axis]
    step = max(1, BLOCK * n // max(x.size, 1))
    for start in range(0, n if x.size else 0, step):
        part = slice(start, start + step)

        def cut(a: Any, part: slice = part) -> Any:
            own = axis - x.ndim + a.ndim
            return a if own < 0 or a.shape[own] == 1 else a[(slice(None),) * own + (part,)]

        yield (slice(None),) * axis + (part,), cut


def trailing(ndim: int, axes: Any) -> int:
    """Return from which dim on all are in axes."""
    while ndim and ndim - 1 in axes:
        ndim -= 1
    return ndim


def total(xp: Any, x: Any, axes: Any) -> Any:
    """Return the sum over axes, which stay as ones; over the last dims by a product with ones, which BLAS has."""
    first = trailing(x.ndim, axes)
    n = math.prod(x.shape[first:])
    if n > 1:
        x = xp.matmul(x.reshape(*x.shape[:first], n), xp.ones(n, x.dtype)).reshape(*x.shape[:first], *(1,) * (x.ndim - first))
    rest = tuple(a for a in axes if x.shape[a] != 1)
    return xp.add.reduce(x, rest, keepdims=True) if rest else x


def dots(xp: Any, x: Any, y: Any, axes: Any) -> Any:
    """Return the sum over axes of x * y, arrays of one shape; the axes stay as ones."""
    first = trailing(x.ndim, axes)
    shape = x.shape[:first]
    if first < x.ndim:
        n = math.prod(x.shape[first:])
        made = xp.einsum("...i,...i->...", x.reshape(*shape, n), y.reshape(*shape, n))
    else:
        made = x * y
    made = made.reshape(*shape, *(1,) * (x.ndim - first))
    rest = tuple(a for a in axes if made.shape[a] != 1)
    return xp.add.reduce(made, rest, keepdims=True) if rest else made


def stats_shape(x: Any, axes: Any) -> tuple[int, ...]:
    return tuple(1 if d in axes else n for d, n in enumerate(x.shape))


def moments(backend: Any, x: Any, axes: Any, centred: bool) -> tuple[Any, Any]:
    """Return the mean over axes and the mean square of the distance to it (centred), or zero and the mean square."""
    xp = backend.xp
    shape = stats_shape(x, axes)
    count = x.dtype.type(max(1, x.size // max(1, math.prod(shape))))
    x, axes, _ = rows(x, axes)
    means, squares = xp.zeros(stats_shape(x, axes), x.dtype), xp.zeros(stats_shape(x, axes), x.dtype)
    for part, cut in parts(x, axes):
        block = x[part]
        if centred:
            mean = total(xp, block, axes) / count
            block = block - mean
            cut(means)[...] = mean
        cut(squares)[...] = dots(xp, block, block, axes) / count
    return means.reshape(shape), squares.reshape(shape)


def normalise(
    backend: Any, x: Any, mean: Any, rstd: Any, affine: Any, axes: Any, eps: float, mode: str, kinds: str
) -> Any:
    xp, shape = backend.xp, x.shape
    x, axes, (mean, rstd, *affine) = rows(x, axes, mean, rstd, *affine)
    weight = affine[0] if "w" in kinds else None
    if weight is not None and 4 * math.prod(_common(rstd.shape, weight.shape)) <= x.size:
        rstd, weight = rstd * weight, None
    made = xp.empty(x.shape, x.dtype)
    for part, cut in parts(x, axes):
        block = made[part]
        if mode == "rms":
            xp.multiply(x[part], cut(rstd), out=block)
        else:
            xp.subtract(x[part], cut(mean), out=block)
            block *= cut(rstd)
        if weight is not None:
            block *= cut(weight)
        if "b" in kinds:
            block += cut(affine[-1])
    return made.reshape(shape)


def normalise_back(
    backend: Any, y: Any, x: Any, mean: Any, rstd: Any, weights: Any, axes: Any, eps: float, mode: str
) -> Any:
    """rstd * (h - mean(h) - z * mean(h * z)), h being y * weight and z the normalised x; without the first mean for rms."""
    xp, shape = backend.xp, x.shape
    x, axes, (y, mean, rstd, *weights) = rows(x, axes, y, mean, rstd, *weights)
    made = xp.empty(x.shape, x.dtype)
    count = x.dtype.type(max(1, x.size // max(1, rstd.size)))
    for part, cut in parts(x, axes):
        h, scale = made[part], cut(rstd)
        if weights:
            xp.multiply(y[part], cut(weights[0]), out=h)
        else:
            h[...] = y[part]
        off = x[part] if mode == "rms" else x[part] - cut(mean)
        slope = dots(xp, h, off, axes) * (scale**3 / count)
        if mode != "rms":
            h -= total(xp, h, axes) / count
        h *= scale
        h -= off * slope if mode == "rms" else xp.multiply(off, slope, out=off)
    return made.reshape(shape)


def normalise_weight(
    backend: Any, y: Any, x: Any, mean: Any, rstd: Any, shape: Any, axes: Any, eps: float, mode: str
) -> Any:
    """The sum of y times the normalised x over all dims along which a weight of `shape` is repeated."""
    xp = backend.xp
    like = xp.empty(shape, x.dtype)
    x, axes, (y, mean, rstd, like) = rows(x, axes, y, mean, rstd, like)
    made = xp.zeros(like.shape, x.dtype)
    wide = (1,) * (x.ndim - like.ndim) + like.shape
    over = tuple(d for d, n in enumerate(wide) if n == 1)
    first = trailing(x.ndim, over)
    last = tuple(range(first, x.ndim))
    for part, cut in parts(x, axes):
        off = x[part] if mode == "rms" else x[part] - cut(mean)
        if x.ndim == 2 and axes == (1,) and like.ndim == 1:
            made += xp.matmul(cut(rstd).reshape(-1), off * y[part])
            continue
        product = (dots(xp, off, y[part], last) if last else off * y[part]) * cut(rstd)
        rest = tuple(d for d in over if product.shape[d] != 1)
        target = cut(made)
        target += (xp.add.reduce(product, rest, keepdims=True) if rest else product).reshape(target.shape)
    return made.reshape(shape)


def _common(*shapes: Any) -> Any:
    width = max(len(s) for s in shapes)
    return [max(s[i - width] if i >= width - len(s) else 1 for s in shapes) for i in range(width)]
