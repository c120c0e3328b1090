"""Products: matmul and what is made of it.

Owns: matmul (batched, broadcast), dot, mm, mv, bmm, outer, addmm, tensordot, einsum, trace. May import: record, shape,
elementwise and reduction ops. Must not know: devices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import dtypes, errors
from wengert._tensor import Tensor
from wengert.faces import composite, face, unusual
from wengert.inplace import write_out
from wengert.op import SAME
from wengert.ops import elementwise as e
from wengert.ops import reductions as r
from wengert.ops import shapes as s
from wengert.ops.dims import ints, one_dim, only_tensors, size_of
from wengert.record import asked, overridden, relabel, structural


def infer_matmul(x: Any, y: Any) -> Any:
    if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-2]:
        raise errors.matmul(x, y)
    mismatch = errors.broadcast("matmul", [tuple(x.shape[:-2]), tuple(y.shape[:-2])])
    if mismatch is not None:
        raise mismatch
    same_type("matmul", x, y)
    return (*np.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2])), x.shape[-2], y.shape[-1]), x.dtype


def infer_mv(x: Any, y: Any) -> Any:
    if len(x.shape) != 2 or len(y.shape) != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {len(y.shape)}, {len(x.shape)} (mv)")
    if x.shape[1] != y.shape[0]:
        rows, columns = x.shape
        raise RuntimeError(f"size mismatch, got input ({rows}), mat ({rows}x{columns}), vec ({y.shape[0]})")
    same_type("mv", x, y)
    return (x.shape[0],), x.dtype


def infer_dot(x: Any, y: Any) -> Any:
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise RuntimeError(f"1D tensors expected, but got {len(x.shape)}D and {len(y.shape)}D tensors (dot)")
    if x.shape != y.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] to have the same number of "
            f"elements"
        )
    same_type("dot", x, y)
    return (), x.dtype


def same_type(op: str, x: Any, y: Any) -> None:
    """Raise RuntimeError where two factors differ in dtype: products do not promote."""
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype} ({op}; convert one with .to())"
        )


def infer_rows(x: Any, y: Any) -> Any:
    if len(y.shape) != 2 or x.shape[-1] != y.shape[0]:
        raise errors.matmul(x, y)
    same_type("matmul", x, y)
    return (*x.shape[:-1], y.shape[1]), x.dtype


def infer_outer(x: Any, y: Any) -> Any:
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise RuntimeError(f"outer: Expected 1-D arguments, but got {len(x.shape)}-D and {len(y.shape)}-D")
    return (x.shape[0], y.shape[0]), x.dtype


def as_rows(x: Any) -> Any:
    """Return x as one matrix, a row for each vector along its last dim."""
    return s.reshape(x, (size_of(x.shape[:-1]), x.shape[-1]))


# fmt: off
matmul_ = structural("matmul", "x y", infer_matmul, broadcasts=True, label=lambda *_: "MmBackward0",
    x=lambda g, y: matmul_(g, s.mT(y)), y=lambda g, x: matmul_(s.mT(x), g))
# every vector along the last dim of x, times one matrix
rows_   = structural("rows", "x y", infer_rows, face="matmul", label="UnsafeViewBackward0",
    x=lambda g, y: rows_(g, s.mT(y)), y=lambda g, x: matmul_(s.mT(as_rows(x)), as_rows(g)))
mv_     = structural("mv", "x y", infer_mv, x=lambda g, y: outer_(g, y), y=lambda g, x: mv_(s.mT(x), g))
dot_    = structural("dot", "x y", infer_dot, x=lambda g, y: g * y, y=lambda g, x: g * x)
outer_  = structural("outer", "x y", infer_outer, domain=SAME, label="MulBackward0",
    x=lambda g, y: mv_(g, y), y=lambda g, x: mv_(s.mT(g), x))
# fmt: on


def factors(name: str, input: Any, other: Any) -> None:
    """Raise TypeError for a factor that is no Tensor, RuntimeError where the dtypes of two differ."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        kind = type(other if isinstance(input, Tensor) else input).__name__
        raise TypeError(f"{name}(): both factors must be Tensors, not {kind}; wengert.as_tensor(...) makes one")
    if input._array.dtype is not other._array.dtype:
        same_type(name, input, other)


