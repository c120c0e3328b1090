"""The CUDA device: the protocol, and the road from an op to its kernel.

Owns: `CupyBackend`, what ops do otherwise on a card, and the answers that `wengert.cuda` gives. May import: the shared
array-module class, CuPy once there is a device, the modules beside this one. Must not know: tensors, gradients.
An op's kernel is a generated one where its formula has C text, else CuPy's function, else what the shared class makes of
CuPy's functions. Everything is put on CuPy's current stream; nothing waits but what brings values to the host, and ops whose
result's size depends on values.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from wengert.backend import DeviceInfo, hosted, native, settings
from wengert.op import Op
from wengert_cupy import norms, probe, products, random
from wengert_cupy.kernels import Kernels, ctype_of
from wengert_cupy.module import Function, Module, number_of
from wengert_cupy.services import Services
from wengert_xp import ArrayModule

Kernel = Callable[..., Any]
_quiet = contextlib.nullcontext()
# Ops with indices: the place of the array, of its indices, of the dim or the dims; whether negative indices count
INDEXED = {
    "gather": (0, 1, 2, False), "scatter": (0, 2, 3, False), "scatter_prod": (0, 2, 3, False), "scatter_amax": (0, 2, 3, False),
    "scatter_amin": (0, 2, 3, False), "index_get": (0, 1, 2, True), "index_put": (0, 2, 3, True),
    "embedding": (0, 1, None, False),
}  # fmt: skip
CLASSES = {"pick", "cross_entropy"}  # (x, index, ignored): places along dim 1, and one number that is none


class NoArray:
    """The type of arrays where there is no device: there are none."""


class CupyBackend(ArrayModule):
    """Every CUDA device of this machine, by index."""

    name = "cuda"
    scipy_module = "cupyx.scipy"
    block = direct = 1 << 62  # a card's kernels take arrays whole
    precision = "highest"

    # ---- what there is
    def devices(self) -> list[DeviceInfo]:
        try:
            cards = probe.found()
        except probe.NoDevice as error:
            return [DeviceInfo("cuda", False, str(error))]
        return [
            DeviceInfo(
                f"cuda:{c.index}",
                True,
                f"{c.name}, {c.memory / 2**30:.0f} GiB, compute capability {c.capability[0]}.{c.capability[1]}",
            )
            for c in cards
        ]

    @property
    def array_type(self) -> type:  # type: ignore[override]
        try:
            return self.cupy.ndarray  # type: ignore[no-any-return]
        except probe.NoDevice:
            return NoArray

    def __getattr__(self, name: str) -> Any:
        """Load CuPy when it is first needed: a backend that is only asked what there is loads nothing."""
        if name not in ("cupy", "xp", "generated", "services", "several", "rows", "reduced", "norms", "bounds"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        cards = probe.found()
        import cupy

        self.cupy = cupy
        self.xp = Module(cupy)
        self.services = Services(cupy, cards)
        self.xp.deterministic = lambda: bool(settings["deterministic"])
        self.generated = Kernels(cupy, cards[0].processors)
        self.xp.product = functools.partial(products.product, self.generated)
        self.several = len(cards) > 1
        self.rows, self.reduced = self.generated.rows(), self.generated.reductions()
        self.norms = norms.table(self.generated)
        self.bounds = self.services.bounds = Bounds(cupy, self.generated, self.services.current())
        return getattr(self, name)

    # ---- moving arrays
    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Any:
        dtype = native(array.dtype)
        host = np.asarray(array.view(np.ndarray), dtype, "C").reshape(array.shape)
        with self.on(index):
            made = self.cupy.empty(host.shape, dtype)
            if not host.ndim:  # a kernel's argument, which nobody waits for
                made.fill(number_of(host))
            elif host.size:
                made.set(host)
        return made

    def on(self, index: int) -> Any:
        """Return the context in which a device is the current one. Raises RuntimeError where it is not there."""
        if not 0 <= index < len(self.services.cards):
            raise RuntimeError(
                f"CUDA error: invalid device ordinal: there is no cuda:{index}; `wengert devices` lists what is there"
            )
        return self.cupy.cuda.Device(index)

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        with self.on(array.device.id):
            made = hosted(array.get())
        self.bounds.check()
        return made  # type: ignore[no-any-return]

    def adopt(self, other: Any) -> Any:
        """Return an array on the memory of another CUDA library's; DLPack has names for types that the other way has not."""
        told = getattr(other, "__cuda_array_interface__", None)
        return self.cupy.from_dlpack(other) if told is None or told["typestr"][1] == "V" else self.cupy.asarray(other)

    def number(self, value: Any) -> Any:
        """Return a value that rules of gradients compute with: CuPy's operators take a number, but no 0-d host array."""
        if type(value) is tuple:
            return tuple([self.number(v) for v in value])
        return value[()] if type(value) is np.ndarray and not value.ndim else value

    def copy(self, array: Any) -> Any:
        return array.copy("C") if not self.several else self.placed(lambda x: x.copy("C"))(array)

    def write(self, target: Any, values: Any) -> Any:
        if isinstance(values, np.ndarray):
            values = self.from_host(values, target.device.id) if values.ndim else values[()]
        if isinstance(values, self.cupy.ndarray) and target.dtype.kind != "c" and values.dtype.kind == "c":
            values = values.real
        if isinstance(values, self.cupy.ndarray) and self.generated.overlap(target, values):
            values = values.copy()

        def put(target: Any, values: Any) -> Any:
            target[...] = values
            return target

        return self.placed(put)(target, values)

    def add_into(self, target: Any, values: Any) -> None:
        self.placed(lambda t, v: self.cupy.add(t, v, out=t))(target, values)

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def index_of(self, array: Any) -> int:
        return int(array.device.id)

    def quiet(self) -> Any:
        return _quiet  # no kernel warns of anything

    def synchronize(self, index: int) -> None:
        with self.on(index):
            self.cupy.cuda.Device(index).synchronize()
        self.bounds.check()

    def filled(self, shape: Any, value: np.ndarray[Any, Any], index: int) -> Any:
        """Return an array of one value, without the host's memory."""
        with self.on(index):
            made = self.cupy.empty(shape, native(value.dtype))
            made.fill(number_of(value))
        return made

    def current(self) -> int:
        """Return the number of the device that "cuda" means now."""
        return self.services.current()

    def uniform(self, seed: int, first: int, shape: Any, dtype: np.dtype[Any], index: int) -> Any:
        """Return uniform values of the stream of a seed, from a block on: bit by bit those of the host."""
        with self.on(index):
            return random.uniform(self.generated, seed, first, tuple(shape), dtype, self.services.capture)

    # ---- kernels
    def kernel(self, op: Op) -> Kernel | None:
        found = super().kernel(op)
        if found is None and op.elementwise:
            made = self.generated.elementwise(op, None, False)
            found = None if made is None else self.placed(made)
        return found

    def finish(self, op: Op, kernel: Kernel) -> Kernel:
        """Return what runs for an op: a generated kernel before the one that was found."""
        plain = isinstance(kernel, Function)
        made = self.without_hosts(kernel)
        if op.name in self.norms:
            made = self.norms[op.name]
        elif op.elementwise:
            made = self.generated.elementwise(op, self.narrowed(op, made), plain) or made
        elif op.name in self.reduced:
            made = self.where_known(self.reduced[op.name], self.narrowed(op, made))
        elif op.name in self.rows:
            made = self.where_known(self.rows[op.name], self.narrowed(op, made), "f")
        else:
            made = self.narrowed(op, made)
        if op.name in INDEXED:
            made = self.bounded(op.name, made)
        elif op.name in CLASSES:
            made = self.classes(op.name, made)
        return self.placed(made)

    def without_hosts(self, kernel: Kernel) -> Kernel:
        """Return a kernel that is given numbers for 0-d host arrays: CuPy's functions take no host array."""

        def run(*args: Any, **kwargs: Any) -> Any:
            return kernel(*[a[()] if type(a) is np.ndarray and not a.ndim else a for a in args], **kwargs)

        return run

    def where_known(self, generated: Kernel, otherwise: Kernel, kinds: str = "biufc") -> Kernel:
        """Return a generated kernel for the types that it has, another for the rest."""

        def run(x: Any, *args: Any) -> Any:
            known = ctype_of(x.dtype) is not None and x.dtype.kind in kinds.replace("f", "fV")
            if x.dtype.name in ("bool", "complex64", "complex128") and generated in (
                self.reduced["amax"],
                self.reduced["amin"],
            ):
                known = False
            return (generated if known else otherwise)(x, *args)

        return run

    def narrowed(self, op: Op, kernel: Kernel) -> Kernel:
        """Return a kernel that computes bfloat16 in float32: CuPy's functions know the type in part."""

        def run(*args: Any, **kwargs: Any) -> Any:
            if not any([getattr(a, "dtype", None) is not None and a.dtype.name == "bfloat16" for a in _flat(args)]) or op.view:
                return kernel(*args, **kwargs)
            told = op.infer(*args) if op.infer is not None else None
            out = kwargs.get("out", ...)
            made = kernel(*[_widened(a) for a in args], **({"out": ...} if "out" in kwargs else {}))
            if told is None:
                return made
            kinds = [t[1] for t in told] if op.outputs > 1 else [told[1]]
            results = [m.astype(k, copy=False) for m, k in zip(made if op.outputs > 1 else (made,), kinds, strict=True)]
            if out is not ...:
                out[...] = results[0]
                return out
            return tuple(results) if op.outputs > 1 else results[0]

        return run

    def placed(self, kernel: Kernel) -> Kernel:
        """Return a kernel that runs on the device of its arrays, where there are several."""
        if not self.several:
            return kernel
        array, current, device = self.cupy.ndarray, self.cupy.cuda.runtime.getDevice, self.cupy.cuda.Device

        def run(*args: Any, **kwargs: Any) -> Any:
            wanted = {a.device.id for a in _flat(args) if isinstance(a, array)}
            if len(wanted) > 1:
                names = " and ".join(f"cuda:{i}" for i in sorted(wanted))
                raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {names}!")
            if not wanted or wanted == {current()}:
                return kernel(*args, **kwargs)
            with device(wanted.pop()):
                return kernel(*args, **kwargs)

        return run

    def bounded(self, name: str, kernel: Kernel) -> Kernel:
        """Return a kernel whose indices are looked at: CuPy's wrap around, so that a wrong one would pass unnoticed."""
        place, indices, dims, negative = INDEXED[name]

        def run(*args: Any) -> Any:
            shape = args[place].shape
            if dims is None:
                self.bounds.note(name, args[indices], shape[0], negative)
            elif isinstance(args[indices], tuple):
                for index, d in zip(args[indices], args[dims], strict=True):
                    if index.dtype.kind != "b":
                        self.bounds.note(name, index, shape[d], negative)
            else:
                self.bounds.note(name, args[indices], shape[args[dims]], negative)
            return kernel(*args)

        return run

    def classes(self, name: str, kernel: Kernel) -> Kernel:
        """Return a kernel of a loss whose classes are looked at."""

        def run(x: Any, index: Any, ignored: int) -> Any:
            self.bounds.note(name, index, x.shape[1] if x.ndim > 1 else 0, False, ignored)
            return kernel(x, index, ignored)

        return run

    # ---- differences of single ops
    def elementwise_table(self) -> dict[str, Kernel]:
        table = super().elementwise_table()
        xp = self.xp

        def overwrite(x: Any, y: Any, out: Any = ...) -> Any:
            made = xp.empty_like(x) if out is ... else out
            made[...] = y.real if getattr(y, "dtype", x.dtype).kind == "c" and x.dtype.kind != "c" else y
            return made

        def sign(x: Any, out: Any = ...) -> Any:  # of nan 0
            if x.dtype.kind != "f":
                return table["sign"](x, out)
            return self.give(xp.where(x != x, x.dtype.type(0), self.cupy.sign(x)), out)

        return {**table, "overwrite": overwrite, "sign": sign}

    def structural_table(self) -> dict[str, Kernel]:
        from wengert_cupy import solving

        table, xp = super().structural_table(), self.xp

        def product(x: Any, y: Any) -> Any:
            """cuBLAS adds float16 up in float32; it has no batches of no matrices."""
            if 0 in x.shape or 0 in y.shape:
                shape = np.broadcast_shapes(x.shape[:-2], y.shape[:-2]) if x.ndim > 1 and y.ndim > 1 else ()
                rows = x.shape[-2:-1] if x.ndim > 1 else ()
                columns = y.shape[-1:] if y.ndim > 1 else ()
                lead = shape or x.shape[:-2] or y.shape[:-2]
                return self.cupy.zeros((*lead, *rows, *columns), np.result_type(x.dtype, y.dtype))
            if settings["matmul_precision"] != self.precision:
                self.precision = settings["matmul_precision"]
                self.services.set_matmul_precision(self.precision)
            return xp.matmul(x, y)

        def as_strided(x: Any, shape: Any, strides: Any, offset: int, own: Any) -> Any:
            size, whole = x.dtype.itemsize, x
            memory = self.cupy.ndarray((), x.dtype, x.data + offset * size if offset else x.data)
            made = xp.lib.stride_tricks.as_strided(memory, tuple(shape), tuple([n * size for n in strides]))
            return made if whole.size else x.reshape(-1)[:0].reshape(shape)

        def cast(x: Any, dtype: Any) -> Any:
            return x.astype(dtype, order="C")

        return {
            **table, "cast": cast, **dict.fromkeys(("matmul", "rows", "mv", "dot"), product),
            "diagonal": lambda x, offset, axis1, axis2: x.diagonal(offset, axis1, axis2),
            "solve_triangular": solving.solve_triangular, "cholesky_solve": solving.cholesky_solve,
            "lu_factor": solving.lu_factor,
        }  # fmt: skip

    def scipy(self, name: str) -> Any:
        return Part(super().scipy(name))

    def special(self, op: Op) -> Kernel | None:
        found = super().special(op)
        return None if found is None else self.without_hosts(found)

    # ---- groups of a compiled function
    def fused(self, equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Kernel | None:
        """Return one kernel for a group of equations (see `wengert.backend.Fusing`)."""
        from wengert_cupy import fusing

        return fusing.fused(self.generated, equations, inputs, outputs)


class Missing(NotImplementedError, AttributeError):
    """CuPy lacks a function of SciPy's."""


class Part:
    """A module of cupyx.scipy, which says what it lacks."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._module, name)
        except AttributeError:
            raise Missing(f"{self._module.__name__} has no {name}; move the tensors to device 'cpu' for it") from None


class Bounds:
    """What is known of indices that were out of range: a number on the device, which kernels set and nobody waits for."""

    def __init__(self, cupy: Any, generated: Kernels, current: int) -> None:
        self.cupy, self.generated = cupy, generated
        self.flags: dict[int, Any] = {current: cupy.zeros(1, np.int32)}  # made before any stream is captured
        self.noted: dict[int, list[str]] = {}
        self.lock = threading.Lock()

    def note(self, name: str, index: Any, n: int, negative: bool, ignored: int = 0) -> None:
        """Look at indices into a dim of size n, later."""
        if not index.size or index.dtype.kind not in "iu":
            return
        here = int(index.device.id)
        with self.lock:
            flag = self.flags.get(here)
            if flag is None:
                flag = self.flags[here] = self.cupy.zeros(1, np.int32)
            self.noted.setdefault(here, [])
            if name not in self.noted[here]:
                self.noted[here].append(name)
        kernel = self.generated.get(CHECK[index.dtype.name], "w_check")
        index = self.generated.packed(index)
        blocks = self.generated.grid(-(-index.size // 256))
        low = np.int64(-n if negative else 0)
        kernel(blocks, (256,), (flag, index, low, np.int64(n), np.int64(ignored if ignored else low), np.int64(index.size)))

    @contextlib.contextmanager
    def apart(self) -> Iterator[dict[int, list[str]]]:
        """Collect what is noted inside by itself: it is looked at when a graph is launched, and not before."""
        with self.lock:
            before, self.noted = self.noted, {}
        made = self.noted
        try:
            yield made
        finally:
            with self.lock:
                self.noted = before

    def again(self, noted: dict[int, list[str]]) -> None:
        """Note what a graph looks at."""
        with self.lock:
            for here, names in noted.items():
                known = self.noted.setdefault(here, [])
                known += [name for name in names if name not in known]

    def check(self) -> None:
        """Raise IndexError where an index was out of range since the last time."""
        for here, names in list(self.noted.items()):
            flag = self.flags[here]
            with self.lock, self.cupy.cuda.Device(here):
                if self.noted.pop(here, None) is None or not int(flag[0]):
                    continue
                flag.fill(0)
            raise IndexError(
                f"an index was out of range in {' or '.join(names)} on cuda:{here}, before this call: a card tells when it is "
                f"asked"
            )


CHECK_TEXT = """
extern "C" __global__ void __launch_bounds__(256) w_check(int * flag, const TYPE * index_, long long low, long long high, \
long long skip, long long n) {
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
    const long long at = (long long)index_[i];
    if ((at < low || at >= high) && at != skip) *flag = 1;
  }
}
"""
CHECK = {
    name: CHECK_TEXT.replace("TYPE", kind)
    for name, kind in {
        "int64": "long long", "int32": "int", "int16": "short", "int8": "signed char", "uint8": "unsigned char",
        "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long",
    }.items()
}  # fmt: skip


def _flat(values: Any) -> list[Any]:
    return [v for a in values for v in (a if isinstance(a, tuple | list) else (a,))]


def _widened(a: Any) -> Any:
    if isinstance(a, tuple):
        return tuple([_widened(v) for v in a])
    return a.astype(np.float32) if getattr(a, "dtype", None) is not None and a.dtype.name == "bfloat16" else a
