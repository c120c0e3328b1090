"""Programs that run on wengert and on PyTorch alike, and the comparison of what they return.

Owns: `Programs` (a table of functions `def name(torch): ... return values`), `plain` (what of a value is compared),
`error` (an exception as a value). What PyTorch returned is kept in tests/recorded/, so that the same programs prove
something where PyTorch is not installed: `python tests/programs.py` (with PyTorch) writes these files anew.
May import: the standard library, NumPy; torch and wengert late.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).parent / "recorded"
TABLES = (
    "test_autograd", "test_autograd_full", "test_autograd_functional", "test_autograd_graph",
    "test_checkpoint", "test_function", "test_gradcheck", "test_inplace", "test_library", "test_sparse", "test_tensor",
)  # fmt: skip

Program = Callable[[Any], Any]


class Programs(dict[str, Program]):
    """A table of programs by name; calling it with a function enters the function."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __call__(self, function: Program) -> Program:
        assert function.__name__ not in self, f"two programs named {function.__name__}"
        self[function.__name__] = function
        return function

    def recorded(self) -> dict[str, Any]:
        """Return what PyTorch returned when the record was made."""
        path = RECORDED / f"{self.title}.json"
        return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]

    def run(self, name: str, module: Any) -> Any:
        """Return the plain values that a program gives on a module."""
        return plain(self[name](module))

    def compare(self, name: str, module: Any) -> list[str]:
        """Return where a program's values differ from the recorded ones."""
        return differ(self.run(name, module), self.recorded()[name])

    def compare_live(self, name: str, module: Any, torch: Any) -> list[str]:
        """Return where a program's values differ from PyTorch's, and the record from either."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own
            theirs = self.run(name, torch)
        stale = ["the record is stale: python tests/programs.py"] if differ(theirs, self.recorded().get(name)) else []
        return differ(self.run(name, module), theirs) + stale

    def write(self, torch: Any) -> None:
        """Record what PyTorch returns, one line a program."""
        lines = [f"{json.dumps(name)}: {json.dumps(self.run(name, torch))}" for name in self]
        RECORDED.mkdir(exist_ok=True)
        (RECORDED / f"{self.title}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def error(act: Callable[[], Any]) -> str:
    """Return the name of the exception type that an action raises, or "nothing"."""
    try:
        act()
    except Exception as raised:
        return type(raised).__name__
    return "nothing"


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: of a tensor its dtype, shape, whether it requires grad, and elements."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return value if not isinstance(value, float) or np.isfinite(value) else repr(value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return {"array": str(value.dtype), "shape": list(value.shape), "values": plain(value.ravel().tolist())}
    if hasattr(value, "requires_grad"):
        values = plain(value.detach().reshape(-1).tolist())
        title = f"{value.dtype}{list(value.shape)}" + (" requires grad" if value.requires_grad else "")
        return {"tensor": title, "values": values}
    if type(value).__name__ in ("dtype", "device"):
        return str(value)
    raise TypeError(f"a program returned a {type(value).__name__}: {value!r}")


def differ(a: Any, b: Any, path: str = "") -> list[str]:
    """Return where two plain values differ, floats compared to 1e-5 relative."""
    if isinstance(a, float | int) and isinstance(b, float | int) and not isinstance(a, bool) and not isinstance(b, bool):
        return [] if abs(a - b) <= 1e-6 + 1e-5 * abs(b) else [f"{path}: {a} is not {b}"]
    if type(a) is not type(b):
        return [f"{path}: {a!r} is not {b!r}"]
    if isinstance(a, list):
        if len(a) != len(b):
            return [f"{path}: {a!r} is not {b!r}"]
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differ(x, y, f"{path}[{i}]")]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{path}: {a!r} is not {b!r}"]
        return [d for k in a for d in differ(a[k], b[k], f"{path}.{k}")]
    return [] if a == b else [f"{path}: {a!r} is not {b!r}"]


if __name__ == "__main__":
    import torch

    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).parent))
    for table in sys.argv[1:] or TABLES:
        importlib.import_module(table).PROGRAMS.write(torch)
