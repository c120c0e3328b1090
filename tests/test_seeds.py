"""The five documents in `seeds/` run cell by cell, and print what they printed when they were saved.

Owns what is particular to each document: what has changed since, what was lost, and what replaces random numbers.
May import `notebook` (parsing, running, comparing), NumPy and pytest. Must not import the library under test: the
cells do, from the module that each test names.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import notebook
from notebook import Cell, Namespace, Outcome

DOCUMENTS = {
    path.stem[:3]: notebook.parse(path.stem[:3], path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "seeds").glob("*.txt"))
}
# `!pip3 install torch torchvision` in 002 installs PyTorch 0.3.1, in whose place the module under test is run.
CELLS = {cell.name: cell for cells in DOCUMENTS.values() for cell in cells if not cell.shell}

# Printed by PyTorch 0.3, as "Variable containing: ..." with the numbers in columns: compared by value.
OF_2018 = {"002"}

# What a cell printed then, what it prints now, and why that is right. `{torch}` is the version of the module.
CHANGES: dict[str, list[tuple[str, str]]] = {
    # NumPy 2 shows the type of its scalars (NEP 51); wengert requires NumPy 2.
    "000-In[16]": [("2.718281828459045", "np.float64(2.718281828459045)")],
    # The cell prints the versions it runs on.
    "001-In[2]": [("3.7.0", platform.python_version()), ("1.0.1.post2", "{torch}")],
    # PyTorch has since ended the name of every node with a number, as 003 shows in `LogBackward0`.
    "002-In[35]": [("SqrtBackward object", "SqrtBackward0 object")],
}

# Cells that the author ran and then deleted, by the cell that they stood before. In 004 the number 3 is missing,
# and `y` after it has a `grad_fn`, though `x` was made without `requires_grad`.
LOST = {"004-In[None]#2": Cell("004-lost cell", 3, "x.requires_grad_(True)")}

# Warnings that the cells of 002 may give; any other fails its cell.
WARNINGS = [
    # `.cuda()` where there is no CUDA: wengert takes its best device, and says so once.
    (UserWarning, re.compile(".*cuda", re.I | re.S)),
    # `backward(create_graph=True)` leaves a cycle between a tensor and its gradient.
    (UserWarning, re.compile(r".*create_graph=True", re.S)),
]

# PyTorch itself has no CUDA on most machines that run the tests, and does not take another device by itself.
ON_THE_CPU = {"th.cuda.FloatTensor": "th.FloatTensor", ".cuda()": ""}


def _array(ns: Namespace, name: str) -> npt.NDArray[np.float64]:
    """Return the numbers of the tensor `name` as NumPy has them, so that the identities are computed by NumPy."""
    return np.array(ns[name].tolist(), np.float64)


def _log_and_product(ns: Namespace) -> list[npt.ArrayLike]:
    x, y, z = (_array(ns, name) for name in "xyz")
    return [np.mean(np.log(x**2 + y**2) + z * x * y)]


def _gradients(ns: Namespace) -> list[npt.ArrayLike]:
    x, y, z = (_array(ns, name) for name in "xyz")
    square, n = x**2 + y**2, len(x)
    # The notebook says that `y.grad` is there too, without showing it.
    np.testing.assert_allclose(ns["y"].grad.tolist(), (2 * y / square + z * x) / n, rtol=1e-4, atol=1e-6)
    return [(2 * x / square + z * y) / n]


def _constant_times(ns: Namespace) -> list[npt.ArrayLike]:
    """Return a, df/da and whether f(a)/a is exactly that, which rounding in float32 may prevent where a < 0."""
    a = np.float32(ns["a"].item())
    f = a * 2
    while abs(f) < 1000:
        f *= 2
    f = f if f > 0 else np.float32(100) * f
    slope = np.rint(f / a)
    return [a, slope, f / a == slope]


# Cells that print random numbers: what the notebook says they are, from the values at that moment.
IDENTITIES: dict[str, Callable[[Namespace], Sequence[npt.ArrayLike]]] = {
    "002-In[12]": lambda ns: [_array(ns, "x")],
    "002-In[33]": lambda ns: [np.linalg.norm(_array(ns, "x"))],
    "002-In[35]": lambda ns: [_array(ns, "x") / np.linalg.norm(_array(ns, "x"))],
    "002-In[60]": _log_and_product,
    "002-In[62]": _gradients,
    "002-In[34]": lambda ns: [_array(ns, "x") ** 2 + _array(ns, "x") * _array(ns, "y") + _array(ns, "y") ** 2],
    "002-In[36]#2": lambda ns: [2 * _array(ns, "x") + _array(ns, "y")],
    "002-In[37]": lambda ns: [2 * _array(ns, "x") + _array(ns, "y")],
    "004-In[12]": _constant_times,
}

# The same cells with the numbers drawn then, where the notebook shows them: they print what they printed.
NORMAL = re.findall(r"-?\d\.\d{4}", CELLS["002-In[12]"].expected)
DRAWN = {
    "002": {"th.randn(n).type": f"th.FloatTensor([{', '.join(NORMAL)}]).type"},
    "004": {"torch.randn(size=(), requires_grad=True)": "torch.tensor(1.2009, requires_grad=True)"},
}
REPLAYED = ["002-In[12]", "002-In[33]", "002-In[35]", "004-In[12]"]


@dataclasses.dataclass
class Result:
    """What a cell did, what it should have printed, and for random numbers their values."""

    outcome: Outcome
    expected: str
    instead: Sequence[npt.ArrayLike] | None = None


@functools.cache
def run(document: str, module: str, drawn: bool = False) -> dict[str, Result]:
    """Run a document's cells in its order (a notebook may show another), all of them even if one fails."""
    torch = importlib.import_module(module)
    torch.manual_seed(0)
    replace = dict(DRAWN[document]) if drawn else {}
    if module == "torch" and not torch.cuda.is_available():
        replace |= ON_THE_CPU
    namespace: Namespace = {}
    results: dict[str, Result] = {}
    for cell in DOCUMENTS[document]:
        if cell.shell:
            continue
        lost = notebook.execute(LOST[cell.name], namespace, module) if cell.name in LOST else Outcome()
        result = Result(notebook.execute(cell, namespace, module, replace), cell.expected)
        result.outcome.error = lost.error or result.outcome.error
        for old, new in CHANGES.get(cell.name, []):
            assert old in result.expected
            result.expected = result.expected.replace(old, new.format(torch=getattr(torch, "__version__", None)))
        if cell.name in IDENTITIES and not drawn and not result.outcome.error:
            try:
                result.instead = IDENTITIES[cell.name](namespace)
            except Exception as error:  # it belongs to this cell's test, not to all of the document's
                result.outcome.error = error
        results[cell.name] = result
    return results


