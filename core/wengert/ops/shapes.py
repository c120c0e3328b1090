"""Shape ops: views, joins and splits. Elements move; none is computed.

Owns: reshape, transpose, broadcast, basic indexing as a view, assignment into a view, concatenation, flips, and what is
made of them. May import: record and elementwise ops. Must not know: devices. A `view` shares its input's memory.
"""

from __future__ import annotations

import builtins
import functools
import math
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors
from wengert._tensor import Size, Tensor, wrap
from wengert.faces import PROPERTIES, composite, face
from wengert.modes import state
from wengert.op import OPS, SAME, Op, Plan
from wengert.ops import dims
from wengert.ops import elementwise as e
from wengert.ops.dims import (
    Shape,
    axes_of,
    fill_in,
    index_of,
    ints,
    one_dim,
    only_tensors,
    shape_of,
    shared_like,
    size_of,
    tensor_like,
)  # fmt: skip
from wengert.record import call, cast, relabel, structural
from wengert.tape import Several, Slot, node


def viewable(array: Any, shape: Shape) -> bool:
    """Say whether an array can take a shape without its elements moving."""
    if array.flags.c_contiguous or array.size == 0:
        return True
    old = [(n, stride) for n, stride in zip(array.shape, array.strides, strict=True) if n != 1]
    i = 0
    while i < len(old):  # merge runs of old dims whose elements follow each other, and see if new dims fill each run
        run, j = old[i][0], i
        while j + 1 < len(old) and old[j][1] == old[j + 1][0] * old[j + 1][1]:
            j += 1
            run *= old[j][0]
        taken = 1
        new = [n for n in shape if n != 1]
        while taken < run and new:
            taken *= new[0]
            shape = tuple(new[1:])
            new = new[1:]
        if taken != run:
            return False
        i = j + 1
    return True


def inverse(axes: Shape) -> Shape:
    return tuple(axes.index(i) for i in range(len(axes)))


def infer_broadcast(x: Any, shape: Shape) -> Any:
    old = tuple(x.shape)
    ok = len(shape) >= len(old) and builtins.all(a in (1, b) for a, b in zip(reversed(old), reversed(shape), strict=False))
    if not ok:
        raise RuntimeError(
            f"The expanded size of the tensor {list(shape)} must match the existing size {list(old)}: only dims of size 1 can "
            f"be expanded (expand)"
        )
    return shape, x.dtype


def infer_getitem(x: Any, index: Any) -> Any:
    shape, dim = [], 0
    for part in index:
        if part is None:
            shape.append(1)
            continue
        n = x.shape[dim]
        if isinstance(part, slice):
            shape.append(len(range(*part.indices(n))))
        elif not -n <= part < n:
            raise IndexError(f"index {part} is out of bounds for dimension {dim} with size {n}")
        dim += 1
    return (*shape, *x.shape[dim:]), x.dtype


def infer_assign(x: Any, y: Any, path: Any) -> Any:
    return x.shape, x.dtype


def infer_concatenate(xs: Any, axis: int) -> Any:
    first = xs[0]
    for x in xs[1:]:
        if len(x.shape) != len(first.shape):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first.shape)} and {len(x.shape)} (cat)")
        for d, (m, n) in enumerate(zip(first.shape, x.shape, strict=True)):
            if d != axis and m != n:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {m} but got size {n} in dimension "
                    f"{d} (cat of {errors.describe(xs)})"
                )
    length = builtins.sum(x.shape[axis] for x in xs)
    return (*first.shape[:axis], length, *first.shape[axis + 1 :]), first.dtype


def infer_diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
    rest = tuple(n for i, n in enumerate(x.shape) if i not in (axis1, axis2))
    rows, columns = x.shape[axis1], x.shape[axis2]
    length = builtins.min(rows + builtins.min(offset, 0), columns - builtins.max(offset, 0))
    return (*rest, builtins.max(length, 0)), x.dtype


def infer_stack(xs: Any, axis: int) -> Any:
    first = tuple(xs[0].shape)
    for i, x in enumerate(xs):
        if tuple(x.shape) != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(x.shape)} at entry {i}"
            )
    return (*first[:axis], len(xs), *first[axis:]), xs[0].dtype


