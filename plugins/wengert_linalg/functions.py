"""Powers, exponentials, products of several matrices, and norms.

Owns: the record of the exponential, and PyTorch's functions made of this and other ops. May import: wengert.extend, the
family's other modules. Must not know: devices.
Source: A. H. Al-Mohy and N. J. Higham, Computing the Frechet derivative of the matrix exponential (2009).
"""

from __future__ import annotations

from typing import Any

from wengert.extend import (
    axes_of,
    category,
    count,
    dtypes,
    e,
    errors,
    ints,
    labelled,
    one_dim,
    products,
    r,
    random,
    reduced,
    relabel,
    s,
    structural,
)
from wengert_linalg.matrices import (
    conj,
    floating,
    identity,
    matrix,
    mH,
    mm,
    mT,
    part,
    square,
)
from wengert_linalg.solving import cholesky, infer_square, inv, solve_triangular
from wengert_linalg.spectral import eigh, qr_, svd_, values_of

INF = float("inf")


def matrix_exp_rule(g: Any, x: Any) -> Any:
    """Return the derivative of exp at x^T along g: the upper right block of exp of [[x^T, g], [0, x^T]]."""
    n, rows, columns = x.shape[-1], x.ndim - 2, x.ndim - 1
    xt = mT(x)
    upper, lower = s.concatenate((xt, g), columns), s.concatenate((e.zeros(g), xt), columns)
    return part(matrix_exp_(s.concatenate((upper, lower), rows)), (0, n), (n, 2 * n))


matrix_exp_ = structural("matrix_exp", "x", infer_square, label="LinalgMatrixExpBackward0", x=matrix_exp_rule)


def matrix_exp(A: Any) -> Any:
    """Return the exponential of square matrices, sum A^k / k!."""
    if hasattr(A, "_array") and A.is_floating_point() and A._array.dtype.itemsize == 2:
        return matrix_exp(A.float()).to(A.dtype)
    square("linalg.matrix_exp", A)
    return matrix_exp_(A)


@labelled("LinalgMatrixPowerBackward0")
def matrix_power(A: Any, n: int) -> Any:
    """Return A multiplied n times with itself, by repeated squaring; of the inverse for negative n."""
    if A._array.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"linalg.matrix_power: A must be batches of square matrices, got shape {list(A.shape)}")
    if n == 0:
        return e.overwrite(A, identity(A.detach(), A.shape[-1]))
    if n < 0:
        A, n = inv(A), -n
    result = None
    while n:
        if n & 1:
            result = A if result is None else mm(result, A)
        n >>= 1
        A = mm(A, A) if n else A
    return e.clone(result) if result is A else result


@labelled("LinalgMultiDotBackward0")
def multi_dot(tensors: Any) -> Any:
    """Return the product of two or more matrices (the first and last may be vectors), in the order that costs least."""
    xs = list(tensors)
    if len(xs) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(xs)}")
    first, last = xs[0]._array.ndim == 1, xs[-1]._array.ndim == 1
    for i, x in enumerate(xs):
        if x._array.ndim != 2 and not (x._array.ndim == 1 and i in (0, len(xs) - 1)):
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x._array.ndim}D")
        products.same_type("multi_dot", xs[0], x)
    if first:
        xs[0] = s.unsqueeze(xs[0], 0)
    if last:
        xs[-1] = s.unsqueeze(xs[-1], 1)
    for a, b in zip(xs, xs[1:], strict=False):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(f"multi_dot(): tensors with shapes {list(a.shape)} and {list(b.shape)} cannot be multiplied")
    product = _in_order(xs, _cheapest([*[x.shape[0] for x in xs], xs[-1].shape[1]]), 0, len(xs) - 1)
    return s.reshape(product, (*product.shape[: not first], *product.shape[1 : 1 + (not last)]))


