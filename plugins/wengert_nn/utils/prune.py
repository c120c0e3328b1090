"""`nn.utils.prune`: parameters some of whose elements are masked away.

Owns: the methods, which say what is masked; the hook that makes `<name>` of `<name>_orig` and the buffer `<name>_mask` before
each forward. May import: `wengert`'s public names. Must not know: devices. An amount is a number of elements (int)
or a fraction of them (float).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import wengert


def _count(amount: Any, size: int) -> int:
    """Return how many of `size` an amount is. Raises TypeError for no number, ValueError for one out of range."""
    if isinstance(amount, bool) or not isinstance(amount, int | float | np.integer):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (isinstance(amount, float) and amount > 1):
        raise ValueError(f"amount={amount} should either be a float in the range [0.0, 1.0] or a non-negative integer")
    if not isinstance(amount, float) and amount > size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={size}")
    return round(amount * size) if isinstance(amount, float) else int(amount)


def _without(mask: Any, places: Any) -> Any:
    """Return a copy of a mask with zeros at these places of its flattened elements."""
    flat = mask.reshape(-1).clone()
    flat[places] = 0
    return flat.reshape(mask.shape)


@dataclass(init=False, repr=False, eq=False)  # so that a module with it is saved whole
class BasePruningMethod:
    """A way to choose what is masked: `compute_mask(scores, default_mask)` returns the new mask."""

    PRUNING_TYPE: ClassVar[str] = "unstructured"
    _tensor_name: str

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return a mask that has zeros where default_mask has, and where this method says."""
        raise NotImplementedError(f"{type(self).__name__}.compute_mask")

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Any) -> Any:
        """Return the masked parameter."""
        name = self._tensor_name
        return getattr(module, f"{name}_mask").to(getattr(module, f"{name}_orig").dtype) * getattr(module, f"{name}_orig")

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune a parameter of a module, further if it is pruned, and return the method."""
        old = _method(module, name)
        method = cls(*args, **kwargs)
        method._tensor_name = name
        if old is None:
            original = module._parameters[name]
            mask = wengert.ones_like(original.detach())
        else:
            original, mask = getattr(module, f"{name}_orig"), getattr(module, f"{name}_mask")
        scores = getattr(module, name).detach() if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(original.shape):
            raise AssertionError("importance_scores should have the same shape as the parameter")
        if old is not None:
            del module._forward_pre_hooks[old[0]]
            container = old[1] if isinstance(old[1], PruningContainer) else PruningContainer(old[1])
            container.add_pruning_method(method)
            method = container
        with wengert.no_grad():
            made = method.compute_mask(scores, mask)
        if old is None:
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", original)
        module.register_buffer(f"{name}_mask", made)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """Return a tensor masked by this method."""
        mask = wengert.ones_like(t) if default_mask is None else default_mask
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        return t * self.compute_mask(scores, mask)

    def remove(self, module: Any) -> None:
        """Let the masked parameter be a plain one."""
        name = self._tensor_name
        value = self.apply_mask(module)
        original = module._parameters.pop(f"{name}_orig")
        original.data = value.detach()
        del module._buffers[f"{name}_mask"]
        delattr(module, name)
        module.register_parameter(name, original)


def _method(module: Any, name: str) -> tuple[int, Any] | None:
    hooks = module._forward_pre_hooks.items()
    found = ((k, h) for k, h in hooks if isinstance(h, BasePruningMethod) and h._tensor_name == name)
    return next(found, None)


class PruningContainer(BasePruningMethod):
    """Methods one after the other, each on what those before left."""

    def __init__(self, *args: Any) -> None:
        methods = args[0] if args and not isinstance(args[0], BasePruningMethod) else args
        self._pruning_methods: tuple[Any, ...] = ()
        for method in methods:
            self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method at the end. Raises TypeError for none, ValueError for one of another parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method._tensor_name != self._tensor_name:
            raise ValueError(f"Can only add pruning methods acting on the parameter named '{self._tensor_name}'")
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        method, mask = self._pruning_methods[-1], default_mask.to(t.dtype, copy=True)
        if method.PRUNING_TYPE == "unstructured":
            kept = default_mask == 1
            mask[kept] = method.compute_mask(t[kept], wengert.ones_like(t[kept]))
            return mask
        if method.PRUNING_TYPE == "structured":
            dim = method.dim % t.dim()
            others = [i for i in range(t.dim()) if i != dim]
            kept = mask.sum(others).nonzero().reshape(-1)
            part = method.compute_mask(t.index_select(dim, kept), mask.index_select(dim, kept))
            return mask.index_copy(dim, kept, part)
        return method.compute_mask(t, mask)


class Identity(BasePruningMethod):
    """Mask nothing."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return default_mask.clone()


