"""Distributions of real numbers, as formula sheets: density, draws, moments, entropy.

Owns: the univariate continuous families. May import: `wengert`, base, constraints, gammas. Must not know: kl, transforms.
Where `rsample` is not written, draws are icdf(u) of uniform u.
"""

from __future__ import annotations

import math
from typing import Any

import wengert as w
from wengert_distributions import constraints as c
from wengert_distributions.base import EULER, LOG_2PI, Distribution, ExponentialFamily, holds, unrecorded
from wengert_distributions.gammas import standard_dirichlet, standard_gamma


def normals_like(x: Any, shape: Any) -> Any:
    """Return standard normal values of a shape, in the dtype and on the device of x."""
    return w.randn(shape, dtype=x.dtype, device=x.device)


class _LocationScale(Distribution):
    """What is moved by loc and stretched by scale."""

    arg_constraints = {"loc": c.real, "scale": c.positive}
    support: c.Constraint = c.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale)


class Normal(_LocationScale, ExponentialFamily):
    """The normal distribution, of mean loc and standard deviation scale."""

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        return self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.loc + normals_like(self.loc, self._extended_shape(sample_shape)) * self.scale

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return -(((value - self.loc) / self.scale) ** 2) / 2 - self.scale.log() - LOG_2PI / 2

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def icdf(self, value: Any) -> Any:
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + LOG_2PI / 2 + self.scale.log()


class HalfNormal(Distribution):
    """The distribution of |x| for normal x of mean 0."""

    prints_parameters = False
    arg_constraints = {"scale": c.positive}
    support = c.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Any:
        return w.zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        return self.scale**2 * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return (normals_like(self.scale, self._extended_shape(sample_shape)) * self.scale).abs()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        at = math.log(2) - ((value / self.scale) ** 2) / 2 - self.scale.log() - LOG_2PI / 2
        return w.where(value >= 0, at, -math.inf)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return (value / (self.scale * math.sqrt(2))).erf()

    def icdf(self, value: Any) -> Any:
        return self.scale * value.erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + LOG_2PI / 2 + self.scale.log() - math.log(2)


class Uniform(Distribution):
    """The uniform distribution of low <= x < high."""

    arg_constraints = {"low": c.dependent, "high": c.dependent}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, low=low, high=high)
        if self._validate_args and not holds(self.low < self.high):
            raise ValueError(f"Uniform is not defined when low>= high: low={self.low}, high={self.high}")

    @c.dependent_property
    def support(self) -> Any:
        return c.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        return self.high * math.nan

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / math.sqrt(12)

    @property
    def variance(self) -> Any:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = w.rand(self._extended_shape(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        fits = (value >= self.low) & (value < self.high)
        return fits.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Any) -> Any:
        return self.low + value * (self.high - self.low)

    def entropy(self) -> Any:
        return (self.high - self.low).log()


class Exponential(ExponentialFamily):
    """The exponential distribution, rate exp(-rate x)."""

    arg_constraints = {"rate": c.positive}
    support = c.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    @property
    def mean(self) -> Any:
        return 1 / self.rate

    stddev = mean

    @property
    def mode(self) -> Any:
        return w.zeros_like(self.rate)

    @property
    def variance(self) -> Any:
        return 1 / self.rate**2

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return -(-self.rate * value).expm1()

    def icdf(self, value: Any) -> Any:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Any:
        return 1 - self.rate.log()


class Laplace(_LocationScale):
    """The two-sided exponential distribution, exp(-|x - loc| / scale) / (2 scale)."""

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return 2 * self.scale**2

    @property
    def stddev(self) -> Any:
        return math.sqrt(2) * self.scale

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 0.5 - 0.5 * (value - self.loc).sign() * (-(value - self.loc).abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        side = value - 0.5
        return self.loc - self.scale * side.sign() * (-2 * side.abs()).log1p()

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()


class Cauchy(_LocationScale):
    """The Cauchy distribution, 1 / (pi scale (1 + z^2)), z = (x - loc) / scale; it has no mean."""

    @property
    def mean(self) -> Any:
        return w.full_like(self.loc, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return w.full_like(self.loc, math.inf)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return -math.log(math.pi) - self.scale.log() - (((value - self.loc) / self.scale) ** 2).log1p()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()


class HalfCauchy(Distribution):
    """The distribution of |x| for Cauchy x around 0."""

    prints_parameters = False
    arg_constraints = {"scale": c.positive}
    support = c.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale)

    @property
    def mean(self) -> Any:
        return w.full_like(self.scale, math.inf)

    @property
    def mode(self) -> Any:
        return w.zeros_like(self.scale)

    variance = mean

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        at = math.log(2 / math.pi) - self.scale.log() - ((value / self.scale) ** 2).log1p()
        return w.where(value >= 0, at, -math.inf)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 2 * (value / self.scale).atan() / math.pi

    def icdf(self, value: Any) -> Any:
        return (math.pi / 2 * value).tan() * self.scale

    def entropy(self) -> Any:
        return math.log(2 * math.pi) + self.scale.log()


class Gumbel(_LocationScale):
    """The distribution of extremes, exp(-(y + exp(-y))) / scale, y = (x - loc) / scale."""

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev**2

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Any) -> Any:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Any:
        return self.scale.log() + (1 + EULER)


class Weibull(Distribution):
    """The Weibull distribution, P(X > x) = exp(-(x / scale)^concentration)."""

    arg_constraints = {"scale": c.positive, "concentration": c.positive}
    support = c.positive
    has_rsample = True

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale, concentration=concentration)

    def _moment(self, order: int) -> Any:
        return self.scale**order * (1 + order / self.concentration).lgamma().exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        k = self.concentration
        return w.where(k > 1, self.scale * ((k - 1).clamp(0) / k) ** (1 / k), 0.0)

    @property
    def variance(self) -> Any:
        return self._moment(2) - self._moment(1) ** 2

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        k, y = self.concentration, value / self.scale
        return (k / self.scale).log() + (k - 1) * y.log() - y**k

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return -(-((value / self.scale) ** self.concentration)).expm1()

    def icdf(self, value: Any) -> Any:
        return self.scale * (-(-value).log1p()) ** (1 / self.concentration)

    def entropy(self) -> Any:
        return EULER * (1 - 1 / self.concentration) + (self.scale / self.concentration).log() + 1


