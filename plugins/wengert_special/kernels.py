"""What SciPy has under another name or signature, for devices made of an array module.

Owns: kernels (backend, *inputs, *params, out) -> array. May import: nothing; the backend brings its modules.
Must not know: tensors, gradients.
"""

from __future__ import annotations

import math
from typing import Any

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def polygamma(backend: Any, x: Any, n: int, out: Any = ...) -> Any:
    scale = (-1) ** (n + 1) * math.factorial(n)
    made = zeta(backend, n + 1, x) if n < 4 and x.size >= 1 << 10 else backend.scipy("special").zeta(x.dtype.type(n + 1), x)
    return backend.give((made * scale).astype(x.dtype, copy=False), out)


def zeta(backend: Any, s: int, x: Any) -> Any:
    """Return sum (x + k)^-s over all k >= 0 of many x, by parts: ten terms, and the others by Euler's and Maclaurin's formula.

    s: up to 4, where the rest is below a double's last digit. What is not above 0 is SciPy's.
    """
    xp, flat = backend.xp, x.reshape(-1)
    made = xp.empty(flat.shape, x.dtype)
    rising = [math.prod(range(s, s + 2 * j + 1)) / math.factorial(2 * j + 2) for j in range(len(BERNOULLI))]
    for i in range(0, flat.size, backend.block):
        part = flat[i : i + backend.block]
        wide = part.astype("float64")
        total = xp.zeros_like(wide)
        for _ in range(10):
            total += wide**-s if s > 2 else 1 / (wide * wide)
            wide += 1
        one = 1 / wide
        square, rest = one * one, xp.zeros_like(wide)
        for factor, number in zip(reversed(rising), reversed(BERNOULLI), strict=True):
            rest = (rest + factor * number) * square
        total += one ** (s - 1) * (1 / (s - 1) + one / 2 + rest)
        few = ~(part > 0)
        if few.any():
            total[few] = backend.scipy("special").zeta(x.dtype.type(s), part[few])
        made[i : i + backend.block] = total
    return made.reshape(x.shape)


def i0(backend: Any, x: Any, out: Any = ...) -> Any:
    return backend.give(backend.scipy("special").i0(x).astype(x.dtype, copy=False), out)  # NumPy's is no ufunc


def airy_ai(backend: Any, x: Any, out: Any = ...) -> Any:
    return backend.give(backend.scipy("special").airy(x)[0].astype(x.dtype, copy=False), out)


def airy_ai_slope(backend: Any, x: Any, out: Any = ...) -> Any:
    return backend.give(backend.scipy("special").airy(x)[1].astype(x.dtype, copy=False), out)


def spherical_j0(backend: Any, x: Any, out: Any = ...) -> Any:
    xp = backend.xp
    with backend.quiet():
        return backend.give(xp.where(x == 0, x.dtype.type(1), xp.where(xp.isinf(x), x.dtype.type(0), xp.sin(x) / x)), out)


def gammaln(backend: Any, x: Any, out: Any = ...) -> Any:
    made = backend.scipy("special").gammaln(x)
    return backend.give(backend.xp.where(x == -math.inf, math.inf, made).astype(x.dtype, copy=False), out)


def logit(backend: Any, x: Any, out: Any = ...) -> Any:
    xp, one = backend.xp, x.dtype.type(1)
    with backend.quiet():
        return xp.log(x / (one - x), out=out)


def sinc(backend: Any, x: Any, out: Any = ...) -> Any:
    wide = x.astype("float32") if x.dtype.char == "e" else x  # pi x has more digits than float16
    angle = wide * wide.dtype.type(math.pi)
    with backend.quiet():
        made = backend.xp.where(wide == 0, wide.dtype.type(1), backend.xp.sin(angle) / angle)
    return backend.give(made.astype(x.dtype, copy=False), out)


# ---- polynomials: SciPy has recurrences for integer degrees, in float64
def whole_degree(backend: Any, n: Any) -> Any:
    """Return degrees as integers; all below 0, and what is no number, are -1: SciPy would count down from any of them."""
    with backend.quiet():
        return backend.xp.maximum(n.astype("int64"), -1)


def degree(name: str) -> Any:
    """Return the kernel of a polynomial by SciPy's name, 0 for negative degrees."""

    def run(backend: Any, x: Any, n: Any, out: Any = ...) -> Any:
        whole = whole_degree(backend, n)
        made = getattr(backend.scipy("special"), name)(whole, x)
        return backend.give(backend.xp.where(whole < 0, 0, made).astype(x.dtype), out)

    return run


def chebyshev(sign: int) -> Any:
    """Return the kernel of the third (sign -1) or fourth (sign 1) kind: U_n + sign U_(n - 1)."""

    def run(backend: Any, x: Any, n: Any, out: Any = ...) -> Any:
        whole, u = whole_degree(backend, n), backend.scipy("special").eval_chebyu
        made = u(whole, x) + sign * backend.xp.where(whole < 1, 0, u(whole - 1, x))
        return backend.give(backend.xp.where(whole < 0, 0, made).astype(x.dtype), out)

    return run


chebyshev_polynomial_t, chebyshev_polynomial_u = degree("eval_chebyt"), degree("eval_chebyu")
chebyshev_polynomial_v, chebyshev_polynomial_w = chebyshev(-1), chebyshev(1)
hermite_polynomial_h, hermite_polynomial_he = degree("eval_hermite"), degree("eval_hermitenorm")
laguerre_polynomial_l, legendre_polynomial_p = degree("eval_laguerre"), degree("eval_legendre")
