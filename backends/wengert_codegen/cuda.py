"""Kernels in CUDA C: the shared formulas, in loops for a graphics card.

Owns: what CUDA writes differently from OpenCL C, and the texts of elementwise kernels (one op, or a group of them in one pass),
of reductions, and of ops on rows. May import: the printer of formulas, how arrays become one loop. Must not know: devices.
Kernels need no header: a runtime compiler without a toolkit takes them. Threads stride over the grid, so that any number of
blocks does the work; what lies in order is read and written 16 bytes at a time; sums go through registers of a warp, then
through shared memory. Results are the same in every run.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert_codegen.expressions import CTYPES, HELPERS, NEEDS, Ctype, Dialect, complex_part, numeral, printed
from wengert_codegen.joins import Join
from wengert_codegen.loops import converted

CUDA = Dialect(cpu=False, cores=1, cuda=True)
THREADS = 256  # of a block
WARP = 32
PACK = 16  # bytes that a thread moves at a time
KEPT = 4  # packs of a row that each thread of an op on rows keeps in registers

# ---- the language
WORDS = {
    "long": "long long", "ulong": "unsigned long long", "uint": "unsigned int", "ushort": "unsigned short",
    "uchar": "unsigned char", "char": "signed char", "float2": "w_c64", "double2": "w_c128", "convert_float2": "w_c64",
    "convert_double2": "w_c128", "as_float": "__uint_as_float", "as_uint": "__float_as_uint", "as_int": "__float_as_int",
    "as_long": "__double_as_longlong", "as_double": "__longlong_as_double",
}  # fmt: skip
_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")
_PAIR = re.compile(r"\((float|double)2\)\(")
_LONG = re.compile(r"\b(\d+)(u?)l\b")


def translated(text: str) -> str:
    """Return text in OpenCL's words as CUDA C."""
    text = _PAIR.sub(r"\g<1>2(", text)  # a literal of a vector type is a constructor
    return _LONG.sub(r"\1\2ll", _WORD.sub(lambda m: WORDS[m[1]], text))


PREAMBLE = """\
#ifndef W_PREAMBLE
#define W_PREAMBLE
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
template <typename T> struct alignas(2 * sizeof(T)) w_complex {
  T x, y;
  __device__ w_complex() {}
  __device__ w_complex(T a, T b) : x(a), y(b) {}
  template <typename U> __device__ explicit w_complex(const w_complex<U>& o) : x((T)o.x), y((T)o.y) {}
};
#define W_OF template <typename T> __device__ inline w_complex<T>
W_OF operator+(w_complex<T> a, w_complex<T> b) { return {a.x + b.x, a.y + b.y}; }
W_OF operator-(w_complex<T> a, w_complex<T> b) { return {a.x - b.x, a.y - b.y}; }
W_OF operator-(w_complex<T> a) { return {-a.x, -a.y}; }
W_OF operator/(w_complex<T> a, T b) { return {a.x / b, a.y / b}; }
typedef w_complex<float> w_c64;
typedef w_complex<double> w_c128;
template <typename T, int N> struct alignas(sizeof(T) * N) w_pack { T v[N]; };
#endif
"""
# The card converts float16 by one instruction; the shared text is for a compiler that knows none.
HALF = """\
#ifndef W_HALF
#define W_HALF
#ifdef __CUDACC__
static __device__ inline float w_from_half(unsigned short h) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
  return x;
}
static __device__ inline unsigned short w_to_half(float x) {
  unsigned short h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
}
#else
"""
CONVERSIONS = ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat")
WARP_SUMS = """\
#ifndef W_WARP
#define W_WARP
template <typename T> __device__ inline T w_from(T v, int other) { return __shfl_xor_sync(0xffffffffu, v, other); }
template <typename T> __device__ inline w_complex<T> w_from(w_complex<T> v, int other) {
  return {w_from(v.x, other), w_from(v.y, other)};
}
#endif
"""


def helpers(names: set[str], part: str, *, shuffles: bool = False) -> str:
    """Return the preamble, and the definitions of the functions that a kernel uses; sources can stand one after another."""
    text = PREAMBLE
    wanted = [h for h in HELPERS if h in names or any(h in NEEDS.get(u, ()) for u in names)]
    halves = [h for h in wanted if h in CONVERSIONS[:2]]
    if halves:
        shared = "\n".join(_device(HELPERS[h]) for h in CONVERSIONS[:2])
        text += f"{HALF}{shared}\n#endif\n#endif\n"
    for h in wanted:
        if h not in halves:
            own = _device(HELPERS[h].format(T=part)) if "{T}" in HELPERS[h] else _device(HELPERS[h])
            guard = f"W_{h}_{part}" if "{T}" in HELPERS[h] else f"W_{h}"
            text += f"#ifndef {guard}\n#define {guard}\n{own}\n#endif\n"
    return text + (WARP_SUMS if shuffles else "")


