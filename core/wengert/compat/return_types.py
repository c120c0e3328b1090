"""`torch.return_types`: the types of pairs of values and indices, which programs name in annotations.

Owns: nothing but these names. May import: reductions. Must not know: results of other names.
"""

from wengert.ops.reductions import named

globals().update(
    {name: named(name) for name in "cummax cummin kthvalue max median min mode nanmedian sort topk".split()}
)
