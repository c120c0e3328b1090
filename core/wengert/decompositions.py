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
    owner = backend.of_array(x)
    made = owner.copy(x)
    view = made
    for op, params in path:
        view = op(view, *params)
    owner.write(view, y)
    return made


def placed(y: Any, shape: Any, path: Any) -> Any:
    """Make zeros, and write y where a path of view ops looks."""
    made = view = OPS["filled"](y, shape, 0, None)
    for op, params in path:
        view = op(view, *params)
    backend.of_array(y).write(view, y)
    return made


def to_device(x: Any, place: Any, origin: Any) -> Any:
    """Carry values over the host to another device."""
    return place.backend.from_host(backend.of_array(x).to_host(x), place.index or 0)


def give(made: Any, out: Any) -> Any:
    return made if out is ... else backend.of_array(out).write(out, made)


def overwrite(x: Any, y: Any, out: Any = ...) -> Any:
    owner = backend.of_array(x)
    return owner.write(owner.copy(x) if out is ... else out, y)


TABLE: dict[str, Any] = {
    "assign": assign,
    "placed": placed,
    "to_device": to_device,
    "overwrite": overwrite,
    "copy": lambda x, out=...: give(backend.of_array(x).copy(x), out),
    "rsub": lambda x, y, out=...: OPS["subtract"].kernels[type(y)](y, x, out=out),
    "square": lambda x, out=...: give(x * x, out),
    "rsqrt": lambda x, out=...: give(OPS["reciprocal"](OPS["sqrt"](x)), out),
    "mean": lambda x, axis, keepdims: OPS["sum"](x, axis, keepdims) / max(_count(x, axis), 1),
    "norm2": lambda x, axis, keepdims: OPS["sqrt"](OPS["sum"](x * x, axis, keepdims)),
    "clip": lambda x, low, high, out=...: give(OPS["minimum"](OPS["maximum"](x, low), high), out),
}


def _count(x: Any, axis: Any) -> int:
    n = 1
    for i, m in enumerate(x.shape):
        n *= m if axis is None or i in axis else 1
    return n
