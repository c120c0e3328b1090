"""Tensors to test with: `make_tensor`.

Owns: the usual ranges of types. May import: wengert's public names. Must not know: what is tested.
"""

from __future__ import annotations

from typing import Any

import wengert as w
from wengert import dtypes

USUAL: dict[str, tuple[float, float]] = {"b": (0, 2), "u": (0, 10), "i": (-9, 10)}  # by NumPy's kind; of others -9 to 9


def limits(dtype: Any) -> tuple[float, float]:
    """Return the smallest and the largest finite number of a type."""
    if dtypes.to_numpy(dtype).kind == "b":
        return 0, 1
    info = w.iinfo(dtype) if dtypes.to_numpy(dtype).kind in USUAL else w.finfo(dtype)
    return info.min, info.max


def make_tensor(
    *shape: Any, dtype: Any, device: Any, low: float | None = None, high: float | None = None, requires_grad: bool = False,
    noncontiguous: bool = False, exclude_zero: bool = False, memory_format: Any = None,
) -> w.Tensor:  # fmt: skip
    """Return a tensor of uniform values from [low, high), both parts of complex ones.

    By default that is [0, 2) for bool, [0, 10) for unsigned and [-9, 10) for other integers, [-9, 9) for the rest. Limits
    beyond what the type can hold become the type's. noncontiguous: with gaps in memory, where there are two elements or more.
    exclude_zero: zeros become 1, those of floats the smallest normal number.

    Equal limits give that one value. Raises: ValueError for low above high, a limit that is nan, requires_grad of integers,
    and noncontiguous beside a memory format.
    """
    kind = dtypes.to_numpy(dtype).kind
    whole = kind in USUAL
    if noncontiguous and memory_format is not None:
        raise ValueError("make_tensor: noncontiguous and memory_format exclude each other; give one")
    if requires_grad and whole:
        raise ValueError(f"make_tensor: requires_grad=True needs a float or complex dtype, got {dtype}")
    least, most = USUAL.get(kind, (-9, 9))
    first, last = least if low is None else low, most if high is None else high
    if not first <= last:  # nan, too
        raise ValueError(f"make_tensor: low must be at most high, got {first} and {last}")
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    spread = noncontiguous and len(sizes) > 0
    sizes = (*sizes[:-1], 2 * sizes[-1]) if spread else sizes
    least, most = limits(dtype)
    first, last = max(first, least), min(last, most + whole, *[2**63 - 1] * whole)  # randint takes no more
    made: w.Tensor
    if whole:
        last = max(int(last), int(first) + 1)  # one value, where they are equal
        made = w.randint(int(first), last, sizes, dtype=w.int64).to(device=device, dtype=dtype)
    else:
        shares = [w.rand(sizes, dtype=w.float64) for _ in range(1 + (kind == "c"))]
        parts = [(1 - share) * first + share * last for share in shares]  # last - first might overflow
        made = (parts[0] if kind != "c" else w.complex(*parts)).to(device=device, dtype=dtype)
        if kind != "c" and first < last:
            made.masked_fill_(made >= last, first)  # rounded up to it
    if spread:
        made = made[..., ::2]
    if exclude_zero:
        made.masked_fill_(made == 0, 1 if whole else w.finfo(dtype).tiny * (1 if kind != "c" else 1 + 1j))
    made.requires_grad_(requires_grad)
    return made
