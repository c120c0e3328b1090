"""Uniform random numbers made on the card: the bits of the NumPy device, and none of them waits.

Owns: `uniform`. May import: the kernels beside this module. Must not know: generators; it is given a seed and a place in its
stream. While a stream is captured, a kernel reads where it begins from the graph's memory, so that each launch draws anew.
Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox4x32-10).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert_codegen.cuda import THREADS, translated
from wengert_cupy.kernels import LONG, Ints, Kernels

STORES = {
    "float": (4, "(float)(w[l] >> 8) * 5.9604644775390625e-08f"),
    "double": (2, "(double)((((ulong)w[2 * l] << 32) | w[2 * l + 1]) >> 11) * 1.1102230246251565e-16"),
}


def source(t: str, captured: bool) -> str:
    """Return the source of a kernel. Arguments: out; the seed and the first block, or (captured) where these are, and how far
    behind that block the draw begins; n."""
    per, value = STORES[t]
    head = "const ulong * from_, long behind" if captured else "ulong seed, ulong first"
    known = "const ulong seed = from_[0], first = from_[1] + (ulong)behind;" if captured else ""
    return translated(f"""extern "C" __global__ void __launch_bounds__({THREADS}) k_uniform({t} * o_, {head}, long n) {{
  {known}
  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; {per} * i < n; i += (long)gridDim.x * blockDim.x) {{
    const ulong at = first + (ulong)i;
    uint w[4] = {{(uint)at, (uint)(at >> 32), 0, 0}}, low = (uint)seed, high = (uint)(seed >> 32);
    for (int r = 0; r < 10; r++, low += 0x9e3779b9u, high += 0xbb67ae85u) {{
      const ulong p = (ulong)w[0] * 0xd2511f53u, q = (ulong)w[2] * 0xcd9e8d57u;
      const uint u = (uint)(q >> 32) ^ w[1] ^ low, v = (uint)(p >> 32) ^ w[3] ^ high;
      w[0] = u; w[1] = (uint)q; w[2] = v; w[3] = (uint)p;
    }}
    for (int l = 0; l < {per} && {per} * i + l < n; l++) o_[{per} * i + l] = {value};
  }}
}}
""")


def uniform(kernels: Kernels, seed: int, first: int, shape: Ints, dtype: Any, captured: Any) -> Any:
    """Return values in [0, 1) of the stream of a seed from block `first` on: 24 random bits in float32, 53 in float64."""
    made = kernels.cupy.empty(shape, dtype)
    if not made.size:
        return made
    t = "float" if dtype.itemsize == 4 else "double"
    blocks = -(-made.size // STORES[t][0])
    if captured is None:
        place: tuple[Any, ...] = (np.uint64(seed), np.uint64(first))
    else:
        place = (captured.origin, LONG(captured.draws(seed, first, blocks)))
    kernel = kernels.get(source(t, captured is not None), "k_uniform")
    kernel(kernels.grid(-(-blocks // THREADS)), (THREADS,), (made, *place, LONG(made.size)))
    return made
