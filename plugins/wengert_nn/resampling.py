"""Images of another size or arrangement: `interpolate`, `grid_sample`, `affine_grid`, `pixel_shuffle` and their kin.

Owns: the tables of the modes of interpolation, and functions made of other ops. May import: wengert.extend, taps, pooling,
NumPy for tables. Must not know: devices.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import warnings
from typing import Any

import numpy as np

from wengert.extend import category, creation, dtypes, e, indexing, kind_of, products, relabel, s, tensor_like
from wengert_nn.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from wengert_nn.taps import Table, resample, table

DIMS = {  # of each mode, and what PyTorch calls its node
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,), "bicubic": (2,),
    "trilinear": (3,),
}  # fmt: skip


# ---- tables: where each result comes from, along one dim
def _scale(n: int, count: int, factor: float | None, align: bool) -> float:
    """Return how many elements there are to a result; align: first and last elements are first and last results."""
    if align:
        return (n - 1) / (count - 1) if count > 1 else 0.0
    return 1.0 / factor if factor is not None and factor > 0 else n / count


def _positions(count: int, scale: float, align: bool) -> np.ndarray[Any, Any]:
    """Return where results lie among the elements."""
    number = np.arange(count, dtype=np.float64)
    return scale * number if align else scale * (number + 0.5) - 0.5


@functools.lru_cache(256)
def nearest_table(n: int, count: int, factor: float | None, exact: bool) -> Table:
    """Return the table of the element under each result (exact: under its middle), found in float32, as PyTorch does."""
    number = np.arange(count)
    if n == count and not exact:
        return table(n, number[None])
    scale = np.float32(_scale(n, count, factor, False))
    found = np.floor((number + np.float32(0.5 if exact else 0)).astype(np.float32) * scale).astype(np.int64)
    return table(n, np.clip(found, 0, n - 1)[None])


@functools.lru_cache(256)
def linear_table(n: int, count: int, factor: float | None, align: bool) -> Table:
    """Return the table of the two elements around each result, weighed by their nearness."""
    if n == count:
        return table(n, np.arange(n)[None])
    at = np.maximum(_positions(count, _scale(n, count, factor, align), align), 0)
    low = np.minimum(at.astype(np.int64), n - 1)
    part = np.clip(at - low, 0, 1)
    return table(n, np.stack([low, np.minimum(low + 1, n - 1)]), np.stack([1 - part, part]))


def cubic(x: Any, a: float) -> Any:
    """Return the cubic convolution filter at a distance x."""
    x = abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


@functools.lru_cache(256)
def cubic_table(n: int, count: int, factor: float | None, align: bool) -> Table:
    """Return the table of the four elements around each result, weighed by the cubic filter."""
    at = _positions(count, _scale(n, count, factor, align), align)
    low = np.floor(at).astype(np.int64)
    offsets = np.arange(-1, 3)[:, None]
    return table(n, np.clip(low + offsets, 0, n - 1), cubic(at - low - offsets, -0.75))


@functools.lru_cache(256)
def smooth_table(n: int, count: int, factor: float | None, align: bool, mode: str) -> Table:
    """Return the table of all elements under a filter as wide as the results are far apart: `antialias`."""
    scale = _scale(n, count, factor, align)
    wide = max(scale, 1.0)
    support = (1 if mode == "bilinear" else 2) * wide
    middle = scale * (np.arange(count) + 0.5)
    first = np.maximum((middle - support + 0.5).astype(np.int64), 0)
    last = np.minimum((middle + support + 0.5).astype(np.int64), n)
    indices = first + np.arange(max((last - first).max(initial=1), 1))[:, None]
    distance = (indices - middle + 0.5) / wide
    weights = np.maximum(1 - abs(distance), 0) if mode == "bilinear" else cubic(distance, -0.5)
    weights = np.where(indices < last, weights, 0.0)
    total = weights.sum(0)
    return table(n, np.minimum(indices, n - 1), weights / np.where(total == 0, 1, total))


# ---- interpolate
def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Any:  # fmt: skip
    """Return images of another size, or of one scale_factor times theirs, by "nearest", "nearest-exact", "area", "linear",
    "bilinear", "bicubic" or "trilinear" interpolation.

    align_corners: the corners' elements keep their places, else the images' edges do. antialias: a smaller image sees all
    elements. Raises ValueError for arguments that exclude each other, NotImplementedError for another mode.
    """
    kind, dims = kind_of("interpolate", input), len(input.shape) - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError("align_corners option can only be set with the modes linear, bilinear, bicubic and trilinear")
    align = bool(align_corners)
    size, factors = _wanted(input, size, scale_factor, mode, recompute_scale_factor)
    if antialias and (mode not in ("bilinear", "bicubic") or dims != 2):
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input")
    if dims not in DIMS.get(mode, ()):
        raise NotImplementedError(
            f"interpolate: mode {mode!r} is for inputs with {' or '.join(str(d + 2) for d in DIMS.get(mode, (1, 2, 3)))} dims, "
            f"got {dims + 2}; the modes are {', '.join(DIMS)}"
        )
    if min(size) < 1 or not all(input.shape[1:]):
        raise RuntimeError(
            f"interpolate: Input and output sizes should be greater than 0, but got input {list(input.shape)}, output "
            f"{list(size)}"
        )
    pixels = input.dtype is dtypes.ALL["uint8"] and mode in ("bilinear", "bicubic")
    if category(kind) < dtypes.FLOATING and not (pixels or mode.startswith("nearest")):
        raise NotImplementedError(f"interpolate: mode {mode!r} is not implemented for {input.dtype}; convert with .float()")
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 1](input, size)
    made = input.float() if pixels else input
    for i in reversed(range(dims)):
        made = resample(made, i + 2, _table(mode, input.shape[i + 2], size[i], factors[i], align, antialias))
        made = e.clamp(e.floor(made + 0.5), 0, 255) if pixels else made
    if pixels:
        return made.to(input.dtype)
    title = {"nearest-exact": "NearestExact"}.get(mode, mode.capitalize())
    return relabel(made, f"Upsample{title}{dims}D{'Aa' if antialias else ''}Backward0")


def _wanted(input: Any, size: Any, scale_factor: Any, mode: str, recompute: bool | None) -> tuple[Any, Any]:
    """Return the size wanted and the factors that positions are computed with (None: from the sizes), one a spatial dim."""
    dims = len(input.shape) - 2
    if (size is None) == (scale_factor is None):
        raise ValueError("only one of size or scale_factor should be defined" if size is not None
                         else "either size or scale_factor should be defined")  # fmt: skip
    given = scale_factor if size is None else size
    given = tuple(given) if isinstance(given, tuple | list) else (given,) * dims
    if len(given) != dims:
        raise ValueError(
            f"Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of "
            f"{list(input.shape[2:])} and {'scale_factor' if size is None else 'output size'} of {given}"
        )
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size")
        try:
            return tuple(operator.index(n) for n in given), (None,) * dims
        except TypeError:
            raise TypeError(f"interpolate: expected size to be of whole numbers, one a spatial dim, but got {given}") from None
    wanted = tuple(math.floor(n * float(f)) for n, f in zip(input.shape[2:], given, strict=True))
    return wanted, ((None,) * dims if recompute or mode == "area" else tuple(float(f) for f in given))


def _table(mode: str, n: int, count: int, factor: float | None, align: bool, antialias: bool) -> Table:
    if antialias:
        return smooth_table(n, count, factor, align, mode)
    if mode.startswith("nearest"):
        return nearest_table(n, count, factor, mode == "nearest-exact")
    return (cubic_table if mode == "bicubic" else linear_table)(n, count, factor, align)


def upsample(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None) -> Any:
    """Return `interpolate` of these arguments."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Return `interpolate` with mode "nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Return `interpolate` with mode "bilinear" and align_corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- grid_sample
