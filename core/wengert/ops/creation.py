"""Making tensors: from data, of one value, of a range.

Owns: `tensor`, `as_tensor`, `from_numpy`, `zeros` and its kin, the legacy constructors. May import: backend, dtypes,
tensor. Must not know: how a device holds data; values are made on the host and handed over, or filled in place there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors
from wengert._tensor import INFERENCE, Size, Tensor, wrap
from wengert.faces import face
from wengert.modes import state
from wengert.ops import shapes as s
from wengert.ops.dims import shape_of


def made(host: np.ndarray[Any, Any], device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a fresh host array as a tensor on a device. The array must be nobody else's."""
    place = backend.resolve(device)
    array = host if place.type == backend.HOST else place.backend.from_host(host, place.index or 0)
    if state.recorder is not None:
        array = state.recorder.literal(array)
    result = wrap(array)
    if state.inference:
        result._box = INFERENCE
    if requires_grad:
        result.requires_grad_()
    return result


def given(name: str, result: Tensor, out: Any) -> Tensor:
    """Return a result, in the tensor given as `out=` where there is one."""
    if out is None:
        return result
    from wengert.inplace import write_out

    return write_out(name, result, out)  # type: ignore[no-any-return]


# ---- from data
@face("tensor", method=False)
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """Return a new tensor with a copy of data: numbers, nested sequences, arrays.

    Python floats become the default float dtype, ints int64; arrays keep their type.
    Raises ValueError for ragged sequences, TypeError for other data.
    """
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        device = data.device if device is None else device
        data = data.host() if state.recorder is None else data._array
    host = to_host_array(data, dtype)
    if requires_grad and dtypes.category(host.dtype) < dtypes.FLOATING:
        raise errors.integer_grad(host.dtype)
    return made(host.copy() if host is data or host.base is not None else host, device, requires_grad)


