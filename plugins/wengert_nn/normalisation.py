"""Normalisation: `batch_norm`, `layer_norm`, `group_norm`, `instance_norm`, `rms_norm` and `local_response_norm`.

Owns: one record, y = (x - mean) * rstd * weight + bias, for all of them, its gradients in closed form, and the faces.
May import: wengert.extend, padding and pooling. Must not know: devices; kernels are registered by name.
Notation in the rules: M is the mean over `axes`, z the normalised x, P(v) = rstd * (v - M(v) - z * M(v * z)).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert.extend import category, dtypes, e, ints, kind_of, r, relabel, s, structural, sum_to
from wengert_nn.padding import constant_pad_
from wengert_nn.pooling import avg_pool2d

Axes = tuple[int, ...]


def infer_moments(x: Any, axes: Axes, centred: bool) -> Any:
    shape = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
    return ((shape, x.dtype),) * 2


def infer_normalise(x: Any, *rest: Any) -> Any:
    return x.shape, x.dtype


def infer_weight(y: Any, x: Any, mean: Any, rstd: Any, shape: Any, axes: Axes, eps: float, mode: str) -> Any:
    return shape, x.dtype


def infer_pull(y: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Axes, eps: float, mode: str) -> Any:
    return (x.shape, x.dtype), (weight.shape, x.dtype), (weight.shape, x.dtype)


def pull_of_ops(y: Any, x: Any, mean: Any, rstd: Any, weight: Any, *params: Any) -> Any:
    """Return what normalise_pull does, where a device has no kernel for it."""
    shape = tuple(weight.shape)
    by_weight = normalise_weight(y, x, mean, rstd, shape, *params)
    return normalise_back(y, x, mean, rstd, (weight,), *params), by_weight, sum_to(y, shape)


# ---- rules that need more than a line
def normalise_once(
    g: Any, needs: Any, x: Any, mean: Any, rstd: Any, affine: Any, axes: Axes, eps: float, mode: str, kinds: str
) -> Any:
    """Return the gradients of x, weight and bias where all are asked for and no transform looks into them, else None."""
    at_once = kinds == "wb" and mode != "fixed" and needs == (True, False, False, True, True) and isinstance(x, np.ndarray)
    return normalise_pull(g, x, mean, rstd, affine[0], axes, eps, mode) if at_once else None


def normalise_x(
    g: Any, once: Any, x: Any, mean: Any, rstd: Any, affine: Any, axes: Axes, eps: float, mode: str, kinds: str
) -> Any:
    if once is not None:
        return once[0]
    weights = affine[:1] if "w" in kinds else ()
    if mode == "fixed":
        return g * (rstd * weights[0] if weights else rstd)
    return normalise_back(g, x, mean, rstd, weights, axes, eps, mode)


def normalise_affine(
    g: Any, once: Any, index: int, x: Any, mean: Any, rstd: Any, affine_shape: Any, axes: Axes, eps: float, mode: str,
    kinds: str,
) -> Any:  # fmt: skip
    if once is not None:
        return once[1 + index]
    shape = tuple(affine_shape[index])
    return sum_to(g, shape) if kinds[index] == "b" else normalise_weight(g, x, mean, rstd, shape, axes, eps, mode)


def back_y(g: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Axes, eps: float, mode: str) -> Any:
    made = normalise_back(g, x, mean, rstd, (), axes, eps, mode)
    return made * weight[0] if weight else made


def back_weight(g: Any, y: Any, x: Any, mean: Any, rstd: Any, weight_shape: Any, axes: Axes, eps: float, mode: str) -> Any:
    return sum_to(y * normalise_back(g, x, mean, rstd, (), axes, eps, mode), tuple(weight_shape[0]))


def back_x(g: Any, y: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Axes, eps: float, mode: str) -> Any:
    """With S = <g, P(h)> = n * rstd * (M(g h) - M(g) M(h) - a b), a = M(g z), b = M(h z): the derivative of S by x."""
    h = y * weight[0] if weight else y
    off = x if mode == "rms" else x - r.mean_(x, axes, True)
    scale = e.rsqrt(r.mean_(off * off, axes, True) + eps)  # rstd, with its dependence on x
    z = off * scale
    a, b = r.mean_(g * z, axes, True), r.mean_(h * z, axes, True)
    both = r.mean_(g * h, axes, True)
    if mode != "rms":
        both = both - r.mean_(g, axes, True) * r.mean_(h, axes, True)
    by_g, by_h = (normalise_back(v, x, mean, rstd, (), axes, eps, mode) for v in (g, h))
    return -scale * (z * scale * (both - a * b) + by_g * b + by_h * a)


def weight_x(g: Any, y: Any, x: Any, mean: Any, rstd: Any, axes: Axes, eps: float, mode: str) -> Any:
    return y * g * rstd if mode == "fixed" else normalise_back(y, x, mean, rstd, (g,), axes, eps, mode)


# fmt: off
# mode: "batch" or "rms", mean and rstd being those of x; "fixed", they are given. kinds: what affine has, "", "w", "b" or "wb"
P = "axes eps mode"
moments          = structural("moments", "x", infer_moments, params="axes centred", outputs=2, constant=True,
    rows="c -> c c axes axes")
normalise        = structural("normalise", "x mean rstd *affine", infer_normalise, params=f"{P} kinds",
    once=normalise_once, x=normalise_x, affine=normalise_affine, rows="c b b b -> c axes axes")
normalise_back   = structural("normalise_back", "y x mean rstd *weight", infer_normalise, params=P,
    y=back_y, x=back_x, weight=back_weight, rows="c c b b b -> c axes axes")
normalise_weight = structural("normalise_weight", "y x mean rstd", infer_weight, params=f"shape {P}",
    y=lambda g, x, mean, rstd, axes, eps, mode: normalise(x, mean, rstd, (g,), axes, eps, mode, "w"),
    x=weight_x, rows="c c b b -> s axes axes")
# of x, weight and bias; not differentiable itself: the rules above are recorded where that is asked for
normalise_pull   = structural("normalise_pull", "y x mean rstd weight", infer_pull, params=P, outputs=3)
# fmt: on


def _affine(weight: Any, bias: Any, shape: Any) -> tuple[tuple[Any, ...], str]:
    """Return weight and bias, those that are there, in a shape that broadcasts, and their kinds."""
    if weight is not None and bias is not None and weight._array.shape == bias._array.shape == shape:
        return (weight, bias), "wb"
    given = [(kind, value) for kind, value in (("w", weight), ("b", bias)) if value is not None]
    made = tuple(value if tuple(value.shape) == shape else s.reshape(value, shape) for _, value in given)
    return made, "".join(kind for kind, _ in given)


def _tensors(name: str, input: Any, others: dict[str, Any]) -> None:
    """Raise TypeError for what is no tensor."""
    kind_of(name, input)
    for what, value in others.items():
        if value is not None:
            kind_of(name, value, what)


def _floats(name: str, input: Any, *others: Any) -> tuple[Any, ...]:
    """Return tensors in the type to compute in: half types are widened. Raises for integers and for mixed types."""
    kind = input._array.dtype
    if category(kind) < dtypes.FLOATING:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert with .float()")
    if kind.itemsize == 2:
        return tuple(None if x is None else x.float() for x in (input, *others))
    for x in others:
        if x is not None and x._array.dtype != kind:
            raise RuntimeError(f"{name}: expected tensors of the input's type {input.dtype}, got {x.dtype}; convert one")
    return (input, *others)


def _finished(result: Any, input: Any, label: str) -> Any:
    """Return a result in the input's type, its node named as PyTorch's."""
    return relabel(result if result.dtype is input.dtype else result.to(input.dtype), label)


def _statistics(x: Any, axes: Axes, eps: float, centred: bool = True) -> tuple[Any, Any, Any]:
    """Return mean, variance and rstd of x over axes, as constants."""
    mean, variance = moments(x, axes, centred)
    return mean, variance, e.rsqrt(variance + eps)


# ---- over the last dims
def _last(name: str, input: Any, normalized_shape: Any, **affine: Any) -> Axes:
    """Return the dims of normalized_shape. Raises RuntimeError where it is not the end of the input's shape."""
    _tensors(name, input, affine)
    shape = ints(normalized_shape)
    taken = tuple(input._array.shape)
    if not shape:
        raise RuntimeError(f"{name}: Expected normalized_shape to be at least 1-dimensional, but got normalized_shape = []")
    for what, value in affine.items():
        if value is not None and value._array.shape != shape:
            raise RuntimeError(
                f"{name}: Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(value.shape)} "
                f"and normalized_shape = {list(shape)}"
            )
    ndim = len(taken)
    if taken[-len(shape) :] != shape or ndim < len(shape):
        raise RuntimeError(
            f"{name}: Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but "
            f"got input of size {list(taken)}"
        )
    return tuple(range(ndim - len(shape), ndim))


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: bool = True
) -> Any:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over the last dims, normalized_shape.

    Raises RuntimeError for shapes that do not fit.
    """
    axes = _last("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    x, weight, bias = _floats("layer_norm", input, weight, bias)
    mean, _, rstd = _statistics(x, axes, eps)
    affine, kinds = _affine(weight, bias, tuple(input._array.shape[axes[0] :]))
    return _finished(normalise(x, mean, rstd, affine, axes, eps, "batch", kinds), input, "NativeLayerNormBackward0")


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Return x / sqrt(mean x^2 + eps) * weight, with the mean over the last dims, normalized_shape.

    eps is the type's own by default. Raises RuntimeError for shapes that do not fit.
    """
    axes = _last("rms_norm", input, normalized_shape, weight=weight)
    if category(input._array.dtype) == dtypes.COMPLEX:
        return _complex_rms_norm(input, axes, weight, eps)
    x, weight = _floats("rms_norm", input, weight)
    eps = dtypes.finfo(x.dtype).eps if eps is None else eps
    mean, _, rstd = _statistics(x, axes, eps, centred=False)
    affine, kinds = _affine(weight, None, tuple(input.shape[axes[0] :]))
    return _finished(normalise(x, mean, rstd, affine, axes, eps, "rms", kinds), input, "FusedRmsNormBackward0")


