"""The OpenCL device: the protocol, and the road from an op to its kernel.

Owns: `OpenCLBackend`, `host_fallback`. May import: wengert's protocol, arrays, the modules of kernels.
Must not know: tensors, gradients. A kernel that is missing is an error that names the op, unless the user asked for
`host_fallback`, which says once for each op that it ran on the host.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, give_operators, hosted
from wengert.op import OPS, Op
from wengert_opencl import maps
from wengert_opencl.array import Array
from wengert_opencl.runtime import NoDevice, found, on_processor, runtime

Kernel = Callable[..., Any]
_quiet = contextlib.nullcontext()
_told: set[str] = set()  # ops whose fallback was warned of
_allowed: contextvars.ContextVar[bool] = contextvars.ContextVar("host_fallback", default=False)


def on_the_host() -> bool:
    """Say whether ops without a kernel may run on the host."""
    return _allowed.get() or os.environ.get("WENGERT_HOST_FALLBACK", "") not in ("", "0")


@contextlib.contextmanager
def host_fallback() -> Iterator[None]:
    """Let ops that have no OpenCL kernel run on the host, with a warning the first time for each op."""
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def source(device: int = 0) -> dict[str, str]:
    """Return the source of each kernel that was compiled for a device so far, by its name."""
    return dict(runtime(device).sources)


def flat(values: Any) -> list[Any]:
    return [v for a in values for v in (a if isinstance(a, tuple | list) else (a,))]


def grafted(value: Any, change: Callable[[Array], Any]) -> Any:
    """Return a value with its arrays changed."""
    if isinstance(value, tuple | list) and any(type(v) is Array for v in value):
        return tuple([grafted(v, change) for v in value])
    return change(value) if type(value) is Array else value


class OpenCLBackend:
    """Every OpenCL device of this machine, by index: graphics cards first."""

    name = "opencl"
    array_type = Array

    def __init__(self) -> None:
        give_operators(Array)
        self.table: dict[str, Kernel] | None = None

    # ---- the protocol
    def devices(self) -> list[DeviceInfo]:
        try:
            every = found()
        except NoDevice as error:
            return [DeviceInfo("opencl", False, str(error))]
        return [
            DeviceInfo(f"opencl:{i}", True, f"{d.name.strip()} by {d.platform.name}", not on_processor(d))
            for i, d in enumerate(every)
        ]

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Array:
        host = np.asarray(array.view(np.ndarray), array.dtype.newbyteorder("="), "C").reshape(array.shape)
        maps.known("from_host", host.dtype)
        made = maps.new(runtime(index), host.shape, host.dtype)
        if host.size:
            made.runtime.upload(made.buffer, host)
        return made

    def to_host(self, array: Array) -> np.ndarray[Any, Any]:
        array = maps.packed(array)
        made = np.empty(array.shape, array.dtype)
        if array.size:
            array.runtime.download(made, array.buffer, array.offset)
        return hosted(made)  # type: ignore[no-any-return]

    def copy(self, array: Array) -> Array:
        return maps.copy(array)

    def write(self, target: Array, values: Any) -> Array:
        if isinstance(values, np.ndarray) and values.ndim:
            values = self.from_host(values, target.runtime.index)
        return maps.write(target, values)

    def add_into(self, target: Array, values: Array) -> None:
        self.operator("add")(target, values, out=target)

    def address(self, array: Array) -> int:
        return 0 if array.buffer is None else int(array.buffer.int_ptr) + array.offset

    def index_of(self, array: Array) -> int:
        return array.runtime.index

    def quiet(self) -> Any:
        return _quiet  # no kernel warns of anything

    def synchronize(self, index: int) -> None:
        runtime(index).queue.finish()

    def kernel(self, op: Op) -> Kernel | None:
        if self.table is None:
            from wengert_opencl import structural

            self.table = structural.table(self)
        found = self.table.get(op.name)
        if found is None and op.elementwise:
            found = maps.kernel_of(op, self.last_resort)
        return found

    def last_resort(self, op: Op, error: maps.Missing | None = None) -> Kernel:
        """Return what runs where there is no kernel: the host, if the user asked for that, else an error."""
        what = f"this op ({op.face})" if op.face != op.name else "this op"

        def run(*args: Any, out: Any = ...) -> Any:
            if not on_the_host():
                raise error or maps.Missing(maps.without(op.name, what))
            if op.name not in _told:
                _told.add(op.name)
                warnings.warn(f"{op.name} ran on the host, as host_fallback asks: its arrays went there and back", stacklevel=3)
            arrays = [a for a in flat(args) if type(a) is Array]
            index = arrays[0].runtime.index
            hosts = [grafted(a, self.to_host) for a in args]
            made = OPS[op.name].kernels[np.ndarray](*hosts, **({"out": ...} if op.elementwise else {}))
            if isinstance(made, tuple):
                return tuple([self.from_host(m, index) for m in made])
            made = self.from_host(np.asarray(made), index)
            return made if out is ... else self.write(out, made)

        return run

    def operator(self, name: str) -> Kernel:
        """Return the kernel of another op."""
        return OPS[name].kernels[Array]
