"""Reductions, scans and sorting: many elements become one, along `axis` (a tuple of non-negative dims, or None: all).

Owns: sum, mean, extremes, statistics, norms, softmax, cumsum, argsort and what is made of them. May import: record,
elementwise and shape ops. Must not know: devices.
"""

from __future__ import annotations

import builtins
from typing import Any

from wengert import dtypes, errors
from wengert._tensor import Tensor
from wengert.faces import face
from wengert.inplace import write_out
from wengert.ops import elementwise as e
from wengert.ops import indexing
from wengert.ops import shapes as s
from wengert.ops.dims import Axes, axes_of, count, index_of, kind_of, one_dim, reduced
from wengert.ops.results import named as named
from wengert.record import call, cast, relabel, structural
from wengert.registry import registry

MANY = 1 << 12  # elements from which on a rule in more calls, of fewer elements each, is the faster one


def restore(g: Any, shape: tuple[int, ...], axis: Axes, keepdims: bool) -> Any:
    """Return a reduced array with its reduced dims back, as ones."""
    return g if keepdims or not shape else s.reshape(g, reduced(shape, axis, True))


def spread(g: Any, shape: tuple[int, ...], axis: Axes, keepdims: bool) -> Any:
    """Return a reduced array repeated over what was reduced: the transpose of a sum."""
    return s.broadcast_to(g if axis is None else restore(g, shape, axis, keepdims), shape)


# ---- rules that need more than a line
def extreme_rule(g: Any, x: Any, out: Any, axis: Axes, keepdims: bool) -> Any:
    """Share the gradient evenly among the elements that reach the extreme."""
    shape = tuple(x.shape)
    reached = x == restore(out, shape, axis, keepdims)
    reached = reached | (x != x) if axis is None else reached  # max() of all follows nan, as PyTorch has it
    shares = cast(sum_(reached, axis, True), dtype_of(g))
    return e.where(reached, restore(g, shape, axis, keepdims), 0.0) / shares


def dtype_of(x: Any) -> Any:
    """Return the NumPy dtype of a tensor or a raw array."""
    return x._array.dtype if isinstance(x, Tensor) else x.dtype


def chosen_rule(g: Any, indices: Any, shape: tuple[int, ...], axis: int, keepdims: bool) -> Any:
    """Give the gradient to the elements that were chosen, each once."""
    if not shape:
        return g
    if not keepdims:
        kept = (*shape[:axis], 1, *shape[axis + 1 :])
        g, indices = s.reshape(g, kept), s.reshape(indices, kept)
    return put_along(g, indices, shape, axis)


def norm2_rule(g: Any, x: Any, out: Any, axis: Axes, keepdims: bool) -> Any:
    """Return g x / norm, and 0 where the norm is 0 (PyTorch's choice among the subgradients)."""
    zero = out == 0
    return x * restore(e.where(zero, 0.0, g / e.where(zero, 1.0, out)), tuple(x.shape), axis, keepdims)


