"""Rows of the records of reductions, scans and sorting.

Owns: the rows, and NumPy's word for them. May import: the helpers of cases, the families. Must not know: how a row is checked.
"""

from typing import Any

import numpy as np
import scipy.special
import scipy.stats

import wengert_ops.reductions
import wengert_ops.sorting
import wengert_ops.statistics  # noqa: F401  (all three enter their records)
from wengert.testing.cases import I, J, P, R, V, argsort, row, s, table

MANY = s(R(3, 4), (1,), False), s(R(3, 4), (0,), True), s(R(2, 3, 4), (0, 2), False), s(R(2, 3), None, False)


def shares(x: Any, axis: Any) -> Any:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def picked(values: Any, places: Any) -> Any:
    return lambda x, axis, keepdims: (values(x, axis=axis, keepdims=keepdims), places(x, axis=axis, keepdims=keepdims))


def put_along(x: Any, indices: Any, shape: Any, axis: int) -> Any:
    made = np.zeros(shape)
    np.put_along_axis(made, indices, x, axis)
    return made


def sort(x: Any, axis: int, descending: bool) -> Any:
    order = argsort(x, axis, descending)
    return np.take_along_axis(x, order, axis), order


def topk(x: Any, k: int, axis: int, largest: bool) -> Any:
    return tuple(np.take(part, range(k), axis) for part in sort(x, axis, largest))


def running(better: Any) -> Any:
    def run(x: Any, axis: int) -> Any:
        values, places = np.copy(x), np.zeros(x.shape, int)
        for index in np.ndindex(*x.shape[:axis], *x.shape[axis + 1 :]):
            row_ = (*index[:axis], slice(None), *index[axis:])
            best = 0
            for i, value in enumerate(x[row_]):
                best = i if np.isnan(value) or not np.isnan(x[row_][best]) and not better(x[row_][best], value) else best
                values[row_][i], places[row_][i] = x[row_][best], best
        return values, places

    return run


