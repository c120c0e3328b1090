"""The short-time Fourier transform: a signal cut into overlapping frames, each windowed and transformed.

Owns: `stft` and `istft`, and the records for cutting and for adding up, each the transpose of the other.
May import: wengert.extend, the transforms, and `wengert.nn` for padding, late. Must not know: devices.
Source: D. Griffin and J. Lim, Signal estimation from modified short-time Fourier transform, IEEE Trans. ASSP 32, 1984.
"""

from __future__ import annotations

from typing import Any

import wengert
from wengert.extend import category, creation, dtypes, e, labelled, s, structural
from wengert_fft.transforms import fftn, fitted, ifftn, irfftn, rfftn

# fmt: off
frames      = structural("frames", "x", lambda x, n, hop:
        ((*x.shape[:-1], 1 + (x.shape[-1] - n) // hop, n), x.dtype), params="n hop", label="AsStridedBackward0",
    x=lambda g, x_shape, hop: overlap_add(g, x_shape[-1], hop))
overlap_add = structural("overlap_add", "x", lambda x, length, hop: ((*x.shape[:-2], length), x.dtype), params="length hop",
    label="UnfoldBackwardBackward0", x=lambda g, x_shape, hop: frames(g, x_shape[-1], hop))
# fmt: on


def window_of(name: str, window: Any, win_length: int, n_fft: int, like: Any) -> Any:
    """Return the window in the middle of n_fft samples; ones where none is given. Raises RuntimeError for another length."""
    if window is not None and tuple(window.shape) != (win_length,):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got one of {list(window.shape)}"
        )
    if window is None:
        if win_length == n_fft:
            return None
        window = creation.ones(win_length, dtype=like.dtype.to_real(), device=like.device)
    left = (n_fft - win_length) // 2
    return s.place(window, (n_fft,), "getitem", (slice(left, left + win_length),)) if win_length < n_fft else window


def check_lengths(name: str, n_fft: int, hop: int, win_length: int) -> None:
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft={n_fft}, but got win_length={win_length}")


def stft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Any:  # fmt: skip
    """Return X[.., k, t] = sum_n window[n] input[.., t hop_length + n] exp(-2 pi i k n / n_fft).

    center: the input is padded by n_fft / 2 at both ends, as pad_mode says. return_complex=False gives pairs of reals.
    Raises RuntimeError for a signal of more than two dims or shorter than n_fft, and for lengths that do not fit.
    """
    hop, win_length = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    if input.dim() not in (1, 2) or category(input._array.dtype) < dtypes.FLOATING:
        raise RuntimeError(
            f"stft: expected a 1D or 2D tensor of floating point or complex values, got {input.dim()}D of {input.dtype}"
        )
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError("stft requires the return_complex parameter be given for real inputs")
        return_complex = True
    onesided = not is_complex if onesided is None else onesided
    if onesided and is_complex:
        raise RuntimeError("stft: Cannot have onesided output if window or input is complex")
    check_lengths("stft", n_fft, hop, win_length)
    signal = input if input.dim() == 2 else s.unsqueeze(input, 0)
    if center or align_to_window:
        from wengert.nn import functional

        each = n_fft // 2 if center else (n_fft - win_length) // 2
        signal = functional.pad(s.unsqueeze(signal, 0), (each, each), mode=pad_mode if center else "constant")[0]
    if not 0 < n_fft <= signal.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {signal.shape[-1]}, the length of the signal, but got n_fft={n_fft}")
    pieces, shape = frames(signal, n_fft, hop), window_of("stft", window, win_length, n_fft, input)
    if shape is not None:
        pieces = pieces * shape
    spectra = (rfftn if onesided else fftn)(pieces, dim=-1, norm="ortho" if normalized else None)
    result = s.transpose(spectra, 1, 2)
    if input.dim() == 1:
        result = s.squeeze(result, 0)
    return result if return_complex else wengert.view_as_real(result)


@labelled("SqueezeBackward1")
def istft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Any:  # fmt: skip
    """Return the signal whose stft is nearest to input: windowed frames added up, divided by the sum of squared windows.

    Raises RuntimeError for shapes that are no spectrum's, and where the windows leave a gap.
    """
    hop, win_length = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    if not input.is_complex():
        raise RuntimeError(
            f"istft requires a complex-valued input tensor, as stft with return_complex=True gives, not {input.dtype}"
        )
    if input.dim() not in (2, 3) or not input.numel():
        raise RuntimeError(f"istft: expected a 2D or 3D tensor that is not empty, got shape {list(input.shape)}")
    spectra = s.transpose(input if input.dim() == 3 else s.unsqueeze(input, 0), 1, 2)
    count, bins = spectra.shape[1:]
    onesided = bins != n_fft if onesided is None else onesided
    if bins != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(
            f"istft: expected the frequency dimension of the input to be {n_fft // 2 + 1 if onesided else n_fft} "
            f"(onesided={onesided}), but got {bins}"
        )
    check_lengths("istft", n_fft, hop, win_length)
    if onesided and (return_complex or (window is not None and window.is_complex())):
        raise RuntimeError("istft: Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    if return_complex:
        pieces = ifftn(spectra, dim=-1, norm=norm)
    else:
        if window is not None and window.is_complex():
            raise RuntimeError("istft: a complex window needs return_complex=True")
        pieces = irfftn(fitted(spectra, (2,), (n_fft // 2 + 1,)), s=n_fft, dim=-1, norm=norm)
    shape = window_of("istft", window, win_length, n_fft, input)
    if shape is None:
        shape = creation.ones(n_fft, dtype=input.dtype.to_real(), device=input.device)
    total = n_fft + hop * (count - 1)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - start
    kept = (slice(None), slice(start, min(end, total)))
    signal = s.getitem(overlap_add(pieces * shape, total, hop), kept)
    envelope = s.getitem(overlap_add(s.expand(shape * shape, (1, count, n_fft)), total, hop), kept)
    if not bool((e.absolute(envelope) > 1e-11).all()):
        raise RuntimeError("istft: window overlap add min is 0: at some samples no window counts; see hop_length and window")
    signal = signal / envelope
    if end > total:
        signal = fitted(signal, (1,), (end - start,))
    return signal if input.dim() == 3 else s.squeeze(signal, 0)
