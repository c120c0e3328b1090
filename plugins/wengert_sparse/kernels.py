"""What ops make of sparse arrays: a table of kernels by the name of the record, on raw arrays.

Owns: `KERNELS`, which of them are recorded by way of their values (`meet`), and the kernels of this package's own records.
May import: wengert.extend, the arrays and records. Must not know: any device. Whatever is not in the table raises.
A kernel gets its sparse inputs by coordinates; what comes of a compressed one is compressed again where it is a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import OPS, call, of_array, relabel, size_of
from wengert_sparse import records
from wengert_sparse.arrays import (
    COO,
    Coo,
    Csr,
    Host,
    Shape,
    SparseArray,
    as_coo,
    beside,
    compressed,
    is_sparse,
    no_kernel,
    of_keys,
    one_size,
    sorted_coo,
    still_rows,
    take,
)

# ---- one element in, one out: 0 stays 0, so the values alone change
UNARY = (
    "absolute arcsin arcsinh arctan arctanh ceil erf erfinv expm1 floor frac isinf isnan log1p relu rint sgn "
    "sign signbit sin sinh sqrt square tan tanh trunc"
).split()
LINEAR = "negative conjugate real imag copy".split()  # of a sum, too: places may be named several times


def unary(name: str) -> Callable[..., Any]:
    def run(x: Coo, *params: Any) -> Coo:
        x = sorted_coo(x)
        return x.like(OPS[name](x.values, *params))

    return run


def linear(name: str) -> Callable[..., Any]:
    return lambda x, *params: x.like(OPS[name](x.values, *params))


def power_number(x: Coo, exponent: Any) -> Coo:
    if isinstance(exponent, complex) or exponent <= 0:
        raise no_kernel(f"pow with the exponent {exponent}", COO)
    return unary("power_number")(x, exponent)  # type: ignore[no-any-return]


# ---- two in
def is_number(x: Any) -> bool:
    return not isinstance(x, SparseArray) and not x.ndim


def same_places(x: Coo, y: Coo) -> bool:
    return x.indices is y.indices or (x.host.shape == y.host.shape and bool((x.host == y.host).all()))


def check_shapes(name: str, x: Any, y: Any) -> None:
    """Raise RuntimeError for two shapes: what is sparse is not broadcast."""
    if tuple(x.shape) != tuple(y.shape):
        raise RuntimeError(
            f"{name}: the sizes of sparse tensors must be equal, got {list(x.shape)} and {list(y.shape)}; to_dense() gives "
            f"tensors that broadcast"
        )


def check_dims(name: str, x: Coo, y: Coo) -> None:
    check_shapes(name, x, y)
    if x.sparse_dim != y.sparse_dim:
        raise RuntimeError(f"{name}: the operands have {x.sparse_dim} and {y.sparse_dim} sparse dims; both must have as many")


def add(x: Any, y: Any) -> Any:
    if not isinstance(x, Coo):
        x, y = y, x
    if not isinstance(y, Coo):
        if is_number(y) and x.ndim:
            raise no_kernel("add of a sparse tensor and a number", COO)
        check_shapes("add", x, y)
        return OPS["index_put"](y, as_type(x, y.dtype).values, x.rows, tuple(range(x.sparse_dim)), True)
    check_shapes("add", x, y)
    for sparse, other in ((x, y), (y, x)):
        if sparse.sparse_dim != other.sparse_dim and not other.nnz:
            return OPS["copy"](sparse)
    check_dims("add", x, y)
    if same_places(x, y):
        return x.like(OPS["add"](x.values, y.values), x.coalesced and y.coalesced)
    joined = concatenated([x, y])
    return sorted_coo(joined) if x.coalesced and y.coalesced else joined


def as_type(x: Coo, dtype: Any) -> Coo:
    return x if x.dtype == dtype else x.like(OPS["cast"](x.values, np.dtype(dtype)))


def concatenated(xs: list[Coo]) -> Coo:
    """Return the values of several arrays in the places of all."""
    first = xs[0]
    join = OPS["concatenate"]
    return Coo(join(tuple([x.indices for x in xs]), 1), join(tuple([x.values for x in xs]), 0), first.shape)


def multiply(x: Any, y: Any) -> Any:
    if not isinstance(x, Coo):
        x, y = y, x
    if not isinstance(y, Coo):
        if is_number(y):
            return x.like(OPS["multiply"](x.values, y))
        if y.ndim > x.ndim:
            check_shapes("mul", x, y)
        spread = OPS["broadcast_to"](y, x.shape)
        factors = OPS["index_get"](spread, x.rows, tuple(range(x.sparse_dim)))
        return x.like(OPS["multiply"](x.values, factors))
    check_dims("mul", x, y)
    x, y = sorted_coo(x), sorted_coo(y)
    if same_places(x, y):
        return x.like(OPS["multiply"](x.values, y.values))
    keys, mine, theirs = np.intersect1d(x.keys, y.keys, assume_unique=True, return_indices=True)
    host = of_keys(keys, x.shape[: x.sparse_dim])
    values = OPS["multiply"](take(x.values, mine), take(y.values, theirs))
    return Coo(beside(values, host), values, x.shape, True, host)


def divide(x: Any, y: Any) -> Any:
    if not isinstance(x, Coo) or not is_number(y):
        raise RuntimeError(
            f"Sparse division requires a scalar or zero-dim dense tensor divisor (got shape {list(y.shape)} for divisor)"
        )
    return x.like(OPS["divide"](x.values, y))


def floor_divide(x: Any, y: Any) -> Any:
    if not isinstance(x, Coo) or not is_number(y):
        raise no_kernel("floor_divide by more than a number", COO)
    x = sorted_coo(x)  # what stands in one place is added first
    return x.like(OPS["floor_divide"](x.values, y))


def overwrite(x: Any, y: Any) -> Any:
    """The value of y in the place of x, of x's type."""
    if isinstance(y, Coo):
        one_size(x, y)
        return OPS["copy"](as_type(y, np.dtype(x.dtype))) if isinstance(x, Coo) else dense(y)
    if is_number(y) and not np.any(of_array(y).to_host(y)):
        return empty_like(x, x.shape)
    raise no_kernel("copy_ of a dense tensor to a sparse one", COO)


