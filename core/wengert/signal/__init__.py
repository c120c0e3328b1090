"""`wengert.signal`: the namespace of `wengert.signal.windows`.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "signal", "signal.", own=("windows",))
