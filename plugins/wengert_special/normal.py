"""The normal distribution's family: error functions, their inverse, and what logarithms make of probabilities.

Owns: the records. May import: wengert.extend. Must not know: devices; kernels are SciPy's by name.
"""

from __future__ import annotations

import math
from typing import Any

from wengert.extend import e, elementwise

SQRT_HALF, SQRT_2PI, SQRT_PI = math.sqrt(0.5), math.sqrt(2 * math.pi), math.sqrt(math.pi)

# fmt: off
erfinv    = elementwise("erfinv", "erfinv(x)", x=lambda g, out: g * e.exp(out * out) * (SQRT_PI / 2),
    words="the inverse of erf at x")
erfcx     = elementwise("erfcx", "erfcx(x)", face="special_erfcx", x=lambda g, x, out: g * (2 * x * out - 2 / SQRT_PI),
    words="exp(x * x) erfc(x)")
ndtr      = elementwise("ndtr", "0.5 * erfc(-x * 0.7071067811865476)", face="special_ndtr",
    x=lambda g, x: g * e.exp(-0.5 * x * x) / SQRT_2PI, words="P(X <= x) for a standard normal X")
log_ndtr  = elementwise("log_ndtr", inputs="x", face="special_log_ndtr",
    x=lambda g, x: g / erfcx(x * -SQRT_HALF) * (2 / SQRT_2PI),
    words="log P(X <= x) for a standard normal X, right far out in the tail,")
ndtri     = elementwise("ndtri", inputs="x", face="special_ndtri", x=lambda g, out: g * e.exp(0.5 * out * out) * SQRT_2PI,
    words="the quantile of the standard normal distribution, the inverse of ndtr, at x")
entr      = elementwise("entr", "x > 0 ? -x * log(x) : x == 0 ? 0 : x != x ? x : -1 / (x - x)", face="special_entr",
    x=lambda g, x: -g * (e.log(x) + 1), words="-x log(x), 0 at 0 and -inf below,")
xlog1py   = elementwise("xlog1py", "x == 0 && y == y ? 0 : x * log1p(y)", face="special_xlog1py",
    label="SpecialXlog1PyBackward0",
    x=lambda g, x, y: e.where((x == 0) & (y <= -1), 0.0, xlog1py(g, y)), y=lambda g, x, y: g * (x / (y + 1)),
    words="x log(1 + y), and 0 where x is 0,")
logit_    = elementwise("logit", "log(x / (1 - x))", x=lambda g, x: e.where((x < 0) | (x > 1), math.nan, g / (x * (1 - x))))
# fmt: on


def logit(input: Any, eps: float | None = None, *, out: Any = None) -> Any:
    """Return log(x / (1 - x)), of x limited to [eps, 1 - eps] where eps is given."""
    return logit_(input if eps is None else e.clamp(input * 1.0, eps, 1 - eps), out=out)
