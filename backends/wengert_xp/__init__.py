"""Shared by array-module devices (NumPy, CuPy, ...): kernels by name from a module that speaks NumPy's language.

Owns: `ArrayModule`, the kernel table written against such a module, and what it fills in where a ufunc does not exist.
May import: wengert's backend protocol and op records, NumPy. Must not know: any one device, tensors, gradients.
"""

from wengert_xp.arraymodule import BARE, ArrayModule

__all__ = ["BARE", "ArrayModule"]  # and wengert_xp.standard: StandardModule, for namespaces of the array API standard
