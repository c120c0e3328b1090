"""Windows that slide over images: unfolding, pooling, convolution, padding.

Owns: these kernels. May import: the loops written by hand, arrays, maps, products. Must not know: tensors, gradients.
Images have any number of dims in front and one to three spatial ones; sizes, kernel, stride, padding and dilation are
tuples with an entry for each. A convolution is a product of matrices with the windows as columns, some images at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert_codegen import CTYPES, numeral
from wengert_opencl import maps, reductions
from wengert_opencl.array import Array, Ints
from wengert_opencl.each import each, moved
from wengert_opencl.indexing import back, reshaped, widened
from wengert_opencl.maps import new
from wengert_opencl.products import matmul

COLUMNS = 1 << 24  # bytes of columns that are made at a time


def sizes(spatial: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Ints:
    """Return how many windows there are, a spatial dim."""
    every = zip(spatial, kernel, stride, padding, dilation, strict=True)
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in every])


def numbers(**values: Sequence[int]) -> list[tuple[str, int]]:
    """Return kernel arguments: entry d of `name` as name0, name1, ..."""
    return [(f"{name}{d}", n) for name, entries in values.items() for d, n in enumerate(entries)]


def decoded(index: str, name: str, size: str, dims: int) -> str:
    """Return C that takes an index apart into coordinates name0, name1, ...; what is left is `index`."""
    return "".join([f"    long {name}{d} = {index} % {size}{d}; {index} /= {size}{d};\n" for d in reversed(range(dims))])


def flat(name: str, size: str, dims: int) -> str:
    """Return C of the index that coordinates have."""
    text = f"{name}0"
    for d in range(1, dims):
        text = f"({text}) * {size}{d} + {name}{d}"
    return text


def over_places(dims: int, body: str) -> str:
    """Return C that runs `body` for every place j0, j1, ... of a window; `number` counts them."""
    opening = "".join([f"    for (long j{d} = 0; j{d} < k{d}; j{d}++)\n" for d in range(dims)])
    return f"    long number = -1;\n{opening}    {{ number++;\n{body}    }}\n"


def inside(dims: int) -> str:
    """Return C that sets p0, p1, ... to the element at a place of window w0, w1, ..., and goes on where there is none."""
    text = "".join([f"      long p{d} = w{d} * s{d} - a{d} + j{d} * e{d};\n" for d in range(dims)])
    return text + "      if (" + " || ".join([f"p{d} < 0 || p{d} >= n{d}" for d in range(dims)]) + ") continue;\n"


def windows_with(dims: int) -> str:
    """Return C that sets w0, w1, ... to the window that has element p0, p1, ... at a place, and goes on where there is none."""
    text = "".join([f"      long v{d} = p{d} + a{d} - j{d} * e{d}, w{d} = v{d} / s{d};\n" for d in range(dims)])
    return (
        text + "      if (" + " || ".join([f"v{d} < 0 || v{d} % s{d} || w{d} >= m{d}" for d in range(dims)]) + ") continue;\n"
    )


def unfold_windows(x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Array:
    x, spatial, dims = maps.packed(x), x.shape[2:], len(kernel)
    size = sizes(spatial, kernel, stride, padding, dilation)
    made = new(x.runtime, (*x.shape[:2], math.prod(kernel), *size), x.dtype)
    if made.size and not x.size:
        return maps.write(made, 0)
    last = dims - 1
    body = "    long rest = i;\n" + decoded("rest", "w", "m", last) + decoded("rest", "j", "k", dims)
    body += "".join([f"    long p{d} = w{d} * s{d} - a{d} + j{d} * e{d};\n" for d in range(last)])
    outside = " || ".join(["0", *[f"p{d} < 0 || p{d} >= n{d}" for d in range(last)]])
    at = flat("p", "n", dims).replace(f"p{last}", "0")
    c = moved(x.dtype)
    body += f"""    __global {c} *to = o + i * m{last};
    if ({outside}) {{ for (long w = 0; w < m{last}; w++) to[w] = 0; continue; }}
    __global {c} *from = x + rest * {product_of("n", dims)} + {at};
    long start = j{last} * e{last} - a{last};
    long low = start < 0 ? (s{last} - 1 - start) / s{last} : 0, left = n{last} - 1 - start;
    long high = left < 0 ? 0 : left / s{last} + 1;
    if (high > m{last}) high = m{last};
    if (low > high) low = high;
    for (long w = 0; w < low; w++) to[w] = 0;
    if (s{last} == 1) for (long w = low; w < high; w++) to[w] = from[w + start];
    else for (long w = low; w < high; w++) to[w] = from[w * s{last} + start];
    for (long w = high; w < m{last}; w++) to[w] = 0;"""
    rows, least = (made.size // size[-1], max(1, 2048 // size[-1])) if made.size else (0, 1)
    each(x.runtime, "unfold", rows, body, [("o", c, made), ("x", c, x)],
         numbers(n=spatial, m=size, k=kernel, s=stride, a=padding, e=dilation), least=least)  # fmt: skip
    return made


def product_of(name: str, dims: int) -> str:
    return " * ".join([f"{name}{d}" for d in range(dims)])


def fold_windows(y: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Array:
    """Each element is the sum of the windows' elements that lie there."""
    dtype, dims, size = y.dtype, len(kernel), y.shape[3:]
    y = maps.packed(y if reductions.floats(dtype) == dtype else widened(y))
    made = new(y.runtime, (*y.shape[:2], *spatial), y.dtype)
    c = CTYPES[y.dtype.name]
    body = f"    long rest = i; {c.name} a = {numeral(0, c)};\n" + decoded("rest", "p", "n", dims)
    body += over_places(
        dims,
        windows_with(dims)
        + f"      a += x[(rest * {product_of('k', dims)} + number) * {product_of('m', dims)} + {flat('w', 'm', dims)}];\n",
    )
    each(y.runtime, "fold", made.size, body + "    o[i] = a;", [("o", c.stored, made), ("x", c.stored, y)],
         numbers(n=spatial, m=size, k=kernel, s=stride, a=padding, e=dilation))  # fmt: skip
    return back(made, dtype)


