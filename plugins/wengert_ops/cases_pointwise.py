"""Rows of the further elementwise records, and of those about complex numbers.

Owns: the rows. May import: the helpers of cases, the families. Must not know: how a row is checked. Complex numbers enter as
their parts, so that differences can be taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

import wengert_ops.complexes
import wengert_ops.pointwise  # noqa: F401  (enters the records)
from wengert.extend import OPS
from wengert.testing.cases import NAN, C, I, P, R, V, each, row, s, table


def whole(*shape: int) -> Any:
    return I(*shape, low=-9, high=9)


def of_complex(name: str, finish: Callable[[Any], Any] = lambda z: z) -> Callable[..., Any]:
    """Return a call of a record on numbers given by their parts."""
    return lambda T, re, im: finish(OPS[name](OPS["complex"](re, im)))


def parts(name: str) -> Callable[..., Any]:
    """Return the same for a record whose result is complex: it is weighed by its parts."""
    return of_complex(name, lambda z: (OPS["real"](z), OPS["imag"](z)))


def parts_of(z: Any) -> Any:
    return z.real, z.imag


RECORDS = table(
    each("copysign", R, R),
    each("fmax", R, R, kinks=(s(V([1.0, NAN, 1.0, NAN]), V([NAN, 1.0, 1.0, NAN])),)),
    each("fmin", R, R, kinks=(s(V([1.0, NAN, 1.0, NAN]), V([NAN, 1.0, 1.0, NAN])),)),
    each("frac", R, oracle=lambda x: x - np.trunc(x)),
    each("heaviside", C, C, order=0, exact=True),
    each("nextafter", R, R, exact=True),
    each("gcd", whole, whole, order=0, exact=True),
    each("lcm", whole, whole, order=0, exact=True),
    each("signbit", R, order=0, exact=True),
    each("logaddexp2", R, R),
    each("xlogy", R, P, oracle=scipy.special.xlogy),
    each("nan_to_num", R, args=((0.0, None, None), (1.5, 2.0, -2.0)),
        oracle=lambda x, nan, posinf, neginf: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)),
    row("frexp", s(R(3, 4)), s(R()), s(P(2, 0)), oracle=np.frexp),
    # complex numbers
    row("complex", s(R(3, 4), R(3, 4)), s(R(3, 1), R(4)), s(R(), R(2)), s(R(0, 2), R(2)),
        call=lambda T, re, im: parts_of(OPS["complex"](re, im)), oracle=lambda re, im: np.broadcast_arrays(re, im), exact=True),
    row("real", s(R(3, 4), R(3, 4)), s(R(), R()), call=of_complex("real"), oracle=lambda re, im: re, exact=True),
    row("imag", s(R(3, 4), R(3, 4)), s(R(), R()), call=of_complex("imag"), oracle=lambda re, im: im, exact=True),
    row("sgn", s(R(3, 4), R(3, 4)), s(R(), P()), s(P(0), R(0)), call=parts("sgn"),
        oracle=lambda re, im: parts_of((re + 1j * im) / np.hypot(re, im))),
    row("angle", s(R(3, 4), R(3, 4)), s(R(), P()), s(P(0), R(0)), call=of_complex("angle"),
        oracle=lambda re, im: np.arctan2(im, re)),
    row("view_as_real", s(R(3, 4), R(3, 4)), s(R(), R()), call=of_complex("view_as_real"),
        oracle=lambda re, im: np.stack([re, im], -1), exact=True),
    row("view_as_complex", s(R(3, 2)), s(R(2)), s(R(0, 2)), contiguous=True,
        call=lambda T, x: parts_of(OPS["view_as_complex"](x)), oracle=lambda x: (x[..., 0], x[..., 1]), exact=True),
)
