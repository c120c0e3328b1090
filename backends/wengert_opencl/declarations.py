"""The functions of OpenCL C that kernels call, declared in a few lines for a compiler that else reads all of them each time.

Owns: the declarations, and which platforms they are for. May import: the names that the printer of formulas knows. Must not
know: programs, kernels' purposes.
PoCL reads LLVM's header of 18,000 lines twice for each program: 0.2 s of processor time, nine tenths of what a small kernel
costs. The header's own guard keeps it away; what a text calls is then declared in front of it.
"""

from __future__ import annotations

import re

from wengert_codegen.expressions import INLINE, LIBRARY

PLATFORMS = {"Portable Computing Language": "-D_OPENCL_H_"}  # a platform's name: the option that keeps the header away
PLACES = ("get_global_id", "get_global_size", "get_group_id", "get_local_id", "get_num_groups")
TWO = frozenset({"atan2", "copysign", "fmod", "hypot", "nextafter", "pow"})
TYPES = ("float", "double", "float16", "double8")
OTHERS = {
    "barrier": "void W_NAMED barrier(cl_mem_fence_flags);",
    "convert_double2": "double2 W_NAMED convert_double2(float2);",
    "convert_float2": "float2 W_NAMED convert_float2(double2);",
    "fma": " ".join([f"{t} W_NAMED fma({t}, {t}, {t});" for t in TYPES]),
    "frexp": "float W_NAMED frexp(float, int *); double W_NAMED frexp(double, int *);",
    "vload16": "int16 W_NAMED vload16(size_t, const int *);",
    "vload8": "long8 W_NAMED vload8(size_t, const long *);",
}
_CALLED = re.compile(r"\b([a-z]\w*)\(")


def declarations(text: str) -> str:
    """Return the declarations of what a text calls."""
    called = sorted(set(_CALLED.findall(text)))
    lines = ["#define W_NAMED __attribute__((overloadable))"]
    lines += [f"__attribute__((const)) size_t W_NAMED {name}(uint);" for name in called if name in PLACES]
    for name in called:
        if name in INLINE | LIBRARY:
            lines += [f"__attribute__((const)) {t} W_NAMED {name}({t}{f', {t}' if name in TWO else ''});" for t in TYPES]
    return "\n".join([*lines, *[OTHERS[name] for name in called if name in OTHERS], ""])
