"""QR, singular values, eigenvalues, and what is made of them: pseudoinverse, least squares, rank.

Owns: their records and PyTorch's functions made of them. May import: wengert.extend, the family's `matrices`.
Must not know: devices.
Sources: M. B. Giles (2008, see solving.py); S. F. Walter and L. Lehmann, Algorithmic differentiation of linear algebra
functions with application in optimum experimental design (2010), for QR; D. A. O. Roberts and L. R. Roberts, QR and LQ
decomposition matrix backpropagation algorithms (2020), for wide matrices; Z.-Q. Wan and S.-X. Zhang, Automatic
differentiation for complex valued SVD (2019); G. H. Golub and V. Pereyra, The differentiation of pseudo-inverses (1973).
Where singular values or eigenvalues coincide, vectors have no derivative and their gradient is inf or nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.extend import dtypes, e, is_grad_enabled, labelled, r, recast, s, structural
from wengert_linalg.matrices import (
    check_square,
    column,
    conj,
    diagonal,
    diagonal_matrix,
    floating,
    hermitian,
    identity,
    matrix,
    mH,
    mm,
    mT,
    part,
    row,
    same,
    square,
    triangle,
)
from wengert_linalg.solving import solve_, solve_triangular_


# ---- shapes
def infer_qr(x: Any, complete: bool) -> Any:
    m, n = x.shape[-2:]
    k = m if complete else min(m, n)
    return ((*x.shape[:-2], m, k), x.dtype), ((*x.shape[:-2], k, n), x.dtype)


def infer_svd(x: Any, full: bool) -> Any:
    m, n = x.shape[-2:]
    k = min(m, n)
    u, v = ((m, m), (n, n)) if full else ((m, k), (k, n))
    return ((*x.shape[:-2], *u), x.dtype), infer_svdvals(x), ((*x.shape[:-2], *v), x.dtype)


def infer_svdvals(x: Any) -> Any:
    return (*x.shape[:-2], min(x.shape[-2:])), e.real_type(x.dtype)


def infer_eigh(x: Any, upper: bool) -> Any:
    return infer_eigvalsh(x, upper), same(x)


def infer_eigvalsh(x: Any, upper: bool) -> Any:
    check_square("linalg.eigh", x)
    return tuple(x.shape[:-1]), e.real_type(x.dtype)


def infer_eigvals(x: Any) -> Any:
    check_square("linalg.eig", x)
    return tuple(x.shape[:-1]), dtypes.of(x.dtype).to_complex().numpy


def infer_eig(x: Any) -> Any:
    shape, dtype = infer_eigvals(x)
    return (shape, dtype), (tuple(x.shape), dtype)


def infer_pinv(x: Any, *_: Any) -> Any:
    return (*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype


# ---- rules
def qr_rule(g: Any, x: Any, out: Any, complete: bool) -> Any:
    """Return (g_q + q sym(g_r r^H - q^H g_q)) r^-H, where sym is Hermitian with the upper triangle of its argument."""
    (g_q, g_r), (q, up) = g, out
    m, n = x.shape[-2:]
    if complete and m > n:
        raise NotImplementedError("linalg.qr: there is no derivative where mode='complete' and nrows > ncols")
    g_q = e.zeros(q) if g_q is None else g_q
    g_r = e.zeros(up) if g_r is None else g_r
    rest = None
    if n > m:  # the columns of x behind the first m are q times those of r
        rest = part(g_r, None, (m, n))
        g_q = g_q + mm(part(x, None, (m, n)), mH(rest))
        up, g_r = part(up, None, (0, m)), part(g_r, None, (0, m))
    inner = hermitian(mm(g_r, mH(up)) - mm(mH(q), g_q), True)
    made = mH(solve_triangular_(up, mH(g_q + mm(q, inner)), True, False))
    return made if rest is None else s.concatenate((made, mm(q, rest)), made.ndim - 1)


def differences(v: Any) -> Any:
    """Return 1 / (v_j - v_i) in row i, column j, and 0 on the diagonal."""
    same_ = identity(v, v.shape[-1])
    return (1 - same_) / (row(v) - column(v) + same_)


def phase_free(name: str, off: Any) -> None:
    """Raise RuntimeError where a gradient of complex vectors asks for their phase, which is arbitrary."""
    if off.shape and 0 in off.shape:
        return
    worst = r.amax_(e.absolute(off), None, False)
    if bool(worst > 1e-2):
        raise RuntimeError(
            f"{name}: the vectors of a complex matrix are given up to a factor of size 1 each, and the function whose gradient "
            f"is asked for depends on it, so that it is ill-defined"
        )


def svd_rule(g: Any, out: Any) -> Any:
    """Return u ((skew(u^H g_u) s + s skew(v^H g_v)) / (s_j^2 - s_i^2) + g_s) v^H, and what g_u and g_v have outside of
    the spaces of u and v."""
    (g_u, g_s, g_vh), (u, sv, vh) = g, out
    m, n, k = u.shape[-2], vh.shape[-1], sv.shape[-1]
    if u.shape[-1] > k or vh.shape[-2] > k:  # full_matrices: what lies behind is no function of x
        u, vh = part(u, None, (0, k)), part(vh, (0, k))
        g_u = None if g_u is None else part(g_u, None, (0, k))
        g_vh = None if g_vh is None else part(g_vh, (0, k))
    if g_u is None and g_vh is None:
        return mm(u * row(g_s), vh)
    v = mH(vh)
    core = e.zeros(mm(vh, v)) if g_s is None else recast_like(diagonal_matrix(g_s), u)
    if g_u is not None:
        from_u = mm(mH(u), g_u)
        core = core + skew(from_u) * row(sv) * square_differences(sv)
    if g_vh is not None:
        from_v = mm(vh, mH(g_vh))
        core = core + column(sv) * skew(from_v) * square_differences(sv)
    if e.is_complex(u):
        turn = [diagonal(skew(x)) for x in ([from_u] if g_u is not None else []) + ([from_v] if g_vh is not None else [])]
        phase_free("linalg.svd", turn[0] if len(turn) == 1 else turn[0] + turn[1])
        if g_u is not None:
            core = core + diagonal_matrix(turn[0] / (2 * sv))
    made = mm(u, core)
    if g_u is not None and m > k:
        made = made + (g_u - mm(u, from_u)) / row(sv)
    made = mm(made, vh)
    if g_vh is not None and n > k:
        made = made + mm(u / row(sv), g_vh - mm(mm(g_vh, v), vh))
    return made


def skew(x: Any) -> Any:
    return x - mH(x)


def square_differences(v: Any) -> Any:
    """Return 1 / (v_j^2 - v_i^2) in row i, column j, and 0 on the diagonal."""
    same_ = identity(v, v.shape[-1])
    return (1 - same_) / ((row(v) - column(v)) * (row(v) + column(v)) + same_)


def recast_like(x: Any, other: Any) -> Any:
    """Return x as a complex array where `other` is one."""
    return recast(x, r.dtype_of(other)) if e.is_complex(other) else x


def eigh_rule(g: Any, out: Any) -> Any:
    """Return v (skew(v^H g_v) / (2 (l_j - l_i)) + g_l) v^H."""
    (g_l, g_v), (values, v) = g, out
    if g_v is None:
        return mm(v * row(g_l), mH(v))
    core = skew(mm(mH(v), g_v))
    if e.is_complex(v):
        phase_free("linalg.eigh", diagonal(core))
    core = core * differences(values) / 2
    if g_l is not None:
        core = core + recast_like(diagonal_matrix(g_l), v)
    return mm(mm(v, core), mH(v))


def eig_rule(g: Any, out: Any, x_dtype: Any) -> Any:
    """Return v^-H ((v^H g_v - v^H v Re(diag(v^H g_v))) / conj(l_j - l_i) + g_l) v^H: the vectors have length 1."""
    (g_l, g_v), (values, v) = g, out
    vh = mH(v)
    if g_v is None:
        return recast(solve_(vh, column(g_l) * vh), x_dtype)
    core = mm(vh, g_v)
    along = diagonal(core)
    phase_free("linalg.eig", along - conj(along))
    core = (core - mm(vh, v) * row((along + conj(along)) / 2)) * conj(differences(values))
    if g_l is not None:
        core = core + diagonal_matrix(g_l)
    return recast(solve_(vh, mm(core, vh)), x_dtype)


def eigvals_rule(g: Any, x: Any, x_dtype: Any) -> Any:
    v = mT(eig_(x)[1])
    return recast(solve_(v, column(g) * v), x_dtype)


def eigvalsh_rule(g: Any, x: Any, upper: bool) -> Any:
    _, v = eigh_(x, upper)
    return mm(v * row(g), mH(v))


def svdvals_rule(g: Any, x: Any) -> Any:
    u, _, vh = svd_(x, False)
    return mm(u * row(g), vh)


def pinv_rule(g: Any, x: Any, out: Any) -> Any:
    """Return -p^H g p^H + (1 - x p) g^H p p^H + p^H p g^H (1 - p x), p the pseudoinverse."""
    p, ph, gh = out, mH(out), mH(g)
    right, left = mm(mm(gh, p), ph), mm(ph, mm(p, gh))
    return (right - mm(x, mm(p, right))) + (left - mm(mm(left, p), x)) - mm(mm(ph, g), ph)


# fmt: off
qr_       = structural("qr", "x", infer_qr, params="complete", outputs=2, label="LinalgQrBackward0", x=qr_rule)
svd_      = structural("svd", "x", infer_svd, params="full", outputs=3, label="LinalgSvdBackward0", x=lambda g, out:
    svd_rule(g, out))
svdvals_  = structural("svdvals", "x", infer_svdvals, label="LinalgSvdBackward0", x=svdvals_rule)
eigh_     = structural("eigh", "x", infer_eigh, params="upper", outputs=2, label="LinalgEighBackward0", x=lambda g, out:
    eigh_rule(g, out))
eigvalsh_ = structural("eigvalsh", "x", infer_eigvalsh, params="upper", label="LinalgEighBackward0", x=eigvalsh_rule)
eig_      = structural("eig", "x", infer_eig, outputs=2, label="LinalgEigBackward0", x=eig_rule)
eigvals_  = structural("eigvals", "x", infer_eigvals, label="LinalgEigBackward0", x=eigvals_rule)
# tolerances: absolute and relative to the largest singular value; hermitian: by eigenvalues, of the lower triangle
pinv_     = structural("pinv", "x", infer_pinv, params="atol rtol hermitian", label="LinalgPinvBackward0",
    x=lambda g, x, out: pinv_rule(g, conj(x), conj(out)))
# fmt: on


# ---- QR
Qr, TopQr = r.named("linalg_qr"), r.named("qr")


def qr(A: Any, mode: str = "reduced") -> Any:
    """Return (Q, R) with A = Q R; mode "reduced", "complete" (all columns of Q) or "r" (an empty Q and no gradient)."""
    matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced', 'r', or 'complete'")
    if mode == "r":
        if A.requires_grad:
            raise RuntimeError("linalg.qr: the derivative depends on Q, which mode='r' does not make; use mode='reduced'")
        return Qr(s.filled(A, (0,), 0, None), qr_(A, False)[1])
    return Qr(*qr_(A, mode == "complete"))


def qr_top(input: Any, some: bool = True) -> Any:
    """Return (Q, R) with input = Q R; some=False gives all columns of Q."""
    return TopQr(*qr(input, "reduced" if some else "complete"))


def geqrf(input: Any) -> Any:
    """Return (a, tau): R on and above the diagonal of a, below it the vectors of the Householder reflections that make Q."""
    matrix("geqrf", input)
    return Geqrf(*geqrf_(input))


Geqrf = r.named("geqrf")
geqrf_ = structural(
    "geqrf", "x", lambda x: (same(x), ((*x.shape[:-2], min(x.shape[-2:])), x.dtype)), outputs=2, label="GeqrfBackward0"
)


def _reflected(A: Any, tau: Any, C: Any, adjoint: bool) -> Any:
    """Return Q C (or Q^H C) for Q = H_1 H_2 ... with H_i = 1 - tau_i v_i v_i^H, v_i below the diagonal of A."""
    n = tau.shape[-1]
    ones = s.filled(A, (*A.shape[:-2], min(A.shape[-2:])), 1, None)
    v = s.assign(triangle(A, False, -1), ones, ((s.diagonal_, (0, A.ndim - 2, A.ndim - 1)),))
    for i in range(n) if adjoint else reversed(range(n)):
        vi = part(v, None, (i, i + 1))
        t = s.reshape(s.getitem(tau, (*(slice(None),) * (tau.ndim - 1), i)), (*tau.shape[:-1], 1, 1))
        C = C - mm((conj(t) if adjoint else t) * vi, mm(mH(vi), C))
    return C


@labelled("LinalgHouseholderProductBackward0")
def householder_product(A: Any, tau: Any) -> Any:
    """Return the first columns of the product of the reflections 1 - tau_i v_i v_i^H, v_i below the diagonal of A."""
    matrix("linalg.householder_product", A)
    floating("linalg.householder_product", A, tau)
    m, n = A.shape[-2:]
    if m < n or tau.shape[-1] > n or tuple(tau.shape[:-1]) != tuple(A.shape[:-2]):
        raise RuntimeError(
            f"torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1], and tau have "
            f"a number for each column at most: got shapes {list(A.shape)} and {list(tau.shape)}"
        )
    start = s.broadcast_to(part(identity(A, m), None, (0, n)), tuple(A.shape))
    return _reflected(A, tau, e.overwrite(A, start), False)


@labelled("OrmqrBackward0")
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Return Q other (other Q), or with Q^H, for Q from `geqrf`."""
    matrix("ormqr", input, other)
    floating("ormqr", input, tau)
    m = other.shape[-2] if left else other.shape[-1]
    if input.shape[-2] != m or tau.shape[-1] > min(input.shape[-2:]):
        raise RuntimeError(
            f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], and tau have a number for each "
            f"reflection at most: got shapes {list(input.shape)}, {list(tau.shape)} and {list(other.shape)}"
        )
    if left:
        return _reflected(input, tau, other, transpose)
    return mH(_reflected(input, tau, mH(other), not transpose))


