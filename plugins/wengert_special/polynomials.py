"""Orthogonal polynomials of a degree n, which may be a tensor; 0 for negative degrees.

Owns: the records. May import: wengert.extend. Must not know: devices. Shifted polynomials are those of 2 x - 1. Rules are
there where the derivative is one polynomial of the family.
Source: NIST Digital Library of Mathematical Functions, section 18.9.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import elementwise


def polynomial(name: str, **rules: Any) -> Any:
    return elementwise(name, inputs="x n", face=f"special_{name}", **rules)


# fmt: off
chebyshev_polynomial_t = polynomial("chebyshev_polynomial_t", x=lambda g, x, n: g * n * chebyshev_polynomial_u(x, n - 1),
    words="Chebyshev's polynomial of the first kind of degree n at x")
chebyshev_polynomial_u = polynomial("chebyshev_polynomial_u",
    words="Chebyshev's polynomial of the second kind of degree n at x")
chebyshev_polynomial_v = polynomial("chebyshev_polynomial_v", words="Chebyshev's polynomial of the third kind of degree n at x")
chebyshev_polynomial_w = polynomial("chebyshev_polynomial_w",
    words="Chebyshev's polynomial of the fourth kind of degree n at x")
hermite_polynomial_h   = polynomial("hermite_polynomial_h", x=lambda g, x, n: g * (2 * n) * hermite_polynomial_h(x, n - 1),
    words="the physicists' Hermite polynomial of degree n at x")
hermite_polynomial_he  = polynomial("hermite_polynomial_he", x=lambda g, x, n: g * n * hermite_polynomial_he(x, n - 1),
    words="the probabilists' Hermite polynomial of degree n at x")
laguerre_polynomial_l  = polynomial("laguerre_polynomial_l", words="Laguerre's polynomial of degree n at x")
legendre_polynomial_p  = polynomial("legendre_polynomial_p", words="Legendre's polynomial of degree n at x")
# fmt: on


def shifted_chebyshev_polynomial_t(input: Any, n: Any) -> Any:
    """Return Chebyshev's polynomial of the first kind at 2 x - 1."""
    return chebyshev_polynomial_t(2.0 * input - 1, n)


def shifted_chebyshev_polynomial_u(input: Any, n: Any) -> Any:
    """Return Chebyshev's polynomial of the second kind at 2 x - 1."""
    return chebyshev_polynomial_u(2.0 * input - 1, n)


def shifted_chebyshev_polynomial_v(input: Any, n: Any) -> Any:
    """Return Chebyshev's polynomial of the third kind at 2 x - 1."""
    return chebyshev_polynomial_v(2.0 * input - 1, n)


def shifted_chebyshev_polynomial_w(input: Any, n: Any) -> Any:
    """Return Chebyshev's polynomial of the fourth kind at 2 x - 1."""
    return chebyshev_polynomial_w(2.0 * input - 1, n)
