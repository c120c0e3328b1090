"""Determinants, inverses and linear systems, by LU, Cholesky and triangular solves.

Owns: their records and PyTorch's functions made of them. May import: wengert.extend, the family's `matrices`.
Must not know: devices.
Sources: M. B. Giles, An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); I. Murray, Differentiation of the Cholesky decomposition (2016). Rules of complex results see what
is conjugated by the tape: those of functions that are not holomorphic conjugate what they kept.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from wengert.extend import cast, dtypes, e, errors, labelled, r, s, structural
from wengert_linalg.kernels import first_bad
from wengert_linalg.matrices import (
    check_square,
    column,
    conj,
    diagonal,
    floating,
    identity,
    matrix,
    mH,
    mm,
    mT,
    part,
    same,
    scalar,
    square,
    triangle,
)

I32 = np.dtype(np.int32)


# ---- shapes
def infer_square(x: Any, *_: Any) -> Any:
    check_square("linalg", x)
    return same(x)


def infer_det(x: Any) -> Any:
    check_square("linalg.det", x)
    return tuple(x.shape[:-2]), x.dtype


def infer_slogdet(x: Any) -> Any:
    shape, dtype = infer_det(x)
    return (shape, dtype), (shape, e.real_type(dtype))


def infer_solve(x: Any, y: Any, *_: Any) -> Any:
    check_square("linalg.solve", x)
    if x.shape[-1] != y.shape[-2]:
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({x.shape} and {y.shape})")
    mismatch = errors.broadcast("linalg.solve", [tuple(x.shape[:-2]), tuple(y.shape[:-2])])
    if mismatch is not None:
        raise mismatch
    return (*np.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2])), *y.shape[-2:]), x.dtype


def infer_lu(x: Any) -> Any:
    k = min(x.shape[-2:])
    return same(x), ((*x.shape[:-2], k), I32)


def infer_permutation(x: Any, n: int, dtype: Any) -> Any:
    return (*x.shape[:-1], n, n), dtype


# ---- rules that need more than a line
def cofactor_rule(g: Any, x: Any) -> Any:
    """Return the gradient of det(x) inv(x)^T: det (tr(g^T k) k - k g^T k), with k = inv(x)^T."""
    k = mT(inv_(x))
    return scalar(det_(x)) * (scalar(total(g * k)) * k - mm(mm(k, mT(g)), k))


def total(x: Any) -> Any:
    """Return the sum of each matrix's elements."""
    return r.sum_(x, (x.ndim - 2, x.ndim - 1), False)


def slogdet_rule(g: Any, x: Any, out: Any) -> Any:
    """Return (g_log - i Im(conj(g_sign) sign)) inv(x)^H: the sign of a real matrix does not vary."""
    sign, log = g
    factor = log
    if sign is not None and e.is_complex(x):
        turn = conj(sign) * out[0]
        turn = (conj(turn) - turn) / 2
        factor = turn if factor is None else factor + turn
    if factor is None:
        return e.zeros(x)
    return scalar(factor) * mH(inv_(x))


def cholesky_rule(g: Any, out: Any, upper: bool) -> Any:
    """Return l^-H (t + t^H - diag(t)) / 2 l^-1, with t the lower triangle of l^H g."""
    low, g = (mH(out), mH(g)) if upper else (out, g)
    inner = mm(mH(low), g)
    inner = (triangle(inner, False, 0) + mH(triangle(inner, False, -1))) / 2
    half = solve_triangular_(mH(low), inner, True, False)
    return mH(solve_triangular_(mH(low), mH(half), True, False))


def cholesky_solve_rule(g: Any, x: Any, out: Any, upper: bool) -> Any:
    """Return -(t + t^H) l with t = inv(l l^H) g out^H (upper: l times that), as if all of l were read."""
    t = mm(cholesky_solve_(x, g, upper), mH(out))
    t = t + mH(t)
    return -(mm(x, t) if upper else mm(t, x))


def triangular_rule(g: Any, x: Any, out: Any, upper: bool, unit: bool) -> Any:
    step = mm(solve_triangular_(mT(x), g, not upper, unit), mT(out))
    return -triangle(step, upper, (1 if upper else -1) if unit else 0)


