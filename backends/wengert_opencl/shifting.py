"""Convolutions on a processor: each weight times the image moved by its place, summed up in registers.

Owns: these kernels, and which convolutions they are for. May import: loops written by hand, arrays, maps. Must not know:
tensors, gradients.
No columns of windows are made: a row of windows is read where the (padded) image has it, a vector at a time. Images have one to
three spatial dims. A vector that would go beyond a row begins earlier; in rows shorter than a vector its end is not written.
For steps above 1 an image is first taken apart into phases, elements that are a step apart: then what windows have at one place
lies side by side, too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from wengert_codegen import SCALAR
from wengert_opencl import maps, reductions
from wengert_opencl.array import Array, Ints, dense
from wengert_opencl.each import each, stored
from wengert_opencl.indexing import reshaped
from wengert_opencl.maps import LONG, new
from wengert_opencl.products import VECTOR

CHANNELS = 8  # of the result, that a work item of the forward kernel computes with two vectors each
TILE = 4  # channels of a gradient, and places, that a work item of the weights' kernel has in registers
SHORT, LONG_ENOUGH = 8, 12  # windows a row: below the one a vector would be mostly empty; from the other on it does not matter
FEW = 512  # multiplications a window below which products of matrices would be slower still, also where windows have steps
STEPS = 3  # from window to window, at most
PLACES = 64  # places of a window that the weights' kernel keeps sums of


def suits(x: Array, size: Ints, kernel: Ints, stride: Ints) -> bool:
    """Say whether the kernels here are for images x with so many windows."""
    few = x.shape[1] * math.prod(kernel) <= FEW
    plain = (few or max(stride) == 1) and max(stride) <= STEPS and 1 < math.prod(kernel) <= PLACES
    least = SHORT if few else LONG_ENOUGH
    return plain and x.runtime.dialect.cpu and x.dtype.char in VECTOR and size[-1] >= least and x.size > 0


def padded(x: Array, padding: Ints, slack: bool) -> Array:
    """Return packed images with zeros around them; slack: a vector may be read from the last element on."""
    pads = (0, 0, *padding)
    shape = tuple([n + 2 * p for n, p in zip(x.shape, pads, strict=True)])
    if not any(padding) and not slack:
        return maps.packed(x)
    count = math.prod(shape)
    room = maps.write(new(x.runtime, (count + slack * VECTOR[x.dtype.char][1],), x.dtype), 0)
    made = room.view(shape, dense(shape, x.dtype.itemsize), 0)
    maps.write(made.getitem([slice(p, p + n) for n, p in zip(x.shape, pads, strict=True)]), x)
    return made


def in_phases(x: Array, stride: Ints, padding: Ints, slack: bool) -> tuple[Array, Ints]:
    """Return padded images taken apart, (..., *phases, *places), and how many places there are along each spatial dim."""
    if max(stride) == 1:
        wide = padded(x, padding, slack)
        return wide, wide.shape[2:]
    dims = len(stride)
    places = tuple([-(-(n + 2 * p) // s) for n, p, s in zip(x.shape[2:], padding, stride, strict=True)])
    room = maps.write(new(x.runtime, (*x.shape[:2], *[n * s for n, s in zip(places, stride, strict=True)]), x.dtype), 0)
    inside = [slice(p, p + n) for n, p in zip(x.shape[2:], padding, strict=True)]
    maps.write(room.getitem([slice(None), slice(None), *inside]), x)
    apart = reshaped(room, (*x.shape[:2], *[n for pair in zip(places, stride, strict=True) for n in pair]))
    apart = apart.transpose((0, 1, *range(3, 3 + 2 * dims, 2), *range(2, 2 + 2 * dims, 2)))
    made = new(x.runtime, (apart.size + slack * VECTOR[x.dtype.char][1],), x.dtype)
    laid = made.view(apart.shape, dense(apart.shape, x.dtype.itemsize), 0)
    return maps.write(laid, apart), places


def steps_in(shape: Ints) -> Ints:
    return dense(shape, 1)


def place_of(index: Sequence[str], stride: Ints) -> str:
    """Return C of where a window's place, whose coordinates are written so, lies in an image that was taken apart."""
    if max(stride) == 1:
        return " + ".join([f"{j} * s{d}" for d, j in enumerate(index)])
    every = enumerate(zip(index, stride, strict=True))
    return " + ".join([f"{j} * e{d} % {t} * u{d} + {j} * e{d} / {t} * s{d}" for d, (j, t) in every])


