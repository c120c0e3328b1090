"""`wengert.masked.MaskedTensor`: a tensor some of whose elements do not count.

Owns: the class and its constructors; which functions work on it, as data. May import: wengert's public names. Must not know:
devices, how a function is overridden (`__torch_function__` is what any subclass may write).
"""

from __future__ import annotations

from typing import Any

import wengert
from wengert import Tensor
from wengert_ops import masked

# Functions of the elements, each by itself: of the data, under the same mask.
EACH = frozenset(
    "abs absolute acos arccos acosh arccosh angle asin arcsin asinh arcsinh atan arctan atanh arctanh bitwise_not ceil clamp "
    "clip conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 fix floor frac lgamma log log10 log1p log2 "
    "logit i0 isnan nan_to_num neg negative positive pow rad2deg reciprocal round rsqrt sigmoid sign sgn signbit sin sinc sinh "
    "sqrt square tan tanh trunc to clone detach contiguous float double half int long short bool ones_like zeros_like".split()
)
# Functions of two: under the mask that both have.
BOTH = frozenset(
    "add atan2 arctan2 bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift div divide true_divide "
    "floor_divide fmod logaddexp logaddexp2 mul multiply nextafter remainder sub subtract rsub eq ne le ge greater "
    "greater_equal gt less_equal lt less maximum minimum fmax fmin not_equal __floordiv__ __rfloordiv__ __rsub__ __rtruediv__ "
    "__rpow__ __eq__ __and__ __or__ __xor__ __rmod__".split()
)
REDUCTIONS = frozenset("sum mean amin amax argmin argmax prod var std all".split())
# Functions that move elements: of the data and of the mask.
MOVING = frozenset(
    "select transpose split t expand expand_as view cat unsqueeze unfold stack reshape flatten squeeze __getitem__ narrow "
    "chunk swapaxes".split()
)
# What is asked of the data alone.
PLAIN = frozenset(
    "size dim numel stride is_contiguous is_floating_point is_complex item __len__ element_size nelement ndimension __float__ "
    "__int__ __bool__ get_device register_hook retain_grad requires_grad_ data_ptr backward".split()
)


def _parts(x: Any) -> tuple[Any, Any]:
    """Return data and mask of an argument; of a list, those of its elements."""
    if isinstance(x, MaskedTensor):
        return x.get_data(), x.get_mask()
    if isinstance(x, tuple | list):
        pairs = [_parts(y) for y in x]
        return type(x)(p[0] for p in pairs), type(x)(p[1] for p in pairs)
    return x, x