def lu_rule(g: Any, out: Any) -> Any:
    """Return the gradient of P^T x = L U from that of L and U, which share one matrix: for tall and wide ones by blocks."""
    g, (lu, pivots) = g[0], out
    m, n = lu.shape[-2:]
    k = min(m, n)
    low, up = unit_lower(part(lu, None, (0, k))), triangle(part(lu, (0, k)), True, 0)
    g_low, g_up = triangle(part(g, None, (0, k)), False, -1), triangle(part(g, (0, k)), True, 0)
    low1, up1 = part(low, (0, k)), part(up, None, (0, k))
    from_low, from_up = mm(mH(low1), part(g_low, (0, k))), mm(part(g_up, None, (0, k)), mH(up1))
    if m > n:
        from_up = from_up - mm(mH(part(low, (k, m))), part(g_low, (k, m)))
    if n > m:
        from_low = from_low - mm(part(g_up, None, (k, n)), mH(part(up, None, (k, n))))
    inner = triangle(from_low, False, -1) + triangle(from_up, True, 0)

    def right(x: Any) -> Any:
        """Return x times the adjoint of inv(up1)."""
        return mH(solve_triangular_(up1, mH(x), True, False))

    made = right(solve_triangular_(mH(low1), inner, True, True))
    if m > n:
        made = s.concatenate((made, right(part(g_low, (k, m)))), made.ndim - 2)
    if n > m:
        made = s.concatenate((made, solve_triangular_(mH(low1), part(g_up, None, (k, n)), True, True)), made.ndim - 1)
    return mm(permutation(pivots, m, r.dtype_of(lu)), made)


# fmt: off
inv_      = structural("inv", "x", infer_square, label="LinalgInvExBackward0", x=lambda g, out: -mm(mm(mT(out), g), mT(out)))
det_      = structural("det", "x", infer_det, label="LinalgDetBackward0", x=lambda g, x: scalar(g) * cofactor(x))
cofactor  = structural("cofactor", "x", infer_square, x=cofactor_rule)  # det(x) inv(x)^T, also where x is singular
slogdet_  = structural("slogdet", "x", infer_slogdet, outputs=2, label="LinalgSlogdetBackward0", x=slogdet_rule)
solve_    = structural("solve", "x y", infer_solve, broadcasts=True, label="LinalgSolveExBackward0",
    x=lambda g, x, out: -mm(solve_(mT(x), g), mT(out)), y=lambda g, x: solve_(mT(x), g))
cholesky_ = structural("cholesky", "x", infer_square, params="upper", label="LinalgCholeskyExBackward0",
    x=lambda g, out, upper: cholesky_rule(g, conj(out), upper))
solve_triangular_ = structural("solve_triangular", "x y", infer_solve, params="upper unit", broadcasts=True,
    label="LinalgSolveTriangularBackward0", x=triangular_rule,
    y=lambda g, x, upper, unit: solve_triangular_(mT(x), g, not upper, unit))
cholesky_solve_ = structural("cholesky_solve", "x y", infer_solve, params="upper", broadcasts=True,
    x=lambda g, x, out, upper: cholesky_solve_rule(g, conj(x), conj(out), upper),
    y=lambda g, x, upper: cholesky_solve_(conj(x), g, upper))
lu_factor_ = structural("lu_factor", "x", infer_lu, outputs=2, label="LinalgLuFactorExBackward0", x=lu_rule)
permutation = structural("permutation", "x", infer_permutation, params="n dtype", constant=True)  # of pivots, as a matrix
# fmt: on


def unit_lower(x: Any) -> Any:
    """Return the triangle below the diagonal with ones on it."""
    n = min(x.shape[-2:])
    ones = s.filled(x, (*x.shape[:-2], n), 1, None)
    return s.assign(triangle(x, False, -1), ones, ((s.diagonal_, (0, x.ndim - 2, x.ndim - 1)),))


# ---- determinants
def det(A: Any) -> Any:
    """Return the determinant of square matrices. Raises RuntimeError for others."""
    square("linalg.det", A)
    return det_(A)