def prod_rule(g: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    """Multiply by the product of all other elements."""
    shape = tuple(x.shape)
    inner = tuple(range(len(shape))) if axis is None else axis
    if len(inner) == 1:
        return restore(g, shape, axis, keepdims) * others(x, inner[0])
    order = (*[d for d in range(len(shape)) if d not in inner], *inner)
    moved = s.transpose_(x, order)
    rows = s.reshape(moved, (*moved.shape[: len(shape) - len(inner)], count(shape, inner)))
    found = s.transpose_(s.reshape(others(rows, len(rows.shape) - 1), tuple(moved.shape)), s.inverse(order))
    return restore(g, shape, axis, keepdims) * found


def others(x: Any, dim: int) -> Any:
    """Return the products of all other elements along dim, made of products alone so that zeros are exact to any order: of
    many elements those of the pairs, each times the other one of its pair; of few the scans from both ends."""
    n = x.shape[dim]
    half = n // 2
    if not half or count(tuple(x.shape), None) < MANY:
        return exclusive_product(x, dim) * s.flip(exclusive_product(s.flip(x, (dim,)), dim), (dim,))
    left, right = cut(x, dim, 0, half), cut(x, dim, half, 2 * half)
    pairs = left * right
    if n % 2:
        around = others(s.concatenate((pairs, cut(x, dim, n - 1, n)), dim), dim)
        first = cut(around, dim, 0, half)
        return s.concatenate((first * right, first * left, cut(around, dim, half, half + 1)), dim)
    first = others(pairs, dim)
    return s.concatenate((first * right, first * left), dim)


def exclusive_product(x: Any, dim: int) -> Any:
    """Return the product of the elements before each one."""
    return shifted(cumprod_(x, dim), dim, 1, 1)


def cut(x: Any, dim: int, start: int, end: int, step: int = 1) -> Any:
    """Return the elements from start to end along dim."""
    return s.getitem(x, (*(slice(None),) * dim, slice(start, end, step)))


def shifted(x: Any, dim: int, by: int, value: float) -> Any:
    """Return x moved up by `by` places along dim (down, where `by` is negative), a value in the places left free."""
    n = x.shape[dim]
    size = builtins.min(abs(by), n)
    kept = cut(x, dim, 0, n - size) if by > 0 else cut(x, dim, size, n)
    free = s.filled(x, (*x.shape[:dim], size, *x.shape[dim + 1 :]), value, None)
    return s.concatenate((free, kept) if by > 0 else (kept, free), dim)


def recurrence(g: Any, a: Any, dim: int) -> Any:
    """Return y with y[k] = g[k] + a[k] * y[k + 1] along dim, where y past the end is 0, of sums and products: of many elements
    by that of every second one, of few by doubling."""
    n, step = g.shape[dim], 1
    if n > 1 and count(tuple(g.shape), None) >= MANY:
        if n % 2:
            free = s.filled(g, (*g.shape[:dim], 1, *g.shape[dim + 1 :]), 0, None)
            return cut(recurrence(s.concatenate((g, free), dim), s.concatenate((a, free), dim), dim), dim, 0, n)
        (g0, g1), (a0, a1) = [[cut(x, dim, i, n, 2) for i in (0, 1)] for x in (g, a)]
        y0 = recurrence(g0 + a0 * g1, a0 * a1, dim)
        y1 = g1 + a1 * shifted(y0, dim, -1, 0)
        pair = (*y0.shape[: dim + 1], 1, *y0.shape[dim + 1 :])
        return s.reshape(s.concatenate((s.reshape(y0, pair), s.reshape(y1, pair)), dim + 1), tuple(g.shape))
    while step < n:
        g = g + a * shifted(g, dim, -step, 0)
        a = a * shifted(a, dim, -step, 0)
        step *= 2
    return g


def cumprod_rule(g: Any, x: Any, axis: int) -> Any:
    """Multiply each gradient by the products of the elements before and between; no division, so zeros are exact."""
    if not len(x.shape):
        return g
    return exclusive_product(x, axis) * recurrence(g, shifted(x, axis, -1, 0), axis)


def deviation(x: Any, axis: Axes, correction: float) -> Any:
    """Return the derivative of the variance, 2 (x - mean) / (n - correction)."""
    degrees = builtins.max(count(tuple(x.shape), axis) - correction, 0)
    return (x - mean_(x, axis, True)) * (2 / degrees if degrees else float("inf"))


def shared(g: Any, n: int) -> Any:
    """Return g / n; a product where float16 does not hold n. (NumPy's operator would make a scalar of a 0-d array.)"""
    if n >= 65504:
        return g * (1 / n)
    return g / n if len(g.shape) else e.divide(g, n)


def std_rule(g: Any, x: Any, out: Any, axis: Axes, correction: float, keepdims: bool) -> Any:
    """Divide the variance's gradient by twice the deviation; where that is 0 the gradient is 0."""
    zero = out == 0
    scaled = e.where(zero, 0.0, g / (2 * e.where(zero, 1.0, out)))
    return restore(scaled, tuple(x.shape), axis, keepdims) * deviation(x, axis, correction)


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


def infer_chosen(x: Any, axis: int, keepdims: bool) -> Any:
    shape, dtype = infer_extreme(x, (axis,) if len(x.shape) else (), keepdims)
    return (shape, dtype), (shape, dtypes.I64)


def infer_topk(x: Any, k: int, axis: int, largest: bool) -> Any:
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :]) if len(x.shape) else ()
    return (shape, x.dtype), (shape, dtypes.I64)


