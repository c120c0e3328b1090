"""`wengert.nn.grad`: a namespace over the registry's names below "grad."; a plugin brings them.

Owns: nothing. Must not know: any function.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("modules", "nn.grad", "grad.")
