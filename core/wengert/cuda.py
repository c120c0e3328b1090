"""`wengert.cuda`: what programs ask about the CUDA device, in PyTorch's words.

Owns: the answers, what `.cuda()` means on a machine without one, streams, events, graphs, memory. May import: backend,
registry; ops and compat late. Must not know: CuPy; the device's package answers by its `services`.
Without a device questions have the answer "none" (0 bytes, not initialised), and what needs one raises RuntimeError.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from wengert import backend
from wengert.errors import OutOfMemoryError as OutOfMemoryError
from wengert.registry import registry

_warned = False
# Names that are kept elsewhere, by the module that has them.
_ELSEWHERE = {
    "amp": "wengert.compat.amp", "get_rng_state": "wengert.ops.random", "set_rng_state": "wengert.ops.random",
    "initial_seed": "wengert.ops.random", "seed": "wengert.ops.random", "seed_all": "wengert.ops.random",
    "manual_seed": "wengert.ops.random", "manual_seed_all": "wengert.ops.random",
}  # fmt: skip
_SAME = {"manual_seed_all": "manual_seed", "seed_all": "seed", "amp": ""}  # one stream of random numbers serves every device


# ---- what there is
def _infos() -> list[backend.DeviceInfo]:
    if "cuda" not in registry.tables["devices"] and not registry.has("devices", "cuda"):
        return []
    return [info for info in backend.backend_named("cuda").devices() if info.available]


def is_available() -> bool:
    """Say whether there is a CUDA device that works."""
    return bool(_infos())


def device_count() -> int:
    """Return the number of CUDA devices."""
    return len(_infos())


def _services(name: str) -> Any:
    """Return what the device's package offers. Raises RuntimeError, naming the function, where there is no device."""
    if not is_available():
        raise RuntimeError(f"cuda.{name}: no CUDA device is available here; `wengert devices` says why")
    found = getattr(backend.backend_named("cuda"), "services", None)
    if found is None:
        raise NotImplementedError(f"cuda.{name}: the package of this device does not offer it")
    return found


def _index(device: Any, services: Any) -> int:
    if device is None:
        return int(services.current())
    if isinstance(device, int):
        return device
    place = backend.resolve(device)
    if place.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {place}")
    return int(services.current()) if place.index is None else place.index


def init() -> None:
    """Raise RuntimeError where there is no CUDA device."""
    _services("init")


_lazy_init = init


def get_arch_list() -> list[str]:
    """Return the architectures that kernels are compiled for: those of the cards that are here."""
    if not is_available():
        return []
    services = _services("get_arch_list")
    return sorted({"sm_{}{}".format(*services.card(i).capability) for i in range(device_count())})


def is_initialized() -> bool:
    """Say whether there is a device: it needs no other preparation."""
    return is_available()


def current_device() -> int:
    """Return the index of the current CUDA device; 0 where there is none."""
    return int(_services("current_device").current()) if is_available() else 0


def set_device(device: Any) -> None:
    """Make a device the current one, on which `device="cuda"` is. Raises RuntimeError where it is not there."""
    services = _services("set_device")
    services.use(_index(device, services))


def get_device_name(device: Any = None) -> str:
    """Return the card's name. Raises RuntimeError without one."""
    services = _services("get_device_name")
    return str(services.card(_index(device, services)).name)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the card's compute capability, as (9, 0). Raises RuntimeError without one."""
    services = _services("get_device_capability")
    major, minor = services.card(_index(device, services)).capability
    return major, minor


class _Properties:
    """What is known of a card."""

    def __init__(self, card: Any) -> None:
        self.name, self.total_memory, self.multi_processor_count = card.name, card.memory, card.processors
        self.major, self.minor = card.capability

    def __repr__(self) -> str:
        return (
            f"_CudaDeviceProperties(name={self.name!r}, major={self.major}, minor={self.minor}, "
            f"total_memory={self.total_memory // 2**20}MB, multi_processor_count={self.multi_processor_count})"
        )


