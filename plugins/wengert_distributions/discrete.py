"""Distributions of counts and choices, as formula sheets.

Owns: the discrete families, and the relaxations of two of them. May import: `wengert`, base, constraints. Must not know: kl.
Chances may be given as probs or as logits; what was not given is computed from the other when it is asked for.
"""

from __future__ import annotations

import math
from typing import Any

import wengert as w
from wengert import Size
from wengert_distributions import constraints as c
from wengert_distributions.base import (
    Distribution,
    ExponentialFamily,
    clamp_probs,
    holds,
    lazy_property,
    logits_to_probs,
    numbers,
    probs_to_logits,
    tiny,
    unrecorded,
)


class _Binary(Distribution):
    """Two outcomes, by probs or logits."""

    arg_constraints = {"probs": c.unit_interval, "logits": c.real}

    @lazy_property
    def probs(self) -> Any:
        return logits_to_probs(self.logits, is_binary=True)

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs, is_binary=True)

    @property
    def _given(self) -> Any:
        """The parameter that was given."""
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Any:
        """The shape of probs."""
        return self._given.size()


class Bernoulli(_Binary, ExponentialFamily):
    """1 with chance probs, else 0."""

    support = c.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take_one(validate_args, probs=probs, logits=logits)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return w.where(self.probs == 0.5, math.nan, (self.probs >= 0.5).to(self.probs.dtype))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        return w.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = w.broadcast_tensors(self.logits, value)
        return -w.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Any:
        return w.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(w.arange(2, dtype=self._given.dtype, device=self._given.device), expand)


