"""OpenCL itself: devices, memory, programs, launches; all that this package asks of pyopencl.

Owns: `Runtime`, one a device: its context, its queue (in order, so memory that was given back can be used again at once),
its memory pool, and programs by their source. May import: pyopencl (inside functions), NumPy, the types of generated code.
Must not know: arrays, ops.
"""

from __future__ import annotations

import functools
import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert_codegen import CPU_PREAMBLE, PREAMBLE, Dialect

ITEMS = 4  # work items a core: enough that a slow one holds nobody up
ELEMENTS = 2048  # elements that a work item of a cpu has at least
GROUP = 128  # work items of a gpu that run together
MISSING = "pyopencl is not installed; pip install pyopencl (on a machine without a driver: pip install 'pyopencl[pocl]')"


class NoDevice(RuntimeError):
    """There is no OpenCL device; the message says why and what to do."""


@functools.cache
def found() -> tuple[Any, ...]:
    """Return pyopencl's devices: WENGERT_OPENCL_PLATFORM (a part of a platform's name) chooses among platforms.

    Raises NoDevice where there is none.
    """
    try:
        import pyopencl as cl
    except ImportError as error:
        raise NoDevice(f"{MISSING} ({error})") from None
    try:
        platforms = cl.get_platforms()
    except cl.Error as error:
        raise NoDevice(
            f"no OpenCL driver was found ({error}); pip install 'pyopencl[pocl]' brings one for the processor"
        ) from None
    wanted = os.environ.get("WENGERT_OPENCL_PLATFORM", "").lower()
    made = []
    for platform in platforms:
        if wanted in platform.name.lower():
            made += platform.get_devices()
    if not made:
        names = ", ".join(p.name for p in platforms)
        raise NoDevice(f"no OpenCL device was found on the platforms {names or '(none)'} (WENGERT_OPENCL_PLATFORM={wanted!r})")
    made.sort(key=lambda d: not d.type & cl.device_type.GPU)  # graphics cards first
    return tuple(made)


def on_processor(device: Any) -> bool:
    """Say whether a device is the processor that the host runs on."""
    import pyopencl as cl

    return bool(device.type & cl.device_type.CPU)


class Runtime:
    """A device ready for work."""

    def __init__(self, index: int) -> None:
        devices = found()
        import pyopencl as cl
        from pyopencl.tools import ImmediateAllocator, MemoryPool

        if not 0 <= index < len(devices):
            raise NoDevice(f"there is no device opencl:{index}: there are {len(devices)} (`wengert devices` lists them)")
        self.cl: Any = cl
        self.index, self.device = index, devices[index]
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context)
        self.pool = MemoryPool(ImmediateAllocator(self.queue))
        cpu = on_processor(self.device)
        self.dialect = Dialect(
            cpu and os.environ.get("WENGERT_OPENCL_DIALECT") != "gpu", self.device.max_compute_units,
            bool(self.device.double_fp_config),
        )  # fmt: skip
        exact = self.device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
        self.options = ["-w", *(["-cl-fp32-correctly-rounded-divide-sqrt"] if exact else [])]
        self.kernels: dict[tuple[str, str], Any] = {}
        self.sources: dict[str, str] = {}
        self.lock = threading.RLock()
        self.limit = self.device.global_mem_size

    # ---- memory
    def allocate(self, size: int) -> Any:
        """Return a buffer of at least this many bytes. Raises MemoryError where the device has none left."""
        cl = self.cl
        for attempt in range(2):
            if self.pool.active_bytes + size <= self.limit:
                try:
                    return self.pool.allocate(max(size, 16))
                except (cl.Error, MemoryError):
                    pass
            if not attempt:
                self.pool.free_held()
        raise MemoryError(
            f"opencl:{self.index} ({self.device.name}) has no {size} bytes left: {self.pool.active_bytes} of {self.limit} are "
            f"in use, and one array may have {self.device.max_mem_alloc_size}"
        )

    def upload(self, buffer: Any, host: np.ndarray[Any, Any]) -> None:
        host = host.view(np.uint16) if host.dtype.name == "bfloat16" else host  # a type that has no buffers
        self.cl.enqueue_copy(self.queue, buffer, host, is_blocking=True)

    def download(self, host: np.ndarray[Any, Any], buffer: Any, offset: int) -> None:
        host = host.view(np.uint16) if host.dtype.name == "bfloat16" else host
        self.cl.enqueue_copy(self.queue, host, buffer, src_offset=offset, is_blocking=True)

    def duplicate(self, target: Any, source: Any, size: int, offset: int) -> None:
        self.cl.enqueue_copy(self.queue, target, source, byte_count=size, src_offset=offset)

    # ---- programs
    def kernel(self, source: str, name: str, scalars: Sequence[Any]) -> Any:
        """Return a kernel of a source text, compiled when it is first asked for; scalars: a NumPy type for each argument that
        is a number, None for a buffer. Raises RuntimeError with the compiler's words."""
        with self.lock:
            made = self.kernels.get((source, name))
            if made is None:
                text = (CPU_PREAMBLE if self.dialect.cpu else "") + PREAMBLE + source
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # compilers say what they did
                    program = self.cl.Program(self.context, text).build(self.options, cache_dir=False)
                made = self.cl.Kernel(program, name)
                made.set_scalar_arg_dtypes(list(scalars))
                self.kernels[source, name] = made
                self.sources.setdefault(name, text)
            return made

    def launch(self, kernel: Any, items: tuple[int, ...], group: tuple[int, ...] | None, arguments: Sequence[Any]) -> None:
        with self.lock:
            kernel(self.queue, items, group, *arguments)

    # ---- how work is shared out
    def share(self, n: int, least: int = ELEMENTS) -> tuple[int, int]:
        """Return (work items, elements of each) for n elements: few and long on a cpu, one each on a gpu."""
        if not self.dialect.cpu:
            return n, 1
        chunk = max(least, -(-n // (self.dialect.cores * ITEMS)))
        return -(-n // chunk), chunk

    def grid(self, *items: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return global and local sizes; kernels let surplus work items do nothing."""
        if self.dialect.cpu:
            return items, (1,) * len(items)
        group = min(GROUP, self.device.max_work_group_size)
        return (-(-items[0] // group) * group, *items[1:]), (group, *(1,) * (len(items) - 1))


_runtimes: dict[int, Runtime] = {}
_lock = threading.Lock()


def runtime(index: int) -> Runtime:
    """Return the device of an index, made ready when it is first asked for."""
    made = _runtimes.get(index)
    if made is None:
        with _lock:
            made = _runtimes.get(index) or _runtimes.setdefault(index, Runtime(index))
    return made
