"""README.md's table of PyTorch's operator names and docs/compatibility.md say what is there.

Owns: the comparisons. May import: opdb late, as it needs PyTorch. Must not know: any op.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from test_opdb import opdb

README = Path(__file__).parents[2] / "README.md"
PAGE = README.parent / "docs" / "compatibility.md"


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_the_count_in_the_readme_is_the_real_one() -> None:
    oracle = opdb()
    tiers = oracle.tiers()
    found = {info.name for info in oracle.op_db if oracle.ours(info) is not None}
    real = {t: (sum(v == t for v in tiers.values()), sum(tiers.get(name) == t for name in found)) for t in (1, 2, 3)}
    text = README.read_text(encoding="utf-8").partition("<!-- count: names -->")[2]
    told = {int(t): (int(n), int(m)) for t, n, m in re.findall(r"\| (\d): [^|]*\| (\d+) \| (\d+) \|", text)}
    assert told == real


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_the_compatibility_page_is_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opdb", opdb())
    spec = importlib.util.spec_from_file_location("compatibility", Path(__file__).with_name("compatibility.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = PAGE.read_text(encoding="utf-8")
    assert page == module.replaced(page, module.tables()), "run: python tests/parity/compatibility.py --write docs/compatibility.md"
