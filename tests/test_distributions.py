"""Distributions: formulas against PyTorch's and SciPy's, draws against the formulas, transforms against autograd.

Owns the proof of plugins/wengert_distributions/. A family is a row of FAMILIES: how it is made, from which parameters, and
SciPy's name for it. PyTorch is asked for value, gradient, moments, entropy and divergences of the same objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats as st

import wengert as w

P = np.array([0.3, 1.0, 2.5, 7.0])  # positive
R = np.array([-1.5, 0.0, 0.7, 3.0])  # real
U = np.array([0.1, 0.35, 0.5, 0.9])  # chances
M = np.array([[0.2, -0.5, 1.0], [1.5, 0.3, 0.0]])  # a batch of vectors
L = np.array([[1.2, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.3, 0.2, 1.5]])  # a Cholesky factor
LOW_RANK = np.array([[0.5, 1.0], [0.2, -0.4], [1.0, 0.3]])

# name, parameters, scipy's distribution of the same parameters (or None)
FAMILIES: list[tuple[str, dict[str, Any], Callable[..., Any] | None]] = [
    ("Normal", {"loc": R, "scale": P}, lambda loc, scale: st.norm(loc, scale)),
    ("LogNormal", {"loc": R, "scale": P / 4}, lambda loc, scale: st.lognorm(s=scale, scale=np.exp(loc))),
    ("HalfNormal", {"scale": P}, lambda scale: st.halfnorm(scale=scale)),
    ("Uniform", {"low": R, "high": R + P}, lambda low, high: st.uniform(low, high - low)),
    ("Exponential", {"rate": P}, lambda rate: st.expon(scale=1 / rate)),
    ("Laplace", {"loc": R, "scale": P}, lambda loc, scale: st.laplace(loc, scale)),
    ("Cauchy", {"loc": R, "scale": P}, lambda loc, scale: st.cauchy(loc, scale)),
    ("HalfCauchy", {"scale": P}, lambda scale: st.halfcauchy(scale=scale)),
    ("Gumbel", {"loc": R, "scale": P}, lambda loc, scale: st.gumbel_r(loc, scale)),
    ("Weibull", {"scale": P, "concentration": P[::-1] + 0.5}, lambda scale, concentration: st.weibull_min(concentration, scale=scale)),
    ("Pareto", {"scale": P, "alpha": P + 2.5}, lambda scale, alpha: st.pareto(alpha, scale=scale)),
    ("Kumaraswamy", {"concentration1": P + 1, "concentration0": P[::-1] + 1}, None),
    ("Gamma", {"concentration": P, "rate": P[::-1]}, lambda concentration, rate: st.gamma(concentration, scale=1 / rate)),
    ("Chi2", {"df": P}, lambda df: st.chi2(df)),
    ("InverseGamma", {"concentration": P + 2.1, "rate": P[::-1]}, lambda concentration, rate: st.invgamma(concentration, scale=rate)),
    ("Beta", {"concentration1": P, "concentration0": P[::-1]}, lambda concentration1, concentration0: st.beta(concentration1, concentration0)),
    ("StudentT", {"df": P + 2.1, "loc": R, "scale": P[::-1]}, lambda df, loc, scale: st.t(df, loc, scale)),
    ("FisherSnedecor", {"df1": P + 2.5, "df2": P[::-1] + 8.5}, lambda df1, df2: st.f(df1, df2)),
    ("VonMises", {"loc": R, "concentration": P}, lambda loc, concentration: st.vonmises(concentration, loc)),
    ("GeneralizedPareto", {"loc": R, "scale": P, "concentration": R / 8}, lambda loc, scale, concentration: st.genpareto(concentration, loc, scale)),
    ("ContinuousBernoulli", {"probs": np.array([0.1, 0.45, 0.5, 0.7])}, None),
    ("ContinuousBernoulli", {"logits": np.array([-12.0, -1.5, 0.3, 9.0])}, None),
    ("Bernoulli", {"probs": U}, lambda probs: st.bernoulli(probs)),
    ("Bernoulli", {"logits": R}, lambda logits: st.bernoulli(1 / (1 + np.exp(-logits)))),
    ("Geometric", {"probs": U}, lambda probs: st.geom(probs, loc=-1)),
    ("Geometric", {"logits": R}, None),
    ("Binomial", {"total_count": np.array(6.0), "probs": U}, lambda total_count, probs: st.binom(total_count, probs)),
    ("Binomial", {"total_count": np.array([2.0, 5.0, 9.0, 1.0]), "logits": R}, None),
    ("NegativeBinomial", {"total_count": P, "probs": U}, lambda total_count, probs: st.nbinom(total_count, 1 - probs)),
    ("NegativeBinomial", {"total_count": P, "logits": R}, None),
    ("Poisson", {"rate": P}, lambda rate: st.poisson(rate)),
    ("Categorical", {"probs": np.exp(M)}, None),
    ("Categorical", {"logits": M}, None),
    ("OneHotCategorical", {"logits": M}, None),
    ("OneHotCategoricalStraightThrough", {"probs": np.exp(M)}, None),
    ("Multinomial", {"total_count": 5, "probs": np.exp(M)}, None),
    ("RelaxedBernoulli", {"temperature": np.array(0.7), "logits": R}, None),
    ("RelaxedOneHotCategorical", {"temperature": np.array(0.7), "logits": M}, None),
    ("MultivariateNormal", {"loc": M, "scale_tril": L}, None),
    ("MultivariateNormal", {"loc": M, "covariance_matrix": L @ L.T}, None),
    ("MultivariateNormal", {"loc": M, "precision_matrix": L @ L.T}, None),
    ("LowRankMultivariateNormal", {"loc": M, "cov_factor": LOW_RANK, "cov_diag": np.array([0.3, 1.0, 0.6])}, None),
    ("Dirichlet", {"concentration": np.exp(M) + 0.5}, None),
    ("Wishart", {"df": np.array([3.5, 6.0]), "scale_tril": L}, None),
    ("Wishart", {"df": np.array(4.0), "covariance_matrix": L @ L.T}, None),
    ("Wishart", {"df": np.array(4.0), "precision_matrix": L @ L.T}, None),
    ("LKJCholesky", {"dim": 4, "concentration": np.array([0.7, 1.0, 3.0])}, None),
    ("LogisticNormal", {"loc": M, "scale": np.exp(M) / 3}, None),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(p)}" for name, p, _ in FAMILIES]
WITHOUT = {  # what PyTorch itself gets wrong or does not have
    ("StudentT", "mode"), ("Multinomial", "mode"), ("VonMises", "entropy"), ("Kumaraswamy", "mode"),
    ("Weibull", "mode"),
}  # fmt: skip


def parameters(t: Any, given: dict[str, Any], grad: bool = False) -> dict[str, Any]:
    """Return arrays as float64 tensors of a module; whole numbers stay."""
    made = {}
    for name, value in given.items():
        made[name] = value if isinstance(value, int) else t.tensor(np.ascontiguousarray(value))
        if grad and not isinstance(value, int) and name not in ("total_count", "temperature"):
            made[name].requires_grad_()
    return made


def array(x: Any) -> Any:
    return x.detach().numpy()


def near(a: Any, b: Any, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(array(a), array(b), rtol=rtol, atol=atol)


def values_of(name: str, given: dict[str, Any]) -> Any:
    """Return draws of a family, as an array."""
    w.manual_seed(7)
    return array(getattr(w.distributions, name)(**parameters(w, given)).sample((5,)))


# ---- against SciPy
@pytest.mark.parametrize(("name", "given", "scipy"), [f for f in FAMILIES if f[2]], ids=[i for f, i in zip(FAMILIES, IDS) if f[2]])
def test_formulas_of_scipy(name: str, given: dict[str, Any], scipy: Callable[..., Any]) -> None:
    d, theirs = getattr(w.distributions, name)(**parameters(w, given)), scipy(**given)
    x = values_of(name, given)
    discrete = hasattr(theirs, "logpmf") and not hasattr(theirs.dist, "pdf")
    np.testing.assert_allclose(array(d.log_prob(w.tensor(x))), theirs.logpmf(x) if discrete else theirs.logpdf(x), rtol=1e-7, atol=1e-9)
    if name != "VonMises":  # its moments are circular
        for mine, yours in ((d.mean, theirs.mean()), (d.variance, theirs.var())):
            yours = np.where(np.isin(name, ["Cauchy", "HalfCauchy"]), array(mine), yours)  # PyTorch's words for "none" differ
            np.testing.assert_allclose(array(mine), yours, rtol=1e-7)
    for what in ("cdf", "entropy"):
        try:
            mine = d.cdf(w.tensor(x)) if what == "cdf" else d.entropy()
        except NotImplementedError:
            continue
        np.testing.assert_allclose(array(mine), theirs.cdf(x) if what == "cdf" else theirs.entropy(), rtol=1e-6, atol=1e-9)


# ---- against PyTorch
def gradients(t: Any, name: str, given: dict[str, Any], x: Any) -> list[Any]:
    made = parameters(t, given, grad=True)
    d = getattr(t.distributions, name)(**made)
    value = d.log_prob(t.tensor(x))
    weights = t.cos(t.arange(value.numel(), dtype=t.float64)).reshape(value.shape)
    leaves = [p for p in made.values() if not isinstance(p, int) and p.requires_grad]
    return [value, *t.autograd.grad((value * weights).sum(), leaves)]


@pytest.mark.parity
@pytest.mark.parametrize(("name", "given"), [f[:2] for f in FAMILIES], ids=IDS)
def test_family_of_pytorch(name: str, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    if name == "GeneralizedPareto":
        pytest.skip("PyTorch's takes no float64; SciPy's formulas are compared above")
    x = values_of(name, given)
    mine, theirs = (getattr(t.distributions, name)(**parameters(t, given)) for t in (w, torch))
    assert tuple(mine.batch_shape) == tuple(theirs.batch_shape) and tuple(mine.event_shape) == tuple(theirs.event_shape)
    for a, b in zip(gradients(w, name, given, x), gradients(torch, name, given, x), strict=True):
        near(a, b, rtol=1e-7 if name != "VonMises" else 3e-6, atol=1e-8)  # PyTorch has I0 by a polynomial, to 2e-7
    for what in ("mean", "variance", "stddev", "mode", "probs", "logits", "covariance_matrix", "precision_matrix", "scale_tril"):
        if (name, what) in WITHOUT:
            continue
        try:
            yours = getattr(theirs, what)
        except (NotImplementedError, AttributeError):
            continue
        near(getattr(mine, what), yours, rtol=1e-7 if name != "VonMises" else 3e-6)
    for what, argument in (("entropy", None), ("perplexity", None), ("cdf", x), ("icdf", None), ("enumerate_support", None)):
        arguments: dict[Any, Any] = {t: [] if argument is None else [t.tensor(argument)] for t in (w, torch)}
        if what == "icdf":
            u = np.linspace(0.05, 0.95, 5).reshape(-1, *[1] * len(mine.batch_shape))
            arguments = {t: [t.tensor(u)] for t in (w, torch)}
        try:
            yours = getattr(theirs, what)(*arguments[torch])
        except NotImplementedError:
            continue
        if (name, what) not in WITHOUT:
            near(getattr(mine, what)(*arguments[w]), yours, rtol=1e-6)
    assert mine.has_rsample == theirs.has_rsample and mine.has_enumerate_support == theirs.has_enumerate_support
    wide = (3, *mine.batch_shape)
    near(mine.expand(wide).log_prob(w.tensor(x[:1])), theirs.expand(wide).log_prob(torch.tensor(x[:1])), rtol=3e-6)
    assert repr(mine).partition("(")[0] == repr(theirs).partition("(")[0] or name == "LogisticNormal"


PAIRS = [
    *((name, given, name, {k: v if k in ("total_count", "temperature") else v * 0.9 for k, v in given.items()})
      for name, given, _ in FAMILIES
      if name in ("Normal", "LogNormal", "HalfNormal", "Exponential", "Laplace", "Cauchy", "Gumbel", "Gamma", "Beta", "InverseGamma", "Bernoulli", "Geometric", "Binomial", "Poisson", "Categorical", "OneHotCategorical", "MultivariateNormal", "Dirichlet", "Chi2", "Wishart")),
    ("Uniform", {"low": R, "high": R + P}, "Uniform", {"low": R - 1, "high": R + P + 1}),
    ("Uniform", {"low": R, "high": R + P}, "Uniform", {"low": R + 0.1, "high": R + P + 1}),
    ("Pareto", {"scale": P + 1, "alpha": P}, "Pareto", {"scale": P, "alpha": P[::-1]}),
    ("Normal", {"loc": R, "scale": P}, "Laplace", {"loc": R[::-1], "scale": P}),
    ("Laplace", {"loc": R, "scale": P}, "Normal", {"loc": R[::-1], "scale": P}),
    ("Uniform", {"low": R, "high": R + P}, "Normal", {"loc": R, "scale": P}),
    ("Gumbel", {"loc": R, "scale": P}, "Normal", {"loc": R, "scale": P}),
    ("Exponential", {"rate": P}, "Normal", {"loc": R, "scale": P}),
    ("Gamma", {"concentration": P, "rate": P[::-1]}, "Normal", {"loc": R, "scale": P}),
    ("Beta", {"concentration1": P, "concentration0": P[::-1]}, "Normal", {"loc": R, "scale": P}),
    ("Exponential", {"rate": P}, "Gamma", {"concentration": P[::-1], "rate": P[::-1]}),
    ("Gamma", {"concentration": P, "rate": P}, "Exponential", {"rate": P[::-1]}),
    ("Uniform", {"low": np.abs(R), "high": np.abs(R) + P}, "Exponential", {"rate": P}),
    ("Bernoulli", {"probs": U}, "Poisson", {"rate": P}),
    ("Normal", {"loc": R, "scale": P}, "Gamma", {"concentration": P, "rate": P}),
    ("ContinuousBernoulli", {"probs": U}, "ContinuousBernoulli", {"probs": U[::-1]}),
    ("HalfCauchy", {"scale": P}, "HalfCauchy", {"scale": P[::-1]}),
    *((*p, "Gumbel", {"loc": R, "scale": P + 1})
      for p in (("Normal", {"loc": R, "scale": P}), ("Exponential", {"rate": P}), ("Gamma", {"concentration": P, "rate": P[::-1]}),
                ("Uniform", {"low": R, "high": R + P}))),
    *((*p, "Exponential", {"rate": P})
      for p in (("Beta", {"concentration1": P, "concentration0": P[::-1]}), ("Pareto", {"scale": P, "alpha": P + 1.5}))),
    *((*p, "Gamma", {"concentration": P[::-1], "rate": P})
      for p in (("Beta", {"concentration1": P, "concentration0": P[::-1]}), ("Pareto", {"scale": P, "alpha": P + 1.5}),
                ("Uniform", {"low": P, "high": P + 1}))),
    ("Uniform", {"low": U / 2 + 0.01, "high": U / 2 + 0.3}, "Beta", {"concentration1": P, "concentration0": P[::-1]}),
    ("Beta", {"concentration1": P, "concentration0": P[::-1]}, "ContinuousBernoulli", {"probs": U}),
    ("Beta", {"concentration1": P, "concentration0": P[::-1]}, "Uniform", {"low": R - 2, "high": R + 2.5}),
    ("Uniform", {"low": P + 1, "high": 2 * P + 1}, "Pareto", {"scale": P[::-1], "alpha": P}),
    *(("ContinuousBernoulli", {"probs": U}, *q)
      for q in (("Normal", {"loc": R, "scale": P}), ("Exponential", {"rate": P}), ("Uniform", {"low": R - 2, "high": R + 2.6}))),
    *((*p, *q)
      for p in (("Exponential", {"rate": P}), ("Gamma", {"concentration": P, "rate": P}))
      for q in (("Beta", {"concentration1": P, "concentration0": P}), ("Uniform", {"low": R, "high": R + P}),
                ("Pareto", {"scale": P, "alpha": P}), ("ContinuousBernoulli", {"probs": U}))),
    *(("Pareto", {"scale": P, "alpha": P}, *q)
      for q in (("Normal", {"loc": R, "scale": P}), ("Beta", {"concentration1": P, "concentration0": P}),
                ("Uniform", {"low": R, "high": R + P}), ("ContinuousBernoulli", {"probs": U}))),
    ("Poisson", {"rate": P}, "Bernoulli", {"probs": U}),
    ("Poisson", {"rate": P}, "Binomial", {"total_count": np.array(6.0), "probs": U}),
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize(("p", "of_p", "q", "of_q"), PAIRS, ids=[f"{a[0]}-{a[2]}-{i}" for i, a in enumerate(PAIRS)])
def test_divergence_of_pytorch(p: str, of_p: Any, q: str, of_q: Any) -> None:
    torch = pytest.importorskip("torch")
    if p == "Wishart" and of_p["df"].ndim:
        pytest.skip("PyTorch's of a batch is another number than the mean of log p - log q over draws, which the next test takes")
    mine, theirs = (
        t.distributions.kl_divergence(getattr(t.distributions, p)(**parameters(t, of_p)), getattr(t.distributions, q)(**parameters(t, of_q)))
        for t in (w, torch)
    )
    near(mine, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("p", "of_p", "q", "of_q"), [a for a in PAIRS if a[0] == a[2] and a[0] not in ("Cauchy", "Uniform", "Pareto", "Binomial", "HalfCauchy")], ids=lambda a: a if isinstance(a, str) else "")
def test_divergence_is_the_mean_of_the_difference(p: str, of_p: Any, q: str, of_q: Any) -> None:
    """KL(p || q) = E_p[log p - log q], by 20000 draws, within five standard errors."""
    w.manual_seed(3)
    a, b = getattr(w.distributions, p)(**parameters(w, of_p)), getattr(w.distributions, q)(**parameters(w, of_q))
    x = a.sample((20000,))
    apart = array(a.log_prob(x) - b.log_prob(x))
    error = apart.std(0) / math.sqrt(20000)
    assert (np.abs(apart.mean(0) - array(w.distributions.kl_divergence(a, b))) <= 5 * error + 1e-6).all()


# ---- draws
@pytest.mark.parametrize(("name", "given"), [f[:2] for f in FAMILIES if f[0] not in ("Cauchy", "HalfCauchy", "Categorical", "VonMises", "RelaxedBernoulli", "RelaxedOneHotCategorical", "LogisticNormal", "LKJCholesky")], ids=lambda a: a if isinstance(a, str) else "")
def test_draws_have_the_mean_and_the_variance(name: str, given: dict[str, Any]) -> None:
    w.manual_seed(11)
    n = 20000
    d = getattr(w.distributions, name)(**parameters(w, given))
    x = array(d.sample((n,)))
    assert x.shape == (n, *d.batch_shape, *d.event_shape) and x.dtype == np.float64
    mean, variance = array(d.mean), array(d.variance)
    assert (np.abs(x.mean(0) - mean) <= 5 * np.sqrt(variance / n) + 1e-12).all()
    fourth = ((x - mean) ** 4).mean(0)
    if name not in ("Pareto", "InverseGamma", "StudentT", "FisherSnedecor", "LogNormal"):  # their fourth moment is none, or wild
        assert (np.abs(((x - mean) ** 2).mean(0) - variance) <= 6 * np.sqrt(fourth / n) + 1e-12).all()


@pytest.mark.parametrize(("name", "given", "scipy"), [f for f in FAMILIES if f[2] and f[0] in ("Gamma", "Beta", "StudentT", "VonMises", "Cauchy", "HalfCauchy", "Gumbel", "Chi2", "Weibull", "Pareto", "FisherSnedecor", "LogNormal", "GeneralizedPareto")], ids=lambda a: a if isinstance(a, str) else "")
def test_draws_follow_the_distribution(name: str, given: dict[str, Any], scipy: Callable[..., Any]) -> None:
    """Kolmogorov and Smirnov's test, of 4000 draws each."""
    w.manual_seed(5)
    x = array(getattr(w.distributions, name)(**parameters(w, given)).sample((4000,)))
    theirs = scipy(**given)
    for i in range(4):
        if name == "VonMises":  # one turn, from -pi
            kappa, loc = given["concentration"][i], given["loc"][i]
            turned = (x[:, i] - loc + np.pi) % (2 * np.pi) - np.pi
            assert st.kstest(turned, st.vonmises(kappa).cdf).pvalue > 1e-4
            continue
        assert st.kstest(x[:, i], lambda v, i=i: theirs.cdf(v[:, None].repeat(4, 1))[:, i]).pvalue > 1e-4