def differences(cell: Cell, result: Result, of_2018: bool) -> list[str]:
    """Return how a cell's text differs from the saved one, by the rule that its document asks for."""
    if cell.number is None and not cell.expected:
        # "In [None]" without output was not run before the document was saved, so nothing is known of its text.
        return []
    text = result.outcome.text
    if of_2018 or result.instead is not None:
        return notebook.compare_values(result.expected, text, result.instead, attributes=not of_2018)
    return notebook.compare(result.expected, text, cell.cut)


def check(name: str, module: str, drawn: bool = False) -> None:
    cell, document = CELLS[name], name[:3]
    result = run(document, module, drawn)[name]
    if result.outcome.error:
        raise result.outcome.error
    problems = differences(cell, result, document in OF_2018)
    assert not problems, "\n".join([*problems, "--- it printed", result.outcome.text])
    allowed = WARNINGS if document in OF_2018 else []
    for warning in result.outcome.warnings:
        assert any(
            warning.category is category and pattern.match(str(warning.message)) for category, pattern in allowed
        ), f"{warning.category.__name__}: {warning.message}"


@pytest.mark.parametrize("name", CELLS)
def test_cell(name: str) -> None:
    check(name, "wengert")


@pytest.mark.parametrize("name", REPLAYED)
def test_random_cell_with_the_numbers_drawn_then(name: str) -> None:
    check(name, "wengert", drawn=True)


@pytest.mark.parity
@pytest.mark.parametrize("document", DOCUMENTS)
def test_torch_passes_the_same_document(document: str) -> None:
    """The expectations are PyTorch's own: what fails here is wrong in this file or in `notebook`."""
    pytest.importorskip("torch")
    for name in (name for name in CELLS if name.startswith(document)):
        check(name, "torch")
    for name in (name for name in REPLAYED if name.startswith(document)):
        check(name, "torch", drawn=True)


