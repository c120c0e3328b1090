"""What holds for every test: comparing with PyTorch needs PyTorch, and property tests draw the same each run.

Owns: the skipping of `parity` and `packages` tests, the line that counts the first, the hypothesis profile. May import: pytest and
hypothesis. Must not know: what is tested.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest
from hypothesis import settings

settings.register_profile("wengert", derandomize=True, deadline=None)
settings.load_profile("wengert")

collect_ignore = ["plugins"]  # packages with tests of their own, which test_plugin_packages.py installs and runs

TORCH = importlib.util.find_spec("torch") is not None
REASON = "PyTorch is not installed (the extra `parity`)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what compares with PyTorch where there is none, and what builds packages unless it is asked for."""
    if "packages" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("packages"):
                item.add_marker(pytest.mark.skip(reason="builds and installs packages, two minutes: pytest -m packages"))
    if not TORCH:
        for item in items:
            if item.get_closest_marker("parity"):
                item.add_marker(pytest.mark.skip(reason=REASON))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests compared with PyTorch, or how many could not."""
    stats = terminalreporter.stats
    counts = {
        outcome: sum("parity" in getattr(report, "keywords", ()) for report in stats.get(outcome, []))
        for outcome in ("passed", "failed", "error", "skipped", "xfailed")
    }
    if any(counts.values()):
        shown = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        why = f"version {importlib.metadata.version('torch')}" if TORCH else REASON
        terminalreporter.section("parity with PyTorch")
        terminalreporter.line(f"{shown}: {why}")
