"""Further elementwise functions: signs, parts of numbers, extremes that pass over nan, logarithms of sums and products.

Owns: their records and faces. May import: wengert.extend. Must not know: devices. `g` is the incoming gradient, `out` the
result; kernels are the array module's by name, the others in pointwise_kernels.py.
"""

from __future__ import annotations

import math
from typing import Any

from wengert.extend import (
    SAME,
    Tensor,
    cast,
    category,
    dtypes,
    e,
    elementwise,
    errors,
    labelled,
    only_tensors,
    r,
    relabel,
    structural,
)

LN2 = math.log(2)


def half(x: Any, dtype: Any) -> Any:
    """Return 2 to the power of the exponent of x, in a type."""
    return e.exp2(cast(frexp_(x)[1], dtype))


# fmt: off
copysign_   = elementwise("copysign", "copysign(x, y)",
    x=lambda g, x, out: g * (e.sign(x) * e.sign(out)), y=lambda g: e.zeros(g))
fmax        = elementwise("fmax", "fmax(x, y)", domain=SAME, refuses="c",
    x=lambda g, x, y: e.where((x >= y) | (y != y), g, 0.0), y=lambda g, x, y: e.where((x >= y) | (y != y), 0.0, g),
    words="the larger of x and y, or the one that is not nan,")
fmin        = elementwise("fmin", "fmin(x, y)", domain=SAME, refuses="c",
    x=lambda g, x, y: e.where((x <= y) | (y != y), g, 0.0), y=lambda g, x, y: e.where((x <= y) | (y != y), 0.0, g),
    words="the smaller of x and y, or the one that is not nan,")
frac        = elementwise("frac", "x - trunc(x)", domain=SAME, x=lambda g: g)
heaviside_  = elementwise("heaviside", "x == 0 ? y : x > 0", domain=SAME, inputs="x y")
nextafter   = elementwise("nextafter", "nextafter(x, y)", refuses="c",
    x=lambda g, x, y: e.where(x == y, 0.0, g), y=lambda g: e.zeros(g), words="the next float after x towards y")
gcd         = elementwise("gcd", domain=SAME, inputs="x y", words="the greatest common divisor of x and y")
lcm         = elementwise("lcm", domain=SAME, inputs="x y", words="the least common multiple of x and y")
signbit     = elementwise("signbit", "signbit(x)", domain=SAME, inputs="x", boolean=True,
    words="whether the sign bit of x is set (it is of -0.0)")
logaddexp2  = elementwise("logaddexp2", "fmax(x, y) + log2(1 + exp2(-fabs(x - y)))",
    x=lambda g, x, y: g * e.sigmoid((x - y) * LN2), y=lambda g, x, y: g * e.sigmoid((y - x) * LN2),
    words="log2(2^x + 2^y), safe from overflow,")
xlogy_      = elementwise("xlogy", "x == 0 && y == y ? 0 : x * log(y)",
    x=lambda g, x, y: e.where((x == 0) & (y <= 0), 0.0, xlogy_(g, y)), y=lambda g, x, y: g * (x / y))
nan_to_num_ = elementwise("nan_to_num", inputs="x", params="nan posinf neginf", domain=SAME,
    x=lambda g, x: e.where(e.isfinite(x), g, 0.0))
frexp_      = structural("frexp", "x", lambda x: infer_frexp(x), outputs=2, label="FrexpBackward0",
    x=lambda g, x, x_dtype: g[0] / half(x, x_dtype))
# fmt: on


def infer_frexp(x: Any) -> Any:
    if category(x.dtype) != dtypes.FLOATING:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, not {x.dtype}")
    return (tuple(x.shape), x.dtype), (tuple(x.shape), dtypes.by_name("int32").numpy)


