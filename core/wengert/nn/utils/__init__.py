"""`wengert.nn.utils`: a namespace over the registry's names below "utils."; a plugin brings them.

Owns: nothing. Must not know: any function.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("modules", "nn.utils", "utils.", own=("parametrizations", "parametrize", "prune", "rnn"))
