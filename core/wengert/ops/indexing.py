"""Indexing: what `x[...]` means, and the ops that gather and scatter by integer indices.

Owns: the reading of index expressions (views first, then index tensors, as PyTorch does), the records that get, set and
add by index tensors, by masks and along a dim, and PyTorch's functions made of them. May import: record, shape and
elementwise ops. Must not know: devices.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors
from wengert._tensor import Tensor
from wengert.faces import face
from wengert.inplace import bump, check, commit, keep_old, meet_level, repeated, write_out
from wengert.modes import state
from wengert.ops import elementwise as e
from wengert.ops import shapes as s
from wengert.ops.dims import one_dim, tensor_like
from wengert.record import call, cast, relabel, structural


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


def infer_sum(values: Any, indices: Any, shape: Any, places: tuple[int, ...]) -> Any:
    return shape, values.dtype


def infer_nonzero(x: Any) -> Any:
    raise errors.captured_value("nonzero (and indexing with a bool tensor)")


def infer_mask_get(x: Any, mask: Any, dim: int) -> Any:
    mask_fits(x, mask, dim)
    if not isinstance(mask, np.ndarray):
        raise errors.captured_value("indexing with a bool tensor")
    return (*x.shape[:dim], int(np.count_nonzero(mask)), *x.shape[dim + mask.ndim :]), x.dtype


def infer_mask_put(x: Any, values: Any, mask: Any, dim: int) -> Any:
    mask_fits(x, mask, dim)
    return x.shape, x.dtype


def mask_fits(x: Any, mask: Any, dim: int) -> None:
    """Raise IndexError for a mask of another shape than the dims it stands for."""
    if tuple(mask.shape) != tuple(x.shape[dim : dim + len(mask.shape)]):
        raise IndexError(
            f"The shape of the mask {list(mask.shape)} at index {dim} does not match the shape of the indexed tensor "
            f"{list(x.shape)} at index {dim}"
        )


def infer_gather(x: Any, index: Any, dim: int) -> Any:
    fits_along("gather", x, index, dim)
    return index.shape, x.dtype


def infer_scatter(x: Any, values: Any, index: Any, dim: int, accumulate: bool) -> Any:
    fits_along("scatter", x, index, dim)
    return x.shape, x.dtype


def fits_along(name: str, x: Any, index: Any, dim: int) -> None:
    """Raise RuntimeError for an index along dim that has other dims, is too large beside dim, or names what is not there."""
    shapes_along(name, x, index, dim)
    within(name, index, dim, x.shape[dim], RuntimeError)


def shapes_along(name: str, x: Any, index: Any, dim: int) -> None:
    """Raise RuntimeError for an index along dim that has other dims, or is too large beside dim."""
    own, given = x.shape, index.shape
    if own == given:
        return
    if len(given) != len(own):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {len(given)} and {len(own)} ({name})"
        )
    for d, (m, n) in enumerate(zip(given, own, strict=True)):
        if d != dim and m > n:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(given)} to be no larger than self {list(own)} "
                f"apart from dimension {dim} ({name})"
            )


def within(name: str, index: Any, dim: int, n: int, kind: type[Exception]) -> None:
    """Raise an exception for a raw index that is out of range or negative; devices other than the host are not asked."""
    if isinstance(index, np.ndarray) and index.size:
        if index.dtype is dtypes.I64 and np.maximum.reduce(index.view(np.uint64), None) < n:  # where what is negative is large
            return
        for bad in (index.min(), index.max()):
            if not 0 <= bad < n:
                raise kind(f"index {bad} is out of bounds for dimension {dim} with size {n} ({name})")


# fmt: off
index_get  = structural("index_get", "x *indices", infer_index, params="places", face="index",
    x=lambda g, x_shape, indices, places: index_sum(g, tuple(indices), tuple(x_shape), places))
index_put_ = structural("index_put", "x values *indices", infer_put, params="places accumulate",
    x=lambda g, values_shape, indices, places, accumulate:
        g if accumulate else index_put(g, s.filled(g, tuple(values_shape), 0, None), indices, places, False),
    values=lambda g, indices, places: index_get(g, indices, places))
# zeros of a shape with values added at indices, each as often as it is named
index_sum  = structural("index_sum", "values *indices", infer_sum, params="shape places",
    values=lambda g, indices, places: index_get(g, tuple(indices), places))
# out[i][j] = x[index[i][j]][j] for dim 0, and the writing and the adding there
gather_    = structural("gather", "x index", infer_gather, params="dim",
    x=lambda g, x_shape, index, dim: scatter_sum(g, index, tuple(x_shape), dim))
scatter_   = structural("scatter", "x values index", infer_scatter, params="dim accumulate",
    x=lambda g, values_shape, index, dim, accumulate:
        g if accumulate else scatter_(g, s.filled(g, tuple(values_shape), 0, None), index, dim, False),
    values=lambda g, index, dim: gather_(g, index, dim))
scatter_sum = structural("scatter_sum", "values index", lambda values, index, shape, dim: (shape, values.dtype),
    params="shape dim", values=lambda g, index, dim: gather_(g, index, dim))
# the elements of dims from `dim` on where a mask holds, as one dim; and x with them replaced
mask_get   = structural("mask_get", "x mask", infer_mask_get, params="dim", face="index",
    x=lambda g, x_shape, mask, dim: mask_put(s.filled(g, tuple(x_shape), 0, None), g, mask, dim))
mask_put   = structural("mask_put", "x values mask", infer_mask_put, params="dim", face="index_put",
    x=lambda g, values_shape, mask, dim: mask_put(g, s.filled(g, tuple(values_shape), 0, None), mask, dim),
    values=lambda g, mask, dim: mask_get(g, mask, dim))
nonzero_   = structural("nonzero", "x", infer_nonzero, constant=True)
# fmt: on


def index_put(x: Any, values: Any, indices: Any, places: tuple[int, ...], accumulate: bool) -> Any:
    return index_put_(x, values, tuple(indices), places, accumulate)


# ---- reading an index expression
Part = Any  # int, slice, None, Tensor


def parse(x: Tensor, index: Any) -> tuple[tuple[Part, ...], list[tuple[int, Tensor]]]:
    """Return the basic part (for one view) and the index tensors by the dim they index in that view; a mask stands for as
    many dims as it has.

    Raises IndexError for too many indices or a mask of another shape, TypeError for what is no index.
    """
    shape = x._array.shape
    parts: list[Part] = []
    missing = len(shape)
    if type(index) is list and any([v is None or v is Ellipsis or isinstance(v, _NESTED) for v in index]):
        words = "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)] instead of x[seq]."
        warnings.warn(words, stacklevel=3)
        index = tuple(index)
    for p in index if isinstance(index, tuple) else (index,):
        if type(p) is int or type(p) is slice:
            missing -= 1
        elif p is not None and p is not Ellipsis:
            p = _part(x, p)
            missing -= _dims(p)
        parts.append(p)
    if missing < 0:
        raise IndexError(f"too many indices for tensor of dimension {len(shape)} (got {len(shape) - missing})")
    basic: list[Part] = []
    advanced: list[tuple[int, Tensor]] = []
    dim = out = 0  # dims of x, dims of the view
    ellipsis = False
    for p in parts:
        if type(p) is int:
            n = shape[dim]
            if not -n <= p < n:
                raise IndexError(f"index {p} is out of bounds for dimension {dim} with size {n}")
            basic.append(p + n if p < 0 else p)
            dim += 1
        elif type(p) is slice:
            basic.append(_slice(p, shape[dim], dim))
            dim, out = dim + 1, out + 1
        elif p is None:
            basic.append(None)
            out += 1
        elif p is Ellipsis:
            if ellipsis:
                raise IndexError("an index can only have a single ellipsis ('...')")
            ellipsis = True
            basic += [_ALL] * missing
            dim, out = dim + missing, out + missing
        elif not p._array.ndim and p._array.dtype == dtypes.B8:  # a 0-d mask takes a new dim whole, or nothing of it
            basic.append(None)
            advanced.append((out, tensor_like(x, np.zeros(int(bool(p)), np.int64))))
            out += 1
        else:
            width = _dims(p)
            if p._array.dtype == dtypes.B8:
                mask_fits(x, p, dim)
            basic += [_ALL] * width
            advanced.append((out, p))
            dim, out = dim + width, out + width
    while basic and basic[-1] == _ALL:
        basic.pop()
    return tuple(basic), advanced


_ALL = slice(None)
_NESTED = (Tensor, list, tuple, range, np.ndarray, slice)  # what makes a list of indices stand for a tuple, as in PyTorch


def indices_of(x: Tensor, advanced: list[tuple[int, Tensor]]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Return index tensors and their dims: masks become the indices where they hold; all are on x's device."""
    found = []
    for place, p in advanced:
        every = nonzero(p, as_tuple=True) if p._array.dtype == dtypes.B8 else (p,)
        found += [(place + d, _same_place(x, i)) for d, i in enumerate(every)]
    return tuple([i for _, i in found]), tuple([place for place, _ in found])


