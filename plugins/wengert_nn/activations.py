"""Activation functions: what `wengert.nn.functional` applies to each element, and softmax in its several forms.

Owns: gelu, silu, elu and kin, softplus, leaky_relu, the hard and shrinking ones, gated and random ones.
May import: wengert.extend; NumPy, to see what lies on the host. Must not know: devices; kernels are in
kernels_activations.py.
A record `..._pull` is g * f'(x) in one kernel: the gradient of f, whose own rules are the second derivative.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from wengert.extend import (
    SAME,
    category,
    creation,
    dtypes,
    e,
    elementwise,
    indexing,
    inplace,
    is_grad_enabled,
    kind_of,
    labelled,
    one_dim,
    r,
    random,
    s,
    structural,
)  # fmt: skip

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
ROOT_TWO_OVER_PI, CUBIC = 0.7978845608028654, 0.044715  # gelu's approximation by tanh
DENSITY = 0.3989422804014327  # of the normal distribution at 0
MANY = 1 << 11  # elements on the host from which on gelu makes its slope with its value: a gradient has one pass then, not nine


# ---- rules that need more than a line
def silu_slope_rule(g: Any, a: Any, x: Any, y: Any) -> Any:
    """Return the derivative of a s(x) (1 + x - y) by x, y apart: s is the logistic function, s' = s (1 - s)."""
    slope = e.sigmoid(x)
    return g * a * slope * (1 + (1 - slope) * (1 + x - y))


def gelu_tanh_curve(x: Any) -> Any:
    """Return the second derivative of x (1 + t) / 2 with t = tanh(u), u = c (x + k x^3)."""
    u1 = ROOT_TWO_OVER_PI * (1 + 3 * CUBIC * x * x)
    t = e.tanh(ROOT_TWO_OVER_PI * (x + CUBIC * x * x * x))
    return (1 - t * t) * (u1 + 0.5 * x * (6 * ROOT_TWO_OVER_PI * CUBIC * x - 2 * t * u1 * u1))


def softplus_curve(g: Any, a: Any, x: Any, beta: float, threshold: float) -> Any:
    slope = e.sigmoid(x * beta)
    return e.where(x * beta > threshold, 0.0, g * a * (beta * slope * (1 - slope)))


def mish_rule(g: Any, x: Any) -> Any:
    """Return g (t + x (1 - t^2) s): t = tanh(softplus(x)), and s = softplus'."""
    t = e.tanh(softplus_(x, 1.0, 20.0))
    return g * (t + x * (1 - t * t) * e.sigmoid(x))


def gelu_curve(x: Any) -> Any:
    """Return the second derivative of gelu."""
    return e.exp(x * x * -0.5) * (2 - x * x) * DENSITY


def hardswish_rule(g: Any, x: Any) -> Any:
    return e.where(x <= -3, 0.0, e.where(x >= 3, g, g * (x / 3 + 0.5)))


# fmt: off
gelu_      = elementwise("gelu", "x * 0.5 * (1 + erf(x * 0.7071067811865476))", 
    x=lambda g, x, out: gelu_pull(g, x, out))
# y is gelu(x): kernels may use it; its gradient is part of that of x
gelu_pull  = elementwise("gelu_pull", inputs="a x y", domain=SAME,
    expr="a * (0.5 * (1 + erf(x * 0.7071067811865476)) + x * exp(x * x * -0.5) * 0.3989422804014327)",
    a=lambda g, x, y: gelu_pull(g, x, y), y=lambda g: e.zeros(g),
    x=lambda g, a, x: g * a * gelu_curve(x))
# where the slope is made with the value: the two, the value with the history of x, and a y, y being the slope at x
gelu_with_slope = structural("gelu_with_slope", "x", lambda x: ((tuple(x.shape), x.dtype),) * 2, outputs=2, constant=True)
gelu_made  = structural("gelu_made", "x value slope", lambda x, value, slope: (tuple(value.shape), value.dtype),
    label="GeluBackward0", x=lambda g, x, slope: gelu_push(g, x, slope))
gelu_push  = elementwise("gelu_push", "a * y", inputs="a x y", domain=SAME,
    a=lambda g, x, y: gelu_push(g, x, y), y=lambda g: e.zeros(g), x=lambda g, a, x: g * a * gelu_curve(x))
gelu_tanh  = elementwise("gelu_tanh", "x * 0.5 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))", face="gelu",
    x=lambda g, x: gelu_tanh_pull(g, x))
