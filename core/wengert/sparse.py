"""`wengert.sparse`: a namespace over the registry; what is done with sparse tensors comes from a plugin.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "sparse", "sparse.")
