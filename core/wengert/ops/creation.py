"""Making tensors: from data, of one value, of a range.

Owns: `tensor`, `as_tensor`, `from_numpy`, `zeros` and its kin, the legacy constructors. May import: backend, dtypes,
tensor. Must not know: how a device holds data; values are made on the host and handed over, or filled in place there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from wengert import backend, dtypes, errors, faces
from wengert._tensor import DENSE, INFERENCE, Size, Tensor, wrap
from wengert.faces import face
from wengert.modes import state
from wengert.narrow import hosted
from wengert.ops import shapes as s
from wengert.ops.dims import index_of, shape_of
from wengert.registry import registry


def made(host: np.ndarray[Any, Any], device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a fresh host array as a tensor on a device. The array must be nobody else's."""
    host = hosted(host)
    place = backend.resolve(device)
    return wrapped(host if place.type == backend.HOST else place.backend.from_host(host, place.ordinal), requires_grad)


def wrapped(array: Any, requires_grad: bool) -> Tensor:
    """Return a fresh raw array as a tensor."""
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


def chosen(name: str, dtype: Any, out: Any, inferred: np.dtype[Any] | None = None) -> np.dtype[Any]:
    """Return the type to make: the one given, else that of `out=`, else the inferred one, else the default float.

    Raises RuntimeError where dtype and `out=` contradict each other.
    """
    if dtype is None:
        if out is not None:
            return out._array.dtype  # type: ignore[no-any-return]
        return dtypes.default_float() if inferred is None else inferred
    wanted = dtypes.to_numpy(dtype)
    if out is not None and out._array.dtype != wanted:
        raise RuntimeError(f"{name}(): dtype {dtypes.of(wanted)} does not match dtype of out parameter ({out.dtype})")
    return wanted


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
    elif type(data) not in _OF_PYTHON and of_cuda(data):
        copied: Tensor = as_tensor(data, dtype, device).clone()
        return copied.requires_grad_() if requires_grad else copied
    host = to_host_array(data, dtype)
    if requires_grad and dtypes.category(host.dtype) < dtypes.FLOATING:
        raise errors.integer_grad(host.dtype)
    return made(host.copy() if host is data or host.base is not None else host, device, requires_grad)


_DLPACK_CUDA = 2
_OF_PYTHON = frozenset({bool, int, float, complex, list, tuple, np.ndarray})


