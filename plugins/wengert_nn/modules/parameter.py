"""`Parameter` and `Buffer`: tensors that a module registers when they are assigned to it.

Owns: both, and `UninitializedParameter` and `UninitializedBuffer`, whose shape a lazy module finds out at its first call.
May import: `wengert`'s public names. Must not know: modules, devices, the tape.
"""

from __future__ import annotations

from typing import Any

import wengert
from wengert import Tensor


def _as(kind: type[Tensor], data: Any) -> Any:
    """Return a tensor of a kind on the same memory, without history."""
    if data is None:
        data = wengert.empty(0)
    if not isinstance(data, Tensor):
        raise TypeError(f"{kind.__name__}: expected a Tensor or None, got {type(data).__name__}")
    result = object.__new__(kind)
    plain = data.detach()
    result._array, result._box = plain._array, plain._box
    return result


class Parameter(Tensor):
    """A tensor that a module has as its parameter once it is assigned to it; it requires grad unless told otherwise."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        return _as(cls, data).requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:  # without .grad, as in PyTorch
            copied = _as(type(self), self.detach().clone()).requires_grad_(self.requires_grad)
            copied.__dict__.update(self._extras())
            memo[id(self)] = copied
        return memo[id(self)]

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + self._text()


class Buffer(Tensor):
    """A tensor that a module has as its buffer once it is assigned to it; persistent: whether state_dict() has it."""

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        result = _as(cls, data)
        result.persistent = persistent
        return result.requires_grad_(isinstance(data, Tensor) and data.requires_grad)


class _Uninitialized:
    """What a parameter or buffer is before its shape is known."""

    becomes: type[Tensor]

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Take a shape, in this very object, with values that are not set yet."""
        made = wengert.empty(tuple(shape), device=device or self.device, dtype=dtype or self.dtype)
        self.data = made
        self.__class__ = self.becomes

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` "
            "when trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the "
            "parameters before accessing their attributes."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, device=self.device, dtype=self.dtype)
        return memo[id(self)]

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        return _uninitialized, (type(self), self.requires_grad, str(self.device), str(self.dtype).rpartition(".")[2])


def _uninitialized(kind: Any, requires_grad: bool, device: str, dtype: str) -> Any:
    return kind(requires_grad, device=device, dtype=getattr(wengert, dtype))


class UninitializedParameter(_Uninitialized, Parameter):  # type: ignore[misc]
    """A parameter of no shape yet."""

    becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _as(cls, wengert.empty(0, device=device, dtype=dtype)).requires_grad_(requires_grad)


class UninitializedBuffer(_Uninitialized, Tensor):  # type: ignore[misc]
    """A buffer of no shape yet."""

    becomes = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> Any:
        result = _as(cls, wengert.empty(0, device=device, dtype=dtype))
        result.persistent = persistent
        return result.requires_grad_(requires_grad)


def is_lazy(x: Any) -> bool:
    """Say whether a parameter or buffer has no shape yet."""
    return isinstance(x, _Uninitialized)