def _part(x: Tensor, p: Any) -> Part:
    if isinstance(p, Tensor):
        if p._array.dtype == np.uint8:
            words = "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead."
            warnings.warn(words, stacklevel=4)
            return call(cast, (p,), (dtypes.B8,))
        if dtypes.category(p._array.dtype) == dtypes.INTEGRAL:
            known = state.recorder is None and not hasattr(p._array, "level") and not p.is_meta
            return p.item() if not p._array.ndim and known else p
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
    start, stop, step = p.start, p.stop, p.step
    if start is None and stop is None and step is None:
        return p
    if step is not None and step <= 0:
        raise ValueError(f"step must be greater than zero (dimension {dim}); flip() reverses")
    start, stop, step = p.indices(n)
    return _ALL if (start, stop, step) == (0, n, 1) else slice(start, max(stop, start), step)


@face("__getitem__", function=False)
def get(self: Tensor, index: Any) -> Any:
    """Return self[index]: a view for ints, slices, None and Ellipsis; a copy where index tensors or masks take part."""
    if type(index) is int:  # the commonest, by a short road
        shape = self._array.shape
        if shape and -shape[0] <= index < shape[0]:
            return s.getitem(self, (index if index >= 0 else index + shape[0],))
        if not shape:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert it to a number")
        raise IndexError(f"index {index} is out of bounds for dimension 0 with size {shape[0]}")
    if type(index) is slice and self._array.ndim:
        return relabel(s.getitem(self, (_slice(index, self._array.shape[0], 0),)), "SliceBackward0")
    if type(index) is Tensor and index._array.dtype is dtypes.I64:  # as is this, the next
        array = index._array
        if array.ndim and self._array.ndim and type(array) is type(self._array):
            return call(index_get, (self, (index,)), ((0,),))
    basic, advanced = parse(self, index)
    viewed = s.getitem(self, basic) if basic or not advanced else self
    if not advanced:
        return viewed
    place, first = advanced[0]
    if len(advanced) == 1 and first._array.dtype == dtypes.B8 and first._array.ndim:
        return mask_get(viewed, _same_place(viewed, first), place)
    indices, places = indices_of(viewed, advanced)
    made = index_get(viewed, indices, places)
    if state.recorder is not None and any([not i._array.ndim for i in indices]):
        made._box = _COPIED
    return made


