"""Sparse arrays: coordinates or compressed rows, and the values that stand there, on any device.

Owns: `Coo` and `Csr`, which hold raw arrays of one device, and `Sparse`, the backend protocol for them: an array that holds
others has no device of its own, so it registers none. May import: wengert.extend. Must not know: what any op makes of them
(kernels.py). Where things stand is structure: to sort, merge and join it, it is read on the host, once for each array of
indices; values never leave their device.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.extend import OPS, Tensor, device_of, dtypes, give_operators, of_array, size_of, wrap

Shape = tuple[int, ...]
Host = np.ndarray[Any, Any]
COO, CSR = sys.intern("torch.sparse_coo"), sys.intern("torch.sparse_csr")


class Flags:
    """What is said of memory where there is none in one piece."""

    c_contiguous = writeable = True
    f_contiguous = False


class SparseArray:
    """What arrays of both layouts have in common with every other raw array."""

    __slots__ = ("values", "shape", "dtype", "_host", "__weakref__")
    __array_ufunc__ = None  # so that NumPy leaves operators to this class
    base = None
    flags = Flags()
    transform: Sparse
    form = ""  # the layout, as users call it
    values: Any
    shape: Shape
    dtype: Any

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return size_of(self.shape)

    @property
    def strides(self) -> Shape:
        """Those of a dense array of this shape: there are none, and nothing is refused for those."""
        steps, step = [], self.dtype.itemsize
        for n in reversed(self.shape):
            steps.append(step)
            step *= max(n, 1)
        return tuple(reversed(steps))

    @property
    def nnz(self) -> int:
        return int(self.values.shape[0])

    def __bool__(self) -> bool:
        raise no_memory()


class Coo(SparseArray):
    """values[k] stands at indices[:, k]; what is named several times is added. Dims behind the indexed ones are dense."""

    __slots__ = ("indices", "coalesced")
    form = COO

    def __init__(
        self, indices: Any, values: Any, shape: Sequence[int], coalesced: bool = False, host: Host | None = None
    ) -> None:
        self.indices, self.values, self.coalesced = indices, values, coalesced
        self.shape, self.dtype, self._host = tuple(shape), dtypes.twin(values.dtype), host

    @property
    def sparse_dim(self) -> int:
        return int(self.indices.shape[0])

    @property
    def host(self) -> Host:
        """The indices on the host."""
        if self._host is None:
            self._host = on_host(self.indices)
        return self._host

    @property
    def rows(self) -> tuple[Any, ...]:
        """The indices of each sparse dim, on the device."""
        return tuple([OPS["getitem"](self.indices, (d,)) for d in range(self.sparse_dim)])

    @property
    def keys(self) -> Host:
        """Where each value stands, as one number: row by row."""
        return keys_of(self.host, self.shape)

    @property
    def parts(self) -> dict[str, Any]:
        return {"indices": self.indices, "values": self.values}

    @property
    def rest(self) -> tuple[Any, ...]:
        """What a constructor takes behind the parts."""
        return (self.coalesced,)

    def like(self, values: Any, coalesced: bool | None = None) -> Coo:
        """Return other values in the same places."""
        return Coo(self.indices, values, self.shape, self.coalesced if coalesced is None else coalesced, self._host)

    def become(self, other: Coo) -> None:
        """Take over what another array holds."""
        refuse_capture(other.values)
        self.indices, self.values, self.coalesced, self._host = other.indices, other.values, other.coalesced, other._host


class Csr(SparseArray):
    """A matrix whose row r has values[crow[r]:crow[r + 1]], in the columns that `col` says."""

    __slots__ = ("crow", "col", "_coo", "_turned")
    form = CSR

    def __init__(self, crow: Any, col: Any, values: Any, shape: Sequence[int]) -> None:
        self.crow, self.col, self.values = crow, col, values
        self.shape, self.dtype = tuple(shape), dtypes.twin(values.dtype)
        self._coo: Coo | None = None
        self._turned: tuple[Any, Any, Host] | None = None

    @property
    def parts(self) -> dict[str, Any]:
        return {"crow_indices": self.crow, "col_indices": self.col, "values": self.values}

    rest = ()

    @property
    def coo(self) -> Coo:
        """The same values by coordinates."""
        if self._coo is None or self._coo.values is not self.values:
            crow, col = on_host(self.crow), on_host(self.col)
            still_rows(crow, col, self.shape[1])
            host = np.stack([np.repeat(np.arange(self.shape[0]), np.diff(crow)), col])
            self._coo = Coo(beside(self.values, host), self.values, self.shape, True, host)
        return self._coo

    @property
    def turned(self) -> Csr:
        """The transpose, which backward asks for in each step of a training: where its values come from is kept."""
        if self._turned is None:
            row, col = self.coo.host
            order = np.lexsort((row, col))
            crow = np.searchsorted(col[order], np.arange(self.shape[1] + 1))
            self._turned = beside(self.values, crow), beside(self.values, row[order]), order
        crow, col, order = self._turned
        return Csr(crow, col, take(self.values, order), self.shape[::-1])

    def like(self, values: Any, coalesced: bool | None = None) -> Csr:
        """Return other values in the same places."""
        return Csr(self.crow, self.col, values, self.shape)

    def become(self, other: Csr) -> None:
        """Take over what another array holds."""
        refuse_capture(other.values)
        self.crow, self.col, self.values, self._coo, self._turned = other.crow, other.col, other.values, None, None


# ---- structure
def on_host(array: Any) -> Host:
    """Return indices on the host as int64."""
    return np.asarray(of_array(array).to_host(array)).astype(np.int64, copy=False)


def rises(crow: Host, count: int) -> bool:
    """Say whether the numbers at which rows begin count up from 0 to all values."""
    return bool(crow.size and crow[0] == 0 and crow[-1] == count and (crow[1:] >= crow[:-1]).all())


def still_rows(crow: Host, col: Host, width: int) -> None:
    """Raise RuntimeError for rows and columns that are none any more: programs may write to them, and a library trusts them."""
    if not rises(crow, col.size) or (col.size and not (col.min() >= 0 and col.max() < width)):
        raise RuntimeError("a write to crow_indices() or col_indices() has left none of a sparse matrix of this size")


def beside(array: Any, host: Host) -> Any:
    """Return a host array on the device of another."""
    owner = of_array(array)
    return host if isinstance(array, np.ndarray) else owner.from_host(host, owner.index_of(array))


def keys_of(indices: Host, shape: Shape) -> Host:
    """Return indices, one column each, as numbers in row-major order."""
    keys = np.zeros(indices.shape[1], np.int64)
    for row, n in zip(indices, shape, strict=False):
        keys = keys * n + row
    return keys


def of_keys(keys: Host, shape: Shape) -> Host:
    """Return the indices, one column each, that numbers in row-major order stand for."""
    rows = []
    for n in reversed(shape):
        rows.append(keys % max(n, 1))
        keys = keys // max(n, 1)
    return np.stack(rows[::-1]) if rows else np.zeros((0, keys.size), np.int64)


def take(values: Any, places: Host) -> Any:
    """Return the values at places along the first dim."""
    return OPS["index_get"](values, (beside(values, places),), (0,))


def sorted_coo(x: Coo) -> Coo:
    """Return x with each place named once, in row-major order: values of one place are added."""
    if x.coalesced:
        return x
    keys = x.keys
    if (keys[1:] > keys[:-1]).all():
        return Coo(x.indices, x.values, x.shape, True, x._host)
    unique, group = np.unique(keys, return_inverse=True)
    values = x.values
    if unique.size == keys.size:
        values = take(values, np.argsort(keys))
    elif values.dtype.kind == "b":
        order = np.argsort(keys, kind="stable")
        held = of_array(values).to_host(values)[order]
        values = beside(values, np.logical_or.reduceat(held, np.searchsorted(keys[order], unique)))
    else:
        places = beside(values, group.reshape(-1))
        values = OPS["index_sum"](values, (places,), (unique.size, *values.shape[1:]), (0,))
    host = of_keys(unique, x.shape[: x.sparse_dim])
    return Coo(beside(values, host), values, x.shape, True, host)


def compressed(x: Coo) -> Csr:
    """Return a matrix of two sparse dims by rows."""
    x = sorted_coo(x)
    crow = np.searchsorted(x.host[0], np.arange(x.shape[0] + 1))
    return Csr(beside(x.values, crow), OPS["getitem"](x.indices, (1,)), x.values, x.shape)


def one_size(target: Any, values: Any) -> None:
    """Raise RuntimeError for sparse values of another size than what they are written to: they are not broadcast."""
    if target.shape != values.shape:
        raise RuntimeError(f"copy_ between sparse tensors takes one size, got {list(target.shape)} and {list(values.shape)}")


def as_coo(x: Any) -> Coo:
    """Return an array of either layout by coordinates."""
    found: Coo = x.coo if isinstance(x, Csr) else x
    return found


def raw(x: Any) -> Any:
    """Return the array of a tensor, or a raw array as it is: rules run on both."""
    return x._array if isinstance(x, Tensor) else x


def is_sparse(x: Any) -> bool:
    """Say whether a tensor or raw array is sparse, of either layout."""
    return isinstance(raw(x), SparseArray)


# ---- errors
def refuse_capture(values: Any) -> None:
    """Raise NotImplementedError for values that a captured function computes: they would leave it."""
    if hasattr(type(values), "recorder"):
        raise NotImplementedError("a captured function cannot write to a sparse tensor: return a new one's values()")


def no_memory() -> RuntimeError:
    return RuntimeError(
        "Cannot access data pointer of Tensor that doesn't have storage: a sparse tensor has its indices() and values(); "
        "x.to_dense() is one that has every element"
    )


def no_kernel(face: str, layout: str) -> NotImplementedError:
    return NotImplementedError(
        f"{face}: there is no kernel for sparse tensors (layout {layout}); x.to_dense() is a tensor that every op takes, and "
        f"x.coalesce().values() has the elements that are stored"
    )


def expected(name: str, layout: str, x: Any) -> RuntimeError:
    """Return the error for a tensor of another layout than a function of one layout takes."""
    kind = {COO: "Sparse", CSR: "SparseCsr"}.get(getattr(x, "layout", ""), "Strided")
    return RuntimeError(f"{name} expected {layout} tensor layout but got {kind}")


# ---- the backend
class Sparse:
    """The backend of sparse arrays: kernels of kernels.py on what they hold, and a clear error for every other op."""

    name = "sparse"
    array_type = SparseArray
    rank = 0  # below func's transforms, whose arrays may hold a sparse tensor

    def meet(self, op: Any, inputs: list[Any], params: tuple[Any, ...]) -> Any:
        """Return the inputs of a recorded call, or what it gives where that is made of other records."""
        from wengert_sparse import kernels

        return kernels.meet(op, inputs, params)

    def kernel(self, op: Any) -> Callable[..., Any]:
        from wengert_sparse import kernels

        return kernels.kernel(op)

    def place(self, array: SparseArray) -> Any:
        return device_of(array.values)

    def held(self, array: SparseArray) -> Any:
        return array.values

    def write(self, target: Any, values: Any) -> Any:
        if isinstance(values, SparseArray):
            one_size(target, values)
            made = compressed(as_coo(values)) if isinstance(target, Csr) else as_coo(values)
        elif not values.ndim and not np.any(of_array(values).to_host(values)):
            made = OPS["overwrite"](target, values)
        else:
            raise RuntimeError(
                f"copy_() between dense and sparse Tensors is not implemented: a sparse tensor of layout {target.form} is "
                f"written to from a sparse one; y.to_sparse() makes one"
            )
        target.become(self.copy(made if made.dtype == target.dtype else OPS["cast"](made, target.dtype)))
        return target

    def write_part(self, op: Any, target: Tensor, x: Tensor, alpha: Any) -> bool:
        """Write target + alpha * x (- for subtract) where x has something, and say whether that was it."""
        if op.name not in ("add", "subtract") or is_sparse(target) or target.shape != x.shape or target.dtype is not x.dtype:
            return False
        known = sorted_coo(as_coo(x._array))
        places = tuple([wrap(row) for row in known.rows])
        target[places] = target[places] + wrap(known.values) * (alpha if op.name == "add" else -alpha)
        return True

    def copy(self, array: Any) -> Any:
        return OPS["copy"](array)

    def add_into(self, target: Any, values: Any) -> None:
        target.become(OPS["add"](target, values))

    def to_host(self, array: SparseArray) -> Any:
        if array.size != 1:
            raise no_memory()
        only = OPS["to_dense"](array)  # one element: item(), and whether it is true
        return of_array(only).to_host(only)

    def from_host(self, array: Any, index: int) -> Any:
        raise TypeError("a sparse tensor is made by sparse_coo_tensor, or of a dense one by to_sparse()")

    def address(self, array: SparseArray) -> int:
        raise no_memory()

    def index_of(self, array: SparseArray) -> Any:
        return of_array(array.values).index_of(array.values)

    def devices(self) -> list[Any]:
        return []

    def quiet(self) -> Any:
        return of_array(np.empty(0)).quiet()

    def synchronize(self, index: int) -> None:
        """Nothing runs here."""


SparseArray.transform = Sparse()
give_operators(SparseArray)


def indices_of(x: Any) -> Any:
    """Return where the values of a tensor or raw array by coordinates stand, as a tensor or as a raw array."""
    found = as_coo(raw(x)).indices
    return wrap(found) if isinstance(x, Tensor) else found
