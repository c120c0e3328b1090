"""Elementwise ops: one element in, one element out. The table is the formula sheet; C text, then a rule per input.

Owns: arithmetic, exponentials, trigonometry, rounding, comparison, logic, and the composites made of them.
May import: record (to declare), op. Must not know: devices. `g` is the incoming gradient, `out` the result; a rule runs
on raw arrays and on Tensors alike. Broadcasting is undone by the tape, never here.
"""

from __future__ import annotations

import builtins
import warnings
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors
from wengert._tensor import Tensor
from wengert.faces import PROPERTIES, REFLECTED, face, unusual, unusual_swapped
from wengert.inplace import ADDS, LARGE, inplace, inplace_op, plain_floats, write_out
from wengert.op import ANY, FLOAT, OPS, SAME
from wengert.ops.dims import index_of, only_tensors
from wengert.record import asked, call, cast, constant, elementwise, overridden, relabel, structural

TWO_OVER_SQRT_PI = 1.1283791670955126


# ---- rules that need more than a line
def zeros(g: Any) -> Any:
    """Return zeros like g: the gradient of what is flat, also where g is inf or nan."""
    return OPS["filled"](g, tuple(g.shape), 0, None)


def split_tie(g: Any, mine: Any, theirs: Any, loses: Any) -> Any:
    """Give the gradient to the input that was chosen, half of it where both are equal, to both where one is nan."""
    return where(mine == theirs, g / 2, where(loses, 0.0, g))


def is_complex(x: Any) -> bool:
    return bool((x._array if isinstance(x, Tensor) else x).dtype.kind == "c")


def direction(x: Any) -> Any:
    """Return x / |x|, and 0 at 0."""
    return sgn(x) if is_complex(x) else sign(x)


def sgn_rule(g: Any, x: Any) -> Any:
    """Return 0 for reals; a complex x / |x| turns with the part of a step across it: (g - Re(g s) conj(s)) / |x|."""
    if not is_complex(x):
        return zeros(g)
    s, size = sgn(x), absolute(x)
    return where(x == 0, 0.0, (g - real(g * s) * conjugate(s)) / where(size == 0, 1.0, size))


def power_number_rule(g: Any, x: Any, exponent: Any) -> Any:
    if exponent == 0:
        return zeros(g)
    if exponent == 2:
        return (g + g) * x  # exact, and an array plus itself is cheaper than twice an array
    return g * (exponent * power_number(x, exponent - 1))


def power_base_rule(g: Any, x: Any, y: Any) -> Any:
    return where(y == 0, 0.0, g * (y * power(x, y - 1)))


def power_exponent_rule(g: Any, x: Any, y: Any, out: Any) -> Any:
    flat = (x == 0) & ((real(y) if is_complex(y) else y) >= 0)
    return where(flat, 0.0, g * (out * log(where(flat, 1.0, x))))


def angle_rule(g: Any, side: Any, x: Any, y: Any) -> Any:
    """Return g * side / (x^2 + y^2), and 0 at the origin, where the angle has no derivative."""
    square = x * x + y * y
    return g * (side / where(square == 0, 1.0, square))


def real_type(dtype: Any) -> np.dtype[Any]:
    """Return the type of a part of numbers of a type."""
    return dtypes.of(dtype).to_real().numpy


def infer_complex(x: Any, y: Any) -> Any:
    mismatch = errors.broadcast("complex", [tuple(x.shape), tuple(y.shape)])
    if mismatch is not None:
        raise mismatch
    return np.broadcast_shapes(tuple(x.shape), tuple(y.shape)), dtypes.of(x.dtype).to_complex().numpy


# fmt: off
# ---- choosing and copying
where = elementwise("where", "condition ? x : y", inputs="condition x y", domain=SAME, free="condition",
    x=lambda g, condition: where(condition, g, 0.0), y=lambda g, condition: where(condition, 0.0, g))
