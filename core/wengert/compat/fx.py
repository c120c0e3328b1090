"""`torch.fx`, as far as it is needed to run a module: marks on functions, which mean something to a tracer only.

Owns: the marks. Must not know: modules. What would rewrite a module is only named (see `named`), and says so when it is called.
"""

from __future__ import annotations

from typing import Any


def wrap(fn_or_name: Any) -> Any:
    """Return the function (or its name) as it is: the mark says that a tracer shall not look inside."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def has_side_effect(fn: Any) -> Any:
    """Return the function as it is."""
    return fn