Slogdet, TopSlogdet = r.named("linalg_slogdet"), r.named("slogdet")


def slogdet(A: Any) -> Any:
    """Return (sign, logabsdet): det(A) = sign * exp(logabsdet)."""
    square("linalg.slogdet", A)
    return Slogdet(*slogdet_(A))


def slogdet_top(input: Any) -> Any:
    """Return (sign, logabsdet): det(input) = sign * exp(logabsdet)."""
    return TopSlogdet(*slogdet(input))


def logdet(input: Any) -> Any:
    """Return log det(input): nan where the determinant is negative, -inf where it is 0."""
    sign, log = slogdet(input)
    if e.is_complex(input):
        return e.log(sign) + log
    return e.where(sign == -1, float("nan"), log)


# ---- inverses and systems
@labelled("LinalgInvExBackward0")
def inv(A: Any) -> Any:
    """Return the inverse of square matrices. Raises LinAlgError for a singular one."""
    square("linalg.inv", A)
    return inv_(A)


def _is_vector(A: Any, B: Any) -> bool:
    """Say whether B are vectors: PyTorch's rule, by which a batch of vectors has the batch's dims in full."""
    return B._array.ndim == 1 or (A._array.ndim - 1 == B._array.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """Return X of A X = B (or X A = B, where left is False), for matrices or vectors B. Raises LinAlgError for singular A."""
    floating("linalg.solve", A, B)
    square("linalg.solve", A)
    vector = _is_vector(A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False")
    B = column(B) if vector else B
    if B._array.ndim < 2:
        raise RuntimeError(f"linalg.solve: B must have at least 2 dimensions, got shape {list(B.shape)}")
    if left:
        X = solve_(A, B)
    else:
        X = mT(solve_(mT(A), mT(B)))
    return s.reshape(X, tuple(X.shape[:-1])) if vector else X


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """Return X of A X = B (or X A = B) for triangular A, of which only that triangle is read."""
    floating("linalg.solve_triangular", A, B)
    square("linalg.solve_triangular", A)
    matrix("linalg.solve_triangular", B)
    if left:
        return solve_triangular_(A, B, upper, unitriangular)
    return mT(solve_triangular_(mT(A), mT(B), not upper, unitriangular))


TriangularSolve = r.named("triangular_solve")


def triangular_solve(b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    """Return (X, a copy of A), with A X = b, or A^T X = b."""
    matrix("triangular_solve", b, A)
    square("triangular_solve", A)
    X = solve_triangular_(mT(A), b, not upper, unitriangular) if transpose else solve_triangular_(A, b, upper, unitriangular)
    return TriangularSolve(X, e.clone(A))


# ---- Cholesky
def cholesky(A: Any, *, upper: bool = False) -> Any:
    """Return lower triangular L with A = L L^H (upper: U with A = U^H U).

    Raises LinAlgError for what is not positive-definite.
    """
    square("linalg.cholesky", A)
    return cholesky_(A, upper)


@labelled("CholeskyBackward0")
def cholesky_top(input: Any, upper: bool = False) -> Any:
    """Return lower triangular L with input = L L^H (upper: U with input = U^H U)."""
    return cholesky(input, upper=upper)


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """Return X of (L L^H) X = B from the Cholesky factor L (upper: of (L^H L) X = B)."""
    matrix("cholesky_solve", B, L)
    square("cholesky_solve", L)
    return cholesky_solve_(L, B, upper)


@labelled("CholeskyInverseBackward0")
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """Return the inverse of L L^H (upper: of L^H L) from the Cholesky factor L."""
    square("cholesky_inverse", L)
    return cholesky_solve_(L, identity(L.detach(), L.shape[-1]), upper)


# ---- LU
LuFactor, LuFactorEx = r.named("linalg_lu_factor"), r.named("linalg_lu_factor_ex")
Lu, LuUnpack = r.named("linalg_lu"), r.named("lu_unpack")


def _pivoting(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")


def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """Return (LU, pivots): L below the diagonal and U on and above it, and the rows that were swapped, counted from 1."""
    matrix("linalg.lu_factor", A)
    _pivoting("linalg.lu_factor", pivot)
    return LuFactor(*lu_factor_(A))


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """Return (LU, pivots, info): info is the number of the first pivot that is 0, or 0. Raises LinAlgError if asked to."""
    LU, pivots = lu_factor(A, pivot=pivot)
    zero = diagonal(LU.detach()) == 0
    n = zero.shape[-1]
    if n:
        first = e.where(zero.any(-1), r.argmax_(cast(zero, I32), zero.ndim - 1, False) + 1, 0).to(I32)
    else:
        first = s.filled(LU.detach(), tuple(LU.shape[:-2]), 0, I32)
    if check_errors and bool((first != 0).any()):
        raise errors.LinAlgError(f"torch.linalg.lu_factor_ex: U has zeros on its diagonal, info {first.tolist()}")
    return LuFactorEx(LU, pivots, first)


def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """Return (P, L, U) from what `lu_factor` gave, A = P L U."""
    matrix("lu_unpack", LU_data)
    if LU_pivots._array.dtype != I32:
        raise RuntimeError(f"torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype, got "
                           f"{LU_pivots.dtype}")  # fmt: skip
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    none = s.filled(LU_data.detach(), (0,), 0, None)
    P = permutation(LU_pivots, m, LU_data._array.dtype) if unpack_pivots else none
    if not unpack_data:
        return LuUnpack(P, none, none)
    return LuUnpack(P, unit_lower(part(LU_data, None, (0, k))), triangle(part(LU_data, (0, k)), True, 0))


def lu(A: Any, *, pivot: bool = True) -> Any:
    """Return (P, L, U) with A = P L U."""
    matrix("linalg.lu", A)
    _pivoting("linalg.lu", pivot)
    return Lu(*lu_unpack(*lu_factor_(A)))


def lu_top(A: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """Return (LU, pivots), and info where asked for: the form of `linalg.lu_factor` that came before it."""
    return lu_factor_ex(A, pivot=pivot) if get_infos else lu_factor(A, pivot=pivot)


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """Return X of A X = B (X A = B, and with A^H) from A's `lu_factor`."""
    floating("linalg.lu_solve", LU, B)
    square("linalg.lu_solve", LU)
    matrix("linalg.lu_solve", B)
    if not left:  # X A = B is A^H X^H = B^H
        return mH(lu_solve(LU, pivots, mH(B), adjoint=not adjoint))
    if LU.shape[-1] != B.shape[-2]:
        raise RuntimeError(f"linalg.lu_solve: Incompatible shapes of A and B for the equation AX = B ({LU.shape}, {B.shape})")
    P = permutation(pivots, LU.shape[-1], LU._array.dtype)
    if adjoint:
        return mm(P, solve_triangular_(mH(LU), solve_triangular_(mH(LU), B, False, False), True, True))
    return solve_triangular_(LU, solve_triangular_(LU, mm(mT(P), B), False, True), True, False)


def lu_solve_top(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """Return X of A X = b from A's `lu_factor`."""
    return lu_solve(LU_data, LU_pivots, b)


# ---- the forms that report errors instead of raising them
InvEx, SolveEx = r.named("linalg_inv_ex"), r.named("linalg_solve_ex")
CholeskyEx = r.named("linalg_cholesky_ex")


def _reported(A: Any, make: Any, check_errors: bool, bad: Any) -> tuple[Any, Any]:
    """Return what make(A) gives and an info of zeros; where it fails, nan for those matrices that bad(A) has a number for."""
    try:
        return make(A), s.filled(A.detach(), tuple(A.shape[:-2]), 0, I32)
    except errors.LinAlgError:
        if check_errors:
            raise
    info = bad(A.detach())
    made = make(e.where(scalar(info == 0), A, identity(A.detach(), A.shape[-1])))
    fine = scalar(info == 0) if made._array.ndim >= A._array.ndim else s.reshape(info == 0, (*info.shape, 1))
    return e.where(fine, made, float("nan")), info


def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """Return (inverse, info): info is 0, or the number of the pivot that is 0; the inverse is nan then."""
    square("linalg.inv_ex", A)
    return InvEx(*_reported(A, inv_, check_errors, lambda A: lu_factor_ex(A)[2]))


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """Return (X, info) with A X = B: info is 0, or the number of the pivot that is 0; X is nan then."""
    square("linalg.solve_ex", A)
    return SolveEx(*_reported(A, lambda A: solve(A, B, left=left), check_errors, lambda A: lu_factor_ex(A)[2]))


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """Return (L, info): info is 0, or the order of the first leading minor that is not positive-definite; L is nan then."""
    square("linalg.cholesky_ex", A)
    return CholeskyEx(*_reported(A, lambda A: cholesky(A, upper=upper), check_errors, _bad_minors))


def _bad_minors(A: Any) -> Any:
    """Return for each matrix the order of its first leading minor that cannot be factored, or 0."""

    def bad(x: Any, n: int) -> bool:
        try:
            cholesky_(x[:n, :n], False)
        except errors.LinAlgError:
            return True
        return False

    matrices = s.reshape(A, (-1, *A.shape[-2:])).unbind()
    orders = [first_bad(functools.partial(bad, x), x.shape[-1]) for x in matrices]
    return s.reshape(A.new_tensor(orders, dtype=dtypes.of(I32)), tuple(A.shape[:-2]))


# ---- LDL, which has no gradient
Ldl, LdlEx = r.named("linalg_ldl_factor"), r.named("linalg_ldl_factor_ex")
ldl_factor_ = structural("ldl_factor", "x", lambda x, hermitian: (same(x), (tuple(x.shape[:-1]), I32)), params="hermitian",
    outputs=2)  # fmt: skip
ldl_solve_ = structural("ldl_solve", "x pivots y", lambda x, pivots, y, hermitian: infer_solve(x, y), params="hermitian",
    broadcasts=True)  # fmt: skip


def ldl_factor(A: Any, *, hermitian: bool = False) -> Any:
    """Return (LD, pivots) of A = L D L^T, or L D L^H for Hermitian matrices (Bunch and Kaufman 1977), as LAPACK packs them."""
    square("linalg.ldl_factor", A)
    return Ldl(*ldl_factor_(A, hermitian))


def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """Return (LD, pivots, info), info being 0: singular matrices have these factors too."""
    LD, pivots = ldl_factor(A, hermitian=hermitian)
    return LdlEx(LD, pivots, s.filled(A.detach(), tuple(A.shape[:-2]), 0, I32))


def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:
    """Return X of A X = B from A's `ldl_factor`."""
    floating("linalg.ldl_solve", LD, B)
    square("linalg.ldl_solve", LD)
    matrix("linalg.ldl_solve", B)
    return ldl_solve_(LD, pivots, B, hermitian)


# ---- tensors as matrices
@labelled("TensorinvBackward0")
def tensorinv(A: Any, ind: int = 2) -> Any:
    """Return the inverse of A as a map from its last dims to the first `ind`: tensordot(inv, A, ind) is the identity."""
    floating("linalg.tensorinv", A)
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', got {ind} (linalg.tensorinv)")
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    m, n = (int(np.prod(v, dtype=int)) for v in (first, last))
    if m != n:
        raise RuntimeError(f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but "
                           f"got {n} != {m} (linalg.tensorinv)")  # fmt: skip
    return s.reshape(inv(s.reshape(A, (m, n))), (*last, *first))


@labelled("TensorsolveBackward0")
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """Return X with tensordot(A, X, X.ndim) = B; dims: those of A that are moved to its end before."""
    floating("linalg.tensorsolve", A, B)
    if dims is not None:
        A = s.movedim(A, tuple(dims), tuple(range(-len(dims), 0)))
    shape = tuple(A.shape[B._array.ndim :])
    m, n = B._array.size, int(np.prod(shape, dtype=int))
    if m != n or A._array.size != m * n:
        raise RuntimeError(f"Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                           f"prod(self.shape[:other.ndim]), but got {n} != {m} (linalg.tensorsolve)")  # fmt: skip
    return s.reshape(solve(s.reshape(A, (m, n)), s.reshape(B, (m,))), shape)


