"""Rows of the records that get, write and combine at indices beside the first ones.

Owns: the rows. May import: the helpers of cases, the family. Must not know: how a row is checked.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import wengert_ops.indexing  # noqa: F401  (enters the records)
from wengert.testing.cases import I, J, P, R, V, gather, index_put, put_along, row, s, table


def key(ndim: int, indices: Any, places: Any) -> Any:
    parts: list[Any] = [slice(None)] * ndim
    for index, place in zip(indices, places, strict=True):
        parts[place] = index
    return tuple(parts)


def index_sum(values: Any, indices: Any, shape: Any, places: Any) -> Any:
    return index_put(np.zeros(shape), key(len(shape), indices, places), values, True)


def mask_put(x: Any, values: Any, mask: Any, dim: int) -> Any:
    made = x.copy()
    made[(slice(None),) * dim + (mask,)] = values
    return made


def combined(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, values: Any, index: Any, dim: int) -> Any:
        made = x.copy()
        for place in np.ndindex(index.shape):
            at = (*place[:dim], index[place], *place[dim + 1 :])
            made[at] = function(made[at], values[place])
        return made

    return run


BLOCK = np.arange(12).reshape(3, 4) % 3 == 1

RECORDS = table(
    row("index_sum", s(R(3, 4), (I(3, high=5),), (5, 4), (0,)), s(R(4, 3), (V([-1, 0, -1]),), (4, 2), (1,)),
        s(R(2, 3, 5), (I(2, 1), I(3)), (3, 3, 5), (0, 1)), s(R(2, 4), (I(2), I(2)), (3, 4, 5), (0, 2)),
        s(R(0), (I(0),), (3,), (0,)), s(R(300), (I(300, high=9),), (9,), (0,)),
        s(R(40, 9, 5), (I(40, high=9),), (9, 9, 5), (0,)), s(R(5, 90, 3), (V([-1, 0, 3] * 30),), (5, 7, 3), (1,)),
        s(R(70, 4), (I(70), I(70)), (3, 4, 5), (0, 2)),
        s(R(60, 5), (I(60, 5), I(5)), (3, 3), (0, 1)),
        oracle=index_sum),
    row("gather", s(R(3, 4), I(3, 2, high=4), 1), s(R(3, 4), I(2, 4), 0), s(R(3, 4, 2), I(2, 5, 1, high=4), 1),
        s(R(5), I(9), 0), s(R(3, 4), I(0, 4), 0),
        oracle=lambda x, index, dim: gather(x, dim, index), exact=True),
    row("scatter", s(R(3, 4), R(3, 1), J(3, 1, n=4), 1, False), s(R(3, 4), R(2, 4), I(2, 4), 0, True),
        s(R(3, 4, 2), R(2, 5, 1), I(2, 5, 1, high=4), 1, True), s(R(5), R(7), I(7), 0, True), s(R(3), R(0), I(0), 0, False),
        oracle=lambda x, values, index, dim, accumulate: put_along(x, dim, index, values, accumulate)),
    row("scatter_sum", s(R(3, 2), I(3, 2, high=4), (3, 4), 1), s(R(2, 5, 1), I(2, 5, 1, high=4), (3, 4, 2), 1),
        s(R(7), I(7), (5,), 0),
        oracle=lambda values, index, shape, dim: put_along(np.zeros(shape), dim, index, values, True)),
    row("mask_get", s(R(3, 4), V(BLOCK), 0), s(R(3, 4), V([True, False, True]), 0), s(R(2, 3, 4), V(BLOCK), 1),
        s(R(3, 2), V([False] * 3), 0),
        oracle=lambda x, mask, dim: x[(slice(None),) * dim + (mask,)], exact=True),
    row("mask_put", s(R(3, 4), R(4), V(BLOCK), 0), s(R(3, 4), R(2, 4), V([True, False, True]), 0),
        s(R(2, 3, 4), R(2, 4), V(BLOCK), 1),
        s(R(3), R(0), V([False] * 3), 0),
        oracle=mask_put, exact=True),
    *(row(f"scatter_{name}", s(P(3, 4), P(3, 2), I(3, 2, high=4), 1), s(P(3, 4), P(5, 4), I(5, 4), 0), s(P(5), P(7), I(7), 0),
            s(P(3), P(0), I(0), 0), oracle=combined(function))
        for name, function in (("prod", np.multiply), ("amax", np.maximum), ("amin", np.minimum))),
)  # fmt: skip
