"""`functorch.make_functional` and its kin: modules as functions of their parameters, as they were before `torch.func`.

Owns: these. May import: `wengert`'s public names, late. Must not know: how a module is called.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

Tensors = tuple[Any, ...]


def make_functional_with_buffers(
    model: Any, disable_autograd_tracking: bool = False
) -> tuple[Callable[..., Any], Tensors, Tensors]:
    """Return f(parameters, buffers, *args), and copies of both; the module stays as it is."""
    from wengert.func import functional_call

    held = copy.deepcopy(model)
    parameters, buffers = dict(held.named_parameters()), dict(held.named_buffers())
    if disable_autograd_tracking:
        held.requires_grad_(False)

    def stateless(params: Sequence[Any], buffer_values: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        given = dict(zip([*parameters, *buffers], [*params, *buffer_values], strict=True))
        return functional_call(held, given, args, kwargs)

    return stateless, tuple(parameters.values()), tuple(buffers.values())


def make_functional(model: Any, disable_autograd_tracking: bool = False) -> tuple[Callable[..., Any], Tensors]:
    """Return f(parameters, *args), and copies of the parameters. Raises RuntimeError for a module with buffers."""
    if any(True for _ in model.buffers()):
        raise RuntimeError("make_functional: `model` has buffers. Please use make_functional_with_buffers(model) instead.")
    call, parameters, _ = make_functional_with_buffers(model, disable_autograd_tracking)
    return (lambda params, *args, **kwargs: call(params, (), *args, **kwargs)), parameters


def combine_state_for_ensemble(models: Sequence[Any]) -> tuple[Callable[..., Any], Tensors, Tensors]:
    """Return f(parameters, buffers, *args) of one of the models, and what all of them have, stacked: for `vmap`.

    Raises RuntimeError for no models, for models of several classes, or of which only some are training.
    """
    import wengert

    if not models:
        raise RuntimeError("combine_state_for_ensemble: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("combine_state_for_ensemble: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("combine_state_for_ensemble: Expected all models to be of the same class.")
    made = [make_functional_with_buffers(m) for m in models]
    parameters, buffers = (
        tuple(wengert.stack(same).detach() for same in zip(*[m[part] for m in made], strict=True)) for part in (1, 2)
    )
    return made[0][0], parameters, buffers
