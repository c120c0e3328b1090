"""Element types and their arithmetic: what `float32 + int64` is.

Owns: the `dtype` objects, the default float dtype, promotion (PyTorch's `result_type`), `finfo` and `iinfo`.
May import: NumPy, and ml_dtypes when bfloat16 is first used. Must not know: tensors, ops, devices.
Inside wengert an array's type is its NumPy dtype; `dtype` objects are the public face of the same thing.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

BOOL, INTEGRAL, FLOATING, COMPLEX = range(4)  # promotion climbs these categories, never within a lower one


class dtype:
    """One element type, printed as PyTorch prints it: `torch.float32`."""

    __slots__ = ("name", "numpy", "category", "__weakref__")

    def __init__(self, name: str, numpy_type: Any, category: int) -> None:
        self.name, self.category = name, category
        self.numpy: np.dtype[Any] = np.dtype(numpy_type)

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOATING

    @property
    def is_complex(self) -> bool:
        return self.category == COMPLEX

    @property
    def is_signed(self) -> bool:
        return self.category != BOOL and not self.name.startswith("u")

    @property
    def itemsize(self) -> int:
        """Size of one element in bytes."""
        return self.numpy.itemsize

    def to_real(self) -> dtype:
        return of(np.zeros((), self.numpy).real.dtype) if self.is_complex else self

    def to_complex(self) -> dtype:
        return of(_to_complex(self.numpy)) if not self.is_complex else self

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)


class _BFloat16(dtype):
    """A float of two bytes with the range of float32, whose NumPy type ml_dtypes brings."""

    __slots__ = ()

    def __init__(self) -> None:
        self.name, self.category = "bfloat16", FLOATING

    @property
    def numpy(self) -> np.dtype[Any]:  # type: ignore[override]
        return _load_bfloat16() if BF16 is None else BF16

    @property
    def itemsize(self) -> int:
        return 2

    def to_complex(self) -> dtype:
        return ALL["complex64"]


class _Limited(dtype):
    """A float of one byte, of which only the limits are known here: libraries ask for them and make no tensors of it."""

    __slots__ = ("limits",)

    def __init__(self, name: str, *limits: float) -> None:
        self.name, self.category, self.limits = name, FLOATING, limits  # eps, max, min, tiny

    @property
    def numpy(self) -> np.dtype[Any]:  # type: ignore[override]
        raise TypeError(f"wengert has no tensors of {self}; there are float16 and bfloat16")

    @property
    def itemsize(self) -> int:
        return 1

    def __reduce__(self) -> tuple[Any, ...]:
        return LIMITED.__getitem__, (self.name,)


LIMITED = {  # by PyTorch's names
    name: _Limited(name, *limits)
    for name, *limits in (
        ("float8_e4m3fn", 2.0**-3, 448.0, -448.0, 2.0**-6),
        ("float8_e4m3fnuz", 2.0**-3, 240.0, -240.0, 2.0**-7),
        ("float8_e5m2", 2.0**-2, 57344.0, -57344.0, 2.0**-14),
        ("float8_e5m2fnuz", 2.0**-3, 57344.0, -57344.0, 2.0**-15),
        ("float8_e8m0fnu", 1.0, 2.0**127, 2.0**-127, 2.0**-127),
    )
}
BF16: np.dtype[Any] | None = None  # once something asked for it


def _load_bfloat16() -> np.dtype[Any]:
    """Return NumPy's type of bfloat16. Raises ImportError with the remedy where ml_dtypes is not installed."""
    global BF16
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError("bfloat16 needs the package ml_dtypes: pip install 'wengert[bfloat16]'") from error
    BF16 = np.dtype(ml_dtypes.bfloat16)
    _BY_NUMPY[BF16] = ALL["bfloat16"]
    _CATEGORY[BF16] = FLOATING
    return BF16