clone = elementwise("copy", "x", domain=ANY, face="clone", x=lambda g: g)
# the value of y in the place of x: what copy_, fill_ and zero_ write
overwrite = elementwise("overwrite", "y", inputs="x y", domain=SAME, free="y", face="copy",
    label="torch::autograd::CopyBackwards", x=lambda g: zeros(g), y=lambda g: g)

# ---- arithmetic
add          = elementwise("add", "x + y", domain=SAME, x=lambda g: g, y=lambda g: g)
subtract     = elementwise("subtract", "x - y", domain=SAME, face="sub", refuses="b", x=lambda g: g, y=lambda g: -g)
rsub         = elementwise("rsub", "y - x", domain=SAME, label="RsubBackward1", refuses="b", x=lambda g: -g, y=lambda g: g)
multiply     = elementwise("multiply", "x * y", domain=SAME, face="mul", scales=True,
    x=lambda g, y: g * y, y=lambda g, x: g * x)
divide       = elementwise("divide", "x / y", face="div", scales=True, x=lambda g, y: g / y, y=lambda g, x, y: -g * (x / y / y))
floor_divide = elementwise("floor_divide", "y == 0 ? x / y : fmod(x, y) == x && (x == 0 || (x < 0) == (y < 0)) ? x / y * 0 : "
    "rint((x - fmod(x, y)) / y) - (fmod(x, y) != 0 && (fmod(x, y) < 0) != (y < 0))", domain=SAME, scales=True,
    x=lambda g: zeros(g), y=lambda g: zeros(g), words="floor(x / y)")
trunc_divide = elementwise("trunc_divide", "trunc(x / y)", domain=SAME, face="div", label="DivBackward2",
    x=lambda g: zeros(g), y=lambda g: zeros(g))
remainder    = elementwise("remainder", "fmod(x, y) != 0 && (fmod(x, y) < 0) != (y < 0) ? fmod(x, y) + y : fmod(x, y)",
    domain=SAME, x=lambda g: g, y=lambda g, x, y: -g * floor_divide(x, y), words="x - y * floor(x / y)")
fmod         = elementwise("fmod", "fmod(x, y)", domain=SAME, x=lambda g: g, y=lambda g, x, y: -g * trunc(x / y),
    words="x - y * trunc(x / y)")
power        = elementwise("power", "pow(x, y)", domain=SAME, face="pow", label="PowBackward1",
    x=power_base_rule, y=power_exponent_rule)
power_number = elementwise("power_number", "pow(x, exponent)", params="exponent", face="pow", x=power_number_rule)
negative     = elementwise("negative", "-x", domain=SAME, face="neg", x=lambda g: -g)
absolute     = elementwise("absolute", "x <= 0 ? 0 - x : x", domain=SAME, face="abs", x=lambda g, x: g * direction(x),
    words="|x|")
sign         = elementwise("sign", "(x > 0) - (x < 0)", domain=SAME, refuses="c", x=lambda g: zeros(g),
    words="the sign of x (-1, 0 or 1)")
sgn          = elementwise("sgn", "(x > 0) - (x < 0)", domain=SAME, x=lambda g, x: sgn_rule(g, x), words="x / |x|, and 0 at 0")
reciprocal   = elementwise("reciprocal", "1 / x", x=lambda g, out: -g * out * out)
square       = elementwise("square", "x * x", domain=SAME, label="PowBackward0", x=lambda g, x: g * (2 * x))
sqrt         = elementwise("sqrt", "sqrt(x)", x=lambda g, out: g / (2 * out))
rsqrt        = elementwise("rsqrt", "1 / sqrt(x)", x=lambda g, out: -0.5 * g * out * out * out)
maximum      = elementwise("maximum", "x > y || x != x ? x : y", domain=SAME, refuses="c",
    x=lambda g, x, y: split_tie(g, x, y, x < y), y=lambda g, x, y: split_tie(g, y, x, y < x),
    words="the larger of x and y (nan where one is nan)")
minimum      = elementwise("minimum", "x < y || x != x ? x : y", domain=SAME, refuses="c",
    x=lambda g, x, y: split_tie(g, x, y, x > y), y=lambda g, x, y: split_tie(g, y, x, y > x),
    words="the smaller of x and y (nan where one is nan)")
