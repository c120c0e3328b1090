"""Adam's step on the host: in place, in parts that stay in the cache.

Owns: `adam`, which gives bit by bit what the formula in adam.py gives in ops, where nothing asks for the steps between.
May import: NumPy, `of_array`. Must not know: tensors, what the numbers are made of.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from wengert.extend import of_array

PART = 1 << 15  # elements: of five arrays, they stay in the cache


def adam(arrays: list[Any], beta1: float, beta2: float, eps: float, size: float) -> None:
    """m <- beta1 * m + (1 - beta1) * g;   v <- beta2 * v + (1 - beta2) * g**2;   p <- p + size * m / (sqrt(v) + eps)

    arrays: p, m, v and g, contiguous, of one float type and shape.
    """
    p, m, v, g = arrays
    constants = of_type(p.dtype, beta1, 1 - beta1, beta2, 1 - beta2, eps, size)
    with of_array(p).quiet():
        if p.size <= PART:
            step(p, m, v, g, np.empty(p.shape, p.dtype), *constants)
            return
        p, m, v, g = (array.reshape(-1) for array in arrays)
        spare = np.empty(PART, p.dtype)
        for start in range(0, p.size, PART):
            part = slice(start, start + PART)
            here = p[part]
            step(here, m[part], v[part], g[part], spare[: here.size], *constants)


@functools.lru_cache(64)
def of_type(dtype: Any, *numbers: float) -> list[Any]:
    """Return numbers as 0-d arrays, which ufuncs take soonest. All parameters of a step have the same ones."""
    return [np.asarray(number, dtype) for number in numbers]


def step(
    p: Any, m: Any, v: Any, g: Any, spare: Any, beta1: Any, new1: Any, beta2: Any, new2: Any, eps: Any, size: Any
) -> None:
    multiply, add = np.multiply, np.add
    multiply(m, beta1, m)
    add(m, multiply(g, new1, spare), m)
    multiply(v, beta2, v)
    add(v, multiply(multiply(g, g, spare), new2, spare), v)
    add(np.sqrt(v, spare), eps, spare)
    add(p, multiply(np.divide(m, spare, spare), size, spare), p)
