"""Reductions, scans and sorting: many elements become one, along `axis` (a tuple of non-negative dims, or None: all).

Owns: sum, mean, extremes, statistics, norms, softmax, cumsum, argsort and what is made of them. May import: record,
elementwise and shape ops. Must not know: devices.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

from wengert import dtypes
from wengert._tensor import Tensor
from wengert.faces import composite, face
from wengert.ops import elementwise as e
from wengert.ops import shapes as s
from wengert.ops.dims import Axes, axes_of, count, one_dim, reduced
from wengert.record import call, cast, relabel, structural


def restore(g: Any, shape: tuple[int, ...], axis: Axes, keepdims: bool) -> Any:
    """Return a reduced array with its reduced dims back, as ones."""
    return g if keepdims or not shape else s.reshape(g, reduced(shape, axis, True))


def spread(g: Any, shape: tuple[int, ...], axis: Axes, keepdims: bool) -> Any:
    """Return a reduced array repeated over what was reduced: the transpose of a sum."""
    return s.broadcast_to(restore(g, shape, axis, keepdims), shape)


# ---- rules that need more than a line
def extreme_rule(g: Any, x: Any, out: Any, axis: Axes, keepdims: bool) -> Any:
    """Share the gradient evenly among the elements that reach the extreme."""
    shape = tuple(x.shape)
    reached = x == restore(out, shape, axis, keepdims)
    shares = cast(sum_(reached, axis, True), g.dtype if not isinstance(g, Tensor) else g._array.dtype)
    return e.where(reached, restore(g, shape, axis, keepdims), 0.0) / shares


def norm2_rule(g: Any, x: Any, out: Any, axis: Axes, keepdims: bool) -> Any:
    shape = tuple(x.shape)
    return restore(g, shape, axis, keepdims) * unit(x, restore(out, shape, axis, keepdims))


def prod_rule(g: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    """Multiply by the product of all other elements, made of products alone so that zeros are exact to any order."""
    shape = tuple(x.shape)
    if axis is not None and len(axis) > 1:
        raise NotImplementedError("prod: the gradient over several dims at once; reduce one dim after another")
    rows = x if axis else s.reshape(x, (count(shape, None),))
    dim = axis[0] if axis else 0
    others = exclusive_product(rows, dim) * s.flip(exclusive_product(s.flip(rows, (dim,)), dim), (dim,))
    return restore(g, shape, axis, keepdims) * s.reshape(others, shape)


def exclusive_product(x: Any, dim: int) -> Any:
    """Return the product of the elements before each one, by doubling."""
    n = x.shape[dim]
    result, step = shifted(x, dim, 1), 1
    while step < n:
        result, step = result * shifted(result, dim, step), step * 2
    return result


def shifted(x: Any, dim: int, by: int) -> Any:
    """Return x moved up by `by` places along dim, with ones below."""
    n = x.shape[dim]
    index = (slice(None),) * dim
    kept = s.getitem(x, (*index, slice(0, builtins.max(n - by, 0))))
    ones = s.filled(x, (*x.shape[:dim], builtins.min(by, n), *x.shape[dim + 1 :]), 1, None)
    return s.concatenate((ones, kept), dim)


def infer_reduction(x: Any, axis: Axes, keepdims: bool) -> Any:
    return reduced(tuple(x.shape), axis, keepdims), x.dtype


def infer_extreme(x: Any, axis: Axes, keepdims: bool) -> Any:
    if count(tuple(x.shape), axis) == 0 and count(reduced(tuple(x.shape), axis, False), None) > 0:
        raise (RuntimeError if axis is None else IndexError)(
            f"Expected reduction dim to be specified for input.numel() == 0, with a size above 0: the shape is {list(x.shape)}"
        )
    return infer_reduction(x, axis, keepdims)


def infer_sum(x: Any, axis: Axes, keepdims: bool) -> Any:
    dtype = x.dtype if dtypes.category(x.dtype) >= dtypes.FLOATING else dtypes.I64
    return reduced(tuple(x.shape), axis, keepdims), dtype


def infer_index(x: Any, axis: int | None, keepdims: bool) -> Any:
    shape, _ = infer_extreme(x, tuple(range(len(x.shape))) if axis is None else (axis,), keepdims)
    return shape, dtypes.I64


def infer_bool(x: Any, axis: Axes, keepdims: bool) -> Any:
    return reduced(tuple(x.shape), axis, keepdims), dtypes.B8


def by_dim(name: str) -> Any:
    return lambda axis, keepdims: f"{name}Backward{0 if axis is None else 1}"


# fmt: off
P = "axis keepdims"
sum_    = structural("sum", "x", infer_sum, params=P, label=by_dim("Sum"), x=lambda g, x_shape, axis, keepdims:
    spread(g, x_shape, axis, keepdims))
mean_   = structural("mean", "x", infer_reduction, params=P, label=by_dim("Mean"), x=lambda g, x_shape, axis, keepdims:
    spread(g / builtins.max(count(x_shape, axis), 1), x_shape, axis, keepdims))
prod_   = structural("prod", "x", infer_sum, params=P, label=by_dim("Prod"), x=prod_rule)
amax_   = structural("amax", "x", infer_extreme, params=P, label="AmaxBackward0", x=extreme_rule)
amin_   = structural("amin", "x", infer_extreme, params=P, label="AminBackward0", x=extreme_rule)
norm2   = structural("norm2", "x", infer_reduction, params=P, label="LinalgVectorNormBackward0",
    x=norm2_rule)
any_    = structural("any", "x", infer_bool, params=P, constant=True)
all_    = structural("all", "x", infer_bool, params=P, constant=True)
argmax_ = structural("argmax", "x", infer_index, params=P, constant=True)
argmin_ = structural("argmin", "x", infer_index, params=P, constant=True)
argsort_ = structural("argsort", "x", lambda x, axis, descending: (x.shape, dtypes.I64), params="axis descending",
    constant=True)
cumsum_ = structural("cumsum", "x", lambda x, axis: infer_sum(x, (), True), params="axis",
    x=lambda g, axis: s.flip(cumsum_(s.flip(g, (axis,)), axis), (axis,)))
# fmt: on


def unit(x: Any, norm: Any) -> Any:
    """Return x / norm, and 0 where the norm is 0 (PyTorch's choice among the subgradients)."""
    zero = norm == 0
    return e.where(zero, 0.0, x / e.where(zero, 1.0, norm))


# ---- faces
def _typed(input: Any, dtype: Any) -> Any:
    return input if dtype is None else input.to(dtype)


@face("sum")
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, axis: Any = None) -> Any:
    """Return the sum over dim (all by default); integers are added as int64."""
    input, dim = _typed(input, dtype), dim if axis is None else axis
    return sum_(input, axes_of("sum", input, dim), keepdim, out=out)


