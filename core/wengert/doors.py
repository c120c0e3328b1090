"""What einops and opt_einsum ask of an array library, told to them when they are imported.

Owns: the two tables they look in, filled for wengert; the finder that waits for their import (neither has entry points).
May import: the standard library; wengert's names late, as `import wengert` imports this. Must not know: any op.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


# ---- einops finds a library by the subclasses of its AbstractBackend
def tell_einops(module: Any) -> None:
    """Give `einops._backends` a backend for tensors."""
    w: Any = importlib.import_module("wengert")

    class WengertBackend(module.AbstractBackend):  # type: ignore[misc]  # einops is imported by the user
        """Shapes, reductions and products, recorded as any other call."""

        framework_name = "wengert"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, w.Tensor)

        def from_numpy(self, x: Any) -> Any:
            return w.from_numpy(x)

        def to_numpy(self, x: Any) -> Any:
            return x.numpy(force=True)

        def arange(self, start: int, stop: int) -> Any:
            return w.arange(start, stop)

        def shape(self, x: Any) -> tuple[int, ...]:
            return tuple(x.shape)

        def transpose(self, x: Any, axes: Any) -> Any:
            return transpose(x, axes)

        def reduce(self, x: Any, operation: str, axes: Any) -> Any:
            return getattr(x.__array_namespace__(), operation)(x, axis=tuple(axes))

        def stack_on_zeroth_dimension(self, tensors: Any) -> Any:
            return w.stack(list(tensors))

        def add_axis(self, x: Any, new_position: int) -> Any:
            return x.unsqueeze(new_position)

        def add_axes(self, x: Any, n_axes: int, pos2len: dict[int, int]) -> Any:
            for place in pos2len:
                x = x.unsqueeze(place)
            return x.expand([pos2len.get(place, -1) for place in range(n_axes)])

        def tile(self, x: Any, repeats: Any) -> Any:
            return w.tile(x, tuple(repeats))

        def concat(self, tensors: Any, axis: int) -> Any:
            return w.cat(list(tensors), axis)

        def is_float_type(self, x: Any) -> bool:
            return bool(x.is_floating_point())

        def einsum(self, pattern: str, *x: Any) -> Any:
            return w.einsum(pattern, *x)

    module.WengertBackend = WengertBackend  # a class knows its subclasses only as long as somebody else does


# ---- opt_einsum looks for three functions in the module that a table names
def tell_opt_einsum(module: Any) -> None:
    """Give `opt_einsum.backends.dispatch` this module for tensors."""
    module._aliases["wengert"] = "wengert.doors"


def einsum(equation: str, *operands: Any) -> Any:
    """Return the sum of products that an equation names."""
    return importlib.import_module("wengert").einsum(equation, *operands)


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Return the product summed over axes, by NumPy's argument."""
    return x.__array_namespace__().tensordot(x, y, axes=axes)


def transpose(x: Any, axes: Any) -> Any:
    """Return x with its axes in another order, by NumPy's argument."""
    return x.permute(tuple(axes))


# ---- when they are imported
TOLD: dict[str, Callable[[Any], None]] = {
    "einops._backends": tell_einops, "opt_einsum.backends.dispatch": tell_opt_einsum,
}  # fmt: skip


class Finder:
    """Finds nothing of its own: lets the import of a module in `TOLD` go its way, and tells the module then."""

    def __init__(self) -> None:
        self.searching: set[str] = set()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in TOLD or name in self.searching:
            return None
        self.searching.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.searching.discard(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                TOLD[name](module)

            setattr(spec.loader, "exec_module", exec_module)
        return spec


def open_doors() -> None:
    """Tell the libraries that are imported already, and wait for the others."""
    for name, tell in TOLD.items():
        if name in sys.modules:
            tell(sys.modules[name])
    sys.meta_path.insert(0, Finder())
