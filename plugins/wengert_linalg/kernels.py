"""Factorizations for devices made of an array module: its `linalg`, in batches; SciPy's LAPACK for what NumPy lacks.

Owns: kernels (backend, *inputs, *params) -> arrays. May import: NumPy, wengert.extend's errors. Must not know: tensors,
gradients. float32 is computed as float32. What LAPACK cannot factor raises LinAlgError, and names the matrix of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import errors


def attempt(name: str, problem: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """Return what a function of NumPy's linalg makes of the arrays. Raises LinAlgError naming the first matrix it fails for."""
    try:
        return function(*arrays)
    except np.linalg.LinAlgError as error:
        matrices = arrays[0].reshape(-1, *arrays[0].shape[-2:])
        first = next((i for i, x in enumerate(matrices) if fails(function, x, arrays[1:])), 0)
        place = f"(Batch element {first}): " if arrays[0].ndim > 2 else ""
        if name == "cholesky":
            order = first_bad(lambda n: fails(function, matrices[first][:n, :n], ()), arrays[0].shape[-1])
            problem += f" (the leading minor of order {order} is not positive-definite)"
        raise errors.LinAlgError(f"linalg.{name}: {place}{problem}") from error


def first_bad(bad: Callable[[int], bool], n: int) -> int:
    """Return the first of 1, ..., n that is bad, where all after it are too; 0 where none is. By halving."""
    fine, after = 0, n + 1
    while after - fine > 1:
        half = (fine + after) // 2
        fine, after = (fine, half) if bad(half) else (half, after)
    return after if after <= n else 0


def fails(function: Callable[..., Any], x: Any, others: Any) -> bool:
    try:
        function(x, *[np.ones_like(x[..., :1]) for _ in others])
    except np.linalg.LinAlgError:
        return True
    return False


SINGULAR = "the input matrix is singular, so that there is no inverse and no unique solution"
STUCK = "the algorithm failed to converge, because the input matrix is ill-conditioned or has too many repeated values"


def inv(backend: Any, x: Any) -> Any:
    return attempt("inv", SINGULAR, backend.xp.linalg.inv, x)


def solve(backend: Any, x: Any, y: Any) -> Any:
    return attempt("solve", SINGULAR, backend.xp.linalg.solve, x, y)


def det(backend: Any, x: Any) -> Any:
    return backend.xp.linalg.det(x)


def slogdet(backend: Any, x: Any) -> Any:
    sign, log = backend.xp.linalg.slogdet(x)
    return backend.xp.asarray(sign), backend.xp.asarray(log)


def cofactor(backend: Any, x: Any) -> Any:
    """Return det(x) inv(x)^T, which singular matrices have too: from the products of all singular values but one."""
    xp = backend.xp
    d = xp.linalg.det(x)
    if (d != 0).all():
        return xp.multiply(d[..., None, None], xp.linalg.inv(x).swapaxes(-1, -2), order="C")
    u, s, vh = xp.linalg.svd(x)
    n = s.shape[-1]
    others = xp.where(xp.eye(n, dtype=bool), s.dtype.type(1), s[..., None, :]).prod(-1)
    outer = xp.matmul(u * others[..., None, :], vh)  # of x^H: conjugated below
    return (xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None] * outer.conj()


def cholesky(backend: Any, x: Any, upper: bool) -> Any:
    problem = "The factorization could not be completed because the input is not positive-definite"
    made = attempt("cholesky", problem, backend.xp.linalg.cholesky, adjoint(x) if upper else x)
    return backend.xp.ascontiguousarray(adjoint(made)) if upper else made


def adjoint(x: Any) -> Any:
    return x.swapaxes(-1, -2).conj() if x.dtype.kind == "c" else x.swapaxes(-1, -2)


def qr(backend: Any, x: Any, complete: bool) -> Any:
    q, up = backend.xp.linalg.qr(x, "complete" if complete else "reduced")
    return q, up


def geqrf(backend: Any, x: Any) -> Any:
    made, tau = backend.xp.linalg.qr(x, "raw")
    return backend.xp.ascontiguousarray(made.swapaxes(-1, -2)), tau


def svd(backend: Any, x: Any, full: bool) -> Any:
    return tuple(attempt("svd", STUCK, lambda a: backend.xp.linalg.svd(a, full), x))


def svdvals(backend: Any, x: Any) -> Any:
    return attempt("svd", STUCK, lambda a: backend.xp.linalg.svd(a, compute_uv=False), x)


def eigh(backend: Any, x: Any, upper: bool) -> Any:
    return tuple(attempt("eigh", STUCK, lambda a: backend.xp.linalg.eigh(a, "U" if upper else "L"), x))


def eigvalsh(backend: Any, x: Any, upper: bool) -> Any:
    return attempt("eigh", STUCK, lambda a: backend.xp.linalg.eigvalsh(a, "U" if upper else "L"), x)


def eig(backend: Any, x: Any) -> Any:
    values, vectors = attempt("eig", STUCK, backend.xp.linalg.eig, x)
    wide = np.result_type(x.dtype, np.complex64)  # NumPy gives reals where none is complex
    return values.astype(wide, copy=False), vectors.astype(wide, copy=False)


def eigvals(backend: Any, x: Any) -> Any:
    values = attempt("eig", STUCK, backend.xp.linalg.eigvals, x)
    return values.astype(np.result_type(x.dtype, np.complex64), copy=False)


