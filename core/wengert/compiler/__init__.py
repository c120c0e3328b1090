"""`wengert.compile`: a function captured once for each kind of call, and run as a program from then on.

Owns: the public call `compile`. May import: the rooms of this package; late those names of `torch.compiler` that
compat/compiler.py has. Must not know: any op, any device.
compiled.py has the function that is called, guards.py what it watches, passes/ what is done to the graph, program.py what
runs, training.py gradients from outside.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from wengert.compiler.compiled import Compiled


def compile(
    function: Callable[..., Any] | None = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = None,
    mode: str | None = None, options: Any = None, disable: bool = False, fallback: str | None = None, explain: bool = False,
    fast_math: bool = False,
) -> Any:  # fmt: skip
    """Return a function that is captured as a graph and runs as one program: forward, backward and optimizer step alike.

    fallback="eager": a function that cannot be captured runs as it is, and a warning says why (else it raises).
    explain: print what was made of it. fast_math: use identities that hold for real numbers, and not for each IEEE number.
    dynamic: True keeps the leading size of the arguments open from the first capture on, where the function works alike for
    all sizes; None does so once three sizes were met; False captures each shape of its own.
    fullgraph, backend, mode, options: accepted as PyTorch's and without effect.
    Raises RuntimeError at the second call where the function asks for values (item(), a condition), with the remedy.
    """
    again = functools.partial(
        compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable,
        fallback=fallback, explain=explain, fast_math=fast_math,
    )  # fmt: skip
    if function is None:
        return again
    if disable:
        return function
    if fallback not in (None, "eager"):
        raise ValueError(f"compile: fallback must be None or 'eager', got {fallback!r}")
    compiled = Compiled(function, fallback, explain, fast_math, dynamic)
    if not hasattr(function, "named_parameters"):
        return compiled
    from wengert import nn  # a model stays one: its parameters, state dict and modes are those of what it wraps

    return nn.OptimizedModule(function, compiled, again) if isinstance(function, nn.Module) else compiled


def __getattr__(name: str) -> Any:
    """Return what `torch.compiler` has under a name (`disable`, `is_compiling`, `reset`) beside what this package owns."""
    if not name.startswith("_"):
        found = getattr(importlib.import_module("wengert.compat.compiler"), name, None)
        if getattr(found, "__module__", None) == "wengert.compat.compiler":
            return found
    raise AttributeError(f"module 'wengert.compiler' has no attribute {name!r}")