_TABLE = [  # name, NumPy type, category
    ("bool", np.bool_, BOOL),
    ("uint8", np.uint8, INTEGRAL),
    ("uint16", np.uint16, INTEGRAL),
    ("uint32", np.uint32, INTEGRAL),
    ("uint64", np.uint64, INTEGRAL),
    ("int8", np.int8, INTEGRAL),
    ("int16", np.int16, INTEGRAL),
    ("int32", np.int32, INTEGRAL),
    ("int64", np.int64, INTEGRAL),
    ("float16", np.float16, FLOATING),
    ("float32", np.float32, FLOATING),
    ("float64", np.float64, FLOATING),
    ("complex64", np.complex64, COMPLEX),
    ("complex128", np.complex128, COMPLEX),
]
ALL = {name: dtype(name, numpy_type, category) for name, numpy_type, category in _TABLE}
_BY_NUMPY = {d.numpy: d for d in ALL.values()}
_CATEGORY = {d.numpy: d.category for d in ALL.values()}
ALL["bfloat16"] = _BFloat16()
ALIASES = {
    "half": "float16", "float": "float32", "double": "float64", "short": "int16", "int": "int32", "long": "int64",
    "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip

float16, float32, float64 = ALL["float16"], ALL["float32"], ALL["float64"]
int64 = ALL["int64"]
F16, F32, F64, I64, U64, B8 = (np.dtype(t) for t in (np.float16, np.float32, np.float64, np.int64, np.uint64, np.bool_))

_default = F32


def by_name(name: str) -> dtype:
    return ALL[ALIASES.get(name, name)]


def of(numpy_dtype: np.dtype[Any]) -> dtype:
    """Return the public dtype of a NumPy dtype.

    Raises TypeError where NumPy's type has no counterpart (strings, objects, float128).
    """
    found = _BY_NUMPY.get(numpy_dtype)
    if found is not None:
        return found
    try:
        return _BY_NUMPY[numpy_dtype.newbyteorder("=")]
    except KeyError:
        if numpy_dtype.name == "bfloat16" and BF16 is None:
            return _BY_NUMPY[_load_bfloat16()]
        names = ", ".join(ALL)
        raise TypeError(f"can't convert a NumPy array of type {numpy_dtype}. The supported types are: {names}") from None


def native(numpy_dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a type in this machine's byte order, as the one object that quick calls compare with by `is`: one that was
    unpickled, or told its order, is equal to it but another. Raises TypeError as `of` does."""
    return of(numpy_dtype).numpy


def to_numpy(value: Any) -> np.dtype[Any]:
    """Return the NumPy dtype meant by a `dtype`, a Python type (`float` is float64, whatever the default) or a NumPy type."""
    if isinstance(value, dtype):
        return value.numpy
    try:
        return of(np.dtype(value)).numpy
    except TypeError:
        raise TypeError(f"dtype must be a wengert.dtype or a NumPy type, got {value!r}") from None


_twins: dict[np.dtype[Any], np.dtype[Any]] = {}


def twin(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return an equal dtype that is another object, for arrays that hold other arrays: the short calls ask for the very object,
    and so leave these to the general one."""
    found = _twins.get(dtype)
    if found is None:
        found = _twins[dtype] = np.dtype(dtype, copy=True)
    return found


def default_float() -> np.dtype[Any]:
    """Return the type that Python floats become."""
    return _default


def get_default_dtype() -> dtype:
    """Return the dtype that Python floats become."""
    return of(_default)


def set_default_dtype(d: Any) -> None:
    """Set the dtype that Python floats become: float16, bfloat16, float32 or float64.

    Raises TypeError for anything else; the default stays as it was.
    """
    global _default
    chosen = to_numpy(d)
    if category(chosen) != FLOATING:
        raise TypeError(f"only floating-point types are supported as the default type, got {of(chosen)}")
    _default = chosen


def category(d: np.dtype[Any]) -> int:
    """Return the category of a type, which promotion compares: BOOL, INTEGER, FLOATING or COMPLEX."""
    found = _CATEGORY.get(d)
    return found if found is not None else of(d).category


def _to_complex(d: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.complex128 if d == F64 else np.complex64)


@functools.cache
def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """Return the smallest type of the higher category that holds both (PyTorch's `promote_types`).

    A float never widens for an integer: int64 with float16 is float16, where NumPy says float64.
    PyTorch promotes uint16, uint32 and uint64 with floats only; here they promote as in the array API standard.
    Raises RuntimeError for uint64 with a signed integer: no integer type holds both.
    """
    high, low = (a, b) if category(a) >= category(b) else (b, a)
    if category(low) == category(high) == INTEGRAL and {a.kind, b.kind} == {"u", "i"} and U64 in (a, b):
        raise RuntimeError(
            f"Promotion of uint64 with signed integers is not supported, attempted to promote {of(a)} and {of(b)}: cast one"
        )
    if category(high) == category(low):
        if a == b:
            return a
        if BF16 is not None and BF16 in (a, b):  # it holds no other float, and no other of two bytes holds it
            return np.promote_types(F32, a if b == BF16 else b)
        return np.promote_types(a, b)
    if category(high) == COMPLEX and low == F64:
        return np.dtype(np.complex128)
    return high


def combine(dims: np.dtype[Any] | None, zero_dims: np.dtype[Any] | None, numbers: np.dtype[Any] | None) -> np.dtype[Any]:
    """Promote by priority: tensors with dimensions, then 0-d tensors, then Python numbers.

    A lower priority counts only where its category is higher; a float or complex category then brings its type.
    """
    result: np.dtype[Any] | None = None
    for d in (numbers, zero_dims, dims):
        result = d if result is None else result if d is None else _stronger(d, result)
    assert result is not None
    return result


def _stronger(strong: np.dtype[Any], weak: np.dtype[Any]) -> np.dtype[Any]:
    """Promote two types of which the first decides alone within its category, and keeps its width as a complex one."""
    if category(weak) <= category(strong):
        return strong
    if category(strong) == FLOATING:
        return _to_complex(strong)
    return promote(strong, weak) if category(weak) < COMPLEX else weak


def of_number(value: Any) -> np.dtype[Any]:
    """Return the type a Python (or NumPy) number brings to a promotion."""
    if isinstance(value, bool | np.bool_):
        return B8
    if isinstance(value, int | np.integer):
        return I64
    if isinstance(value, float | np.floating):
        return _default
    if isinstance(value, complex | np.complexfloating):
        return _to_complex(_default)
    raise TypeError(f"expected a number, got {type(value).__name__}: {value!r}")


@functools.cache
def _largest(d: np.dtype[Any]) -> float:
    return finfo(of(d)).max


def fitting(value: Any, wanted: np.dtype[Any]) -> Any:
    """Return a number as a type holds it: negative integers wrap around in unsigned types. Raises RuntimeError for numbers
    that are too large, and for complex ones in another type."""
    if (type(value) is int or type(value) is float) and 0 <= value <= 100:  # which all types hold
        return value
    kind, given = category(wanted), value
    if kind < COMPLEX and isinstance(value, complex | np.complexfloating):
        fits, value = not value.imag, value.real
    else:
        fits = True
    if kind == INTEGRAL:
        limits = np.iinfo(wanted)
        low = -int(limits.max) if wanted.kind == "u" and isinstance(value, int | np.integer) else int(limits.min)
        fits = fits and low <= value <= int(limits.max)
    elif kind == FLOATING and wanted != F64:
        fits = fits and (not math.isfinite(value) or abs(value) <= _largest(wanted))
    if not fits:
        raise RuntimeError(f"value cannot be converted to type {of(wanted)} without overflow: {given!r}")
    return value % (int(np.iinfo(wanted).max) + 1) if wanted.kind == "u" and value < 0 else value


def result_of(arrays: Iterable[Any], numbers: Iterable[Any] = ()) -> np.dtype[Any]:
    """Return the common type of raw arrays and Python numbers by PyTorch's rule."""
    return common([(a.dtype, 0 if a.ndim else 1) for a in arrays] + [(of_number(value), 2) for value in numbers])


def common(types: Iterable[tuple[np.dtype[Any], int]]) -> np.dtype[Any]:
    """Return what types have in common, each with its level: 0 of a tensor with dims, 1 of a 0-d one, 2 of a number."""
    levels: list[np.dtype[Any] | None] = [None, None, None]
    for d, level in types:
        known = levels[level]
        levels[level] = d if known is None else promote(known, d)
    return combine(*levels)


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """Return the smallest dtype of the higher category that holds both."""
    return of(promote(to_numpy(type1), to_numpy(type2)))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Say whether a value may be cast without falling to a lower category (float to int is refused)."""
    return category(to_numpy(to)) >= category(to_numpy(from_))


def _limits(d: np.dtype[Any]) -> Any:
    if BF16 is None or d != BF16:
        return np.finfo(d)
    return importlib.import_module("ml_dtypes").finfo(d)


class finfo:
    """Machine limits of a floating dtype: bits, eps, max, min, tiny, smallest_normal, resolution.

    Raises TypeError for integer types.
    """

    def __init__(self, type: dtype | None = None) -> None:
        if isinstance(type, _Limited):
            self.dtype, self.bits, self.resolution = type.name, 8, 1.0
            self.eps, self.max, self.min, self.tiny = type.limits
            self.smallest_normal = self.tiny
            return
        chosen = get_default_dtype() if type is None else of(to_numpy(type))
        if chosen.category < FLOATING:
            raise TypeError(f"finfo needs a floating-point dtype, not {chosen}; for integers there is iinfo")
        info = _limits(chosen.numpy)
        self.dtype, self.bits = chosen.to_real().name, int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0**-info.precision

    def __repr__(self) -> str:
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")  # fmt: skip


class iinfo:
    """Limits of an integer dtype: bits, max, min. Raises TypeError for other types."""

    def __init__(self, type: dtype) -> None:
        chosen = of(to_numpy(type))
        if chosen.category != INTEGRAL:
            raise TypeError(f"iinfo needs an integer dtype, not {chosen}; for floats there is finfo")
        info = np.iinfo(chosen.numpy)
        self.dtype, self.bits, self.max, self.min = chosen.name, int(info.bits), int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