def _floating(name: str, input: Any) -> None:
    if dtypes.category(input._array.dtype) < dtypes.FLOATING:
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {input.dtype}; convert with .float()"
        )


@face("mean")
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, axis: Any = None) -> Any:
    """Return the mean over dim (all by default). Raises RuntimeError for integer input."""
    input = _typed(input, dtype)
    _floating("mean", input)
    return mean_(input, axes_of("mean", input, dim if axis is None else axis), keepdim, out=out)


@face("prod")
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the product over one dim, or of all elements; integers are multiplied as int64."""
    input = _typed(input, dtype)
    return prod_(input, axes_of("prod", input, dim), keepdim)


@face("amax")
def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """Return the maximum over dims; the gradient is shared evenly among equal maxima."""
    return amax_(input, axes_of("amax", input, None if dim == () else dim), keepdim)


@face("amin")
def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """Return the minimum over dims; the gradient is shared evenly among equal minima."""
    return amin_(input, axes_of("amin", input, None if dim == () else dim), keepdim)


class Extreme(NamedTuple):
    """Values and where they stand, as `max(dim)`, `min(dim)`, `sort` and `topk` return them."""

    values: Any
    indices: Any

    def __repr__(self) -> str:
        return f"torch.return_types.extreme(\nvalues={self.values!r},\nindices={self.indices!r})"


def _named(name: str) -> type[Extreme]:
    def show(self: Extreme) -> str:
        return f"torch.return_types.{name}(\nvalues={self.values!r},\nindices={self.indices!r})"

    return type(name, (Extreme,), {"__repr__": show})


_MAX, _MIN, _SORT, _TOPK = (_named(n) for n in ("max", "min", "sort", "topk"))


def _at_indices(input: Any, indices: Any, dim: int, keepdim: bool, label: str) -> Any:
    from wengert.ops import indexing

    if not input._array.ndim:
        return e.clone(input)
    values = indexing.gathered(input, dim, indices if keepdim else s.unsqueeze(indices, dim))
    return relabel(values if keepdim else s.squeeze(values, dim), label)


def _extreme(name: str, pick: Any, full: Any, pairwise: Any, made: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    if dim is None:
        if keepdim:
            raise TypeError(f"{name}(): keepdim needs a dim")
        return relabel(full(input, None, False), f"{name.capitalize()}Backward1")
    if isinstance(dim, Tensor):
        return pairwise(input, dim)
    axis = one_dim(name, input, dim)
    indices = pick(input, axis, keepdim)
    return made(_at_indices(input, indices, axis, keepdim, f"{name.capitalize()}Backward0"), indices)


@face("max")
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Return the maximum of all; over dim with its indices; or elementwise of two tensors."""
    return _extreme("max", argmax_, amax_, e.maximum, _MAX, input, dim if other is None else other, keepdim)


