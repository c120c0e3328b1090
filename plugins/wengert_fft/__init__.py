"""Fourier transforms and signal windows, as a plugin.

Owns: the names; each module of ops is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    registry.cases("fft", "wengert_fft.cases:RECORDS")
    kinds = "fft ifft rfft irfft hfft ihfft".split()
    names = " ".join(f"{kind}{dims}" for kind in kinds for dims in ("", "2", "n")) + " fftfreq rfftfreq"
    registry.family("wengert_fft.transforms", functions=f"{names} fftshift ifftshift", out=names, prefix="fft.")
    registry.family("wengert_fft.frames", "stft istft")
    for op in ("fft_c2c", "fft_r2c", "fft_c2r", "paired", "frames", "overlap_add"):
        registry.kernel(op, "xp", f"wengert_fft.kernels:{op.removeprefix('fft_')}")
    older = "bartlett_window blackman_window hamming_window hann_window kaiser_window"
    windows = "bartlett blackman cosine exponential gaussian general_cosine general_hamming hamming hann kaiser nuttall"
    registry.family("wengert_fft.windows", functions=older, out=older)
    registry.family("wengert_fft.windows", functions=windows, prefix="signal.windows.")
