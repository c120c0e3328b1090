"""Rows of the gamma function's records.

Owns: the rows. May import: the helpers of cases, the family. Must not know: how a row is checked.
"""

from dataclasses import replace

import scipy.special

import wengert_special.gamma  # noqa: F401  (enters the records)
from wengert.testing.cases import G, Leaf, P, each, table


def order(*shape: int) -> Leaf:
    """Positive numbers that no gradient is asked for."""
    return replace(P(*shape), constant=True)


RECORDS = table(
    each("gammaln", P, oracle=scipy.special.gammaln),
    each("digamma", P, oracle=scipy.special.digamma),
    each("polygamma", P, args=((1,), (2,)), oracle=lambda x, n: scipy.special.polygamma(n, x)),
    each("gammainc", order, P, oracle=scipy.special.gammainc),
    each("gammaincc", order, P, oracle=scipy.special.gammaincc),
    each("zeta", G, P, oracle=scipy.special.zeta),
)
