"""Every name of PyTorch's operator database that wengert resolves, on every sample of it (a few, for rarities; WENGERT_SAMPLES
is "all" for every sample of these too, "some" for a dozen of each name of the second tier).

Owns: the table of tests (a name and a dtype each) and what a known gap means. May import: opdb late, as it needs PyTorch.
Must not know: any op. A gap in xfail.txt that is closed fails too, until its line is removed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

DTYPES = ("float32", "float64", "complex128", "int64", "bool")
FEW, SOME = 6, 12  # samples of a rarity, and of the second tier where time is short (WENGERT_SAMPLES=some); else all
NAMES = [
    name
    for line in Path(__file__).with_name("tiers.txt").read_text().splitlines()
    if line and not line.startswith("#")
    for name in line.split(":")[1].split()
]


def opdb() -> Any:
    """Return the module beside this file."""
    if "opdb" not in sys.modules:
        spec = importlib.util.spec_from_file_location("opdb", Path(__file__).with_name("opdb.py"))
        assert spec is not None and spec.loader is not None
        sys.modules["opdb"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["opdb"]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_samples_equal_torch(name: str, dtype: str) -> None:
    oracle = opdb()
    tier = oracle.tiers()[name]
    wrong, closed = [], []
    for info in (i for i in oracle.op_db if i.name == name):
        full = oracle.full_name(info)
        if oracle.ours(info) is None:
            assert tier == 3 or (full, "*", "*") in oracle.gaps() or (name, "*", "*") in oracle.gaps(), f"{name} is missing"
            continue
        wanted = os.environ.get("WENGERT_SAMPLES", "")
        few = FEW if tier == 3 and wanted != "all" else SOME if tier == 2 and wanted == "some" else None
        for check, outcome in oracle.check(info, dtype, limit=few).items():
            reason = gap(oracle.gaps(), full, dtype, check)
            if outcome.failures and reason is None:
                wrong += [f"{full} {dtype} {check}: {failure}" for failure in oracle.distinct(outcome.failures)]
            strict = few is None and "rounding" not in (reason or "")  # rounding noise may be right on another processor
            if strict and not outcome.failures and outcome.done and (full, dtype, check) in oracle.gaps():
                closed.append(f"{full} | {dtype} | {check}")
    assert not wrong, "\n".join(wrong)
    assert not closed, f"these lines of xfail.txt are no gaps any more: {closed}"


def gap(gaps: dict[tuple[str, str, str], str], name: str, dtype: str, check: str) -> str | None:
    """Return why a check may fail, if xfail.txt says so."""
    keys = [(n, d, c) for n in (name, name.partition(".")[0]) for d in (dtype, "*") for c in (check, "*")]
    return next((gaps[k] for k in keys if k in gaps), None)
