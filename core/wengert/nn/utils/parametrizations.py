"""`wengert.nn.utils.parametrizations`: a namespace over the registry's names below "utils.parametrizations.".

Owns: nothing; a plugin brings them. Must not know: any function.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("modules", "nn.utils.parametrizations", "utils.parametrizations.")