def infer_moments(x: Any, axis: Axes, correction: float, keepdims: bool) -> Any:
    return reduced(tuple(x.shape), axis, keepdims), dtypes.of(x.dtype).to_real().numpy


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
    spread(shared(g, builtins.max(count(x_shape, axis), 1)), x_shape, axis, keepdims))
prod_   = structural("prod", "x", infer_sum, params=P, label=by_dim("Prod"), x=prod_rule)
amax_   = structural("amax", "x", infer_extreme, params=P, label="AmaxBackward0", x=extreme_rule)
amin_   = structural("amin", "x", infer_extreme, params=P, label="AminBackward0", x=extreme_rule)
norm2   = structural("norm2", "x", lambda x, axis, keepdims: infer_moments(x, axis, 0, keepdims), params=P,
    label="LinalgVectorNormBackward0", x=norm2_rule)
var_    = structural("var", "x", infer_moments, params="axis correction keepdims", x=
    lambda g, x, axis, correction, keepdims: restore(g, tuple(x.shape), axis, keepdims) * deviation(x, axis, correction))
std_    = structural("std", "x", infer_moments, params="axis correction keepdims", x=std_rule)
logsumexp_ = structural("logsumexp", "x", infer_reduction, params=P, x=lambda g, x, out, axis, keepdims:
    restore(g, tuple(x.shape), axis, keepdims) * e.exp(x - restore(out, tuple(x.shape), axis, keepdims)))
any_    = structural("any", "x", infer_bool, params=P, constant=True)
all_    = structural("all", "x", infer_bool, params=P, constant=True)
argmax_ = structural("argmax", "x", infer_index, params=P, constant=True)
argmin_ = structural("argmin", "x", infer_index, params=P, constant=True)
# an extreme along one dim with its place: (values, indices)
max_along = structural("max_along", "x", infer_chosen, params=P, outputs=2, keeps=(1,), face="max", label="MaxBackward0",
    x=lambda g, out, x_shape, axis, keepdims: chosen_rule(g[0], out[1], tuple(x_shape), axis, keepdims))
min_along = structural("min_along", "x", infer_chosen, params=P, outputs=2, keeps=(1,), face="min", label="MinBackward0",
    x=lambda g, out, x_shape, axis, keepdims: chosen_rule(g[0], out[1], tuple(x_shape), axis, keepdims))

# ---- y = softmax(x) and log softmax(x), and their gradients as functions of y and of its gradient h
softmax_ = structural("softmax", "x", lambda x, axis: (x.shape, x.dtype), params="axis",
    x=lambda g, out, axis: softmax_back(g, out, axis))
log_softmax_ = structural("log_softmax", "x", lambda x, axis: (x.shape, x.dtype), params="axis",
    x=lambda g, out, axis: log_softmax_back(g, out, axis))
# y * (h - sum(h * y))
softmax_back = structural("softmax_back", "h y", lambda h, y, axis: (y.shape, y.dtype), params="axis",
    label="SoftmaxBackwardDataBackward0", h=lambda g, y, axis: softmax_back(g, y, axis),
    y=lambda g, h, y, axis: g * (h - sum_(h * y, axis, True)) - h * sum_(g * y, axis, True))
# h - exp(y) * sum(h)
log_softmax_back = structural("log_softmax_back", "h y", lambda h, y, axis: (y.shape, y.dtype), params="axis",
    label="LogSoftmaxBackwardDataBackward0", h=lambda g, y, axis: g - sum_(g * e.exp(y), axis, True),
    y=lambda g, h, y, axis: -g * (e.exp(y) * sum_(h, axis, True)))

# ---- scans
cumsum_ = structural("cumsum", "x", lambda x, axis: infer_sum(x, (), True), params="axis",
    x=lambda g, axis: s.flip(cumsum_(s.flip(g, (axis,)), axis), (axis,)) if g.shape else g)
