"""`wengert.nn.parameter`: where PyTorch's programs import `Parameter` from.

Owns: nothing. Must not know: any class.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("modules", "nn.parameter")
