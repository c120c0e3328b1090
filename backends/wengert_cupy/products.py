"""Matrix products by a generated kernel: what runs while a stream is captured, as CuPy calls no cuBLAS then.

Owns: `source`, and `product`, which launches it. May import: the shared generator, the kernels beside this module. Must not
know: ops, tensors, streams. A block makes a square of the result, from strips of both factors that it keeps in shared memory,
and each of its 256 threads a few elements of the square. float16 and bfloat16 are added up in float32 and rounded once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from wengert_codegen import CTYPES, printed
from wengert_codegen.cuda import CUDA, THREADS, conversions, helpers, translated
from wengert_codegen.expressions import complex_part, numeral
from wengert_codegen.loops import converted, plan_dims
from wengert_cupy.kernels import LONG, Kernels, elements, known, wider

SIDE = 16  # threads along a side of the square, and elements of a strip
LARGE, SMALL = 4, 2  # elements of a thread along a side, where there are enough squares for the card, and where not


@functools.lru_cache(maxsize=256)
def source(dtype: np.dtype[Any], each: int, x_rows: bool, y_rows: bool) -> str:
    """Return the source of out[b] = x[b] y[b]. each: elements of a thread along a side. x_rows, y_rows: whether elements that
    follow each other in memory are those of a row. Arguments: out, in order; x, y and their three steps; B, M, N, K."""
    kept, wide = known(dtype), CTYPES[wider(dtype).name]
    t, side = wide.name, SIDE * each
    step = printed("a + w_times(x, y)" if wide.kind == "c" else "a + x * y", wide, CUDA)

    def place(rows: bool, along: str, across: str) -> str:
        """Which element of a strip a thread reads: neighbours in memory by neighbours."""
        fast, slow = (along, across) if rows else (across, along)
        size = SIDE if fast == "k" else side
        return f"const int {fast} = e % {size}, {slow} = e / {size};"

    def read(name: str, inside: str) -> str:
        value = converted(kept.read.format(f"{name}_r[{inside}]"), kept, wide)
        return f"{value} : {numeral(0, wide)}"

    letters = f"const {t} a = sums[i][j], x = xs[k][row + {SIDE} * i], y = ys[k][column + {SIDE} * j];"
    lines = f"""extern "C" __global__ void __launch_bounds__({THREADS}) k_product({kept.stored} * o_, \
const {kept.stored} * x_, long x_b, long x_m, long x_k, const {kept.stored} * y_, long y_b, long y_k, long y_n, \
long B, long M, long N, long K) {{
  __shared__ {t} xs[{SIDE}][{side} + 1], ys[{SIDE}][{side} + 1];
  const int row = threadIdx.x / {SIDE}, column = threadIdx.x % {SIDE};
  const long high = (M + {side - 1}) / {side}, broad = (N + {side - 1}) / {side};
  for (long square = blockIdx.x; square < B * high * broad; square += gridDim.x) {{
    const long b = square / (high * broad), top = square / broad % high * {side}, left = square % broad * {side};
    const {kept.stored} * x_r = x_ + b * x_b, * y_r = y_ + b * y_b;
    {t} sums[{each}][{each}];
#pragma unroll
    for (int i = 0; i < {each}; i++) for (int j = 0; j < {each}; j++) sums[i][j] = {numeral(0, wide)};
    for (long from = 0; from < K; from += {SIDE}) {{
#pragma unroll
      for (int l = 0; l < {each}; l++) {{
        const int e = threadIdx.x + l * {THREADS};
        {{ {place(x_rows, "k", "m")}
          xs[k][m] = top + m < M && from + k < K ? {read("x", "(top + m) * x_m + (from + k) * x_k")}; }}
        {{ {place(not y_rows, "k", "n")}
          ys[k][n] = left + n < N && from + k < K ? {read("y", "(from + k) * y_k + (left + n) * y_n")}; }}
      }}
      __syncthreads();
#pragma unroll
      for (int k = 0; k < {SIDE}; k++) for (int i = 0; i < {each}; i++) for (int j = 0; j < {each}; j++) {{
        {letters} sums[i][j] = {step.text};
      }}
      __syncthreads();
    }}
#pragma unroll
    for (int i = 0; i < {each}; i++) for (int j = 0; j < {each}; j++) {{
      const long m = top + row + {SIDE} * i, n = left + column + {SIDE} * j;
      if (m < M && n < N) o_[(b * M + m) * N + n] = {kept.write.format("sums[i][j]")};
    }}
  }}
}}
"""
    return helpers(step.helpers | conversions(kept), complex_part(wide).name) + translated(lines)


def product(kernels: Kernels, x: Any, y: Any) -> Any:
    """Return the product of two arrays of floats, as matmul does."""
    cupy, dtype = kernels.cupy, np.result_type(x.dtype, y.dtype)
    if x.ndim == 1:
        made = product(kernels, x[None], y)
        return made[0] if y.ndim == 1 else made[..., 0, :]
    if y.ndim == 1:
        return product(kernels, x, y[:, None])[..., 0]
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: rows of {x.shape[-1]} elements, and columns of {y.shape[-2]}")
    x, y = x.astype(dtype, copy=False), y.astype(dtype, copy=False)
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    M, K, N = int(x.shape[-2]), int(x.shape[-1]), int(y.shape[-1])
    x, y = (cupy.broadcast_to(a, (*batch, *a.shape[-2:])) for a in (x, y))
    many, steps = plan_dims(batch, [elements(a)[:-2] for a in (x, y)])
    if len(many) > 1:
        x, y = cupy.ascontiguousarray(x), cupy.ascontiguousarray(y)
        many, steps = plan_dims(batch, [elements(a)[:-2] for a in (x, y)])
    made = cupy.empty((*batch, M, N), dtype)
    if not made.size:
        return made
    squares = many[0] * -(-M // (SIDE * LARGE)) * -(-N // (SIDE * LARGE))
    each = LARGE if squares >= kernels.processors else SMALL
    inner = [elements(a)[-2:] for a in (x, y)]
    text = source(dtype, each, inner[0][1] == 1, inner[1][1] == 1)
    blocks = many[0] * -(-M // (SIDE * each)) * -(-N // (SIDE * each))
    given = [v for a, s, own in zip((x, y), steps, inner, strict=True) for v in (a, *map(LONG, (*s, *own)))]
    kernels.get(text, "k_product")(kernels.grid(blocks), (THREADS,), (made, *given, *map(LONG, (many[0], M, N, K))))
    return made
