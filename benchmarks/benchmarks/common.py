"""What the benchmarks share: kernels and clock of `wengert bench`, and a class that is set up on any engine.

Owns: `Taped`, loops of calls. May import: engines; `core/wengert/bench/` by its path, from this checkout, so that one
definition serves the suite, the comparison and users, and an old commit is measured by it too. Must not know: wengert
but by name.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from .engines import TAPES, Tape, engine


def bench() -> None:
    """Make `wengert_bench` the package core/wengert/bench of this checkout, whichever wengert is installed."""
    folder = Path(__file__).resolve().parents[2] / "core" / "wengert" / "bench"
    spec = importlib.util.spec_from_file_location(
        "wengert_bench", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    sys.modules["wengert_bench"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["wengert_bench"])


bench()
kernels: Any = importlib.import_module("wengert_bench.kernels")
timing: Any = importlib.import_module("wengert_bench.timing")

# Where there is a `setup`, asv times single calls. What takes microseconds is done this many times in one call;
# the milliseconds that asv shows are then microseconds each.
CALLS = 1000


class Taped:
    """A benchmark whose first parameter is an engine with PyTorch's interface: `self.torch`, its device the default one.

    What a `time_` method started is waited for before its time is taken.
    """

    params: Any = (TAPES,)
    param_names = ["engine"]
    engine: Tape | None = None

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if name.startswith("time_"):
                setattr(cls, name, waited(method))

    def setup(self, name: str, *parameters: Any) -> None:
        place = engine(name)
        assert isinstance(place, Tape)
        self.engine, self.torch = place, place.T
        place.make_default()
        x = self.torch.ones(1).requires_grad_()
        (x * x).backward()  # what is loaded and made at the first use belongs to no benchmark
        self.prepare(*parameters)
        place.wait()

    def prepare(self, *parameters: Any) -> None:
        """Make what the benchmark needs, from the parameters after the engine."""

    def teardown(self, name: str, *parameters: Any) -> None:
        if self.engine is not None:  # asv also asks where `setup` said "n/a"
            self.engine.make_default(False)


def waited(method: Any) -> Any:
    """Return a method that waits for its engine at the end."""

    @functools.wraps(method)
    def run(self: Any, *parameters: Any) -> None:
        method(self, *parameters)
        self.engine.wait()

    return run
