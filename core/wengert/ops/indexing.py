"""Indexing: what `x[...]` means, and the ops that gather and scatter by integer indices.

Owns: the reading of index expressions (views first, then index tensors, as PyTorch does), getting and setting by index
tensors, and gather/scatter and their kin as composites of those two. May import: record, shape and elementwise ops.
Must not know: devices.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from wengert import dtypes, errors
from wengert._tensor import Tensor
from wengert.faces import face
from wengert.inplace import check, commit
from wengert.ops import elementwise as e
from wengert.ops import shapes as s
from wengert.ops.dims import one_dim, size_of, tensor_like
from wengert.record import call, cast, relabel, structural


def key_of(ndim: int, indices: tuple[Any, ...], places: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the NumPy-style key with index arrays in their places and full slices elsewhere."""
    key: list[Any] = [slice(None)] * ndim
    for index, place in zip(indices, places, strict=True):
        key[place] = index
    return tuple(key)


def infer_index(x: Any, indices: Any, places: tuple[int, ...]) -> Any:
    mismatch = errors.broadcast("index", [tuple(i.shape) for i in indices])
    if mismatch is not None:
        shapes = ", ".join(str(list(i.shape)) for i in indices)
        raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}")
    picked = np.broadcast_shapes(*[tuple(i.shape) for i in indices])
    rest = [n for d, n in enumerate(x.shape) if d not in places]
    adjacent = places == tuple(range(places[0], places[0] + len(places)))
    front = places[0] if adjacent else 0
    for index, place in zip(indices, places, strict=True):
        values = index if isinstance(index, np.ndarray) else None
        n = x.shape[place]
        if values is not None and values.size and not (-n <= values.min() and values.max() < n):
            bad = values[(values < -n) | (values >= n)][0]
            raise IndexError(f"index {bad} is out of bounds for dimension {place} with size {n}")
    return (*rest[:front], *picked, *rest[front:]), x.dtype


def infer_put(x: Any, values: Any, indices: Any, places: tuple[int, ...], accumulate: bool) -> Any:
    infer_index(x, indices, places)
    return x.shape, x.dtype


def infer_nonzero(x: Any) -> Any:
    raise errors.captured_value("nonzero (and indexing with a bool tensor)")


# fmt: off
index_get = structural("index_get", "x *indices", infer_index, params="places", face="index",
    x=lambda g, x_shape, indices, places: index_put(s.filled(g, tuple(x_shape), 0, None), g, indices, places, True))
index_put_ = structural("index_put", "x values *indices", infer_put, params="places accumulate",
    x=lambda g, values_shape, indices, places, accumulate:
        g if accumulate else index_put(g, s.filled(g, tuple(values_shape), 0, None), indices, places, False),
    values=lambda g, indices, places: index_get(g, indices, places))
nonzero_ = structural("nonzero", "x", infer_nonzero, constant=True)
# fmt: on


def index_put(x: Any, values: Any, indices: Any, places: tuple[int, ...], accumulate: bool) -> Any:
    return index_put_(x, values, tuple(indices), places, accumulate)


# ---- reading an index expression
Part = Any  # int, slice, None, Tensor


def parse(x: Tensor, index: Any) -> tuple[tuple[Part, ...], list[tuple[int, Tensor]]]:
    """Return the basic part (for one view) and the index tensors by the dim they index in that view.

    Raises IndexError for too many indices or a mask of another shape, TypeError for what is no index.
    """
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(_part(x, p) for p in parts)
    consumed = sum(0 if p is None or p is Ellipsis else _dims(p) for p in parts)
    ndim = x._array.ndim
    if consumed > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim} (got {consumed})")
    if sum(1 for p in parts if p is Ellipsis) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    fill = (slice(None),) * (ndim - consumed)
    if Ellipsis in [p if p is Ellipsis else 0 for p in parts]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts = (*parts[:at], *fill, *parts[at + 1 :])
    else:
        parts = (*parts, *fill)
    basic: list[Part] = []
    advanced: list[tuple[int, Tensor]] = []
    dim = out = 0  # dims of x, dims of the view
    for p in parts:
        if isinstance(p, Tensor) and not p._array.ndim and p._array.dtype == dtypes.B8:
            basic.append(None)  # a 0-d mask takes a new dim whole, or nothing of it
            advanced.append((out, tensor_like(x, np.zeros(int(bool(p)), np.int64))))
            out += 1
        elif isinstance(p, Tensor):
            for part in _expand_mask(x, p, dim):
                basic.append(slice(None))
                advanced.append((out, part))
                dim, out = dim + 1, out + 1
        elif p is None:
            basic.append(None)
            out += 1
        elif isinstance(p, slice):
            basic.append(_slice(p, x.shape[dim], dim))
            dim, out = dim + 1, out + 1
        else:
            n = x.shape[dim]
            if not -n <= p < n:
                raise IndexError(f"index {p} is out of bounds for dimension {dim} with size {n}")
            basic.append(p + n if p < 0 else p)
            dim += 1
    while basic and basic[-1] == slice(None):
        basic.pop()
    return tuple(basic), advanced


