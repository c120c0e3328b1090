"""The functions that write to their first argument: `wengert.exp_(x)` is `x.exp_()`.

Owns: nothing but that rule, for whichever name is asked for. May import: nothing. Must not know: which names there are; the
package registers them.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not name.endswith("_"):
        raise AttributeError(name)

    def run(input: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(input, name)(*args, **kwargs)

    run.__name__, run.__doc__ = name, f"Write the result of `{name.rstrip('_')}` to the tensor and return it."
    return run