def matrices(name: str, input: Any, mat2: Any) -> None:
    """Raise what `factors` does, and RuntimeError for other dims than two."""
    factors(name, input, mat2)
    if input._array.ndim != 2 or mat2._array.ndim != 2:
        dims = f"{input._array.ndim}D and {mat2._array.ndim}D"
        raise RuntimeError(f"self must be a matrix, and so must mat2: {name} takes 2D tensors, got {dims}")


def _plain(input: Any, other: Any, ndim: int) -> bool:
    """Say whether two factors are tensors of one type and of `ndim` dims: all that is to be checked of them."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return False
    a, b = input._array, other._array
    return a.ndim == ndim and b.ndim == ndim and a.dtype is b.dtype


_product = matmul_.__call__


@face("matmul")
def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return the matrix product: vectors by dot, matrices by rows and columns, more dims as broadcast batches.

    Raises RuntimeError where inner sizes differ.
    """
    if _plain(input, other, 2):
        return _product(input, other, out=out)
    try:
        factors("matmul", input, other)
    except TypeError:
        if overridden(type(other)):
            return asked(matmul_, (input, other), (), unusual)
        raise
    m, n = input._array.ndim, other._array.ndim
    if m == 2 and n == 2:
        return matmul_(input, other, out=out)
    if m == 0 or n == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {m}D and {n}D")
    if m == 1 and n == 1:
        return dot_(input, other, out=out)
    if m == 2 and n == 1:
        return mv_(input, other, out=out)
    if m == 1 and n == 2:
        result = relabel(mv_(s.mT(other), input), "SqueezeBackward4")
    elif m == 1:
        result = relabel(s.squeeze(matmul_(s.unsqueeze(input, 0), other), -2), "UnsafeViewBackward0")
    elif n == 1:
        result = relabel(s.squeeze(matmul_(input, s.unsqueeze(other, 1)), -1), "UnsafeViewBackward0")
    elif n == 2 and input._array.flags.c_contiguous:
        return rows_(input, other, out=out)
    else:
        result = relabel(matmul_(input, other), "UnsafeViewBackward0")
    return result if out is None else write_out("matmul", result, out)


@face("__matmul__", "__imatmul__", function=False)
def matmul_operator(input: Any, other: Any) -> Any:
    """Return input @ other; what is no tensor is asked for its own way."""
    if _plain(input, other, 2):
        return _product(input, other)
    return matmul(input, other) if isinstance(other, Tensor) or overridden(type(other)) else NotImplemented


@face("__rmatmul__", function=False)
def rmatmul(input: Any, other: Any) -> Any:
    from wengert.ops.creation import as_tensor

    return matmul(as_tensor(other), input) if hasattr(other, "__array__") or overridden(type(other)) else NotImplemented


@face("mm")
def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """Return the product of two matrices. Raises RuntimeError for other dims."""
    if not _plain(input, mat2, 2):
        matrices("mm", input, mat2)
    return _product(input, mat2, out=out)


@face("bmm")
def bmm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """Return the products of two batches of matrices. Raises RuntimeError for other dims."""
    if not _plain(input, mat2, 3) or input._array.shape[0] != mat2._array.shape[0]:
        factors("bmm", input, mat2)
        if len(input.shape) != 3 or len(mat2.shape) != 3 or input.shape[0] != mat2.shape[0]:
            shapes = f"{list(input.shape)} and {list(mat2.shape)}"
            raise RuntimeError(f"batch1 and batch2 must be 3D tensors of equal batch size, got {shapes}")
    return relabel(_product(input, mat2, out=out), "BmmBackward0")


@face("mv")
def mv(input: Any, vec: Any, *, out: Any = None) -> Any:
    """Return the product of a matrix and a vector."""
    factors("mv", input, vec)
    if input._array.ndim != 2 or vec._array.ndim != 1:
        infer_mv(input, vec)
    return mv_(input, vec, out=out)


@face("dot")
def dot(input: Any, tensor: Any, *, out: Any = None) -> Any:
    """Return the sum of products of two vectors. Raises RuntimeError for other dims or sizes."""
    factors("dot", input, tensor)
    if input._array.ndim != 1 or input._array.shape != tensor._array.shape:
        infer_dot(input, tensor)
    return dot_(input, tensor, out=out)


