"""`autograd.forward_ad`: tensors that carry a tangent through a program, without a function to hand to `func.jvp`.

Owns: `dual_level` and the making and unpacking of dual tensors. May import: tensor, func's level of forward mode.
Must not know: any op; every tangent comes from func/forward.py. A tangent lives as long as its level: unpack it inside. An
operation on a dual tensor after that takes its value.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from wengert import dtypes
from wengert._tensor import Tensor, wrap
from wengert.func.forward import Forward, motion
from wengert.func.layers import Layer

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class _Dual(Forward):
    outlived = True

    def text(self, layer: Layer) -> str | None:
        tangent = motion(layer) if self.open else None
        return None if tangent is None else f"{repr(layer.value)[:-1]}, tangent={tangent!r})"


class _Running(threading.local):
    level: _Dual | None = None


_running = _Running()


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: the value, and its tangent or None."""

    primal: Any
    tangent: Any


def __getattr__(name: str) -> Any:
    if name == "_current_level":  # which programs read: -1 outside
        return -1 if _running.level is None else 0
    raise AttributeError(f"module 'wengert.autograd.forward_ad' has no attribute {name!r}")


def enter_dual_level() -> int:
    """Begin to carry tangents, on this thread; return the level, 0. Raises RuntimeError inside of another."""
    if _running.level is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment; func.jvp nests")
    _running.level = _Dual().__enter__()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End what `enter_dual_level` began. Raises RuntimeError where nothing did."""
    if _running.level is None or level not in (None, 0):
        raise RuntimeError(f"exit_dual_level: there is no dual level {0 if level is None else level} to leave")
    _running.level.__exit__()
    _running.level = None


class dual_level:
    """Carry tangents inside of a `with` block."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """Return a tensor with the values of one and a tangent, of the same shape and dtype.

    Raises RuntimeError outside of a dual level, ValueError for integers.
    """
    dual = _running.level
    if dual is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    for name, x in (("primal", tensor), ("tangent", tangent)):
        if dtypes.category(x._array.dtype) < dtypes.FLOATING:
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {x.dtype}")
    if isinstance(tensor._array, Layer) and tensor._array.level is dual:
        raise RuntimeError("Making a dual Tensor based on a Tensor that already has a forward gradient is not supported.")
    if isinstance(tangent._array, Layer) and tangent._array.level is dual:
        raise RuntimeError("Making a dual Tensor with a tangent that itself has a forward gradient at the same level.")
    if tuple(tensor.shape) != tuple(tangent.shape) or tensor.dtype is not tangent.dtype:
        raise RuntimeError(
            f"Trying to set a forward gradient that has a different size or dtype than that of the original Tensor: "
            f"{tangent.dtype}{list(tangent.shape)} for {tensor.dtype}{list(tensor.shape)}"
        )
    return wrap(dual.dual(tensor, tangent))


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Return (primal, tangent) of a tensor; the tangent is None where it carries none."""
    array = tensor._array
    if isinstance(array, Layer) and array.level is _running.level:
        return UnpackedDualTensor(array.value, motion(array))
    return UnpackedDualTensor(tensor, None)
