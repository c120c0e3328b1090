"""`wengert.fft`: a namespace over the registry; its Fourier transforms come from a plugin.

Owns: nothing. Must not know: any op.
"""

from wengert.registry import lazy

__getattr__, __dir__ = lazy("ops", "fft", "fft.")
