"""Activations as layers.

Owns: their arguments, and PReLU's weight. May import: Module, `nn.functional`. Must not know: devices.
"""

from __future__ import annotations

import warnings
from typing import Any

import wengert
from wengert.nn import functional as F
from wengert_nn.init import constant_
from wengert_nn.modules.linear import new_parameter
from wengert_nn.modules.module import Module, Settings


class _InPlace(Settings):
    """An activation of no argument but `inplace`."""

    __constants__ = ["inplace"]

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


# ---- of no argument
class ReLU(_InPlace):
    """max(0, x)"""

    def forward(self, input: Any) -> Any:
        return F.relu(input, self.inplace)


class SELU(_InPlace):
    """scale (max(0, x) + min(0, alpha (exp(x) - 1)))"""

    def forward(self, input: Any) -> Any:
        return F.selu(input, self.inplace)


class SiLU(_InPlace):
    """x sigmoid(x)"""

    def forward(self, input: Any) -> Any:
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """x tanh(softplus(x))"""

    def forward(self, input: Any) -> Any:
        return F.mish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """min(max(0, x + 3), 6) / 6"""

    extra_repr = Module.extra_repr  # PyTorch does not show `inplace` of this one

    def forward(self, input: Any) -> Any:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_InPlace):
    """x min(max(0, x + 3), 6) / 6"""

    extra_repr = Module.extra_repr

    def forward(self, input: Any) -> Any:
        return F.hardswish(input, self.inplace)


class Sigmoid(Module):
    """1 / (1 + exp(-x))"""

    def forward(self, input: Any) -> Any:
        return wengert.sigmoid(input)


class Tanh(Module):
    """tanh(x)"""

    def forward(self, input: Any) -> Any:
        return wengert.tanh(input)


class LogSigmoid(Module):
    """-log(1 + exp(-x))"""

    def forward(self, input: Any) -> Any:
        return F.logsigmoid(input)


class Softsign(Module):
    """x / (1 + |x|)"""

    def forward(self, input: Any) -> Any:
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x)"""

    def forward(self, input: Any) -> Any:
        return F.tanhshrink(input)


# ---- of numbers
class Hardtanh(Settings):
    """min(max(min_val, x), max_val)"""

    __constants__ = ["min_val", "max_val", "inplace"]
    shown = "min_val max_val"

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:  # fmt: skip
        for name, old in (("min", min_value), ("max", max_value)):
            if old is not None:
                warnings.warn(f"keyword argument `{name}_value` is deprecated, use `{name}_val`", FutureWarning, stacklevel=2)
        min_val = min_val if min_value is None else min_value
        max_val = max_val if max_value is None else max_value
        if max_val <= min_val:
            raise AssertionError(f"max_val must be larger than min_val, got {min_val} and {max_val}")
        super().__init__(min_val=min_val, max_val=max_val, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """min(max(0, x), 6)"""

    shown = ""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)


class Threshold(Settings):
    """x where x > threshold, else value"""

    __constants__ = ["threshold", "value", "inplace"]
    shown = "threshold value"

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(threshold=threshold, value=value, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.threshold(input, self.threshold, self.value, self.inplace)


class LeakyReLU(Settings):
    """max(0, x) + negative_slope min(0, x)"""

    __constants__ = ["inplace", "negative_slope"]
    shown = "negative_slope"

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(negative_slope=negative_slope, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class RReLU(Settings):
    """max(0, x) + slope min(0, x), slope drawn from [lower, upper) in training, their mean in evaluation"""

    __constants__ = ["lower", "upper", "inplace"]
    shown = "lower upper"

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__(lower=lower, upper=upper, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class ELU(Settings):
    """max(0, x) + min(0, alpha (exp(x) - 1))"""

    __constants__ = ["alpha", "inplace"]
    shown = "alpha"

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.elu(input, self.alpha, self.inplace)


class CELU(Settings):
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))"""

    __constants__ = ["alpha", "inplace"]
    shown = "alpha"

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)

    def forward(self, input: Any) -> Any:
        return F.celu(input, self.alpha, self.inplace)


class GELU(Settings):
    """x Phi(x), Phi the normal distribution's function; approximate="tanh": an approximation of that"""

    __constants__ = ["approximate"]
    shown = "approximate"

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)

    def forward(self, input: Any) -> Any:
        return F.gelu(input, approximate=self.approximate)


class Softplus(Settings):
    """log(1 + exp(beta x)) / beta, and x where beta x > threshold"""

    __constants__ = ["beta", "threshold"]
    shown = "beta threshold"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)

    def forward(self, input: Any) -> Any:
        return F.softplus(input, self.beta, self.threshold)


class _Shrink(Settings):
    __constants__ = ["lambd"]

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x where |x| > lambd, else 0"""

    def forward(self, input: Any) -> Any:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """x - lambd sign(x) where |x| > lambd, else 0"""

    def forward(self, input: Any) -> Any:
        return F.softshrink(input, self.lambd)


# ---- along a dim
class GLU(Settings):
    """a sigmoid(b), a and b the halves of x along dim"""

    __constants__ = ["dim"]
    shown = "dim"

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)

    def forward(self, input: Any) -> Any:
        return F.glu(input, self.dim)


class _AlongDim(Settings):
    __constants__ = ["dim"]
    shown = "dim"

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class Softmax(_AlongDim):
    """exp(x) / sum exp(x) along dim"""

    def forward(self, input: Any) -> Any:
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(_AlongDim):
    """exp(-x) / sum exp(-x) along dim"""

    def forward(self, input: Any) -> Any:
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """x - log sum exp(x) along dim"""

    def forward(self, input: Any) -> Any:
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """exp(x) / sum exp(x) over the channels of [batch, channels, height, width]. Raises ValueError for other dims."""

    def forward(self, input: Any) -> Any:
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3)


# ---- with a weight
class PReLU(Module):
    """max(0, x) + weight min(0, x), one weight or one a channel, which start from `init`"""

    __constants__ = ["num_parameters"]

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = new_parameter(num_parameters, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill the weight with what it starts from."""
        constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
