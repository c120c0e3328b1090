"""Lazy modules: what their parameters' sizes are, the first input says.

Owns: `LazyModuleMixin`. May import: uninitialized parameters. Must not know: any layer. A lazy class says in
`initialize_parameters(*inputs)` how the sizes follow, and in `cls_to_become` what it is from then on.
"""

from __future__ import annotations

from typing import Any, ClassVar

from wengert_nn.modules.parameter import is_lazy


class LazyModuleMixin:
    """What makes a module lazy, as its first base class."""

    cls_to_become: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(type(self)._lazy_load, with_module=True)  # type: ignore[attr-defined]
        self._initialize_hook = self.register_forward_pre_hook(type(self)._infer_parameters, with_kwargs=True)  # type: ignore[attr-defined]

    def initialize_parameters(self: Any, *args: Any, **kwargs: Any) -> None:
        """Give the parameters the sizes that the first arguments say."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self: Any) -> bool:
        """Say whether a parameter or buffer has no size yet."""
        return any(is_lazy(x) for x in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self: Any, args: Any, kwargs: Any) -> None:
        if self.has_uninitialized_params():
            self.initialize_parameters(*args, **kwargs)
        if self.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        self._initialize_hook.remove()
        self._load_hook.remove()
        del self._initialize_hook, self._load_hook
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become

    def _lazy_load(self: Any, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take the sizes of a state dict that has them."""
        for name, value in (*self._parameters.items(), *self._buffers.items()):
            given = state_dict.get(prefix + name)
            if is_lazy(value) and given is not None and not is_lazy(given):
                value.materialize(given.shape)
