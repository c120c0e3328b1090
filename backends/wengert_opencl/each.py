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
from wengert_opencl.maps import LONG, MOVED, ctype_of
from wengert_opencl.runtime import Runtime


def moved(dtype: np.dtype[Any]) -> str:
    """Return a C type of the same size as elements: nothing is computed with it."""
    return MOVED[dtype.itemsize]


def stored(dtype: np.dtype[Any]) -> str:
    return ctype_of(dtype).stored  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=4096)
def each_kernel(
    runtime: Runtime, name: str, body: str, arrays: tuple[tuple[str, str], ...], numbers: tuple[str, ...],
    helpers: frozenset[str], part: str, before: str, checks: tuple[str, ...],
) -> Any:  # fmt: skip
    """Return the kernel that `each` runs."""
    head = [f"__global {c} * restrict {n}, long {n}_at" for n, c in arrays] + [f"long {n}" for n in numbers]
    head += ["__global long *flag_", "long code_"] if checks else []
    source = helper_text(set(helpers), part) + before + "\n".join([
        f"__kernel void k_{name}({', '.join(head)}, long count_, long chunk_) {{",
        *[f"  {n} += {n}_at;" for n, _ in arrays],
        *[f"  long over_{n} = -1, under_{n} = 0;" for n in checks],
        "  long first_ = (long)get_global_id(0) * chunk_, last_ = first_ + chunk_ < count_ ? first_ + chunk_ : count_;",
        "  for (long i = first_; i < last_; i++) {", body, "  }",
        *[f"  if (over_{n} >= 0 || under_{n} < 0) {{ flag_[1] = over_{n} >= 0 ? over_{n} + {n} : under_{n} - {n}; "
          f"flag_[2] = {n}; flag_[0] = code_; }}" for n in checks], "}", "",
    ])  # fmt: skip
    scalars: list[Any] = [*[None, LONG] * len(arrays), *[LONG] * len(numbers)]
    return runtime.kernel(source, f"k_{name}", [*scalars, *([None, LONG] if checks else []), LONG, LONG])


def each(
    runtime: Runtime, name: str, count: int, body: str, arrays: Sequence[tuple[str, str, Array]],
    numbers: Sequence[tuple[str, int]], *, helpers: frozenset[str] = frozenset(), part: str = "float", least: int = 1024,
    before: str = "", checks: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Run `body` for each i in [0, count). It sees arrays (name, C type, array) from their first element on, and numbers. An
    array that it writes has memory of its own.

    checks: numbers that are sizes of dims which `inside` looks at: an index beyond one is told to the device's flag.
    """
    if not count:
        return
    kernel = each_kernel(runtime, name, body, tuple([(n, c) for n, c, _ in arrays]), tuple([n for n, _ in numbers]), helpers,
                         part, before, checks)  # fmt: skip
    values: list[Any] = []
    for _, _, a in arrays:
        values.append(a.buffer)
        values.append(a.offset and a.start)
    items, chunk = runtime.share(count, least)
    values += [n for _, n in numbers]
    if checks:
        values += [runtime.flag.buffer, runtime.flag.code(name)]
    values += [count, chunk]
    groups, group = runtime.grid(items)
    runtime.launch(kernel, groups, group, values)


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


def inside(index: str, n: str) -> str:
    """Return C that makes an index in a variable count from the start, and lie in a dim of size n; `checks` has to name n."""
    return (
        f"over_{n} = {index} - {n} > over_{n} ? {index} - {n} : over_{n}; "
        f"under_{n} = {index} + {n} < under_{n} ? {index} + {n} : under_{n}; {index} = {index} < 0 ? {index} + {n} : {index}; "
        f"{index} = {index} < 0 ? 0 : {index} < {n} ? {index} : {n} - 1;"
    )
