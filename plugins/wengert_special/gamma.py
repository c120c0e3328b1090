"""The gamma function's family.

Owns: gammaln, digamma, polygamma. May import: wengert.extend. Must not know: devices; kernels are SciPy's by name.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import elementwise

# fmt: off
gammaln   = elementwise("gammaln", "lgamma(x)", face="lgamma", x=lambda g, x: g * digamma_(x))
digamma_  = elementwise("digamma", face="digamma", inputs="x", x=lambda g, x: g * polygamma_(x, 1))
polygamma_ = elementwise("polygamma", inputs="x", params="n", label="PolygammaBackward0",
    x=lambda g, x, n: g * polygamma_(x, n + 1))
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
