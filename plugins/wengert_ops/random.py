"""Random numbers of further distributions, drawn from the core's streams.

Owns: the fills `cauchy_`, `geometric_`, `log_normal_`; `poisson`, `binomial`, `randint_like`. May import: wengert.extend,
NumPy, SciPy late. Must not know: devices; numbers are drawn on the host and handed over.
The gradient of a draw is zero. Rejection draws again for those elements alone that were refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.extend import category, creation, dtypes, random

Array = np.ndarray[Any, Any]


# ---- fills: a uniform number through the inverse of the distribution
def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
    """Write Cauchy values: median + sigma tan(pi (u - 1/2)). Raises RuntimeError for sigma <= 0."""
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    dtype, drawing = random.continuous("cauchy_", self), random.source(generator)

    def make(shape: tuple[int, ...]) -> Array:
        u = drawing.uniforms(shape, dtype)
        np.tan(np.multiply(np.subtract(u, 0.5, out=u), np.pi, out=u), out=u)
        return random.spread(u, sigma, median)

    return random.write("cauchy_", self, make, dtype)


def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
    """Write the number of trials up to the first success, of chance p: ceil(log(1 - u) / log(1 - p)), at least 1."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    if category(self._array.dtype) in (dtypes.BOOL, dtypes.COMPLEX):
        raise NotImplementedError(f"geometric_ is not implemented for {self.dtype}")
    own, drawing = self._array.dtype, random.source(generator)

    def make(shape: tuple[int, ...]) -> Array:
        u = drawing.uniforms(shape, dtypes.F64)
        np.log(np.subtract(1, u, out=u), out=u)
        np.ceil(np.divide(u, np.log1p(-p), out=u), out=u)
        return np.maximum(u, 1, out=u).astype(own)

    return random.write("geometric_", self, make, own)


def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
    """Write exp(mean + std z) of standard normal z. Raises RuntimeError for std <= 0."""
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    dtype, drawing = random.continuous("log_normal_", self), random.source(generator)

    def make(shape: tuple[int, ...]) -> Array:
        z = random.spread(drawing.normals(shape, dtype), std, mean)
        return np.exp(z, out=z)

    return random.write("log_normal_", self, make, dtype)


def randint_like(input: Any, low: Any = None, high: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None,
                 requires_grad: bool = False, generator: Any = None, memory_format: Any = None,
                 pin_memory: bool = False) -> Any:  # fmt: skip
    """Return uniform integers in [low, high) (from 0 when one bound is given) in the shape, dtype and device of input."""
    low, high = random.bounds_of("randint_like", low, high)
    dtype, device = input.dtype if dtype is None else dtype, input.device if device is None else device
    wanted = dtypes.to_numpy(dtype)
    make = random.integers(low, high, wanted, generator)
    return random.drawn(make, tuple(input.shape), wanted, device, requires_grad)


# ---- counts: by adding up chances where few are expected, else by rejection
FEW = 10.0


def by_rejection(generator: Any, size: int, attempt: Callable[[Array, Array, Array], tuple[Array, Array]]) -> Array:
    """Return counts; attempt(places, u, v) of uniform numbers gives a count for each place and whether it is accepted."""
    made, open_ = np.empty(size), np.arange(size)
    while open_.size:
        u, v = generator.uniforms((2, open_.size), dtypes.F64)
        counts, accepted = attempt(open_, u - 0.5, v)
        made[open_[accepted]] = counts[accepted]
        open_ = open_[~accepted]
    return made


def by_addition(u: Array, chance: Array, ratio: Callable[[int, Array], Array]) -> Array:
    """Return for each u the least k whose chances 0..k add up to more; ratio(k, places) leads from k - 1 to k."""
    made, total, open_ = np.zeros(u.size), chance.copy(), np.arange(u.size)
    for k in range(1, 128):  # of a mean below 10 the rest is less than 2^-53
        open_ = open_[u[open_] >= total[open_]]
        if not open_.size:
            break
        chance[open_] *= ratio(k, open_)
        total[open_] += chance[open_]
        made[open_] = k
    return made


