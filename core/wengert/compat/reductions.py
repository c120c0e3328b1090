"""`torch.nn._reduction`: the numbers that reductions of losses have in PyTorch, for losses that programs write themselves.

Owns: the numbers. May import: nothing. Must not know: any loss.
"""

from __future__ import annotations

import warnings

NUMBERS = {"none": 0, "mean": 1, "elementwise_mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """Return 0 for "none", 1 for "mean", 2 for "sum". Raises ValueError for another word."""
    if reduction not in NUMBERS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if reduction == "elementwise_mean":
        warnings.warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", stacklevel=2)
    return NUMBERS[reduction]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """Return the reduction that the two arguments of PyTorch 0.4 mean."""
    averaged, reduced = size_average is None or size_average, reduce is None or reduce
    found = ("mean" if averaged else "sum") if reduced else "none"
    if emit_warning:
        warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.", stacklevel=2)
    return found


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """Return the number of the reduction that the two arguments mean."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