@face("outer")
def outer(input: Any, vec2: Any, *, out: Any = None) -> Any:
    """Return all products of two vectors' elements. Raises RuntimeError for other dims."""
    only_tensors("outer", (input, vec2))
    if input._array.ndim != 1 or vec2._array.ndim != 1:
        infer_outer(input, vec2)
    return outer_(input, vec2, out=out)


def added(name: str, input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """Return beta * input + alpha * product in the product's shape and type; input does not count where beta is 0.

    Raises RuntimeError for an input that does not broadcast to the product, or of another dtype.
    """
    if beta == 1 and alpha == 1:
        factors(name, input, product)
        result = e.add(input, product)
        if result._array.shape == product._array.shape:
            return result
    beta, alpha = (_as_type(name, factor, product) for factor in (beta, alpha))
    factors(name, input, product)
    s.infer_broadcast(input, tuple(product.shape))
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return e.overwrite(input, 0) + scaled
    return (input if beta == 1 else input * beta) + scaled


def _as_type(name: str, factor: Any, x: Any) -> Any:
    """Return a number as one of x's category, without what is behind the point. Raises RuntimeError for complex ones."""
    category = dtypes.category(x._array.dtype)
    if category < dtypes.COMPLEX and isinstance(factor, complex):
        raise RuntimeError(f"value cannot be converted to type {x.dtype} without overflow: {factor!r} ({name})")
    return factor if category >= dtypes.FLOATING else bool(factor) if category == dtypes.BOOL else int(factor)


def in_order(name: str, *given: Any) -> tuple[Any, ...]:
    """Return (input, a, b, beta, alpha) of PyTorch's old orders: (beta, input, a, b) and (beta, input, alpha, a, b), in which
    methods have beta second. Raises TypeError for others."""
    tensors, numbers = [x for x in given if isinstance(x, Tensor)], [x for x in given if not isinstance(x, Tensor)]
    if len(tensors) != 3 or len(numbers) > 2 or not all(isinstance(x, Tensor) for x in given[-2:]):
        raise TypeError(f"{name}() takes 3 positional arguments, all tensors, but {len(given)} were given")
    return (*tensors, *numbers, 1)[:5]


@face("addmm")
def addmm(input: Any, mat1: Any, mat2: Any, *older: Any, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """Return beta * input + alpha * mat1 @ mat2."""
    if older:
        input, mat1, mat2, beta, alpha = in_order("addmm", input, mat1, mat2, *older)
    if not _plain(mat1, mat2, 2):
        matrices("addmm", mat1, mat2)
    result = relabel(added("addmm", input, _product(mat1, mat2), beta, alpha), "AddmmBackward0")
    return result if out is None else write_out("addmm", result, out)


@composite("trace")
def trace(input: Any) -> Any:
    """Return the sum of a matrix's diagonal."""
    if len(input.shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(input.shape)}")
    return r.sum(s.diagonal(input))


@face("tensordot", method=False)
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Return the sum of products over dims: the last n of a with the first n of b, or two lists of dims.

    >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(3, 4, 5), dims=2).shape
    torch.Size([2, 5])
    """
    factors("tensordot", a, b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if not hasattr(dims, "__len__"):
        if not 0 <= dims <= min(len(a.shape), len(b.shape)):
            raise RuntimeError(f"tensordot expects dims >= 0 and not above {min(len(a.shape), len(b.shape))}, but got {dims}")
        left, right = list(range(len(a.shape) - dims, len(a.shape))), list(range(dims))
    else:
        left, right = ([*ints(d)] for d in dims)
    left = [one_dim("tensordot", a, d) for d in left]
    right = [one_dim("tensordot", b, d) for d in right]
    if len(left) != len(right):
        raise RuntimeError(f"both dimension lists should have same length, got {left} and {right} (tensordot)")
    for i, j in zip(left, right, strict=True):
        m, n = a.shape[i], b.shape[j]
        if m != n and 1 not in (m, n):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {i} and second has size {n} in dim {j} "
                f"(tensordot)"
            )
        if m != n:  # a dim of size 1 is repeated: the other one can as well be summed first
            a, b = (a, r.sum_(b, (j,), True).to(b.dtype)) if m == 1 else (r.sum_(a, (i,), True).to(a.dtype), b)
    free_a = [d for d in range(len(a.shape)) if d not in left]
    free_b = [d for d in range(len(b.shape)) if d not in right]
    inner = size_of([a.shape[d] for d in left])
    rows = s.reshape(s.transpose_(a, (*free_a, *left)), (size_of([a.shape[d] for d in free_a]), inner))
    columns = s.reshape(s.transpose_(b, (*right, *free_b)), (inner, size_of([b.shape[d] for d in free_b])))
    return s.reshape(matmul_(rows, columns), (*[a.shape[d] for d in free_a], *[b.shape[d] for d in free_b]))


# ---- einsum, as products of two operands at a time
@face("einsum", method=False)
def einsum(equation: Any, *operands: Any) -> Any:
    """Return Einstein's sum of products: `einsum("ij,jk->ik", a, b)`; `...` stands for broadcast dims.

    Labels may also be lists of ints, one behind each operand and one for the result. Raises RuntimeError where labels and
    dims do not fit.

    >>> a, b = torch.arange(6.0).view(2, 3), torch.ones(3, 2)
    >>> torch.einsum("ij,jk->ik", a, b)
    tensor([[ 3.,  3.],
            [12., 12.]])
    >>> torch.einsum("ij->j", a)
    tensor([3., 5., 7.])
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    only_tensors("einsum", operands)
    terms = [*operands]
    for i, step, params in _planned(equation, tuple([x._array.shape for x in terms])):
        if i < 0:
            if step is matmul_:
                factors("einsum", *terms[:2])
            terms[:2] = [step(*terms[:2])]
        else:
            terms[i] = step(terms[i], *params)
    node = terms[0].grad_fn
    product = node is not None and node.name() in ("MmBackward0", "BmmBackward0")
    return relabel(terms[0], "ViewBackward0") if product else terms[0]


def _from_lists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return the equation and the operands of einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # sorted: the order of a result that is not given

    def term(labels: Any) -> str:
        if not all(c is Ellipsis or 0 <= c < len(letters) for c in labels):
            raise RuntimeError(f"einsum(): subscripts must be in [0, {len(letters)}), got {list(labels)}")
        return "".join("..." if c is Ellipsis else letters[c] for c in labels)

    operands, labels = arguments[: len(arguments) // 2 * 2 : 2], arguments[1::2]
    arrow = f"->{term(arguments[-1])}" if len(arguments) % 2 else ""
    return ",".join(term(v) for v in labels) + arrow, operands


# A step of a plan: (operand, function, its further arguments); operand -1: the function joins the first two.
Step = tuple[int, Callable[..., Any], tuple[Any, ...]]


@functools.lru_cache(maxsize=1024)
def _planned(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[Step, ...]:
    """Return the calls that make up an equation for operands of these shapes."""
    inputs, output = _parse(equation, shapes)
    steps: list[Step] = []
    terms: list[dict[str, int]] = []
    for i, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        labels, shape = _diagonals(i, labels, shape, steps)
        terms.append(dict(zip(labels, shape, strict=True)))
    sizes: dict[str, int] = {}
    for label, n in [pair for term in terms for pair in term.items()]:
        if sizes.setdefault(label, n) != n and 1 not in (n, sizes[label]):
            raise RuntimeError(
                f"einsum(): operands do not broadcast with remapped shapes: label {label!r} has sizes {sizes[label]} and {n}"
            )
        sizes[label] = max(sizes[label], n)
    term = terms[0]
    for i, other in enumerate(terms[1:], 2):
        later = {c for rest in terms[i:] for c in rest} | set(output)
        term = _contracted(term, other, later, steps)
    term = _summed(0, term, set(output), steps)
    order = tuple([*term].index(c) for c in output)
    if order != tuple(range(len(order))):
        steps.append((0, s.transpose_, (order,)))
    return tuple(steps)


def _parse(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    """Return the labels of each operand and of the result, `...` written out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise RuntimeError(f"einsum(): {len(inputs)} operands in the equation {equation!r}, but {len(shapes)} were given")
    strange = [c for c in equation.replace("...", "") if not (c.isascii() and c.isalpha()) and c not in " ,->"]
    if strange:
        raise RuntimeError(f"einsum(): invalid subscript {strange[0]!r} in {equation!r}: subscripts must be in [a-zA-Z]")
    counts = [len(shape) - len(t.replace("...", "")) for shape, t in zip(shapes, inputs, strict=True)]
    dots = [chr(945 + i) for i in range(max([n for n, t in zip(counts, inputs, strict=True) if "..." in t], default=0))]
    full = []
    for shape, term, n in zip(shapes, inputs, counts, strict=True):
        if n < 0 or (n > 0 and "..." not in term):
            raise RuntimeError(f"einsum(): the term {term!r} has {len(term)} labels, but its operand has {len(shape)} dims")
        full.append(term.replace("...", "".join(dots[len(dots) - n :])))
    if arrow:
        output = right.replace("...", "".join(dots))
    else:
        every = "".join(full)
        output = "".join(dots) + "".join(sorted({c for c in every if every.count(c) == 1 and c not in dots}))
    missing = [c for c in output if not any(c in term for term in full)]
    if missing or len(set(output)) != len(output):
        raise RuntimeError(f"einsum(): output labels {output!r} must each appear once, and in the inputs")
    return full, output


def _diagonals(i: int, labels: str, shape: tuple[int, ...], steps: list[Step]) -> tuple[str, tuple[int, ...]]:
    """Take diagonals of operand i until no label repeats."""
    for c in labels:
        while labels.count(c) > 1:
            a, b = labels.index(c), labels.rindex(c)
            if shape[a] != shape[b]:
                raise RuntimeError(f"einsum(): label {c!r} is repeated for dims of sizes {shape[a]} and {shape[b]}")
            steps.append((i, s.diagonal_, (0, a, b)))
            labels = labels[:a] + labels[a + 1 : b] + labels[b + 1 :] + c
            shape = (*shape[:a], *shape[a + 1 : b], *shape[b + 1 :], shape[b])
    return labels, shape


def _summed(i: int, term: dict[str, int], kept: set[str], steps: list[Step]) -> dict[str, int]:
    """Sum operand i over the labels that nothing else has."""
    axes = tuple(d for d, c in enumerate(term) if c not in kept)
    if axes:
        steps.append((i, r.sum_, (axes, False)))
    return {c: n for c, n in term.items() if c in kept}


def _contracted(a: dict[str, int], b: dict[str, int], later: set[str], steps: list[Step]) -> dict[str, int]:
    """Multiply the first two operands, and sum over what neither a later operand nor the result needs: one matmul of
    batches, or a product of elements where there is nothing to sum."""
    a = _summed(0, a, later | set(b), steps)
    b = _summed(1, b, later | set(a), steps)
    for c in [c for c in a if c in b and c not in later and a[c] != b[c]]:  # one is 1 and repeated: sum the other before
        i, term = (1, b) if a[c] == 1 else (0, a)
        steps.append((i, r.sum_, (([*term].index(c),), True)))
        term[c] = 1
    batch = [c for c in a if c in b and c in later]
    inner = [c for c in a if c in b and c not in later]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]

    def arranged(i: int, term: dict[str, int], order: list[str], shape: tuple[int, ...]) -> None:
        axes = tuple([*term].index(c) for c in order)
        if axes != tuple(range(len(axes))):
            steps.append((i, s.transpose_, (axes,)))
        if shape != tuple(term[c] for c in order):
            steps.append((i, s.reshape, (shape,)))

    result = {c: max(a[c], b[c]) for c in batch} | {c: a[c] for c in rows} | {c: b[c] for c in columns}
    if not inner:
        for i, term in enumerate((a, b)):
            arranged(i, term, [c for c in result if c in term], tuple(term.get(c, 1) for c in result))
        steps.append((-1, e.multiply, ()))
        return result
    n = size_of([a[c] for c in inner])
    arranged(0, a, [*batch, *rows, *inner], (*[a[c] for c in batch], size_of([a[c] for c in rows]), n))
    arranged(1, b, [*batch, *inner, *columns], (*[b[c] for c in batch], n, size_of([b[c] for c in columns])))
    steps.append((-1, matmul_, ()))
    if len(rows) != 1 or len(columns) != 1:
        steps.append((0, s.reshape, (tuple(result.values()),)))
    return result
