"""`wengert.distributions`: a namespace over the registry's ops below "distributions."; a plugin brings them.

Owns: nothing. Must not know: any distribution.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "distributions", "distributions.")
