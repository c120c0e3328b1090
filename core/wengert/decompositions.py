"""Ops written in other ops: what a backend gets for nothing.

Owns: kernels on raw arrays that use only other ops' kernels and the backend protocol. May import: backend, op records.
Must not know: any device. A backend's own kernel under the same name comes first.
"""

from __future__ import annotations

from typing import Any

from wengert import backend
from wengert.op import OPS


def assign(x: Any, y: Any, path: Any) -> Any:
    """Copy x, and write y where a path of view ops looks."""
    if any(op.name == "as_strided" and params[3] != (1,) for op, params in path[:1]):
        return OPS["assign"](x, y, path)  # to memory, which a copy of x need not be like
    return _written(backend.of_array(x).copy(x), y, path)


def placed(y: Any, shape: Any, path: Any) -> Any:
    """Make zeros, and write y where a path of view ops looks."""
    return _written(OPS["filled"](y, shape, 0, None), y, path)


def _written(made: Any, y: Any, path: Any) -> Any:
    view = made
    for op, params in path:
        view = op(view, *params)
    backend.of_array(made).write(view, y)
    return made


def to_device(x: Any, place: Any, origin: Any) -> Any:
    """Carry values over the host to another device."""
    return place.backend.from_host(backend.of_array(x).to_host(x), place.ordinal)


def drawn(x: Any, make: Any, shape: Any, dtype: Any, place: Any) -> Any:
    """Draw random numbers where they are wanted, or on the host, and carry them over."""
    made = make(shape) if place.type == backend.HOST else getattr(make, "there", lambda *_: None)(place, shape)
    return to_device(make(shape), place, None) if made is None else made


def give(made: Any, out: Any) -> Any:
    return made if out is ... else backend.of_array(out).write(out, made)


def overwrite(x: Any, y: Any, out: Any = ...) -> Any:
    owner = backend.of_array(x)
    return owner.write(owner.copy(x) if out is ... else out, y)


# ---- reductions: (x, ..., axis) as their records have it
def softmax(x: Any, axis: Any) -> Any:
    powers = OPS["exp"](x - OPS["amax"](x, axis, True))
    return powers / OPS["sum"](powers, axis, True)


def log_softmax(x: Any, axis: Any) -> Any:
    lowered = x - OPS["amax"](x, axis, True)
    return lowered - OPS["log"](OPS["sum"](OPS["exp"](lowered), axis, True))


def logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    top = OPS["amax"](x, axis, True)
    top = OPS["where"](OPS["isfinite"](top), top, 0.0)
    total = OPS["log"](OPS["sum"](OPS["exp"](x - top), axis, keepdims))
    return total + (top if keepdims else OPS["reshape"](top, tuple(total.shape)))


def var(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    off = x - OPS["mean"](x, axis, True)
    degrees = max(_count(x, axis) - correction, 0)
    return OPS["sum"](off * off, axis, keepdims) * (1 / degrees if degrees else float("inf"))


def chosen(order: str, extreme: str) -> Any:
    """Return the kernel of an extreme along one dim with its place."""

    def run(x: Any, axis: int, keepdims: bool) -> Any:
        return OPS[extreme](x, (axis,) if x.ndim else (), keepdims), OPS[order](x, axis if x.ndim else None, keepdims)

    return run


def sort(x: Any, axis: int, descending: bool) -> Any:
    order = OPS["argsort"](x, axis, descending)
    return OPS["gather"](x, order, axis) if x.ndim else backend.of_array(x).copy(x), order


def topk(x: Any, k: int, axis: int, largest: bool) -> Any:
    if not x.ndim:
        return sort(x, axis, largest)
    order = OPS["getitem"](OPS["argsort"](x, axis, largest), (*(slice(None),) * axis, slice(0, k)))
    order = backend.of_array(x).copy(order)
    return OPS["gather"](x, order, axis), order


TABLE: dict[str, Any] = {
    "assign": assign,
    "drawn": drawn,
    "placed": placed,
    "to_device": to_device,
    "overwrite": overwrite,
    "copy": lambda x, out=...: give(backend.of_array(x).copy(x), out),
    "rsub": lambda x, y, out=...: OPS["subtract"].kernels[type(y)](y, x, out=out),
    "square": lambda x, out=...: give(x * x, out),
    "rsqrt": lambda x, out=...: give(OPS["reciprocal"](OPS["sqrt"](x)), out),
    "mean": lambda x, axis, keepdims: OPS["sum"](x, axis, keepdims) / (_count(x, axis) or float("nan")),
    "norm2": lambda x, axis, keepdims: OPS["sqrt"](OPS["sum"](x * x, axis, keepdims)),
    "softmax": softmax,
    "softmax_back": lambda h, y, axis: y * (h - OPS["sum"](h * y, axis, True)),
    "log_softmax": log_softmax,
    "log_softmax_back": lambda h, y, axis: h - OPS["exp"](y) * OPS["sum"](h, axis, True),
    "logsumexp": logsumexp,
    "var": var,
    "std": lambda x, axis, correction, keepdims: OPS["sqrt"](OPS["var"](x, axis, correction, keepdims)),
    "max_along": chosen("argmax", "amax"),
    "min_along": chosen("argmin", "amin"),
    "sort": sort,
    "topk": topk,
    "put_along": lambda x, indices, shape, axis: OPS["scatter_sum"](x, indices, shape, axis),
    "clip": lambda x, low, high, out=...: give(OPS["minimum"](OPS["maximum"](x, low), high), out),
}


def _count(x: Any, axis: Any) -> int:
    n = 1
    for i, m in enumerate(x.shape):
        n *= m if axis is None or i in axis else 1
    return n