class GeneralizedPareto(Distribution):
    """The distribution of what exceeds a high threshold loc, P(X > x) = (1 + concentration z)^(-1 / concentration) with
    z = (x - loc) / scale; exp(-z) for concentration 0, and below 0 of bounded support.

    Source: J. Pickands, Statistical inference using extreme order statistics, 1975.
    """

    arg_constraints = {"loc": c.real, "scale": c.positive, "concentration": c.real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale, concentration=concentration)

    @c.dependent_property
    def support(self) -> Any:
        k = self.concentration
        return c.interval(self.loc, w.where(k < 0, self.loc - self.scale / k, math.inf))

    def _by_shape(self, curved: Any, straight: Any) -> Any:
        """Return curved(concentration), or where that is 0 straight, its limit."""
        none = self.concentration == 0
        return w.where(none, straight, curved(w.where(none, 1.0, self.concentration)))

    def _log_survival(self, value: Any) -> Any:
        z = (value - self.loc) / self.scale
        return self._by_shape(lambda k: -(k * z).log1p() / k, -z)

    @property
    def mean(self) -> Any:
        k = self.concentration
        return w.where(k < 1, self.loc + self.scale / (1 - w.where(k < 1, k, 0.0)), math.inf)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        k = w.where(self.concentration < 0.5, self.concentration, 0.0)
        return w.where(self.concentration < 0.5, self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k)), math.inf)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return (1 + self.concentration) * self._log_survival(value) - self.scale.log()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return -self._log_survival(value).expm1()

    def icdf(self, value: Any) -> Any:
        left = -(-value).log1p()  # -log of the chance to exceed it
        return self.loc + self.scale * self._by_shape(lambda k: (k * left).expm1() / k, left)

    def entropy(self) -> Any:
        return (1 + self.concentration + self.scale.log()).expand(self._batch_shape)


class Pareto(Distribution):
    """The Pareto distribution, P(X > x) = (scale / x)^alpha for x >= scale."""

    arg_constraints = {"alpha": c.positive, "scale": c.positive}
    has_rsample = True

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale, alpha=alpha)

    @c.dependent_property
    def support(self) -> Any:
        return c.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha.clamp(min=2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return (self.alpha / value).log() + self.alpha * (self.scale.log() - value.log())

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 1 - (self.scale / value) ** self.alpha

    def icdf(self, value: Any) -> Any:
        return self.scale * (-(-value).log1p() / self.alpha).exp()

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + 1 / self.alpha)


