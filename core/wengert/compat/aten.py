"""`torch.ops.aten`: PyTorch's operations by the names of its own tables, as `aten.add.Tensor`; and compiled libraries.

Owns: the objects of these names, which are one for each name, and the refusal of compiled libraries. May import: `wengert`'s
public names, late. Must not know: any op. All overloads of a name are one function here, which looks at what it is given.
"""

from __future__ import annotations

import functools
from typing import Any, NoReturn

from wengert._tensor import Tensor


class Overload:
    """A function by one of PyTorch's names for it: `aten.add` and its `aten.add.Tensor`."""

    def __init__(self, name: str, overload: str = "") -> None:
        self.__name__, self._overload = name, overload
        self._qualified_op_name = f"aten::{name}"

    def __getattr__(self, overload: str) -> Overload:
        if overload.startswith("__") or self._overload:
            raise AttributeError(overload)
        found = Overload(self.__name__, overload)
        self.__dict__[overload] = found
        return found

    @property
    def overloadpacket(self) -> Overload:
        """The function without a choice among its overloads."""
        return _named(self.__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function = _function(self.__name__)
        if function is None:
            raise NotImplementedError(f"torch.ops.aten.{self.__name__}: wengert has no operation of this name")
        return function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<op aten.{'.'.join(filter(None, (self.__name__, self._overload)))}>"


def _slice(x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _index(x: Tensor, indices: Any) -> Tensor:
    return x[tuple(slice(None) if i is None else i for i in indices)]


OTHERWISE = {  # what no public function is called
    "slice": _slice,
    "index": _index,
    "alias": lambda x: x.view_as(x),
    "_to_copy": lambda x, **options: x.to(**options, copy=True),
}


def _function(name: str) -> Any:
    import wengert
    from wengert.nn import functional

    return OTHERWISE.get(name) or getattr(wengert, name, None) or getattr(Tensor, name, None) or getattr(functional, name, None)


@functools.cache
def _named(name: str) -> Overload:
    return Overload(name)


class _Aten:
    """The namespace: names of operations that are here, and PyTorch's private ones, which programs compare with."""

    def __getattr__(self, name: str) -> Overload:
        if name.startswith("__") or (not name.startswith("_") and _function(name) is None):
            raise AttributeError(f"torch.ops.aten has no {name!r} in wengert")
        return _named(name)


aten = _Aten()


def load_library(path: Any) -> NoReturn:
    """Raise OSError: libraries that were compiled for PyTorch cannot be loaded."""
    raise OSError(f"ops.load_library: {path} was compiled for PyTorch; wengert.custom_op makes operations in Python")
