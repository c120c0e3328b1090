"""The gamma function's family.

Owns: gammaln, digamma, polygamma, the incomplete gamma functions, zeta. May import: wengert.extend. Must not know:
devices; kernels are SciPy's by name. The multivariate function is a sum of gammaln.
"""

from __future__ import annotations

import math
from typing import Any

from wengert.extend import e, elementwise, labelled, only_tensors

# fmt: off
gammaln    = elementwise("gammaln", "lgamma(x)", face="lgamma", x=lambda g, x: g * digamma_(x))
digamma_   = elementwise("digamma", face="digamma", inputs="x", x=lambda g, x: g * polygamma_(x, 1))
polygamma_ = elementwise("polygamma", inputs="x", params="n", label="PolygammaBackward0",
    x=lambda g, x, n: g * polygamma_(x, n + 1))
gammainc   = elementwise("gammainc", inputs="a x", face="igamma",
    x=lambda g, a, x: g * e.exp((a - 1) * e.log(x) - x - gammaln(a)))
gammaincc  = elementwise("gammaincc", inputs="a x", face="igammac",
    x=lambda g, a, x: -g * e.exp((a - 1) * e.log(x) - x - gammaln(a)))
zeta_      = elementwise("zeta", inputs="x q", face="special_zeta", q=lambda g, x, q: -g * x * zeta_(x + 1, q))
# fmt: on


def lgamma(input: Any, *, out: Any = None) -> Any:
    """Return log|gamma(x)| for each element."""
    return gammaln(input, out=out)


def digamma(input: Any, *, out: Any = None) -> Any:
    """Return the logarithmic derivative of the gamma function, d/dx log gamma(x), for each element."""
    return digamma_(input, out=out)


def polygamma(n: int, input: Any, *, out: Any = None) -> Any:
    """Return the n-th derivative of digamma for each element. Raises RuntimeError for a negative n."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n: got {n}")
    return digamma_(input, out=out) if n == 0 else polygamma_(input, n, out=out)


def polygamma_method(input: Any, n: int) -> Any:
    """Return the n-th derivative of digamma for each element."""
    return polygamma(n, input)


@labelled("MvlgammaBackward0")
def mvlgamma(input: Any, p: int) -> Any:
    """Return the logarithm of the p-dimensional gamma function: p (p - 1) / 4 log(pi) + sum of lgamma(x - i / 2), i < p.

    Raises RuntimeError unless p >= 1.
    """
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1 (mvlgamma), got {p}")
    total = gammaln(input)
    for i in range(1, p):
        total = total + gammaln(input - i / 2)
    return total + p * (p - 1) / 4 * math.log(math.pi)


def igamma(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return the regularized lower incomplete gamma function P(input, other); it has a gradient for other only."""
    only_tensors("igamma", (input, other))
    return gammainc(input, other, out=out)


def igammac(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return the regularized upper incomplete gamma function Q(input, other); it has a gradient for other only."""
    only_tensors("igammac", (input, other))
    return gammaincc(input, other, out=out)


def zeta(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return Hurwitz's zeta function, the sum of (k + other)^-input for k = 0, 1, ...; it has a gradient for other only."""
    return zeta_(input, other, out=out)