def to_host_array(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Return data as a host array of the given dtype, or of the one PyTorch would infer."""
    wanted = None if dtype is None else dtypes.to_numpy(dtype)
    if isinstance(data, np.ndarray):
        native = dtypes.native(data.dtype)
        return np.array(data, wanted or native)
    if isinstance(data, np.generic):
        return np.asarray(data, wanted)
    kinds: set[Any] = set()
    plain = _plain(data, kinds)
    try:
        host = np.asarray(plain)
    except ValueError:
        raise ValueError(f"expected sequence of equal length at every depth, got {_shorten(data)}") from None
    if host.dtype.kind == "O" and kinds <= {int, float, bool}:  # integers of more than 64 bits: as floats, or as bools
        if (wanted is None and float not in kinds) or (wanted is not None and dtypes.category(wanted) == dtypes.INTEGRAL):
            raise RuntimeError(f"Overflow when unpacking long long: {_shorten(data)} does not fit int64")
        host = np.asarray(plain, np.float64)
    if host.dtype.kind == "O":
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}: cannot make a tensor of {_shorten(data)}")
    if host.dtype.kind not in "biufc" and host.dtype is not dtypes.BF16:
        raise TypeError(f"new(): invalid data type {type(data).__name__!r}: cannot make a tensor of {_shorten(data)}")
    if wanted == dtypes.U64 and host.dtype.kind == "f" and all(type(v) is int for v in np.asarray(plain, object).flat):
        host = np.asarray(plain, wanted)  # NumPy alone would take large and small integers together for floats
    if wanted is None:
        found = [_kind_of(k, host) for k in kinds - {float}] + [dtypes.default_float()] * (float in kinds or not kinds)
        wanted = functools.reduce(dtypes.promote, found)
    _check_range(host, wanted)
    with np.errstate(all="ignore"):
        return host.astype(wanted)


def _check_range(host: np.ndarray[Any, Any], wanted: np.dtype[Any]) -> None:
    """Raise where a value of nested data does not fit an integer type, or is complex for a real one."""
    kind = dtypes.category(wanted)
    if host.dtype.kind == "c" and kind < dtypes.COMPLEX:
        raise TypeError(f"must be real number, not complex: cannot make a tensor of {dtypes.of(wanted)}")
    if kind != dtypes.INTEGRAL or not host.size or host.dtype == wanted:
        return
    low, high = host.min().item(), host.max().item()
    if host.dtype.kind == "u" and wanted == dtypes.I64 and high > np.iinfo(wanted).max:
        raise ValueError(f"Overflow when unpacking long long: {high} does not fit int64")
    for value in (low, high):  # nan is both
        dtypes.fitting(value, wanted)


def _plain(data: Any, kinds: set[Any]) -> Any:
    """Return data with the tensors inside it as host arrays, or numbers where they have one element; note what was found:
    the types of Python's values, the dtypes of others."""
    kind = type(data)
    if kind is int or kind is float:
        kinds.add(kind)
        return data
    if isinstance(data, list | tuple):
        if (found := {*map(type, data)}) <= {int, float}:
            kinds |= found
            return data
        return [_plain(v, kinds) for v in data]
    if isinstance(data, Tensor):
        kinds.add(data._array.dtype)
        return data.item() if data.numel() == 1 else data.detach().host()
    if isinstance(data, range):
        kinds.add(int)
        return list(data)
    if isinstance(data, np.generic):
        kinds.add(data.dtype)
    elif hasattr(data, "__array__"):
        data = np.asarray(data)
        kinds.add(dtypes.native(data.dtype))
    elif hasattr(data, "__dlpack__"):
        from wengert.utils.dlpack import from_dlpack

        data = from_dlpack(data).host()
        kinds.add(data.dtype)
    else:
        kinds.add(kind)
    return data


def _kind_of(found: Any, host: np.ndarray[Any, Any]) -> np.dtype[Any]:
    """Return the dtype that a type of Python's, or a dtype, asks for."""
    if isinstance(found, np.dtype):
        return found
    is_number = issubclass(found, bool | int | float | complex)
    return dtypes.of_number(found() if is_number else host.dtype.type())


def _shorten(data: Any) -> str:
    text = repr(data)
    return text if len(text) < 60 else text[:57] + "..."


def of_cuda(data: Any) -> bool:
    """Say whether another library's array lies on a CUDA device that works here."""
    if hasattr(data, "__cuda_array_interface__"):
        return True
    if not hasattr(data, "__dlpack_device__") or int(data.__dlpack_device__()[0]) != _DLPACK_CUDA:
        return False
    return any(info.available for info in backend.infos("cuda"))


@face("as_tensor", method=False)
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Return data as a tensor, sharing memory with a tensor or host array where nothing must change. A tensor stays on its
    device, unless another one, or a default device other than the host, is asked for."""
    if isinstance(data, Tensor):
        same: Tensor = data.to(dtype=dtype, device=backend.chosen_device() if device is None else device)
        return same
    if isinstance(data, np.ndarray) and backend.resolve(device).type == backend.HOST and state.recorder is None:
        if dtype is None or dtypes.to_numpy(dtype) == data.dtype:
            return from_numpy(data)
    elif of_cuda(data):
        adopted = wrap(backend.backend_named("cuda").adopt(data))
        return adopted if dtype is None and device is None else adopted.to(dtype=dtype, device=device)
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
    backend.backend_named(backend.HOST)  # the first tensor brings the built-in plugins, and with them methods
    return wrap(hosted(ndarray.view(np.ndarray)))


def is_size(x: Any) -> bool:
    """Say whether a legacy constructor takes an argument for a size: an integer, also one of NumPy's, or its array of one."""
    if isinstance(x, np.ndarray):
        return x.ndim == 0 and x.dtype.kind in "iu"
    return isinstance(x, int | np.integer) and not isinstance(x, bool)


def legacy(dtype: np.dtype[Any], args: tuple[Any, ...], device: Any = None) -> Tensor:
    """Return what `FloatTensor(...)` makes: of data, or uninitialised of the sizes given."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        converted: Tensor = args[0].detach().to(dtype=dtypes.of(dtype), device=device)
        return converted
    if len(args) == 1 and not isinstance(args[0], Size) and not is_size(args[0]):
        if not hasattr(args[0], "__len__"):
            raise TypeError(f"new(): data must be a sequence (got {type(args[0]).__name__})")
        make = faces.plain.get(tensor, tensor)  # a class is no function that modes are asked about
        return make(args[0], dtype=dtype, device=device)
    shape = shape_of(args, "Tensor") if args else (0,)
    if shape and min(shape) < 0:
        raise errors.negative_size(shape)
    return made(np.zeros(shape, dtype), device)


@face("new", function=False)
def new(self: Tensor, *args: Any, device: Any = None, size: Any = None) -> Tensor:
    """Return a tensor of this dtype and device: of the given sizes (values not set), or with the given data."""
    return legacy(self.dtype.numpy, args if size is None else (Size(size),), self.device if device is None else device)


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

    def __call__(self, *args: Any, device: Any = None) -> Tensor:
        return legacy(self.dtype.numpy, args, self.device if device is None else device)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype is self.dtype

    def __or__(self, other: Any) -> Any:
        """Return the type of an annotation `FloatTensor | None`."""
        return Union.__getitem__((self, other))

    def __ror__(self, other: Any) -> Any:
        """Return the type of an annotation `None | FloatTensor`."""
        return self | other

    def __repr__(self) -> str:
        return f"<class 'torch.{'cuda.' if self._device == 'cuda' else ''}{self.name}'>"


LEGACY = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Byte": "uint8", "Char": "int8",
    "Short": "int16", "Int": "int32", "Long": "int64", "Bool": "bool",
}  # fmt: skip
TYPE_NAMES = {name: short for short, name in LEGACY.items()} | {"complex64": "ComplexFloat", "complex128": "ComplexDouble"}


def typed_tensors(device: str | None = None) -> dict[str, TypedTensor]:
    return {f"{n}Tensor": TypedTensor(f"{n}Tensor", dtypes.ALL[d], device) for n, d in LEGACY.items()}


def legacy_name(name: str) -> tuple[dtypes.dtype, str | None]:
    """Return what "torch.cuda.FloatTensor" says: a dtype, and "cuda" or None. Raises ValueError for an unknown name."""
    short = name.removeprefix("torch.").removeprefix("cuda.").removesuffix("Tensor")
    if short not in LEGACY:
        raise ValueError(f"invalid type: {name!r}{errors.nearest(short, LEGACY)}")
    return dtypes.ALL[LEGACY[short]], "cuda" if ".cuda." in name else None


@face("type", function=False)
def type_(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Return the name of the tensor's legacy type, or with an argument the tensor converted to it."""
    if dtype is None:
        short = TYPE_NAMES.get(self.dtype.name, self.dtype.name)
        return f"torch.{'cuda.' if self.is_cuda else ''}{'sparse.' if self.is_sparse else ''}{short}Tensor"
    if isinstance(dtype, TypedTensor):
        return self.to(dtype=dtype.dtype, device=dtype.device)
    if isinstance(dtype, str):
        wanted, place = legacy_name(dtype)
        return self.to(dtype=wanted, device=place)
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
    if shape and min(shape) < 0:
        raise errors.negative_size(shape)
    if value not in (0, 1):
        value = dtypes.fitting(value, dtype)
    try:
        place = backend.resolve(device)
        if place.type != backend.HOST and hasattr(place.backend, "filled"):  # without the host's memory
            one = hosted(np.full((), value, dtype))
            return wrapped(place.backend.filled(tuple(shape), one, place.ordinal), requires_grad)
        plain = value == 0 and (type(value) is int or "-" not in str(value))  # no bit set, unlike -0.0
        host = np.zeros(shape, dtype) if plain else np.full(shape, value, dtype)
        return made(host, place, requires_grad)
    except MemoryError as error:
        raise errors.out_of_memory(f"{dtypes.of(dtype)}{list(shape)}", error) from None


def _sizes(size: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[int, ...]:
    return shape_of((keywords.pop("size"),) if "size" in keywords and not size else size, "size")


def in_layout(layout: str, shape: tuple[int, ...], value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """Return zeros of a layout. Raises RuntimeError for other values: what is sparse holds none that are equal but zeros."""
    if value != 0:
        raise RuntimeError("full(...) is not implemented for sparse layout")
    if layout == DENSE:
        return filled(shape, 0, chosen("zeros", dtype, None), device, requires_grad)
    empty = registry.resolve("ops", "sparse_coo_tensor")(shape, dtype=dtype, device=device)
    made: Tensor = empty.to_sparse(layout=layout)
    return made.requires_grad_() if requires_grad else made


def _maker(name: str, value: int) -> Any:
    def make(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None,
             layout: Any = None, pin_memory: bool = False, memory_format: Any = None, **keywords: Any) -> Any:  # fmt: skip
        if not size and "size" not in keywords:
            raise TypeError(f"{name}() missing 1 required positional arguments: 'size'")
        shape = _sizes(size, keywords)
        if keywords:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(keywords))!r}")
        if layout not in (None, DENSE):
            return in_layout(layout, shape, value, dtype, device, requires_grad)
        return given(name, filled(shape, value, chosen(name, dtype, out), device, requires_grad), out)

    def like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
             memory_format: Any = None, pin_memory: bool = False) -> Any:  # fmt: skip
        if layout not in (None, input.layout):
            return in_layout(layout, tuple(input.shape), value, dtype or input.dtype, device or input.device, requires_grad)
        return _like(input, tuple(input.shape), value, dtype, device, requires_grad)

    def new(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
            pin_memory: bool = False, **keywords: Any) -> Any:  # fmt: skip
        shape = _sizes(size, keywords)
        if keywords:
            raise TypeError(f"new_{name}() got an unexpected keyword argument {next(iter(keywords))!r}")
        return _like(self, shape, value, dtype, device, requires_grad)

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
    value = value.item() if isinstance(value, Tensor) else value
    dtypes.of_number(value)  # refuses what is none
    value = dtypes.fitting(value, x._array.dtype if wanted is None else wanted)
    if device is not None and backend.resolve(device) != x.device:
        return filled(shape, value, x._array.dtype if wanted is None else wanted, device, requires_grad)
    result: Tensor = s.filled(x.detach(), shape, value, wanted)
    return result.requires_grad_() if requires_grad else result