def empty_like(x: Coo, shape: Shape) -> Coo:
    """Return zeros: no value at all."""
    host = np.zeros((x.sparse_dim, 0), np.int64)
    values = OPS["filled"](x.values, (0, *shape[x.sparse_dim :]), 0, None)
    return Coo(beside(x.values, host), values, shape, True, host)


# ---- products
def matmul(x: Any, y: Any) -> Any:
    ndim = min(x.ndim, y.ndim)
    if x.shape[-1] != y.shape[-2] or ndim < 2 or x.dtype != y.dtype:
        raise TypeError("sizes")  # the record says what is wrong
    if isinstance(x, Coo) and isinstance(y, Coo):
        return sparse_times_sparse(x, y)
    if isinstance(x, Coo) and y.ndim == 3:
        return batches(x, y) if x.ndim == 3 else beside_batches(x, y)
    if x.ndim == 3 and isinstance(y, Coo) and y.ndim == 2:
        return many_rows(x, y)
    if not isinstance(x, Coo):
        return transposed(matmul(transposed(y), transposed(x)))
    if x.sparse_dim == 1:  # rows that are dense
        return Coo(x.indices, OPS["matmul"](x.values, y), (x.shape[0], y.shape[1]), x.coalesced, x._host)
    records.matrix("matmul", x)
    rows, cols = x.rows
    return OPS["sparse_product"](x.values, rows, cols, y, x.shape[0])


