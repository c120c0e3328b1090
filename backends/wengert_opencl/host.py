"""Ops that the host computes: on its own processor in the device's memory, on other devices when the user asks for it.

Owns: the table of ops that take the mapped road, `mapped`, `host_fallback`. May import: arrays, the runtime, op records.
Must not know: what any op computes, tensors, gradients.
Where device and host are one processor, an array is handed over without a copy: OpenCL maps its buffer, the NumPy device's
kernel reads it there, and a result becomes a buffer around NumPy's memory.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wengert.op import OPS, Op
from wengert_opencl import maps
from wengert_opencl.array import Array, extent
from wengert_opencl.fused import grafted
from wengert_opencl.runtime import Runtime, on_processor

Kernel = Callable[..., Any]
TABLE = {
    "factorizations": (
        "cholesky cholesky_solve cofactor det eig eigh eigvals eigvalsh geqrf inv ldl_factor ldl_solve lu_factor matrix_exp "
        "permutation pinv qr slogdet solve solve_triangular svd svdvals"
    ),
    "Fourier transforms": "fft_c2c fft_c2r fft_r2c",
    "special functions": (
        "airy_ai airy_ai_slope chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w "
        "digamma erfcx erfinv gammainc gammaincc hermite_polynomial_h hermite_polynomial_he j0 j1 k0 k0e k1 k1e "
        "laguerre_polynomial_l legendre_polynomial_p log_ndtr ndtri polygamma y0 y1 zeta"
    ),
    "functions of complex numbers": (
        "arccos arccosh arcsin arcsinh arctan arctanh cos cosh exp2 expm1 log10 log1p log2 logaddexp logcumsumexp nan_to_num "
        "power power_number rsqrt sigmoid sin sinh sqrt tan tanh"
    ),
}  # the last: where their formulas are for real numbers only
MAPPED = frozenset(name for names in TABLE.values() for name in names.split())
FASTER = frozenset({"digamma", "erfcx", "erfinv", "log_ndtr", "ndtri"})  # have kernels, slower than SciPy's on a processor
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


def shares_memory(device: Any) -> bool:
    """Say whether a device of pyopencl works in the host's memory."""
    return on_processor(device) and bool(device.host_unified_memory)


def roads(device: Any) -> str:
    """Return what `wengert devices` says of the ops that have no kernel for a device."""
    shared = shares_memory(device)
    what = f"{len(MAPPED if shared else MAPPED - FASTER)} ops ({', '.join(TABLE)})"
    return f"{what} by NumPy in its memory" if shared else f"{what} only by the host, if WENGERT_HOST_FALLBACK=1"


@contextlib.contextmanager
def lent(runtime: Runtime) -> Iterator[Callable[[Array], np.ndarray[Any, Any]]]:
    """Give a function that shows an array to NumPy where it is; at the end the memory is the device's again."""
    held: list[Any] = []

    def show(x: Array) -> np.ndarray[Any, Any]:
        if not x.size:
            return np.empty(x.shape, x.dtype)
        low, high = extent(x)
        data = runtime.map(x.buffer, low, high - low)
        held.append(data)
        made = np.ndarray(x.shape, x.dtype, data, x.offset - low, x.strides)
        made.flags.writeable = False
        return made

    try:
        yield show
    finally:
        for data in held:
            runtime.unmap(data)


def taken(runtime: Runtime, host: Any) -> Array:
    """Return NumPy's memory as an array of a device that shares it, without a copy where it is the result's own."""
    host = np.asarray(host)
    if not host.flags.c_contiguous or not host.flags.writeable or host.base is not None and not host.flags.owndata:
        host = np.array(host, order="C")
    maps.known("a result", host.dtype)
    buffer = runtime.around(host) if host.size else None
    return Array(runtime, buffer, 0, host.shape, host.strides, host.dtype, packed=True)


def flat(values: Any) -> list[Any]:
    return [v for a in values for v in (a if isinstance(a, tuple | list) else (a,))]


def faster(kernel: Kernel, hosted: Kernel) -> Kernel:
    """Return what runs an op by NumPy where the device is the processor, by its own kernel elsewhere."""

    def run(*args: Any, out: Any = ...) -> Any:
        runtime = next(a.runtime for a in args if type(a) is Array)
        here = runtime.dialect.cpu and shares_memory(runtime.device)
        return (hosted if here else kernel)(*args, out=out)

    return run


def kernel_for(op: Op, error: maps.Missing | None, from_host: Callable[..., Any], to_host: Callable[..., Any]) -> Kernel:
    """Return what runs an op that has no kernel, as the device of its arrays allows: mapped, as a fallback, or not at all."""
    what = f"this op ({op.face})" if op.face != op.name else "this op"

    def compute(show: Callable[..., Any], args: Any) -> Any:
        hosts = [grafted(a, show) for a in args]
        return OPS[op.name].kernels[np.ndarray](*hosts, **({"out": ...} if op.elementwise else {}))

    def run(*args: Any, out: Any = ...) -> Any:
        runtime = next(a.runtime for a in flat(args) if type(a) is Array)
        if op.name in MAPPED and shares_memory(runtime.device):
            with lent(runtime) as show:
                made = compute(show, args)
                made = made if isinstance(made, tuple) else (made,)
                results = [taken(runtime, m) for m in made]
        elif on_the_host():
            if op.name not in _told:
                _told.add(op.name)
                warnings.warn(f"{op.name} ran on the host, as host_fallback asks: its arrays went there and back", stacklevel=3)
            made = compute(to_host, args)
            made = made if isinstance(made, tuple) else (made,)
            results = [from_host(np.asarray(m), runtime.index) for m in made]
        else:
            raise error or maps.Missing(maps.without(op.name, what))
        if out is not ...:
            return maps.write(out, results[0])
        return tuple(results) if op.outputs > 1 or len(results) > 1 else results[0]

    return run