# ---- singular values
Svd, TopSvd = r.named("linalg_svd"), r.named("svd")


def svd(A: Any, full_matrices: bool = True, *, driver: Any = None) -> Any:
    """Return (U, S, Vh) with A = U diag(S) Vh, S descending. U and Vh are square, or reduced (full_matrices=False)."""
    matrix("linalg.svd", A)
    _no_driver("linalg.svd", driver)
    return Svd(*svd_(A, full_matrices))


def _no_driver(name: str, driver: Any) -> None:
    if driver is not None:
        raise RuntimeError(f"{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.")


def svd_top(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """Return (U, S, V) with input = U diag(S) V^H; compute_uv=False: zeros in the place of U and V."""
    matrix("svd", input)
    if not compute_uv:
        m, n = input.shape[-2:]
        batch = tuple(input.shape[:-2])
        return TopSvd(s.filled(input, (*batch, m, m), 0, None), svdvals_(input), s.filled(input, (*batch, n, n), 0, None))
    U, S, Vh = svd_(input, not some)
    return TopSvd(U, S, mH(Vh))


def svdvals(A: Any, *, driver: Any = None) -> Any:
    """Return the singular values of matrices, descending."""
    matrix("linalg.svdvals", A)
    _no_driver("linalg.svdvals", driver)
    return values_of(A)


def values_of(A: Any) -> Any:
    """Return the singular values; where a gradient may be asked for, which needs the vectors, from one decomposition."""
    return svd_(A, False)[1] if A.requires_grad and is_grad_enabled() else svdvals_(A)


# ---- eigenvalues
Eigh, Eig = r.named("linalg_eigh"), r.named("linalg_eig")


def _upper(name: str, UPLO: str) -> bool:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"{name}: Expected UPLO argument to be 'L' or 'U', but got {UPLO!r}")
    return UPLO.upper() == "U"


