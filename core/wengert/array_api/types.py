"""Types as the array API standard sees them: promotion without regard to dimensions, kinds, limits, what a device offers.

Owns: `result_type`, `astype`, `can_cast`, `isdtype`, `finfo`, `iinfo`, the namespace's description of itself, and `common`,
by which every function here brings its arguments to one type. May import: wengert's public names, dtypes.
Must not know: any other function of the namespace.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

import wengert as w
from wengert import Tensor, backend, dtypes
from wengert.dtypes import dtype as DType
from wengert.registry import registry

NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
    "complex128",
)  # fmt: skip
KINDS = {  # the standard's names for sets of types
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float16", "bfloat16", "float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
KINDS["integral"] = KINDS["signed integer"] + KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] + KINDS["real floating"] + KINDS["complex floating"]


# ---- promotion
def numpy_type(*values: Any) -> np.dtype[Any]:
    """Return the common NumPy type of arrays, dtypes and Python numbers; a number counts only by its kind."""
    typed = [x._array.dtype if isinstance(x, Tensor) else dtypes.to_numpy(x) for x in values if isinstance(x, Tensor | DType)]
    numbers = [dtypes.of_number(x) for x in values if not isinstance(x, Tensor | DType)]
    if not typed:
        raise TypeError("at least one array or dtype is required")
    whole = functools.reduce(dtypes.promote, typed)
    return dtypes.combine(whole, None, functools.reduce(dtypes.promote, numbers) if numbers else None)


def common(*values: Any) -> tuple[Any, ...]:
    """Return arrays in their common type, whatever their dimensions are; Python numbers stay what they are."""
    wanted = numpy_type(*values)
    return tuple([as_type(x, wanted) if isinstance(x, Tensor) else x for x in values])


def as_type(x: Any, wanted: np.dtype[Any]) -> Any:
    return x if x._array.dtype == wanted else x.to(dtypes.of(wanted))


def result_type(*arrays_and_dtypes: Any) -> DType:
    """Return the dtype that arithmetic between arrays, dtypes and Python numbers gives. Raises RuntimeError for uint64 with
    a signed integer, TypeError where there are only numbers."""
    return dtypes.of(numpy_type(*arrays_and_dtypes))


def can_cast(from_: Any, to: DType, /) -> bool:
    """Say whether promotion leads from a type (or that of an array) to `to`."""
    given = from_.dtype if isinstance(from_, Tensor) else from_
    try:
        return result_type(given, to) == to and (given.category, to.category) != (dtypes.INTEGRAL, dtypes.FLOATING)
    except RuntimeError:
        return False


def astype(x: Any, dtype: DType, /, *, copy: bool = True, device: Any = None) -> Any:
    """Return x in another type; without `copy`, x itself where nothing changes."""
    if x.dtype.is_complex and not dtype.is_complex and dtype != w.bool:
        raise TypeError(f"astype: {x.dtype} to {dtype} would drop the imaginary part; take real(x) to mean that")
    return x.to(dtype=dtype, device=device, copy=copy)


def isdtype(dtype: DType, kind: Any) -> bool:
    """Say whether a type is of a kind: a dtype, one of the standard's words, or any of a tuple of both."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"isdtype: unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
        return dtype.name in KINDS[kind]
    return bool(dtype == kind)


# ---- limits
@dataclass(frozen=True)
class FloatLimits:
    """What `finfo` returns: limits of a floating type, those of the parts for a complex one."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class IntegerLimits:
    """What `iinfo` returns: limits of an integer type."""

    bits: int
    max: int
    min: int
    dtype: DType


def _type_of(type: Any) -> DType:
    return type.dtype if isinstance(type, Tensor) else type


def finfo(type: Any, /) -> FloatLimits:
    """Return the limits of a floating type, or of an array's. Raises TypeError for others."""
    found = w.finfo(_type_of(type))
    return FloatLimits(found.bits, found.eps, found.max, found.min, found.smallest_normal, dtypes.by_name(found.dtype))


def iinfo(type: Any, /) -> IntegerLimits:
    """Return the limits of an integer type, or of an array's. Raises TypeError for others."""
    found = w.iinfo(_type_of(type))
    return IntegerLimits(found.bits, found.max, found.min, _type_of(type))


# ---- the namespace's description of itself
class Info:
    """What `__array_namespace_info__()` returns."""

    def capabilities(self) -> dict[str, Any]:
        """Say what optional behaviour there is."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Any:
        """Return the device that new arrays are made on."""
        return w.empty(0).device

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """Return the types of new arrays, by kind."""
        real = w.get_default_dtype()
        return {"real floating": real, "complex floating": real.to_complex(), "integral": w.int64, "indexing": w.int64}

    def devices(self) -> list[Any]:
        """Return the devices that can be used here."""
        offered = [info for name in registry.names("devices") for info in backend.infos(name)]
        return [w.device(info.name) for info in offered if info.available]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """Return the standard's types by name, all or those of a kind (see `isdtype`)."""
        whole = {name: dtypes.by_name(name) for name in NAMES}
        return {name: d for name, d in whole.items() if kind is None or isdtype(d, kind)}
