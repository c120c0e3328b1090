"""Run a notebook that was saved as text, as IPython would, and compare what it prints with what was saved.

Owns the parsing of such a document into cells, running a cell on a chosen module in place of `torch`, and the two
comparisons (`compare`: numbers to 1e-4, everything else exactly; `compare_values`: shapes and values only).
May import the standard library and NumPy.
Must not know a document, nor the library under test: its name is an argument.
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import linecache
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Namespace = dict[str, Any]

RTOL = 1e-4
# Whoever saved the documents cut every output at this many characters, in the middle of a line or of a number.
CUT = 1000

# --- A document is its blocks joined by an empty line: markdown, "In [n]:" and its code, printed text, value ---

_PROMPT = re.compile(r"^In \[(\d+|None)\]:\n", re.M)
# How a displayed value begins: a tensor (today's form or 2018's), a line of numbers, None, an object.
_SHOWN = re.compile(r"tensor\(|Variable containing:\n|(?=.*\d)[-+.e\d ]+$|None$|<\w+ object at ", re.M)
_PRINTS = re.compile(r"""print\(f?(["'])(.*?)\1""")


@dataclass(frozen=True)
class Cell:
    """One code cell: `expected` is its printed text and its displayed value as saved, "" where it has none."""

    name: str
    number: int | None
    source: str
    expected: str = ""

    @property
    def shell(self) -> bool:
        return self.source.startswith("!")

    @property
    def cut(self) -> bool:
        return len(self.expected) == CUT


def parse(title: str, text: str) -> list[Cell]:
    """Return the code cells of a document, in its order; a second "In [0]" is named "<title>-In[0]#2"."""
    cells: list[Cell] = []
    pieces = _PROMPT.split(text)[1:]
    for number, body in zip(pieces[0::2], pieces[1::2], strict=True):
        name = f"{title}-In[{number}]"
        before = sum(cell.name.partition("#")[0] == name for cell in cells)
        source, expected = _split(body)
        label = f"{name}#{before + 1}" if before else name
        cells.append(Cell(label, None if number == "None" else int(number), source, expected))
    return cells


def _split(body: str) -> tuple[str, str]:
    """Return the code and the output in `body`, which is code, then output if any, then markdown if any.

    Much output is also Python (`tensor([4.])`, `[a,b] = [1.0, 2.0]`), so the code ends before the first block that
    looks like output: it begins as a displayed value does, or with the text at the head of one of the cell's
    `print` calls. Markdown is what does not compile, or only as a comment because it is a heading; after the
    output it is what does not look like output.
    """
    if body.startswith("!"):
        source, _, expected = body.partition("\n\n")
        return source, expected.strip("\n")
    blocks = body.split("\n\n")
    heads = [re.split("[%{]", text)[0].strip() for _, text in _PRINTS.findall(body)]
    saying = [re.compile(re.escape(head) + (r"\b" if head[-1].isalnum() else "")) for head in heads if head]

    def output(block: str) -> bool:
        return any(pattern.match(block.lstrip("\n")) for pattern in [_SHOWN, *saying])

    def heading(block: str) -> bool:
        return all(not line or line.startswith("#") for line in block.split("\n"))

    stop = next((i for i, block in enumerate(blocks) if i and output(block)), len(blocks))
    stop = next(i for i in range(stop, 0, -1) if _compiles("\n\n".join(blocks[:i])) and not heading(blocks[i - 1]))
    shown = itertools.takewhile(lambda block: not block.strip("\n") or output(block), blocks[stop:])
    return "\n\n".join(blocks[:stop]).strip("\n"), "\n\n".join(shown).strip("\n")


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


# --- Running a cell --------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What one cell did: its text (printed, then displayed), the exception that ended it, the warnings it gave."""

    text: str = ""
    error: Exception | None = None
    warnings: list[warnings.WarningMessage] = field(default_factory=list)


class _Imports(ast.NodeTransformer):
    """Point a cell's imports of `torch` to another module, and change nothing else in it."""

    def __init__(self, module: str) -> None:
        self.module = module

    def _rename(self, name: str) -> str:
        return re.sub(r"^torch(?=\.|$)", self.module, name)

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            if alias.name.startswith("torch.") and not alias.asname:
                raise NotImplementedError(f"{alias.name!r} without `as` binds the name `torch` by itself")
            if alias.name == "torch":
                alias.asname = alias.asname or "torch"
            alias.name = self._rename(alias.name)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.module and not node.level:
            node.module = self._rename(node.module)
        return node


def execute(cell: Cell, namespace: Namespace, module: str, replace: Mapping[str, str] | None = None) -> Outcome:
    """Run `cell` in `namespace` with `module` for `torch`; display the value of a last expression without `;`.

    `replace` is text to put in place of other text in the cell before it runs; the caller says why.
    """
    source = cell.source
    for old, new in (replace or {}).items():
        source = source.replace(old, new)
    # A traceback then shows the cell's lines.
    linecache.cache[cell.name] = (len(source), None, source.splitlines(keepends=True), cell.name)
    tree = _Imports(module).visit(ast.parse(source))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";") else None

    printed = io.StringIO()
    shown = ""
    outcome = Outcome()
    with warnings.catch_warnings(record=True) as outcome.warnings, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            exec(compile(tree, cell.name, "exec"), namespace)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), cell.name, "eval"), namespace)
                shown = "" if value is None else repr(value)
        except Exception as error:
            outcome.error = error
    # The documents put an empty line between the two; printed text has its own line end as well.
    outcome.text = "\n\n".join(part for part in (printed.getvalue(), shown) if part).strip("\n")
    return outcome