clip         = elementwise("clip", "x < low || low != low ? low < high || low != low ? low : high : "
    "x > high || high != high ? high : x", inputs="x low high", domain=SAME,
    face="clamp", label="ClampBackward1", refuses="c", x=lambda g, x, low, high: where((x >= low) & (x <= high), g, 0.0),
    low=lambda g, x, low, high: where((x < low) & (low < high), g, 0.0),
    high=lambda g, x, low, high: where((x > high) | (low > high), g, 0.0))
relu         = elementwise("relu", "x < 0 ? 0 : x", domain=SAME, refuses="c", x=lambda g, out: where(out != 0, g, 0.0),
    words="max(x, 0)")

# ---- exponentials and logarithms
exp          = elementwise("exp", "exp(x)", x=lambda g, out: g * out)
exp2         = elementwise("exp2", "exp2(x)", x=lambda g, out: g * out * 0.6931471805599453)
expm1        = elementwise("expm1", "expm1(x)", x=lambda g, out: g * (out + 1))
log          = elementwise("log", "log(x)", x=lambda g, x: g / x)
log2         = elementwise("log2", "log2(x)", x=lambda g, x: g / (x * 0.6931471805599453))
log10        = elementwise("log10", "log10(x)", x=lambda g, x: g / (x * 2.302585092994046))
log1p        = elementwise("log1p", "log1p(x)", label="Log1PBackward0", x=lambda g, x: g / (x + 1))
logaddexp    = elementwise("logaddexp", "x == y ? x - x == 0 ? x + log((x - x) + 2) : x : "
    "fmax(x, y) + log1p(exp(-fabs(x - y)))",
    x=lambda g, x, y: g * sigmoid(x - y), y=lambda g, x, y: g * sigmoid(y - x),
    words="log(exp(x) + exp(y)), safe from overflow,")
sigmoid      = elementwise("sigmoid", "1 / (1 + exp(-x))", x=lambda g, out: g * (out * (1 - out)))
erf          = elementwise("erf", "erf(x)", x=lambda g, x: g * exp(-x * x) * TWO_OVER_SQRT_PI)
erfc         = elementwise("erfc", "erfc(x)", x=lambda g, x: -g * exp(-x * x) * TWO_OVER_SQRT_PI)

# ---- trigonometry
sin          = elementwise("sin", "sin(x)", x=lambda g, x: g * cos(x))
cos          = elementwise("cos", "cos(x)", x=lambda g, x: -g * sin(x))
tan          = elementwise("tan", "tan(x)", x=lambda g, out: g * (1 + out * out))
arcsin       = elementwise("arcsin", "asin(x)", face="asin", x=lambda g, x: g / sqrt(1 - x * x))
arccos       = elementwise("arccos", "acos(x)", face="acos", x=lambda g, x: -g / sqrt(1 - x * x))
arctan       = elementwise("arctan", "atan(x)", face="atan", x=lambda g, x: g / (1 + x * x))
arctan2      = elementwise("arctan2", "atan2(x, y)", face="atan2",
    x=lambda g, x, y: angle_rule(g, y, x, y), y=lambda g, x, y: angle_rule(-g, x, x, y))
sinh         = elementwise("sinh", "sinh(x)", x=lambda g, x: g * cosh(x))
cosh         = elementwise("cosh", "cosh(x)", x=lambda g, x: g * sinh(x))
tanh         = elementwise("tanh", "tanh(x)", x=lambda g, out: g * (1 - out * out))
arcsinh      = elementwise("arcsinh", "asinh(x)", face="asinh", x=lambda g, x: g / sqrt(x * x + 1))
arccosh      = elementwise("arccosh", "acosh(x)", face="acosh", x=lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)))
arctanh      = elementwise("arctanh", "atanh(x)", face="atanh", x=lambda g, x: g / (1 - x * x))
hypot        = elementwise("hypot", "hypot(x, y)", x=lambda g, x, out: g * (x / out), y=lambda g, y, out: g * (y / out))

