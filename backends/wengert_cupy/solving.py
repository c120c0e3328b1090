"""Triangular systems and factorizations, by cuBLAS and cuSOLVER through cupyx.

Owns: kernels (*inputs, *params) -> arrays, in batches. May import: cupyx (inside functions), NumPy. Must not know: tensors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def adjoint(x: Any) -> Any:
    return x.swapaxes(-1, -2).conj() if x.dtype.kind == "c" else x.swapaxes(-1, -2)


def solve_triangular(x: Any, y: Any, upper: bool, unit: bool) -> Any:
    """Return inv(x) y, the matrices one after another."""
    import cupy
    from cupyx.scipy.linalg import solve_triangular as solve

    batch, dtype = np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), np.result_type(x.dtype, y.dtype)
    made = cupy.empty((*batch, *y.shape[-2:]), dtype)
    if not made.size:
        return made
    xs = cupy.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(-1, *x.shape[-2:])
    ys = cupy.broadcast_to(y, made.shape).reshape(-1, *y.shape[-2:])
    flat = made.reshape(-1, *y.shape[-2:])
    for i in range(math.prod(batch)):
        flat[i] = solve(xs[i], ys[i], lower=not upper, unit_diagonal=unit)
    return made


def cholesky_solve(x: Any, y: Any, upper: bool) -> Any:
    low = adjoint(x) if upper else x
    return solve_triangular(adjoint(low), solve_triangular(low, y, False, False), True, False)


def lu_factor(x: Any) -> Any:
    """Return the factors in one matrix, and the rows that were swapped, counted from 1."""
    import cupy
    from cupyx.scipy.linalg import lu_factor as factor

    made = cupy.empty(x.shape, x.dtype)
    pivots = cupy.empty((*x.shape[:-2], min(x.shape[-2:])), np.int32)
    if made.size:
        for place in np.ndindex(x.shape[:-2]):
            made[place], swaps = factor(x[place])
            pivots[place] = swaps + 1
    return made, pivots
