"""Bounds for gradients: by their norm, or one by one.

Owns: the functions of `nn.utils.clip_grad`. May import: `wengert`'s public names. Must not know: modules, devices.
Nothing here reads a value unless asked to raise, so that it can be captured.
"""

from __future__ import annotations

import math
from typing import Any

import wengert
from wengert import Tensor


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Any) -> list[Any]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Any:
    """Return the p-norm of all elements of these tensors. Raises RuntimeError for nan and inf, if asked."""
    listed = _listed(tensors)
    p = float(norm_type)
    if not listed:
        return wengert.tensor(0.0)
    first = listed[0].device
    with wengert.no_grad():
        norms = [wengert.linalg.vector_norm(t, p) for t in listed]
        norms = wengert.stack([n if n.device == first else n.to(first) for n in norms])
        total = norms.max() if p == math.inf else wengert.linalg.vector_norm(norms, p)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {p} for gradients from `parameters` is non-finite, so it cannot be clipped. To disable "
            f"this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Scale gradients down so that their norm, which is total_norm, is max_norm at most."""
    with wengert.no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        factors: dict[Any, Any] = {}
        for g in _gradients(parameters):
            place = g.device, g.dtype
            if place not in factors:
                factors[place] = factor.to(*place)
            g.detach().mul_(factors[place])


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Any:
    """Scale gradients down so that the p-norm of all of them is max_norm at most, and return what it was."""
    parameters = _listed(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


clip_grad_norm = clip_grad_norm_


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp gradients to [-clip_value, clip_value]."""
    with wengert.no_grad():
        for g in _gradients(parameters):
            g.detach().clamp_(-float(clip_value), float(clip_value))
