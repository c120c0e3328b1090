"""Uniform random numbers made where they are needed: the bits of the NumPy device.

Owns: `uniform`. May import: loops written by hand, maps. Must not know: generators; it is given a seed and a place in its
stream.
Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox4x32-10).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert_opencl.array import Array, Ints
from wengert_opencl.each import each
from wengert_opencl.maps import new
from wengert_opencl.runtime import Runtime

FLOATS = "for (int l = 0; l < 4 && 4 * i + l < n; l++) o[4 * i + l] = (float)(w[l] >> 8) * 5.9604644775390625e-08f;"
DOUBLES = (
    "for (int l = 0; l < 2 && 2 * i + l < n; l++) "
    "o[2 * i + l] = (double)((((ulong)w[2 * l] << 32) | w[2 * l + 1]) >> 11) * 1.1102230246251565e-16;"
)


def uniform(runtime: Runtime, seed: int, first: int, shape: Ints, dtype: np.dtype[Any]) -> Array:
    """Return values in [0, 1) of the stream of a seed from block `first` on: 24 random bits in float32, 53 in float64."""
    made = new(runtime, shape, dtype)
    t, per, store = ("float", 4, FLOATS) if dtype.itemsize == 4 else ("double", 2, DOUBLES)
    signed = seed - (1 << 64) if seed >> 63 else seed
    each(runtime, f"uniform_{t}", -(-math.prod(shape) // per), f"""
    ulong at = (ulong)first + (ulong)i;
    uint w[4] = {{(uint)at, (uint)(at >> 32), 0, 0}}, low = (uint)seed, high = (uint)((ulong)seed >> 32);
    for (int r = 0; r < 10; r++, low += 0x9e3779b9u, high += 0xbb67ae85u) {{
      ulong p = (ulong)w[0] * 0xd2511f53ul, q = (ulong)w[2] * 0xcd9e8d57ul;
      uint u = (uint)(q >> 32) ^ w[1] ^ low, v = (uint)(p >> 32) ^ w[3] ^ high;
      w[0] = u; w[1] = (uint)q; w[2] = v; w[3] = (uint)p;
    }}
    {store}""", [("o", t, made)], [("seed", signed), ("first", first), ("n", made.size)])  # fmt: skip
    return made
