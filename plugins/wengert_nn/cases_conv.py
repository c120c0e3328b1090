"""Rows of the records of convolution, pooling, normalisation, padding and resampling.

Owns: the rows, and oracles that visit every window in a loop. May import: the helpers of cases, the families, NumPy.
Must not know: how a row is checked.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np

import wengert_nn.convolution
import wengert_nn.normalisation
import wengert_nn.padding
import wengert_nn.pooling
import wengert_nn.resampling  # noqa: F401  (these enter the records)
from wengert.testing.cases import C, I, P, R, row, s, table
from wengert_nn.taps import Table
from wengert_nn.taps import table as taps


# ---- windows, one after another
def visits(spatial: Any, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Yield (window, place in it, element) for all that lie inside the image."""
    for window in np.ndindex(*size):
        for at in np.ndindex(*kernel):
            element = tuple(w * t - p + k * d for w, t, p, k, d in zip(window, stride, padding, at, dilation, strict=True))
            if all(0 <= i < n for i, n in zip(element, spatial, strict=True)):
                yield (..., *window), (..., *at), (..., *element)


def counted(spatial: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    return tuple(
        len(range(0, n + 2 * p - (k - 1) * d, t))
        for n, k, t, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True)
    )


def convolution(x: Any, weight: Any, biases: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    kernel = weight.shape[2:]
    size = counted(x.shape[2:], kernel, stride, padding, dilation)
    made = np.zeros((len(x), len(weight), *size))
    into, own = len(weight) // groups, weight.shape[1]
    for window, at, element in visits(x.shape[2:], size, kernel, stride, padding, dilation):
        for group in range(groups):
            outs = slice(group * into, group * into + into)
            made[(slice(None), outs, *window[1:])] += x[element][:, group * own : (group + 1) * own] @ weight[outs][at].T
    return made + biases[0].reshape(-1, *(1,) * len(kernel)) if biases else made


def convolution_input(y: Any, weight: Any, spatial: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    kernel = weight.shape[2:]
    made = np.zeros((len(y), weight.shape[1] * groups, *spatial))
    into, own = len(weight) // groups, weight.shape[1]
    for window, at, element in visits(spatial, y.shape[2:], kernel, stride, padding, dilation):
        for group in range(groups):
            outs = slice(group * into, group * into + into)
            made[(slice(None), slice(group * own, group * own + own), *element[1:])] += y[window][:, outs] @ weight[outs][at]
    return made


def convolution_weight(y: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    made = np.zeros((y.shape[1], x.shape[1] // groups, *kernel))
    into, own = y.shape[1] // groups, x.shape[1] // groups
    for window, at, element in visits(x.shape[2:], y.shape[2:], kernel, stride, padding, dilation):
        for group in range(groups):
            outs = slice(group * into, group * into + into)
            made[(outs, slice(None), *at[1:])] += y[window][:, outs].T @ x[element][:, group * own : (group + 1) * own]
    return made


def numbered(kernel: Any, at: Any) -> int:
    return int(np.ravel_multi_index(at[1:], kernel))


def unfold_windows(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    size = counted(x.shape[2:], kernel, stride, padding, dilation)
    made = np.zeros((*x.shape[:2], int(np.prod(kernel)), *size))
    for window, at, element in visits(x.shape[2:], size, kernel, stride, padding, dilation):
        made[(slice(None), slice(None), numbered(kernel, at), *window[1:])] = x[element]
    return made


def fold_windows(y: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, spatial: Any) -> Any:
    made = np.zeros((*y.shape[:2], *spatial))
    for window, at, element in visits(spatial, y.shape[3:], kernel, stride, padding, dilation):
        made[element] += y[(slice(None), slice(None), numbered(kernel, at), *window[1:])]
    return made


def pool_max(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, size: Any) -> Any:
    made = np.full((*x.shape[: -len(kernel)], *size), -np.inf)
    for window, _, element in visits(x.shape[-len(kernel) :], size, kernel, stride, padding, dilation):
        made[window] = np.maximum(made[window], x[element])
    return made


def pool_winner(x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, size: Any) -> Any:
    out = pool_max(x, kernel, stride, padding, dilation, size)
    made = np.full(out.shape, -1)
    for window, at, element in visits(x.shape[-len(kernel) :], size, kernel, stride, padding, dilation):
        made[window] = np.where((made[window] < 0) & (x[element] == out[window]), numbered(kernel, at), made[window])
    return made


def winner_of(library: Any, x: Any, out: Any, *window: Any) -> Any:
    return wengert_nn.pooling.pool_winner(x, wengert_nn.pooling.pool_max(x, *window), *window)


def pool_put(y: Any, winner: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, spatial: Any) -> Any:
    made = np.zeros((*y.shape[: -len(kernel)], *spatial))
    for window, at, element in visits(spatial, y.shape[-len(kernel) :], kernel, stride, padding, dilation):
        made[element] += np.where(winner[window] == numbered(kernel, at), y[window], 0)
    return made


def pool_take(x: Any, winner: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    made = np.zeros(winner.shape)
    for window, at, element in visits(x.shape[-len(kernel) :], winner.shape[-len(kernel) :], kernel, stride, padding, dilation):
        made[window] += np.where(winner[window] == numbered(kernel, at), x[element], 0)
    return made


def pool_sum(x: Any, kernel: Any, stride: Any, padding: Any, size: Any, scale: float) -> Any:
    made = np.zeros((*x.shape[: -len(kernel)], *size))
    for window, _, element in visits(x.shape[-len(kernel) :], size, kernel, stride, padding, (1,) * len(kernel)):
        made[window] += x[element] * scale
    return made


def pool_spread(y: Any, kernel: Any, stride: Any, padding: Any, spatial: Any, scale: float) -> Any:
    made = np.zeros((*y.shape[: -len(kernel)], *spatial))
    for window, _, element in visits(spatial, y.shape[-len(kernel) :], kernel, stride, padding, (1,) * len(kernel)):
        made[element] += y[window] * scale
    return made


# ---- taps and pads
def resample(x: Any, axis: int, table: Table) -> Any:
    matrix = np.zeros((table.length, table.size))
    for places, sources, weights in table.steps:
        rows = range(table.length) if places is None else places
        for row_, source, weight in zip(rows, sources, itertools.repeat(1.0) if weights is None else weights, strict=False):
            matrix[row_, source] += weight
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)


def constant_pad(x: Any, pads: Any, value: float) -> Any:
    kept = x[tuple(slice(max(-a, 0), n + min(b, 0)) for n, (a, b) in zip(x.shape, pads, strict=True))]
    return np.pad(kept, [(max(a, 0), max(b, 0)) for a, b in pads], constant_values=value)


# ---- normalisation
def moments(x: Any, axes: Any, centred: bool) -> Any:
    mean = x.mean(axes, keepdims=True) if centred else np.zeros_like(x.mean(axes, keepdims=True))
    return mean, ((x - mean) ** 2).mean(axes, keepdims=True)


def statistics(x: Any, mean: Any, rstd: Any, axes: Any, eps: float, mode: str) -> Any:
    """Return mean and rstd as the faces give them to the records: x's own, as constants, or those given."""
    if mode == "fixed":
        return mean, rstd
    if isinstance(x, np.ndarray):
        middle, square = moments(x, axes, mode == "batch")
        return middle, (square + eps) ** -0.5
    middle, square = wengert_nn.normalisation.moments(x.detach(), axes, mode == "batch")
    return middle, (square + eps) ** -0.5


def normalise(x: Any, mean: Any, rstd: Any, affine: Any, axes: Any, eps: float, mode: str, kinds: str) -> Any:
    mean, rstd = statistics(x, mean, rstd, axes, eps, mode)
    made = (x - mean) * rstd
    for kind, value in zip(kinds, affine, strict=True):
        made = made * value if kind == "w" else made + value
    return made


def normalise_back(y: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Any, eps: float, mode: str) -> Any:
    mean, rstd = statistics(x, mean, rstd, axes, eps, mode)
    h = y * weight[0] if weight else y
    z = (x - mean) * rstd
    middle = 0 if mode == "rms" else h.mean(axes, keepdims=True)
    return rstd * (h - middle - z * (h * z).mean(axes, keepdims=True))


def normalise_weight(y: Any, x: Any, mean: Any, rstd: Any, shape: Any, axes: Any, eps: float, mode: str) -> Any:
    mean, rstd = statistics(x, mean, rstd, axes, eps, mode)
    made = y * (x - mean) * rstd
    wide = (1,) * (x.ndim - len(shape)) + tuple(shape)
    return made.sum(tuple(d for d, n in enumerate(wide) if n == 1 and x.shape[d] != 1), keepdims=True).reshape(shape)


def normalise_pull(y: Any, x: Any, mean: Any, rstd: Any, weight: Any, *params: Any) -> Any:
    by_weight = normalise_weight(y, x, mean, rstd, weight.shape, *params)
    over = tuple(d for d, n in enumerate((1,) * (y.ndim - weight.ndim) + weight.shape) if n == 1)
    return normalise_back(y, x, mean, rstd, (weight,), *params), by_weight, y.sum(over).reshape(weight.shape)


def with_statistics(name: str, first: int) -> Any:
    """Return the call of a record whose mean and rstd, arguments first and first + 1, are those of the x before them."""

    def run(library: Any, *args: Any) -> Any:
        axes, eps, mode = args[-3:] if name != "normalise" else args[-4:-1]
        mean, rstd = args[first : first + 2]
        given = statistics(args[first - 1], mean, rstd, axes, eps, mode)
        return getattr(wengert_nn.normalisation, name)(*args[:first], *given, *args[first + 2 :])

    return run


def S(*shape: int) -> Any:
    """Positive reals that no gradient is asked for."""
    return dataclasses.replace(P(*shape), constant=True)


ONE, TWO, PAD = (1, 1), (2, 2), (1, 1)
UNEVEN = taps(5, np.array([[0, 1, 4, 4], [2, 1, 3, 0]]), np.array([[0.5, 2.0, -1.0, 0.25], [1.5, 1.0, 3.0, 0.5]]))
REPEATED = taps(4, np.array([[0, 0, 0, 1, 2, 3, 3]]))

RECORDS = table(
    row("convolution", s(R(2, 3, 5, 6), R(4, 3, 3, 2), (R(4),), ONE, (1, 2), ONE, 1),
        s(R(2, 4, 7), R(6, 2, 3), (), (2,), (1,), (2,), 2), s(R(3, 2, 4), R(3, 2, 1), (R(3),), (1,), (0,), (1,), 1),
        s(R(1, 2, 4, 3, 5), R(2, 1, 2, 2, 3), (R(2),), (1, 1, 1), (0, 1, 1), (2, 1, 1), 2),
        s(R(0, 2, 4), R(3, 2, 3), (R(3),), (1,), (0,), (1,), 1), oracle=convolution),
    row("convolution_input", s(R(2, 4, 4, 5), R(4, 3, 2, 2), (5, 6), ONE, (0, 0), ONE, 1),
        s(R(2, 6, 3), R(6, 2, 3), (6,), (2,), (1,), (1,), 2), s(R(2, 4, 3), R(4, 2, 1), (3,), (1,), (0,), (1,), 2),
        oracle=convolution_input),
    row("convolution_weight", s(R(2, 4, 4, 5), R(2, 3, 5, 6), TWO, ONE, (0, 0), ONE, 1),
        s(R(2, 6, 3), R(2, 4, 6), (3,), (2,), (1,), (1,), 2), s(R(2, 4, 3), R(2, 4, 3), (1,), (1,), (0,), (1,), 2),
        oracle=convolution_weight),
    row("unfold_windows", s(R(2, 3, 5, 4), TWO, (2, 1), PAD, (1, 2)), oracle=unfold_windows, exact=True),
    row("fold_windows", s(R(2, 3, 4, 3, 4), TWO, (2, 1), PAD, (1, 2), (5, 4)), oracle=fold_windows),
    row("pool_max", s(R(2, 3, 5, 6), TWO, TWO, (0, 0), ONE, (2, 3)), s(R(3, 5, 6), (3, 2), ONE, PAD, (1, 2), (5, 6)),
        s(R(2, 2, 7), (2,), (3,), (1,), (1,), (3,)), oracle=pool_max, exact=True),
    row("pool_winner", s(I(2, 5, 6), None, TWO, TWO, (0, 0), ONE, (2, 3)), s(R(2, 5, 6), None, (3, 2), ONE, PAD, TWO, (5, 6)),
        oracle=pool_winner, exact=True, order=0, call=winner_of),
    row("pool_put", s(R(2, 2, 3), I(2, 2, 3, high=4), TWO, TWO, (0, 0), ONE, (5, 6)),
        s(R(2, 4, 5), I(2, 4, 5, high=4), TWO, ONE, (0, 0), ONE, (5, 6)), oracle=pool_put),
    row("pool_take", s(R(2, 5, 6), I(2, 2, 3, high=4), TWO, TWO, (0, 0), ONE),
        s(R(2, 5, 6), I(2, 4, 5, high=4), TWO, ONE, (0, 0), ONE), oracle=pool_take, exact=True),
    row("pool_sum", s(R(2, 3, 5, 6), TWO, TWO, (0, 0), (2, 3), 0.25), s(R(3, 5, 6), (3, 2), ONE, PAD, (5, 7), 1),
        oracle=pool_sum),
    row("pool_spread", s(R(2, 3, 2, 3), TWO, TWO, (0, 0), (5, 6), 0.25), s(R(3, 5, 7), (3, 2), ONE, PAD, (5, 6), 1),
        oracle=pool_spread),
    row("constant_pad", s(R(3, 4), ((1, 0), (-1, 2)), 0.5), s(R(2, 3), ((-1, 0), (0, -2)), 0), s(R(2), ((0, 3),), 0),
        oracle=constant_pad, exact=True),
    row("resample", s(R(2, 5, 3), 1, UNEVEN), s(R(5), 0, UNEVEN), s(R(2, 4), 1, REPEATED), s(R(2, 7), 1, REPEATED.transposed),
        oracle=resample),
    row("moments", s(R(3, 4), (1,), True), s(R(2, 3, 4), (0, 2), True), s(R(2, 3, 2, 2), (2, 3), True), s(R(3, 4), (1,), False),
        oracle=moments, order=0),
    row("normalise", s(R(3, 4), None, None, (R(4), R(4)), (1,), 0.1, "batch", "wb"),
        s(R(2, 3, 4), None, None, (R(3, 1),), (0, 2), 0.1, "batch", "w"),
        s(R(2, 2, 3, 4), None, None, (R(2, 3, 1), R(2, 3, 1)), (2, 3), 0.1, "batch", "wb"),
        s(R(3, 2, 2), None, None, (R(2, 2), R(2, 2)), (1, 2), 0.1, "rms", "wb"),
        s(R(1, 5), None, None, (R(1, 5), R(1, 5)), (0, 1), 0.1, "batch", "wb"),
        s(R(2, 3, 4), C(1, 3, 1), S(1, 3, 1), (R(3, 1), R(3, 1)), (0, 2), 0.1, "fixed", "wb"),
        s(R(3, 4), C(3, 1), S(3, 1), (), (1,), 0.1, "fixed", ""), oracle=normalise, call=with_statistics("normalise", 1)),
    row("normalise_back", s(R(3, 4), R(3, 4), None, None, (R(4),), (1,), 0.1, "batch"),
        s(R(2, 3, 4), R(2, 3, 4), None, None, (R(3, 1),), (0, 2), 0.1, "batch"),
        s(R(2, 2, 3, 4), R(2, 2, 3, 4), None, None, (R(2, 3, 1),), (2, 3), 0.1, "batch"),
        s(R(3, 4), R(3, 4), None, None, (), (1,), 0.1, "rms"), oracle=normalise_back,
        call=with_statistics("normalise_back", 2)),
    row("normalise_weight", s(R(3, 4), R(3, 4), None, None, (4,), (1,), 0.1, "batch"),
        s(R(2, 3, 4), R(2, 3, 4), None, None, (3, 1), (0, 2), 0.1, "batch"),
        s(R(4, 3), R(4, 3), None, None, (3,), (0,), 0.1, "rms"), s(R(0, 3), R(0, 3), None, None, (3,), (1,), 0.1, "rms"),
        s(R(2, 2, 3, 4), R(2, 2, 3, 4), None, None, (2, 3, 1), (2, 3), 0.1, "batch"),
        s(R(2, 3, 4), R(2, 3, 4), C(1, 3, 1), S(1, 3, 1), (3, 1), (0, 2), 0.1, "fixed"),
        oracle=normalise_weight, call=with_statistics("normalise_weight", 2)),
    row("normalise_pull", s(R(3, 4), R(3, 4), None, None, R(4), (1,), 0.1, "batch"),
        s(R(2, 3, 4), R(2, 3, 4), None, None, R(3, 1), (0, 2), 0.1, "batch"),
        s(R(300, 40), R(300, 40), None, None, R(40), (1,), 0.1, "batch"),
        s(R(300, 5, 8), R(300, 5, 8), None, None, R(5, 8), (1, 2), 0.1, "rms"),
        s(R(40, 300), R(40, 300), None, None, R(1, 300), (0,), 0.1, "batch"),
        oracle=normalise_pull, order=0, call=with_statistics("normalise_pull", 2)),
)  # fmt: skip
