"""The pages for authors are whole: every hook, variable, command and name of the kit is on them, with the code's own examples.

Owns the proof of docs/plugins/ beside what tests/test_docs.py runs of it. May import: wengert's plugins, registry, command and
kit. Must not know: what a hook does.
"""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import wengert.testing
from wengert.__main__ import parser
from wengert.backend import Backend
from wengert.plugins import API, BUILTIN, Hooks
from wengert.registry import Registry
from wengert_xp import ArrayModule
from wengert_xp.standard import StandardModule

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "plugins"
HOOKS = sorted(name for name in vars(Hooks) if name.startswith("wengert_"))


def page(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_page_with_the_example_of_its_docstring(hook: str) -> None:
    text, _, example = inspect.cleandoc(getattr(Hooks, hook).__doc__).partition("Example::")
    shown = page(f"hooks/{hook}.md")
    assert shown.startswith(f"# `{hook}`\n\n{text.strip()}\n\n```python\n{textwrap.dedent(example).strip()}\n```\n")
    assert f"(hooks/{hook}.md)" in page("index.md")


def test_no_page_is_about_a_hook_that_is_gone() -> None:
    assert sorted(path.stem for path in (PAGES / "hooks").glob("*.md")) == HOOKS


def test_every_method_of_the_registrar_is_on_a_page() -> None:
    asked = {"names", "has", "resolve", "check_device", "kernel_for", "staged", "brought", "commit"}  # by wengert, not by plugins
    methods = {name for name, value in vars(Registry).items() if callable(value) and not name.startswith("_")} - asked
    pages = "".join(page(f"hooks/{hook}.md") for hook in HOOKS)
    assert methods == set(re.findall(r"^\| `registry\.(\w+)\(", pages, re.M))


def test_every_variable_is_documented_and_no_other() -> None:
    sources = [p for room in ("core", "backends", "plugins") for p in (ROOT / room).rglob("*.py")]
    used = {name for path in sources for name in re.findall(r"WENGERT_[A-Z][A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))}
    documented = set(re.findall(r"^\| `(WENGERT_[A-Z_]+)` \|", page("reference.md"), re.M))
    assert used == documented


def test_every_command_and_option_is_documented() -> None:
    text = page("reference.md")
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        (line,) = (line for line in text.splitlines() if line.startswith("| `wengert") and f"`wengert {name}" in line)
        if name == "bench":
            continue  # its options have a page of their own
        for action in command._actions:
            for option in action.option_strings or [action.metavar or ""]:
                assert option in ("-h", "--help") or option in line, f"wengert {name} {option}"
    assert set(re.findall(r"`wengert ([a-z-]+)", "".join(re.findall(r"^\| (.*?) \|", text, re.M)))) == set(commands.choices)


def test_every_name_of_the_kit_is_documented() -> None:
    text = page("testing.md")
    for name in wengert.testing.__all__:
        assert re.search(rf"^\| `{name}\b", text, re.M), name
    for name in ("check_op", "check_optimizer", "check_backend"):
        (shown,) = re.findall(rf"^\| `{name}\((.*?)\)`", text, re.M)
        arguments = list(inspect.signature(getattr(wengert.testing, name)).parameters)
        assert [a.strip("*") for a in shown.split(", ")] == arguments, name
    from wengert.testing.device import GROUPS

    assert re.findall(r"^\| `(\w+)` \| (?!.*fixture)", text, re.M)[-len(GROUPS) :] == list(GROUPS)


def test_the_interface_s_version_and_every_built_in_plugin_are_documented() -> None:
    assert f"__wengert_api__ = {API}\n" in page("compatibility.md") and f"| {API} | " in page("compatibility.md")
    text = page("directory.md")
    assert set(BUILTIN) <= set(re.findall(r"`([a-z]+)`", text))


def owed(base: type | None) -> list[str]:
    """Return what the protocol asks for and a base class leaves to its subclass."""
    methods = [n for n, v in vars(Backend).items() if inspect.isfunction(v) and not n.startswith("_")]
    left = [n for n in (*Backend.__annotations__, *methods) if base is None or not hasattr(base, n)]
    return [*left, *[n for n in getattr(base, "__annotations__", {}) if n not in left and not hasattr(base, n)]]


def test_what_a_device_owes_is_little_and_documented() -> None:
    """The array type of a StandardModule is made for it; the NumPy-like modules owe `xp` beside the protocol."""
    class Made(StandardModule):
        pass

    counts = {"StandardModule": [n for n in owed(Made) if n != "array_type"], "ArrayModule": owed(ArrayModule), "Backend": owed(None)}
    counts["StandardModule"] += ["namespace"]
    text = page("first-device.md")
    for base, names in counts.items():
        (line,) = (line for line in text.splitlines() if line.startswith("| ") and f"{base}`" in line)
        assert len(names) <= 15 and f"| {len(names)} |" in line, (base, names)
        if base != "Backend":
            assert set(re.findall(r"`(\w+)`", line.rpartition(" | ")[2])) | set(re.findall(r"`(\w+)`", line.split("|")[3])) >= set(names)