def _cheapest(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Return where to split each run of matrices so that the fewest numbers are multiplied (dynamic programming)."""
    n = len(sizes) - 1
    costs = {(i, i): 0 for i in range(n)}
    splits = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs[i, j], splits[i, j] = min(
                (costs[i, k] + costs[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return splits


def _in_order(xs: list[Any], splits: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return xs[i]
    k = splits[i, j]
    return mm(_in_order(xs, splits, i, k), _in_order(xs, splits, k + 1, j))


def chain_matmul(*matrices: Any) -> Any:
    """Return the product of matrices, in the order that costs least."""
    xs = list(matrices[0]) if len(matrices) == 1 and isinstance(matrices[0], tuple | list) else list(matrices)
    for i, x in enumerate(xs):
        if x._array.ndim != 2:
            raise RuntimeError(f"chain_matmul(): tensor {i} must be 2D but got {x._array.ndim}D")
    return xs[0] if len(xs) == 1 else multi_dot(xs)


def vander(x: Any, *, N: int | None = None) -> Any:
    """Return Vandermonde matrices: the powers 0 to N - 1 of each element along a new last dim."""
    x = s.reshape(x, (1,)) if not x._array.ndim else x
    n = x.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError(f"N must be greater than 1 (linalg.vander, N={n})")
    if category(x._array.dtype) == dtypes.BOOL:
        x = x.to(dtypes.int64)
    ones = s.filled(x, (*x.shape, 1), 1, None)
    repeated = s.broadcast_to(s.unsqueeze(x, -1), (*x.shape, n - 1))
    return s.concatenate((ones, r.cumprod_(repeated, x._array.ndim)), x._array.ndim)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Return the sum of conj(x) * y over dim."""
    if category(x._array.dtype) < dtypes.FLOATING:
        raise RuntimeError(f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {x.dtype}; use .float()")
    products.same_type("linalg.vecdot", x, y)
    product = conj(x) * y
    return r.sum_(product, (one_dim("linalg.vecdot", product, dim),), False)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return a view of the diagonals of matrices, as the last dim."""
    return s.diagonal(A, offset, dim1, dim2)


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Return the cross product of vectors along dim, of which both must have 3 elements."""
    if input._array.ndim != other._array.ndim:
        raise RuntimeError(f"linalg.cross: inputs must have the same number of dimensions, got {list(input.shape)} and "
                           f"{list(other.shape)}")  # fmt: skip
    axis = one_dim("linalg.cross", input, dim)
    if input.shape[axis] != 3 or other.shape[axis] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[axis]} and "
                           f"{other.shape[axis]}")  # fmt: skip
    if input.dtype is not other.dtype:
        raise RuntimeError(f"linalg.cross: expected both to have one dtype, but found {input.dtype} and {other.dtype}")
    mismatch = errors.broadcast("linalg.cross", [tuple(input.shape), tuple(other.shape)])
    if mismatch is not None:
        raise mismatch
    first, second = ([s.narrow(x, axis, i, 1) for i in range(3)] for x in (input, other))
    rows = [first[i - 2] * second[i - 1] - first[i - 1] * second[i - 2] for i in range(3)]
    return relabel(s.concatenate(tuple(rows), axis), "LinalgCrossBackward0")


def cross_top(input: Any, other: Any, dim: int | None = None) -> Any:
    """Return the cross product of vectors along dim, by default the first of size 3."""
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"no dimension of size 3 in input of shape {list(input.shape)} (cross)")
    return cross(input, other, dim=dim)


