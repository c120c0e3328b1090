"""What is paid once: the import, the search for plugins, the memory of the module and of a long chain.

Owns: figures that need a fresh process. May import: engines, programs. Must not know: what is loaded when.
No `setup` imports the module under test: that would be part of what is measured.
"""

from __future__ import annotations

from typing import Any

from . import programs
from .engines import absent, engine, present

MODULES = ["wengert", "torch", "jax", "autograd", "mygrad", "tinygrad"]


class Fresh:
    """A benchmark by module that is not loaded beforehand."""

    params: Any = (MODULES,)
    param_names = ["module"]

    def setup(self, module: str) -> None:
        if not present(module):
            raise absent(module)


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
    """The most a process held with the module alone."""

    def peakmem_import(self, module: str) -> None:
        __import__(module)


class ChainMemory:
    """The most a process held with a chain of 100,000 ops recorded."""

    params = (["wengert:cpu", "torch:cpu"],)
    param_names = ["engine"]

    def setup(self, name: str) -> None:
        if not present(name.partition(":")[0]):
            raise absent(name.partition(":")[0])

    def peakmem_chain(self, name: str) -> None:
        torch = engine(name).T
        programs.links(torch, torch.tensor([1.0], requires_grad=True), 100_000)