class _Copied(list[int]):
    """The write counter of x[i] with a 0-d tensor i in a captured function: a copy there, where it should be a view."""

    def __setitem__(self, index: Any, value: Any) -> None:
        raise errors.captured_value("writing to x[i], where i is a 0-d tensor,")


_COPIED = _Copied([0])


def _same_place(x: Tensor, i: Tensor) -> Tensor:
    same = type(i._array) is type(x._array) and state.recorder is None  # a capture's are of one type, wherever they are
    return i if same else s.transfer(i, x.device)


@face("__setitem__", function=False)
def put(self: Tensor, index: Any, value: Any) -> None:
    """Write value (a tensor or number, broadcast) to self[index], with history."""
    if index is False:
        return  # nothing, whatever the value
    check(self, repeats=True)
    if hasattr(self._array, "parts"):
        raise errors.sparse_assignment()
    basic, advanced = parse(self, index)
    if not isinstance(value, Tensor):
        if not advanced and not repeated(self._array) and _set_now(self, value, basic):
            return
        value = _value_like(self, value)
    else:
        value = _same_place(self, value)
        if advanced and value._array.dtype != self._array.dtype and index is not True:
            _alike(self, value, advanced)
    if not state.grad or (self._edge is None and value._edge is None):
        if (value is self and not basic and not advanced) or _written(self, basic, advanced, value):
            bump(self)
            return
    elif not advanced:
        target = s.getitem(self, basic) if basic else self
        if not value._array.ndim and target._array.ndim:
            fill_(target, value)
        else:
            copy_(target, _drop_ones(value, target._array.ndim))
        return
    check(self)
    target = s.getitem(self, basic) if basic else self
    value = call(cast, (value,), (self._array.dtype,)) if value._array.dtype != self._array.dtype else value
    place, mask = advanced[0]
    if len(advanced) == 1 and mask._array.dtype == dtypes.B8 and not value._array.ndim and mask._array.ndim:
        mask = _same_place(self, mask)
        open_dims = target._array.ndim - place - mask._array.ndim
        mask = s.reshape(mask, (*mask.shape, *(1,) * open_dims)) if open_dims else mask
        commit("__setitem__", target, relabel(e.where(mask, value, target), "IndexPutBackward0"))
        return
    indices, places = indices_of(self, advanced)
    shape, _ = infer_index(target._array, tuple(i._array for i in indices), places)
    value = _drop_ones(value, len(shape))
    values = s.broadcast_to(value, tuple(shape)) if tuple(value.shape) != tuple(shape) else value
    commit("__setitem__", target, index_put(target, values, indices, places, False))


