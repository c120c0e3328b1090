"""Steps that treat a parameter as a matrix: its squares kept by rows and columns (Adafactor), or its spectrum flattened (Muon).

Owns: the two update formulas. May import: `wengert`'s public names and the optimizer base class.
Must not know: devices, arrays, the tape. `g` is the gradient, already with its sign; both decay parameters, not gradients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import wengert
from wengert.optim.optimizer import Check, Group, Optimizer, State, at_least_zero, count, descend, new_step

if TYPE_CHECKING:
    from wengert import Tensor


def _pair_of_eps(eps: Any) -> str | None:
    for i, value in enumerate(eps):
        if value is not None and not 0 <= value:
            return f"epsilon{i + 1} should be >= 0 but is: {value}"
    return None


def _real(optimizer: Optimizer, p: Tensor) -> None:
    if p.is_complex():
        raise RuntimeError(f"{type(optimizer).__name__} does not support complex parameters")


class Adafactor(Optimizer):
    """Descend along the gradient over the root of its mean square, of which a matrix keeps only its rows' and columns' means.

    w = t**beta2_decay;   r <- r + w * (mean(g**2, -1) - r);   c <- c + w * (mean(g**2, -2) - c);   v = r c / mean(r)
    (a vector keeps v itself);   u = g / sqrt(max(v, eps1**2));   u <- u / max(1, rms(u) / d)
    p <- p - lr * weight_decay * p - max(eps2, rms(p)) * min(lr, 1 / sqrt(t)) * u

    eps: (eps1, eps2); None for eps1 is the spacing of floats at 1.
    Raises: ValueError for hyperparameters out of range and for complex parameters.
    Source: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost (ICML 2018).
    """

    decays_parameters = True
    checks: ClassVar[Mapping[str, Check]] = {
        "lr": lambda lr: "Tensor lr must be 1-element" if isinstance(lr, wengert.Tensor) and lr.numel() != 1
        else None if 0 <= lr < math.inf else f"Learning rate should be >= 0 but is: {lr}",
        "beta2_decay": lambda power: None if power <= 0 else f"beta2_decay should be <= 0 but is: {power}",
        "eps": _pair_of_eps,
        "d": lambda d: None if 1 <= d else f"Clipping threshold d should be >= 1 but is: {d}",
        "weight_decay": lambda rate: None if 0 <= rate else f"weight_decay should be >= 0 but is: {rate}",
    }  # fmt: skip

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        _real(self, p)
        if p.dim() < 2:
            return {"step": new_step(p), "variance": wengert.zeros_like(p)}
        rows, columns = p.shape[-2:]
        return {
            "step": new_step(p),
            "row_var": p.new_zeros((*p.shape[:-2], rows, 1)),
            "col_var": p.new_zeros((*p.shape[:-2], 1, columns)),
        }

    def decay(self, p: Tensor, g: Tensor, group: Group) -> Tensor:
        return g  # in update, after the size of p was taken

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        t, lr, (eps1, eps2) = count(state, p), group["lr"], group["eps"]
        eps1 = wengert.finfo(p.dtype).eps if eps1 is None else eps1
        size = _rms(p).clamp(min=eps2) * t.rsqrt().clamp(max=lr)
        if group["weight_decay"]:
            super().decay(p, g, group)
        w, square = t ** group["beta2_decay"], g * g
        if p.dim() < 2:
            v = state["variance"].lerp_(square, w)
        else:
            r = state["row_var"].lerp_(square.mean(-1, keepdim=True), w)
            c = state["col_var"].lerp_(square.mean(-2, keepdim=True), w)
            v = r @ c / r.mean(-2, keepdim=True).clamp(min=eps1)
        u = g * v.clamp(min=eps1 * eps1).rsqrt()
        descend(p, u, size / (_rms(u) / group["d"]).clamp(min=1.0))


def _rms(x: Tensor) -> Tensor:
    size: Tensor = x.norm() / x.numel() ** 0.5
    return size


# How much longer a step is made for a matrix of these sizes, so that one lr serves matrices of all shapes.
LENGTHS = {
    "original": lambda rows, columns: max(1.0, rows / columns) ** 0.5,
    "match_rms_adamw": lambda rows, columns: 0.2 * max(rows, columns) ** 0.5,
}


class Muon(Optimizer):
    """Descend along the momentum with its singular values brought near 1; for matrices, such as the weights of hidden layers.

    b <- b + (1 - momentum) * (g - b);   m = momentum * b + (1 - momentum) * g  if nesterov else b
    x = m / max(|m|, eps);   ns_steps times  x <- a x + (b A + c A A) x  with A = x x^T
    p <- p - lr * weight_decay * p - lr * length * x;   length = sqrt(max(1, rows / columns)), or as `adjust_lr_fn` says

    adjust_lr_fn: "original" (the default), or "match_rms_adamw": 0.2 sqrt(max(rows, columns)). The iteration runs in the
    parameter's type; PyTorch's runs in bfloat16, which differs in the third digit.
    Raises: ValueError for hyperparameters out of range and for parameters that are no matrices.
    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024); Liu et al., Muon is Scalable (2025).
    """

    decays_parameters = True
    matrices_only = True
    checks: ClassVar[Mapping[str, Check]] = {
        "lr": Adafactor.checks["lr"],
        "momentum": lambda rate: None if 0 <= rate else f"momentum should be >= 0 but is: {rate}",
        "weight_decay": Adafactor.checks["weight_decay"],
        "eps": at_least_zero("epsilon value"),
        "ns_coefficients": lambda c: None if len(c) == 3 else "Coefficients must be a tuple of exactly 3 values",
        "ns_steps": lambda n: None if 0 <= n < 100 else "Number of steps must be less than 100 for computational efficiency",
        "adjust_lr_fn": lambda name: None if name is None or name in LENGTHS
        else f"Adjust learning rate function {name} is not supported: {', '.join(LENGTHS)} are",
    }  # fmt: skip

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, ns_coefficients=ns_coefficients, eps=eps,
            ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn,
        ))  # fmt: skip

    def init_state(self, p: Tensor, group: Group) -> State:
        _real(self, p)
        return {"momentum_buffer": wengert.zeros_like(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        momentum = group["momentum"]
        b = state["momentum_buffer"].lerp_(g, 1 - momentum)
        x = flattened(g.lerp(b, momentum) if group["nesterov"] else b, group)
        descend(p, x, group["lr"] * LENGTHS[group["adjust_lr_fn"] or "original"](*p.shape))


def flattened(m: Tensor, group: Group) -> Tensor:
    """Return m with its singular values near 1, by Newton's and Schulz's iteration on the smaller of m m^T and m^T m."""
    a, b, c = group["ns_coefficients"]
    tall = m.shape[0] > m.shape[1]
    x: Tensor = m.T if tall else m
    x = x / x.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
