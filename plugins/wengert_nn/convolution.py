"""Convolution: `conv1d` to `conv3d`, their transposes, and `unfold` and `fold`.

Owns: three records that are each other's gradients (a sum over windows, read for the result, for the input and for the
weight), two that copy windows out and add them in, and the faces over them. May import: wengert.extend, windows.
Must not know: devices; kernels are registered by name.
"""

from __future__ import annotations

import math
from typing import Any

from wengert.extend import kind_of, r, relabel, s, structural
from wengert_nn.padding import constant_pad_
from wengert_nn.windows import Ints, batched, per_dim, positive, sizes, unbatched


def infer_convolution(x: Any, weight: Any, biases: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Any:
    return (x.shape[0], weight.shape[0], *sizes(x.shape[2:], weight.shape[2:], stride, padding, dilation)), x.dtype


def infer_input(y: Any, weight: Any, spatial: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Any:
    return (y.shape[0], weight.shape[1] * groups, *spatial), y.dtype


def infer_weight(y: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Any:
    return (y.shape[1], x.shape[1] // groups, *kernel), y.dtype


def infer_unfold(x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Any:
    return (*x.shape[:2], math.prod(kernel), *sizes(x.shape[2:], kernel, stride, padding, dilation)), x.dtype


def infer_fold(y: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Any:
    return (*y.shape[:2], *spatial), y.dtype


# fmt: off
# <convolution(x, w), y> = <x, convolution_input(y, w)> = <w, convolution_weight(y, x)>
P = "stride padding dilation groups"
L = "ConvolutionBackward0"
convolution = structural("convolution", "x weight *bias", infer_convolution, params=P, label=L,
    x=lambda g, weight, x_shape, stride, padding, dilation, groups:
        convolution_input(g, weight, tuple(x_shape[2:]), stride, padding, dilation, groups),
    weight=lambda g, x, weight_shape, stride, padding, dilation, groups:
        convolution_weight(g, x, tuple(weight_shape[2:]), stride, padding, dilation, groups),
    bias=lambda g: r.sum_(g, (0, *range(2, len(g.shape))), False))
convolution_input = structural("convolution_input", "y weight", infer_input, params=f"spatial {P}", label=L,
    y=lambda g, weight, stride, padding, dilation, groups:
        convolution(g, weight, (), stride, padding, dilation, groups),
    weight=lambda g, y, weight_shape, stride, padding, dilation, groups:
        convolution_weight(y, g, tuple(weight_shape[2:]), stride, padding, dilation, groups))
convolution_weight = structural("convolution_weight", "y x", infer_weight, params=f"kernel {P}", label=L,
    y=lambda g, x, stride, padding, dilation, groups:
        convolution(x, g, (), stride, padding, dilation, groups),
    x=lambda g, y, x_shape, stride, padding, dilation, groups:
        convolution_input(y, g, tuple(x_shape[2:]), stride, padding, dilation, groups))

unfold_windows = structural("unfold_windows", "x", infer_unfold, params="kernel stride padding dilation",
    label="Im2ColBackward0", x=lambda g, x_shape, kernel, stride, padding, dilation:
        fold_windows(g, kernel, stride, padding, dilation, tuple(x_shape[2:])))
fold_windows = structural("fold_windows", "y", infer_fold, params="kernel stride padding dilation spatial",
    label="Col2ImBackward0", y=lambda g, kernel, stride, padding, dilation:
        unfold_windows(g, kernel, stride, padding, dilation))
# fmt: on


# ---- faces
def _checked(name: str, input: Any, weight: Any, bias: Any, groups: int, dims: int, transposed: bool) -> None:
    """Raise RuntimeError where input, weight and bias do not belong together."""
    kind_of(name, input)
    kind_of(name, weight, "weight")
    shape, taken, kind = weight._array.shape, input._array.shape, input.dtype
    if len(shape) != dims + 2:
        raise RuntimeError(
            f"{name}: expected {dims + 2}-dimensional weight for {dims + 1} or {dims + 2}-dimensional input, but got weight of "
            f"size {list(shape)}"
        )
    for what, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype is not kind:
            raise RuntimeError(
                f"{name}: Input type ({kind}) and {what} type ({value.dtype}) should be the same; convert one with .to()"
            )
    if groups <= 0:
        raise RuntimeError(f"{name}: non-positive groups is not supported: groups={groups}")
    channels = shape[0] if transposed else shape[1] * groups
    if shape[0] % groups or shape[0] < groups:
        raise RuntimeError(
            f"{name}: Given groups={groups}, expected weight to be at least {groups} at dimension 0 and divisible by {groups}, "
            f"but got weight of size {list(shape)}"
        )
    if taken[1] != channels:
        raise RuntimeError(
            f"{name}: Given groups={groups}, weight of size {list(shape)}, expected input{list(taken)} to have "
            f"{channels} channels, but got {taken[1]} channels instead"
        )
    made = shape[1] * groups if transposed else shape[0]
    if bias is not None and tuple(bias._array.shape) != (made,):
        raise RuntimeError(
            f"{name}: Given weight of size {list(shape)}, expected bias to be 1-dimensional with {made} elements, but "
            f"got bias of size {list(bias.shape)} instead"
        )


def _same(name: str, x: Any, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[Any, Ints]:
    """Return x, and the padding that keeps its size; where that is odd, x has one more element at its end."""
    if any(n != 1 for n in stride):
        raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions: stride={list(stride)}")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if any(n % 2 for n in total):
        x = constant_pad_(x, ((0, 0),) * 2 + tuple((0, n % 2) for n in total), 0)
    return x, tuple(n // 2 for n in total)


def _convolved(dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    name = NAMES[dims]
    x, single = batched(name, input, dims)
    _checked(name, x, weight, bias, groups, dims, False)
    stride, dilation = per_dim(name, "stride", stride, dims), per_dim(name, "dilation", dilation, dims)
    positive(name, stride=stride, dilation=dilation)
    kernel = tuple(weight._array.shape[2:])
    if padding == "same":
        x, padding = _same(name, x, kernel, stride, dilation)
    elif isinstance(padding, str):
        if padding != "valid":
            raise RuntimeError(f"{name}: invalid padding string {padding!r}: it must be 'same' or 'valid'")
        padding = (0,) * dims
    else:
        padding = per_dim(name, "padding", padding, dims)
        positive(name, padding=padding)
    padded = [n + 2 * p for n, p in zip(x._array.shape[2:], padding, strict=True)]
    window = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if min(kernel) < 1 or any(w > n for w, n in zip(window, padded, strict=True)):
        raise RuntimeError(
            f"{name}: Calculated padded input size per channel: {padded}. Kernel size: {window}. Kernel size can't be greater "
            f"than actual input size, nor zero"
        )
    return unbatched(convolution(x, weight, () if bias is None else (bias,), stride, padding, dilation, groups), single)


def _transposed(
    dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Any:
    name = f"conv_transpose{dims}d"
    x, single = batched(name, input, dims)
    _checked(name, x, weight, bias, groups, dims, True)
    stride, dilation = per_dim(name, "stride", stride, dims), per_dim(name, "dilation", dilation, dims)
    padding, more = per_dim(name, "padding", padding, dims), per_dim(name, "output_padding", output_padding, dims)
    positive(name, stride=stride, dilation=dilation, padding=padding, output_padding=more)
    if any(m >= max(a, b) for m, a, b in zip(more, stride, dilation, strict=True)):
        raise RuntimeError(
            f"{name}: output padding must be smaller than either stride or dilation, but got output_padding={list(more)}, "
            f"stride={list(stride)}, dilation={list(dilation)}"
        )
    after = tuple((0, m // step) for m, step in zip(more, stride, strict=True))
    if any(n for _, n in after):  # the result reaches over further windows, which add nothing to it
        x = constant_pad_(x, ((0, 0), (0, 0), *after), 0)
    every = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, more, strict=True)
    spatial = tuple([(n - 1) * step - 2 * p + d * (k - 1) + m % step + 1 for n, k, step, p, d, m in every])
    if min(spatial) < 1 or min(weight.shape[2:]) < 1:
        raise RuntimeError(
            f"{name}: Given input size per channel: {list(x.shape[2:])}. Calculated output size per channel: {list(spatial)}. "
            f"Output size is too small"
        )
    result = convolution_input(x, weight, spatial, stride, padding, dilation, groups)
    if bias is not None:
        result = relabel(result + s.reshape(bias, (bias.shape[0], *(1,) * dims)), L)
    return unbatched(result, single)


NAMES = {1: "conv1d", 2: "conv2d", 3: "conv3d"}


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Return the sums of products of weight (out, in / groups, k) with each window of input (batch, in, n), plus bias.

    padding: zeros put at both ends, or "same" (the size stays) or "valid" (none). Raises RuntimeError for sizes and types
    that do not fit.
    """
    return _convolved(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Return the sums of products of weight (out, in / groups, kh, kw) with each window of input (batch, in, h, w), plus bias.

    As `conv1d`.
    """
    return _convolved(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Return the sums of products of weight (out, in / groups, kd, kh, kw) with each window of input, plus bias.

    As `conv1d`.
    """
    return _convolved(3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Any:  # fmt: skip
    """Return the gradient of `conv1d` as a function: each element adds weight (in, out / groups, k) times it to a window.

    Raises RuntimeError for sizes and types that do not fit.
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Any:  # fmt: skip
    """Return the gradient of `conv2d` as a function: each element adds weight (in, out / groups, kh, kw) times it to a window.

    As `conv_transpose1d`.
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1,
) -> Any:  # fmt: skip
    """Return the gradient of `conv3d` as a function. As `conv_transpose1d`."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Return the convolution over time of input (time, batch, in) with weight (k, in, out), plus bias: (time, batch, out)."""
    for what, x in (("input", input), ("weight", weight)):
        if len(x.shape) != 3:
            raise RuntimeError(f"conv_tbc: {what} of 3 dims is expected, got {list(x.shape)}")
    x, kernel = s.transpose_(input, (1, 2, 0)), s.transpose_(weight, (2, 1, 0))
    return s.transpose_(_convolved(1, x, kernel, bias, 1, pad, 1, 1), (2, 0, 1))


def any_convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, output_padding: Any,
    groups: int,
) -> Any:  # fmt: skip
    """Return a convolution of as many dims as weight has behind its first two, or, if transposed, the transpose of one."""
    dims = len(weight.shape) - 2
    if dims not in NAMES:
        raise RuntimeError(f"convolution: weight of 3 to 5 dims is expected, got {list(weight.shape)}")
    if transposed:
        return _transposed(dims, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolved(dims, input, weight, bias, stride, padding, dilation, groups)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Return the windows of images (batch, channels, h, w) as columns, (batch, channels * kh * kw, windows)."""
    x, single = batched("unfold", input, 2)
    window = _window("unfold", kernel_size, stride, padding, dilation)
    size = sizes(x.shape[2:], *window)
    if min(size) < 1 or not x.shape[1] or min(x.shape[2:]) < 1:
        raise RuntimeError(
            f"unfold: Given input with spatial size {list(x.shape[2:])} and windows of {list(window[0])}, calculated shape of "
            f"the array of sliding blocks as {list(size)}, which is too small (non-positive)"
        )
    columns = unfold_windows(x, *window)
    shape = (x.shape[0], x.shape[1] * math.prod(window[0]), math.prod(size))
    return unbatched(relabel(s.reshape(columns, shape), "Im2ColBackward0"), single)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Return images of output_size, each element the sum over the columns it stands in: the transpose of `unfold`."""
    x, single = batched("fold", input, 1)
    window = _window("fold", kernel_size, stride, padding, dilation)
    spatial = per_dim("fold", "output_size", output_size, 2)
    places, size = math.prod(window[0]), sizes(spatial, *window)
    if x.shape[1] % places or x.shape[2] != math.prod(size) or min(size) < 1:
        raise RuntimeError(
            f"fold: Given output_size={list(spatial)}, kernel_size={list(window[0])}, dilation={list(window[3])}, "
            f"padding={list(window[2])}, stride={list(window[1])}, expected input of size (batch, a multiple of {places}, "
            f"{' * '.join(map(str, size))}), but got {list(x.shape)}"
        )
    columns = s.reshape(x, (x.shape[0], x.shape[1] // places, places, *size))
    return unbatched(fold_windows(columns, *window, spatial), single)


def _window(name: str, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Ints, Ints, Ints, Ints]:
    given = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    made = {what: per_dim(name, what, value, 2) for what, value in given.items()}
    positive(name, **made)
    return made["kernel_size"], made["stride"], made["padding"], made["dilation"]
