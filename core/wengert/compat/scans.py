"""`torch._higher_order_ops.associative_scan`, by which models of states over time add up their steps.

Owns: the function. May import: pytree, tensor's functions late. Must not know: kernels. Steps are combined with those 1, 2,
4, ... before them, so that n steps take log2(n) calls; gradients are those of the operations called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.compat.pytree import tree_flatten, tree_unflatten


def associative_scan(
    combine_fn: Callable[[Any, Any], Any], xs: Any, dim: int, reverse: bool = False, combine_mode: str = "pointwise"
) -> Any:
    """Return y with y[0] = x[0], y[i] = combine_fn(y[i - 1], x[i]) along `dim`; from the end where reverse."""
    from wengert import cat, flip

    values, structure = tree_flatten(xs)
    if not values or len({x.shape[dim] for x in values}) != 1:
        raise ValueError(f"associative_scan: expected tensors of one length along dim {dim}, got {[x.shape for x in values]}")
    if reverse:
        values = [flip(x, (dim,)) for x in values]
    length, step = values[0].shape[dim], 1
    while step < length:
        before = [x.narrow(dim, 0, length - step) for x in values]
        here = [x.narrow(dim, step, length - step) for x in values]
        combined = combine_fn(tree_unflatten(before, structure), tree_unflatten(here, structure))
        values = [cat((x.narrow(dim, 0, step), y), dim) for x, y in zip(values, tree_flatten(combined)[0], strict=True)]
        step *= 2
    return tree_unflatten([flip(x, (dim,)) for x in values] if reverse else values, structure)
