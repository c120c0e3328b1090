"""Shared by devices whose kernels are generated: the formulas of op records as C text, and the loops around them.

Owns: types in C, the printer of `expr` templates, the texts of functions that C lacks, kernel sources. May import: NumPy,
for types. Must not know: any device library; a device compiles the text it gets.
"""

from wengert_codegen.expressions import CTYPES, Ctype, Dialect, literal, numeral, template
from wengert_codegen.loops import Operand, map_source, plan_dims

__all__ = ["CTYPES", "Ctype", "Dialect", "Operand", "literal", "map_source", "numeral", "plan_dims", "template"]
