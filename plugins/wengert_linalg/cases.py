"""Rows of linear algebra's records.

Owns: the rows, and the inputs that factorizations need: matrices that are far from singular, positive-definite or
triangular, made of a row's numbers by the row's call. May import: the helpers of cases, the family. Must not know: how a row
is checked.
"""

from typing import Any

import numpy as np
import scipy.linalg

import wengert_linalg.functions  # noqa: F401  (enters the records)
import wengert_linalg.solving
import wengert_linalg.spectral  # noqa: F401
from wengert.extend import OPS
from wengert.testing.cases import R, V, row, s, table

EYE = np.eye(3)
SWAPS = V(np.array([3, 3, 3], np.int32))


def of(name: str, prepare: Any) -> Any:
    """Return the call of a record with its first input prepared."""
    return lambda T, x, *args: OPS[name](prepare(x, T), *args)


def given(oracle: Any, prepare: Any) -> Any:
    return lambda x, *args: oracle(prepare(x, None), *args)


def identity(x: Any, T: Any) -> Any:
    """Return the identity like x: a tensor of T's, or an array where there is none."""
    n = x.shape[-1]
    return np.eye(n, dtype=x.dtype) if T is None or isinstance(x, np.ndarray) else T.eye(n, dtype=x.dtype)


def regular(x: Any, T: Any) -> Any:
    return x + 4 * identity(x, T)


def positive(x: Any, T: Any) -> Any:
    return x @ x.swapaxes(-1, -2) + identity(x, T)


def symmetric(x: Any, T: Any) -> Any:
    return x + x.swapaxes(-1, -2)


def matrices(name: str, prepare: Any, *samples: Any, oracle: Any, **options: Any) -> Any:
    """Return a row whose first input is prepared, for the record and for the oracle."""
    return row(name, *samples, call=of(name, prepare), oracle=given(oracle, prepare), **options)


def eigenvalues(x: Any) -> Any:
    return np.linalg.eigvals(x).astype(complex)


def eig(x: Any) -> Any:
    values, vectors = np.linalg.eig(x)
    return values.astype(complex), vectors.astype(complex)


def cofactor(x: Any) -> Any:
    return np.linalg.det(x)[..., None, None] * np.linalg.inv(x).swapaxes(-1, -2)


def triangular(x: Any, y: Any, upper: bool, unit: bool) -> Any:
    x = np.triu(x) if upper else np.tril(x)
    if unit:
        x = np.where(np.eye(x.shape[-1], dtype=bool), 1, x)
    return np.linalg.solve(x, y)


def cholesky_solve(x: Any, y: Any, upper: bool) -> Any:
    return np.linalg.solve(x.swapaxes(-1, -2) @ x if upper else x @ x.swapaxes(-1, -2), y)


def low(x: Any, T: Any) -> Any:
    """Return a lower triangle with a diagonal above 1."""
    mask = np.tri(x.shape[-1])
    here = T is None or isinstance(x, np.ndarray)
    return (x + 4 * identity(x, T)) * (mask if here else T.from_numpy(mask).to(x.device, x.dtype))


def lu(x: Any) -> Any:
    packed, pivots = zip(*[scipy.linalg.lu_factor(m) for m in x.reshape(-1, *x.shape[-2:])], strict=True)
    k = min(x.shape[-2:])
    return np.stack(packed).reshape(x.shape), (np.stack(pivots) + 1).reshape(*x.shape[:-2], k).astype("i4")


def ldl(x: Any, hermitian: bool) -> Any:
    packed, pivots, _ = scipy.linalg.lapack.dsytrf(x, lower=1)
    return np.tril(packed), pivots



def pinv(x: Any, atol: float, rtol: float, hermitian: bool) -> Any:
    return np.linalg.pinv(x)


SQUARES = (s(R(3, 3)), s(R(2, 3, 3)), s(R(1, 1)))
ANY = (s(R(3, 3)), s(R(4, 3)), s(R(2, 3, 4)))

