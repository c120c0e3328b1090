"""Loops around formulas: the source of one kernel that computes an array from others, of any strides.

Owns: the merging of dims, and the text of the kernel. May import: the printer of formulas. Must not know: devices.
A kernel has rows and elements of a row: work item (i, j) computes elements [i * chunk, (i + 1) * chunk) of rows
[j * rows, (j + 1) * rows). A gpu has chunk = rows = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wengert_codegen.expressions import (
    BY_PLACE,
    OWN,
    VECTORS,
    Ctype,
    Dialect,
    Printed,
    complex_part,
    helper_text,
    printed,
    vector_text,
)

Ints = tuple[int, ...]
BLOCK = 128  # elements for which the arguments of a call are computed at a time
SCALAR = "\n#pragma clang loop vectorize(disable) unroll(disable)\n"  # before loops that cost a compiler more than they take

SMALL = {"uchar": "int", "char": "int", "ushort": "int", "short": "int", "uint": "long"}  # types whose values a wider one has
PREAMBLE = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n"
CPU_PREAMBLE = """\
typedef float w_float16 __attribute__((ext_vector_type(16), aligned(4)));
typedef double w_double8 __attribute__((ext_vector_type(8), aligned(8)));
"""


@dataclass(frozen=True)
class Operand:
    """An array that a kernel reads as a type, or (scalar) a number of it; `inner` is the step along a row: 0, 1, or -1 for
    any."""

    name: str
    ctype: Ctype
    used: Ctype
    scalar: bool = False
    inner: int = -1

    def read(self, place: str) -> str:
        return converted(self.ctype.read.format(f"{self.name}_[{place}]"), self.ctype, self.used)


def converted(text: str, given: Ctype, wanted: Ctype) -> str:
    """Return a value of one type as another: NumPy's conversions, complex numbers lose their imaginary part."""
    if given.name == wanted.name:
        return text
    if wanted.kind == "c":
        return f"({wanted.name})({text}, 0)" if given.kind != "c" else f"convert_{wanted.name}({text})"
    if given.kind == "c":
        text = f"({text}).x" if wanted.kind != "b" else f"(({text}).x != 0 || ({text}).y != 0)"
    if wanted.kind == "b":
        return f"(({text}) != 0)"
    if given.kind in "fc" and wanted.name in SMALL:  # C says nothing of -1.0 as an unsigned number, nor of 300.0 as a char
        text = f"({SMALL[wanted.name]})({text})"
    return f"({wanted.name})({text})"


def plan_dims(shape: Ints, strides: Sequence[Ints]) -> tuple[Ints, list[Ints]]:
    """Return the shape and the strides of each array with dims of size 1 left out, and those merged that follow each
    other in all arrays. A shape has at least one dim then."""
    dims: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if dims and all([s[-1] == n * own[d] for s, own in zip(steps, strides, strict=True)]):
            dims[-1] *= n
            for s, own in zip(steps, strides, strict=True):
                s[-1] = own[d]
        else:
            dims.append(n)
            for s, own in zip(steps, strides, strict=True):
                s.append(own[d])
    if not dims:
        return (1,), [(0,)] * len(steps)
    return tuple(dims), [tuple(s) for s in steps]


def map_source(
    name: str, formula: str, compute: Ctype, out: Ctype, inner: int, operands: Sequence[Operand],
    numbers: Sequence[tuple[str, Ctype]], rank: int, dialect: Dialect,
) -> str:  # fmt: skip
    """Return the source of a kernel: out = formula(operands, numbers), elementwise over `rank` dims.

    Arguments: out and its offset; each operand: an array and its offset, or a number; the numbers; for rank 1 with steps
    of 0 and 1 alone: n, chunk; else n, chunk, rows, rows at a time, the outer sizes, and for out and each array its
    step along a row where it is -1, and its outer strides.
    """
    made, vectors = printed(formula, compute, dialect), Printed("")
    arrays = [o for o in operands if not o.scalar]
    alike = all([c == compute for c in (out, *(o.ctype for o in arrays), *(o.used for o in operands))])
    side_by_side = inner == 1 and all([o.inner >= 0 for o in arrays])
    values = vector_text(formula, compute, vectors) if made.calls and alike and side_by_side else None
    if values is not None:
        made = vectors
    for ctype in (out, *(o.ctype for o in operands)):
        made.helpers |= {
            w for w in ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat") if w in ctype.read + ctype.write
        }
    part = complex_part(compute).name
    head = [f"__global {out.stored} * restrict o_, long o_at"]
    for o in operands:
        head.append(
            f"{o.used.name} {o.name}" if o.scalar else f"__global const {o.ctype.stored} * restrict {o.name}_, long {o.name}_at"
        )
    head += [f"{c.name} {n}" for n, c in numbers]
    head += ["long n", "long chunk"]
    flat = rank == 1 and inner >= 0 and all(o.inner >= 0 for o in arrays)
    places = [("o", inner), *((o.name, o.inner) for o in arrays)]
    lines = ["  long first = (long)get_global_id(0) * chunk, last = first + chunk < n ? first + chunk : n;"]
    if flat:
        lines += [f"  long {p}_b = {p}_at;" for p, _ in places]
        body = loop(made, compute, out, inner, arrays, operands, dialect, "  ", values)
    else:
        head += ["long count", "long rows"] + [f"long d{k}" for k in range(rank - 1)]
        for p, step in places:
            head += [f"long {p}_i"] if step < 0 else []
            head += [f"long {p}_s{k}" for k in range(rank - 1)]
        lines += [
            "  long top = (long)get_global_id(1) * rows, end = top + rows < count ? top + rows : count;",
            "  for (long row = top; row < end; row++) {",
            "    long rest = row, q;",
        ]
        lines += [f"    long {p}_b = {p}_at;" for p, _ in places]
        for k in reversed(range(rank - 1)):
            lines.append(f"    q = rest % d{k}; rest /= d{k};" if k else "    q = rest;")
            lines.append("    " + " ".join(f"{p}_b += q * {p}_s{k};" for p, _ in places))
        body = [*loop(made, compute, out, inner, arrays, operands, dialect, "    ", values), "  }"]
    text = helper_text(made.helpers, part)
    signature = f"__kernel void {name}({', '.join(head)}) {{"
    return "\n".join([text + signature, *lines, *body, "}", ""])


