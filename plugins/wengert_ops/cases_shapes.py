"""Rows of the records that move and join elements beside the first ones.

Owns: the rows. May import: the helpers of cases, the family. Must not know: how a row is checked.
"""

from typing import Any

import numpy as np

import wengert_ops.shapes  # noqa: F401  (enters the records)
from wengert.testing.cases import TRANSPOSE, VIEW, R, V, row, s, table


def placed(y: Any, shape: Any, path: Any) -> Any:
    made = view = np.zeros(shape)
    for step, params in path:
        view = view[(*params[0], ...)] if step is VIEW else view.transpose(*params)
    view[...] = y
    return made


def windows(x: Any, dim: int, size: int, step: int) -> Any:
    every = np.lib.stride_tricks.sliding_window_view(x, size, dim)
    return every[(slice(None),) * dim + (slice(None, None, step),)]


def windows_sum(values: Any, shape: Any, dim: int, size: int, step: int) -> Any:
    made = np.zeros(shape)
    for place in np.ndindex(values.shape):
        at = list(place[:-1])
        at[dim] = at[dim] * step + place[-1]
        made[tuple(at)] += values[place]
    return made


RECORDS = table(
    row("placed", s(R(2, 3), (4, 5), ((VIEW, ((slice(1, 3), slice(0, 3)),)),)), s(R(5), (4, 5), ((VIEW, ((2,),)),)),
        s(R(3, 2), (2, 4), ((VIEW, ((slice(None), slice(0, 3)),)), (TRANSPOSE, ((1, 0),)))),
        s(R(), (3,), ((VIEW, ((0,),)),)), s(R(0), (3,), ((VIEW, ((slice(1, 1),),)),)),
        oracle=placed, exact=True),
    row("stack", s((R(3, 2), R(3, 2)), 1), s((R(3), R(3), R(3)), 0), s((R(2, 2),), 2), s((R(), R()), 0),
        s((R(0, 2), R(0, 2)), 1),
        oracle=lambda xs, axis: np.stack(xs, axis), exact=True),
    row("roll", s(R(3, 4), (1,), (0,)), s(R(3, 4), (-5,), (1,)), s(R(3, 4), (1, 2), (0, 1)), s(R(0, 3), (1,), (0,)),
        oracle=lambda x, shifts, axis: np.roll(x, shifts, axis), exact=True),
    row("view_bytes", s(R(3, 4), np.dtype(np.int64)), s(R(2, 4), np.dtype(np.float32)), s(V(np.int32(7)), np.dtype(np.float32)),
        s(V(np.arange(8, dtype=np.int32).reshape(2, 4)), np.dtype(np.int64)), order=0, exact=True, contiguous=True,
        oracle=lambda x, dtype: x.view(dtype)),
    row("windows", s(R(6, 2), 0, 3, 1), s(R(2, 7), 1, 2, 3), s(R(2, 5), 1, 5, 2), s(R(5), 0, 4, 1), s(R(4), 0, 1, 2),
        oracle=windows, exact=True),
    row("windows_sum", s(R(4, 2, 3), (6, 2), 0, 3, 1), s(R(2, 2, 2), (2, 7), 1, 2, 3), s(R(2, 1, 5), (2, 5), 1, 5, 2),
        s(R(2, 4), (5,), 0, 4, 1), oracle=windows_sum),
)  # fmt: skip
