"""`pad`, in all its modes.

Owns: the record of constant padding, which is its own gradient with the pads turned around, and the tables of the modes
that repeat elements. May import: wengert.extend, taps. Must not know: devices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import category, dtypes, e, kind_of, structural
from wengert_nn.taps import Table, resample, table

Pads = tuple[tuple[int, int], ...]  # elements put before and after, a dim; fewer than none: that many are left out


def infer_pad(x: Any, pads: Pads, value: Any) -> Any:
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True))
    for d, n in enumerate(shape):
        if n < 0:
            raise RuntimeError(
                f"pad: The input size {x.shape[d]}, plus negative padding {pads[d][0]} and {pads[d][1]}, resulted in a "
                f"negative output size, which is invalid. Check dimension {d} of your input"
            )
    return shape, x.dtype


# fmt: off
constant_pad_ = structural("constant_pad", "x", infer_pad, params="pads value", label="ConstantPadNdBackward0",
    x=lambda g, pads: constant_pad_(g, tuple((-a, -b) for a, b in pads), 0))

SOURCES: dict[str, Callable[[Any, int], Any]] = {  # where element i, outside of n, comes from
    "reflect":   lambda i, n: np.where(i < 0, -i, np.where(i >= n, 2 * (n - 1) - i, i)),
    "replicate": lambda i, n: np.clip(i, 0, n - 1),
    "circular":  lambda i, n: i % n,
}
# fmt: on


@functools.lru_cache(256)
def table_of(mode: str, n: int, before: int, after: int) -> Table:
    """Return the table of a mode for a dim of n elements."""
    return table(n, SOURCES[mode](np.arange(-before, n + after), n)[None])


@functools.lru_cache(256)
def _per_dim(ndim: int, pad: tuple[int, ...]) -> Pads:
    """Return pads as PyTorch writes them, from the last dim on, as one pair a dim in order."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return ((0, 0),) * (ndim - len(pairs)) + tuple(pairs)


def pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Return input with elements put around it: pad is (before, after) of the last dim, then of the one before it, ...

    mode: "constant" (value), or elements of input: "reflect", "replicate" and "circular" of the last one to three dims.
    Raises RuntimeError for pads that do not fit, ValueError for a value where none is used, NotImplementedError for an
    unknown mode.
    """
    kind_of("pad", input)
    amounts = tuple([int(n) for n in pad])
    ndim = len(input.shape)
    if len(amounts) % 2 or len(amounts) > 2 * ndim:
        raise RuntimeError(f"pad: {len(amounts)} amounts for an input with {ndim} dims: there must be two for each padded")
    if mode == "constant":
        return constant_pad_nd(input, amounts, 0 if value is None else value)
    if value not in (None, 0):
        raise ValueError(f"Padding mode {mode!r} doesn't take in value argument")
    if mode not in SOURCES:
        raise NotImplementedError(f"Unrecognised padding mode {mode!r}: the modes are constant, {', '.join(SOURCES)}")
    dims = len(amounts) // 2
    if dims > 3 or dims < 1 or ndim not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"pad: mode {mode!r} pads the last 1, 2 or 3 dimensions of an input with one or two more, not {dims} of {ndim}"
        )
    if mode != "circular" and not all(input.shape[ndim - dims - 1 :]):
        raise RuntimeError(
            f"pad: mode {mode!r} expects an input whose dimensions, without that of the batch, have elements, got "
            f"{list(input.shape)}"
        )
    return _repeated(input, _per_dim(ndim, amounts), mode)


def _repeated(x: Any, pads: Pads, mode: str) -> Any:
    infer_pad(x, pads, None)
    if mode == "circular" and any(n < 0 for pair in pads for n in pair):  # what is left out is not repeated
        x = constant_pad_(x, tuple((min(a, 0), min(b, 0)) for a, b in pads), 0)
        pads = tuple((max(a, 0), max(b, 0)) for a, b in pads)
    padded = [d for d, pair in enumerate(pads) if pair != (0, 0)]
    for d in padded:
        n, longest = x.shape[d], max(pads[d])
        limit = {"reflect": n - 1, "circular": n}.get(mode, longest)
        if longest > limit:
            raise RuntimeError(
                f"pad: Padding size should be {'less than' if mode == 'reflect' else 'at most'} the corresponding input "
                f"dimension, but got padding {pads[d]} at dimension {d} of input {list(x.shape)} (mode {mode!r})"
            )
    for d in reversed(padded):
        x = resample(x, d, table_of(mode, x.shape[d], *pads[d]))
    return x if padded else e.clone(x)


def constant_pad_nd(input: Any, pad: Any, value: Any = 0) -> Any:
    """Return input with a value put around it: pad is (before, after) of the last dim, then of the one before it, ..."""
    if len(pad) % 2 or len(pad) > 2 * len(input.shape):
        raise RuntimeError(f"constant_pad_nd: {len(pad)} amounts do not fit an input with {len(input.shape)} dimensions")
    if isinstance(value, float) and category(input._array.dtype) < dtypes.FLOATING and value != int(value):
        value = int(value)
    pads = _per_dim(len(input.shape), tuple([int(n) for n in pad]))
    infer_pad(input, pads, value)
    return constant_pad_(input, pads, value)