def lower_median(x: Any, skip: bool, axis: int, keepdims: bool) -> Any:
    def one(v: Any) -> Any:
        order = [i for i in np.argsort(v, kind="stable") if not np.isnan(v[i])]
        if not order or (len(order) < len(v) and not skip):
            return np.flatnonzero(np.isnan(v))[0]
        return order[(len(order) - 1) // 2]

    return along(one, x, axis, keepdims)


def along(place: Any, x: Any, axis: int, keepdims: bool) -> Any:
    places = np.expand_dims(np.apply_along_axis(place, axis, x), axis)
    made = np.take_along_axis(x, places, axis), places
    return made if keepdims else tuple(np.squeeze(part, axis) for part in made)


def kthvalue(x: Any, k: int, axis: int, keepdims: bool) -> Any:
    return along(lambda v: np.argsort(v)[k - 1], x, axis, keepdims)


def mode(x: Any, axis: int, keepdims: bool) -> Any:
    return along(lambda v: np.flatnonzero(v == scipy.stats.mode(v).mode)[-1], x, axis, keepdims)


def searchsorted(sequence: Any, values: Any, right: bool) -> Any:
    if sequence.ndim == 1:
        return np.searchsorted(sequence, values, "right" if right else "left")
    return np.stack([searchsorted(a, b, right) for a, b in zip(sequence, values, strict=True)])


def unique(x: Any, axis: int | None) -> Any:
    values, places, times = np.unique(x, return_inverse=True, return_counts=True, axis=axis)
    return values, places.reshape(x.shape if axis is None else -1), times


def unique_consecutive(x: Any, axis: int | None) -> Any:
    rows = list(x.ravel() if axis is None else np.moveaxis(x, axis, 0))
    kept: list[Any] = []
    places: list[int] = []
    for value in rows:
        if not kept or not np.array_equal(kept[-1], value):
            kept.append(value)
        places.append(len(kept) - 1)
    values = np.array(kept) if axis is None else np.moveaxis(np.array(kept), 0, axis)
    return values, np.reshape(places, x.shape if axis is None else -1), np.bincount(places)


REPEATS = V([[1.0, 2.0, 2.0, 1.0, 3.0], [4.0, 4.0, 4.0, 0.0, 0.0]])

RECORDS = table(
    *(row(name, *(s(*sample.args[:2], ddof, sample.args[2]) for sample in MANY for ddof in (0, 1)),
          oracle=lambda x, axis, ddof, keepdims, f=f: f(x, axis, ddof=ddof, keepdims=keepdims))
      for name, f in (("var", np.var), ("std", np.std))),
    row("logsumexp", *MANY,
        oracle=lambda x, axis, keepdims: scipy.special.logsumexp(x, axis=axis, keepdims=keepdims)),
    *(row(name, s(R(3, 4), 1, False), s(R(3, 4), 0, True), s(R(2, 3, 4), 1, False), s(R(5), 0, False), oracle=picked(*f),
          exact=True) for name, f in (("max_along", (np.max, np.argmax)), ("min_along", (np.min, np.argmin)))),
    row("softmax", s(R(3, 4), (1,)), s(R(3, 4), (0,)), s(R(2, 3, 4), (0, 2)), s(R(), ()), s(R(0, 3), (1,)), oracle=shares),
    row("log_softmax", s(R(3, 4), (1,)), s(R(3, 4), (0,)), s(R(2, 3, 4), (1,)), s(R(), ()),
        oracle=lambda x, axis: np.log(shares(x, axis))),
    row("softmax_back", s(R(3, 4), R(3, 4), (1,)), s(R(3, 4), R(3, 4), (0,)), s(R(), R(), ()),
        oracle=lambda h, y, axis: y * (h - np.sum(h * y, axis, keepdims=True))),
    row("log_softmax_back", s(R(3, 4), R(3, 4), (1,)), s(R(3, 4), R(3, 4), (0,)), s(R(), R(), ()),
        oracle=lambda h, y, axis: h - np.exp(y) * np.sum(h, axis, keepdims=True)),
    row("cumprod", s(R(3, 4), 1), s(R(5, 2), 0), s(R(0, 2), 0),
        s(V([[0.0, 2.0, 3.0, 0.0, 4.0], [1.0, 2.0, 0.0, 0.0, 3.0]]), 1)),
    row("put_along", s(R(3, 2), V([[0, 2], [3, 1], [1, 2]]), (3, 4), 1), s(R(2, 2), V([[0, 2], [2, 1]]), (3, 2), 0),
        s(R(3), J(3, n=5), (5,), 0), oracle=put_along),
    row("sort", s(R(3, 4), 1, False), s(R(3, 4), 0, True), s(R(2, 3, 4), 1, True), oracle=sort, exact=True),
    row("topk", s(R(3, 4), 2, 1, True), s(R(5, 2), 3, 0, False), s(R(200), 3, 0, True), s(R(200), 3, 0, False),
        s(R(2, 90, 2), 2, 1, True), oracle=topk, exact=True),
    *(row(name, s(R(3, 4), 1), s(R(5, 2), 0), s(R(0, 2), 0), oracle=running(better), exact=True)
      for name, better in (("cummax", np.greater), ("cummin", np.less))),
    row("logcumsumexp", s(R(3, 4), 1), s(R(5, 2), 0), s(R(0, 2), 0), oracle=np.logaddexp.accumulate),
    row("median_all", s(R(3, 4), False), s(R(5), True), oracle=lambda x, skip: np.sort(x, None)[(x.size - 1) // 2], exact=True),
    row("median", s(R(3, 4), False, 1, False), s(R(4, 3), True, 0, True), s(R(2, 90, 2), False, 1, False), oracle=lower_median,
        exact=True),
    row("kthvalue", s(R(3, 4), 2, 1, False), s(R(5, 2), 5, 0, True), s(R(2, 90, 2), 7, 1, False), oracle=kthvalue, exact=True),
    row("mode", s(REPEATS, 1, False), s(R(3, 2), 0, True), s(I(2, 9, 2), 1, False), oracle=mode, exact=True, order=0),
    row("searchsorted", s(V([0.0, 1.0, 1.0, 2.0]), V([[1.0, -1.0], [3.0, 0.5]]), False),
        s(V([0.0, 1.0, 1.0, 2.0]), V([[1.0, -1.0], [3.0, 0.5]]), True),
        s(V([[0.0, 1.0, 1.0], [1.0, 2.0, 2.0]]), V([[1.0, 0.0], [2.0, 1.5]]), False),
        s(V([[0.0, 1.0, 1.0], [1.0, 2.0, 2.0]]), V([[1.0, 0.0], [2.0, 1.5]]), True), oracle=searchsorted, exact=True, order=0),
    row("isin", s(I(3, 4, high=9), I(5, high=9)), s(R(3), R(0)), exact=True, order=0),
    row("sorted_at", s(R(3, 4), V([[0, 3], [1, 1], [2, 0]]), 1), s(R(5, 2), V([[4, 0]]), 0), s(R(9), V([7, 2, 7]), 0),
        oracle=lambda x, places, axis: np.take_along_axis(np.sort(x, axis), places, axis), exact=True),
    row("order_at", s(R(3, 4), R(3, 2), V([[0, 3], [1, 1], [2, 0]]), 1), s(R(9), R(3), V([7, 2, 7]), 0), order=0, exact=True,
        oracle=lambda x, values, places, axis: np.take_along_axis(np.argsort(x, axis), places, axis)),
    *(row(name, *(s(x, axis, True, True) for x, axis in ((I(3, 4), None), (REPEATS, None), (I(9, 2, high=2), 0),
                                                         (I(2, 9, high=2), 1))),
          oracle=lambda x, axis, inverse, counts, f=f: f(x, axis), exact=True, order=0)
      for name, f in (("unique", unique), ("unique_consecutive", unique_consecutive))),
    row("bincount", s(I(9), 0), s(I(9), 7), s(I(0), 2), oracle=lambda x, minlength: np.bincount(x, minlength=minlength),
        exact=True, order=0),
    row("bincount_weighted", s(I(9), R(9), 0), s(I(9), R(9), 7), oracle=np.bincount, order=0),
    row("histc", s(R(9), 4, -1.5, 1.5), s(V([0.0, 0.5, 1.0, 2.0]), 2, 0.0, 1.0), exact=True, order=0,
        oracle=lambda x, bins, low, high: np.histogram(x, bins, (low, high))[0].astype(x.dtype)),
    row("histogram", s(R(9), P(9), V([-1.5, -1.0, 0.5, 2.0])), order=0,
        oracle=lambda x, weights, edges: np.histogram(x, edges, weights=weights)[0]),
)  # fmt: skip