def infer_bytes(x: Any, dtype: Any) -> Any:
    old, new = x.dtype.itemsize, dtype.itemsize
    if old == new:
        return x.shape, dtype
    if not x.shape:
        raise RuntimeError(f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)")
    last = x.shape[-1] * old
    if last % new or any(n % builtins.max(new // old, 1) for n in _steps(x)[:-1]):
        raise RuntimeError(
            f"self.size(-1) (and all strides but the last) must be divisible by {new // old} to view {x.dtype} as {dtype} "
            f"(different element sizes), but got shape {list(x.shape)}"
        )
    if _steps(x)[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 to view {x.dtype} as {dtype} (different element sizes)")
    return (*x.shape[:-1], last // new), dtype


def _steps(x: Any) -> Shape:
    if not hasattr(x, "strides"):  # a value of a graph: its elements follow each other
        return tuple(math.prod(x.shape[d + 1 :]) for d in range(len(x.shape)))
    return tuple(n // x.dtype.itemsize for n in x.strides)


def reach(shape: Shape, strides: Shape) -> int:
    """Return how many places lie between the first and the last element, both included."""
    return 1 + builtins.sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if 0 not in shape else 0


def overlaps(shape: Shape, strides: Shape) -> bool:
    """Say whether two elements may share a place (always where they do)."""
    taken = 1
    for step, n in sorted((step, n) for n, step in zip(shape, strides, strict=True) if n != 1):
        if step < taken:
            return True
        taken = step * (n - 1) + taken
    return False


def strided_rule(g: Any, x_shape: Shape, shape: Shape, strides: Shape, offset: int, own: Shape) -> Any:
    """Return g added up in memory where as_strided looked, and read there as x reads it."""
    memory = into_memory(g, shape, strides, offset, builtins.max(reach(x_shape, own), offset + reach(shape, strides)))
    found = as_strided_(memory, tuple(x_shape), own, 0, (1,))
    if not overlaps(x_shape, own):
        return found
    times = into_memory(filled(g, tuple(x_shape), 1, None), tuple(x_shape), own, 0, memory.shape[0])
    return found / as_strided_(times, tuple(x_shape), own, 0, (1,))


def into_memory(g: Any, shape: Shape, strides: Shape, offset: int, length: int) -> Any:
    """Return a vector of zeros with each element of g added at its place."""
    if not overlaps(shape, strides):
        return place(g, (length,), "as_strided", shape, strides, offset, (1,))
    places = np.full(shape, offset)
    for d, (n, step) in enumerate(zip(shape, strides, strict=True)):
        places += (np.arange(n) * step).reshape((-1,) + (1,) * (len(shape) - 1 - d))
    index = tensor_like(g, places) if isinstance(g, Tensor) else dims.raw_like(g, places)
    return OPS["index_sum"](g, (index,), (length,), (0,))


def alike(shape: Any, steps: Any, own: Shape) -> bool:
    """Say whether strides lead to the same places: where there is one element, or none, any do."""
    return 0 in shape or builtins.all(n == 1 or a == b for n, a, b in zip(shape, steps, own, strict=True))


def in_known_memory(x: Tensor) -> None:
    """Raise RuntimeError where x is computed in a capture, and may lie in memory in another order than the capture knows."""
    recorder = getattr(x._array, "recorder", None)
    if recorder is not None and recorder is state.recorder:
        if builtins.any(step.op is transpose_ for step in recorder.graph.equations):
            raise errors.captured_layout()


def infer_strided(x: Any, shape: Shape, strides: Shape, offset: int, own: Shape) -> Any:
    return shape, x.dtype


def replay(x: Any, path: Any) -> Any:
    """Take the view that a path of (view op, params) leads to."""
    for op, params in path:
        x = op(x, *params)
    return x


def looked_at(g: Any, path: Any) -> Any:
    """Return g where a path looks; not conjugated, as the tape hands g to rules, for the path may take the imaginary part."""
    return e.conjugate(replay(e.conjugate(g), path)) if e.is_complex(g) else replay(g, path)


def place(g: Any, shape: Shape, op_name: str, *params: Any) -> Any:
    """Return zeros of a shape with g where the view op looks: the transpose of that view."""
    return placed(g, tuple(shape), ((OPS[op_name], params),))


def getitem_rule(g: Any, x_shape: Shape, index: Any) -> Any:
    whole = size_of(g.shape) == size_of(x_shape)  # all of it, in order
    return reshape(g, tuple(x_shape)) if whole else place(g, x_shape, "getitem", index)


def part_rule(g: Any, index: int, xs_shape: Any, axis: int) -> Any:
    start = builtins.sum(shape[axis] for shape in xs_shape[:index])
    return getitem(g, (*(slice(None),) * axis, slice(start, start + xs_shape[index][axis])))


def getitem_label(index: Any) -> str:
    """Return the name PyTorch prints: of the last step that does something."""
    names = {slice: "Slice", int: "Select", type(None): "Unsqueeze"}
    parts = [p for p in index if p != slice(None)]
    return f"{names.get(type(parts[-1]), 'Select') if parts else 'Alias'}Backward0"


# fmt: off
reshape      = structural("reshape", "x", lambda x, shape: (fill_in("reshape", shape, size_of(x.shape)), x.dtype),
    params="shape", view=True, label="ViewBackward0", x=lambda g, x_shape, shape: reshape(g, tuple(x_shape)))
transpose_   = structural("transpose", "x", lambda x, axes: (tuple(x.shape[a] for a in axes), x.dtype), params="axes",
    view=True, label="PermuteBackward0", x=lambda g, axes: transpose_(g, inverse(axes)))
broadcast_to = structural("broadcast_to", "x", infer_broadcast, params="shape", view=True, label="ExpandBackward0",
    broadcasts=True, x=lambda g: g)
getitem      = structural("getitem", "x", infer_getitem, params="index", view=True, label=getitem_label,
    x=lambda g, x_shape, index: getitem_rule(g, x_shape, index))
diagonal_    = structural("diagonal", "x", infer_diagonal, params="offset axis1 axis2", view=True, label="DiagonalBackward0",
    x=lambda g, x_shape, offset, axis1, axis2: place(g, x_shape, "diagonal", offset, axis1, axis2))
# the elements of x's memory, counted from x's first, that strides lead to; own: the strides of x itself
as_strided_  = structural("as_strided", "x", infer_strided, params="shape strides offset own", view=True,
    label="AsStridedBackward0",
    x=lambda g, x_shape, shape, strides, offset, own: strided_rule(g, x_shape, shape, strides, offset, own))
view_bytes   = structural("view_bytes", "x", infer_bytes, params="dtype", view=True, constant=True)
# x with y where a path of views looks: the out-of-place form of every in-place write
assign       = structural("assign", "x y", infer_assign, params="path", label="torch::autograd::CopySlices",
    x=lambda g, y_shape, y_dtype, path: assign(g, filled(g, y_shape, 0, y_dtype), path), y=lambda g, path: looked_at(g, path))
# zeros with y where a path of views looks: the transpose of those views
placed       = structural("placed", "y", lambda y, shape, path: (shape, y.dtype), params="shape path",
    y=lambda g, path: replay(g, path))
concatenate  = structural("concatenate", "*xs", infer_concatenate, params="axis", domain=SAME, face="cat", xs=part_rule)
stack_       = structural("stack", "*xs", infer_stack, params="axis", domain=SAME,
    xs=lambda g, index, axis: getitem(g, (*(slice(None),) * axis, index)))
flip         = structural("flip", "x", lambda x, axes: (x.shape, x.dtype), params="axes", x=lambda g, axes: flip(g, axes))
roll_        = structural("roll", "x", lambda x, shifts, axis: (x.shape, x.dtype), params="shifts axis",
    x=lambda g, shifts, axis: roll_(g, tuple(-n for n in shifts), axis))
to_device    = structural("to_device", "x", lambda x, place, origin: (x.shape, x.dtype), params="place origin",
    label="ToCopyBackward0", x=lambda g, place, origin: to_device(g, origin, place))
# an array of one value, on x's device and (dtype None) of x's type; no gradient flows
filled       = structural("filled", "x", lambda x, shape, value, dtype: (shape, dtype or x.dtype), params="shape value dtype",
    constant=True)
# fmt: on

_reshape_record = reshape.__call__


def _reshape(x: Any, shape: Shape) -> Any:
    """Reshape anything: a view where elements need not move, else of a contiguous copy."""
    if isinstance(x, Tensor) and not viewable(x._array, shape):
        return relabel(_reshape_record(e.clone(x), shape), "UnsafeViewBackward0")
    return _reshape_record(x, shape)


reshape.__call__ = _reshape

_as_strided_record, _assign_record, _bytes_record = as_strided_.__call__, assign.__call__, view_bytes.__call__


def in_memory(x: Any, own: Shape, length: int) -> Any:
    """Return the memory of which x is what strides look at, as a vector; zeros where they do not."""
    return into_memory(x, tuple(x.shape), own, 0, length)


def _as_strided(x: Any, shape: Shape, strides: Shape, offset: int, own: Shape) -> Any:
    """Look at memory: a view of x where it has its strides, else (a gradient, say) at a copy that has.

    Raises RuntimeError where elements of x share places and it lies otherwise: no copy tells which of them is meant.
    """
    if alike(x.shape, _steps(x._array if isinstance(x, Tensor) else x), own):
        return _as_strided_record(x, shape, strides, offset, own)
    x = getitem(x, tuple([slice(0, 1) if step == 0 and n else slice(None) for n, step in zip(x.shape, own, strict=True)]))
    if overlaps(tuple(x.shape), own):
        raise errors.captured_layout()
    length = builtins.max(reach(tuple(x.shape), own), offset + reach(shape, strides))
    return _as_strided_record(in_memory(x, own, length), shape, strides, offset, (1,))


def _assign(x: Any, y: Any, path: Any) -> Any:
    """Write y where a path looks; where it looks at memory, to a vector that is as the memory was."""
    at = next((i for i, (op, _) in enumerate(path) if op is as_strided_), None)
    if at is None or (not at and path[0][1][3] == (1,)):
        return _assign_record(x, y, path)
    if at:
        return _assign(x, _assign(replay(x, path[:at]), y, path[at:]), path[:at])
    (_, (shape, strides, offset, own)), *rest = path
    length = builtins.max(reach(tuple(x.shape), own), offset + reach(shape, strides))
    made = _assign_record(in_memory(x, own, length), y, ((as_strided_, (shape, strides, offset, (1,))), *rest))
    return _as_strided_record(made, tuple(x.shape), own, 0, (1,))


def _view_bytes(x: Any, dtype: Any) -> Any:
    """Look at bytes; of a raw array whose elements do not follow each other, as a program may hold a constant, at a copy's."""
    if not isinstance(x, Tensor) and x.shape and _steps(x)[-1] != 1:
        x = backend.of_array(x).copy(x)
    return _bytes_record(x, dtype)


as_strided_.__call__, assign.__call__, view_bytes.__call__ = _as_strided, _assign, _view_bytes


# ---- faces
@face("reshape")
def reshape_face(input: Any, *sizes: Any, shape: Any = None) -> Any:
    """Return input in another shape; -1 once stands for what is left. A view where possible, else a copy."""
    wanted = fill_in("reshape", shape_of(sizes if shape is None else (shape,), "reshape"), input._array.size)
    return reshape(input, wanted)


@face("view", function=False)
def view(input: Any, *shape: Any, size: Any = None, dtype: Any = None) -> Any:
    """Return a view in another shape or, for a dtype, of the same bytes read as another type.

    Raises RuntimeError where elements would have to move; reshape() copies then.
    """
    if size is not None or dtype is not None:
        shape = (size if dtype is None else dtype,)
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        return view_bytes(input, shape[0].numpy)
    wanted = fill_in("view", shape_of(shape, "view"), input._array.size)
    if not viewable(input._array, wanted):
        raise RuntimeError(
            f"view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            f"contiguous subspaces). Use .reshape(...) instead. (shape {list(input.shape)}, stride {list(input.stride())}, "
            f"wanted {list(wanted)})"
        )
    return _reshape_record(input, wanted)


@face("view_as", function=False)
def view_as(input: Any, other: Any) -> Any:
    """Return a view in the shape of other."""
    only_tensors("view_as", (other,))
    return view(input, tuple(other.shape))


@face("reshape_as", function=False)
def reshape_as(input: Any, other: Any) -> Any:
    """Return input in the shape of other."""
    only_tensors("reshape_as", (other,))
    return reshape_face(input, tuple(other.shape))


@face("flatten")
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Return input with dims start_dim..end_dim merged into one."""
    shape = input._array.shape
    start, end = one_dim("flatten", input, start_dim), one_dim("flatten", input, end_dim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    merged = (*shape[:start], size_of(shape[start : end + 1]), *shape[end + 1 :])
    return input if merged == shape else reshape(input, merged)


@face("ravel")
def ravel(input: Any) -> Any:
    """Return input in one dimension, its elements next to each other in memory."""
    return contiguous(reshape_face(input, -1))


@face("unflatten")
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Return input with one dim split into sizes."""
    d = one_dim("unflatten", input, dim)
    if not input.shape:
        raise RuntimeError(f"unflatten(): dimension specified as {dim} but tensor has no dimensions")
    inner = fill_in("unflatten", shape_of((sizes,), "unflatten"), input.shape[d])
    return reshape(input, (*input.shape[:d], *inner, *input.shape[d + 1 :]))


@face("permute")
def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """Return a view with dims in another order."""
    dims = shape_of(order if dims is None else (dims,), "permute")
    axes = tuple([one_dim("permute", input, d) for d in dims])
    if sorted(axes) != list(range(input.ndim)):
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering "
            f"of dimensions, or one repeats: input.dim() = {input.ndim}, dims = {list(dims)}"
        )
    return transpose_(input, axes)


@face("transpose")
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Return a view with two dims swapped."""
    axes = list(range(input.ndim))
    a, b = one_dim("transpose", input, dim0), one_dim("transpose", input, dim1)
    if axes:
        axes[a], axes[b] = axes[b], axes[a]
    return relabel(transpose_(input, tuple(axes)), "TransposeBackward0")


@face("t")
def t(input: Any) -> Any:
    """Return the transpose of a matrix; vectors and scalars as they are. Raises RuntimeError for more dims."""
    ndim = input.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D; .mT transposes the last two")
    return relabel(transpose_(input, (1, 0) if ndim == 2 else (0,) * ndim), "TBackward0")


def mT(x: Any) -> Any:
    """Return the matrices of x (its last two dims) transposed."""
    ndim = x.ndim
    return transpose_(x, (1, 0) if ndim == 2 else (*range(ndim - 2), ndim - 1, ndim - 2))


@face("movedim")
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Return a view with dims moved to other places, the rest in order.

    >>> torch.ones(2, 3, 4).movedim(0, -1).shape
    torch.Size([3, 4, 2])
    """
    sources = [one_dim("movedim", input, d) for d in ints(source)]
    targets = [one_dim("movedim", input, d) for d in ints(destination)]
    if len(sources) != len(targets) or len({*sources}) != len(sources) or len({*targets}) != len(targets):
        raise RuntimeError(
            f"movedim: source {source} and destination {destination} must name as many dims, and each of them once"
        )
    if not len(input.shape):
        return transpose_(input, ())
    order = [d for d in range(len(input.shape)) if d not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose_(input, tuple(order))


@face("expand", function=False)
def expand(input: Any, *sizes: Any, size: Any = None, implicit: bool = False) -> Any:
    """Return a view with dims of size 1 repeated; -1 keeps a size. Raises RuntimeError where sizes do not fit."""
    wanted = shape_of(sizes if size is None else (size,), "expand")
    old = input._array.shape
    added = len(wanted) - len(old)
    if added < 0 or -1 in wanted[:added]:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(wanted)}) must be at least the tensor's dims ({len(old)})"
        )
    if -1 in wanted:
        wanted = (*wanted[:added], *[k if n == -1 else n for n, k in zip(wanted[added:], old, strict=True)])
    return broadcast_to(input, wanted)


@face("broadcast_to")
def broadcast_to_face(input: Any, size: Any, *more: int) -> Any:
    """Return input broadcast to a shape."""
    return expand(input, size, *more)


@face("expand_as", function=False)
def expand_as(input: Any, other: Any) -> Any:
    """Return input expanded to the shape of other."""
    only_tensors("expand_as", (other,))
    return expand(input, tuple(other.shape))


@face("broadcast_tensors", method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Return all tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    only_tensors("broadcast_tensors", tensors)
    shape = broadcast_shapes(*[x.shape for x in tensors])
    return tuple(x if x.shape == shape else expand(x, tuple(shape)) for x in tensors)


@face("broadcast_shapes", method=False)
def broadcast_shapes(*shapes: Any) -> Size:
    """Return the shape that shapes broadcast to. Raises RuntimeError where they do not."""
    tuples = [ints(n) for n in shapes]
    mismatch = errors.broadcast("broadcast_shapes", tuples)
    if mismatch is not None:
        raise mismatch
    return Size(np.broadcast_shapes(*tuples))


@face("unsqueeze")
def unsqueeze(input: Any, dim: int) -> Any:
    """Return a view with a dim of size 1 put in at `dim`."""
    shape = input._array.shape
    ndim = len(shape)
    if not -ndim - 1 <= dim <= ndim:
        raise errors.dim_range("unsqueeze", dim, ndim + 1)
    d = dim % (ndim + 1)
    return relabel(_reshape_record(input, (*shape[:d], 1, *shape[d:])), "UnsqueezeBackward0")


@face("squeeze")
def squeeze(input: Any, dim: Any = None, *more: int) -> Any:
    """Return a view without dims of size 1 (all of them, or those in `dim`)."""
    dim = (dim, *more) if more else dim
    old = input._array.shape
    every = dim is None or (isinstance(dim, tuple | list) and not dim)
    axes = axes_of("squeeze", input, dim) or () if not every else () if dim is not None else range(len(old))
    shape = tuple([n for i, n in enumerate(old) if n != 1 or i not in axes])
    overload = 0 if dim is None else 2 if isinstance(dim, tuple | list) else 1
    return relabel(_reshape_record(input, shape), f"SqueezeBackward{overload}")


@face("select")
def select(input: Any, dim: int, index: int) -> Any:
    """Return the view at one index of a dim."""
    d = one_dim("select", input, dim)
    return getitem(input, (*(slice(None),) * d, int(index)) if d else (int(index),))


def _divided(name: str, input: Any, dim: int) -> int:
    """Return the dim of a tensor that is to be divided along it. Raises RuntimeError for a 0-d one."""
    if not input.ndim:
        raise RuntimeError(f"{name}() cannot be applied to a 0-dim tensor: it expects at least a 1-dimensional one")
    return one_dim(name, input, dim)


@face("narrow")
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """Return the view of `length` indices of a dim from `start` on.

    Raises IndexError for a start, RuntimeError for a length that is not there.
    """
    if isinstance(start, Tensor) and (start._array.ndim or dtypes.category(start._array.dtype) != dtypes.INTEGRAL):
        raise RuntimeError(f"start must be an 0-dim integral Tensor, got {start.dtype} of shape {list(start.shape)} (narrow)")
    d, start = _divided("narrow", input, dim), index_of("narrow", start)
    n = input._array.shape[d]
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start}) (narrow)")
    start += n if start < 0 else 0
    if length < 0 or start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}). (narrow of dim {d})")
    return getitem(input, (*(slice(None),) * d, slice(start, start + length)))


