"""Dims and shapes as arguments: what users write, made into what records take.

Owns: checks and arithmetic on dims, sizes and shapes, and the way of a host array to another array's device.
May import: errors, tensor, modes, backend. Must not know: any op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import backend, errors
from wengert._tensor import Tensor, wrap
from wengert.modes import state

Shape = tuple[int, ...]
Axes = tuple[int, ...] | None


def one_dim(name: str, input: Any, dim: int) -> int:
    """Return a dim as a non-negative index. Raises IndexError out of range."""
    ndim = input.ndim or 1
    if type(dim) is not int:
        dim = index_of(name, dim)
    if not -ndim <= dim < ndim:
        raise errors.dim_range(name, dim, input.ndim)
    return dim if dim >= 0 else dim + ndim


def index_of(name: str, value: Any) -> int:
    """Return an integer of any kind as an int. Raises TypeError for anything else, floats included."""
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        raise TypeError(f"{name}(): expected an int, not {type(value).__name__}: {value!r}") from None


def ints(value: Any) -> tuple[Any, ...]:
    """Return an integer of any kind (NumPy's, a tensor of one) as a tuple, and a sequence as one. Raises TypeError for the
    rest."""
    if type(value) is tuple:
        return value
    try:
        return (int(value.__index__()),)
    except (AttributeError, TypeError, RuntimeError):
        return tuple(value)


def only_tensors(name: str, values: Sequence[Any]) -> None:
    """Raise TypeError where one of the values is no Tensor."""
    for i, x in enumerate(values):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0 of {name}(), but got {type(x).__name__}")


def kind_of(name: str, x: Any, argument: str = "input") -> Any:
    """Return the NumPy dtype of a tensor. Raises TypeError for what is no tensor."""
    try:
        return x._array.dtype
    except AttributeError:
        raise errors.not_a_tensor(name, x, argument) from None


def axes_of(name: str, input: Any, dim: Any) -> Axes:
    """Return dims (an int, several, or () for all) as a tuple of non-negative ones: an empty one for a 0-d input."""
    if dim is None:
        return None
    ndim = input.ndim
    if type(dim) is int and -ndim <= dim < ndim:
        return (dim % ndim,)
    if not isinstance(dim, tuple | list):
        axis = one_dim(name, input, dim)
        return (axis,) if ndim else ()
    if not dim:
        return tuple(range(ndim))
    axes = tuple([one_dim(name, input, d) for d in dim])
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{name}: dim {axes[-1]} appears multiple times in the list of dims")
    return axes if ndim else ()


def reduced(shape: tuple[int, ...], axis: Axes, keepdims: bool) -> tuple[int, ...]:
    """Return the shape that is left of `shape` when `axis` (all for None) is reduced."""
    axes = range(len(shape)) if axis is None else axis
    if keepdims:
        return tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def count(shape: tuple[int, ...], axis: Axes) -> int:
    """Return how many elements of `shape` a reduction over `axis` (all for None) takes together."""
    result = 1
    for i, n in enumerate(shape):
        if axis is None or i in axis:
            result *= n
    return result


def size_of(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape."""
    result = 1
    for n in shape:
        result *= n
    return result


def shape_of(args: Any, name: str = "shape") -> Shape:
    """Return a shape given as ints, or as one sequence of them. Raises TypeError for anything else."""
    if len(args) == 1 and isinstance(args[0], tuple | list):
        args = args[0]
    for n in args:
        if type(n) is not int:
            break
    else:
        return tuple(args)
    try:
        return tuple([int(n) if isinstance(n, Tensor) else n.__index__() for n in args])
    except (AttributeError, TypeError):
        raise TypeError(f"{name}(): sizes must be ints or one tuple of ints, got {args!r}") from None


def fill_in(name: str, shape: Shape, size: int) -> Shape:
    """Return the shape with a -1 replaced by what is left of `size`. Raises RuntimeError where it does not fit."""
    known, free = 1, -1
    for i, n in enumerate(shape):
        if n >= 0:
            known *= n
        elif n == -1 and free < 0:
            free = i
        else:
            raise errors.bad_shape(name, shape, size)
    if free < 0 and known == size:
        return shape
    if free < 0 or not known or size % known:
        raise errors.bad_shape(name, shape, size)
    return (*shape[:free], size // known, *shape[free + 1 :])


def raw_like(array: Any, host: np.ndarray[Any, Any]) -> Any:
    """Return a host array on the device of a raw array."""
    if hasattr(type(array), "transform"):  # inside of a func transform, or sparse: the device of what it holds
        return raw_like(array.transform.held(array), host)
    owner = backend.of_array(array)
    return owner.from_host(host, owner.index_of(array))


def tensor_like(input: Tensor, host: np.ndarray[Any, Any]) -> Tensor:
    """Return a host array as a tensor on the device of input."""
    return wrap(raw_like(input._array, host))


_SHARED: dict[Any, Any] = {}  # never given up: a CUDA graph may read them
MANY = 64


def shared_like(input: Tensor, make: Callable[..., np.ndarray[Any, Any]], *args: Any) -> Tensor:
    """Return make(*args), a small host array that depends on nothing else, as a tensor on the device of input, which keeps it:
    nobody waits for it twice. Nobody may write to it."""
    array = input._array
    while hasattr(type(array), "transform"):
        array = array.transform.held(array)
    owner = backend.of_array(array)
    if state.recorder is not None:
        return tensor_like(input, make(*args))
    if owner.name == backend.HOST:
        return wrap(backend.hosted(make(*args)))
    key = (make, args, owner.name, owner.index_of(array))
    made = _SHARED.get(key)
    if made is None:
        made = owner.from_host(make(*args), key[-1])
        if len(_SHARED) < MANY:
            _SHARED[key] = made
    return wrap(made)