def _alike(self: Tensor, values: Tensor, advanced: list[tuple[int, Tensor]]) -> None:
    """Raise RuntimeError for values of another dtype, but for one where a mask holds, or at an element's place."""
    vectors = [a for a in (p._array for _, p in advanced) if a.ndim and (a.size > 1 or a.dtype != dtypes.B8)]
    if (advanced and not vectors) or (len(advanced) == 1 == values._array.size and advanced[0][1]._array.dtype == dtypes.B8):
        return
    raise RuntimeError(f"Index put requires the source and destination dtypes match, got {self.dtype} and {values.dtype}")


def _written(self: Tensor, basic: tuple[Part, ...], advanced: list[tuple[int, Tensor]], value: Tensor) -> bool:
    """Write value straight into the memory, where no history is at stake. False: it takes the way with one."""
    values = value._array
    if hasattr(values, "level"):
        meet_level("__setitem__", self, values)
    array = self._array
    owner = backend.of_array(array)
    view = s.getitem.kernels[type(array)](array, basic) if basic else array
    if not advanced:
        if values.shape != view.shape and values.ndim:
            values = _drop_ones(value, view.ndim)._array
            _fits(values, view)
        if repeated(view):
            raise errors.expanded_write()
        owner.write(view, values)
        return True
    masks = [p._array.dtype == dtypes.B8 for _, p in advanced]
    if (len(masks) > 1 and any(masks)) or not all(type(p._array) is type(array) for _, p in advanced):
        return False
    write_at = getattr(owner, "write_at", None)
    if write_at is None:
        return False
    try:
        write_at(view, values, tuple([p._array for _, p in advanced]), tuple([place for place, _ in advanced]))
    except (ValueError, IndexError, TypeError):  # the other way says what is wrong
        return False
    return True


def _value_like(self: Tensor, value: Any) -> Tensor:
    """Return what is no tensor as one of this one's type and device. Raises RuntimeError for a number that it cannot hold."""
    dtype = self._array.dtype
    if type(value) is float and dtype is dtypes.F64:
        return tensor_like(self, np.array(value, dtype))
    if isinstance(value, list | tuple | np.ndarray | np.generic):
        return tensor_like(self, np.asarray(value).astype(dtype))
    return _number_like(self, "__setitem__", value)


def _fits(values: Any, target: Any) -> None:
    """Raise RuntimeError where raw values do not broadcast to the shape of a raw target."""
    if tuple(values.shape) != tuple(target.shape):
        try:
            s.infer_broadcast(values, tuple(target.shape))
        except RuntimeError:
            mismatch = errors.broadcast("copy_", [tuple(target.shape), tuple(values.shape)])
            raise mismatch or errors.inplace_shape("copy_", target.shape, values.shape) from None


def _drop_ones(value: Tensor, ndim: int) -> Tensor:
    """Return value without leading dims of size 1 that the target does not have."""
    extra = value._array.ndim - ndim
    if extra > 0 and all(n == 1 for n in value.shape[:extra]):
        return s.reshape(value, tuple(value.shape[extra:]))  # type: ignore[no-any-return]
    return value


