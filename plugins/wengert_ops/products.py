"""Products beside the core's: inner, Kronecker, sums of a product and a tensor, distances.

Owns: PyTorch's functions, made of the core's records. May import: wengert.extend. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import Tensor, call, cast, dtypes, e, errors, labelled, one_dim, products, r, relabel, s


def inner(input: Any, other: Any) -> Any:
    """Return the sums of products along the last dims of both; of a scalar, the product."""
    if isinstance(input, Tensor) and isinstance(other, Tensor) and not (input._array.ndim and other._array.ndim):
        return e.multiply(input, other)
    products.factors("inner", input, other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} "
                           f"and {list(other.shape)}")  # fmt: skip
    return products.tensordot(input, other, ([-1], [-1]))


def vdot(input: Any, other: Any) -> Any:
    """Return the sum of conj(input) * other for two vectors."""
    products.factors("vdot", input, other)
    products.infer_dot(input, other)
    return relabel(products.dot_(e.conj(input), other), "VdotBackward0")


@labelled("UnsafeViewBackward0")
def kron(input: Any, other: Any) -> Any:
    """Return the Kronecker product: blocks of other, each times an element of input."""
    n = max(input._array.ndim, other._array.ndim)
    a, b = ((1,) * (n - x._array.ndim) + tuple(x.shape) for x in (input, other))
    left = s.reshape(input, tuple(m for size in a for m in (size, 1)))
    right = s.reshape(other, tuple(m for size in b for m in (1, size)))
    return s.reshape(e.multiply(left, right), tuple(i * j for i, j in zip(a, b, strict=True)))


# ---- beta * input + alpha * a product
@labelled("AddmvBackward0")
def addmv(input: Any, mat: Any, vec: Any, *older: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * mat @ vec."""
    if older:
        input, mat, vec, beta, alpha = products.in_order("addmv", input, mat, vec, *older)
    return products.added("addmv", input, products.mv(mat, vec), beta, alpha)


@labelled("AddrBackward0")
def addr(input: Any, vec1: Any, vec2: Any, *older: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * the outer product of two vectors."""
    if older:
        input, vec1, vec2, beta, alpha = products.in_order("addr", input, vec1, vec2, *older)
    product = products.outer(vec1, vec2)
    common = dtypes.result_of([input._array, product._array])
    input, product = (x if x._array.dtype == common else call(cast, (x,), (common,)) for x in (input, product))
    if dtypes.category(common) < dtypes.FLOATING and (isinstance(beta, float) or isinstance(alpha, float)):
        raise RuntimeError("For integral input tensors, argument beta and alpha must not be floating point numbers (addr)")
    return products.added("addr", input, product, beta, alpha)


@labelled("BaddbmmBackward0")
def baddbmm(input: Any, batch1: Any, batch2: Any, *older: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * batch1 @ batch2."""
    if older:
        input, batch1, batch2, beta, alpha = products.in_order("baddbmm", input, batch1, batch2, *older)
    return products.added("baddbmm", input, products.bmm(batch1, batch2), beta, alpha)


@labelled("AddbmmBackward0")
def addbmm(input: Any, batch1: Any, batch2: Any, *older: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * the sum of the products of a batch, which is one product of longer matrices."""
    if older:
        input, batch1, batch2, beta, alpha = products.in_order("addbmm", input, batch1, batch2, *older)
    products.factors("addbmm", batch1, batch2)
    a, b = tuple(batch1.shape), tuple(batch2.shape)
    if len(a) != 3 or len(b) != 3 or a[0] != b[0]:
        raise RuntimeError(f"batch1 and batch2 must be 3D tensors of equal batch size, got {list(a)} and {list(b)} (addbmm)")
    if a[2] != b[1]:
        raise errors.matmul(batch1, batch2, "addbmm")
    left = s.reshape(s.transpose_(batch1, (1, 0, 2)), (a[1], a[0] * a[2]))
    product = products.matmul_(left, s.reshape(batch2, (b[0] * b[1], b[2])))
    return products.added("addbmm", input, product, beta, alpha)


# ---- distances
@labelled("DistBackward0")
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """Return the p-norm of input - other, of all elements."""
    return r.norm(e.subtract(input, other), p)


MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@labelled("CdistBackward0")
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = MODES[0]) -> Any:
    """Return the p-norm of the difference of each row of x1 and each row of x2, in batches.

    compute_mode: whether p = 2 goes by one matrix product, |x|^2 + |y|^2 - 2 x y, which is faster and loses digits of
    small distances; by default for more than 25 rows.
    """
    products.factors("cdist", x1, x2)
    for name, x in (("X1", x1), ("X2", x2)):
        if dtypes.category(x._array.dtype) != dtypes.FLOATING:
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}")
    if x1._array.ndim < 2 or x2._array.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, got shapes {list(x1.shape)} and {list(x2.shape)}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]} (cdist)")
    if compute_mode not in MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    mismatch = errors.broadcast("cdist", [tuple(x1.shape[:-2]), tuple(x2.shape[:-2])])
    if mismatch is not None:
        raise mismatch
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2 and (compute_mode == MODES[1] or compute_mode == MODES[0] and many):
        return _by_product(x1, x2)
    difference = e.subtract(s.unsqueeze(x1, -2), s.unsqueeze(x2, -3))
    last = one_dim("cdist", difference, -1)
    if not difference.shape[-1]:
        return r.sum_(difference, (last,), False)
    return r.vector_norm(difference, p, (last,), False)


def _by_product(x: Any, y: Any) -> Any:
    """Return sqrt(|x|^2 + |y|^2 - 2 x y), and 0 with a gradient of 0 where that is below 0."""
    last = x._array.ndim - 1
    squares = r.sum_(x * x, (last,), True) + s.mT(r.sum_(y * y, (y._array.ndim - 1,), True))
    square = squares - 2 * products.matmul_(x, s.mT(y))
    apart = square > 0
    return e.where(apart, e.sqrt(e.where(apart, square, 1.0)), 0.0)


