"""Resilient propagation: steps that look at the gradient's sign only.

Owns: the update formula. May import: `wengert`'s public names and the optimizer base class.
Must not know: devices, arrays, the tape. `g` is the gradient, already with its sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wengert
from wengert.optim.optimizer import Group, Optimizer, State, new_step

if TYPE_CHECKING:
    from wengert import Tensor


def _etas(etas: Any) -> str | None:
    return None if 0 < etas[0] < 1 < etas[1] else f"Invalid eta values: {etas[0]}, {etas[1]}"


class Rprop(Optimizer):
    """Give every element its own step size: longer while the gradient's sign stays, shorter when it flips.

    g * g_prev > 0: size <- size * etas[1];   < 0: size <- size * etas[0] and g <- 0;   size kept within step_sizes
    p <- p - size * sign(g)

    Raises: ValueError for hyperparameters out of range.
    Source: Riedmiller and Braun, A direct adaptive method for faster backpropagation learning (ICNN 1993).
    """

    checks = {"etas": _etas}

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        size = wengert.zeros_like(p).add_(group["lr"])
        return {"step": new_step(p), "prev": wengert.zeros_like(p), "step_size": size}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        size, (shorter, longer), (low, high) = state["step_size"], group["etas"], group["step_sizes"]
        state["step"].add_(1)
        agree = g * state["prev"]
        grown = wengert.where(agree > 0, size * longer, wengert.where(agree < 0, size * shorter, size))
        size.copy_(grown.clamp(low, high))
        g = wengert.where(agree < 0, wengert.zeros_like(g), g)
        p.addcmul_(g.sign(), size, value=-1)
        state["prev"].copy_(g)