def batches(x: Coo, y: Any) -> Any:
    """Return x @ y for sparse batches of matrices and dense ones: one product of a matrix with blocks."""
    if x.sparse_dim != 3 or x.shape[0] != y.shape[0]:
        raise RuntimeError(f"bmm: expected three sparse dims and equal batches, got {list(x.shape)} and {list(y.shape)}")
    batch, n, m = x.shape
    flat = transposed_keys(x, (batch * n, batch * m))
    made = matmul(flat, OPS["reshape"](y, (batch * m, y.shape[2])))
    return OPS["reshape"](made, (batch, n, y.shape[2]))


def beside_batches(x: Coo, y: Any) -> Any:
    """Return x @ y for one sparse matrix and batches of dense ones: their columns side by side."""
    batch, m, k = y.shape
    flat = OPS["reshape"](OPS["copy"](OPS["transpose"](y, (1, 0, 2))), (m, batch * k))
    return OPS["transpose"](OPS["reshape"](matmul(x, flat), (x.shape[0], batch, k)), (1, 0, 2))


def transposed_keys(x: Coo, shape: Shape) -> Coo:
    """Return batches of matrices as the blocks of one."""
    b, r, c = x.host
    host = np.stack([b * x.shape[1] + r, b * x.shape[2] + c])
    return Coo(beside(x.values, host), x.values, shape, x.coalesced, host)


def transposed(x: Any) -> Any:
    return OPS["transpose"](x, (1, 0))


def joined(places: Host, order: Host) -> tuple[Host, Host]:
    """Return all pairs (i, j) with places[i] == order[j], for sorted `order`; ordered by i."""
    start = np.searchsorted(order, places, side="left")
    counts = np.searchsorted(order, places, side="right") - start
    mine = np.repeat(np.arange(places.size), counts)
    return mine, np.arange(mine.size) - np.repeat(np.cumsum(counts) - counts - start, counts)


def sparse_times_sparse(x: Coo, y: Coo) -> Coo:
    records.matrix("matmul", x), records.matrix("matmul", y)
    y = sorted_coo(y)
    mine, theirs = joined(x.host[1], y.host[0])
    host = np.stack([x.host[0][mine], y.host[1][theirs]])
    values = OPS["multiply"](take(x.values, mine), take(y.values, theirs))
    return sorted_coo(Coo(beside(values, host), values, (x.shape[0], y.shape[1]), False, host))


def mv(x: Any, y: Any) -> Any:
    if not isinstance(x, Coo) or isinstance(y, Coo) or x.ndim != 2 or y.ndim != 1 or x.shape[1] != y.shape[0]:
        if isinstance(y, Coo):
            raise no_kernel("mv with a sparse vector", COO)
        raise TypeError("sizes")
    return OPS["reshape"](matmul(x, OPS["reshape"](y, (y.shape[0], 1))), (x.shape[0],))


def many_rows(x: Any, y: Any) -> Any:
    """x of any dims, times a matrix."""
    if isinstance(x, Coo):
        raise no_kernel("matmul of a sparse tensor of more than two dims", COO)
    made = matmul(OPS["reshape"](x, (size_of(x.shape[:-1]), x.shape[-1])), y)
    return OPS["reshape"](made, (*x.shape[:-1], y.shape[1]))


def linear_layer(x: Any, weight: Any, bias: Any) -> Any:
    return OPS["add"](matmul(x, transposed(weight)) if isinstance(x, Coo) else many_rows(x, transposed(weight)), bias)


# ---- moving
def transpose(x: Coo, axes: Any) -> Coo:
    axes, d = [a % x.ndim for a in axes], x.sparse_dim
    if any((a < d) != (i < d) for i, a in enumerate(axes)):
        raise RuntimeError(f"permute: sparse dims stay among sparse ones: {d} sparse dims, dims={list(axes)}")
    host = x.host[axes[:d]]
    values = x.values if d == x.ndim else OPS["transpose"](x.values, (0, *[a - d + 1 for a in axes[d:]]))
    ordered = axes == list(range(x.ndim)) and x.coalesced
    return Coo(beside(values, host), values, tuple([x.shape[a] for a in axes]), ordered, host)


