"""OpenCL itself: devices, memory, programs, launches; all that this package asks of pyopencl.

Owns: `Runtime`, one a device: its context, its queue (in order, so memory that was given back can be used again at once),
its memory pool, and programs by their source. May import: pyopencl (inside functions), NumPy, the types of generated code,
wengert's error for memory.
Must not know: arrays, ops.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import struct
import sysconfig
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wengert.backend import OutOfMemoryError
from wengert_codegen import CPU_PREAMBLE, PREAMBLE, Dialect
from wengert_opencl.declarations import PLATFORMS, declarations, halves, is_narrow

ITEMS = 4  # work items a core: enough that a slow one holds nobody up
ELEMENTS = 2048  # elements that a work item of a cpu has at least
GROUP = 128  # work items of a gpu that run together
RETIRED = 1 << 26  # bytes of the host's that are kept for a device that nobody waits for
MISSING = "pyopencl is not installed; pip install pyopencl (on a machine without a driver: pip install 'pyopencl[pocl]')"


SHORT = (-4, -5, -6)  # codes of OpenCL: no memory for an object, for the kernel, on the host
LOST = (-2, -34, -36)  # the device, its context or its queue is none any more
SCHEMES = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
SYSTEM = ("/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib")
Drivers = Mapping[str, tuple[str, Sequence[str]]]
DRIVERS: dict[str, tuple[str, Sequence[str]]] = {  # libraries that no file may name, and the folders that they are put in
    "nvidia": ("libnvidia-opencl.so.1", SYSTEM),
    "intel": ("libintelocl.so", tuple([sysconfig.get_path("data", s) + "/lib" for s in SCHEMES])),
}  # fmt: skip
FORKED = (
    "Cannot re-initialize OpenCL in forked subprocess. To use OpenCL with multiprocessing, you must use the 'spawn' start "
    "method; workers of a DataLoader make tensors of device 'cpu'"
)
INTEL_NEEDS = "libimf.so"  # that the package intel-opencl-rt asks for without saying so


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
    find_drivers()
    try:
        platforms = cl.get_platforms()
    except cl.Error as error:
        raise NoDevice(
            f"no OpenCL driver was found ({error}); "
            + (incomplete() or "pip install 'pyopencl[pocl]' brings one for the processor")
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


def find_drivers(drivers: Drivers = DRIVERS, vendors: str = "/etc/OpenCL/vendors") -> str | None:
    """Tell the loader of libraries that nothing names: NVIDIA's in containers, Intel's as pip installs it. Return the folder
    that names them now, None where none was found.

    Only where the user has not said by OCL_ICD_VENDORS or OPENCL_VENDOR_PATH where drivers are.
    """
    if {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"} & set(os.environ):
        return None
    known = {path.name: path.read_text(errors="replace") for path in sorted(Path(vendors).glob("*.icd"))}
    added = {}
    for name, (library, places) in drivers.items():
        found = next((p for place in places for p in [Path(place, library)] if p.exists()), None)
        if found is not None and not any([library.partition(".")[0] in text for text in known.values()]):
            added[f"{name}.icd"] = f"{found}\n"
    if not added:
        return None
    folder = Path(tempfile.mkdtemp(prefix="wengert-opencl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file, text in {**known, **added}.items():
        (folder / file).write_text(text)
    os.environ["OCL_ICD_VENDORS"] = str(folder)
    return str(folder)


def incomplete() -> str:
    """Return what to do about Intel's package where a library is missing that it needs, else nothing."""
    library, places = DRIVERS["intel"]
    for place in places:
        if Path(place, library).exists() and not Path(place, INTEL_NEEDS).exists():
            return f"intel-opencl-rt is installed without {INTEL_NEEDS}; pip install intel-cmplr-lib-rt"
    return ""


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
        self.on_processor = on_processor(self.device)
        self.dialect = Dialect(
            self.on_processor and os.environ.get("WENGERT_OPENCL_DIALECT") != "gpu", self.device.max_compute_units,
            bool(self.device.double_fp_config),
        )  # fmt: skip
        exact = self.device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
        self.options = ["-w", *(["-cl-fp32-correctly-rounded-divide-sqrt"] if exact else [])]
        self.options += os.environ.get("WENGERT_OPENCL_OPTIONS", "").split()  # for the compiler, as -cl-opt-disable
        self.without_header = PLATFORMS.get(self.device.platform.name)
        self.narrow = is_narrow(self.device.version, self.device.native_vector_width_float)
        self.kernels: dict[tuple[str, str], Any] = {}
        self.sources: dict[str, str] = {}
        self.lock = threading.RLock()
        self.limit = int(os.environ.get("WENGERT_OPENCL_MEMORY", 0)) or self.device.global_mem_size
        self.peak = 0
        self.retired: list[np.ndarray[Any, Any]] = []  # arrays of the host that buffers were, which the device may still read
        self.flag = Flag(self)

    # ---- memory
    def allocate(self, size: int) -> Any:
        """Return a buffer of at least this many bytes. Raises OutOfMemoryError where the device has none left, also after
        what was kept for reuse was given back."""
        for attempt in range(2):
            used = self.pool.active_bytes + size
            if used <= self.limit:
                try:
                    buffer = self.pool.allocate(size if size > 16 else 16)
                except (self.cl.Error, MemoryError):
                    pass
                else:
                    if used > self.peak:
                        self.peak = used
                    return buffer
            if not attempt:
                self.queue.finish()
                self.pool.free_held()
        raise OutOfMemoryError(
            f"{self} has no {size} bytes left: {self.pool.active_bytes} of its limit of {self.limit} are in use, and one array "
            f"may have {self.device.max_mem_alloc_size}"
        )

    def __str__(self) -> str:
        return f"opencl:{self.index} ({self.device.name.strip()})"

    def upload(self, buffer: Any, host: np.ndarray[Any, Any]) -> None:
        host = host.view(np.uint16) if host.dtype.name == "bfloat16" else host  # a type that has no buffers
        self.cl.enqueue_copy(self.queue, buffer, host, is_blocking=True)

    def download(self, host: np.ndarray[Any, Any], buffer: Any, offset: int) -> None:
        host = host.view(np.uint16) if host.dtype.name == "bfloat16" else host
        with self.waited():
            self.cl.enqueue_copy(self.queue, host, buffer, src_offset=offset, is_blocking=True)

    def wait(self) -> None:
        """Wait until all that was asked for is done. Raises IndexError where an index was out of range."""
        with self.waited():
            self.queue.finish()

    @contextlib.contextmanager
    def waited(self) -> Iterator[None]:
        """A context in which the device is waited for: memory of the host's that it may have read until then is let go."""
        held, self.retired = self.retired, []
        yield
        del held
        self.flag.settle()

    def duplicate(self, target: Any, source: Any, size: int, offset: int, to: int = 0) -> None:
        """Copy bytes from one buffer to another."""

        def run() -> None:
            self.cl.enqueue_copy(self.queue, target, source, byte_count=size, src_offset=offset, dst_offset=to)

        self.attempt("copy", (size,), run)

    def fill(self, buffer: Any, value: np.ndarray[Any, Any], size: int, offset: int) -> None:
        """Repeat a value in bytes of a buffer."""
        pattern = value.reshape(1).view(np.uint8)
        self.attempt("fill", (size,), lambda: self.cl.enqueue_fill_buffer(self.queue, buffer, pattern, offset, size))

    def around(self, host: np.ndarray[Any, Any]) -> Any:
        """Return a buffer that is a NumPy array's memory, which is kept until the device is waited for after the buffer's end:
        a driver keeps its own memory for what it was asked to do, but not this. For devices that work there."""
        if sum([a.nbytes for a in self.retired]) > RETIRED:
            self.wait()
        seen = host.view(np.uint8).reshape(-1) if host.ndim else host.reshape(1).view(np.uint8)  # only the buffer has it
        weakref.finalize(seen, lambda: self.retired.append(host)).atexit = False
        flags = self.cl.mem_flags
        return self.cl.Buffer(self.context, flags.READ_WRITE | flags.USE_HOST_PTR, hostbuf=seen)

    def map(self, buffer: Any, offset: int, size: int) -> np.ndarray[Any, Any]:
        """Return bytes of a buffer where they are, once what was asked for is done; `unmap` gives them back."""
        flags = self.cl.map_flags
        how = flags.READ | flags.WRITE
        with self.waited():
            data, _ = self.cl.enqueue_map_buffer(self.queue, buffer, how, offset, size, np.uint8, is_blocking=True)
        return data  # type: ignore[no-any-return]

    def unmap(self, data: np.ndarray[Any, Any]) -> None:
        held: Any = data.base
        held.release(self.queue)

    # ---- programs
    def kernel(self, source: str, name: str, scalars: Sequence[Any]) -> Any:
        """Return a kernel of a source text, compiled when it is first asked for; scalars: a NumPy type for each argument that
        is a number, None for a buffer. Raises RuntimeError with the compiler's words."""
        with self.lock:
            made = self.kernels.get((source, name))
            if made is None:
                size = 8 * len(scalars)
                if size > self.device.max_parameter_size:
                    raise RuntimeError(
                        f"{name}: {size} bytes of kernel parameters, and {self} takes {self.device.max_parameter_size}; "
                        f"make the arrays contiguous, or give them fewer dims"
                    )
                text = (CPU_PREAMBLE if self.dialect.cpu else "") + PREAMBLE + source
                try:
                    made = self.compiled(text, name)
                except self.cl.Error as error:
                    raise RuntimeError(f"{name}: {self} does not compile this kernel: {error}\n{text}") from error
                made = self.kernels[source, name] = Kernel(made, name, scalars)
                self.sources.setdefault(name, text)
            return made

    def compiled(self, text: str, name: str) -> Any:
        """Return a kernel of a text, by the short way where there is one and it works."""
        defined = halves(text) if self.narrow else ""
        ways = [(defined + text, self.options)]
        if self.without_header is not None:
            ways.insert(0, (declarations(text, self.narrow) + defined + text, [*self.options, self.without_header]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # compilers say what they did
            for text, options in ways:
                try:
                    return self.cl.Kernel(self.cl.Program(self.context, text).build(options, cache_dir=False), name)
                except self.cl.Error:
                    if options is self.options:
                        raise

    def launch(self, kernel: Any, items: tuple[int, ...], group: tuple[int, ...] | None, arguments: Sequence[Any]) -> None:
        with self.lock:
            try:
                kernel(self.queue, items, group, arguments)
            except self.cl.Error as error:
                self.failed(kernel.name, items, lambda: kernel(self.queue, items, group, arguments), error)

    def attempt(self, name: str, items: Any, run: Callable[[], Any]) -> None:
        """Run a command as `launch` does a kernel."""
        try:
            run()
        except self.cl.Error as error:
            self.failed(name, items, run, error)

    def failed(self, name: str, items: Any, run: Callable[[], Any], error: Any) -> None:
        """Run a command once more where memory was short; else raise an error that says what became of the device."""
        if error.code in SHORT:
            self.queue.finish()
            self.pool.free_held()
            try:
                run()
                return
            except self.cl.Error as again:
                raise OutOfMemoryError(f"{name}: {self} has no memory left to run this kernel: {again}") from again
        if error.code in LOST:
            raise RuntimeError(
                f"{name}: {self} was lost ({error}): its driver was reset or it was taken away; its arrays are gone, and this "
                f"process cannot use it again"
            ) from error
        raise RuntimeError(f"{name}: {self} does not run this kernel over {items}: {error}") from error

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


class Forked(Runtime):
    """A device in a process that was forked from the one that made it ready: a driver's threads are not there, and whoever asks
    it for anything would wait for ever."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("queue", "pool", "context"):
            raise RuntimeError(FORKED)
        return super().__getattribute__(name)


@functools.cache
def packer(char: str) -> Callable[[Any], bytes]:
    """Return what makes bytes of numbers of a NumPy type."""
    if char in "FD":
        pair = struct.Struct(char.lower() * 2).pack
        return lambda value: pair(value.real, value.imag)
    return struct.Struct(char).pack


class Kernel:
    """A compiled kernel. The numbers among its arguments stay as they were set: what has not changed is not set again."""

    __slots__ = ("name", "made", "packs", "known", "set_bytes", "enqueue")

    def __init__(self, made: Any, name: str, types: Sequence[Any]) -> None:
        """types: NumPy's of each argument that is a number, None for a buffer."""
        import pyopencl as cl

        self.made, self.name, self.enqueue = made, name, cl.enqueue_nd_range_kernel
        self.set_bytes = getattr(made, "_set_arg_buf", made.set_arg)  # the public way tries what else bytes might be, for 9 us
        self.packs = [None if t is None else packer(np.dtype(t).char) for t in types]
        self.known: list[Any] = [self] * len(self.packs)

    def __call__(self, queue: Any, items: Any, group: Any, arguments: Sequence[Any]) -> None:
        known, set_arg, i = self.known, self.made.set_arg, 0
        for value, old, pack in zip(arguments, known, self.packs, strict=True):
            if value is not old:
                if pack is None:
                    set_arg(i, value)  # not kept: the pool is to have its memory back
                elif value != old or type(value) is not int:  # 0.0 is -0.0
                    self.set_bytes(i, pack(value))
                    known[i] = value
            i += 1
        self.enqueue(queue, self.made, items, group)


class Flag:
    """Where kernels of a device say that an index was out of range: [which kernel, the index, the size of its dim]."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.host = np.zeros(3, np.int64)
        self.shared = runtime.on_processor and bool(runtime.device.host_unified_memory)
        self.names = [""]
        self.used = False
        self._buffer: Any = None

    @property
    def buffer(self) -> Any:
        self.used = True
        if self._buffer is None:
            flags = self.runtime.cl.mem_flags
            how = flags.USE_HOST_PTR if self.shared else flags.COPY_HOST_PTR
            self._buffer = self.runtime.cl.Buffer(self.runtime.context, flags.READ_WRITE | how, hostbuf=self.host)
        return self._buffer

    def code(self, name: str) -> int:
        """Return the number that a kernel puts in the flag."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def settle(self) -> None:
        """Look at the flag, the device being done with what it was asked. Raises IndexError where it is set."""
        if not self.used:
            return
        self.used = False
        cl, queue = self.runtime.cl, self.runtime.queue
        if not self.shared:
            cl.enqueue_copy(queue, self.host, self._buffer, is_blocking=True)
        code, index, size = self.host.tolist()
        if code:
            self.host[:] = 0
            if not self.shared:
                cl.enqueue_copy(queue, self._buffer, self.host, is_blocking=True)
            raise IndexError(
                f"index {index} is out of bounds for dimension with size {size} (kernel {self.names[code]} on {self.runtime}; "
                f"found when the device was waited for, so perhaps in an earlier call)"
            )


_runtimes: dict[int, Runtime] = {}
_inherited = False  # whether the drivers are those of another process
_lock = threading.Lock()


def runtime(index: int) -> Runtime:
    """Return the device of an index, made ready when it is first asked for."""
    made = _runtimes.get(index)
    if made is None:
        if _inherited:
            raise RuntimeError(FORKED)
        with _lock:
            made = _runtimes.get(index) or _runtimes.setdefault(index, Runtime(index))
    return made


def forked() -> None:
    """Leave the devices to the process that this one was forked from, if it asked the drivers for any."""
    global _inherited
    for made in _runtimes.values():
        made.__class__ = Forked
    _inherited = _inherited or found.cache_info().currsize > 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forked)


def in_use() -> list[Runtime]:
    """Return the devices that were asked for so far."""
    return list(_runtimes.values())


def some_runtime() -> Runtime:
    """Return a device that is in use, the first one otherwise."""
    return next(iter(in_use()), None) or runtime(0)
