"""The reference names everything that is public, docstrings' examples run, and the site that Sphinx builds is whole.

Owns: the proof of docs/conf.py and docs/_ext/. May import: the inventory in docs/_ext, and Sphinx only by running it (the
extra `docs`). Must not know: any name. The browser's part needs playwright and a Chromium; what is missing is skipped, and said.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest

import wengert
from wengert.plugins import BUILTIN
from wengert.registry import registry

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NEEDED = ("sphinx", "myst_nb", "pydata_sphinx_theme", "sphinx-mathjax-offline", "matplotlib")
MISSING = [name for name in NEEDED if find_spec(name) is None]
needs_sphinx = pytest.mark.skipif(bool(MISSING), reason=f"the site is built with the extra `docs`: no {', '.join(MISSING)}")
FIGURES = {"first-gradients": 2, "descent": 3, "chain-and-line": 2, "vectors-and-pictures": 4, "higher-order": 2}  # at least


def load() -> ModuleType:
    """Return docs/_ext/inventory.py."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        return importlib.import_module("inventory")
    finally:
        sys.path.pop(0)


inventory: Any = load()


# ---- every public name
def spelled() -> set[str]:
    return {name for entries in inventory.pages().values() for name in inventory.spelled(entries)}


def test_the_reference_spells_every_name_of_all() -> None:
    """`__all__` of wengert and of the modules below it that are public."""
    names, modules = spelled(), set(inventory.namespaces())
    for name in wengert.__all__:
        value = getattr(wengert, name)
        assert name in names or name.startswith("__") or isinstance(value, ModuleType) and (name in modules or name == "random")
    for space in modules:
        for name in getattr(inventory.load(space), "__all__", ()):
            there = inventory.get(inventory.load(space), name)
            known = f"{space}.{name}" in names or name.startswith("_") or isinstance(there, ModuleType)
            assert known, f"wengert.{space}.{name} is not in the reference"


def test_the_reference_spells_every_registered_name() -> None:
    names = spelled()
    for kind, home in (("ops", ""), ("modules", "nn."), ("optimizers", "optim.")):
        for name in registry.names(kind):
            if registry.tables[kind][name].plugin in BUILTIN and not name.rpartition(".")[2].startswith("_"):
                assert f"{home}{name}" in names or isinstance(registry.resolve(kind, name), ModuleType), f"{kind}: {name}"


def test_the_reference_spells_every_public_submodule_and_method() -> None:
    for space in wengert._SUBMODULES:
        held = {e.name.rpartition(".")[0] for entries in inventory.pages().values() for e in entries}
        aliased = {n.rpartition(".")[0] for n in spelled()}
        assert any(n == space or n.startswith(f"{space}.") for n in held | aliased) or space == "multiprocessing", space
    members = {name for name, _ in inventory.members(wengert.Tensor)}
    assert {n for n in dir(wengert.Tensor) if not n.startswith("_")} - members == set()


def test_every_group_stands_on_one_page() -> None:
    pages = sorted((DOCS / "reference").glob("*.md"))
    keys = [k for p in pages for line in re.findall(r"^```\{reference\} (.+)$", p.read_text("utf-8"), re.M) for k in line.split()]
    assert len(keys) == len(set(keys)) and "rest" in keys
    assert set(keys) - {"rest"} <= set(inventory.pages())


def test_everything_public_is_documented() -> None:
    bare = []
    for entries in inventory.pages().values():
        for entry in entries:
            if entry.kind != "data" and not inspect.getdoc(entry.value):
                bare.append(entry.name)
            if entry.kind == "class" and entry.name in inventory.IN_FULL:
                parts = ((n, v) for n, v in inventory.members(entry.value) if not inventory.plain(v))
                bare += [f"{entry.name}.{name}" for name, value in parts if not inspect.getdoc(value)]
    assert bare == [], "without a docstring"


def test_examples_in_docstrings_run() -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    said: list[str] = []
    for entry in (e for entries in inventory.pages().values() for e in entries if e.kind != "data"):
        test = parser.get_doctest(inspect.getdoc(entry.value) or "", {"torch": wengert}, entry.name, None, None)
        runner.run(test, out=said.append)
    assert runner.tries >= 20 and not runner.failures, "".join(said)