def reshape(x: Coo, shape: Any) -> Coo:
    if x.sparse_dim != x.ndim:
        raise no_kernel("reshape of a tensor with dense dims", COO)
    host = of_keys(x.keys, tuple(shape))
    return Coo(beside(x.values, host), x.values, tuple(shape), x.coalesced, host)


def broadcast_to(x: Coo, shape: Any) -> Coo:
    if tuple(shape) != x.shape:
        raise no_kernel(f"expand of a tensor of shape {list(x.shape)}", COO)
    return x


def getitem(x: Coo, index: Any) -> Any:
    """x[ints, slices, None], a part for each dim from the first on."""
    places, values, keep = list(x.host), x.values, np.ones(x.nnz, bool)
    shape: list[int] = []
    found: list[Host] = []
    dim, after = 0, len(index)
    for number, part in enumerate(index):
        if part is None:
            found.append(np.zeros(x.nnz, np.int64))
            shape.append(1)
            continue
        if dim >= x.sparse_dim:
            after = number
            break
        n, row = x.shape[dim], places[dim]
        dim += 1
        if isinstance(part, slice):
            span = range(*part.indices(n))
            at = (row - span.start) // span.step
            keep &= (at >= 0) & (at < len(span)) & (span.start + at * span.step == row)
            found.append(at)
            shape.append(len(span))
        else:
            if not -n <= part < n:
                raise IndexError(f"index {part} is out of bounds for dimension {dim - 1} with size {n}")
            keep &= row == part % n
    rest = tuple(index[after:])
    found += places[dim:]
    shape += x.shape[dim : x.sparse_dim]
    chosen = np.flatnonzero(keep)
    if chosen.size != x.nnz:
        values = take(values, chosen)
    if rest:
        values = OPS["getitem"](values, (slice(None), *rest))
    if not found:
        total = OPS["sum"](values, (0,), False)  # of small integers as int64
        return total if total.dtype == values.dtype else OPS["cast"](total, values.dtype)
    host = np.stack(found)[:, chosen]
    return Coo(beside(values, host), values, (*shape, *values.shape[1:]), x.coalesced, host)


def index_get(x: Any, indices: Any, places: Any) -> Coo:
    """The entries of one dim that a vector of indices names."""
    if not isinstance(x, Coo) or len(places) != 1 or indices[0].ndim != 1:
        raise no_kernel("indexing with several tensors, or other than vectors,", COO)
    d, n = places[0], x.shape[places[0]]
    wanted = np.asarray(of_array(indices[0]).to_host(indices[0])) % max(n, 1)
    shape = (*x.shape[:d], wanted.size, *x.shape[d + 1 :])
    if d >= x.sparse_dim:
        return Coo(x.indices, OPS["index_get"](x.values, indices, (d - x.sparse_dim + 1,)), shape, x.coalesced, x._host)
    order = np.argsort(x.host[d], kind="stable")
    at, theirs = joined(wanted, x.host[d][order])
    host = x.host[:, order[theirs]]
    host[d] = at
    values = take(x.values, order[theirs])
    return Coo(beside(values, host), values, shape, False, host)


