"""The case rows of op families that are plugins: every `family_*.py` beside this file, merged.

Owns: the merging. May import: the families' rows, which import the modules whose records they are about. Must not know:
any family by name.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from cases import Table

MODULES = sorted(p.stem for p in Path(__file__).parent.glob("family_*.py"))
RECORDS: Table = {}
for _name in MODULES:
    _rows: Table = importlib.import_module(_name).RECORDS
    assert not RECORDS.keys() & _rows.keys(), f"rows of {_name} that another family has"
    RECORDS.update(_rows)
