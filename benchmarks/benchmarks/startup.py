"""What is paid once: the import, the search for plugins, the memory of a long chain.

Owns: figures that need a fresh process. May import: `common`, `programs`. Must not know: what is loaded when.
No `setup` imports the module under test: that would be part of what is measured.
"""

from __future__ import annotations

from typing import Any

from . import programs
from .common import MODULES, load, present


class Fresh:
    """A benchmark by module that is not loaded beforehand."""

    params: Any = (MODULES,)
    param_names = ["module"]

    def setup(self, module: str) -> None:
        if not present(module):
            raise NotImplementedError(f"{module} is not installed")


class Import(Fresh):
    """What a program waits for first; NumPy's share of it is wengert's as well."""

    params = (["numpy", *MODULES],)

    def timeraw_import(self, module: str) -> str:
        return f"import {module}"


class Plugins:
    """The search through the installed distributions, at the first name that is not built in."""

    def timeraw_scan(self) -> tuple[str, str]:
        return "plugins.load_all()", "from wengert import plugins"


class Memory(Fresh):
    """The most a process held: with the module alone, and with a chain of 100,000 ops recorded."""

    def peakmem_import(self, module: str) -> None:
        load(module)

    def peakmem_chain(self, module: str) -> None:
        torch = load(module)
        programs.links(torch, torch.tensor([1.0], requires_grad=True), 100_000)