def _device(body: str) -> str:
    return "static __device__ inline " + translated(body.strip())


def conversions(*ctypes: Ctype) -> set[str]:
    """Return the helpers by which types are read and written."""
    return {w for c in ctypes for w in CONVERSIONS if w in c.read + c.write}


def size_of(ctype: Ctype) -> int:
    """Return the bytes of an element in memory."""
    return SIZES[ctype.stored]


SIZES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "ulong": 8, "long": 8, "float": 4, "double": 8,
         "float2": 8, "double2": 16}  # fmt: skip


# ---- elementwise ops
@dataclass(frozen=True)
class Input:
    """What a kernel reads: an array, or (scalar) a number. `still`: the array has one element for the whole loop."""

    name: str
    ctype: Ctype
    scalar: bool = False
    still: bool = False


@dataclass(frozen=True)
class Step:
    """One op of a kernel: `name` = formula, in type `compute`, of values (parameter, value's name, value's type) and of numbers
    (parameter, argument's name), as type `out`."""

    name: str
    formula: str
    compute: Ctype
    values: tuple[tuple[str, str, Ctype, bool], ...]  # the last: it keeps its own type
    numbers: tuple[tuple[str, str], ...]
    out: Ctype


def body(steps: Sequence[Step], made: set[str]) -> list[str]:
    """Return the lines that compute steps from values in scope; the helpers they use are added to `made`. Each step has a scope
    of its own, in which its formula's letters stand for its values."""
    lines = []
    for s in steps:
        formula = printed(s.formula, s.compute, CUDA)
        made |= formula.helpers
        number = CTYPES["int64"] if s.compute.kind in "biu" else s.compute
        letters = [f"const {(c if own else s.compute).name} {letter} = {value if own else converted(value, c, s.compute)};"
                   for letter, value, c, own in s.values]  # fmt: skip
        letters += [f"const {number.name} {letter} = ({number.name}){value};" for letter, value in s.numbers]
        text = s.out.write.format(formula.text) if s.out.stored == s.out.name else formula.text
        lines.append(f"{s.out.name} {s.name}; {{ {' '.join(letters)} {s.name} = {text}; }}")
    return lines


