"""Pooling: windows of images reduced to their maximum, mean or norm, windows of a given size or a given number of them.

Owns: the records of the maximum (its place in a window, and what is put there or taken from there) and of the sum, and the
faces over them. May import: wengert.extend, windows, taps. Must not know: devices; kernels are registered by name.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from wengert.extend import category, dtypes, e, indexing, ints, kind_of, r, random, relabel, s, structural, tensor_like
from wengert_nn.taps import Table, grouped, resample
from wengert_nn.windows import Ints, batched, per_dim, positive, unbatched, winner_type


def _outer(shape: Any, kernel: Ints) -> tuple[int, ...]:
    return tuple(shape[: len(shape) - len(kernel)])


def infer_pool(x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Any:
    return (*_outer(x.shape, kernel), *size), x.dtype


def infer_winner(x: Any, out: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Any:
    return out.shape, winner_type(kernel)


def infer_put(y: Any, winner: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Any:
    return (*_outer(y.shape, kernel), *spatial), y.dtype


def infer_take(x: Any, winner: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Any:
    return winner.shape, x.dtype


def infer_sum(x: Any, kernel: Ints, stride: Ints, padding: Ints, size: Ints, scale: float) -> Any:
    return (*_outer(x.shape, kernel), *size), x.dtype


# fmt: off
# size, spatial: of the windows and of the image; winner: the number of the place that a window's maximum has in it
W = "kernel stride padding dilation"
pool_max    = structural("pool_max", "x", infer_pool, params=f"{W} size", label=lambda kernel, *_:
    f"MaxPool{len(kernel)}DWithIndicesBackward0",
    x=lambda g, x, out, x_shape, kernel, stride, padding, dilation, size: pool_put(
        g, pool_winner(x, out, kernel, stride, padding, dilation, size), kernel, stride, padding, dilation,
        tuple(x_shape[-len(kernel):])), rows="c -> c")
pool_winner = structural("pool_winner", "x out", infer_winner, params=f"{W} size", constant=True, rows="c c -> c")
pool_put    = structural("pool_put", "y winner", infer_put, params=f"{W} spatial",
    y=lambda g, winner, kernel, stride, padding, dilation: pool_take(g, winner, kernel, stride, padding, dilation),
    rows="c c -> c")
pool_take   = structural("pool_take", "x winner", infer_take, params=W,
    x=lambda g, winner, x_shape, kernel, stride, padding, dilation:
        pool_put(g, winner, kernel, stride, padding, dilation, tuple(x_shape[-len(kernel):])))

# scale times the sum over each window, and its transpose
pool_sum    = structural("pool_sum", "x", infer_sum, params="kernel stride padding size scale",
    label=lambda kernel, *_: f"AvgPool{len(kernel)}DBackward0",
    x=lambda g, x_shape, kernel, stride, padding, scale:
        pool_spread(g, kernel, stride, padding, tuple(x_shape[-len(kernel):]), scale), rows="c -> c")
pool_spread = structural("pool_spread", "y", infer_sum, params="kernel stride padding spatial scale",
    y=lambda g, y_shape, kernel, stride, padding, scale:
        pool_sum(g, kernel, stride, padding, tuple(y_shape[-len(kernel):]), scale), rows="c -> c")
# fmt: on


# ---- arguments
class Window(NamedTuple):
    """The windows of a pool: tuples with an entry per spatial dim."""

    kernel: Ints
    stride: Ints
    padding: Ints
    dilation: Ints
    size: Ints  # how many


def _window(name: str, spatial: Ints, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Window:
    """Return the windows over an image. Raises RuntimeError where there are none, or no such windows."""
    dims = len(spatial)
    kernel = per_dim(name, "kernel_size", kernel, dims)
    same = stride is None or (isinstance(stride, tuple | list) and not stride)
    stride = kernel if same else per_dim(name, "stride", stride, dims)
    padding, dilation = per_dim(name, "padding", padding, dims), per_dim(name, "dilation", dilation, dims)
    return _windows(name, spatial, kernel, stride, padding, dilation, bool(ceil_mode))


@functools.lru_cache(256)
def _windows(name: str, spatial: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Window:
    positive(name, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation)
    size = []
    for n, k, step, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        if 2 * p > reach:
            raise RuntimeError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
        rest = n + 2 * p - reach
        count = (rest + step - 1 if ceil_mode else rest) // step + 1
        if ceil_mode and (count - 1) * step >= n + p:  # the last window would begin behind the padded image
            count -= 1
        size.append(count)
    if min(size) < 1:
        raise RuntimeError(
            f"{name}: Given input size: {tuple(spatial)}. Calculated output size: {tuple(size)}. Output size is too small"
        )
    return Window(kernel, stride, padding, dilation, tuple(size))


def _images(name: str, input: Any, dims: int) -> Ints:
    """Return the size of images. Raises RuntimeError where input is no image, or batch of images, with channels."""
    kind_of(name, input)
    shape: Ints = input._array.shape
    ndim = len(shape)
    if ndim not in (dims + 1, dims + 2) or 0 in (shape[1:] if ndim == dims + 2 else shape):
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got: {list(input.shape)}"
        )
    return shape[-dims:]


def _numbers(name: str, input: Any) -> None:
    if category(kind_of(name, input)) < dtypes.FLOATING:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}; convert with .float()")


# ---- the maximum
def _max_pool(
    dims: int, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, return_indices: bool
) -> Any:
    name = f"max_pool{dims}d"
    spatial, kind = _images(name, input, dims), input._array.dtype
    if kind == dtypes.B8 or category(kind) == dtypes.COMPLEX:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}")
    window = _window(name, spatial, kernel, stride, padding, dilation, ceil_mode)
    values = pool_max(input, *window)
    if not return_indices:
        return values
    return values, _positions(pool_winner(input.detach(), values.detach(), *window), spatial, window)


def _positions(winner: Any, spatial: Ints, window: Window) -> Any:
    """Return where in its image, flattened, each winner is."""
    number = winner.to(dtypes.int64)
    dims = len(spatial)
    flat: Any = 0
    for i in range(dims):
        inner = math.prod(window.kernel[i + 1 :])
        at = e.remainder(e.floor_divide(number, inner), window.kernel[i])
        first = np.arange(window.size[i]) * window.stride[i] - window.padding[i]
        start = tensor_like(number, first.reshape(-1, *(1,) * (dims - 1 - i)))
        flat = flat * spatial[i] + (start + at * window.dilation[i])
    return flat


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Return the maximum of each window of the last dim; with return_indices also where it is.

    stride: kernel_size by default; ceil_mode: a last window may reach over the end. Raises RuntimeError for windows that do
    not fit.
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Return the maximum of each window of the last two dims; with return_indices also where it is. As `max_pool1d`."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Return the maximum of each window of the last three dims; with return_indices also where it is. As `max_pool1d`."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(pool: Any) -> Any:
    @functools.wraps(pool)
    def run(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Any:
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    return run


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = (
    _with_indices(pool) for pool in (max_pool1d, max_pool2d, max_pool3d)
)


def _picked(name: str, input: Any, positions: Any, size: Ints, label: str) -> tuple[Any, Any]:
    """Return the maxima over given elements of each image, and where they are.

    positions: (images or 1, windows, elements) of the flattened images.
    """
    dims = len(size)
    outer = tuple(input.shape[: len(input.shape) - dims])
    planes, length = math.prod(outer), math.prod(input.shape[len(outer) :])
    flat = s.reshape(input, (planes, length))
    windows, elements = positions.shape[1:]
    wanted = s.broadcast_to(tensor_like(input, positions), (planes, windows, elements))
    found = indexing.gather(flat.detach(), 1, s.reshape(wanted, (planes, windows * elements)))
    best = r.argmax_(s.reshape(found, (planes, windows, elements)), 2, True)
    indices = s.reshape(indexing.gather(wanted, 2, best), (planes, windows))
    values = indexing.gather(flat, 1, indices)
    return relabel(s.reshape(values, (*outer, *size)), label), s.reshape(indices, (*outer, *size))


# ---- windows of which the number is given
def _size(name: str, input: Any, output_size: Any, dims: int) -> Ints:
    given = (None,) if output_size is None else ints(output_size)
    if len(given) == 1:
        given *= dims
    if len(given) != dims:
        raise RuntimeError(f"{name}: output_size must be {dims} numbers, got {list(given)}")
    size = tuple(input.shape[i - dims] if n is None else int(n) for i, n in enumerate(given))
    if min(size) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 but received {list(size)}")
    return size


@functools.lru_cache(256)
def _shares(n: int, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the elements of `count` windows that cover n, as (longest, count), and how many of them each window has."""
    number = np.arange(count)
    start, end = number * n // count, -((number + 1) * n // -count)
    lengths = end - start
    inner = np.arange(lengths.max(initial=1))[:, None]
    return start + np.minimum(inner, lengths - 1), lengths


