"""Memory of the host: for intermediate results where vector loops like it, and how much of it stays near; copies of it.

Owns: `aligned`, `NEAR`, `onto`, `apart`, `twin`. May import: NumPy. Must not know: what is computed.
NumPy's own memory begins 16 bytes behind a page. A loop that writes vectors across the borders of cache lines takes up to
twice as long: 0.36 instead of 0.18 ns an element for a product that stays in the cache.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

LINE = 64  # bytes


def third_cache_is_near() -> bool:
    """Say whether this is a processor of AMD's, whose third cache gives nearly what the second does (Intel's gives half)."""
    named = os.environ.get("PROCESSOR_IDENTIFIER", "")  # Windows'
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        named += file.read(1 << 10)
    return "AuthenticAMD" in named


NEAR = third_cache_is_near()  # blocks of work may then be wider


def aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a new array, its elements not set, that begins with a cache line. It is a view: results of ops are not."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE
    return np.ndarray(shape, kind, memory, start)


def onto(kernel: Callable[..., Any], a: Any, b: Any) -> None:
    """Run an elementwise kernel of two inputs, whose result takes the place of the first.

    Of one element NumPy makes a new array first: to find that input and result are the same takes it 0.5 us longer.
    """
    if type(kernel) is not np.ufunc or a.size != 1:  # others may be of other devices, or of a capture
        kernel(a, b, out=a)
        return
    try:
        made = kernel(a, b, out=...)
    except (Warning, FloatingPointError):  # a warning that is an error: raised again when all is written
        kernel(a, b, out=a)
    else:
        a[...] = made


def apart(out: Any, arrays: Any) -> bool:
    """Say whether a host array can take the result of a kernel of several steps: it is in row-major order, and none of the
    inputs lies in its memory, but for the first, which may be the array itself."""
    if type(out) is not np.ndarray or not out.flags.c_contiguous or not out.flags.writeable:
        return False
    return not any([np.may_share_memory(out, x) for x in arrays[arrays[0] is out :]])


def twin(array: Any, copy: Callable[[Any], Any], memo: dict[Any, Any]) -> Any:
    """Return a copy for `copy.deepcopy`: NumPy's arrays as they lie, those of one memory in one memory again."""
    if type(array) is not np.ndarray:
        return copy(array)
    whole = array
    while type(whole.base) is np.ndarray:
        whole = whole.base
    if not whole.flags.forc:
        return copy(array)
    key = "memory", id(whole)
    if key not in memo:
        memo[key] = whole.copy("K"), whole  # which must live as long as its id counts
    made = memo[key][0]
    if whole is array:
        return made
    start = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return np.ndarray(array.shape, array.dtype, made.reshape(-1, order="A").view(np.uint8), start, array.strides)