def map_source(
    name: str, inputs: Sequence[Input], steps: Sequence[Step], outs: Sequence[tuple[str, Ctype]],
    numbers: Sequence[tuple[str, str]], pack: int, rank: int, wide: bool,
) -> str:  # fmt: skip
    """Return the source of an elementwise kernel: the steps, on every element; outs: the values that are written.

    rank 0: all arrays lie in order, `pack` elements are moved at a time. Arguments: the results; the inputs, arrays or numbers;
    the numbers (name, type); n. Else: also the sizes of all dims but the first, and for each array (results first) its steps,
    outermost first. wide: places need 64 bits.
    """
    used: set[str] = conversions(*(c for _, c in outs), *(i.ctype for i in inputs))
    lines = body(steps, used)
    head = [f"{c.stored} * {n}_o" for n, c in outs]
    head += [f"{i.ctype.name} {i.name}" if i.scalar else f"const {i.ctype.stored} * {i.name}_p" for i in inputs]
    head += [f"{kind} {n}" for n, kind in numbers]
    place = "long" if wide or not rank else "int"
    head += [f"{place} n"]
    arrays = [i for i in inputs if not i.scalar]
    text = []
    if not rank:
        moving = [i for i in arrays if not i.still]
        text += [f"  const {i.ctype.name} {i.name} = {i.ctype.read.format(f'{i.name}_p[0]')};" for i in arrays if i.still]
        text += ["  long first = (long)blockIdx.x * blockDim.x + threadIdx.x, step = (long)gridDim.x * blockDim.x;"]

        def one(read: str, write: str, pad: str) -> list[str]:
            made = [f"const {i.ctype.name} {i.name} = {i.ctype.read.format(read.format(i.name))};" for i in moving]
            made += lines
            return [pad + line for line in [*made, *[f"{write.format(n)} = {c.write.format(n)};" for n, c in outs]]]

        if pack > 1:
            text += [f"  for (long i = first; i < n / {pack}; i += step) {{"]
            for i in moving:
                kind = f"const w_pack<{i.ctype.stored}, {pack}>"
                text.append(f"    {kind} {i.name}_v = (({kind} *){i.name}_p)[i];")
            text += [f"    w_pack<{c.stored}, {pack}> {n}_w;" for n, c in outs]
            text += [
                "#pragma unroll",
                f"    for (int l = 0; l < {pack}; l++) {{",
                *one("{}_v.v[l]", "{}_w.v[l]", "      "),
                "    }",
            ]
            text += [f"    ((w_pack<{c.stored}, {pack}> *){n}_o)[i] = {n}_w;" for n, c in outs]
            text += ["  }", f"  for (long i = n / {pack} * {pack} + first; i < n; i += step) {{"]
        else:
            text += ["  for (long i = first; i < n; i += step) {"]
        text += [*one("{}_p[i]", "{}_o[i]", "    "), "  }"]
    else:
        places = [*(n for n, _ in outs), *(i.name for i in arrays)]
        head += [f"{place} d{k}" for k in range(1, rank)]
        head += [f"{place} {p}_s{k}" for p in places for k in range(rank)]
        text += [
            f"  const {place} first = ({place})blockIdx.x * blockDim.x + threadIdx.x, step = ({place})gridDim.x * blockDim.x;",
            f"  for ({place} i = first; i < n; i += step) {{",
        ]
        text += [f"    {place} rest = i, q; {place} " + ", ".join(f"{p}_i = 0" for p in places) + ";"]
        for k in reversed(range(rank)):
            text.append(f"    q = rest % d{k}; rest /= d{k}; " if k else "    q = rest; ")
            text[-1] += " ".join(f"{p}_i += q * {p}_s{k};" for p in places)
        text += [f"    const {i.ctype.name} {i.name} = {i.ctype.read.format(f'{i.name}_p[{i.name}_i]')};" for i in arrays]
        text += ["    " + line for line in lines]
        text += [f"    {n}_o[{n}_i] = {c.write.format(n)};" for n, c in outs] + ["  }"]
    part = next((complex_part(s.compute).name for s in steps if s.compute.kind == "c"), "float")
    signature = f'extern "C" __global__ void __launch_bounds__({THREADS}) {name}({", ".join(head)}) {{'
    return helpers(used, part) + translated("\n".join([signature, *text, "}", ""]))


