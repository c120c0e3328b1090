"""Losses and distances of `wengert.nn.functional`.

Owns: the losses, what their `reduction` means, the choice of one class of each sample, distances between vectors.
May import: wengert.extend, the activations. Must not know: devices; kernels are in kernels_losses.py.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from wengert.extend import (
    SAME,
    cast,
    category,
    count,
    creation,
    dtypes,
    e,
    elementwise,
    errors,
    has_values,
    indexing,
    kind_of,
    labelled,
    r,
    relabel,
    s,
    structural,
)  # fmt: skip
from wengert_nn.activations import floats, logsigmoid_, real_floats


# ---- rules that need more than a line
def infer_pick(x: Any, index: Any, ignored: int) -> Any:
    if len(x.shape) < 2 or (*x.shape[:1], *x.shape[2:]) != tuple(index.shape):
        raise RuntimeError(
            f"a class for each sample is expected: the input's shape is {list(x.shape)} (classes in dim 1), the target's "
            f"{list(index.shape)}"
        )
    classes = x.shape[1]
    if isinstance(index, np.ndarray):
        bad = index[((index < 0) | (index >= classes)) & (index != ignored)]
        if bad.size:
            raise IndexError(f"Target {bad[0]} is out of bounds: there are {classes} classes")
    return index.shape, x.dtype


def beside(x: Any) -> Any:
    """Return what is one number a sample with the dim of classes, of size 1."""
    return s.reshape(x, (x.shape[0], 1, *x.shape[1:]))


def unpick_of_ops(x: Any, index: Any, shape: Any, ignored: int) -> Any:
    """Return what unpick does, where a device has no kernel for it."""
    valid = index != ignored
    placed = e.where(valid, x, 0.0), e.where(valid, index, e.zeros(index))
    return r.put_along(beside(placed[0]), beside(placed[1]), tuple(shape), 1)


def probabilities(x: Any, y: Any, index: Any, ignored: int) -> Any:
    """Return softmax(x) from the losses y of the classes `index`; 0 where a sample is ignored."""
    logs = x - beside(pick(x, index, ignored)) - beside(y)
    return e.exp(e.where(beside(index == ignored), -math.inf, logs))


def cross_pull_a(g: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    return r.sum_(g * probabilities(x, y, index, ignored), (1,), False) - pick(g, index, ignored)


def cross_pull_x(g: Any, a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    turned = g * beside(a) * probabilities(x, y, index, ignored)
    return turned - unpick(r.sum_(turned, (1,), False), index, tuple(x.shape), ignored)


def cross_pull_y(g: Any, a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    return -r.sum_(g * beside(a) * probabilities(x, y, index, ignored), (1,), False)


def mean_of_ops(x: Any, index: Any, ignored: int) -> Any:
    """Return what class_mean does, where a device has no kernel for it."""
    return r.sum_(x, None, False) / counted(index, ignored, x.dtype)


def infer_pair(x: Any, y: Any, mean: bool) -> Any:
    if tuple(x.shape) != tuple(y.shape):
        raise errors.broadcast("mse_loss", [tuple(x.shape), tuple(y.shape)]) or RuntimeError(
            f"the shapes of input and target must be equal, got {list(x.shape)} and {list(y.shape)}"
        )
    return (), x.dtype


def share(g: Any, shape: Any, mean: bool) -> Any:
    """Return twice the gradient of one element of a sum, or of a mean."""
    return g * (2 / max(count(tuple(shape), None), 1)) if mean else g + g


# fmt: off
# one class of each sample, 0 where it is `ignored`: x is [samples, classes, ...], index [samples, ...]
pick       = structural("pick", "x index", infer_pick, params="ignored", label="NllLossBackward0",
    x=lambda g, x_shape, index, ignored: unpick(g, index, tuple(x_shape), ignored), rows="c c -> c")
# its transpose: zeros of a shape with one number a sample at its class
unpick     = structural("unpick", "x index", lambda x, index, shape, ignored: (shape, x.dtype), params="shape ignored",
    x=lambda g, index, ignored: pick(g, index, ignored))
# -log softmax(x)[index], 0 where it is ignored; its gradient a * (softmax(x) - onehot(index)), by the losses y
cross_     = structural("cross_entropy", "x index", infer_pick, params="ignored", label="NllLossBackward0",
    x=lambda g, x, out, index, ignored: cross_pull(g, x, out, index, ignored), rows="c c -> c")
cross_pull = structural("cross_entropy_pull", "a x y index", lambda a, x, y, index, ignored: (x.shape, x.dtype),
    params="ignored", a=cross_pull_a, x=cross_pull_x, y=cross_pull_y, rows="c c c c -> c")
# how many samples are not ignored, as a number of a float type
counted    = structural("count_samples", "index", lambda index, ignored, dtype: ((), dtype), params="ignored dtype",
    constant=True)
# the mean of what is one number a sample, and 0 where that is ignored, over those that are not
class_mean = structural("class_mean", "x index", lambda x, index, ignored: ((), x.dtype), params="ignored",
    label="NllLossBackward0", x=lambda g, x_shape, index, ignored:
    s.broadcast_to(e.divide(g, counted(index, ignored, r.dtype_of(g))), tuple(x_shape)))
huber_     = elementwise("huber", "fabs(x - y) < delta ? (x - y) * (x - y) * 0.5 : (fabs(x - y) - delta * 0.5) * delta",
    params="delta", face="huber_loss", x=lambda g, x, y, delta: g * e.clip(x - y, -delta, delta),
    y=lambda g, x, y, delta: g * e.clip(y - x, -delta, delta))
mse_       = structural("mse", "x y", infer_pair, params="mean", domain=SAME, label="MseLossBackward0",
    x=lambda g, x, y, mean: (x - y) * share(g, x.shape, mean), y=lambda g, x, y, mean: (y - x) * share(g, x.shape, mean))
bce_       = elementwise("bce", inputs="x y", face="binary_cross_entropy",
    expr="-(y * fmax(log(x), -100) + (1 - y) * fmax(log1p(-x), -100))",
    x=lambda g, x, y: g * (x - y) / e.maximum(x * (1 - x), 1e-12), y=lambda g, x: g * (e.log(1 - x) - e.log(x)))
logits_    = elementwise("bce_logits", "fmax(x, 0) - x * y + log1p(exp(-fabs(x)))", face="binary_cross_entropy_with_logits",
    x=lambda g, x, y: logits_pull(g, x, y), y=lambda g, x: -(g * x))
logits_pull = elementwise("bce_logits_pull", "a * (1 / (1 + exp(-x)) - y)", inputs="a x y", domain=SAME,
    a=lambda g, x, y: logits_pull(g, x, y), y=lambda g, a: -(g * a),
    x=lambda g, a, x: g * a * e.sigmoid(x) * e.sigmoid(-x))
# fmt: on


# ---- what faces share
def chosen_reduction(reduction: str, size_average: Any, reduce: Any) -> str:
    """Return "none", "mean" or "sum"; the two arguments that PyTorch deprecates count where they are given."""
    if size_average is not None or reduce is not None:
        averaged, reduced = size_average is None or size_average, reduce is None or reduce
        reduction = ("mean" if averaged else "sum") if reduced else "none"
        warnings.warn(f"size_average and reduce will be deprecated, please use reduction='{reduction}' instead", stacklevel=3)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction: 'none', 'mean' or 'sum'")
    return reduction


def reduced(losses: Any, reduction: str) -> Any:
    """Return losses, their mean or their sum."""
    if reduction == "none":
        return losses
    return r.mean(losses) if reduction == "mean" else r.sum_(losses, None, False)


def same_shapes(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Return both broadcast to one shape, with PyTorch's warning where they differ."""
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"{name}: the target's size {list(target.shape)} is different to the input's {list(input.shape)}, so they are "
            f"broadcast; give both the same size",
            stacklevel=3,
        )
        input, target = s.broadcast_tensors(input, target)
    return input, target


