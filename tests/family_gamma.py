"""Rows of the gamma function's records.

Owns: the rows. May import: the helpers of cases, the family. Must not know: how a row is checked.
"""

import scipy.special

import wengert_special.gamma  # noqa: F401  (enters the records)
from cases import P, each, table

RECORDS = table(
    each("gammaln", P, oracle=scipy.special.gammaln),
    each("digamma", P, oracle=scipy.special.digamma),
    each("polygamma", P, args=((1,), (2,)), oracle=lambda x, n: scipy.special.polygamma(n, x)),
)
