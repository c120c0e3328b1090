"""Normalisation on devices made of an array module, a block that fits the cache at a time.

Owns: kernels (backend, *inputs, *params) -> array. May import: wengert.extend (for `NEAR`); the backend brings its modules.
Must not know: tensors, gradients. `axes` are those that statistics are taken over; mean and rstd have size 1 there. weight
and bias broadcast to x. All formulas are y = x * A + D, with A and D made of what is small; where the mean is so far from
zero that D would cancel digits of x * A, it is subtracted from x first. A few elements take the plain formulas.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

from wengert.extend import NEAR

BLOCK = 1 << (18 if NEAR else 16)  # elements
FEW, LINES = 1 << 13, 128  # elements and statistics up to which a pass costs less than what would save it
FAR = 16.0  # a square of mean / standard deviation above which digits would be lost


# ---- shapes and blocks
def rows(x: Any, axes: Any, *others: Any) -> tuple[Any, Any, list[Any]]:
    """Return arrays as matrices with a row for each statistic, where `axes` are the last dims and no array varies along part
    of them or part of the rest: (x, axes, others); else all as they are."""
    first = x.ndim - len(axes)
    if axes != tuple(range(first, x.ndim)):
        return x, axes, [*others]
    shape = (math.prod(x.shape[:first]), math.prod(x.shape[first:]))

    def merged(a: Any) -> Any:
        lead = a.ndim - len(axes)
        if a.ndim < x.ndim and lead <= 0 and a.size == shape[1]:
            return a.reshape(shape[1])
        width = math.prod(a.shape[max(lead, 0) :])
        return a.reshape(shape[0], width) if a.shape[: max(lead, 0)] == x.shape[:first] and width in (1, shape[1]) else None

    made = [merged(a) for a in others]
    return (x, axes, [*others]) if any(a is None for a in made) else (x.reshape(shape), (1,), made)


def parts(x: Any, axes: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (index of a block of x, function that takes the same block of an array which broadcasts to x)."""
    axis = None if 0 < x.size <= BLOCK else next((d for d in range(x.ndim) if d not in axes), None)
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


def inner(weight: Any, axes: Any, ndim: int) -> tuple[int, ...]:
    """Return those axes along which a weight does not vary."""
    if weight is None:
        return tuple(axes)
    lead = ndim - weight.ndim
    return tuple(d for d in axes if d < lead or weight.shape[d - lead] == 1)


def repeated(ndim: int, shape: Any) -> tuple[int, ...]:
    """Return the dims along which an array of a shape is repeated, where it broadcasts to so many."""
    lead = ndim - len(shape)
    return (*range(lead), *[lead + d for d, n in enumerate(shape) if n == 1])


def statistics_shape(x: Any, axes: Any) -> tuple[int, ...]:
    return tuple(1 if d in axes else n for d, n in enumerate(x.shape))


# ---- sums
def folded(xp: Any, x: Any, axes: Any) -> Any:
    """Return the sum over axes, which stay as ones."""
    rest = tuple([a for a in axes if x.shape[a] != 1])
    if rest == (0,) and x.ndim == 2 and x.size > FEW and hasattr(x, "dot"):
        return xp.ones(len(x), x.dtype).dot(x)[None]
    return xp.add.reduce(x, rest, keepdims=True) if rest else x


def by_pieces(product: Any, *given: Any) -> Any:
    """Return a product over the last dim; of many elements by pieces, as BLAS adds one after the other and digits are lost."""
    n = given[0].shape[-1]
    cut = n // BLOCK * BLOCK
    if cut <= BLOCK:
        return product(*given)
    made = product(*[x[..., :cut].reshape(*x.shape[:-1], -1, BLOCK) for x in given]).sum(-1)
    return made if cut == n else made + product(*[x[..., cut:] for x in given])


def total(xp: Any, x: Any, axes: Any) -> Any:
    """Return the sum over axes, which stay as ones; over the last dims by a product with ones, which BLAS has."""
    first = trailing(x.ndim, axes)
    n = math.prod(x.shape[first:])
    if n > 1:
        sums = by_pieces(lambda x: xp.matmul(x, xp.ones(x.shape[-1], x.dtype)), x.reshape(*x.shape[:first], n))
        x = sums.reshape(*x.shape[:first], *(1,) * (x.ndim - first))
    return folded(xp, x, axes)