# ---- rounding: flat almost everywhere
floor        = elementwise("floor", "floor(x)", domain=SAME, x=lambda g: zeros(g))
ceil         = elementwise("ceil", "ceil(x)", domain=SAME, x=lambda g: zeros(g))
trunc        = elementwise("trunc", "trunc(x)", domain=SAME, x=lambda g: zeros(g))
rint         = elementwise("rint", "rint(x)", domain=SAME, face="round", x=lambda g: zeros(g))

# ---- comparison and logic: bool results, never recorded
equal         = elementwise("equal", "x == y", inputs="x y", domain=SAME, boolean=True, face="eq")
not_equal     = elementwise("not_equal", "x != y", inputs="x y", domain=SAME, boolean=True, face="ne")
less          = elementwise("less", "x < y", inputs="x y", domain=SAME, boolean=True, face="lt", refuses="c")
less_equal    = elementwise("less_equal", "x <= y", inputs="x y", domain=SAME, boolean=True, face="le", refuses="c")
greater       = elementwise("greater", "x > y", inputs="x y", domain=SAME, boolean=True, face="gt", refuses="c")
greater_equal = elementwise("greater_equal", "x >= y", inputs="x y", domain=SAME, boolean=True, face="ge", refuses="c")
logical_and   = elementwise("logical_and", "x && y", inputs="x y", domain=ANY, boolean=True, words="x and y")
logical_or    = elementwise("logical_or", "x || y", inputs="x y", domain=ANY, boolean=True, words="x or y")
logical_xor   = elementwise("logical_xor", "!x != !y", inputs="x y", domain=ANY, boolean=True,
    words="whether just one of x and y is true")
logical_not   = elementwise("logical_not", "!x", inputs="x", domain=ANY, boolean=True, words="not x")
isnan         = elementwise("isnan", "x != x", inputs="x", domain=ANY, boolean=True, words="whether x is nan")
isinf         = elementwise("isinf", "x == x && x - x != x - x", inputs="x", domain=ANY, boolean=True,
    words="whether x is infinite")
isfinite      = elementwise("isfinite", "x - x == x - x", inputs="x", domain=ANY, boolean=True,
    words="whether x is a finite number")
bitwise_and   = elementwise("bitwise_and", "x & y", inputs="x y", domain=SAME)
bitwise_or    = elementwise("bitwise_or", "x | y", inputs="x y", domain=SAME)
bitwise_xor   = elementwise("bitwise_xor", "x ^ y", inputs="x y", domain=SAME)
invert        = elementwise("invert", "~x", inputs="x", domain=SAME, face="bitwise_not")
left_shift    = elementwise("left_shift", "x << y", inputs="x y", domain=SAME, face="bitwise_left_shift")
right_shift   = elementwise("right_shift", "x >> y", inputs="x y", domain=SAME, face="bitwise_right_shift")
conjugate     = elementwise("conjugate", None, inputs="x", domain=ANY, face="conj", x=lambda g: conjugate(g))

# ---- complex numbers and their parts, which share the memory
real          = structural("real", "x", lambda x: (x.shape, real_type(x.dtype)), view=True, label="SelectBackward0",
    x=lambda g, x_dtype: cast(g, x_dtype))
imag          = structural("imag", "x", lambda x: (x.shape, real_type(x.dtype)), view=True, label="SelectBackward0",
    x=lambda g: complex_(0.0, g))
complex_      = structural("complex", "real imag", lambda x, y: infer_complex(x, y), domain=FLOAT, broadcasts=True,
    real=lambda g: real(g), imag=lambda g: -imag(g))
# fmt: on
absolute.infer = lambda x: (tuple(x.shape), real_type(x.dtype))


