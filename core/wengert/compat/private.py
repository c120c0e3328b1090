"""Names of PyTorch's that begin with an underscore and that libraries use nevertheless: checks, what modules share,
`torch._foreach_*`, and the arithmetic of sizes.

Owns: these. May import: tensor, backend, dtypes; `wengert`'s public names late. Must not know: any op by itself.
`_foreach_add_(tensors, ...)` is `Tensor.add_` for each of a list; PyTorch's one launch for all is a thing of its devices.
"""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from wengert import backend, dtypes
from wengert._tensor import Tensor


# ---- checks
def _check(cond: Any, message: Any = None) -> None:
    """Raise RuntimeError where a condition does not hold, with what message() returns."""
    _raise_unless(cond, message, RuntimeError)


def _check_index(cond: Any, message: Any = None) -> None:
    """Raise IndexError where a condition does not hold."""
    _raise_unless(cond, message, IndexError)


def _check_value(cond: Any, message: Any = None) -> None:
    """Raise ValueError where a condition does not hold."""
    _raise_unless(cond, message, ValueError)


def _check_type(cond: Any, message: Any = None) -> None:
    """Raise TypeError where a condition does not hold."""
    _raise_unless(cond, message, TypeError)


def _check_not_implemented(cond: Any, message: Any = None) -> None:
    """Raise NotImplementedError where a condition does not hold."""
    _raise_unless(cond, message, NotImplementedError)


def _check_is_size(i: Any, message: Any = None, *, max: Any = None) -> None:
    """Raise RuntimeError where a size is negative, or above max."""
    _check(i >= 0 and (max is None or i <= max), message)


def _check_tensor_all(cond: Any, message: Any = None) -> None:
    """Raise RuntimeError where a condition does not hold for all elements."""
    _check(bool(cond.all()), message)


def _raise_unless(cond: Any, message: Any, error: type[Exception]) -> None:
    if not cond:
        words = message() if callable(message) else message
        raise error(str(words) if words is not None else "Expected cond to be True, but got False.")


def _assert(condition: Any, message: str) -> None:
    """Assert, as the statement does."""
    assert condition, message


def _assert_async(input: Tensor, assert_msg: str = "Expected Tensor with single nonzero value, but got zero") -> None:
    """Raise RuntimeError where the one value is zero; at once, as there is nothing to wait for."""
    if not bool(input):
        raise RuntimeError(assert_msg)


def _shape_as_tensor(input: Tensor) -> Tensor:
    """Return the shape as a tensor of int64."""
    import wengert

    return wengert.tensor(list(input.shape), dtype=wengert.int64)  # type: ignore[no-any-return]


def _standard_gamma(concentration: Tensor) -> Tensor:
    """Draw from Gamma(concentration, 1), with the gradient of `distributions.Gamma`."""
    from wengert import distributions

    return distributions.Gamma(concentration, concentration.new_ones(())).rsample()  # type: ignore[no-any-return]


def _sample_dirichlet(concentration: Tensor) -> Tensor:
    """Draw from Dirichlet(concentration)."""
    from wengert import distributions

    return distributions.Dirichlet(concentration).rsample()  # type: ignore[no-any-return]


# ---- what modules of `torch.nn` share, and programs import from there
def _addindent(s_: str, numSpaces: int) -> str:
    """Return lines of which all but the first are indented."""
    return s_.replace("\n", "\n" + " " * numSpaces)


def _get_clones(module: Any, N: int) -> Any:
    """Return a ModuleList of copies of a module."""
    from wengert import nn

    return nn.ModuleList([copy.deepcopy(module) for _ in range(N)])


def _get_activation_fn(activation: str) -> Callable[..., Any]:
    """Return the function of that name. Raises RuntimeError for another than "relu" and "gelu"."""
    from wengert.nn import functional

    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return getattr(functional, activation)  # type: ignore[no-any-return]


# ---- lists of tensors
def _lists(args: tuple[Any, ...], count: int) -> list[tuple[Any, ...]]:
    """Return the arguments of each call: the elements of lists, and what is no list for all."""
    for x in args:
        if isinstance(x, list | tuple) and len(x) != count:
            raise RuntimeError(f"Tensor lists must have the same number of tensors, got {count} and {len(x)}")
        if isinstance(x, Tensor) and x.ndim:
            raise RuntimeError(f"scalar tensor expected to be 0 dim but it has {x.ndim} dimensions and {x.numel()} elements.")
    columns = [x if isinstance(x, list | tuple) else [x] * count for x in args]
    return list(zip(*columns, strict=True)) if columns else [()] * count


SCALARS = {"addcmul", "addcdiv"}  # these take the numbers of `value` as a list or a tensor after the two tensors
LIMITS = {"maximum": "clamp_min", "minimum": "clamp_max"}  # what they are called where the other is a number