def dots(xp: Any, x: Any, y: Any, axes: Any) -> Any:
    """Return the sum over axes of x * y, arrays of one shape; the axes stay as ones."""
    first, ndim = trailing(x.ndim, axes), x.ndim
    shape, n = x.shape[:first], math.prod(x.shape[first:])
    if n == 1:
        return folded(xp, x * y, axes)
    x, y = x.reshape(*shape, n), y.reshape(*shape, n)
    made = by_pieces(xp.vecdot if hasattr(xp, "vecdot") else functools.partial(xp.einsum, "...i,...i->..."), x, y)
    return folded(xp, made.reshape(*shape, *(1,) * (ndim - first)), axes)


class Scratch:
    """Memory for a block's intermediate results, used again for the next block: fresh memory costs more than the arithmetic."""

    def __init__(self, backend: Any, dtype: Any) -> None:
        self.backend, self.memory = backend, backend.scratch((0,), dtype)

    def like(self, block: Any) -> Any:
        if self.memory.size < block.size:
            self.memory = self.backend.scratch((block.size,), self.memory.dtype)
        return self.memory[: block.size].reshape(block.shape)


def pair(xp: Any, first: Any, second: Any, axis: int) -> Any:
    """Return two columns, or two rows, side by side; None is zeros. A product of such pairs is a matrix made of factors of its
    rows and columns: by BLAS, as NumPy takes longer to repeat a short row than to compute it. Products go to scratch memory:
    BLAS writes tiles, which takes five times as long where nothing is in the cache yet."""
    size = (second if first is None else first).size
    made = xp.zeros((2, size) if axis == 0 else (size, 2), (second if first is None else first).dtype)
    lines = made if axis == 0 else made.T
    for line, values in zip(lines, (first, second), strict=True):
        if values is not None:
            line[...] = values.reshape(-1)
    return made


# ---- kernels
def few(x: Any, statistic: Any) -> bool:
    """Say whether x is so small that the number of calls counts, and not what they do."""
    return bool(x.size <= FEW and statistic.size <= LINES)


def standard(x: Any, mean: Any, rstd: Any, mode: str) -> Any:
    """Return (x - mean) * rstd, or x * rstd."""
    made = x * rstd if mode == "rms" else x - mean
    if mode != "rms":
        made *= rstd
    return made


def sum_of(backend: Any, x: Any, axes: Any) -> Any:
    """Return the sum of a few elements over axes, which stay as ones: over the first or last dims by a product with ones, which
    takes less time to begin."""
    ndim, many = x.ndim, len(axes)
    if x.size and 0 < many < ndim:
        if axes[0] == ndim - many:
            shape = x.shape[:-many]
            x = x if ndim == 2 else x.reshape(math.prod(shape), -1)
            sums = x.dot(backend.ones(x.shape[1], x.dtype))
            return sums[:, None] if ndim == 2 else sums.reshape(shape + (1,) * many)
        if axes[-1] == many - 1:
            n = math.prod(x.shape[:many])
            return backend.ones(n, x.dtype).dot(x.reshape(n, -1)).reshape((1,) * many + x.shape[many:])
    return backend.xp.add.reduce(x, axes, None, None, True) if axes else x