# ---- reductions
@functools.lru_cache(maxsize=4096)
def reduce_source(
    name: str, join: Join, element: str, reads: tuple[tuple[str, Ctype], ...], beside: tuple[tuple[str, Ctype], ...],
    used: Ctype, dtype: np.dtype[Any], out: Ctype, final: str, lanes: int, pack: int,
) -> str:  # fmt: skip
    """Return the source of a kernel out[b, m, split] = join of element(b, m, k) over the k of a split.

    reads: arrays over (b, m, k); beside: arrays over (b, m) in order; both are named in `element`, as type `used`, and so is k.
    final: the result by `a`. lanes: threads that share a row, 32 or a whole block; 0: threads stand side by side along m, and
    those of a block that have the same m share its k. pack: elements of a row that are read at a time.
    Arguments: out; each array and its steps (b, m, k); those beside; B, M, R, splits, part (elements of a split).
    """
    ctype = CTYPES[dtype.name]
    made, done, step = printed(element, used, CUDA), printed(final, ctype, CUDA), printed(join.step, ctype, CUDA)
    names = made.helpers | done.helpers | step.helpers | conversions(out, *(c for _, c in reads), *(c for _, c in beside))
    t, start = ctype.name, numeral(join.start(dtype), ctype)
    head = [f"{out.stored} * o_"]
    head += [f"const {c.stored} * {n}_, long {n}_b, long {n}_m, long {n}_k" for n, c in reads]
    head += [f"const {c.stored} * {n}_" for n, c in beside]
    head += ["long B", "long M", "long R", "long splits", "long part"]
    store = out.write.format(converted(done.text, ctype, out))
    sides = " ".join(f"const {used.name} {n} = {converted(c.read.format(f'{n}_[at]'), c, used)};" for n, c in beside)
    bases = " ".join(f"const {c.stored} * {n}_r = {n}_ + b * {n}_b + m * {n}_m;" for n, c in reads)

    def joined(values: Sequence[tuple[str, str]]) -> str:
        letters = " ".join(f"const {used.name} {n} = {text};" for n, text in values)
        return f"{{ {letters} const {t} a = total, v = {made.text}; total = {step.text}; }}"

    def values(place: str) -> list[tuple[str, str]]:
        return [(n, converted(c.read.format(f"{n}_r[({place}) * {n}_k]"), c, used)) for n, c in reads]

    def across(text: str) -> str:
        return f"{{ const {t} v = {text}, a = total; total = {step.text}; }}"

    lines = [f'extern "C" __global__ void __launch_bounds__({THREADS}) {name}({", ".join(head)}) {{',
             "  const long split = blockIdx.y, low = split * part, high = low + part < R ? low + part : R;"]  # fmt: skip
    if lanes:
        rows = THREADS // lanes
        lines += [
            f"  const int lane = threadIdx.x % {lanes};",
            f"  for (long top = (long)blockIdx.x * {rows}; top < B * M; top += (long)gridDim.x * {rows}) {{",
            f"    const long at = top + threadIdx.x / {lanes} < B * M ? top + threadIdx.x / {lanes} : B * M - 1;",
            f"    const long b = at / M, m = at % M; {bases} {sides}",
            f"    {t} total = {start};",
        ]
        if pack > 1:
            packs = " ".join(
                f"const w_pack<{c.stored}, {pack}> {n}_v = *(const w_pack<{c.stored}, {pack}> *)({n}_r + r);" for n, c in reads
            )
            inside = [(n, converted(c.read.format(f"{n}_v.v[l]"), c, used)) for n, c in reads]
            lines += [
                f"    long r = low + lane * {pack};",
                f"    for (; r + {pack} <= high; r += {lanes * pack}) {{ {packs}",
                "#pragma unroll",
                f"      for (int l = 0; l < {pack}; l++) {{ const long k = r + l; (void)k; {joined(inside)} }}",
                "    }",
                f"    for (long k = r; k < high && k < r + {pack}; k++) {joined(values('k'))}",
            ]
        else:
            lines += [f"    for (long k = low + lane; k < high; k += {lanes}) {joined(values('k'))}"]
        lines += [f"    for (int other = {WARP // 2}; other; other /= 2) {across('w_from(total, other)')}"]
        if lanes > WARP:
            lines += [
                f"    __shared__ {t} sums[{lanes // WARP}];",
                f"    if (lane % {WARP} == 0) sums[lane / {WARP}] = total;",
                "    __syncthreads();",
                "    total = sums[0];",
                f"    for (int w = 1; w < {lanes // WARP}; w++) {across('sums[w]')}",
                "    __syncthreads();",
            ]
        lines += [
            f"    if (lane == 0 && top + threadIdx.x / {lanes} < B * M) {{",
            f"      const {t} a = total; o_[at * splits + split] = {store};",
            "    }",
            "  }",
        ]
    else:
        high = THREADS // WARP
        lines += [
            f"  __shared__ {t} sums[{high}][{WARP}];",
            f"  const int column = threadIdx.x % {WARP}, y = threadIdx.x / {WARP};",
            f"  const long tiles = (M + {WARP - 1}) / {WARP};",
            "  for (long tile = blockIdx.x; tile < B * tiles; tile += gridDim.x) {",
            f"    const long b = tile / tiles, own = tile % tiles * {WARP} + column;",
            "    const long m = own < M ? own : M - 1, at = b * M + m;",
            f"    {bases} {sides} (void)at;",
            f"    {t} total = {start};",
            f"    for (long k = low + y; k < high; k += {high}) {joined(values('k'))}",
            "    sums[y][column] = total;",
            "    __syncthreads();",
            f"    if (y == 0) {{ for (int w = 1; w < {high}; w++) {across('sums[w][column]')}",
            f"      if (own < M) {{ const {t} a = total; o_[at * splits + split] = {store}; }} }}",
            "    __syncthreads();",
            "  }",
        ]
    return helpers(names, complex_part(ctype).name, shuffles=True) + translated("\n".join([*lines, "}", ""]))


# ---- rows: elementwise ops and the sums, or extremes, of rows that they read, in one kernel
@dataclass(frozen=True)
class Fold:
    """A value for each row: the join of `value` (a name, its type) over the row, in type `dtype`, `final` of it (by `a`, and by
    `n`, the row's length) as type `out`."""

    name: str
    join: Join
    value: tuple[str, Ctype]
    dtype: np.dtype[Any]
    final: str
    out: Ctype


