"""Fourier transforms of devices made of an array module: SciPy's, which keep float32 in float32.

Owns: kernels (backend, x, *params) -> array. May import: nothing; the backend brings its modules.
Must not know: tensors, gradients. One axis goes by SciPy's one-dimensional functions, which cost half as much to call.
"""

from __future__ import annotations

from typing import Any

Axes = tuple[int, ...]


def c2c(backend: Any, x: Any, axes: Axes, forward: bool, norm: str) -> Any:
    fft = backend.scipy("fft")
    if len(axes) == 1:
        made = (fft.fft if forward else fft.ifft)(x, axis=axes[0], norm=norm)
    else:
        made = (fft.fftn if forward else fft.ifftn)(x, axes=axes, norm=norm)
    if x.dtype.kind != "c":
        sign_zeros(made, [(axis, made.shape[axis]) for axis in axes], forward or len(axes) > 1)
    return made


def sign_zeros(made: Any, lengths: list[tuple[int, int]], forward: bool) -> None:
    """Give the imaginary parts of real numbers' transform at frequency 0 and N/2 of each axis, which are zeros, the sign that
    sums have (forward), or their conjugates. SciPy's is that of how it fills in the other half."""
    places = [slice(None)] * made.ndim
    for axis, n in lengths:
        places[axis] = slice(0, None, n // 2) if n % 2 == 0 and n else slice(1)
    made.imag[tuple(places)] = 0.0 if forward else -0.0


def r2c(backend: Any, x: Any, axes: Axes, forward: bool, norm: str) -> Any:
    fft = backend.scipy("fft")
    if len(axes) == 1:
        made = (fft.rfft if forward else fft.ihfft)(x, axis=axes[0], norm=norm)
    else:
        made = (fft.rfftn if forward else fft.ihfftn)(x, axes=axes, norm=norm)
    if not forward:
        sign_zeros(made, [(axis, x.shape[axis]) for axis in axes], forward)
    return made


def c2r(backend: Any, x: Any, n: int, axes: Axes, forward: bool, norm: str) -> Any:
    fft = backend.scipy("fft")
    if len(axes) == 1:
        return (fft.hfft if forward else fft.irfft)(x, n, axes[0], norm=norm)
    return (fft.hfftn if forward else fft.irfftn)(x, (*(x.shape[a] for a in axes[:-1]), n), axes, norm=norm)


def paired(backend: Any, x: Any, axis: int, n: int, factor: float) -> Any:
    made = x.copy()
    made[(slice(None),) * axis + (slice(1, (n + 1) // 2),)] *= factor
    return made


def frames(backend: Any, x: Any, n: int, hop: int) -> Any:
    every = backend.xp.lib.stride_tricks.sliding_window_view(x, n, -1)
    return backend.xp.ascontiguousarray(every[..., ::hop, :])


def overlap_add(backend: Any, x: Any, length: int, hop: int) -> Any:
    """Add frames up in steps of a hop: the j-th hop of each frame t goes to place t + j, for all t at once."""
    count, n = x.shape[-2:]
    steps = -(-n // hop)
    made = backend.xp.zeros((*x.shape[:-2], max(length, (count + steps - 1) * hop)), x.dtype)
    for j in range(steps):
        part = x[..., j * hop : (j + 1) * hop]
        place = made[..., j * hop : (j + count) * hop].reshape(*x.shape[:-2], count, hop)
        place[..., : part.shape[-1]] += part
    return made if made.shape[-1] == length else backend.xp.ascontiguousarray(made[..., :length])
