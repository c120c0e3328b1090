"""Devices: what a backend must offer, which backend an array belongs to, and what `device="opencl:1"` means.

Owns: the `Backend` protocol, the `device` object, the default device, the road from an op and an array type to a
kernel. May import: NumPy, the registry, op records. Must not know: any particular backend, tensors, gradients.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from wengert import errors, tape
from wengert.dtypes import native as native
from wengert.errors import OutOfMemoryError as OutOfMemoryError
from wengert.foreign import watched_device, watched_kernel
from wengert.modes import state
from wengert.narrow import hosted as hosted
from wengert.op import OPS, Kernels, Op
from wengert.registry import foreign, registry


@dataclass(frozen=True)
class DeviceInfo:
    """One line of `wengert devices`: a device that is there, or why there is none."""

    name: str
    available: bool
    description: str
    accelerator: bool = True  # hardware of its own, not the processor the host runs on


class Backend(Protocol):
    """What a device package implements. Arrays need `shape`, `dtype` (NumPy's: the object that `native` returns, which quick
    calls look for), `ndim`, `size`, `strides`, `flags.c_contiguous`, Python's arithmetic operators and `base` (None unless it
    shares another array's memory)."""

    name: str
    array_type: type

    def devices(self) -> list[DeviceInfo]:
        """List what there is; cheap, never raises: says why there are none."""

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Any:
        """Return a new device array with these values."""

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """Return the values as a NumPy array."""

    def copy(self, array: Any) -> Any:
        """Return a contiguous copy."""

    def write(self, target: Any, values: Any) -> Any:
        """Set the elements of `target` (any strides) to `values`, broadcast and cast; return the target."""

    def add_into(self, target: Any, values: Any) -> None:
        """Add `values` of the same shape to the elements of `target`."""

    def address(self, array: Any) -> int:
        """Return a number that tells where the array's first element lies."""

    def index_of(self, array: Any) -> int | None:
        """Return which of the backend's devices holds the array; None where there is never more than one."""

    def kernel(self, op: Op) -> Callable[..., Any] | None:
        """Return the kernel of an op: (*inputs, *params) -> array; elementwise ones also take `out`. None: there is none."""

    def quiet(self) -> AbstractContextManager[Any]:
        """Return a context in which arithmetic on arrays gives inf and nan without warnings."""

    def synchronize(self, index: int) -> None:
        """Wait until the device has done what it was asked."""


class Filling(Protocol):
    """What a backend may offer besides: arrays of one value without the host's memory."""

    def filled(self, shape: tuple[int, ...], value: np.ndarray[Any, Any], index: int) -> Any:
        """Return a new device array of this shape with a 0-d host array's type and value everywhere."""


class Drawing(Protocol):
    """What a backend may offer besides: random numbers made where they are needed."""

    def uniform(self, seed: int, first: int, shape: tuple[int, ...], dtype: np.dtype[Any], index: int) -> Any:
        """Return float32 or float64 in [0, 1): the values of the stream of a seed from block `first` on, bit by bit those of
        `wengert.ops.random.stream` (Philox4x32-10, four or two values a block)."""