def weighed(losses: Any, weight: Any, reduction: str) -> Any:
    """Return losses times weights, reduced; a mean divides by the sum of the weights."""
    if weight is None:
        return reduced(losses, reduction)
    if tuple(weight.shape) != tuple(losses.shape):
        raise ValueError(f"inputs and weight must have the same size, got {list(losses.shape)} and {list(weight.shape)}")
    total = losses * weight
    return reduced(total, reduction) if reduction != "mean" else r.sum_(total, None, False) / r.sum_(weight, None, False)


# ---- between two tensors of the same shape
@labelled("MseLossBackward0")
def mse_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """Return the mean of (x - y)^2."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    input, target = same_shapes("mse_loss", input, target)
    floats("mse_loss", target if category(input._array.dtype) < dtypes.FLOATING else input)
    if weight is None and reduction != "none":
        return mse_(input, target, reduction == "mean")
    return weighed(e.square(input - target), weight, reduction)


def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """Return the mean of |x - y|."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    input, target = same_shapes("l1_loss", input, target)
    return weighed(e.absolute(input - target), weight, reduction)


@labelled("SmoothL1LossBackward0")
def smooth_l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
) -> Any:
    """Return the mean of d^2 / (2 beta) for d = |x - y| below beta, and d - beta / 2 beyond. Raises for a negative beta."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    input, target = same_shapes("smooth_l1_loss", input, target)
    real_floats("smooth_l1_loss", target if category(input._array.dtype) < dtypes.FLOATING else input)
    if not beta:
        losses = e.absolute(input - target)
    else:
        losses = huber_(input, target, float(beta))
        losses = losses / beta if beta != 1 else losses
    return reduced(losses, reduction)


@labelled("HuberLossBackward0")
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Return the mean of d^2 / 2 for d = |x - y| up to delta, and delta (d - delta / 2) beyond. Raises for delta <= 0."""
    reduction = chosen_reduction(reduction, None, None)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    input, target = same_shapes("huber_loss", input, target)
    return weighed(huber_(real_floats("huber_loss", input), target, float(delta)), weight, reduction)


