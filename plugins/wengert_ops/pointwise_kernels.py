"""Elementwise kernels that an array module does not have under the op's name, or has with other types.

Owns: kernels (backend, *inputs, *params, out) -> array. May import: NumPy, for types; the backend brings its module.
Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def frac(backend: Any, x: Any, out: Any = ...) -> Any:
    xp = backend.xp
    if x.dtype.kind not in "fc":
        return backend.give(xp.zeros_like(x), out)
    whole = xp.trunc(x, out=...)
    return xp.subtract(x, whole, out=whole if out is ... else out)


def heaviside(backend: Any, x: Any, y: Any, out: Any = ...) -> Any:
    return backend.give(backend.xp.where(x == 0, y, (x > 0).astype(y.dtype)), out)


def nan_to_num(backend: Any, x: Any, nan: Any, posinf: Any, neginf: Any, out: Any = ...) -> Any:
    return backend.give(backend.xp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf), out)


def signbit(backend: Any, x: Any, out: Any = ...) -> Any:
    if x.dtype.kind == "c":
        raise TypeError("complex numbers have no sign bit")
    return backend.give(backend.xp.signbit(x) if x.dtype.kind == "f" else x < 0, out)


def angle(backend: Any, x: Any, out: Any = ...) -> Any:
    xp = backend.xp
    if x.dtype.kind == "c":
        return xp.arctan2(x.imag, x.real, out=out)
    zero, pi = (x.dtype.type(v) for v in (0, np.pi))
    return backend.give(xp.where(x < 0, pi, xp.where(x == x, zero, x)), out)


def frexp(backend: Any, x: Any) -> Any:
    mantissa, exponent = backend.xp.frexp(x)
    return backend.xp.asarray(mantissa), backend.xp.asarray(exponent).astype(np.int32, copy=False)


def view_as_real(backend: Any, x: Any) -> Any:
    return x[..., None].view(x.real.dtype)


def view_as_complex(backend: Any, x: Any) -> Any:
    return x.view(np.complex128 if x.dtype == np.float64 else np.complex64)[..., 0]