cumprod_ = structural("cumprod", "x", lambda x, axis: infer_sum(x, (), True), params="axis", x=cumprod_rule)

# ---- sorting
# zeros of a shape with x at indices along axis, of which none occurs twice; apart from axis they have that shape
put_along = structural("put_along", "x indices", lambda x, indices, shape, axis: (shape, x.dtype), params="shape axis",
    face="scatter", x=lambda g, indices, axis: indexing.gather_(g, indices, axis))
argsort_ = structural("argsort", "x", lambda x, axis, descending: (x.shape, dtypes.I64), params="axis descending",
    constant=True)
sort_   = structural("sort", "x", lambda x, axis, descending: ((x.shape, x.dtype), (x.shape, dtypes.I64)), outputs=2,
    keeps=(1,), params="axis descending", x=lambda g, out, x_shape, axis: chosen_rule(g[0], out[1], tuple(x_shape), axis, True))
topk_   = structural("topk", "x", infer_topk, params="k axis largest", outputs=2, keeps=(1,),
    x=lambda g, out, x_shape, axis: chosen_rule(g[0], out[1], tuple(x_shape), axis, True))
# fmt: on


# ---- faces
def typed(input: Any, dtype: Any) -> Any:
    return input if dtype is None else input.to(dtype)


@face("sum")
def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, axis: Any = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the sum over dim (all by default); integers are added as int64."""
    dim = dim if axis is None else axis
    if dtype is None:
        return sum_(input, None if dim is None else axes_of("sum", input, dim), keepdim or keepdims, out=out)
    input, keepdim = typed(input, dtype), keepdim or keepdims
    if dtypes.category(input._array.dtype) >= dtypes.FLOATING:
        return sum_(input, axes_of("sum", input, dim), keepdim, out=out)
    result = typed(sum_(input, axes_of("sum", input, dim), keepdim), dtype)
    return result if out is None else write_out("sum", result, out)


def floating(name: str, input: Any) -> None:
    if dtypes.category(kind_of(name, input)) < dtypes.FLOATING:
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {input.dtype}; convert with .float()"
        )


@face("mean")
def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, axis: Any = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return the mean over dim (all by default). Raises RuntimeError for integer input."""
    input = typed(input, dtype)
    floating("mean", input)
    return mean_(input, axes_of("mean", input, dim if axis is None else axis), keepdim or keepdims, out=out)


@face("prod")
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Any:
    """Return the product over one dim, or of all elements; integers are multiplied as int64."""
    result = prod_(typed(input, dtype), axes_of("prod", input, dim), keepdim)
    result = result if dtype is None else typed(result, dtype)
    return result if out is None else write_out("prod", result, out)


def ordered(name: str, input: Any) -> None:
    """Raise where the elements have no order, or are none of a tensor."""
    if not isinstance(input, Tensor):
        raise errors.not_a_tensor(name, input, "input")
    if input._array.dtype.kind == "c":
        raise errors.no_order(name, input._array.dtype)


@face("amax")
def amax(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the maximum over dims; the gradient is shared evenly among equal maxima."""
    ordered("amax", input)
    return amax_(input, axes_of("amax", input, None if dim == () else dim), keepdim, out=out)


@face("amin")
def amin(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the minimum over dims; the gradient is shared evenly among equal minima."""
    ordered("amin", input)
    return amin_(input, axes_of("amin", input, None if dim == () else dim), keepdim, out=out)


_MAX, _MIN, _SORT, _TOPK = (named(n) for n in ("max", "min", "sort", "topk"))


def _extreme(
    name: str, along: Any, full: Any, pairwise: Any, made: Any, input: Any, dim: Any, keepdim: bool, out: Any
) -> Any:  # fmt: skip
    ordered(name, input)
    if dim is None:
        if keepdim:
            raise TypeError(f"{name}(): keepdim needs a dim")
        result = full(input, None, False)
        return relabel(result, f"{name.capitalize()}Backward1") if out is None else write_out(name, result, out)
    if isinstance(dim, Tensor):
        return pairwise(input, dim, out=out)
    pair = made(*along(input, one_dim(name, input, dim), keepdim))
    return pair if out is None else write_out(name, pair, out)


@face("max")
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None) -> Any:
    """Return the maximum of all; over dim with its indices; or elementwise of two tensors."""
    return _extreme("max", max_along, amax_, e.maximum, _MAX, input, dim if other is None else other, keepdim, out)


