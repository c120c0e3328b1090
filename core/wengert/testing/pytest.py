"""What a test suite opts into by `pytest_plugins = ["wengert.testing.pytest"]`: full messages of failures, and fixtures.

Owns: the fixtures. There is no `pytest11` entry point: nothing of this is in a run that did not ask for it.
May import: pytest; the kit when a test asks for it. Must not know: any device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

# Before the modules are imported: else what their assertions compare is not shown.
pytest.register_assert_rewrite("wengert.testing.device", "wengert.testing.ops", "wengert.testing.optimizer")


@pytest.fixture
def isolated_registry() -> Iterator[Any]:
    """The registry, restored after the test: what the test registers, also by `wengert.plugins.register`, is gone then."""
    from wengert.testing.isolation import isolated_registry

    with isolated_registry() as registry:
        yield registry


@pytest.fixture
def plugin_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A monkeypatch whose environment has no WENGERT_ variable."""
    import os

    for name in [n for n in os.environ if n.startswith("WENGERT_")]:
        monkeypatch.delenv(name)
    return monkeypatch
