"""`nn.init`: the values that parameters start with. Every function fills its tensor in place, unrecorded, and returns it.

Owns: the fills and the gains of nonlinearities. May import: `wengert`'s public names. Must not know: modules, devices.
Sources: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010 (xavier);
K. He et al., Delving deep into rectifiers, 2015 (kaiming); A. Saxe et al., Exact solutions to the nonlinear dynamics of
learning in deep linear neural networks, 2013 (orthogonal); J. Martens, Deep learning via Hessian-free optimization, 2010
(sparse).
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import wengert

F = TypeVar("F", bound=Callable[..., Any])


def unrecorded(fill: F) -> F:
    """Let a function write to leaves that require grad."""

    @functools.wraps(fill)
    def run(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        with wengert.no_grad():
            return fill(tensor, *args, **kwargs)

    return run  # type: ignore[return-value]


# ---- sizes and gains
LINEAR = ("linear", *(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3)))
GAINS = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, **dict.fromkeys(LINEAR, 1.0)}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the variance through a nonlinearity; param: the slope of "leaky_relu" (0.01)."""
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, int | float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; known: {', '.join([*GAINS, 'leaky_relu'])}")
    return GAINS[nonlinearity]


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    """Return how many inputs an output has, and how many outputs an input. Raises ValueError for fewer than 2 dims."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _calculate_correct_fan(tensor: Any, mode: str) -> int:
    fans = dict(zip(("fan_in", "fan_out"), _calculate_fan_in_and_fan_out(tensor), strict=True))
    if mode.lower() not in fans:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(fans)}")
    return fans[mode.lower()]


# ---- plain distributions
@unrecorded
def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Fill with numbers drawn from U(a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@unrecorded
def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Fill with numbers drawn from N(mean, std^2)."""
    return tensor.normal_(mean, std, generator=generator)


@unrecorded
def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Any:
    """Fill with numbers drawn from N(mean, std^2) given that they lie in [a, b]: sqrt(2) std erfinv(u) + mean of uniform u."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.",
            stacklevel=3,
        )
    low, high = (math.erf((x - mean) / std / math.sqrt(2)) for x in (a, b))
    u = wengert.empty_like(tensor, dtype=wengert.float64).uniform_(low, high, generator=generator)
    return tensor.copy_((wengert.erfinv(u) * (std * math.sqrt(2)) + mean).clamp(a, b))


@unrecorded
def constant_(tensor: Any, val: float) -> Any:
    """Fill with one value."""
    return tensor.fill_(val)


@unrecorded
def ones_(tensor: Any) -> Any:
    """Fill with ones."""
    return tensor.fill_(1.0)


@unrecorded
def zeros_(tensor: Any) -> Any:
    """Fill with zeros."""
    return tensor.zero_()


# ---- matrices
@unrecorded
def eye_(tensor: Any) -> Any:
    """Fill a matrix with the identity. Raises ValueError for other than 2 dims."""
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return tensor.copy_(wengert.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


@unrecorded
def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill the weight of a convolution so that it passes on as many channels as it can, in each group."""
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    outputs = tensor.shape[0] // groups
    tensor.zero_()
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(outputs, tensor.shape[1])):
            tensor[(group * outputs + channel, channel, *middle)] = 1
    return tensor


@unrecorded
def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """Fill with a matrix of orthonormal rows (or columns, if they are fewer), drawn uniformly, times gain."""
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if not tensor.numel():
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    drawn = wengert.empty(rows, columns, dtype=tensor.dtype, device=tensor.device).normal_(0, 1, generator=generator)
    q, r = wengert.linalg.qr(drawn.mT if rows < columns else drawn)
    q = q * r.diagonal().sign()
    return tensor.copy_((q.mT if rows < columns else q).reshape(tensor.shape) * gain)


@unrecorded
def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Fill a matrix with N(0, std^2), but a fraction `sparsity` of each column with zeros."""
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows = tensor.shape[0]
    tensor.normal_(0, std, generator=generator)
    rank = wengert.empty_like(tensor).uniform_(generator=generator).argsort(0).argsort(0)
    return tensor.masked_fill_(rank < math.ceil(sparsity * rows), 0)


# ---- by fan
def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill with U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))."""
    return uniform_(tensor, *_around(gain * math.sqrt(6 / sum(_calculate_fan_in_and_fan_out(tensor)))), generator=generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill with N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_calculate_fan_in_and_fan_out(tensor))), generator=generator)


def kaiming_uniform_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Fill with U(-bound, bound), bound = gain sqrt(3 / fan); a: the slope of leaky_relu."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return uniform_(tensor, *_around(math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)), generator=generator)


def kaiming_normal_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Fill with N(0, std^2), std = gain / sqrt(fan); a: the slope of leaky_relu."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator=generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


def _around(bound: float) -> tuple[float, float]:
    return -bound, bound
