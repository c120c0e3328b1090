"""One number or one for each dim: how layers take sizes.

Owns: `per_dim`, and the names PyTorch's programs import for it. May import: the standard library.
Must not know: tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def per_dim(value: Any, dims: int) -> Any:
    """Return a number as a tuple of it for each dim, anything else as a tuple."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * dims


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        return per_dim(value, n)

    parse.__name__ = name
    return parse


_single, _pair, _triple, _quadruple = _ntuple(1), _ntuple(2), _ntuple(3), _ntuple(4)


def _reverse_repeat_tuple(t: Iterable[Any], n: int) -> tuple[Any, ...]:
    """Return a tuple backwards with each entry n times, as `nn.functional.pad` takes pads."""
    return tuple(x for x in reversed(tuple(t)) for _ in range(n))
