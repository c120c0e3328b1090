"""`wengert.signal.windows`: a namespace over the registry; a plugin brings its windows.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "signal.windows", "signal.windows.")