gelu_tanh_pull = elementwise("gelu_tanh_pull", inputs="a x", domain=SAME,
    a=lambda g, x: gelu_tanh_pull(g, x), x=lambda g, a, x: g * a * gelu_tanh_curve(x))
silu_      = elementwise("silu", "x / (1 + exp(-x))", x=lambda g, x, out: silu_pull(g, x, out))
silu_pull  = elementwise("silu_pull", "a / (1 + exp(-x)) * (1 + x - y)", inputs="a x y", domain=SAME,
    a=lambda g, x, y: silu_pull(g, x, y), x=silu_slope_rule, y=lambda g, a, x: -(g * a * e.sigmoid(x)))
elu_       = elementwise("elu", "x > 0 ? scale * x : scale * alpha * expm1(x * inner)", params="alpha scale inner",
    x=lambda g, x, alpha, scale, inner: elu_pull(g, x, alpha, scale, inner))
elu_pull   = elementwise("elu_pull", "a * (x > 0 ? scale : scale * alpha * inner * exp(x * inner))", inputs="a x",
    params="alpha scale inner", domain=SAME,
    a=lambda g, x, alpha, scale, inner: elu_pull(g, x, alpha, scale, inner),
    x=lambda g, a, x, alpha, scale, inner: e.where(x >= 0, 0.0, elu_pull(g * a, x, alpha, scale, inner) * inner))
softplus_  = elementwise("softplus", "x * beta > threshold ? x : log1p(exp(x * beta)) / beta", params="beta threshold",
    x=lambda g, x, beta, threshold: softplus_pull(g, x, beta, threshold))
softplus_pull = elementwise("softplus_pull", "x * beta > threshold ? a : a / (1 + exp(x * -beta))", inputs="a x", domain=SAME,
    params="beta threshold", a=lambda g, x, beta, threshold: softplus_pull(g, x, beta, threshold), x=softplus_curve)
logsigmoid_ = elementwise("log_sigmoid", "fmin(x, 0) - log1p(exp(-fabs(x)))", x=lambda g, x: g * e.sigmoid(-x))
leaky_relu_ = elementwise("leaky_relu", "x > 0 ? x : x * slope", params="slope",
    x=lambda g, x, slope: leaky_relu_pull(g, x, slope))
leaky_relu_pull = elementwise("leaky_relu_pull", "x > 0 ? a : a * slope", inputs="a x", params="slope", domain=SAME,
    a=lambda g, x, slope: leaky_relu_pull(g, x, slope), x=lambda g: e.zeros(g))
mish_      = elementwise("mish", "x * tanh(log1p(exp(x)))", x=mish_rule)
hardtanh_  = elementwise("hardtanh", "x < low ? low : x > high ? high : x", params="low high", domain=SAME,
    x=lambda g, x, low, high: e.where((x <= low) | (x >= high), 0.0, g))
hardsigmoid_ = elementwise("hardsigmoid", "fmin(fmax(x + 3, 0), 6) / 6",
    x=lambda g, x: e.where((x > -3) & (x < 3), g / 6, 0.0))
hardswish_ = elementwise("hardswish", "x * fmin(fmax(x + 3, 0), 6) / 6", x=hardswish_rule)
# fmt: on


# ---- what faces share
def real_floats(name: str, input: Any) -> Any:
    """Return input. Raises NotImplementedError for integers, bools and complex numbers."""
    if category(kind_of(name, input)) != dtypes.FLOATING:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert with .float()")
    return input


def floats(name: str, input: Any) -> Any:
    """Return input, which may be complex. Raises NotImplementedError for integers and bools."""
    if category(kind_of(name, input)) < dtypes.FLOATING:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert with .float()")
    return input


def number_like(input: Any, value: Any) -> Any:
    """Return a number as an element of input's type takes it: whole for integers."""
    return int(value) if category(input._array.dtype) < dtypes.FLOATING else float(value)