# ---- pooling
def winner_type(kernel: Ints) -> np.dtype[Any]:
    return np.dtype(np.uint8 if math.prod(kernel) < 255 else np.uint32)


def pool(name: str, x: Array, made: Array, start: str, step: str, end: str, others: Any, size: Ints, kernel: Ints, stride: Ints,
         padding: Ints, dilation: Ints) -> Array:  # fmt: skip
    """Fill an array with an entry a window: `step` sees v, the element at a place, and `number`."""
    dims = len(kernel)
    c = CTYPES[x.dtype.name]
    x = maps.packed(x)
    body = f"    long rest = i; {start}\n" + decoded("rest", "w", "m", dims)
    place = f"x[rest * {product_of('n', dims)} + {flat('p', 'n', dims)}]"
    body += over_places(dims, inside(dims) + f"      {c.name} v = {c.read.format(place)};\n      {step}\n")
    arrays = [("o", CTYPES[made.dtype.name].stored, made), ("x", c.stored, x), *others]
    helpers = frozenset(w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in c.read + c.write)
    each(x.runtime, name, made.size, f"{body}    {end}", arrays,
         numbers(n=x.shape[-dims:], m=size, k=kernel, s=stride, a=padding, e=dilation), helpers=helpers, least=128)  # fmt: skip
    return made


