"""Layers that multiply by a weight: Linear, Bilinear, and Identity, which does not.

Owns: their parameters and how those start. May import: Module, lazy modules, init, `nn.functional`. Must not know: devices.
"""

from __future__ import annotations

import math
from typing import Any

import wengert
from wengert.nn import functional as F
from wengert_nn import init
from wengert_nn.modules.lazy import LazyModuleMixin
from wengert_nn.modules.module import Module
from wengert_nn.modules.parameter import Parameter, UninitializedParameter


def new_parameter(*shape: int, device: Any = None, dtype: Any = None) -> Any:
    """Return a parameter of a shape, whose values are not set yet."""
    return Parameter(wengert.empty(shape, device=device, dtype=dtype))


def spread(bound: float, *parameters: Any) -> None:
    """Fill parameters (those that are not None) with U(-bound, bound)."""
    for parameter in parameters:
        if parameter is not None:
            init.uniform_(parameter, -bound, bound)


def reciprocal_root(n: int) -> float:
    """Return 1 / sqrt(n), and 0 for 0."""
    return 1 / math.sqrt(n) if n > 0 else 0.0


class Identity(Module):
    """Return the input; arguments are accepted and ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = x weight^T + bias. Weight and bias start from U(-k, k), k = 1 / sqrt(in_features)."""

    __constants__ = ["in_features", "out_features"]

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = new_parameter(out_features, in_features, device=device, dtype=dtype)
        self.register_parameter("bias", new_parameter(out_features, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill the parameters with what they start from."""
        spread(reciprocal_root(self.in_features), self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that attention's output projection has in PyTorch."""


class Bilinear(Module):
    """y = x1^T weight x2 + bias. Weight and bias start from U(-k, k), k = 1 / sqrt(in1_features)."""

    __constants__ = ["in1_features", "in2_features", "out_features"]

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = new_parameter(out_features, in1_features, in2_features, device=device, dtype=dtype)
        self.register_parameter("bias", new_parameter(out_features, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill the parameters with what they start from."""
        spread(reciprocal_root(self.in1_features), self.weight, self.bias)

    def forward(self, input1: Any, input2: Any) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class LazyLinear(LazyModuleMixin, Linear):
    """Linear, whose in_features are the last size of the first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.out_features = out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Fill the parameters with what they start from, once there are any."""
        if self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Give the parameters the sizes that an input says."""
        self.in_features = input.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if self.bias is not None:
            self.bias.materialize((self.out_features,))
        self.reset_parameters()
