"""`torch.return_types`: the types of results that have names, which programs name in annotations.

Owns: nothing but these names. May import: results. Must not know: any op.
"""

from wengert.ops.results import FIELDS, named

globals().update({name: named(name) for name in FIELDS})