def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """Return images sampled at the places of grid (batch, *size, dims), where -1 and 1 are their edges, x first.

    mode: "bilinear", "nearest" or "bicubic"; padding_mode: what is outside, "zeros", or the nearest element, "border", or
    "reflection". Raises ValueError for another mode, RuntimeError for shapes that do not fit.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: {padding_mode!r}"
        )
    if align_corners is None:
        warnings.warn("Default grid_sample and affine_grid behavior is align_corners=False", stacklevel=2)
    dims = len(input.shape) - 2
    if dims not in (2, 3) or len(grid.shape) != dims + 2 or grid.shape[-1] != dims or grid.shape[0] != input.shape[0]:
        raise RuntimeError(
            f"grid_sample(): expected 4D or 5D input and a grid with the same number of dimensions, the same batch size, and "
            f"size {dims} in its last dimension, but got input with sizes {list(input.shape)} and grid with sizes "
            f"{list(grid.shape)}"
        )
    if not all(input.shape[2:]):
        raise RuntimeError(f"grid_sample(): expected input to have non-empty spatial dimensions, but got {list(input.shape)}")
    if mode == "bicubic" and dims != 2:
        raise RuntimeError("grid_sample(): bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise RuntimeError(f"grid_sample(): expected input and grid to have same dtype, but got {input.dtype} and {grid.dtype}")
    align = bool(align_corners)
    sizes = tuple(input.shape[2:])
    at = [s.select(grid, -1, dims - 1 - i) for i in range(dims)]  # a coordinate per spatial dim, in their order
    at = [(c + 1) * ((n - 1) / 2) if align else ((c + 1) * n - 1) / 2 for c, n in zip(at, sizes, strict=True)]
    if mode != "bicubic":
        at = [_inside(c, n, padding_mode, align) for c, n in zip(at, sizes, strict=True)]
    taps = [_taps(c, mode) for c in at]
    made: Any = None
    for chosen in itertools.product(*taps):
        places = [place for place, _ in chosen]
        if mode == "bicubic":
            places = [_inside(c, n, padding_mode, align) for c, n in zip(places, sizes, strict=True)]
        part = _looked_up(input, places, sizes)
        weight = functools.reduce(e.multiply, [w for _, w in chosen])
        part = part * s.unsqueeze(weight, -1)
        made = part if made is None else made + part
    result = e.clone(s.movedim(made, -1, 1))
    return relabel(result, f"GridSampler{dims}DBackward0")


def _inside(c: Any, n: int, padding_mode: str, align: bool) -> Any:
    """Return coordinates moved into the image, as the padding mode says; a coordinate that is clipped has no gradient."""
    if padding_mode == "zeros":
        return c
    if padding_mode == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        span = high - low
        if not span:
            return c * 0
        c = e.absolute(c - low)
        flips = e.floor(c / span).detach()
        rest = c - flips * span
        c = e.where(flips % 2 == 0, rest, span - rest) + low
    return e.where(c >= n - 1, n - 1.0, e.where(c > 0, c, 0.0))  # what is no number is at the first element


def _taps(c: Any, mode: str) -> list[tuple[Any, Any]]:
    """Return (place, weight) for each element along one dim that a sample at c is made of."""
    if mode == "nearest":
        return [(e.rint(c).detach(), e.where(c < c, c, 1.0))]  # 1, also where c is no number; its gradient is 0
    low = e.floor(c).detach()
    t = c - low
    if mode == "bilinear":
        return [(low, 1 - t), (low + 1, t)]
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((x - 5) * x + 8) * x * a - 4 * a

    return [(low - 1, far(t + 1)), (low, near(t)), (low + 1, near(1 - t)), (low + 2, far(2 - t))]


def _looked_up(input: Any, places: list[Any], sizes: tuple[int, ...]) -> Any:
    """Return the elements at places, channels last, and zeros outside of the image."""
    inside = [e.logical_and(c >= 0, c <= n - 1) for c, n in zip(places, sizes, strict=True)]
    known = functools.reduce(e.logical_and, inside)
    indices = [e.where(known, c, 0.0).to(dtypes.int64) for c in places]
    batch = tensor_like(input, np.arange(input.shape[0]).reshape(-1, *(1,) * len(sizes)))
    found = indexing.index_get(input, (batch, *indices), (0, *range(2, 2 + len(sizes))))
    return e.where(s.unsqueeze(known, -1), found, 0.0)


MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """Return `grid_sample`, with modes by their numbers."""
    return grid_sample(input, grid, MODES[interpolation_mode], PADDINGS[padding_mode], align_corners)


def _from_edge_to_edge(n: int, kind: Any, align_corners: bool) -> Any:
    """Return the places of n elements, by the roundings of PyTorch: a grid that maps an image to itself has its places at the
    elements, where the gradient of a bilinear sample jumps."""
    if n == 1:
        return np.zeros(1, kind)
    places = creation.spaced("affine_grid", -1, 1, n, dtypes.of(kind), None)[1].astype(kind, copy=False)
    return places if align_corners else places * kind.type(n - 1) / kind.type(n)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """Return the grid for `grid_sample` of images of a size (batch, channels, *spatial) mapped by matrices theta.

    Raises ValueError for sizes and matrices that do not fit.
    """
    spatial = tuple(size)[2:]
    dims = len(spatial)
    if category(theta._array.dtype) != dtypes.FLOATING:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if dims not in (2, 3) or tuple(theta.shape) != (size[0], dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape {size[0]}x{dims}x{dims + 1} for size {tuple(size)}. Got "
            f"{tuple(theta.shape)}."
        )
    if min(size) < 1:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    kind = theta._array.dtype
    steps = [_from_edge_to_edge(n, kind, bool(align_corners)) for n in spatial]
    mesh = np.stack([*np.meshgrid(*steps, indexing="ij")[::-1], np.ones(spatial, kind)], -1).reshape(-1, dims + 1)
    base = tensor_like(theta, mesh)
    made = s.reshape(products.matmul_(base, s.mT(theta)), (size[0], *spatial, dims))
    return relabel(made, "AffineGridGeneratorBackward0")


# ---- channels and pixels
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Return (..., C * r^2, H, W) as (..., C, H * r, W * r), r being upscale_factor."""
    shape, factor = tuple(input.shape), upscale_factor
    if len(shape) < 3 or factor < 1 or shape[-3] % (factor * factor):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dim to be divisible by the square of upscale_factor, which must "
            f"be positive, but got input of size {list(shape)} and upscale_factor={factor}"
        )
    *lead, channels, h, w = shape
    n = len(lead)
    parts = s.reshape(input, (*lead, channels // factor**2, factor, factor, h, w))
    moved = s.transpose_(parts, (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return relabel(s.reshape(moved, (*lead, channels // factor**2, h * factor, w * factor)), "PixelShuffleBackward0")


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Return (..., C, H * r, W * r) as (..., C * r^2, H, W), r being downscale_factor."""
    shape, factor = tuple(input.shape), downscale_factor
    if len(shape) < 3 or factor < 1 or shape[-1] % factor or shape[-2] % factor:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, which must be positive, but got "
            f"input of size {list(shape)} and downscale_factor={factor}"
        )
    *lead, channels, h, w = shape
    n = len(lead)
    parts = s.reshape(input, (*lead, channels, h // factor, factor, w // factor, factor))
    moved = s.transpose_(parts, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return relabel(s.reshape(moved, (*lead, channels * factor**2, h // factor, w // factor)), "PixelUnshuffleBackward0")


def channel_shuffle(input: Any, groups: int) -> Any:
    """Return channels (dim 1) dealt out anew: the first of each group, then the second of each, ..."""
    shape = tuple(input.shape)
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        raise RuntimeError(
            f"channel_shuffle: Number of channels must be divisible by groups, which must be positive, and the input have at "
            f"least 3 dims. Got input of size {list(shape)} and {groups} groups"
        )
    parts = s.reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    moved = s.transpose_(parts, (0, 2, 1, *range(3, len(shape) + 1)))
    return relabel(s.reshape(moved, shape), "NativeChannelShuffleBackward0")
