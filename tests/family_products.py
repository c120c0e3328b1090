"""Rows of the core's products of matrices and vectors beside matmul and dot.

Owns: the rows. May import: the helpers of cases. Must not know: how a row is checked.
"""

import numpy as np

from cases import R, row, s, table

RECORDS = table(
    row("rows", s(R(2, 3, 4), R(4, 2)), s(R(2, 2, 3, 4), R(4, 1)), s(R(2, 0, 3), R(3, 2)), s(R(2, 3, 0), R(0, 2)),
        oracle=np.matmul),
    row("mv", s(R(3, 4), R(4)), s(R(0, 4), R(4)), s(R(3, 0), R(0)), oracle=np.matmul),
    row("outer", s(R(3), R(4)), s(R(0), R(2)), oracle=np.outer),
)  # fmt: skip
