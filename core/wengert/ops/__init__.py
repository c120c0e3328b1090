"""The op tables: one file a family, each a formula sheet of records with the composites made of them.

Owns: nothing itself; importing it registers every built-in op. `ops.<namespace>` finds a program's own custom ops, as PyTorch's
does. Must not know: devices, plugins.
To find an op: its record and rule are in the family's file here, its kernels in backends/ under the same name.
"""

from typing import Any

from wengert.ops import creation, elementwise, indexing, products, random, reductions, shapes

__all__ = ["creation", "elementwise", "indexing", "products", "random", "reductions", "shapes"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    from wengert import library

    return library.namespace(name)