@face("min")
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Return the minimum of all; over dim with its indices; or elementwise of two tensors."""
    return _extreme("min", argmin_, amin_, e.minimum, _MIN, input, dim if other is None else other, keepdim)


@face("argmax")
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the index of the first maximum over dim, or in the flattened tensor."""
    return argmax_(input, None if dim is None else one_dim("argmax", input, dim), keepdim)


@face("argmin")
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the index of the first minimum over dim, or in the flattened tensor."""
    return argmin_(input, None if dim is None else one_dim("argmin", input, dim), keepdim)


@face("any")
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Say whether any element (over dim) is true."""
    return any_(input, () if dim in ((), []) else axes_of("any", input, dim), keepdim)


@face("all")
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Say whether all elements (over dim) are true."""
    return all_(input, () if dim in ((), []) else axes_of("all", input, dim), keepdim)


@face("count_nonzero")
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """Return how many elements (over dim) are not zero."""
    return sum_(input != 0, axes_of("count_nonzero", input, dim), False)


@face("cumsum")
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return the running sum along dim."""
    input = _typed(input, dtype)
    if not input._array.ndim:
        return relabel(sum_(input, None, False), "CumsumBackward0")
    return cumsum_(input, one_dim("cumsum", input, dim))


def _moments(name: str, input: Any, dim: Any, correction: Any, keepdim: bool) -> tuple[Any, Any]:
    _floating(name, input)
    axis = axes_of(name, input, dim)
    n = count(tuple(input.shape), axis)
    middle = mean_(input, axis, True)
    off = input - middle
    degrees = builtins.max(n - correction, 0)
    size = e.absolute(off) if dtypes.category(input._array.dtype) == dtypes.COMPLEX else off
    spread_ = sum_(size * size, axis, keepdim)
    return (spread_ / degrees if degrees else spread_ * float("inf")), (
        middle if keepdim else s.reshape(middle, reduced(tuple(input.shape), axis, False))
    )


def _correction(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, Any]:
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    return dim, (correction if correction is not None else 1 if unbiased is None or unbiased else 0)