@pytest.mark.parametrize("concentration", [0.7, 1.0, 4.0])
def test_draws_of_correlations_have_their_marginals(concentration: float) -> None:
    """(c + 1) / 2 of each correlation c is a symmetric beta value of concentration + dim / 2 - 1."""
    w.manual_seed(2)
    d = w.distributions.LKJCholesky(4, w.tensor(concentration, dtype=w.float64))
    factor = d.sample((3000,))
    assert d.support.check(factor).all()
    c = array(factor @ factor.mT)
    for i, j in zip(*np.tril_indices(4, -1), strict=True):
        assert st.kstest((c[:, i, j] + 1) / 2, st.beta(concentration + 1, concentration + 1).cdf).pvalue > 1e-4


def test_the_number_of_the_continuous_bernoulli_is_exact_near_one_half() -> None:
    """Moments, chances and slopes of logits near 0, where their quotients are 0 / 0."""
    t = w.tensor([-0.6, -0.02, -0.005, -1e-4, 0.0, 1e-4, 0.005, 0.02, 0.6], dtype=w.float64, requires_grad=True)
    d = w.distributions.ContinuousBernoulli(logits=t)
    x = w.linspace(0.0, 1.0, 20001, dtype=w.float64)[:, None]
    density = d.log_prob(x).exp()
    near(w.trapezoid(density, x, dim=0), w.ones(9, dtype=w.float64), rtol=1e-8)
    near(w.trapezoid(density * x, x, dim=0), d.mean, rtol=1e-8)
    near(w.trapezoid(density * (x - d.mean) ** 2, x, dim=0), d.variance, rtol=1e-7)
    near(w.autograd.grad(d.mean.sum(), t)[0], d.variance, rtol=1e-6)
    u = w.tensor([0.01, 0.3, 0.9], dtype=w.float64)[:, None]
    near(d.cdf(d.icdf(u)), u.expand(3, 9), rtol=1e-8)
    (slope,) = w.autograd.grad(d.cdf(w.tensor(0.3)).sum(), t)
    h = 1e-4
    up, down = (w.distributions.ContinuousBernoulli(logits=t + s).cdf(w.tensor(0.3)) for s in (h, -h))
    near((up - down) / (2 * h), slope, rtol=1e-5)


