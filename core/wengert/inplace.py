"""In-place writes: the memory changes, the counter ticks, and the history is rebased.

Owns: `commit` (a result takes a tensor's place), the derived `foo_` methods, `out=`, and what views see afterwards.
May import: record, tape, tensor, backend, memory. Must not know: any op but `assign`, which puts a value into a view.
"""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors, tape
from wengert._tensor import INFERENCE, PLAIN, Tensor, wrap
from wengert.dtypes import F32, F64, I64
from wengert.memory import onto
from wengert.modes import state
from wengert.op import OPS, Op
from wengert.record import _NUMBERS32, _NUMBERS64, call, cast, constant, record
from wengert.tape import Node


def check(target: Tensor, repeats: bool = False) -> None:
    """Raise RuntimeError where a write is forbidden: by history, by NumPy, or as one element stands for several (`expand`).

    repeats: that is no obstacle, as all that is written is one value.
    """
    array = target._array
    if not repeats and repeated(array):
        raise errors.expanded_write()
    if not getattr(array.flags, "writeable", True):
        raise errors.read_only()
    check_history(target)


def repeated(array: Any) -> bool:
    """Say whether one element of memory stands for several of a raw array."""
    if 0 not in array.strides or not array.size:
        return False
    return any([step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True)])


def check_history(target: Tensor) -> None:
    """Raise RuntimeError for a leaf that requires grad, a view of one, a view made under no_grad, and what
    `inference_mode` made, outside of it."""
    if target._box is INFERENCE and not state.inference:
        raise errors.inference_write()
    if not state.grad:
        return
    if isinstance(target._blind, str):
        raise errors.blind_view(target._blind)
    base = target._base
    if base is not None and base.is_leaf and (base._edge is not None or target._edge is not None):
        raise errors.leaf_inplace(view=True)
    if target._blind:
        raise errors.blind_view(target._blind)
    if target._edge is not None and target.is_leaf:
        raise errors.leaf_inplace(view=False)


def commit(name: str, target: Tensor, result: Any) -> Tensor:
    """Let `result` (computed from the old values) become the value and the history of `target`."""
    array = result._array
    if array.shape != target._array.shape:
        raise errors.inplace_shape(name, target._array.shape, array.shape)
    if hasattr(array, "level"):
        meet_level(name, target, array)
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


def meet_level(name: str, target: Tensor, values: Any) -> None:
    """Before an array of a func transform is written to a tensor from outside of that: let it hold such arrays, or raise."""
    own = getattr(target._array, "level", None)
    if own is None or own.depth < values.level.depth:
        values.level.adopt(name, target, values)


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
        move(target, result._edge)
        refresh(target)
        return
    pair, arrays = (wrap(base._array, base._edge), result), (base._array, result._array)
    edges = (base._edge, result._edge)
    move(base, record(OPS["assign"], pair, arrays, (target._path,), edges, base._array, None))
    refresh(base)


def move(tensor: Tensor, edge: Any) -> None:
    """Give a tensor another history; a gradient it was to retain is the one that arrives there from now on."""
    retains = tensor.retains_grad
    tensor._edge = edge
    if retains and edge is not None:
        tensor.retain_last()


def refresh(base: Tensor) -> None:
    """Give each living view of `base` the history it has now: the base's, through the view's own path."""
    if not base._views:
        return
    living = [(r, v) for r in base._views if (v := r()) is not None]
    base._views[:] = [r for r, _ in living]
    for _, view in living:
        if view._blind:
            view._edge = tape.node(_LOST, (base._edge,), (view._blind,), None)
            continue
        replayed = wrap(base._array, base._edge)
        for op, params in view._path:
            replayed = call(op, (replayed,), params)
        move(view, replayed._edge)


def _lost(g: Any, saved: Any) -> Any:
    raise errors.blind_view(saved[0])


# the history of a view whose own is unknown, once its base has a new one: whoever asks for a gradient is told
_LOST = dataclasses.replace(OPS["cast"].plan((True,)), pulls=((0, _lost),))


def keep_old(target: Tensor, *others: Any) -> Tensor:
    """Return what to compute a write from: the target, or a copy of it where a gradient may read the old values, which for
    arrays of func transforms may be that of a transform around it."""
    tensors = [target, *[x for x in others if isinstance(x, Tensor)]]
    if any([(state.grad and x._edge is not None) or hasattr(x._array, "level") for x in tensors]):
        return wrap(backend.of_array(target._array).copy(target._array), target._edge)
    return target