class ContinuousBernoulli(_Binary, ExponentialFamily):
    """A number x in [0, 1] of density proportional to probs^x (1 - probs)^(1 - x): exp(t x) with t = logits.

    Source: G. Loaiza-Ganem and J. P. Cunningham, The continuous Bernoulli, 2019. Near t = 0 the formulas are their series.
    """

    support = c.unit_interval
    has_rsample = True

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self._take_one(validate_args, probs=probs, logits=logits)
        self._lims = lims  # PyTorch's bounds of its series: the ones here follow from the precision

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new._lims = self._lims

    def _by_size(self, far: Any, near: Any, within: float = 0.5) -> Any:
        """Return far(t), or where |t| is small near(t)."""
        t = self.logits
        small = t.abs() < within
        return w.where(small, near(w.where(small, t, 0.0)), far(w.where(small, 1.0, t)))

    def _log_density(self, x: Any) -> Any:
        """Return t x less the log of the integral of exp(t x), (exp(t) - 1) / t; of large t the difference is taken first."""
        return self._by_size(
            lambda t: t * (x - (t > 0).to(t.dtype)) + t.abs().log() - (-(-t.abs()).expm1()).log(),
            lambda t: t * x - (t / 2 + t**2 / 24 - t**4 / 2880 + t**6 / 181440 - t**8 / 9676800),
        )

    @property
    def mean(self) -> Any:
        return self._by_size(
            lambda t: -1 / (-t).expm1() - 1 / t, lambda t: 0.5 + t / 12 - t**3 / 720 + t**5 / 30240 - t**7 / 1209600
        )

    @property
    def variance(self) -> Any:
        return self._by_size(
            lambda t: 1 / t**2 - (2 * (t / 2).sinh()) ** -2, lambda t: 1 / 12 - t**2 / 240 + t**4 / 6048 - t**6 / 172800
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = w.rand(self._extended_shape(sample_shape), dtype=self._given.dtype, device=self._given.device)
        return self.icdf(u)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self._log_density(value)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        x = value.clamp(0, 1)  # for t > 0 both are divided by exp(t), which may overflow

        def far(t: Any) -> Any:
            up, down = t.clamp(min=0), t.clamp(max=0)
            rising = (((x - 1) * up).exp() - (-up).exp()) / w.where(t > 0, -(-up).expm1(), 1.0)
            return w.where(t > 0, rising, (x * down).expm1() / w.where(t > 0, 1.0, down.expm1()))

        return self._by_size(
            far, lambda t: x + t * x * (x - 1) / 2 * (1 + t * (2 * x - 1) / 6 + t**2 * x * (x - 1) / 12), 0.01
        )

    def icdf(self, value: Any) -> Any:
        u = value

        def far(t: Any) -> Any:
            rising = 1 + (u - (u - 1) * (-t.clamp(min=0)).exp()).log() / t
            return w.where(t > 0, rising, (u * t.clamp(max=0).expm1()).log1p() / t)

        return self._by_size(far, lambda t: u - t * u * (u - 1) / 2 * (1 - t * (2 * u - 1) / 3), 0.001)

    def entropy(self) -> Any:
        return 0.0 - self._log_density(self.mean)


class Geometric(_Binary):
    """The number of failures before the first success."""

    support = c.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take_one(validate_args, probs=probs, logits=logits)
        if self._validate_args and probs is not None and not holds(self.probs > 0):
            raise ValueError(f"Expected parameter probs of Geometric to be greater than 0, but found {self.probs}")

    @property
    def mean(self) -> Any:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Any:
        return w.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1 / self.probs - 1) / self.probs

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        u = w.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
        return (u.clamp(min=w.finfo(u.dtype).tiny).log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        value, probs = w.broadcast_tensors(value, self.probs)
        probs = w.where((probs == 1) & (value == 0), 0.0, probs)  # there 0 log 0 is 0
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Any:
        return w.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs


class _Counted(_Binary):
    """Binary outcomes that are counted: total_count stands beside probs or logits."""

    def _take_counted(self, validate_args: bool | None, total_count: Any, probs: Any, logits: Any) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        self.total_count, given = numbers(total_count, value)
        self.total_count = self.total_count.to(given.dtype)
        setattr(self, name, given)
        Distribution.__init__(self, given.shape, (), validate_args)


class Binomial(_Counted):
    """The number of successes in total_count trials."""

    arg_constraints = {"total_count": c.nonnegative_integer, "probs": c.unit_interval, "logits": c.real}
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take_counted(validate_args, total_count, probs, logits)

    @c.dependent_property(is_discrete=True)
    def support(self) -> Any:
        return c.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return w.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n = self.total_count
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # log p = l - softplus(l) and log(1 - p) = -softplus(l)
        return ways + value * self.logits - n * w.nn.functional.softplus(self.logits)

    def entropy(self) -> Any:
        n = int(self.total_count.max())
        if not bool((self.total_count == n).all()):
            raise NotImplementedError("Binomial.entropy needs one total_count for the whole batch")
        chance = self.log_prob(self.enumerate_support(False))
        return -(chance.exp() * chance).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        n = int(self.total_count.max())
        if not bool((self.total_count == n).all()):
            raise NotImplementedError("Binomial.enumerate_support needs one total_count for the whole batch")
        return self._enumerated(w.arange(1 + n, dtype=self._given.dtype, device=self._given.device), expand)


class NegativeBinomial(_Counted):
    """The number of successes of chance probs before total_count failures."""

    arg_constraints = {"total_count": c.nonnegative, "probs": c.half_open_interval(0.0, 1.0), "logits": c.real}
    support = c.nonnegative_integer

    def __init__(self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take_counted(validate_args, total_count, probs, logits)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.mean / (-self.logits).sigmoid()

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        from wengert_distributions.continuous import Gamma

        return w.poisson(Gamma(self.total_count, (-self.logits).exp(), validate_args=False).sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n = self.total_count
        chances = n * w.nn.functional.logsigmoid(-self.logits) + value * w.nn.functional.logsigmoid(self.logits)
        ways = (n + value).lgamma() - (value + 1).lgamma() - n.lgamma()
        return chances + w.where(n + value == 0, 0.0, ways)


class Poisson(ExponentialFamily):
    """The number of events of which `rate` are expected."""

    arg_constraints = {"rate": c.nonnegative}
    support = c.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    @property
    def mean(self) -> Any:
        return self.rate

    variance = mean

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        return w.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        rate, value = w.broadcast_tensors(self.rate, value)
        return w.xlogy(value, rate) - rate - (value + 1).lgamma()


class Categorical(Distribution):
    """One of the indices 0..K-1, K being the last dimension of probs or logits, which are normalised."""

    arg_constraints = {"probs": c.simplex, "logits": c.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._normalised(probs, logits)
        Distribution.__init__(self, self._param.shape[:-1], (), validate_args)

    def _normalised(self, probs: Any, logits: Any) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if logits is None:
            self.probs = self._param = given / given.sum(-1, keepdim=True)
        else:
            self.logits = self._param = given - given.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new._num_events = self._num_events
        new._param = self._param.expand((*batch_shape, self._num_events))

    @lazy_property
    def probs(self) -> Any:
        return logits_to_probs(self.logits)

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs)

    @c.dependent_property(is_discrete=True)
    def support(self) -> Any:
        return c.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of probs."""
        return self._param.size()

    @property
    def mean(self) -> Any:
        return w.full(self._batch_shape, math.nan, dtype=self._param.dtype, device=self._param.device)

    variance = mean

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        count = math.prod(sample_shape)
        drawn = w.multinomial(self.probs.reshape(-1, self._num_events), count, True).T
        return drawn.reshape((*sample_shape, *self._batch_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self._log_chance(value.long())

    def _log_chance(self, chosen: Any) -> Any:
        index, logits = w.broadcast_tensors(chosen.unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        logits = self.logits.clamp(min=w.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(w.arange(self._num_events, device=self._param.device), expand)


class OneHotCategorical(Categorical):
    """The choice of Categorical, as a vector with one 1."""

    prints_parameters = False
    support = c.one_hot

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._normalised(probs, logits)
        Distribution.__init__(self, self._param.shape[:-1], self._param.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return w.nn.functional.one_hot(self.probs.argmax(-1), self._num_events).to(self.probs.dtype)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        return w.nn.functional.one_hot(super().sample(sample_shape), self._num_events).to(self._param.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self._log_chance(value.argmax(-1))

    def enumerate_support(self, expand: bool = True) -> Any:
        n = self._num_events
        values = w.eye(n, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape(n, *[1] * len(self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose draws take the gradient of the chances.

    Source: Y. Bengio et al., Estimating or propagating gradients through stochastic neurons, 2013.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(Distribution):
    """How often each of K outcomes comes in total_count draws."""

    prints_parameters = False
    arg_constraints = {"probs": c.simplex, "logits": c.real_vector}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("Multinomial: one total_count for the whole batch is supported, as an int")
        self.total_count = total_count
        self._choice = Categorical(probs, logits, validate_args=False)
        setattr(self, "probs" if logits is None else "logits", self._choice._param)
        shape = self._choice.param_shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args)

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new.total_count, new._choice = self.total_count, self._choice.expand(batch_shape)

    @lazy_property
    def probs(self) -> Any:
        return self._choice.probs

    @lazy_property
    def logits(self) -> Any:
        return self._choice.logits

    @c.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return c.multinomial(self.total_count)

    @property
    def param_shape(self) -> Any:
        """The shape of probs."""
        return self._choice.param_shape

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = self._choice.sample((self.total_count, *sample_shape))
        return w.nn.functional.one_hot(drawn, self._event_shape[-1]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = w.broadcast_tensors(self.logits, value)
        logits = w.where((value == 0) & (logits == -math.inf), 0.0, logits)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Any:
        count = self.total_count
        binomial = Binomial(count, probs=self.probs, validate_args=False)
        values = binomial.enumerate_support(False)[1:]
        chances = binomial.log_prob(values).exp()
        spread = (chances * (values + 1).lgamma()).sum((0, -1))
        return count * self._choice.entropy() - math.lgamma(count + 1) + spread


# ---- relaxations: continuous draws near the corners, of a temperature
class RelaxedBernoulli(_Binary):
    """A number in (0, 1) that for small temperatures is near 0 or 1.

    Source: C. Maddison, A. Mnih and Y. W. Teh, The Concrete distribution, 2017.
    """

    prints_parameters = False
    support = c.unit_interval
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        self._take_one(validate_args, probs=probs, logits=logits)

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        new.temperature = self.temperature

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = clamp_probs(
            w.rand(self._extended_shape(sample_shape), dtype=self._given.dtype, device=self._given.device)
        )
        return ((self.logits + u.log() - (-u).log1p()) / self.temperature).sigmoid()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        t = w.as_tensor(self.temperature, dtype=self._given.dtype, device=self._given.device)
        value = clamp_probs(value)
        y = value.log() - (-value).log1p()
        difference = self.logits - y * t
        density = t.log() + difference - 2 * difference.exp().log1p()
        return density - value.log() - (-value).log1p()


class RelaxedOneHotCategorical(Categorical):
    """A point of the simplex that for small temperatures is near a corner.

    Source: E. Jang, S. Gu and B. Poole, Categorical reparameterization with Gumbel-Softmax, 2017.
    """

    prints_parameters = False
    support = c.simplex
    has_rsample = True
    has_enumerate_support = False
    mean, variance, mode = Distribution.mean, Distribution.variance, Distribution.mode  # not those of the corners
    entropy, enumerate_support = Distribution.entropy, Distribution.enumerate_support

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        self._normalised(probs, logits)
        Distribution.__init__(self, self._param.shape[:-1], self._param.shape[-1:], validate_args)

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        super()._expand_rest(new, batch_shape)
        new.temperature = self.temperature

    def sample(self, sample_shape: Any = ()) -> Any:
        with w.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = w.rand(Size(self._extended_shape(sample_shape)), dtype=self._param.dtype, device=self._param.device)
        gumbels = -(-u.clamp(tiny(u), 1 - tiny(u)).log()).log()
        return ((self.logits + gumbels) / self.temperature).softmax(-1)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        t = w.as_tensor(self.temperature, dtype=self._param.dtype, device=self._param.device)
        logs = value.log()
        score = (self.logits - logs * t).log_softmax(-1)
        size = math.lgamma(self._num_events) + (self._num_events - 1) * t.log()
        return score.sum(-1) + size - logs.sum(-1)
