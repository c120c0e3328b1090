"""`wengert.version`: what PyTorch's programs ask about how it was built.

Owns: the answers: no CUDA, no HIP, no git. May import: the version. Must not know: anything else.
"""

from wengert._version import __version__ as __version__

cuda = hip = xpu = git_version = None
debug = False
