"""`wengert.masked`: reductions and normalisations of the elements that a mask chooses.

Owns: the functions; each fills what the mask leaves out with a value that changes nothing, and asks the function without a
mask. May import: wengert's public names. Must not know: devices, the class of masked_tensor.py.
A mask is True where an element counts; it broadcasts to the input. What has no element that counts is the identity of the
reduction; a mean of nothing is nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import wengert
from wengert import Tensor
from wengert.extend import ints


def _dims(input: Tensor, dim: Any) -> tuple[int, ...]:
    """Return the dims of a reduction, all for None and (). Raises RuntimeError for one named twice, IndexError for none."""
    n = input.dim()
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(n))
    found: list[int] = []
    for d in ints(dim):
        if not -max(n, 1) <= d < max(n, 1):
            low = -max(n, 1)
            raise IndexError(f"Dimension out of range (expected to be in range of [{low}, {-low - 1}], but got {d})")
        d %= max(n, 1)
        if d in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        found.append(d)
    return tuple(sorted(found))


def _mask(input: Tensor, mask: Any) -> Tensor:
    """Return a mask in the shape of the input. Raises IndexError for one of more dims, TypeError for no tensor."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"masked: the mask must be a Tensor, not {type(mask).__name__}")
    if mask.dim() > input.dim():
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    wide: Tensor = mask.to(wengert.bool).broadcast_to(tuple(input.shape))
    return wide


def _filled(input: Tensor, mask: Any, value: Any) -> Tensor:
    """Return the input with a value wherever the mask leaves it out."""
    if mask is None:
        return input
    kept: Tensor = wengert.where(_mask(input, mask), input, wengert.full((), value, dtype=input.dtype, device=input.device))
    return kept


def _typed(input: Tensor, dtype: Any) -> Tensor:
    return input if dtype is None else input.to(dtype)


def _extreme(dtype: Any, sign: int) -> Any:
    """Return the largest value of a type (sign 1), or the smallest (-1)."""
    if dtype.is_floating_point or dtype.is_complex:
        return sign * math.inf
    if dtype is wengert.bool:
        return sign > 0
    limits = wengert.iinfo(dtype)
    return limits.max if sign > 0 else limits.min