def get_device_properties(device: Any = None) -> Any:
    """Return the card's name, compute capability, memory and number of processors. Raises RuntimeError without one."""
    services = _services("get_device_properties")
    return _Properties(services.card(_index(device, services)))


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Say whether there is a card; bfloat16 is computed in float32 and rounded once, by every kernel."""
    return is_available()


def synchronize(device: Any = None) -> None:
    """Wait until the device has done what it was asked. Raises IndexError where an index was out of range on the way."""
    if is_available():
        owner = backend.backend_named("cuda")
        services = getattr(owner, "services", None)
        owner.synchronize(0 if services is None else _index(device, services))


# ---- `.cuda()` without a device
def accelerator() -> str:
    """Return the device that `.cuda()` means: CUDA, or without it this machine's best device, saying so once.

    WENGERT_CUDA_FALLBACK=0 makes the second case an error, as in PyTorch.
    """
    global _warned
    if is_available():
        return "cuda"
    if os.environ.get("WENGERT_CUDA_FALLBACK") == "0":
        raise RuntimeError("no CUDA device is available here; `wengert devices` says why")
    best = best_device()
    if not _warned:
        _warned = True
        warnings.warn(
            f"no cuda device is available: .cuda() and cuda.*Tensor use {best!r} here "
            f"(WENGERT_CUDA_FALLBACK=0 makes this an error; `wengert devices` says why)",
            UserWarning,
            stacklevel=3,
        )
    return best


def best_device() -> str:
    """Return the fastest kind of device that works here: cuda, then any other accelerator, then the host (which beats an
    OpenCL driver for the same processor)."""
    names = registry.names("devices")
    for name in sorted(names, key=lambda n: (n != "cuda", n)):
        infos = [] if name == backend.HOST else backend.infos(name)
        if any(info.available and info.accelerator for info in infos):
            return name
    return backend.HOST


# ---- memory
def _memory(name: str, place: int, device: Any, peak: bool = False) -> int:
    if not is_available():
        return 0
    services = _services(name)
    index = _index(device, services)
    return int((services.peak(index) if peak else services.memory(index))[place])


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that tensors have; 0 without a device."""
    return _memory("memory_allocated", 0, device)


def memory_reserved(device: Any = None) -> int:
    """Return the bytes that were asked of the card, with those kept for reuse; 0 without a device."""
    return _memory("memory_reserved", 1, device)


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that tensors had at one of the times that any of these functions was called."""
    return _memory("max_memory_allocated", 0, device, True)


def max_memory_reserved(device: Any = None) -> int:
    """Return the most bytes that were held at one of the times that any of these functions was called."""
    return _memory("max_memory_reserved", 1, device, True)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Forget the most that was in use."""
    if is_available():
        services = _services("reset_peak_memory_stats")
        services.forget_peak(_index(device, services))


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def memory_stats(device: Any = None) -> dict[str, int]:
    """Return the bytes in use and reserved, now and at most, by PyTorch's names; nothing without a device."""
    if not is_available():
        return {}
    return {
        "allocated_bytes.all.current": memory_allocated(device), "allocated_bytes.all.peak": max_memory_allocated(device),
        "reserved_bytes.all.current": memory_reserved(device), "reserved_bytes.all.peak": max_memory_reserved(device),
    }  # fmt: skip


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return a table of what tensors, and graphs kept for backward, hold on the cards."""
    from wengert import profiler

    return profiler.memory_summary("cuda" if device is None or isinstance(device, int) else device)


def ipc_collect() -> None:
    """Return at once: no memory is shared between processes."""


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Ask the card for no more than a part of its memory. Raises RuntimeError without one."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    services = _services("set_per_process_memory_fraction")
    services.limit(_index(device, services), fraction)


def empty_cache() -> None:
    """Give unused memory back to the card, where there is one."""
    if is_available():
        _services("empty_cache").empty_cache()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return the card's free bytes and all of its. Raises RuntimeError without one."""
    services = _services("mem_get_info")
    free, total = services.free(_index(device, services))
    return free, total


# ---- random numbers: one stream serves every device
def get_rng_state_all() -> list[Any]:
    """Return the state of the default stream, which serves every device, in a list."""
    return [__getattr__("get_rng_state")()]


def set_rng_state_all(new_states: Any) -> None:
    """Set the state of the default stream by a list of one."""
    for state in new_states:
        __getattr__("set_rng_state")(state)