def concatenate(xs: Any, axis: int) -> Coo:
    if not all(isinstance(x, Coo) and x.sparse_dim == xs[0].sparse_dim for x in xs):
        raise RuntimeError("cat: all tensors must be sparse, with as many sparse dims each, where one is")
    d, offset, hosts = axis % xs[0].ndim, 0, []
    if d >= xs[0].sparse_dim:
        raise no_kernel("cat along a dense dim", COO)
    rests = [(*x.shape[:d], *x.shape[d + 1 :]) for x in xs]
    if any(rest != rests[0] for rest in rests):
        raise RuntimeError(f"cat: the sizes of sparse tensors must be equal but for dimension {d}")
    for x in xs:
        host = x.host.copy()
        host[d] += offset
        offset += x.shape[d]
        hosts.append(host)
    host = np.concatenate(hosts, 1)
    values = OPS["concatenate"](tuple([x.values for x in xs]), 0)
    shape = (*xs[0].shape[:d], offset, *xs[0].shape[d + 1 :])
    return Coo(beside(values, host), values, shape, d == 0 and all(x.coalesced for x in xs), host)


def stack(xs: Any, axis: int) -> Coo:
    d = axis % (xs[0].ndim + 1)
    return concatenate([getitem(x, (*(slice(None),) * d, None)) for x in xs], d)


def total(x: Coo, axis: Any, keepdims: bool) -> Any:
    """The sum over dims: dense over all sparse ones, else sparse."""
    axes = set(range(x.ndim)) if axis is None else {a % x.ndim for a in axis}
    d = x.sparse_dim
    values = x.values
    inner = tuple([a - d + 1 for a in sorted(axes) if a >= d])
    if inner:
        values = OPS["sum"](values, inner, keepdims)
    left = [a for a in range(d) if a not in axes]
    if not left:
        made = OPS["sum"](values, (0,), False)
        return OPS["reshape"](made, (*(1,) * d, *made.shape)) if keepdims else made
    if keepdims:
        host = np.where(np.isin(np.arange(d), left)[:, None], x.host, 0)
        shape = tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
    else:
        host, shape = x.host[left], tuple([n for a, n in enumerate(x.shape) if a not in axes])
    return sorted_coo(Coo(beside(values, host), values, shape, len(left) == d and x.coalesced, host))


def norm2(x: Coo, axis: Any, keepdims: bool) -> Any:
    if axis is not None and len(axis) != x.ndim:
        raise no_kernel("norm over a part of the dims", COO)
    made = OPS["norm2"](sorted_coo(x).values, None, False)
    return OPS["reshape"](made, (1,) * x.ndim) if keepdims else made


def truth(name: str) -> Callable[..., Any]:
    def run(x: Coo, axis: Any, keepdims: bool) -> Any:
        if axis is not None and len(axis) != x.ndim:
            raise no_kernel(f"{name} over a part of the dims", COO)
        return OPS[name](x.values, None, False)

    return run


def filled(x: Coo, shape: Any, value: Any, dtype: Any) -> Any:
    """Zeros are as sparse as what they are like; other values are dense."""
    if value != 0:
        raise NotImplementedError(f"full(...) is not implemented for sparse layout: nothing of a tensor of {value} is zero")
    made = empty_like(x, tuple(shape))
    return made if dtype is None else as_type(made, dtype)


def to_device(x: Coo, place: Any, origin: Any) -> Coo:
    move = OPS["to_device"]
    return Coo(move(x.indices, place, origin), move(x.values, place, origin), x.shape, x.coalesced, x._host)


# ---- this package's records
def of_a_dense_array(x: Any, *others: Any) -> Any:
    """Refuse an array that is not sparse: raises RuntimeError."""
    raise RuntimeError(f"expected a sparse tensor, got a dense array of shape {tuple(x.shape)}; x.to_sparse() makes one")


def sparse_coo(indices: Any, values: Any, shape: Any, coalesced: bool) -> Coo:
    return Coo(indices, values, shape, coalesced)


def sparse_csr(crow: Any, col: Any, values: Any, shape: Any) -> Csr:
    return Csr(crow, col, values, shape)


def dense(x: Coo) -> Any:
    if not x.sparse_dim:  # all values stand in one place
        rows = (beside(x.values, np.zeros(x.nnz, np.int64)),)
        return OPS["reshape"](OPS["index_sum"](x.values, rows, (1, *x.shape), (0,)), x.shape)
    return OPS["index_sum"](x.values, x.rows, x.shape, tuple(range(x.sparse_dim)))


