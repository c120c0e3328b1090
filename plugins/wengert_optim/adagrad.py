"""Steps scaled by the size of past gradients: their sum of squares (Adagrad) or a mean (RMSprop, Adadelta).

Owns: the three update formulas. May import: `wengert`'s public names and the optimizer base class.
Must not know: devices, arrays, the tape. `g` is the gradient, already with its sign and weight decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wengert
from wengert.optim.optimizer import Group, Optimizer, State, at_least_zero, count, descend, new_step

if TYPE_CHECKING:
    from wengert import Tensor


class Adagrad(Optimizer):
    """Descend along the gradient over the root of its summed squares.

    s <- s + g**2  (from initial_accumulator_value);  p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Raises: ValueError for hyperparameters out of range.
    Source: Duchi, Hazan, Singer, Adaptive Subgradient Methods for Online Learning (JMLR 2011).
    """

    sparse_gradients = True
    checks = {
        "lr_decay": at_least_zero("lr_decay value"),
        "initial_accumulator_value": at_least_zero("initial_accumulator_value value"),
    }

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, foreach=foreach, maximize=maximize,
            differentiable=differentiable, fused=fused,
        ))  # fmt: skip
        for group in self.param_groups:  # PyTorch's has its state before the first step, which a state_dict() shows
            for p in group["params"]:
                self._begin(p, p, group)

    def init_state(self, p: Tensor, group: Group) -> State:
        return {"step": new_step(p), "sum": wengert.zeros_like(p).add_(group["initial_accumulator_value"])}

    def share_memory(self) -> None:
        """Move the sums to where processes made by fork see each other's writes."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, s, lr = count(state, p), state["sum"], group["lr"]
        if group["lr_decay"]:
            lr = lr / (1 + (t - 1) * group["lr_decay"])
        if g.is_sparse:  # the rows that were taken, and no others
            g = g.coalesce()
            s.add_(g * g)
            values = g.values() / (s.sparse_mask(g).values().sqrt() + group["eps"])
            descend(p, wengert.sparse_coo_tensor(g.indices(), values, g.shape, is_coalesced=True), lr)
            return
        s.addcmul_(g, g)
        descend(p, g / (s.sqrt() + group["eps"]), lr)


class Adadelta(Optimizer):
    """Descend by steps whose size is the root mean square of past steps, in the parameter's own unit.

    v <- rho * v + (1 - rho) * g**2;   d = sqrt(u + eps) / sqrt(v + eps) * g
    u <- rho * u + (1 - rho) * d**2;   p <- p - lr * d

    Raises: ValueError for hyperparameters out of range.
    Source: Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012).
    """

    checks = {"rho": lambda rho: None if 0 <= rho <= 1 else f"Invalid rho value: {rho}"}

    def __init__(
        self, params: Any, lr: float | Tensor = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
        foreach: bool | None = None, *, capturable: bool = False, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize, capturable=capturable,
            foreach=foreach, differentiable=differentiable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        return {"step": new_step(p), "square_avg": wengert.zeros_like(p), "acc_delta": wengert.zeros_like(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        v, u, rho, eps = state["square_avg"], state["acc_delta"], group["rho"], group["eps"]
        state["step"].add_(1)
        v.mul_(rho).addcmul_(g, g, value=1 - rho)
        d = (u + eps).sqrt() / (v + eps).sqrt() * g
        u.mul_(rho).addcmul_(d, d, value=1 - rho)
        descend(p, d, group["lr"])


class RMSprop(Optimizer):
    """Descend along the gradient over the root of its mean square, or of its variance (centered).

    v <- alpha * v + (1 - alpha) * g**2;   centered: a <- alpha * a + (1 - alpha) * g, and v - a**2 in place of v
    b <- momentum * b + g / (sqrt(v) + eps);   p <- p - lr * b

    Raises: ValueError for hyperparameters out of range.
    Source: Tieleman and Hinton, lecture 6.5 (2012); centered: Graves, Generating Sequences With RNNs (2013).
    """

    checks = {"alpha": at_least_zero("alpha value")}

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay,
            capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        state = {"step": new_step(p), "square_avg": wengert.zeros_like(p)}
        if group["momentum"]:
            state["momentum_buffer"] = wengert.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = wengert.zeros_like(p)
        return state

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        v, alpha = state["square_avg"], group["alpha"]
        state["step"].add_(1)
        v.mul_(alpha).addcmul_(g, g, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"].lerp_(g, 1 - alpha)
            v = v.addcmul(mean, mean, value=-1)
        d = g / (v.sqrt() + group["eps"])
        if group["momentum"]:
            d = state["momentum_buffer"].mul_(group["momentum"]).add_(d)
        descend(p, d, group["lr"])
