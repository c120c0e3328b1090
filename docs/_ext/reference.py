"""The API reference: a directive that writes what the package says about itself.

    ```{reference} elementwise
    ```

Owns: the text of an entry: signature, docstring, other names, the record with its gradient rules, what it was seen to do
with dtypes and shapes, where it is written. May import: Sphinx, inventory, wengert and its case table. Must not know: any op.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inventory
import numpy as np
from docutils import nodes
from docutils.statemachine import StringList
from inventory import Entry
from sphinx.util.docutils import SphinxDirective

import wengert
from wengert.op import Op
from wengert.testing import cases

ROOT = Path(__file__).resolve().parents[2]
DTYPES = ("bool", "int64", "float16", "float32", "float64", "complex64")
DOMAINS = {
    "same": "computed in the inputs' common type",
    "float": "computed in the inputs' common float type; integers and bools count as the default float",
    "any": "each input as it comes",
}


# ---- text
def escaped(text: str) -> str:
    """Return text as Markdown that shows it as it is, but for `code`, which stays code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([\\*_<>$\[\]|#~{}])", r"\\\1", p) for p in parts)


def documented(value: Any) -> list[str]:
    """Return a docstring as Markdown paragraphs: what it raises and where it is from on lines of their own, formulas that stand
    by themselves and examples as code."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", inspect.getdoc(value) or ""):
        rows, example = block.splitlines(), []
        while rows and any(row.lstrip().startswith(">>>") for row in rows):
            example.insert(0, rows.pop())
        if rows and all(row.startswith("    ") or " <- " in row for row in rows):
            lines += ["```text", *textwrap.dedent("\n".join(rows)).splitlines(), "```", ""]
        elif rows:
            said = " ".join(row.strip() for row in rows)
            for part in re.split(r"(?:^|(?<=[.:;)]) )(?=(?:Raises:? |Source: ))", said):
                word = re.match(r"(Raises|Source):? ", part)
                text = escaped(part[word.end() :] if word else part)
                lines += [f"**{word[1]}** {text}" if word else text, ""] if part else []
        if example:
            lines += ["```pycon", *textwrap.dedent("\n".join(example)).splitlines(), "```", ""]
    return lines


def signature(name: str, value: Any, op: Op | None, bound: bool = False) -> str:
    """Return how a function is called, without types: these stand in the text. bound: its first parameter is the object."""
    if op is not None:
        front = {1: ["input"], 2: ["input", "other"]}.get(len(op.inputs), list(op.inputs))
        return f"wengert.{name}({', '.join([*front, *op.params])}{', *, out=None' if op.elementwise else ''})"
    if isinstance(value, property) or not callable(value):
        return f"wengert.{name}"
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return f"wengert.{name}()"
    given = list(found.parameters.values())
    given = given[1:] if bound and given and given[0].kind is not inspect.Parameter.VAR_POSITIONAL else given
    plain = [p.replace(annotation=p.empty, default=_Shown(p.default)) for p in given]
    return f"wengert.{name}{found.replace(parameters=plain, return_annotation=found.empty)}"


class _Shown:
    """A default as text that is valid and short."""

    def __new__(cls, value: Any) -> Any:
        if value is inspect.Parameter.empty or isinstance(value, bool | int | float | complex | str | type(None)):
            return value
        return super().__new__(cls)

    def __init__(self, value: Any) -> None:
        named = getattr(value, "__name__", None)
        self.text = named if named and named.isidentifier() else repr(value)
        if isinstance(value, wengert.dtype):
            self.text = str(value)

    def __repr__(self) -> str:
        return self.text if re.fullmatch(r"[\w.()\[\]{}, ]*", self.text) else "..."


def where(value: Any, op: Op | None) -> str:
    """Return file and line of a definition, from the top of the repository; of a record those of its first rule."""
    try:
        rule = next((rule for rule in op.rules if rule is not None), None) if op is not None else None
        if rule is not None:
            return f"{Path(rule.__code__.co_filename).relative_to(ROOT).as_posix()}:{rule.__code__.co_firstlineno}"
        found = inspect.unwrap(value)
        path = Path(inspect.getsourcefile(found) or "").resolve()
        if hasattr(found, "__code__"):
            line = found.__code__.co_firstlineno
        else:
            start = re.compile(rf"class {found.__name__}\b")
            line = next(i for i, text in enumerate(source_lines(str(path)), 1) if start.match(text))
        return f"{path.relative_to(ROOT).as_posix()}:{line}"
    except (TypeError, OSError, ValueError, AttributeError, StopIteration):
        return ""


# ---- records
@functools.cache
def source_lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def body(rule: Any) -> str:
    """Return the expression of a rule that is a lambda, or the name of the function that it is."""
    if rule.__name__ != "<lambda>":
        return f"{rule.__name__}({', '.join(inspect.signature(rule).parameters)})"
    spans = [p for p in rule.__code__.co_positions() if None not in p and p[3] > p[2] or p[1] != p[0]]
    spans = [p for p in spans if None not in p]
    first, last = min((p[0], p[2]) for p in spans), max((p[1], p[3]) for p in spans)
    lines = source_lines(rule.__code__.co_filename)[first[0] - 1 : last[0]]
    lines[-1] = lines[-1].encode()[: last[1]].decode()
    lines[0] = lines[0].encode()[first[1] :].decode()
    text = " ".join(line.strip() for line in lines)
    return text + ")" * (text.count("(") - text.count(")"))


def record(op: Op) -> list[str]:
    """Return what an op record says: its formula, its gradient for each input."""
    lines = []
    if op.expr and len(op.expr) < 120:
        lines.append(f"- Each element: `{op.expr}`; {DOMAINS[op.domain]}." + (" The result is bool." if op.boolean else ""))
    rules = [f"`{name}`: `{body(rule)}`" for name, rule in zip(op.inputs, op.rules, strict=True) if rule is not None]
    if op.boolean or op.constant:
        lines.append("- Not differentiable: the result does not vary smoothly.")
    elif rules:
        lines.append(f"- Gradient, with `g` for the one that comes in: {'; '.join(rules)}.")
    return lines


# ---- what it was seen to do
@functools.cache
def rows() -> dict[str, Any]:
    return {**cases.every(), **cases.FUNCTIONS}


def run(row: Any, function: Any, sample: Any, dtype: str | None) -> Any:
    """Call a function with a sample of its row, its first input in a dtype where that can be."""
    arrays = [wengert.tensor(a) for a in sample.arrays(row.name)]
    arrays = [a.float() if a.dtype == wengert.float64 else a for a in arrays]
    if dtype is not None:
        kind = getattr(wengert, dtype)
        if not kind.is_floating_point and not kind.is_complex:  # none of them 0, by which some functions divide
            arrays = [a.abs() + 1 if a.dtype == wengert.float32 else a for a in arrays]
        arrays = [a.to(kind) if a.dtype == wengert.float32 else a for a in arrays]
    args, kwargs = sample.fill(arrays, wengert)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return row.call(wengert, *args, **kwargs) if row.call is not None else function(*args, **kwargs)


def shown(value: Any, dtype: bool) -> str:
    if isinstance(value, wengert.Tensor):
        return str(value.dtype).removeprefix("torch.") if dtype else str(list(value.shape))
    if isinstance(value, tuple | list):
        parts = [shown(v, dtype) for v in value]
        return parts[0] if dtype and len(set(parts)) == 1 else f"({', '.join(parts)})"
    return type(value).__name__


def observed(name: str, function: Any, op: Op | None) -> list[str]:
    """Return results' dtypes and shapes, from running the samples that the tests run."""
    row = rows().get(op.name if op is not None else name)
    if row is None or not row.samples:
        return []
    sample = next((s for s in row.samples if any(leaf.shape for leaf in s.leaves())), row.samples[0])
    by_result: dict[str, list[str]] = {}
    if any(leaf.floating for leaf in sample.leaves()):
        for dtype in DTYPES:
            try:
                result = shown(run(row, function, sample, dtype), True)
            except Exception as error:
                result = type(error).__name__
            by_result.setdefault(result, []).append(dtype)
    lines = []
    if by_result:
        same = [f"`{d}`" for made, given in by_result.items() for d in given if made == d]
        told = [f"{', '.join(same)} stay{'s' * (len(same) == 1)}"] if same else []
        for made, given in by_result.items():
            other = [f"`{d}`" for d in given if d != made]
            told += [f"{', '.join(other)} → `{made}`"] if other else []
        lines.append(f"- Dtypes: {'; '.join(told)}.")
    shapes = []
    for sample in row.samples:
        try:
            text = f"`{repr(sample)[1:-1]}` → `{shown(run(row, function, sample, None), False)}`"
        except Exception:
            continue
        if text not in shapes and "functools" not in text and "lambda" not in text:
            shapes.append(text)
    if shapes:
        lines.append(f"- Shapes: {'; '.join(shapes[:3])}.")
    return lines


@functools.cache
def compared() -> dict[str, tuple[str, str, str]]:
    """Return what docs/compatibility.md says of each operator: types, derivatives, gaps."""
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| ([^|]*) \| (.*) \|$", page, re.M)
    return {name: (types.strip(), orders.strip(), gaps.strip()) for name, types, orders, gaps in cells}


# ---- entries
def facts(entry: Entry, op: Op | None) -> list[str]:
    lines = record(op) if op is not None else []
    if entry.kind == "function":
        lines += observed(entry.name, entry.value, op)
    there = next((compared()[n] for n in [entry.name, *entry.aliases] if n in compared()), None)
    if there is not None:
        orders = f"; derivatives: {there[1]}" if there[1] else ""
        lines.append(f"- [Compared](../compatibility.md) with PyTorch's `{entry.name}` in {there[0]}{orders}.")
        if there[2]:
            lines.append(f"- Differs there: {there[2].replace('<br>', '; ')}.")
    names = [f"`wengert.{alias}`" for alias in entry.aliases]
    if "." not in entry.name:
        own = [entry.name, *entry.aliases]
        names += [f"`Tensor.{n}`" for n in dict.fromkeys(m for o in own for m in (o, f"{o}_")) if n in inventory.methods()]
    if names:
        lines.append(f"- Also {', '.join(names)}.")
    place = where(entry.value, op)
    if place and "core/wengert/record.py" not in place:
        lines.append(f"- In `{place}`.")
    return lines


def written(entry: Entry) -> Iterator[str]:
    """Yield the Markdown of an entry."""
    op = inventory.record_of(entry.value) if entry.kind == "function" else None
    yield f"::::{{py:{entry.kind}}} {signature(entry.name, entry.value, op)}"
    yield ""
    if entry.kind == "data" and not isinstance(entry.value, wengert.dtype):
        kind = f"Python's `{entry.value.__name__}`." if entry.value is str else f"Of type `{type(entry.value).__name__}`."
        yield f"`{entry.value!r}`" if inventory.plain(entry.value) else kind
    elif isinstance(entry.value, Op):
        yield f"The op record `{entry.value.name}({', '.join((*entry.value.inputs, *entry.value.params))})`."
    elif isinstance(entry.value, wengert.dtype):
        yield f"An element type: `{entry.value!r}`, {entry.value.itemsize} byte{'s' * (entry.value.itemsize != 1)}."
    else:
        yield from documented(entry.value)
    yield ""
    yield from facts(entry, op)
    yield ""
    if entry.kind == "class":
        yield from class_members(entry)
    yield "::::"
    yield ""


def class_members(entry: Entry) -> Iterator[str]:
    known = inventory.pages()
    functions = {name for page in known.values() for e in page for name in inventory.spelled([e]) if "." not in name}
    same = []
    for name, value in inventory.members(entry.value):
        if entry.name == "Tensor" and (name in functions or name.rstrip("_") in functions):
            same.append(name)
            continue
        told = [f"`{value!r}`", ""] if inventory.plain(value) else documented(value)
        own = entry.name in inventory.IN_FULL or getattr(value, "__doc__", None)  # not what a base class says already
        if not told or not own:
            continue
        kind = "method" if callable(value) else "attribute"
        bound = inspect.isfunction(inspect.getattr_static(entry.value, name))
        called = signature(f"{entry.name}.{name}", value, None, bound)
        yield f":::{{py:{kind}}} {called}"
        yield ""
        yield from told
        yield ":::"
        yield ""
    if same:
        yield "These are the functions of the same name, with the tensor as their first argument; a name that ends in `_`"
        yield f"writes the result to the tensor: {', '.join(f'`{n}`' for n in same)}."
        yield ""


class Reference(SphinxDirective):
    """Describe all entries of groups and namespaces, in the order given; "rest" is what no other page names."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        every = inventory.pages()
        wanted = (self.arguments or [""])[0].split()
        if wanted == ["rest"]:
            wanted = sorted(set(every) - mentioned())
        missing = [key for key in wanted if key not in every]
        if missing:
            raise self.error(f"there is nothing public in {missing}; there is: {', '.join(every)}")
        made: list[nodes.Node] = []
        entries = list(itertools.chain.from_iterable(every[key] for key in wanted))
        contents = nodes.paragraph(classes=["names"])
        for entry in entries:
            for name in inventory.spelled([entry]):
                if "." not in name or name.rpartition(".")[0] == entry.name.rpartition(".")[0]:
                    contents += [nodes.reference("", name, refid=f"wengert.{entry.name}"), nodes.Text(" ")]
        made.append(contents)
        for entry in entries:
            text = StringList(list(written(entry)), source=f"{entry.name} (docstring)")
            made += self.parse_content_to_nodes_of(text)
            for alias in entry.aliases:
                self.env.domains.python_domain.note_object(f"wengert.{alias}", entry.kind, f"wengert.{entry.name}")
        return made

    def parse_content_to_nodes_of(self, text: StringList) -> list[nodes.Node]:
        node = nodes.Element()
        node.document = self.state.document
        self.state.nested_parse(text, self.content_offset, node)
        return node.children


def mentioned() -> set[str]:
    """Return the groups and namespaces that pages name."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    named = (m for p in pages for m in re.findall(r"^```\{reference\} (.+)$", p.read_text(encoding="utf-8"), re.M))
    return {key for line in named for key in line.split()} - {"rest"}


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("reference", Reference)
    return {"parallel_read_safe": True}