# ---- streams and events
class Stream:
    """A queue of work. Without a device there is one, in which everything happens in order."""

    def __init__(self, device: Any = None, priority: int = 0, *, raw: Any = None) -> None:
        self.device, self._inside = device, list[Any]()
        if raw is None and is_available():
            services = _services("Stream")
            raw = services.stream(priority, _index(device, services))
            self.device = backend.device("cuda", raw.device_id)
        self.raw = raw

    def __enter__(self) -> Stream:
        if self.raw is not None:
            context = _services("Stream").on(self.raw)
            context.__enter__()
            self._inside.append(context)
        return self

    def __exit__(self, *error: object) -> None:
        if self._inside:
            self._inside.pop().__exit__(*error)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    @property
    def cuda_stream(self) -> int:
        """CUDA's handle, which other libraries take."""
        return 0 if self.raw is None else int(self.raw.ptr)

    def synchronize(self) -> None:
        """Wait until all of its work is done."""
        if self.raw is not None:
            self.raw.synchronize()

    def query(self) -> bool:
        """Say whether all of its work is done."""
        return True if self.raw is None else bool(self.raw.done)

    def record_event(self, event: Any = None) -> Event:
        """Return an event that comes when the work so far is done."""
        event = Event() if event is None else event
        event.record(self)
        return event  # type: ignore[no-any-return]

    def wait_event(self, event: Any) -> None:
        """Let later work wait for an event."""
        if self.raw is not None and event.raw is not None:
            self.raw.wait_event(event.raw)

    def wait_stream(self, stream: Any) -> None:
        """Let later work wait for what another stream has now."""
        if self.raw is not None:
            self.wait_event(stream.record_event())


class ExternalStream(Stream):
    """A queue of work that another library has made, by CUDA's handle. Raises RuntimeError without a device."""

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        services = _services("ExternalStream")
        super().__init__(device, raw=services.external(stream_ptr, _index(device, services)))


def current_stream(device: Any = None) -> Stream:
    """Return the stream that a device's work is put on: CuPy's current one."""
    if not is_available():
        return Stream(device)
    services = _services("current_stream")
    index = _index(device, services)
    return Stream(backend.device("cuda", index), raw=services.current_stream(index))


def default_stream(device: Any = None) -> Stream:
    """Return the stream that work is put on unless another was chosen."""
    if not is_available():
        return Stream(device)
    services = _services("default_stream")
    return Stream(backend.device("cuda", _index(device, services)), raw=services.default_stream())


def set_stream(stream: Any) -> None:
    """Put work on a stream from here on."""
    if stream is not None and stream.raw is not None:
        stream.raw.use()


def stream(stream: Any) -> Any:
    """Return a context in which work is put on a stream; None changes nothing."""
    return contextlib.nullcontext() if stream is None else stream


class Event:
    """A point in the work of a stream; with `enable_timing` also in time."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.raw = _services("Event").event(enable_timing, blocking) if is_available() else None
        self._at: float | None = None

    def record(self, stream: Any = None) -> None:
        """Put the event on a stream, the current one by default."""
        if self.raw is not None:
            self.raw.record(None if stream is None else stream.raw)
        self._at = time.perf_counter()

    def synchronize(self) -> None:
        """Wait until it has come."""
        if self.raw is not None:
            self.raw.synchronize()

    def wait(self, stream: Any = None) -> None:
        """Let later work of a stream, the current one by default, wait for it."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Say whether it has come."""
        return True if self.raw is None else bool(self.raw.done)

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds from this event to another. Raises RuntimeError where one was not recorded."""
        if self._at is None or end_event._at is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        if self.raw is not None and end_event.raw is not None:
            return float(_services("Event").elapsed(self.raw, end_event.raw))
        return (end_event._at - self._at) * 1000


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Return False: memory goes from card to card over the host."""
    return False


class nvtx:
    """Names for parts of a program, which NVIDIA's profilers show; here they are said to nobody."""

    range_push = staticmethod(lambda msg: 0)
    range_pop = staticmethod(lambda: 0)
    mark = staticmethod(lambda msg: None)
    range = staticmethod(lambda msg, *args, **kwargs: contextlib.nullcontext())