def poisson(input: Any, generator: Any = None) -> Any:
    """Return counts of events of which `input` are expected. Raises RuntimeError for a negative expectation.

    Source: W. Hormann, The transformed rejection method for generating Poisson random variables, 1993.
    """
    if category(input._array.dtype) != dtypes.FLOATING:
        raise NotImplementedError(f"poisson is not implemented for {input.dtype}: expectations are floats")
    rates = input.detach().host().astype(np.float64)
    if not (rates >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    made = counts_of(random.source(generator), rates.reshape(-1))
    draw = creation.made(made.reshape(rates.shape).astype(input._array.dtype), input.device)
    return random.settled("PoissonBackward0", draw, input)


def counts_of(generator: Any, rates: Array) -> Array:
    made = np.empty(rates.shape)
    few = rates < FEW
    small, large = rates[few], rates[~few]
    made[few] = by_addition(generator.uniforms(small.shape, dtypes.F64), np.exp(-small), lambda k, at: small[at] / k)
    if not large.size:
        return made
    from scipy.special import gammaln

    b = 0.931 + 2.53 * np.sqrt(large)
    a = -0.059 + 0.02483 * b
    scale, quick, log_rate = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2), np.log(large)

    def attempt(at: Array, u: Array, v: Array) -> tuple[Array, Array]:
        us = 0.5 - np.abs(u)
        k = np.floor((2 * a[at] / us + b[at]) * u + large[at] + 0.43)
        with np.errstate(all="ignore"):
            density = k * log_rate[at] - large[at] - gammaln(k + 1)
            inside = np.log(v * scale[at] / (a[at] / (us * us) + b[at])) <= density
        return k, ((us >= 0.07) & (v <= quick[at])) | ((k >= 0) & ((us >= 0.013) | (v <= us)) & inside)

    made[~few] = by_rejection(generator, large.size, attempt)
    return made


def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Return the number of successes among `count` trials of chance `prob`, both tensors that are broadcast.

    Raises RuntimeError for chances outside of [0, 1] and counts below 0.
    Source: W. Hormann, The generation of binomial random variates, 1993.
    """
    if category(count._array.dtype) != dtypes.FLOATING or count.dtype is not prob.dtype:
        raise ValueError(f"binomial only supports floating-point dtypes, the same for both, got {count.dtype} and {prob.dtype}")
    n, p = np.broadcast_arrays(*[x.detach().host().astype(np.float64) for x in (count, prob)])
    if not ((n >= 0).all() and (p >= 0).all() and (p <= 1).all()):
        raise RuntimeError("binomial: expected count >= 0 and 0 <= prob <= 1")
    made = successes(random.source(generator), np.floor(n).reshape(-1), p.reshape(-1))
    return creation.made(made.reshape(n.shape).astype(count._array.dtype), count.device)


def successes(generator: Any, n: Array, chances: Array) -> Array:
    """Return binomial counts; of chances above 1/2 the failures are counted."""
    p = np.minimum(chances, 1 - chances)
    made = np.empty(n.shape)
    few = n * p < FEW
    ns, ps = n[few], p[few]
    start = np.exp(ns * np.log1p(-ps))
    odds = ps / (1 - ps)
    made[few] = by_addition(
        generator.uniforms(ns.shape, dtypes.F64), start, lambda k, at: np.maximum(ns[at] - k + 1, 0) / k * odds[at]
    )
    if not few.all():
        made[~few] = by_rejection(generator, int((~few).sum()), binomial_attempt(n[~few], p[~few]))
    return np.where(chances > 0.5, n - made, made)


def binomial_attempt(n: Array, p: Array) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    from scipy.special import gammaln

    spread = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    quick, scale, odds = 0.92 - 4.2 / b, (2.83 + 5.1 / b) * spread, np.log(p / (1 - p))
    mode = np.floor((n + 1) * p)
    at_mode = gammaln(mode + 1) + gammaln(n - mode + 1)

    def attempt(at: Array, u: Array, v: Array) -> tuple[Array, Array]:
        us = 0.5 - np.abs(u)
        k = np.floor((2 * a[at] / us + b[at]) * u + n[at] * p[at] + 0.5)
        possible = (k >= 0) & (k <= n[at])
        with np.errstate(all="ignore"):
            density = at_mode[at] - gammaln(k + 1) - gammaln(n[at] - k + 1) + (k - mode[at]) * odds[at]
            inside = np.log(v * scale[at] / (a[at] / (us * us) + b[at])) <= density
        return k, possible & (((us >= 0.07) & (v <= quick[at])) | inside)

    return attempt