@functools.lru_cache(256)
def _mean_table(n: int, count: int) -> Table:
    indices, lengths = _shares(n, count)
    tap, window = np.nonzero(np.arange(len(indices))[:, None] < lengths)
    return grouped(n, count, indices[tap, window], window, 1 / lengths[window])


def _adaptive_avg(dims: int, input: Any, output_size: Any) -> Any:
    name = f"adaptive_avg_pool{dims}d"
    spatial = _images(name, input, dims)
    _numbers(name, input)
    size = _size(name, input, output_size, dims)
    label = f"AdaptiveAvgPool{dims}DBackward0"
    if size == (1,) * dims:
        return r.mean_(input, tuple(range(len(input.shape) - dims, len(input.shape))), True)
    if all(m and not n % m for n, m in zip(spatial, size, strict=True)):
        kernel = tuple(n // m for n, m in zip(spatial, size, strict=True))
        return relabel(pool_sum(input, kernel, kernel, (0,) * dims, size, 1 / math.prod(kernel)), label)
    for i in reversed(range(dims)):
        input = resample(input, len(input.shape) - dims + i, _mean_table(spatial[i], size[i]))
    return relabel(input, label)


def _adaptive_max(dims: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{dims}d"
    spatial = _images(name, input, dims)
    _numbers(name, input)
    size = _size(name, input, output_size, dims)
    label = f"AdaptiveMaxPool{dims}DBackward0"
    if all(m and not n % m for n, m in zip(spatial, size, strict=True)):
        kernel = tuple(n // m for n, m in zip(spatial, size, strict=True))
        window = Window(kernel, kernel, (0,) * dims, (1,) * dims, size)
        values = relabel(pool_max(input, *window), label)
        if not return_indices:
            return values
        return values, _positions(pool_winner(input.detach(), values.detach(), *window), spatial, window)
    flat: Any = np.zeros((1, 1), np.int64)  # (windows, elements)
    for n, m in zip(spatial, size, strict=True):
        own = _shares(n, m)[0].T
        flat = (flat * n)[:, None, :, None] + own[None, :, None, :]
        flat = flat.reshape(flat.shape[0] * m, -1)
    values, indices = _picked(name, input, flat[None], size, label)
    return (values, indices) if return_indices else values


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Return the means of output_size windows that cover the last dim."""
    return _adaptive_avg(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Return the means of output_size windows that cover the last two dims; None keeps a dim's size."""
    return _adaptive_avg(2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Return the means of output_size windows that cover the last three dims; None keeps a dim's size."""
    return _adaptive_avg(3, input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of output_size windows that cover the last dim; with return_indices also where they are."""
    return _adaptive_max(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of output_size windows that cover the last two dims; with return_indices also where they are."""
    return _adaptive_max(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of output_size windows that cover the last three dims; with return_indices also where they are."""
    return _adaptive_max(3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(input: Any, output_size: Any) -> Any:
    """Return the maxima of output_size windows that cover the last dim, and where they are."""
    return _adaptive_max(1, input, output_size, True)


def adaptive_max_pool2d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of output_size windows that cover the last two dims, and where they are."""
    return _adaptive_max(2, input, output_size, True)


def adaptive_max_pool3d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of output_size windows that cover the last three dims, and where they are."""
    return _adaptive_max(3, input, output_size, True)


# ---- means and norms
def _avg_pool(
    dims: int, input: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor: Any = None
) -> Any:
    name = f"avg_pool{dims}d"
    spatial, kind = _images(name, input, dims), input._array.dtype
    if kind == dtypes.B8 or category(kind) == dtypes.COMPLEX:
        raise NotImplementedError(f"{name} is not implemented for {input.dtype}")
    if divisor == 0:
        raise RuntimeError(f"{name}: divisor must be not zero")
    window = _window(name, spatial, kernel, stride, padding, 1, ceil_mode)
    where = (window.kernel, window.stride, window.padding, window.size)
    counts = None if divisor is not None else _counts(spatial, window, bool(count_include_pad))
    share: Any = divisor or math.prod(window.kernel)
    integers = category(kind) < dtypes.FLOATING
    if counts is None and not integers:
        return pool_sum(input, *where, 1 / share)
    if counts is not None:
        share = tensor_like(input, counts.astype(kind))
    total = pool_sum(input, *where, 1)
    return e.trunc_divide(total, share) if integers else relabel(total / share, f"AvgPool{dims}DBackward0")


@functools.lru_cache(256)
def _counts(spatial: Ints, window: Window, with_padding: bool) -> np.ndarray[Any, Any] | None:
    """Return by how much each window's sum is divided; None where all of them are divided by their size."""
    counts: Any = np.ones(())
    for n, k, step, p, count in zip(spatial, window.kernel, window.stride, window.padding, window.size, strict=True):
        start = np.arange(count) * step - p
        end = np.minimum(start + k, n + p)
        own = end - start if with_padding else np.minimum(end, n) - np.maximum(start, 0)
        counts = counts[..., None] * own
    return None if (counts == math.prod(window.kernel)).all() else counts


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
) -> Any:
    """Return the mean of each window of the last dim. count_include_pad: the zeros of the padding count.

    Raises RuntimeError for windows that do not fit.
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:  # fmt: skip
    """Return the mean of each window of the last two dims; its sum is divided by divisor_override, if given.

    As `avg_pool1d`.
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:  # fmt: skip
    """Return the mean of each window of the last three dims; its sum is divided by divisor_override, if given.

    As `avg_pool1d`.
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(dims: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    kernel = per_dim(f"lp_pool{dims}d", "kernel_size", kernel_size, dims)
    mean = _avg_pool(dims, e.power_number(input, norm_type), kernel, stride, 0, ceil_mode, True)
    total = e.sign(mean) * e.relu(e.absolute(mean)) * math.prod(kernel)
    return e.power_number(total, 1 / norm_type)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Return (sum x^p)^(1/p) of each window of the last dim, p being norm_type."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Return (sum x^p)^(1/p) of each window of the last two dims, p being norm_type."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Return (sum x^p)^(1/p) of each window of the last three dims, p being norm_type."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


# ---- the way back
def _max_unpool(dims: int, input: Any, indices: Any, kernel: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    name = f"max_unpool{dims}d"
    _images(name, input, dims)
    if indices._array.dtype != dtypes.I64:
        raise RuntimeError(f"{name}: elements in indices should be type int64 but got: {indices.dtype}")
    if tuple(indices.shape) != tuple(input.shape):
        raise RuntimeError(
            f"{name}: Expected shape of indices to be same as that of the input tensor {list(input.shape)}, but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    kernel = per_dim(name, "kernel_size", kernel, dims)
    stride = kernel if stride is None else per_dim(name, "stride", stride, dims)
    padding = per_dim(name, "padding", padding, dims)
    if min(stride) < 1:
        raise RuntimeError(f"{name}: strides should be greater than zero, but got stride: {list(stride)}")
    every = zip(input.shape[-dims:], kernel, stride, padding, strict=True)
    usual = tuple((n - 1) * step + k - 2 * p for n, k, step, p in every)
    spatial = usual
    if output_size is not None:
        spatial = tuple(output_size)[-dims:]
        if len(output_size) not in (dims, dims + 1, dims + 2) or not all(
            m - step < n < m + step for n, m, step in zip(spatial, usual, stride, strict=True)
        ):
            raise ValueError(f"{name}: invalid output_size {tuple(output_size)}: each size must be within a stride of {usual}")
    outer = tuple(input.shape[: len(input.shape) - dims])
    planes, length, count = math.prod(outer), math.prod(spatial), math.prod(input.shape[len(outer) :])
    flat = s.reshape(indices, (planes, count))
    if indices._array.size and not (0 <= int(r.amin_(flat, None, False)) and int(r.amax_(flat, None, False)) < length):
        raise RuntimeError(f"{name}: found an invalid max index: all must be in [0, {length}), the output being {spatial}")
    empty = s.filled(input, (planes, length), 0, None)
    rows = tensor_like(input, np.arange(planes)[:, None])
    made = indexing.index_put(empty, s.reshape(input, (planes, count)), (rows, flat), (0, 1), False)
    return relabel(s.reshape(made, (*outer, *spatial)), f"MaxUnpool{min(dims, 2) if dims < 3 else 3}DBackward0")


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Return zeros with input at the indices that `max_pool1d` gave. Raises RuntimeError for an index out of range."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Return zeros with input at the indices that `max_pool2d` gave. Raises RuntimeError for an index out of range."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Return zeros with input at the indices that `max_pool3d` gave. Raises RuntimeError for an index out of range."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# ---- windows at random places
def _fractional(
    dims: int, input: Any, kernel: Any, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
) -> Any:
    name = f"fractional_max_pool{dims}d"
    _images(name, input, dims)
    _numbers(name, input)
    spatial = tuple(input.shape[-dims:])
    kernel = per_dim(name, "kernel_size", kernel, dims)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratio = (output_ratio,) * dims if isinstance(output_ratio, float) else tuple(output_ratio)
        output_size = tuple(int(n * part) for n, part in zip(spatial, ratio, strict=True))
    size = per_dim(name, "output_size", output_size, dims)
    if min(kernel) < 1 or min(size) < 1 or any(m + k - 1 > n for n, m, k in zip(spatial, size, kernel, strict=True)):
        raise RuntimeError(
            f"{name}: {list(size)} windows of {list(kernel)} do not fit an input of {list(spatial)}: pool size too large"
        )
    x, single = batched(name, input, dims)
    planes = x.shape[0] * x.shape[1]
    if samples is None:
        samples = random.rand(*x.shape[:2], dims, dtype=input.dtype)
    drawn = samples.detach().cpu().numpy().reshape(-1, dims)[:planes]
    flat: Any = np.zeros((planes, 1, 1), np.int64)
    for i in range(dims):
        n, m, k = spatial[i], size[i], kernel[i]
        own = _starts(drawn[:, dims - 1 - i, None], n, m, k)[..., None] + np.arange(k)
        flat = (flat * n)[:, :, None, :, None] + own[:, None, :, None, :]
        flat = flat.reshape(planes, flat.shape[1] * m, flat.shape[3] * k)
    values, indices = _picked(name, x, flat, size, f"FractionalMaxPool{dims}DBackward0")
    values, indices = unbatched(values, single), unbatched(indices, single)
    return (values, indices) if return_indices else values


def _starts(sample: Any, n: int, count: int, kernel: int) -> Any:
    """Return where windows begin: steps of a fractional length, moved by the sample and rounded down; the last at the end."""
    if count == 1:
        return np.full(sample.shape, n - kernel)
    step = (n - kernel) / (count - 1)
    starts = np.floor((np.arange(count) + sample) * step).astype(np.int64) - np.floor(sample * step).astype(np.int64)
    starts[:, -1] = n - kernel
    return starts


def fractional_max_pool2d(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Return the maxima of windows of the last two dims whose places are drawn; their number is output_size."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Return the maxima of windows of the last three dims whose places are drawn; their number is output_size."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool2d_with_indices(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Return the maxima of windows of the last two dims whose places are drawn, and where they are."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, True, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Return the maxima of windows of the last three dims whose places are drawn, and where they are."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, True, _random_samples)
