"""The array API standard's extension `fft`.

Owns: its signatures over `wengert.fft`. May import: wengert's public names. Must not know: kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wengert as w

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft", "rfftfreq",
    "rfftn",
]  # fmt: skip


def _one(name: str) -> Callable[..., Any]:
    def run(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
        return getattr(w.fft, name)(x, n, axis, norm)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Return {name} of x along an axis: of the first n elements, or with zeros after them."
    return run


def _many(name: str) -> Callable[..., Any]:
    def run(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
        if axes is None and s is not None:
            axes = tuple(range(-len(s), 0))
        return getattr(w.fft, name)(x, s, axes, norm)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Return {name} of x along axes, all by default, in the lengths s."
    return run


fft, ifft, rfft, irfft, hfft, ihfft = [_one(name) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")]
fftn, ifftn, rfftn, irfftn = [_many(name) for name in ("fftn", "ifftn", "rfftn", "irfftn")]


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """Return the frequencies of the bins of `fft` for samples d apart."""
    return w.fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """Return the frequencies of the bins of `rfft` for samples d apart."""
    return w.fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """Return x with the zero frequency in the middle."""
    return x.clone() if axes == () else w.fft.fftshift(x, axes)


def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """Return what `fftshift` was given."""
    return x.clone() if axes == () else w.fft.ifftshift(x, axes)