def picked(x: Coo, indices: Any) -> Any:
    """What x has at indices: 0 where it has nothing."""
    if indices is x.indices and x.coalesced:
        return x.values
    y = Coo(indices, x.values, x.shape)
    if not x.coalesced and same_places(x, y) and (np.diff(np.sort(x.keys)) > 0).all():
        return x.values
    x = sorted_coo(x)
    if same_places(x, y):
        return x.values
    keys = y.keys
    if not x.nnz:
        return OPS["filled"](x.values, (keys.size, *x.values.shape[1:]), 0, None)
    at = np.minimum(np.searchsorted(x.keys, keys), x.nnz - 1)
    found = beside(x.values, (x.keys[at] == keys).astype(x.values.dtype).reshape(-1, *(1,) * (x.values.ndim - 1)))
    return OPS["multiply"](take(x.values, at), found)


def sparse_product(values: Any, rows: Any, cols: Any, dense: Any, n: int) -> Any:
    """By ops of any device: the rows that are named, scaled, and added where they belong."""
    scaled = OPS["multiply"](OPS["reshape"](values, (values.shape[0], 1)), OPS["index_get"](dense, (cols,), (0,)))
    return OPS["index_sum"](scaled, (rows,), (n, dense.shape[1]), (0,))


ENOUGH = 4096  # products of two numbers, from which a library's matrix is worth making


def product_of_rows(backend: Any, values: Any, rows: Any, cols: Any, dense: Any, n: int) -> Any:
    """By SciPy's compressed rows (CuPy's on its device), where there is enough to do and it knows the type."""
    if values.shape[0] * dense.shape[1] < ENOUGH or values.dtype.char not in "fdFD":
        return sparse_product(values, rows, cols, dense, n)
    try:
        library = backend.scipy("sparse")
    except ImportError:
        return sparse_product(values, rows, cols, dense, n)
    return library.csr_matrix((values, (rows, cols)), shape=(n, dense.shape[0])) @ dense


def rows_times(x: Csr, y: Any) -> Any:
    return OPS["sparse_rows_product"](x.values, x.crow, x.col, y)


def sparse_rows_product(values: Any, crow: Any, col: Any, dense: Any) -> Any:
    x = Csr(crow, col, values, (crow.shape[0] - 1, dense.shape[0]))
    rows, cols = x.coo.rows
    return sparse_product(values, rows, cols, dense, x.shape[0])


def product_of_compressed(backend: Any, values: Any, crow: Any, col: Any, dense: Any) -> Any:
    """By SciPy's compressed rows (CuPy's on its device), where there is enough to do and it knows the type."""
    shape = (crow.shape[0] - 1, dense.shape[0])
    if isinstance(col, np.ndarray):
        still_rows(crow, col, shape[1])
    if values.shape[0] * dense.shape[1] >= ENOUGH and values.dtype.char in "fdFD" and values.dtype == dense.dtype:
        try:
            return backend.scipy("sparse").csr_matrix((values, col, crow), shape=shape) @ dense
        except ImportError:
            pass
    return sparse_rows_product(values, crow, col, dense)


def sparse_sampled(x: Any, y: Any, rows: Any, cols: Any) -> Any:
    get = OPS["index_get"]
    return OPS["sum"](OPS["multiply"](get(x, (rows,), (0,)), get(y, (cols,), (0,))), (1,), False)


