"""Statistics and numeric calculus: quantiles, covariance, histograms, counts, differences, slopes and areas.

Owns: what is made of other ops there, and the records that count. May import: wengert.extend. Must not know: devices;
kernels are in wengert_ops.reduction_kernels.
"""

from __future__ import annotations

import math
import warnings
from operator import index
from typing import Any

import numpy as np

from wengert.extend import (
    call,
    cast,
    category,
    creation,
    dtypes,
    e,
    errors,
    indexing,
    ints,
    one_dim,
    products,
    r,
    reduced,
    relabel,
    s,
    size_of,
    structural,
    tensor_like,
    write_out,
)  # fmt: skip


def infer_bincount(*args: Any) -> Any:
    raise errors.captured_value("bincount")


# fmt: off
# how often each of 0, 1, 2, ... occurs (at least `minlength` of them), or the sum of its weights
bincount_ = structural("bincount", "x", infer_bincount, params="minlength", constant=True)
bincount_weighted = structural("bincount_weighted", "x weights", infer_bincount, params="minlength", face="bincount")
# the elements that stand at places of x in order, along an axis
sorted_at = structural("sorted_at", "x places", lambda x, places, axis: (places.shape, x.dtype), params="axis",
    label="GatherBackward0", x=lambda g, x, places, out, axis:
    indexing.scatter_sum(g, order_at(x, out, places, axis), tuple(x.shape), axis))
# and where in x these values come from
order_at  = structural("order_at", "x values places", lambda x, values, places, axis: (places.shape, dtypes.I64), params="axis",
    constant=True)
# how many elements (or which sum of weights) fall in each of `bins` equal bins of [low, high]; between edges that are given
histc_ = structural("histc", "x", lambda x, bins, low, high: ((bins,), x.dtype), params="bins low high", constant=True)
histogram_ = structural("histogram", "x weights edges",
    lambda x, weights, edges: ((edges.shape[0] - 1,), x.dtype), constant=True)
# fmt: on


def _real_floats(name: str, input: Any) -> None:
    if category(input._array.dtype) != dtypes.FLOATING:
        raise RuntimeError(f"{name}() input tensor must be of a real floating dtype, not {input.dtype}; convert with .float()")


# ---- quantiles
def sorted_at_of_ops(x: Any, places: Any, axis: int) -> Any:
    return indexing.gather_(r.sort_(x, axis, False)[0], places, axis)


def order_at_of_ops(x: Any, values: Any, places: Any, axis: int) -> Any:
    return indexing.gather_(r.argsort_(x, axis, False), places, axis)


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool, out: Any) -> Any:
    if input._array.dtype.char not in "fd":
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype, not {input.dtype}")
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(f"{name}() interpolation must be one of {', '.join(INTERPOLATIONS)}, but got {interpolation}")
    known = not hasattr(q, "_array")
    if known:
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = tensor_like(input, np.asarray(q, input._array.dtype))
    if len(q.shape) > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor: {q.dtype} and {input.dtype}")
    if not known and not all(0 <= v <= 1 for v in np.ravel(q.detach().host())):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    if not size_of(input.shape):
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if out is not None and out.dtype is not input.dtype:
        raise RuntimeError(f"{name}() out tensor must be same dtype as the input tensor: {out.dtype} and {input.dtype}")
    shape = tuple(input.shape)
    if dim is None or not shape:
        rows, kept = s.reshape(input, (size_of(shape),)), (1,) * len(shape)
        if dim is not None:
            one_dim(name, input, dim)
    else:
        axis = one_dim(name, input, dim)
        rows = s.movedim(input, axis, -1)
        kept = (*shape[:axis], 1, *shape[axis + 1 :])
    points = s.reshape(q, (size_of(q.shape),))
    made = _between(rows, points, interpolation, skip)  # the leading dims of rows, then one for the points
    made = s.movedim(made, -1, 0)
    if keepdim:
        made = s.reshape(made, (size_of(q.shape), *kept))
    made = made if len(q.shape) else relabel(made[0], "SqueezeBackward4")
    return made if out is None else write_out(name, made, out)


