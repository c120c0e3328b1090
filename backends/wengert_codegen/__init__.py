"""Shared by devices whose kernels are generated: the formulas of op records as C text, and the loops around them.

Owns: types in C, the printer of `expr` templates, the texts of functions that C lacks, kernel sources. May import: NumPy,
for types. Must not know: any device library; a device compiles the text it gets.
"""

from wengert_codegen.expressions import CTYPES, POWERS, Ctype, Dialect, Unprintable, helper_text, numeral, printed, template
from wengert_codegen.loops import CPU_PREAMBLE, PREAMBLE, SCALAR, Operand, map_source, plan_dims

__all__ = [
    "CPU_PREAMBLE", "CTYPES", "Ctype", "Dialect", "Operand", "POWERS", "PREAMBLE", "SCALAR", "Unprintable", "helper_text",
    "map_source", "numeral", "plan_dims", "printed", "template",
]  # fmt: skip
