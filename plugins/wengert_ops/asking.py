"""What programs rarely ask of a tensor, and functions that are methods elsewhere.

Owns: these. May import: wengert.extend, NumPy. Must not know: devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import wengert as w
from wengert.extend import Tensor, creation, dtypes, write_out


def detach(input: Any) -> Any:
    """Return the tensor without its history, on the same memory."""
    return input.detach()


def detach_(input: Any) -> Any:
    """Cut the tensor from its history and return it."""
    return input.detach_()


def get_device(input: Any) -> int:
    """Return the index of the tensor's device: -1 for the host."""
    return int(input.get_device())


def is_signed(input: Any) -> bool:
    """Say whether the elements may be negative."""
    return bool(input.is_signed())


def is_same_size(input: Any, other: Any) -> bool:
    """Say whether two tensors have the same shape."""
    return bool(tuple(input.shape) == tuple(other.shape))


def is_distributed(input: Any) -> bool:
    """Say whether the tensor is spread over processes: none is."""
    return False


def dim_order(input: Any, ambiguity_check: Any = False) -> tuple[int, ...]:
    """Return the dims from the widest step in memory to the narrowest.

    Raises RuntimeError where ambiguity_check is given and another order describes the memory as well.
    """
    formats = ambiguity_check if isinstance(ambiguity_check, list) else []
    if not isinstance(ambiguity_check, bool) and not (formats and all(isinstance(f, w.memory_format) for f in formats)):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    steps, sizes = input.stride(), input.shape
    order = tuple(sorted(range(len(sizes)), key=lambda d: -steps[d]))
    free = any(sizes[d] == 1 or steps[d] == 0 for d in order) or len({*steps}) < len(steps)
    if ambiguity_check is True and free and len(order) > 1:
        raise RuntimeError(
            "The tensor does not have unique dim order, or cannot map to exact one of the given memory formats."
        )
    return order


def apply_(input: Any, callable: Callable[[Any], Any]) -> Any:
    """Write callable(element) to each element, one after the other in Python, and return the tensor (on the host alone)."""
    return map_(input, (), callable)


def map_(input: Any, tensor: Any, callable: Callable[..., Any]) -> Any:
    """Write callable(element, element of tensor) to each element, in Python, and return the tensor (on the host alone)."""
    others = (tensor,) if isinstance(tensor, Tensor) else tuple(tensor)
    if not input.is_cpu:
        raise TypeError(f"apply_ and map_ are only implemented on CPU tensors, not on {input.device}")
    if input.requires_grad:
        raise RuntimeError("Can't call apply_() or map_() on Variable that requires grad. Use var.detach() instead.")
    columns = [input, *(o.expand(input.shape) for o in others)]
    values = [callable(*elements) for elements in zip(*(c.reshape(-1).tolist() for c in columns), strict=True)]
    made = np.array(values, input._array.dtype).reshape(input.shape)
    return input.copy_(creation.made(made, input.device))


def map2_(input: Any, x: Any, y: Any, callable: Callable[..., Any]) -> Any:
    """Write callable(element, element of x, element of y) to each element, in Python, and return the tensor."""
    return map_(input, (x, y), callable)


def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the sum of the singular values of matrices."""
    made = w.linalg.matrix_norm(input, "nuc", dim, keepdim)
    return made if out is None else write_out("nuclear_norm", made, out)


def frobenius_norm(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the root of the sum of the squared magnitudes, over dims or all."""
    made = w.linalg.vector_norm(input, 2, None if isinstance(dim, tuple | list) and not dim else dim, keepdim)
    return made if out is None else write_out("frobenius_norm", made, out)


def norm_except_dim(input: Any, pow: int = 2, dim: int = 0) -> Any:
    """Return the norms over all dims but one, which keep their places with length 1; dim -1: of the whole."""
    if dim == -1:
        return input.norm(pow)
    others = [d for d in range(input.dim()) if d != dim % input.dim()]
    return w.linalg.vector_norm(input, pow, others, True) if others else input.abs()


def from_file(
    filename: str, shared: bool | None = None, size: int | None = 0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Return a vector on the memory of a file, which is mapped. shared: writes go to the file, which grows as needed."""
    wanted = dtypes.to_numpy(w.get_default_dtype() if dtype is None else dtype)
    count = int(size or 0)
    if shared:
        with open(filename, "ab") as file:
            file.truncate(max(file.tell(), count * wanted.itemsize))
    mapped = np.memmap(filename, wanted, "r+" if shared else "c", shape=(count,))
    made = w.as_tensor(np.asarray(mapped), device=device)
    return made.requires_grad_() if requires_grad else made


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
    """Return true_fn(*operands) or false_fn(*operands), by a bool or a tensor of one."""
    if isinstance(pred, Tensor) and (pred.numel() != 1 or pred.dtype is not w.bool):
        raise RuntimeError(f"cond: expected a bool, or a tensor of one; got {pred.dtype} of shape {list(pred.shape)}")
    return (true_fn if bool(pred) else false_fn)(*operands)