def test_the_continuous_bernoulli_of_a_large_logit() -> None:
    for size in (1e4, 1e30, 1e300):
        t = w.tensor([size, -size], dtype=w.float64, requires_grad=True)
        made = w.distributions.ContinuousBernoulli(logits=t).log_prob(w.tensor([1.0, 0.0], dtype=w.float64))
        near(made, w.full((2,), math.log(size), dtype=w.float64), rtol=1e-12)
        near(w.autograd.grad(made.sum(), t)[0] * t, w.ones(2, dtype=w.float64), rtol=1e-12)


def test_categories_come_as_often_as_they_should() -> None:
    w.manual_seed(2)
    d = w.distributions.Categorical(logits=w.tensor(M))
    drawn = array(d.sample((20000,)))
    assert drawn.dtype == np.int64 and drawn.shape == (20000, 2)
    often = np.stack([(drawn == k).mean(0) for k in range(3)], -1)
    np.testing.assert_allclose(often, array(d.probs), atol=0.02)


# ---- gradients through draws
@pytest.mark.parametrize("k", [0.05, 0.4, 1.0, 3.7, 60.0, 900.0])
def test_the_slope_of_a_gamma_draw(k: float) -> None:
    """dz/dk by the derivative of SciPy's inverse at the chance of z, where that inverse is accurate."""
    from scipy import special

    from wengert_distributions.gammas import slope

    chances = np.linspace(0.02, 0.98, 25)
    z = special.gammaincinv(k, chances)
    h = 1e-4 * k
    exact = (special.gammaincinv(k + h, chances) - special.gammaincinv(k - h, chances)) / (2 * h)
    np.testing.assert_allclose(slope(np.full_like(z, k), z), exact, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.1), (0.5, 0.5), (2.0, 3.0), (10.0, 0.7), (100.0, 50.0), (1000.0, 2000.0)])