def parts_rule(g: Any, x_shape: Shape, axis: int, keys: Any) -> Any:
    """Return the gradients of parts joined, with zeros for those that got none."""
    some = [i for i, part in enumerate(g) if part is not None]
    if len(some) == 1:
        return place(g[some[0]], x_shape, "getitem", keys[some[0]])
    single = isinstance(keys[0][axis], int)
    whole, empty = [], {}  # the zeros by length
    for part, key in zip(g, keys, strict=True):
        length = 0 if single else key[axis].stop - key[axis].start
        if part is None and length not in empty:
            shape = (*x_shape[:axis], *(() if single else (length,)), *x_shape[axis + 1 :])
            empty[length] = filled(g[some[0]], shape, 0, None)
        whole.append(empty[length] if part is None else part)
    return (stack_ if single else concatenate)(tuple(whole), axis)


@functools.cache
def parts_plan(count: int) -> Plan:
    """Return what a node follows that has parts of its input as results, to join their gradients once and not add up
    `count` arrays as large as the input. The parts themselves are views by `getitem`."""
    op = Op("parts", ("x",), ("axis", "keys"), (parts_rule,), outputs=count)
    return op.plan((True,))


def parts(input: Any, axis: int, keys: list[Any], label: str) -> tuple[Any, ...]:
    """Return the views at keys, which together are all of input along an axis, in order."""
    found = tuple([getitem(input, key) for key in keys])
    if len(found) < 2 or found[0].is_leaf:
        return tuple([relabel(x, label) for x in found])
    plan = parts_plan(len(found))
    saved = {"axis": axis, "keys": keys, "x_shape": tuple(input.shape)}
    made = node(plan, (input._edge,), tuple([saved.get(name) for name in plan.op.places]), None)
    made.__class__ = Several
    made.label = label
    for number, x in enumerate(found):
        x._edge = Slot(made, number)
    return found


