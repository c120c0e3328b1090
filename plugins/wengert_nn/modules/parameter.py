"""`Parameter` and `Buffer`: tensors that a module registers when they are assigned to it.

Owns: both, and `UninitializedParameter` and `UninitializedBuffer`, whose shape a lazy module finds out at its first call.
May import: `wengert`'s public names. Must not know: modules, devices, the tape.
"""

from __future__ import annotations

from typing import Any

import wengert
from wengert import Tensor
from wengert.extend import PLAIN, _disabled_torch_function_impl


def _as(kind: type[Tensor], data: Any) -> Any:
    """Return a tensor of a kind on the same memory, without history."""
    if data is None:
        data = wengert.empty(0)
    if not isinstance(data, Tensor):
        raise TypeError(f"{kind.__name__}: expected a Tensor or None, got {type(data).__name__}")
    result = object.__new__(kind)
    plain = data.detach()
    result._array, result._edge, result._box = plain._array, None, plain._box
    return result


class _ParameterMeta(type):
    """Counts a tensor of a class of the user's own that was made a parameter as one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that a module has as its parameter once it is assigned to it; it requires grad unless told otherwise."""

    _shown = "tensor"
    __torch_function__ = _disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if isinstance(data, Tensor) and type(data) is not Tensor and type(data) not in PLAIN:
            made: Any = data.detach().requires_grad_(requires_grad)  # of a class of the user's own, which it stays
            if type(made) is not type(data):
                kind = type(data).__name__
                raise RuntimeError(
                    f"Creating a Parameter from an instance of type {kind} requires that detach() returns an instance of the "
                    f"same type, but return type {type(made).__name__} was found instead."
                )
            setattr(made, "_is_param", True)
            return made
        return _as(cls, data).requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:  # without .grad and attributes, as in PyTorch
            copied = _as(type(self), self.detach().clone()).requires_grad_(self.requires_grad)
            memo[id(self)] = copied
        return memo[id(self)]

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        text = self._text()
        return "Parameter containing:\n" + (text if self._shown == "tensor" else f"Parameter({text})")


class Buffer(Tensor):
    """A tensor that a module has as its buffer once it is assigned to it; persistent: whether state_dict() has it."""

    _shown = "tensor"
    __torch_function__ = _disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        result = _as(cls, data)
        result.persistent = persistent
        return result.requires_grad_(isinstance(data, Tensor) and data.requires_grad)


class _Uninitialized:
    """What a parameter or buffer is before its shape is known."""

    becomes: type[Tensor]

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Take a shape, in this very object, with values that are not set yet."""
        made = wengert.empty(shape, device=device or self.device, dtype=dtype or self.dtype)
        self.data = made
        self.__class__ = self.becomes

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` "
            "when trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the "
            "parameters before accessing their attributes."
        )

    def numel(self) -> int:
        """Raise ValueError: how many elements there will be is known after the first call of the module."""
        raise ValueError(
            "Attempted to use an uninitialized parameter in numel(). This happens with a `LazyModule` that was not called yet: "
            "call `forward` with a batch to initialize its parameters first."
        )

    nelement = numel

    def share_memory_(self) -> Any:
        """Raise RuntimeError: there is no memory yet."""
        raise RuntimeError("Can't share memory on an uninitialized parameter or buffer. Call `forward` first.")

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

    _shown = "tensor"
    becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _as(cls, wengert.empty(0, device=device, dtype=dtype)).requires_grad_(requires_grad)


class UninitializedBuffer(_Uninitialized, Buffer):  # type: ignore[misc]
    """A buffer of no shape yet."""

    becomes = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> Any:
        result = _as(cls, wengert.empty(0, device=device, dtype=dtype))
        result.persistent = persistent
        return result.requires_grad_(requires_grad)


def is_lazy(x: Any) -> bool:
    """Say whether a parameter or buffer has no shape yet."""
    return isinstance(x, _Uninitialized)
