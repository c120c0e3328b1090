"""Values of NumPy and of the standard library in checkpoints: arrays, dtypes, paths, times, queues, ranges and the like.

Owns: which there are, what each is made of in a pickle, and its being made again of that, checked, by nothing that a file
names. May import: NumPy, the standard library. Must not know: pickles, tensors.
The names are those under which pickle writes these values, so that PyTorch reads what is written here and the other way round.
"""

from __future__ import annotations

import datetime
import math
import pathlib
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

KINDS = "biufcSU"  # of dtypes whose elements are their bytes
_PLAIN = (str, int, float, complex, bool, bytes, type(None), frozenset)  # whose hash takes no longer than they are long
TYPES: dict[type, tuple[str, str]] = {  # that stand in checkpoints as values, such as what a defaultdict makes
    kind: ("__builtin__", {"int": "long", "str": "unicode"}.get(kind.__name__, kind.__name__))
    for kind in (list, dict, set, int, float, bool, str, tuple)
} | {np.ndarray: ("numpy", "ndarray"), OrderedDict: ("collections", "OrderedDict")}  # fmt: skip


class Parts(NamedTuple):
    """What a value is made of: a function by its names, its arguments, and what the result is then given."""

    function: tuple[str, str]
    arguments: tuple[Any, ...]
    state: Any = None
    elements: Sequence[Any] = ()
    pairs: Any = ()


def parts(x: Any) -> Parts | None:
    """Return what a value is made of, or None for one that is none of these."""
    kind = type(x)
    if kind is bytearray:
        return Parts(("__builtin__", "bytearray"), (x.decode("latin-1"), "latin-1"))
    if kind is frozenset and all(map(_hashed, x)):
        return Parts(("__builtin__", "frozenset"), (list(x),))
    if kind is range or (kind is slice and all(type(n) in (int, type(None)) for n in (x.start, x.stop, x.step))):
        return Parts(("__builtin__", "xrange" if kind is range else "slice"), (x.start, x.stop, x.step))
    if kind is deque:
        return Parts(("collections", "deque"), () if x.maxlen is None else ((), x.maxlen), elements=x)
    if kind is defaultdict and (x.default_factory is None or x.default_factory in TYPES):
        return Parts(("collections", "defaultdict"), (x.default_factory,), pairs=x.items())
    if kind is np.ndarray and x.dtype.kind in KINDS or isinstance(x, np.dtype) and x.kind in KINDS:
        function, arguments, state = x.__reduce__()[:3]
        return Parts((function.__module__, function.__name__), tuple(arguments), state)
    if isinstance(x, pathlib.PurePath) and kind.__module__.startswith("pathlib"):
        return Parts(("pathlib", kind.__name__), x.parts)
    if (kind.__module__ == "datetime" or kind in (Fraction, Decimal)) and f"{kind.__module__}.{kind.__name__}" in MADE:
        return Parts((kind.__module__, kind.__name__), tuple(x.__reduce_ex__(4)[1]))  # before protocol 4 folds are lost
    return None


def _demand(fits: bool, what: str) -> None:
    if not fits:
        raise TypeError(f"{what} that is none")


def _hashed(x: Any) -> bool:
    """Say whether something may be in a frozenset: a plain value, or a flat tuple of such."""
    return type(x) in _PLAIN or (type(x) is tuple and all(type(part) in _PLAIN for part in x))


def _dtype(text: Any, *_: Any) -> Any:
    _demand(type(text) is str and text[:1] in KINDS and text[1:].isdigit(), "a NumPy dtype")
    return np.dtype(text, copy=True)  # its byte order comes later


def _scalar(dtype: Any, data: Any) -> Any:
    _demand(isinstance(dtype, np.dtype) and type(data) is bytes and len(data) == dtype.itemsize > 0, "a NumPy number")
    return np.frombuffer(_checked(data, dtype), dtype)[0]


def _array(kind: Any, *_: Any) -> Any:
    _demand(kind is np.ndarray, "a NumPy array")
    return np.ndarray(0)