# ---- PyTorch's faces where they say more than the record
def scaled(input: Any, other: Any, alpha: Any) -> Any:
    """Return alpha * other, in the type that `input` and `other` have in common.

    Raises RuntimeError where that type is of a lower category than alpha.
    """
    operands = [x for x in (input, other) if isinstance(x, Tensor)]
    if not isinstance(alpha, Tensor | bool | int | float | complex | np.generic):
        raise errors.not_a_tensor("add", alpha, "alpha")
    if isinstance(alpha, Tensor) and (alpha.requires_grad or alpha.ndim):
        raise TypeError("add(): argument 'alpha' must be a number, or a tensor of one that requires no grad")
    common = dtypes.result_of([x._array for x in operands], [x for x in (input, other) if not isinstance(x, Tensor)])
    if common == dtypes.B8 and isinstance(alpha, int):
        alpha = bool(alpha)
    kind = alpha._array.dtype if isinstance(alpha, Tensor) else dtypes.of_number(alpha)
    if dtypes.category(kind) > dtypes.category(common):
        raise RuntimeError(f"For {common} input tensors, argument alpha must not be {alpha!r}, of a higher category")
    if not isinstance(other, Tensor):
        return other * alpha
    return multiply(other if other._array.dtype == common else call(cast, (other,), (common,)), alpha)


@face("add")
def add_face(input: Any, other: Any, second: Any = None, *, alpha: Any = 1, out: Any = None) -> Any:
    """Return input + alpha * other; in PyTorch's old order add(input, alpha, other)."""
    if second is not None:
        other, alpha = second, other
    if alpha == 1 or out is not None or not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return add(input, other if alpha == 1 else scaled(input, other, alpha), out=out)
    return summed(input, scaled(input, other, alpha))


face("add_", function=False)(inplace_op("add_", add, multiply, scaled))
face("sub_", "subtract_", function=False)(inplace_op("sub_", subtract, multiply, scaled))


@face("sub", "subtract")
def sub_face(input: Any, other: Any, second: Any = None, *, alpha: Any = 1, out: Any = None) -> Any:
    """Return input - alpha * other; in PyTorch's old order sub(input, alpha, other). Raises RuntimeError for two bools."""
    if second is not None:
        other, alpha = second, other
    return subtract(input, other if alpha == 1 else scaled(input, other, alpha), out=out)