zeros, zeros_like = _maker("zeros", 0)
ones, ones_like = _maker("ones", 1)
empty, empty_like = _maker("empty", 0)


@face("full", method=False)
def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None,
         layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return a tensor of the given size filled with one value, whose kind gives the dtype."""
    if isinstance(size, int):
        raise TypeError("full(): argument 'size' (position 1) must be tuple of ints, not int")
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    wanted = chosen("full", dtype, out, dtypes.of_number(value))
    return given("full", filled(shape_of((size,), "full"), value, wanted, device, requires_grad), out)


@face("full_like", method=False)
def full_like(input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
              layout: Any = None, memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return a tensor like input filled with one value."""
    return _like(input, tuple(input.shape), fill_value, dtype, device, requires_grad)


@face("new_full", function=False)
def new_full(self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
             layout: Any = None, pin_memory: bool = False) -> Any:  # fmt: skip
    """Return a tensor of the given size and this one's dtype and device, filled with one value."""
    return _like(self, shape_of((size,), "new_full"), fill_value, dtype, device, requires_grad)


@face("new_tensor", function=False)
def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return a copy of data with this tensor's dtype and device."""
    chosen = self.device if device is None else device
    return tensor(data, dtype=self.dtype if dtype is None else dtype, device=chosen, requires_grad=requires_grad)


