"""The frame of every distribution: shapes, the checks of arguments and samples, and distributions made of others.

Owns: `Distribution`, `ExponentialFamily`, and what families are written with (`numbers`, `probs_to_logits`, ...).
May import: `wengert`, constraints. Must not know: any family.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import wengert as w
from wengert import Size, Tensor
from wengert.extend import has_values
from wengert_distributions import constraints

F = TypeVar("F", bound=Callable[..., Any])

EULER = 0.57721566490153286060
LOG_2PI = math.log(2 * math.pi)


def holds(condition: Any) -> bool:
    """Say whether a condition is true everywhere; one without values (in a capture, on the device "meta") counts as true."""
    return not has_values(condition._array) or bool(condition.all())


def numbers(*values: Any) -> list[Any]:
    """Return numbers and tensors as tensors of one shape; numbers take the dtype and device of the tensors.

    Raises TypeError for anything else.
    """
    for v in values:
        if not isinstance(v, Tensor | int | float):
            raise TypeError(f"the arguments of a distribution are numbers or tensors, not {type(v).__name__}")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    options: Any = {"dtype": w.get_default_dtype()} if first is None else {"dtype": first.dtype, "device": first.device}
    if options["dtype"] is w.bool or not options["dtype"].is_floating_point:
        options["dtype"] = w.get_default_dtype()
    return list(w.broadcast_tensors(*(v if isinstance(v, Tensor) else w.tensor(v, **options) for v in values)))


def tiny(x: Any) -> float:
    """Return the smallest step from 1 in the dtype of x: probabilities are kept that far from 0 and 1."""
    return float(w.finfo(x.dtype).eps)


def clamp_probs(probs: Any) -> Any:
    """Return probabilities that are at least a rounding error away from 0 and 1."""
    return probs.clamp(tiny(probs), 1 - tiny(probs))


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Return log p, or for two outcomes log(p / (1 - p))."""
    p = clamp_probs(probs)
    return p.log() - (-p).log1p() if is_binary else p.log()


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Return softmax(logits), or for two outcomes sigmoid(logits)."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def sum_rightmost(x: Any, dims: int) -> Any:
    """Return the sum over the last `dims` dimensions."""
    return x if dims == 0 else x.reshape(*x.shape[: x.dim() - dims], -1).sum(-1)


def standard_normal(shape: Any, dtype: Any, device: Any) -> Any:
    """Draw from the standard normal distribution."""
    return w.randn(shape, dtype=dtype, device=device)


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Return the lower triangular matrices whose elements up to a diagonal are, row by row, those of the vectors."""
    count = vec.shape[-1]  # of a triangle of n + diag rows, but for its first diag rows and what is right of the n columns
    n = round((0.25 + 2 * (count + max(diag, 0) * (diag + 1))) ** 0.5 - 0.5) - diag
    if (n + diag) * (n + diag + 1) // 2 - max(diag, 0) * (diag + 1) != count:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower triangular part of a "
            "square D x D matrix."
        )
    rows, columns = w.tril_indices(n, n, diag, device=vec.device)
    made = w.zeros((*vec.shape[:-1], n * n), dtype=vec.dtype, device=vec.device)
    return made.index_copy(-1, rows * n + columns, vec).reshape((*vec.shape[:-1], n, n))


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """Return the elements of matrices up to a diagonal as vectors, row by row."""
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = w.tril_indices(n, n, diag, device=mat.device)
    return mat[..., rows, columns]


def unrecorded(draw: F) -> F:
    """Let a function run under no_grad."""
    return w.no_grad()(draw)  # type: ignore[no-any-return]


class lazy_property(cached_property[Any]):
    """A value that is computed when it is first asked for, and recorded even if that happens under no_grad."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        with w.enable_grad():
            return super().__get__(instance, owner)


