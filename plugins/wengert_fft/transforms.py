"""Discrete Fourier transforms: three records, and PyTorch's eighteen functions made of them.

Owns: `torch.fft.fft` and its kin, `fftfreq`, `fftshift`. May import: wengert.extend. Must not know: devices.
A transform is linear and its matrix symmetric: the rule of a complex one is the same transform. Those between real and
complex numbers store half of a spectrum, whose inner entries stand for two: transposed they are halved, or doubled.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import OPS, category, creation, default_float, dtypes, ints, one_dim, relabel, s, structural

NORMS = ("backward", "ortho", "forward")


def complex_of(dtype: Any) -> Any:
    return dtypes.to_numpy(dtypes.of(dtype).to_complex())


def real_of(dtype: Any) -> Any:
    return dtypes.to_numpy(dtypes.of(dtype).to_real())


def resized(x: Any, axis: int, n: int) -> tuple[int, ...]:
    return (*x.shape[:axis], n, *x.shape[axis + 1 :])


def part(g: Any, dtype: Any) -> Any:
    """Return a complex gradient as one of a real input: its real part."""
    return g if dtype.kind == "c" else OPS["real"](g)


# fmt: off
# x[k] = c sum_n x[n] w^(k n), w = exp(-2 pi i / N) forward, its conjugate backward; c = 1, N^(-1/2) or 1/N by norm and
# direction, along each of the axes. c2c takes complex or real x; r2c gives entries 0..N/2 of the last axis, c2r takes them.
c2c    = structural("fft_c2c", "x", lambda x, axes, forward, norm: (x.shape, complex_of(x.dtype)),
    params="axes forward norm", label="FftC2CBackward0",
    x=lambda g, x_dtype, axes, forward, norm: part(c2c(g, axes, forward, norm), x_dtype))
r2c    = structural("fft_r2c", "x", lambda x, axes, forward, norm:
        (resized(x, axes[-1], x.shape[axes[-1]] // 2 + 1), complex_of(x.dtype)),
    params="axes forward norm", label="FftR2CBackward0",
    x=lambda g, x_shape, axes, forward, norm:
        c2r(paired(g, axes[-1], x_shape[axes[-1]], 0.5), x_shape[axes[-1]], axes, forward, norm))
c2r    = structural("fft_c2r", "x", lambda x, n, axes, forward, norm: (resized(x, axes[-1], n), real_of(x.dtype)),
    params="n axes forward norm", label="FftC2RBackward0",
    x=lambda g, n, axes, forward, norm: paired(r2c(g, axes, not forward, other(norm)), axes[-1], n, 2.0))
paired = structural("paired", "x", lambda x, axis, n, factor: (x.shape, x.dtype), params="axis n factor",
    label="MulBackward0", x=lambda g, axis, n, factor: paired(g, axis, n, factor))
# fmt: on


def other(norm: str) -> str:
    """Return the norm that gives the other direction the same factor."""
    return {"backward": "forward", "forward": "backward"}.get(norm, norm)


def fitted(x: Any, axes: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
    """Return x cut, or filled up with zeros, to sizes along axes."""
    shape, index = list(x.shape), [slice(None)] * len(x.shape)
    for axis, n in zip(axes, sizes, strict=True):
        index[axis] = slice(min(n, shape[axis]))
        shape[axis] = n
    short = s.getitem(x, tuple(index)) if any(n < m for n, m in zip(shape, x.shape, strict=True)) else x
    if tuple(shape) == tuple(short.shape):
        return short
    return relabel(s.place(short, tuple(shape), "getitem", tuple(index)), "ConstantPadNdBackward0")


def axes_of(name: str, x: Any, sizes: Any, dim: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes to transform and their lengths, -1 for what they are. Raises RuntimeError where both do not fit."""
    ndim = len(x.shape)
    if sizes is not None:
        sizes = ints(sizes)
    if dim is None:
        count = ndim if sizes is None else len(sizes)
        if count > ndim:
            raise RuntimeError(f"{name}: Got shape with {count} values but input tensor only has {ndim} dimensions.")
        axes = tuple(range(ndim - count, ndim))
    else:
        dims = ints(dim)
        if dims and not ndim:
            raise IndexError(f"{name}: Dimension specified as {dims[0]} but tensor has no dimensions")
        axes = tuple(one_dim(name, x, d) for d in dims)
    if len({*axes}) != len(axes):
        raise RuntimeError(f"{name}: FFT dims must be unique, got {dim}")
    if sizes is None:
        sizes = (-1,) * len(axes)
    if len(sizes) != len(axes):
        raise RuntimeError(f"{name}: When given, dim and shape arguments must have the same length, got {dim} and {sizes}")
    return axes, sizes


def prepared(name: str, x: Any, norm: str | None) -> tuple[Any, str]:
    """Return x as floats, and the norm. Raises RuntimeError for a norm or dtype that there is not."""
    norm = "backward" if norm is None else norm
    if norm not in NORMS:
        raise RuntimeError(f"{name}: Invalid normalization mode: {norm!r}; it is one of {', '.join(NORMS)}")
    if category(x._array.dtype) < dtypes.FLOATING:
        x = x.to(dtypes.of(default_float()))
    if x._array.dtype.itemsize < 4:
        raise RuntimeError(f"{name}: Unsupported dtype {x.dtype}; transforms are computed in float32 and float64")
    return x, norm


