"""Results that have names: the types of what functions of several results return, which PyTorch has in `torch.return_types`.

Owns: those types. May import: nothing. Must not know: tensors.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import Any

_TYPES = {
    "values indices": "cummax cummin kthvalue max median min mode nanmedian sort topk",
    "min max": "aminmax", "mantissa exponent": "frexp", "hist bin_edges": "histogram histogramdd",
    "Q R": "linalg_qr qr", "a tau": "geqrf", "U S Vh": "linalg_svd", "U S V": "svd", "P L U": "linalg_lu lu_unpack",
    "eigenvalues eigenvectors": "linalg_eig linalg_eigh", "sign logabsdet": "linalg_slogdet slogdet",
    "solution residuals rank singular_values": "linalg_lstsq", "solution cloned_coefficient": "triangular_solve",
    "LU pivots": "linalg_lu_factor", "LU pivots info": "linalg_lu_factor_ex", "L info": "linalg_cholesky_ex",
    "LD pivots": "linalg_ldl_factor", "LD pivots info": "linalg_ldl_factor_ex", "inverse info": "linalg_inv_ex",
    "result info": "linalg_solve_ex",
}  # fmt: skip
FIELDS = {name: fields.split() for fields, names in _TYPES.items() for name in names.split()}


@functools.cache
def named(name: str) -> Any:
    """Return the type of a function's results: a named tuple that is made of its parts, or of one sequence of them."""
    fields = FIELDS[name]

    def new(cls: Any, *parts: Any) -> Any:
        given = tuple(parts[0]) if len(parts) == 1 else parts
        if len(given) != len(fields):
            raise TypeError(f"torch.return_types.{name}() takes a {len(fields)}-sequence ({len(given)}-sequence given)")
        return tuple.__new__(cls, given)

    def show(self: Any) -> str:
        parts = [f"{field}={value!r}" for field, value in zip(fields, self, strict=True)]
        return f"torch.return_types.{name}(\n" + ",\n".join(parts) + ")"

    own = {"__slots__": (), "__new__": new, "__repr__": show, "__reduce__": lambda self: (_made, (name, *self))}
    return type(name, (namedtuple(name, fields),), own)


def _made(name: str, *parts: Any) -> Any:
    return named(name)(*parts)
