"""What SciPy has under another name or signature, for devices made of an array module.

Owns: kernels (backend, *inputs, *params, out) -> array. May import: nothing; the backend brings its modules.
Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any


def polygamma(backend: Any, x: Any, n: int, out: Any = ...) -> Any:
    return backend.give(backend.scipy("special").polygamma(n, x).astype(x.dtype, copy=False), out)