def _between(rows: Any, points: Any, interpolation: str, skip: bool) -> Any:
    """Return what stands at fractions of rows in order; nan is at the end of them, and counts in the length or (skip) not."""
    axis = len(rows.shape) - 1
    n, missing = rows.shape[axis], e.isnan(rows)
    if skip:
        there = call(cast, (r.sum_(e.logical_not(missing), (axis,), True),), (rows._array.dtype,))
        ranks = points * e.clip(there - 1, 0.0, float("inf"))
    else:
        ranks = e.where(r.any_(missing, (axis,), True), float(n - 1), points * (n - 1))
    if interpolation in ("lower", "higher", "nearest"):
        ranks = {"lower": e.floor, "higher": e.ceil, "nearest": e.rint}[interpolation](ranks)
        return sorted_at(rows, call(cast, (ranks.detach(),), (dtypes.I64,)), axis)
    low = e.floor(ranks.detach())
    places = call(cast, (s.cat([low, e.ceil(ranks.detach())], axis),), (dtypes.I64,))
    weight = ranks - low if interpolation == "linear" else tensor_like(rows, np.asarray(0.5, rows._array.dtype))
    both, k = sorted_at(rows, places, axis), low.shape[axis]
    return e.lerp(_along(both, axis, 0, k), _along(both, axis, k, None), weight)


def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear", out: Any = None
) -> Any:
    """Return the q-quantiles over dim (of all by default): between sorted elements, at q (n - 1); nan where there is a nan.

    >>> torch.quantile(torch.tensor([0.0, 1.0, 2.0, 10.0]), torch.tensor([0.5, 1.0]))
    tensor([ 1.5000, 10.0000])
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False, out)


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear", out: Any = None
) -> Any:
    """Return the q-quantiles over dim of what is not nan; see `quantile`."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True, out)


# ---- covariance
def _weights(name: str, weights: Any, input: Any, n: int, integral: bool) -> None:
    if len(weights.shape) > 1:
        raise RuntimeError(f"cov(): {name} may have one dimension, but has shape {list(weights.shape)}")
    kind = category(weights._array.dtype)
    if (kind == dtypes.INTEGRAL) != integral or kind == dtypes.COMPLEX or kind == dtypes.BOOL:
        raise RuntimeError(f"cov(): {name} must be of {'an integer' if integral else 'a floating'} dtype, not {weights.dtype}")
    if size_of(weights.shape) != n:
        raise RuntimeError(f"cov(): {name} needs one element an observation: {size_of(weights.shape)} for {n}")
    if n and bool((weights < 0).any()):
        raise RuntimeError(f"cov(): {name} cannot be negative")


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Return the covariance matrix of variables (rows) from observations (columns).

    fweights: how often each observation was made; aweights: how much each counts. Raises RuntimeError for more than 2 dims.
    """
    if len(input.shape) > 2:
        raise RuntimeError(f"cov(): the input may have two dimensions, but has shape {list(input.shape)}")
    if input._array.dtype == dtypes.B8:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = s.reshape(input, (1, size_of(input.shape))) if len(input.shape) < 2 else input
    n = rows.shape[1]
    weights: Any = None
    for name, given, integral in (("fweights", fweights, True), ("aweights", aweights, False)):
        if given is not None:
            _weights(name, given, input, n, integral)
            weights = given if weights is None else weights * given
    if weights is None:
        if category(rows._array.dtype) < dtypes.FLOATING:
            rows = call(cast, (rows,), (dtypes.default_float(),))
        middle = r.mean_(rows, (1,), True)
        degrees: Any = n - correction
        positive = degrees > 0
    else:
        total = r.sum_(weights, None, False)
        if n and not bool(total != 0):
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        middle = r.sum_(rows * weights, (1,), True) / total
        if aweights is not None and correction:
            degrees = total - correction * r.sum_(weights * aweights, None, False) / total
        else:
            degrees = total - correction
        positive = bool(degrees > 0)
    if not positive:
        warnings.warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.",
                      stacklevel=2)  # fmt: skip
        degrees = 0 if weights is None else degrees * 0
    off = rows - middle
    other = e.conj(off if weights is None else off * weights)
    return s.squeeze(products.matmul(off, s.transpose_(other, (1, 0))) / degrees)


def corrcoef(input: Any) -> Any:
    """Return the matrix of Pearson's correlation coefficients of variables (rows): cov / (std_i std_j), within [-1, 1]."""
    if len(input.shape) > 2:
        raise RuntimeError(f"corrcoef(): the input may have two dimensions, but has shape {list(input.shape)}")
    made = cov(input)
    if not len(made.shape):
        return made / made
    deviation = e.sqrt(s.diagonal_(made, 0, 0, 1))
    made = made / s.reshape(deviation, (-1, 1)) / deviation
    if made._array.dtype.kind == "c":
        from wengert import complex, imag, real

        return complex(e.clamp(real(made), -1, 1), e.clamp(imag(made), -1, 1))
    return e.clamp(made, -1, 1)


