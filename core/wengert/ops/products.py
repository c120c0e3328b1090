"""Products: matmul and what is made of it.

Owns: matmul (batched, broadcast), dot, mm, mv, bmm, outer, addmm, linear, einsum, trace. May import: record, shape,
elementwise and reduction ops. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import dtypes, errors
from wengert.faces import composite, face
from wengert.inplace import write_out
from wengert.ops import elementwise as e
from wengert.ops import reductions as r
from wengert.ops import shapes as s
from wengert.ops.dims import only_tensors, size_of
from wengert.record import call, cast, relabel, structural


def infer_matmul(x: Any, y: Any) -> Any:
    if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-2]:
        raise errors.matmul(x, y)
    mismatch = errors.broadcast("matmul", [tuple(x.shape[:-2]), tuple(y.shape[:-2])])
    if mismatch is not None:
        raise mismatch
    _same_type("matmul", x, y)
    return (*np.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2])), x.shape[-2], y.shape[-1]), x.dtype


def infer_dot(x: Any, y: Any) -> Any:
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise RuntimeError(f"1D tensors expected, but got {len(x.shape)}D and {len(y.shape)}D tensors (dot)")
    if x.shape != y.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] to have the same number of "
            f"elements"
        )
    _same_type("dot", x, y)
    return (), x.dtype


def _same_type(op: str, x: Any, y: Any) -> None:
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype} ({op}; convert one with .to())"
        )


# fmt: off
matmul_ = structural("matmul", "x y", infer_matmul, broadcasts=True, label=lambda *_: "MmBackward0",
    x=lambda g, y: matmul_(g, s.mT(y)), y=lambda g, x: matmul_(s.mT(x), g))
dot_    = structural("dot", "x y", infer_dot, x=lambda g, y: g * y, y=lambda g, x: g * x)
# fmt: on


def _check(name: str, x: Any, y: Any) -> None:
    for position, value in (("input", x), ("other", y)):
        if not hasattr(value, "shape"):
            raise errors.not_a_tensor(name, value, position)
    _same_type(name, x, y)


@face("matmul", "__matmul__")
def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return the matrix product: vectors by dot, matrices by rows and columns, more dims as broadcast batches.

    Raises RuntimeError where inner sizes differ.
    """
    _check("matmul", input, other)
    m, n = len(input.shape), len(other.shape)
    if m == 2 and n == 2:
        return matmul_(input, other, out=out)
    if m == 0 or n == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {m}D and {n}D")
    if m == 1 and n == 1:
        return dot_(input, other, out=out)
    if m == 1:
        label = "SqueezeBackward4" if n == 2 else "UnsafeViewBackward0"
        result = relabel(s.squeeze(matmul_(s.unsqueeze(input, 0), other), -2), label)
    elif n == 1:
        label = "MvBackward0" if m == 2 else "UnsafeViewBackward0"
        result = relabel(s.squeeze(matmul_(input, s.unsqueeze(other, 1)), -1), label)
    else:
        result = relabel(matmul_(input, other), "UnsafeViewBackward0")
    return result if out is None else write_out("matmul", result, out)


@face("__rmatmul__", function=False)
def rmatmul(input: Any, other: Any) -> Any:
    from wengert.ops.creation import as_tensor

    return matmul(as_tensor(other), input)


@face("mm")
def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """Return the product of two matrices. Raises RuntimeError for other dims."""
    if len(input.shape) != 2 or len(mat2.shape) != 2:
        raise RuntimeError(f"self must be a matrix: mm takes 2D tensors, got {len(input.shape)}D and {len(mat2.shape)}D")
    _same_type("mm", input, mat2)
    return matmul_(input, mat2, out=out)


@face("bmm")
def bmm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """Return the products of two batches of matrices. Raises RuntimeError for other dims."""
    if len(input.shape) != 3 or len(mat2.shape) != 3 or input.shape[0] != mat2.shape[0]:
        shapes = f"{list(input.shape)} and {list(mat2.shape)}"
        raise RuntimeError(f"batch1 and batch2 must be 3D tensors of equal batch size, got {shapes}")
    _same_type("bmm", input, mat2)
    return relabel(matmul_(input, mat2, out=out), "BmmBackward0")


@face("mv")
def mv(input: Any, vec: Any) -> Any:
    """Return the product of a matrix and a vector."""
    if len(input.shape) != 2 or len(vec.shape) != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {len(vec.shape)}, {len(input.shape)} (mv)")
    if input.shape[1] != vec.shape[0]:
        rows, columns = input.shape
        raise RuntimeError(f"size mismatch, got input ({rows}), mat ({rows}x{columns}), vec ({vec.shape[0]})")
    return matmul(input, vec)


@face("dot")
def dot(input: Any, other: Any, *, out: Any = None) -> Any:
    """Return the sum of products of two vectors. Raises RuntimeError for other dims or sizes."""
    infer_dot(input, other)
    return dot_(input, other, out=out)


@composite("outer", label="MulBackward0")
def outer(input: Any, vec2: Any) -> Any:
    """Return all products of two vectors' elements."""
    if len(input.shape) != 1 or len(vec2.shape) != 1:
        raise RuntimeError(f"outer: Expected 1-D arguments, but got {len(input.shape)}-D and {len(vec2.shape)}-D")
    return e.multiply(s.unsqueeze(input, 1), vec2)


