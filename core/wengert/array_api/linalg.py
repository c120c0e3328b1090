"""The array API standard's extension `linalg`.

Owns: its signatures over `wengert.linalg`. May import: wengert's public names, the functions beside.
Must not know: kernels.
"""

from __future__ import annotations

from typing import Any

import wengert as w
from wengert.array_api.arrays import _axes, _summed, matmul, matrix_transpose, tensordot, vecdot
from wengert.array_api.types import common

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """Return the triangle L with L conj(L).T = x, or its upper form."""
    return w.linalg.cholesky(x, upper=upper)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Return the cross product of vectors of length 3."""
    a, b = common(x1, x2)
    if not (-min(a.ndim, b.ndim) <= axis < min(a.ndim, b.ndim)) or a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"cross: axis {axis} must have length 3 in both of {tuple(a.shape)} and {tuple(b.shape)}")
    return w.linalg.cross(*w.broadcast_tensors(a, b), dim=axis)


def det(x: Any, /) -> Any:
    """Return the determinant."""
    return w.linalg.det(x)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """Return a diagonal of the last two dimensions, as the last one."""
    return w.diagonal(x, offset, -2, -1)


def eigh(x: Any, /) -> Any:
    """Return eigenvalues and eigenvectors of symmetric or hermitian matrices."""
    return w.linalg.eigh(x)


def eigvalsh(x: Any, /) -> Any:
    """Return the eigenvalues of symmetric or hermitian matrices."""
    return w.linalg.eigvalsh(x)


def inv(x: Any, /) -> Any:
    """Return the inverse."""
    return w.linalg.inv(x)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Return the norm of matrices: "fro", "nuc", 1, 2, inf and their negatives."""
    if ord is None:
        ord = "fro"
    return w.linalg.matrix_norm(x, ord, (-2, -1), keepdims)


def matrix_power(x: Any, n: int, /) -> Any:
    """Return the n-th power of square matrices, of the inverse where n is negative."""
    return w.linalg.matrix_power(x, n)


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """Return how many singular values exceed rtol times the largest."""
    return w.linalg.matrix_rank(x, rtol=rtol)


def outer(x1: Any, x2: Any, /) -> Any:
    """Return the products of each element of one vector with each of another."""
    return w.outer(*common(x1, x2))


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """Return the Moore-Penrose inverse, with singular values below rtol times the largest taken as zero."""
    return w.linalg.pinv(x, rtol=rtol)


def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """Return Q and R with Q R = x, mode "reduced" or "complete"."""
    return w.linalg.qr(x, mode)


def slogdet(x: Any, /) -> Any:
    """Return sign and logarithm of the absolute value of the determinant."""
    return w.linalg.slogdet(x)


def solve(x1: Any, x2: Any, /) -> Any:
    """Return y with x1 y = x2; x2 is a vector where it has one dimension, else a stack of matrices."""
    a, b = common(x1, x2)
    if b.ndim == 1:
        return w.linalg.solve(a, b.unsqueeze(-1).expand((*a.shape[:-2], *b.shape, 1))).squeeze(-1)
    for _ in range(a.ndim - b.ndim):  # a matrix, also where PyTorch would take it for a stack of vectors
        b = b.unsqueeze(0)
    return w.linalg.solve(a, b)


def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """Return U, S and Vh with U diag(S) Vh = x."""
    return w.linalg.svd(x, full_matrices)


def svdvals(x: Any, /) -> Any:
    """Return the singular values."""
    return w.linalg.svdvals(x)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """Return the sum of a diagonal of the last two dimensions."""
    typed = _summed(diagonal(x, offset=offset), dtype)
    return w.sum(typed, -1, dtype=typed.dtype)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Return the norm over axes, as of one vector: any number, inf, -inf, 0."""
    axes = _axes(x, axis)
    return w.linalg.vector_norm(x, ord, axes, keepdims) if axes else w.linalg.vector_norm(x.unsqueeze(-1), ord, -1)