def test_the_slope_of_a_beta_draw(a: float, b: float) -> None:
    """dx/da and dx/db of the draws themselves, by the derivative of SciPy's inverse at the chance of x."""
    from scipy import special

    w.manual_seed(3)
    both = [w.full((400,), v, dtype=w.float64, requires_grad=True) for v in (a, b)]
    x = w.distributions.Beta(*both).rsample()
    x.sum().backward()
    chances = special.betainc(a, b, array(x))
    inner = (chances > 0.02) & (chances < 0.98)
    for i, mine in enumerate(both):
        h = 1e-4 * (a, b)[i]
        up, down = (special.betaincinv(a + (i == 0) * t, b + (i == 1) * t, chances) for t in (h, -h))
        np.testing.assert_allclose(array(mine.grad)[inner], ((up - down) / (2 * h))[inner], rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "moments"),
    [
        (lambda d, a: d.Gamma(a, w.tensor([2.0, 0.5, 1.0], dtype=w.float64)), lambda a: a / w.tensor([2.0, 0.5, 1.0], dtype=w.float64)),
        (lambda d, a: d.Beta(a, 1 + a**2), lambda a: a / (1 + a + a**2)),
        (lambda d, a: d.Dirichlet(a), lambda a: a / a.sum()),
        (lambda d, a: d.Normal(a, a**2), lambda a: a),
        (lambda d, a: d.Laplace(a, a), lambda a: a),
        (lambda d, a: d.Weibull(a, 1 + a), lambda a: a * (1 + 1 / (1 + a)).lgamma().exp()),
        (lambda d, a: d.Gumbel(a, a), lambda a: a * (1 + 0.57721566490153)),
        (lambda d, a: d.LogNormal(a / 4, a / 8), lambda a: (a / 4 + a**2 / 128).exp()),
    ],
)  # fmt: skip
def test_the_gradient_of_a_mean_through_draws(make: Callable[..., Any], moments: Callable[..., Any]) -> None:
    """d/da E[x] from draws is the slope of the mean's formula, within six standard errors of a batched estimate."""
    w.manual_seed(1)
    estimates = []
    weights = w.tensor([1.0, -0.5, 0.3], dtype=w.float64)
    for _ in range(40):
        a = w.tensor([0.6, 1.5, 4.0], dtype=w.float64, requires_grad=True)
        (make(w.distributions, a).rsample((500,)).mean(0) * weights).sum().backward()
        estimates.append(array(a.grad))
    a = w.tensor([0.6, 1.5, 4.0], dtype=w.float64, requires_grad=True)
    (moments(a) * weights).sum().backward()
    error = np.std(estimates, 0) / math.sqrt(40)
    assert (np.abs(np.mean(estimates, 0) - array(a.grad)) <= 6 * error).all()


