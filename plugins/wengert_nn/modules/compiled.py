"""A module whose calls run as compiled programs: what `wengert.compile(model)` returns.

Owns: `OptimizedModule`. May import: Module. Must not know: the compiler, which hands it the compiled call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from wengert_nn.modules.module import Module


class OptimizedModule(Module):
    """A module around another, `_orig_mod`, that runs its compiled call; parameters, modes and attributes are the other's."""

    def __init__(self, mod: Module, call: Callable[..., Any], again: Callable[[Module], Module]) -> None:
        super().__init__()
        self._orig_mod = mod
        forward = functools.wraps(mod.forward)(lambda *args, **kwargs: call(*args, **kwargs))  # with the other's signature
        self.__dict__.update(forward=forward, _again=again)  # again: compiles another module like this one
        self.training = mod.training

    def __getattr__(self, name: str) -> Any:
        if name in self._modules or "_orig_mod" not in self._modules:
            return super().__getattr__(name)
        return getattr(self._modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        own = name in self.__dict__ or hasattr(type(self), name) or "_orig_mod" not in self.__dict__.get("_modules", ())
        super().__setattr__(name, value) if own or name == "_orig_mod" else setattr(self._modules["_orig_mod"], name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return what a copy is made of, pickled or not: the other module, to be compiled as it was here."""
        own = ("_modules", "forward", "_again")
        return self._again, (self._orig_mod,), {k: v for k, v in self.__dict__.items() if k not in own}