def geometry(dims: int, stride: Ints) -> str:
    """Return C of the numbers that tell how images lie."""
    text = "".join([f", long k{d}, long s{d}" + (f", long e{d}, long u{d}" if max(stride) > 1 else "") for d in range(dims)])
    return text + "".join([f", long P{d}" for d in range(dims - 1)])


def numbers_of(kernel: Ints, stride: Ints, dilation: Ints, places: Ints) -> list[int]:
    """Return these numbers."""
    made: list[int] = []
    steps, phases = steps_in(places), dense((*stride, math.prod(places)), 1)
    for k, e, s, u in zip(kernel, dilation, steps, phases, strict=False):
        made += [k, e * s] if max(stride) == 1 else [k, s, e, u]
    return [*made, *steps[:-1]]


def loops(dims: int) -> str:
    return " ".join([f"for (long j{d} = 0; j{d} < k{d}; j{d}++)" for d in range(dims)])


def place_of_row(dims: int) -> str:
    """Return C of where the row r of windows begins in an image."""
    return {1: "0", 2: "r * P0", 3: "r / m1 * P0 + r % m1 * P1"}[dims]


@functools.cache
def forward_source(t: str, v: str, width: int, stride: Ints) -> str:
    """Return the source of a kernel that gives 8 channels of rows of windows: two vectors of windows at a time."""
    every, dims = range(CHANNELS), len(stride)
    starts = "\n".join([
        f"    long v{p} = {at}, r{p} = v{p} / line, b{p} = v{p} % line * {width}; b{p} = b{p} < back ? b{p} : back;\n"
        f"    r = r{p}; __global const {t} *x{p} = x_ + {place_of_row(dims)} + b{p};"
        for p, at in (("a", "at"), ("b", "at + 1 < end ? at + 1 : at"))
    ])  # fmt: skip
    places = " * ".join([f"k{d}" for d in range(dims)])
    return f"""
__kernel void k_shifted(__global {t} * restrict o, __global const {t} * restrict x, long x_at, __global const {t} * restrict w,
    long inputs, long channels, long tiles, long groups, long plane, long rows, long m, long m1, long part
    {geometry(dims, stride)}) {{
  long tile = get_global_id(0), group = tile / tiles % groups, image = tile / tiles / groups, size = rows * m, r;
  long line = (m + {width - 1}) / {width}, back = m > {width} ? m - {width} : 0, top = tile % tiles * {CHANNELS};
  long at = (long)get_global_id(1) * part, end = at + part < rows * line ? at + part : rows * line;
  __global const {t} *x_ = x + x_at + (image * groups + group) * inputs * plane;
  __global const {t} *w_ = w + (group * tiles + tile % tiles) * (1 + inputs * {places}) * {CHANNELS};
  __global {t} *o_ = o + ((image * groups + group) * channels + top) * size;
  for (; at < end; at += 2) {{
{starts}
    __global const {t} *f = w_;
    {v} {", ".join([f"a{c} = f[{c}], b{c} = f[{c}]" for c in every])};
    for (long c = 0; c < inputs; c++) {loops(dims)} {{
      long move = c * plane + {place_of([f"j{d}" for d in range(dims)], stride)}; f += {CHANNELS};
      {v} d = *(__global const {v} *)(xa + move), e = *(__global const {v} *)(xb + move);
      {" ".join([f"a{c} += f[{c}] * d; b{c} += f[{c}] * e;" for c in every])}
    }}
    {v} p[{CHANNELS}], q[{CHANNELS}];
    {" ".join([f"p[{c}] = a{c}; q[{c}] = b{c};" for c in every])}
    {SCALAR}for (long c = 0; c < {CHANNELS} && top + c < channels; c++) {{
      __global {t} *oa = o_ + c * size + ra * m, *ob = o_ + c * size + rb * m;
      if (m >= {width}) {{ *(__global {v} *)(oa + ba) = p[c]; *(__global {v} *)(ob + bb) = q[c]; continue; }}
      {t} u[{width}], w[{width}];
      *({v} *)u = p[c]; *({v} *)w = q[c];
      {SCALAR}for (int l = 0; l < m; l++) {{ oa[l] = u[l]; ob[l] = w[l]; }}
    }}
  }}
}}
"""