def give(x: Any, state: Any) -> None:
    """Give an array its elements, and a dtype its byte order. Raises TypeError for what does not fit."""
    _demand(type(state) is tuple and len(state) >= 5, "a NumPy value")
    if isinstance(x, np.dtype):
        own = x.__reduce__()[2]
        _demand(type(state[1]) is str and state[1] in "|=<>" and all(part is None for part in state[2:5]), "a NumPy dtype")
        x.__setstate__((own[0], state[1] if x.itemsize > 1 else own[1], *own[2:]))  # type: ignore[attr-defined]
        return
    _, shape, dtype, fortran, data = state[:5]
    _demand(type(shape) is tuple and isinstance(dtype, np.dtype) and type(fortran) is bool, "a NumPy array")
    _demand(type(data) is bytes and len(shape) <= 64 and all(type(n) is int and 0 <= n < 2**62 for n in shape), "a NumPy array")
    _demand(len(data) == math.prod(shape) * dtype.itemsize, "a NumPy array")
    x.__setstate__((1, shape, dtype, fortran, _checked(data, dtype)))


def _checked(data: bytes, dtype: Any) -> bytes:
    """Return the bytes of elements. Raises TypeError for what is no text; a bool is 0 or 1."""
    if dtype.kind == "b":
        return np.frombuffer(data, np.uint8).astype(bool).tobytes()
    if dtype.kind == "U" and data:
        _demand(int(np.frombuffer(data, f"{dtype.str[0]}u4").max()) <= sys.maxunicode, "a text")
    return data


def _default(factory: Any = None) -> Any:
    _demand(factory is None or factory in TYPES, "a defaultdict")
    return defaultdict(factory)


def _queue(elements: Any = (), maxlen: Any = None) -> Any:
    _demand(type(elements) in (tuple, list) and (maxlen is None or (type(maxlen) is int and maxlen >= 0)), "a deque")
    return deque(elements, maxlen)


def _frozen(elements: Any = ()) -> Any:
    _demand(type(elements) in (tuple, list) and all(map(_hashed, elements)), "a frozenset of plain values")
    return frozenset(elements)


def _path(kind: type) -> Callable[..., Any]:
    def of(*steps: Any) -> Any:
        _demand(all(type(s) is str for s in steps), "a path")
        return kind(*steps)

    return of


def _fraction(*arguments: Any) -> Any:
    text = arguments[0] if len(arguments) == 1 and type(arguments[0]) is str else "0"
    plain = all(part.removeprefix("-").isdecimal() for part in text.split("/"))  # no power of ten, which fills the memory
    _demand(plain, "a fraction")
    return _made_by(Fraction, str, int)(*arguments)


def _made_by(make: Callable[..., Any], *kinds: type) -> Callable[..., Any]:
    def of(*arguments: Any) -> Any:
        _demand(all(isinstance(a, kinds) for a in arguments), f"a {make.__name__}")
        try:
            return make(*arguments)
        except (ValueError, ArithmeticError) as error:
            raise TypeError(f"a {make.__name__} that is none: {error}") from None

    return of


# What makes each again, by the names in the file.
MADE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("__builtin__.frozenset", "builtins.frozenset"), _frozen),
    **dict.fromkeys(("__builtin__.xrange", "builtins.range"), _made_by(range, int)),
    **dict.fromkeys(("__builtin__.slice", "builtins.slice"), _made_by(slice, int, type(None))),
    **{f"pathlib.{name}": _path(pathlib.Path) for name in ("Path", "PosixPath", "WindowsPath")},  # the one of this system
    **{f"pathlib.{kind.__name__}": _path(kind) for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath)},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    "collections.deque": _queue, "collections.defaultdict": _default, "numpy.dtype": _dtype,
    "datetime.datetime": _made_by(datetime.datetime, bytes, datetime.tzinfo), "datetime.date": _made_by(datetime.date, bytes),
    "datetime.time": _made_by(datetime.time, bytes, datetime.tzinfo), "datetime.timedelta": _made_by(datetime.timedelta, int),
    "datetime.timezone": _made_by(datetime.timezone, datetime.timedelta, str),
    "fractions.Fraction": _fraction, "decimal.Decimal": _made_by(Decimal, str),
}  # fmt: skip
NAMED: dict[str, type] = {f"{module}.{name}": kind for kind, (module, name) in TYPES.items()} | {
    f"builtins.{kind.__name__}": kind for kind in TYPES if kind.__module__ == "builtins"
}
