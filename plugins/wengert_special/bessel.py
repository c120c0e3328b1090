"""Bessel functions and their relatives.

Owns: the records, and sinc's, the spherical function of pi x. May import: wengert.extend. Must not know: devices.
Kernels are SciPy's by name. Rules are the classical recurrences, with the limit where a quotient has none at 0.
Source: NIST Digital Library of Mathematical Functions, sections 10.6, 10.29 and 10.51.
"""

from __future__ import annotations

import math
from typing import Any

from wengert.extend import e, elementwise


def over(y: Any, x: Any, limit: float) -> Any:
    """Return y / x, and the limit at 0."""
    return e.where(x == 0, limit, y / e.where(x == 0, 1.0, x))


def spherical_slope(x: Any, out: Any) -> Any:
    """Return the derivative of sin(x) / x: near 0, where (cos(x) - sin(x) / x) / x loses all digits, by its series."""
    near = e.absolute(x) < 0.25
    small, large = e.where(near, x, 0.0), e.where(near, 1.0, x)
    square = small * small
    series = small * (-1 / 3) * (1 - square / 10 * (1 - square / 28 * (1 - square / 54 * (1 - square / 88))))
    return e.where(near, series, (e.cos(large) - e.where(near, 1.0, out)) / large)


# fmt: off
i0  = elementwise("i0", inputs="x", x=lambda g, x: g * i1(x), words="the modified Bessel function I0(x)")
i0e = elementwise("i0e", inputs="x", face="special_i0e", label="SpecialI0EBackward0",
    x=lambda g, x, out: g * (i1e(x) - e.sign(x) * out), words="exp(-|x|) I0(x), with the modified Bessel function I0,")
i1  = elementwise("i1", inputs="x", face="special_i1", x=lambda g, x, out: g * (i0(x) - over(out, x, 0.5)),
    words="the modified Bessel function I1(x)")
i1e = elementwise("i1e", inputs="x", face="special_i1e", label="SpecialI1EBackward0",
    x=lambda g, x, out: g * (i0e(x) - e.sign(x) * out - over(out, x, 0.5)),
    words="exp(-|x|) I1(x), with the modified Bessel function I1,")
k0  = elementwise("k0", inputs="x", face="special_modified_bessel_k0", x=lambda g, x: -g * k1(x),
    words="the modified Bessel function of the second kind K0(x)")
k1  = elementwise("k1", inputs="x", face="special_modified_bessel_k1", x=lambda g, x, out: -g * (k0(x) + out / x),
    words="the modified Bessel function of the second kind K1(x)")
k0e = elementwise("k0e", inputs="x", face="special_scaled_modified_bessel_k0", x=lambda g, x, out: g * (out - k1e(x)),
    words="exp(x) K0(x), with the modified Bessel function of the second kind,")
k1e = elementwise("k1e", inputs="x", face="special_scaled_modified_bessel_k1",
    x=lambda g, x, out: g * (out - k0e(x) - out / x),
    words="exp(x) K1(x), with the modified Bessel function of the second kind,")
j0  = elementwise("j0", inputs="x", face="special_bessel_j0", x=lambda g, x: -g * j1(x),
    words="the Bessel function of the first kind J0(x)")
j1  = elementwise("j1", inputs="x", face="special_bessel_j1", x=lambda g, x, out: g * (j0(x) - over(out, x, 0.5)),
    words="the Bessel function of the first kind J1(x)")
y0  = elementwise("y0", inputs="x", face="special_bessel_y0", x=lambda g, x: -g * y1(x),
    words="the Bessel function of the second kind Y0(x)")
y1  = elementwise("y1", inputs="x", face="special_bessel_y1", x=lambda g, x, out: g * (y0(x) - out / x),
    words="the Bessel function of the second kind Y1(x)")
ai  = elementwise("airy_ai", inputs="x", face="special_airy_ai", x=lambda g, x: g * ai_slope(x),
    words="the Airy function Ai(x)")
ai_slope     = elementwise("airy_ai_slope", inputs="x", x=lambda g, x: g * x * ai(x))
spherical_j0 = elementwise("spherical_j0", "x == 0 ? 1 : sin(x) / x", face="special_spherical_bessel_j0",
    x=lambda g, x, out: g * spherical_slope(x, out), words="the spherical Bessel function sin(x) / x, and 1 at 0,")
sinc = elementwise("sinc", "x == 0 ? 1 : sin(x * 3.141592653589793) / (x * 3.141592653589793)",
    x=lambda g, x, out: g * (math.pi * spherical_slope(x * math.pi, out)), words="sin(pi x) / (pi x), and 1 at 0,")
# fmt: on
