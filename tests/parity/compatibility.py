"""The tables of docs/compatibility.md: which of PyTorch's names are here, in which types they are compared, and the known gaps.

    python tests/parity/compatibility.py --write docs/compatibility.md

Owns: the text between that page's marks. May import: PyTorch, opdb. Must not know: any op.
"""

from __future__ import annotations

import argparse
import importlib
import re
import warnings
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import opdb
import torch

import wengert

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
TYPES = {"float32": "f32", "float64": "f64", "complex128": "c128", "int64": "i64", "bool": "bool"}
TIERS = {1: "What everybody uses", 2: "Good to have", 3: "Internals, prototypes, rarities"}
NARROW = "\u00a0"  # a space at which no line breaks
# Public names by namespace; those of `torch` itself and of Tensor are the operators above.
NAMESPACES = (
    "nn", "nn.functional", "nn.init", "nn.utils", "optim", "optim.lr_scheduler", "linalg", "fft", "special", "signal.windows",
    "distributions", "autograd", "autograd.functional", "autograd.graph", "func", "utils.data", "utils.checkpoint",
)  # fmt: skip


def operators() -> list[str]:
    """Return a table for each tier: a name, the types it is compared in, how far it is differentiated, its gaps."""
    tiers, infos = opdb.tiers(), defaultdict(list)
    for info in opdb.op_db:
        infos[info.name].append(info)
    gaps = defaultdict(list)
    for (full, dtype, check), reason in opdb.gaps().items():
        name = full if full in infos else full.rpartition(".")[0]
        gaps[name].append(f"{check}{'' if dtype == '*' else f' ({TYPES.get(dtype, dtype)})'}: {reason}")
    lines = []
    for tier, title in TIERS.items():
        names = sorted((n for n in infos if tiers.get(n) == tier), key=str.lower)
        here = [n for n in names if any(opdb.ours(i) is not None for i in infos[n])]
        lines += ["", f"### {title}: {len(here)} of {len(names)}", ""]
        lines += ["| operator | compared in | derivatives | known gaps |", "| --- | --- | --- | --- |"]
        for name in here:
            kinds = [s for t, s in TYPES.items() if any(getattr(torch, t) in i.supported_dtypes("cpu") for i in infos[name])]
            first, second = (any(getattr(i, a) for i in infos[name]) for a in ("supports_autograd", "supports_gradgrad"))
            told = "<br>".join(dict.fromkeys(escaped(g) for g in gaps[name]))
            values = "only shapes and types: the values are drawn" if name in opdb.RANDOM else ""
            orders = "" if values or not first else "first, second" if second else "first"
            lines.append(f"| `{name}` | {NARROW.join(kinds)} | {orders} | {values}{told} |")
        missing = [n for n in names if n not in here]
        if missing:
            lines += ["", f"Not here: {', '.join(f'`{n}`' for n in missing)}."]
    return lines


def namespaces() -> list[str]:
    """Return a table of namespaces: how many public names of PyTorch's are here, and which are not."""
    lines = ["| namespace | here | not here |", "| --- | --- | --- |"]
    for space in NAMESPACES:
        theirs = public(f"torch.{space}")
        missing = [n for n in theirs if not has(space, n)]
        listed = ", ".join(f"`{n}`" for n in missing)
        lines.append(f"| `torch.{space}` | {len(theirs) - len(missing)} of {len(theirs)} | {listed} |")
    return lines


def public(name: str) -> list[str]:
    """Return the public functions and classes of a module of PyTorch."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    found = []
    for n in sorted(set(names)):
        value = getattr(module, n, None)
        defined = str(getattr(value, "__module__", ""))
        if callable(value) and value is not torch.Tensor and not isinstance(value, ModuleType) and (defined.startswith("torch") or defined == ""):
            found.append(n)
    return found


def has(space: str, name: str) -> bool:
    found: Any = wengert
    try:
        for part in (*space.split("."), name):
            found = getattr(found, part)
    except (AttributeError, ImportError):
        return False
    return True


def escaped(text: str) -> str:
    return re.sub(r"([|*_<>])", r"\\\1", text)


def tables() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = [f"PyTorch {torch.__version__.partition('+')[0]}.", "", "## Operators", *operators()]
        lines += ["", "## Namespaces", "", *namespaces(), ""]
    return "\n".join(lines)


def replaced(page: str, text: str) -> str:
    """Return a page with other tables."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page to renew; else the tables are printed")
    page = parser.parse_args().write
    if page is None:
        print(tables())
    else:
        page.write_text(replaced(page.read_text(encoding="utf-8"), tables()), encoding="utf-8")


if __name__ == "__main__":
    main()
