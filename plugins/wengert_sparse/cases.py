"""Rows of the records of sparse tensors.

Owns: the rows. May import: the helpers of cases, the records. Must not know: how a row is checked.
The harness knows dense arrays: a row makes a sparse tensor of the values that it draws, and a dense one of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import wengert_sparse.records as of
from wengert.extend import OPS
from wengert.testing.cases import R, V, row, s, table

PLACES = V([[0, 1, 1, 0, 2], [2, 0, 3, 2, 1]])  # of a 3 x 4 matrix; one is named twice
SORTED = V([[0, 1, 1, 2], [2, 0, 3, 1]])
ROWS, COLS = V([0, 1, 1, 0, 2]), V([2, 0, 3, 2, 1])
CROW, COL = V([0, 1, 3, 4]), V([2, 0, 3, 1])
SHAPE = (3, 4)


def scattered(indices: Any, values: Any, shape: Any = SHAPE) -> Any:
    """Return the dense array with values added at indices."""
    made = np.zeros((*shape[: len(indices)], *values.shape[1:]))
    np.add.at(made, tuple(indices), values)
    return made


def sparse(indices: Any, values: Any, shape: Any = SHAPE) -> Any:
    return of.made(indices, values, (*shape, *values.shape[1:]), False)


def by_rows(crow: Any, col: Any, values: Any) -> Any:
    made = np.zeros(SHAPE)
    made[np.repeat(np.arange(SHAPE[0]), np.diff(crow)), col] = values
    return made


def product(values: Any, rows: Any, cols: Any, dense: Any, n: int) -> Any:
    return scattered(np.stack([rows, cols]), values, (n, len(dense))) @ dense


def sampled(x: Any, y: Any, rows: Any, cols: Any) -> Any:
    return (x[rows] * y[cols]).sum(1)


RECORDS = table(
    row("sparse_coo", s(PLACES, R(5)), s(V([[1, 0, 1]]), R(3, 2)), oracle=lambda i, v: scattered(i, v, SHAPE[: len(i)]),
        call=lambda T, i, v: of.dense_(sparse(i, v, SHAPE[: i.shape[0]]))),
    row("to_dense", s(PLACES, R(5)), oracle=lambda i, v: scattered(i, v) ** 2,
        call=lambda T, i, v: of.dense_(sparse(i, v)) ** 2),
    row("sparse_csr", s(CROW, COL, R(4)), oracle=by_rows,
        call=lambda T, crow, col, v: of.dense_(of.made_rows(crow, col, v, SHAPE))),
    row("coalesce", s(PLACES, R(5)), oracle=lambda i, v: scattered(i, v) ** 3,
        call=lambda T, i, v: of.dense_(of.coalesced(sparse(i, v)) ** 3)),
    row("sparse_values", s(PLACES, R(5)), oracle=lambda i, v: scattered(i, v)[[0, 1, 1, 2], [2, 0, 3, 1]],
        call=lambda T, i, v: of.values_(of.coalesced(sparse(i, v)))),
    row("sparse_picked", s(R(5), PLACES, SORTED), oracle=lambda v, i, j: scattered(i, v)[tuple(j)],
        call=lambda T, v, i, j: of.picked(sparse(i, v), j)),
    row("sparse_by_rows", s(PLACES, R(5)), oracle=scattered, call=lambda T, i, v: of.dense_(of.by_rows(sparse(i, v)))),
    row("sparse_by_places", s(CROW, COL, R(4)), oracle=by_rows,
        call=lambda T, crow, col, v: of.dense_(of.by_places(of.made_rows(crow, col, v, SHAPE)))),
    row("sparse_times_sparse", s(PLACES, R(5), SORTED, R(4)), oracle=lambda i, v, j, w: scattered(i, v) @ scattered(j, w).T,
        call=lambda T, i, v, j, w: of.dense_(of.times_sparse(sparse(i, v), OPS["transpose"](sparse(j, w), (1, 0))))),
    row("sparse_product", s(R(5), ROWS, COLS, R(4, 2), 3), oracle=product),
    row("sparse_rows_product", s(R(4), CROW, COL, R(4, 2)), oracle=lambda v, crow, col, y: by_rows(crow, col, v) @ y, order=0),
    row("sparse_sampled", s(R(3, 2), R(4, 2), ROWS, COLS), oracle=sampled),
)
