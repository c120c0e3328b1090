"""`wengert.nn.functional`: a namespace over the registry's ops below "nn.functional."; a plugin brings them.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "nn.functional", "nn.functional.")
