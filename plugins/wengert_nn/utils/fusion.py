"""A convolution or linear layer and the batch norm after it as one layer, for evaluation.

Owns: the formulas: weight' = weight scale, bias' = (bias - mean) scale + shift, scale = gamma / sqrt(var + eps).
May import: `wengert`'s public names, Parameter. Must not know: devices.
"""

from __future__ import annotations

import copy
from typing import Any

import wengert
from wengert_nn.modules.parameter import Parameter


def _fused(weight: Any, bias: Any, dim: int, mean: Any, variance: Any, eps: float, gamma: Any, beta: Any) -> tuple[Any, Any]:
    with wengert.no_grad():
        bias = wengert.zeros_like(mean) if bias is None else bias
        scale = (variance + eps).rsqrt() * (1 if gamma is None else gamma)
        shape = [1] * weight.dim()
        shape[dim] = -1
        fused = (bias - mean) * scale + (0 if beta is None else beta)
        return (weight * scale.reshape(shape)).to(weight.dtype), fused.to(bias.dtype)


def _as_parameters(fused: tuple[Any, Any], weight: Any, bias: Any) -> tuple[Parameter, Parameter]:
    wanted = weight.requires_grad, weight.requires_grad if bias is None else bias.requires_grad
    return Parameter(fused[0], wanted[0]), Parameter(fused[1], wanted[1])


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any, transpose: bool = False
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of a convolution that does what one and a batch norm after it do in evaluation."""
    return _as_parameters(_fused(conv_w, conv_b, int(transpose), bn_rm, bn_rv, bn_eps, bn_w, bn_b), conv_w, conv_b)


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of a linear layer that does what one and a batch norm after it do in evaluation."""
    return _as_parameters(_fused(linear_w, linear_b, 0, bn_rm, bn_rv, bn_eps, bn_w, bn_b), linear_w, linear_b)


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """Return a copy of a convolution that does what it and a batch norm after it do. Raises AssertionError in training."""
    if conv.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """Return a copy of a linear layer that does what it and a batch norm after it do. Raises AssertionError in training."""
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
