"""`autograd.graph`: what one can do with the tape from outside.

Owns: hooks on the values that are kept for backward, hooks on several gradients at once, gradient edges. May import: tape,
tensor, modes, backend, saving. Must not know: any op, any device.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wengert import tape
from wengert._tensor import Tensor, wrap
from wengert.autograd import saving
from wengert.backend import device
from wengert.inplace import bump
from wengert.modes import state
from wengert.tape import GraphNode as Node
from wengert.tape import Slot, hooks_of

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge",
    "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip


# ---- values that are kept for backward
class saved_tensors_hooks:
    """Let `pack(tensor)` decide what is kept in the place of each tensor that an op keeps for backward.

    `unpack(packed)` has to give the tensor back when backward asks for it. The innermost pair counts.
    Raises TypeError for hooks that cannot be called, RuntimeError where `disable_saved_tensors_hooks` forbids them.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        for hook in (self.pack_hook, self.unpack_hook):
            if not callable(hook):
                raise TypeError(f"saved_tensors_hooks takes two functions, not {hook!r}")
        if state.unpackable is not None:
            raise RuntimeError(state.unpackable)
        state.packing = (*state.packing, (self.pack_hook, self.unpack_hook))
        saving.want(1)

    def __exit__(self, *exc: object) -> None:
        state.packing = state.packing[:-1]
        saving.want(-1)


class save_on_cpu(saved_tensors_hooks):
    """Keep what backward needs in the host's memory, and bring it back to its device then."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Tensor) -> tuple[device, Tensor]:
            return tensor.device, tensor.detach().clone() if tensor.is_cpu else tensor.detach().cpu()

        def unpack(packed: tuple[device, Tensor]) -> Tensor:
            place, tensor = packed
            return tensor.to(place)  # type: ignore[no-any-return]

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Make the use of `saved_tensors_hooks` raise RuntimeError with this message, also of those that are on already."""
    if state.packing:
        raise RuntimeError(error_message)
    before, state.unpackable = state.unpackable, error_message
    try:
        yield
    finally:
        state.unpackable = before


class _Kept:
    """What `allow_mutation_on_saved_tensors` gives: the copies that it made."""

    def __init__(self) -> None:
        self.copies: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def clear(self) -> None:
        """Forget the copies; nodes still hold those they need."""
        self.copies.clear()


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Kept]:
    """Let values that are kept for backward be written to: what is kept is a copy."""
    kept = _Kept()

    def pack(tensor: Tensor) -> Tensor:
        copy: Tensor = tensor._bare().clone()
        kept.copies.add(copy)
        return copy

    with saved_tensors_hooks(pack, lambda copy: copy):
        yield kept


# ---- edges
class GradientEdge(NamedTuple):
    """Where the gradient of a tensor arrives; `backward` and `grad` take it in the place of the tensor.

    The token is a tensor of the same shape and history, without memory. One made by hand, `GradientEdge(t.grad_fn,
    t.output_nr)`, has none, and may only stand for an input.
    """

    node: Any
    output_nr: int
    ownership_token: Any = None

    def stand_in(self, shaped: bool) -> Any:
        """Return the token; where there is none, a number with this history, or RuntimeError if the shape is needed."""
        if self.ownership_token is not None:
            return self.ownership_token
        if shaped:
            raise RuntimeError(
                "materialize_grads cannot be used when the given input is a GradientEdge made by hand, which has no shape; nor "
                "can that be an output. Give the tensor, or get_gradient_edge(tensor)."
            )
        return wrap(np.zeros(()), self.node if self.node.outputs == 1 else Slot(self.node, self.output_nr))


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Return the edge of a tensor, which keeps its history but not its values. Raises RuntimeError if it has none."""
    edge = tensor._edge
    if edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node, number = edge.origin if isinstance(edge, Slot) else (edge, 0)
    token = tensor.detach().new_zeros(()).expand(tensor.shape)
    token._edge = edge
    return GradientEdge(node, number, token)


def increment_version(tensor: Any) -> None:
    """Count a write to a tensor, or to each of several: for code that wrote where autograd could not see it."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        bump(t)


# ---- hooks on several gradients
def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all") -> _MultiHandle:
    """Call `fn(grads)` in each backward when the gradients of all tensors that get one are known, None for the others.

    mode="any": call `fn(grad)` with the first that is known, once in a backward.
    Raises ValueError for another mode, AssertionError for a tensor that requires no grad.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    if not all(t.requires_grad for t in tensors):
        raise AssertionError("Expected gradient function to be set: each tensor has to require grad")
    edges = [t._edge for t in tensors]
    arrived: weakref.WeakKeyDictionary[tape.Task, dict[int, Any]] = weakref.WeakKeyDictionary()
    lock = threading.Lock()

    def known(i: int, g: Tensor) -> None:
        task = state.task
        with lock:
            grads = arrived.setdefault(task, {})
            first = not grads
            grads[i] = g
            complete = len(grads) == sum(task.runs(edge) for edge in edges)
        if mode == "any" and first:
            fn(g)
        elif mode == "all" and complete:
            fn([grads.get(k) for k in range(len(edges))])

    return _MultiHandle([hooks_of(edge).add("tensor", functools.partial(known, i)) for i, edge in enumerate(edges)])


class _MultiHandle:
    """The hooks of several tensors as one."""

    def __init__(self, handles: Sequence[tape.Handle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