@face("copy_", function=False)
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of src (broadcast, cast, from any device) to this tensor and return it."""
    check(self, repeats=src is self)
    if src is self:
        bump(self)
        return self  # type: ignore[no-any-return]
    if not isinstance(src, Tensor):
        src = _number_like(self, "copy_", src, wraps=True)
    src = s.transfer(src, self.device)
    _fits(src._array, self._array)
    return _copied(self, src)


def _copied(self: Tensor, src: Tensor) -> Tensor:
    """Write a tensor of this one's device, that fits, to this one."""
    if not state.grad or (self._edge is None and src._edge is None):
        if hasattr(src._array, "level"):
            meet_level("copy_", self, src._array)
        backend.of_array(self._array).write(self._array, src._array)
        bump(self)
        return self
    if src._array.dtype != self._array.dtype:
        src = call(cast, (src,), (self._array.dtype,))
    return commit("copy_", self, e.overwrite(self, src))


def _number_like(self: Tensor, name: str, value: Any, wraps: bool = False) -> Tensor:
    """Return a number as a 0-d tensor of this one's type. Raises TypeError for no number, RuntimeError for one too large,
    if it may not be cast as tensors are (wraps)."""
    if not isinstance(value, bool | int | float | complex | np.generic):
        raise errors.not_a_tensor(name, value, "value")
    dtype = self._array.dtype
    return tensor_like(self, np.array(value if wraps else dtypes.fitting(value, dtype)).astype(dtype))


def _set_now(self: Tensor, value: Any, basic: tuple[Part, ...] = ()) -> bool:
    """Write a plain number to the elements of a host array (that a basic index names), where nothing is recorded; say whether
    that was so."""
    array = self._array
    plain = type(array) is np.ndarray and type(value) in (int, float)
    if not plain or state.recorder is not None or (state.grad and self._edge is not None):
        return False
    target = s.getitem.kernels[np.ndarray](array, basic) if basic else array
    target.fill(dtypes.fitting(value, array.dtype))
    bump(self)
    return True


@face("fill_", function=False)
def fill_(self: Tensor, value: Any) -> Tensor:
    """Write one value, a number or a 0-d tensor, to every element and return the tensor."""
    number = not isinstance(value, Tensor)
    check(self, repeats=number)
    if number:
        if _set_now(self, value):
            return self
        value = _number_like(self, "fill_", value)
    elif value._array.ndim:
        dims = value._array.ndim
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {dims} dimensions.")
    return _named(_copied(self, s.transfer(value, self.device)), f"FillBackward{2 if number else 3}")


@face("masked_fill_", function=False)
def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Write one value where mask (bool, broadcast) holds and return the tensor."""
    array, plain = self._array, not isinstance(value, Tensor) or not value._array.ndim
    recorded = state.grad and (self._edge is not None or (isinstance(value, Tensor) and value._edge is not None))
    if recorded or not plain or not array.ndim or mask._array.dtype != dtypes.B8 or type(mask._array) is not type(array):
        check(self)
        return commit("masked_fill_", self, e.masked_fill(keep_old(self, value), mask, value))
    check(self, repeats=True)
    value = value.to(self.dtype) if isinstance(value, Tensor) else _value_like(self, value)
    mask = mask if mask._array.shape == array.shape else s.broadcast_to(mask, tuple(array.shape))
    if not _written(self, (), [(0, mask)], value):
        return commit("masked_fill_", self, e.masked_fill(self, mask, value))
    bump(self)
    return self


def _named(written: Tensor, label: str) -> Tensor:
    """Give a tensor that was written to as a whole the name PyTorch prints; a view keeps its own."""
    node = written.grad_fn
    if label and node is not None and written._base is None and node.name() == e.overwrite.label:
        relabel(written, label)
    return written


@face("zero_", function=False)
def zero_(self: Tensor) -> Tensor:
    """Write zeros to every element and return the tensor."""
    check(self, repeats=True)
    if _set_now(self, 0):
        return self
    return _named(_copied(self, tensor_like(self, np.zeros((), self._array.dtype))), "ZeroBackward0")


# ---- by index tensors
@face("nonzero")
def nonzero(input: Any, *, as_tuple: bool = False, out: Any = None) -> Any:
    """Return the indices of elements that are not zero: as rows of one tensor, or a tuple of a tensor per dim."""
    if as_tuple:
        table = nonzero_(input if input._array.ndim else s.reshape(input, (1,)))
        return s.unbind(e.clone(s.transpose_(table, (1, 0))), 0)
    return nonzero_(input, out=out)


def checked_index(name: str, index: Any, *, vector: bool = False, kind: type[Exception] = RuntimeError) -> None:
    """Raise for an index that is no tensor of integers or, where a vector is wanted, that has more dims."""
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if dtypes.category(index._array.dtype) != dtypes.INTEGRAL:
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {index.dtype}")
    if vector and index._array.ndim > 1:
        raise kind(f"{name}(): Index is supposed to be a vector, got one of shape {list(index.shape)}")


def as_vector(x: Any) -> Any:
    """Return a 0-d tensor as one of a single element."""
    return x if x._array.ndim else s.reshape(x, (1,))


@face("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Return the entries of dim that a vector of indices names."""
    d = one_dim("index_select", input, dim)
    checked_index("index_select", index, vector=True, kind=IndexError)
    within("index_select", index._array, d, input._array.shape[d] if input._array.ndim else 1, IndexError)
    found = relabel(call(index_get, (as_vector(input), (as_vector(index),)), ((d,),)), "IndexSelectBackward0")
    return found if input._array.ndim else s.reshape(found, ())