class Kumaraswamy(Distribution):
    """The Kumaraswamy distribution on (0, 1), P(X <= x) = 1 - (1 - x^a)^b."""

    arg_constraints = {"concentration1": c.positive, "concentration0": c.positive}
    support = c.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration1=concentration1, concentration0=concentration0)

    def _moment(self, order: int) -> Any:
        a, b = 1 + order / self.concentration1, self.concentration0
        return (a.lgamma() + b.lgamma() - (a + b).lgamma()).exp() * b

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        at = (((a - 1) / (a * b - 1)).log() / a).exp()
        return w.where((a < 1) | (b < 1), math.nan, at)

    @property
    def variance(self) -> Any:
        return self._moment(2) - self._moment(1) ** 2

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * (-(value**a)).log1p()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 1 - (1 - value**self.concentration1) ** self.concentration0

    def icdf(self, value: Any) -> Any:
        return (1 - (1 - value) ** (1 / self.concentration0)) ** (1 / self.concentration1)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return (1 - 1 / b) + (1 - 1 / a) * harmonic - a.log() - b.log()


# ---- by gamma variables
class Gamma(ExponentialFamily):
    """The gamma distribution, rate^k x^(k-1) exp(-rate x) / Gamma(k) for concentration k."""

    arg_constraints = {"concentration": c.positive, "rate": c.positive}
    support = c.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate**2

    def rsample(self, sample_shape: Any = ()) -> Any:
        return standard_gamma(self.concentration.expand(self._extended_shape(sample_shape))) / self.rate

    def log_prob(self, value: Any) -> Any:
        value = w.as_tensor(value, dtype=self.rate.dtype, device=self.rate.device)
        self._validate_sample(value)
        k = self.concentration
        return w.xlogy(k, self.rate) + w.xlogy(k - 1, value) - self.rate * value - k.lgamma()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return w.special.gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Any:
        k = self.concentration
        return k - self.rate.log() + k.lgamma() + (1 - k) * k.digamma()


class Chi2(Gamma):
    """The distribution of the sum of squares of df standard normal numbers."""

    prints_parameters = False
    arg_constraints = {"df": c.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df)

    @property
    def concentration(self) -> Any:
        """Half of df."""
        return self.df / 2

    @property
    def rate(self) -> Any:
        """One half."""
        return w.full_like(self.df, 0.5)