def eigh(A: Any, UPLO: str = "L") -> Any:
    """Return (eigenvalues, eigenvectors) of Hermitian matrices, ascending; UPLO: the triangle that is read."""
    square("linalg.eigh", A)
    return Eigh(*eigh_(A, _upper("linalg.eigh", UPLO)))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Return the eigenvalues of Hermitian matrices, ascending; UPLO: the triangle that is read."""
    square("linalg.eigvalsh", A)
    upper = _upper("linalg.eigvalsh", UPLO)
    return eigh_(A, upper)[0] if A.requires_grad and is_grad_enabled() else eigvalsh_(A, upper)


def eig(A: Any) -> Any:
    """Return (eigenvalues, eigenvectors) of square matrices, complex and in no order, the vectors of length 1."""
    square("linalg.eig", A)
    _finite("linalg.eig", A)
    return Eig(*eig_(A))


def eigvals(A: Any) -> Any:
    """Return the eigenvalues of square matrices, complex and in no order."""
    square("linalg.eigvals", A)
    _finite("linalg.eigvals", A)
    return eig_(A)[0] if A.requires_grad and is_grad_enabled() else eigvals_(A)


def _finite(name: str, A: Any) -> None:
    if not bool(e.isfinite(A.detach()).all()):
        raise RuntimeError(f"torch.{name}: input tensor should not contain infs or NaNs.")


# ---- pseudoinverse, least squares, rank
def _tolerances(name: str, A: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Return both tolerances, numbers or tensors: absolute, and relative to the largest singular value."""
    if rtol is None:
        rtol = max(A.shape[-2:]) * float(np.finfo(e.real_type(A._array.dtype)).eps)
        if atol is not None:
            rtol = e.where(atol > 0, 0.0, rtol) if hasattr(atol, "_array") else rtol * (atol <= 0)
    for value in (atol, rtol):
        if hasattr(value, "_array") and e.is_complex(value):
            raise RuntimeError(f"{name}: atol and rtol tensors of complex type are not supported.")
    return 0.0 if atol is None else atol, rtol