@face("masked_select")
def masked_select(input: Any, mask: Any) -> Any:
    """Return the elements where mask (bool, broadcast) holds, as a vector."""
    if mask._array.dtype != dtypes.B8:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype}")
    if mask._array.shape != input._array.shape or not mask._array.ndim:
        input, mask = s.broadcast_tensors(as_vector(input), as_vector(mask))
    return relabel(mask_get(input, mask, 0), "MaskedSelectBackward0")


@face("gather")
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Any:
    """Return input[index] along dim: out[i][j] = input[index[i][j]][j] for dim 0.

    >>> x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    >>> torch.gather(x, 1, torch.tensor([[2], [0]]))
    tensor([[3],
            [4]])
    """
    d = one_dim("gather", input, dim)
    checked_index("gather", index)
    if out is not None:
        if out.dtype is not input.dtype:
            raise RuntimeError(
                f"Expected out tensor to have dtype {input.dtype}, but got {out.dtype} instead: it can't be cast (gather)"
            )
        return write_out("gather", gather(input, dim, index), out)
    if not index._array.size:  # PyTorch then asks nothing of its shape
        nothing = s.getitem(s.reshape(input, (input._array.size,)), (slice(0, 0),))
        return relabel(e.clone(s.reshape(nothing, tuple(index.shape))), "GatherBackward0")
    if not input._array.ndim or not index._array.ndim:
        x, i = as_vector(input), as_vector(index)
        shapes_along("gather", x, i, d)
        found = gather_(x, i, d)
        return relabel(found if index._array.ndim else s.reshape(found, ()), "GatherBackward0")
    shapes_along("gather", input._array, index._array, d)
    return call(gather_, (input, index), (d,))


gathered = gather_.__call__  # (input, index, dim), of indices that are known to be there