# --- Comparing -------------------------------------------------------------------------------------------------

# A number has a point or an exponent: integers, versions and the digits in names stay text, compared exactly.
_NUMBER = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d*(?:e[-+]?\d+)?|e[-+]?\d+))(?![\w.])")
_CUT_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.e+-]*\Z")
# Fixed formats: the tensor printer writes 0 or 4 decimals, "%f" 6. Any other count is the shortest repr of a
# float, whose length depends on the last bit.
_FIXED = {0, 4, 6}


def compare(expected: str, actual: str, cut: bool = False) -> list[str]:
    """Return the differences, one line each: numbers count to 1e-4, every other character exactly.

    In the fixed formats a number has to have the same sign, decimals and exponent, and may also differ by one unit
    of its last decimal, as both sides were rounded there. With `cut`, `actual` may go on where `expected` ends.
    """
    want, got = expected.split("\n"), actual.split("\n")
    if cut:
        got = got[: len(want)]
    problems = []
    for number, (line, other) in enumerate(itertools.zip_longest(want, got), 1):
        if other is None:
            problems.append(f"line {number}: missing: {line!r}")
        elif line is None:
            problems.append(f"line {number}: not expected: {other!r}")
        else:
            problem = _compare_line(line, other, cut and number == len(want))
            problems += [f"line {number}: {problem}: expected {line!r}, got {other!r}"] if problem else []
    return problems


def _compare_line(want: str, got: str, cut: bool) -> str:
    """Return what differs, or ""; of a `cut` line only what is whole is compared."""
    expected, actual = _NUMBER.split(_CUT_NUMBER.sub("", want) if cut else want), _NUMBER.split(got)
    if cut:
        actual = actual[: len(expected)]
        actual[-1] = actual[-1][: len(expected[-1])]
    if expected[0::2] != actual[0::2]:
        return "text"
    for old, new in zip(expected[1::2], actual[1::2], strict=True):
        if _format(old) != _format(new) and {_format(old)[1], _format(new)[1]} & _FIXED:
            return f"format of {new}"
        decimals = _format(old)[1]
        # "25." and "1.0" are exact as printed; 4 and 6 decimals are rounded.
        floor = 10.0 ** (int(old.partition("e")[2] or 0) - decimals) if decimals in _FIXED - {0} else 0.0
        if not abs(float(new) - float(old)) <= RTOL * abs(float(old)) + floor * 1.001:
            return f"value of {new}"
    return ""


def _format(number: str) -> tuple[bool, int, bool]:
    """Return whether a number has a sign, its decimals, and whether it has an exponent."""
    mantissa, exponent, _ = number.partition("e")
    return number.startswith("-"), len(mantissa.partition(".")[2]), bool(exponent)


# PyTorch 0.3: rows of numbers over a line like "[torch.FloatTensor of size 2x2]".
_TENSOR_2018 = re.compile(r"(?:Variable containing:\n)?((?: *-?\d.*\n)+)\[torch\.\S+ of size ([\dx]+)[^]]*\]")
_TENSOR = re.compile(r"tensor\(([^()]*?)((?:,\s+\w+=[^,()]*)*)\)")


def values(text: str, attributes: bool = True) -> tuple[str, list[npt.NDArray[np.float64]]]:
    """Return `text` with "tensor()" for each tensor, and the tensors; `attributes` keeps those of each tensor."""
    found: list[npt.NDArray[np.float64]] = []

    def old(match: re.Match[str]) -> str:
        found.append(np.array(match[1].split(), np.float64).reshape([int(n) for n in match[2].split("x")]))
        return "tensor()"

    def new(match: re.Match[str]) -> str:
        found.append(np.array(ast.literal_eval(match[1]), np.float64))
        return f"tensor({match[2] if attributes else ''})"

    # One form or the other: the stand-in for the old one looks like an empty new one.
    text = _TENSOR_2018.sub(old, text) if _TENSOR_2018.search(text) else _TENSOR.sub(new, text)
    return re.sub(r"0x[0-9a-f]+", "0x", " ".join(text.split())), found


def compare_values(
    expected: str, actual: str, instead: Sequence[npt.ArrayLike] | None = None, attributes: bool = True
) -> list[str]:
    """Return the differences between the tensors (shapes, values) and between the words around them.

    `instead` are the values to expect in place of the saved ones, for random numbers. A document of 2018 says
    nothing about `attributes` such as `grad_fn=`.
    """
    (want, saved), (got, tensors) = values(expected, attributes), values(actual, attributes)
    if want != got:
        return [f"text: expected {want!r}, got {got!r}"]
    if instead is None:
        instead = saved
    assert len(instead) == len(saved), "the caller has to give a value for each saved tensor"
    problems = []
    for number, (old, value, new) in enumerate(zip(saved, instead, tensors, strict=True), 1):
        # PyTorch 0.3 had no scalars: a sum had size 1.
        if new.shape != old.shape and (old.shape, new.shape) != ((1,), ()):
            problems.append(f"tensor {number}: expected shape {old.shape}, got {new.shape}")
        # One unit of the fourth decimal: both sides were rounded there.
        elif not np.allclose(new, np.reshape(np.asarray(value, np.float64), new.shape), rtol=RTOL, atol=1.001e-4):
            problems.append(f"tensor {number}: expected {np.asarray(value).tolist()}, got {new.tolist()}")
    return problems