# ---- counting
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Return how often each of 0, 1, 2, ... occurs in a vector of integers, or the sum of its weights.

    Raises RuntimeError for negative integers, other dtypes and more dims.

    >>> torch.bincount(torch.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    host = input.detach().host() if hasattr(input, "_array") else None
    if host is None:
        raise errors.not_a_tensor("bincount", input, "input")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0 (bincount)")
    if host.dtype.kind not in "iu":
        raise NotImplementedError(f"bincount is not implemented for {input.dtype}: it takes integers")
    if host.ndim != 1 or (host.size and host.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return bincount_(input, minlength)
    if len(weights.shape) != 1 or weights.shape != input.shape:
        raise RuntimeError(f"bincount: weights of shape {list(weights.shape)} for an input of shape {list(input.shape)}")
    if weights.dtype is not dtypes.float32:
        weights = call(cast, (weights,), (dtypes.F64,))
    return bincount_weighted(input, weights, minlength)


def _limits(name: str, input: Any, low: float, high: float, margin: float) -> tuple[float, float]:
    """Return the range of a histogram: that of the data where both ends are equal, with a margin where it is empty.

    Raises RuntimeError where it is not finite, or its ends are in the wrong order.
    """
    if low == high and size_of(input.shape):
        low, high = float(r.amin_(input.detach(), None, False)), float(r.amax_(input.detach(), None, False))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min")
    return (low - margin, high + margin) if low == high else (low, high)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """Return how many elements fall in each of `bins` equal bins of [min, max]; without these of the range of the data."""
    bins = index(bins)
    if bins <= 0:
        raise RuntimeError(f"torch.histc(): bins must be > 0, but got {bins}")
    if input._array.dtype.kind in "cb":
        raise NotImplementedError(f"histc is not implemented for {input.dtype}")
    low, high = _limits("torch.histc", input, min, max, 1.0)
    return histc_(input, bins, low, high)


Histogram, HistogramDD = r.named("histogram"), r.named("histogramdd")


def _edges(name: str, column: Any, bins: Any, limits: tuple[float, float] | None) -> Any:
    """Return where bins end: as given, or equally spaced over limits or the range of the data."""
    if hasattr(bins, "_array"):
        if len(bins.shape) != 1:
            raise RuntimeError(f"{name}(): bins tensor should have one dimension, but got {len(bins.shape)}")
        if bins.dtype is not column.dtype:
            raise RuntimeError(f"{name}(): input tensor and bins tensors should have the same dtype, but got {bins.dtype}")
        return bins
    if bins <= 0:
        raise RuntimeError(f"{name}(): bins must be > 0, but got {bins}")
    low, high = limits or (0.0, 0.0)
    if limits is None and not size_of(column.shape):
        low, high = 0.0, 1.0
    if limits is not None and low == high:  # of histc that means the range of the data
        low, high = low - 0.5, high + 0.5
    low, high = _limits(f"torch.{name}", column, low, high, 0.5)
    return creation.linspace(low, high, bins + 1, dtype=column.dtype, device=column.device)


def histogram(
    input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False, out: Any = None
) -> Any:
    """Return (hist, bin_edges): the number of elements, or the sum of their weights, in each bin.

    bins: how many, over `range` or that of the data, or a tensor of edges. density: divided by the total and bin widths.
    """
    _real_floats("histogram", input)
    if hasattr(bins, "_array") and range is not None:
        raise TypeError("histogram(): range= is for a number of bins, not for edges")
    if weight is not None and (weight.shape != input.shape or weight.dtype is not input.dtype):
        raise RuntimeError(
            f"histogram(): if weight tensor is provided it should have the same shape and dtype as the input tensor, but got "
            f"{weight.dtype}{list(weight.shape)} and {input.dtype}{list(input.shape)}"
        )
    edges = _edges("histogram", input, bins, None if range is None else tuple(range))
    flat = s.reshape(input.detach(), (size_of(input.shape),))
    ones = s.broadcast_to(s.filled(flat, (1,), 1, None), tuple(flat.shape))
    weights = ones if weight is None else s.reshape(weight.detach(), tuple(flat.shape))
    hist = histogram_(flat, weights, edges.detach())
    if density:
        hist = hist / r.sum_(hist, None, False) / diff(edges.detach())
    pair = Histogram(hist, edges)
    return pair if out is None else write_out("histogram", pair, out)


def histogramdd(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """Return (hist, bin_edges) of points (the last dim of input) in several dimensions; see `histogram`."""
    _real_floats("histogramdd", input)
    if len(input.shape) < 2:
        raise RuntimeError(f"histogramdd(): input tensor should have at least 2 dimensions, but got {len(input.shape)}")
    n = input.shape[-1]
    numbers = [*ints(bins)] * (1 if hasattr(bins, "__len__") else n)
    if len(numbers) != n or (range is not None and len(range) != 2 * n):
        raise RuntimeError(f"histogramdd(): expected bins and a range for each of the {n} dimensions of the points")
    points = s.reshape(input.detach(), (size_of(input.shape[:-1]), n))
    if weight is not None and (tuple(weight.shape) != tuple(input.shape[:-1]) or weight.dtype is not input.dtype):
        raise RuntimeError("histogramdd(): weight should have the dtype of input, and its shape without the last dim")
    edges: list[Any] = []
    place: Any = 0
    inside: Any = True
    for d, count in enumerate(numbers):
        column = indexing.get(points, (slice(None), d))
        limits = None if range is None else (range[2 * d], range[2 * d + 1])
        ends = _edges("histogramdd", column, count, limits).detach()
        column = s.contiguous(column)
        size = ends.shape[0] - 1
        places = _bin(column, ends)
        inside = inside & (column >= ends[0]) & (column <= ends[-1])
        place = place * size + e.clamp(places, 0, max(size - 1, 0))
        edges.append(ends)
    shape = tuple(x.shape[0] - 1 for x in edges)
    many = (points.shape[0],)
    weights = s.filled(points, many, 1, None) if weight is None else s.reshape(weight.detach(), many)
    total = s.filled(points, (size_of(shape),), 0, None)
    hist = s.reshape(indexing.index_add(total, 0, place[inside], weights[inside]), shape)
    if density:
        hist = hist / r.sum_(hist, None, False)
        for d, ends in enumerate(edges):
            hist = hist / s.reshape(diff(ends), tuple(-1 if i == d else 1 for i, _ in enumerate(edges)))
    return HistogramDD(hist, tuple(edges))


def _bin(values: Any, edges: Any) -> Any:
    """Return which bin each value is in; the last edge belongs to the last bin."""
    from wengert import searchsorted

    return searchsorted(edges, values, right=True) - 1 - call(cast, (values == edges[-1],), (dtypes.I64,))


# ---- differences, slopes, areas
def _along(x: Any, axis: int, start: int, stop: int | None) -> Any:
    return s.getitem(x, (*(slice(None),) * axis, slice(start, stop)))


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return the n-th difference along dim, x[i + 1] - x[i] n times; prepend and append are joined to it before.

    >>> torch.diff(torch.tensor([1, 4, 9, 16]), n=2)
    tensor([2, 2])
    """
    if not len(input.shape):
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n} (diff)")
    axis = one_dim("diff", input, dim)
    for name, part in (("prepend", prepend), ("append", append)):
        if part is not None and len(part.shape) != len(input.shape):
            raise RuntimeError(f"diff expects {name} to have the same number of dims as input: {list(part.shape)}")
    parts = [x for x in (prepend, input, append) if x is not None]
    joined = s.cat(parts, axis) if len(parts) > 1 and n else input
    minus = e.logical_xor if joined._array.dtype == dtypes.B8 else e.subtract
    for _ in range(min(n, joined.shape[axis])):
        joined = minus(_along(joined, axis, 1, None), _along(joined, axis, 0, max(joined.shape[axis] - 1, 0)))
    return e.clone(joined) if joined is input else joined


def gradient(input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Any, ...]:
    """Return estimates of the derivative along dims, a tensor each: second-order differences inside, one-sided ones at the
    ends (of first or second order). spacing: a number, one for each dim, or a tensor of coordinates for each dim."""
    ndim = len(input.shape)
    dims = list(range(ndim)) if dim is None else ints(dim)
    axes = [one_dim("gradient", input, d) for d in dims]
    if len({*axes}) != len(axes):
        raise RuntimeError("dim 0 appears multiple times in the list of dims (torch.gradient)")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if hasattr(spacing, "_array"):
        spacing = [spacing] if len(spacing.shape) else float(spacing)
    steps: list[Any] = list(spacing) if isinstance(spacing, list | tuple) else [1 if spacing is None else spacing] * len(axes)
    if len(steps) != len(axes):
        raise RuntimeError(f"torch.gradient: spacing is a number, or a list of one for each dim: {len(axes)}, not {len(steps)}")
    if input._array.dtype.char == "B":
        raise RuntimeError("torch.gradient does not support uint8 input.")
    for axis, step in zip(axes, steps, strict=True):
        if input.shape[axis] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
        if hasattr(step, "_array") and tuple(step.shape) != (input.shape[axis],):
            raise RuntimeError(
                f"torch.gradient: {input.shape[axis]} coordinates are needed, but their shape is {list(step.shape)}"
            )
    return tuple([_slope(input, axis, step, edge_order) for axis, step in zip(axes, steps, strict=True)])


def _slope(x: Any, axis: int, step: Any, edge_order: int) -> Any:
    n = x.shape[axis]
    if hasattr(step, "_array"):
        gaps = s.reshape(diff(step), tuple(n - 1 if i == axis else 1 for i in range(len(x.shape))))

        def gap(i: int) -> Any:
            return _along(gaps, axis, i % (n - 1), i % (n - 1) + 1)

        before, after = _along(gaps, axis, 0, n - 2), _along(gaps, axis, 1, None)
    else:

        def gap(i: int) -> Any:
            return step

        before = after = step

    def at(i: int) -> Any:
        return _along(x, axis, i % n, i % n + 1)

    if edge_order == 1:
        first, last = (at(1) - at(0)) / gap(0), (at(-1) - at(-2)) / gap(-1)
    else:
        first = _one_sided(at(0), at(1), at(2), gap(0), gap(1))
        last = -_one_sided(at(-1), at(-2), at(-3), gap(-1), gap(-2))
    lower, middle, upper = _along(x, axis, 0, max(n - 2, 0)), _along(x, axis, 1, n - 1), _along(x, axis, 2, None)
    if hasattr(step, "_array"):
        inside = (
            upper * (before / (after * (before + after))) + middle * ((after - before) / (before * after))
            - lower * (after / (before * (before + after)))
        )  # fmt: skip
    else:
        inside = (upper - lower) / (2 * step)
    return s.cat([first, inside, last], axis)


def _one_sided(here: Any, near: Any, far: Any, a: Any, b: Any) -> Any:
    """Return the slope of the parabola through three points at its end; a and b are the gaps from there."""
    return near * ((a + b) / (a * b)) - here * ((2 * a + b) / (a * (a + b))) - far * (a / (b * (a + b)))


def _areas(name: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    """Return twice the area between neighbours along a dim."""
    if x is not None and dx is not None:
        raise TypeError(f"{name}(): x and dx cannot both be given")
    if isinstance(dx, bool) or not (dx is None or isinstance(dx, int | float)) or y._array.dtype == dtypes.B8:
        raise RuntimeError(f"{name}: received a bool or complex value for y or dx, which must be numbers")
    axis = one_dim(name, y, dim)
    pairs = _along(y, axis, 1, None) + _along(y, axis, 0, max(y.shape[axis] - 1, 0))
    if x is None:
        return pairs if dx is None else pairs * dx, axis
    if x._array.dtype == dtypes.B8:
        raise RuntimeError(f"{name}: received a bool input for `x`, but bool is not supported")
    if len(x.shape) == 1 and len(y.shape) > 1:
        if x.shape[0] != y.shape[axis]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point: {x.shape[0]}, {y.shape[axis]}")
        return pairs * s.reshape(diff(x), tuple(-1 if i == axis else 1 for i in range(len(y.shape)))), axis
    return pairs * diff(x, dim=dim), axis


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Return the integral along dim by the trapezoidal rule, over points x or steps dx (1 by default).

    >>> x = torch.linspace(0, 1, 11)
    >>> torch.trapezoid(x * x, x)
    tensor(0.3350)
    """
    if len(y.shape) and not y.shape[one_dim("trapezoid", y, dim)]:
        return s.filled(y, reduced(tuple(y.shape), (one_dim("trapezoid", y, dim),), False), 0, None)
    doubled, axis = _areas("trapezoid", y, x, dx, dim)
    total = r.sum_(doubled, (one_dim("trapezoid", doubled, axis - len(y.shape)),), False) / 2.0
    return relabel(total, "MulBackward1" if x is None else "DivBackward1")


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Return the running integral along dim by the trapezoidal rule; see `trapezoid`."""
    doubled, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return r.cumsum_(doubled, one_dim("cumulative_trapezoid", doubled, axis - len(y.shape))) / 2.0
