"""Write facts.json: what CuPy has, by name, with its keywords and types; `python collect.py` where CuPy is installed.

Owns: which modules are looked at. No device is needed: names, signatures and ufunc types are read, nothing is run.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
from pathlib import Path
from typing import Any

import cupy

MODULES = ["cupy", "cupy.linalg", "cupy.fft", "cupy.lib.stride_tricks", "cupy.cuda", "cupyx", "cupyx.scipy.special", "cupyx.scipy.linalg",
           "cupyx.scipy.fft", "cupyx.scipy.sparse"]  # fmt: skip


def embedded(doc: str | None, name: str) -> list[str] | None:
    """Return the parameters in the first line of a docstring, where compiled methods keep their signature."""
    match = re.match(rf"(?:\w+\.)?{name}\((.*)\)", (doc or "").split("\n")[0])
    if match is None:
        return None
    parts = [p.split("=")[0].split(":")[0].split()[-1] for p in re.sub(r"\([^)]*\)", "", match[1]).split(",") if p.strip()]
    return [p for p in parts if p not in ("self", "/")]


def parameters(function: Any, name: str) -> list[str] | None:
    """Return the names of a function's parameters, "*" before those that are keywords only, or None where it does not say."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return embedded(function.__doc__, name)
    names: list[str] = []
    for p in found:
        if p.kind is p.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        if p.kind is p.VAR_KEYWORD:
            return None
        names.append(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name)
    return names


def collect() -> dict[str, Any]:
    made: dict[str, Any] = {"version": cupy.__version__, "functions": {}, "ufuncs": {}, "methods": {}, "other": {}}
    for path in MODULES:
        try:
            module = importlib.import_module(path)
        except ImportError:  # it loads a library of CUDA's: its names by its text
            spec = importlib.util.find_spec(path)
            assert spec is not None and spec.origin is not None
            lines = re.findall(r"^from \S+ import ([\w, ]+)", Path(spec.origin).read_text(), re.MULTILINE)
            names = [name.strip() for line in lines for name in line.split(",")]
            made["functions"] |= {f"{path}.{name}": None for name in sorted(names) if not name.startswith("_")}
            continue
        for name in sorted(dir(module)):
            found = getattr(module, name)
            full = f"{path}.{name}"
            if name.startswith("_") or inspect.ismodule(found):
                continue
            if isinstance(found, cupy.ufunc):
                made["ufuncs"][full] = found.types
            elif callable(found) and not inspect.isclass(found):
                made["functions"][full] = parameters(found, name)
            elif inspect.isclass(found) and embedded(found.__init__.__doc__, r"__init__"):
                made["functions"][full] = embedded(found.__init__.__doc__, r"__init__")
            else:
                made["other"][full] = type(found).__name__
    for name in sorted(dir(cupy.ndarray)):
        method = getattr(cupy.ndarray, name)
        if not name.startswith("_"):
            made["methods"][name] = embedded(method.__doc__, name) if callable(method) else "attribute"
    return made


if __name__ == "__main__":
    target = Path(__file__).with_name("facts.json")
    facts = {"source": "collect.py; regenerate where CuPy is installed", **collect()}
    lines = [f"{json.dumps(k)}: {{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(p)}" for n, p in v.items()) + "\n}"
             if isinstance(v, dict) else f"{json.dumps(k)}: {json.dumps(v)}" for k, v in facts.items()]  # fmt: skip
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{target}: {sum(len(v) for v in facts.values() if isinstance(v, dict))} names of CuPy {facts['version']}")
