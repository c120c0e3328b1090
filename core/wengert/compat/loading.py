"""What `torch.utils.data._utils` shows: its modules, whose names are all in `utils.data`.

Owns: those names. May import: `wengert`. Must not know: how anything is loaded.
"""

from wengert.utils import data

collate = fetch = worker = data