class MaskedTensor(Tensor):
    """A tensor and a mask of the same shape, True where an element counts; the others are none, and print as `--`.

    Operations on each element keep the mask, those of two need equal masks, and reductions leave out what does not count.
    Raises TypeError for an operation that is none of these.
    """

    _mask: Tensor

    def __new__(cls, data: Any, mask: Any, requires_grad: bool = False) -> Any:
        _check(data, mask)
        made = Tensor._make_subclass(cls, data.detach().clone(), requires_grad)
        made._mask = mask
        return made

    def __init__(self, data: Any, mask: Any, requires_grad: bool = False) -> None:
        """See the class."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__", "__delete__"):
            return _attribute(func, name, args)
        if func in _ROUND:
            own = {"mask": args[0].get_mask()} if isinstance(args[0], cls) and name != "logaddexp" else {}
            return func(*[_parts(a)[0] for a in args], **(own | {k: _parts(v)[0] for k, v in kwargs.items()}))
        if name == "__repr__" or name == "__str__":
            return _text(args[0])
        if name in PLAIN:
            with wengert._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if name in MOVING:
            return _moved(func, args, kwargs)
        if name in REDUCTIONS:
            return _reduced(name, *args, **kwargs)
        if name == "where":
            return _where(*args, **kwargs)
        if name in ("softmax", "log_softmax", "softmin") and isinstance(args[0], cls):
            x = args[0]
            return _made(getattr(masked, name)(x.get_data(), *args[1:], mask=x.get_mask(), **kwargs), x.get_mask())
        inner = name[:-1] if name.endswith("_") and not name.endswith("__") and name[:-1] in EACH | BOTH else name
        if inner in EACH or inner in BOTH:
            return _each(func, name, args, kwargs)
        if name == "tolist" or name == "numpy":
            raise RuntimeError(f".{name}() is not supported for MaskedTensor; to_tensor(value) gives a plain tensor")
        return NotImplemented

    def get_data(self) -> Tensor:
        """Return all elements, also those that do not count, as a plain tensor with the same history."""
        with wengert._C.DisableTorchFunctionSubclass():
            plain: Tensor = self.as_subclass(Tensor)
            return plain

    def get_mask(self) -> Tensor:
        """Return the mask."""
        return self._mask

    def to_tensor(self, value: Any) -> Tensor:
        """Return a plain tensor with a value in the place of what does not count."""
        filled: Tensor = wengert.where(self._mask, self.get_data(), wengert.full((), value, dtype=self.dtype))
        return filled

    def is_sparse_coo(self) -> bool:
        """Say that it is not."""
        return False

    is_sparse_csr = is_sparse_coo  # type: ignore[assignment]


_ROUND = frozenset(f for f in vars(masked).values() if callable(f) and getattr(f, "__module__", "") == masked.__name__)


def _check(data: Any, mask: Any) -> None:
    if type(data) is not Tensor and not isinstance(data, wengert.nn.Parameter):
        raise TypeError("data must be a Tensor")
    if type(mask) is not Tensor:
        raise TypeError("mask must be a Tensor")
    if mask.dtype is not wengert.bool:
        raise TypeError("mask must have dtype bool.")
    if data.dim() != mask.dim():
        raise ValueError("data.dim() must equal mask.dim()")
    if data.size() != mask.size():
        raise ValueError("data.size() must equal mask.size()")


def _made(data: Any, mask: Any, cls: Any = None) -> Any:
    with wengert._C.DisableTorchFunctionSubclass():
        made = data.as_subclass(cls or MaskedTensor)
        made._mask = mask
        return made


def _attribute(func: Any, name: str, args: Any) -> Any:
    with wengert._C.DisableTorchFunctionSubclass():
        found = func(*args)
    if name != "__get__" or not isinstance(found, Tensor):
        return found
    mask = args[0].get_mask()
    if tuple(found.shape) != tuple(mask.shape):  # x.T and its kin
        raise TypeError(f"no implementation found on MaskedTensor for {wengert.overrides.resolve_name(func)}")
    return _made(found, mask)


def _moved(func: Any, args: Any, kwargs: Any) -> Any:
    pairs = [_parts(a) for a in args]
    data, mask = func(*[p[0] for p in pairs], **kwargs), func(*[p[1] for p in pairs], **kwargs)
    if isinstance(data, tuple | list):
        return type(data)(_made(d, m) for d, m in zip(data, mask, strict=True))
    return _made(data, mask)


def _reduced(name: str, x: Any, dim: Any = None, *rest: Any, **kwargs: Any) -> Any:
    keepdim = bool(kwargs.get("keepdim", False))
    data, mask = x.get_data(), x.get_mask()
    if name == "all":
        filled = data | ~mask if data.dtype is wengert.bool else wengert.where(mask, data != 0, True)
        made = filled.all() if dim is None else filled.all(dim, keepdim)
    else:
        made = getattr(masked, name)(data, dim, *rest, mask=mask, **kwargs)
    return _made(made, mask.any() if dim is None else _any(mask, dim, keepdim))


def _any(mask: Tensor, dim: Any, keepdim: bool) -> Any:
    dims = sorted(d % max(mask.dim(), 1) for d in (dim if isinstance(dim, tuple | list) else (dim,)))
    for d in reversed(dims):
        mask = mask.any(d, keepdim)
    return mask


def _where(condition: Any, x: Any, y: Any) -> Any:
    if not isinstance(x, MaskedTensor) or not isinstance(y, MaskedTensor):
        raise TypeError("__torch_function__, where: expected two MaskedTensors to choose from")
    chosen = _parts(condition)[0]
    return _made(wengert.where(chosen, x.get_data(), y.get_data()), wengert.where(chosen, x.get_mask(), y.get_mask()))


def _each(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    owners = [a for a in (*args, *kwargs.values()) if isinstance(a, MaskedTensor)]
    mask = owners[0].get_mask()
    for other in owners[1:]:
        if not wengert.equal(mask, other.get_mask()):
            raise ValueError("Input masks must match. If you need support for this, please open an issue on Github.")
    data = func(*[_parts(a)[0] for a in args], **{k: _parts(v)[0] for k, v in kwargs.items()})
    if name.endswith("_") and not name.endswith("__"):
        return args[0]
    if tuple(data.shape) != tuple(mask.shape):
        mask = mask.expand(tuple(data.shape))
    return _made(data, mask)


def _text(x: Any) -> str:
    data, mask = x.get_data().detach(), x.get_mask()
    if not data.dim():
        shown = f"{data.item():8.4f}" if data.dtype.is_floating_point else f"{data.item()!r}"
        return f"MaskedTensor({shown if mask.item() else '--'}, {mask.item()})"
    text = _rows(data, mask)
    return "MaskedTensor(\n" + "\n".join(f"  {line}" for line in text.split("\n")) + "\n)"


def _rows(data: Tensor, mask: Tensor) -> str:
    if data.dim() == 1:
        values = [f"{v:8.4f}" if isinstance(v, float) else str(v) for v in data.tolist()]
        return f"[{', '.join(v if kept else '      --' for v, kept in zip(values, mask.tolist(), strict=True))}]"
    inner = [_rows(d, m) for d, m in zip(data, mask, strict=True)]
    return "[\n" + ",\n".join("  " + text.replace("\n", "\n  ") for text in inner) + "\n]"


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> Any:
    """Return a MaskedTensor of a copy of data. Raises TypeError for other than tensors, ValueError for shapes that differ."""
    return MaskedTensor(data, mask, requires_grad)


def as_masked_tensor(data: Any, mask: Any) -> Any:
    """Return a MaskedTensor of data itself, whose gradient flows back to it."""
    _check(data, mask)
    return _made(data, mask)


def is_masked_tensor(obj: Any) -> bool:
    """Say whether something is a MaskedTensor."""
    return isinstance(obj, MaskedTensor)
