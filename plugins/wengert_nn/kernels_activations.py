"""Activation functions on devices made of an array module.

Owns: kernels (backend, *inputs, *params, out) -> array, with as few passes over memory as the module's functions allow.
May import: NumPy, wengert.extend (for `where`, which devices do their own way). Must not know: tensors, gradients.
float16 is computed in float32, as every step would round.
"""

from __future__ import annotations

import functools
import importlib
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import NEAR, aligned, e

HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)
ROOT_HALF, DENSITY = 0.7071067811865476, 0.3989422804014327
ROOT_TWO_OVER_PI, CUBIC = 0.7978845608028654, 0.044715
# P(X < x) = 1 / (1 + exp(-x R(t))) with t = x^2 for a standard normal X; R by least squares, its maximal error made small by
# reweighting: 3e-8 of P for |x| < 5.8, below float32's rounding; beyond, x R(t) only grows, so that P is 0 or 1. R has no real
# roots and is a product of three factors, a row each, of 1, t and t^2.
NORMAL = np.array([
    [0.352957116, 0.0379447741, 0.00152007671], [1.58402415, -0.0304842114, 0.00152007671],
    [2.85421394, -0.121942871, 0.00152007671],
])  # fmt: skip
FAR = 1e12  # of squares: what lies beyond overflows in a power of t
BLOCK = 1 << (16 if NEAR else 15)  # elements of a part that is worked on in the cache
MOST = BLOCK * 3 // 2  # of one that is not cut into parts
FEW = 1 << 10  # elements up to which it takes longer to lay memory out than to use it as it comes
LINE = 16  # elements of which parts have a multiple: each then begins with a cache line, if the array does


def power() -> tuple[Any, float]:
    """Return NumPy's fastest power of a constant, and the factor by which its exponent is one of e.

    With AVX-512 NumPy computes 2^x by vectors, in two thirds of the time that e^x takes; without it number by number.
    """
    try:
        found = importlib.import_module("numpy.lib.introspect").opt_func_info(func_name="^exp2$", signature="float32")
        vectors = not found["exp2"]["ff"]["current"].startswith("baseline")
    except (ImportError, KeyError):  # an older NumPy
        vectors = False
    return (np.exp2, 1 / math.log(2)) if vectors else (np.exp, 1.0)


POWER, RATE = power()
# of P by its three factors, and of the density
EXPONENT = np.vstack([NORMAL * [[-RATE], [1], [1]], [math.log(DENSITY) * RATE, -0.5 * RATE, 0.0]]).astype(SINGLE)