# Methods that change how a tensor looks at its memory, not what is in it; by how much the number in the name of their
# gradient is higher than that of the view's.
LOOKS = {"t_": 1, "transpose_": 1, "swapaxes_": 1, "swapdims_": 1, "squeeze_": 3, "unsqueeze_": 1, "as_strided_": 1}


def look(name: str, target: Tensor, view: Tensor) -> Tensor:
    """Let a tensor look at its memory as `view`, a view of it, does; other views of the memory stay as they are."""
    path, blind = view._path, target._blind
    bump(target)
    if target._edge is None or not target.is_leaf:
        base = target.leave_storage()
        target._base, target._path, target._blind = base, path, blind
        base._views = [*(base._views or ()), weakref.ref(target)]
        if state.grad:
            move(target, view._edge)
            if isinstance(view._edge, Node):
                label = view._edge.name()
                view._edge.label = f"{label[:-1]}{int(label[-1]) + LOOKS.get(name, 0)}"
    target._array = view._array
    return target


# Methods that add a multiple of something to a tensor: (self, *args) -> (what is added, its factor). Where nothing is recorded
# of float tensors of one shape, `add_` does it in place.
ADDS: dict[str, Callable[..., tuple[Any, Any]]] = {}


def plain_floats(*tensors: Any) -> bool:
    """Say whether these are tensors of one float type and one shape, that override nothing and of which nothing is recorded."""
    for x in tensors:
        if (type(x) is not Tensor and type(x) not in PLAIN) or (x._edge is not None and state.grad):
            return False
    array = tensors[0]._array
    if array.dtype is not F32 and array.dtype is not F64:
        return False
    return all([x._array.dtype is array.dtype and x._array.shape == array.shape for x in tensors[1:]])