@face("scalar_tensor", method=False)
def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
                  pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return a 0-d tensor of a number, in the default float dtype unless said otherwise."""
    number = value.item() if isinstance(value, Tensor) else value
    dtypes.of_number(number)  # refuses what is none
    return filled((), number, chosen("scalar_tensor", dtype, None), device, requires_grad)


# ---- of a range
def in_order(name: str, values: np.ndarray[Any, Any], device: Any, requires_grad: bool, out: Any) -> Tensor:
    """Return values as a tensor, or in `out=`, which keeps its shape where it has room for just as many."""
    if out is not None and out.numel() == values.size:
        values = values.reshape(tuple(out.shape))
    return given(name, made(values, device, requires_grad), out)


def _bounds(name: str, *values: Any) -> list[Any]:
    """Return bounds as numbers, 0-d tensors read. Raises RuntimeError for tensors with dims."""
    for v in values:
        if isinstance(v, Tensor) and v._array.ndim:
            raise RuntimeError(f"{name} only supports 0-dimensional start and end tensors, but got one of {v._array.ndim} dims")
    return [v.item() if isinstance(v, Tensor) else v for v in values]


def _real_only(name: str, wanted: np.dtype[Any], low: int = dtypes.INTEGRAL, high: int = dtypes.FLOATING) -> None:
    if not low <= dtypes.category(wanted) <= high:
        raise NotImplementedError(f'"{name}" not implemented for {dtypes.of(wanted)}')


@face("arange", method=False)
def arange(start: Any = None, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False, out: Any = None, layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return start, start + step, ... below end (from 0 when one number is given): ceil((end - start) / step) values.

    In an integer type bounds and step are rounded towards zero first.
    Raises RuntimeError for step 0, for bounds that are not finite, and where the sign of step leads away from end.
    """
    if start is None or end is None:  # one alone is the end, under either name
        start, end = 0, start if end is None else end
    if end is None:
        raise TypeError("arange() missing the argument 'end'")
    start, end, step = _bounds("arange", start, end, step)
    kinds = [dtypes.of_number(v) for v in (start, end, step)]
    real = max(map(dtypes.category, kinds)) <= dtypes.INTEGRAL
    wanted = chosen("arange", dtype, out, dtypes.I64 if real else None)
    _real_only("arange", wanted)
    start, end, step = (v.real for v in (start, end, step))
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if wanted == dtypes.I64:
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end > start and step < 0) or (end < start and step > 0):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = -((start - end) // step) if wanted == dtypes.I64 else math.ceil((end - start) / step)
    if dtypes.category(wanted) == dtypes.INTEGRAL:
        start, step = int(start), int(step)
    with errors.roomy("arange"):
        if wanted == dtypes.I64 or (start == 0 and step == 1 and wanted.itemsize > 2):
            host = np.arange(start, start + count * step, step, dtype=wanted)
        else:
            values = np.arange(count, dtype=np.int64 if dtypes.category(wanted) == dtypes.INTEGRAL else np.float64)
            values *= step
            values += start
            host = values.astype(wanted, copy=False)
    return in_order("arange", host, device, requires_grad, out)


@face("linspace", method=False)
def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
             out: Any = None, layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return `steps` values spaced evenly from start to end, both included. Raises RuntimeError for steps < 0."""
    wanted, values = spaced("linspace", start, end, steps, dtype, out)
    return in_order("linspace", values.astype(wanted, copy=False), device, requires_grad, out)


@face("logspace", method=False)
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False, out: Any = None, layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return `steps` powers of base with exponents spaced evenly from start to end. Raises RuntimeError for steps < 0."""
    wanted, exponents = spaced("logspace", start, end, steps, dtype, out)
    with np.errstate(all="ignore"):
        values = np.power(complex(base) if exponents.dtype.kind == "c" else float(base), exponents).astype(wanted, copy=False)
    return in_order("logspace", values, device, requires_grad, out)


def spaced(name: str, start: Any, end: Any, steps: int, dtype: Any, out: Any) -> tuple[np.dtype[Any], Any]:
    """Return the type of a result and `steps` values from start to end, counted from both sides as PyTorch does."""
    start, end = _bounds(name, start, end)
    steps = index_of(name, steps)
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    is_complex = isinstance(start, complex) or isinstance(end, complex)
    inferred = dtypes._to_complex(dtypes.default_float()) if is_complex else None
    wanted = chosen(name, dtype, out, inferred)
    if is_complex and dtypes.category(wanted) < dtypes.COMPLEX:
        raise RuntimeError(
            f"torch.{name}(): inferred dtype {dtypes.of(dtypes.to_numpy(complex))} can't be safely cast to passed dtype "
            f"{dtypes.of(wanted)}"
        )
    _real_only(name, wanted, high=dtypes.COMPLEX)
    if dtypes.category(wanted) == dtypes.INTEGRAL:
        start, end = int(start), int(end)
    if wanted == dtypes.F32 and not is_complex:  # PyTorch's bits: bounds and step are rounded, the products are not
        with np.errstate(all="ignore"):
            first, last = np.float32(start), np.float32(end)
            step = float((last - first) / np.float32(max(steps - 1, 1)))
        start, end = float(first), float(last)
    else:
        step = (end - start) / max(steps - 1, 1)
    half = max(steps // 2, 1)
    with errors.roomy(name):
        values = np.arange(steps, dtype=np.result_type(np.float64, type(step)))
        values[half:] -= steps - 1
        values *= step
        values[:half] += start
        values[half:] += end
    return wanted, values


@face("eye", method=False)
def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None,
        layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return an n x m matrix with ones on the diagonal. Raises RuntimeError for a negative size."""
    n, m = index_of("eye", n), n if m is None else index_of("eye", m)
    if n < 0 or m < 0:
        raise RuntimeError(f"eye(): the sizes must be greater or equal to 0, got {n} and {m}")
    with errors.roomy("eye"):
        host = np.eye(n, m, dtype=chosen("eye", dtype, out))
    return given("eye", made(host, device, requires_grad), out)


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