@composite("var")
def var(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Return the variance over dim: sum (x - mean)^2 / (n - correction), correction 1 by default."""
    dim, correction = _correction(dim, unbiased, correction)
    return _moments("var", input, dim, correction, keepdim)[0]


@composite("std")
def std(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Return the standard deviation over dim, the square root of `var`; its gradient where it is 0 is 0."""
    dim, correction = _correction(dim, unbiased, correction)
    variance = _moments("std", input, dim, correction, keepdim)[0]
    zero = variance == 0
    return e.where(zero, 0.0, e.sqrt(e.where(zero, 1.0, variance)))


def _highest(input: Any, axis: Axes) -> Any:
    """Return the maximum over dims, as a constant; of nothing it is 0."""
    if count(tuple(input.shape), axis):
        return amax_(input.detach(), axis, True)
    return sum_(input.detach(), axis, True)


@composite("logsumexp")
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """Return log sum exp(x) over dim, safe from overflow."""
    axis = axes_of("logsumexp", input, dim)
    if dtypes.category(input._array.dtype) < dtypes.FLOATING:
        input = call(cast, (input,), (dtypes.default_float(),))
    top = _highest(input, axis)
    top = e.where(e.isfinite(top), top, 0.0)
    total = e.log(sum_(e.exp(input - top), axis, keepdim))
    return total + (top if keepdim else s.reshape(top, tuple(total.shape)))


def _no_integers(name: str, input: Any) -> None:
    if dtypes.category(input._array.dtype) < dtypes.FLOATING:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert with .float(), or give dtype=")


@composite("softmax")
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """Return exp(x) / sum exp(x) along dim. Raises NotImplementedError for integers."""
    input = s.contiguous(_typed(input, dtype))
    _no_integers("softmax", input)
    axis = axes_of("softmax", input, dim)
    powers = e.exp(input - _highest(input, axis))
    return powers / sum_(powers, axis, True)


@composite("log_softmax")
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """Return x - log sum exp(x) along dim. Raises NotImplementedError for integers."""
    input = s.contiguous(_typed(input, dtype))
    _no_integers("log_softmax", input)
    axis = axes_of("log_softmax", input, dim)
    lowered = input - _highest(input, axis)
    return lowered - e.log(sum_(e.exp(lowered), axis, True))


@face("norm")
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Return the p-norm of the elements over dim: (sum |x|^p)^(1/p); "fro" is 2; inf, -inf and 0 as usual."""
    input = _typed(input, dtype)
    _floating("linalg.vector_norm", input)
    axis = axes_of("norm", input, dim)
    title = "LinalgVectorNormBackward0"
    if p is None or p == "fro" or p == 2:
        return norm2(input, axis, keepdim)
    if isinstance(p, str):
        raise RuntimeError(f"norm: p={p!r} is not supported; use 'fro' or a number (singular-value norms are in linalg)")
    size = e.absolute(input)
    if p in (float("inf"), float("-inf")):
        return relabel((amax_ if p > 0 else amin_)(size, axis, keepdim), title)
    if p == 0:
        return relabel(sum_(e.overwrite(input, input != 0), axis, keepdim), title)
    if p == 1:
        return relabel(sum_(size, axis, keepdim), title)
    return relabel(_power(sum_(_power(size, p), axis, keepdim), 1 / p), title)


def _power(size: Any, p: float) -> Any:
    """Return size ** p with gradient 0 where size is 0, also for p below 1."""
    if p >= 1:
        return e.power_number(size, p)
    zero = size == 0
    return e.where(zero, 0.0, e.power_number(e.where(zero, 1.0, size), p))


@face("argsort")
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return the indices that sort input along dim (always stable here)."""
    return argsort_(input, one_dim("argsort", input, dim), bool(descending))


@face("sort")
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return (values, indices) sorted along dim, stable; nan counts as the largest."""
    axis = one_dim("sort", input, dim)
    indices = argsort_(input, axis, bool(descending))
    return _SORT(_at_indices(input, indices, axis, True, "SortBackward0"), indices)


@face("topk")
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Return the k largest (or smallest) elements along dim and their indices. Raises RuntimeError when k is too large."""
    axis = one_dim("topk", input, dim)
    if not 0 <= k <= (input.shape[axis] if input._array.ndim else 1):
        length = input.shape[axis] if input._array.ndim else 1
        raise RuntimeError(f"selected index k out of range: k={k}, the dimension has {length}")
    indices = argsort_(input, axis, bool(largest))
    if input._array.ndim:
        indices = e.clone(s.getitem(indices, (*(slice(None),) * axis, slice(0, k))))
    return _TOPK(_at_indices(input, indices, axis, True, "TopkBackward0"), indices)
