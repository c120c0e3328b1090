"""Windows that slide over images: unfolding, pooling, convolution, padding.

Owns: these kernels. May import: the loops written by hand, arrays, maps, products. Must not know: tensors, gradients.
Images have any number of dims in front and one to three spatial ones; sizes, kernel, stride, padding and dilation are
tuples with an entry for each. A convolution that `shifting` has no kernel for is a product of matrices with the windows as
columns, some images at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert_codegen import CTYPES, numeral
from wengert_opencl import maps, reductions, shifting
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


def constants(**values: Sequence[int]) -> str:
    """Return C that gives numbers their names: compilers make short code of loops and divisions by what they know."""
    return "".join([f"#define {name} {n}l\n" for name, n in numbers(**values)])


def decoded(index: str, name: str, size: str, dims: int) -> str:
    """Return C that takes an index apart into coordinates name0, name1, ...; what is left is `index`."""
    return "".join([f"    long {name}{d} = {index} % {size}{d}; {index} /= {size}{d};\n" for d in reversed(range(dims))])


def flat(name: str, size: str, dims: int) -> str:
    """Return C of the index that coordinates have."""
    text = f"{name}0"
    for d in range(1, dims):
        text = f"({text}) * {size}{d} + {name}{d}"
    return text


def rows_with(dims: int, body: str) -> str:
    """Return C that goes over all places of a window, and over the windows low <= w < high of the last dim that have their
    place j in the row i of elements: `number` counts places, `from` is where those windows start, start + w * s the element."""
    last = dims - 1
    text = "    long rest = i;\n" + decoded("rest", "p", "n", last)
    for d in range(last):
        text += f"    for (long j{d} = 0; j{d} < k{d}; j{d}++) {{\n"
        text += f"      long v{d} = p{d} + a{d} - j{d} * e{d}, w{d} = v{d} / s{d};\n"
        text += f"      if (v{d} < 0 || w{d} * s{d} != v{d} || w{d} >= m{d}) continue;\n"
    number, at = flat("j", "k", dims), flat("w", "m", dims).replace(f"w{last}", "0")
    text += f"""    for (long j{last} = 0; j{last} < k{last}; j{last}++) {{
      long number = {number}, from = {at}, start = j{last} * e{last} - a{last};
{over_row(last)}{body}
    }}"""
    return text + " }" * last + "\n"


def over_row(d: int) -> str:
    """Return C that sets low and high to the windows of a row whose element start + w * s is there."""
    return f"""      long low = start < 0 ? (s{d} - 1 - start) / s{d} : 0, left = n{d} - 1 - start;
      long high = left < 0 ? 0 : left / s{d} + 1;
      if (high > m{d}) high = m{d};
      if (low > high) low = high;