def elementwise(count: int, spare: int = 0) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a kernel of a function of (backend, made, *inputs, *params) that writes to made, given how many inputs it has.

    spare: for how many results beside made it needs memory, which comes after made. Host arrays are computed in parts: the
    steps of a formula then find the last one's result in the cache.
    """

    def dressed(function: Callable[..., Any]) -> Callable[..., Any]:
        def in_parts(backend: Any, made: Any, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> None:
            target, last = made.reshape(-1), np.ascontiguousarray(inputs[-1]).reshape(-1)
            others = [laid(a) for a in inputs[:-1]]
            count = 1 if target.size <= MOST else round(target.size / BLOCK)
            step = target.size if count == 1 else -(-target.size // count // LINE) * LINE
            rest = (backend.scratch((spare, step), target.dtype),) if spare else ()
            if count == 1:
                function(backend, target, *rest, *others, last, *params)
                return
            for start in range(0, target.size, step or 1):
                part = slice(start, start + step)
                if rest and target.size - start < step:
                    rest = (rest[0][:, : target.size - start],)
                function(backend, target[part], *rest, *[a[part] if a.ndim else a for a in others], last[part], *params)

        @functools.wraps(function)
        def run(backend: Any, *args: Any, out: Any = ...) -> Any:
            inputs, params = args[:count], args[count:]
            if out is ... and not inputs[-1].flags.c_contiguous and (axes := turned(inputs[-1])) is not None:
                there = [a.transpose(axes) if a.ndim == len(axes) else a for a in inputs]
                return run(backend, *there, *params).transpose(np.argsort(axes))
            if plain(inputs) and (out is ... or apart(out, inputs)):  # the common calls, in few steps
                made = np.empty(inputs[-1].shape, inputs[-1].dtype) if out is ... else out
                room = np.empty if made.size <= FEW else backend.scratch
                rest = (room((spare, made.size), made.dtype),) if spare else ()
                function(backend, made.reshape(-1), *rest, *[a.reshape(-1) for a in inputs], *params)
                return made
            half = inputs[0].dtype == HALF
            if half:
                inputs = tuple([a.astype(SINGLE) for a in inputs])
            last, host = inputs[-1], type(inputs[-1]) is np.ndarray
            if not all([a.shape == last.shape for a in inputs]):
                if host and all([a.shape == last.shape or (a.size == 1 and a.ndim <= last.ndim) for a in inputs]):
                    inputs = tuple([a if a.shape == last.shape else a.reshape(()) for a in inputs])
                else:
                    inputs = tuple(backend.xp.broadcast_arrays(*inputs))
            shape, kind = inputs[-1].shape, last.dtype
            made = out if out is not ... and host and apart(out, inputs) else backend.xp.empty(shape, kind)
            if host:
                in_parts(backend, made, inputs, params)
            else:
                function(backend, made, *((backend.scratch((spare, *shape), kind),) if spare else ()), *inputs, *params)
            if made is out:
                return made
            made = made.astype(HALF) if half else made
            return made if out is ... else backend.give(made, out)

        run.fills = True  # type: ignore[attr-defined]
        return run

    return dressed


def turned(x: Any) -> Any:
    """Return the order of the dims in which a host array lies row by row: results lie as NumPy lays them. None: as they are."""
    if type(x) is not np.ndarray or 0 in x.strides or (like := np.empty_like(x)).flags.c_contiguous:
        return None
    return sorted(range(x.ndim), key=lambda axis: -like.strides[axis])


def plain(inputs: tuple[Any, ...]) -> bool:
    """Say whether inputs are host arrays of one shape, one part of the cache at most, and not of float16."""
    last = inputs[-1]
    if type(last) is not np.ndarray or last.size > MOST or last.dtype.char not in "fd":
        return False
    return len(inputs) == 1 or all([a.shape == last.shape for a in inputs])


def apart(out: Any, inputs: tuple[Any, ...]) -> bool:
    """Say whether a result of the last input's shape and type can be written to out, part by part."""
    last = inputs[-1]
    if not out.flags.c_contiguous or out.shape != last.shape or out.dtype != last.dtype:
        return False
    return not any([np.may_share_memory(out, a) for a in inputs])


def laid(x: Any) -> Any:
    """Return the elements of a host array in order; of one that repeats one number that number."""
    if not x.ndim:
        return x
    if x.size and not any(x.strides):
        return x[(0,) * x.ndim + (...,)]
    return np.ascontiguousarray(x).reshape(-1)


def logistic(xp: Any, x: Any, made: Any, factor: float = 1.0) -> Any:
    """Write 1 + exp(-factor x), the reciprocal of the logistic function."""
    xp.multiply(x, -factor, out=made)
    xp.exp(made, out=made)
    made += 1
    return made


@elementwise(1)
def silu(backend: Any, made: Any, x: Any) -> None:
    logistic(backend.xp, x, made)
    backend.xp.divide(x, made, out=made)


@elementwise(3, spare=1)
def silu_pull(backend: Any, made: Any, spare: Any, a: Any, x: Any, y: Any) -> None:
    logistic(backend.xp, x, made)
    backend.xp.divide(a, made, out=made)
    rest = backend.xp.subtract(x, y, out=spare[0])
    rest += 1
    made *= rest


class Powers(threading.local):
    """Rows of 1, t, t^2 and of four polynomials in t, for each thread: made once, as the first row stays as it is."""

    rows = np.empty((7, 0), SINGLE)

    def of(self, size: int) -> Any:
        """Return the rows, each of so many elements."""
        if self.rows.shape[1] < size:
            self.rows = aligned((7, size), SINGLE)
            self.rows[0] = 1
        return self.rows[:, :size]


powers = Powers()


def odds(x: Any, count: int = 3) -> Any:
    """Return 1 / P(X < x) of a standard normal X, of float32 on the host, in memory that the next call uses again.

    A matrix product evaluates three polynomials in the time that Horner's rule takes for two of its steps; with a count of four
    also the exponent of the density, to the last row of that memory.
    """
    rows = powers.of(x.size)
    t, t2 = rows[1:3]
    np.multiply(x, x, out=t)
    if not t.dot(t) < FAR * FAR:  # some are beyond, or nan
        np.minimum(t, FAR, out=t)
    np.multiply(t, t, out=t2)
    made, second, third, *_ = np.matmul(EXPONENT[:count], rows[:3], out=rows[3 : 3 + count])
    made *= second
    made *= third
    made *= x
    POWER(made, out=made)
    made += 1
    return made


