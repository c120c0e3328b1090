"""Functions with known inverse and volume change: what `TransformedDistribution` is made of.

Owns: the transforms, and `biject_to` and `transform_to`, which lead from all real numbers to a constraint.
May import: `wengert`, constraints. Must not know: distributions.
A transform is a formula sheet: `_call`, `_inverse` and `log_abs_det_jacobian(x, y)`, of y = f(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import wengert as w
from wengert_distributions import constraints as c
from wengert_distributions.base import sum_rightmost, tril_matrix_to_vec, vec_to_tril_matrix


class Transform:
    """y = f(x), with its inverse `t.inv` and log |det dy/dx|; cache_size=1 remembers the last x for its y."""

    domain: Any
    codomain: Any
    bijective: Any = False

    @property
    def sign(self) -> Any:
        """The sign of the slope, of monotonic transforms of numbers."""
        raise NotImplementedError(f"{type(self).__name__} is not monotonic, or not known to be: it has no sign")

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size, self._cached_x_y = cache_size, (None, None)
        super().__init__()  # programs derive from a transform and a module

    @property
    def inv(self) -> Any:
        """The inverse transform, the same object each time."""
        if "_inv" not in self.__dict__:
            self._inv = _Inverse(self)
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Any:
        """Return the same transform with another cache_size."""
        if self._cache_size == cache_size:
            return self
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__, _cache_size=cache_size, _cached_x_y=(None, None))
        new.__dict__.pop("_inv", None)
        return new

    def __call__(self, x: Any) -> Any:
        if not self._cache_size:
            return self._call(x)
        if self._cached_x_y[0] is not x:
            self._cached_x_y = (x, self._call(x))
        return self._cached_x_y[1]

    def _inv_call(self, y: Any) -> Any:
        if not self._cache_size:
            return self._inverse(y)
        if self._cached_x_y[1] is not y:
            self._cached_x_y = (self._inverse(y), y)
        return self._cached_x_y[0]

    @property
    def event_dim(self) -> int:
        """How many dimensions are one event, where that is one number. Raises ValueError where it is not."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")
        return int(self.domain.event_dim)

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _call(x)")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _inverse(y)")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log |det dy/dx|, one number an event of the domain."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian(x, y)")

    def forward_shape(self, shape: Any) -> Any:
        """Return the shape of f(x) for x of a shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """Return the shape of the inverse of y for y of a shape."""
        return shape

    def _key(self) -> Any:
        return {k: v for k, v in self.__dict__.items() if k not in ("_cache_size", "_cached_x_y", "_inv")}

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        mine, theirs = self._key(), other._key()

        def same(a: Any, b: Any) -> bool:
            return a is b or (bool((a == b).all()) if isinstance(a, w.Tensor) or isinstance(b, w.Tensor) else bool(a == b))

        return mine.keys() == theirs.keys() and all(same(mine[k], theirs[k]) for k in mine)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv: Any = transform

    def _key(self) -> Any:
        return {"_inv": self._inv}

    @property
    def domain(self) -> Any:
        return self._inv.codomain

    @property
    def codomain(self) -> Any:
        return self._inv.domain

    @property
    def bijective(self) -> Any:
        return self._inv.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Any:
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._inv.with_cache(cache_size).inv

    def __call__(self, x: Any) -> Any:
        return self._inv._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inv.forward_shape(shape)

    def __repr__(self) -> str:
        return f"_InverseTransform({self._inv!r})"


# ---- of numbers
class ExpTransform(Transform):
    """y = exp(x)"""

    domain, codomain, bijective, sign = c.real, c.positive, True, 1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """y = x^exponent"""

    domain, codomain, bijective = c.positive, c.positive, True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = w.as_tensor(exponent)

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def _call(self, x: Any) -> Any:
        return x**self.exponent

    def _inverse(self, y: Any) -> Any:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        return w.broadcast_shapes(shape, self.exponent.shape)

    inverse_shape = forward_shape


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x))"""

    domain, codomain, bijective, sign = c.real, c.unit_interval, True, 1

    def _call(self, x: Any) -> Any:
        limits = w.finfo(x.dtype)
        return x.sigmoid().clamp(limits.tiny, 1 - limits.eps)

    def _inverse(self, y: Any) -> Any:
        limits = w.finfo(y.dtype)
        y = y.clamp(limits.tiny, 1 - limits.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -w.nn.functional.softplus(-x) - w.nn.functional.softplus(x)


class SoftplusTransform(Transform):
    """y = log(1 + exp(x))"""

    domain, codomain, bijective, sign = c.real, c.positive, True, 1

    def _call(self, x: Any) -> Any:
        return w.nn.functional.softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -w.nn.functional.softplus(-x)


class TanhTransform(Transform):
    """y = tanh(x)"""

    domain, codomain, bijective, sign = c.real, c.interval(-1.0, 1.0), True, 1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()  # infinite at the ends: cache_size=1 keeps the x of its own y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2 * (math.log(2) - x - w.nn.functional.softplus(-2 * x))  # log(1 - tanh(x)^2) without its cancellation


class AbsTransform(Transform):
    """y = |x|, which has no inverse; `inv` gives the positive one."""

    domain, codomain = c.real, c.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """y = loc + scale * x, where the last event_dim dimensions are one event."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def domain(self) -> Any:
        return c.real if self._event_dim == 0 else c.independent(c.real, self._event_dim)

    codomain = domain

    @property
    def sign(self) -> Any:
        return self.scale.sign() if isinstance(self.scale, w.Tensor) else (self.scale > 0) - (self.scale < 0)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        scale = self.scale
        slope = scale.abs().log() if isinstance(scale, w.Tensor) else w.full_like(x, math.log(abs(scale)))
        if not self._event_dim:
            return slope.expand(w.broadcast_shapes(x.shape, slope.shape))
        return sum_rightmost(slope.expand(x.shape), self._event_dim)

    def forward_shape(self, shape: Any) -> Any:
        return w.broadcast_shapes(shape, getattr(self.loc, "shape", ()), getattr(self.scale, "shape", ()))

    inverse_shape = forward_shape


class CumulativeDistributionTransform(Transform):
    """y = P(X <= x), the cdf of a distribution."""

    bijective, codomain, sign = True, c.unit_interval, 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)


# ---- of vectors and matrices
class SoftmaxTransform(Transform):
    """y = softmax(x), which is not bijective: x and x + 1 have one y."""

    domain, codomain = c.real_vector, c.simplex

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _inverse(self, y: Any) -> Any:
        return y.log()


class StickBreakingTransform(Transform):
    """From n - 1 real numbers to the simplex of n: each says which part of the rest is broken off."""

    domain, codomain, bijective = c.real_vector, c.simplex, True

    @staticmethod
    def _offset(x: Any) -> Any:
        n = x.shape[-1]
        return w.arange(n, 0, -1, dtype=x.dtype, device=x.device).log()

    def _call(self, x: Any) -> Any:
        part = SigmoidTransform()(x - self._offset(x))
        rest = (1 - part).cumprod(-1)
        pad = w.nn.functional.pad
        return pad(part, [0, 1], value=1) * pad(rest, [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        head = y[..., :-1]
        rest = (1 - head.cumsum(-1)).clamp(min=w.finfo(y.dtype).tiny)
        return head.log() - rest.log() + self._offset(head)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - self._offset(x)
        return (-x + w.nn.functional.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return w.Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return w.Size((*shape[:-1], shape[-1] - 1))


class LowerCholeskyTransform(Transform):
    """From any matrix to a lower triangular one of positive diagonal: exp on the diagonal, zeros above."""

    domain, codomain = c.independent(c.real, 2), c.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + w.diag_embed(x.diagonal(dim1=-2, dim2=-1).exp())

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + w.diag_embed(y.diagonal(dim1=-2, dim2=-1).log())


class CorrCholeskyTransform(Transform):
    """From n (n - 1) / 2 real numbers to the Cholesky factor of an n x n correlation matrix: the tanh of each is the part that
    its element takes of what the row has left of length 1.

    Source: Stan Reference Manual, section Cholesky factors of correlation matrices.
    """

    domain, codomain, bijective = c.real_vector, c.corr_cholesky, True

    @staticmethod
    def _left(y: Any) -> Any:
        """Return 1 less the squares of the elements before each one in its row."""
        square = y.tril(-1) ** 2
        return 1 - (square.cumsum(-1) - square)

    def _call(self, x: Any) -> Any:
        limits = w.finfo(x.dtype)
        z = vec_to_tril_matrix(x.tanh().clamp(-1 + limits.eps, 1 - limits.eps), -1)
        left = (1 - z**2).cumprod(-1).sqrt()
        left = w.cat([w.ones_like(left[..., :1]), left[..., :-1]], -1)
        return (z + w.eye(z.shape[-1], dtype=z.dtype, device=z.device)) * left

    def _inverse(self, y: Any) -> Any:
        return tril_matrix_to_vec((y / self._left(y).clamp(min=w.finfo(y.dtype).tiny).sqrt()), -1).atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        slopes = 2 * (math.log(2) - x - w.nn.functional.softplus(-2 * x))  # of tanh
        left = tril_matrix_to_vec(self._left(y), -1).clamp(min=w.finfo(y.dtype).tiny)
        return slopes.sum(-1) + left.log().sum(-1) / 2

    def forward_shape(self, shape: Any) -> Any:
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != shape[-1]:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return w.Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Any) -> Any:
        if shape[-1] != shape[-2]:
            raise ValueError("Input is not square")
        return w.Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


class PositiveDefiniteTransform(Transform):
    """From any matrix to L L^T of its LowerCholeskyTransform."""

    domain, codomain = c.independent(c.real, 2), c.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform()._inverse(w.linalg.cholesky(y))


class ReshapeTransform(Transform):
    """The same numbers, with the event in another shape."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = w.Size(in_shape), w.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError(f"in_shape, out_shape have different numbers of elements: {self.in_shape}, {self.out_shape}")

    @property
    def domain(self) -> Any:
        return c.independent(c.real, len(self.in_shape))

    @property
    def codomain(self) -> Any:
        return c.independent(c.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape((*x.shape[: x.dim() - len(self.in_shape)], *self.out_shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape((*y.shape[: y.dim() - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return w.zeros(x.shape[: x.dim() - len(self.in_shape)], dtype=x.dtype, device=x.device)

    def forward_shape(self, shape: Any) -> Any:
        return w.Size((*shape[: len(shape) - len(self.in_shape)], *self.out_shape))

    def inverse_shape(self, shape: Any) -> Any:
        return w.Size((*shape[: len(shape) - len(self.out_shape)], *self.in_shape))


# ---- of other transforms
class IndependentTransform(Transform):
    """Another transform, whose last dimensions are counted as one event."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims

    @property
    def domain(self) -> Any:
        return c.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @property
    def codomain(self) -> Any:
        return c.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> Any:
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ComposeTransform(Transform):
    """One transform after the other, the first first."""

    def __init__(self, parts: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if self._cache_size == cache_size else ComposeTransform(self.parts, cache_size)

    def _dims(self) -> tuple[int, int]:
        """Return how many dimensions an event has before the first part and after the last."""
        need = 0
        for part in reversed(self.parts):
            need = max(part.domain.event_dim, need + part.domain.event_dim - part.codomain.event_dim)
        after = need
        for part in self.parts:
            after += part.codomain.event_dim - part.domain.event_dim
        return need, after

    @property
    def domain(self) -> Any:
        if not self.parts:
            return c.real
        first, dims = self.parts[0].domain, self._dims()[0]
        return c.independent(first, dims - first.event_dim) if dims > first.event_dim else first

    @property
    def codomain(self) -> Any:
        if not self.parts:
            return c.real
        last, dims = self.parts[-1].codomain, self._dims()[1]
        return c.independent(last, dims - last.event_dim) if dims > last.event_dim else last

    @property
    def bijective(self) -> Any:
        return all(part.bijective for part in self.parts)

    @property
    def sign(self) -> Any:
        sign: Any = 1
        for part in self.parts:
            sign = sign * part.sign
        return sign

    @property
    def inv(self) -> Any:
        return ComposeTransform([part.inv for part in reversed(self.parts)])

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    _inv_call = _inverse

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if not self.parts:
            return w.zeros_like(x)
        values = [x]
        for part in self.parts[:-1]:
            values.append(part(values[-1]))
        values.append(y)
        total: Any = 0.0
        dims = self._dims()[0]
        for part, before, after in zip(self.parts, values, values[1:], strict=False):
            total = total + sum_rightmost(part.log_abs_det_jacobian(before, after), dims - part.domain.event_dim)
            dims += part.codomain.event_dim - part.domain.event_dim
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        return "ComposeTransform(\n    " + ",\n    ".join(repr(part) for part in self.parts) + "\n)"


class _Joined(Transform):
    """Transforms of the parts of a value along a dimension."""

    def __init__(self, tseq: Any, dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)

    bijective = True
    joined: Any
    kind: Any

    def _parts(self, x: Any) -> Any:
        raise NotImplementedError

    def _each(self, f: Callable[..., Any], *values: Any) -> Any:
        parts = zip(self.transforms, *(self._parts(v) for v in values), strict=True)
        return self.joined([f(t, *part) for t, *part in parts], self.dim)

    def _call(self, x: Any) -> Any:
        return self._each(lambda t, x: t(x), x)

    def _inverse(self, y: Any) -> Any:
        return self._each(lambda t, y: t.inv(y), y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self._each(lambda t, x, y: t.log_abs_det_jacobian(x, y), x, y)

    @property
    def domain(self) -> Any:
        return self.kind([t.domain for t in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Any:
        return self.kind([t.codomain for t in self.transforms], self.dim, self.lengths)


class CatTransform(_Joined):
    """A transform for each part of the given lengths along a dimension."""

    joined, kind = staticmethod(w.cat), c.cat

    def _parts(self, x: Any) -> Any:
        return x.split(self.lengths, self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log |det dy/dx| of the events, which are those of the part with most dimensions: where they contain `dim`,
        the sum over the parts."""
        event = self.domain.event_dim
        parts = [
            sum_rightmost(t.log_abs_det_jacobian(a, b), event - t.domain.event_dim)
            for t, a, b in zip(self.transforms, self._parts(x), self._parts(y), strict=True)
        ]
        dim = self.dim - x.dim() if self.dim >= 0 else self.dim
        return w.cat(parts, dim + event) if dim + event < 0 else sum(parts[1:], parts[0])


class StackTransform(_Joined):
    """A transform for each slice along a dimension."""

    joined, kind = staticmethod(w.stack), c.stack

    def __init__(self, tseq: Any, dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, None, cache_size)

    def _parts(self, x: Any) -> Any:
        return x.unbind(self.dim)


identity_transform = ComposeTransform([])


# ---- from all real numbers to a constraint
class ConstraintRegistry:
    """A table from constraints to transforms: `registry(constraint)`, filled by `@registry.register(constraint)`."""

    def __init__(self) -> None:
        self._makers: dict[Any, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Enter factory(constraint) for a constraint, or for a class of them."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, c._Ruled):
            constraint = type(constraint)
        self._makers[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """Return a transform to a constraint. Raises NotImplementedError where none is known."""
        for key in (constraint, *type(constraint).__mro__):
            if key in self._makers:
                return self._makers[key](constraint)
        raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints: register a factory for them")


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _between(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if constraint is c.unit_interval:
        return SigmoidTransform()
    return ComposeTransform([SigmoidTransform(), AffineTransform(low, high - low)])


def _above(constraint: Any) -> Any:
    return ComposeTransform([ExpTransform(), AffineTransform(constraint.lower_bound, 1)])


for _registry in (biject_to, transform_to):
    _registry.register(c.real, lambda constraint: identity_transform)
    _registry.register(c.positive, lambda constraint: ExpTransform())
    _registry.register(c.nonnegative, lambda constraint: ExpTransform())
    _registry.register(c.greater_than, _above)
    _registry.register(c.greater_than_eq, _above)
    _registry.register(
        c.less_than, lambda constraint: ComposeTransform([ExpTransform(), AffineTransform(constraint.upper_bound, -1)])
    )
    _registry.register(c.interval, _between)
    _registry.register(c.half_open_interval, _between)
    _registry.register(c.positive_definite, lambda constraint: PositiveDefiniteTransform())
    _registry.register(c.corr_cholesky, lambda constraint: CorrCholeskyTransform())
    _registry.register(c.lower_cholesky, lambda constraint: LowerCholeskyTransform())
    _registry.register(
        c.independent,
        lambda constraint, by=_registry: IndependentTransform(
            by(constraint.base_constraint), constraint.reinterpreted_batch_ndims
        ),
    )
biject_to.register(c.simplex, lambda constraint: StickBreakingTransform())
transform_to.register(c.simplex, lambda constraint: SoftmaxTransform())
