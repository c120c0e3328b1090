"""What values a parameter may have, or a sample: `wengert.distributions.constraints`.

Owns: `Constraint`, its table, and `dependent` for what depends on other parameters. May import: `wengert`.
Must not know: distributions, transforms. A constraint of event_dim n says one yes or no for the last n dimensions together.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import wengert as w


class Constraint:
    """A set of values: `check(value)` says, for every event, whether it is in the set."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Any) -> Any:
        """Return booleans of the shape of value without its last event_dim dimensions."""
        raise NotImplementedError(f"{type(self).__name__} has no check(value)")

    def __repr__(self) -> str:
        return type(self).__name__.removeprefix("_") + "()"


class _Ruled(Constraint):
    """A constraint that is a formula; see the table below. Each is of a type of its own, as programs derive from these."""

    title: str
    rule: Callable[[Any], Any]

    def check(self, value: Any) -> Any:
        return self.rule(value)

    def __repr__(self) -> str:
        return self.title


def _ruled(title: str, rule: Callable[[Any], Any], event_dim: int = 0, is_discrete: bool = False) -> _Ruled:
    """Return the constraint of a formula, and enter its type in this module: `_Real` for "Real()"."""
    members = {"title": title, "rule": staticmethod(rule), "event_dim": event_dim, "is_discrete": is_discrete}
    kind = type("_" + re.sub(r"\W+", "_", title).rstrip("_"), (_Ruled,), {**members, "__module__": __name__})
    globals()[kind.__name__] = kind
    return kind()  # type: ignore[no-any-return]


class _Dependent(Constraint):
    """Depends on other parameters: it can be checked on an object alone, where it is a property."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, **options: Any) -> _Dependent:
        return _Dependent(**{"is_discrete": self.is_discrete, "event_dim": self.event_dim, **options})

    def check(self, value: Any) -> Any:
        raise ValueError("a constraint that depends on other parameters can be checked on a distribution alone: d.support")


def is_dependent(constraint: Any) -> bool:
    """Say whether a constraint is known on an object alone."""
    return isinstance(constraint, _Dependent | dependent_property)


class dependent_property(property, _Dependent):
    """A property of a class that is a constraint on its objects, and `dependent` on the class."""

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        property.__init__(self, fn)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fn: Any) -> dependent_property:  # type: ignore[override]
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


class independent(Constraint):
    """Another constraint on whole events: all of the last `reinterpreted_batch_ndims` dimensions must satisfy it."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        fine = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        return fine.reshape(*fine.shape[: fine.dim() - n], -1).all(-1) if n else fine

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class _Bounded(Constraint):
    """Values between bounds, which may be tensors. The subclasses differ in which ends belong to them."""

    title = ""
    names: tuple[str, ...] = ("lower_bound", "upper_bound")  # of the bounds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.bounds = (*args, *(kwargs[name] for name in self.names[len(args) :]))

    def __repr__(self) -> str:
        return f"{self.title}({', '.join(f'{n}={b}' for n, b in zip(self.names, self.bounds, strict=True))})"

    @property
    def lower_bound(self) -> Any:
        return self.bounds[0]

    @property
    def upper_bound(self) -> Any:
        return self.bounds[-1]


class greater_than(_Bounded):
    """x > lower"""

    title, names = "GreaterThan", ("lower_bound",)

    def check(self, value: Any) -> Any:
        return value > self.lower_bound


class greater_than_eq(_Bounded):
    """x >= lower"""

    title, names = "GreaterThanEq", ("lower_bound",)

    def check(self, value: Any) -> Any:
        return value >= self.lower_bound


class less_than(_Bounded):
    """x < upper"""

    title, names = "LessThan", ("upper_bound",)

    def check(self, value: Any) -> Any:
        return value < self.upper_bound


class interval(_Bounded):
    """lower <= x <= upper"""

    title = "Interval"

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class half_open_interval(_Bounded):
    """lower <= x < upper"""

    title = "HalfOpenInterval"

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value < self.upper_bound)


class integer_interval(_Bounded):
    """Whole numbers of lower <= x <= upper"""

    title = "IntegerInterval"
    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound) & (value <= self.upper_bound)


class multinomial(_Bounded):
    """Counts that add up to the bound."""

    title, is_discrete, event_dim, names = "Multinomial", True, 1, ("upper_bound",)

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)

    def __repr__(self) -> str:
        return "Multinomial()"


def _one_hot(x: Any) -> Any:
    return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


def _near(a: Any, b: Any) -> Any:
    return w.isclose(a, b, atol=1e-6).flatten(-2).all(-1)


def _positive_diagonal(x: Any) -> Any:
    return (x.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _rows_of_length_one(x: Any) -> Any:
    near = 10 * x.shape[-1] * w.finfo(x.dtype).eps
    return ((x.norm(dim=-1) - 1).abs() < near).all(-1)


def _definite(x: Any) -> Any:
    return _near(x, x.mT) & (w.linalg.cholesky_ex(x).info == 0)


dependent = _Dependent()
boolean = _ruled("Boolean()", lambda x: (x == 0) | (x == 1), is_discrete=True)
one_hot = _ruled("OneHot()", _one_hot, 1, True)
real = _ruled("Real()", lambda x: x == x)  # NaN is no number
real_vector = independent(real, 1)
simplex = _ruled("Simplex()", lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6), 1)
lower_triangular = _ruled("LowerTriangular()", lambda x: (x.tril() == x).flatten(-2).all(-1), 2)
lower_cholesky = _ruled("LowerCholesky()", lambda x: lower_triangular.check(x) & _positive_diagonal(x), 2)
corr_cholesky = _ruled("CorrCholesky()", lambda x: lower_cholesky.check(x) & _rows_of_length_one(x), 2)
square = _ruled("Square()", lambda x: w.full(x.shape[:-2], x.shape[-1] == x.shape[-2]), 2)
symmetric = _ruled("Symmetric()", lambda x: _near(x, x.mT), 2)
positive_definite = _ruled("PositiveDefinite()", _definite, 2)
positive_semidefinite = _ruled(
    "PositiveSemidefinite()", lambda x: _near(x, x.mT) & (w.linalg.eigvalsh(x) >= 0).all(-1), 2
)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer = _ruled("IntegerGreaterThan(lower_bound=0)", lambda x: (x % 1 == 0) & (x >= 0), is_discrete=True)
positive_integer = _ruled("IntegerGreaterThan(lower_bound=1)", lambda x: (x % 1 == 0) & (x >= 1), is_discrete=True)


class _Joined(Constraint):
    """Constraints on the parts of a value along a dimension."""

    def __init__(self, cseq: Any, dim: int = 0, lengths: Any = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def __repr__(self) -> str:
        return f"{type(self).__name__.capitalize()}()"


class cat(_Joined):
    """Constraints on parts of the given lengths, that are joined along a dimension."""

    def check(self, value: Any) -> Any:
        parts = value.split(self.lengths, self.dim)
        return w.cat([c.check(part) for c, part in zip(self.cseq, parts, strict=True)], self.dim)


class stack(_Joined):
    """Constraints on the slices of a value along a dimension."""

    def check(self, value: Any) -> Any:
        parts = value.unbind(self.dim)
        return w.stack([c.check(part) for c, part in zip(self.cseq, parts, strict=True)], self.dim)


# What a rule above decides never depends on gradients.
for _constraint in (_Ruled, _Bounded, independent, cat, stack):
    for _kind in (_constraint, *_constraint.__subclasses__()):
        if "check" in vars(_kind):
            setattr(_kind, "check", functools.wraps(vars(_kind)["check"])(w.no_grad()(vars(_kind)["check"])))