def _per_value(tolerance: Any) -> Any:
    """Return a tolerance as a number, or as a raw array that broadcasts against singular values."""
    return column(tolerance)._array if hasattr(tolerance, "_array") else tolerance


def pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Return the pseudoinverse of matrices: singular values up to max(atol, rtol * the largest) count as 0."""
    matrix("linalg.pinv", A)
    if hermitian:
        square("linalg.pinv", A)
    bounds = _tolerances("linalg.pinv", A, atol, rtol if rcond is None else rcond)
    return pinv_(A, *[_per_value(v) for v in bounds], hermitian)


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """Return the pseudoinverse of matrices: singular values up to rcond * the largest count as 0."""
    return pinv(input, rtol=rcond)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Return how many singular values are above max(atol, rtol * the largest); `tol` is an atol alone."""
    matrix("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    A = A.detach()
    if hermitian:
        square("linalg.matrix_rank", A)
        values = e.absolute(eigvalsh_(A, False))
    else:
        values = svdvals_(A)
    if not values.shape[-1]:
        return s.filled(values, tuple(A.shape[:-2]), 0, dtypes.I64)
    absolute, relative = _tolerances("linalg.matrix_rank", A, atol, rtol)
    bound = e.maximum(r.amax_(values, (values.ndim - 1,), False) * relative, absolute)
    above = values > column(bound)
    return r.sum_(above, (above.ndim - 1,), False)


Lstsq = r.named("linalg_lstsq")
DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: Any = None) -> Any:
    """Return (solution, residuals, rank, singular_values) of min |A X - B|: the solution of least norm, by the pseudoinverse.

    residuals: only where A has full rank and more rows than columns. driver: which of the other two are given.
    """
    floating("torch.linalg.lstsq", A, B)
    matrix("torch.linalg.lstsq", A)
    if driver is not None and driver not in DRIVERS:
        raise RuntimeError(f"torch.linalg.lstsq: parameter `driver` should be one of {DRIVERS}, got {driver!r}")
    vector = A._array.ndim - 1 == B._array.ndim and tuple(A.shape[:-1]) == tuple(B.shape)
    if B._array.ndim < 1 or not (vector or B._array.ndim >= 2 and A.shape[-2] == B.shape[-2]):
        shapes = f"{list(A.shape)} and {list(B.shape)}"
        raise RuntimeError(f"torch.linalg.lstsq: A.size(-2) should match B.size(-2), got shapes {shapes}")
    right = column(B) if vector else B
    m, n = A.shape[-2:]
    eps = float(np.finfo(e.real_type(A._array.dtype)).eps)
    tolerance = max(m, n) * eps if rcond is None else rcond if 0 < rcond < 1 else eps  # as LAPACK's drivers take it
    X = mm(pinv_(A, 0.0, 0.0 if driver == "gels" else tolerance, False), right)
    rank = matrix_rank(A, rtol=tolerance)
    if m > n and driver is not None and (driver == "gels" or driver != "gelsy" and bool((rank == n).all())):
        off = e.absolute(mm(A, X) - right)
        residuals = r.sum_(off * off, (off.ndim - 2,), False)
    else:  # a vector without elements, recorded as X is
        residuals = e.absolute(s.getitem(s.reshape(X, (X._array.size,)), (slice(0, 0),)))
    solution = s.reshape(X, tuple(X.shape[:-1])) if vector else X
    rank = s.filled(rank, (0,), 0, None) if driver == "gels" else rank
    values = svdvals_(A.detach()) if driver in ("gelsd", "gelss") else s.filled(residuals, (0,), 0, None)
    return Lstsq(solution, residuals, rank, values)
