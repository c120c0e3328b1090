"""Reductions and scans: one generated kernel for each formula, way of joining, types and layout.

Owns: the kernels of sums, products, extremes and their places, any, all, and of running sums. May import: the shared
printer, arrays, maps, the runtime. Must not know: tensors, gradients. Results are the same in every run.
An array is seen as (outer, inner, along): two dims that stay and one that is reduced; what does not fit is copied first.
Sums have 16 lanes, and a second level every 2048 elements, so that their error grows little with the length.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.op import OPS
from wengert_codegen import CTYPES, SCALAR, Ctype, Dialect, helper_text, numeral, plan_dims, printed
from wengert_codegen.expressions import complex_part
from wengert_codegen.joins import ALL as ALL
from wengert_codegen.joins import ANY as ANY
from wengert_codegen.joins import LOG_SUM
from wengert_codegen.joins import MAX as MAX
from wengert_codegen.joins import MIN as MIN
from wengert_codegen.joins import PROD as PROD
from wengert_codegen.joins import PROD_COMPLEX as PROD_COMPLEX
from wengert_codegen.joins import SUM as SUM
from wengert_codegen.joins import Join as Join
from wengert_codegen.joins import lowest as lowest
from wengert_codegen.loops import converted
from wengert_opencl import maps
from wengert_opencl.array import Array, Ints
from wengert_opencl.maps import LONG, known, new
from wengert_opencl.runtime import ELEMENTS, ITEMS

LANES = 16
LEVEL = 128  # steps of all lanes after which they are added to the second level
COLUMNS = 128  # results that a work item works on together where the reduced dim is not the innermost
SPLIT = 1 << 14  # elements of a reduced dim that one work item may have before several share it


@functools.lru_cache(maxsize=4096)
def source(
    name: str, join: Join, element: str, reads: tuple[tuple[str, Ctype, int], ...], beside: tuple[tuple[str, Ctype], ...],
    used: Ctype, dtype: np.dtype[Any], out: Ctype, final: str, along: bool,
) -> str:  # fmt: skip
    """Return the source of a kernel out[b, m] = join of element(b, m, k) over k.

    reads: arrays over (b, m, k), with their step where the lanes run: 0, 1, or -1 for any; beside: arrays over (b, m) in order.
    Both are read by name in `element` as type `used`; k is a name, too. along: whether lanes run along k, else along m.
    final: the result by `a`.
    """
    ctype, plain = CTYPES[dtype.name], Dialect(False, 1)
    made, done, step = printed(element, used, plain), printed(final, ctype, plain), printed(join.step, ctype, plain)
    helpers = made.helpers | done.helpers | step.helpers
    for c in (out, *(c for _, c, _ in reads), *(c for _, c in beside)):
        helpers |= {w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in c.read + c.write}
    t, start = ctype.name, numeral(join.start(dtype), ctype)
    head = [f"__global {out.stored} * restrict o_"]
    head += [f"__global const {c.stored} * restrict {n}_, long {n}_at, long {n}_b, long {n}_m, long {n}_k" for n, c, _ in reads]
    head += [f"__global const {c.stored} * restrict {n}_, long {n}_at" for n, c in beside]
    head += ["long B", "long M", "long R", "long splits", "long part", "long rows"]

    def value(place: str, column: str) -> str:
        text = f"long k = {place}, i = {column}; "
        for n, c, step in reads:
            k, m = f"k * {n}_k", f"i * {n}_m"
            lane = {0: "0", 1: "k" if along else "i"}.get(step)
            k, m = (lane or k, m) if along else (k, lane or m)
            text += f"{used.name} {n} = {converted(c.read.format(f'{n}_[{n}_at + b * {n}_b + {m} + {k}]'), c, used)}; "
        for n, c in beside:
            text += f"{used.name} {n} = {converted(c.read.format(f'{n}_[{n}_at + b * M + i]'), c, used)}; "
        return f"{text}{t} v = {made.text};"

    store = out.write.format(converted(done.text, ctype, out))
    body = [f"__kernel void {name}({', '.join(head)}) {{", "  long split = get_global_id(1);",
            "  long low = split * part, high = low + part < R ? low + part : R;"]  # fmt: skip
    if along:
        body += [
            "  long top = (long)get_global_id(0) * rows, end = top + rows < B * M ? top + rows : B * M;",
            "  for (long at = top; at < end; at++) {",
            "    long b = at / M, m = at % M, r = low;",
            f"    {t} total = {start};",
            f"    while (high - r >= {LANES}) {{",
            f"      {t} lane[{LANES}];",
            f"      for (int l = 0; l < {LANES}; l++) lane[l] = {start};",
            f"      long stop = high - r > {LANES * LEVEL} ? r + {LANES * LEVEL} : r + (high - r) / {LANES} * {LANES};",
            f"      for (; r < stop; r += {LANES})",
            f"        for (int l = 0; l < {LANES}; l++) {{ {t} a = lane[l]; {value('r + l', 'm')} lane[l] = {step.text}; }}",
            f"      {t} a = lane[0];",
            f"{SCALAR}      for (int l = 1; l < {LANES}; l++) {{ {t} v = lane[l]; a = {step.text}; }}",
            f"      {{ {t} v = a; a = total; total = {step.text}; }}",
            "    }",
            f"{SCALAR}    for (; r < high; r++) {{ {t} a = total; {value('r', 'm')} total = {step.text}; }}",
            f"    {t} a = total;",
            f"    o_[at * splits + split] = {store};",
            "  }",
        ]
    else:
        columns = f"{{ {t} a = lane[l]; {value('r', 'first + l')} lane[l] = {step.text}; }}"
        body += [
            f"  long tiles = (M + {COLUMNS - 1}) / {COLUMNS}, top = (long)get_global_id(0) * rows;",
            "  long end = top + rows < B * tiles ? top + rows : B * tiles;",
            "  for (long tile = top; tile < end; tile++) {",
            f"    long b = tile / tiles, first = tile % tiles * {COLUMNS};",
            f"    int width = M - first < {COLUMNS} ? (int)(M - first) : {COLUMNS};",
            f"    {t} total[{COLUMNS}], lane[{COLUMNS}];",
            f"    for (int l = 0; l < {COLUMNS}; l++) total[l] = {start};",
            "    for (long r = low; r < high;) {",
            f"      for (int l = 0; l < {COLUMNS}; l++) lane[l] = {start};",
            f"      long stop = r + {LEVEL * 4} < high ? r + {LEVEL * 4} : high;",
            f"      if (width == {COLUMNS})",
            f"        for (; r < stop; r++) for (int l = 0; l < {COLUMNS}; l++) {columns}",
            "      else",
            f"        for (; r < stop; r++) for (int l = 0; l < width; l++) {columns}",
            f"      for (int l = 0; l < {COLUMNS}; l++) {{ {t} a = total[l], v = lane[l]; total[l] = {step.text}; }}",
            "    }",
            f"{SCALAR}    for (int l = 0; l < width; l++)",
            f"    {{ {t} a = total[l]; o_[(b * M + first + l) * splits + split] = {store}; }}",
            "  }",
        ]
    return helper_text(helpers, complex_part(ctype).name) + "\n".join([*body, "}", ""])


# ---- layouts
def every(x: Any, axis: Any) -> Ints:
    return tuple(range(x.ndim)) if axis is None else axis


def kept_shape(shape: Ints, axes: Ints, keepdims: bool) -> Ints:
    return tuple([1 if d in axes else n for d, n in enumerate(shape) if keepdims or d not in axes])


def seen(arrays: Sequence[Array], axes: Ints) -> tuple[Ints, list[tuple[Array, Ints]]]:
    """Return the sizes (outer, inner, along) of arrays of one shape, and each with its three steps, in elements."""
    x = arrays[0]
    kept = [d for d in range(x.ndim) if d not in axes]
    shapes = []
    for group in (kept, axes):
        shapes.append(plan_dims(tuple([x.shape[d] for d in group]), [tuple([a.strides[d] for d in group]) for a in arrays]))
    (outer, outer_steps), (along, along_steps) = shapes
    if len(outer) > 2 or len(along) > 1:
        order = (*kept, *axes)
        arrays = [maps.copy(a.transpose(order)) for a in arrays]
        n, r = math.prod([x.shape[d] for d in kept]), math.prod([x.shape[d] for d in axes])
        return (1, n, r), [(a, (0, r, 1)) for a in arrays]
    if len(outer) == 1:
        outer, outer_steps = (1, *outer), [(0, *s) for s in outer_steps]
    size = [a.dtype.itemsize for a in arrays]
    return (*outer, *along), [
        (a, (o[0] // s, o[1] // s, r[0] // s)) for a, o, r, s in zip(arrays, outer_steps, along_steps, size, strict=True)
    ]


@dataclass
class Plan:
    """How a reduction runs on arrays of certain layouts: steps of each, and the numbers after them."""

    kernel: Any
    items: Ints
    group: Ints
    shape: Ints
    steps: Sequence[Ints]
    tail: Ints

    def values(self, made: Array, arrays: Sequence[Array], beside: Sequence[Array]) -> list[Any]:
        """Return the kernel's arguments."""
        values = [made.buffer]
        for a, steps in zip(arrays, self.steps, strict=True):
            values += [a.buffer, a.offset and a.start, *steps]
        for p in beside:
            values += [p.buffer, p.offset and p.start]
        return [*values, *self.tail]