def _part(x: Tensor, p: Any) -> Part:
    if isinstance(p, Tensor):
        if p._array.dtype == np.uint8:
            words = "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead."
            warnings.warn(words, stacklevel=5)
            return call(cast, (p,), (dtypes.B8,))
        if dtypes.category(p._array.dtype) == dtypes.INTEGRAL:
            return p.item() if not p._array.ndim and isinstance(p._array, np.ndarray) else p
        if p._array.dtype == dtypes.B8:
            return p
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {p.dtype}")
    if p is None or p is Ellipsis or isinstance(p, slice):
        return p
    if isinstance(p, bool | np.bool_):
        return tensor_like(x, np.array(bool(p)))
    if isinstance(p, list | np.ndarray | range | tuple):
        if isinstance(p, list):
            p = [int(v) if isinstance(v, Tensor) and not v._array.ndim else v for v in p]
        host = np.asarray(p)
        if host.size == 0:
            host = host.astype(np.int64)
        if host.dtype.kind not in "iub":
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got values of {host.dtype}")
        return _part(x, tensor_like(x, host))
    try:
        return p.__index__()
    except (AttributeError, TypeError):
        raise (TypeError if isinstance(p, str) else IndexError)(
            f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
            f"(got {type(p).__name__})"
        ) from None


def _dims(p: Part) -> int:
    return p._array.ndim if isinstance(p, Tensor) and p._array.dtype == dtypes.B8 else 1


def _slice(p: slice, n: int, dim: int) -> slice:
    if p.step is not None and int(p.step) <= 0:
        raise ValueError(f"step must be greater than zero (dimension {dim}); flip() reverses")
    if p == slice(None):
        return p
    start, stop, step = slice(*[None if v is None else int(v) for v in (p.start, p.stop, p.step)]).indices(n)
    return slice(start, max(stop, start), step)


def _expand_mask(x: Tensor, p: Tensor, dim: int) -> list[Tensor]:
    """Return a bool mask as the index tensors of its true elements; an integer tensor as itself."""
    if p._array.dtype != dtypes.B8:
        return [p]
    shape = tuple(x.shape[dim : dim + p._array.ndim])
    if tuple(p.shape) != shape:
        raise IndexError(
            f"The shape of the mask {list(p.shape)} at index 0 does not match the shape of the indexed tensor {list(x.shape)} "
            f"at index {dim}"
        )
    return list(nonzero(p, as_tuple=True))


@face("__getitem__", function=False)
def get(self: Tensor, index: Any) -> Any:
    """Return self[index]: a view for ints, slices, None and Ellipsis; a copy where index tensors or masks take part."""
    if type(index) is int:  # the commonest, by a short road
        shape = self._array.shape
        if shape and -shape[0] <= index < shape[0]:
            return s.getitem(self, (index % shape[0],))
        if not shape:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert it to a number")
        raise IndexError(f"index {index} is out of bounds for dimension 0 with size {shape[0]}")
    basic, advanced = parse(self, index)
    viewed = s.getitem(self, basic) if basic or not advanced else self
    if not advanced:
        return viewed
    places = tuple(place for place, _ in advanced)
    return index_get(viewed, tuple(_same_place(viewed, i) for _, i in advanced), places)


def _same_place(x: Tensor, i: Tensor) -> Tensor:
    return i if type(i._array) is type(x._array) else s.transfer(i, x.device)


@face("__setitem__", function=False)
def put(self: Tensor, index: Any, value: Any) -> None:
    """Write value (a tensor or number, broadcast) to self[index], with history."""
    check(self)
    basic, advanced = parse(self, index)
    target = s.getitem(self, basic) if basic else self
    number = not isinstance(value, Tensor) or not value._array.ndim
    if not isinstance(value, Tensor):
        if isinstance(value, list | tuple | np.ndarray | np.generic):
            value = tensor_like(self, np.asarray(value).astype(self._array.dtype))
        else:
            dtype = self._array.dtype
            if isinstance(value, complex) and dtype.kind != "c":
                raise RuntimeError(f"value cannot be converted to type {self.dtype} without overflow: {value!r}")
            if dtypes.category(dtype) < dtypes.category(dtypes.of_number(value)) and dtype != dtypes.B8:
                value = int(value)
            value = tensor_like(self, np.asarray(value).astype(dtype))
    if type(value._array) is not type(self._array):
        value = s.transfer(value, self.device)
    if not advanced:
        _named(copy_(target, _drop_ones(value, target._array.ndim)), "FillBackward3" if number and target._array.ndim else "")
        return
    places = tuple(place for place, _ in advanced)
    indices = tuple(_same_place(self, i) for _, i in advanced)
    shape, _ = infer_index(target._array, tuple(i._array for i in indices), places)
    value = call(cast, (value,), (self._array.dtype,)) if value._array.dtype != self._array.dtype else value
    value = _drop_ones(value, len(shape))
    values = s.broadcast_to(value, tuple(shape)) if tuple(value.shape) != tuple(shape) else value
    commit("__setitem__", target, index_put(target, values, indices, places, False))


