"""`wengert.special`: a namespace over the registry; its special functions come from a plugin.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "special", "special.")