def _complex_rms_norm(x: Any, axes: Axes, weight: Any, eps: float | None) -> Any:
    eps = dtypes.finfo(x.dtype).eps if eps is None else eps
    made = x * e.rsqrt(r.mean_(x * x, axes, True) + eps)
    return made if weight is None else made * weight


# ---- over channels
def _channels(name: str, input: Any, **values: Any) -> int:
    """Return the number of channels. Raises RuntimeError where there are none, or a tensor has not one element for each."""
    _tensors(name, input, values)
    shape = input._array.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: Expected an input with at least two dims, (batch, channels, ...), got {list(shape)}")
    channels: int = shape[1]
    for what, value in values.items():
        if value is not None and value._array.shape != (channels,):
            raise RuntimeError(
                f"{name}: {what} should contain {channels} elements not {list(value.shape)}: one for each channel of an input "
                f"of size {list(input.shape)}"
            )
    return channels


def _update(running: Any, value: Any, momentum: float, factor: float = 1) -> None:
    """Move a running statistic towards a new value, times a factor, in place."""
    if running is not None:
        own = running.detach() if running.requires_grad else running
        value = s.reshape(value, tuple(own.shape))
        own.mul_(1 - momentum).add_(value if value.dtype is own.dtype else value.to(own.dtype), alpha=momentum * factor)


