"""The documents are true: their Python runs and prints what they say, their links lead somewhere.

Owns the proof of README.md, CONTRIBUTING.md and docs/. May import: pytest. Must not know: what they are about.
Each document runs in a process of its own, its blocks one after the other in one namespace. A block before a
```text block must print that; `...` there stands for anything. This file is also the program that runs a document.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$", re.M | re.S)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(text: str) -> list[tuple[int, str, str | None]]:
    """Return (line, source, what it must print or None) for each Python block."""
    fences = list(FENCE.finditer(text))
    found = []
    for fence, after in itertools.zip_longest(fences, fences[1:]):
        if fence["language"] == "python":
            expected = None
            if after is not None and after["language"] == "text" and not text[fence.end() : after.start()].strip():
                expected = after["text"]
            found.append((text.count("\n", 0, fence.start("text")), fence["text"], expected))
    return found


def run(path: Path) -> None:
    """Run a document. Raises what a block raises, at the document's lines, or AssertionError for other output."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, source, expected in blocks(path.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + source, str(path), "exec"), namespace)
        shown = printed.getvalue()
        assert expected is None or doctest.OutputChecker().check_output(expected, shown, FLAGS), (
            f"{path.name}, the block at line {line}, should print\n\n{expected}\nbut it printed\n\n{shown}"
        )


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if blocks(p.read_text(encoding="utf-8"))], ids=name)
def test_code_runs_and_prints_what_the_document_says(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, str(path)], cwd=tmp_path, env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        assert aim.exists(), f"{name(path)} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(aim), f"{name(path)} links to {target}, but there is no such heading"


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_that_a_document_names_exists() -> None:
    """Paths in code type, such as `core/wengert/op.py`, from the top of the repository."""
    for path in DOCUMENTS:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for target in re.findall(r"`((?:core|backends|plugins|tests|docs|benchmarks|\.ci)/[\w./-]*)`", text):
            assert (ROOT / target).exists(), f"{name(path)} names {target}, which does not exist"


def test_the_readme_has_its_two_commands() -> None:
    """They are what .ci/run takes from it, by the marks before them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for mark, command in (
        ("demo", "pip install -e '.[demo]' && wengert demo"),
        ("test", "pip install -e '.[test]' && pytest"),
    ):
        assert text.count(f"<!-- command: {mark} -->\n```bash\n{command}\n```\n") == 1


def test_the_picture_in_the_readme_is_what_its_code_draws(tmp_path: Path) -> None:
    """docs/graph.svg is the file that README.md's block writes: `python tests/test_docs.py README.md` makes it anew."""
    subprocess.run([sys.executable, __file__, str(ROOT / "README.md")], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "graph.svg").read_text("utf-8") == (ROOT / "docs" / "graph.svg").read_text("utf-8")


def test_the_counts_in_the_readme_are_the_real_ones() -> None:
    """Names that were registered since may be missing from a count, up to one in twenty; more than there is is never told."""
    counted = subprocess.run([sys.executable, "-c", COUNT], check=True, capture_output=True, text=True, timeout=120)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("<!-- count: registry -->")[2].partition("\n\n")[0]
    told = [int(n) for row in table.splitlines()[3:6] for n in re.findall(r"\d+", row.split("|")[2])]
    for what, (real, said) in enumerate(zip(map(int, counted.stdout.split()), told, strict=True)):
        assert 0.95 * real <= said <= real, f"count {what} in README.md: {said}, and there are {real}"
    names = [int(n) for n in re.findall(r"^\| \d: [^|]*\| \d+ \| (\d+) \|", text, re.M)]
    assert f"| names in PyTorch's operator database | {sum(names)} |" in table


COUNT = """
import wengert
from wengert.op import OPS
from wengert.plugins import BUILTIN
from wengert.registry import registry

def ours(kind):
    return [n for n in registry.names(kind) if registry.tables[kind][n].plugin in BUILTIN]

for kind in ("ops", "methods"):
    for name in ours(kind):
        registry.resolve(kind, name)
modules = [getattr(wengert.nn, n) for n in ours("modules") if "." not in n]
optimizers = ours("optimizers")
print(len(OPS), sum(isinstance(m, type) and issubclass(m, wengert.nn.Module) for m in modules))
print(sum("." not in n for n in optimizers), sum(n.startswith("lr_scheduler.") for n in optimizers))
"""


def test_the_tape_in_100_lines_has_no_more() -> None:
    page = (ROOT / "docs" / "internals-tape.md").read_text(encoding="utf-8").partition("## It works")[0]
    lines = [line for _, source, _ in blocks(page) for line in source.splitlines() if line.strip()]
    assert 60 < len(lines) <= 100


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0]
        assert re.fullmatch(r"# \d{4}: .+", title) and path.name.startswith(title[2:6])
        assert f"[{title[2:]}](decisions/{path.name})" in index


if __name__ == "__main__":
    run(Path(sys.argv[1]))
