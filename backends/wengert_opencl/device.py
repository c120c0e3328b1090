"""The OpenCL device: the protocol, and the road from an op to its kernel.

Owns: `OpenCLBackend`. May import: wengert's protocol, arrays, the modules of kernels. Must not know: tensors, gradients.
A kernel that is missing is the host's business (`host`): on its own processor in the device's memory, else an error that names
the op, unless the user asked for `host_fallback`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, give_operators, hosted, native
from wengert.op import OPS, Op
from wengert_opencl import fused, host, maps, random
from wengert_opencl.array import Array
from wengert_opencl.runtime import NoDevice, found, in_use, on_processor, runtime, some_runtime

Kernel = Callable[..., Any]
_quiet = contextlib.nullcontext()


def source(device: int = 0) -> dict[str, str]:
    """Return the source of each kernel that was compiled for a device so far, by its name."""
    return dict(runtime(device).sources)


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
            DeviceInfo(f"opencl:{i}", True, f"{d.name.strip()} by {d.platform.name}; {host.roads(d)}", not on_processor(d))
            for i, d in enumerate(every)
        ]

    def index_named(self, text: str) -> int:
        """Return the first device whose platform's name, else whose own, has a text in it: other platforms' devices have the
        processor's maker in theirs. Raises RuntimeError where none has."""
        names = [f"{d.name.strip()} by {d.platform.name}" for d in found()]
        texts = [d.platform.name for d in found()] + names
        chosen = next((i % len(names) for i, name in enumerate(texts) if text.lower() in name.lower()), None)
        if chosen is None:
            raise RuntimeError(f"no OpenCL device is called {text!r}; there are {', '.join(names)}")
        return chosen

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Array:
        host = array.view(np.ndarray)
        maps.known("from_host", host.dtype)
        if 0 in host.strides and host.size > 1:  # what is there several times is uploaded once
            once = host[tuple([slice(0, None if s else 1) for s in host.strides])]
            if once.size < host.size:
                values = self.from_host(once, index)
                return maps.write(maps.new(values.runtime, host.shape, values.dtype), values)
        dtype = native(host.dtype)
        host = np.asarray(host, dtype, "C").reshape(host.shape)
        made = maps.new(runtime(index), host.shape, dtype)
        if host.size == 1:  # goes with the command: nobody waits for those before it
            maps.fill(made, host)
        elif host.size:
            made.runtime.upload(made.buffer, host)
        return made

    def filled(self, shape: Any, value: np.ndarray[Any, Any], index: int) -> Array:
        maps.known("filled", value.dtype)
        return maps.write(maps.new(runtime(index), shape, value.dtype), value)

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
        runtime(index).wait()

    def uniform(self, seed: int, first: int, shape: Any, dtype: np.dtype[Any], index: int) -> Array:
        """Return uniform values of the stream of a seed, from a block on: bit by bit those of the host."""
        return random.uniform(runtime(index), seed, first, tuple(shape), dtype)

    # ---- what wengert.opencl asks
    def memory_stats(self, index: int) -> dict[str, int]:
        device = runtime(index)
        used, held = device.pool.active_bytes, device.pool.managed_bytes
        return {"allocated": used, "reserved": held, "peak": max(device.peak, used), "limit": device.limit}

    def reset_peak(self, index: int) -> None:
        runtime(index).peak = 0

    def set_limit(self, limit: int | None, index: int) -> None:
        device = runtime(index)
        device.limit = device.device.global_mem_size if limit is None else int(limit)

    def empty_cache(self, index: int) -> None:
        device = runtime(index)
        device.wait()
        device.pool.free_held()

    def queue(self, index: int) -> Any:
        return runtime(index).queue

    def export(self, array: Array) -> Any:
        """Return an array as pyopencl's, of the same memory."""
        from pyopencl.array import Array as Theirs

        return Theirs(
            array.runtime.queue, array.shape, array.dtype, data=array.buffer, offset=array.offset, strides=array.strides
        )

    def adopt(self, array: Any) -> Array:
        """Return one of pyopencl's arrays as ours, of the same memory. Raises ValueError for one of a context of its own."""
        device = next((r for r in in_use() if r.context == array.context), None)
        if device is None:
            raise ValueError(
                "the array is in a context that wengert does not use; make it with the queue that wengert.opencl.queue() gives"
            )
        array.finish()
        maps.known("from_pyopencl", array.dtype)
        buffer = array.base_data if array.size else None
        return Array(device, buffer, array.offset, tuple(array.shape), tuple(array.strides), native(array.dtype))

    def around(self, array: Any, index: int) -> Array:
        """Return a NumPy array as ours, of the same memory."""
        device = runtime(index)
        if not host.shares_memory(device.device):
            raise RuntimeError(f"{device} does not work in the host's memory; .to('opencl:{index}') copies the array there")
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise RuntimeError("an array that is read-only or not contiguous cannot be shared; .copy() it")
        maps.known("from_numpy", array.dtype)
        buffer = device.around(array) if array.size else None
        return Array(device, buffer, 0, array.shape, array.strides, native(array.dtype))

    def kernel(self, op: Op) -> Kernel | None:
        if self.table is None:
            from wengert_opencl import structural

            self.table = structural.table(self)
        found = self.table.get(op.name)
        if found is None and op.elementwise:
            found = maps.kernel_of(op, self.last_resort)
            if found is not None and op.name in host.FASTER:
                found = host.faster(found, self.last_resort(op))
        return found

    def fused(self, equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Kernel | None:
        """Return one kernel for a group of equations: see `wengert.backend.Fusing`."""
        return fused.fused(some_runtime(), equations, inputs, outputs)

    def last_resort(self, op: Op, error: maps.Missing | None = None) -> Kernel:
        """Return what runs where there is no kernel: the host, in the device's memory or if the user asked, else an error."""
        return host.kernel_for(op, error, self.from_host, self.to_host)

    def operator(self, name: str) -> Kernel:
        """Return the kernel of another op."""
        return OPS[name].kernels[Array]
