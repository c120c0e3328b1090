"""Further reductions and scans: running extremes and products, sums that skip nan, moments in pairs.

Owns: cummax, cummin, logcumsumexp as records, and what is made of the core's reductions. May import: wengert.extend.
Must not know: devices; kernels are in wengert_ops.reduction_kernels.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import (
    axes_of,
    call,
    cast,
    category,
    dtypes,
    e,
    errors,
    indexing,
    labelled,
    one_dim,
    r,
    relabel,
    structural,
    write_out,
)  # fmt: skip


def infer_scan(x: Any, axis: int) -> Any:
    return (x.shape, x.dtype), (x.shape, dtypes.I64)


def running_rule(g: Any, indices: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Give each gradient to the element that was the extreme then."""
    return indexing.scatter_sum(g, indices, shape, axis) if shape else g


def logcumsumexp_rule(g: Any, x: Any, out: Any, axis: int) -> Any:
    """Return sum over i >= k of g[i] exp(x[k] - out[i]), in steps whose factors are at most 1."""
    if not len(x.shape):
        return g
    empty = out == float("-inf")
    steps = e.where(empty, 0.0, e.exp(out - r.shifted(out, axis, -1, float("inf"))))
    return e.where(empty, 0.0, e.exp(x - out)) * r.recurrence(g, steps, axis)


# fmt: off
cummax_ = structural("cummax", "x", infer_scan, params="axis", outputs=2, keeps=(1,),
    x=lambda g, out, x_shape, axis: running_rule(g[0], out[1], tuple(x_shape), axis))
cummin_ = structural("cummin", "x", infer_scan, params="axis", outputs=2, keeps=(1,),
    x=lambda g, out, x_shape, axis: running_rule(g[0], out[1], tuple(x_shape), axis))
logcumsumexp_ = structural("logcumsumexp", "x", lambda x, axis: (x.shape, x.dtype), params="axis", x=logcumsumexp_rule)
# fmt: on

_CUMMAX, _CUMMIN, _AMINMAX = r.named("cummax"), r.named("cummin"), r.named("aminmax")


def cummax(input: Any, dim: int) -> Any:
    """Return (values, indices) of the largest element so far along dim, the last of equal ones; nan counts as the largest."""
    r.ordered("cummax", input)
    return _CUMMAX(*cummax_(input, one_dim("cummax", input, dim)))


def cummin(input: Any, dim: int) -> Any:
    """Return (values, indices) of the smallest element so far along dim, the last of equal ones; nan counts as the smallest."""
    r.ordered("cummin", input)
    return _CUMMIN(*cummin_(input, one_dim("cummin", input, dim)))


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return the running product along dim; integers are multiplied as int64."""
    input = r.typed(input, dtype)
    return r.typed(r.cumprod_(input, one_dim("cumprod", input, dim)), dtype)


def logcumsumexp(input: Any, dim: int) -> Any:
    """Return the running log sum exp(x) along dim, safe from overflow. Raises NotImplementedError for integers."""
    axis = one_dim("logcumsumexp", input, dim)
    if category(input._array.dtype) < dtypes.FLOATING:
        raise NotImplementedError(f"logcumsumexp is not implemented for {input.dtype}; convert with .float()")
    return logcumsumexp_(input, axis)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False, out: Any = None) -> Any:
    """Return (min, max) over dim, or of all elements; the gradient is shared evenly among equal ones."""
    r.ordered("aminmax", input)
    axis = axes_of("aminmax", input, dim)
    pair = _AMINMAX(*[relabel(f(input, axis, keepdim), "AminmaxBackward0") for f in (r.amin_, r.amax_)])
    for given in out or ():
        if given.dtype is not input.dtype:
            raise RuntimeError(f"aminmax: expected out tensors to have dtype {input.dtype}, but got {given.dtype}")
    return pair if out is None else write_out("aminmax", pair, out)


def _without_nan(name: str, input: Any) -> Any:
    """Return the input with 0 in the place of nan. Raises RuntimeError for complex numbers."""
    if not hasattr(input, "_array"):
        raise errors.not_a_tensor(name, input, "input")
    kind = category(input._array.dtype)
    if kind == dtypes.COMPLEX:
        raise RuntimeError(f"{name}: nan cannot be told from a number in {input.dtype}; take real and imaginary part apart")
    return e.where(e.isnan(input), 0.0, input) if kind == dtypes.FLOATING else input


@labelled("NansumBackward0")
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the sum over dim (all by default) of what is not nan."""
    kept = r.typed(_without_nan("nansum", input), dtype)
    return r.typed(r.sum_(kept, axes_of("nansum", input, dim), keepdim), dtype)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the mean over dim (all by default) of what is not nan. Raises RuntimeError for integers."""
    if category(input._array.dtype) < dtypes.FLOATING:
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype}")
    axis = axes_of("nanmean", input, dim)
    there = r.sum_(e.logical_not(e.isnan(input)), axis, keepdim)
    if category(input._array.dtype) == dtypes.COMPLEX:
        total = r.sum_(e.where(e.isnan(input), 0.0, input), axis, keepdim)
    else:
        total = nansum(input, dim, keepdim, dtype=dtype)
    return total / call(cast, (there,), (e.real_type(total._array.dtype),))


def _with_mean(name: str, spread: Any, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> Any:
    label = f"{name.capitalize()}MeanBackward0"
    dim, correction = r.correction_of(dim, unbiased, correction)
    r.floating(f"{name}_mean", input)
    axis = axes_of(f"{name}_mean", input, None if dim == () else dim)
    return relabel(spread(input, axis, correction, keepdim), label), relabel(r.mean_(input, axis, keepdim), label)


def var_mean(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Return (variance, mean) over dim; see `var`."""
    return _with_mean("var", r.var_, input, dim, unbiased, keepdim, correction)


def std_mean(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Return (standard deviation, mean) over dim; see `std`."""
    return _with_mean("std", r.std_, input, dim, unbiased, keepdim, correction)


@labelled("RenormBackward0")
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Return input with each part along dim, whose p-norm is above maxnorm, scaled down to maxnorm.

    Raises RuntimeError for less than two dims, p <= 0 and a negative maxnorm.
    """
    if len(input.shape) < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {len(input.shape)} dimensions")
    if isinstance(p, complex) or not p > 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported: p={p!r}")
    if isinstance(maxnorm, complex) or not maxnorm >= 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm!r}")
    r.floating("renorm", input)
    axis = one_dim("renorm", input, dim)
    norm = r.vector_norm(input, p, tuple(d for d in range(len(input.shape)) if d != axis), True)
    return input * e.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)
