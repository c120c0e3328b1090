"""`wengert.masked`: a namespace over the registry; its functions and `MaskedTensor` come from a plugin.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "masked", "masked.")
