"""NumPy as a device.

Owns: what NumPy does differently from the array module it defines: results of 0-d ops are scalars unless asked, and
floating-point warnings must stay off without touching the user's own settings. May import: wengert_xp, NumPy.
Must not know: tensors, gradients.
"""

from __future__ import annotations

import functools
import platform
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, hosted
from wengert.memory import aligned, onto
from wengert.op import Op
from wengert_numpy.divisions import PARTS, in_parts
from wengert_xp import BARE, ArrayModule
from wengert_xp.arraymodule import HALF

# glibc hands memory of more than 128 kB back to the system when it is freed, until it has seen a larger piece come back: from
# then on it keeps that much. Without this, a step that makes a few arrays of 8 MB waits for 2000 to 6000 pages each time.
np.empty((32 << 20) - 8192, np.uint8)  # the largest piece that counts; its pages are never touched

ELLIPSIS_OUT = tuple(int(n) for n in np.__version__.split(".")[:2]) >= (2, 3)  # ufunc(..., out=...) gives an array


class BeforeEllipsis:
    """NumPy before 2.3, whose ufuncs do not know `out=...`: the same module, with ufuncs that do."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, np.ufunc):
            found = _knowing_ellipsis(found)
        setattr(self, name, found)
        return found


def _knowing_ellipsis(ufunc: np.ufunc) -> Any:
    def run(*args: Any, out: Any = ..., **options: Any) -> Any:
        if out is not ...:
            return ufunc(*args, out=out, **options)
        made = ufunc(*args, **options)
        return tuple(map(np.asanyarray, made)) if ufunc.nout > 1 else np.asanyarray(made)

    for method in ("accumulate", "at", "outer", "reduce", "reduceat"):
        setattr(run, method, getattr(ufunc, method))
    run.ufunc = ufunc  # type: ignore[attr-defined]
    return run


class NumpyBackend(ArrayModule):
    """The host: arrays are NumPy's, shared with the user without copies."""

    name = "cpu"
    array_type = np.ndarray
    xp = np if ELLIPSIS_OUT else BeforeEllipsis()

    def devices(self) -> list[DeviceInfo]:
        return [DeviceInfo("cpu", True, f"NumPy {np.__version__} on {platform.processor() or platform.machine()}")]

    def elementwise_table(self) -> dict[str, Callable[..., Any]]:
        divisions = ("floor_divide", "trunc_divide", "remainder", "fmod")
        table = super().elementwise_table()
        for name in PARTS:
            table[name] = in_parts(name, self.remainder if name == "remainder" else getattr(self.xp, name))
        checked = {n: no_zero_divisor(table.get(n) or getattr(self.xp, n)) for n in divisions}
        limited = {"clip": one_pass(table["clip"]), "relu": rectified(table["relu"])}
        return {**table, **checked, **limited, "where": select, "log10": self.log10}

    def log10(self, x: Any, out: Any = ...) -> Any:
        """Return NumPy's, of float32 those of doubles, rounded, a buffer at a time: powers of ten are whole numbers."""
        if x.dtype.char != "f":
            return self.xp.log10(x, out=out)
        return np.log10(x, dtype=np.float64, out=np.empty_like(x) if out is ... else out, casting="same_kind")

    def remainder(self, x: Any, y: Any, out: Any = ...) -> Any:
        """Return NumPy's, in which a zero gets the sign of x, as in PyTorch and in the op's formula."""
        if x.dtype.kind != "f":
            return self.xp.remainder(x, y, out=out)
        made = self.xp.remainder(x, y, out=...)
        if not made.all():
            np.copysign(made, x, out=made, where=made == 0)
        return self.give(made, out)

    def structural_table(self) -> dict[str, Callable[..., Any]]:
        table = super().structural_table()
        cast, filled = table["cast"], table["filled"]
        return {
            **table, "broadcast_to": broadcast_to, "cast": lambda x, dtype: hosted(cast(x, dtype)),
            "filled": lambda *args: hosted(filled(*args)),
        }  # fmt: skip

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Any:
        return hosted(np.array(array))

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    def address(self, array: Any) -> int:
        return int(array.__array_interface__["data"][0])

    def index_of(self, array: Any) -> int:
        return 0

    def add_into(self, target: Any, values: Any) -> None:
        onto(self.xp.add, target, values)

    def synchronize(self, index: int) -> None:
        """Nothing to wait for: NumPy returns when it is done."""

    def quiet(self) -> Any:
        return Quiet()

    def scratch(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return aligned(shape, dtype)

    def ones(self, n: int, dtype: Any) -> Any:
        return ones(n, dtype) if n <= SHORT else np.ones(n, dtype)

    def scalar(self, value: float, dtype: Any) -> Any:
        return scalar(value, dtype)

    def finish(self, op: Op, kernel: Callable[..., Any]) -> Callable[..., Any]:
        return finish(kernel, op)

    def adapted(self, op: Op, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """Return a plugin's kernel; before NumPy 2.3 one that is given memory where it is asked for a new array."""
        if ELLIPSIS_OUT or not op.elementwise or op.infer is None:
            return kernel
        infer = op.infer

        def run(*args: Any, out: Any = ...) -> Any:
            return kernel(*args, out=np.empty(*infer(*args)) if out is ... else out)

        return run


def no_zero_divisor(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a division that refuses bools, and integers divided by 0, where NumPy gives 0 and PyTorch an error."""

    def run(x: Any, y: Any, out: Any = ...) -> Any:
        if x.dtype.kind not in "fc":
            if x.dtype.kind == "b":
                raise NotImplementedError("division of bools is not implemented; convert them to integers")
            if x.size and not np.all(y):
                raise ZeroDivisionError("integer division by zero")
        return kernel(x, y, out=out)

    return run


def one_pass(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a clip that takes a third of the time where two numbers limit many floats.

    Of two zeros it gives x's, as PyTorch does; for halves the module's maximum does not.
    """

    def run(x: Any, low: Any, high: Any, out: Any = ...) -> Any:
        if (x.size < MANY and x.dtype is not HALF) or x.dtype.char not in "efdil" or low.ndim or high.ndim:
            return kernel(x, low, high, out=out)
        return np.clip(x, low, high) if out is ... else np.clip(x, low, high, out=out)

    return run


def rectified(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a relu that takes a third of the time for many floats; see `one_pass`."""

    def run(x: Any, out: Any = ...) -> Any:
        if (x.size < MANY and x.dtype is not HALF) or x.dtype.char not in "efd":
            return kernel(x, out=out)
        return np.clip(x, 0, np.inf) if out is ... else np.clip(x, 0, np.inf, out=out)

    return run


MANY = 1 << 12  # elements from which on `np.clip`, which is no ufunc, is the faster one
SHORT = 1 << 12  # elements of a row of ones that is kept


@functools.lru_cache(64)
def ones(n: int, dtype: Any) -> Any:
    """Return a row of ones, the same for all: making it anew takes as long as the product with it."""
    made = np.ones(n, dtype)
    made.flags.writeable = False
    return made


@functools.lru_cache(256)
def scalar(value: float, dtype: Any) -> Any:
    """Return a number as a 0-d array, which a ufunc need not convert."""
    made = np.array(value, dtype)
    made.flags.writeable = False
    return made


MASKABLE = {c: np.dtype(f"i{np.dtype(c).itemsize}") for c in np.typecodes["AllInteger"] + "efdF"}


def select(condition: Any, x: Any, y: Any, out: Any = ...) -> Any:
    """Return x where condition holds, else y: by arithmetic on the bits, y ^ (x ^ y) * condition, for large arrays.

    The loop of np.where branches at each element, which costs ten times as much where the condition follows no pattern.
    """
    bits = MASKABLE.get(x.dtype.char)
    if bits is None or condition.size < 2048 or condition.dtype != bool or x.dtype != y.dtype:
        made = np.where(condition, x, y)
        if out is ...:
            return made
        out[...] = made
        return out
    xs, ys, holds = x.view(bits), y.view(bits), condition.view(np.int8)
    own = None  # memory of the result's type: a view of another's would be copied where it is to be kept
    if condition.flags.c_contiguous:
        own = np.empty(np.broadcast_shapes(condition.shape, x.shape, y.shape), x.dtype)
    made = None if own is None else own.view(bits)
    if not y.ndim and not ys:
        made = np.multiply(xs, holds, out=made)
    else:
        made = np.bitwise_xor(xs, ys, out=made)
        made = np.multiply(made, holds, out=made if made.shape == holds.shape else None)
        made ^= ys
    own = made.view(x.dtype) if own is None else own
    if out is ...:
        return own
    out[...] = own
    return out


def broadcast_to(x: Any, shape: Any) -> Any:
    """Return x repeated to a shape without copying: what np.broadcast_to does, in a tenth of its time."""
    added = len(shape) - x.ndim
    if x.size == 1 and added >= 0:
        return np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    if added < 0:
        return np.broadcast_to(x, shape)  # says what is wrong
    strides = [0] * added
    for n, step, m in zip(x.shape, x.strides, shape[added:], strict=True):
        if n != m and n != 1:
            return np.broadcast_to(x, shape)
        strides.append(step if n != 1 else 0)
    if not x.flags.c_contiguous:  # what the constructor takes: without repeated elements, in the order they lie in
        x = x[tuple([slice(None) if step else slice(1) for step in x.strides])]
        x = x if x.flags.c_contiguous else x.T
        if not x.flags.c_contiguous:
            return np.lib.stride_tricks.as_strided(x.T, shape, strides)
    return np.ndarray(shape, x.dtype, x, 0, strides)


# NumPy keeps its error settings in a context variable. Setting it by hand costs 0.16 us a call, np.errstate 1.0 us.
try:
    from numpy._core.umath import _extobj_contextvar as _settings

    with np.errstate(all="ignore"):
        # A ufunc copies an operand that is broadcast along rows into its buffer, unless the buffer holds no two rows: with
        # NumPy's own 8192 elements, x - x.max(1, keepdims=True) takes three times as long on rows of 1000.
        np.setbufsize(512)
        _QUIET = _settings.get()
    _enter, _leave = _settings.set, _settings.reset
except (ImportError, AttributeError):  # a NumPy that keeps them elsewhere: the public way, slower

    def _enter(setting: Any) -> Any:
        context = np.errstate(all="ignore")
        context.__enter__()
        return context

    def _leave(context: Any) -> None:
        context.__exit__(None, None, None)

    _QUIET = None  # type: ignore[assignment]


class Quiet:
    """A context without floating-point warnings, for a whole backward."""

    __slots__ = ("token",)

    def __enter__(self) -> None:
        self.token = _enter(_QUIET)

    def __exit__(self, *exc: object) -> None:
        _leave(self.token)


# Elementwise kernels, and those of `BARE`, run bare (see wengert.record.recover): their warnings are these modules'.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"wengert(_|\.)")


def finish(kernel: Callable[..., Any], op: Op) -> Callable[..., Any]:
    """Return a kernel that warns of nothing and gives arrays also for 0-d results."""
    if op.view or op.elementwise or op.name in BARE:
        return kernel
    arrays = (np.ndarray, tuple)

    def run(*args: Any, **kwargs: Any) -> Any:
        token = _enter(_QUIET)
        try:
            made = kernel(*args, **kwargs)
        finally:
            _leave(token)
        return made if isinstance(made, arrays) else np.asarray(made)

    run.fills = getattr(getattr(kernel, "func", kernel), "fills", False)  # type: ignore[attr-defined]
    return run