@dataclass(frozen=True)
class RowInput(Input):
    """What a kernel on rows reads: `where` says what it has a value for: each element, row, column, or "all" together."""

    where: str = "element"


def levels(inputs: Sequence[RowInput], nodes: Sequence[Step | Fold]) -> dict[str, bool]:
    """Return whether a value differs within a row, by its name."""
    varies = {i.name: not i.scalar and i.where in ("element", "column") for i in inputs}
    for node in nodes:
        varies[node.name] = isinstance(node, Step) and any(varies.get(v) for _, v, *_ in node.values)  # else a number
    return varies


def rows_source(
    name: str, inputs: Sequence[RowInput], nodes: Sequence[Step | Fold], outs: Sequence[tuple[str, Ctype]],
    numbers: Sequence[tuple[str, str]], lanes: int, pack: int, kept: int, inner: bool,
) -> str:  # fmt: skip
    """Return the source of a kernel that computes nodes for each row, and writes the values in `outs`.

    Elements lie in order, as (B, R), or (inner) as (B, R, M). lanes: threads that share a row: 32, or all of a block. kept: how
    many times `lanes * pack` elements make a row at most, which is read once then and kept in registers; 0: it is read as
    often as it is needed. pack > 1 needs whole packs in a row. Arguments: the results, the inputs, the numbers, B, M, R.
    """
    used = conversions(*(c for _, c in outs), *(i.ctype for i in inputs))
    varies = levels(inputs, nodes)
    steps = {n.name: n for n in nodes if isinstance(n, Step)}
    given = {i.name: i for i in inputs}
    threads = max(lanes, THREADS)
    loaded: set[str] = set()
    at = f"((long)c * {lanes} + lane) * {pack}" if kept else "lane + c"

    def needed(names: Sequence[str]) -> list[str]:
        """Return what varies within a row and has to be known for values: inputs and steps, in order."""
        found: dict[str, None] = {}

        def visit(v: str) -> None:
            if varies.get(v) and v not in found:
                for _, w, *_ in steps[v].values if v in steps else ():
                    visit(w)
                found[v] = None

        for v in names:
            visit(v)
        return list(found)

    def loop(names: Sequence[str], inside: str, after: str = "", before: str = "") -> list[str]:
        """Return a loop over a row's elements, in which values are known by their names."""
        wanted = needed(names)
        reads = [given[v] for v in wanted if v in given]
        own = body([steps[v] for v in wanted if v in steps], used)
        if kept:
            fill = []
            for i in reads:
                base = "" if i.where == "column" else "base + "
                if pack > 1:
                    got = f"{i.name}_v[c] = *(const w_pack<{i.ctype.stored}, {pack}> *)({i.name}_p + {base}k0);"
                else:
                    got = f"{i.name}_v[c].v[0] = {i.name}_p[{base}k0{' * M' if inner and i.where != 'column' else ''}];"
                fill += [] if i.name in loaded else [got]
                loaded.add(i.name)
            letters = [f"const {i.ctype.name} {i.name} = {i.ctype.read.format(f'{i.name}_v[c].v[l]')};" for i in reads]
            return [
                "#pragma unroll",
                f"    for (int c = 0; c < {kept}; c++) {{ const long k0 = {at}; if (k0 < R) {{ {' '.join(fill)} {before}",
                "#pragma unroll",
                f"      for (int l = 0; l < {pack}; l++) {{ const long k = k0 + l; (void)k;",
                f"        {' '.join([*letters, *own])} {inside} }}",
                f"      {after} }} }}",
            ]
        step = " * M" if inner else ""
        places = {i.name: "k" if i.where == "column" else f"base + k{step}" for i in reads}
        letters = [
            f"const {i.ctype.name} {i.name} = {i.ctype.read.format(f'{i.name}_p[{places[i.name]}]')};" for i in reads
        ]
        return [f"    for (long k = lane; k < R; k += {lanes}) {{ {' '.join([*letters, *own])} {inside} }}"]

    lines = [
        f"    const {i.ctype.name} {i.name} = {i.ctype.read.format(f'{i.name}_p[at]')};"
        for i in inputs
        if i.where == "row" and not i.scalar
    ]
    pending: list[Fold] = []

    def finish() -> None:
        """Write the loop that all pending folds share, and what their totals are."""
        if not pending:
            return
        parts = []
        for f in pending:
            ctype = CTYPES[f.dtype.name]
            step = printed(f.join.step, ctype, CUDA)
            used.update(step.helpers)
            value = converted(f.value[0], f.value[1], ctype)
            lines.append(f"    {ctype.name} {f.name}_t = {numeral(f.join.start(f.dtype), ctype)};")
            parts.append(f"{{ const {ctype.name} a = {f.name}_t, v = {value}; {f.name}_t = {step.text}; }}")
        lines.extend(loop([f.value[0] for f in pending], " ".join(parts)))
        for f in pending:
            ctype = CTYPES[f.dtype.name]
            own, t = f"{f.name}_t", ctype.name
            step, final = printed(f.join.step, ctype, CUDA), printed(f.final, ctype, CUDA)
            used.update(final.helpers)
            joined = f"a = {own}; {own} = {step.text}; }}"
            turns = f"for (int other = {WARP // 2}; other; other /= 2)"
            lines.append(f"    {turns} {{ const {t} v = w_from({own}, other), {joined}")
            if lanes > WARP:
                lines.extend([
                    f"    __shared__ {t} {f.name}_w[{lanes // WARP}];",
                    f"    if (lane % {WARP} == 0) {f.name}_w[lane / {WARP}] = {own};",
                    f"    __syncthreads(); {own} = {f.name}_w[0];",
                    f"    for (int w = 1; w < {lanes // WARP}; w++) {{ const {t} v = {f.name}_w[w], {joined}",
                    "    __syncthreads();",
                ])  # fmt: skip
            result = converted(f"({final.text})", ctype, f.out)
            lines.append(f"    {f.out.name} {f.name}; {{ const {t} a = {own}, n = ({t})R; (void)n; {f.name} = {result}; }}")
        pending.clear()

    for node in nodes:
        if isinstance(node, Fold):
            waiting = {f.name for f in pending}
            behind = {w for v in needed([node.value[0]]) if v in steps for _, w, *_ in steps[v].values} | {node.value[0]}
            if waiting & behind:
                finish()
            pending.append(node)
        elif not varies[node.name]:
            if {f.name for f in pending} & {v for _, v, *_ in node.values}:
                finish()
            lines += ["    " + line for line in body([node], used)]
    finish()
    many = [(n, c) for n, c in outs if varies[n]]
    if many and kept and pack > 1:
        before = " ".join(f"w_pack<{c.stored}, {pack}> {n}_w;" for n, c in many)
        after = " ".join(f"if (own < rows) *(w_pack<{c.stored}, {pack}> *)({n}_o + base + k0) = {n}_w;" for n, c in many)
        lines += loop([n for n, _ in many], " ".join(f"{n}_w.v[l] = {c.write.format(n)};" for n, c in many), after, before)
    elif many:
        place = "base + k * M" if inner else "base + k"
        store = " ".join(f"if (own < rows) {n}_o[{place}] = {c.write.format(n)};" for n, c in many)
        lines += loop([n for n, _ in many], store)
    lines += [f"    if (lane == 0 && own < rows) {n}_o[at] = {c.write.format(n)};" for n, c in outs if not varies[n]]
    head = [f"{c.stored} * {n}_o" for n, c in outs]
    head += [f"{i.ctype.name} {i.name}" if i.scalar else f"const {i.ctype.stored} * {i.name}_p" for i in inputs]
    head += [f"{kind} {n}" for n, kind in numbers] + ["long B", "long M", "long R"]
    registers = [f"    w_pack<{i.ctype.stored}, {pack}> {i.name}_v[{kept}];" for i in inputs if kept and varies[i.name]]
    text = [
        f'extern "C" __global__ void __launch_bounds__({threads}) {name}({", ".join(head)}) {{',
        f"  const int lane = threadIdx.x % {lanes};",
        f"  const long rows = B{' * M' if inner else ''};",
        *[
            f"  const {i.ctype.name} {i.name} = {i.ctype.read.format(f'{i.name}_p[0]')};"
            for i in inputs
            if i.where == "all" and not i.scalar
        ],
        f"  const long many = {threads // lanes};",
        "  for (long first = blockIdx.x * many; first < rows; first += gridDim.x * many) {",
        f"    const long own = first + threadIdx.x / {lanes}, at = own < rows ? own : rows - 1;",
        f"    const long base = {'at / M * R * M + at % M' if inner else 'at * R'};",
    ]
    part = next((complex_part(n.compute).name for n in nodes if isinstance(n, Step) and n.compute.kind == "c"), "float")
    return helpers(used, part, shuffles=True) + translated("\n".join([*text, *registers, *lines, "  }", "}", ""]))
