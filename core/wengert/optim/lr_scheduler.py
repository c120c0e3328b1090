"""`wengert.optim.lr_scheduler`: a namespace over the registry's names below "lr_scheduler.".

Owns: nothing. Must not know: any schedule.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("optimizers", "optim.lr_scheduler", "lr_scheduler.")
