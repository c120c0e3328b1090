"""What calls a module's backward hooks: two nodes that pass gradients on, around what its forward recorded.

Owns: `Watch`, one call of a module that has such hooks, and `watch_last`, for hooks of the older kind. May import:
`wengert`'s public names. Must not know: modules' tables, devices. The node of the outputs hears their gradients together,
that of the inputs ends the module's backward.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from wengert import Tensor, is_grad_enabled
from wengert.autograd import Function

Hook = Callable[..., Any]


class BackwardHookFunction(Function):
    """Tensors as they are."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        passed = tuple(t.view_as(t) for t in tensors)
        ctx.mark_non_differentiable(*[p for p, t in zip(passed, tensors, strict=True) if not t.requires_grad])
        return passed

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients


class Watch:
    """One call of a module: its gradients go by the hooks that were registered when it was made."""

    def __init__(self, module: Any, pre: Sequence[Hook], post: Sequence[Hook]) -> None:
        self.module, self.pre, self.post = module, pre, post
        self.gradients: tuple[Any, ...] = ()  # of the outputs, while the module's backward runs
        self.arguments = 0
        self.watching = False  # whether an input has a gradient, which ends the module's backward

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments with the node at which the hooks are called."""
        self.arguments = len(args)
        passed, places, node = _passed(args)
        if node is not None:
            self.watching = True
            node.register_hook(lambda found, _: self._leave(found, places))
        return passed

    def outputs(self, result: Any) -> Any:
        """Return a result with the node that hears its gradients."""
        several = isinstance(result, tuple | list)
        if not several and not isinstance(result, Tensor):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}",
                stacklevel=4,
            )
        passed, places, node = _passed(tuple(result) if several else (result,))
        if node is None:
            return result
        width = len(passed)
        node.register_prehook(lambda found: self._enter(found, places, width))
        return (result._make(passed) if hasattr(result, "_make") else type(result)(passed)) if several else passed[0]

    def _enter(self, found: Any, places: list[int], width: int) -> Any:
        gradients = _spread(found, places, width)
        for hook in self.pre:
            gradients = _replaced("register_full_backward_pre_hook", gradients, hook(self.module, gradients))
        self.gradients = gradients
        if not self.watching:
            nothing = (None,) * self.arguments
            for hook in self.post:
                given = hook(self.module, nothing, gradients)
                if given is not None and any(g is not None for g in (given if isinstance(given, tuple) else (given,))):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or None for "
                        "all gradients."
                    )
        return tuple(gradients[i] for i in places)

    def _leave(self, found: Any, places: list[int]) -> Any:
        if not self.gradients:
            return None  # a gradient that did not come by the outputs, as a second derivative's
        gradients = _spread(found, places, self.arguments)
        for hook in self.post:
            gradients = _replaced("register_full_backward_hook", gradients, hook(self.module, gradients, self.gradients))
        self.gradients = ()
        return tuple(gradients[i] for i in places)


def watch_last(module: Any, args: Any, result: Any, hooks: Sequence[Hook]) -> None:
    """Call hooks of the older kind with the gradients of the node that made the (first) result, whatever its inputs are."""
    first = result
    while not isinstance(first, Tensor):
        first = next(v for v in first.values() if isinstance(v, Tensor)) if isinstance(first, dict) else first[0]
    node = first.grad_fn
    if node is None:
        return
    problem = _not_the_whole(args, result, node)
    if problem:
        warnings.warn(
            f"Using a non-full backward hook {problem}. Its grad_input is what the last operation has. Use "
            "register_full_backward_hook to get the gradients of the module.",
            FutureWarning,
            stacklevel=4,
        )
    for hook in hooks:
        node.register_hook(functools.partial(hook, module))


def _not_the_whole(args: Any, result: Any, node: Any) -> str:
    """Return why the gradients of a node are not those of the module that it belongs to, or nothing where they are."""
    results = result if isinstance(result, tuple) else (result,)
    if not all(isinstance(t, Tensor) for t in results):
        return "on a Module that does not return a single Tensor or a tuple of Tensors"
    if not all(isinstance(t, Tensor) for t in args):
        return "on a Module that does not take as input a single Tensor or a tuple of Tensors"
    if {t.grad_fn for t in results} - {node, None}:
        return "when outputs are generated by different autograd Nodes"
    if {t.grad_fn for t in args} - {None} != {source for source, _ in node.next_functions}:
        return "when the forward contains multiple autograd Nodes"
    return ""


def _passed(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int], Any]:
    """Return values whose tensors come from one node, where the tensors stand, and the node: None where none has a gradient."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    if not is_grad_enabled() or not any(values[i].requires_grad for i in places):
        return values, places, None
    made = BackwardHookFunction.apply(*[values[i] for i in places])
    out = list(values)
    for i, t in zip(places, made, strict=True):
        out[i] = t
    return tuple(out), places, next(t.grad_fn for t in made if t.requires_grad)


def _spread(found: Any, places: list[int], width: int) -> tuple[Any, ...]:
    gradients: list[Any] = [None] * width
    for i, g in zip(places, found, strict=True):
        gradients[i] = g
    return tuple(gradients)


def _replaced(name: str, gradients: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
    if result is None:
        return gradients
    given: tuple[Any, ...] = result if isinstance(result, tuple) else (result,)
    if len(given) != len(gradients):
        raise RuntimeError(
            f"{name}: the hook returned an incorrect number of gradients (got {len(given)}, but expected {len(gradients)})"
        )
    return given
