"""What convolution and pooling share: the reading of their arguments.

Owns: ints or tuples as tuples, images without a batch dim, sizes of results. May import: wengert.extend, the arithmetic
of windows. Must not know: any op.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from wengert.extend import ints, kind_of, s

Ints = tuple[int, ...]


@functools.lru_cache(256)
def sizes(spatial: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Ints:
    """Return how many windows there are, a spatial dim."""
    every = zip(spatial, kernel, stride, padding, dilation, strict=True)
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in every])


def winner_type(kernel: Ints) -> np.dtype[Any]:
    """Return the type for the number of a place in a window; its largest value is none."""
    return np.dtype(np.uint8 if math.prod(kernel) < 255 else np.uint32)


def per_dim(name: str, argument: str, value: Any, dims: int) -> Ints:
    """Return an int, or a sequence of one or `dims` ints, as a tuple. Raises RuntimeError for another number of them."""
    if isinstance(value, int):
        return (value,) * dims
    try:
        made = tuple([n.__index__() for n in ints(value)])
    except (AttributeError, TypeError):
        raise TypeError(f"{name}(): argument '{argument}' must be an int or a tuple of ints, not {value!r}") from None
    if len(made) == 1:
        return made * dims
    if len(made) != dims:
        raise RuntimeError(
            f"{name}: expected {argument} to be a single integer value or a list of {dims} values to match the spatial "
            f"dimensions, but got {argument}={list(made)}"
        )
    return made


def batched(name: str, input: Any, dims: int, what: str = "input") -> tuple[Any, bool]:
    """Return input with a batch dim, and whether it was put in. Raises RuntimeError for another number of dims."""
    kind_of(name, input, what)
    ndim = len(input.shape)
    if ndim == dims + 2:
        return input, False
    if ndim != dims + 1:
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) {what} to {name}, but got {what} of size: "
            f"{list(input.shape)}"
        )
    return s.getitem(input, (None,)), True


def unbatched(result: Any, single: bool) -> Any:
    """Return a result without the batch dim that `batched` put in."""
    return s.getitem(result, (0,)) if single else result


def positive(name: str, **values: Ints) -> None:
    """Raise RuntimeError for a size below 1, or for a padding below 0."""
    for what, value in values.items():
        if min(value) < (0 if "padding" in what else 1):
            problem = "negative" if "padding" in what else "non-positive"
            raise RuntimeError(f"{name}: {problem} {what} is not supported: {list(value)}")