def element(o: Operand, index: str) -> str:
    step = {0: "", 1: f" + {index}"}.get(o.inner, f" + ({index}) * {o.name}_i")
    return o.read(f"{o.name}_b{step}")


def loop(
    made: Printed, compute: Ctype, out: Ctype, inner: int, arrays: Sequence[Operand], operands: Sequence[Operand],
    dialect: Dialect, pad: str, values: str | None,
) -> list[str]:  # fmt: skip
    """Return the lines of a loop over the elements of a row: plain, of vectors where the formula has text for them (`values`),
    or in blocks where calls were taken out."""
    if values is not None:
        return vector_loop(values, compute, arrays, pad)
    index = "i + l" if made.calls else "i"
    place = {0: "o_b", 1: f"o_b + {index}"}.get(inner, f"o_b + ({index}) * o_i")
    reads = [f"{o.used.name} {o.name} = {element(o, index)};" for o in arrays]
    store = f"o_[{place}] = {out.write.format(made.text)};"
    if not made.calls:
        rare = SCALAR if dialect.cpu and inner < 0 and all([o.inner < 0 for o in arrays]) else ""
        return [f"{rare}{pad}for (long i = first; i < last; i++) {{ {' '.join(reads)} {store} }}"]
    part = complex_part(compute)
    lines = [
        f"{pad}for (long i = first; i < last; i += {BLOCK}) {{",
        f"{pad}  int m = last - i < {BLOCK} ? (int)(last - i) : {BLOCK};",
    ]
    for array, args, name in made.calls:
        names = argument_arrays(array, args)
        lines.append(f"{pad}  {part.name} " + ", ".join(f"{a}[{BLOCK}] __attribute__((aligned(64)))" for a in names) + ";")
        lines.append(f"{pad}  for (int l = 0; l < m; l++) {{ {' '.join(reads)} "
                     + " ".join(f"{a}[l] = {text};" for a, text in zip(names, args, strict=True)) + " }")  # fmt: skip
        lines += [f"{pad}  {text}" for text in call_lines(array, args, name, part)]
    lines.append(f"{pad}  for (int l = 0; l < m; l++) {{ {' '.join(reads)} {store} }}")
    return [*lines, f"{pad}}}"]


def vector_loop(values: str, ctype: Ctype, arrays: Sequence[Operand], pad: str) -> list[str]:
    """Return the lines of a loop over vectors; the last elements of a row are put in one."""
    t, v, width = ctype.name, VECTORS[ctype.name], ctype.vector
    ones = [f"{v} {o.name} = {o.name}_[{o.name}_b];" for o in arrays if not o.inner]
    moving = [o.name for o in arrays if o.inner]
    whole = [f"{v} {n} = *(__global const {v} *)({n}_ + {n}_b + i);" for n in moving]
    part = [f"{t} p_{n}[{width}]; for (int l = 0; l < {width}; l++) p_{n}[l] = l < m ? {n}_[{n}_b + i + l] : 1; "
            f"{v} {n} = *({v} *)p_{n};" for n in moving]  # fmt: skip
    return [
        f"{pad}long i = first;{''.join([f' {one}' for one in ones])}",
        f"{pad}for (; i + {width} <= last; i += {width}) "
        f"{{ {' '.join(whole)} *(__global {v} *)(o_ + o_b + i) = {values}; }}",
        f"{pad}if (i < last) {{ int m = (int)(last - i); {' '.join(part)} {t} made[{width}]; *({v} *)made = {values};"
        f"{SCALAR}{pad}  for (int l = 0; l < m; l++) o_[o_b + i + l] = made[l]; }}",
    ]


def argument_arrays(array: str, args: Sequence[str]) -> list[str]:
    """Return the names of the arrays that a call's arguments are put in: the first is where its values will be."""
    return [array, *(f"{array}_{k}" for k in range(1, len(args)))]


def call_lines(array: str, args: Sequence[str], name: str, ctype: Ctype) -> list[str]:
    """Return the lines that replace a block of m arguments, in arrays of BLOCK, by a function's values."""
    part, names = complex_part(ctype), argument_arrays(array, args)
    own = OWN.get((name, part.name))
    pad = f"{SCALAR}for (int l = m; l % {part.vector}; l++) " + "{ " + " ".join(f"{a}[l] = 1;" for a in names) + " }"
    if own in BY_PLACE:
        call = f"{own}({', '.join([f'{a} + b' for a in names])})"
    else:
        vector = VECTORS[part.name]
        values = ", ".join(f"*({vector} *)({a} + b)" for a in names)
        call = f"*({vector} *)({array} + b) = {own or name}({values})"
    return [pad, f"{SCALAR}for (int b = 0; b < m; b += {part.vector}) {call};"]
