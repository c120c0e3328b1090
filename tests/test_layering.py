"""Who may know whom: the imports of every module in core/, backends/ and plugins/, read without running them.

Owns the proof of the rooms that DESIGN speaks of: the core knows no device library but NumPy and nothing that plugs into
it; backends do not know each other, tensors or gradients; plugins know the public API alone. Imports under
TYPE_CHECKING are exempt, as they do not run. May import: the standard library.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "backends", "plugins")
MODULES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))

# ---- what each room may know besides the standard library and itself
CORE_LIBRARIES = {"numpy"}
CORE_LATE = {  # inside of functions only
    "wengert.demo": {"matplotlib", "tqdm"},
    "wengert.dtypes": {"ml_dtypes"},
    "wengert.testing.device": {"pytest"},
    "wengert.threads": {"threadpoolctl"},
}
CORE_EXTRA = {"wengert.plugins": {"pluggy"}, "wengert.testing.cases": {"scipy"}, "wengert.testing.ops": {"scipy"}, "wengert.testing.pytest": {"pytest"}}
# These say that they know little, and are held to it.
CORE_INSIDE = {
    "wengert.op": {"wengert.errors", "wengert.foreign"},
    "wengert.foreign": {"wengert.errors"},
    "wengert.modes": set(),
    "wengert.dtypes": set(),
    "wengert.printing": set(),
    "wengert.errors": {"wengert.dtypes"},
    "wengert.registry": {"wengert.errors", "wengert.op", "wengert.plugins"},
    "wengert.plugins": {"wengert.registry"},
    "wengert.tape": {"wengert.errors", "wengert.modes", "wengert.op", "wengert.threads"},
}

# What there was to write once: records, tape, tensors, devices, graphs. It stands on the second row and on nothing else of the
# core when it is loaded; docs/inside.md is the order to read it in.
ENGINE = "op modes tape record _tensor inplace kept backend decompositions formulas graph".split()
BELOW = "attributes errors dtypes printing registry plugins faces foreign narrow threads memory".split()
AFTERNOON = 3_300  # lines of code of the engine, at most

BACKEND_API = {"wengert.op", "wengert.backend", "wengert.decompositions", "wengert.memory", "wengert.plugins"}
SHARED = {"wengert_xp", "wengert_codegen"}  # what backends have in common
BACKEND_LIBRARIES = {  # a new backend says here which library it stands for
    "wengert_xp": {"numpy"},
    "wengert_codegen": {"numpy"},
    "wengert_meta": {"numpy"},
    "wengert_numpy": {"numpy"},
    "wengert_cupy": {"numpy", "cupy", "cupyx", "cupy_backends"},
    "wengert_opencl": {"numpy", "pyopencl"},
}

# The public API: what a stranger's package may use. Names of `wengert` itself are public unless they are its inner modules.
PUBLIC = {"wengert", "wengert.extend", "wengert.ops", "wengert.registry", "wengert.plugins", "wengert.autograd", "wengert.optim", "wengert.nn", "wengert.testing", "wengert.cuda"}
PLUGIN_LIBRARIES = {"numpy", "scipy"}


def module_name(path: Path) -> str:
    """Return the dotted name that a file is imported by."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts[1:])
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


INNER = {module_name(p) for p in MODULES if p.is_relative_to(ROOT / "core")}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (dotted name, inside of a function) for everything a file imports when it runs."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]

    def walk(node: ast.AST, late: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:
                    yield from walk(other, late)
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, late) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    up = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*up, *([base] if base else [])])
                for alias in child.names:  # "from wengert import tape" imports a module, "from wengert import sin" a name
                    full = f"{base}.{alias.name}"
                    yield (full if full in INNER else base), late
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, inside)

    tree = ast.parse(path.read_text())
    yield from dict.fromkeys(walk(tree, False))


def foreign(name: str) -> bool:
    return name.split(".")[0] not in sys.stdlib_module_names


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_read() -> None:
    assert len(MODULES) > 20 and "wengert.tape" in INNER
    assert ("wengert.tape", False) in set(imports(ROOT / "core/wengert/record.py"))


def lines_of_code(path: Path) -> int:
    """Count the lines that hold code: no comment, no docstring, nothing blank."""
    text = path.read_text()
    docs = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None
    ]
    silent = {line for doc in docs for line in range(doc.lineno, (doc.end_lineno or doc.lineno) + 1)}
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = (t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in skipped)
    return len({line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - silent)


def test_the_engine_is_closed_and_can_be_read_in_an_afternoon() -> None:
    files = {name: ROOT / f"core/wengert/{name}.py" for name in (*ENGINE, *BELOW)}
    for name, path in files.items():
        known = {other.removeprefix("wengert.") for other, late in imports(path) if other.startswith("wengert.") and not late}
        assert known <= files.keys(), f"{name} stands on {known - files.keys()}"
    lines = sum(lines_of_code(files[name]) for name in ENGINE)
    page = (ROOT / "docs/inside.md").read_text(encoding="utf-8").partition("<!-- engine -->")[2].partition("\n\n")[0]
    assert lines <= AFTERNOON, lines
    assert re.findall(r"^\| `(\w+)\.py`", page, re.M) == ENGINE


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "core")], ids=shown)
def test_the_core_knows_nothing_that_plugs_into_it(path: Path) -> None:
    module = module_name(path)
    for name, late in imports(path):
        if not foreign(name):
            continue
        top = name.split(".")[0]
        if top == "wengert":
            assert module not in CORE_INSIDE or name in CORE_INSIDE[module], f"{module} must not know {name}"
            continue
        allowed = CORE_LIBRARIES | CORE_EXTRA.get(module, set()) | (CORE_LATE.get(module, set()) if late else set())
        assert top in allowed, f"{module} must not import {name}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "backends")], ids=shown)
