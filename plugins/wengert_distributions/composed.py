"""Distributions made of other distributions: `Independent`, `TransformedDistribution`, `MixtureSameFamily`.

Owns: these, and what is a transformed normal. May import: `wengert`, base, constraints, transforms, continuous.
Must not know: kl.
"""

from __future__ import annotations

from typing import Any

from wengert import Size
from wengert_distributions import constraints as c
from wengert_distributions.base import Distribution, sum_rightmost, unrecorded
from wengert_distributions.continuous import Normal
from wengert_distributions.transforms import ComposeTransform, ExpTransform, StickBreakingTransform, Transform


class Independent(Distribution):
    """Another distribution, whose last batch dimensions are counted as one event."""

    arg_constraints = {}

    def __init__(
        self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        n = reinterpreted_batch_ndims
        if n > len(base_distribution.batch_shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {n} vs {len(base_distribution.batch_shape)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        shape = base_distribution.batch_shape + base_distribution.event_shape
        cut = len(base_distribution.batch_shape) - n
        Distribution.__init__(self, shape[:cut], shape[cut:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        n = self.reinterpreted_batch_ndims
        whole = (*batch_shape, *self._event_shape[:n])
        return self._as_instance(Independent, Independent(self.base_dist.expand(whole), n, False), _instance)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.reinterpreted_batch_ndims == 0 and bool(self.base_dist.has_enumerate_support)

    @c.dependent_property
    def support(self) -> Any:
        n = self.reinterpreted_batch_ndims
        return c.independent(self.base_dist.support, n) if n else self.base_dist.support

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Any:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Any:
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Independent: the product of supports is not enumerated")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """The distribution of f(x), for x of a base distribution and f one or several transforms.

    log p(y) = log p(x) - log |det dy/dx|, y = f(x).
    """

    arg_constraints = {}

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        given = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(given, list | tuple) or not all([isinstance(t, Transform) for t in given]):
            raise ValueError(f"transforms must be a Transform or a list of Transforms, but was {transforms}")
        self.transforms = list(given)
        whole = ComposeTransform(self.transforms)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        need = whole.domain.event_dim
        if len(shape) < need:
            raise ValueError(f"base_distribution needs to have shape with size at least {need}, but got {shape}.")
        after = Size(whole.forward_shape(shape))
        before = Size(whole.inverse_shape(after))  # the shape to which parameters of the transforms broadcast the base
        if before != shape:
            base_distribution = base_distribution.expand(before[: len(before) - len(base_distribution.event_shape)])
        more = need - len(base_distribution.event_shape)
        if more > 0:
            base_distribution = Independent(base_distribution, more, validate_args=False)
        self.base_dist = base_distribution
        event = whole.codomain.event_dim + max(len(base_distribution.event_shape) - need, 0)
        Distribution.__init__(self, after[: len(after) - event], after[len(after) - event :], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        made = TransformedDistribution(self.base_dist.expand(batch_shape), self.transforms, False)
        return self._as_instance(TransformedDistribution, made, _instance)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @c.dependent_property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        more = len(self._event_shape) - support.event_dim
        return c.independent(support, more) if more > 0 else support

    def _through(self, x: Any) -> Any:
        for t in self.transforms:
            x = t(x)
        return x

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._through(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        event, y, total = len(self._event_shape), value, 0.0
        for t in reversed(self.transforms):
            x = t._inv_call(y)
            event += t.domain.event_dim - t.codomain.event_dim
            total = total - sum_rightmost(t.log_abs_det_jacobian(x, y), event - t.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))

    def _rising(self, chance: Any) -> Any:
        """Return a chance, or 1 - it where the transforms fall."""
        sign = ComposeTransform(self.transforms).sign
        return chance if isinstance(sign, int) and sign == 1 else sign * (chance - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        for t in reversed(self.transforms):
            value = t._inv_call(value)
        return self._rising(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._through(self.base_dist.icdf(self._rising(value)))


class LogNormal(TransformedDistribution):
    """The distribution of exp(x) for normal x."""

    prints_parameters = False
    has_rsample = True
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, self._get_checked_instance(LogNormal, _instance))

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Any:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Any:
        return (self.scale**2).expm1() * (2 * self.loc + self.scale**2).exp()

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc


class LogisticNormal(TransformedDistribution):
    """The distribution on the simplex of StickBreakingTransform of independent normal numbers."""

    prints_parameters = False
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, self._get_checked_instance(LogisticNormal, _instance))

    @property
    def loc(self) -> Any:
        """The means of the normal numbers."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviations of the normal numbers."""
        return self.base_dist.base_dist.scale


class MixtureSameFamily(Distribution):
    """A mixture: one of the distributions along the last batch dimension, chosen by a Categorical."""

    arg_constraints = {}

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        mixture, component = mixture_distribution, component_distribution
        count = component.batch_shape[-1:]
        if tuple(mixture.param_shape[-1:]) != tuple(count):
            raise ValueError(
                f"`mixture_distribution component` ({tuple(mixture.param_shape[-1:])}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({tuple(count)})"
            )
        self._mixture_distribution, self._component_distribution = mixture, component
        Distribution.__init__(self, component.batch_shape[:-1], component.event_shape, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        component = self._component_distribution
        made = MixtureSameFamily(
            self._mixture_distribution.expand(batch_shape),
            component.expand((*batch_shape, component.batch_shape[-1])),
            validate_args=False,
        )
        return self._as_instance(MixtureSameFamily, made, _instance)

    @property
    def mixture_distribution(self) -> Any:
        """The Categorical that chooses."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """What is chosen from."""
        return self._component_distribution

    @c.dependent_property
    def support(self) -> Any:
        return self._component_distribution.support

    def _averaged(self, values: Any) -> Any:
        events = len(self._event_shape)
        chances = self._mixture_distribution.probs
        return (chances.reshape(*chances.shape, *[1] * events) * values).sum(-1 - events)

    @property
    def mean(self) -> Any:
        return self._averaged(self._component_distribution.mean)

    @property
    def variance(self) -> Any:
        component = self._component_distribution
        between = (component.mean - self.mean.unsqueeze(-1 - len(self._event_shape))) ** 2
        return self._averaged(component.variance) + self._averaged(between)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logs = self._component_distribution.log_prob(value.unsqueeze(-1 - len(self._event_shape)))
        return (logs + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def cdf(self, value: Any) -> Any:
        chances = self._component_distribution.cdf(value.unsqueeze(-1))
        return (chances * self._mixture_distribution.probs).sum(-1)

    @unrecorded
    def sample(self, sample_shape: Any = ()) -> Any:
        events = len(self._event_shape)
        chosen = self._mixture_distribution.sample(sample_shape)
        values = self._component_distribution.sample(sample_shape)
        index = chosen.reshape(*chosen.shape, *[1] * (events + 1)).expand(*chosen.shape, 1, *self._event_shape)
        return values.gather(chosen.dim(), index).squeeze(chosen.dim())

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"
