"""Kernels made of other ops' kernels: what needs no loop of its own.

Owns: layers, losses, normalisation, resampling, order statistics and counting on raw arrays. May import: op records, the
modules of kernels. Must not know: tensors, gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.decompositions import TABLE
from wengert.op import OPS
from wengert_opencl import indexing, maps, reductions
from wengert_opencl.array import Array, Ints
from wengert_opencl.each import each, inside, steps_of, stored
from wengert_opencl.fused import rowwise
from wengert_opencl.indexing import I64, reshaped
from wengert_opencl.maps import new
from wengert_opencl.products import matmul

SINGLE = np.dtype(np.float32)
ROWS = ("softmax", "softmax_back", "log_softmax", "log_softmax_back")  # decompositions that run as one kernel


def op(name: str, *args: Any) -> Any:
    return OPS[name](*args)


def upload(like: Array, host: np.ndarray[Any, Any]) -> Array:
    """Return a host array where another array is."""
    host = np.ascontiguousarray(host)
    made = new(like.runtime, host.shape, host.dtype)
    if host.size:
        like.runtime.upload(made.buffer, host)
    return made


def wide(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel that computes float16 in float32."""

    def widen(a: Any) -> Any:
        if isinstance(a, tuple | list):
            return tuple([widen(v) for v in a])
        return maps.cast(a, SINGLE) if type(a) is Array and reductions.floats(a.dtype) != a.dtype else a

    def run(*args: Any) -> Any:
        dtype = args[0].dtype
        if reductions.floats(dtype) == dtype:
            return kernel(*args)
        made = kernel(*[widen(a) for a in args])
        return tuple([maps.cast(m, dtype) for m in made]) if isinstance(made, tuple) else maps.cast(made, dtype)

    return run


# ---- attention
def attention_weights(q: Any, k: Array, scale: float) -> Any:
    axes = (*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)
    scores = matmul(q * number(scale, q.dtype), k.transpose(axes))
    return op("softmax", scores, (scores.ndim - 1,))


def masked_attention_weights(q: Any, k: Array, mask: Array, scale: float) -> Any:
    """As above with a mask added; rows without a finite score are 0."""
    axes = (*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)
    scores: Any = matmul(q * number(scale, q.dtype), k.transpose(axes))
    scores = scores + mask
    if not scores.size:
        return scores
    last = (scores.ndim - 1,)
    top = op("amax", scores, last, True)
    powers = op("exp", scores - op("where", top == number(-np.inf, top.dtype), 0.0, top))
    total = op("sum", powers, last, True)
    return powers / op("where", total == number(0, total.dtype), 1.0, total)


