"""`wengert.utils.data`: a namespace over the registry's ops below "utils.data."; a plugin brings them.

Owns: nothing. Must not know: datasets, loaders.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "utils.data", "utils.data.")