def pool_max(x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Array:
    made = new(x.runtime, (*x.shape[: -len(kernel)], *size), x.dtype)
    c = CTYPES[x.dtype.name]
    start = f"{c.name} a = {numeral(reductions.lowest(x.dtype), c)};"
    end = f"o[i] = {c.write.format('a')};"
    return pool("pool_max", x, made, start, "a = v > a || v != v ? v : a;", end, [], size, kernel, stride, padding, dilation)


def pool_winner(x: Array, out: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Array:
    """The place of each window's maximum: the first of equal ones, the last nan; a number that no place has for none."""
    made = new(x.runtime, out.shape, winner_type(kernel))
    none = int(np.iinfo(made.dtype).max)
    c, out = CTYPES[x.dtype.name], maps.packed(out)
    nan = "v != v || " if c.kind == "f" else ""
    start = f"long a = {none}; {c.name} top = {c.read.format('y[i]')};"
    step = f"if ({nan}(a == {none} && v == top)) a = number;"
    return pool(
        "pool_winner", x, made, start, step, "o[i] = a;", [("y", c.stored, out)], size, kernel, stride, padding, dilation
    )


def pool_sum(x: Array, kernel: Ints, stride: Ints, padding: Ints, size: Ints, scale: float) -> Array:
    dtype = x.dtype
    wide = x if reductions.floats(dtype) == dtype else widened(x)
    made = new(x.runtime, (*x.shape[: -len(kernel)], *size), wide.dtype)
    c = CTYPES[wide.dtype.name]
    end = f"o[i] = a * {numeral(scale, c) if c.kind == 'f' else scale};"
    start, dilation = f"{c.name} a = {numeral(0, c)};", (1,) * len(kernel)
    pool("pool_sum", wide, made, start, "a += v;", end, [], size, kernel, stride, padding, dilation)
    return back(made, dtype)


def spread(name: str, y: Array, spatial: Ints, condition: str, others: Any, kernel: Ints, stride: Ints, padding: Ints,
           dilation: Ints, scale: float = 1) -> Array:  # fmt: skip
    """Return, for each element, the sum of what windows have that it lies in, where a condition holds."""
    dtype, dims = y.dtype, len(kernel)
    y = maps.packed(y if reductions.floats(dtype) == dtype else widened(y))
    made = new(y.runtime, (*y.shape[:-dims], *spatial), y.dtype)
    c = CTYPES[y.dtype.name]
    body = f"    long rest = i; {c.name} a = {numeral(0, c)};\n" + decoded("rest", "p", "n", dims)
    found = f"      long at = rest * {product_of('m', dims)} + {flat('w', 'm', dims)};\n      if ({condition}) a += x[at];\n"
    body += over_places(dims, windows_with(dims) + found)
    factor = "" if scale == 1 else f" * {numeral(scale, c)}"
    each(y.runtime, name, made.size, f"{body}    o[i] = a{factor};", [("o", c.stored, made), ("x", c.stored, y), *others],
         numbers(n=spatial, m=y.shape[-dims:], k=kernel, s=stride, a=padding, e=dilation), least=128)  # fmt: skip
    return back(made, dtype)


def pool_put(y: Array, winner: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Array:
    winner = maps.packed(winner)
    others = [("q", CTYPES[winner.dtype.name].stored, winner)]
    return spread("pool_put", y, spatial, "q[at] == number", others, kernel, stride, padding, dilation)


def pool_spread(y: Array, kernel: Ints, stride: Ints, padding: Ints, spatial: Ints, scale: float) -> Array:
    return spread("pool_spread", y, spatial, "1", [], kernel, stride, padding, (1,) * len(kernel), scale)


def pool_take(x: Array, winner: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Array:
    made, c, winner = new(x.runtime, winner.shape, x.dtype), CTYPES[x.dtype.name], maps.packed(winner)
    others = [("q", CTYPES[winner.dtype.name].stored, winner)]
    start, end = f"{c.name} a = {numeral(0, c)};", f"o[i] = {c.write.format('a')};"
    return pool("pool_take", x, made, start, "if (q[i] == number) a = v;", end, others,
                winner.shape[-len(kernel) :], kernel, stride, padding, dilation)  # fmt: skip


# ---- convolution
def images_at_a_time(count: int, columns: int, size: int) -> int:
    return max(1, min(count, COLUMNS // max(columns * size, 1)))


def single(kernel: Ints, stride: Ints, padding: Ints) -> bool:
    """Say whether windows are single elements, every one."""
    return all([k == s == 1 and not p for k, s, p in zip(kernel, stride, padding, strict=True)])


def columns(x: Array, groups: int, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Array:
    """Return the windows of images as matrices, (images, groups, channels * kernel, windows)."""
    made = x if single(kernel, stride, padding) else unfold_windows(x, kernel, stride, padding, dilation)
    rows = x.shape[1] // groups * math.prod(kernel)
    return reshaped(made, (x.shape[0], groups, rows, math.prod(sizes(x.shape[2:], kernel, stride, padding, dilation))))


def part(x: Array, start: int, stop: int) -> Array:
    return x.getitem([slice(start, stop)])


def convolution(
    x: Array, weight: Array, biases: Sequence[Any], stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Array:
    kernel = weight.shape[2:]
    size = sizes(x.shape[2:], kernel, stride, padding, dilation)
    channels, count = weight.shape[0], x.shape[0]
    made: Any = new(x.runtime, (count, channels, *size), x.dtype)
    if not made.size or not weight.size:
        maps.write(made, 0)
    else:
        rows = reshaped(weight, (groups, channels // groups, -(-weight.size // channels)))
        step = images_at_a_time(count, x.shape[1] * math.prod(kernel) * math.prod(size), x.dtype.itemsize)
        for start in range(0, count, step):
            stop = min(start + step, count)
            found = matmul(rows, columns(part(x, start, stop), groups, kernel, stride, padding, dilation))
            if step >= count:
                made = reshaped(found, made.shape)
            else:
                maps.write(part(made, start, stop), reshaped(found, (stop - start, channels, *size)))
    if biases:
        return made + biases[0].view((channels, *(1,) * len(kernel)), (biases[0].strides[0], *(0,) * len(kernel)), 0)  # type: ignore[no-any-return]
    return made  # type: ignore[no-any-return]


def convolution_input(
    y: Array, weight: Array, spatial: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Array:
    kernel, count = weight.shape[2:], y.shape[0]
    made = new(y.runtime, (count, weight.shape[1] * groups, *spatial), y.dtype)
    if not made.size or not y.size or not weight.size:
        return maps.write(made, 0)
    inner = weight.shape[1] * math.prod(kernel)
    rows = reshaped(weight, (groups, weight.shape[0] // groups, inner)).transpose((0, 2, 1))
    size = y.shape[2:]
    step = images_at_a_time(count, inner * groups * math.prod(size), y.dtype.itemsize)
    for start in range(0, count, step):
        stop = min(start + step, count)
        wanted = reshaped(part(y, start, stop), (stop - start, groups, y.shape[1] // groups, math.prod(size)))
        found = matmul(rows, wanted)
        if single(kernel, stride, padding):
            found = reshaped(found, (stop - start, *made.shape[1:]))
        else:
            found = reshaped(found, (stop - start, made.shape[1], math.prod(kernel), *size))
            found = fold_windows(found, kernel, stride, padding, dilation, spatial)
        maps.write(part(made, start, stop), found)
    return made


def convolution_weight(y: Array, x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Array:
    channels, width, count = y.shape[1], x.shape[1] // groups, x.shape[0]
    shape = (channels, width, *kernel)
    made: Any = None
    size = y.shape[2:]
    step = images_at_a_time(count, x.shape[1] * math.prod(kernel) * math.prod(size), x.dtype.itemsize)
    for start in range(0, count if y.size and x.size else 0, step):
        stop = min(start + step, count)
        wanted = reshaped(part(y, start, stop), (stop - start, groups, channels // groups, math.prod(size)))
        found = columns(part(x, start, stop), groups, kernel, stride, padding, dilation)
        sums = reductions.total(matmul(wanted, found.transpose((0, 1, 3, 2))), (0,), False)
        made = sums if made is None else made + sums
    return maps.write(new(x.runtime, shape, y.dtype), 0) if made is None else reshaped(made, shape)


# ---- padding and triangles
def constant_pad(x: Array, pads: Any, value: Any) -> Array:
    made = new(x.runtime, tuple([n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)]), x.dtype)
    maps.write(made, np.asarray(value))
    kept = [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pads, strict=True)]
    place = [slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(made.shape, pads, strict=True)]
    maps.write(made.getitem(place), x.getitem(kept))
    return made


def triangle(x: Array, upper: bool, offset: int) -> Array:
    x = maps.packed(x)
    made, c = new(x.runtime, x.shape, x.dtype), moved(x.dtype)
    sign = ">=" if upper else "<="
    each(x.runtime, f"triangle_{int(upper)}", made.size, f"    o[i] = i % n - i / n % m {sign} offset ? x[i] : ({c})(0);",
         [("o", c, made), ("x", c, x)], [("m", x.shape[-2]), ("n", x.shape[-1]), ("offset", offset)])  # fmt: skip
    return made


def windows_sum(values: Array, shape: Any, dim: int, size: int, step: int) -> Array:
    """Add windows up where they lie; the elements of a window are the last dim of `values`."""
    dtype = values.dtype
    values = maps.packed(values if reductions.floats(dtype) == dtype else widened(values))
    made = new(values.runtime, tuple(shape), values.dtype)
    c = CTYPES[values.dtype.name]
    count, after = values.shape[dim], math.prod(shape[dim + 1 :])
    each(values.runtime, "windows_sum", made.size, f"""
    long r = i % after, p = i / after % n, b = i / after / n;
    {c.name} a = {numeral(0, c)};
    long first = p - size + 1 > 0 ? (p - size + step) / step : 0, last = p / step < count - 1 ? p / step : count - 1;
    for (long w = first; w <= last; w++) a += x[((b * count + w) * after + r) * size + p - w * step];
    o[i] = a;""", [("o", c.stored, made), ("x", c.stored, values)],
         [("n", shape[dim]), ("after", after), ("count", count), ("size", size), ("step", step)])  # fmt: skip
    return back(made, dtype)
