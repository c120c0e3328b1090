"""Complex numbers: made of parts, seen as parts, their angle.

Owns: the records of angle and of both views, and the faces. May import: wengert.extend. Must not know: devices.
A gradient of complex numbers is PyTorch's: rules are written for g * f'(x), results that are complex are conjugated by the
tape. conj() computes, so nothing here is ever a lazy conjugate.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import creation, dtypes, e, elementwise, labelled, only_tensors, relabel, structural


def infer_view_as_complex(x: Any) -> Any:
    """Raise RuntimeError for what cannot be seen as pairs of a real and an imaginary part."""
    if dtypes.category(x.dtype) != dtypes.FLOATING or x.dtype.itemsize < 4:
        raise RuntimeError(f"view_as_complex is only supported for float and double tensors, but got a tensor of {x.dtype}")
    if not x.shape or x.shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2 (view_as_complex of shape {list(x.shape)})")
    strides = [n // x.dtype.itemsize for n in x.strides] if hasattr(x, "strides") else [1]  # a graph's values have none
    if not getattr(x, "size", 1):
        strides = [1]
    if strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1 (view_as_complex); contiguous() makes one")
    if any(n % 2 for n in strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension (view_as_complex)")
    return tuple(x.shape[:-1]), dtypes.of(x.dtype).to_complex().numpy


def angle_rule(g: Any, x: Any) -> Any:
    """Return g i x / |x|^2, the step across x, and 0 for reals."""
    if not e.is_complex(x):
        return e.zeros(g)
    re, im = e.real(x), e.imag(x)
    square = re * re + im * im
    step = g / e.where(square == 0, 1.0, square)
    return e.complex_(-im * step, re * step)


# fmt: off
angle_           = elementwise("angle", inputs="x", x=lambda g, x: angle_rule(g, x))
view_as_real_    = structural("view_as_real", "x", lambda x: ((*x.shape, 2), e.real_type(x.dtype)), view=True,
    x=lambda g: e.complex_(g[..., 0], g[..., 1]))
view_as_complex_ = structural("view_as_complex", "x", infer_view_as_complex, view=True,
    x=lambda g: view_as_real_(e.conjugate(g)))
# fmt: on
angle_.infer = lambda x: (tuple(x.shape), e.real_type(x.dtype))


def angle(input: Any, *, out: Any = None) -> Any:
    """Return the angle of each number: atan2(imag, real), for reals 0 or pi."""
    return angle_(input, out=out)


def real(input: Any) -> Any:
    """Return the real parts, a view of the same memory; of reals the tensor itself."""
    return input.real


def imag(input: Any) -> Any:
    """Return the imaginary parts, a view of the same memory. Raises RuntimeError for reals."""
    return input.imag


def two_floats(name: str, first: Any, second: Any) -> None:
    """Raise TypeError unless both are tensors, RuntimeError unless they are floats of one type."""
    only_tensors(name, (first, second))
    if dtypes.category(first._array.dtype) != dtypes.FLOATING:
        raise RuntimeError(f"Expected both inputs to be Half, Float or Double tensors but got {first.dtype} and {second.dtype}")
    if first.dtype is not second.dtype:
        raise RuntimeError(f"{name}: expected two tensors of one scalar type, got {first.dtype} and {second.dtype}")


def complex(real: Any, imag: Any, *, out: Any = None) -> Any:
    """Return real + i imag. Raises RuntimeError unless both are float tensors of one type, and out of the complex one."""
    two_floats("complex", real, imag)
    if out is not None and out.dtype is not real.dtype.to_complex():
        raise RuntimeError(f"complex: out= must be of type {real.dtype.to_complex()}, got {out.dtype}")
    return e.complex_(real, imag, out=out)


@labelled("PolarBackward0")
def polar(abs: Any, angle: Any) -> Any:
    """Return abs * exp(i angle). Raises RuntimeError unless both are float tensors of one type."""
    two_floats("polar", abs, angle)
    return e.complex_(abs * e.cos(angle), abs * e.sin(angle))


def view_as_real(input: Any) -> Any:
    """Return real and imaginary parts along a new last dimension, a view of the same memory.

    Raises RuntimeError for reals.
    """
    if not input.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return view_as_real_(input)


def view_as_complex(input: Any) -> Any:
    """Return pairs along the last dimension as complex numbers, a view of the same memory.

    Raises RuntimeError where that dimension is not of size 2, or its pairs do not stand side by side in memory.
    """
    infer_view_as_complex(input._array)
    return view_as_complex_(input)


def isreal(input: Any) -> Any:
    """Say where the imaginary part is 0."""
    return input.imag == 0 if input.is_complex() else creation.full_like(input, True, dtype=dtypes.by_name("bool"))


def conj_physical(input: Any) -> Any:
    """Return the complex conjugate; real tensors as they are."""
    return relabel(e.conjugate(input), "ConjPhysicalBackward0") if input.is_complex() else input


def itself(input: Any) -> Any:
    """Return the tensor: there are no lazy conjugates and no lazy negatives to resolve."""
    return input


def never(input: Any) -> bool:
    """Return False: there are no lazy conjugates and no lazy negatives."""
    return False