class Fusing(Protocol):
    """What a backend may offer besides: a group of equations of a compiled function as one generated kernel."""

    def fused(self, equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Callable[..., Any] | None:
        """Return `run(arrays, out) -> list of arrays` for a group of equations; None: run them one by one.

        Values (`wengert.graph.Value`) are hashable, each made once, and have `shape` and `dtype`. An equation has `op`,
        `inputs` (values, or 0-d host arrays, which are constants of the kernel), `params` (as `op.params` names them) and
        `outs`, of which there is one. The order is one in which they can run. Each equation is
        - elementwise: `op.elementwise` with the C text `op.expr`, or the op "cast" with its parameter dtype; the inputs are
          broadcast to the shape of the result;
        - or a reduction, "sum", "mean", "amax" or "amin" with the parameters axis (a tuple of dims, or None: all) and keepdims.
        The results of elementwise equations have one shape S, or S with 1 for the dims that a reduction before took away
        (with keepdims). So a softmax over rows or a layer norm is one group, as is an update with its norm as last equation.
        No equation reads the result of a reduction that is not over the last dims of S.

        inputs: the values that `arrays` gives, in order, of any strides and shapes that broadcast to S. outputs: those to be
        returned, in order; results that are not among them need no memory. `out` has one entry an output: None for a
        new, contiguous array, or an array of the output's shape and dtype to write to and return. Such an array may be one of
        `arrays` if that is read at the same index as it is written, and only by elementwise equations.
        Called once a program and may be slow; what it returns is called at each run and must be quick. It may raise nothing
        for groups of this form: what it has no code for it refuses with None, and is asked again for a part of the group.
        """


def give_operators(array_type: type) -> None:
    """Give a device's class of arrays Python's operators: rules are written with them."""
    from wengert import record

    record.give_operators(array_type)


# Kinds of devices that PyTorch has: programs name them to compare with; a tensor on one is refused.
ABROAD = frozenset(("hpu", "ipu", "mps", "mtia", "vulkan", "xla", "xpu"))


class device:
    """A place for tensors: `device("cpu")`, `device("cuda:1")`, `device("cuda", 1)`.

    Raises RuntimeError for a name that no backend has, naming the nearest.
    """

    __slots__ = ("type", "index")
    type: str
    index: int | None

    def __init__(self, type: Any = None, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        elif isinstance(type, int):
            type, index = "cuda", type
        match = re.fullmatch(r"([A-Za-z_][\w.-]*)(?::(.+))?", type) if isinstance(type, str) else None
        if match is not None and match[2] is not None and not match[2].isdigit():  # "opencl:intel": a part of a device's name
            find = getattr(backend_named(ALIASES.get(match[1], match[1])), "index_named", None)
            match = find and re.fullmatch(r"(.+):(\d+)", f"{match[1]}:{find(match[2])}")
        if match is None:
            raise RuntimeError(f"Invalid device string: {type!r}; it is a name such as 'cpu', or 'cuda:1'")
        if match[2] is not None:
            if index is not None:
                raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {type}")
            index = int(match[2])
        self.type = ALIASES.get(match[1], match[1])
        self.index = index
        if self.type not in ABROAD:
            registry.check_device(self.type)

    @property
    def backend(self) -> Any:
        return backend_named(self.type)

    @property
    def ordinal(self) -> int:
        """The number that is meant: without one the backend's current device, or its first."""
        return getattr(self.backend, "current", int)() if self.index is None else self.index

    def __eq__(self, other: object) -> bool:
        if isinstance(other, device):
            return self.type == other.type and self.index == other.index
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        _local.stack = (*_local.stack, self)
        return self

    def __exit__(self, *exc: object) -> None:
        _local.stack = _local.stack[:-1]


class _Local(threading.local):
    stack: tuple[device, ...] = ()  # of `with device(...)` on this thread, innermost last


settings: dict[str, Any] = {"deterministic": False, "matmul_precision": "highest"}  # what users asked of every device
ALIASES = {"numpy": "cpu"}  # other names of a device
HOST = "cpu"
_local = _Local()
_default: device | None = None
_by_type: dict[type, Any] = {}
_by_name: dict[str, Any] = {}
_recorders: list[Any] = []  # captures that are running, on any thread


def backend_named(name: str) -> Any:
    """Return the backend of a device type; it is made when it is first asked for."""
    found = _by_name.get(name)
    if found is None:
        found = _by_name[name] = _made(name)
        if hasattr(found, "number"):
            tape.numbers[found.array_type] = found.number
        if not _recorders:
            _by_type[found.array_type] = found
    return found


def _made(name: str) -> Any:
    """Return a backend that is asked for for the first time. Raises RuntimeError for a package's that cannot serve."""
    made = registry.resolve("devices", name)
    plugin = registry.tables["devices"][name].plugin
    try:
        found = made() if isinstance(made, type) else made
    except (RuntimeError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise errors.broken_backend(name, plugin, f"could not be made: {type(error).__name__}: {error}") from error
    if not foreign(plugin):
        return found
    lacking = [part for part in ("name", "array_type", "devices", "from_host", "to_host") if not hasattr(found, part)]
    if lacking:
        raise errors.broken_backend(name, plugin, f"is no backend: {type(found).__name__} has no {', '.join(lacking)}")
    for other in (backend_named(HOST), *list(_by_name.values())):
        if other is not found and other.array_type is found.array_type:
            if type(other) is type(found):
                return other  # another name of one device
            raise errors.broken_backend(
                name, plugin, f"takes {found.array_type.__name__} for its arrays, which belong to {other.name!r}: it needs "
                f"an array_type of its own, such as a subclass"
            )  # fmt: skip
    if found.name != name:
        raise errors.broken_backend(name, plugin, f"calls itself {found.name!r}; it must be the name that is registered")
    return watched_device(found, plugin)


PATIENCE = 10.0  # seconds that a package may take to say what devices there are
_slow: dict[str, list[DeviceInfo]] = {}  # what those said that took a tenth of it: they are asked once


def infos(name: str) -> list[DeviceInfo]:
    """Return what there is of a device type; of a package that fails, or does not answer, that: never raises."""
    if name in _slow:
        return _slow[name]
    told: list[DeviceInfo] = []

    def ask() -> None:
        try:
            found = [
                DeviceInfo(str(d.name), bool(d.available), " ".join(str(d.description).split()), bool(d.accelerator))
                for d in backend_named(name).devices()
            ]
            told.extend(found or [DeviceInfo(name, False, "its backend lists no device")])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = error.__cause__ or error  # what its module raised, where it does not import
            told.append(DeviceInfo(name, False, " ".join(f"{type(reason).__name__}: {reason}".split())))

    entry = registry.tables["devices"].get(name)
    if entry is None or not foreign(entry.plugin):
        ask()
        return told
    asking = threading.Thread(target=ask, daemon=True)  # a driver that hangs must not hang who asks for another device
    asking.start()
    asking.join(PATIENCE / 10)
    if not asking.is_alive():
        return told
    asking.join(PATIENCE * 9 / 10)
    _slow[name] = told or [DeviceInfo(name, False, f"its package did not answer within {PATIENCE:.0f} s")]
    return _slow[name]


def of_array(array: Any) -> Any:
    """Return the backend that an array belongs to."""
    try:
        return _by_type[type(array)]
    except KeyError:
        return of_type(type(array))


def has_values(array: Any) -> bool:
    """Say whether single elements can be read: not of a batch, in a capture, or on the device "meta"."""
    return state.recorder is None and not hasattr(type(array), "transform") and device_of(array).type != "meta"


def of_type(array_type: type) -> Any:
    transform = getattr(array_type, "transform", None)
    if transform is not None:  # an array of a func transform, which holds a tensor of some device
        return transform
    if state.recorder is not None:
        return state.recorder
    return real_owner(array_type)


def real_owner(array_type: type) -> Any:
    """Return the backend of an array type, also while a capture stands in for it."""
    known = {found.array_type: found for found in list(_by_name.values())}
    for base in array_type.__mro__:  # the nearest: a device's arrays may be a subclass of another's
        if base in known:
            if not _recorders:
                _by_type[array_type] = known[base]
            return known[base]
    if issubclass(array_type, np.ndarray | np.generic):
        return backend_named(HOST)
    if hasattr(array_type, "recorder"):
        raise errors.escaped_symbol()
    raise TypeError(f"no loaded device has arrays of type {array_type.__module__}.{array_type.__qualname__}")


@contextmanager
def recording(recorder: Any) -> Iterator[None]:
    """Let a capture stand in for every backend on this thread: the tables that calls look in are emptied, so that each
    call asks again, and emptied once more at the end. Other threads go on as before."""
    _recorders.append(recorder)
    try:
        _forget()
        yield
    finally:
        _recorders.remove(recorder)
        _forget()


_watchers: list[Callable[[Op, Any, Callable[..., Any]], Callable[..., Any]]] = []


@contextmanager
def watching(watch: Callable[[Op, Any, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Let `watch(op, backend, kernel)` put something in the place of every kernel that runs, on all threads."""
    _watchers.append(watch)
    _forget()
    try:
        yield
    finally:
        _watchers.remove(watch)
        _forget()


def _forget() -> None:
    _by_type.clear()
    for op in OPS.values():
        op.kernels.clear()


def _intercepted(op: Op, kernel: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a kernel that is written down on a thread that captures, and run on every other."""

    def run(*args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None:
            return state.recorder.kernel(op)(*args, **kwargs)
        if kernel is None:
            raise errors.escaped_symbol()
        return kernel(*args, **kwargs)

    return run


def device_of(array: Any) -> device:
    """Return the device that a raw array is on."""
    found = of_array(array)
    if hasattr(found, "place"):  # a transform has no device of its own
        return found.place(array)  # type: ignore[no-any-return]
    place = device.__new__(device)
    place.type = found.name
    place.index = None if found.name == HOST else found.index_of(array)
    return place


def resolve(value: Any) -> device:
    """Return the device meant by a name, a device, an index, or None for the default."""
    if value is None:
        return default_device()
    return value if isinstance(value, device) else device(value)


def valueless(value: Any) -> bool:
    """Say whether the device meant has shapes and dtypes alone."""
    return getattr(resolve(value).backend, "valueless", False)


def default_device() -> device:
    """Return the device that new tensors are made on."""
    if _local.stack:
        return _local.stack[-1]
    global _default
    if _default is None:
        _default = device(os.environ.get("WENGERT_DEVICE", HOST))
    return _default


def chosen_device() -> device | None:
    """Return the device that `with device(...)`, or a default other than the host, says; None where nothing does."""
    place = default_device()
    return place if _local.stack or place.type != HOST else None


def get_default_device() -> device:
    """Return the device that new tensors are made on."""
    return default_device()


def set_default_device(value: Any) -> None:
    """Make new tensors on this device; None goes back to the host. Raises RuntimeError for an unknown one."""
    global _default
    chosen = device(HOST if value is None else value)
    backend_named(chosen.type)
    _default = chosen


def find_kernel(op: Op, array_type: type) -> Callable[..., Any]:
    """Return the kernel of `op` for arrays of a type: a plugin's, the device's own, a decomposition into other ops, or its
    text by other ops; else raise an error that says who lacks it. While a capture runs, one that asks first whether to write
    it down."""
    if hasattr(array_type, "transform"):
        return array_type.transform.kernel(op)  # type: ignore[no-any-return]
    if _recorders and issubclass(array_type, _recorders[-1].array_type):
        return _intercepted(op, None)
    owner = real_owner(array_type)
    kernel = kernel_of(op, owner)
    if kernel is None and not _recorders:
        registry.names("devices")  # looks for plugins: one may bring nothing but this kernel
        kernel = kernel_of(op, owner)
    if kernel is not None and hasattr(array_type, "widened"):  # arrays that compute in a wider type
        kernel = array_type.widened(op, kernel)
    if _recorders:
        return _intercepted(op, kernel)
    if kernel is None:
        remedy = f"a plugin can register one: registry.kernel({op.name!r}, {owner.name!r}, function)"
        raise errors.no_kernel(op, owner.name, remedy)
    for watch in _watchers:
        kernel = watch(op, owner, kernel)
    return kernel


def without_kernel(name: str) -> list[Op]:
    """Return the ops that nothing can compute on a device: no kernel, no text, no decomposition into other ops."""
    owner = device(name).backend
    return [op for _, op in sorted(OPS.items()) if _known_kernel(op, owner) is None]


def kernel_of(op: Op, owner: Any) -> Callable[..., Any] | None:
    found = _known_kernel(op, owner)
    return owner.last_resort(op) if found is None and hasattr(owner, "last_resort") else found


def _known_kernel(op: Op, owner: Any) -> Callable[..., Any] | None:
    from wengert.decompositions import TABLE
    from wengert.formulas import kernel as written

    found = _registered(op, owner, owner.name)
    if found is None and hasattr(owner, "xp"):  # a device made of an array module
        found = _registered(op, owner, "xp")
    return found or owner.kernel(op) or _registered(op, owner, "*") or TABLE.get(op.name) or written(op)


def _registered(op: Op, owner: Any, device: str) -> Callable[..., Any] | None:
    """Return the kernel that a plugin registered for a device, for array modules ("xp") or for all ("*")."""
    found = registry.kernel_for(op.name, device)
    if found is None:
        return None
    if device == "xp":
        found = owner.finish(op, functools.partial(found, owner))
    elif device == owner.name and hasattr(owner, "adapted"):
        found = owner.adapted(op, found)
    plugin = registry.kernels[op.name, device].plugin
    return watched_kernel(op, owner, found, plugin) if foreign(plugin) else found


Kernels.find = staticmethod(find_kernel)