def to_host_array(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Return data as a host array of the given dtype, or of the one PyTorch would infer."""
    wanted = None if dtype is None else dtypes.to_numpy(dtype)
    if isinstance(data, np.ndarray):
        dtypes.of(data.dtype)
        return np.array(data, wanted or data.dtype.newbyteorder("="))
    if isinstance(data, np.generic):
        return np.asarray(data, wanted)
    plain = _plain(data)
    try:
        host = np.asarray(plain)
    except ValueError:
        raise ValueError(f"expected sequence of equal length at every depth, got {_shorten(data)}") from None
    if host.dtype.kind == "O":
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}: cannot make a tensor of {_shorten(data)}")
    if host.dtype.kind not in "biufc":
        raise TypeError(f"new(): invalid data type {type(data).__name__!r}: cannot make a tensor of {_shorten(data)}")
    if wanted is None:
        kinds = {"f": dtypes.default_float(), "c": dtypes._to_complex(dtypes.default_float()), "i": dtypes.I64, "u": dtypes.I64}
        wanted = host.dtype if isinstance(plain, np.ndarray) or _typed(plain) else kinds.get(host.dtype.kind, dtypes.B8)
        if host.size == 0 and not isinstance(plain, np.ndarray):
            wanted = dtypes.default_float()
    with np.errstate(all="ignore"):
        return host.astype(wanted)


def _plain(data: Any) -> Any:
    """Return data with the tensors inside it as host arrays or numbers."""
    if isinstance(data, Tensor):
        return data.item() if not data._array.ndim else data.detach().host()
    if isinstance(data, list | tuple):
        return [_plain(v) for v in data]
    if isinstance(data, range):
        return list(data)
    if hasattr(data, "__array__") and not isinstance(data, np.generic):
        return np.asarray(data)
    return data


def _typed(data: Any) -> bool:
    """Say whether nested data is made of NumPy values, which keep their type."""
    while isinstance(data, list) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)


def _shorten(data: Any) -> str:
    text = repr(data)
    return text if len(text) < 60 else text[:57] + "..."


@face("as_tensor", "asarray", method=False)
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Return data as a tensor, sharing memory with a tensor or host array where nothing must change."""
    if isinstance(data, Tensor):
        same: Tensor = data.to(dtype=dtype, device=device)
        return same
    if isinstance(data, np.ndarray) and backend.resolve(device).type == backend.HOST and state.recorder is None:
        if dtype is None or dtypes.to_numpy(dtype) == data.dtype:
            return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


@face("from_numpy", method=False)
def from_numpy(ndarray: Any) -> Tensor:
    """Return a host tensor that shares memory with a NumPy array. Raises TypeError for anything else."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtypes.of(ndarray.dtype)
    if not ndarray.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion is not supported.")
    if ndarray.ndim and any(n < 0 for n in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
            "supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    return wrap(ndarray.view(np.ndarray))


def legacy(dtype: np.dtype[Any], args: tuple[Any, ...], device: Any = None) -> Tensor:
    """Return what `FloatTensor(...)` makes: of data, or uninitialised of the sizes given."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        converted: Tensor = args[0].detach().to(dtype=dtypes.of(dtype), device=device)
        return converted
    if len(args) == 1 and not isinstance(args[0], int) and not isinstance(args[0], Size):
        return tensor(args[0], dtype=dtype, device=device)
    shape = shape_of(args, "Tensor") if args else (0,)
    return made(np.zeros(shape, dtype), device)


class TypedTensor:
    """A legacy type such as `FloatTensor` or `cuda.FloatTensor`: a constructor, and a name for `x.type(...)`."""

    def __init__(self, name: str, dtype: dtypes.dtype, device: str | None = None) -> None:
        self.__name__ = self.name = name
        self.dtype, self._device = dtype, device

    @property
    def device(self) -> Any:
        if self._device == "cuda":
            from wengert import cuda

            return cuda.accelerator()
        return self._device

    def __call__(self, *args: Any) -> Tensor:
        return legacy(self.dtype.numpy, args, self.device)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype is self.dtype

    def __repr__(self) -> str:
        return f"<class 'torch.{'cuda.' if self._device == 'cuda' else ''}{self.name}'>"


LEGACY = {
    "Float": "float32", "Double": "float64", "Half": "float16", "Byte": "uint8", "Char": "int8", "Short": "int16",
    "Int": "int32", "Long": "int64", "Bool": "bool",
}  # fmt: skip


def typed_tensors(device: str | None = None) -> dict[str, TypedTensor]:
    return {f"{n}Tensor": TypedTensor(f"{n}Tensor", dtypes.ALL[d], device) for n, d in LEGACY.items()}


@face("type", function=False)
def type_(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Return the name of the tensor's legacy type, or with an argument the tensor converted to it."""
    if dtype is None:
        short = {v: k for k, v in LEGACY.items()}.get(self.dtype.name, self.dtype.name)
        return f"torch.{'cuda.' if self.is_cuda else ''}{short}Tensor"
    if isinstance(dtype, TypedTensor):
        return self.to(dtype=dtype.dtype, device=dtype.device)
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.").removeprefix("cuda.").removesuffix("Tensor")
        if name not in LEGACY:
            raise ValueError(f"invalid type: {dtype!r}{errors.nearest(name, LEGACY)}")
        return self.to(dtype=dtypes.ALL[LEGACY[name]], device="cuda" if ".cuda." in dtype else None)
    if dtype is Tensor:
        return self.to(dtype=dtypes.get_default_dtype())
    return self.to(dtype=dtype)


@face("type_as", function=False)
def type_as(self: Any, other: Any) -> Any:
    """Return self in the dtype and on the device of other."""
    return self.to(dtype=other.dtype, device=other.device)


def _converter(name: str) -> Any:
    def convert(self: Any, memory_format: Any = None) -> Any:
        return self.to(dtype=dtypes.by_name(name))

    convert.__name__ = name
    convert.__doc__ = f"Return self converted to {dtypes.by_name(name)}."
    return convert


for _name in ("float", "double", "half", "long", "int", "short", "bool", "cfloat", "cdouble"):
    face(_name, function=False)(_converter(_name))
for _name, _dtype in (("byte", "uint8"), ("char", "int8")):
    face(_name, function=False)(_converter(_dtype))


@face("cpu", function=False)
def cpu(self: Any) -> Any:
    """Return self on the host."""
    return self.to(device=backend.HOST)


@face("cuda", function=False)
def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
    """Return self on the CUDA device; without one, on this machine's best device, with a warning once."""
    from wengert import cuda as namespace

    return self.to(device=namespace.accelerator() if device is None else device)


# ---- of one value
def filled(shape: Sequence[int], value: Any, dtype: np.dtype[Any], device: Any, requires_grad: bool) -> Tensor:
    if requires_grad and dtypes.category(dtype) < dtypes.FLOATING:
        raise errors.integer_grad(dtype)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    host = np.zeros(shape, dtype) if value == 0 else np.full(shape, value, dtype)
    return made(host, device, requires_grad)


def _sizes(size: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[int, ...]:
    return shape_of((keywords.pop("size"),) if "size" in keywords and not size else size, "size")


def _maker(name: str, value: int) -> Any:
    def make(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None,
             layout: Any = None, pin_memory: bool = False, memory_format: Any = None, **keywords: Any) -> Any:  # fmt: skip
        shape = _sizes(size, keywords)
        if keywords:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(keywords))!r}")
        wanted = dtypes.default_float() if dtype is None else dtypes.to_numpy(dtype)
        return given(name, filled(shape, value, wanted, device, requires_grad), out)

    def like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
             memory_format: Any = None, pin_memory: bool = False) -> Any:  # fmt: skip
        return _like(input, tuple(input.shape), value, dtype, device, requires_grad)

    def new(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **keywords: Any) -> Any:
        return _like(self, _sizes(size, keywords), value, dtype, device, requires_grad)

    content = {"zeros": "zeros", "ones": "ones", "empty": "zeros (memory is never handed out uninitialised)"}[name]
    make.__doc__ = f"Return a tensor of the given size filled with {content}."
    like.__doc__ = f"Return a tensor like input filled with {content}."
    new.__doc__ = f"Return a tensor of the given size and this one's dtype and device, filled with {content}."
    for f, title in ((make, name), (like, f"{name}_like"), (new, f"new_{name}")):
        f.__name__ = title
    face(name, method=False)(make)
    face(f"{name}_like", method=False)(like)
    face(f"new_{name}", function=False)(new)
    return make, like