# --- The harness can fail --------------------------------------------------------------------------------------


def test_documents_are_taken_apart_at_the_right_lines() -> None:
    """How many cells, how many of them with output, and lines of output: a boundary that moves changes one."""
    found = {
        document: (len(cells), sum(bool(cell.expected) for cell in cells), sum(_lines(cell) for cell in cells))
        for document, cells in DOCUMENTS.items()
    }
    assert found == {
        "000": (18, 8, 47),
        "001": (6, 6, 11),
        "002": (19, 13, 98),
        "003": (7, 6, 23),
        "004": (11, 8, 14),
    }
    assert [cell.name for cells in DOCUMENTS.values() for cell in cells if cell.shell] == ["002-In[3]"]
    assert [cell.name for cell in CELLS.values() if cell.cut] == ["000-In[13]", "000-In[18]", "003-In[7]"]
    tables = [*CHANGES, *LOST, *IDENTITIES, *REPLAYED]
    assert set(tables) <= set(CELLS)


def _lines(cell: Cell) -> int:
    return len([line for line in cell.expected.split("\n") if line])


PRINTED = "dW = tensor([[109.2307,  15.7019],\n        [  9.2889,   3.3088]])\nF : 47.32332992553711"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("15.7019", "15.7219", "line 1: value of 15.7219"),
        ("47.32332992553711", "47.32932992553711", "line 3: value of 47.32932992553711"),
        ("109.2307", "109.231", "line 1: format of 109.231"),
        ("9.2889,   3", "9.2889,  3", "line 2: text"),
        ("tensor", "array", "line 1: text"),
        ("\nF : 47.32332992553711", "", "line 3: missing"),
        ("711", "711\n1", "line 4: not expected"),
    ],
)
def test_compare_finds(old: str, new: str, found: str) -> None:
    assert notebook.compare(PRINTED, PRINTED) == []
    assert notebook.compare(PRINTED, PRINTED.replace("47.32332992553711", "47.3233310000001")) == []
    (problem,) = notebook.compare(PRINTED, PRINTED.replace(old, new))
    assert problem.startswith(found)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("tensor([10.])", "tensor([10.0000])"),
        ("tensor([10.])", "tensor([11.])"),
        ("tensor([0.])", "tensor([-0.])"),
        ("tensor([1.0000e-08])", "tensor([1.0100e-08])"),
        ("tensor([25.], grad_fn=<PowBackward0>)", "tensor([25.], grad_fn=<PowBackward1>)"),
        ("tensor([25.], grad_fn=<PowBackward0>)", "tensor([25.])"),
        ("tensor([True, True])", "tensor([True, False])"),
        ("[dw,dz] = [1.0, 2.0]", "[dw,dz] = [1.001, 2.0]"),
        ("Iteration: 20, loss: 0.000246", "Iteration: 21, loss: 0.000246"),
        ("Iteration: 20, loss: 0.000246", "Iteration: 20, loss: 0.000248"),
        ("Iteration: 20, loss: 0.000246", "Iteration: 20, loss: nan"),
        ("1.0.1.post2", "1.0.2.post2"),
    ],
)
def test_compare_tells_apart(right: str, wrong: str) -> None:
    assert notebook.compare(right, right) == []
    assert notebook.compare(right, wrong)


def test_compare_of_a_cut_output() -> None:
    whole = "Epoch 0: loss=2.4166, a=1.0\nEpoch 1: loss=0.4854, a=0.6666\nEpoch 2: loss=0.1022, a=0.5"
    cut = functools.partial(notebook.compare, whole[:-2], cut=True)
    for end in range(30, len(whole)):
        assert notebook.compare(whole[:end], whole, cut=True) == [], whole[:end]
    assert notebook.compare(whole[:-2], whole)
    assert "value of 0.4954" in cut(whole.replace("0.4854", "0.4954"))[0]
    assert "value of 0.1122" in cut(whole.replace("0.1022", "0.1122"))[0]
    assert "text" in cut(whole.replace("Epoch 2", "Epoch 3"))[0]
    assert "text" in cut(whole[:-6])[0]
    assert "missing" in cut(whole.rpartition("\n")[0])[0]


