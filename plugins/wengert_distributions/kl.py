"""Kullback-Leibler divergences, one formula a pair of families.

Owns: `kl_divergence` and `register_kl`. May import: `wengert` and the families. Must not know: anything else.
KL(p || q) = E_p[log p(x) - log q(x)].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import wengert as w
from wengert_distributions.base import EULER, LOG_2PI, sum_rightmost
from wengert_distributions.composed import Independent, LogNormal, TransformedDistribution
from wengert_distributions.continuous import (
    Beta,
    Cauchy,
    Exponential,
    Gamma,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    Laplace,
    Normal,
    Pareto,
    Uniform,
)
from wengert_distributions.discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    ContinuousBernoulli,
    Geometric,
    OneHotCategorical,
    Poisson,
)
from wengert_distributions.matrices import Wishart
from wengert_distributions.multivariate import Dirichlet, MultivariateNormal, half_log_det, squared_length

_formulas: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Enter a function (p, q) -> KL(p || q) for a pair of classes and their subclasses."""

    def enter(formula: Any) -> Any:
        _formulas[type_p, type_q] = formula
        return formula

    return enter


def kl_divergence(p: Any, q: Any) -> Any:
    """Return KL(p || q), one number a batch entry. Raises NotImplementedError for pairs without a formula."""
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _formulas:
                return _formulas[a, b](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}: "
        "enter one with @register_kl, or average p.log_prob(x) - q.log_prob(x) over x = p.sample()"
    )


# ---- a family and itself
@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    softplus = w.nn.functional.softplus
    one = w.where(p.probs == 0, 0.0, p.probs * (softplus(-q.logits) - softplus(-p.logits)))
    none = w.where(p.probs == 1, 0.0, (1 - p.probs) * (softplus(q.logits) - softplus(p.logits)))
    impossible = ((q.probs == 0) & (p.probs > 0)) | ((q.probs == 1) & (p.probs < 1))
    return w.where(impossible, math.inf, one + none)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    sizes = (c.lgamma() + d.lgamma() + (a + b).lgamma()) - (a.lgamma() + b.lgamma() + (c + d).lgamma())
    return sizes + (a - c) * a.digamma() + (b - d) * b.digamma() + (c + d - a - b) * (a + b).digamma()


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if bool((p.total_count > q.total_count).any()):
        return w.where(p.total_count > q.total_count, math.inf, _binomial(p, Binomial(p.total_count, q.probs)))
    if not bool((p.total_count == q.total_count).all()):
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    return p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    each = p.probs * (p.logits - q.logits)
    each = w.where((q.probs == 0).expand_as(each), math.inf, each)
    return w.where((p.probs == 0).expand_as(each), 0.0, each).sum(-1)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    return (((p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2) / (4 * p.scale * q.scale)).log()


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    sizes = a.sum(-1).lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return sizes + ((a - b) * (a.digamma() - a.sum(-1, keepdim=True).digamma())).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    sizes = b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma()
    return sizes + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(InverseGamma, InverseGamma)
def _inverse_gamma(p: Any, q: Any) -> Any:
    return _gamma(p.base_dist, q.base_dist)  # a one-to-one function of both leaves the divergence as it is


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, moved = p.scale / q.scale, q.loc / q.scale - p.loc / q.scale
    return -ratio.log() + EULER * (ratio - 1) + (moved + (1 + ratio).lgamma()).exp() - 1 - moved


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    square = (p.scale / q.scale) ** 2
    return 0.5 * (square - 1 - square.log())


@register_kl(HalfCauchy, HalfCauchy)
def _half_cauchy(p: Any, q: Any) -> Any:
    return ((p.scale + q.scale) ** 2 / (4 * p.scale * q.scale)).log()


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    apart, ratio = (p.loc - q.loc).abs(), p.scale / q.scale
    return -ratio.log() + apart / q.scale + ratio * (-apart / p.scale).exp() - 1


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError("KL-divergence between two Multivariate Normals with different event shapes cannot be computed")
    n = p.event_shape[0]
    batch = w.broadcast_shapes(p._factor.shape[:-2], q._factor.shape[:-2])
    factor = q._factor.expand((*batch, n, n))
    spread = (w.linalg.solve_triangular(factor, p._factor.expand((*batch, n, n)), upper=False) ** 2).sum((-2, -1))
    apart = squared_length(q._factor, q.loc - p.loc)
    return half_log_det(q._factor) - half_log_det(p._factor) + (spread + apart - n) / 2


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    square = (p.scale / q.scale) ** 2
    return 0.5 * (square + ((p.loc - q.loc) / q.scale) ** 2 - 1 - square.log())


@register_kl(LogNormal, LogNormal)
def _log_normal(p: Any, q: Any) -> Any:
    return _normal(p, q)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p, q)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    made = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return w.where(p.scale < q.scale, math.inf, made)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    made = ((q.high - q.low) / (p.high - p.low)).log()
    return w.where((q.low > p.low) | (q.high < p.high), math.inf, made)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    return p._log_density(p.mean) - q._log_density(p.mean)