# ---- rectifiers
def relu(input: Any, inplace: bool = False) -> Any:
    """Return max(x, 0); the gradient at 0 is 0."""
    return input.relu_() if inplace else e.relu(input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Return x limited to [min_val, max_val]; the gradient at the limits is 0. Raises ValueError for min_val > max_val."""
    if inplace:
        return hardtanh_inplace(input, min_val, max_val)
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}")
    if input._array.dtype.kind in "bc":
        raise NotImplementedError(f"hardtanh is not implemented for {input.dtype}")
    return hardtanh_(input, number_like(input, min_val), number_like(input, max_val))


def relu6(input: Any, inplace: bool = False) -> Any:
    """Return min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Return x where it is positive, else negative_slope * x."""
    if inplace:
        return leaky_relu_inplace(input, negative_slope)
    return leaky_relu_(real_floats("leaky_relu", input), float(negative_slope))


@labelled("PreluKernelBackward0")
def prelu(input: Any, weight: Any) -> Any:
    """Return x where it is positive, else weight * x; the weight is one number, or one for each channel (dim 1).

    Raises RuntimeError where the weight has another size.
    """
    shape, size = tuple(input.shape), weight._array.size
    channels = shape[1] if len(shape) > 1 else 1
    if len(weight.shape) > 1 or size not in (1, channels) or (size != 1 and not shape):
        raise RuntimeError(
            f"prelu: the weight must be one number or a vector of one for each channel: its shape is {list(weight.shape)}, the "
            f"input's {list(shape)}, of {channels} channels"
        )
    if weight.dtype is not input.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}")
    weight = s.reshape(weight, (size, *(1,) * (len(shape) - 2)) if len(shape) > 1 else (1,) * len(shape))
    return e.where(input > 0, input, weight * input)


@labelled("RreluWithNoiseBackward0")
def rrelu(
    input: Any, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, inplace: bool = False,
    generator: Any = None,
) -> Any:  # fmt: skip
    """Return x where it is positive, else x times a slope: drawn from [lower, upper) in training, their mean otherwise."""
    if inplace:
        return rrelu_inplace(input, lower, upper, training, generator=generator)
    if lower > upper:
        raise RuntimeError(f"rrelu: lower bound should be less than or equal to the upper bound, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    slopes = lower + (upper - lower) * random.rand_like(real_floats("rrelu", input), generator=generator)
    return input * e.where(input > 0, 1.0, slopes)


@labelled("ThresholdBackward0")
def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """Return x where it is above the threshold, else value."""
    if inplace:
        return threshold_inplace(input, threshold, value)
    if input._array.dtype.kind in "bc":
        raise NotImplementedError(f"threshold is not implemented for {input.dtype}")
    return e.where(input <= threshold, number_like(input, value), input)  # nan stays nan


# ---- exponential ones
def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return x where it is positive, else alpha * (exp(x) - 1)."""
    if inplace:
        return elu_inplace(input, alpha)
    return elu_(real_floats("elu", input), float(alpha), 1.0, 1.0)


def selu(input: Any, inplace: bool = False) -> Any:
    """Return scale * elu(x, alpha), whose constants keep mean 0 and variance 1 through layers.

    Source: G. Klambauer et al., Self-normalizing neural networks, 2017.
    """
    if inplace:
        return selu_inplace(input)
    return elu_(real_floats("selu", input), SELU_ALPHA, SELU_SCALE, 1.0)


@labelled("CeluBackward0")
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return x where it is positive, else alpha * (exp(x / alpha) - 1). Raises RuntimeError for alpha = 0."""
    if inplace:
        return celu_inplace(input, alpha)
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0")
    return elu_(real_floats("celu", input), float(alpha), 1.0, 1.0 / alpha)


def silu(input: Any, inplace: bool = False) -> Any:
    """Return x * sigmoid(x)."""
    return silu_inplace(input) if inplace else silu_(floats("silu", input))


def mish(input: Any, inplace: bool = False) -> Any:
    """Return x * tanh(softplus(x))."""
    return mish_inplace(input) if inplace else mish_(real_floats("mish", input))


def gelu_with_slope_of_ops(x: Any) -> Any:
    """Return what gelu_with_slope does, where a device has no kernel for it."""
    made = gelu_(x)
    return made, gelu_pull(s.filled(x, tuple(x.shape), 1, None), x, made)


def gelu_made_of_ops(x: Any, value: Any, slope: Any) -> Any:
    return value


def gelu(input: Any, approximate: str = "none") -> Any:
    """Return x P(X < x) for a standard normal X; approximate="tanh": x (1 + tanh(c (x + k x^3))) / 2.

    Raises RuntimeError for another approximation. Source: D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    x = real_floats("gelu", input)
    if approximate == "tanh":
        return gelu_tanh(x)
    a = x._array
    if x._edge is not None and isinstance(a, np.ndarray) and a.size >= MANY and a.dtype.itemsize > 2 and is_grad_enabled():
        return gelu_made(x, *gelu_with_slope(x))
    return gelu_(x)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return log(1 + exp(beta x)) / beta, and x where beta x is above the threshold."""
    return softplus_(real_floats("softplus", input), float(beta), float(threshold))


def logsigmoid(input: Any) -> Any:
    """Return log(1 / (1 + exp(-x)))."""
    return logsigmoid_(real_floats("logsigmoid", input))


def tanhshrink(input: Any) -> Any:
    """Return x - tanh(x)."""
    return input - e.tanh(input)


def softsign(input: Any) -> Any:
    """Return x / (1 + |x|)."""
    return input / (e.absolute(input) + 1)


# ---- piecewise ones
def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Return min(max(x + 3, 0), 6) / 6."""
    return hardsigmoid_inplace(input) if inplace else hardsigmoid_(real_floats("hardsigmoid", input))


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Return x * min(max(x + 3, 0), 6) / 6."""
    return hardswish_inplace(input) if inplace else hardswish_(real_floats("hardswish", input))


@labelled("HardshrinkBackward0")
def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return x, and 0 where |x| <= lambd."""
    real_floats("hardshrink", input)
    return e.where((input >= -lambd) & (input <= lambd), 0.0, input)


@labelled("SoftshrinkBackward0")
def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return x moved towards 0 by lambd, and 0 where |x| <= lambd. Raises RuntimeError for a negative lambd."""
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambda must be greater or equal to 0, but found to be {lambd}")
    return real_floats("softshrink", input) - e.clip(input, -float(lambd), float(lambd))


# ---- along a dim
@labelled("GluBackward0")
def glu(input: Any, dim: int = -1) -> Any:
    """Return a * sigmoid(b), where a and b are the halves of input along dim. Raises RuntimeError for an odd size."""
    if not input._array.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = one_dim("glu", input, dim)
    size = input.shape[axis]
    if size % 2:
        raise RuntimeError(f"glu: halving dimension must be even, but dimension {dim} is size {size}")
    before = (slice(None),) * axis
    return s.getitem(input, (*before, slice(0, size // 2))) * e.sigmoid(s.getitem(input, (*before, slice(size // 2, size))))


def usual_dim(name: str, input: Any, dim: int | None) -> int:
    """Return dim, or the one that is taken where none is given, which PyTorch deprecates: 0 of 0, 1 or 3 dims, else 1."""
    if dim is not None:
        return dim
    warnings.warn(f"{name}: implicit dimension choice is deprecated; pass dim=", stacklevel=3)
    return 0 if len(input.shape) in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Return exp(x) / sum exp(x) along dim."""
    return r.softmax(input, usual_dim("softmax", input, dim), dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Return x - log sum exp(x) along dim."""
    return r.log_softmax(input, usual_dim("log_softmax", input, dim), dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Return softmax(-x) along dim."""
    return r.softmax(-input, usual_dim("softmin", input, dim), dtype)


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """Return softmax((x + Gumbel noise) / tau) along dim; hard: one-hot in value, with the soft one's gradient.

    Source: E. Jang, S. Gu and B. Poole, Categorical reparameterization with Gumbel-softmax, 2017.
    """
    noise = -e.log(random.exponential_(creation.empty_like(logits)))
    soft = r.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    indices = r.argmax(soft, dim, True)
    return indexing.scatter(creation.zeros_like(logits), dim, indices, 1.0) - soft.detach() + soft


def relu_inplace(input: Any) -> Any:
    """Write max(x, 0) to input and return it."""
    return input.relu_()


sigmoid, tanh = e.sigmoid, e.tanh

# The forms that write to their input.
# fmt: off
hardtanh_inplace, leaky_relu_inplace   = inplace("hardtanh_", hardtanh), inplace("leaky_relu_", leaky_relu)
rrelu_inplace, threshold_inplace       = inplace("rrelu_", rrelu), inplace("threshold_", threshold)
elu_inplace, selu_inplace, celu_inplace = inplace("elu_", elu), inplace("selu_", selu), inplace("celu_", celu)
silu_inplace, mish_inplace             = inplace("silu_", silu), inplace("mish_", mish)
hardsigmoid_inplace, hardswish_inplace = inplace("hardsigmoid_", hardsigmoid), inplace("hardswish_", hardswish)
# fmt: on