class device:
    """A context in which a CUDA device is the current one; without any it changes nothing."""

    def __init__(self, device: Any) -> None:
        self.given = device
        self._context: Any = contextlib.nullcontext()

    def __enter__(self) -> None:
        if self.given is not None and is_available():
            services = _services("device")
            self._context = services.device(_index(self.given, services))
        self._context.__enter__()

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)


class device_of(device):
    """A context in which the device of a tensor is the current one; for tensors elsewhere it changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else None)


# ---- graphs
class CUDAGraph:
    """Work that was written down once and is done again, by one launch. Capture it with `graph`, then `replay()`.

    It reads and writes the memory that it used when it was captured: put new inputs there by copy_().
    """

    def __init__(self) -> None:
        self._graph: Any = None

    def replay(self) -> None:
        """Do the work again, on the current stream; random numbers go on in the default stream. Raises RuntimeError before a
        capture."""
        if self._graph is None:
            raise RuntimeError("CUDAGraph.replay: nothing was captured; `with wengert.cuda.graph(g): ...` captures")
        if not self._graph.blocks:
            self._graph.launch()
            return
        from wengert.ops.random import default_generator

        self._graph.launch(*default_generator.taken(self._graph.blocks))

    def reset(self) -> None:
        """Forget the work."""
        self._graph = None

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Write down what is put on the current stream from here on, which must not be the default one."""
        self._capture = graph(self, pool, current_stream())
        self._capture.__enter__()

    def capture_end(self) -> None:
        """End what `capture_begin` began."""
        self._capture.__exit__(None, None, None)

    def pool(self) -> tuple[int, int]:
        """Return what stands for the memory of this graph: each has its own."""
        return id(self), 0


def graph_pool_handle() -> tuple[int, int]:
    """Return what stands for memory that graphs share in PyTorch; here each has its own."""
    return 0, 0


def is_current_stream_capturing() -> bool:
    """Say whether what is put on the current stream is being written down."""
    return is_available() and bool(_services("is_current_stream_capturing").current_stream().is_capturing())


@contextlib.contextmanager
def graph(cuda_graph: CUDAGraph, pool: Any = None, stream: Any = None, capture_error_mode: str = "global") -> Iterator[None]:
    """Write down in a graph what is put on the device inside, instead of doing it.

    Nothing inside may bring a value to the host, and what was made inside must stay: keep the tensors, as their memory is the
    graph's. Raises RuntimeError without a device.
    """
    from wengert.ops.random import default_generator

    services = _services("graph")
    raw = services.stream() if stream is None else stream.raw
    before = default_generator.taken(0)
    try:
        with services.captured(raw) as made:
            yield
        if made.blocks and made.begin != before:
            raise RuntimeError("cuda.graph: random numbers of another generator than the default one cannot be captured")
    finally:
        default_generator.manual_seed(before[0]).taken(before[1])  # what was captured has drawn nothing yet
    cuda_graph._graph = made


def make_graphed_callables(function: Callable[..., Any], sample_args: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a function that does what `function` does with arguments of the samples' shapes, by one launch of a graph.

    The results are the same tensors each time: clone() what has to last. Raises RuntimeError without a device.
    """
    given = [x.detach().clone() for x in sample_args]
    work, side = CUDAGraph(), Stream()
    side.wait_stream(current_stream())
    with side:
        for _ in range(3):  # kernels are compiled, and memory is in the pool
            function(*given)
    current_stream().wait_stream(side)
    with graph(work):
        results = function(*given)

    def run(*args: Any) -> Any:
        for kept, x in zip(given, args, strict=True):
            kept.copy_(x)
        work.replay()
        return results

    return run


def __getattr__(name: str) -> Any:
    from wengert.ops.creation import typed_tensors

    types = typed_tensors("cuda")
    if name in types:
        return types[name]
    if name == "random":  # PyTorch keeps the seeds there
        return sys.modules[__name__]
    if name in _ELSEWHERE:
        module = importlib.import_module(_ELSEWHERE[name])
        found = module if name == "amp" else getattr(module, _SAME.get(name, name))
        globals()[name] = found
        return found
    raise AttributeError(f"module 'wengert.cuda' has no attribute {name!r}")
