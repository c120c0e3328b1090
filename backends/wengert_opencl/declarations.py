"""The functions of OpenCL C that kernels call, declared in a few lines for a compiler that else reads all of them each time,
and made of their halves where a driver's library was compiled for another processor.

Owns: the declarations, which platforms they are for, and the halves. May import: the names that the printer of formulas knows.
Must not know: programs, kernels' purposes.
PoCL reads LLVM's header of 18,000 lines twice for each program: 0.2 s of processor time, nine tenths of what a small kernel
costs. The header's own guard keeps it away; what a text calls is then declared in front of it.
PoCL 3.0 takes its library by what the processor can, but compiles by the name that its LLVM (14) has for it. AMD's Zen 4 has
registers of 512 bits, and is a Zen 3 to that LLVM, which has none: a call whose vectors are of 512 bits ends the process.
"""

from __future__ import annotations

import re

from wengert_codegen.expressions import INLINE, LIBRARY

PLATFORMS = {"Portable Computing Language": "-D_OPENCL_H_"}  # a platform's name: the option that keeps the header away
PLACES = ("get_global_id", "get_global_size", "get_group_id", "get_local_id", "get_num_groups")
ARGUMENTS = dict.fromkeys(INLINE | LIBRARY, 1) | dict.fromkeys(("atan2", "copysign", "fmod", "hypot", "nextafter", "pow"), 2)
ARGUMENTS["fma"] = 3
HALVES = {"float16": "float8", "double8": "double4"}  # of vectors of 512 bits
LOADS = {"vload16": ("int", 16), "vload8": ("long", 8)}
TYPES = ("float", "double", *HALVES)
OTHERS = {
    "barrier": "void W_NAMED barrier(cl_mem_fence_flags);",
    "convert_double2": "double2 W_NAMED convert_double2(float2);",
    "convert_float2": "float2 W_NAMED convert_float2(double2);",
    "frexp": "float W_NAMED frexp(float, int *); double W_NAMED frexp(double, int *);",
}
_CALLED = re.compile(r"\b([a-z]\w*)\(")
_NAMED = "#define W_NAMED __attribute__((overloadable))"
_ZEN_3 = re.compile(r"PoCL.*-znver[123]$")


def declarations(text: str, narrow: bool) -> str:
    """Return the declarations of what a text calls; narrow: halves are called, too."""
    called = sorted(set(_CALLED.findall(text)))
    lines = [_NAMED]
    lines += [f"__attribute__((const)) size_t W_NAMED {name}(uint);" for name in called if name in PLACES]
    for name in called:
        if name in ARGUMENTS:
            types = (*TYPES, *HALVES.values()) if narrow else TYPES
            lines += [f"__attribute__((const)) {t} W_NAMED {name}({', '.join([t] * ARGUMENTS[name])});" for t in types]
        elif name in LOADS:
            kind, count = LOADS[name]
            for n in (count, count // 2) if narrow else (count,):
                lines.append(f"{kind}{n} W_NAMED vload{n}(size_t, const {kind} *);")
    lines += [OTHERS[name] for name in called if name in OTHERS]
    return "\n".join([*lines, ""])


def is_narrow(version: str, width: int) -> bool:
    """Say whether a device's library takes vectors of 512 bits as its compiler does not give them. width: of floats."""
    return width == 16 and _ZEN_3.search(version) is not None


def halves(text: str) -> str:
    """Return definitions of what a text calls for vectors of 512 bits, by two calls for halves of them."""
    called = sorted(set(_CALLED.findall(text)))
    lines = [_NAMED]
    for name in called:
        for whole in HALVES if name in ARGUMENTS else ():
            names = "xyz"[: ARGUMENTS[name]]
            taken = ", ".join([f"{whole} {x}" for x in names])
            low, high = (f"{name}({', '.join([f'{x}.{part}' for x in names])})" for part in ("lo", "hi"))
            lines.append(f"{whole} W_NAMED {name}({taken}) {{ return ({whole})({low}, {high}); }}")
        if name in LOADS:
            kind, n = LOADS[name]
            low, high = (f"vload{n // 2}(2 * at + {i}, p)" for i in (0, 1))
            lines.append(f"{kind}{n} W_NAMED {name}(size_t at, const {kind} *p) {{ return ({kind}{n})({low}, {high}); }}")
    return "\n".join([*lines, ""])