def _drop_ones(value: Tensor, ndim: int) -> Tensor:
    """Return value without leading dims of size 1 that the target does not have."""
    extra = value._array.ndim - ndim
    if extra > 0 and all(n == 1 for n in value.shape[:extra]):
        return s.reshape(value, tuple(value.shape[extra:]))  # type: ignore[no-any-return]
    return value


@face("copy_", function=False)
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of src (broadcast, cast, from any device) to this tensor and return it."""
    from wengert import backend
    from wengert.inplace import bump
    from wengert.modes import state

    check(self)
    if not isinstance(src, Tensor):
        src = _number_like(self, "copy_", src)
    src = s.transfer(src, self.device)
    if tuple(src.shape) != tuple(self.shape):
        try:
            s.infer_broadcast(src, tuple(self.shape))
        except RuntimeError:
            mismatch = errors.broadcast("copy_", [tuple(self.shape), tuple(src.shape)])
            raise mismatch or errors.inplace_shape("copy_", self.shape, src.shape) from None
    if not state.grad or (self._edge is None and src._edge is None):
        backend.of_array(self._array).write(self._array, src._array)
        bump(self)
        return self
    if src._array.dtype != self._array.dtype:
        src = call(cast, (src,), (self._array.dtype,))
    return commit("copy_", self, e.overwrite(self, src))


def _number_like(self: Tensor, name: str, value: Any) -> Tensor:
    """Return a number as a 0-d tensor of this one's dtype. Raises TypeError for anything else."""
    if not isinstance(value, bool | int | float | complex | np.generic):
        raise errors.not_a_tensor(name, value, "value")
    return tensor_like(self, np.asarray(value).astype(self._array.dtype))


@face("fill_", function=False)
def fill_(self: Tensor, value: Any) -> Tensor:
    """Write one value to every element and return the tensor."""
    label = f"FillBackward{3 if isinstance(value, Tensor) else 2}"
    if not isinstance(value, Tensor):
        value = _number_like(self, "fill_", value)
    return _named(copy_(self, value), label)


def _named(written: Tensor, label: str) -> Tensor:
    """Give a tensor that was written to as a whole the name PyTorch prints; a view keeps its own."""
    node = written.grad_fn
    if label and node is not None and written._base is None and node.name() == e.overwrite.label:
        relabel(written, label)
    return written


@face("zero_", function=False)
def zero_(self: Tensor) -> Tensor:
    """Write zeros to every element and return the tensor."""
    return _named(copy_(self, tensor_like(self, np.zeros((), self._array.dtype))), "ZeroBackward0")


# ---- by index tensors
@face("nonzero")
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Return the indices of elements that are not zero: as rows of one tensor, or a tuple of a tensor per dim."""
    table = nonzero_(input)
    return tuple(s.unbind(e.clone(s.transpose_(table, (1, 0))), 0)) if as_tuple else table


@face("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Return the entries of dim that a vector of indices names."""
    d = one_dim("index_select", input, dim)
    if index._array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    _check_index("index_select", input, d, index, IndexError)
    return relabel(index_get(input, (s.reshape(index, (size_of(index.shape),)),), (d,)), "IndexSelectBackward0")


@face("masked_select")
def masked_select(input: Any, mask: Any) -> Any:
    """Return the elements where mask (bool, broadcast) holds, as a vector."""
    if mask._array.dtype != dtypes.B8:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype}")
    both = s.broadcast_tensors(input, mask)
    return relabel(get(both[0], both[1]), "MaskedSelectBackward0")


def _check_index(name: str, input: Any, dim: int, index: Any, kind: type[Exception] = RuntimeError) -> None:
    """Raise RuntimeError for indices that are no integers, and `kind` for one that is out of range or negative."""
    if dtypes.category(index._array.dtype) != dtypes.INTEGRAL:
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {index.dtype}")
    values = index._array
    if isinstance(values, np.ndarray) and values.size:
        n = input.shape[dim] if input._array.ndim else 1
        for bad in (values.min(), values.max()):
            if not 0 <= bad < n:
                raise kind(f"index {bad} is out of bounds for dimension {dim} with size {n} ({name})")


