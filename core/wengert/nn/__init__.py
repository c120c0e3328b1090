"""`wengert.nn`: a namespace over the registry; every module in it comes from a plugin.

Owns: nothing. Must not know: any module.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("modules", "nn", own=("functional", "init", "modules", "parameter", "utils"))
