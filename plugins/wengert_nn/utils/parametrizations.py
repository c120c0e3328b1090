"""`nn.utils.parametrizations`: weight norm, spectral norm, orthogonal matrices.

Owns: the three as parametrizations. May import: Module, norms, parametrize. Must not know: devices.
Source of orthogonal: M. Lezcano-Casado, Trivializations for gradient-based optimization on manifolds, 2019.
"""

from __future__ import annotations

from typing import Any

import wengert
from wengert.nn import functional as F
from wengert_nn.modules.module import Module
from wengert_nn.utils.norms import as_matrix, iterate, norm_except, usual_dim
from wengert_nn.utils.parametrize import is_parametrized, register_parametrization


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return norm_except(weight, self.dim), weight


class _SpectralNorm(Module):
    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.dim() <= dim < weight.dim():
            raise IndexError(f"Dimension out of range: {dim} for a weight of {weight.dim()} dims")
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.dim, self.eps = dim % weight.dim(), eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            for name, size in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
                drawn = wengert.randn(size, dtype=weight.dtype, device=weight.device)
                self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps))
            iterate(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Any) -> Any:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            iterate(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        return weight / wengert.dot(self._u.clone(), matrix @ self._v.clone())

    def right_inverse(self, value: Any) -> Any:
        return value


class _Orthogonal(Module):
    """Q = base exp(A), or base (1 - A/2)^-1 (1 + A/2), A = X - X^T of X's lower triangle; its first columns if X is tall."""

    def __init__(self, weight: Any, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", wengert.eye(max(weight.shape[-2:]), dtype=weight.dtype, device=weight.device))

    def forward(self, x: Any) -> Any:
        wide = x.shape[-2] < x.shape[-1]
        x = (x.mT if wide else x).tril(-1)
        n, k = x.shape[-2:]
        if n != k:
            x = F.pad(x, (0, n - k))
        a = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            q = wengert.linalg.matrix_exp(a)
        else:
            one = wengert.eye(n, dtype=x.dtype, device=x.device)
            q = wengert.linalg.solve(one - a / 2, one + a / 2)
        if "base" in self._buffers:
            q = self.base @ q
        q = q[..., :k]
        return q.mT if wide else q

    def right_inverse(self, value: Any) -> Any:
        if "base" not in self._buffers:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        wide = value.shape[-2] < value.shape[-1]
        q, r = wengert.linalg.qr(value.mT if wide else value, mode="complete")
        k = r.shape[-1]
        signs = wengert.ones(q.shape[-1], dtype=q.dtype, device=q.device)
        signs[:k] = wengert.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
        self.base.copy_(q * signs)
        return wengert.zeros_like(value)


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Let a weight be g v / |v|; g is original0, v original1. dim: what g has one number for, None: g is one number."""
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Let a weight be divided by its largest singular value, which each use in training knows better."""
    weight = getattr(module, name)
    dim = usual_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


def orthogonal(
    module: Any, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Any:
    """Let a matrix have orthonormal columns (rows, if it is wide): exp of a skew matrix ("matrix_exp"), or "cayley".

    It starts from the orthonormal matrix nearest in QR's sense; not "householder", which gives the same matrices.
    """
    weight = getattr(module, name)
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if is_parametrized(module, name):
        raise ValueError(f"orthogonal: {name} is parametrized already")
    if weight.dim() > 2:
        raise NotImplementedError("orthogonal: batches of matrices are not supported, parametrize one matrix at a time")
    chosen = "matrix_exp" if orthogonal_map is None else orthogonal_map
    if chosen == "householder":
        raise NotImplementedError('orthogonal: "householder" is not supported; "matrix_exp" gives the same matrices')
    if chosen not in ("matrix_exp", "cayley"):
        raise ValueError(f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}')
    return register_parametrization(module, name, _Orthogonal(weight, chosen, use_trivialization))
