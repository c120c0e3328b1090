"""The documentation site: Sphinx, the pydata theme, notebooks in MyST that run while it is built.

    pip install -e '.[docs]'
    sphinx-build -W -b html docs docs/_build/html       # what CI does
    sphinx-build -b linkcheck docs docs/_build/links    # asks the network whether external links live; not in CI

Nothing that is written needs the network to be read: MathJax and its fonts come from a package of the extra. The pages
are docs/**.md; those of `reference/` are filled by `_ext/reference.py` from the package itself.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.util.logging import getLogger

DOCS = Path(__file__).resolve().parent
for folder in ("core", "backends", "plugins"):
    sys.path.insert(0, str(DOCS.parent / folder))
sys.path.insert(0, str(DOCS / "_ext"))
# The notebooks' kernels import the same checkout, on one thread.
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[1:4] + [p for p in [os.environ.get("PYTHONPATH")] if p])
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from wengert._version import __version__  # noqa: E402

project, author, copyright = "wengert", "the wengert authors", "the wengert authors"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.mathjax", "reference"]
exclude_patterns = ["_build", "README.md", "**/.ipynb_checkpoints"]
root_doc = "index"

# ---- Markdown and notebooks
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
nb_execution_mode = "force"  # no cache: what the site shows was printed by this checkout
nb_execution_excludepatterns = ["examples/*.ipynb"]  # minutes of training: docs/examples/build.py ran them
nb_execution_timeout = 60
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # two scripts from the network otherwise

# ---- the look
html_theme = "pydata_sphinx_theme"
html_title = "wengert"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # fetched from each page, which browsers refuse where pages are files
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "logo": {"text": "wengert"},
}
html_sidebars = {page: [] for page in ("index", "getting-started")}
html_context = {"default_mode": "auto"}
pygments_style = "default"
toc_object_entries = False
add_module_names = False
python_maximum_signature_line_length = 100

# ---- formulas without the network
mathjax_path = "mathjax/tex-chtml.js"
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")

# ---- the table of contents: a page at the top of docs/ that no list names is a guide
PLACED = {
    "README", "index", "getting-started", "guides", "internals", "internals-tape", "internals-op", "internals-kernel",
    "adding-an-op", "inside", "about", "performance", "dashboards", "decisions", "compatibility", "differences",
}  # fmt: skip


def offer_download(app: Any, docname: str, source: list[str]) -> None:
    """Put under the title of a notebook a link to it, with what it printed and drew."""
    if "file_format: mystnb" in source[0][:80]:
        link = f"{{nb-download}}`This page as a notebook <{docname.rpartition('/')[2]}.ipynb>`"
        source[0] = re.sub(r"^(# .+)$", rf"\1\n\n{link}", source[0], count=1, flags=re.M)


def list_pages(app: Any, docname: str, source: list[str]) -> None:
    """Put pages in the place of `@guides` (those that no list names) and of `@ pattern` (which may match none)."""
    first = ["transforms", "compiling", "opencl", "cuda"]
    guides = {p.stem for p in DOCS.glob("*.md")} - PLACED
    lines = []
    for line in source[0].split("\n"):
        if line == "@guides":
            lines += [n for n in first if n in guides] + sorted(guides - {*first})
        elif line.startswith("@ "):
            files = [p for end in (".md", ".ipynb") for p in DOCS.glob(line[2:] + end)]
            found = {p.relative_to(DOCS).with_suffix("").as_posix() for p in files}
            index = next((n for n in found if n.endswith("/index")), "")
            told = (DOCS / f"{index}.md").read_text(encoding="utf-8") if index else ""
            place = {n: told.find(n.removeprefix(index[: -len("index")])) for n in found}  # in the order of the index
            if "{toctree}" in told:  # it lists pages itself
                found = {n for n in found if n == index or place[n] < 0}
            lines += sorted(found, key=lambda n, i=index, p=place: (n != i, p[n] < 0, p[n], n))
        else:
            lines.append(line)
    source[0] = "\n".join(lines)


def copy_mathjax(app: Any, exception: Exception | None) -> None:
    """Copy of MathJax what these pages load: one script, its fonts, and the extensions it may ask for."""
    if exception is not None or app.builder.format != "html":
        return
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        raise RuntimeError("MathJax is missing: pip install -e '.[docs]'")
    source, target = Path(found.origin).parent / "static" / "mathjax", Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy(source / part, target / part)


class _Lexers(logging.Filter):
    """Let diagrams and shell output stand in code blocks that name no language."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Lexing literal_block" not in record.getMessage()


def setup(app: Any) -> None:
    app.connect("source-read", list_pages)
    app.connect("source-read", offer_download)
    app.connect("build-finished", copy_mathjax)
    getLogger("sphinx.highlighting").logger.addFilter(_Lexers())