def kl_div(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
) -> Any:
    """Return the mean of t (log t - x), the divergence of target t from exp(x); "batchmean" divides the sum by the samples."""
    batch = reduction == "batchmean"
    reduction = chosen_reduction("sum" if batch else reduction, size_average, reduce)
    if reduction == "mean":
        warnings.warn("kl_div: reduction='mean' divides by the number of elements; 'batchmean', by the number of samples, is "
                      "the divergence", stacklevel=2)  # fmt: skip
    if log_target:
        losses = e.exp(target) * (target - input)
    else:
        zero = target == 0
        losses = e.where(zero, 0.0, target * e.log(e.where(zero, 1.0, target))) - target * input
    result = reduced(losses, reduction)
    return result / input.shape[0] if batch and len(input.shape) else result


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Return the mean of -(y log x + (1 - y) log(1 - x)), each logarithm at least -100.

    Raises RuntimeError for an input outside of [0, 1], ValueError for a target of another shape.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"binary_cross_entropy: a target of size {list(target.shape)} is different to the input's {list(input.shape)}; "
            f"they must be the same"
        )
    if target.dtype is not input.dtype:
        raise RuntimeError(f"binary_cross_entropy: found dtype {target.dtype} of the target but expected {input.dtype}")
    losses = bce_(real_floats("binary_cross_entropy", input), target)
    return relabel(reduced(losses if weight is None else losses * weight, reduction), "BinaryCrossEntropyBackward0")