# ---- the site
@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as HTML: taken from WENGERT_SITE if that is set, else built, every warning an error."""
    if "WENGERT_SITE" in os.environ:
        return Path(os.environ["WENGERT_SITE"])
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "2", "-b", "html", str(DOCS), str(out)],
        capture_output=True, text=True, timeout=600, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return out


class Page(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.files: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        self.ids |= {given[k] for k in ("id", "name") if k in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "source", "iframe") and "src" in given:
            self.files.append(given["src"])
        if tag == "link" and {*given.get("rel", "").split()} & {"stylesheet", "preload", "icon", "modulepreload"}:
            self.files.append(given["href"])


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}


@needs_sphinx
def test_nothing_is_loaded_from_the_network(parsed: dict[Path, Page]) -> None:
    for path, page in parsed.items():
        for file in page.files:
            assert "//" not in file, f"{path.name} loads {file}"
            assert (path.parent / unquote(file.partition("?")[0])).is_file(), f"{path.name}: no {file}"


@needs_sphinx
def test_links_inside_the_site_lead_somewhere(parsed: dict[Path, Page], site: Path) -> None:
    for path, page in parsed.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link) or link == "#":
                continue
            file, _, anchor = unquote(link).partition("#")
            aim = (path.parent / file).resolve() if file else path
            assert aim.is_file(), f"{path.relative_to(site)} links to {link}"
            if anchor and aim in parsed:
                assert anchor in parsed[aim].ids, f"{path.relative_to(site)} links to {link}: no such anchor"


@needs_sphinx
def test_the_built_reference_can_be_searched_for_every_name(site: Path) -> None:
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    listed = {line.split(" ", 1)[0] for line in zlib.decompress(packed).decode().splitlines() if " py:" in line}
    assert {f"wengert.{name}" for name in spelled()} - listed == set()


@needs_sphinx
@pytest.mark.parametrize("name", FIGURES)
def test_tutorials_have_their_figures_and_no_errors(name: str, site: Path) -> None:
    text = (site / "tutorials" / f"{name}.html").read_text(encoding="utf-8")
    figures = [site / "_images" / file for file in re.findall(r'src="../_images/([^"]+\.svg)"', text)]
    assert len(figures) >= FIGURES[name] and all(f.read_text(encoding="utf-8").count("<path") > 4 for f in figures)
    assert "Traceback" not in text and "cell_output" in text
    (download,) = re.findall(rf'href="../(_downloads/\w+/{name}\.ipynb)"', text)
    cells = json.loads((site / download).read_text(encoding="utf-8"))["cells"]
    assert sum(bool(cell.get("outputs")) for cell in cells) > 5


@needs_sphinx
@pytest.mark.skipif(find_spec("playwright") is None, reason="pages are looked at with playwright (extra `bench`)")
@pytest.mark.filterwarnings("ignore")
def test_pages_open_in_a_browser_without_the_network(site: Path) -> None:
    """At the width of a desk and of a telephone: nothing fails to load, no error is logged, nothing is wider than the page."""
    api: Any = importlib.import_module("playwright.sync_api")
    own = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with api.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=own, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        for width in (1280, 390):
            context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
            for name in ["index", "reference/elementwise", "compatibility", *(f"tutorials/{n}" for n in FIGURES)]:
                page, wrong = context.new_page(), []
                page.on("console", lambda m, wrong=wrong: wrong.append(m.text) if m.type == "error" else None)
                page.on("pageerror", lambda e, wrong=wrong: wrong.append(str(e)))
                page.on("requestfailed", lambda r, wrong=wrong: wrong.append(f"not loaded: {r.url}"))
                page.goto((site.resolve() / f"{name}.html").as_uri())
                formulas = "/" in name and name.startswith("tutorials")
                if formulas:
                    page.wait_for_selector("mjx-container mjx-c", state="attached", timeout=30000)
                seen = page.evaluate(SEEN)
                assert not wrong, f"{name} at {width}: {wrong}"
                assert seen == {"broken": [], "wide": False, "errors": 0}, f"{name} at {width}: {json.dumps(seen)}"
                page.close()
        browser.close()


SEEN = """({
  broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src),
  wide: document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
  errors: document.querySelectorAll('mjx-merror').length,
})"""
