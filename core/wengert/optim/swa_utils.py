"""`wengert.optim.swa_utils`: a namespace over the registry's names below "swa_utils."; a plugin brings them.

Owns: nothing. Must not know: any average.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("optimizers", "optim.swa_utils", "swa_utils.")
