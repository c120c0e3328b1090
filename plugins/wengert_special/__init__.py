"""Special functions, as a plugin.

Owns: the names; each module of ops is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    for part in ("gamma", "special"):
        registry.cases(f"special.{part}", f"wengert_special.cases_{part}:RECORDS")
    registry.family(
        "wengert_special.gamma", "digamma lgamma mvlgamma igamma igammac",
        functions="polygamma", methods="polygamma=polygamma_method",
        inplace="digamma lgamma polygamma mvlgamma igamma igammac", out="mvlgamma",
    )  # fmt: skip
    registry.family(
        "wengert_special.gamma", functions="digamma psi=digamma gammaln=lgamma polygamma multigammaln=mvlgamma gammainc=igamma "
        "gammaincc=igammac zeta", prefix="special.", out="multigammaln",
    )  # fmt: skip
    registry.family("wengert_special.normal", "erfinv logit", inplace="erfinv logit")
    registry.family(
        "wengert_special.normal", functions="erfinv erfcx ndtr log_ndtr ndtri entr xlog1py logit", prefix="special."
    )
    registry.family("wengert_special.bessel", "i0 sinc", inplace="i0 sinc")
    registry.family(
        "wengert_special.bessel", functions="i0 i0e i1 i1e sinc modified_bessel_i0=i0 modified_bessel_i1=i1 "
        "modified_bessel_k0=k0 modified_bessel_k1=k1 scaled_modified_bessel_k0=k0e scaled_modified_bessel_k1=k1e "
        "bessel_j0=j0 bessel_j1=j1 bessel_y0=y0 bessel_y1=y1 airy_ai=ai spherical_bessel_j0=spherical_j0",
        prefix="special.",
    )  # fmt: skip
    polynomials = (
        "chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w hermite_polynomial_h "
        "hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p"
    )
    shifted = " ".join(f"shifted_{name}" for name in polynomials.split()[:4])
    registry.family("wengert_special.polynomials", functions=f"{polynomials} {shifted}", prefix="special.", out=shifted)
    for op in f"polygamma gammaln i0 airy_ai airy_ai_slope spherical_j0 sinc logit {polynomials}".split():
        registry.kernel(op, "xp", f"wengert_special.kernels:{op}")
    registry.family(
        "wengert", functions="expit=sigmoid exp2 expm1 log1p erf erfc round softmax log_softmax logsumexp", prefix="special."
    )