def forward(x: Array, weight: Array, bias: Array | None, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Array:
    """Return the convolution of images with weights (channels, inputs of a group, *kernel), and a bias for each channel."""
    runtime, dtype, kernel = x.runtime, x.dtype, weight.shape[2:]
    t, (v, width), dims = stored(dtype), VECTOR[dtype.char], len(kernel)
    inputs, channels = weight.shape[1], weight.shape[0] // groups
    every = zip(x.shape[2:], padding, dilation, kernel, stride, strict=True)
    size = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in every])
    made = new(runtime, (x.shape[0], weight.shape[0], *size), dtype)
    wide, of = in_phases(x, stride, padding, size[-1] < width)
    tiles, per = -(-channels // CHANNELS), inputs * math.prod(kernel)
    laid_out = new(runtime, (groups, tiles, 1 + per, CHANNELS), dtype)
    weight = maps.packed(weight)
    each(runtime, "weights", groups * tiles * (1 + per), f"""
    long j = i % per1, tile = i / per1 % tiles, group = i / per1 / tiles;
    for (long l = 0; l < {CHANNELS}; l++) {{
      long c = tile * {CHANNELS} + l, row = group * channels + c;
      o[i * {CHANNELS} + l] = c >= channels ? 0 : j ? w[row * (per1 - 1) + j - 1] : biased ? b[row * bs] : 0;
    }}""", [("o", t, laid_out), ("w", t, weight), ("b", t, weight if bias is None else bias)],
         [("per1", 1 + per), ("tiles", tiles), ("channels", channels), ("biased", bias is not None),
          ("bs", 0 if bias is None else bias.strides[0] // dtype.itemsize)], least=64)  # fmt: skip
    rows, line = math.prod(size[:-1]), -(-size[-1] // width)
    items = x.shape[0] * groups * tiles
    part = -(-rows * line // max(1, min(rows * line // 8, runtime.dialect.cores * 4 // items)))
    part += part % 2
    values = [inputs, channels, tiles, groups, math.prod(wide.shape[2:]), rows, size[-1], size[1] if dims == 3 else 1, part]
    values += numbers_of(kernel, stride, dilation, of)
    launched = runtime.kernel(forward_source(t, v, width, stride), "k_shifted", [None, None, LONG, None, *[LONG] * len(values)])
    arguments = (made.buffer, wide.buffer, wide.start, laid_out.buffer, *values)
    runtime.launch(launched, (items, -(-rows * line // part)), (1, 1), arguments)
    return made


def turned(weight: Array, groups: int) -> Array:
    """Return weights of the gradient of the images: channels and inputs changed places, the kernel the other way round."""
    kernel = weight.shape[2:]
    grouped = weight.getitem([slice(None), slice(None), *[slice(None, None, -1)] * len(kernel)])
    grouped = reshaped(maps.packed(grouped), (groups, weight.shape[0] // groups, *weight.shape[1:]))
    grouped = maps.packed(grouped.transpose((0, 2, 1, *range(3, grouped.ndim))))
    return reshaped(grouped, (groups * weight.shape[1], weight.shape[0] // groups, *kernel))


def backward(y: Array, weight: Array, padding: Ints, dilation: Ints, groups: int) -> Array | None:
    """Return the gradient of images whose windows had step 1, None where the padding was larger than a window."""
    around = tuple([d * (k - 1) - p for k, p, d in zip(weight.shape[2:], padding, dilation, strict=True)])
    if min(around) < 0:
        return None
    return forward(y, turned(weight, groups), None, (1,) * len(around), around, dilation, groups)


@functools.cache
def weight_source(t: str, v: str, width: int, stride: Ints) -> str:
    """Return the source of a kernel that gives the gradient of the weights of 4 channels and one input: for each image the sums
    of 4 places at a time stay in registers, and are then added to those of the other images."""
    pairs = [(c, p) for c in range(TILE) for p in range(TILE)]
    integer, dims = "int" if t == "float" else "long", len(stride)
    decoded = {1: ["q"], 2: ["q / k1", "q % k1"], 3: ["q / k2 / k1", "q / k2 % k1", "q % k2"]}[dims]
    places = " ".join([
        f"q = j + {p} < count ? j + {p} : count - 1; __global const {t} *x{p} = x_ + {place_of(decoded, stride)};"
        for p in range(TILE)
    ])  # fmt: skip
    planes = " ".join([f"__global const {t} *y{c} = y_ + (top + {c} < channels ? {c} : 0) * rows * m;" for c in range(TILE)])

    def step(kind: str) -> str:
        def read(place: str) -> str:
            text = f"*(__global const {v} *)({place})"
            return f"as_{t}{width}(as_{integer}{width}({text}) & seen)" if kind else text

        return " ".join([
            *[f"{v} g{c} = {read(f'y{c} + r * m + b')};" for c in range(TILE)],
            *[f"{v} h{p} = {read(f'x{p} + from + b')};" for p in range(TILE)],
            *[f"c{c}{p} += g{c} * h{p};" for c, p in pairs],
        ])  # fmt: skip

    return f"""
__kernel void k_shifted_weight(__global {t} * restrict o, __global const {t} * restrict x, long x_at,
    __global const {t} * restrict y, long y_at, long images, long part, long inputs, long channels, long tiles, long groups,
    long plane, long rows, long m, long m1, long count{geometry(dims, stride)}) {{
  long id = get_global_id(0), input = id % inputs, tile = id / inputs % tiles, group = id / inputs / tiles, top = tile * {TILE};
  long share = get_global_id(1), first = share * part, last = first + part < images ? first + part : images, q;
  {v} sums[{PLACES // TILE * TILE * TILE}];
  {integer}{width} seen;
  {integer} own[{width}];
  for (int l = 0; l < {width}; l++) own[l] = m < {width} ? -(l < m) : -(l >= {width} - m % {width});
  seen = vload{width}(0, own);
  for (long j = 0; j < (count + {TILE - 1}) / {TILE} * {TILE * TILE}; j++) sums[j] = 0;
  for (long image = first; image < last; image++) {{
    __global const {t} *x_ = x + x_at + ((image * groups + group) * inputs + input) * plane;
    __global const {t} *y_ = y + y_at + ((image * groups + group) * channels + top) * rows * m;
    {planes}
    for (long j = 0; j < count; j += {TILE}) {{
      {places}
      {v} {", ".join([f"c{c}{p} = 0" for c, p in pairs])};
      for (long r = 0; r < rows; r++) {{
        long from = {place_of_row(dims)}, b = 0;
        for (; b + {width} <= m; b += {width}) {{ {step("")} }}
        if (b < m) {{ b = m > {width} ? m - {width} : 0; {step("seen")} }}
      }}
      {v} *to = sums + j * {TILE};
      {" ".join([f"to[{c * TILE + p}] += c{c}{p};" for c, p in pairs])}
    }}
  }}
  for (long j = 0; j < count; j++) for (int c = 0; c < {TILE}; c++) if (top + c < channels) {{
    {t} p[{width}], a = 0;
    *({v} *)p = sums[j / {TILE} * {TILE * TILE} + c * {TILE} + j % {TILE}];
    for (int l = 0; l < {width}; l++) a += p[l];
    o[(((share * groups + group) * channels + top + c) * inputs + input) * count + j] = a;
  }}
}}
"""


def weights(y: Array, x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Array:
    """Return the gradient of the weights, y being that of the result: a sum of sums over parts of the images."""
    runtime, dtype = x.runtime, x.dtype
    t, (v, width), dims = stored(dtype), VECTOR[dtype.char], len(kernel)
    size, count, channels, inputs = y.shape[2:], math.prod(kernel), y.shape[1] // groups, x.shape[1] // groups
    x, of = in_phases(x, stride, padding, size[-1] < width)
    y, tiles = padded(y, (0,) * dims, size[-1] < width), -(-channels // TILE)
    items = groups * tiles * inputs
    part = -(-x.shape[0] // max(1, min(x.shape[0], runtime.dialect.cores * 4 // items)))
    parts = -(-x.shape[0] // part)
    made = new(runtime, (parts, groups * channels, inputs, *kernel), dtype)
    values = [x.shape[0], part, inputs, channels, tiles, groups, math.prod(x.shape[2:]), math.prod(size[:-1]), size[-1],
              size[1] if dims == 3 else 1, count]  # fmt: skip
    values += numbers_of(kernel, stride, dilation, of)
    scalars = [None, None, LONG, None, *[LONG] * (len(values) + 1)]
    launched = runtime.kernel(weight_source(t, v, width, stride), "k_shifted_weight", scalars)
    runtime.launch(launched, (items, parts), (1, 1), (made.buffer, x.buffer, x.start, y.buffer, y.start, *values))
    return reshaped(made, made.shape[1:]) if parts == 1 else reductions.total(made, (0,), False)
