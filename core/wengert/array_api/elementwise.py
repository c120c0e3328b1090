"""Elementwise functions by the array API standard's signatures.

Owns: a table: each line a standard's name, and wengert's function, or the formula where PyTorch's differs (`sign` of nan,
`clip`, integers that are whole already). May import: wengert's public names, the types beside. Must not know: kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wengert as w
from wengert import Tensor, dtypes
from wengert.array_api.types import as_type, common, numpy_type


def unary(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of one array."""

    def run(x: Any, /) -> Any:
        return function(x)

    return run


def binary(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a function of two arrays (or of one and a number), which are brought to their common type."""

    def run(x1: Any, x2: Any, /) -> Any:
        a, b = common(x1, x2)
        if not isinstance(a, Tensor):
            a = w.tensor(a, dtype=dtypes.of(numpy_type(x1, x2)), device=b.device)
        elif not isinstance(b, Tensor):
            b = w.tensor(b, dtype=dtypes.of(numpy_type(x1, x2)), device=a.device)
        return function(a, b)

    return run


def whole(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a rounding, which leaves integers as they are."""

    def run(x: Any, /) -> Any:
        return function(x) if x.dtype.category >= dtypes.FLOATING else x.clone()

    return run


def _sign(x: Any) -> Any:
    if x.dtype.is_complex:
        return w.sgn(x)
    return w.where(w.isnan(x), x, w.sign(x)) if x.is_floating_point() else w.sign(x)


def _round(x: Any) -> Any:
    return w.complex(w.round(x.real), w.round(x.imag)) if x.dtype.is_complex else w.round(x)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """Return x held between min and max, numbers or arrays, in x's type; None is no bound."""
    wanted = x._array.dtype
    for bound, choose in ((min, w.maximum), (max, w.minimum)):
        if bound is None:
            continue
        if not isinstance(bound, Tensor):
            if x.dtype.category == dtypes.INTEGRAL:  # a bound beyond the type's limits bounds nothing, or everything
                limits = w.iinfo(x.dtype)
                bound = sorted((limits.min, bound, limits.max))[1]
            bound = w.tensor(bound, dtype=x.dtype, device=x.device)
        x = choose(x, as_type(bound, wanted))
    return x if (min, max) != (None, None) else x.clone()


# ---- one array
abs, conj, imag, negative, positive, real = [unary(f) for f in (w.abs, w.conj, w.imag, w.neg, w.positive, w.real)]
acos, asin, atan, cos, sin, tan = [unary(f) for f in (w.acos, w.asin, w.atan, w.cos, w.sin, w.tan)]
acosh, asinh, atanh, cosh, sinh, tanh = [unary(f) for f in (w.acosh, w.asinh, w.atanh, w.cosh, w.sinh, w.tanh)]
exp, expm1, log, log10, log1p, log2 = [unary(f) for f in (w.exp, w.expm1, w.log, w.log10, w.log1p, w.log2)]
reciprocal, sign, sqrt, square = [unary(f) for f in (w.reciprocal, _sign, w.sqrt, w.square)]
ceil, floor, round, trunc = [whole(f) for f in (w.ceil, w.floor, _round, w.trunc)]
isfinite, isinf, isnan, signbit = [unary(f) for f in (w.isfinite, w.isinf, w.isnan, w.signbit)]
bitwise_invert, logical_not = unary(w.bitwise_not), unary(w.logical_not)

# ---- two arrays
add, subtract, multiply, divide = [binary(f) for f in (w.add, w.sub, w.mul, w.div)]
floor_divide, remainder, pow = [binary(f) for f in (w.floor_divide, w.remainder, w.pow)]
atan2, copysign, hypot, logaddexp, nextafter = [binary(f) for f in (w.atan2, w.copysign, w.hypot, w.logaddexp, w.nextafter)]
maximum, minimum = binary(w.maximum), binary(w.minimum)
equal, not_equal = binary(w.eq), binary(w.ne)
greater, greater_equal, less, less_equal = [binary(f) for f in (w.gt, w.ge, w.lt, w.le)]
logical_and, logical_or, logical_xor = [binary(f) for f in (w.logical_and, w.logical_or, w.logical_xor)]
bitwise_and, bitwise_or, bitwise_xor = [binary(f) for f in (w.bitwise_and, w.bitwise_or, w.bitwise_xor)]
bitwise_left_shift, bitwise_right_shift = binary(w.bitwise_left_shift), binary(w.bitwise_right_shift)

for _name, _function in [*globals().items()]:  # errors and help() name the function
    if getattr(_function, "__name__", "") == "run":
        _function.__name__ = _function.__qualname__ = _name
        _function.__doc__ = f"Return {_name} of each element, as the array API standard defines it."