@face("take_along_dim")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Return input at indices along dim, both broadcast elsewhere; without dim of the flattened tensors."""
    checked_index("take_along_dim", indices)
    if dim is None:
        return take_along_dim(s.ravel(input), s.ravel(indices), 0)
    d = one_dim("take_along_dim", input, dim)
    if input._array.ndim != indices._array.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input._array.ndim} dimensions for input, and {indices._array.ndim} dimensions for indices"
        )
    outer = [(*x._array.shape[:d], 1, *x._array.shape[d + 1 :]) for x in (input, indices)]
    if outer[0] != outer[1]:
        common = s.broadcast_shapes(*outer)
        input, indices = (s.broadcast_to(x, (*common[:d], x.shape[d], *common[d + 1 :])) for x in (input, indices))
    if not isinstance(indices._array, np.ndarray) or (indices._array < 0).any():
        indices = e.where(indices < 0, indices + input.shape[d], indices)
    return gather(input, d, indices)


def scatter_source(name: str, input: Any, dim: int, index: Any, src: Any) -> tuple[Any, Any, Any, int]:
    """Return (input, index, src, dim) as the records take them: none of them 0-d, src a tensor of the shape of index."""
    d = one_dim(name, input, dim)
    checked_index(name, index)
    if isinstance(src, Tensor):
        if src._array.dtype != input._array.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and {src.dtype}")
        index, src = as_vector(index), as_vector(src)
        if index._array.size and src._array.shape != index._array.shape:
            if src._array.ndim != index._array.ndim or any(m > n for m, n in zip(index.shape, src.shape, strict=True)):
                raise RuntimeError(f"Expected index {list(index.shape)} to be no larger than src {list(src.shape)} ({name})")
            src = s.getitem(src, tuple(slice(0, m) for m in index.shape))
    else:
        index = as_vector(index)
        src = s.broadcast_to(_value_like(input, src), tuple(index.shape))
    x = as_vector(input)
    if index._array.size:
        shapes_along(name, x._array, index._array, d)
    return x, index, src, d


def unwritten(input: Any, src: Any) -> Any:
    """Return a copy of input, to which nothing of src was written: the gradient of src is zero."""
    if src._edge is None:
        return e.clone(input)
    both = s.concatenate((s.ravel(input), s.getitem(s.ravel(src), (slice(0, 0),))), 0)
    return s.reshape(both, tuple(input.shape))


def _scattered(name: str, input: Any, dim: int, index: Any, src: Any, accumulate: bool) -> Any:
    x, index, src, d = scatter_source(name, input, dim, index, src)
    if not index._array.size:
        return unwritten(input, src)
    made = scatter_(x, src, index, d, accumulate)
    return made if input._array.ndim else s.reshape(made, ())


@face("scatter")
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """Return input with src (or a value) written at index along dim; reduce="add" or "multiply" combines instead."""
    source = value if src is None else src
    if reduce == "multiply":
        return input.scatter_reduce(dim, index, _filled_like(input, index, source), "prod")
    if reduce not in (None, "add"):
        raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r} (scatter)")
    label = "ScatterBackward0" if isinstance(source, Tensor) else "ScatterBackward1"
    return relabel(_scattered("scatter", input, dim, index, source, reduce == "add"), label)


def _filled_like(input: Any, index: Any, value: Any) -> Any:
    return value if isinstance(value, Tensor) else s.broadcast_to(_value_like(input, value), tuple(index.shape))


@face("scatter_add")
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return input with src added at index along dim.

    >>> torch.scatter_add(torch.zeros(3), 0, torch.tensor([0, 0, 2]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    return relabel(_scattered("scatter_add", input, dim, index, src, True), "ScatterAddBackward0")


def index_source(name: str, input: Any, dim: int, index: Any, source: Any) -> int:
    """Return the dim of index_add and its kin. Raises for an index that is no vector of places that are there, and for a
    source of another type or shape."""
    d = one_dim(name, input, dim)
    checked_index(name, index, vector=True)
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(f"{name}(): self ({input.dtype}) and source ({source.dtype}) must have the same scalar type")
    shape, given = input._array.shape or (1,), source._array.shape or (1,)
    within(name, index._array, d, shape[d], RuntimeError)
    if (*shape[:d], index._array.size, *shape[d + 1 :]) != given:
        raise RuntimeError(
            f"source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(input.shape)} source.shape = {list(source.shape)}, and an index of {index._array.size} ({name})"
        )
    return d


@face("index_add")
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Return input with alpha * source added to the entries of dim that a vector of indices names.

    >>> torch.index_add(torch.zeros(3), 0, torch.tensor([2, 2]), torch.ones(2), alpha=5)
    tensor([ 0.,  0., 10.])
    """
    d = index_source("index_add", input, dim, index, source)
    if alpha != 1:
        multiple = source * (int(alpha) if dtypes.category(input._array.dtype) < dtypes.FLOATING else alpha)
        source = multiple.to(input.dtype)
    made = index_put(as_vector(input), as_vector(source), (as_vector(index),), (d,), True)
    return relabel(made if input._array.ndim else s.reshape(made, ()), "IndexAddBackward0")


@face("index_put")
def index_put_face(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Return input with values written (or added) at index tensors, one a dim; a None stands for all of its dim."""
    basic, advanced = parse(input, tuple(slice(None) if i is None else i for i in indices))
    if values.dtype is not input.dtype:
        _alike(input, values, [] if accumulate else advanced)
        values = call(cast, (values,), (input._array.dtype,))
    if basic or not advanced:
        raise RuntimeError("index_put: expected at least one index tensor, with at least one dim")
    found, places = indices_of(input, advanced)
    shape, _ = infer_index(input._array, tuple(i._array for i in found), places)
    return index_put(input, s.broadcast_to(_drop_ones(values, len(shape)), tuple(shape)), found, places, accumulate)


@face("take")
def take(input: Any, index: Any) -> Any:
    """Return the elements of the flattened input that indices name."""
    if dtypes.category(index._array.dtype) != dtypes.INTEGRAL:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    return relabel(index_get(s.ravel(input), (index,), (0,)), "TakeBackward0")
