"""Windows that slide over the last dims of an array: convolution, unfolding and pooling on devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array. May import: the arithmetic of windows; the backend
brings its modules.
Must not know: tensors, gradients. No kernel loops over elements: only over the places of one window, and over blocks of
images whose columns fit the cache. Sizes, kernel, stride, padding and dilation are tuples with an entry per spatial dim.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from wengert_nn.windows import Ints, sizes, winner_type

CACHE = 1 << 19  # bytes of columns that are made and multiplied at a time
COLUMNS = 256  # at least: BLAS copies a large weight for each product, which takes as long as a few columns of it
FEW = 1 << 13  # elements of all windows up to which these are gathered: by one call, and not by one for each place of a window


# ---- windows as slices
def spans(n: int, size: int, at: int, stride: int, padding: int, dilation: int) -> tuple[slice, slice] | None:
    """Return which of `size` windows have their element `at` inside a dim of n, and which elements those are."""
    first = at * dilation - padding
    low = max(0, -(first // stride))
    high = min(size, (n - 1 - first) // stride + 1)
    if high <= low:
        return None
    start = first + low * stride
    return slice(low, high), slice(start, start + (high - low - 1) * stride + 1, stride)


Places = tuple[tuple[int, Any, Any], ...]
Lines = tuple[tuple[bool, Any, Any], ...]


def places(shape: Ints, size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Places:
    """Return each place of the window: its number, an index of the windows that have it inside, one of those elements."""
    return _places(shape[-len(kernel) :], size, kernel, stride, padding, dilation)


@functools.lru_cache(256)
def _places(spatial: Ints, size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Places:
    made = []
    for number, offset in enumerate(itertools.product(*map(range, kernel))):
        found = [spans(*v) for v in zip(spatial, size, offset, stride, padding, dilation, strict=True)]
        inside = [f for f in found if f is not None]
        if len(inside) == len(found):
            made.append((number, (..., *(f[0] for f in inside)), (..., *(f[1] for f in inside))))
    return tuple(made)


@functools.lru_cache(256)
def lines(n: int, size: int, kernel: int, stride: int, padding: int, dilation: int, axis: int) -> Lines:
    """Return the places of a window along one dim (axis is negative): as `places`, and whether all windows have it inside;
    those places come first."""
    rest = (slice(None),) * (-axis - 1)
    found = [spans(n, size, at, stride, padding, dilation) for at in range(kernel)]
    made = [(f[0] == slice(0, size), (..., f[0], *rest), (..., f[1], *rest)) for f in found if f is not None]
    return tuple(sorted(made, key=lambda line: not line[0]))


@functools.lru_cache(256)
def corners(spatial: Ints, size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Any:
    """Return where windows begin in a flattened image, and how far from there each of their places is; None where a window has
    no place inside."""
    begin = off = np.zeros(1, np.int64)
    for n, m, k, step, p, d in zip(spatial, size, kernel, stride, padding, dilation, strict=True):
        first, inner = np.arange(m) * step - p, np.arange(k) * d
        at = first[:, None] + inner
        if not ((at >= 0) & (at < n)).any(1).all():
            return None
        begin, off = (begin[:, None] * n + first).reshape(-1), (off[:, None] * n + inner).reshape(-1)
    return begin, off


@functools.lru_cache(64)
def gathering(spatial: Ints, size: Ints, *window: Ints) -> Any:
    """Return the elements of each window of a flattened image, (places, windows) and its transpose, and the numbers of their
    places, where some are outside: the first one inside stands for these. None as in `corners`."""
    found = corners(spatial, size, *window)
    if found is None:
        return None
    begin, off = found
    inside = np.zeros((len(off), *size), bool)
    for number, windows, _ in _places(spatial, size, *window):
        inside[number][windows] = True
    inside = inside.reshape(len(off), -1).T
    numbers = np.where(inside, np.arange(len(off)), inside.argmax(1)[:, None])
    elements = begin[:, None] + off[numbers]
    return np.array(elements.T, order="C"), elements, None if inside.all() else numbers.reshape(-1)


def gathered(x: Any, kernel: Ints, size: Ints, *rest: Ints) -> Any:
    """Return what `gathering` does for the images of a host array whose windows are few, else None."""
    dims = len(kernel)
    few = type(x) is np.ndarray and 0 < math.prod((*x.shape[:-dims], *size, *kernel)) <= FEW
    return gathering(x.shape[-dims:], size, kernel, *rest) if few else None


def added(at: Any, values: Any, shape: Ints) -> Any:
    """Return the sums of values at places in a flattened array of a shape."""
    return np.bincount(at, values.reshape(-1), math.prod(shape)).astype(values.dtype).reshape(shape)


def chosen(shape: Ints, winner: Any, *window: Ints) -> Any:
    """Return where the places that `winner` numbers are in flattened images of a shape; None as in `corners`, or off the
    host."""
    dims = len(window[0])
    found = corners(shape[-dims:], winner.shape[-dims:], *window) if type(winner) is np.ndarray else None
    if found is None:
        return None
    begin, off = found
    made = off.take(winner.reshape(-1, len(begin)))
    made += begin
    made += np.arange(0, math.prod(shape), math.prod(shape[-dims:]))[:, None]
    return made.reshape(-1)


def resized(x: Any, axis: int, n: int) -> Ints:
    """Return the shape of x with another size along axis."""
    return (*x.shape[:axis], n, *x.shape[x.ndim + axis + 1 :])


def swept(
    xp: Any, x: Any, function: Any, start: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints
) -> Any:
    """Reduce every window by a ufunc, one dim after another: 2 k steps for a window of k * k."""
    for i in reversed(range(len(kernel))):
        axis = i - len(kernel)
        steps = lines(x.shape[axis], size[i], kernel[i], stride[i], padding[i], dilation[i], axis)
        made = xp.empty(resized(x, axis, size[i]), x.dtype)
        whole = [elements for complete, _, elements in steps[:2] if complete]
        if len(whole) == 2:
            function(x[whole[0]], x[whole[1]], out=made)
        else:
            made[...] = x[whole[0]] if whole else start
        for _, windows, elements in steps[len(whole) :]:
            part = made[windows]
            function(part, x[elements], out=part)
        x = made
    return x


# ---- pooling
def reduced(function: Any, x: Any, elements: Any, size: Ints) -> Any:
    """Reduce the windows of a host array by a ufunc, (places, windows) being their elements in a flattened image."""
    outer = x.shape[: -len(size)]
    windows = x.reshape(math.prod(outer), -1).take(elements, 1)
    return function.reduce(windows, 1, x.dtype).reshape(*outer, *size)


def pool_max(backend: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Any:
    xp = backend.xp
    few = gathered(x, kernel, size, stride, padding, dilation)
    if few is not None:
        return reduced(np.maximum, x, few[0], size)
    lowest = -math.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
    return swept(xp, x, xp.maximum, lowest, kernel, stride, padding, dilation, size)


def pool_winner(backend: Any, x: Any, out: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, size: Ints) -> Any:
    """Number the place of each window's maximum: the first of equal ones, the last nan.

    By arithmetic on small integers: to choose elements by a mask costs ten times as much where the mask is random.
    """
    xp, kind = backend.xp, winner_type(kernel)
    # a device is not asked: it would wait
    odd = x.dtype.kind == "f" and (type(x) is not np.ndarray or bool(xp.isnan(out).any()))
    few = None if odd else gathered(x, kernel, size, stride, padding, dilation)
    if few is not None:
        _, elements, numbers = few
        winner = x.reshape(-1, math.prod(x.shape[-len(kernel) :])).take(elements, 1).argmax(2)
        if numbers is not None:
            winner = numbers.take(np.arange(0, elements.size, elements.shape[1]) + winner)
        return winner.astype(kind).reshape(out.shape)
    every = places(x.shape, size, kernel, stride, padding, dilation)
    complete = bool(every) and every[-1][1][1:] == tuple([slice(0, n) for n in size])
    # where all windows have the last place inside, the maximum that all others miss is there
    winner = xp.full(out.shape, every[-1][0] if complete else xp.iinfo(kind).max, kind)
    for number, windows, elements in every[: -1 if complete else None]:
        misses = (x[elements] != out[windows]).astype(kind)
        part = winner[windows]
        xp.minimum(part, -misses | kind.type(number), out=part)  # all bits are set where it is not the maximum
    if odd:
        for number, windows, elements in every:
            xp.copyto(winner[windows], kind.type(number), where=xp.isnan(x[elements]))
    return winner


def kept(xp: Any, g: Any, where: Any) -> Any:
    """Return g where a mask holds, else 0, also for a g that is not finite: without a branch, by the bits of its floats."""
    bits = xp.dtype(f"i{g.dtype.itemsize}")
    return (xp.ascontiguousarray(g).view(bits) & -where.astype(bits)).view(g.dtype)


def pool_put(
    backend: Any, g: Any, winner: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints
) -> Any:
    xp = backend.xp
    size, shape = g.shape[-len(kernel) :], (*g.shape[: -len(kernel)], *spatial)
    apart = all(s > (k - 1) * d for k, s, d in zip(kernel, stride, dilation, strict=True))
    if (not apart or g.size <= FEW) and (at := chosen(shape, winner, kernel, stride, padding, dilation)) is not None:
        if not apart:
            return added(at, g, shape)
        made = np.zeros(shape, g.dtype)
        made.reshape(-1)[at] = g.reshape(-1)
        return made
    whole = apart and kernel == stride and not any(padding)
    whole = whole and all(n == m * k for n, m, k in zip(spatial, size, kernel, strict=True))
    made = (xp.empty if whole else xp.zeros)(shape, g.dtype)
    if apart:  # every element is in one window at most
        bits = xp.dtype(f"i{g.dtype.itemsize}")
        given, target = xp.ascontiguousarray(g).view(bits), made.view(bits)
        for number, windows, elements in places(made.shape, size, kernel, stride, padding, dilation):
            xp.multiply(given[windows], (winner[windows] == number).view(np.int8), out=target[elements])
        return made
    for number, windows, elements in places(made.shape, size, kernel, stride, padding, dilation):
        made[elements] += kept(xp, g[windows], winner[windows] == number)
    return made


def pool_take(backend: Any, x: Any, winner: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Any:
    xp = backend.xp
    at = chosen(x.shape, winner, kernel, stride, padding, dilation)
    if at is not None:
        return x.reshape(-1).take(at).reshape(winner.shape)
    made = xp.zeros(winner.shape, x.dtype)
    for number, windows, elements in places(x.shape, winner.shape[-len(kernel) :], kernel, stride, padding, dilation):
        made[windows] += kept(xp, x[elements], winner[windows] == number)
    return made


def pool_sum(backend: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, size: Ints, scale: float) -> Any:
    xp = backend.xp
    wider, dilation = wide(xp, x), (1,) * len(kernel)
    few = gathered(x, kernel, size, stride, padding, dilation)
    if few is not None and few[2] is None:
        made = reduced(np.add, wider, few[0], size)
    else:
        made = swept(xp, wider, xp.add, 0, kernel, stride, padding, dilation, size)
    if scale != 1:
        made *= made.dtype.type(scale)
    return made.astype(x.dtype, copy=False)


def pool_spread(backend: Any, g: Any, kernel: Ints, stride: Ints, padding: Ints, spatial: Ints, scale: float) -> Any:
    xp = backend.xp
    made = wide(xp, g)
    if scale != 1:
        made = made * made.dtype.type(scale)
    for i in range(len(kernel)):
        axis = i - len(kernel)
        steps = lines(spatial[i], made.shape[axis], kernel[i], stride[i], padding[i], 1, axis)
        larger = xp.zeros(resized(made, axis, spatial[i]), made.dtype)
        for _, windows, elements in steps:
            part = larger[elements]
            if stride[i] >= kernel[i]:
                part[...] = made[windows]
            else:
                part += made[windows]
        made = larger
    return made.astype(g.dtype, copy=False)


def wide(xp: Any, x: Any) -> Any:
    """Return float16 as float32: sums of it soon lose their digits, and BLAS has none."""
    return x.astype(xp.float32) if x.dtype.char == "e" else x


def product(xp: Any, x: Any, y: Any) -> Any:
    """Return the matrix product; where the inner size is 1 as an elementwise one, for which BLAS is slow."""
    return x * y if x.shape[-1] == 1 else xp.matmul(x, y)


# ---- unfolding
def unfold_windows(backend: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Any:
    size = sizes(x.shape[2:], kernel, stride, padding, dilation)
    few = gathered(x, kernel, size, stride, padding, dilation)
    if few is not None and few[2] is None:
        made = x.reshape(*x.shape[:2], -1).take(few[0], 2)
        return made.reshape(*made.shape[:3], *size)
    made = backend.xp.zeros((*x.shape[:2], math.prod(kernel), *size), x.dtype)
    for number, windows, elements in places(x.shape, size, kernel, stride, padding, dilation):
        made[:, :, number][windows] = x[elements]
    return made


def fold_windows(backend: Any, g: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, spatial: Ints) -> Any:
    shape = (*g.shape[:2], *spatial)
    if type(g) is np.ndarray and g.dtype.kind == "f" and 0 < g.size <= FEW:
        few = gathering(spatial, g.shape[3:], kernel, stride, padding, dilation)
        if few is not None and few[2] is None:
            images = np.arange(0, math.prod(shape), math.prod(spatial))[:, None]
            return added((images + few[0].reshape(-1)).reshape(-1), g, shape)
    made = backend.xp.zeros(shape, g.dtype)
    for number, windows, elements in places(made.shape, g.shape[3:], kernel, stride, padding, dilation):
        made[elements] += g[:, :, number][windows]
    return made


# ---- convolution
class Grid(NamedTuple):
    """Where the windows of a few images are: what `Block` says of its matrix, in numbers."""

    size: Ints
    padded: Ints
    inner: tuple[Any, ...]
    steps: Ints  # from one element of a window to the next
    flat: bool
    pitch: Ints
    run: int
    rows: Ints


@functools.lru_cache(256)
def grid(images: int, channels: int, spatial: Ints, window: tuple[Ints, ...], groups: int, whole: bool) -> Grid:
    kernel, stride, padding, dilation = window
    size = sizes(spatial, *window)
    padded = tuple(n + 2 * p for n, p in zip(spatial, padding, strict=True))
    inner = (..., *(slice(p, p + n) for n, p in zip(spatial, padding, strict=True)))
    steps = tuple(d * math.prod(padded[i + 1 :]) for i, d in enumerate(dilation))
    flat = all(s == 1 for s in stride)
    pitch = (padded[0] if whole else size[0], *padded[1:]) if flat else size
    reach = sum((k - 1) * step for k, step in zip(kernel, steps, strict=True))
    rows = (groups, channels // groups * math.prod(kernel), images * math.prod(pitch))
    return Grid(size, padded, inner, steps, flat, pitch, math.prod(padded) - reach, rows)


class Block:
    """The windows of a few images as columns of a matrix, (groups, channels * kernel, images * windows).

    With stride 1 a window's element lies at one distance from its first in the flattened padded image, the same for all
    windows. So a row of the matrix is one run of memory, and copying it costs little; the price are columns for windows
    that would begin in the last elements of an image's rows, which `cropped` leaves out. `pitch` is the size of the grid of
    windows with these; whole: it is the image's size also along the first dim.
    """

    def __init__(
        self, xp: Any, images: int, channels: int, spatial: Ints, window: tuple[Ints, ...], groups: int, dtype: Any, whole: bool
    ) -> None:
        self.xp, self.images, self.channels, self.groups, self.window = xp, images, channels, groups, window
        self.size, self.padded, self.inner, self.steps, self.flat, self.pitch, self.run, self.rows = grid(
            images, channels, spatial, window, groups, whole
        )
        self.dtype = dtype
        self.buffers: dict[str, Any] = {}

    def zeros(self, name: str, shape: Ints) -> Any:
        """Return a buffer that is zero when it is first asked for."""
        if name not in self.buffers:
            self.buffers[name] = self.xp.zeros(shape, self.dtype)
        return self.buffers[name]

    def columns(self, x: Any) -> Any:
        """Return the matrix of these images."""
        kernel, stride, padding, _ = self.window
        if any(padding) or not x.flags.c_contiguous:
            image = self.zeros("image", (self.images, self.channels, *self.padded))
            image[self.inner] = x
            x = image
        made = self.zeros("columns", (self.channels, *kernel, self.images, math.prod(self.pitch)))
        n = x.dtype.itemsize
        ends = (self.run,) if self.flat else self.size
        moves = (n,) if self.flat else tuple(s * step for s, step in zip(stride, x.strides[2:], strict=True))
        shape = (self.channels, *kernel, self.images, *ends)
        strides = (x.strides[1], *(n * step for step in self.steps), x.strides[0], *moves)
        host = type(x) is np.ndarray  # whose constructor takes a tenth of the time
        windows = np.ndarray(shape, x.dtype, x, 0, strides) if host else self.xp.lib.stride_tricks.as_strided(x, shape, strides)
        if self.flat:
            made[..., : self.run] = windows
        else:
            made.reshape(shape)[...] = windows
        return made.reshape(self.rows)

    def spread(self, g: Any) -> Any:
        """Return what belongs to the windows, (images, channels, *size), as (groups, channels, images * windows)."""
        made = self.zeros("grid", (g.shape[1], self.images, *self.pitch))
        self.cropped(made)[...] = g
        return made.reshape(self.groups, g.shape[1] // self.groups, -1)

    def cropped(self, made: Any) -> Any:
        """Return the opposite of `spread`, as a view."""
        grid = made.reshape(-1, self.images, *self.pitch)
        return grid[(..., *(slice(n) for n in self.size))].swapaxes(0, 1)

    def moved(self, g: Any) -> Any:
        """Return `spread(g)` moved by each place of a window along the last dim, (groups, channels * places, images * windows):
        with stride 1, where what is moved over the end of a row is zero."""
        grid = self.spread(g)
        count, width = self.window[0][-1], grid.shape[2]
        made = self.zeros("moved", (g.shape[1], count, width))
        for at in range(count):
            start = at * self.steps[-1]
            made[:, at, start:] = grid.reshape(-1, width)[:, : width - start]
        return made.reshape(self.groups, -1, width)

    def fold(self, columns: Any, target: Any) -> None:
        """Write the images to target, each element the sum over the columns it stands in: the transpose of `columns`. With
        stride 1 they are sums over the last dim of a window already, as a product with what is `moved` gives them."""
        kernel, stride, padding, dilation = self.window
        image = self.zeros("sums", (self.channels, self.images, *self.padded))
        image[...] = 0
        if self.flat:
            sums, run = image.reshape(self.channels, self.images, -1), self.run + (kernel[-1] - 1) * self.steps[-1]
            columns = columns.reshape(self.channels, -1, self.images, math.prod(self.pitch))
            for number, offset in enumerate(itertools.product(*map(range, kernel[:-1]))):
                start = sum(at * step for at, step in zip(offset, self.steps[:-1], strict=True))
                sums[:, :, start : start + run] += columns[:, number, :, :run]
        else:
            columns = columns.reshape(self.channels, -1, self.images, *self.size)
            for number, windows, elements in places(self.padded, self.size, kernel, stride, (0,) * len(kernel), dilation):
                image[elements] += columns[:, number][windows]
        target[...] = image[self.inner].swapaxes(0, 1)


def blocks(
    xp: Any, shape: Ints, window: tuple[Ints, ...], groups: int, dtype: Any, rows: int, whole: bool = False
) -> Iterator[tuple[slice, Block]]:
    """Yield the images a block at a time, each block as large as the cache allows for matrices of as many rows."""
    count, channels, *rest = shape
    spatial = tuple(rest)
    windows = max(math.prod(sizes(spatial, *window)), 1)
    images = max(1, min(count, max(CACHE // (rows * windows * dtype.itemsize), COLUMNS // windows)))
    block = None
    for start in range(0, count, images):
        part = slice(start, min(start + images, count))
        if block is None or part.stop - start != images:
            block = Block(xp, part.stop - start, channels, spatial, window, groups, dtype, whole)
        yield part, block


def pointwise(window: tuple[Ints, ...]) -> bool:
    """Say whether windows are single elements, every one: a product of matrices, without columns."""
    kernel, stride, padding, _ = window
    return all(k == s == 1 and not p for k, s, p in zip(kernel, stride, padding, strict=True))


def convolution(
    backend: Any, x: Any, weight: Any, biases: tuple[Any, ...], stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    xp, kind = backend.xp, x.dtype
    x, weight = wide(xp, x), wide(xp, weight)
    window = (weight.shape[2:], stride, padding, dilation)
    channels = weight.shape[0]
    made = xp.empty((x.shape[0], channels, *sizes(x.shape[2:], *window)), x.dtype)
    bias = biases[0].reshape(channels, *(1,) * len(stride)) if biases else None
    if not made.size or not weight.size:
        made[...] = 0 if bias is None else bias
    elif pointwise(window):
        flat = x.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))
        xp.matmul(weight.reshape(groups, channels // groups, -1), flat, out=made.reshape(*flat.shape[:2], -1, flat.shape[3]))
        if bias is not None:
            made += bias
    else:
        rows = weight.reshape(groups, channels // groups, -1)
        for part, block in blocks(xp, x.shape, window, groups, x.dtype, x.shape[1] * math.prod(window[0])):
            sums = product(xp, rows, block.columns(x[part]))
            if biases:
                sums += biases[0].reshape(groups, -1, 1)
            made[part] = block.cropped(sums)
    return made.astype(kind, copy=False)


def convolution_input(
    backend: Any, g: Any, weight: Any, spatial: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    xp, kind = backend.xp, g.dtype
    g, weight = wide(xp, g), wide(xp, weight)
    window = (weight.shape[2:], stride, padding, dilation)
    made = xp.empty((g.shape[0], weight.shape[1] * groups, *spatial), g.dtype)
    columns = weight.reshape(groups, weight.shape[0] // groups, -1).swapaxes(1, 2)
    if not made.size or not g.size or not weight.size:
        made[...] = 0
    elif pointwise(window):
        flat = g.reshape(g.shape[0], groups, g.shape[1] // groups, math.prod(spatial))
        xp.matmul(columns, flat, out=made.reshape(*flat.shape[:2], -1, flat.shape[3]))
    else:
        flat, last = all(n == 1 for n in stride), weight.shape[-1]
        if flat:
            parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1, last)
            columns = parts.transpose(0, 2, 3, 1, 4).reshape(groups, -1, parts.shape[1] * last)
        rows = sum(columns.shape[1:]) if flat else max(columns.shape[1] // 4, 1)  # a quarter: for longer runs of memory
        for part, block in blocks(xp, made.shape, window, groups, g.dtype, groups * rows, len(stride) == 1):
            given = block.moved(g[part]) if flat else block.spread(g[part])
            block.fold(product(xp, columns, given), made[part])
    return made.astype(kind, copy=False)


def convolution_weight(
    backend: Any, g: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    xp, kind = backend.xp, g.dtype
    g, x = wide(xp, g), wide(xp, x)
    window = (kernel, stride, padding, dilation)
    channels, width = g.shape[1], x.shape[1] // groups
    made = xp.zeros((groups, width * math.prod(kernel), channels // groups), g.dtype)
    if g.size and x.size and pointwise(window):
        for image, wanted in zip(x, g, strict=True):
            made += xp.matmul(image.reshape(groups, width, -1), wanted.reshape(groups, channels // groups, -1).swapaxes(1, 2))
    elif g.size and x.size:
        for part, block in blocks(xp, x.shape, window, groups, g.dtype, x.shape[1] * math.prod(kernel)):
            made += xp.matmul(block.columns(x[part]), block.spread(g[part]).swapaxes(1, 2))
    result = xp.empty((channels, width, *kernel), kind)
    result.reshape(groups, channels // groups, -1)[...] = made.swapaxes(1, 2)
    return result