def normal(backend: Any, made: Any, x: Any, times: Any = None) -> None:
    """Write P(X < x) of a standard normal X, times an array."""
    if x.dtype == SINGLE and isinstance(x, np.ndarray):
        np.divide(1 if times is None else times, odds(x), out=made)
        return
    backend.xp.multiply(backend.xp.asarray(backend.scipy("special").erf(x * ROOT_HALF)) + 1, 0.5, out=made)
    if times is not None:
        made *= times


def bell(xp: Any, squares: Any) -> None:
    """Write exp(-squares / 2) over squares."""
    exp, rate = (POWER, RATE) if xp is np else (xp.exp, 1.0)
    squares *= -0.5 * rate
    exp(squares, out=squares)


@elementwise(1)
def gelu(backend: Any, made: Any, x: Any) -> None:
    normal(backend, made, x, x)


def gelu_with_slope(backend: Any, x: Any) -> tuple[Any, Any]:
    """x P and P + x p, for P(X < x) of a standard normal X and its density p."""
    xp, host = backend.xp, isinstance(x, np.ndarray)
    made, slope = (xp.empty(x.shape, x.dtype) for _ in range(2))
    values, slopes, given = made.reshape(-1), slope.reshape(-1), x.reshape(-1)
    step = BLOCK if host else max(1, x.size)
    for start in range(0, x.size, step):
        part = slice(start, start + step)
        x, share = given[part], slopes[part]
        if host and x.dtype == SINGLE:
            below = odds(x, 4)
            xp.divide(x, below, out=values[part])
            xp.divide(1, below, out=share)
            rest = powers.of(x.size)[6]
            POWER(rest, out=rest)
        else:
            normal(backend, share, x)
            xp.multiply(share, x, out=values[part])
            rest = x * x
            bell(xp, rest)
            rest *= DENSITY
        rest *= x
        share += rest
    return made, slope


@elementwise(3, spare=1)
def gelu_pull(backend: Any, made: Any, spare: Any, a: Any, x: Any, y: Any) -> None:
    """a (P + x p), where P = y / x needs no second evaluation, except near 0, where it is a half."""
    xp = backend.xp
    other = xp.multiply(x, x, out=spare[0])
    small = xp.less(other, 1e-30) if other.size and not xp.min(other) > 1e-30 else None
    bell(xp, other)
    xp.multiply(x, DENSITY, out=made)
    made *= other
    xp.divide(y, x, out=other)
    made += other if small is None else e.where(small, xp.asarray(0.5, x.dtype), other)
    made *= a


@elementwise(1, spare=1)
def gelu_tanh(backend: Any, made: Any, spare: Any, x: Any) -> None:
    xp = backend.xp
    t = xp.multiply(x, x, out=spare[0])
    t *= ROOT_TWO_OVER_PI * CUBIC
    t += ROOT_TWO_OVER_PI
    t *= x
    xp.tanh(t, out=t)
    t += 1
    xp.multiply(x, 0.5, out=made)
    made *= t


@elementwise(2, spare=2)
def gelu_tanh_pull(backend: Any, made: Any, spare: Any, a: Any, x: Any) -> None:
    xp = backend.xp
    square, t = spare
    xp.multiply(x, x, out=square)
    xp.multiply(square, ROOT_TWO_OVER_PI * CUBIC, out=t)
    t += ROOT_TWO_OVER_PI
    t *= x
    xp.tanh(t, out=t)
    square *= 3 * ROOT_TWO_OVER_PI * CUBIC
    square += ROOT_TWO_OVER_PI
    square *= x  # x u'
    xp.multiply(t, t, out=made)
    xp.subtract(1, made, out=made)
    made *= square
    made += t
    made += 1
    made *= a
    made *= 0.5