def _grid(name: str, input: Any, dim: int, index: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return index tensors that name, for each element of `index`, its own place with dim replaced by its value."""
    if index._array.ndim != input._array.ndim:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {index._array.ndim} and "
            f"{input._array.ndim} ({name})"
        )
    for d, (m, n) in enumerate(zip(index.shape, input.shape, strict=True)):
        if d != dim and m > n:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than self "
                f"{list(input.shape)} apart from dimension {dim} ({name})"
            )
    parts = []
    for d, m in enumerate(index.shape):
        shape = [1] * index._array.ndim
        shape[d] = m
        parts.append(index if d == dim else tensor_like(input, np.arange(m).reshape(shape)))
    return tuple(parts), tuple(range(input._array.ndim))


@face("gather")
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Return input[index] along dim: out[i][j] = input[index[i][j]][j] for dim 0."""
    d = one_dim("gather", input, dim)
    if not input._array.ndim:
        return s.broadcast_to(input, tuple(index.shape)).clone()
    _check_index("gather", input, d, index)
    return relabel(gathered(input, d, index), "GatherBackward0")


def gathered(input: Any, dim: int, index: Any) -> Any:
    """Return input[index] along dim, for indices that are known to be there."""
    return index_get(input, *_grid("gather", input, dim, index))


@face("take_along_dim")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Return input at indices along dim, both broadcast elsewhere; without dim of the flattened tensors."""
    if dim is None:
        return gather(s.ravel(input), 0, s.ravel(indices))
    d = one_dim("take_along_dim", input, dim)
    common = s.broadcast_shapes(*[(*x.shape[:d], 1, *x.shape[d + 1 :]) for x in (input, indices)])
    wide = [s.broadcast_to(x, (*common[:d], x.shape[d], *common[d + 1 :])) for x in (input, indices)]
    return gather(wide[0], d, wide[1])


def _scattered(name: str, input: Any, dim: int, index: Any, src: Any, accumulate: bool) -> Any:
    d = one_dim(name, input, dim)
    _check_index(name, input, d, index)
    parts, places = _grid(name, input, d, index)
    if isinstance(src, Tensor):
        if src._array.dtype != input._array.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and {src.dtype}")
        if src._array.ndim != index._array.ndim or any(m > n for m, n in zip(index.shape, src.shape, strict=True)):
            raise RuntimeError(f"Expected index {list(index.shape)} to be no larger than src {list(src.shape)} ({name})")
        src = s.getitem(src, tuple(slice(0, m) for m in index.shape))
    else:
        src = tensor_like(input, np.full(tuple(index.shape), src, input._array.dtype))
    return index_put(input, src, parts, places, accumulate)


@face("scatter")
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """Return input with src (or a value) written at index along dim; reduce="add" adds instead."""
    if reduce not in (None, "add"):
        raise NotImplementedError(f"scatter: reduce={reduce!r} is not supported; 'add' is")
    source = value if src is None else src
    label = "ScatterBackward0" if isinstance(source, Tensor) else "ScatterBackward1"
    return relabel(_scattered("scatter", input, dim, index, source, reduce == "add"), label)


@face("scatter_add")
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return input with src added at index along dim."""
    return relabel(_scattered("scatter_add", input, dim, index, src, True), "ScatterAddBackward0")


@face("index_add")
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Return input with alpha * source added to the entries of dim that a vector of indices names."""
    d = one_dim("index_add", input, dim)
    _check_index("index_add", input, d, index)
    if source.dtype is not input.dtype:
        raise RuntimeError(f"index_add_(): self ({input.dtype}) and source ({source.dtype}) must have the same scalar type")
    moved = source if alpha == 1 else source * alpha
    return relabel(index_put(input, moved, (index,), (d,), True), "IndexAddBackward0")


@face("index_put")
def index_put_face(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Return input with values written (or added) at index tensors, one a dim."""
    places = tuple(range(len(indices)))
    if values.dtype is not input.dtype:
        raise RuntimeError(f"Index put requires the source and destination dtypes match, got {input.dtype} and {values.dtype}")
    shape, _ = infer_index(input._array, tuple(i._array for i in indices), places)
    return index_put(input, s.broadcast_to(values, tuple(shape)), tuple(indices), places, accumulate)


@face("take")
def take(input: Any, index: Any) -> Any:
    """Return the elements of the flattened input that indices name."""
    if dtypes.category(index._array.dtype) != dtypes.INTEGRAL:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    return relabel(index_get(s.ravel(input), (index,), (0,)), "TakeBackward0")