def test_compare_values_finds() -> None:
    saved = "y: Variable containing:\n 5  8\n[torch.cuda.FloatTensor of size 1x2 (GPU 0)]"
    same = functools.partial(notebook.compare_values, saved, attributes=False)
    assert same("y: tensor([[5., 8.]], device='cuda:0', grad_fn=<MmBackward0>)\n") == []
    assert "expected [[5.0, 8.0]]" in same("y: tensor([[5., 9.]])")[0]
    assert "shape" in same("y: tensor([5., 8.])")[0]
    assert "text" in same("z: tensor([[5., 8.]])")[0]
    assert "text" in same("y: tensor([[5., 8.]])\ntensor(0.)")[0]
    assert same("y: tensor([[1., 2.]])", instead=[[[1, 2]]]) == []
    assert "expected [[1, 2]]" in same("y: tensor([[5., 8.]])", instead=[[[1, 2]]])[0]
    today = "a: tensor(1.2009, requires_grad=True)\ntensor(True)"
    assert notebook.compare_values(today, today) == []
    assert notebook.compare_values(today, today.replace(", requires_grad=True", ""))
    assert notebook.compare_values(today, today, instead=[1.2009, False])


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.expected])
def test_no_line_and_no_number_of_a_document_is_ignored(name: str) -> None:
    """Each saved output without one of its lines, or with one number off by a hundredth, is found to differ."""
    cell = CELLS[name]
    of_2018 = name[:3] in OF_2018

    def differs(text: str) -> bool:
        try:
            return bool(differences(cell, Result(Outcome(text), cell.expected), of_2018))
        except ValueError as error:  # a column of 2018 that is shorter than the size under it
            return "reshape" in str(error)

    assert not differs(cell.expected)
    lines = cell.expected.split("\n")
    # Empty lines carry nothing in 2018's form, and of a cut output the last line may be half a word.
    for index in [i for i, line in enumerate(lines) if line][: -1 if cell.cut else None]:
        if not of_2018 or not re.search("Variable|[Tt]ensor", lines[index]):
            assert differs("\n".join(lines[:index] + lines[index + 1 :])), lines[index]
    numbers = list(re.finditer(r"(?<![\w.])-?\d+(\.\d*)?(?![\w.])", cell.expected))
    for match in numbers[: -1 if cell.cut else None]:
        # The size of a 2018 tensor and its device stand in brackets behind it.
        if not (of_2018 and "[" in cell.expected[cell.expected.rfind("\n", 0, match.start()) + 1 : match.start()]):
            decimals = len(match[1] or ".") - 1
            off = f"{float(match[0]) + max(0.01 * abs(float(match[0])), 3 * 10.0**-decimals):.{decimals}f}"
            assert differs(cell.expected[: match.start()] + off + cell.expected[match.end() :]), match[0]


def test_execute_displays_prints_and_renames() -> None:
    ns: Namespace = {}
    imports = "import torch\nimport torch.linalg as la\nfrom torch.linalg import norm"
    outcome = notebook.execute(Cell("cell", 1, f"{imports}\nprint('torch')\n3"), ns, "numpy")
    assert (outcome.text, outcome.error, outcome.warnings) == ("torch\n\n\n3", None, [])
    assert (ns["torch"], ns["la"], ns["norm"]) == (np, np.linalg, np.linalg.norm)
    for source in ("3;", "None", "x = 3"):
        assert notebook.execute(Cell("cell", 2, source), ns, "numpy").text == ""
    outcome = notebook.execute(Cell("cell", 3, "import warnings\nwarnings.warn('a')\n1 / 0"), ns, "numpy")
    assert isinstance(outcome.error, ZeroDivisionError)
    assert [str(warning.message) for warning in outcome.warnings] == ["a"]


def test_every_random_cell_has_an_identity() -> None:
    """In the documents that draw, only these show what does not depend on it: zeros, given matrices, 2 and 2."""
    drawing = {cell.name[:3] for cell in CELLS.values() if "randn" in cell.source}
    assert drawing == {"002", "004"} == {name[:3] for name in IDENTITIES}
    shown = {name for name, cell in CELLS.items() if cell.expected and name.startswith("002")}
    assert shown - set(IDENTITIES) == {"002-In[36]", "002-In[74]", "002-In[76]", "002-In[38]"}