@labelled("BinaryCrossEntropyWithLogitsBackward0")
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:  # fmt: skip
    """Return the mean of -(w y log s(x) + (1 - y) log s(-x)): w is pos_weight, s the logistic function.

    Raises ValueError for a target of another shape.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(f"Target size ({list(target.shape)}) must be the same as input size ({list(input.shape)})")
    real_floats("binary_cross_entropy_with_logits", input)
    if pos_weight is None:
        losses = logits_(input, target)
    else:
        losses = (1 - target) * input - (1 + (pos_weight - 1) * target) * logsigmoid_(input)
    return reduced(losses if weight is None else losses * weight, reduction)


def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Return the mean of log(1 + exp(-y x)) for targets y of 1 and -1."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise RuntimeError(f"soft_margin_loss: input {list(input.shape)} and target {list(target.shape)} differ in shape")
    return reduced(-logsigmoid_(real_floats("soft_margin_loss", input) * target), reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: Any = None, eps: float = 1e-8,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return the mean of exp(x) - t x, or of x - t log(x + eps); full: with Stirling's term for log t!, where t > 1."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    losses = e.exp(input) - target * input if log_input else input - target * e.log(input + eps)
    if full:
        above = e.where(target > 1, target, 1.0)
        term = above * e.log(above) - above + 0.5 * e.log(2 * math.pi * above)
        losses = losses + e.where(target > 1, term, 0.0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Return the mean of (log v + (x - t)^2 / v) / 2, where the variance v counts as at least eps.

    Raises ValueError for a negative variance, where values can be read, and for one of another shape.
    """
    if not hasattr(var, "shape"):
        if var < 0:
            raise ValueError("gaussian_nll_loss: var has negative entry/entries")
        var = creation.full_like(input, float(var))
    elif has_values(var._array) and bool(r.any(var < 0)):
        raise ValueError("gaussian_nll_loss: var has negative entry/entries")
    shape = tuple(input.shape)
    if tuple(var.shape) != shape:
        if tuple(var.shape) == shape[:-1]:
            var = s.unsqueeze(var, -1)
        elif len(var.shape) != len(shape) or [v for v, n in zip(var.shape, shape, strict=True) if v != n] != [1]:
            raise ValueError(f"gaussian_nll_loss: var is of incorrect size: {list(var.shape)} for an input {list(shape)}")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    spread = var + (e.maximum(var, eps) - var).detach()  # the bound is no part of the gradient
    losses = 0.5 * (e.log(spread) + e.square(input - target) / spread)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Return the mean of x where the target is 1, and of max(0, margin - x) where it is -1."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    losses = e.where(target != 1, e.clamp_min(margin - input, 0), 0.0) + e.where(target != -1, input, 0.0)
    return reduced(losses, reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return the mean of max(0, margin - y (x1 - x2)) for targets y of 1 and -1."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    if not len(input1.shape) == len(input2.shape) == len(target.shape):
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {list(input1.shape)}, "
            f"input2: {list(input2.shape)}, target: {list(target.shape)}"
        )
    return reduced(e.clamp_min(-target * (input1 - input2) + float(margin), 0), reduction)


# ---- one class, or several, of each sample
NO_CLASS = -1 << 40  # ignores no sample


def samples_first(name: str, input: Any, target: Any) -> tuple[Any, Any, bool]:
    """Return input as [samples, classes, ...] and its target, and whether they were one sample."""
    kind_of(name, input)
    kind_of(name, target, "target")
    shape, samples = input._array.shape, target._array.shape
    single = len(shape) == 1
    if not shape or (single and len(samples) > 1):
        raise ValueError(f"{name}: expected input of 1 or more dims, got {len(shape)}, and target {list(samples)}")
    if single:
        return s.unsqueeze(input, 0), s.reshape(target, (1,)), True
    if samples[0] != shape[0]:
        raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]}).")
    return input, target, False


def of_classes(losses: Any, target: Any, ignored: int, weight: Any, reduction: str, single: bool) -> Any:
    """Return losses of samples, which are 0 where ignored, weighed by their classes and reduced: a mean is one by weight."""
    if weight is None and reduction == "mean":
        return class_mean(losses, target, ignored)
    if weight is not None:
        valid = target != ignored
        weights = e.where(valid, indexing.index_get(weight, (e.where(valid, target, 0),), (0,)), 0.0)
        losses = losses * weights
    if reduction == "none":
        return s.reshape(losses, ()) if single else losses
    total = r.sum_(losses, None, False)
    return total if reduction == "sum" else total / r.sum_(weights, None, False)


