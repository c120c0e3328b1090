"""Distributions of matrices: Wishart's, of covariances, and LKJ's, of Cholesky factors of correlations.

Owns: these. May import: `wengert`, base, constraints, continuous, gammas, multivariate. Must not know: kl, transforms.
"""

from __future__ import annotations

import math
from typing import Any

import wengert as w
from wengert_distributions import constraints as c
from wengert_distributions.base import Distribution, ExponentialFamily, lazy_property, numbers, unrecorded
from wengert_distributions.continuous import Beta, normals_like
from wengert_distributions.gammas import standard_gamma
from wengert_distributions.multivariate import factor_of, half_log_det


class Wishart(ExponentialFamily):
    """The distribution of sums of df outer products x x^T of normal vectors, by the covariance of these, its inverse, or its
    Cholesky factor; df may be any number above p - 1, of matrices p x p."""

    support = c.positive_definite
    has_rsample = True

    @property
    def arg_constraints(self) -> Any:
        """What each parameter may be: df depends on the size of the matrices."""
        return {
            "covariance_matrix": c.positive_definite, "precision_matrix": c.positive_definite,
            "scale_tril": c.lower_cholesky, "df": c.greater_than(self._event_shape[-1] - 1),
        }  # fmt: skip

    def __init__(
        self, df: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        if not isinstance(df, w.Tensor):
            df = w.tensor(float(df), dtype=matrix.dtype, device=matrix.device)
        batch = w.broadcast_shapes(matrix.shape[:-2], df.shape)
        self.df = df.expand(batch)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        if bool((self.df <= matrix.shape[-1] - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {matrix.shape[-1] - 1}.")
        Distribution.__init__(self, batch, matrix.shape[-2:], validate_args)
        self._factor = matrix if name == "scale_tril" else factor_of(name, matrix)

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new._factor = self._factor

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new._event_shape = self._event_shape  # which arg_constraints ask for
        return super().expand(batch_shape, new)

    @lazy_property
    def scale_tril(self) -> Any:
        return self._factor.expand((*self._batch_shape, *self._event_shape))

    @lazy_property
    def covariance_matrix(self) -> Any:
        return (self._factor @ self._factor.mT).expand((*self._batch_shape, *self._event_shape))

    @lazy_property
    def precision_matrix(self) -> Any:
        return w.cholesky_inverse(self._factor).expand((*self._batch_shape, *self._event_shape))

    @property
    def mean(self) -> Any:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self._event_shape[-1] - 1
        return w.where(factor > 0, factor, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        d = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v**2 + d[..., :, None] * d[..., None, :])

    def _less(self) -> Any:
        """Return df - 0, df - 1, ..., df - (p - 1), along a new last dimension."""
        return self.df[..., None] - w.arange(self._event_shape[-1], dtype=self.df.dtype, device=self.df.device)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Return draws (L A)(L A)^T of Bartlett's triangle A: roots of chi-squared values on the diagonal, normal below."""
        shape = self._extended_shape(sample_shape)
        chi2 = 2 * standard_gamma((self._less() / 2).expand(shape[:-1]))
        made = self._factor @ (normals_like(self._factor, shape).tril(-1) + w.diag_embed(chi2.sqrt()))
        return made @ made.mT

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        p, df = self._event_shape[-1], self.df
        inside = w.cholesky_solve(value, self._factor.expand(value.shape)).diagonal(dim1=-2, dim2=-1).sum(-1)
        normaliser = df * (p * math.log(2) / 2 + half_log_det(self._factor)) + (df / 2).mvlgamma(p)
        return (df - p - 1) / 2 * w.logdet(value) - inside / 2 - normaliser

    def entropy(self) -> Any:
        p, df = self._event_shape[-1], self.df
        sizes = (p + 1) * (half_log_det(self._factor) + p * math.log(2) / 2) + (df / 2).mvlgamma(p)
        return sizes - (df - p - 1) / 2 * (self._less() / 2).digamma().sum(-1) + df * p / 2


class LKJCholesky(Distribution):
    """The distribution of Cholesky factors of dim x dim correlation matrices C of density proportional to
    det(C)^(concentration - 1): uniform for 1, near the identity for large ones.

    Source: D. Lewandowski, D. Kurowicka and H. Joe, Generating random correlation matrices based on vines and extended onion
    method, 2009.
    """

    arg_constraints = {"concentration": c.positive}
    support = c.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = numbers(concentration)
        Distribution.__init__(self, self.concentration.shape, (dim, dim), validate_args)

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new.dim = self.dim

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        """Return draws, row by row: a direction in the ball of the rows before it, and what is left for the diagonal."""
        shape = self._extended_shape(sample_shape)
        before = w.arange(1, self.dim, dtype=self.concentration.dtype, device=self.concentration.device)
        concentration = self.concentration.expand(shape[:-2])[..., None]
        square = Beta(before / 2, concentration + (self.dim - 1 - before) / 2, validate_args=False).sample()
        ways = normals_like(self.concentration, shape).tril(-1)[..., 1:, :]
        ways = ways / ways.norm(dim=-1, keepdim=True) * square.sqrt()[..., None]
        made = w.cat([w.zeros_like(ways[..., :1, :]), ways], -2)
        return made + w.diag_embed((1 - (made**2).sum(-1)).clamp(min=w.finfo(made.dtype).tiny).sqrt())

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n = self.dim - 1
        below = value.diagonal(dim1=-2, dim2=-1)[..., 1:].log()
        after = w.arange(n - 1, -1, -1, dtype=value.dtype, device=value.device)
        density = ((2 * (self.concentration - 1)[..., None] + after) * below).sum(-1)
        top = self.concentration + n / 2
        return density - (n * math.log(math.pi) / 2 + w.mvlgamma(top - 0.5, n) - n * top.lgamma())
