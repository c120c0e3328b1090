"""Rows of the special functions: of the normal distribution, Bessel's, orthogonal polynomials.

Owns: the rows. May import: the helpers of cases, the families. Must not know: how a row is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

import wengert_special.bessel
import wengert_special.normal
import wengert_special.polynomials  # noqa: F401  (enters the records)
from wengert.testing.cases import I, Leaf, P, R, U, each, spaced, table


def inside(*shape: int) -> Leaf:
    """Numbers in (0, 1)."""
    return Leaf(shape, lambda rng, shape: 0.1 + 0.8 * spaced(rng, shape))


def degrees(*shape: int) -> Leaf:
    return I(*shape, low=-1, high=7)


def bessel(name: str) -> Callable[..., Any]:
    """Return SciPy's function of a real order, at orders 0 and 1: not the one whose kernel is tried."""
    function, order = getattr(scipy.special, {"j": "jv", "y": "yv", "i": "iv", "k": "kv"}[name[0]] + name[2:]), int(name[1])
    return lambda x: function(order, x)


def polynomial(name: str) -> Callable[..., Any]:
    """Return SciPy's polynomial by its coefficients, evaluated by NumPy."""
    one = np.vectorize(lambda v, k: np.polyval(getattr(scipy.special, name)(k), v) if k >= 0 else 0.0, "d")
    return lambda x, n: one(x, n)


def chebyshev(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return Chebyshev's polynomials of the third (cos) or fourth (sin) kind by their definition in angles."""

    def run(x: Any, n: Any) -> Any:
        half = np.arccos(x) / 2
        return np.where(n < 0, 0, function((2 * n + 1) * half) / function(half))

    return run


RECORDS = table(
    each("erfinv", U, oracle=scipy.special.erfinv),
    each("erfcx", R, oracle=scipy.special.erfcx),
    each("ndtr", R, oracle=scipy.special.ndtr),
    each("log_ndtr", R, oracle=scipy.special.log_ndtr),
    each("ndtri", inside, oracle=scipy.special.ndtri),
    each("entr", P, oracle=scipy.special.entr),
    each("xlog1py", R, U, oracle=scipy.special.xlog1py),
    each("logit", inside, oracle=scipy.special.logit),
    *(each(n, R, oracle=bessel(n)) for n in ("i0", "i0e", "i1", "i1e", "j0", "j1")),
    *(each(n, P, oracle=bessel(n)) for n in ("k0", "k0e", "k1", "k1e", "y0", "y1")),
    each("airy_ai", R, oracle=lambda x: scipy.special.airy(x)[0]),
    each("airy_ai_slope", R, oracle=lambda x: scipy.special.airy(x)[1]),
    each("spherical_j0", R, oracle=lambda x: scipy.special.spherical_jn(0, x)),
    each("sinc", R),
    each("chebyshev_polynomial_t", U, degrees, oracle=polynomial("chebyt"), order=1),
    each("chebyshev_polynomial_u", U, degrees, oracle=polynomial("chebyu"), order=0),
    each("chebyshev_polynomial_v", U, degrees, oracle=chebyshev(np.cos), order=0),
    each("chebyshev_polynomial_w", U, degrees, oracle=chebyshev(np.sin), order=0),
    each("hermite_polynomial_h", U, degrees, oracle=polynomial("hermite")),
    each("hermite_polynomial_he", U, degrees, oracle=polynomial("hermitenorm")),
    each("laguerre_polynomial_l", U, degrees, oracle=polynomial("laguerre"), order=0),
    each("legendre_polynomial_p", U, degrees, oracle=polynomial("legendre"), order=0),
)