"""


def along(d: int, text: str) -> str:
    """Return C of a loop over windows of a row, w, and their elements, p; compilers have vectors for steps that they know."""
    loops = [f"for (long w = low; w < high; w++) {{ long p = start + w * {step}; {text} }}" for step in ("1", "2", f"s{d}")]
    return f"      if (s{d} == 1) {loops[0]}\n      else if (s{d} == 2) {loops[1]}\n      else {loops[2]}"


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
{over_row(last)}    for (long w = 0; w < low; w++) to[w] = 0;
{along(last, "to[w] = from[p];")}
    for (long w = high; w < m{last}; w++) to[w] = 0;"""
    rows, least = (made.size // size[-1], max(1, 2048 // size[-1])) if made.size else (0, 1)
    each(x.runtime, "unfold", rows, body, [("o", c, made), ("x", c, x)],
         numbers(n=spatial, m=size, k=kernel, s=stride, a=padding, e=dilation), least=least)  # fmt: skip
    return made


def product_of(name: str, dims: int) -> str:
    return " * ".join([f"{name}{d}" for d in range(dims)])


def fold_windows(y: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Array:
    """Each element is the sum of the windows' elements that lie there."""
    dims = len(kernel)
    m, k = (" * ".join([f"{name}{d}" for d in range(dims)]) for name in "mk")
    return by_rows("fold", y, y.shape[:2], spatial, y.shape[3:], f"(rest * {k} + number) * {m} + from + w", "",
                   [], kernel, stride, padding, dilation)  # fmt: skip


def by_rows(
    name: str, y: Array, before: Ints, spatial: Ints, size: Ints, at: str, condition: str, others: Any, kernel: Ints,
    stride: Ints, padding: Ints, dilation: Ints, scale: float = 1,
) -> Array:  # fmt: skip
    """Return, for each element, the sum of what windows have that it lies in, where a condition on `at` holds: `at` is where
    window w of the row `from` has it. A work item has rows of elements."""
    dtype, last = y.dtype, len(kernel) - 1
    y = maps.packed(y if reductions.floats(dtype) == dtype else widened(y))
    made = new(y.runtime, (*before, *spatial), y.dtype)
    if not made.size:
        return back(made, dtype)
    c = CTYPES[y.dtype.name]
    one = f"to[p] += {condition and condition + ' ? '}x[{at}]{condition and ' : ' + numeral(0, c)};"
    body = f"    __global {c.stored} *to = o + i * n{last};\n    for (long l = 0; l < n{last}; l++) to[l] = {numeral(0, c)};\n"
    body += rows_with(len(kernel), along(last, one.replace("@", at)))
    if scale != 1:
        body += f"    for (long l = 0; l < n{last}; l++) to[l] *= {numeral(scale, c)};\n"
    work = math.prod(kernel) * spatial[-1]
    each(y.runtime, name, made.size // spatial[-1], body, [("o", c.stored, made), ("x", c.stored, y), *others],
         numbers(n=spatial, m=size), least=max(1, 4096 // work),
         before=constants(k=kernel, s=stride, a=padding, e=dilation))  # fmt: skip
    return back(made, dtype)


# ---- pooling
def winner_type(kernel: Ints) -> np.dtype[Any]:
    return np.dtype(np.uint8 if math.prod(kernel) < 255 else np.uint32)


def pool(name: str, x: Array, made: Array, start: str, step: str, others: Any, size: Ints, kernel: Ints, stride: Ints,
         padding: Ints, dilation: Ints) -> Array:  # fmt: skip
    """Fill an array with an entry a window: `to[w]`, which is `start`, then `step` for each place, which sees v, the element
    there, a, the entry, and `number`. A work item has rows of windows."""
    dims = len(kernel)
    last, c, entry = dims - 1, CTYPES[x.dtype.name], CTYPES[made.dtype.name]
    x = maps.packed(x)
    body = "    long rest = i;\n" + decoded("rest", "w", "m", last)
    body += f"    long first = i * m{last}; __global {entry.stored} *to = o + first;\n"
    body += f"    for (long w = 0; w < m{last}; w++) to[w] = {start};\n"
    for d in range(last):
        body += f"    for (long j{d} = 0; j{d} < k{d}; j{d}++) {{ long p{d} = w{d} * s{d} - a{d} + j{d} * e{d};\n"
        body += f"      if (p{d} < 0 || p{d} >= n{d}) continue;\n"
    body += f"    for (long j{last} = 0; j{last} < k{last}; j{last}++) {{\n"
    body += f"      long number = {flat('j', 'k', dims)}, start = j{last} * e{last} - a{last};\n{over_row(last)}"
    row = flat("p", "n", dims).replace(f"p{last}", "0")
    body += f"      __global {c.stored} *from = x + rest * {product_of('n', dims)} + {row};\n"
    read = f"{c.name} v = {c.read.format('from[p]')}; {entry.name} a = {entry.read.format('to[w]')};"
    body += along(last, f"{read} to[w] = {entry.write.format(step)};") + "\n    }" + " }" * last
    arrays = [("o", entry.stored, made), ("x", c.stored, x), *others]
    helpers = frozenset(w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in c.read + c.write)
    rows, work = (made.size // size[-1], math.prod(kernel) * size[-1]) if made.size else (0, 1)
    each(x.runtime, name, rows, body, arrays, numbers(n=x.shape[-dims:], m=size), helpers=helpers,
         least=max(1, 4096 // work), before=constants(k=kernel, s=stride, a=padding, e=dilation))  # fmt: skip
    return made


def pool_max(x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Array:
    made = new(x.runtime, (*x.shape[: -len(kernel)], *size), x.dtype)
    c = CTYPES[x.dtype.name]
    start = c.write.format(numeral(reductions.lowest(x.dtype), c))
    return pool("pool_max", x, made, start, "v > a || v != v ? v : a", [], size, kernel, stride, padding, dilation)


def pool_winner(x: Array, out: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Array:
    """The place of each window's maximum: the first of equal ones, the last nan; a number that no place has for none."""
    made = new(x.runtime, out.shape, winner_type(kernel))
    none = int(np.iinfo(made.dtype).max)
    c, out = CTYPES[x.dtype.name], maps.packed(out)
    nan = "v != v || " if c.kind == "f" else ""
    entry = CTYPES[made.dtype.name].name
    step = f"{nan}(a == {none}u && v == {c.read.format('y[first + w]')}) ? ({entry})number : a"
    return pool("pool_winner", x, made, f"{none}u", step, [("y", c.stored, out)], size, kernel, stride, padding, dilation)


def pool_sum(x: Array, kernel: Ints, stride: Ints, padding: Ints, size: Ints, scale: float) -> Array:
    dtype = x.dtype
    wide = x if reductions.floats(dtype) == dtype else widened(x)
    made = new(x.runtime, (*x.shape[: -len(kernel)], *size), wide.dtype)
    c = CTYPES[wide.dtype.name]
    pool("pool_sum", wide, made, numeral(0, c), "a + v", [], size, kernel, stride, padding, (1,) * len(kernel))
    if scale != 1 and made.size:
        factor = numeral(scale, c) if c.kind == "f" else str(scale)
        each(x.runtime, "scaled", made.size, f"    o[i] = o[i] * {factor};", [("o", c.stored, made)], [])
    return back(made, dtype)


def pool_put(y: Array, winner: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Array:
    winner = maps.packed(winner)
    entry = CTYPES[winner.dtype.name]
    others = [("q", entry.stored, winner)]
    return spread("pool_put", y, spatial, f"q[@] == ({entry.name})number", others, kernel, stride, padding, dilation)


def pool_spread(y: Array, kernel: Ints, stride: Ints, padding: Ints, spatial: Ints, scale: float) -> Array:
    return spread("pool_spread", y, spatial, "", [], kernel, stride, padding, (1,) * len(kernel), scale)


def spread(name: str, y: Array, spatial: Ints, condition: str, others: Any, kernel: Ints, stride: Ints, padding: Ints,
           dilation: Ints, scale: float = 1) -> Array:  # fmt: skip
    dims = len(kernel)
    at = f"rest * {product_of('m', dims)} + from + w"
    return by_rows(name, y, y.shape[:-dims], spatial, y.shape[-dims:], at, condition, others, kernel, stride, padding,
                   dilation, scale)  # fmt: skip


def pool_take(x: Array, winner: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Array:
    made, c, winner = new(x.runtime, winner.shape, x.dtype), CTYPES[x.dtype.name], maps.packed(winner)
    entry = CTYPES[winner.dtype.name]
    step, others = f"q[first + w] == ({entry.name})number ? v : a", [("q", entry.stored, winner)]
    return pool("pool_take", x, made, c.write.format(numeral(0, c)), step, others, winner.shape[-len(kernel) :], kernel, stride,
                padding, dilation)  # fmt: skip


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
    if shifting.suits(x, size, kernel, stride) and min(padding) >= 0 and weight.size:
        return shifting.forward(x, weight, biases[0] if biases else None, stride, padding, dilation, groups)
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
    if max(stride) == 1 and shifting.suits(y, spatial, kernel, stride) and weight.size:
        found = shifting.backward(y, weight, padding, dilation, groups)
        if found is not None and found.shape[2:] == tuple(spatial):
            return found
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
    if shifting.suits(x, size, kernel, stride) and y.size:
        return shifting.weights(y, x, kernel, stride, padding, dilation, groups)
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