RECORDS = table(
    row("triangle", s(R(3, 4), True, 0), s(R(2, 3, 3), False, -1), s(R(4, 3), False, 1), exact=True,
        oracle=lambda x, upper, offset: (np.triu if upper else np.tril)(x, offset)),
    matrices("inv", regular, *SQUARES, oracle=np.linalg.inv),
    matrices("det", regular, *SQUARES, oracle=np.linalg.det),
    matrices("cofactor", regular, *SQUARES, oracle=cofactor),
    matrices("slogdet", regular, *SQUARES, oracle=np.linalg.slogdet),
    matrices("solve", regular, s(R(3, 3), R(3, 2)), s(R(2, 3, 3), R(3, 1)), s(R(3, 3), R(2, 3, 2)), oracle=np.linalg.solve),
    matrices("cholesky", positive, *[s(R(*shape), upper) for shape in ((3, 3), (2, 3, 3)) for upper in (False, True)],
        oracle=lambda x, upper: np.linalg.cholesky(x).swapaxes(-1, -2) if upper else np.linalg.cholesky(x)),
    matrices("solve_triangular", regular, s(R(3, 3), R(3, 2), True, False), s(R(2, 3, 3), R(3, 2), False, False),
        s(R(3, 3), R(2, 3, 1), True, True), s(R(3, 3), R(3, 2), False, True), oracle=triangular),
    matrices("cholesky_solve", low, s(R(3, 3), R(3, 2), False), s(R(2, 3, 3), R(3, 2), False), oracle=cholesky_solve),
    matrices("lu_factor", regular, *SQUARES, oracle=lu),
    row("permutation", s(SWAPS, 3, np.dtype("f8")), order=0, exact=True, oracle=lambda p, n, t: EYE[:, [2, 0, 1]]),
    matrices("ldl_factor", symmetric, s(R(3, 3), False), order=0, oracle=ldl),
    row("ldl_solve", s(V([[4.0, 0, 0], [0.5, 2.0, 0], [0.25, 0.5, 3.0]]), V(np.array([1, 2, 3], np.int32)), R(3, 2), False),
        s(R(0, 0), V(np.zeros(0, np.int32)), R(0, 2), False), order=0,
        oracle=lambda x, p, y, _: np.linalg.solve(unpacked(x), y)),
    row("qr", *[s(*x.args, False) for x in ANY], s(R(3, 3), True), oracle=lambda x, full: tuple(np.linalg.qr(x))),
    row("geqrf", s(R(4, 3)), s(R(2, 3, 4)), order=0,
        oracle=lambda x: (np.linalg.qr(x, "raw")[0].swapaxes(-1, -2), np.linalg.qr(x, "raw")[1])),
    row("svd", *[s(*x.args, False) for x in ANY], oracle=lambda x, full: tuple(np.linalg.svd(x, full))),
    row("svdvals", *ANY, oracle=np.linalg.svdvals),
    matrices("eigh", symmetric, s(R(3, 3), False), s(R(2, 3, 3), True),
        oracle=lambda x, upper: tuple(np.linalg.eigh(x, "U" if upper else "L"))),
    matrices("eigvalsh", symmetric, s(R(3, 3), False), s(R(2, 3, 3), True), oracle=lambda x, upper: np.linalg.eigvalsh(x)),
    row("eig", s(R(3, 3)), order=0, oracle=eig),
    row("eigvals", s(R(3, 3)), order=0, oracle=eigenvalues),
    row("pinv", s(R(3, 3), 0.0, 1e-15, False), s(R(4, 2), 0.0, 1e-15, False), s(R(2, 2, 4), 0.0, 1e-15, False), oracle=pinv),
    row("matrix_exp", *SQUARES, oracle=scipy.linalg.expm),
)  # fmt: skip


def unpacked(x: Any) -> Any:
    """Return L D L^T from one matrix with L below its diagonal and D on it."""
    left = np.tril(x, -1) + np.eye(len(x))
    return left @ np.diag(np.diag(x)) @ left.T
