"""The ops that are measured, each with its data, its arithmetic and the memory it has to read and write.

Owns: `KERNELS`, one line an op, written as PyTorch's users write it: `T` is wengert, PyTorch, or what offers the same names.
May import: NumPy. Must not know: any library that runs them, how time is taken.
`n` is the number of elements of the largest array. Bytes are the least that has to move: each input read once, each result
written once. Flops count each addition, product and function such as exp as one; sorting and copying have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray[Any, Any], ...]
WIDTH = 64  # of the rows that are looked up


@dataclass(frozen=True)
class Kernel:
    """One op: what it is given (seed, n), what it does, and how many flops and bytes that is, of its arrays."""

    name: str
    family: str
    data: Callable[[np.random.Generator, int], Arrays]
    run: Callable[..., Any]
    flops: Callable[..., float] | None
    written: Callable[..., float]  # elements of the result, 4 bytes each
    reads: bool = True  # the values of its arrays, and not only their shape

    def arrays(self, n: int) -> Arrays:
        """Return the same random arrays every time; floats are float32, places int64."""
        return self.data(np.random.default_rng(0), n)

    def work(self, n: int) -> tuple[float, float]:
        """Return (flops, bytes) at a size."""
        arrays = self.arrays(n)
        moved = sum(a.nbytes for a in arrays) * self.reads + 4 * self.written(*arrays)
        return (self.flops(*arrays) if self.flops else 0.0), float(moved)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape).astype(np.float32)


def side(n: int) -> int:
    return max(1, math.isqrt(n))


def vector(rng: np.random.Generator, n: int) -> Arrays:
    return (normal(rng, n),)


def vectors(rng: np.random.Generator, n: int) -> Arrays:
    return normal(rng, n), normal(rng, n)


def positive(rng: np.random.Generator, n: int) -> Arrays:
    return (rng.uniform(0.5, 2.0, n).astype(np.float32),)


def matrix(rng: np.random.Generator, n: int) -> Arrays:
    return (normal(rng, side(n), side(n)),)


def matrices(rng: np.random.Generator, n: int) -> Arrays:
    return normal(rng, side(n), side(n)), normal(rng, side(n), side(n))


def matrix_and_row(rng: np.random.Generator, n: int) -> Arrays:
    return normal(rng, side(n), side(n)), normal(rng, side(n))


def images(rng: np.random.Generator, n: int) -> Arrays:
    """8 channels of at most 32 x 32, and 16 filters of 3 x 3."""
    edge = max(3, min(32, math.isqrt(n // 8)))
    return normal(rng, max(1, n // (8 * edge * edge)), 8, edge, edge), normal(rng, 16, 8, 3, 3)


def pictures(rng: np.random.Generator, n: int) -> Arrays:
    return images(rng, n)[:1]


def rows_and_places(rng: np.random.Generator, n: int) -> Arrays:
    """A table of rows, and as many places in it."""
    rows = max(1, n // WIDTH)
    return normal(rng, rows, WIDTH), rng.integers(0, rows, rows)


def rows_places_values(rng: np.random.Generator, n: int) -> Arrays:
    table, places = rows_and_places(rng, n)
    return table, places, normal(rng, len(places), WIDTH)


def each(per: float) -> Callable[..., float]:
    """Return a count: so many for each element of the first array."""
    return lambda a, *others: per * a.size


def convolved(x: Any, w: Any) -> float:
    """Return the elements that a convolution without padding gives."""
    return float(x.shape[0] * w.shape[0] * (x.shape[2] - 2) * (x.shape[3] - 2))


KERNELS: dict[str, Kernel] = {
    k.name: k
    for k in [
        Kernel("copy", "elementwise", vector, lambda T, a: T.clone(a), None, each(1)),
        Kernel("add", "elementwise", vectors, lambda T, a, b: a + b, each(1), each(1)),
        Kernel("add_row", "elementwise", matrix_and_row, lambda T, a, b: a + b, each(1), each(1)),
        Kernel("exp", "elementwise", vector, lambda T, a: T.exp(a), each(1), each(1)),
        Kernel("tanh", "elementwise", vector, lambda T, a: T.tanh(a), each(1), each(1)),
        Kernel("power", "elementwise", positive, lambda T, a: a**1.5, each(1), each(1)),
        Kernel("where", "elementwise", vectors, lambda T, a, b: T.where(a > 0, a, b), each(1), each(1)),
        Kernel("formula", "elementwise", vector, lambda T, a: T.exp(-a * a) * T.sin(a) + 3 * a, each(7), each(1)),
        Kernel("sum", "reduction", vector, lambda T, a: T.sum(a), each(1), lambda a: 1),
        Kernel("sum_rows", "reduction", matrix, lambda T, a: T.sum(a, 1), each(1), lambda a: len(a)),
        Kernel("max_columns", "reduction", matrix, lambda T, a: T.amax(a, 0), each(1), lambda a: len(a)),
        Kernel("softmax", "reduction", matrix, lambda T, a: T.softmax(a, 1), each(5), each(1)),
        Kernel("cumsum", "reduction", matrix, lambda T, a: T.cumsum(a, 1), each(1), each(1)),
        Kernel("matmul", "product", matrices, lambda T, a, b: a @ b, lambda a, b: 2.0 * len(a) ** 3, each(1)),
        Kernel("matvec", "product", matrix_and_row, lambda T, a, b: a @ b, each(2), lambda a, b: len(a)),
        Kernel("conv2d", "convolution", images, lambda T, x, w: T.nn.functional.conv2d(x, w),
               lambda x, w: 2 * convolved(x, w) * w[0].size, convolved),
        Kernel("max_pool2d", "convolution", pictures, lambda T, x: T.nn.functional.max_pool2d(x, 2), each(1),
               lambda x: x.shape[0] * x.shape[1] * (x.shape[2] // 2) * (x.shape[3] // 2)),
        Kernel("gather_rows", "indexing", rows_and_places, lambda T, a, i: a[i], None, lambda a, i: i.size * WIDTH),
        Kernel("index_add", "indexing", rows_places_values, lambda T, a, i, b: T.index_add(a, 0, i, b),
               lambda a, i, b: b.size, each(1)),
        Kernel("transpose", "indexing", matrix, lambda T, a: a.T + 0, each(1), each(1)),
        Kernel("argsort", "indexing", vector, lambda T, a: T.argsort(a), None, each(2)),
        Kernel("randn", "random", vector, lambda T, a: T.randn_like(a), None, each(1), reads=False),
    ]
}  # fmt: skip


def prepared(
    kernel: Kernel, T: Any, place: Callable[[Any], Any], wait: Callable[[Any], object], n: int
) -> Callable[[int], Any]:
    """Return a function that runs a kernel so many times and waits; `place` makes an array of T's on its device."""
    arrays = [place(array) for array in kernel.arrays(n)]
    run = kernel.run

    def times(count: int) -> Any:
        out = None
        for _ in range(count):
            out = run(T, *arrays)
        wait(out)
        return out

    return times