# ---- norms
def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return (sum |x|^ord)^(1/ord) over dim, by default of all elements; inf, -inf and 0 as usual."""
    if isinstance(ord, str):
        raise TypeError(f"linalg.vector_norm(): argument 'ord' must be Number, not str: {ord!r}")
    if isinstance(ord, complex):
        raise RuntimeError(f"linalg.vector_norm: Expected a non-complex scalar as the order of norm, got {ord}")
    x = _widened("linalg.vector_norm", x, dtype)
    axis = axes_of("linalg.vector_norm", x, dim)
    axis = tuple(range(x._array.ndim)) if axis is None else axis
    if (ord < 0 or ord == INF) and count(tuple(x.shape), axis) == 0:
        whole = dim is None or any(x.shape[d] == 0 for d in axis)
        if whole:
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have an "
                f"identity"
            )
    return r.vector_norm(x, ord, axis, keepdim)


def _widened(name: str, x: Any, dtype: Any) -> Any:
    if category(x._array.dtype) < dtypes.FLOATING:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}; use .float()")
    if dtype is None or x.dtype is dtype:
        return x
    if dtype.category != x.dtype.category or dtypes.promote_types(x.dtype, dtype) is not dtype:
        raise RuntimeError(f"{name}: the dtype of the input ({x.dtype}) should be convertible without narrowing to {dtype}")
    return x.to(dtype)


MATRIX_ORDERS = ("fro", "nuc", INF, -INF, 1, -1, 2, -2)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return a norm of matrices: "fro", "nuc" (sum of singular values), 2 and -2 (largest and smallest of them), 1 and inf
    (largest sum of a column, of a row), -1 and -inf (smallest)."""
    name = "linalg.matrix_norm"
    if A._array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions, got shape {list(A.shape)}")
    A = _widened(name, A, dtype)
    if not isinstance(dim, tuple | list) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    rows, columns = (one_dim(name, A, d) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({rows}, {columns})")
    if ord not in MATRIX_ORDERS:
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if ord == "fro":
        return r.vector_norm(A, 2, (rows, columns), keepdim)
    axis = tuple(sorted((rows, columns)))
    if ord in ("nuc", 2, -2):
        rest = tuple(d for d in range(A._array.ndim) if d not in axis)
        values = values_of(s.transpose_(A, (*rest, rows, columns)))
        last = (len(rest),)
        made = r.sum_(values, last, False) if ord == "nuc" else _extreme(name, values, last, ord > 0, False)
        return s.reshape(made, reduced(tuple(A.shape), axis, True)) if keepdim else made
    summed = columns if abs(ord) == INF else rows
    return _extreme(name, r.vector_norm(A, 1, (summed,), True), axis, ord > 0, keepdim)


def _extreme(name: str, values: Any, axis: tuple[int, ...], largest: bool, keepdim: bool) -> Any:
    if count(tuple(values.shape), axis) == 0 and not largest:
        raise IndexError(f"{name}: Expected reduction dim to have non-zero size: the smallest of nothing does not exist")
    if count(tuple(values.shape), axis) == 0:
        return r.sum_(values, axis, keepdim)
    return (r.amax_ if largest else r.amin_)(values, axis, keepdim)


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return a norm: of matrices where `ord` is given with two dims (or a str), else of vectors; by default of all elements."""
    dim = None if dim is None else ints(dim)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is not None and len(dim) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if dim is None and A._array.ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D.")
    if isinstance(ord, str) or (len(dim) if dim is not None else A._array.ndim) == 2:
        if dim is not None and len(dim) != 2 or dim is None and A._array.ndim != 2:
            raise RuntimeError(f"linalg.norm: the order {ord!r} is of matrices, two dims")
        return matrix_norm(A, ord, (-2, -1) if dim is None else tuple(dim), keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


def cond(A: Any, p: Any = None) -> Any:
    """Return the condition number of matrices: norm(A) * norm(inv(A)); for 2 (the default) from singular values."""
    matrix("linalg.cond", A)
    if p is not None and p not in MATRIX_ORDERS:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if p in (None, 2, -2):
        values = values_of(A)
        if not values.shape[-1]:
            return r.sum_(values, (values._array.ndim - 1,), False)
        ends = [s.select(values, -1, i) for i in (0, -1)]
        return ends[1] / ends[0] if p == -2 else ends[0] / ends[1]
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"linalg.cond with norm type {p} only supports square matrices, got shape {list(A.shape)}")
    size = matrix_norm(A, p)
    try:
        return size * matrix_norm(inv(A), p)
    except errors.LinAlgError:
        if A._array.ndim > 2:
            return s.stack([cond(x, p) for x in s.unbind(A)], 0)
        return s.filled(size.detach(), (), INF, None)


# ---- low rank, by products with random vectors
def svd_lowrank(A: Any, q: int = 6, niter: int = 2, M: Any = None) -> Any:
    """Return (U, S, V) with A - M near U diag(S) V^H, of rank q.

    Source: N. Halko, P. G. Martinsson and J. A. Tropp, Finding structure with randomness (2009), algorithm 5.1.
    """
    floating("svd_lowrank", A)
    A = A if M is None else A - M
    if A.shape[-2] < A.shape[-1]:
        U, S, V = svd_lowrank(mH(A), q, niter)
        return V, S, U
    Q = qr_(mm(A, random.randn(A.shape[-1], q, dtype=A.dtype, device=A.device)), False)[0]
    for _ in range(niter):
        Q = qr_(mm(mH(A), Q), False)[0]
        Q = qr_(mm(A, Q), False)[0]
    U, S, Vh = svd_(mm(mH(Q), A), False)
    return mm(Q, U), S, mH(Vh)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """Return (U, S, V) of the q principal components of A's rows, from which their mean is taken first."""
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def lobpcg(
    A: Any, k: int | None = None, B: Any = None, X: Any = None, n: int | None = None, iK: Any = None, niter: Any = None,
    tol: Any = None, largest: bool | None = None, method: Any = None, tracker: Any = None, ortho_iparams: Any = None,
    ortho_fparams: Any = None, ortho_bparams: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Return (E, X), the k largest (else smallest) solutions of A x = e B x for symmetric matrices; B is positive definite.

    They are computed exactly and all at once: what PyTorch's iteration starts from and ends by is accepted without effect.
    """
    A, B = (x.to_dense() if x is not None and x.is_sparse else x for x in (A, B))
    k = k or (1 if X is None else X.shape[-1])
    if k > A.shape[-1]:
        raise ValueError(f"lobpcg: {k} solutions were asked for, and A of size {list(A.shape)} has {A.shape[-1]}")
    A = (A + mH(A)) / 2  # eigh reads one half alone, and a gradient is of both
    if B is None:
        values, vectors = eigh(A)
    else:
        L = cholesky(B)
        half = solve_triangular(L, A, upper=False)
        values, reduced_ = eigh(solve_triangular(L, mH(half), upper=False))
        vectors = solve_triangular(mH(L), reduced_, upper=True)
    if largest is None or largest:
        return s.flip(values[..., -k:], (-1,)), s.flip(vectors[..., -k:], (-1,))
    return values[..., :k], vectors[..., :k]
