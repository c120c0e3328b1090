"""Adam for gradients that hold a few rows: only these rows, and their averages, change.

Owns: the update formula. May import: `wengert`'s public names and the optimizer base class. Must not know: devices, arrays,
the tape. `g` is the gradient, already with its sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wengert
from wengert.optim.optimizer import CHECKS, Group, Optimizer, State

if TYPE_CHECKING:
    from wengert import Tensor


class SparseAdam(Optimizer):
    """Take Adam's step in the places where a sparse gradient has values.

    m <- beta1 * m + (1 - beta1) * g;   v <- beta2 * v + (1 - beta2) * g**2   there; elsewhere all stay as they are
    p <- p - lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)

    Raises: ValueError for hyperparameters out of range and sparse parameters, RuntimeError for dense gradients.
    Source: Kingma and Ba, Adam (ICLR 2015); in this form, torch.optim.SparseAdam.
    """

    complex_as_pairs = False
    sparse_gradients, dense_gradients = True, False
    checks = {
        "lr": lambda lr: CHECKS["lr"](lr) or (None if 0 < lr else f"Invalid learning rate: {lr}"),
        "eps": lambda eps: None if 0 < eps else f"Invalid epsilon value: {eps}",
    }

    def __init__(
        self, params: Any, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, maximize=maximize))

    def check(self, group: Group) -> None:
        super().check(group)
        sparse = [i for i, p in enumerate(group.get("params", ())) if p.layout != "torch.strided"]
        if sparse:
            raise ValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")

    def init_state(self, p: Tensor, group: Group) -> State:
        return {"step": 0, "exp_avg": wengert.zeros_like(p), "exp_avg_sq": wengert.zeros_like(p)}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        if not g.is_sparse:
            self._accept(g)
        g, (beta1, beta2), m, v = g.coalesce(), group["betas"], state["exp_avg"], state["exp_avg_sq"]
        state["step"] = t = state["step"] + 1
        places, values = tuple(g.indices()), g.values()
        averages = m[places].mul_(beta1).add_(values, alpha=1 - beta1)
        squares = v[places].mul_(beta2).addcmul_(values, values, value=1 - beta2)
        m[places], v[places] = averages, squares
        size = group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        p[places] = p[places] - size * (averages / (squares.sqrt() + group["eps"]))