def _like(x: Any, shape: tuple[int, ...], value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    wanted = None if dtype is None else dtypes.to_numpy(dtype)
    if not isinstance(value, Tensor):
        dtypes.of_number(value)  # refuses what is none
    result: Tensor = s.filled(x.detach(), shape, value, wanted)
    if device is not None:
        result = result.to(device=device)
    return result.requires_grad_() if requires_grad else result


zeros, zeros_like = _maker("zeros", 0)
ones, ones_like = _maker("ones", 1)
empty, empty_like = _maker("empty", 0)


@face("full", method=False)
def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None,
         layout: Any = None) -> Tensor:  # fmt: skip
    """Return a tensor of the given size filled with one value, whose kind gives the dtype."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    wanted = dtypes.of_number(value) if dtype is None else dtypes.to_numpy(dtype)
    return given("full", filled(shape_of((size,), "full"), value, wanted, device, requires_grad), out)


@face("full_like", method=False)
def full_like(input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
              memory_format: Any = None) -> Tensor:  # fmt: skip
    """Return a tensor like input filled with one value."""
    return _like(input, tuple(input.shape), fill_value, dtype, device, requires_grad)


@face("new_full", function=False)
def new_full(
    self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Return a tensor of the given size and this one's dtype and device, filled with one value."""
    return _like(self, shape_of((size,), "new_full"), fill_value, dtype, device, requires_grad)


@face("new_tensor", function=False)
def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return a copy of data with this tensor's dtype and device."""
    chosen = self.device if device is None else device
    return tensor(data, dtype=self.dtype if dtype is None else dtype, device=chosen, requires_grad=requires_grad)


@face("scalar_tensor", method=False)
def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Return a 0-d tensor of a number, in the default float dtype unless said otherwise."""
    return tensor(value, dtype=dtypes.default_float() if dtype is None else dtype, device=device)


# ---- of a range
@face("arange", method=False)
def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
           out: Any = None, layout: Any = None) -> Tensor:  # fmt: skip
    """Return start, start + step, ... below end (from 0 when one number is given): ceil((end - start) / step) values.

    Raises RuntimeError for step 0, and where the sign of step leads away from end.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    kinds = [dtypes.of_number(v) for v in (start, end, step)]
    inferred = dtypes.default_float() if any(dtypes.category(k) == dtypes.FLOATING for k in kinds) else dtypes.I64
    wanted = inferred if dtype is None else dtypes.to_numpy(dtype)
    count = math.ceil((end - start) / step)
    return given("arange", made((start + np.arange(count) * step).astype(wanted), device, requires_grad), out)


@face("linspace", method=False)
def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
             out: Any = None) -> Tensor:  # fmt: skip
    """Return `steps` values spaced evenly from start to end, both included."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    wanted = dtypes.default_float() if dtype is None else dtypes.to_numpy(dtype)
    return given("linspace", made(np.linspace(start, end, steps).astype(wanted), device, requires_grad), out)


@face("logspace", method=False)
def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Return `steps` powers of base with exponents spaced evenly from start to end."""
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    wanted = dtypes.default_float() if dtype is None else dtypes.to_numpy(dtype)
    return made(np.logspace(start, end, steps, base=base).astype(wanted), device, requires_grad)


@face("eye", method=False)
def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return an n x m matrix with ones on the diagonal."""
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"eye(): the sizes must be greater or equal to 0, got {n} and {m}")
    wanted = dtypes.default_float() if dtype is None else dtypes.to_numpy(dtype)
    return made(np.eye(n, m, dtype=wanted), device, requires_grad)


@face("is_tensor", method=False)
def is_tensor(obj: Any) -> bool:
    """Say whether obj is a Tensor."""
    return isinstance(obj, Tensor)


@face("is_floating_point", method=False)
def is_floating_point(input: Any) -> bool:
    """Say whether the elements of input are floats."""
    return bool(input.is_floating_point())


@face("result_type", method=False)
def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """Return the dtype that arithmetic between two tensors or numbers gives."""
    both = (tensor1, tensor2)
    arrays = [x._array for x in both if isinstance(x, Tensor)]
    return dtypes.of(dtypes.result_of(arrays, [x for x in both if not isinstance(x, Tensor)]))