def inplace(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the method `name_` that writes what `function` computes to the tensor itself."""
    adds = ADDS.get(name)
    words = (getattr(adds, "__kwdefaults__", None) or {}).keys()

    @functools.wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        quick = adds is not None and len(args) == 2 and kwargs.keys() <= words
        if quick and plain_floats(self, *[x for x in args if isinstance(x, Tensor)]):
            what, factor = adds(self, *args, **kwargs)  # type: ignore[misc]
            if what is not None and type(factor) in (int, float):
                check(self)
                made: Tensor = self.add_(what, alpha=factor)
                return made
        if name in LOOKS:
            check_history(self)
            return look(name, self, function(self, *args, **kwargs))
        check(self)
        return commit(name, self, function(keep_old(self, *args, *kwargs.values()), *args, **kwargs))

    method.__name__ = name
    method.__doc__ = f"Write the result of `{name.rstrip('_')}` to this tensor and return it.\n\n{function.__doc__ or ''}"
    return method


LARGE = 1 << 15  # elements from which a device may add a multiple in parts, rather than make the whole multiple first


def inplace_op(name: str, op: Op, scale: Op | None = None, scaled: Callable[..., Any] | None = None) -> Callable[..., Tensor]:
    """Return `name_` for an elementwise op: where nothing is recorded, the kernel writes straight into the tensor.

    scale: the op that multiplies the operand by `alpha` first (add_ and sub_ have one); scaled: the same for operands
    of any kind, (target, operand, alpha) -> alpha * operand.
    """
    run, kernels, boolean = op.__call__, op.kernels, op.boolean
    scaling = (scale or op).kernels
    counts = op.name in ("add", "subtract", "multiply")  # what int64 tensors that count are written with
    reads_old = any(op.inputs[0] in read for read in op.reads)

    def general(self: Tensor, args: tuple[Any, ...], alpha: Any = 1) -> Tensor:
        check(self)
        given = getattr(args[0], "_array", None) if args else None
        part = getattr(getattr(type(given), "transform", None), "write_part", None)  # of an array that holds a part of itself
        if part is not None and not (state.grad and (self._edge is not None or args[0]._edge is not None)):
            if part(op, self, args[0], alpha):
                bump(self)
                return self
        if alpha != 1:
            assert scaled is not None
            args = (scaled(self, args[0], alpha),)
        return commit(name, self, run(keep_old(self, *args) if reads_old else self, *args))

    def written(self: Tensor, others: tuple[Any, ...], error: Exception) -> Tensor:
        """Go on after a kernel's exception: a warning that is an error came when all was written; else say what is wrong."""
        a = self._array
        if isinstance(error, Warning | FloatingPointError):
            bump(self)
            return self
        check(self)
        if any([hasattr(x, "level") for x in others]):
            return general(self, tuple([wrap(x) for x in others]))
        shapes = [tuple(x.shape) for x in (a, *others)]
        if errors.broadcast(name, shapes) is None and (wanted := np.broadcast_shapes(*shapes)) != shapes[0]:
            raise errors.inplace_shape(name, shapes[0], wanted) from error
        raise errors.failed(op, (a, *others), (), error) from error

    def one(self: Tensor) -> Tensor:
        a = self._array
        dtype = a.dtype
        if boolean or (dtype is not F32 and dtype is not F64) or (state.grad and (self._edge is not None or self._blind)):
            return general(self, ())
        if self._base is not None or a.base is not None or self._box is INFERENCE:
            check(self)
        try:
            kernels[type(a)](a, out=a)
        except Exception as error:
            return written(self, (), error)
        bump(self)
        return self

    def two(self: Tensor, other: Any, second: Any = None, *, alpha: Any = 1) -> Tensor:
        if second is not None:  # PyTorch's old order: p.add_(-lr, grad)
            if scale is None:
                raise TypeError(f"{name}() takes 1 positional argument but 2 were given")
            other, alpha = second, other
        a = self._array
        dtype = a.dtype
        if boolean or (dtype is not F32 and dtype is not F64):
            if counts and dtype is I64 and type(a) is np.ndarray and type(other) is int and alpha == 1 and abs(other) < 1 << 31:
                check(self)
                onto(kernels[np.ndarray], a, constant(other, I64))
                bump(self)
                return self
            return general(self, (other,), alpha)
        numbers = _NUMBERS32 if dtype is F32 else _NUMBERS64
        edge = self._edge
        if isinstance(other, Tensor):
            b = other._array
            if b.dtype is not dtype or type(b) is not type(a) or b.ndim > a.ndim:
                return general(self, (other,), alpha)
            edge = edge or other._edge
        elif type(other) in (int, float):
            b = numbers.get(other)
            if b is None:
                b = constant(other, dtype)
        else:
            return general(self, (other,), alpha)
        if (edge is not None or self._blind) and state.grad:
            return general(self, (other,), alpha)
        if self._base is not None or a.base is not None or self._box is INFERENCE:
            check(self)
        if alpha != 1:
            factor = numbers.get(alpha)
            if factor is None:
                factor = constant(alpha, dtype)
            try:
                if a.size >= LARGE and a.shape == b.shape and hasattr(backend.of_array(a), "scaled_into"):
                    backend.of_array(a).scaled_into(kernels[type(a)], a, scaling[type(b)], b, factor)
                    bump(self)
                    return self
                b = scaling[type(b)](b, factor, out=...)
            except (Warning, FloatingPointError):
                return general(self, (other,), alpha)
        try:
            onto(kernels[type(a)], a, b)
        except Exception as error:
            return written(self, (b,), error)
        box = self._box
        if box is None:
            self._box = [1]
        elif box is not INFERENCE:
            box[0] += 1
        return self

    method = one if len(op.inputs) == 1 else two
    method.__name__ = name
    method.__doc__ = f"Write the result of `{name.rstrip('_')}` to this tensor and return it."
    return method


def write_out(name: str, result: Any, out: Any, exact: bool = False) -> Any:
    """Write a result to the tensor given as `out=`, resized if it must be. Raises RuntimeError if either needs grad."""
    if isinstance(result, tuple):
        written = [write_out(name, r, o, True) for r, o in zip(result, out, strict=True)]
        return type(result)(*written) if hasattr(result, "_fields") else tuple(written)
    if state.grad and (out._edge is not None or result._edge is not None):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            f"requires grad."
        )
    if out._box is INFERENCE and not state.inference:
        raise errors.inference_write()
    if refused := errors.out_dtype(name, out._array.dtype, result._array.dtype, exact):
        raise refused
    if out._array.shape != result._array.shape:
        out._array = backend.of_array(result._array).copy(call(cast, (result,), (out._array.dtype,))._array)
        out._box = None
        return out
    if repeated(out._array):
        raise errors.expanded_write()
    if not getattr(out._array.flags, "writeable", True):
        raise errors.read_only()
    backend.of_array(out._array).write(out._array, result._array)
    bump(out)
    return out