@elementwise(1, spare=1)
def elu(backend: Any, made: Any, spare: Any, x: Any, alpha: float, scale: float, inner: float) -> None:
    xp = backend.xp
    xp.minimum(0, x, out=made)
    if inner != 1:
        made *= inner
    xp.expm1(made, out=made)
    if alpha * scale != 1:
        made *= alpha * scale
    above = xp.maximum(0, x, out=spare[0])
    if scale != 1:
        above *= scale
    made += above


@elementwise(2, spare=1)
def elu_pull(backend: Any, made: Any, spare: Any, a: Any, x: Any, alpha: float, scale: float, inner: float) -> None:
    xp = backend.xp
    xp.minimum(x, 0, out=made)
    if inner != 1:
        made *= inner
    xp.exp(made, out=made)
    if alpha * inner != 1:
        below = xp.multiply(x <= 0, x.dtype.type(alpha * inner - 1), out=spare[0])
        below += 1
        made *= below
    if scale != 1:
        made *= scale
    made *= a


def exceeds(x: Any, beta: float, threshold: float) -> Any:
    """Return where beta x > threshold, or None where no element is."""
    above = x * beta > threshold if beta != 1 else x > threshold
    return above if above.any() else None


@elementwise(1)
def softplus(backend: Any, made: Any, x: Any, beta: float, threshold: float) -> None:
    xp = backend.xp
    xp.multiply(x, beta, out=made)
    above = exceeds(x, beta, threshold)
    if above is not None:
        xp.minimum(made, threshold, out=made)
    xp.exp(made, out=made)
    xp.log1p(made, out=made)
    if beta != 1:
        made /= beta
    if above is not None:
        made[...] = e.where(above, x, made)


@elementwise(2)
def softplus_pull(backend: Any, made: Any, a: Any, x: Any, beta: float, threshold: float) -> None:
    logistic(backend.xp, x, made, beta)
    backend.xp.divide(a, made, out=made)
    above = exceeds(x, beta, threshold)
    if above is not None:
        made[...] = e.where(above, a, made)


@elementwise(1, spare=1)
def log_sigmoid(backend: Any, made: Any, spare: Any, x: Any) -> None:
    xp = backend.xp
    xp.absolute(x, out=made)
    xp.negative(made, out=made)
    xp.exp(made, out=made)
    xp.log1p(made, out=made)
    xp.subtract(xp.minimum(x, 0, out=spare[0]), made, out=made)


@elementwise(1)
def leaky_relu(backend: Any, made: Any, x: Any, slope: float) -> None:
    xp = backend.xp
    xp.multiply(x, slope, out=made)
    if 0 <= slope <= 1:
        xp.maximum(x, made, out=made)
    elif slope > 1:
        xp.minimum(x, made, out=made)
    else:
        made[...] = e.where(x > 0, x, made)


@elementwise(2)
def leaky_relu_pull(backend: Any, made: Any, a: Any, x: Any, slope: float) -> None:
    xp = backend.xp
    if not 0 <= slope <= 1:
        made[...] = e.where(x > 0, a, a * slope)
        return
    xp.maximum(x > 0, x.dtype.type(slope), out=made)  # 1 or the slope
    made *= a


@elementwise(1, spare=1)
def mish(backend: Any, made: Any, spare: Any, x: Any) -> None:
    """x tanh(log(1 + e)) = x n / (n + 2) with e = exp(x), n = e (e + 2); beyond 20 the fraction is 1."""
    xp = backend.xp
    power = xp.minimum(x, 20, out=spare[0])
    xp.exp(power, out=power)
    xp.add(power, 2, out=made)
    made *= power
    xp.add(made, 2, out=power)
    made /= power
    made *= x


@elementwise(1)
def hardtanh(backend: Any, made: Any, x: Any, low: Any, high: Any) -> None:
    low, high = x.dtype.type(low), x.dtype.type(high)
    if x.dtype.char in "efd":
        backend.xp.clip(x, low, high, out=made)  # in one pass
    else:
        backend.xp.minimum(high, backend.xp.maximum(low, x, out=made), out=made)


def ramp(xp: Any, x: Any, made: Any) -> None:
    xp.add(x, 3, out=made)
    xp.clip(made, 0, 6, out=made)


@elementwise(1)
def hardsigmoid(backend: Any, made: Any, x: Any) -> None:
    ramp(backend.xp, x, made)
    made /= 6


@elementwise(1)
def hardswish(backend: Any, made: Any, x: Any) -> None:
    ramp(backend.xp, x, made)
    made *= x
    made /= 6
