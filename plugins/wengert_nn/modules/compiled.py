"""A module whose calls run as compiled programs: what `wengert.compile(model)` returns.

Owns: `OptimizedModule`. May import: Module. Must not know: the compiler, which hands it the compiled call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert_nn.modules.module import Module


class OptimizedModule(Module):
    """A module around another, `_orig_mod`, that runs its compiled call; parameters, modes and attributes are the other's."""

    def __init__(self, mod: Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self._orig_mod = mod
        self.__dict__["_call_compiled"] = call
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns."""
        return self.__dict__["_call_compiled"](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in self._modules or "_orig_mod" not in self._modules:
            return super().__getattr__(name)
        return getattr(self._modules["_orig_mod"], name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a compiled module cannot be copied or pickled: take its _orig_mod, and compile that again")