def _foreach(name: str) -> Callable[..., Any]:
    writes = name.endswith("_")
    base = name.rstrip("_")

    def each(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        if base in SCALARS and len(args) == 3:
            *args, kwargs["value"] = args  # type: ignore[assignment]
        method = LIMITS[base] if base in LIMITS and args and not isinstance(args[0], Tensor) else base
        if writes and not hasattr(self, method + "_"):
            return self.copy_(getattr(self, method)(*args, **kwargs))
        return getattr(self, method + "_" * writes)(*args, **kwargs)

    def run(self: Sequence[Tensor], *args: Any, **kwargs: Any) -> Any:
        if not self:
            raise RuntimeError("Tensor list must have at least one tensor.")
        if base in SCALARS and len(args) == 3 and isinstance(args[2], Tensor):
            args = (*args[:2], args[2].tolist())
        done = [each(x, *more, **kwargs) for x, more in zip(self, _lists(args, len(self)), strict=True)]
        return None if writes else tuple(done)

    run.__name__ = f"_foreach_{name}"
    run.__doc__ = f"Call `Tensor.{name}` for each tensor of a list."
    return run


def _foreach_copy_(self: Sequence[Tensor], src: Sequence[Tensor], non_blocking: bool = False) -> None:
    """Copy each tensor of a list into that of another."""
    for x, y in zip(self, src, strict=True):
        x.copy_(y)


def _foreach_zero_(self: Sequence[Tensor]) -> None:
    """Set each tensor of a list to zero."""
    for x in self:
        x.zero_()


def _foreach_norm(self: Sequence[Tensor], ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """Return the norm of each tensor of a list."""
    import wengert

    return tuple(wengert.linalg.vector_norm(x, ord, dtype=dtype) for x in self)


def _foreach_pow(self: Any, exponent: Any) -> tuple[Tensor, ...]:
    """Raise each tensor of a list to a power, or one number to each of a list of tensors."""
    if isinstance(self, list | tuple):
        return tuple(x**y for (x, y) in zip(self, [row[0] for row in _lists((exponent,), len(self))], strict=True))
    return tuple(self**y for y in exponent)


def _foreach_lerp_(self: Sequence[Tensor], tensors1: Sequence[Tensor], weight: Any) -> None:
    """Move each tensor of a list toward that of another."""
    for x, (y, w) in zip(self, _lists((tensors1, weight), len(self)), strict=True):
        x.lerp_(y, w)


ONE_BY_ONE = (
    "abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min cos cosh div erf erfc exp expm1 floor frac lerp lgamma "
    "log log10 log1p log2 max maximum minimum mul neg reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan tanh trunc"
).split()


@functools.cache
def __getattr__(name: str) -> Any:
    base = name.removeprefix("_foreach_")
    if base != name and base.rstrip("_") in (*ONE_BY_ONE, "pow") and base in (base.rstrip("_"), base.rstrip("_") + "_"):
        return _foreach(base)
    raise AttributeError(f"module 'wengert.compat.private' has no attribute {name!r}")


# sizes are plain integers here, also in a captured function
sym_int, sym_float, sym_max, sym_min, sym_sum, sym_not = int, float, max, min, sum, operator.not_


def _segment_reduce(*args: Any, **kwargs: Any) -> Tensor:
    """Return what `segment_reduce` does, under the name that libraries for graphs call."""
    import wengert

    return wengert.segment_reduce(*args, **kwargs)  # type: ignore[no-any-return]


# ---- torch._utils
def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """Return the elements of several tensors in one of one dimension."""
    import wengert

    return wengert.cat([t.contiguous().view(-1) for t in tensors])  # type: ignore[no-any-return]


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the parts of a flat tensor in the shapes of several, as views."""
    parts, start = [], 0
    for t in tensors:
        parts.append(flat.narrow(0, start, t.numel()).view_as(t))
        start += t.numel()
    return tuple(parts)


def _group_tensors_by_device_and_dtype(tensorlistlist: Any, with_indices: bool = False) -> dict[Any, Any]:
    """Return lists of tensors apart by device and dtype of the first list's, each with the places that its tensors had."""
    groups: dict[Any, Any] = {}
    for i, row in enumerate(zip(*tensorlistlist, strict=True)):
        key = next((x.device, x.dtype) for x in row if x is not None)
        columns, places = groups.setdefault(key, ([[] for _ in tensorlistlist], []))
        for column, x in zip(columns, row, strict=True):
            column.append(x)
        places.append(i)
    return groups


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """Return device, dtype, non_blocking and memory_format as `to` understands its arguments; None for what is not given."""
    device, dtype, tensor = (kwargs.get(name) for name in ("device", "dtype", "tensor"))
    non_blocking = bool(kwargs.get("non_blocking", False))
    for value in (*args, tensor):
        if isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, dtypes.dtype):
            dtype = value
        elif isinstance(value, bool):
            non_blocking = value
        elif value is not None:
            device = value
    return None if device is None else backend.device(device), dtype, non_blocking, kwargs.get("memory_format")


def _element_size(dtype: Any) -> int:
    """Return the number of bytes of an element."""
    return int(dtype.itemsize)


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """Return the index of a device, or of the current one."""
    index = device if isinstance(device, int) else getattr(device, "index", None)
    return 0 if index is None else int(index)


def _get_available_device_type() -> None:
    """Return None: devices besides the host are asked for by name."""