def test_backends_know_the_protocol_and_their_library(path: Path) -> None:
    module = module_name(path)
    package = module.split(".")[0]
    assert package in BACKEND_LIBRARIES, f"say in tests/test_layering.py which library {package} stands for"
    for name, _ in imports(path):
        top = name.split(".")[0]
        if not foreign(name) or top == package or top in BACKEND_LIBRARIES[package]:
            continue
        if top == "wengert":
            assert name in BACKEND_API, f"{module} must not know {name}: a backend knows {', '.join(sorted(BACKEND_API))}"
        else:
            assert top in SHARED, f"{module} must not know {name}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "plugins")], ids=shown)
def test_plugins_know_the_public_api_alone(path: Path) -> None:
    module = module_name(path)
    package = module.split(".")[0]
    for name, _ in imports(path):
        top = name.split(".")[0]
        if not foreign(name) or top == package or top in PLUGIN_LIBRARIES:
            continue
        assert top == "wengert", f"{module} must not know {name}"
        public = name in PUBLIC or any(name.startswith(f"{p}.") for p in PUBLIC - {"wengert"})
        assert public, f"{module} must not know {name}: it is no part of the public API"


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_every_module_says_what_it_owns(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, f"{shown(path)} has no docstring"
    if path.name != "_version.py":
        assert "Owns" in text and 3 <= len(text.splitlines()) <= 9, f"{shown(path)}: say in 3 to 8 lines what it owns"


# ---- what an import brings along
HEAVY = (
    "scipy", "pyopencl", "cupy", "torch", "matplotlib", "pluggy", "wengert_numpy", "wengert_xp", "wengert_optim", "wengert_nn",
    "wengert_opencl", "wengert_cupy", "wengert.plugins", "wengert.graph", "wengert.testing", "wengert.optim.optimizer", "tqdm", "pytest",
    "threadpoolctl",
)  # fmt: skip


def loaded_after(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a program."""
    code = f"{program}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_brings_nothing_heavy() -> None:
    loaded = loaded_after("import wengert")
    assert loaded & set(HEAVY) == set()
    assert "numpy" in loaded


def test_host_work_brings_no_other_device() -> None:
    program = "import wengert as torch\nx = torch.ones(2, requires_grad=True)\n(x.exp() * x).sum().backward()\nprint(x.grad)"
    loaded = loaded_after(program)
    assert loaded & {"scipy", "pyopencl", "cupy", "torch", "matplotlib", "wengert.graph", "wengert_optim.adam"} == set()
    assert not [name for name in loaded if name.startswith(("wengert_opencl.", "wengert_cupy."))]  # names are registered, no more
    assert "wengert_numpy.device" in loaded


def test_an_optimizer_brings_its_own_module_only() -> None:
    loaded = loaded_after("import wengert\nwengert.optim.SGD([wengert.ones(1, requires_grad=True)], lr=0.1)")
    assert "wengert_optim.sgd" in loaded and loaded & {"wengert_optim.adam", "wengert_optim.lbfgs", "scipy", "torch"} == set()


def test_looking_around_loads_nothing_but_plugins_themselves() -> None:
    loaded = loaded_after("import wengert\ndir(wengert)\ndir(wengert.optim)\nhasattr(wengert, '__wrapped__')")
    assert loaded & {"scipy", "pyopencl", "cupy", "torch", "matplotlib", "wengert_optim.sgd"} == set()


def test_recording_is_turned_in_one_place() -> None:
    """`modes.off` names the threads that record nothing, and ops rely on it: nobody else may set the switch."""

    def sets_it(node: ast.AST) -> bool:
        targets = node.targets if isinstance(node, ast.Assign) else ()
        each = [t for target in targets for t in ast.walk(target) if isinstance(t, ast.Attribute) and isinstance(t.ctx, ast.Store)]
        return any(t.attr == "grad" and ast.unparse(t.value).rpartition(".")[2] in ("state", "mode") for t in each)

    writers = [shown(p) for p in MODULES if any(map(sets_it, ast.walk(ast.parse(p.read_text()))))]
    assert writers == ["core/wengert/modes.py"]
