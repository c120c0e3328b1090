"""Activation functions on devices made of an array module.

Owns: kernels (backend, *inputs, *params, out) -> array, with as few passes over memory as the module's functions allow.
May import: NumPy, wengert.extend (for `where`, which devices do their own way). Must not know: tensors, gradients.
float16 is computed in float32, as every step would round.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import e

HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)
ROOT_HALF, DENSITY = 0.7071067811865476, 0.3989422804014327
ROOT_TWO_OVER_PI, CUBIC = 0.7978845608028654, 0.044715
# P(X < x) = (1 + tanh(x R(x^2))) / 2 for a standard normal X; R by least squares, its maximal error made small by
# reweighting: 3e-8 of P for |x| < 5.6, below float32's rounding; beyond, x R(x^2) only grows, so that P is 0 or 1.
NORMAL = (
    1.7561727627679602e-09, -1.3226340911387524e-07, 3.964745246776147e-06, -5.5306198191829026e-05, -3.259496588725597e-05,
    0.03633308410644531, 0.7978849411010742,
)  # fmt: skip
BLOCK = 1 << 16  # elements of a part that is worked on in the cache


def elementwise(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a kernel of a function of (backend, *inputs, *params) that returns a new array, given how many inputs it has.

    Large host arrays are computed in parts: the steps of a formula then find the last one's result in the cache.
    """

    def dressed(function: Callable[..., Any]) -> Callable[..., Any]:
        def in_parts(backend: Any, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
            made = np.empty(inputs[-1].shape, inputs[-1].dtype)
            flat, target = [a.reshape(-1) for a in inputs], made.reshape(-1)
            for start in range(0, target.size, BLOCK):
                part = slice(start, start + BLOCK)
                target[part] = function(backend, *[a[part] for a in flat], *params)
            return made

        @functools.wraps(function)
        def run(backend: Any, *args: Any, out: Any = ...) -> Any:
            inputs, params = args[:count], args[count:]
            half = inputs[0].dtype == HALF
            if half:
                inputs = tuple([a.astype(SINGLE) for a in inputs])
            last = inputs[-1]
            if not all([a.shape == last.shape for a in inputs]):
                inputs = tuple(backend.xp.broadcast_arrays(*inputs))
            if type(last) is np.ndarray and last.size > 2 * BLOCK and all([a.flags.c_contiguous for a in inputs]):
                made = in_parts(backend, inputs, params)
            else:
                made = function(backend, *inputs, *params)
            if half:
                made = made.astype(HALF)
            return made if out is ... else backend.give(made, out)

        return run

    return dressed


def logistic(xp: Any, x: Any, factor: float = 1.0) -> Any:
    """Return 1 + exp(-factor x), the reciprocal of the logistic function, as a new array."""
    made = xp.multiply(x, -factor, out=...)
    xp.exp(made, out=made)
    made += 1
    return made


@elementwise(1)
def silu(backend: Any, x: Any) -> Any:
    made = logistic(backend.xp, x)
    return backend.xp.divide(x, made, out=made)


@elementwise(3)
def silu_pull(backend: Any, a: Any, x: Any, y: Any) -> Any:
    made = logistic(backend.xp, x)
    backend.xp.divide(a, made, out=made)
    rest = backend.xp.subtract(x, y, out=...)
    rest += 1
    made *= rest
    return made


def normal(backend: Any, x: Any) -> Any:
    """Return P(X < x) of a standard normal X, doubled."""
    xp = backend.xp
    if x.dtype != SINGLE or not isinstance(x, np.ndarray):
        made = xp.asarray(backend.scipy("special").erf(x * ROOT_HALF))
    else:
        square = xp.multiply(x, x, out=...)
        made = xp.multiply(square, NORMAL[0], out=...)
        made += NORMAL[1]
        for c in NORMAL[2:]:
            made *= square
            made += c
        made *= x
        xp.tanh(made, out=made)
    made += 1
    return made


@elementwise(1)
def gelu(backend: Any, x: Any) -> Any:
    made = normal(backend, x)
    made *= 0.5
    made *= x
    return made


@elementwise(3)
def gelu_pull(backend: Any, a: Any, x: Any, y: Any) -> Any:
    """a (P + x p), where P = y / x needs no second evaluation, except near 0, where it is a half."""
    xp = backend.xp
    made = xp.multiply(x, x, out=...)
    small = xp.less(made, 1e-30, out=...)
    made *= -0.5
    xp.exp(made, out=made)
    made *= x
    made *= DENSITY
    known = xp.divide(y, x, out=...)
    made += e.where(small, xp.asarray(0.5, x.dtype), known) if small.any() else known
    made *= a
    return made


@elementwise(1)
def gelu_tanh(backend: Any, x: Any) -> Any:
    xp = backend.xp
    made = xp.multiply(x, x, out=...)
    made *= ROOT_TWO_OVER_PI * CUBIC
    made += ROOT_TWO_OVER_PI
    made *= x
    xp.tanh(made, out=made)
    made += 1
    made *= 0.5
    made *= x
    return made


@elementwise(2)
def gelu_tanh_pull(backend: Any, a: Any, x: Any) -> Any:
    xp = backend.xp
    square = xp.multiply(x, x, out=...)
    t = xp.multiply(square, ROOT_TWO_OVER_PI * CUBIC, out=...)
    t += ROOT_TWO_OVER_PI
    t *= x
    xp.tanh(t, out=t)
    square *= 3 * ROOT_TWO_OVER_PI * CUBIC
    square += ROOT_TWO_OVER_PI
    square *= x  # x u'
    made = xp.multiply(t, t, out=...)
    xp.subtract(1, made, out=made)
    made *= square
    made += t
    made += 1
    made *= a
    made *= 0.5
    return made


@elementwise(1)
def elu(backend: Any, x: Any, alpha: float, scale: float, inner: float) -> Any:
    xp = backend.xp
    made = xp.minimum(x, 0, out=...)
    if inner != 1:
        made *= inner
    xp.expm1(made, out=made)
    if alpha * scale != 1:
        made *= alpha * scale
    above = xp.maximum(x, 0, out=...)
    if scale != 1:
        above *= scale
    made += above
    return made


@elementwise(2)
def elu_pull(backend: Any, a: Any, x: Any, alpha: float, scale: float, inner: float) -> Any:
    xp = backend.xp
    made = xp.minimum(x, 0, out=...)
    if inner != 1:
        made *= inner
    xp.exp(made, out=made)
    if alpha * inner != 1:
        below = xp.multiply(x <= 0, x.dtype.type(alpha * inner - 1), out=...)
        below += 1
        made *= below
    if scale != 1:
        made *= scale
    made *= a
    return made


def exceeds(backend: Any, x: Any, beta: float, threshold: float) -> Any:
    """Return where beta x > threshold, or None where no element is."""
    above = x * beta > threshold if beta != 1 else x > threshold
    return above if above.any() else None


@elementwise(1)
def softplus(backend: Any, x: Any, beta: float, threshold: float) -> Any:
    xp = backend.xp
    made = xp.multiply(x, beta, out=...)
    above = exceeds(backend, x, beta, threshold)
    if above is not None:
        xp.minimum(made, threshold, out=made)
    xp.exp(made, out=made)
    xp.log1p(made, out=made)
    if beta != 1:
        made /= beta
    return made if above is None else e.where(above, x, made)


@elementwise(2)
def softplus_pull(backend: Any, a: Any, x: Any, beta: float, threshold: float) -> Any:
    xp = backend.xp
    made = logistic(xp, x, beta)
    xp.divide(a, made, out=made)
    above = exceeds(backend, x, beta, threshold)
    return made if above is None else e.where(above, a, made)


@elementwise(1)
def log_sigmoid(backend: Any, x: Any) -> Any:
    xp = backend.xp
    made = xp.absolute(x, out=...)
    xp.negative(made, out=made)
    xp.exp(made, out=made)
    xp.log1p(made, out=made)
    below = xp.minimum(x, 0, out=...)
    return xp.subtract(below, made, out=made)


@elementwise(1)
def leaky_relu(backend: Any, x: Any, slope: float) -> Any:
    xp = backend.xp
    made = xp.multiply(x, slope, out=...)
    if 0 <= slope <= 1:
        return xp.maximum(x, made, out=made)
    return xp.minimum(x, made, out=made) if slope > 1 else e.where(x > 0, x, made)


@elementwise(2)
def leaky_relu_pull(backend: Any, a: Any, x: Any, slope: float) -> Any:
    xp = backend.xp
    if not 0 <= slope <= 1:
        return e.where(x > 0, a, a * slope)
    slopes = xp.maximum(x > 0, x.dtype.type(slope), out=...)  # 1 or the slope
    slopes *= a
    return slopes


@elementwise(1)
def mish(backend: Any, x: Any) -> Any:
    """x tanh(log(1 + e)) = x n / (n + 2) with e = exp(x), n = e (e + 2); beyond 20 the fraction is 1."""
    xp = backend.xp
    power = xp.minimum(x, 20, out=...)
    xp.exp(power, out=power)
    made = xp.add(power, 2, out=...)
    made *= power
    xp.add(made, 2, out=power)
    made /= power
    made *= x
    return made


@elementwise(1)
def hardtanh(backend: Any, x: Any, low: Any, high: Any) -> Any:
    made = backend.xp.maximum(x, x.dtype.type(low), out=...)
    return backend.xp.minimum(made, x.dtype.type(high), out=made)


def ramp(xp: Any, x: Any) -> Any:
    made = xp.add(x, 3, out=...)
    xp.maximum(made, 0, out=made)
    return xp.minimum(made, 6, out=made)


@elementwise(1)
def hardsigmoid(backend: Any, x: Any) -> Any:
    made = ramp(backend.xp, x)
    made /= 6
    return made


@elementwise(1)
def hardswish(backend: Any, x: Any) -> Any:
    made = ramp(backend.xp, x)
    made *= x
    made /= 6
    return made
