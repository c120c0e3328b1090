"""Reductions and scans: one generated kernel for each formula, way of joining, types and layout.

Owns: the kernels of sums, products, extremes and their places, any, all, and of running sums. May import: the shared
printer, arrays, maps, the runtime. Must not know: tensors, gradients. Results are the same in every run.
An array is seen as (outer, inner, along): two dims that stay and one that is reduced; what does not fit is copied first.
Sums have 16 lanes, and a second level every 2048 elements, so that their error grows little with the length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert_codegen import CTYPES, Ctype, Dialect, helper_text, numeral, plan_dims, printed
from wengert_codegen.expressions import complex_part
from wengert_codegen.loops import converted
from wengert_opencl import maps
from wengert_opencl.array import Array, Ints
from wengert_opencl.maps import LONG, SCALARS, known, new
from wengert_opencl.runtime import Runtime

LANES = 16
LEVEL = 128  # steps of all lanes after which they are added to the second level
COLUMNS = 64  # results that a work item works on together where the reduced dim is not the innermost
SPLIT = 1 << 14  # elements of a reduced dim that one work item may have before several share it


@dataclass(frozen=True)
class Join:
    """How elements become one: the start, and the next value `a` of an accumulator and an element `v`."""

    name: str
    step: str
    start: Callable[[np.dtype[Any]], Any]


def lowest(dtype: np.dtype[Any]) -> Any:
    return -math.inf if dtype.kind == "f" else 0 if dtype.kind == "b" else int(np.iinfo(dtype).min)


def highest(dtype: np.dtype[Any]) -> Any:
    return math.inf if dtype.kind == "f" else 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)


SUM = Join("sum", "a + v", lambda dtype: 0)
PROD = Join("prod", "a * v", lambda dtype: 1)
PROD_COMPLEX = Join("prod", "w_times(a, v)", lambda dtype: 1)
MAX = Join("max", "v > a || v != v ? v : a", lowest)
MIN = Join("min", "v < a || v != v ? v : a", highest)
ANY = Join("any", "a | v", lambda dtype: 0)
ALL = Join("all", "a & v", lambda dtype: 1)


def source(
    name: str, join: Join, element: str, reads: Sequence[tuple[str, Ctype, str]], beside: Sequence[tuple[str, Ctype]],
    dtype: np.dtype[Any], out: Ctype, final: str, along: bool, dialect: Dialect,
) -> str:  # fmt: skip
    """Return the source of a kernel out[b, m] = join of element(b, m, r) over r.

    reads: arrays over (b, m, r), with the class of their step along r, and beside: arrays over (b, m) in order, read by
    name in `element`, which also knows `r`. along: whether lanes run along r, else along m. final: the result of `a`.
    """
    ctype = CTYPES[dtype.name]
    made = printed(element, ctype, Dialect(False, 1))
    done = printed(final, ctype, Dialect(False, 1))
    step = printed(join.step, ctype, Dialect(False, 1))
    helpers = made.helpers | done.helpers | step.helpers
    for c in (out, *(c for _, c, _ in reads), *(c for _, c in beside)):
        helpers |= {w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in c.read + c.write}
    t, start = ctype.name, numeral(join.start(dtype), ctype)
    head = [f"__global {out.stored} * restrict o_"]
    for n, c, _ in reads:
        head.append(f"__global const {c.stored} * restrict {n}_, long {n}_at, long {n}_b, long {n}_m, long {n}_r")
    head += [f"__global const {c.stored} * restrict {n}_, long {n}_at" for n, c in beside]
    head += ["long B", "long M", "long R", "long splits", "long part", "long rows"]

    def value(r: str, m: str) -> str:
        lines = ""
        for n, c, kind in reads:
            lanes = {"r": f"{n}_r", "m": f"{n}_m"}
            r_step = "" if kind == "1" and along else f" * {lanes['r']}"
            m_step = "" if kind == "1" and not along else f" * {lanes['m']}"
            place = f"{n}_at + b * {n}_b + ({m}){m_step} + ({r}){r_step}"
            lines += f"{t} {n} = {converted(c.read.format(f'{n}_[{place}]'), c, ctype)}; "
        for n, c in beside:
            lines += f"{t} {n} = {converted(c.read.format(f'{n}_[{n}_at + b * M + ({m})]'), c, ctype)}; "
        return lines + f"{t} v = {made.text};"

    store = out.write.format(converted(done.text, ctype, out) if out.kind != "c" else done.text)
    body = [f"__kernel void {name}({', '.join(head)}) {{", "  long split = get_global_id(1);",
            "  long low = split * part, high = low + part < R ? low + part : R;"]  # fmt: skip
    if along:
        body += [
            "  long top = (long)get_global_id(0) * rows, end = top + rows < B * M ? top + rows : B * M;",
            "  for (long at = top; at < end; at++) {",
            "    long b = at / M, m = at % M;",
            f"    {t} total = {start};",
            "    long r = low;",
            f"    while (high - r >= {LANES}) {{",
            f"      {t} lane[{LANES}];",
            f"      for (int l = 0; l < {LANES}; l++) lane[l] = {start};",
            f"      long stop = high - r > {LANES * LEVEL} ? r + {LANES * LEVEL} : r + (high - r) / {LANES} * {LANES};",
            f"      for (; r < stop; r += {LANES})",
            f"        for (int l = 0; l < {LANES}; l++) {{ {t} a = lane[l]; {value('r + l', 'm').replace('= r;', '= r + l;')} lane[l] = {step.text}; }}",
            f"      {t} a = lane[0];",
            f"      for (int l = 1; l < {LANES}; l++) {{ {t} v = lane[l]; a = {step.text}; }}",
            f"      {{ {t} v = a; a = total; total = {step.text}; }}",
            "    }",
            f"    for (; r < high; r++) {{ {t} a = total; {value('r', 'm')} total = {step.text}; }}",
            f"    {t} a = total;",
            f"    o_[at * splits + split] = {store};",
            "  }",
        ]
    else:
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
            f"        for (; r < stop; r++) for (int l = 0; l < {COLUMNS}; l++) {{ {t} a = lane[l]; {value('r', 'first + l')} lane[l] = {step.text}; }}",
            "      else",
            f"        for (; r < stop; r++) for (int l = 0; l < width; l++) {{ {t} a = lane[l]; {value('r', 'first + l')} lane[l] = {step.text}; }}",
            f"      for (int l = 0; l < {COLUMNS}; l++) {{ {t} a = total[l], v = lane[l]; total[l] = {step.text}; }}",
            "    }",
            f"    for (int l = 0; l < width; l++) {{ {t} a = total[l]; o_[(b * M + first + l) * splits + split] = {store}; }}",
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


def reduce(
    join: Join, arrays: Sequence[Array], axis: Any, keepdims: bool, compute: Any, *, element: str = "x", final: str = "a",
    beside: Sequence[Array] = (), to: Any = None,
) -> Array:  # fmt: skip
    """Return join of element(x, y, ...; p, q, ...; r) over dims. beside: arrays of the result's shape, p and q."""
    x = arrays[0]
    axes = every(x, axis)
    runtime, to = x.runtime, to or compute
    made = new(runtime, kept_shape(x.shape, axes, keepdims), to)
    if not made.size:
        return made
    if not math.prod([x.shape[d] for d in axes]):
        with np.errstate(all="ignore"):
            return maps.write(made, np.asarray(0.0 if "/" in final and False else join.start(compute)).astype(to))
    (B, M, R), views = seen(arrays, axes)
    beside = [maps.packed(p) for p in beside]
    # where the reduced dim is not the innermost, work items take columns side by side
    along = not all([steps[1] == 1 for _, steps in views]) or M < 8 or all([steps[2] == 1 for _, steps in views])
    units = B * M if along else B * (-(-M // COLUMNS))
    wanted = runtime.dialect.cores * 4 if runtime.dialect.cpu else 4096
    splits = 1
    if units < wanted and R > 2 * SPLIT // (1 if along else COLUMNS):
        splits = min(-(-wanted // units), max(1, R // (SPLIT // (1 if along else COLUMNS))))
    part = -(-R // splits)
    splits = -(-R // part)
    rows = max(1, min(-(-units // wanted), -(-8192 // max(part, 1)))) if runtime.dialect.cpu else 1
    last = splits == 1
    target = made if last else new(runtime, (B * M, splits), compute)
    kinds = ["1" if steps[2 if along else 1] == 1 else "s" for _, steps in views]
    names = "xyz"
    out = known(join.name, to if last else compute)
    text = source(
        f"w_{join.name}", join, element, [(n, known(join.name, a.dtype), k) for n, (a, _), k in zip(names, views, kinds, strict=False)],
        [(n, known(join.name, p.dtype)) for n, p in zip("pq", beside, strict=False)], compute, out, final if last else "a", along,
        runtime.dialect,
    )  # fmt: skip
    values: list[Any] = [target.buffer]
    scalars: list[Any] = [None]
    for a, steps in views:
        values += [a.buffer, a.start, *steps]
        scalars += [None, *[LONG] * 4]
    for p in beside:
        values += [p.buffer, p.start]
        scalars += [None, LONG]
    values += [B, M, R, splits, part, rows]
    scalars += [LONG] * 6
    kernel = runtime.kernel(text, f"w_{join.name}", scalars)
    items, group = runtime.grid(-(-units // rows), splits)
    runtime.launch(kernel, items, group, values)
    if last:
        return made
    joined = reduce(join, (target,), (1,), False, compute, final=final, to=to)
    joined.shape, joined.strides = made.shape, made.strides
    return joined


# ---- what ops ask
def added_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that sums and products of a type are computed in."""
    if dtype.kind in "biu":
        return np.dtype(np.int64)
    return np.dtype(np.float32) if dtype.name in ("float16", "bfloat16") else dtype


def result_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.int64) if dtype.kind in "biu" else dtype


def total(x: Array, axis: Any, keepdims: bool) -> Array:
    return reduce(SUM, (x,), axis, keepdims, added_in(x.dtype), to=result_type(x.dtype))


def product(x: Array, axis: Any, keepdims: bool) -> Array:
    return reduce(PROD_COMPLEX if x.dtype.kind == "c" else PROD, (x,), axis, keepdims, added_in(x.dtype), to=result_type(x.dtype))


def count(x: Array, axis: Any) -> int:
    return math.prod([x.shape[d] for d in every(x, axis)])


def mean(x: Array, axis: Any, keepdims: bool) -> Array:
    n = count(x, axis)
    made = reduce(SUM, (x,), axis, keepdims, added_in(x.dtype))
    return maps.cast(made, x.dtype) / maps_number(n, x.dtype) if x.dtype == made.dtype else maps.cast(made / maps_number(n, made.dtype), x.dtype)


def maps_number(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.asarray(value, dtype)


def norm2(x: Array, axis: Any, keepdims: bool) -> Array:
    if x.dtype.kind == "c":
        size = x.part(False) * x.part(False) + x.part(True) * x.part(True)
        return reduce(SUM, (size,), axis, keepdims, size.dtype, final="sqrt(a)")
    return reduce(SUM, (x,), axis, keepdims, added_in(x.dtype), element="x * x", final="sqrt(a)", to=x.dtype)


def spread_out(x: Array, p: Array, axis: Any) -> Array:
    """Return an array with its reduced dims kept as ones."""
    axes = every(x, axis)
    return p.reshaped(kept_shape(x.shape, axes, True)) or p


def variance(x: Array, axis: Any, correction: float, keepdims: bool, root: bool = False) -> Array:
    if x.dtype.kind == "c":
        real, imag = (variance(x.part(i), axis, correction, keepdims) for i in (False, True))
        both = real + imag
        return reduce(SUM, (both,), (), False, both.dtype, final="sqrt(a)") if root else both
    compute = added_in(x.dtype)
    n = count(x, axis)
    middle = reduce(SUM, (x,), axis, keepdims, compute) / maps_number(n, compute)
    squares = reduce(SUM, (x,), axis, keepdims, compute, element="(x - p) * (x - p)", beside=(middle,))
    degrees = max(n - correction, 0)
    with np.errstate(all="ignore"):
        made = squares / maps_number(degrees, compute)
    if root:
        made = reduce(SUM, (made,), (), False, compute, final="sqrt(a)")
    return maps.cast(made, x.dtype) if made.dtype != x.dtype else made


def extreme(join: Join) -> Callable[..., Array]:
    return lambda x, axis, keepdims: reduce(join, (x,), axis, keepdims, x.dtype if x.dtype.name not in ("float16", "bfloat16") else np.dtype(np.float32), to=x.dtype)


def place(join: Join) -> Callable[..., Array]:
    """Return the kernel of the place of an extreme: the smallest index where an element equals it, or is nan with it."""
    found = extreme(join)

    def run(x: Array, axis: Any, keepdims: bool) -> Array:
        axes = every(x, None if axis is None else (axis,) if isinstance(axis, int) else axis)
        best = found(x, axes, False)
        compute = np.dtype(np.float64) if x.dtype.kind == "f" else np.dtype(np.int64)
        del compute
        if axis is None and x.ndim > 1:
            x = maps.packed(x).reshaped((x.size,))  # type: ignore[assignment]
            axes = (0,)
        return first_where(x, best, axes, keepdims, kept_shape(x.shape, axes, keepdims) if axis is not None else None)

    return run


def first_where(x: Array, best: Array, axes: Ints, keepdims: bool, shape: Ints | None) -> Array:
    far = np.iinfo(np.int64).max
    same = "x == p || (x != x && p != p) ? (long)r : " + numeral(far, CTYPES["int64"])
    made = reduce_places(x, best, axes, same)
    return made if shape is None and not keepdims else made.reshaped(shape if shape is not None else (1,) * 1) or made


def reduce_places(x: Array, best: Array, axes: Ints, same: str) -> Array:
    return reduce(Places(x.dtype), (x,), axes, False, np.dtype(np.int64), element=same, beside=(best,))


def Places(dtype: np.dtype[Any]) -> Join:
    return MIN


def truth(join: Join) -> Callable[..., Array]:
    def run(x: Array, axis: Any, keepdims: bool) -> Array:
        element = "(x.x != 0 || x.y != 0)" if x.dtype.kind == "c" else "x != 0"
        return reduce(join, (x,), axis, keepdims, np.dtype(bool), element=element)

    return run
