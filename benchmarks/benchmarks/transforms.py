"""Function transforms beside Python loops, and Hessian-vector products.

Owns: figures of wengert.func. May import: common. Must not know: how a transform works.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .common import Peers


def rosenbrock(x: Any) -> Any:
    """Return the sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def hessian_vector(T: Any, x: Any, v: Any) -> Any:
    """Return H v by two backward passes."""
    leaf = x.clone().requires_grad_()
    (g,) = T.autograd.grad(rosenbrock(leaf), leaf, create_graph=True)
    return T.autograd.grad(g, leaf, v)[0]


class Rosenbrock(Peers):
    """Second order, n = 1000; a batch of 100 gradients and a Jacobian of 100 columns."""

    def prepare(self) -> None:
        rng = np.random.default_rng(0)
        T = self.torch
        self.x, self.v = (T.from_numpy(rng.standard_normal(1000)) for _ in range(2))
        self.small = T.from_numpy(rng.standard_normal(100) * 0.3)
        self.batch = T.from_numpy(rng.standard_normal((100, 100)) * 0.3)

    def time_hessian_vector(self, module: str) -> None:
        hessian_vector(self.torch, self.x, self.v)

    def time_hessian_vector_forward_over_reverse(self, module: str) -> None:
        F = self.torch.func
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's forward mode warns of its own use of torch.jit
            F.jvp(F.grad(rosenbrock), (self.x,), (self.v,))

    def time_batch_of_gradients(self, module: str) -> None:
        F = self.torch.func
        F.vmap(F.grad(rosenbrock))(self.batch)

    def time_batch_of_gradients_by_a_loop(self, module: str) -> None:
        g = self.torch.func.grad(rosenbrock)
        self.torch.stack([g(row) for row in self.batch])

    def time_hessian(self, module: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.torch.func.hessian(rosenbrock)(self.small)