KERNELS: dict[str, Callable[..., Any]] = {
    **{name: unary(name) for name in UNARY},
    **{name: linear(name) for name in LINEAR},
    "add": add, "subtract": lambda x, y: add(x, OPS["negative"](y)), "multiply": multiply, "divide": divide,
    "floor_divide": floor_divide,
    "power_number": power_number, "overwrite": overwrite, "cast": lambda x, dtype: as_type(x, dtype),
    "matmul": matmul, "mv": mv, "rows": many_rows, "linear": linear_layer,
    "transpose": transpose, "reshape": reshape, "broadcast_to": broadcast_to,
    "getitem": getitem, "index_get": index_get, "concatenate": concatenate, "stack": stack, "sum": total, "norm2": norm2,
    "any": truth("any"), "filled": filled, "to_device": to_device, "to_dense": dense, "sparse_picked": picked,
    "coalesce": sorted_coo, "sparse_values": lambda x: x.values, "sparse_times_sparse": matmul,
    "sparse_by_rows": compressed, "sparse_by_places": lambda x: x,
}  # fmt: skip
FREE = {"getitem", "index_get", "sum", "stack", "concatenate", "sparse_by_places", "coalesce"}  # by places, whatever they get


BY_ROWS: dict[str, Callable[..., Any]] = {  # of compressed rows as they are; None: by places
    "transpose": lambda x, axes: x.turned if [a % 2 for a in axes] == [1, 0] else None,
    "matmul": lambda x, y: rows_times(x, y) if not is_sparse(y) and y.ndim == 2 and x.shape[1] == y.shape[0] else None,
}


def kernel(op: Any) -> Callable[..., Any]:
    """Return the kernel of an op for arrays of either layout. It raises NotImplementedError where there is none."""
    found, by_rows = KERNELS.get(op.name), BY_ROWS.get(op.name)
    if found is None:

        def refuse(*args: Any, **options: Any) -> Any:
            sparse = [a for a in _flat(args) if isinstance(a, SparseArray)]
            raise no_kernel(op.face, sparse[0].form if sparse else COO)

        return refuse

    def run(*args: Any, out: Any = ...) -> Any:
        if by_rows is not None and isinstance(args[0], Csr):
            made = by_rows(*args)
            if made is not None:
                return made
        given = [tuple([_by_places(v) for v in a]) if isinstance(a, tuple) else _by_places(a) for a in args]
        made = found(*given)
        compress = op.name not in FREE and any(isinstance(a, Csr) for a in args)
        if compress and isinstance(made, Coo) and made.ndim == 2:
            made = kept_rows(args, made)
        if out is ...:
            return made
        return of_array(out).write(out, made)

    return run


def kept_rows(args: Any, made: Coo) -> Csr:
    """Return a result by rows: with those of the input where the places are its own."""
    for a in args:
        if isinstance(a, Csr) and made.indices is a.coo.indices:
            return a.like(made.values)
    return compressed(made)


def _by_places(a: Any) -> Any:
    return as_coo(a) if isinstance(a, SparseArray) else a


def _flat(args: Any) -> list[Any]:
    return [b for a in args for b in (a if isinstance(a, tuple) else (a,))]


# ---- recorded calls
THROUGH_VALUES = {*UNARY, "power_number"} - {"isnan", "isinf", "signbit"}  # rules of these need numbers beside sparse arrays


def meet(op: Any, inputs: list[Any], params: tuple[Any, ...]) -> Any:
    """Return a call's inputs as they are, to be recorded with the op's own rules; or what the call gives, where those rules
    need what sparse arrays have not. Raises RuntimeError for sums that PyTorch has not."""
    if op.name in ("add", "subtract") and is_sparse(inputs[0]) and not is_sparse(inputs[1]):
        raise RuntimeError(f"{op.face}(sparse, dense) is not supported. Use {op.face}(dense, sparse) instead.")
    if op.name == "matmul" and all(map(is_sparse, inputs)) and any(x.requires_grad for x in inputs):
        return records.times_sparse(*inputs)
    if op.name in THROUGH_VALUES and inputs[0].requires_grad:
        x = records.compact(inputs[0])
        values = call(op, (records.values_(x),), params)
        made = records.beside(x, values)
        return relabel(made, op.label_of(params))
    return inputs
