"""The case rows that op families brought, as their plugins register them.

Owns: the merged table. May import: the case table. Must not know: any family by name.
"""

from wengert.testing.cases import brought

RECORDS = brought()
