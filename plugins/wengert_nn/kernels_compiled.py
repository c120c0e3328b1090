"""Ops of compiled functions on devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array. May import: the other kernels. Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any

from wengert_nn.kernels_activations import DENSITY, bell, elementwise, normal
from wengert_nn.kernels_losses import keyed, places


def share_less(backend: Any, x: Any, scale: Any, a: Any, index: Any, ignored: int) -> Any:
    xp = backend.xp
    key, _ = places(backend, x, index, ignored)
    made = xp.multiply(x, xp.expand_dims(scale, 1))  # it lies in order where x does
    keyed(made, key)[key] -= a
    return made


normal_share = elementwise(1)(normal)


@elementwise(2)
def gelu_slope(backend: Any, made: Any, x: Any, y: Any) -> None:
    xp = backend.xp
    xp.multiply(x, x, out=made)
    bell(xp, made)
    made *= x
    made *= DENSITY
    made += y
