"""Gathering, scattering, masks and sorting.

Owns: these kernels. May import: the loops written by hand, arrays, maps, reductions. Must not know: tensors, gradients.
Results are the same in every run: where several elements are written to one place, one work item does it, in their order.
An index that is out of range reads or writes the nearest element, and the device's flag is set: who waits for the device next
gets an IndexError.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert_codegen import CTYPES, Dialect, printed
from wengert_codegen.expressions import complex_part
from wengert_opencl import maps, reductions
from wengert_opencl.array import Array, Ints
from wengert_opencl.each import each, inside, moved, steps_of, stored, strided
from wengert_opencl.maps import new
from wengert_opencl.reductions import PROD, SUM, Join

I64 = np.dtype(np.int64)
SET = Join("set", "v", lambda dtype: 0)
RUN = 32  # elements that are sorted by insertion before runs are merged
PIECE = 1024  # elements of a merged run that a work item of a cpu writes
LANES = 64


def reshaped(x: Array, shape: Ints) -> Array:
    made = x.reshaped(shape)
    if made is None:
        made = maps.copy(x).reshaped(shape)
    assert made is not None
    return made


def whole(index: Array) -> Array:
    """Return indices as packed int64."""
    return maps.packed(index) if index.dtype == I64 else maps.cast(index, I64)


def there(*indexed: tuple[Array, int]) -> None:
    """Raise IndexError for an index into a dim that has no elements."""
    if any([n == 0 and index.size for index, n in indexed]):
        raise IndexError("index is out of bounds for dimension with size 0")


# ---- reading
@functools.lru_cache(maxsize=4096)
def take_text(shape: Ints, steps: Ints, theirs: tuple[Ints, ...]) -> tuple[str, list[tuple[str, int]]]:
    """Return the lines that read an element for `take`, and the numbers of its layout; theirs: steps of the index arrays."""
    places, numbers = strided(shape, [("at", steps), *((f"j{k}", own) for k, own in enumerate(theirs))])
    moves = [f"\n    {{ long v_ = q{k}[j{k}]; {inside('v_', f'm{k}')} at += v_ * s{k}; }}" for k in range(len(theirs))]
    return f"{places}{''.join(moves)}\n    o[i] = x[at];", numbers


def take(x: Array, shape: Ints, steps: Ints, indices: Sequence[tuple[Array, int, int]]) -> Array:
    """Return elements of x in a shape: each where its coordinates times steps, and the indices there, lead.

    indices: (array that broadcasts to the shape, step of the indexed dim, its size)
    """
    there(*[(index, n) for index, _, n in indices])
    made = new(x.runtime, shape, x.dtype)
    if not made.size:
        return made
    views = [index.broadcast_to(shape) for index, _, _ in indices]
    places, numbers = take_text(tuple(shape), steps, tuple([steps_of(v) for v in views]))
    c = moved(x.dtype)
    arrays = [("o", c, made), ("x", c, x), *[(f"q{k}", stored(v.dtype), v) for k, v in enumerate(views)]]
    for k, (_, step, n) in enumerate(indices):
        numbers = [*numbers, (f"m{k}", n), (f"s{k}", step)]
    each(x.runtime, "take", made.size, places, arrays, numbers, checks=tuple([f"m{k}" for k in range(len(views))]))
    return made


def gather(x: Array, index: Array, dim: int) -> Array:
    if not x.ndim:
        return maps.copy(x)
    steps = steps_of(x)
    return take(x, index.shape, tuple([0 if d == dim else s for d, s in enumerate(steps)]), [(index, steps[dim], x.shape[dim])])


def front(places: Ints) -> int:
    """Return where the dims of index arrays stand in the result: in their place if adjacent, else in front."""
    return places[0] if places == tuple(range(places[0], places[0] + len(places))) else 0


def index_get(x: Array, indices: Sequence[Array], places: Ints) -> Array:
    picked = np.broadcast_shapes(*[i.shape for i in indices])
    rest = [d for d in range(x.ndim) if d not in places]
    at = front(places)
    steps = steps_of(x)
    shape = (*[x.shape[d] for d in rest[:at]], *picked, *[x.shape[d] for d in rest[at:]])
    moves = (*[steps[d] for d in rest[:at]], *(0,) * len(picked), *[steps[d] for d in rest[at:]])
    after = len(rest) - at
    views = [v.view((*v.shape, *(1,) * after), (*v.strides, *(0,) * after), 0) for v in indices]
    return take(x, shape, moves, [(v, steps[p], x.shape[p]) for v, p in zip(views, places, strict=True)])


def embedding(weight: Array, index: Array, padding: int, by_frequency: bool) -> Array:
    return index_get(weight, (index,), (0,))


# ---- writing
def scatter(join: Join, made: Array, values: Array, index: Array, dim: int) -> Array:
    """Join values into a packed array along a dim, and return it: a work item has a line along dim, or part of its places."""
    if index.size:
        there((index, made.shape[dim] if made.ndim else 1))
    if not index.size or not made.size:
        return made
    runtime = made.runtime
    if not made.ndim:
        made, values, index = (reshaped(v, (1,)) for v in (made, values, index))
        scatter(join, made, values, index, 0)
        return reshaped(made, ())
    ctype = CTYPES[made.dtype.name]
    step = printed(join.step, ctype, Dialect(False, 1))
    values, index = maps.packed(values), whole(index)
    if values.dtype != made.dtype:
        values = maps.cast(values, made.dtype)
    lines = tuple([1 if d == dim else n for d, n in enumerate(index.shape)])
    own, theirs, put = steps_of(made), steps_of(index), steps_of(values)
    places, numbers = strided(lines, [("at", own), ("from", theirs), ("of", put)])
    count = math.prod(lines)
    parts = 1 if count >= runtime.dialect.cores or index.shape[dim] < 4096 else runtime.dialect.cores
    body = f"""
    long part_ = i % parts, i_ = i / parts;
{places.replace("long rest_ = i", "long rest_ = i_")}
    long low_ = part_ * size, high_ = low_ + size;
    for (long k = 0; k < n; k++) {{
      long j_ = q[from + k * qs]; {inside("j_", "m")}
      if (j_ < low_ || j_ >= high_) continue;
      {ctype.name} a = {ctype.read.format("o[at + j_ * os]")}, v = {ctype.read.format("x[of + k * vs]")};
      o[at + j_ * os] = {ctype.write.format(step.text)};
    }}"""
    size = -(-made.shape[dim] // parts)
    numbers += [("n", index.shape[dim]), ("m", made.shape[dim]), ("os", own[dim]), ("qs", theirs[dim]), ("vs", put[dim]),
                ("parts", parts), ("size", size)]  # fmt: skip
    arrays = [("o", ctype.stored, made), ("x", ctype.stored, values), ("q", "long", index)]
    helpers = step.helpers | {
        w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in ctype.read + ctype.write
    }
    each(runtime, f"scatter_{join.name}", count * parts, body, arrays, numbers,
         helpers=frozenset(helpers), part=complex_part(ctype).name, least=1, checks=("m",))  # fmt: skip
    return made


def widened(x: Array) -> Array:
    """Return a packed copy, float16 as float32: what is added to it soon loses its digits else."""
    return maps.cast(x, reductions.floats(x.dtype))


def back(made: Array, dtype: np.dtype[Any]) -> Array:
    return made if made.dtype == dtype else maps.cast(made, dtype)


def zeros(like: Array, shape: Ints, dtype: np.dtype[Any]) -> Array:
    return maps.write(new(like.runtime, tuple(shape), dtype), 0)


def scatter_op(x: Array, values: Array, index: Array, dim: int, accumulate: bool) -> Array:
    if accumulate:
        return back(scatter(SUM, widened(x), values, index, dim), x.dtype)
    return scatter(SET, maps.copy(x), values, index, dim)


def scatter_sum(values: Array, index: Array, shape: Any, dim: int) -> Array:
    return back(scatter(SUM, zeros(values, shape, reductions.floats(values.dtype)), values, index, dim), values.dtype)


def scatter_by(join: Join) -> Callable[..., Array]:
    def run(x: Array, values: Array, index: Array, dim: int) -> Array:
        chosen = reductions.PROD_COMPLEX if join is PROD and x.dtype.kind == "c" else join
        return scatter(chosen, maps.copy(x), values, index, dim)

    return run


def rows(join: Join, made: Array, index: Array, values: Array) -> None:
    """Join rows (count, width) into the rows of `made` that an index names: a work item has some columns, or some targets."""
    runtime = made.runtime
    count, width = values.shape
    if not values.size or not made.size:
        return
    ctype = CTYPES[made.dtype.name]
    step = printed(join.step, ctype, Dialect(False, 1))
    values = maps.packed(values) if values.dtype == made.dtype else maps.cast(values, made.dtype)
    strips = -(-width // LANES)
    parts = 1 if strips >= runtime.dialect.cores or count < 4096 else runtime.dialect.cores
    body = f"""
    long part_ = i % parts, c0 = i / parts * {LANES}, c1 = c0 + {LANES} < width ? c0 + {LANES} : width;
    long low_ = part_ * size, high_ = low_ + size;
    for (long k = 0; k < n; k++) {{
      long j_ = q[k];
      if (j_ < low_ || j_ >= high_) continue;
      for (long c = c0; c < c1; c++) {{
        {ctype.name} a = {ctype.read.format("o[j_ * width + c]")}, v = {ctype.read.format("x[k * width + c]")};
        o[j_ * width + c] = {ctype.write.format(step.text)};
      }}
    }}"""
    numbers = [("n", count), ("width", width), ("parts", parts), ("size", -(-made.shape[0] // parts))]
    helpers = step.helpers | {
        w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in ctype.read + ctype.write
    }
    arrays = [("o", ctype.stored, made), ("x", ctype.stored, values), ("q", "long", index)]
    each(runtime, f"rows_{join.name}", strips * parts, body, arrays, numbers, helpers=frozenset(helpers),
         part=complex_part(ctype).name, least=1)  # fmt: skip


def put_at(join: Join, made: Array, values: Array, indices: Sequence[Array], places: Ints) -> Array:
    """Join values into a packed array at index arrays, and return the result."""
    picked = np.broadcast_shapes(*[i.shape for i in indices])
    rest = [d for d in range(made.ndim) if d not in places]
    at, ndim = front(places), len(picked)
    shape = (*[made.shape[d] for d in rest[:at]], *picked, *[made.shape[d] for d in rest[at:]])
    values = values.broadcast_to(shape)
    count, width = math.prod(picked), math.prod([made.shape[d] for d in rest])
    there(*[(i, made.shape[p]) for i, p in zip(indices, places, strict=True)])
    if not count or not width:
        return made
    flat = new(made.runtime, (count,), I64)
    views = [maps.copy(whole(i).broadcast_to(picked)) for i in indices]
    terms, scale = [], 1
    for k in reversed(range(len(places))):
        terms.append(f"    {{ long v_ = q{k}[i]; {inside('v_', f'm{k}')} at += v_ * {scale}L; }}")
        scale *= made.shape[places[k]]
    each(made.runtime, "places", count, "    long at = 0;\n" + "\n".join(terms) + "\n    o[i] = at;",
         [("o", "long", flat), *((f"q{k}", "long", v) for k, v in enumerate(views))],
         [(f"m{k}", made.shape[p]) for k, p in enumerate(places)],
         checks=tuple([f"m{k}" for k in range(len(places))]))  # fmt: skip
    moved_axes = [*range(at, at + ndim), *range(at), *range(at + ndim, len(shape))]
    table = reshaped(values.transpose(moved_axes), (count, width))
    order = [*places, *rest]
    laid = maps.packed(made.transpose(order))
    rows(join, reshaped(laid, (scale, width)), flat, table)
    if laid.buffer is made.buffer:
        return made
    return maps.packed(laid.transpose([order.index(d) for d in range(made.ndim)]))


def as_array(values: Any, like: Array) -> Array:
    """Return values as an array; a number becomes one of its own."""
    return values if type(values) is Array else maps.write(new(like.runtime, (), like.dtype), values)


def index_put(x: Array, values: Any, indices: Any, places: Ints, accumulate: bool) -> Array:
    values = as_array(values, x)
    if accumulate:
        return back(put_at(SUM, widened(x), values, indices, places), x.dtype)
    return put_at(SET, maps.copy(x), values, indices, places)


def index_sum(values: Any, indices: Any, shape: Any, places: Ints) -> Array:
    made = zeros(indices[0], tuple(shape), reductions.floats(values.dtype))
    return back(put_at(SUM, made, as_array(values, made), indices, places), values.dtype)


# ---- masks
def true_places(mask: Array) -> Array:
    """Return where the elements of a mask, flattened, are true."""
    flat = maps.packed(mask)
    if not flat.size:
        return new(mask.runtime, (0,), I64)
    flat = reshaped(flat if flat.dtype == bool else reductions.truth(reductions.ANY)(flat, (), False), (flat.size,))
    sums = reductions.running(SUM, flat, 0, I64, I64)
    last = np.empty(1, np.int64)
    mask.runtime.download(last, sums.buffer, (flat.size - 1) * 8)
    made = new(mask.runtime, (int(last[0]),), I64)
    if made.size:
        each(mask.runtime, "true_places", flat.size, "    if (x[i]) o[c[i] - 1] = i;",
             [("o", "long", made), ("x", "uchar", flat), ("c", "long", sums)], [])  # fmt: skip
    return made


def nonzero(x: Array) -> Array:
    found = true_places(x)
    count = found.size
    made = new(x.runtime, (count, x.ndim), I64)
    if made.size:
        lines = ["    long rest_ = x[i];"]
        for d in reversed(range(x.ndim)):
            lines.append(f"    o[i * {x.ndim} + {d}] = {f'rest_ % n{d}; rest_ /= n{d}' if d else 'rest_'};")
        each(x.runtime, "nonzero", count, "\n".join(lines), [("o", "long", made), ("x", "long", found)],
             [(f"n{d}", n) for d, n in enumerate(x.shape)])  # fmt: skip
    return made


def mask_get(x: Array, mask: Array, dim: int) -> Array:
    found, stop = true_places(mask), dim + mask.ndim
    flat = reshaped(maps.packed(x), (math.prod(x.shape[:dim]), math.prod(mask.shape), math.prod(x.shape[stop:])))
    return reshaped(index_get(flat, (found,), (1,)), (*x.shape[:dim], found.size, *x.shape[stop:]))


def mask_put(x: Array, values: Any, mask: Array, dim: int) -> Array:
    made, stop = maps.copy(x), dim + mask.ndim
    found = true_places(mask)
    values = as_array(values, x).broadcast_to((*x.shape[:dim], found.size, *x.shape[stop:]))
    sizes = (math.prod(x.shape[:dim]), math.prod(mask.shape), math.prod(x.shape[stop:]))
    return reshaped(
        put_at(SET, reshaped(made, sizes), reshaped(values, (sizes[0], found.size, sizes[2])), (found,), (1,)), x.shape
    )


# ---- sorting
def argsort(x: Array, axis: int, descending: bool) -> Array:
    """Return the order of elements along a dim, equal ones as they stand, nan as the largest: runs of 32 by insertion, then
    merged in pairs."""
    if not x.ndim:
        return zeros(x, (), I64)
    n = x.shape[axis]
    made = new(x.runtime, x.shape, I64)
    if not x.size:
        return made
    keys = maps.packed(x.transpose([*[d for d in range(x.ndim) if d != axis], axis]))
    order = sorted_rows(maps.cast(keys, reductions.floats(x.dtype)), n, x.size // n, descending)
    back_again = [*range(axis), x.ndim - 1, *range(axis, x.ndim - 1)]
    return maps.packed(reshaped(order, keys.shape).transpose(back_again))


def sorted_rows(keys: Array, n: int, count: int, descending: bool) -> Array:
    """Return the order of `count` packed rows of n keys. The keys are moved along, in an array that is written to."""
    runtime = keys.runtime
    if keys.dtype.kind == "c":
        raise TypeError("complex numbers have no order")
    t, sign = stored(keys.dtype), ">" if descending else "<"
    nan = ("u != u && v == v" if descending else "v != v && u == u") if keys.dtype.kind == "f" else "0"
    before = f"int w_before({t} u, {t} v) {{ return u {sign} v || ({nan}); }}\n"
    orders = [new(runtime, (count * n,), I64) for _ in range(2)]
    others = [keys, new(runtime, keys.shape, keys.dtype)]
    runs = -(-n // RUN)
    each(runtime, "sort_runs", count * runs, f"""
    long row = i / runs, low = i % runs * {RUN}, m = n - low < {RUN} ? n - low : {RUN};
    {t} key[{RUN}]; int place[{RUN}];
    for (int j = 0; j < m; j++) {{
      {t} v = x[row * n + low + j];
      int k = j;
      for (; k > 0 && w_before(v, key[k - 1]); k--) {{ key[k] = key[k - 1]; place[k] = place[k - 1]; }}
      key[k] = v; place[k] = j;
    }}
    for (int j = 0; j < m; j++) {{ x[row * n + low + j] = key[j]; o[row * n + low + j] = low + place[j]; }}""",
         [("x", t, keys), ("o", "long", orders[0])], [("n", n), ("runs", runs)], before=before, least=16)  # fmt: skip
    width, turn = RUN, 0
    while width < n:
        piece = min(2 * width, PIECE if runtime.dialect.cpu else 64)
        pieces = -(-n // piece)
        each(runtime, "merge_runs", count * pieces, f"""
    long row = i / pieces * n, at = i % pieces * piece, end = at + piece < n ? at + piece : n;
    long start = at / (2 * width) * 2 * width, half_ = start + width < n ? start + width : n;
    long stop = start + 2 * width < n ? start + 2 * width : n;
    __global {t} *a = x + row + start, *b = x + row + half_;
    __global long *pa = p + row + start, *pb = p + row + half_;
    long na = half_ - start, nb = stop - half_, d = at - start;
    long low = d > nb ? d - nb : 0, high = d < na ? d : na;
    while (low < high) {{
      long mid = (low + high) / 2;
      if (w_before(b[d - 1 - mid], a[mid])) high = mid; else low = mid + 1;
    }}
    long ia = low, ib = d - low;
    for (long k = at; k < end; k++) {{
      int second = ia >= na || (ib < nb && w_before(b[ib], a[ia]));
      y[row + k] = second ? b[ib] : a[ia];
      o[row + k] = second ? pb[ib] : pa[ia];
      if (second) ib++; else ia++;
    }}""", [("x", t, others[turn]), ("y", t, others[1 - turn]), ("p", "long", orders[turn]), ("o", "long", orders[1 - turn])],
             [("n", n), ("width", width), ("piece", piece), ("pieces", pieces)], before=before, least=1)  # fmt: skip
        width, turn = 2 * width, 1 - turn
    return orders[turn]


# ---- running extremes, with their places
def cumulative(sign: str) -> Callable[..., tuple[Array, Array]]:
    """Return the kernel of a running extreme and its place, the last of equal ones; a nan stays."""

    def run(x: Array, axis: int) -> tuple[Array, Array]:
        values, places = new(x.runtime, x.shape, x.dtype), new(x.runtime, x.shape, I64)
        if not x.ndim:
            return maps.copy(x), zeros(x, (), I64)
        if not x.size:
            return values, places
        x = maps.packed(x)
        c = CTYPES[x.dtype.name]
        n, after = x.shape[axis], math.prod(x.shape[axis + 1 :])
        read = c.read.format("x[at]")
        nan = f"v != v || (best == best && v {sign}= best)" if x.dtype.kind == "f" else f"v {sign}= best"
        helpers = frozenset(w for w in ("w_from_half", "w_from_bfloat") if w in c.read)
        each(x.runtime, "running", x.size // n, f"""
    long at = i / after * n * after + i % after, place = 0, kept = at;
    {c.name} best = {read};
    for (long k = 0; k < n; k++, at += after) {{
      {c.name} v = {read};
      if (k == 0 || {nan}) {{ best = v; place = k; kept = at; }}
      o[at] = x[kept]; p[at] = place;
    }}""", [("o", c.stored, values), ("p", "long", places), ("x", c.stored, x)], [("n", n), ("after", after)],
             helpers=helpers, least=1)  # fmt: skip
        return values, places

    return run


def searchsorted(sequence: Array, values: Array, right: bool) -> Array:
    made = new(values.runtime, values.shape, I64)
    if not made.size:
        return made
    compute = np.result_type(sequence.dtype, values.dtype)
    sequence, values = (maps.cast(v, reductions.floats(compute)) for v in (sequence, values))
    t, n = stored(sequence.dtype), sequence.shape[-1]
    row = "0" if sequence.ndim == 1 else "i / m * n"
    below = "u <= v || v != v" if right else "u < v || (v != v && u == u)"
    if sequence.dtype.kind != "f":
        below = "u <= v" if right else "u < v"
    each(made.runtime, "search", made.size, f"""
    long low = 0, high = n, row = {row};
    {t} v = y[i];
    while (low < high) {{
      long mid = (low + high) / 2;
      {t} u = x[row + mid];
      if ({below}) low = mid + 1; else high = mid;
    }}
    o[i] = low;""", [("o", "long", made), ("x", t, sequence), ("y", t, values)],
         [("n", n), ("m", values.shape[-1] if values.ndim else 1)])  # fmt: skip
    return made


def isin(x: Array, y: Array) -> Array:
    """Say which elements are among others: by search where these are sorted."""
    made = new(x.runtime, x.shape, np.dtype(bool))
    if not made.size or not y.size:
        return maps.write(made, False)
    compute = reductions.floats(np.result_type(x.dtype, y.dtype))
    x, flat = maps.cast(x, compute), reshaped(maps.cast(y, compute), (y.size,))
    flat = gather(flat, argsort(flat, 0, False), 0)
    found: Any = searchsorted(flat, x, False)
    near = index_get(flat, (found,), (0,))
    same: Any = near == x
    return maps.cast(same, np.dtype(bool))
