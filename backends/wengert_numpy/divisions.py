"""Remainders and quotients of many floats, for which the C library takes 15 to 40 ns each.

Owns: `PARTS`, kernels (x, y, out) on doubles by name, for float32 and for float64, and `in_parts`, which calls them for parts
that stay in a core's cache. What is left of x after q whole y needs no rounding where q is small: float32's products are exact
in doubles; a double goes in two halves (Dekker, 1971), and q is the nearest whole number. Where q is large, or something is not
finite, they ask NumPy. May import: NumPy. Must not know: tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MANY = 1 << 12  # elements from which on this is the faster way
PART = 1 << 12  # elements at a time
MOST = float(1 << 22)  # quotients below this are exact
HALF = np.int64(-1 << 27)  # the bits of a double's sign, its exponent and the first 26 of its digits
FLAGS: Any = ["external_loop", "buffered", "copy_if_overlap", "zerosize_ok"]
ROLES: Any = [[role, "overlap_assume_elementwise"] for role in ("readonly", "readonly", "writeonly")]

Kernel = Callable[..., Any]


def wrong(q: Any, d: Any) -> Any:
    """Say where a quotient or what is left is not to be trusted; None: nowhere."""
    if q.dot(q) < MOST * MOST and np.isfinite(d.dot(d)):
        return None
    return ~((np.absolute(q) < MOST) & np.isfinite(d))


def signed(d: Any, x: Any) -> Any:
    """Return d, of which zeros get the sign of x."""
    return d if d.all() else np.where(d == 0, np.copysign(d, x), d)


# ---- of float32, whose quotients, rounded to doubles, are never rounded up to a whole number
def left(x: Any, y: Any, whole: Kernel, few: Kernel) -> Any:
    q = np.divide(x, y)
    whole(q, out=q)
    d = np.multiply(q, y)
    np.subtract(x, d, out=d)
    bad = wrong(q, d)
    if bad is not None:
        d[bad] = few(single(x[bad]), single(y[bad]))
    return d


def single(x: Any) -> Any:
    return x.astype(np.float32)


def fmod(x: Any, y: Any, out: Any) -> None:
    np.copysign(left(x, y, np.trunc, np.fmod), x, out=out)


def remainder(x: Any, y: Any, out: Any) -> None:
    out[...] = signed(left(x, y, np.floor, np.remainder), x)


def floor_divide(x: Any, y: Any, out: Any) -> None:
    q = np.floor(np.divide(x, y), out=out)
    bad = wrong(q, y)
    if bad is not None:
        q[bad] = np.floor_divide(single(x[bad]), single(y[bad]))


# ---- of float64
def nearest(x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Return (x - q y, q, where these could not be had and the first is fmod's), q the whole number nearest to x / y."""
    q = np.rint(np.divide(x, y))
    top = np.bitwise_and(y.view(np.int64), HALF).view(np.float64)
    d = np.multiply(q, top)
    np.subtract(x, d, out=d)
    np.subtract(y, top, out=top)
    np.multiply(top, q, out=top)
    np.subtract(d, top, out=d)
    bad = wrong(q, d)
    if bad is not None:
        d[bad] = np.fmod(x[bad], y[bad])
    return d, q, bad


def fmod_wide(x: Any, y: Any, out: Any) -> None:
    size = np.absolute(y)
    d, _, _ = nearest(np.absolute(x), size)
    np.copysign(np.where(d < 0, np.add(d, size), d), x, out=out)


def remainder_wide(x: Any, y: Any, out: Any) -> None:
    d, _, _ = nearest(x, y)
    out[...] = signed(np.where(across(d, y), np.add(d, y), d), x)


def floor_divide_wide(x: Any, y: Any, out: Any) -> None:
    d, q, bad = nearest(x, y)
    np.subtract(q, across(d, y), out=out)
    if bad is not None:
        out[bad] = np.floor_divide(x[bad], y[bad])


def across(d: Any, y: Any) -> Any:
    """Say where what is left has the other sign than y."""
    return ((d < 0) != (y < 0)) & (d != 0)


PARTS: dict[str, dict[str, Kernel]] = {
    "fmod": {"f": fmod, "d": fmod_wide}, "remainder": {"f": remainder, "d": remainder_wide},
    "floor_divide": {"f": floor_divide, "d": floor_divide_wide},
}  # fmt: skip


def in_parts(name: str, few: Kernel) -> Kernel:
    """Return a kernel that takes many floats in parts, and all else by `few`."""
    by_type = PARTS[name]

    def run(x: Any, y: Any, out: Any = ...) -> Any:
        if max(x.size, y.size) < MANY or x.dtype.char not in by_type or y.dtype is not x.dtype:
            return few(x, y, out=out)
        made = np.empty(np.broadcast_shapes(x.shape, y.shape), x.dtype) if out is ... else out
        part = by_type[x.dtype.char]
        with np.nditer([x, y, made], FLAGS, ROLES, [np.float64] * 3, casting="same_kind", buffersize=PART) as parts:
            for a, b, c in parts:
                part(a, b, c)
        return made

    return run