def test_the_gradient_of_a_draw_cannot_be_differentiated_again_where_it_is_implicit() -> None:
    a = w.tensor(2.0, requires_grad=True)
    (first,) = w.autograd.grad(w.distributions.Gamma(a, w.tensor(1.0)).rsample(), a, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable|twice"):
        first.backward()


def test_straight_through_takes_the_gradient_of_the_chances() -> None:
    logits = w.tensor(M, requires_grad=True)
    x = w.distributions.OneHotCategoricalStraightThrough(logits=logits).rsample()
    assert ((x > 1 - 1e-9) | (x.abs() < 1e-9)).all() and (x.sum(-1) - 1).abs().max() < 1e-9
    (x * w.tensor(np.cos(M))).sum().backward()
    other = w.tensor(M, requires_grad=True)
    (other.softmax(-1) * w.tensor(np.cos(M))).sum().backward()
    near(logits.grad, other.grad)


# ---- made of others
def composed(t: Any) -> dict[str, Any]:
    d = t.distributions
    f = d.transforms
    p = {k: t.tensor(v) for k, v in {"R": R, "P": P, "M": M}.items()}
    return {
        "independent": d.Independent(d.Normal(p["M"], t.exp(p["M"])), 1),
        "independent 2": d.Independent(d.Normal(p["M"], t.exp(p["M"])), 2),
        "tanh": d.TransformedDistribution(d.Normal(p["R"], p["P"] / 9), [f.TanhTransform()]),
        "squashed": d.TransformedDistribution(d.Independent(d.Normal(p["M"], t.exp(p["M"])), 1), [f.TanhTransform(), f.AffineTransform(1.0, 3.0)]),
        "falling": d.TransformedDistribution(d.Normal(p["R"], p["P"]), [f.AffineTransform(0.5, t.tensor(-2.0, dtype=t.float64)), f.SigmoidTransform()]),
        "softplus": d.TransformedDistribution(d.Laplace(p["R"], p["P"]), f.SoftplusTransform()),
        "power": d.TransformedDistribution(d.Exponential(p["P"]), f.PowerTransform(t.tensor(1.7, dtype=t.float64))),
        "widened": d.TransformedDistribution(d.Normal(t.tensor(0.0, dtype=t.float64), t.tensor(1.0, dtype=t.float64)), f.AffineTransform(p["R"], p["P"])),
        "reshaped": d.TransformedDistribution(d.Independent(d.Normal(p["R"], p["P"]), 1), f.ReshapeTransform((4,), (2, 2))),
        "stick": d.TransformedDistribution(d.Normal(p["M"], t.exp(p["M"])), f.StickBreakingTransform()),
        "by cdf": d.TransformedDistribution(d.Uniform(t.zeros(4, dtype=t.float64), t.ones(4, dtype=t.float64)), f.CumulativeDistributionTransform(d.Normal(p["R"], p["P"])).inv),
        "mixture": d.MixtureSameFamily(d.Categorical(t.exp(p["M"])), d.Normal(p["M"], t.exp(p["M"]))),
        "mixture of vectors": d.MixtureSameFamily(d.Categorical(t.ones(2, dtype=t.float64)), d.Independent(d.Normal(p["M"], t.exp(p["M"])), 1)),
    }  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("name", list(composed(w)))
def test_composed_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    w.manual_seed(9)
    mine, theirs = composed(w)[name], composed(torch)[name]
    assert tuple(mine.batch_shape) == tuple(theirs.batch_shape) and tuple(mine.event_shape) == tuple(theirs.event_shape)
    x = mine.sample((6,))
    assert tuple(x.shape) == (6, *theirs.batch_shape, *theirs.event_shape)
    near(mine.log_prob(x), theirs.log_prob(torch.tensor(array(x))), rtol=1e-6)
    for what in ("mean", "variance", "entropy", "cdf", "icdf"):
        try:
            yours = getattr(theirs, what)
            mine_ = getattr(mine, what)
            if what in ("cdf", "icdf"):
                at = array(x) if what == "cdf" else np.full((6, *theirs.batch_shape), 0.3)
                yours, mine_ = yours(torch.tensor(at)), mine_(w.tensor(at))
            elif what == "entropy":
                yours, mine_ = yours(), mine_()
        except NotImplementedError:
            continue
        near(mine_, yours, rtol=1e-6)
    near(mine.expand((3, *mine.batch_shape)).log_prob(x[:1]), theirs.expand((3, *theirs.batch_shape)).log_prob(torch.tensor(array(x[:1]))), rtol=1e-6)
    if name in ("independent", "tanh"):
        near(w.distributions.kl_divergence(mine, composed(w)[name]), torch.distributions.kl_divergence(theirs, theirs))


@pytest.mark.parametrize("name", list(composed(w)))
def test_composed_draws_have_the_density(name: str) -> None:
    """The chance of the value's own bin: log_prob integrates to the share of draws below a value, for numbers."""
    w.manual_seed(4)
    d = composed(w)[name]
    x = d.sample((3,))
    assert d.support.check(x).all()
    assert d.log_prob(x).shape == (3, *d.batch_shape) and w.isfinite(d.log_prob(x)).all()


TRANSFORMS: list[tuple[Callable[[Any], Any], Any]] = [
    (lambda f: f.ExpTransform(), M),
    (lambda f: f.PowerTransform(w.tensor(2.5)), np.exp(M)),
    (lambda f: f.SigmoidTransform(), M),
    (lambda f: f.SoftplusTransform(), M),
    (lambda f: f.TanhTransform(), M),
    (lambda f: f.AffineTransform(1.0, -2.0), M),
    (lambda f: f.AffineTransform(w.tensor([1.0, 2.0, 3.0]), w.tensor([0.5, -2.0, 1.0]), event_dim=1), M),
    (lambda f: f.StickBreakingTransform(), M),
    (lambda f: f.ReshapeTransform((3,), (3, 1)), M),
    (lambda f: f.ComposeTransform([f.AffineTransform(0.3, 2.0), f.TanhTransform()]), M),
    (lambda f: f.ComposeTransform([f.AffineTransform(0.3, 2.0), f.StickBreakingTransform()]), M),
    (lambda f: f.IndependentTransform(f.ExpTransform(), 1), M),
    (lambda f: f.ExpTransform().inv, np.exp(M)),
    (lambda f: f.CatTransform([f.ExpTransform(), f.TanhTransform()], dim=-1, lengths=[1, 2]), M),
    (lambda f: f.CumulativeDistributionTransform(w.distributions.Normal(0.0, 1.0)), M),
]


@pytest.mark.parametrize(("make", "at"), TRANSFORMS, ids=range(len(TRANSFORMS)))
def test_transforms_invert_and_know_their_volume(make: Callable[[Any], Any], at: Any) -> None:
    t = make(w.distributions.transforms)
    x = w.tensor(at)
    y = t(x)
    near(t.inv(y), x, rtol=1e-6)
    assert t.inv.inv == t
    assert tuple(t.forward_shape(x.shape)) == tuple(y.shape) and tuple(t.inverse_shape(y.shape)) == tuple(x.shape)
    assert t.bijective and t == t and t.codomain.check(y).all() and t.with_cache(1)(x).shape == y.shape
    dim = t.domain.event_dim
    events = x.reshape(-1, *x.shape[x.dim() - dim :]) if dim else x.reshape(-1)
    if type(t).__name__ == "CatTransform":
        events = x
    claimed = t.log_abs_det_jacobian(x, y).reshape(-1)
    for event, claim in zip(events, claimed):
        square = w.autograd.functional.jacobian(lambda e: t(e).reshape(-1)[: e.numel()], event)
        square = square.reshape(event.numel(), event.numel())
        exact = w.linalg.slogdet(square).logabsdet
        if type(t).__name__ == "CatTransform":
            claim = t.log_abs_det_jacobian(event, t(event)).sum()
        near(exact, claim, rtol=1e-6)


def test_the_transform_to_correlations_inverts_and_knows_its_volume() -> None:
    t = w.distributions.CorrCholeskyTransform()
    x = w.tensor(M)
    y = t(x)
    near(t.inv(y), x, rtol=1e-6)
    assert t.codomain.check(y).all() and t.forward_shape(x.shape) == y.shape and t.inverse_shape(y.shape) == x.shape
    below = w.tril_indices(3, 3, -1)
    for event, claim in zip(x, t.log_abs_det_jacobian(x, y), strict=True):
        square = w.autograd.functional.jacobian(lambda e: t(e)[below[0], below[1]], event)
        near(w.linalg.slogdet(square).logabsdet, claim, rtol=1e-6)
    with pytest.raises(ValueError, match="lower-diagonal"):
        t.forward_shape((4,))


@pytest.mark.parametrize(
    "name", ["real", "positive", "nonnegative", "unit_interval", "simplex", "positive_definite", "lower_cholesky", "corr_cholesky", "real_vector"]
)
def test_transforms_to_constraints(name: str) -> None:
    c = getattr(w.distributions.constraints, name)
    x = w.tensor(M if c.event_dim < 2 or name == "corr_cholesky" else np.random.default_rng(0).normal(size=(2, 3, 3)))
    for registry in (w.distributions.transform_to, w.distributions.biject_to):
        assert c.check(registry(c)(x)).all(), registry
    low = w.distributions.constraints.greater_than(2.0)
    assert (w.distributions.transform_to(low)(x) > 2).all()
    assert (w.distributions.transform_to(w.distributions.constraints.less_than(2.0))(x) < 2).all()
    inside = w.distributions.biject_to(w.distributions.constraints.interval(-3.0, 5.0))(x)
    assert (inside > -3).all() and (inside < 5).all()
    with pytest.raises(NotImplementedError, match="Cannot transform"):
        w.distributions.biject_to(w.distributions.constraints.boolean)


def test_a_cache_gives_back_its_own_value() -> None:
    t = w.distributions.TanhTransform(cache_size=1)
    x = w.tensor([50.0])  # tanh is 1: its inverse is infinite
    assert t.inv(t(x)) is x and w.distributions.TanhTransform().inv(w.distributions.TanhTransform()(x)).isinf().all()
    d = w.distributions.TransformedDistribution(w.distributions.Normal(40.0, 1.0), [t])
    assert d.log_prob(d.rsample()).isfinite()


# ---- what is refused
@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda d: d.Normal(0.0, -1.0), ValueError, "Expected parameter scale .* GreaterThan"),
        (lambda d: d.Normal("a", 1.0), TypeError, "numbers or tensors, not str"),
        (lambda d: d.Normal(w.tensor([math.nan]), 1.0), ValueError, "parameter loc"),
        (lambda d: d.Uniform(1.0, 0.0), ValueError, "low"),
        (lambda d: d.Bernoulli(), ValueError, "Either `probs` or `logits`"),
        (lambda d: d.Bernoulli(probs=0.5, logits=0.0), ValueError, "not both"),
        (lambda d: d.Bernoulli(probs=1.5), ValueError, "probs"),
        (lambda d: d.Categorical(probs=w.tensor([-1.0, 2.0])), ValueError, "Simplex"),
        (lambda d: d.Categorical(logits=w.tensor(1.0)), ValueError, "one-dimensional"),
        (lambda d: d.MultivariateNormal(w.zeros(2)), ValueError, "Exactly one"),
        (lambda d: d.MultivariateNormal(w.zeros(2), -w.eye(2)), ValueError, "covariance_matrix"),
        (lambda d: d.Multinomial(w.tensor([2, 3]), w.ones(2, 2)), NotImplementedError, "total_count"),
        (lambda d: d.Independent(d.Normal(0.0, 1.0), 1), ValueError, "reinterpreted_batch_ndims"),
        (lambda d: d.Normal(0.0, 1.0).log_prob(3.0), ValueError, "must be a Tensor"),
        (lambda d: d.Normal(w.zeros(3), 1.0).log_prob(w.zeros(2)), ValueError, "not broadcastable"),
        (lambda d: d.Exponential(1.0).log_prob(w.tensor(-1.0)), ValueError, "within the support"),
        (lambda d: d.Dirichlet(w.ones(3)).log_prob(w.ones(2)), ValueError, "right-most"),
        (lambda d: d.Poisson(1.0).rsample(), NotImplementedError, "no differentiable draws"),
        (lambda d: d.VonMises(0.0, 1.0).entropy(), NotImplementedError, "VonMises has no closed form"),
        (lambda d: d.kl_divergence(d.Poisson(1.0), d.Normal(0.0, 1.0)), NotImplementedError, "p type Poisson and q type Normal"),
        (lambda d: d.MixtureSameFamily(d.Categorical(w.ones(2)), d.Normal(w.zeros(3), 1.0)), ValueError, "does not equal"),
        (lambda d: d.TransformedDistribution(d.Normal(0.0, 1.0), [abs]), ValueError, "Transform"),
        (lambda d: d.Distribution.set_default_validate_args("x"), ValueError, "True or False"),
    ],
)  # fmt: skip
def test_refusals(make: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(w.distributions)


def test_checks_can_be_switched_off() -> None:
    d = w.distributions
    assert d.Normal(0.0, -1.0, validate_args=False).scale == -1
    assert d.Exponential(1.0, validate_args=False).log_prob(w.tensor(-1.0)) == 1
    d.Distribution.set_default_validate_args(False)
    try:
        assert d.Normal(0.0, -1.0).scale == -1
    finally:
        d.Distribution.set_default_validate_args(True)


def test_a_captured_step_leaves_the_checks_of_values_out() -> None:
    d = w.distributions

    def step(x: Any, y: Any) -> Any:
        return d.Normal(x, x.exp()).log_prob(y) + d.Uniform(y - 1, y + 1).log_prob(y) + d.Categorical(logits=x).log_prob(y.long())

    captured, y = w.compile(step), w.tensor([0.0, 1.0])
    for k in range(4):
        x = w.tensor([0.1, 0.2]) * k
        np.testing.assert_allclose(captured(x, y).numpy(), step(x, y).numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="parameter scale"):
        w.compile(lambda s: d.Normal(0.0, s).log_prob(y))(w.tensor(-1.0))
    with pytest.raises(ValueError, match="parameter scale"):
        w.func.grad(lambda s: d.Normal(0.0, s).log_prob(w.tensor(1.0)))(w.tensor(-1.0))


def test_a_users_family() -> None:
    """What a program derives from Distribution, and how it enters its divergence."""

    class Shifted(w.distributions.Distribution):
        arg_constraints = {"by": w.distributions.constraints.real}
        support = w.distributions.constraints.real
        has_rsample = True

        def __init__(self, by: Any, validate_args: Any = None) -> None:
            self.by = w.as_tensor(by)
            super().__init__(self.by.shape, validate_args=validate_args)

        def rsample(self, sample_shape: Any = ()) -> Any:
            return self.by + w.rand(self._extended_shape(sample_shape))

    @w.distributions.register_kl(Shifted, Shifted)
    def _(p: Any, q: Any) -> Any:
        return abs(p.by - q.by)

    d = Shifted(w.tensor([1.0, 2.0]))
    assert d.sample((3,)).shape == (3, 2) and d.expand((4, 2)).sample().shape == (4, 2)
    assert w.distributions.kl_divergence(d, Shifted(w.zeros(2))).tolist() == [1, 2]
    with pytest.raises(NotImplementedError, match="Shifted has no log_prob"):
        d.log_prob(w.tensor(1.0))


def test_a_subclass_may_bring_its_own_factor() -> None:
    """Of a normal distribution that calls no `__init__` of it, as those of Gaussian processes do."""

    class Lazy(w.distributions.MultivariateNormal):  # type: ignore[misc]
        def __init__(self, loc: Any, covariance: Any) -> None:
            self.loc, self.covariance = loc, covariance
            w.distributions.Distribution.__init__(self, loc.shape[:-1], loc.shape[-1:], validate_args=False)

        @property
        def _unbroadcasted_scale_tril(self) -> Any:
            return w.linalg.cholesky(self.covariance)

    loc, covariance = w.tensor([1.0, 2.0]), w.tensor([[2.0, 0.5], [0.5, 1.0]])
    x = w.tensor([[0.3, 0.4], [1.0, -1.0]])
    expected = w.distributions.MultivariateNormal(loc, covariance)
    assert w.allclose(Lazy(loc, covariance).log_prob(x), expected.log_prob(x))
    assert w.allclose(Lazy(loc, covariance).entropy(), expected.entropy())


def test_a_chosen_outcome_has_its_logit_also_beside_an_impossible_one() -> None:
    d = w.distributions.OneHotCategorical(logits=w.tensor([-math.inf, 0.0]))
    assert d.log_prob(w.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist() == [0, -math.inf]


def test_small_concentrations_do_not_underflow() -> None:
    """In float32 half of Beta(0.01, 0.01) is near each end: gamma values that small are no float32."""
    w.manual_seed(0)
    x = w.distributions.Beta(w.tensor(0.01), w.tensor(0.01)).sample((4000,))
    assert x.dtype is w.float32 and ((x > 0.4) & (x < 0.6)).sum() < 40 and ((x > 0) & (x < 1)).all()
    k = w.tensor([0.3, 2.0, 5.0], requires_grad=True)
    (w.distributions.Dirichlet(k).rsample((20000,))[:, 0] ** 2).mean().backward()
    total = k.detach().sum().requires_grad_(True)
    a = k.detach()[0].clone().requires_grad_(True)
    by_a, by_total = w.autograd.grad(a * (a + 1) / (total * (total + 1)), (a, total))
    assert w.allclose(k.grad, by_total + w.tensor([by_a.item(), 0, 0]), atol=2e-3)


def test_expanded_distributions_stay_of_their_class() -> None:
    ds, zeros = w.distributions, w.zeros(3)
    classes = [
        (ds.LogisticNormal, (zeros, 1 + zeros)), (ds.Independent, (ds.Normal(zeros, 1.0), 1)),
        (ds.TransformedDistribution, (ds.Normal(zeros, 1.0), [ds.TanhTransform()])),
        (ds.MixtureSameFamily, (ds.Categorical(1 + zeros), ds.Normal(zeros, 1.0))),
    ]  # fmt: skip
    for cls, arguments in classes:
        d = type("Own", (cls,), {})(*arguments)
        new = d.expand((4, *d.batch_shape))
        assert type(new) is type(d) and new.batch_shape == (4, *d.batch_shape)
    assert type(classes[0][0](*classes[0][1]).expand((2,))) is ds.LogisticNormal
    with pytest.raises(NotImplementedError, match="must also define a custom .expand"):
        type("Own", (ds.LogisticNormal,), {"__init__": lambda d: ds.LogisticNormal.__init__(d, zeros, 1 + zeros)})().expand((2,))
    with pytest.raises(ValueError, match="transforms must be a Transform or a list"):
        ds.TransformedDistribution(ds.Normal(0.0, 1.0), w.exp)


def test_a_symmetric_matrix_may_be_rounded() -> None:
    """Of large elements: in proportion to these, as in PyTorch."""
    matrix = w.eye(3, dtype=w.float64) * 1e4 + 100
    matrix[0, 1] *= 1 + 1e-6
    assert w.distributions.MultivariateNormal(w.zeros(3, dtype=w.float64), matrix).batch_shape == ()


def test_transforms_know_their_inverse_and_compare_with_numbers() -> None:
    ts = w.distributions.transforms
    t = ts.AffineTransform(0.0, 2 * w.ones(2), event_dim=1)
    assert t.inv is t.inv and t.inv.inv is t and t.with_cache(1).inv is not t.inv and t.inv == t.with_cache(1).inv
    assert t.event_dim == 1 and ts.ExpTransform().event_dim == 0 and t.inv.with_cache(1)._cache_size == 1
    assert t != ts.AffineTransform(0.0, 3.0, event_dim=1) and t != ts.ExpTransform() and t.inv != ts.ExpTransform().inv
    with pytest.raises(ValueError, match=r"either \.domain\.event_dim or"):
        ts.ReshapeTransform((4,), (2, 2)).event_dim  # noqa: B018
    whole, x = ts.CatTransform([t, t], dim=1, lengths=[2, 2]), w.ones(5, 4)  # the events contain the dimension
    assert whole.log_abs_det_jacobian(x, whole(x)).tolist() == pytest.approx([4 * math.log(2)] * 5)
    for diag in range(-3, 4):
        matrix = w.arange(1.0, 17).reshape(4, 4).tril(diag)
        from wengert_distributions.base import tril_matrix_to_vec, vec_to_tril_matrix

        assert w.equal(vec_to_tril_matrix(tril_matrix_to_vec(matrix, diag), diag), matrix)


class OfPositives(w.distributions.LogNormal):
    """A LogNormal with a base of its own, as libraries derive one: what is above LogNormal takes a base and transforms."""

    def __init__(self, loc: Any, scale: Any) -> None:
        super(w.distributions.LogNormal, self).__init__(w.distributions.Normal(loc, scale), w.distributions.transforms.ExpTransform())

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(OfPositives, _instance)
        return super(w.distributions.LogNormal, self).expand(batch_shape, _instance=new)


def test_a_log_normal_is_a_transformed_normal() -> None:
    d = w.distributions
    own, plain = OfPositives(w.tensor(0.5), 2.0), d.LogNormal(w.tensor(0.5), 2.0)
    assert isinstance(plain, d.TransformedDistribution) and type(own.expand((3,))) is OfPositives
    x = w.tensor([0.5, 1.0, 3.0])
    assert own.log_prob(x).tolist() == plain.log_prob(x).tolist() == own.expand((3,)).log_prob(x).tolist()
    assert own.mean == plain.mean and own.base_dist.scale == plain.scale == 2.0 and own.rsample((4,)).shape == (4,)