class InverseGamma(Distribution):
    """The distribution of 1 / x for gamma x."""

    prints_parameters = False
    arg_constraints = {"concentration": c.positive, "rate": c.positive}
    support = c.positive
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    @property
    def base_dist(self) -> Gamma:
        """The distribution of the reciprocal."""
        return Gamma(self.concentration, self.rate, validate_args=False)

    @property
    def mean(self) -> Any:
        return w.where(self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        k = self.concentration
        return w.where(k > 2, self.rate**2 / ((k - 1) ** 2 * (k - 2)), math.inf)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return 1 / self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self.base_dist.log_prob(1 / value) - 2 * value.log()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return w.special.gammaincc(self.concentration, self.rate / value)

    def entropy(self) -> Any:
        k = self.concentration
        return k + self.rate.log() + k.lgamma() - (1 + k) * k.digamma()


class Beta(ExponentialFamily):
    """The beta distribution on (0, 1), x^(a-1) (1-x)^(b-1) / B(a, b)."""

    prints_parameters = False
    arg_constraints = {"concentration1": c.positive, "concentration0": c.positive}
    support = c.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration1=concentration1, concentration0=concentration0)

    @property
    def _total(self) -> Any:
        return self.concentration1 + self.concentration0

    @property
    def mean(self) -> Any:
        return self.concentration1 / self._total

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        between = (a - 1) / (a + b - 2)
        return w.where((a < 1) & (b < 1), math.nan, w.where(a <= 1, 0.0, w.where(b <= 1, 1.0, between)))

    @property
    def variance(self) -> Any:
        return self.concentration1 * self.concentration0 / (self._total**2 * (self._total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        both = w.stack([self.concentration1, self.concentration0], -1)
        return standard_dirichlet(both.expand((*self._extended_shape(sample_shape), 2)))[..., 0]

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        return (
            w.xlogy(a - 1, value) + w.special.xlog1py(b - 1, -value) + self._total.lgamma() - a.lgamma() - b.lgamma()
        )

    def entropy(self) -> Any:
        a, b, total = self.concentration1, self.concentration0, self._total
        sizes = a.lgamma() + b.lgamma() - total.lgamma()
        return sizes - (a - 1) * a.digamma() - (b - 1) * b.digamma() + (total - 2) * total.digamma()


class StudentT(Distribution):
    """Student's distribution of df degrees of freedom, moved to loc and stretched by scale."""

    arg_constraints = {"df": c.positive, "loc": c.real, "scale": c.positive}
    support = c.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df, loc=loc, scale=scale)

    @property
    def mean(self) -> Any:
        return w.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        df = self.df
        wide = w.where(df > 1, math.inf, math.nan)
        return w.where(df > 2, self.scale**2 * df / (df - 2), wide)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        x, z = normals_like(self.loc, shape), standard_gamma((self.df / 2).expand(shape))
        return self.loc + self.scale * x * (z / (self.df / 2)).rsqrt()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        df, y = self.df, (value - self.loc) / self.scale
        size = self.scale.log() + (df.log() + math.log(math.pi)) / 2 + (df / 2).lgamma() - ((df + 1) / 2).lgamma()
        return -(df + 1) / 2 * (y**2 / df).log1p() - size

    def entropy(self) -> Any:
        df, more = self.df, (self.df + 1) / 2
        spread = more.lgamma() - (df / 2).lgamma() - (df.log() + math.log(math.pi)) / 2
        return self.scale.log() + more * (more.digamma() - (df / 2).digamma()) - spread


class FisherSnedecor(Distribution):
    """The distribution of the ratio of two Chi2 variables, each divided by its degrees of freedom."""

    arg_constraints = {"df1": c.positive, "df2": c.positive}
    support = c.positive
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, df1=df1, df2=df2)

    @property
    def mean(self) -> Any:
        return w.where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Any:
        at = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return w.where(self.df1 > 2, at, math.nan)

    @property
    def variance(self) -> Any:
        m, n = self.df1, self.df2
        return w.where(n > 4, 2 * n**2 * (m + n - 2) / (m * (n - 2) ** 2 * (n - 4)), math.nan)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        x, y = (standard_gamma((df / 2).expand(shape)) / df for df in (self.df1, self.df2))
        return x / y.clamp(min=w.finfo(y.dtype).tiny)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a, b, ratio = self.df1 / 2, self.df2 / 2, self.df1 / self.df2
        size = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return size + a * ratio.log() + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()


class VonMises(Distribution):
    """The normal distribution on the circle, exp(concentration cos(x - loc)) / (2 pi I0(concentration))."""

    arg_constraints = {"loc": c.real, "concentration": c.positive}
    support = c.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, concentration=concentration)

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        """The circular variance, 1 - I1(k) / I0(k)."""
        k = self.concentration
        return 1 - w.special.i1e(k) / w.special.i0e(k)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        """Return draws by rejection from a wrapped Cauchy distribution.

        Source: D. Best and N. Fisher, Efficient simulation of the von Mises distribution, 1979.
        """
        shape = self._extended_shape(sample_shape)
        k = self.concentration.double().expand(shape)
        tau = 1 + (1 + 4 * k**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        # for k near 0 the formula cancels, and the limit is 1 / k
        r = w.where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))
        angle, open_ = w.zeros_like(k), w.ones(shape, dtype=w.bool, device=k.device)
        while bool(open_.any()):
            u, v, side = w.rand((3, *shape), dtype=w.float64, device=k.device)
            z = (math.pi * u).cos()
            f = ((1 + r * z) / (r + z)).clamp(-1, 1)
            y = k * (r - f)
            taken = open_ & ((y * (2 - y) > v) | ((y / v).log() + 1 - y >= 0))
            angle = w.where(taken, (side - 0.5).sign() * f.acos(), angle)
            open_ = open_ & ~taken
        turned = (angle + math.pi + self.loc.double()) % (2 * math.pi) - math.pi
        return turned.to(self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        k = self.concentration
        return k * ((value - self.loc).cos() - 1) - LOG_2PI - w.special.i0e(k).log()


