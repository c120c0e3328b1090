"""The standard's own suite, array-api-tests, run against `wengert.array_api` as a program of its own.

Owns: finding the suite (a checkout that ARRAY_API_TESTS names, or one that is importable: it is on no package index), and what
must come of it: no failure outside xfails-public.txt, and at least 95 of 100 tests passed. May import: the tables beside.
Must not know: what the suite tests. Runs on the device that WENGERT_DEVICE names; ARRAY_API_EXAMPLES draws more.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

standard: Any = pytest.importorskip("array_api.standard")

DEVICE = os.environ.get("WENGERT_DEVICE", "cpu").split(":")[0]
XFAILS = standard.xfails("xfails-public.txt", DEVICE)


def suite() -> Path | None:
    """Return the folder that holds `array_api_tests` and its conftest.py, or None."""
    if named := os.environ.get("ARRAY_API_TESTS"):
        return Path(named).resolve()
    found = importlib.util.find_spec("array_api_tests")
    folder = Path(found.origin).parent.parent if found and found.origin else None
    return folder if folder and (folder / "conftest.py").exists() else None


def test_the_public_suite(tmp_path: Path) -> None:
    folder = suite()
    if folder is None:
        pytest.skip("array-api-tests is on no package index: git clone it, and name its folder in ARRAY_API_TESTS")
    listed = tmp_path / "xfails.txt"
    listed.write_text("".join(f"{test}\n" for test in XFAILS), encoding="utf-8")
    spread = ["-n", "auto"] if importlib.util.find_spec("xdist") else []
    command = [
        sys.executable, "-m", "pytest", "array_api_tests", "-q", "--tb=short", "-p", "no:cacheprovider", *spread,
        "--max-examples", os.environ.get("ARRAY_API_EXAMPLES", "25"), "--disable-deadline", "--derandomize",
        "--xfails-file", str(listed),
    ]  # fmt: skip
    settings = {"ARRAY_API_TESTS_MODULE": "wengert.array_api", "ARRAY_API_TESTS_VERSION": "2024.12"}
    done = subprocess.run(command, cwd=folder, env=os.environ | settings, capture_output=True, text=True)
    print(done.stdout[-20000:], done.stderr[-5000:])
    assert done.returncode == 0
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|xfailed|xpassed|skipped)", done.stdout.splitlines()[-1])}
    passed = counts.get("passed", 0) + counts.get("xpassed", 0)
    assert passed >= 1000 and passed >= 0.95 * (passed + counts.get("xfailed", 0))


def test_every_expected_failure_has_a_reason() -> None:
    assert XFAILS and all(test.startswith("array_api_tests/") and reason.strip() for test, reason in XFAILS.items())