@face("rsub")
def rsub_face(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Return other - alpha * input."""
    only_tensors("rsub", (input,))
    result = rsub(input if alpha == 1 else scaled(other, input, alpha), other)
    return relabel(result, "RsubBackward0") if isinstance(other, Tensor) else result


@face("div", "divide", "true_divide")
def div_face(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """Return input / other; rounding_mode "floor" or "trunc" rounds and keeps integer types."""
    if rounding_mode is None:
        return divide(input, other, out=out)
    if rounding_mode == "floor":
        return relabel(floor_divide(input, other, out=out), "DivBackward2")
    if rounding_mode == "trunc":
        return trunc_divide(input, other, out=out)
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}")


_divide, _divide_rounded = inplace_op("div_", divide), inplace("div_", div_face)


@face("div_", "divide_", "true_divide_", function=False)
def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Write the result of `div` to this tensor and return it."""
    return _divide(self, other) if rounding_mode is None else _divide_rounded(self, other, rounding_mode=rounding_mode)


def _category(x: Any) -> int:
    return dtypes.category(x._array.dtype if isinstance(x, Tensor) else dtypes.of_number(x))


def reflected_division(self: Any, other: Any) -> Any:
    """Return other / self; a number by the self as PyTorch records it: reciprocal, then multiply."""
    return reciprocal(self) * other if isinstance(other, int | float | complex) else unusual_swapped(divide, self, other)


def reflected_remainder(self: Any, other: Any) -> Any:
    """Return other % self, under the name of a gradient with respect to a divisor."""
    result = unusual_swapped(remainder, self, other)
    return result if result is NotImplemented else relabel(result, "RemainderBackward1")


REFLECTED.update(truediv=reflected_division, mod=reflected_remainder)


_power_number = power_number.__call__


@face("__pow__", function=False)
def power_operator(self: Any, exponent: Any) -> Any:
    """Return self ** exponent: the commonest case by a short road."""
    kind = type(exponent)
    if (kind is int or kind is float) and self._array.dtype.kind == "f":
        return _power_number(self, exponent)
    known = isinstance(exponent, Tensor | bool | int | float | complex | np.generic) or overridden(kind)
    return pow_face(self, exponent) if known else NotImplemented


@face("pow")
def pow_face(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """Return input ** exponent, either of which may be a number."""
    if not isinstance(exponent, Tensor) and isinstance(input, Tensor):
        if not isinstance(exponent, bool | int | float | complex | np.generic):
            if overridden(type(exponent)):
                return asked(power, (input, exponent), (), unusual)
            raise errors.not_a_tensor("pow", exponent, "exponent")
        if isinstance(exponent, complex):
            return power(input, exponent, out=out)
        category = dtypes.category(input._array.dtype)
        if category >= dtypes.FLOATING:
            return power_number(input, exponent, out=out)
        if isinstance(exponent, int) and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if isinstance(exponent, float):
            return power_number(call(cast, (input,), (dtypes.default_float(),)), exponent, out=out)
    if dtypes.BOOL == _category(input) == _category(exponent):
        if not isinstance(exponent, Tensor):
            return logical_or(input, not exponent, out=out)
        raise NotImplementedError("pow of bools is not implemented; convert them to integers")
    if not isinstance(input, Tensor) and isinstance(exponent, Tensor) and out is None:
        return relabel(power(input, exponent), "PowBackward2")
    return power(input, exponent, out=out)


@face("clamp", "clip")
def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """Return input limited to [min, max]; either may be a tensor or None. Raises RuntimeError when both are None."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    bounds = [x for x in (min, max) if x is not None]
    if _category(input) >= dtypes.FLOATING or builtins.max([_category(x) for x in bounds]) >= dtypes.FLOATING:
        # a bound that is absent must not promote an integer input
        limits = float("-inf") if min is None else min, float("inf") if max is None else max
        result = call(clip, (input, *limits)) if out is None else clip(input, *limits, out=out)
        return relabel(result, "ClampBackward0") if isinstance(min, Tensor) or isinstance(max, Tensor) else result
    if max is None:
        return maximum(input, min, out=out)
    return minimum(input, max, out=out) if min is None else clip(input, min, max, out=out)


@face("clamp_min")
def clamp_min(input: Any, min: Any, *, out: Any = None) -> Any:
    """Return input, but at least min."""
    only_tensors("clamp_min", (input,))
    return relabel(clamp(input, min=min, out=out), f"ClampMinBackward{int(isinstance(min, Tensor))}")


@face("clamp_max")
def clamp_max(input: Any, max: Any, *, out: Any = None) -> Any:
    """Return input, but at most max."""
    only_tensors("clamp_max", (input,))
    return relabel(clamp(input, max=max, out=out), f"ClampMaxBackward{int(isinstance(max, Tensor))}")


@face("remainder")
def remainder_face(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return what is left of input / other rounded down: its sign is that of other."""
    result = remainder(input, other, out=out)
    return relabel(result, "RemainderBackward1") if isinstance(other, Tensor) else result


@face("fmod")
def fmod_face(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return what is left of input / other rounded towards zero: its sign is that of input."""
    only_tensors("fmod", (input,))
    result = fmod(input, other, out=out)
    return relabel(result, "FmodBackward1") if isinstance(other, Tensor) else result


@face("round")
def round_face(input: Any, *, decimals: int | None = None, out: Any = None) -> Any:
    """Return input rounded to `decimals` places, halves to even."""
    if decimals is None:
        return rint(input, out=out)
    decimals = index_of("round", decimals)
    scale = 10.0 ** abs(decimals)
    rounded = rint(input * scale) / scale if decimals > 0 else rint(input / scale) * scale if decimals else rint(input)
    return relabel(rounded, "RoundBackward1") if out is None else write_out("round", rounded, out)


@face("__rpow__", function=False)
def rpow(input: Any, other: Any) -> Any:
    known = isinstance(other, Tensor | bool | int | float | complex | np.generic) or overridden(type(other))
    return pow_face(other, input) if known else NotImplemented


@face("square")
def square_face(input: Any, *, out: Any = None) -> Any:
    """Return input * input; of bools as integers."""
    if isinstance(input, Tensor) and input._array.dtype == dtypes.B8:
        input = call(cast, (input,), (dtypes.I64,))
    return square(input, out=out)


square_face.record = square.__call__  # type: ignore[attr-defined]


@face("where", function=False)
def where_method(input: Any, condition: Any, other: Any) -> Any:
    """Return input where condition holds, else other."""
    return where_face(condition, input, other)


@face("where", method=False)
def where_face(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """Return input where condition holds, else other; with the condition alone, the indices where it holds.

    >>> x = torch.tensor([-1.0, 0.5, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0.0000, 0.5000, 2.0000])
    >>> torch.where(x > 0)
    (tensor([1, 2]),)
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if isinstance(condition, Tensor) and condition._array.dtype == np.uint8:
        words = "where received a uint8 condition tensor. This behavior is deprecated; use a boolean condition instead."
        warnings.warn(words, stacklevel=3)
        condition = call(cast, (condition,), (dtypes.B8,))
    if isinstance(condition, Tensor) and condition._array.dtype != dtypes.B8:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}")
    return call(where, (condition, input, other)) if out is None else where(condition, input, other, out=out)


@face("positive", "__pos__")
def positive(input: Any) -> Any:
    """Return input itself. Raises RuntimeError for bools."""
    if _category(input) == dtypes.BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@face("conj")
def conj(input: Any) -> Any:
    """Return the complex conjugate; real tensors as they are."""
    return conjugate(input) if _category(input) == dtypes.COMPLEX else input


def part(name: str, view: Any) -> property:
    """Return the attribute of a tensor that is a part of its complex numbers, to read and to write."""

    def get(input: Any) -> Any:
        if _category(input) == dtypes.COMPLEX:
            return view(input)
        if name == "real":
            return input
        raise RuntimeError(f"{name} is not implemented for tensors with non-complex dtypes: this one is {input.dtype}")

    said = f"The {name} part{'' if name == 'real' else ' of complex numbers'}, a view of the same memory, to read and to write."
    return property(get, lambda input, values: get(input).copy_(values), doc=said)


PROPERTIES.update(real=part("real", real), imag=part("imag", imag))


@face("masked_fill")
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """Return input with `value` where mask (bool, broadcast) holds. Raises RuntimeError for another mask type, and for a
    number that input's type does not hold.

    >>> torch.ones(3).masked_fill(torch.tensor([True, False, True]), -1.0)
    tensor([-1.,  1., -1.])
    """
    if mask._array.dtype != dtypes.B8:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"masked_fill_ only supports a 0-dimensional value tensor, but got one of {value._array.ndim} dims"
            )
        if _category(value) == dtypes.COMPLEX > _category(input):
            raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
        value = value.to(input.dtype)
    else:
        value = dtypes.fitting(value, input._array.dtype)
        if _category(value) > _category(input):
            value = int(value) if _category(input) == dtypes.INTEGRAL else bool(value)
    input = input if input._array.flags.c_contiguous else clone(input)  # the result can be viewed in any shape
    return relabel(call(where, (mask, value, input)), f"MaskedFillBackward{int(isinstance(value, Tensor))}")


@face("isclose")
def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Return |input - other| <= atol + rtol * |other|, elementwise; equal infinities are close."""
    only_tensors("isclose", (input, other))
    if input.dtype is not other.dtype:
        raise RuntimeError(f"isclose: {input.dtype} did not match {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must be greater than or equal to zero, but got {rtol} and {atol}")
    if _category(input) < dtypes.FLOATING:
        if rtol == 0 and atol == 0:  # exact also beyond 2^53
            return equal(input, other)
        # differences of bools and of unsigned integers are none
        input, other = call(cast, (input,), (dtypes.F64,)), call(cast, (other,), (dtypes.F64,))
    near = logical_and(isfinite(other), less_equal(absolute(subtract(input, other)), atol + rtol * absolute(other)))
    close = logical_or(equal(input, other), near)
    return logical_or(close, logical_and(isnan(input), isnan(other))) if equal_nan else close


@face("allclose")
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Say whether all elements are close: |input - other| <= atol + rtol * |other|."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@face("equal")
def equal_face(input: Any, other: Any) -> bool:
    """Say whether both have the same shape and elements."""
    only_tensors("equal", (input, other))
    return input.shape == other.shape and bool(equal(input, other).all())


@face("lerp")
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Return input + weight * (end - input), from the end that a number is nearer to: at 1 it is `end` in all digits.

    Raises RuntimeError for integers, and for two dtypes.
    """
    if input.dtype is not end.dtype:
        raise RuntimeError(f"expected dtype {input.dtype} for `end` but got dtype {end.dtype} (lerp)")
    if isinstance(weight, Tensor) and weight._array.ndim and weight.dtype is not input.dtype:
        raise RuntimeError(f"expected dtype {input.dtype} for `weight` but got dtype {weight.dtype} (lerp)")
    if _category(input) < dtypes.FLOATING:
        raise NotImplementedError(f"lerp is not implemented for {input.dtype}")
    made = end - (1 - weight) * (end - input) if _late(weight) else summed(input, end - input, weight)
    return relabel(made, f"LerpBackward{int(isinstance(weight, Tensor))}")


def _late(weight: Any) -> bool:
    return isinstance(weight, int | float) and weight >= 0.5


@face("addcmul")
def addcmul(input: Any, tensor1: Any, tensor2: Any, third: Any = None, *, value: Any = 1) -> Any:
    """Return input + value * tensor1 * tensor2; in PyTorch's old order addcmul(input, value, tensor1, tensor2)."""
    if third is not None:
        value, tensor1, tensor2 = tensor1, tensor2, third
    only_tensors("addcmul", (input, tensor1, tensor2))
    product = tensor1 * tensor2
    if isinstance(value, float) and all(_category(x) < dtypes.FLOATING for x in (input, product)):
        raise RuntimeError(f"addcmul: for integers the value must be one, not {value}")
    return relabel(summed(input, product, value), "AddcmulBackward0")


def summed(input: Any, part: Any, factor: Any = 1) -> Any:
    """Return input + factor * part, in the memory of part, which is nobody else's, where nothing is recorded of many floats."""
    a, number = part._array, type(factor) in (int, float)
    if not number or type(a) is not np.ndarray or a.size < LARGE or not plain_floats(part, input):
        return input + (part if number and factor == 1 else factor * part)
    with backend.of_array(a).quiet():
        if factor != 1:
            multiply.kernels[np.ndarray](a, constant(factor, a.dtype), out=a)
        add.kernels[np.ndarray](input._array, a, out=a)
    return part


def _product_added(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> tuple[Any, Any]:
    return (tensor1 * tensor2 if isinstance(tensor1, Tensor) and isinstance(tensor2, Tensor) else None), value


def _quotient_added(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> tuple[Any, Any]:
    return (tensor1 / tensor2 if isinstance(tensor1, Tensor) and isinstance(tensor2, Tensor) else None), value


def _way_added(self: Any, end: Any, weight: Any) -> tuple[Any, Any]:
    return (end - self if isinstance(end, Tensor) and not _late(weight) else None), weight


ADDS.update(addcmul_=_product_added, addcdiv_=_quotient_added, lerp_=_way_added)


@face("addcdiv")
def addcdiv(input: Any, tensor1: Any, tensor2: Any, third: Any = None, *, value: Any = 1) -> Any:
    """Return input + value * tensor1 / tensor2; in PyTorch's old order addcdiv(input, value, tensor1, tensor2).

    Raises RuntimeError for a quotient of integers.
    """
    if third is not None:
        value, tensor1, tensor2 = tensor1, tensor2, third
    only_tensors("addcdiv", (input, tensor1, tensor2))
    if _category(tensor1) < dtypes.FLOATING and _category(tensor2) < dtypes.FLOATING:
        raise RuntimeError(f"Integer division with addcdiv is not supported (of {tensor1.dtype} and {tensor2.dtype})")
    quotient = tensor1 / tensor2
    return relabel(summed(input, quotient, value), "AddcdivBackward0")
