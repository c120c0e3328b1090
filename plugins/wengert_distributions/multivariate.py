"""Distributions of vectors: normal, Dirichlet, logistic-normal.

Owns: these. May import: `wengert`, base, constraints, continuous, gammas. Must not know: kl, transforms.
"""

from __future__ import annotations

from typing import Any

import wengert as w
from wengert_distributions import constraints as c
from wengert_distributions.base import LOG_2PI, Distribution, ExponentialFamily, lazy_property
from wengert_distributions.continuous import normals_like
from wengert_distributions.gammas import standard_dirichlet


def squared_length(scale_tril: Any, difference: Any) -> Any:
    """Return x^T (L L^T)^-1 x for the vectors x in the last dimension, batches broadcast."""
    x = difference.unsqueeze(-1)
    return (w.linalg.solve_triangular(scale_tril, x, upper=False) ** 2).sum((-2, -1))


def factor_of(name: str, matrix: Any) -> Any:
    """Return the Cholesky factor of a covariance matrix, given it or the precision matrix, its inverse."""
    return w.linalg.cholesky(matrix) if name == "covariance_matrix" else factor_of_inverse(matrix)


def factor_of_inverse(matrix: Any) -> Any:
    """Return the Cholesky factor of the inverse of a precision matrix."""
    # precision = U U^T, the upper U being the flipped factor of the flipped matrix: covariance = U^-T U^-1
    upper = w.linalg.cholesky(matrix.flip((-2, -1))).flip((-2, -1))
    eye = w.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return w.linalg.solve_triangular(upper, eye.expand_as(matrix), upper=True).mT.tril()


def half_log_det(scale_tril: Any) -> Any:
    """Return log |L|, half the logarithm of the determinant of L L^T."""
    return scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, by its covariance, its precision, or the Cholesky factor of the covariance."""

    arg_constraints = {
        "loc": c.real_vector, "covariance_matrix": c.positive_definite, "precision_matrix": c.positive_definite,
        "scale_tril": c.lower_cholesky,
    }  # fmt: skip
    support = c.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: value for name, value in given.items() if value is not None}
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        batch = w.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        self.loc = loc.expand((*batch, -1))
        Distribution.__init__(self, batch, loc.shape[-1:], validate_args)
        factor = matrix if name == "scale_tril" else factor_of(name, matrix)
        self._unbroadcasted_scale_tril = factor  # not expanded: it is solved by

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new._unbroadcasted_scale_tril = self._factor

    @property
    def _factor(self) -> Any:
        return self._unbroadcasted_scale_tril  # PyTorch's name, which subclasses in libraries define

    @lazy_property
    def scale_tril(self) -> Any:
        return self._factor.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @lazy_property
    def covariance_matrix(self) -> Any:
        return (self._factor @ self._factor.mT).expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @lazy_property
    def precision_matrix(self) -> Any:
        return w.cholesky_inverse(self._factor).expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return (self._factor**2).sum(-1).expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        z = normals_like(self.loc, self._extended_shape(sample_shape))
        return self.loc + (self._factor @ z.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n = self._event_shape[0]
        return -(n * LOG_2PI + squared_length(self._factor, value - self.loc)) / 2 - half_log_det(self._factor)

    def entropy(self) -> Any:
        made = self._event_shape[0] / 2 * (1 + LOG_2PI) + half_log_det(self._factor)
        return made.expand(self._batch_shape)


class LowRankMultivariateNormal(MultivariateNormal):
    """The normal distribution of vectors of covariance cov_factor cov_factor^T + diag(cov_diag)."""

    arg_constraints = {
        "loc": c.real_vector, "cov_factor": c.independent(c.real, 2), "cov_diag": c.independent(c.positive, 1),
    }  # fmt: skip

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.dim() < 1 or cov_factor.dim() < 2 or cov_diag.dim() < 1:
            raise ValueError("loc and cov_diag must be at least one-dimensional, cov_factor at least two-dimensional")
        if cov_factor.shape[-2] != loc.shape[-1] or cov_diag.shape[-1] != loc.shape[-1]:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {loc.shape[-1]} x m, cov_diag of "
                             f"vectors of {loc.shape[-1]}")  # fmt: skip
        batch = w.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc, self.cov_diag = loc.expand((*batch, -1)), cov_diag.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, -1, -1))
        Distribution.__init__(self, batch, loc.shape[-1:], validate_args)
        self._unbroadcasted_scale_tril = w.linalg.cholesky(cov_factor @ cov_factor.mT + w.diag_embed(cov_diag))


class Dirichlet(ExponentialFamily):
    """The Dirichlet distribution on the simplex, of density proportional to prod x_i^(a_i - 1)."""

    arg_constraints = {"concentration": c.independent(c.positive, 1)}
    support = c.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, 1, concentration=concentration)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Any:
        less = (self.concentration - 1).clamp(min=0)
        mode = less / less.sum(-1, keepdim=True)
        corner = w.nn.functional.one_hot(self.concentration.argmax(-1), self._event_shape[-1]).to(mode.dtype)
        return w.where((self.concentration < 1).all(-1, keepdim=True), corner, mode)

    @property
    def variance(self) -> Any:
        a = self.concentration
        total = a.sum(-1, keepdim=True)
        return a * (total - a) / (total**2 * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return standard_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a = self.concentration
        return w.xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Any:
        a = self.concentration
        total, n = a.sum(-1), a.shape[-1]
        sizes = a.lgamma().sum(-1) - total.lgamma()
        return sizes - (n - total) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)