class _Amount(BasePruningMethod):
    def __init__(self, amount: Any) -> None:
        _count(amount, 2**62)
        self.amount = amount


class RandomUnstructured(_Amount):
    """Mask elements drawn at random."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        count = _count(self.amount, t.numel())
        drawn = wengert.rand(t.numel(), device=t.device).topk(count)[1] if count else None
        return default_mask.clone() if drawn is None else _without(default_mask, drawn)


class L1Unstructured(_Amount):
    """Mask the smallest elements."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        count = _count(self.amount, t.numel())
        smallest = t.abs().reshape(-1).topk(count, largest=False)[1] if count else None
        return default_mask.clone() if smallest is None else _without(default_mask, smallest)


class RandomStructured(_Amount):
    """Mask slices along dim, drawn at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Any) -> Any:
        return wengert.rand(t.shape[self.dim], device=t.device)

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        if t.dim() <= 1:
            raise ValueError(f"Structured pruning can only be applied to multidimensional tensors. Found {t.dim()}D")
        count = _count(self.amount, t.shape[self.dim])
        if not count:
            return default_mask.clone()
        kept = wengert.ones(t.shape[self.dim], dtype=default_mask.dtype, device=t.device)
        kept[self._scores(t).topk(count, largest=False)[1]] = 0
        shape = [1] * t.dim()
        shape[self.dim] = -1
        return default_mask * kept.reshape(shape)


class LnStructured(RandomStructured):
    """Mask the slices along dim of the smallest n-norms."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Any) -> Any:
        dim = self.dim % t.dim()
        return t.norm(self.n, dim=[i for i in range(t.dim()) if i != dim])


class CustomFromMask(BasePruningMethod):
    """Mask what a given mask does."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return default_mask * self.mask.to(default_mask.dtype)


# ---- functions
def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Mask elements of a parameter, drawn at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Mask the smallest elements of a parameter."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Mask slices of a parameter along dim, drawn at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Mask the slices of a parameter along dim of the smallest n-norms."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Mask a parameter by a given mask."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Iterable[Any], pruning_method: Any, importance_scores: Any = None, **kwargs: Any) -> None:
    """Mask elements of several parameters, (module, name) pairs, as if they were one."""
    pairs = list(parameters)
    given = importance_scores or {}
    scores = [given.get(pair, getattr(*pair)).detach() for pair in pairs]
    masks = [getattr(m, f"{n}_mask", None) for m, n in pairs]
    before = [wengert.ones_like(s) if mask is None else mask for s, mask in zip(scores, masks, strict=True)]
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container = PruningContainer(method)
    flat = container.compute_mask(*(wengert.cat([x.reshape(-1) for x in row]) for row in (scores, before)))
    start = 0
    for (module, name), part in zip(pairs, scores, strict=True):
        custom_from_mask(module, name, flat[start : start + part.numel()].reshape(part.shape))
        start += part.numel()


def remove(module: Any, name: str) -> Any:
    """Let a pruned parameter be a plain one, with the zeros in it. Raises ValueError where it is not pruned."""
    found = _method(module, name)
    if found is None:
        raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")
    found[1].remove(module)
    del module._forward_pre_hooks[found[0]]
    return module


def is_pruned(module: Any) -> bool:
    """Say whether a module, or one below it, has a pruned parameter."""
    return any(isinstance(h, BasePruningMethod) for m in module.modules() for h in m._forward_pre_hooks.values())