def copysign(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return |input| with the sign of other, a tensor or a number."""
    only_tensors("copysign", (input,))
    result = copysign_(input, other, out=out)
    return result if isinstance(other, Tensor) else relabel(result, "CopysignBackward1")


def xlogy(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return input * log(other), and 0 where input is 0; one of both may be a number."""
    result = xlogy_(input, other, out=out)
    numbers = [not isinstance(x, Tensor) for x in (input, other)]
    return relabel(result, "XlogyBackward2" if numbers[1] else "XlogyBackward1") if any(numbers) else result


def frexp(input: Any) -> Any:
    """Return mantissas and exponents: x = mantissa * 2^exponent. Raises RuntimeError for integers and complex numbers."""
    only_tensors("frexp", (input,))
    infer_frexp(input._array)
    return r.named("frexp")(*frexp_(input))


@labelled("LdexpBackward0")
def ldexp(input: Any, other: Any) -> Any:
    """Return input * 2^other."""
    only_tensors("ldexp", (input,))
    if not isinstance(other, Tensor) or dtypes.category(other._array.dtype) != dtypes.INTEGRAL:
        return input * e.pow_face(2.0, other)
    floating = dtypes.category(input._array.dtype) >= dtypes.FLOATING
    wide = dtypes.by_name("float64" if floating and input.dtype.itemsize > 4 else "float32")
    half = e.floor_divide(other, 2)  # 2^other may be out of range where the result is not
    result = input * e.pow_face(2.0, half.to(wide)) * e.pow_face(2.0, (other - half).to(wide))
    return result.to(input.dtype) if floating else result


def float_power(input: Any, exponent: Any) -> Any:
    """Return input ** exponent computed in float64, or in complex128 where one of them is complex."""
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise errors.not_a_tensor("float_power", input, "input")
    number = any(dtypes.of_number(x).kind == "c" for x in (input, exponent) if not isinstance(x, Tensor))
    number = number or any(e.is_complex(x) for x in (input, exponent) if isinstance(x, Tensor))
    wide = dtypes.by_name("complex128" if number else "float64")
    base, power = (x.to(wide) if isinstance(x, Tensor) else wide.numpy.type(x).item() for x in (input, exponent))
    return e.pow_face(base, power)


def heaviside(input: Any, values: Any, *, out: Any = None) -> Any:
    """Return 0 where input < 0, 1 where input > 0, and values where input is 0. Raises RuntimeError for two dtypes."""
    only_tensors("heaviside", (input, values))
    if input.dtype is not values.dtype:
        raise RuntimeError(f"heaviside is not yet implemented for tensors with different dtypes: {input.dtype}, {values.dtype}")
    if input.is_complex():
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    return heaviside_(input, values, out=out)


def nan_to_num(input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Return input with numbers in the place of nan (0 if not given) and of infinities (the largest numbers there are)."""
    if input._array.dtype is dtypes.BF16:  # computed in float32, whose largest number it does not hold
        largest = dtypes.finfo(input.dtype).max
        posinf, neginf = largest if posinf is None else posinf, -largest if neginf is None else neginf
    return nan_to_num_(input, 0.0 if nan is None else nan, posinf, neginf)


@labelled("Deg2RadBackward0")
def deg2rad(input: Any) -> Any:
    """Return angles in radians that are given in degrees: x * pi / 180."""
    if input.is_complex():
        raise RuntimeError("deg2rad is not supported for complex tensors.")
    return input * (math.pi / 180)


@labelled("Rad2DegBackward0")
def rad2deg(input: Any) -> Any:
    """Return angles in degrees that are given in radians: x * 180 / pi."""
    if input.is_complex():
        raise RuntimeError("rad2deg is not supported for complex tensors.")
    return input * (180 / math.pi)


@labelled("FakeQuantizePerTensorAffineCachemaskBackward0")
def fake_quantize_per_tensor_affine(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int) -> Any:
    """Return scale * (q - zero_point), q = input / scale + zero_point rounded and clamped, with the gradient of input.

    The gradient is 0 where q was clamped. Raises RuntimeError where zero_point or the limits do not fit.
    """
    if quant_min > quant_max:
        raise RuntimeError("`quant_min` should be less than or equal to `quant_max`.")
    if not isinstance(zero_point, Tensor) and not quant_min <= zero_point <= quant_max:
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")
    q = (input.detach() * (1 / scale)).round() + zero_point
    inside = (q >= quant_min) & (q <= quant_max)
    kept = e.where(inside, input, 0.0)
    return (q.clamp(quant_min, quant_max) - zero_point) * scale + (kept - kept.detach())


def fake_quantize_per_channel_affine(
    input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int
) -> Any:
    """Return what `fake_quantize_per_tensor_affine` does with a scale and a zero point for each index of an axis."""
    if scale.ndim != 1 or scale.shape != zero_point.shape or scale.shape[0] != input.shape[axis]:
        raise RuntimeError(
            f"dimensions of scale {list(scale.shape)} and zero-point {list(zero_point.shape)} must be the size of the axis, "
            f"{input.shape[axis]}"
        )
    shape = [1] * input.ndim
    shape[axis] = -1
    scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    return fake_quantize_per_tensor_affine(input, scale, zero_point, quant_min, quant_max)


def isposinf(input: Any) -> Any:
    """Say where input is inf. Raises RuntimeError for complex numbers."""
    return infinite("isposinf", input, math.inf)


def isneginf(input: Any) -> Any:
    """Say where input is -inf. Raises RuntimeError for complex numbers."""
    return infinite("isneginf", input, -math.inf)


def infinite(name: str, input: Any, value: float) -> Any:
    if input.is_complex():
        raise RuntimeError(f"{name} does not support complex inputs.")
    return e.equal(input, value)
