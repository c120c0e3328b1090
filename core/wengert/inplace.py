"""In-place writes: the memory changes, the counter ticks, and the history is rebased.

Owns: `commit` (a result takes a tensor's place), the derived `foo_` methods, `out=`, and what views see afterwards.
May import: record, tape, tensor, backend. Must not know: any op but `assign`, which puts a value into a view.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from wengert import backend, dtypes, errors
from wengert.dtypes import F32, F64
from wengert.modes import state
from wengert.op import OPS, Op
from wengert.record import call, call_raw, cast, constant, record
from wengert.tensor import INFERENCE, Tensor, wrap


def check(target: Tensor) -> None:
    """Raise RuntimeError where autograd forbids a write: a leaf that requires grad, or a view with unknown history."""
    if not state.grad:
        return
    if target._edge is not None and target.is_leaf:
        raise errors.leaf_inplace(view=False)
    base = target._base
    if base is not None and base._edge is not None and base.is_leaf:
        raise errors.leaf_inplace(view=True)
    if target._blind:
        raise errors.no_grad_view()


def commit(name: str, target: Tensor, result: Any) -> Tensor:
    """Let `result` (computed from the old values) become the value and the history of `target`."""
    array = result._array
    if array.shape != target._array.shape:
        raise errors.inplace_shape(name, target._array.shape, array.shape)
    own = target._array.dtype
    if array.dtype != own:
        if dtypes.category(array.dtype) > dtypes.category(own):
            raise errors.inplace_dtype(name, own, array.dtype)
        result = call(cast, (result,), (own,))
        array = result._array
    backend.of_array(target._array).write(target._array, array)
    bump(target)
    if state.grad and (result._edge is not None or target._edge is not None):
        rebase(target, result)
    return target


def bump(target: Tensor) -> None:
    """Count a write to the tensor's storage."""
    box = target._box
    if box is None:
        target._box = [1]
    elif box is not INFERENCE:
        box[0] += 1


def rebase(target: Tensor, result: Tensor) -> None:
    """Put the history of `result` in place of the target's, and of everything that shares its memory."""
    base = target._base
    if base is None:
        target._edge = result._edge
        refresh(target)
        return
    pair, arrays = (wrap(base._array, base._edge), result), (base._array, result._array)
    edges = (base._edge, result._edge)
    base._edge = record(OPS["assign"], pair, arrays, (target._path,), edges, base._array, None)
    refresh(base)


def refresh(base: Tensor) -> None:
    """Give each living view of `base` the history it has now: the base's, through the view's own path."""
    if not base._views:
        return
    living = [(r, v) for r in base._views if (v := r()) is not None]
    base._views[:] = [r for r, _ in living]
    for _, view in living:
        replayed = wrap(base._array, base._edge)
        for op, params in view._path:
            replayed = call(op, (replayed,), params)
        view._edge = replayed._edge


def inplace(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the method `name_` that writes what `function` computes to the tensor itself."""

    @functools.wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check(self)
        return commit(name, self, function(self, *args, **kwargs))

    method.__name__ = name
    method.__doc__ = f"Write the result of `{name.rstrip('_')}` to this tensor and return it.\n\n{function.__doc__ or ''}"
    return method


def inplace_op(name: str, op: Op, scale: Op | None = None) -> Callable[..., Tensor]:
    """Return `name_` for an elementwise op: where nothing is recorded, the kernel writes straight into the tensor.

    scale: the op that multiplies the operand by `alpha` first (add_ and sub_ have one).
    """
    run, kernels, single = op.__call__, op.kernels, len(op.inputs) == 1

    def method(self: Tensor, *args: Any, alpha: Any = 1) -> Tensor:
        a = self._array
        dtype = a.dtype
        direct = (dtype is F32 or dtype is F64) and not op.boolean
        b = edge = None
        if direct and not single:
            other = args[0]
            if isinstance(other, Tensor):
                b, edge = other._array, other._edge
                direct = b.dtype is dtype and type(b) is type(a) and b.ndim <= a.ndim and type(alpha) in (int, float)
            elif type(other) in (int, float):
                b = constant(other, dtype)
            else:
                direct = False
        if not direct or (state.grad and (edge is not None or self._edge is not None or self._blind)):
            check(self)
            if alpha != 1:
                assert scale is not None
                args = (call(scale, (args[0], alpha)),)
            return commit(name, self, run(self, *args))
        if alpha != 1:
            assert scale is not None
            b = call_raw(scale, (b, constant(alpha, dtype)))
        if self._base is not None:
            check(self)
        try:
            backend.of_array(a).update(kernels[type(a)], a, *(() if b is None else (b,)))
        except Exception as error:
            if b is not None and a.shape != b.shape and errors.broadcast(name, [a.shape, b.shape]) is None:
                raise errors.inplace_shape(name, a.shape, tuple(map(max, a.shape, b.shape))) from error
            raise errors.failed(op, (a,) if b is None else (a, b), (), error) from error
        bump(self)
        return self

    method.__name__ = name
    method.__doc__ = f"Write the result of `{name.rstrip('_')}` to this tensor and return it."
    return method


def write_out(name: str, result: Any, out: Any) -> Any:
    """Write a result to the tensor given as `out=`, resized if it must be. Raises RuntimeError if either needs grad."""
    if isinstance(result, tuple):
        return type(result)(*[write_out(name, r, o) for r, o in zip(result, out, strict=True)])
    if state.grad and (out._edge is not None or result._edge is not None):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            f"requires grad."
        )
    if dtypes.category(result._array.dtype) > dtypes.category(out._array.dtype):
        raise errors.inplace_dtype(name, out._array.dtype, result._array.dtype)
    if out._array.shape != result._array.shape:
        out._array = backend.of_array(result._array).copy(call(cast, (result,), (out._array.dtype,))._array)
        out._box = None
        return out
    backend.of_array(out._array).write(out._array, result._array)
    bump(out)
    return out
