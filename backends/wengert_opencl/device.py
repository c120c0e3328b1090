"""The OpenCL device: the protocol, and the road from an op to its kernel.

Owns: `OpenCLBackend`, `host_fallback`. May import: wengert's protocol, arrays, the modules of kernels.
Must not know: tensors, gradients. A kernel that is missing is an error that names the op, unless the user asked for
`host_fallback`, which says once for each op that it ran on the host.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, give_operators, hosted
from wengert.op import OPS, Op
from wengert_opencl import maps
from wengert_opencl.array import Array
from wengert_opencl.runtime import NoDevice, found, runtime

Kernel = Callable[..., Any]
_quiet = contextlib.nullcontext()


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
        return [DeviceInfo(f"opencl:{i}", True, f"{d.name.strip()} by {d.platform.name}") for i, d in enumerate(every)]

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Array:
        host = np.ascontiguousarray(array.view(np.ndarray)).reshape(array.shape)
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
            found = maps.kernel_of(op)
        return found

    def operator(self, name: str) -> Kernel:
        """Return the kernel of another op."""
        return OPS[name].kernels[Array]
