"""One step of an optimizer, its gradients given: one small parameter, or a hundred.

Owns: the cost of `step` and `zero_grad`. May import: `common`. Must not know: any update rule.
"""

from __future__ import annotations

from typing import Any

from .common import Taped
from .engines import TAPES

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "Adam": ("Adam", {}),
}
STEPS = 100  # in one call


class Step(Taped):
    """A hundred steps."""

    params = (TAPES, list(OPTIMIZERS), [1, 100])
    param_names = ["engine", "optimizer", "parameters"]

    def prepare(self, optimizer: str, parameters: int) -> None:
        torch = self.torch
        leaves = [torch.ones(3, requires_grad=True) for _ in range(parameters)]
        for leaf in leaves:
            leaf.grad = torch.full((3,), 1e-3)
        kind, options = OPTIMIZERS[optimizer]
        self.optimizer = getattr(torch.optim, kind)(leaves, lr=0.01, **options)
        self.optimizer.step()  # the first makes the state

    def time_step(self, name: str, optimizer: str, parameters: int) -> None:
        step = self.optimizer.step
        for _ in range(STEPS):
            step()


class ZeroGrad(Taped):
    """A hundred times forgetting the gradients of a hundred parameters."""

    def prepare(self) -> None:
        leaves = [self.torch.ones(3, requires_grad=True) for _ in range(100)]
        self.optimizer = self.torch.optim.SGD(leaves, lr=0.01)

    def time_zero_grad(self, name: str) -> None:
        zero_grad = self.optimizer.zero_grad
        for _ in range(STEPS):
            zero_grad()