def _reduced(reduce: Callable[..., Any], input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """Reduce over dims by a function that takes one dim at a time."""
    for d in reversed(_dims(input, dim)):
        input = reduce(input, d, keepdim)
    return input


def _summed(dtype: Any, given: Any) -> Any:
    """Return the type of a sum or product: integers are added as int64."""
    return given if given is not None else dtype if dtype.is_floating_point or dtype.is_complex else wengert.int64


def sum(input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the sum over dim of the elements that count, 0 where none does."""
    x = _filled(_typed(input, _summed(input.dtype, dtype)), mask, 0)
    dims = _dims(input, dim)
    return x.sum(dims, keepdim=bool(keepdim)) if x.dim() else x.clone()


def prod(input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the product over dim of the elements that count, 1 where none does."""
    x = _filled(_typed(input, _summed(input.dtype, dtype)), mask, 1)
    return _reduced(wengert.prod, x, dim, bool(keepdim))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Return the running sum along dim of the elements that count."""
    return wengert.cumsum(_filled(_typed(input, _summed(input.dtype, dtype)), mask, 0), dim)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Return the running product along dim of the elements that count."""
    return wengert.cumprod(_filled(_typed(input, _summed(input.dtype, dtype)), mask, 1), dim)


def amax(input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the maximum over dim of the elements that count, the smallest number of the type where none does."""
    x = _typed(input, dtype)
    return wengert.amax(_filled(x, mask, _extreme(x.dtype, -1)), _dims(input, dim), bool(keepdim)) if x.dim() else (
        _filled(x, mask, _extreme(x.dtype, -1)).clone())  # fmt: skip


def amin(input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the minimum over dim of the elements that count, the largest number of the type where none does."""
    x = _typed(input, dtype)
    return wengert.amin(_filled(x, mask, _extreme(x.dtype, 1)), _dims(input, dim), bool(keepdim)) if x.dim() else (
        _filled(x, mask, _extreme(x.dtype, 1)).clone())  # fmt: skip


def argmax(input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the place of the maximum of the elements that count, in the type of the input, as PyTorch does."""
    x = _typed(input, dtype)
    return wengert.argmax(_filled(x, mask, _extreme(x.dtype, -1)), dim, bool(keepdim)).to(x.dtype)


def argmin(input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the place of the minimum of the elements that count, in the type of the input, as PyTorch does."""
    x = _typed(input, dtype)
    return wengert.argmin(_filled(x, mask, _extreme(x.dtype, 1)), dim, bool(keepdim)).to(x.dtype)


def _only_floats(name: str, dtype: Any) -> None:
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(
            f"{name}(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {dtype}"
        )


def mean(input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the mean over dim of the elements that count, nan where none does. Raises ValueError for integers."""
    _only_floats("mean", dtype or input.dtype)
    counted = wengert.ones(tuple(input.shape), dtype=wengert.int64, device=input.device)
    count = sum(counted, dim, keepdim=keepdim, mask=mask)
    return sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask) / count


def median(input: Tensor, dim: int = -1, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return the median over dim of the elements that count, nan where none does. Raises ValueError for integers."""
    dtype = dtype or input.dtype
    if mask is not None and not dtype.is_floating_point:
        raise ValueError(f"median expects no fully masked out rows if dtype is not floating point, got {dtype} with a mask")
    x = _filled(_typed(input, dtype), mask, math.nan) if mask is not None else _typed(input, dtype)
    (d,) = _dims(input, dim) or (0,)
    return (wengert.nanmedian if dtype.is_floating_point else wengert.median)(x, d, bool(keepdim)).values


def logsumexp(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Return log(sum(exp(x))) over dim of the elements that count, -inf where none does."""
    x = _typed(input, dtype)
    x = _filled(x, mask, _extreme(x.dtype, -1))
    return wengert.logsumexp(x, _dims(input, dim), keepdim=bool(keepdim)).to(x.dtype)


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Any:
    """Return log(exp(input) + exp(other)) of the elements that count; -inf where none of the two does."""
    x, y = _typed(input, dtype), _typed(other, dtype)
    return wengert.logaddexp(_filled(x, input_mask, -math.inf), _filled(y, other_mask, -math.inf))


def norm(
    input: Tensor, ord: Any = 2.0, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None
) -> Any:
    """Return the vector norm over dim of the elements that count, 0 (inf for negative orders) where none does."""
    x = _typed(input, dtype)
    order = 2.0 if ord is None else float(ord)
    x = _filled(x, mask, math.inf if order < 0 else 0)
    return wengert.linalg.vector_norm(x, order, _dims(input, dim) if x.dim() else None, bool(keepdim))


def _spread(input: Tensor, dim: Any, unbiased: Any, correction: Any, keepdim: Any, dtype: Any, mask: Any) -> Any:
    dtype = dtype or (input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else wengert.float32)
    x = _typed(input, dtype)
    count = sum(wengert.ones(tuple(x.shape), dtype=wengert.int64, device=x.device), dim, keepdim=True, mask=mask)
    middle = sum(x, dim, keepdim=True, mask=mask) / count
    away = x - middle
    total = sum((away * away.conj()).real if dtype.is_complex else away * away, dim, keepdim=keepdim, mask=mask)
    if not keepdim:
        count = count.reshape(tuple(total.shape))
    if unbiased is not None and correction is not None:
        raise RuntimeError("Only one of unbiased and correction may be given")
    less = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    return (total / wengert.clamp(count - less, min=0).to(total.dtype)).to(dtype)


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool | None = False,
    dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """Return the variance over dim of the elements that count (divided by one less than there are, if unbiased)."""
    return _spread(input, dim, unbiased, correction, bool(keepdim), dtype, mask)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool | None = False,
    dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """Return the standard deviation over dim of the elements that count."""
    return wengert.sqrt(_spread(input, dim, unbiased, correction, bool(keepdim), dtype, mask))


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Return softmax along dim of the elements that count; 0 at the others, nan where none counts."""
    x = _typed(input, dtype)
    return wengert.softmax(_filled(x, mask, _extreme(x.dtype, -1)), dim)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Return log(softmax(input)) along dim of the elements that count."""
    x = _typed(input, dtype)
    return wengert.log_softmax(_filled(x, mask, _extreme(x.dtype, -1)), dim)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Return softmax(-input) along dim of the elements that count; 0 at the others."""
    x = _typed(input, dtype)
    return wengert.nn.functional.softmin(_filled(x, mask, _extreme(x.dtype, 1)), dim)


def normalize(input: Tensor, ord: Any, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Any:
    """Return the elements that count divided by their norm along dim, at least eps; 0 at the others."""
    x = _typed(input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled(x, mask, 0) / wengert.clamp(size, min=eps)
