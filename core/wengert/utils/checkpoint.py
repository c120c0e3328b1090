"""`utils.checkpoint`: keep less for backward, and compute the rest again when it is asked for.

Owns: `checkpoint` in both its forms, `checkpoint_sequential`, the comparison of what was kept with what was computed again.
May import: autograd (Function, graph, saving), tensor, modes, overrides, random. Must not know: any op, any device.
A chain of n steps in sqrt(n) segments keeps about 2 sqrt(n) values at once.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from wengert import errors, overrides
from wengert._tensor import Tensor, wrap
from wengert.autograd import backward
from wengert.autograd.function import Function
from wengert.autograd.graph import saved_tensors_hooks
from wengert.autograd.saving import Packed
from wengert.modes import enable_grad, state
from wengert.ops import random

__all__ = [
    "CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn", "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]  # fmt: skip


class CheckpointError(RuntimeError):
    """What is raised where a function computed again does not do what it did the first time."""


class _Enough(Exception):
    """Ends a recomputation when all that was asked for is there."""


_early_stop: bool | None = None


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Say for all checkpoints inside whether a recomputation ends with the last value that is needed (it does by default)."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepted for PyTorch programs, as `debug=` is: errors say what differs without it."""
    yield


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Return two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]] = noop_context_fn,
    determinism_check: str = "default", debug: bool = False, early_stop: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """Return function(*args, **kwargs), keeping the arguments only; backward computes the rest again.

    use_reentrant: True runs a backward inside of backward (arguments have to be tensors that require grad, and `grad` cannot
    be used); False packs each kept value, and has no such limits. preserve_rng_state=False: random numbers may differ the
    second time. context_fn: the contexts of both runs. Raises CheckpointError where the second run keeps other values.
    """
    if use_reentrant is None:
        warnings.warn(
            "wengert.utils.checkpoint: the use_reentrant parameter should be passed explicitly; use_reentrant=False is "
            "recommended, True is what happens without it.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if state.recorder is not None:  # a program computes again what is worth it
        with context_fn()[0]:
            return function(*args, **kwargs)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return _reentrant(function, preserve, args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    outer, inner = context_fn()
    stop = early_stop if _early_stop is None else _early_stop
    frame = _Frame(function, args, kwargs, preserve, inner, determinism_check == "default", stop)
    if not state.grad:
        with outer:
            return function(*args, **kwargs)
    with saved_tensors_hooks(frame.pack, frame.unpack), outer:
        made = function(*args, **kwargs)
    frame.complete = True
    return made


# ---- without a backward inside of backward
class _Holder:
    """What a node keeps in the place of a value: where it will be, for each backward."""

    def __init__(self, frame: _Frame, form: tuple[Any, ...]) -> None:
        self.frame, self.form = frame, form
        self.values: weakref.WeakKeyDictionary[Any, Tensor] = weakref.WeakKeyDictionary()


class _Frame:
    """One checkpointed call: its arguments, and the holders of what it would have kept, in order."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], preserve: bool,
        context: AbstractContextManager[Any], compare: bool, early_stop: bool,
    ) -> None:  # fmt: skip
        self.function, self.kwargs, self.context, self.compare, self.early_stop = function, kwargs, context, compare, early_stop
        self.rng = random.get_rng_state() if preserve else None
        self.cast = overrides.cast()
        self.args = [_Argument(x) if isinstance(x, Tensor) else x for x in args]
        self.holders: list[weakref.ref[_Holder]] = []
        self.complete = False  # whether the first run has ended; a function that takes gradients is computed again within it

    def pack(self, tensor: Tensor) -> _Holder:
        holder = _Holder(self, (tensor.shape, tensor.dtype, tensor.device))
        self.holders.append(weakref.ref(holder))
        return holder

    def unpack(self, holder: _Holder) -> Tensor:
        task = state.task if state.task is not None else holder  # a look from outside of any backward
        if task not in holder.values:
            self.recompute(task)
        if task not in holder.values:
            raise CheckpointError(
                "wengert.utils.checkpoint: a value is asked for twice in one backward, or was not computed again: the function "
                "has to do the same each time it runs."
            )
        return holder.values.pop(task)

    def recompute(self, task: Any) -> None:
        """Run the function again, and put what it keeps where this backward looks for it."""
        args = [a.fresh() if isinstance(a, _Argument) else a for a in self.args]
        count, wrong = 0, list[str]()

        def keep(tensor: Tensor) -> Tensor:
            nonlocal count
            if count < len(self.holders):
                holder = self.holders[count]()
                if holder is not None:
                    form = (tensor.shape, tensor.dtype, tensor.device)
                    if form != holder.form:
                        wrong.append(f"tensor at position {count}: {_said(holder.form)} before, {_said(form)} now")
                    holder.values[task] = tensor._bare()
            count += 1
            if self.early_stop and count >= len(self.holders):
                raise _Enough
            return tensor._bare()

        with _rng(self.rng), enable_grad(), overrides.casting(self.cast), self.context, contextlib.suppress(_Enough):
            with saved_tensors_hooks(keep, lambda tensor: tensor):
                self.function(*args, **self.kwargs)
        if not self.compare or not self.complete:
            return
        if count != len(self.holders):
            raise CheckpointError(
                f"wengert.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation: {len(self.holders)} and {count}. The function has to do the same each time it runs."
            )
        if wrong:
            raise CheckpointError(
                "wengert.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the "
                "forward pass.\n" + "\n".join(wrong)
            )


class _Argument:
    """A tensor that a checkpointed function was given; hooks around the checkpoint have their say in how it is kept."""

    def __init__(self, tensor: Tensor) -> None:
        self.needs = tensor.requires_grad
        self.packed = Packed(tensor) if state.packing else None
        self.tensor = tensor if self.packed is None else None
        self.box = tensor.version_box()
        self.version = self.box[0]

    def fresh(self) -> Tensor:
        """Return the tensor without its history. Raises RuntimeError when it was written to since."""
        if self.packed is not None:
            return wrap(self.packed.open()).requires_grad_(self.needs)  # type: ignore[no-any-return]
        assert self.tensor is not None
        if self.box[0] != self.version:
            raise errors.overwritten("an argument of a checkpoint", tuple(self.tensor.shape), self.box[0] - self.version)
        return self.tensor._bare().requires_grad_(self.needs)  # type: ignore[no-any-return]


def _said(form: tuple[Any, ...]) -> str:
    return f"{form[1]}{list(form[0])} on {form[2]}"


@contextlib.contextmanager
def _rng(position: Any) -> Iterator[None]:
    """Draw the same random numbers as then, and go on afterwards as if nothing had been drawn."""
    if position is None:
        yield
        return
    with random.fork_rng():
        random.set_rng_state(position)
        yield


# ---- with a backward inside of backward
class CheckpointFunction(Function):
    """The function as one node, whose backward runs it again and differentiates it there."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        ctx.run, ctx.rng, ctx.cast = function, random.get_rng_state() if preserve else None, overrides.cast()
        ctx.others = [None if isinstance(x, Tensor) else x for x in args]
        ctx.save_for_backward(*[x if isinstance(x, Tensor) else None for x in args])
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if state.task.needed is not None:
            raise RuntimeError(
                "When use_reentrant=True, wengert.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call .backward() "
                "without passing the `inputs` argument."
            )
        kept = zip(ctx.saved_tensors, ctx.others, strict=True)
        args = [o if x is None else x._bare().requires_grad_(x.requires_grad) for x, o in kept]
        with _rng(ctx.rng), enable_grad(), overrides.casting(ctx.cast):
            made = ctx.run(*args)
        results = made if isinstance(made, tuple) else (made,)
        used = [(y, g) for y, g in zip(results, grads, strict=True) if isinstance(y, Tensor) and y.requires_grad]
        if not used:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([y for y, _ in used], [g for _, g in used])
        return (None, None, *[x.grad if isinstance(x, Tensor) else None for x in args])


def _reentrant(function: Callable[..., Any], preserve: bool, args: tuple[Any, ...]) -> Any:
    if any(isinstance(x, Tensor) and hasattr(x._array, "level") for x in args):
        return function(*args)  # inside of a func transform, which keeps what it wants itself
    if not any(isinstance(x, Tensor) and x.requires_grad for x in args):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3)
    return CheckpointFunction.apply(function, preserve, *args)



# ---- chains
def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """Return the input sent through a chain of functions, of which each segment but the last is a checkpoint.

    functions: a sequence of functions, or a Sequential module. Raises ValueError for other options than preserve_rng_state.
    """
    if use_reentrant is None:
        warnings.warn(
            "wengert.utils.checkpoint: the use_reentrant parameter should be passed explicitly; use_reentrant=False is "
            "recommended, True is what happens without it.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    chain: Sequence[Callable[..., Any]] = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def segment(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for f in chain[start:end]:
                x = f(x)
            return x

        return run

    size = len(chain) // segments
    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(segment(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return segment(end, len(chain))(input)


# ---- what PyTorch's own checkpoints are made of, for those that programs write
def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return tensors without their histories, each requiring grad as it did; other things as they are."""
    return tuple([x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs])


def check_backward_validity(inputs: Any) -> None:
    """Warn where no input requires grad: what is checkpointed has no gradient then."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """Return which devices tensors are on beside the host, and their random states: none, as there is one stream for all."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: Any = None) -> None:
    """Accepted for PyTorch programs: `set_rng_state` sets the one stream there is."""
