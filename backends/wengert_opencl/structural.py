"""Every kernel that is no formula, by the name of its op.

Owns: `table`, and the kernels that are made of others in a line. May import: the modules of kernels, op records.
Must not know: tensors, gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.op import OPS
from wengert_opencl import composed, fused, indexing, maps, products, reductions
from wengert_opencl import windows as sliding
from wengert_opencl.array import Array

Kernel = Callable[..., Any]


def reshape(x: Array, shape: Any) -> Any:
    if -1 in shape:
        known = -math.prod(shape)
        shape = tuple([x.size // known if n == -1 else n for n in shape])
    made = x.reshaped(shape)
    return maps.copy(x).reshaped(shape) if made is None else made


def filled(x: Array, shape: Any, value: Any, dtype: Any) -> Array:
    made = maps.new(x.runtime, tuple(shape), np.dtype(dtype or x.dtype))
    return maps.write(made, np.asarray(value))


def flip(x: Array, axes: Any) -> Array:
    return maps.copy(x.getitem([slice(None, None, -1) if d in axes else slice(None) for d in range(x.ndim)]))


def concatenate(xs: Any, axis: int) -> Array:
    first = xs[0]
    dtype = first.dtype if all([x.dtype == first.dtype for x in xs]) else np.result_type(*[x.dtype for x in xs])
    if len({(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}) > 1:
        raise ValueError("sizes differ")  # the op's own check says which: a write would broadcast
    shape = list(first.shape)
    shape[axis] = sum([x.shape[axis] for x in xs])
    made = maps.new(first.runtime, tuple(shape), dtype)
    at = 0
    for x in xs:
        stop = at + x.shape[axis]
        maps.write(made.getitem([slice(None)] * axis + [slice(at, stop)]), x)
        at = stop
    return made


def stack(xs: Any, axis: int) -> Array:
    return concatenate([x.getitem([slice(None)] * axis + [None]) for x in xs], axis)


def roll(x: Array, shifts: Any, axes: Any) -> Array:
    """Move elements along dims, each in turn; axes None: of the flattened array."""
    if not x.size:
        return maps.copy(x)
    if axes is None:
        flat = reshape(maps.packed(x), (x.size,))
        return reshape(roll(flat, (sum(np.atleast_1d(shifts).tolist()),), (0,)), x.shape)  # type: ignore[no-any-return]
    made = x
    for shift, axis in zip(shifts, axes, strict=True):
        cut = (made.shape[axis] - shift) % made.shape[axis]
        whole = [slice(None)] * axis
        made = concatenate((made.getitem([*whole, slice(cut, None)]), made.getitem([*whole, slice(cut)])), axis)
    return maps.copy(x) if made is x else made


def complex_(real: Array, imag: Any) -> Array:
    like = real if type(real) is Array else imag
    shape = np.broadcast_shapes(real.shape, imag.shape)
    made = maps.new(like.runtime, shape, np.result_type(real.dtype, np.complex64))
    maps.write(made.part(False), real)
    maps.write(made.part(True), imag)
    return made


def imag(x: Array) -> Array:
    return x.part(True) if x.dtype.kind == "c" else filled(x, x.shape, 0, None)


def view_as_real(x: Array) -> Array:
    part = x.part(False)
    return part.view((*part.shape, 2), (*part.strides, part.dtype.itemsize), 0)


def view_as_complex(x: Array) -> Array:
    return x.view(x.shape[:-1], x.strides[:-1], 0, np.dtype(f"c{2 * x.dtype.itemsize}"))


def copy(x: Array, out: Any = ...) -> Any:
    return maps.copy(x) if out is ... else maps.write(out, x)


def by_rows(name: str, otherwise: Kernel, function: Callable[..., Any] | None = None) -> Kernel:
    """Return a reduction (x, axis, ..., keepdims) that runs as a group of rows where it can: floats, along the last dims;
    function: of ops, that keeps its dims, where the op itself is no part of a group."""

    def shapes(x: Array, axis: Any, *rest: Any) -> Any:
        return [reductions.kept_shape(x.shape, reductions.every(x, axis), rest[-1])]

    rows = fused.rowwise(lambda x, *rest: (function or OPS[name])(x, *rest[:-1], True), otherwise, shapes)

    def run(x: Array, axis: Any, *rest: Any) -> Any:
        return (rows if x.dtype.char in "fd" and x.ndim and axis != () else otherwise)(x, axis, *rest)

    return run


def variance(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """What `var` is, in ops."""
    count = reductions.count(x, axis)
    off = x - OPS["sum"](x, axis, True) / count
    return OPS["sum"](off * off, axis, True) / max(count - correction, 0)


def deviation(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    return OPS["sqrt"](variance(x, axis, correction, keepdims))


def windows(x: Array, dim: int, size: int, step: int) -> Array:
    shape = (*x.shape[:dim], (x.shape[dim] - size) // step + 1, *x.shape[dim + 1 :], size)
    return x.view(shape, (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim]), 0)


def table(backend: Any) -> dict[str, Kernel]:
    r, i, p = reductions, indexing, products
    apart = ("unfold_windows", "fold_windows", "pool_max", "pool_winner", "pool_sum", "pool_put", "pool_spread", "pool_take",
             "constant_pad", "triangle", "windows_sum")  # fmt: skip
    return {
        **composed.table(), **{name: getattr(sliding, name) for name in apart},
        **{n: composed.wide(getattr(sliding, n)) for n in ("convolution", "convolution_input", "convolution_weight")},
        "matmul": p.matmul, "rows": p.rows, "mv": p.mv, "dot": p.dot, "linear": p.linear,
        "gather": i.gather, "scatter": i.scatter_op, "scatter_sum": i.scatter_sum, "scatter_prod": i.scatter_by(r.PROD),
        "scatter_amax": i.scatter_by(r.MAX), "scatter_amin": i.scatter_by(r.MIN), "index_get": i.index_get,
        "index_put": i.index_put, "index_sum": i.index_sum, "embedding": i.embedding, "mask_get": i.mask_get,
        "mask_put": i.mask_put, "nonzero": i.nonzero, "argsort": i.argsort, "cummax": i.cumulative(">"),
        "cummin": i.cumulative("<"), "searchsorted": i.searchsorted, "isin": i.isin,
        "overlap_add": lambda x, length, hop: sliding.windows_sum(x, (*x.shape[:-2], length), x.ndim - 2, x.shape[-1], hop),
        "cast": maps.cast, "reshape": reshape, "transpose": lambda x, axes: x.transpose(axes),
        "broadcast_to": lambda x, shape: x.broadcast_to(shape), "getitem": lambda x, index: x.getitem(index),
        "diagonal": lambda x, offset, axis1, axis2: x.diagonal(offset, axis1, axis2),
        "as_strided": lambda x, shape, strides, offset, own: x.as_strided(shape, strides, offset),
        "view_bytes": lambda x, dtype: x.view_bytes(dtype), "real": lambda x: x.part(False), "imag": imag,
        "complex": complex_, "view_as_real": view_as_real, "view_as_complex": view_as_complex, "windows": windows,
        "filled": filled, "flip": flip, "concatenate": concatenate, "stack": stack, "roll": roll,
        "copy": copy, "sum": by_rows("sum", r.total), "prod": r.product, "mean": by_rows("mean", r.mean),
        "norm2": by_rows("norm2", r.norm2), "var": by_rows("var", r.variance, variance),
        "std": by_rows("std", r.deviation, deviation),
        "amax": by_rows("amax", r.extreme(r.MAX)), "amin": by_rows("amin", r.extreme(r.MIN)),
        "argmax": r.place(r.MAX), "argmin": r.place(r.MIN),
        "any": r.truth(r.ANY), "all": r.truth(r.ALL), "cumsum": r.scan(r.SUM), "cumprod": r.scan(r.PROD),
        "logcumsumexp": r.logcumsumexp,
        "outer": lambda x, y: OPS["multiply"](x.getitem([slice(None), None]), y),
    }  # fmt: skip
