"""What the modules of linear algebra share: adjoints, diagonals and triangles of batches of matrices, checks.

Owns: the record of a triangle, helpers that rules use too (on raw arrays and on Tensors). May import:
wengert.extend. Must not know: any factorization, devices.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import category, dtypes, e, products, s, structural

mm = products.matmul_
mT = s.mT


def same(x: Any, *_: Any) -> Any:
    """Return the shape and type of the first input: those of the result."""
    return tuple(x.shape), x.dtype


# fmt: off
# the elements on and above (upper) or below a diagonal, zeros elsewhere
triangle = structural("triangle", "x", same, params="upper offset", x=lambda g, upper, offset: triangle(g, upper, offset))
# fmt: on


def conj(x: Any) -> Any:
    """Return the complex conjugate; of reals the array itself."""
    return e.conjugate(x) if e.is_complex(x) else x


def mH(x: Any) -> Any:
    """Return the adjoint matrices: transposed and conjugated."""
    return conj(mT(x))


def column(v: Any) -> Any:
    """Return vectors as matrices of one column: times a matrix, they scale its rows."""
    return s.reshape(v, (*v.shape, 1))


def row(v: Any) -> Any:
    """Return vectors as matrices of one row: times a matrix, they scale its columns."""
    return s.reshape(v, (*v.shape[:-1], 1, v.shape[-1]))


def scalar(v: Any) -> Any:
    """Return numbers as matrices of one element."""
    return s.reshape(v, (*v.shape, 1, 1))


def diagonal(x: Any) -> Any:
    """Return the diagonals of matrices."""
    return s.diagonal_(x, 0, x.ndim - 2, x.ndim - 1)


def diagonal_matrix(v: Any) -> Any:
    """Return square matrices with vectors on their diagonal."""
    n = v.ndim
    return s.assign(s.filled(v, (*v.shape, v.shape[-1]), 0, None), v, ((s.diagonal_, (0, n - 1, n)),))


def identity(x: Any, n: int) -> Any:
    """Return the n x n identity, of x's type and device."""
    return diagonal_matrix(s.filled(x, (n,), 1, None))


def hermitian(x: Any, upper: bool) -> Any:
    """Return the Hermitian matrices with the triangle that x has, real on the diagonal."""
    twice = triangle(x, upper, 0) + triangle(x, upper, 1 if upper else -1)
    return (twice + mH(twice)) / 2


def part(x: Any, rows: Any = None, columns: Any = None) -> Any:
    """Return a block of matrices: those rows and columns, as (start, stop)."""
    index = (slice(None),) * (x.ndim - 2)
    return s.getitem(x, (*index, slice(*(rows or (None,))), slice(*(columns or (None,)))))


# ---- checks
def floating(name: str, *xs: Any) -> None:
    """Raise RuntimeError for what is neither real nor complex floats, or of two types."""
    for x in xs:
        if not hasattr(x, "_array"):
            raise TypeError(f"{name}(): argument must be Tensor, not {type(x).__name__}; wengert.as_tensor(...) makes one")
        if category(x._array.dtype) < dtypes.FLOATING:
            raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}; use .float()")
        if x._array.dtype != xs[0]._array.dtype:
            raise RuntimeError(f"{name}: Expected both inputs to have the same dtype, got {xs[0].dtype} and {x.dtype}")
        if x._array.dtype.itemsize < 4:
            raise NotImplementedError(f"{name}: not implemented for {x.dtype} (low precision); use .float()")


def matrix(name: str, *xs: Any) -> None:
    """Raise RuntimeError for what is no floating matrix, or batch of matrices."""
    floating(name, *xs)
    for x in xs:
        if x._array.ndim < 2:
            raise RuntimeError(
                f"{name}: The input tensor A must have at least 2 dimensions, but it has {x.ndim} (shape {list(x.shape)})"
            )


def square(name: str, x: Any) -> None:
    """Raise RuntimeError for what is no floating square matrix, or batch of them."""
    matrix(name, x)
    check_square(name, x)


def check_square(name: str, x: Any) -> None:
    rows, columns = x.shape[-2:] if len(x.shape) > 1 else (0, 1)
    if rows != columns:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {rows} by {columns} matrices")