def pinv(backend: Any, x: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    xp = backend.xp
    if hermitian:
        values, v = eigh(backend, x, False)
        u, sizes, vh = v, xp.absolute(values), adjoint(v)
    else:
        u, sizes, vh = svd(backend, x, False)
        values = sizes
    top = sizes.max(-1, keepdims=True) if sizes.shape[-1] else sizes
    kept = sizes > xp.maximum(atol, rtol * top)
    inverse = xp.where(kept, 1 / xp.where(kept, values, 1), 0).astype(values.dtype, copy=False)
    return xp.matmul(adjoint(vh) * inverse[..., None, :], adjoint(u))


def triangle(backend: Any, x: Any, upper: bool, offset: int) -> Any:
    return backend.xp.triu(x, offset) if upper else backend.xp.tril(x, offset)


def permutation(backend: Any, pivots: Any, n: int, dtype: Any) -> Any:
    """Return the matrix P of A = P L U, from the rows that were swapped one after the other."""
    xp = backend.xp
    if isinstance(pivots, np.ndarray) and not ((pivots >= 1) & (pivots <= n)).all():
        raise RuntimeError(f"the pivots are no numbers of rows from 1 to {n}, as lu_factor gives them")
    order = xp.broadcast_to(xp.arange(n), (*pivots.shape[:-1], n)).copy()
    every = xp.arange(math.prod(pivots.shape[:-1]))
    flat, swaps = order.reshape(every.size, n), pivots.reshape(every.size, pivots.shape[-1]) - 1
    for i in range(swaps.shape[1]):
        j = swaps[:, i]
        flat[every, i], flat[every, j] = flat[every, j], flat[every, i].copy()
    return xp.asarray(order[..., None, :] == xp.arange(n)[:, None], dtype)


def matrix_exp(backend: Any, x: Any) -> Any:
    return backend.scipy("linalg").expm(x).astype(x.dtype, copy=False)


# ---- the host's own: LAPACK and BLAS, one matrix at a time
LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}


def solve_triangular(x: Any, y: Any, upper: bool, unit: bool) -> Any:
    """Return inv(x) y by BLAS's trsm; for many small matrices by NumPy's batched solve of the triangles."""
    from scipy.linalg import blas

    trsm = getattr(blas, LETTERS[x.dtype.char] + "trsm")
    if x.ndim == 2 and y.ndim == 2 and y.size:
        return np.ascontiguousarray(by_columns(trsm, x, y, upper, unit))
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    if math.prod(batch) >= 16 and x.shape[-1] <= 32:
        low = np.triu(x, int(unit)) if upper else np.tril(x, -int(unit))
        try:
            return np.linalg.solve(low + np.eye(x.shape[-1], dtype=x.dtype) if unit else low, y)
        except np.linalg.LinAlgError:
            pass  # a 0 on a diagonal gives inf there, and only there
    made = np.empty((*batch, *y.shape[-2:]), y.dtype)
    xs, ys = np.broadcast_to(x, (*batch, *x.shape[-2:])), np.broadcast_to(y, made.shape)
    for place in np.ndindex(batch) if made.size else ():
        made[place] = by_columns(trsm, xs[place], ys[place], upper, unit)
    return made


def by_columns(trsm: Any, x: Any, y: Any, upper: bool, unit: bool) -> Any:
    """Return inv(x) y as y^T inv(x)^T: BLAS reads the rows of an array as columns, so that x is not copied."""
    turned = x.flags.f_contiguous
    return trsm(1.0, x if turned else x.T, y.T, 1, upper ^ turned, turned, unit).T


def cholesky_solve(x: Any, y: Any, upper: bool) -> Any:
    low = adjoint(x) if upper else x
    return solve_triangular(adjoint(low), solve_triangular(low, y, False, False), True, False)


def lu_factor(x: Any) -> Any:
    from scipy.linalg import lapack

    getrf = getattr(lapack, LETTERS[x.dtype.char] + "getrf")
    made = np.empty(x.shape, x.dtype)
    pivots = np.empty((*x.shape[:-2], min(x.shape[-2:])), np.int32)
    if made.size:
        for place in np.ndindex(x.shape[:-2]):
            made[place], swaps, _ = getrf(x[place])
            pivots[place] = swaps + 1
    return made, pivots


def ldl_factor(x: Any, hermitian: bool) -> Any:
    from scipy.linalg import lapack

    trf = getattr(lapack, LETTERS[x.dtype.char] + ("hetrf" if hermitian and x.dtype.kind == "c" else "sytrf"))
    made, pivots = np.empty(x.shape, x.dtype), np.empty(x.shape[:-1], np.int32)
    for place in np.ndindex(x.shape[:-2]) if made.size else ():
        made[place], pivots[place], _ = trf(x[place], lower=1)
    return np.tril(made), pivots


def ldl_solve(x: Any, pivots: Any, y: Any, hermitian: bool) -> Any:
    from scipy.linalg import lapack

    trs = getattr(lapack, LETTERS[x.dtype.char] + ("hetrs" if hermitian and x.dtype.kind == "c" else "sytrs"))
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    made = np.empty((*batch, *y.shape[-2:]), y.dtype)
    xs, ys = np.broadcast_to(x, (*batch, *x.shape[-2:])), np.broadcast_to(y, made.shape)
    ps = np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    if not all(_in_blocks(pivots[place]) for place in np.ndindex(pivots.shape[:-1])):  # which LAPACK takes for places in memory
        raise RuntimeError("the pivots are none of a matrix of this size, as ldl_factor gives them")
    for place in np.ndindex(batch) if made.size else ():
        made[place] = trs(xs[place], ps[place], ys[place], lower=1)[0]
    return made


def _in_blocks(pivots: Any) -> bool:
    """Say whether pivots are numbers of rows, from 1 on, those of blocks of two negative."""
    rows, n = abs(pivots.astype(np.int64)), len(pivots)
    ends = np.flatnonzero(np.diff(pivots < 0, prepend=False, append=False))  # where runs of negative ones begin and end
    return bool(((rows >= 1) & (rows <= n)).all() and not (np.diff(ends)[::2] % 2).any())