@composite("addmm")
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * input + alpha * mat1 @ mat2."""
    product = mm(mat1, mat2)
    return (input if beta == 1 else input * beta) + (product if alpha == 1 else product * alpha)


@composite("trace")
def trace(input: Any) -> Any:
    """Return the sum of a matrix's diagonal."""
    if len(input.shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(input.shape)}")
    return r.sum(s.diagonal(input))


@face("tensordot", method=False)
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Return the sum of products over dims: the last n of a with the first n of b, or two lists of dims."""
    _check("tensordot", a, b)
    if isinstance(dims, int):
        left, right = list(range(len(a.shape) - dims, len(a.shape))), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    left, right = [d % len(a.shape) for d in left], [d % len(b.shape) for d in right]
    if [a.shape[d] for d in left] != [b.shape[d] for d in right]:
        raise RuntimeError(f"contracted dimensions need to match, but first has {[a.shape[d] for d in left]} and second "
                           f"{[b.shape[d] for d in right]} (tensordot)")  # fmt: skip
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

    Raises RuntimeError where labels and dims do not fit.
    """
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    only_tensors("einsum", operands)
    common = dtypes.result_of([x._array for x in operands])
    operands = tuple(x if x._array.dtype == common else call(cast, (x,), (common,)) for x in operands)
    inputs, output = _parse(equation, operands)
    terms = [_diagonal(x, labels) for x, labels in zip(operands, inputs, strict=True)]
    sizes: dict[str, int] = {}
    for x, labels in terms:
        for n, label in zip(x.shape, labels, strict=True):
            if sizes.setdefault(label, n) != n and 1 not in (n, sizes[label]):
                raise RuntimeError(
                    f"einsum(): operands do not broadcast with remapped shapes: label {label!r} has sizes {sizes[label]} "
                    f"and {n}"
                )
            sizes[label] = max(sizes[label], n)
    x, labels = terms[0]
    for i, (y, others) in enumerate(terms[1:], 2):
        later = {c for _, rest in terms[i:] for c in rest} | set(output)
        x, labels = _contract(x, labels, y, others, later)
    x, labels = _sum_out(x, labels, set(output))
    return s.contiguous(s.transpose_(x, tuple(labels.index(c) for c in output))) if labels != output else x


def _parse(equation: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise RuntimeError(f"einsum(): {len(inputs)} operands in the equation {equation!r}, but {len(operands)} were given")
    letters = iter(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation)
    strange = [c for c in equation.replace("...", "") if not (c.isascii() and c.isalpha()) and c not in " ,->"]
    if strange:
        raise RuntimeError(f"einsum(): invalid subscript {strange[0]!r} in {equation!r}: subscripts must be in [a-zA-Z]")
    counts = [len(x.shape) - len(t.replace("...", "")) for x, t in zip(operands, inputs, strict=True)]
    dots = [next(letters) for _ in range(max([n for n, t in zip(counts, inputs, strict=True) if "..." in t], default=0))]
    full = []
    for x, term, n in zip(operands, inputs, counts, strict=True):
        if n < 0 or (n > 0 and "..." not in term):
            raise RuntimeError(f"einsum(): the term {term!r} has {len(term)} labels, but its operand has {len(x.shape)} dims")
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


def _diagonal(x: Any, labels: str) -> tuple[Any, str]:
    """Take diagonals until no label repeats."""
    for c in labels:
        while labels.count(c) > 1:
            i, j = labels.index(c), labels.rindex(c)
            x = s.diagonal(x, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
    return x, labels


def _sum_out(x: Any, labels: str, kept: set[str]) -> tuple[Any, str]:
    axes = tuple(i for i, c in enumerate(labels) if c not in kept)
    return (r.sum_(x, axes, False) if axes else x), "".join(c for c in labels if c in kept)


def _contract(x: Any, a: str, y: Any, b: str, later: set[str]) -> tuple[Any, str]:
    """Multiply two operands and sum over what neither a later operand nor the output needs, by one batched matmul."""
    x, a = _sum_out(x, a, later | set(b))
    y, b = _sum_out(y, b, later | set(a))
    batch = [c for c in a if c in b and c in later]
    inner = [c for c in a if c in b and c not in later]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]

    def arranged(z: Any, labels: str, order: list[str], shape: tuple[int, ...]) -> Any:
        return s.reshape(s.transpose_(z, tuple(labels.index(c) for c in order)), shape)

    size_a, size_b = dict(zip(a, x.shape, strict=True)), dict(zip(b, y.shape, strict=True))
    for c in inner:
        if size_a[c] != size_b[c]:  # one of them is 1: it is repeated
            n = max(size_a[c], size_b[c])
            x = s.broadcast_to(x, tuple(n if d == c else size_a[d] for d in a))
            y = s.broadcast_to(y, tuple(n if d == c else size_b[d] for d in b))
            size_a[c] = size_b[c] = n
    n = size_of([size_a[c] for c in inner])
    left = arranged(x, a, [*batch, *rows, *inner], (*[size_a[c] for c in batch], size_of([size_a[c] for c in rows]), n))
    right = arranged(y, b, [*batch, *inner, *columns], (*[size_b[c] for c in batch], n, size_of([size_b[c] for c in columns])))
    product = matmul_(left, right)
    shape = (*product.shape[: len(batch)], *[size_a[c] for c in rows], *[size_b[c] for c in columns])
    return s.reshape(product, shape), "".join([*batch, *rows, *columns])
