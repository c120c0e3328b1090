"""Stochastic gradient descent: with momentum (SGD) and with averaging (ASGD).

Owns: the two update formulas. May import: `wengert`'s public names and the optimizer base class.
Must not know: devices, arrays, the tape. `g` is the gradient, already with its sign and weight decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wengert
from wengert.optim.optimizer import Group, Optimizer, State, count, descend, new_step

if TYPE_CHECKING:
    from wengert import Tensor


class SGD(Optimizer):
    """Descend along the gradient, or along its running sum.

    b <- momentum * b + (1 - dampening) * g   (b = g at the first step);   d = g + momentum * b if nesterov else b
    p <- p - lr * d                           (d = g without momentum)

    Raises: ValueError for hyperparameters out of range, and for nesterov without momentum or with dampening.
    Source: Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum (ICML 2013).
    """

    complex_as_pairs = False
    sparse_gradients = True

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float | Tensor = 0, nesterov: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
            maximize=maximize, foreach=foreach, differentiable=differentiable, fused=fused,
        ))  # fmt: skip

    def check(self, group: Group) -> None:
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        momentum = group["momentum"]
        if momentum:
            b = state.get("momentum_buffer")
            if b is None:
                b = state["momentum_buffer"] = g.clone()
            else:
                b.mul_(momentum).add_(g, alpha=1 - group["dampening"])
            g = g.add(b, alpha=momentum) if group["nesterov"] else b
        descend(p, g, group["lr"])


class ASGD(Optimizer):
    """Descend with a decaying rate eta, and average the iterates from step t0 on (`state["ax"]`).

    p <- (1 - lambd * eta) * p - eta * g;   ax <- ax + mu * (p - ax)
    eta <- lr / (1 + lambd * lr * t)**alpha;   mu <- 1 / max(1, t - t0)

    Raises: ValueError for hyperparameters out of range.
    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992).
    """

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        step = new_step(p)
        return {"step": step, "eta": step + group["lr"], "mu": step + 1, "ax": wengert.zeros_like(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, lr, lambd, ax = count(state, p), group["lr"], group["lambd"], state["ax"]
        eta, mu = (state[key].to(t.dtype, copy=group["differentiable"]) for key in ("eta", "mu"))  # they are written below
        p.mul_(1 - lambd * eta).addcmul_(g, -eta)
        ax.add_((p - ax) * mu)
        own = wengert.get_default_dtype()  # as new_step's, whatever a loaded state has become
        state["eta"].copy_((lr / (1 + lambd * lr * t) ** group["alpha"]).to(own))
        state["mu"].copy_((1 / (t - group["t0"]).clamp(min=1)).to(own))