def number(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.asarray(value, dtype)


# ---- steps of recurrent layers
def gate(x: Any, number: int, n: int) -> Any:
    return x.getitem([*[slice(None)] * (x.ndim - 1), slice(number * n, (number + 1) * n)])


def lstm_cell(x: Any, y: Any, c: Any) -> tuple[Any, Any]:
    n, gates = c.shape[-1], x + y
    kept = op("sigmoid", gate(gates, 1, n)) * c
    new_c = kept + op("sigmoid", gate(gates, 0, n)) * op("tanh", gate(gates, 2, n))
    return op("tanh", new_c) * op("sigmoid", gate(gates, 3, n)), new_c


def gru_cell(x: Any, y: Any, h: Any) -> Any:
    n = h.shape[-1]
    reset, update = (op("sigmoid", gate(x, i, n) + gate(y, i, n)) for i in (0, 1))
    made = op("tanh", reset * gate(y, 2, n) + gate(x, 2, n))
    return made + (h - made) * update


# ---- losses
def pick(x: Array, index: Any, ignored: int) -> Any:
    """Return the element of each sample's class, 0 where it is ignored."""
    gone = index == number(ignored, index.dtype)
    return op("where", gone, 0.0, chosen(x, op("where", gone, 0, index)))


def one_dim_more(index: Array) -> Array:
    return index.getitem([slice(None), None])


def chosen(x: Array, index: Array) -> Array:
    return reshaped(indexing.gather(x, one_dim_more(index), 1), index.shape)


def cross_entropy(x: Any, index: Any, ignored: int) -> Any:
    """log(sum exp(x - top)) - (x[index] - top): exact also where the loss is small."""
    if x.ndim == 2 and x.size:
        found, _ = class_scores(x, index, None, ignored)
        return reshaped(CLASS_LOSSES(x, found, one_dim_more(index), ignored), index.shape)
    gone = index == number(ignored, index.dtype)
    found = one_dim_more(chosen(x, op("where", gone, 0, index)))
    return reshaped(class_losses(x, found, one_dim_more(index), ignored), index.shape)


def class_losses(x: Any, found: Any, index: Any, ignored: int) -> Any:
    """The losses, the classes being a dim of length 1; found: x[index]."""
    top = op("amax", x, (1,), True)
    losses = op("log", op("sum", op("exp", x - top), (1,), True)) - (found - top)
    return op("where", index == number(ignored, index.dtype), 0.0, losses)


CLASS_LOSSES = rowwise(class_losses, class_losses)


def class_scores(x: Array, index: Array, a: Any, ignored: int) -> tuple[Array, Any]:
    """Return, of rows of classes, x[index] in a dim of its own; and a, 0 where the sample is ignored, if it is there."""
    runtime, t = x.runtime, stored(x.dtype)
    made, shares = (new(runtime, (x.shape[0], 1), x.dtype) for _ in range(2))
    index = indexing.whole(index)
    arrays, then = [("o", t, made), ("x", t, x), ("q", "long", index)], ""
    rows, classes = steps_of(x)
    numbers = [("m", x.shape[1]), ("rows", rows), ("classes", classes), ("ignored", ignored)]
    if a is not None:
        (step,) = steps_of(a.broadcast_to(index.shape))
        arrays += [("b", t, shares), ("a", t, a)]
        numbers += [("step", step)]
        then = " b[i] = gone ? 0 : a[i * step];"
    each(runtime, f"class_scores_{int(a is not None)}", x.shape[0], f"""
    long j_ = q[i]; int gone = j_ == ignored; j_ = gone ? 0 : j_; {inside("j_", "m")}
    o[i] = x[i * rows + j_ * classes];{then}""", arrays, numbers, checks=("m",))  # fmt: skip
    return made, shares if a is not None else None


def cross_entropy_pull(a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    """a (softmax(x) - onehot(index)), the softmax by the loss y: exp(x - x[index] - y)"""
    if x.ndim == 2 and x.size:
        found, a = class_scores(x, index, a, ignored)
        made: Any = CLASS_SLOPES(x, found, one_dim_more(y), a)
        each(x.runtime, "class_less", x.shape[0], """
    long j = q[i]; if (j != ignored && j >= -m && j < m) o[i * m + (j < 0 ? j + m : j)] -= a[i];""",
             [("o", stored(x.dtype), made), ("q", "long", indexing.whole(index)), ("a", stored(x.dtype), a)],
             [("m", x.shape[1]), ("ignored", ignored)])  # fmt: skip
        return made
    gone = index == number(ignored, index.dtype)
    index = op("where", gone, 0, index)
    a = one_dim_more(maps.copy(op("where", gone, 0.0, a).broadcast_to(index.shape)))
    made = class_slopes(x, one_dim_more(chosen(x, index)), one_dim_more(y), a)
    return indexing.scatter(reductions.SUM, maps.packed(made), -a, one_dim_more(index), 1)


def class_slopes(x: Any, found: Any, y: Any, a: Any) -> Any:
    return op("exp", x - found - y) * a


CLASS_SLOPES = rowwise(class_slopes, class_slopes)


def count_samples(index: Any, ignored: int, dtype: Any) -> Any:
    return reductions.reduce(reductions.SUM, (index,), None, False, I64, element=f"x != {ignored}", to=np.dtype(dtype))


def mse(x: Any, y: Any, mean: bool) -> Any:
    both = np.broadcast_shapes(x.shape, y.shape)
    arrays = [maps.copy(v.broadcast_to(both)) if v.shape != both else v for v in (x, y)]
    total: Any = reductions.reduce(reductions.SUM, arrays, None, False, x.dtype, element="(x - y) * (x - y)")
    return total / number(math.prod(both), total.dtype) if mean else total


# ---- normalisation
def kept(x: Array, axes: Ints) -> int:
    return math.prod([x.shape[a] for a in axes])


def row_moments(x: Any, axes: Ints, centred: bool) -> tuple[Any, Any]:
    """What `moments` is, in ops."""
    n = number(max(1, math.prod([x.shape[a] for a in axes])), x.dtype)
    mean = op("sum", x, axes, True) / n
    off = x - mean
    return mean, op("sum", off * off, axes, True) / n


def moments(x: Any, axes: Ints, centred: bool) -> tuple[Any, Any]:
    """Return the mean over axes and the mean square of the distance to it (centred), or zero and the mean square."""
    n = number(max(1, kept(x, axes)), x.dtype)
    if not centred:
        square: Any = reductions.reduce(reductions.SUM, (x,), axes, True, x.dtype, element="x * x")
        return op("filled", square, square.shape, 0, None), square / n
    mean = op("sum", x, axes, True) / n
    square = reductions.reduce(reductions.SUM, (x,), axes, True, x.dtype, element="(x - p) * (x - p)", beside=(mean,))
    return mean, square / n


def standard(x: Any, mean: Any, rstd: Any, mode: str) -> Any:
    return x * rstd if mode == "rms" else (x - mean) * rstd


def normalise(x: Any, mean: Any, rstd: Any, affine: Any, axes: Ints, eps: float, mode: str, kinds: str) -> Any:
    made = standard(x, mean, rstd, mode)
    if "w" in kinds:
        made = made * affine[0]
    return made + affine[-1] if "b" in kinds else made


def normalise_back(y: Any, x: Any, mean: Any, rstd: Any, weights: Any, axes: Ints, eps: float, mode: str) -> Any:
    """rstd (h - mean(h) - z mean(h z)), h being y * weight and z the normalised x; without the first mean for rms."""
    n = number(max(1, kept(x, axes)), x.dtype)
    z, h = standard(x, mean, rstd, mode), y * weights[0] if weights else y
    slope = op("sum", h * z, axes, True) / n
    made = h - z * slope
    return (made if mode == "rms" else made - op("sum", h, axes, True) / n) * rstd


def normalise_weight(y: Any, x: Any, mean: Any, rstd: Any, shape: Ints, axes: Ints, eps: float, mode: str) -> Any:
    """The sum of y times the normalised x over all dims along which a weight of `shape` is repeated."""
    wide_shape = (1,) * (x.ndim - len(shape)) + tuple(shape)
    over = tuple([d for d, n in enumerate(wide_shape) if n == 1])
    product = y * standard(x, mean, rstd, mode)
    return reshaped(op("sum", product, over, True) if over else product, shape)


# ---- along one dim
def resample(x: Array, axis: int, table: Any) -> Any:
    """The weighted sum of a few elements for each result, as a table says it."""
    shape = (*x.shape[:axis], table.length, *x.shape[axis + 1 :])
    made: Any = None
    for places, sources, weights in table.steps:
        index = upload(x, np.asarray(sources, np.int64))
        part: Any = indexing.index_get(x, (index,), (axis,))
        if weights is not None:
            real = x.part(False).dtype
            factor = np.asarray(weights).astype(real).reshape((-1, *(1,) * (x.ndim - axis - 1)))
            part = part * upload(x, factor)
        if places is None:
            made = part if made is None else made + part
        else:
            made = indexing.zeros(x, shape, x.dtype) if made is None else maps.packed(made)
            where = upload(x, np.asarray(places, np.int64))
            made = indexing.put_at(reductions.SUM, made, part, (where,), (axis,))
    return indexing.zeros(x, shape, x.dtype) if made is None else made


def frames(x: Array, n: int, hop: int) -> Array:
    count = 1 + (x.shape[-1] - n) // hop
    step = x.strides[-1]
    return maps.copy(x.view((*x.shape[:-1], count, n), (*x.strides[:-1], hop * step, step), 0))


def paired(x: Any, axis: int, n: int, factor: float) -> Any:
    made: Any = maps.copy(x)
    part: Any = made.getitem([slice(None)] * axis + [slice(1, (n + 1) // 2)])
    maps.write(part, part * number(factor, x.dtype))
    return made


# ---- order statistics
def taken(x: Array, order: Array, axis: int, keepdims: bool) -> tuple[Array, Array]:
    """Return (values, places) of the elements that `order`, with its axis kept at length 1, names."""
    values = indexing.gather(x, order, axis)
    shape = order.shape if keepdims else (*order.shape[:axis], *order.shape[axis + 1 :])
    return reshaped(values, shape), reshaped(maps.packed(order), shape)


def kthvalue(x: Array, k: int, axis: int, keepdims: bool) -> tuple[Array, Array]:
    if not x.ndim:
        return maps.copy(x), indexing.zeros(x, (), I64)
    order = indexing.argsort(x, axis, False)
    return taken(x, order.getitem([slice(None)] * axis + [slice(k - 1, k)]), axis, keepdims)


def median(x: Array, skip: bool, axis: int, keepdims: bool) -> tuple[Array, Array]:
    if not x.ndim:
        return maps.copy(x), indexing.zeros(x, (), I64)
    n = x.shape[axis]
    order = indexing.argsort(x, axis, False)
    if x.dtype.kind != "f":
        return taken(x, order.getitem([slice(None)] * axis + [slice((n - 1) // 2, (n - 1) // 2 + 1)]), axis, keepdims)
    there = number(n, I64) - op("sum", op("isnan", x), (axis,), True)
    if skip:
        wanted = op("maximum", there - number(1, I64), number(0, I64)) // number(2, I64)
    else:
        wanted = op("where", there < number(n, I64), there, number((n - 1) // 2, I64))
    return taken(x, indexing.gather(order, wanted, axis), axis, keepdims)


def median_all(x: Array, skip: bool) -> Array:
    if not x.size:
        if x.dtype.kind != "f":
            raise ValueError("there are no elements")
        return maps.write(new(x.runtime, (), x.dtype), np.asarray(np.nan))
    return median(reshaped(maps.packed(x), (x.size,)), skip, 0, False)[0]


def places_along(x: Array, axis: int) -> Array:
    return upload(x, np.arange(x.shape[axis]).reshape((-1, *(1,) * (x.ndim - 1 - axis))))


def mode(x: Array, axis: int, keepdims: bool) -> tuple[Array, Array]:
    if not x.ndim:
        return maps.copy(x), indexing.zeros(x, (), I64)
    order = indexing.argsort(x, axis, False)
    ordered: Any = indexing.gather(x, order, axis)
    whole = [slice(None)] * axis
    places = places_along(x, axis)
    begins = maps.write(new(x.runtime, x.shape, np.dtype(bool)), True)
    differs = ordered.getitem([*whole, slice(1, None)]) != ordered.getitem([*whole, slice(None, -1)])
    maps.write(begins.getitem([*whole, slice(1, None)]), differs)
    started = indexing.cumulative(">")(op("where", begins, places, number(0, I64)), axis)[0]
    length: Any = op("subtract", places, started)
    return taken(x, indexing.gather(order, op("argmax", length, axis, True), axis), axis, keepdims)


# ---- counting
def item(x: Array) -> Any:
    """Return the value of one element, on the host."""
    made = np.empty((), x.dtype)
    x.runtime.download(made, x.buffer, x.offset)
    return made.item()


def bins(x: Array, minlength: int) -> int:
    return max(int(item(op("amax", x, None, False))) + 1 if x.size else 0, minlength)


def counted(x: Array, weights: Array, length: int) -> Array:
    return indexing.index_sum(weights, (x,), (length,), (0,))


def bincount(x: Array, minlength: int) -> Array:
    ones = maps.write(new(x.runtime, x.shape, I64), 1)
    return counted(x, ones, bins(x, minlength))


def bincount_weighted(x: Array, weights: Array, minlength: int) -> Array:
    return counted(x, weights, bins(x, minlength))


def histc(x: Any, count: int, low: float, high: float) -> Array:
    low_, high_ = number(low, x.dtype), number(high, x.dtype)
    inside = (x >= low_) & (x <= high_)
    places: Any = maps.cast((op("where", inside, x, low_) - low_) * number(count, x.dtype) / number(high - low, x.dtype), I64)
    places = op("minimum", places, number(count - 1, I64))
    weights = maps.cast(inside, I64)
    return maps.cast(counted(reshaped(places, (x.size,)), reshaped(weights, (x.size,)), count), x.dtype)


def histogram(x: Any, weights: Any, edges: Array) -> Array:
    count = edges.shape[0] - 1
    first, last = edges.getitem([0]), edges.getitem([count])
    inside = (x >= first) & (x <= last)
    places: Any = indexing.searchsorted(edges, x, True)
    places = op("clip", places - number(1, I64), number(0, I64), number(count - 1, I64))
    heavy = op("where", inside, weights, number(0, weights.dtype))
    return maps.cast(counted(reshaped(places, (x.size,)), reshaped(maps.packed(heavy), (x.size,)), count), x.dtype)


def runs(x: Array, axis: int | None) -> tuple[Array, Array, Array]:
    """Return (elements or slices that differ from the one before, which run each belongs to, the runs' lengths)."""
    rows: Any = (
        reshaped(maps.packed(x), (x.size,)) if axis is None else x.transpose((axis, *[d for d in range(x.ndim) if d != axis]))
    )
    n = rows.shape[0]
    begins = maps.write(new(x.runtime, (n,), np.dtype(bool)), True)
    if n > 1:
        differs = rows.getitem([slice(1, None)]) != rows.getitem([slice(None, -1)])
        maps.write(
            begins.getitem([slice(1, None)]),
            op("any", differs, tuple(range(1, rows.ndim)), False) if rows.ndim > 1 else differs,
        )
    starts = indexing.true_places(begins)
    places: Any = reductions.running(reductions.SUM, begins, 0, I64, I64) if n else new(x.runtime, (0,), I64)
    places = places - number(1, I64)
    values = indexing.index_get(rows, (starts,), (0,))
    if axis is not None:
        values = maps.packed(values.transpose((*range(1, axis + 1), 0, *range(axis + 1, x.ndim))))
    ends = op("concatenate", (starts.getitem([slice(1, None)]), upload(x, np.asarray([n]))), 0) if n else starts
    return values, reshaped(places, x.shape) if axis is None else places, op("subtract", ends, starts)


def unique(x: Array, axis: int | None, inverse: bool, counts: bool) -> tuple[Array, Array, Array]:
    """Sort, then find the runs; slices along a dim are sorted by each of their elements in turn, the first one last."""
    rows = (
        reshaped(maps.packed(x), (x.size,)) if axis is None else x.transpose((axis, *[d for d in range(x.ndim) if d != axis]))
    )
    n = rows.shape[0]
    order = upload(x, np.arange(n))
    keys = reshaped(maps.packed(rows), (n, rows.size // n if n else 0))
    for column in reversed(range(keys.shape[1])):
        line = indexing.gather(keys.getitem([slice(None), column]), order, 0)
        order = indexing.gather(order, indexing.argsort(line, 0, False), 0)
    ordered = indexing.index_get(rows, (order,), (0,))
    values, which, times = runs(ordered, None if axis is None else 0)
    places = indexing.scatter(indexing.SET, new(x.runtime, (n,), I64), which, order, 0)
    if axis is None:
        return values, reshaped(places, x.shape), times
    return maps.packed(values.transpose((*range(1, axis + 1), 0, *range(axis + 1, x.ndim)))), places, times


# ---- numbers apart
def frexp(x: Array) -> tuple[Array, Array]:
    compute = reductions.floats(x.dtype)
    wide_x = maps.cast(x, compute)
    mantissa, exponent = new(x.runtime, x.shape, compute), new(x.runtime, x.shape, np.dtype(np.int32))
    t = stored(compute)
    each(x.runtime, "frexp", x.size, "    int power = 0; o[i] = frexp(x[i], &power); e[i] = x[i] - x[i] == 0 ? power : 0;",
         [("o", t, mantissa), ("e", "int", exponent), ("x", t, wide_x)], [])  # fmt: skip
    return (mantissa if compute == x.dtype else maps.cast(mantissa, x.dtype)), exponent


NAN_TO_NUM = maps.Formula(
    "nan_to_num", lambda name: "x != x ? nan : x - x == 0 ? x : x > 0 ? posinf : neginf", ["x"], ["nan", "posinf", "neginf"]
)


def nan_to_num(x: Array, nan: Any, posinf: Any, neginf: Any, out: Any = ...) -> Any:
    if x.dtype.kind != "f":
        if x.dtype.kind == "c":
            raise NotImplementedError(maps.without("nan_to_num", "complex numbers"))
        return OPS["copy"].kernels[Array](x, out=out)
    limit = float(np.finfo(x.dtype).max) if x.dtype.name != "bfloat16" else 3.3895313892515355e38
    values = (0.0 if nan is None else nan, limit if posinf is None else posinf, -limit if neginf is None else neginf)
    return NAN_TO_NUM((x,), values, out)


def table() -> dict[str, Callable[..., Any]]:
    halves: Sequence[Callable[..., Any]] = (
        attention_weights, masked_attention_weights, cross_entropy, cross_entropy_pull, mse, moments, normalise, normalise_back,
        normalise_weight, resample, lstm_cell, gru_cell,
    )  # fmt: skip
    plain = (pick, count_samples, frames, paired, kthvalue, median, median_all, mode, bincount, bincount_weighted, histc,
             histogram, unique, frexp, nan_to_num)  # fmt: skip
    made: dict[str, Callable[..., Any]] = {k.__name__: wide(k) for k in halves}
    made |= {k.__name__: k for k in plain}
    rows: dict[str, Any] = {name: rowwise(TABLE[name], TABLE[name]) for name in ROWS}
    for kernel in (normalise, normalise_back):
        rows[kernel.__name__] = rowwise(kernel, made[kernel.__name__])
    rows["logsumexp"] = rowwise(
        lambda x, axis, keepdims: TABLE["logsumexp"](x, axis, True), TABLE["logsumexp"],
        lambda x, axis, keepdims: [reductions.kept_shape(x.shape, reductions.every(x, axis), keepdims)],
    )  # fmt: skip
    apart, centre = made["moments"], rowwise(row_moments, made["moments"])
    rows["moments"] = lambda x, axes, centred: (centre if centred else apart)(x, axes, centred)
    return {**made, **rows, "unique_consecutive": lambda x, axis, inverse, counts: runs(x, axis)}