@face("unbind")
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return the views at each index of a dim."""
    d = one_dim("unbind", input, dim)
    whole = (slice(None),) * d
    return parts(input, d, [(*whole, i) for i in range(input._array.shape[d])], "UnbindBackward0")


@face("split", "split_with_sizes")
def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return views of equal length along dim (the last may be shorter), or of the lengths given."""
    d = _divided("split", input, dim)
    n = input._array.shape[d]
    sizes, label = split_size_or_sections, "SplitWithSizesBackward0"
    if isinstance(sizes, Tensor | np.generic):
        sizes = sizes.tolist()
    if isinstance(sizes, int):
        if sizes <= 0 and n:
            raise RuntimeError(f"split expects split_size be positive, but got split_size={sizes}")
        sizes, label = [builtins.min(sizes, n - i) for i in range(0, n, sizes)] if n else [0], "SplitBackward0"
    elif builtins.sum(sizes) != n:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n} (dimension {d}), but got {list(sizes)}")
    if builtins.any([length < 0 for length in sizes]):
        raise RuntimeError(f"split_with_sizes expects split_sizes have only non-negative entries, but got {list(sizes)}")
    keys, start, whole = [], 0, (slice(None),) * d
    for length in sizes:
        keys.append((*whole, slice(start, start + length)))
        start += length
    return parts(input, d, keys, label)


