"""Probability distributions: `wengert.distributions`, as a plugin.

Owns: the names; each module is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry

NAMES = {
    "base": "Distribution ExponentialFamily",
    "continuous": "Beta Cauchy Chi2 Exponential FisherSnedecor Gamma GeneralizedPareto Gumbel HalfCauchy HalfNormal "
    "InverseGamma Kumaraswamy Laplace Normal Pareto StudentT Uniform VonMises Weibull",
    "discrete": "Bernoulli Binomial Categorical ContinuousBernoulli Geometric Multinomial NegativeBinomial OneHotCategorical "
    "OneHotCategoricalStraightThrough Poisson RelaxedBernoulli RelaxedOneHotCategorical",
    "multivariate": "Dirichlet LowRankMultivariateNormal MultivariateNormal _batch_mahalanobis=squared_length "
    "_precision_to_scale_tril=factor_of_inverse",
    "matrices": "LKJCholesky Wishart",
    "composed": "Independent LogNormal LogisticNormal MixtureSameFamily TransformedDistribution",
    "transforms": "AbsTransform AffineTransform CatTransform ComposeTransform CorrCholeskyTransform "
    "CumulativeDistributionTransform ExpTransform IndependentTransform LowerCholeskyTransform PositiveDefiniteTransform "
    "PowerTransform ReshapeTransform SigmoidTransform SoftmaxTransform SoftplusTransform StackTransform "
    "StickBreakingTransform TanhTransform Transform biject_to identity_transform transform_to",
    "kl": "kl_divergence register_kl",
}
BELOW = {  # the names in wengert.distributions.constraints, and so on
    "constraints": "_Dependent _LowerCholesky _PositiveDefinite _Real _Simplex "
    "Constraint boolean cat corr_cholesky dependent dependent_property greater_than greater_than_eq "
    "half_open_interval independent integer_interval interval is_dependent less_than lower_cholesky lower_triangular "
    "multinomial nonnegative nonnegative_integer one_hot positive positive_definite positive_integer positive_semidefinite "
    "real real_vector simplex square stack symmetric unit_interval",
    "transforms": f"{NAMES['transforms']} _InverseTransform=_Inverse",
    "kl": NAMES["kl"],
    "utils": "_standard_normal=standard_normal _sum_rightmost=sum_rightmost broadcast_all=numbers clamp_probs lazy_property "
    "logits_to_probs probs_to_logits tril_matrix_to_vec vec_to_tril_matrix",
}


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    for module, names in NAMES.items():
        registry.family(f"wengert_distributions.{module}", prefix="distributions.", functions=names)
    for place, names in BELOW.items():
        module = "base" if place == "utils" else place
        registry.family(f"wengert_distributions.{module}", prefix=f"distributions.{place}.", functions=names)
