"""`nn.utils.parametrizations`: weight norm, spectral norm, orthogonal matrices.

Owns: the three as parametrizations. May import: Module, norms, parametrize. Must not know: devices.
Source of orthogonal: M. Lezcano-Casado, Trivializations for gradient-based optimization on manifolds, 2019.
"""

from __future__ import annotations

import functools
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
            iterate(matrix.mH, self._v, self._u, 15, eps)

    def forward(self, weight: Any) -> Any:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            iterate(matrix.mH, self._v, self._u, self.n_power_iterations, self.eps)
        return weight / wengert.vdot(self._u.clone(), wengert.mv(matrix, self._v.clone()))

    def right_inverse(self, value: Any) -> Any:
        return value


class _Orthogonal(Module):
    """Q = base M, M = exp(A), or (1 - A/2)^-1 (1 + A/2), A = X - X^H of X's lower triangle, or a product of reflections.

    The reflections' vectors are the columns below X's diagonal, which is a sign of each column. A tall M is the first columns
    of a square one; a wide Q is the transpose of a tall one.
    """

    def __init__(self, weight: Any, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if orthogonal_map == "householder" and weight.is_complex():
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.orthogonal_map, self.shape = orthogonal_map, weight.shape
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Any:
        wide = x.shape[-2] < x.shape[-1]
        x = x.mT if wide else x
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            q = wengert.linalg.householder_product(a, 2 / (1 + (a * a).sum(-2)))
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            a = x.tril()
            a = F.pad(a, (0, n - k)) if n != k else a
            a = a - a.mH
            if self.orthogonal_map == "matrix_exp":
                q = wengert.linalg.matrix_exp(a)
            else:
                one = wengert.eye(n, dtype=x.dtype, device=x.device)
                q = wengert.linalg.solve(one - a / 2, one + a / 2)
            q = q[..., :k]
        if self._buffers.get("base") is not None:
            q = self.base @ q
        return q.mT if wide else q

    def right_inverse(self, value: Any) -> Any:
        if value.shape != self.shape:
            raise ValueError(f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of {value.shape}.")
        with wengert.no_grad():
            wide = value.shape[-2] < value.shape[-1]
            q = value.mT if wide else value
            n, k = q.shape[-2:]
            if "base" not in self._buffers:
                return self._inverse(q, wide)
            if n != k:  # any other columns do
                others = wengert.randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)
                q = wengert.cat([q, others], -1)
            self.base = _made_orthogonal(q) if n != k or not _is_orthogonal(q) else q.clone()
            start = wengert.zeros_like(value)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)  # of which the reflections are the identity
            return start

    def _inverse(self, q: Any, wide: bool) -> Any:
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        a, tau = wengert.geqrf(q)
        signs = a.diagonal(dim1=-2, dim2=-1)
        signs.copy_(signs.sign() * wengert.where(tau == 0, -1.0, 1.0))  # tau 0: no reflection in that column
        return a.mT if wide else a


def _is_orthogonal(q: Any) -> bool:
    n = q.shape[-1]
    one = wengert.eye(n, dtype=q.dtype, device=q.device)
    return bool(wengert.allclose(q.mH @ q, one, atol=10 * n * wengert.finfo(q.dtype).eps))


def _made_orthogonal(x: Any) -> Any:
    """Return the orthogonal factor of x = Q R with a positive diagonal of R."""
    a, tau = wengert.geqrf(x)
    return wengert.linalg.householder_product(a, tau) * a.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Let a weight be g v / |v|; g is original0, v original1. dim: what g has one number for, None: g is one number."""
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(functools.partial(_from_older, name))
    return module


def _from_older(name: str, state_dict: Any, prefix: str, *others: Any) -> None:
    """Let a state dict of `utils.weight_norm` be loaded: g and v have other names in it."""
    for old, new in (("g", 0), ("v", 1)):
        key = f"{prefix}{name}_{old}"
        if key in state_dict:
            state_dict[f"{prefix}parametrizations.{name}.original{new}"] = state_dict.pop(key)


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
    """Let a matrix, or each of a batch, have orthonormal columns (rows, if it is wide).

    orthogonal_map: exp of a skew matrix ("matrix_exp"), its "cayley" map, or a product of reflections ("householder"); by
    default the first for square and complex matrices, the last for others. use_trivialization: times a constant `base`, so
    that any orthogonal matrix can be assigned.
    """
    weight = getattr(module, name)
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if is_parametrized(module, name):
        raise ValueError(f"orthogonal: {name} is parametrized already")
    square = weight.shape[-2] == weight.shape[-1] or weight.is_complex()
    chosen = orthogonal_map or ("matrix_exp" if square else "householder")
    if chosen not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}')
    return register_parametrization(module, name, _Orthogonal(weight, chosen, use_trivialization), unsafe=True)