@register_kl(Wishart, Wishart)
def _wishart(p: Any, q: Any) -> Any:
    n = p.event_shape[-1]
    batch = w.broadcast_shapes(p._factor.shape[:-2], q._factor.shape[:-2])
    factors = (f._factor.expand((*batch, n, n)) for f in (q, p))
    spread = (w.linalg.solve_triangular(*factors, upper=False) ** 2).sum((-2, -1))  # trace(V_q^-1 V_p)
    sizes = q.df * (half_log_det(q._factor) - half_log_det(p._factor)) + (q.df / 2).mvlgamma(n) - (p.df / 2).mvlgamma(n)
    return sizes + p.df / 2 * (spread - n) + (p.df - q.df) / 2 * (p._less() / 2).digamma().sum(-1)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL of two Independent needs the same reinterpreted_batch_ndims")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL of two TransformedDistribution needs the same transforms")
    return kl_divergence(p.base_dist, q.base_dist)


# ---- two families: E_p of log q's formula, and -entropy of p
@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    z = (p.loc - q.loc) / p.scale
    distance = p.scale * (math.sqrt(2 / math.pi) * (-(z**2) / 2).exp() + z * (z / math.sqrt(2)).erf())
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale


def _against_normal(p: Any, q: Any) -> Any:
    square = p.variance + (p.mean - q.loc) ** 2
    return -p.entropy() + LOG_2PI / 2 + q.scale.log() + square / (2 * q.scale**2)


for _family in (Laplace, Uniform, Exponential, Gamma, Gumbel, Beta, ContinuousBernoulli, Pareto):
    register_kl(_family, Normal)(_against_normal)


# E_p[exp(-x / s)] of the families that have it
@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    return _against_gumbel(p, q, (-p.loc / q.scale + (p.scale / q.scale) ** 2 / 2).exp())


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    return _against_gumbel(p, q, p.rate / (p.rate + 1 / q.scale))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    return _against_gumbel(p, q, (p.rate / (p.rate + 1 / q.scale)) ** p.concentration)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    low, high = p.low / q.scale, p.high / q.scale
    return _against_gumbel(p, q, ((-low).exp() - (-high).exp()) / (high - low))


def _against_gumbel(p: Any, q: Any, falling: Any) -> Any:
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + (q.loc / q.scale).exp() * falling


def _mean_log(p: Any) -> Any:
    """Return E_p[log x]."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Pareto):
        return p.scale.log() + 1 / p.alpha
    return (w.xlogy(p.high, p.high) - w.xlogy(p.low, p.low)) / (p.high - p.low) - 1


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Pareto, Exponential)
def _against_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
@register_kl(Pareto, Gamma)
@register_kl(Uniform, Gamma)
def _against_gamma(p: Any, q: Any) -> Any:
    a = q.concentration
    made = -p.entropy() - a * q.rate.log() + a.lgamma() - (a - 1) * _mean_log(p) + q.rate * p.mean
    return w.where(p.low < 0, math.inf, made) if isinstance(p, Uniform) else made


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    a, b = q.concentration1, q.concentration0
    size = a.lgamma() + b.lgamma() - (a + b).lgamma()
    made = -p.entropy() + size - (a - 1) * _mean_log(p) - (b - 1) * _mean_log(Uniform(1 - p.high, 1 - p.low, False))
    return w.where((p.low < 0) | (p.high > 1), math.inf, made)


@register_kl(Beta, ContinuousBernoulli)
@register_kl(Uniform, ContinuousBernoulli)
def _against_continuous_bernoulli(p: Any, q: Any) -> Any:
    made = -p.entropy() - q._log_density(p.mean)
    return w.where((p.low < 0) | (p.high > 1), math.inf, made) if isinstance(p, Uniform) else made


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _within_uniform(p: Any, q: Any) -> Any:
    return w.where((q.low <= 0) & (q.high >= 1), -p.entropy() + (q.high - q.low).log(), math.inf)


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    made = -p.entropy() - q.alpha.log() - q.alpha * q.scale.log() + (q.alpha + 1) * _mean_log(p)
    return w.where(p.low < q.scale, math.inf, made)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    made = q.rate * p.mean - p.entropy() - q.rate.log()
    return w.where(p.low < 0, math.inf, made)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -q.concentration * ratio.log() + ratio + q.concentration.lgamma() + q.concentration * EULER - (1 + EULER)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


def _infinite(p: Any, q: Any) -> Any:
    """p has values that q cannot have."""
    shape = w.broadcast_shapes(p.batch_shape, q.batch_shape)
    return w.full(shape, math.inf)


for _wide in (Normal, Laplace, Cauchy, Gumbel):
    for _narrow in (Exponential, Gamma, Beta, Uniform, Pareto, ContinuousBernoulli):
        register_kl(_wide, _narrow)(_infinite)
for _half in (Exponential, Gamma):
    for _narrow in (Beta, Uniform, Pareto, ContinuousBernoulli):
        register_kl(_half, _narrow)(_infinite)
_apart: list[tuple[type, type]] = [
    (Pareto, Beta), (Pareto, Uniform), (Pareto, ContinuousBernoulli), (Beta, Pareto), (ContinuousBernoulli, Pareto),
    (Poisson, Bernoulli), (Poisson, Binomial),
]  # fmt: skip
for _p, _q in _apart:
    register_kl(_p, _q)(_infinite)