_plans: dict[Any, Plan] = {}  # of reductions in one step, by what they are and the layouts of their arrays


def reduce(
    join: Join, arrays: Sequence[Array], axis: Any, keepdims: bool, compute: Any, *, element: str = "x", final: str = "a",
    beside: Sequence[Array] = (), used: Any = None, to: Any = None,
) -> Array:  # fmt: skip
    """Return join of element(x, y; p, q; k) over dims, in type `compute`, as type `to`. beside: arrays p and q of the
    result's elements; used: the type that elements are read as."""
    x = arrays[0]
    runtime, to = x.runtime, to or compute
    key = (join, axis, keepdims, compute, element, final, used, to, *[a.layout for a in arrays], *[p.layout for p in beside])
    plan = _plans.get(key)
    if plan is not None:
        made = new(runtime, plan.shape, to)
        runtime.launch(plan.kernel, plan.items, plan.group, plan.values(made, arrays, beside))
        return made
    axes = every(x, axis)
    made = new(runtime, kept_shape(x.shape, axes, keepdims), to)
    if not made.size:
        return made
    if not math.prod([x.shape[d] for d in axes]):
        return maps.write(made, np.asarray(join.start(compute)))
    (B, M, R), views = seen(arrays, axes)
    given, beside = beside, [maps.packed(p) for p in beside]
    # where the reduced dim is not the innermost one, a work item takes columns side by side
    side_by_side = all([steps[1] in (0, 1) for _, steps in views]) and any([steps[1] for _, steps in views])
    along = M < 8 or not side_by_side or all([steps[2] == 1 for _, steps in views])
    units, share = (B * M, SPLIT) if along else (B * -(-M // COLUMNS), SPLIT // COLUMNS)
    wanted = runtime.dialect.cores * ITEMS if runtime.dialect.cpu else 4096
    splits = min(-(-wanted // units), R // share) if units < wanted and R > 2 * share else 1
    part = -(-R // splits)
    splits = -(-R // part)
    rows = max(1, min(units // wanted, ELEMENTS // part)) if runtime.dialect.cpu else 1
    last = splits == 1
    target = made if last else new(runtime, (B * M, splits), compute)
    lane = 2 if along else 1
    reads = [
        (n, known(join.name, a.dtype), s[lane] if s[lane] in (0, 1) else -1) for n, (a, s) in zip("xy", views, strict=False)
    ]
    sides = [(n, known(join.name, p.dtype)) for n, p in zip("pq", beside, strict=False)]
    text = source(
        f"k_{join.name}", join, element, tuple(reads), tuple(sides), known(join.name, used or compute), compute,
        known(join.name, to if last else compute), final if last else "a", along,
    )  # fmt: skip
    scalars: list[Any] = [None, *[None, *[LONG] * 4] * len(views), *[None, LONG] * len(beside), *[LONG] * 6]
    kernel = runtime.kernel(text, f"k_{join.name}", scalars)
    items, group = runtime.grid(-(-units // rows), splits)
    here, steps = zip(*views, strict=True)
    plan = Plan(kernel, items, group, made.shape, steps, (B, M, R, splits, part, rows))
    runtime.launch(kernel, items, group, plan.values(target, here, beside))
    if last and all([a is b for a, b in zip((*here, *beside), (*arrays, *given), strict=True)]):  # none was copied
        if len(_plans) > 4096:
            _plans.clear()
        _plans[key] = plan
    if last:
        return made
    joined = reduce(join, (target,), (1,), False, compute, final=final, to=to)
    return joined.reshaped(made.shape) or joined


# ---- what ops ask
def added_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that sums and products of a type are computed in."""
    return np.dtype(np.int64) if dtype.kind in "biu" else floats(dtype)


@functools.cache
def floats(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that a type is computed in."""
    return np.dtype(np.float32) if dtype.name in ("float16", "bfloat16") else dtype


def result(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.int64) if dtype.kind in "biu" else dtype


def number(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.asarray(value, dtype)


def count(x: Array, axis: Any) -> int:
    return math.prod([x.shape[d] for d in every(x, axis)])


def total(x: Array, axis: Any, keepdims: bool) -> Array:
    return reduce(SUM, (x,), axis, keepdims, added_in(x.dtype), to=result(x.dtype))


def product(x: Array, axis: Any, keepdims: bool) -> Array:
    join = PROD_COMPLEX if x.dtype.kind == "c" else PROD
    return reduce(join, (x,), axis, keepdims, added_in(x.dtype), to=result(x.dtype))


def mean(x: Any, axis: Any, keepdims: bool) -> Array:
    compute = added_in(x.dtype)
    with np.errstate(all="ignore"):
        made: Any = reduce(SUM, (x,), axis, keepdims, compute)
        made = made / number(count(x, axis), made.dtype)
    return made if made.dtype == x.dtype else maps.cast(made, x.dtype)


def squares(x: Any) -> Array:
    """Return the squares of the sizes of complex numbers."""
    return x.part(False) * x.part(False) + x.part(True) * x.part(True)  # type: ignore[no-any-return]


def norm2(x: Any, axis: Any, keepdims: bool) -> Array:
    if x.dtype.kind == "c":
        sizes = squares(x)
        return reduce(SUM, (sizes,), axis, keepdims, sizes.dtype, final="sqrt(a)")
    return reduce(SUM, (x,), axis, keepdims, added_in(x.dtype), element="x * x", final="sqrt(a)", to=x.dtype)


def variance(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    if x.dtype.kind == "c":
        return variance(x.part(False), axis, correction, keepdims) + variance(x.part(True), axis, correction, keepdims)
    compute, n = added_in(x.dtype), count(x, axis)
    middle: Any = reduce(SUM, (x,), axis, keepdims, compute)
    middle = middle / number(n, compute)
    made: Any = reduce(SUM, (x,), axis, keepdims, compute, element="(x - p) * (x - p)", beside=(middle,))
    made = made / number(max(n - correction, 0), compute)
    return made if made.dtype == x.dtype else maps.cast(made, x.dtype)


def deviation(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    made = variance(x, axis, correction, keepdims)
    return ROOT((made,))


ROOT = maps.Formula("sqrt", lambda name: "sqrt(x)", ["x"])


def extreme(join: Join) -> Callable[..., Array]:
    """Return the kernel of the largest or the smallest element. Raises for an element of the result that is of none."""

    def run(x: Array, axis: Any, keepdims: bool) -> Array:
        if not x.size:
            OPS["amax"].infer(x, axis, keepdims)  # type: ignore[misc]
        return reduce(join, (x,), axis, keepdims, floats(x.dtype), to=x.dtype)

    return run


def place(join: Join) -> Callable[..., Array]:
    """Return the kernel of the place of an extreme: the smallest index where an element equals it, or is nan with it."""
    best = extreme(join)

    def run(x: Array, axis: Any, keepdims: bool) -> Array:
        flat = maps.packed(x).reshaped((x.size,)) if axis is None else x
        assert flat is not None
        axes = (0,) if axis is None else (axis,) if flat.ndim else ()
        found = places(flat, best(flat, axes, False), axes, keepdims)
        shape = (1,) * x.ndim if keepdims and axis is None else found.shape
        return found.reshaped(shape) or found

    return run


def places(x: Array, best: Array, axes: Ints, keepdims: bool) -> Array:
    """Return the smallest index along dims where x is what `best` says."""
    element = "x == p || (x != x && p != p) ? k : 9223372036854775807"
    return reduce(MIN, (x,), axes, keepdims, np.dtype(np.int64), element=element, beside=(best,), used=floats(x.dtype))


def truth(join: Join) -> Callable[..., Array]:
    def run(x: Array, axis: Any, keepdims: bool) -> Array:
        element = "x.x != 0 || x.y != 0" if x.dtype.kind == "c" else "x != 0"
        return reduce(join, (x,), axis, keepdims, np.dtype(bool), element=element, used=floats(x.dtype))

    return run


# ---- scans
def scan(join: Join) -> Callable[..., Array]:
    def run(x: Array, axis: int) -> Array:
        how = PROD_COMPLEX if join is PROD and x.dtype.kind == "c" else join
        return running(how, x, axis, result(x.dtype), added_in(x.dtype))

    return run


def logcumsumexp(x: Array, axis: int) -> Array:
    if x.dtype.kind == "c":
        raise maps.Missing(maps.without("logcumsumexp", "complex numbers"))
    return running(LOG_SUM, x, axis, x.dtype, floats(x.dtype))


def running(join: Join, x: Array, axis: int, to: np.dtype[Any], compute: np.dtype[Any]) -> Array:
    """Return the running sum or product along a dim, by parts: the total of each, the totals before it, its elements."""
    runtime = x.runtime
    made = new(runtime, x.shape, to)
    if not made.size:
        return made
    x = maps.packed(x)
    n = x.shape[axis] if x.ndim else 1
    after = math.prod(x.shape[axis + 1 :])
    before = x.size // (n * after)
    ctype, given, out = known(join.name, compute), known(join.name, x.dtype), known(join.name, to)
    step = printed(join.step, ctype, Dialect(False, 1))
    helpers = step.helpers
    for c in (given, out):
        helpers |= {w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in c.read + c.write}
    t, start = ctype.name, numeral(join.start(compute), ctype)
    read = converted(given.read.format("x_[x_at + b * n * after + k * after + i]"), given, ctype)
    place = """  long lane = get_global_id(0), part = get_global_id(1);
  if (lane >= lanes) return;
  long b = lane / after, i = lane % after, low = part * size, high = low + size < n ? low + size : n;
"""
    head = "long x_at, long n, long after, long lanes, long size, long parts"
    text = (
        helper_text(helpers, complex_part(ctype).name)
        + f"""
__kernel void k_scan_totals(__global {t} * restrict o_, __global const {given.stored} * restrict x_, {head}) {{
{place}  {t} a = {start};
  for (long k = low; k < high; k++) {{ {t} v = {read}; a = {step.text}; }}
  o_[lane * parts + part] = a;
}}
__kernel void k_scan_{join.name}(__global {out.stored} * restrict o_, __global const {given.stored} * restrict x_,
    __global const {t} * restrict p_, {head}) {{
{place}  {t} a = {start};
  for (long k = 0; k < part; k++) {{ {t} v = p_[lane * parts + k]; a = {step.text}; }}
  for (long k = low; k < high; k++) {{
    {t} v = {read}; a = {step.text};
    o_[b * n * after + k * after + i] = {out.write.format(converted("a", ctype, out))};
  }}
}}
"""
    )
    lanes = before * after
    wanted = runtime.dialect.cores * ITEMS if runtime.dialect.cpu else 4096
    parts = max(1, min(-(-wanted // lanes), n // ELEMENTS))
    size = -(-n // parts)
    parts = -(-n // size)
    numbers = (x.start, n, after, lanes, size, parts)
    totals = new(runtime, (lanes, parts), compute)
    items, group = runtime.grid(lanes, parts)
    if parts > 1:
        runtime.launch(
            runtime.kernel(text, "k_scan_totals", [None, None, *[LONG] * 6]), items, group, (totals.buffer, x.buffer, *numbers)
        )
    kernel = runtime.kernel(text, f"k_scan_{join.name}", [None, None, None, *[LONG] * 6])
    runtime.launch(kernel, items, group, (made.buffer, x.buffer, totals.buffer, *numbers))
    return made