@face("min")
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None) -> Any:
    """Return the minimum of all; over dim with its indices; or elementwise of two tensors."""
    return _extreme("min", min_along, amin_, e.minimum, _MIN, input, dim if other is None else other, keepdim, out)


@face("argmax")
def argmax(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the index of the first maximum over dim, or in the flattened tensor."""
    ordered("argmax", input)
    return argmax_(input, None if dim is None else one_dim("argmax", input, dim), keepdim, out=out)


@face("argmin")
def argmin(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the index of the first minimum over dim, or in the flattened tensor."""
    ordered("argmin", input)
    return argmin_(input, None if dim is None else one_dim("argmin", input, dim), keepdim, out=out)


def _truth(name: str, record: Any, input: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    found = record(input, () if isinstance(dim, tuple | list) and not dim else axes_of(name, input, dim), keepdim, out=out)
    return call(cast, (found,), (input._array.dtype,)) if out is None and input._array.dtype.char == "B" else found


@face("any")
def any(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Say whether any element (over dim) is true."""
    return _truth("any", any_, input, dim, keepdim, out)


@face("all")
def all(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """Say whether all elements (over dim) are true."""
    return _truth("all", all_, input, dim, keepdim, out)


@face("count_nonzero")
def count_nonzero(input: Any, dim: Any = None, *more: int) -> Any:
    """Return how many elements (over dim) are not zero."""
    dim = (dim, *more) if more else dim
    return sum_(input != 0, axes_of("count_nonzero", input, dim), False)


@face("cumsum")
def cumsum(input: Any, dim: int, *, dtype: Any = None, out: Any = None) -> Any:
    """Return the running sum along dim.

    >>> torch.cumsum(torch.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    input = typed(input, dtype)
    axis = one_dim("cumsum", input, dim)
    result = cumsum_(input, axis)
    result = result if dtype is None else typed(result, dtype)
    return result if out is None else write_out("cumsum", result, out)


def correction_of(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, Any]:
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    return dim, (correction if correction is not None else 1 if unbiased is None or unbiased else 0)


@face("var")
def var(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None, out: Any = None
) -> Any:
    """Return the variance over dim: sum |x - mean|^2 / (n - correction), correction 1 by default."""
    dim, correction = correction_of(dim, unbiased, correction)
    floating("var", input)
    return var_(input, axes_of("var", input, None if dim == () else dim), correction, keepdim, out=out)


@face("std")
def std(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None, out: Any = None
) -> Any:
    """Return the standard deviation over dim, the square root of `var`; its gradient where it is 0 is 0."""
    dim, correction = correction_of(dim, unbiased, correction)
    floating("std", input)
    return std_(input, axes_of("std", input, None if dim == () else dim), correction, keepdim, out=out)


@face("logsumexp")
def logsumexp(input: Any, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    """Return log sum exp(x) over dim, safe from overflow.

    >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    axis = axes_of("logsumexp", input, dim)
    if dtypes.category(input._array.dtype) < dtypes.FLOATING:
        input = call(cast, (input,), (dtypes.default_float(),))
    return logsumexp_(input, axis, keepdim, out=out)


def _share(name: str, record: Any, input: Any, dim: int, dtype: Any, out: Any) -> Any:
    if dtype is not None:
        input = input.to(dtype)
    if dtypes.category(kind_of(name, input)) != dtypes.FLOATING:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert with .float(), or give dtype=")
    return record(input, axes_of(name, input, dim), out=out)


@face("softmax")
def softmax(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
    """Return exp(x) / sum exp(x) along dim. Raises NotImplementedError for integers."""
    return _share("softmax", softmax_, input, dim, dtype, out)


@face("log_softmax")
def log_softmax(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
    """Return x - log sum exp(x) along dim. Raises NotImplementedError for integers."""
    return _share("log_softmax", log_softmax_, input, dim, dtype, out)


@face("norm")
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None) -> Any:
    """Return the p-norm of the elements over dim: (sum |x|^p)^(1/p); "fro" is 2; inf, -inf and 0 as usual.

    "nuc" is the sum of the singular values of a matrix. Raises RuntimeError for integers.
    """
    input = typed(input, dtype)
    floating("linalg.vector_norm", input)
    if p == "nuc":
        result = _nuclear(input, dim, keepdim)
    elif isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: p={p!r} is not supported; use 'fro', 'nuc' or a number")
    else:
        result = vector_norm(input, 2 if p is None or p == "fro" else p, axes_of("norm", input, dim), keepdim)
    return result if out is None else write_out("norm", result, out)


def vector_norm(input: Any, p: float, axis: Axes, keepdim: bool) -> Any:
    """Return (sum |x|^p)^(1/p) over dims."""
    if p == 2:
        return norm2(input, axis, keepdim)
    size = e.absolute(input)
    if p in (float("inf"), float("-inf")):
        result = (amax_ if p > 0 else amin_)(size, axis, keepdim)
    elif p == 0:
        result = sum_(e.overwrite(size, size != 0), axis, keepdim)
    elif p == 1:
        result = sum_(size, axis, keepdim)
    elif input._array.dtype.itemsize == 2:  # powers soon leave the range of the half types
        result = vector_norm(input.float(), p, axis, keepdim).to(input.dtype)
    else:
        result = _power(sum_(_power(size, p), axis, keepdim), 1 / p)
    return relabel(result, "LinalgVectorNormBackward0")


def _nuclear(input: Any, dim: Any, keepdim: bool) -> Any:
    axis = axes_of("norm", input, tuple(range(len(input.shape))) if dim is None else dim)
    if axis is None or len(axis) != 2:
        raise RuntimeError(f"norm: 'nuc' is of matrices, two dims: got dim={dim!r} and an input of {len(input.shape)} dims")
    values = registry.resolve("ops", "linalg.svdvals")
    rest = [d for d in range(len(input.shape)) if d not in axis]
    result = sum_(values(s.transpose_(input, (*rest, *axis))), (len(rest),), False)
    return s.reshape(result, reduced(tuple(input.shape), axis, keepdim))


def _power(size: Any, p: float) -> Any:
    """Return size ** p with gradient 0 where size is 0, also for p below 1."""
    if p >= 1:
        return e.power_number(size, p)
    zero = size == 0
    return e.where(zero, 0.0 if p > 0 else float("inf"), e.power_number(e.where(zero, 1.0, size), p))


@face("argsort")
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return the indices that sort input along dim (always stable here)."""
    ordered("argsort", input)
    return argsort_(input, one_dim("argsort", input, dim), bool(descending))


@face("sort")
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool | None = None, *, out: Any = None) -> Any:
    """Return (values, indices) sorted along dim, stable; nan counts as the largest."""
    ordered("sort", input)
    pair = _SORT(*sort_(input, one_dim("sort", input, dim), bool(descending)))
    if stable is not None and pair[0].grad_fn is not None:
        pair[0].grad_fn.label = "SortBackward1"
    return pair if out is None else write_out("sort", pair, out)


@face("topk")
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: Any = None) -> Any:
    """Return the k largest (or smallest) elements along dim and their indices. Raises RuntimeError when k is too large.

    >>> values, places = torch.topk(torch.tensor([3.0, 9.0, 5.0]), 2)
    >>> values, places
    (tensor([9., 5.]), tensor([1, 2]))
    """
    ordered("topk", input)
    axis, k = one_dim("topk", input, dim), index_of("topk", k)
    length = input.shape[axis] if input._array.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(f"selected index k out of range: k={k}, the dimension has {length}")
    pair = _TOPK(*topk_(input, k, axis, bool(largest)))
    return pair if out is None else write_out("topk", pair, out)
