"""The Adam family: steps scaled by running averages of the gradient (m) and of its square (v).

Owns: Adam, AdamW, Adamax, NAdam, RAdam. May import: `wengert`'s public names and the optimizer base class.
Must not know: devices, arrays, the tape. `g` is the gradient, already with its sign and weight decay.
The bias correction, m / (1 - beta1**t) and v / (1 - beta2**t), is folded into the rate and into eps: c1, c2.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import wengert
from wengert.optim.optimizer import Group, Optimizer, State, at_least_zero, count, counted, debias, host_arrays, new_step
from wengert_optim import kernels

if TYPE_CHECKING:
    from wengert import Tensor


class Adam(Optimizer):
    """Descend along m / sqrt(v), the averages corrected for their start at zero.

    m <- beta1 * m + (1 - beta1) * g;   v <- beta2 * v + (1 - beta2) * g**2;   with amsgrad the largest v so far
    p <- p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    Raises: ValueError for hyperparameters out of range.
    Source: Kingma and Ba, Adam (ICLR 2015); Reddi, Kale, Kumar, On the Convergence of Adam and Beyond (ICLR 2018).
    """

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-3, betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize,
            foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=decoupled_weight_decay,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        state = {"step": new_step(p), "exp_avg": wengert.zeros_like(p), "exp_avg_sq": wengert.zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = wengert.zeros_like(p)
        return state

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, m, v, (beta1, beta2) = counted(state, p), state["exp_avg"], state["exp_avg_sq"], group["betas"]
        c1, c2 = debias(beta1, t), debias(beta2, t) ** 0.5
        eps, size = group["eps"] * c2, -group["lr"] * c2 / c1
        arrays = host_arrays(g, p, m, v) if type(eps) is type(size) is float and not group["amsgrad"] else None
        if arrays is not None:  # the same at once
            kernels.adam(arrays, beta1, beta2, eps, size)
            return
        m.mul_(beta1).add_(g, alpha=1 - beta1)
        v.mul_(beta2).add_(g * g, alpha=1 - beta2)
        if group["amsgrad"]:
            v = largest_(state["max_exp_avg_sq"], v)
        direction = m / (v.sqrt() + eps)
        if isinstance(size, wengert.Tensor):
            p.addcmul_(direction, size)
        else:
            p.add_(direction, alpha=size)


class AdamW(Adam):
    """Adam with weight decay on the parameters instead of the gradient.

    p <- p - lr * weight_decay * p, then Adam's step

    Raises: ValueError for hyperparameters out of range.
    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-3, betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
            capturable=capturable, differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the root mean square.

    m <- beta1 * m + (1 - beta1) * g;   u <- max(beta2 * u, |g| + eps);   p <- p - lr * m / ((1 - beta1**t) * u)

    Raises: ValueError for hyperparameters out of range.
    Source: Kingma and Ba, Adam, section 7.1 (ICLR 2015).
    """

    def __init__(
        self, params: Any, lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False,
        differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        return {"step": new_step(p), "exp_avg": wengert.zeros_like(p), "exp_inf": wengert.zeros_like(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, m, u, (beta1, beta2) = count(state, p), state["exp_avg"], state["exp_inf"], group["betas"]
        m.lerp_(g, 1 - beta1)
        u.copy_(wengert.maximum(u * beta2, g.abs() + group["eps"]))
        p.addcmul_(m / u, -group["lr"] / debias(beta1, t))


class NAdam(Optimizer):
    """Adam with Nesterov momentum, the momentum mu warming up.

    mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2);   m, v as in Adam
    p <- p - lr * (mu_t+1 * m / (1 - mu_1 ... mu_t+1) + (1 - mu_t) * g / (1 - mu_1 ... mu_t)) / (sqrt(v^) + eps)

    Raises: ValueError for hyperparameters out of range.
    Source: Dozat, Incorporating Nesterov Momentum into Adam (ICLR workshop 2016).
    """

    checks = {"momentum_decay": at_least_zero("momentum_decay value")}

    def __init__(
        self, params: Any, lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        step, zeros = new_step(p), wengert.zeros_like
        return {"step": step, "mu_product": step + 1, "exp_avg": zeros(p), "exp_avg_sq": zeros(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, m, v, (beta1, beta2) = count(state, p), state["exp_avg"], state["exp_avg_sq"], group["betas"]
        warm = wengert.exp(t * (group["momentum_decay"] * math.log(0.96)))
        mu, mu_next = beta1 * (1 - 0.5 * warm), beta1 * (1 - 0.5 * 0.96 ** group["momentum_decay"] * warm)
        so_far = state["mu_product"]
        product = so_far.mul_(mu.to(so_far.dtype)).to(t.dtype)
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        ahead = m * (mu_next / (1 - product * mu_next)) + g * ((1 - mu) / (1 - product))
        c2 = debias(beta2, t).sqrt()
        p.addcmul_(ahead / (v.sqrt() + group["eps"] * c2), -group["lr"] * c2)


@functools.cache
def tractable_from(beta2: float) -> float:
    """Return the first step whose variance has more than five degrees of freedom, rho_t > 5; inf where none has.

    rho_t grows with t, so this replaces comparing it at every step, where float32 would round across 5.
    """
    rho = 2 / (1 - beta2) - 1
    t = 1
    while rho > 5:
        if rho - 2 * t * beta2**t / (1 - beta2**t) > 5:
            return t
        t += 1
    return math.inf


class RAdam(Optimizer):
    """Adam whose rate is rectified for the variance of v, and plain momentum while that variance is intractable.

    rho = 2 / (1 - beta2) - 1;   rho_t = rho - 2 * t * beta2**t / (1 - beta2**t)
    m, v as in Adam;   m^ = m / (1 - beta1**t)
    rho_t > 5:  p <- p - lr * m^ * r * sqrt(1 - beta2**t) / (sqrt(v) + eps);   else  p <- p - lr * m^
                r = sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t))

    Raises: ValueError for hyperparameters out of range.
    Source: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond (ICLR 2020).
    """

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, decoupled_weight_decay=decoupled_weight_decay, differentiable=differentiable,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        return {"step": new_step(p), "exp_avg": wengert.zeros_like(p), "exp_avg_sq": wengert.zeros_like(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, m, v, (beta1, beta2) = count(state, p), state["exp_avg"], state["exp_avg_sq"], group["betas"]
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        rate, rho = -group["lr"] / debias(beta1, t), 2 / (1 - beta2) - 1
        if rho > 5:
            c2, tractable = debias(beta2, t), t >= tractable_from(float(beta2))
            rho_t = rho - t * 2 * (1 - c2) / c2
            r = ((rho_t - 4) * (rho_t - 2) / rho_t * (rho / (rho - 4) / (rho - 2))).abs().sqrt()  # < 0: not used
            rate = rate * wengert.where(tractable, r * c2.sqrt(), 1.0)
            m = m / wengert.where(tractable, v.sqrt() + group["eps"], 1.0)
        p.addcmul_(m, rate)


def largest_(peak: Tensor, v: Tensor) -> Tensor:
    """Raise `peak` to `v` where v is larger; compared on a copy, which a recorded step may keep."""
    peak.copy_(wengert.maximum(peak.clone(), v))
    return peak