def mean_of(backend: Any, x: Any, axes: Any) -> Any:
    made = sum_of(backend, x, axes)
    made /= backend.scalar(x.size // made.size, x.dtype)
    return made


def moments(backend: Any, x: Any, axes: Any, centred: bool) -> tuple[Any, Any]:
    """Return the mean over axes and the mean square of the distance to it (centred), or zero and the mean square."""
    xp = backend.xp
    if 0 < x.size <= FEW:
        if not centred:
            square = mean_of(backend, x * x, axes)
            return xp.zeros(square.shape, square.dtype), square
        mean = mean_of(backend, x, axes)
        off = x - mean
        off *= off
        return mean, mean_of(backend, off, axes)
    shape = statistics_shape(x, axes)
    count = x.dtype.type(max(1, x.size // max(1, math.prod(shape))))
    x, axes, _ = rows(x, axes)
    means, squares = (xp.zeros(statistics_shape(x, axes), x.dtype) for _ in range(2))
    for part, cut in parts(x, axes):
        block = x[part]
        cut(squares)[...] = dots(xp, block, block, axes)
        if centred:
            cut(means)[...] = total(xp, block, axes)
    squares /= count
    if centred:
        means /= count
        close = means * means * FAR < squares * (FAR - 1)  # else too few digits are left of the difference
        if bool(close.all()):
            squares -= means * means
        else:
            for part, cut in parts(x, axes):
                square, mean = cut(squares), cut(means)
                if bool(cut(close).all()):
                    square -= mean * mean
                else:
                    block = x[part] - mean
                    square[...] = dots(xp, block, block, axes) / count
    return means.reshape(shape), squares.reshape(shape)


def near(mean: Any, rstd: Any, mode: str) -> bool:
    """Say whether no mean is far from zero, measured in standard deviations."""
    return mode == "rms" or not mean.size or bool((mean * mean * rstd * rstd).max() < FAR)


def offset(mean: Any, rstd: Any, mode: str) -> Any:
    """Return what (x - mean) * rstd has more than x * rstd; None where no mean is subtracted."""
    return None if mode == "rms" else -mean * rstd


def normalise(backend: Any, x: Any, mean: Any, rstd: Any, affine: Any, axes: Any, eps: float, mode: str, kinds: str) -> Any:
    xp = backend.xp
    if few(x, rstd):
        made = standard(x, mean, rstd, mode)
        for kind, value in zip(kinds, affine, strict=True):
            (xp.multiply if kind == "w" else xp.add)(made, value, out=made)
        return made
    result = made = xp.empty(x.shape, x.dtype)
    x, axes, (made, mean, rstd, *affine) = rows(x, axes, made, mean, rstd, *affine)
    weight, bias = affine[0] if "w" in kinds else None, affine[-1] if "b" in kinds else None
    close = near(mean, rstd, mode)
    shift = offset(mean, rstd, mode) if close else None
    scratch = Scratch(backend, x.dtype)
    if weight is not None and x.ndim == 2 and weight.ndim == 1 and axes == (1,):
        factors = pair(xp, rstd, None, 1), pair(xp, weight, None, 0)
        sums = None
        if shift is not None or bias is not None:
            sums = pair(xp, shift, xp.ones_like(rstd), 1), pair(xp, weight, bias, 0)
        for part, cut in parts(x, axes):
            block = made[part]
            values = x[part] if close else xp.subtract(x[part], cut(mean), out=block)
            other = xp.matmul(cut(factors[0]), factors[1], out=scratch.like(block))
            xp.multiply(values, other, out=block)
            if sums is not None:
                block += xp.matmul(cut(sums[0]), sums[1], out=other)
        return result
    if weight is not None:
        rstd = rstd * weight
        shift = None if shift is None else shift * weight
    if bias is not None:
        shift = bias if shift is None else shift + bias
    for part, cut in parts(x, axes):
        block = made[part]
        values = x[part] if close else xp.subtract(x[part], cut(mean), out=block)
        xp.multiply(values, cut(rstd), out=block)
        if shift is not None:
            block += cut(shift)
    return result


def few_back(backend: Any, h: Any, z: Any, rstd: Any, along: Any, total: Any, mode: str) -> Any:
    """rstd * (h - total / n - z * along / n), of sums of h * z and h over n elements, in the memory of z."""
    count = backend.scalar(z.size // rstd.size, z.dtype)
    z *= along / count
    made = backend.xp.subtract(h, z, out=z)
    if mode != "rms":
        made -= total / count
    made *= rstd
    return made


def few_pull(backend: Any, y: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Any, mode: str) -> tuple[Any, Any, Any]:
    """The gradients of x, weight and bias, which have the normalised x in common."""
    z = standard(x, mean, rstd, mode)
    over, product = repeated(x.ndim, weight.shape), y * z
    if over == axes:  # a weight for each statistic
        along, total = sum_of(backend, product, axes), sum_of(backend, y, axes)
        made = few_back(backend, y, z, rstd * weight, along, total, mode)
        return made, along.reshape(weight.shape), total.reshape(weight.shape)
    h = y * weight
    if weight.ndim == 1 and axes == (x.ndim - 1,):  # products with the weight are sums, too
        product, y = product.reshape(-1, len(weight)), y.reshape(-1, len(weight))
        along, total = product.dot(weight).reshape(rstd.shape), y.dot(weight).reshape(rstd.shape)
        ones = backend.ones(len(y), y.dtype)
        return few_back(backend, h, z, rstd, along, total, mode), ones.dot(product), ones.dot(y)
    by_weight, by_bias = sum_of(backend, product, over).reshape(weight.shape), sum_of(backend, y, over).reshape(weight.shape)
    along = sum_of(backend, backend.xp.multiply(h, z, out=product), axes)
    return few_back(backend, h, z, rstd, along, sum_of(backend, h, axes), mode), by_weight, by_bias


def normalise_back(backend: Any, y: Any, x: Any, mean: Any, rstd: Any, weights: Any, axes: Any, eps: float, mode: str) -> Any:
    """rstd * (h - mean(h) - z * mean(h * z)), h being y * weight and z the normalised x; without the first mean for rms.

    With s = sum(h) and t = sum(h * x) that is h * rstd + x * slope - (s * rstd / n + mean * slope), where
    slope = (mean * s - t) * rstd^3 / n.
    """
    xp = backend.xp
    if 0 < x.size and few(x, rstd):
        h = y * weights[0] if weights else y
        z = standard(x, mean, rstd, mode)
        return few_back(backend, h, z, rstd, sum_of(backend, h * z, axes), sum_of(backend, h, axes), mode)
    result = made = xp.empty(x.shape, x.dtype)
    x, axes, (made, y, mean, rstd, *weights) = rows(x, axes, made, y, mean, rstd, *weights)
    weight = weights[0] if weights else None
    if weight is not None and by_columns(x, axes, weight):
        rows_back(backend, made, y, x, mean, rstd, weight, mode)
        return result
    close = near(mean, rstd, mode)
    count = x.dtype.type(max(1, x.size // max(1, rstd.size)))
    scratch = Scratch(backend, x.dtype)
    within = inner(weight, axes, x.ndim)
    factor = rstd if weight is None else rstd * weight
    share = rstd / count
    cube = share * rstd * rstd
    for part, cut in parts(x, axes):
        g, block = y[part], made[part]
        other = scratch.like(block)
        values = x[part] if close else x[part] - cut(mean)
        s, t = total(xp, g, within), dots(xp, g, values, within)
        if weight is not None:
            s, t = folded(xp, s * cut(weight), axes), folded(xp, t * cut(weight), axes)
        xp.multiply(g, cut(factor), out=block)
        middle = cut(mean) if close else 0
        slope = ((middle * s if mode != "rms" else 0) - t) * cut(cube)
        xp.multiply(values, slope, out=other)
        if mode != "rms":
            other -= s * cut(share) + middle * slope
        block += other
    return result


def by_columns(x: Any, axes: Any, weight: Any) -> bool:
    """Say whether x is a matrix with a statistic for each row and a weight for each column."""
    return bool(x.ndim == 2 and weight.ndim == 1 and axes == (1,))


def rows_back(
    backend: Any, made: Any, y: Any, x: Any, mean: Any, rstd: Any, weight: Any, mode: str, sums: tuple[Any, ...] = ()
) -> None:
    """Write normalise_back of such a matrix to made. sums: arrays to which the gradients of weight and bias are added."""
    xp = backend.xp
    close = near(mean, rstd, mode)
    left, right = pair(xp, rstd, None, 1), pair(xp, weight, None, 0)
    ones, column = pair(xp, xp.ones_like(weight), None, 0), xp.zeros((len(x), 2), x.dtype)
    down = pair(xp, offset(mean, rstd, mode) if close else None, xp.ones_like(rstd), 1)  # by which g is summed
    share = rstd / x.dtype.type(max(1, x.shape[1]))
    cube = share * rstd * rstd
    scratch = Scratch(backend, x.dtype)
    for part, cut in parts(x, (1,)):
        g, block = y[part], made[part]
        values = x[part] if close else x[part] - cut(mean)
        middle = cut(mean) if close and mode != "rms" else 0
        other = xp.multiply(g, values, out=scratch.like(block))
        if sums:
            by_weight, by_bias = sums
            rest, total = xp.matmul(cut(down).T, g)
            by_weight += xp.matmul(cut(rstd)[:, 0], other)
            by_weight += rest
            by_bias += total
        s, t = xp.matmul(g, weight)[:, None], xp.matmul(other, weight)[:, None]
        slope = (middle * s - t) * cut(cube)
        other = xp.matmul(cut(left), right, out=other)
        xp.multiply(g, other, out=block)
        repeated = column[: len(g)]
        repeated[:, :1] = slope
        other = xp.matmul(repeated, ones, out=other)
        other *= values
        block += other
        if mode != "rms":
            repeated[:, :1] = s * cut(share) + middle * slope
            block -= xp.matmul(repeated, ones, out=other)


def column_sums(xp: Any, g: Any, product: Any, middle: Any, rstd: Any) -> Any:
    """Return the sum of g * (values - middle) * rstd over rows, the product being that of g and values."""
    made = xp.matmul(rstd[:, 0], product)
    if not isinstance(middle, int):
        made -= xp.matmul((rstd * middle)[:, 0], g)
    return made


def normalise_pull(
    backend: Any, y: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Any, eps: float, mode: str
) -> tuple[Any, Any, Any]:
    """The gradients of x, weight and bias: `normalise_back`, `normalise_weight` and a sum, together where that is faster."""
    if 0 < x.size and few(x, rstd):
        return few_pull(backend, y, x, mean, rstd, weight, axes, mode)
    xp, params = backend.xp, (axes, eps, mode)
    made = xp.empty(x.shape, x.dtype)
    matrix, inside, (block, g, means, scales, row) = rows(x, axes, made, y, mean, rstd, weight)
    if not by_columns(matrix, inside, row):
        made = normalise_back(backend, y, x, mean, rstd, (weight,), *params)
        over = repeated(y.ndim, weight.shape)
        sums = (
            normalise_weight(backend, y, x, mean, rstd, weight.shape, *params),
            xp.add.reduce(y, over).reshape(weight.shape),
        )
    else:
        sums = xp.zeros(row.shape, x.dtype), xp.zeros(row.shape, x.dtype)
        rows_back(backend, block, g, matrix, means, scales, row, mode, sums)
    return made, *[a.reshape(weight.shape) for a in sums]


def normalise_weight(backend: Any, y: Any, x: Any, mean: Any, rstd: Any, shape: Any, axes: Any, eps: float, mode: str) -> Any:
    """The sum of y times the normalised x over all dims along which a weight of `shape` is repeated."""
    xp = backend.xp
    if few(x, rstd):
        z = standard(x, mean, rstd, mode)
        z *= y
        return sum_of(backend, z, repeated(z.ndim, shape)).reshape(shape)
    x, axes, (y, mean, rstd, like) = rows(x, axes, y, mean, rstd, xp.empty(shape, x.dtype))
    made, close = xp.zeros(like.shape, x.dtype), near(mean, rstd, mode)
    over = repeated(x.ndim, like.shape)
    within = tuple(d for d in over if d in axes)
    scratch = Scratch(backend, x.dtype)
    for part, cut in parts(x, axes):
        g, scale = y[part], cut(rstd)
        values = x[part] if close else x[part] - cut(mean)
        middle = cut(mean) if close and mode != "rms" else 0
        if by_columns(x, axes, like):
            made += column_sums(xp, g, xp.multiply(g, values, out=scratch.like(g)), middle, scale)
            continue
        product = dots(xp, g, values, within)
        if not isinstance(middle, int):
            product -= total(xp, g, within) * middle
        target = cut(made)
        target += folded(xp, product * scale, over).reshape(target.shape)
    return made.reshape(shape)
