"""`torch.utils.hooks`: the type of what registering a hook returns.

Owns: the name. May import: tape. Must not know: anything else.
"""

from wengert.tape import Handle as RemovableHandle

__all__ = ["RemovableHandle"]