class Distribution:
    """What is common to distributions over tensors.

    A value has the shape sample_shape + batch_shape + event_shape: independent draws, parameters, and what is one outcome.
    A family gives `arg_constraints`, `support`, `log_prob`, and `rsample` (a differentiable function of the parameters) or
    `sample`. Raises ValueError for arguments and values outside of what the constraints allow, unless validate_args=False.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: Any = {}  # what each parameter may be, by its name
    prints_parameters = True  # PyTorch prints families that it builds from others without theirs
    _validate_args: bool = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Say whether distributions check arguments and values from now on."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expected True or False, got {value!r}")
        Distribution._validate_args = value

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the parameters, which are kept under the names in arg_constraints

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if not constraints.is_dependent(constraint) and name in self.__dict__:
                    self._check_argument(name, constraint)
        super().__init__()  # programs derive from a distribution and a module

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """Return what `expand` shall fill: an object of this class, not initialised, or the given one.

        Raises NotImplementedError for a subclass with an `__init__` of its own, which must define expand.
        """
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method "
                                      "must also define a custom .expand() method.")  # fmt: skip
        return type(self).__new__(type(self)) if _instance is None else _instance

    def _as_instance(self, cls: type, made: Any, _instance: Any) -> Any:
        """Return what `expand` of a class that is built from others returns: `made`, as an object of this class."""
        new = self._get_checked_instance(cls, _instance)
        new.__dict__.update(made.__dict__, _validate_args=self._validate_args)
        return new

    def _check_argument(self, name: str, constraint: Any) -> None:
        value = self.__dict__[name]
        if not holds(constraint.check(value)):
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} "
                f"to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
            )

    def _take(self, validate_args: bool | None, event_dim: int = 0, **parameters: Any) -> None:
        """Keep the parameters that are given, broadcast together; their last event_dim dimensions are the event."""
        given = {name: value for name, value in parameters.items() if value is not None}
        for name, value in zip(given, numbers(*given.values()), strict=True):
            setattr(self, name, value)
        if event_dim and value.dim() < event_dim:
            raise ValueError(f"`{name}` parameter must be at least {event_dim}-dimensional: the last is that of the outcomes")
        cut = len(value.shape) - event_dim
        Distribution.__init__(self, value.shape[:cut], value.shape[cut:], validate_args)

    def _take_one(self, validate_args: bool | None, event_dim: int = 0, **either: Any) -> None:
        """Keep the one of two parameters that is given. Raises ValueError for none and for both."""
        if sum(value is not None for value in either.values()) != 1:
            raise ValueError(f"Either `{'` or `'.join(either)}` must be specified, but not both.")
        self._take(validate_args, event_dim, **either)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return the same distribution with its parameters expanded to another batch_shape."""
        batch_shape = Size(batch_shape)
        new = type(self).__new__(type(self)) if _instance is None else _instance
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                own = value.shape[value.dim() - constraint.event_dim :] if constraint.event_dim else ()
                setattr(new, name, value.expand((*batch_shape, *own)))
        self._expand_rest(new, batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_rest(self, new: Any, batch_shape: Any) -> None:
        """Give the expanded distribution what besides its parameters it needs."""

    @property
    def batch_shape(self) -> Any:
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one outcome."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """The constraint that every value satisfies."""
        raise NotImplementedError(f"{type(self).__name__} does not say its support")

    @property
    def mean(self) -> Any:
        """The expectation."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form of its mean")

    @property
    def mode(self) -> Any:
        """The most likely value."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form of its mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form of its variance")

    @property
    def stddev(self) -> Any:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Return draws through which no gradient flows."""
        with w.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Return draws that are differentiable functions of the parameters: where icdf is known, icdf(u) of uniform u."""
        if not self.has_rsample:
            raise NotImplementedError(f"{type(self).__name__} has no differentiable draws: use sample() and log_prob()")
        first = next(value for name in self.arg_constraints if isinstance(value := self.__dict__.get(name), Tensor))
        u = w.rand(self._extended_shape(sample_shape), dtype=first.dtype, device=first.device)
        return self.icdf(u.clamp(w.finfo(first.dtype).tiny, 1 - tiny(first) / 2))

    def sample_n(self, n: int) -> Any:
        """Return n draws."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """Return the logarithm of the density or of the chance, one number an event."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def cdf(self, value: Any) -> Any:
        """Return the chance of at most this value."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form of its cdf")

    def icdf(self, value: Any) -> Any:
        """Return the value that is not exceeded with this chance."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form of its icdf")

    def enumerate_support(self, expand: bool = True) -> Any:
        """Return all values that are possible, along a new first dimension."""
        raise NotImplementedError(f"{type(self).__name__} has no finite support to enumerate")

    def _enumerated(self, values: Any, expand: bool) -> Any:
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values

    def entropy(self) -> Any:
        """Return the entropy, in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form of its entropy")

    def perplexity(self) -> Any:
        """Return exp(entropy)."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        """Return the shape of draws."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value: Any) -> None:
        """Raise ValueError for what is no value of this distribution, as far as validate_args asks for it."""
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event = len(self._event_shape)
        if value.shape[value.dim() - event :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape} of {type(self).__name__}"
            )
        whole = (*self._batch_shape, *self._event_shape)
        for a, b in zip(reversed(value.shape), reversed(whole), strict=False):
            if 1 not in (a, b) and a != b:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {Size(whole)}.")
        try:
            support = self.support
        except NotImplementedError:
            return
        if not holds(support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints if self.prints_parameters else ():
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{type(self).__name__}({', '.join(shown)})"


class ExponentialFamily(Distribution):
    """A distribution of density h(x) exp(eta(theta) . t(x) - A(eta)); the class is what programs ask for."""
