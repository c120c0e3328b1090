"""Kernels written by hand around one loop: a few lines of C for each element of a result.

Owns: `each`, which makes a kernel of such lines and runs it, and the C of an index into dims. May import: arrays, maps, the
runtime, the shared types. Must not know: tensors, gradients, ops.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert_codegen import helper_text
from wengert_opencl.array import Array, Ints
from wengert_opencl.maps import LONG, ctype_of
from wengert_opencl.runtime import Runtime

MOVED = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong", 16: "ulong2"}  # elements that are moved alone, by their size


def moved(dtype: np.dtype[Any]) -> str:
    """Return a C type of the same size as elements: nothing is computed with it."""
    return MOVED[dtype.itemsize]


def stored(dtype: np.dtype[Any]) -> str:
    return ctype_of(dtype).stored  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=4096)
def each_source(
    name: str,
    body: str,
    arrays: tuple[tuple[str, str], ...],
    numbers: tuple[str, ...],
    helpers: frozenset[str],
    part: str,
    before: str,
) -> str:
    head = [f"__global {c} *{n}, long {n}_at" for n, c in arrays] + [f"long {n}" for n in numbers]
    return helper_text(set(helpers), part) + before + "\n".join([
        f"__kernel void k_{name}({', '.join(head)}, long count_, long chunk_) {{",
        *[f"  {n} += {n}_at;" for n, _ in arrays],
        "  long first_ = (long)get_global_id(0) * chunk_, last_ = first_ + chunk_ < count_ ? first_ + chunk_ : count_;",
        "  for (long i = first_; i < last_; i++) {", body, "  }", "}", "",
    ])  # fmt: skip


def each(
    runtime: Runtime, name: str, count: int, body: str, arrays: Sequence[tuple[str, str, Array]],
    numbers: Sequence[tuple[str, int]], *, helpers: frozenset[str] = frozenset(), part: str = "float", least: int = 1024,
    before: str = "",
) -> None:  # fmt: skip
    """Run `body` for each i in [0, count). It sees arrays (name, C type, array) from their first element on, and numbers."""
    if not count:
        return
    named = tuple([(n, c) for n, c, _ in arrays])
    source = each_source(name, body, named, tuple([n for n, _ in numbers]), helpers, part, before)
    values: list[Any] = []
    scalars: list[Any] = []
    for _, _, a in arrays:
        values += [a.buffer, a.start]
        scalars += [None, LONG]
    items, chunk = runtime.share(count, least)
    values += [n for _, n in numbers] + [count, chunk]
    scalars += [LONG] * (len(numbers) + 2)
    groups, group = runtime.grid(items)
    runtime.launch(runtime.kernel(source, f"k_{name}", scalars), groups, group, values)


def strided(shape: Ints, steps: Sequence[tuple[str, Ints]]) -> tuple[str, list[tuple[str, int]]]:
    """Return C that sets, for element i of an array of a shape, each named place to the sum of its coordinates times steps;
    and the numbers it needs."""
    lines = ["    long rest_ = i, c_;", *[f"    long {n} = 0;" for n, _ in steps]]
    numbers = []
    for d in reversed(range(len(shape))):
        lines.append(f"    c_ = rest_ % n{d}_; rest_ /= n{d}_;" if d else "    c_ = rest_;")
        numbers.append((f"n{d}_", shape[d]))
        for n, own in steps:
            if own[d] and shape[d] != 1:
                lines.append(f"    {n} += c_ * {n}{d}_;")
                numbers.append((f"{n}{d}_", own[d]))
    return "\n".join(lines), numbers


def steps_of(x: Array) -> Ints:
    """Return strides in elements."""
    size = x.dtype.itemsize
    return tuple([s // size for s in x.strides])


def wrapped(index: str, n: str) -> str:
    """Return C of an index that counts from the end where it is negative, and stays inside in any case."""
    return f"({index} < 0 ? ({index} + {n} < 0 ? 0 : {index} + {n}) : {index} < {n} ? {index} : {n} - 1)"