def _batch_norm(
    name: str, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool, momentum: float,
    eps: float,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return the result, and the mean and rstd it was made with."""
    kind_of(name, input)
    if not input._array.size and len(input.shape) < 2:
        return (e.clone(input),) * 3
    channels = _channels(name, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not training and (running_mean is None or running_var is None):
        raise RuntimeError(f"{name}: Expected running_mean and running_var to be defined when training=False")
    x, weight, bias = _floats(name, input, weight, bias)
    ndim = len(input.shape)
    shape = (channels, *(1,) * (ndim - 2))
    axes = (0, *range(2, ndim))
    affine, kinds = _affine(weight, bias, shape)
    if training:
        mean, variance, rstd = _statistics(x, axes, eps)
        n = math.prod(input.shape) // max(channels, 1)
        if n:
            _update(running_mean, mean, momentum)
            _update(running_var, variance, momentum, n / max(n - 1, 1))
    else:
        mean, variance = (
            s.reshape(v.detach() if v.dtype is x.dtype else v.detach().to(x.dtype), (1, *shape))
            for v in (running_mean, running_var)
        )
        rstd = e.rsqrt(variance + eps)
    made = normalise(x, mean, rstd, affine, axes, eps, "batch" if training else "fixed", kinds)
    return _finished(made, input, "NativeBatchNormBackward0"), mean, rstd


def _more_than_one(what: str, input: Any, n: int) -> None:
    if n == 1:
        raise ValueError(f"Expected more than 1 {what} when training, got input size {input.shape}")


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Return (x - mean) / sqrt(var + eps) * weight + bias for each channel (dim 1).

    In training mean and variance are the batch's, and the running ones, if given, move towards them by momentum, in place;
    else they are the running ones. Raises RuntimeError for sizes that do not fit, ValueError for one value per channel in
    training.
    """
    if training:
        if eps <= 0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        _more_than_one("value per channel", input, math.prod((*input.shape[:1], *input.shape[2:])))
    return _batch_norm("batch_norm", input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


def torch_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float,
    cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """Return `nn.functional.batch_norm`, with arguments in the order that PyTorch's `torch.batch_norm` has them."""
    return _batch_norm("batch_norm", input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


def native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, Any, Any]:
    """Return `nn.functional.batch_norm` and the batch's mean and 1 / sqrt(var + eps), of no elements in evaluation."""
    given = (input, running_mean, running_var, weight, bias, training, momentum, eps)
    made, mean, rstd = _batch_norm("native_batch_norm", *given)
    if made is mean:  # of no dims: there are no channels
        return made, mean, rstd
    shape = (input.shape[1] if training else 0,)
    return made, *(s.reshape(v, shape) if training else s.filled(v, shape, 0, None) for v in (mean, rstd))


def _instance_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, use_input_stats: bool, momentum: float, eps: float
) -> Any:
    name = "instance_norm"
    channels = _channels(name, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not use_input_stats:
        return _batch_norm(name, input, running_mean, running_var, weight, bias, False, momentum, eps)[0]
    if (running_mean is None) != (running_var is None):
        raise RuntimeError(f"{name}: running_mean and running_var must be given both, or neither")
    x, weight, bias = _floats(name, input, weight, bias)
    ndim = len(input.shape)
    axes = tuple(range(2, ndim))
    mean, variance, rstd = _statistics(x, axes, eps)
    n = math.prod(input.shape[2:])
    _update(running_mean, r.mean_(mean, (0,), True), momentum)
    _update(running_var, r.mean_(variance, (0,), True), momentum, n / max(n - 1, 1))
    affine, kinds = _affine(weight, bias, (channels, *(1,) * (ndim - 2)))
    return _finished(normalise(x, mean, rstd, affine, axes, eps, "batch", kinds), input, "NativeBatchNormBackward0")


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Return (x - mean) / sqrt(var + eps) * weight + bias for each channel of each image.

    Running statistics as in `batch_norm`, the mean over images of theirs. Raises RuntimeError for sizes that do not fit,
    ValueError for images of one element.
    """
    if use_input_stats:
        _more_than_one("spatial element", input, math.prod(input.shape[2:]))
    return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def torch_instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """Return `nn.functional.instance_norm`, with arguments in the order that PyTorch's `torch.instance_norm` has them."""
    return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True
) -> Any:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over each group of channels of each image.

    Raises RuntimeError where the channels cannot be divided into num_groups, ValueError for one value in all.
    """
    channels = _channels("group_norm", input, weight=weight, bias=bias)
    if num_groups < 1 or channels % num_groups:
        raise RuntimeError(
            f"group_norm: Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    width = channels // num_groups
    _more_than_one("value per channel", input, math.prod((input.shape[0], width, *input.shape[2:])))
    x, weight, bias = _floats("group_norm", input, weight, bias)
    x = s.reshape(x, (input.shape[0], num_groups, width, math.prod(input.shape[2:])))
    mean, _, rstd = _statistics(x, (2, 3), eps)
    affine, kinds = _affine(weight, bias, (num_groups, width, 1))
    made = s.reshape(normalise(x, mean, rstd, affine, (2, 3), eps, "batch", kinds), tuple(input.shape))
    return _finished(made, input, "NativeGroupNormBackward0")


def native_layer_norm(input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    """Return `layer_norm`, and the mean and 1 / sqrt(var + eps) it used."""
    axes = _last("native_layer_norm", input, normalized_shape, weight=weight, bias=bias)
    mean, _, rstd = _statistics(_floats("native_layer_norm", input)[0], axes, eps)
    return layer_norm(input, normalized_shape, weight, bias, eps), mean, rstd


# ---- over neighbours
def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Return x / (k + alpha * mean x^2)^beta, with the mean over `size` neighbouring channels.

    Raises ValueError for an input with fewer than three dims.
    """
    kind_of("local_response_norm", input)
    shape = tuple(input.shape)
    if len(shape) < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {len(shape)} dimensions)")
    if not input._array.size:
        return e.clone(input)
    square = s.reshape(input * input, (shape[0], shape[1], math.prod(shape[2:])))
    square = constant_pad_(square, ((0, 0), (size // 2, (size - 1) // 2), (0, 0)), 0)
    mean = avg_pool2d(square, (size, 1), 1)
    return input / e.power_number(s.reshape(mean, shape) * alpha + k, beta)