@face("chunk")
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Return at most `chunks` views along dim, of equal length but for the last."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input._array.shape[_divided("chunk", input, dim)]
    return split(input, -(-n // chunks), dim) if n else split(input, [0] * chunks, dim)


def several(name: str, tensors: Any, kind: type[Exception] = RuntimeError) -> tuple[Any, ...]:
    """Return tensors as a tuple. Raises TypeError for what is no sequence of tensors, `kind` for none at all."""
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' must be tuple of Tensors, not Tensor")
    found = tuple(tensors)
    for x in found:
        if not isinstance(x, Tensor):
            only_tensors(name, found)
    if not found:
        raise kind(f"torch.{name}(): expected a non-empty list of Tensors")
    return found


def joined(op: Any, tensors: tuple[Any, ...], axis: int, out: Any) -> Any:
    """Call a join: in fewer steps where there is nothing to record or to promote."""
    first = tensors[0]._array
    kind, dtype, recording = type(first), first.dtype, state.grad
    arrays = []
    for x in tensors:
        array = x._array
        if array.dtype is not dtype or type(array) is not kind or (recording and x._edge is not None):
            return op(tensors, axis, out=out)
        arrays.append(array)
    if out is not None or state.inference or (dtype is not dtypes.F32 and dtype is not dtypes.F64):
        return op(tensors, axis, out=out)
    try:
        return wrap(op.kernels[kind](arrays, axis))
    except Exception:  # the general call says what is wrong
        return op(tensors, axis)


@face("cat", method=False)
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """Return tensors joined along dim; types are promoted. Raises RuntimeError where other sizes differ."""
    tensors = several("cat", tensors, ValueError)
    like = tensors[0]
    empty = False  # whether there are empty vectors, which join anything, as PyTorch has it
    for i, x in enumerate(tensors):
        shape = x._array.shape
        if not shape:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated; stack() joins those")
        if shape == (0,):
            empty = True
        elif like._array.shape == (0,):
            like = x
    d = one_dim("cat", like, (dim if axis is None else axis) if like._array.shape != (0,) else 0)
    if empty and like._array.ndim > 1:
        none = (*like.shape[:d], 0, *like.shape[d + 1 :])
        tensors = tuple([reshape(x, none) if x._array.shape == (0,) else x for x in tensors])
    return joined(concatenate, tensors, d, out)


@face("stack", method=False)
def stack(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Return tensors of one shape joined along a new dim."""
    tensors = several("stack", tensors)
    ndim = tensors[0]._array.ndim + 1
    if not -ndim <= dim < ndim:
        raise errors.dim_range("stack", dim, ndim)
    return joined(stack_, tensors, dim % ndim, out)


@face("vstack", method=False)
def vstack(tensors: Any) -> Any:
    """Return tensors joined along the first dim, vectors as rows."""
    return cat([x if len(x.shape) > 1 else reshape(x, (1, size_of(x.shape))) for x in several("vstack", tensors)], 0)


@face("hstack", method=False)
def hstack(tensors: Any) -> Any:
    """Return tensors joined along the second dim, vectors along their only one."""
    parts = [reshape(x, (1,)) if not len(x.shape) else x for x in several("hstack", tensors)]
    return cat(parts, 0 if len(parts[0].shape) == 1 else 1)


@face("flip")
def flip_face(input: Any, *axes: Any, dims: Any = None) -> Any:
    """Return input with the order along dims reversed."""
    dims = shape_of(axes if dims is None else (dims,), "flip")
    return flip(input, (axes_of("flip", input, dims) or ()) if dims and input.ndim else ())


@face("roll")
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Return input with elements moved along dims, what falls off coming in at the other end; without dims as a vector.

    >>> torch.roll(torch.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """
    shifts, dims = (() if v is None else ints(v) for v in (shifts, dims))
    if not shifts:
        raise RuntimeError("`shifts` required (roll)")
    if not dims and len(shifts) == 1:
        return relabel(reshape(roll_(ravel(input), shifts, (0,)), tuple(input.shape)), "RollBackward0")
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims: {len(dims)} (roll)")
    if not len(input.shape):
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions (roll)")
    return roll_(input, shifts, tuple([one_dim("roll", input, d) for d in dims]))


@composite("repeat")
def repeat(input: Any, *sizes: Any, repeats: Any = None) -> Any:
    """Return input repeated `sizes` times along each dim (more sizes than dims: dims are put in front)."""
    times = shape_of(sizes if repeats is None else (repeats,), "repeat")
    if len(times) < len(input.shape):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * (len(times) - len(input.shape)) + tuple(input.shape)
    single = reshape(input, tuple(m for n in shape for m in (1, n)))
    full = broadcast_to(single, tuple(m for k, n in zip(times, shape, strict=True) for m in (k, n)))
    return reshape(e.clone(full), tuple(k * n for k, n in zip(times, shape, strict=True)))


@face("tile")
def tile(input: Any, *times: Any, dims: Any = None) -> Any:
    """Return input repeated as NumPy's tile: missing times are 1."""
    times = shape_of(times if dims is None else (dims,), "tile")
    return repeat(input, (1,) * (len(input.shape) - len(times)) + times)


def _triangle(input: Any, diagonal: int, lower: bool) -> Any:
    shape = input._array.shape
    if len(shape) < 2:
        raise RuntimeError(f"{'tril' if lower else 'triu'}: input tensor must have at least 2 dimensions")
    rows, columns = shape[-2:]
    if rows * columns <= 1 << 16:
        mask = shared_like(input, _mask, rows, columns, diagonal, lower)
    else:
        with errors.roomy("tril" if lower else "triu"):
            mask = tensor_like(input, _mask.__wrapped__(rows, columns, diagonal, lower))
    return call(e.where, (mask, contiguous(input), False))  # False: a 0 that promotes nothing


@functools.lru_cache(32)
def _mask(rows: int, columns: int, diagonal: int, lower: bool) -> Any:
    return np.tri(rows, columns, diagonal, bool) if lower else ~np.tri(rows, columns, diagonal - 1, bool)


@composite("tril")
def tril(input: Any, diagonal: int = 0) -> Any:
    """Return the lower triangle of matrices, zeros above the diagonal given."""
    return _triangle(input, diagonal, True)


@composite("triu")
def triu(input: Any, diagonal: int = 0) -> Any:
    """Return the upper triangle of matrices, zeros below the diagonal given."""
    return _triangle(input, diagonal, False)


@face("diagonal")
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return a view of the diagonals of two dims, as the last dim."""
    a, b = one_dim("diagonal", input, dim1), one_dim("diagonal", input, dim2)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return diagonal_(input, offset, a, b)


@face("diag_embed")
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return matrices with the last dim of input as diagonal."""
    ndim = len(input.shape) + 1
    for dim in (dim1, dim2):
        if not -ndim <= dim < ndim:
            raise errors.dim_range("diag_embed", dim, ndim)
    a, b = dim1 % ndim, dim2 % ndim
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2} (diag_embed)")
    n = input.shape[-1] + abs(offset)
    rest = list(input.shape[:-1])
    shape = [rest.pop(0) if i not in (a, b) else n for i in range(ndim)]
    return relabel(place(input, tuple(shape), "diagonal", offset, a, b), "DiagEmbedBackward0")


@face("diag")
def diag(input: Any, diagonal: int = 0) -> Any:
    """Return the diagonal of a matrix, or a matrix with a vector as its diagonal."""
    if len(input.shape) == 1:
        return diag_embed(input, diagonal)
    if len(input.shape) != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {len(input.shape)}D")
    return relabel(e.clone(diagonal_(input, diagonal, 0, 1)), "DiagonalBackward0_copy")


@face("meshgrid", method=False)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return coordinate grids of vectors; indexing "ij" (rows first) or "xy".

    >>> rows, columns = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
    >>> rows
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    several("meshgrid", tensors)
    for v in tensors:
        if len(v.shape) > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got one of shape {list(v.shape)}"
            )
    swap = indexing == "xy" and len(tensors) > 1
    vectors = list(tensors)
    if swap:
        vectors[:2] = vectors[1::-1]
    shape = tuple(size_of(v.shape) for v in vectors)
    grids = [
        broadcast_to(reshape(v, tuple(n if i == d else 1 for i, n in enumerate(shape))), shape) for d, v in enumerate(vectors)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@face("clone")
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """Return a copy that gradient flows through."""
    return e.clone(input)


@face("contiguous", function=False)
def contiguous(input: Any, memory_format: Any = None) -> Any:
    """Return input itself if it is contiguous, else a copy that is."""
    return input if input._array.flags.c_contiguous else e.clone(input)


@face("numel", method=False)
def numel(input: Any) -> int:
    """Return the number of elements."""
    return int(input.numel())


@face("to", function=False)
def to(input: Any, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, non_blocking: bool = False,
       memory_format: Any = None) -> Any:  # fmt: skip
    """Return input with another dtype, on another device, or like another tensor; itself where nothing changes."""
    copy = copy or [v for v in args if isinstance(v, bool)][1:] == [True]  # after non_blocking
    for value in args:
        if isinstance(value, bool):
            continue
        if isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, str | backend.device | int):
            device = value
        elif value is not None:
            dtype = value
    result = input
    if device is not None:
        result = transfer(result, backend.resolve(device))
    if dtype is not None:
        target = dtypes.to_numpy(dtype)
        if target != result._array.dtype:
            result = call(cast, (result,), (target,))
    return relabel(e.clone(result), "ToCopyBackward0") if copy and result is input else result


def transfer(x: Any, place: Any) -> Any:
    """Return x on a device; gradients travel back the same way."""
    here = x.device
    if here.type == place.type and (here.index or 0) == place.ordinal:
        return x
    return to_device(x, place, here)


def _reversed_dims(input: Any) -> Any:
    """The view with all dims in reverse order."""
    return transpose_(input, tuple(reversed(range(len(input.shape)))))


def _matrices(input: Any) -> Any:
    """The view with the last two dims swapped; a number as it is. Raises RuntimeError for a vector."""
    if not len(input.shape):
        return input
    if len(input.shape) < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {len(input.shape)}-D tensor.")
    return relabel(mT(input), "TransposeBackward0")


def _adjoint(input: Any) -> Any:
    """The matrices transposed and conjugated. Raises RuntimeError for less than two dims."""
    return e.conj(_matrices(input))


def _conjugate_transpose(input: Any) -> Any:
    """A matrix transposed and conjugated. Raises RuntimeError for a tensor of other than two dims."""
    if len(input.shape) not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {len(input.shape)}-D tensor; see .mH")
    return e.conj(_matrices(input))


PROPERTIES.update(T=_reversed_dims, mT=_matrices, H=_conjugate_transpose, mH=_adjoint)