def lengths(name: str, x: Any, axes: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes with each -1 filled in. Raises RuntimeError for a length below 1."""
    found = tuple(x.shape[a] if n == -1 else n for a, n in zip(axes, sizes, strict=True))
    return checked(name, found)


def checked(name: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"{name}: Invalid number of data points ({n}) specified")
    return sizes


def to_complex(name: str, x: Any, sizes: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    x, norm = prepared(name, x, norm)
    axes, sizes = axes_of(name, x, sizes, dim)
    x = fitted(x, axes, lengths(name, x, axes, sizes))
    if not axes:
        return x.to(x.dtype.to_complex())
    result = c2c(x, axes, forward, norm)
    return result if x.is_complex() else relabel(result, "FftR2CBackward0")


def from_real(name: str, x: Any, sizes: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    x, norm = prepared(name, x, norm)
    if x.is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {x.dtype}")
    axes, sizes = axes_of(name, x, sizes, dim)
    if not axes:
        raise RuntimeError(f"{name} must transform at least one axis")
    return r2c(fitted(x, axes, lengths(name, x, axes, sizes)), axes, forward, norm)


def to_real(name: str, x: Any, sizes: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    x, norm = prepared(name, x, norm)
    axes, sizes = axes_of(name, x, sizes, dim)
    if not axes:
        raise RuntimeError(f"{name} must transform at least one axis")
    last = 2 * (x.shape[axes[-1]] - 1) if sizes[-1] == -1 else sizes[-1]
    (*others, last) = (*lengths(name, x, axes[:-1], sizes[:-1]), *checked(name, (last,)))
    x = x if x.is_complex() else x.to(x.dtype.to_complex())
    return c2r(fitted(x, axes, (*others, last // 2 + 1)), last, axes, forward, norm)


def transforms(name: str, run: Any, forward: bool, formula: str) -> Any:
    """Return PyTorch's three functions of one transform: of one dim, of two, and of several."""

    def one(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        if n is not None:
            checked(name, (n,))
        return run(name, input, n, dim, norm, forward)

    def two(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
        return run(f"{name}2", input, s, dim, norm, forward)

    def many(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        return run(f"{name}n", input, s, dim, norm, forward)

    for function, suffix, where in ((one, "", "along dim"), (two, "2", "along two dims"), (many, "n", "along dims, or all")):
        function.__name__ = function.__qualname__ = name + suffix
        function.__doc__ = f"Return {formula}, {where}; `norm` says which direction is divided by N."
    return one, two, many


# fmt: off
fft, fft2, fftn       = transforms("fft", to_complex, True, "sum_n x[n] exp(-2 pi i k n / N) for each k")
ifft, ifft2, ifftn    = transforms("ifft", to_complex, False, "1/N sum_k x[k] exp(2 pi i k n / N) for each n")
rfft, rfft2, rfftn    = transforms("rfft", from_real, True, "the entries 0..N/2 of fft of a real input")
irfft, irfft2, irfftn = transforms("irfft", to_real, False, "the real signal whose rfft the input is")
hfft, hfft2, hfftn    = transforms("hfft", to_real, True, "the real fft of a signal whose entries 0..N/2 the input is")
ihfft, ihfft2, ihfftn = transforms("ihfft", from_real, False, "the entries 0..N/2 of ifft of a real input")
# fmt: on


# ---- frequencies, and their order
def frequencies(name: str, n: int, d: float, first: int, last: int, dtype: Any, device: Any, requires_grad: bool) -> Any:
    """Return first..last divided by n d."""
    wanted = default_float() if dtype is None else dtypes.to_numpy(dtype)
    if category(wanted) < dtypes.FLOATING:
        raise RuntimeError(f"{name} requires a floating point or complex dtype, not {dtypes.of(wanted)}")
    values = creation.arange(first, last + 1, dtype=wanted, device=device) * (1.0 / (n * d))
    return values.requires_grad_() if requires_grad else values


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Return the frequencies of fft's n entries for samples d apart: 0, 1, ..., -2, -1 over n d."""
    return ifftshift(frequencies("fftfreq", n, d, -(n // 2), (n - 1) // 2, dtype, device, requires_grad))


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Return the frequencies of rfft's entries for n samples d apart: 0, 1, ..., n/2 over n d."""
    return frequencies("rfftfreq", n, d, 0, n // 2, dtype, device, requires_grad)


def shifted(name: str, x: Any, dim: Any, shift: Any) -> Any:
    axes = range(len(x.shape)) if dim is None else [one_dim(name, x, d) for d in ints(dim)]
    return s.roll(x, tuple(shift(x.shape[a]) for a in axes), tuple(axes))


def fftshift(input: Any, dim: Any = None) -> Any:
    """Return input with the zero frequency moved to the middle of dims (all by default)."""
    return shifted("fftshift", input, dim, lambda n: n // 2)


def ifftshift(input: Any, dim: Any = None) -> Any:
    """Return input with the zero frequency moved from the middle of dims to their beginning: fftshift undone."""
    return shifted("ifftshift", input, dim, lambda n: (n + 1) // 2)