def check_weight(name: str, weight: Any, classes: int) -> None:
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )


def integers(name: str, target: Any) -> Any:
    """Return class numbers as int64. Raises RuntimeError for what are no integers."""
    if category(kind_of(name, target, "target")) != dtypes.INTEGRAL:
        raise RuntimeError(f"{name}: expected a target of class numbers, of dtype Long, but got {target.dtype}")
    return target if target._array.dtype is dtypes.I64 else cast(target, dtypes.I64)


def class_losses(
    record: Any, name: str, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, sign: int = 1
) -> Any:
    input, target, single = samples_first(name, input, target)
    target = integers(name, target)
    if weight is not None:
        check_weight(name, weight, input.shape[1])
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(f"{name}: expected a weight of the input's type {input.dtype}, not {weight.dtype}; convert one")
    losses = record(real_floats(name, input), target, ignore_index)
    return of_classes(losses if sign > 0 else -losses, target, ignore_index, weight, reduction, single)


@labelled("NllLossBackward0")
def nll_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return the mean of -x at each sample's class, weighed by class; targets of ignore_index do not count.

    Raises IndexError for a target that is no class.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    return class_losses(pick, "nll_loss", input, target, weight, ignore_index, reduction, -1)


def cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """Return the mean of -log softmax(x) at each sample's class, or weighed by a target of probabilities.

    label_smoothing: the part of each target that is spread evenly over the classes.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    kind_of("cross_entropy", input)
    kind_of("cross_entropy", target, "target")
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input._array.shape == target._array.shape:
        if ignore_index >= 0:
            raise RuntimeError("cross_entropy: ignore_index is not supported for floating point target")
        return expected_losses(input, target, weight, reduction, label_smoothing)
    name = "cross_entropy"
    if not label_smoothing:
        return relabel(class_losses(cross_, name, input, target, weight, ignore_index, reduction), "NllLossBackward0")
    input, target, single = samples_first(name, input, target)
    target, classes = integers(name, target), input.shape[1]
    check_weight(name, weight, classes)
    logs = r.log_softmax(input, 1)
    one = of_classes(-pick(logs, target, ignore_index), target, ignore_index, weight, reduction, single)
    each = -r.sum_(logs if weight is None else logs * class_vector(weight, input), (1,), False)
    every = reduced(e.where(target == ignore_index, 0.0, each), "none" if reduction == "none" else "sum")
    if single and reduction == "none":
        every = s.squeeze(every, 0)
    if reduction == "mean":
        ones = cast(target != ignore_index, each._array.dtype)
        every = every / of_classes(ones, target, ignore_index, weight, "sum", single)
    return (1 - label_smoothing) * one + label_smoothing / classes * every


def class_vector(weight: Any, input: Any) -> Any:
    """Return one number a class in the shape that multiplies [samples, classes, ...]."""
    return s.reshape(weight, (weight._array.size, *(1,) * (len(input.shape) - 2)))


def expected_losses(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """Return the cross entropy of a target of probabilities; its mean is over samples."""
    if category(target._array.dtype) < dtypes.FLOATING:
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {target.dtype}")
    axis = 0 if len(input.shape) == 1 else 1
    classes = input.shape[axis]
    check_weight("cross_entropy", weight, classes)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    each = r.log_softmax(input, axis) * target
    if weight is not None:
        each = each * (class_vector(weight, input) if axis else weight)
    if reduction == "none":
        return -r.sum_(each, (axis,), False)
    total = -r.sum_(each, None, False)
    return total if reduction == "sum" else total / (count(tuple(input.shape), None) / classes if classes else 0)


def linear_cross_entropy(
    input: Any, linear_weight: Any, target: Any, *, linear_bias: Any = None, weight: Any = None, reduction: str = "mean",
    ignore_index: int | None = None, label_smoothing: float = 0.0, options: Any = None,
) -> Any:  # fmt: skip
    """Return the cross entropy of the logits of a linear layer, whose weight is [classes, ..., features].

    options say how to save memory in PyTorch; here they change nothing.
    """
    from wengert_nn.attention import linear

    if ignore_index is not None and category(target._array.dtype) >= dtypes.FLOATING:
        raise RuntimeError("linear_cross_entropy: ignore_index cannot be specified when target contains probabilities")
    classes, features = tuple(linear_weight.shape[:-1]), linear_weight.shape[-1]
    if len(classes) > 1 and len(input.shape) == 1:
        raise RuntimeError(
            f"linear_cross_entropy: a weight of shape {list(linear_weight.shape)} requires batched input, [N, {features}]"
        )
    rows = target.shape[0] if target.shape else 1
    if len(input.shape) > 1 and input.shape[0] != rows:
        raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({rows}).")
    flat = s.reshape(linear_weight, (count(classes, None), features))
    logits = linear(input, flat, None if linear_bias is None else s.reshape(linear_bias, (count(classes, None),)))
    logits = s.reshape(logits, (*input.shape[:-1], *classes))
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight, None, ignored, None, reduction, label_smoothing)


@labelled("MultiMarginLossBackward0")
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return the mean over samples of sum max(0, margin - x[t] + x[i])^p / classes, over the classes i other than t.

    Raises ValueError for p other than 1 and 2.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and len(weight.shape) != 1:
        raise ValueError(f"weight must be one-dimensional, got shape {list(weight.shape)}")
    scalar = len(input.shape) <= 1 and not len(target.shape)
    rows = input if len(input.shape) > 1 else s.reshape(input, (1, input._array.size))
    labels = target if len(target.shape) else s.reshape(target, (1,))
    if len(rows.shape) != 2 or tuple(labels.shape) != (rows.shape[0],) or not rows.shape[1]:
        raise RuntimeError(f"inconsistent target size, expected [{rows.shape[0]}] but got {list(target.shape)}")
    check_weight("multi_margin_loss", weight, rows.shape[1])
    wanted = pick(real_floats("multi_margin_loss", rows), integers("multi_margin_loss", labels), NO_CLASS)
    gaps = e.clamp_min(margin - beside(wanted) + rows, 0)
    if p == 2:
        gaps = e.square(gaps)
    if weight is not None:
        gaps = gaps * s.unsqueeze(indexing.index_get(weight, (labels,), (0,)), 1)
    others = labels_of(rows, 1) != s.unsqueeze(labels, 1)
    losses = r.sum_(e.where(others, gaps, 0.0), (1,), False) / rows.shape[1]
    return s.reshape(losses, ()) if reduction == "none" and scalar else reduced(losses, reduction)


def labels_of(input: Any, dim: int) -> Any:
    """Return the class numbers 0, 1, ... of a dim."""
    return creation.arange(input.shape[dim], device=input.device)


@labelled("MultilabelMarginLossBackward0")
def multilabel_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Return the mean over samples of sum max(0, 1 - x[j] + x[i]) / classes, over targets j and classes i that are none.

    The targets of a sample end at the first negative one.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    single = len(input.shape) < 2
    if tuple(input.shape) != tuple(target.shape) or len(input.shape) > 2 or (not single and not input.shape[1]):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for an input of size {list(input.shape)}")
    if single:
        shape = (1, input._array.size)
        input, target = s.reshape(input, shape), s.reshape(target, shape)
    counted = r.cumsum(cast(target < 0, dtypes.I64), 1) == 0
    target = e.where(counted, integers("multilabel_margin_loss", target), 0)
    classes = labels_of(input, 1)
    is_target = r.any((s.unsqueeze(target, 2) == classes) & s.unsqueeze(counted, 2), 1)
    wanted = indexing.gather_(real_floats("multilabel_margin_loss", input), target, 1)
    gaps = e.clamp_min(1 - s.unsqueeze(wanted, 2) + s.unsqueeze(input, 1), 0)
    counts = s.unsqueeze(counted, 2) & ~s.unsqueeze(is_target, 1)
    losses = r.sum_(e.where(counts, gaps, 0.0), (1, 2), False) / max(input.shape[1], 1)
    return s.reshape(losses, ()) if single and reduction == "none" else reduced(losses, reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Return the mean over samples of the mean over classes of -(y log s(x) + (1 - y) log s(-x)), s the logistic function."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    real_floats("multilabel_soft_margin_loss", input)
    losses = -(target * logsigmoid_(input) + (1 - target) * logsigmoid_(-input))
    if weight is not None:
        losses = losses * weight
    axis = len(input.shape) - 1
    return reduced(r.sum_(losses, (axis,), False) / input.shape[axis], reduction)


# ---- distances
@labelled("SumBackward1")
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim; the shapes are broadcast."""
    common = dtypes.result_of([x1._array, x2._array])
    if category(common) < dtypes.FLOATING:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {dtypes.of(common)}")
    x1, x2 = (x if x._array.dtype is common else cast(x, common) for x in (x1, x2))
    if x1._array.shape != x2._array.shape:
        x1, x2 = s.broadcast_tensors(x1, x2)
    unit1, unit2 = (x / e.maximum(r.norm(x, 2, dim, True), eps) for x in (x1, x2))
    return r.sum(unit1 * unit2, dim)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Return the p-norm of x1 - x2 + eps over the last dim."""
    return r.norm(x1 - x2 + eps, p, -1, keepdim)


@labelled("PdistBackward0")
def pdist(input: Any, p: float = 2.0) -> Any:
    """Return the p-norm distances between all pairs of rows, in the order of combinations.

    Raises RuntimeError where input is no matrix of floats, or p is negative.
    """
    if len(input.shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(input.shape)}D")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, got {p}")
    first, second = np.triu_indices(input.shape[0], 1)
    rows = [creation.tensor(i, device=input.device) for i in (first, second)]
    left, right = (indexing.index_get(real_floats("pdist", input), (i,), (0,)) for i in rows)
    return r.norm(left - right, float(p), 1)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return the mean of 1 - cos(x1, x2) where the target is 1, and of max(0, cos(x1, x2) - margin) where it is -1."""
    reduction = chosen_reduction(reduction, size_average, reduce)
    if len(target.shape) > 1 or len(input1.shape) != len(target.shape) + 1 or len(input2.shape) != len(target.shape) + 1:
        raise RuntimeError(
            f"{len(target.shape)}D target tensor expects {len(target.shape) + 1}D input tensors (of at most 2 dims), but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    axis = len(target.shape)
    tiny = 1e-12
    products, left, right = (r.sum(x * y, axis) for x, y in ((input1, input2), (input1, input1), (input2, input2)))
    cosine = products / e.sqrt((left + tiny) * (right + tiny))
    losses = e.where(target == 1, 1 - cosine, 0.0) + e.where(target == -1, e.clamp_min(cosine - margin, 0), 0.0)
    return reduced(losses, reduction)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6, swap: bool = False,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return the mean of max(0, margin + d(anchor, positive) - d(anchor, negative)), d by `pairwise_distance`.

    swap: the negative's distance from the positive counts where it is the smaller one. Raises ValueError for margin <= 0.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    return triplet(lambda x, y: pairwise_distance(x, y, p, eps), anchor, positive, negative, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Any = None, margin: float = 1.0, swap: bool = False,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Return `triplet_margin_loss` with any distance of two tensors."""
    reduction = chosen_reduction(reduction, None, None)
    return triplet(distance_function or pairwise_distance, anchor, positive, negative, margin, swap, reduction)


def triplet(distance: Any, anchor: Any, positive: Any, negative: Any, margin: float, swap: bool, reduction: str) -> Any:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not len(anchor.shape) == len(positive.shape) == len(negative.shape):
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor "
            f"{len(anchor.shape)}D, positive {len(positive.shape)}D, and negative {len(negative.shape)}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = e.minimum(far, distance(positive, negative))
    return reduced(e.clamp_min(margin + near - far, 0), reduction)
