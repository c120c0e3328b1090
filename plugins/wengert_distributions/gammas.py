"""Standard gamma variables and their shares of a sum: drawn by rejection, and differentiable in their concentration.

Owns: `standard_gamma`, `standard_dirichlet`. May import: wengert.extend, NumPy; SciPy late. Must not know: distributions.
Numbers and their slopes are computed on the host and handed over, as those of `poisson` are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import wengert as w
from wengert.extend import creation, random

Array = np.ndarray[Any, Any]


def draws(k: Array) -> Array:
    """Return a gamma value for each concentration.

    Source: G. Marsaglia and W. Tsang, A simple method for generating gamma variables, 2000.
    """
    generator = random.default_generator
    boosted = np.where(k < 1, k + 1, k)  # below 1: gamma(k) = gamma(k + 1) u^(1/k)
    d = boosted - 1 / 3
    made, open_ = np.empty(k.size), np.arange(k.size)
    while open_.size:
        here = d[open_]
        x = generator.normals((open_.size,), np.dtype(np.float64))
        u = generator.uniforms((open_.size,), np.dtype(np.float64))
        v = (1 + x / np.sqrt(9 * here)) ** 3
        above = v > 0
        log_v = np.log(np.where(above, v, 1))
        accepted = above & (np.log1p(-u) < x * x / 2 + here * (1 - v + log_v))
        made[open_[accepted]] = here[accepted] * v[accepted]
        open_ = open_[~accepted]
    small = k < 1
    if small.any():
        u = 1 - generator.uniforms((int(small.sum()),), np.dtype(np.float64))
        made[small] *= u ** (1 / k[small])
    return made


def slope(k: Array, z: Array) -> Array:
    """Return dz/dk at a constant chance F(z; k): -(dF/dk) / (dF/dz).

    F is the regularised incomplete gamma function, of which the smaller tail is differenced, to fourth order in float64.
    Source: M. Figurnov, S. Mohamed and A. Mnih, Implicit reparameterization gradients, 2018.
    """
    from scipy import special

    h = 1e-3 * k / (1 + np.sqrt(k))
    upper = z > k  # there 1 - F has the digits

    def tail(k: Array) -> Array:
        made: Array = np.where(upper, -special.gammaincc(k, z), special.gammainc(k, z))
        return made

    return ratio(differenced(tail, k, h), np.exp((k - 1) * np.log(z) - z - special.gammaln(k)))


def slope_of_share(a: Array, b: Array, x: Array, y: Array) -> Array:
    """Return dx/da at a constant chance F(x; a, b), the regularised incomplete beta function, as `slope` does. y: 1 - x."""
    from scipy import special

    upper = x * b > y * a

    def tail(a: Array) -> Array:
        made: Array = np.where(upper, -special.betainc(b, a, y), special.betainc(a, b, x))
        return made

    density = np.exp((a - 1) * np.log(x) + (b - 1) * np.log(y) - special.betaln(a, b))
    return ratio(differenced(tail, a, 1e-3 * a / (1 + np.sqrt(a))), density)


def differenced(f: Callable[[Array], Array], x: Array, h: Array) -> Array:
    """Return the derivative of a function by differences of fourth order."""
    made: Array = (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)
    return made


def ratio(by_parameter: Array, density: Array) -> Array:
    """Return the slope that two derivatives of a chance make: 0 where the density underflows."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exact = -by_parameter / density
    made: Array = np.where(np.isfinite(exact), exact, 0.0)
    return made


class StandardGamma(w.autograd.Function):
    """Draw, and differentiate implicitly, once."""

    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        k = concentration.detach().host()
        z = np.maximum(draws(k.astype(np.float64).reshape(-1)), np.finfo(k.dtype).tiny).reshape(k.shape)
        ctx.slopes = (k, z)
        return creation.made(z.astype(k.dtype), concentration.device)

    @staticmethod
    @w.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        k, z = ctx.slopes
        return g * creation.made(slope(k.astype(np.float64), z).astype(k.dtype), g.device)


class StandardDirichlet(w.autograd.Function):
    """Draw parts of a whole, and differentiate implicitly, once.

    Small concentrations give gamma values below the smallest float32, so both are computed in float64 whatever the dtype. Parts
    are kept away from 0 and 1, which rounding reaches and the density does not allow.
    """

    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        k = concentration.detach().host()
        z = np.maximum(draws(k.astype(np.float64).reshape(-1)), np.finfo(np.float64).tiny).reshape(k.shape)
        ctx.parts = (k, z)
        limits = np.finfo(k.dtype)
        x = np.clip((z / z.sum(-1, keepdims=True)).astype(k.dtype), limits.tiny, 1 - limits.eps / 2)
        return creation.made(x, concentration.device)

    @staticmethod
    @w.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        """dx_i/da_j = s_j (delta_ij - x_i): what is left of the whole keeps its parts, and x_j alone is a beta value."""
        k, z = ctx.parts
        k, total, coming = k.astype(np.float64), z.sum(-1, keepdims=True), g.host().astype(np.float64)
        x, y = z / total, others(z) / total
        along = coming - (coming * x).sum(-1, keepdims=True)
        return creation.made((along * slope_of_share(k, others(k), x, y) / y).astype(ctx.parts[0].dtype), g.device)


def others(x: Array) -> Array:
    """Return the sum of the other elements of its row for each element, without subtracting."""
    before, behind = np.zeros_like(x), np.zeros_like(x)
    before[..., 1:] = np.cumsum(x[..., :-1], -1)
    behind[..., :-1] = np.cumsum(x[..., :0:-1], -1)[..., ::-1]
    made: Array = before + behind
    return made


def standard_gamma(concentration: Any) -> Any:
    """Return a gamma value of rate 1 for each concentration, differentiable once."""
    return StandardGamma.apply(concentration)


def standard_dirichlet(concentration: Any) -> Any:
    """Return gamma values of the concentrations, divided by their sums along the last dimension; differentiable once."""
    return StandardDirichlet.apply(concentration)
