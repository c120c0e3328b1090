"""Fourier transforms and windows where PyTorch's operator database does not look: against NumPy and SciPy, and by identities.

Owns those checks. May import: wengert, NumPy, SciPy and, in tests marked `parity`, PyTorch.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal

import wengert as w

NORMS = (None, "backward", "ortho", "forward")


def drawn(*shape: int, imag: bool = False) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if imag else x


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_transforms_equal_numpys(name: str, norm: str | None) -> None:
    x = drawn(3, 6, 5, imag=name in ("fft", "ifft", "irfft", "hfft"))
    for n, dim in itertools.product((None, 4, 5, 9), (-1, 0, 1)):
        got = getattr(w.fft, name)(w.from_numpy(x), n, dim, norm)
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(x, n, dim, norm), 1e-12, 1e-12)
    if "h" in name:
        return
    for s, dim in ((None, None), ((4, 7), (0, 2)), ((4, 7), (2, 0)), ((6, 4), None)):
        got = getattr(w.fft, f"{name}n")(w.from_numpy(x), s, dim, norm)
        axes = (-2, -1) if s is not None and dim is None else dim
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, f"{name}n")(x, s, axes, norm), 1e-12, 1e-12)


def test_float32_stays_float32() -> None:
    x = w.rand(8)
    assert w.fft.fft(x).dtype is w.complex64 and w.fft.irfft(w.fft.rfft(x)).dtype is w.float32
    assert w.fft.fft(w.arange(4)).dtype is w.complex64 and w.fft.fft(x.double()).dtype is w.complex128
    for narrow in (x.half(), x.to(w.float16)):
        with pytest.raises(RuntimeError, match="Unsupported dtype"):
            w.fft.fft(narrow)


def test_frequencies_and_their_order() -> None:
    for n, d in itertools.product(range(1, 9), (1.0, 0.25)):
        np.testing.assert_allclose(w.fft.fftfreq(n, d).numpy(), np.fft.fftfreq(n, d), 1e-6)
        np.testing.assert_allclose(w.fft.rfftfreq(n, d, dtype=w.float64).numpy(), np.fft.rfftfreq(n, d))
    x = drawn(3, 4, 5)
    for dim in (None, 0, -1, (0, 2)):
        there = w.fft.fftshift(w.from_numpy(x), dim)
        np.testing.assert_array_equal(there.numpy(), np.fft.fftshift(x, dim))
        np.testing.assert_array_equal(w.fft.ifftshift(there, dim).numpy(), x)
    assert w.fft.fftfreq(4, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="floating point"):
        w.fft.fftfreq(4, dtype=w.int64)


def test_convolution_by_transforms() -> None:
    """The theorem holds, and so do its gradients: those of the sum written out."""
    a, b = (w.from_numpy(v).requires_grad_() for v in (drawn(6), drawn(4)))
    by_fft = w.fft.irfft(w.fft.rfft(a, 9) * w.fft.rfft(b, 9), 9)
    padded = w.cat([w.zeros(8, dtype=w.float64), a, w.zeros(8, dtype=w.float64)])
    direct = sum(b[j] * padded[8 - j : 17 - j] for j in range(4))
    np.testing.assert_allclose(by_fft.detach().numpy(), np.convolve(a.detach().numpy(), b.detach().numpy()), 1e-12, 1e-12)
    for order in (1, 2):
        grads = [w.autograd.grad((v**3).sum(), (a, b), create_graph=True) for v in (by_fft, direct)]
        if order == 2:
            grads = [w.autograd.grad((g**2).sum() + (h**2).sum(), (a, b)) for g, h in grads]
        for mine, theirs in zip(*grads, strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), 1e-10, 1e-10)


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hann", "kaiser", "cosine", "nuttall"])
def test_windows_equal_scipys(name: str) -> None:
    kind = ("kaiser", 12.0) if name == "kaiser" else name
    for m in (1, 2, 7, 10):
        for sym in (True, False):
            expected = scipy.signal.get_window(kind, m, fftbins=not sym)
            got = getattr(w.signal.windows, name)(m, sym=sym, dtype=w.float64)
            np.testing.assert_allclose(got.numpy(), expected, 1e-12, 1e-12)
            older = getattr(w, f"{name}_window", None) if name not in ("cosine", "nuttall") else None
            if older is not None:
                np.testing.assert_allclose(older(m, not sym, dtype=w.float64).numpy(), expected, 1e-12, 1e-12)
    assert getattr(w.signal.windows, name)(0).shape == (0,)


def test_windows_refuse_what_is_none() -> None:
    for call in (lambda: w.hann_window(-1), lambda: w.hann_window(4, dtype=w.int64)):
        with pytest.raises(RuntimeError):
            call()
    out = w.empty(4, dtype=w.float64)
    assert w.hann_window(4, out=out) is out and out.tolist() == [0, 0.5, 1, 0.5]


def test_lengths_and_counts_are_whole_numbers_of_any_kind() -> None:
    for make in (w.hann_window, w.signal.windows.kaiser):
        assert make(w.tensor(5)).equal(make(5)) and make(np.int64(5)).equal(make(5))
        for length in (5.0, w.tensor(5.0)):
            with pytest.raises(TypeError):
                make(length)
    x = w.tensor([0.1, 0.5, 0.9])
    assert w.histc(x, w.tensor(4)).equal(w.histc(x, 4))


def test_istft_undoes_stft() -> None:
    x = w.from_numpy(drawn(2, 50)).requires_grad_()
    for n_fft, hop, center, normalized, onesided in ((16, 4, True, False, True), (10, 5, True, True, False), (12, 3, False, False, True)):
        window = w.hamming_window(n_fft, dtype=w.float64)
        options: dict[str, Any] = dict(hop_length=hop, window=window, center=center, normalized=normalized, onesided=onesided)
        spectra = w.stft(x, n_fft, return_complex=True, **options)
        back = w.istft(spectra, n_fft, length=48 if center else None, **options)
        np.testing.assert_allclose(back.detach().numpy(), x.detach().numpy()[:, : back.shape[1]], 1e-10, 1e-10)
        (g,) = w.autograd.grad(back.sum(), x)  # the identity's, which is 1
        np.testing.assert_allclose(g.numpy()[:, : back.shape[1]], 1, 1e-9)


def test_stft_says_what_does_not_fit() -> None:
    x = w.zeros(20)
    for call in (lambda: w.stft(x, 8), lambda: w.stft(x, 30, center=False, return_complex=True),
                 lambda: w.stft(x, 8, hop_length=0, return_complex=True), lambda: w.stft(x, 8, win_length=9, return_complex=True),
                 lambda: w.stft(x, 8, window=w.ones(7), return_complex=True), lambda: w.stft(x.long(), 8, return_complex=True),
                 lambda: w.istft(w.zeros(5, 3), 8), lambda: w.istft(w.zeros(5, 3, dtype=w.complex64), 11),
                 lambda: w.istft(w.zeros(5, 3, dtype=w.complex64), 8, window=w.zeros(8))):  # fmt: skip
        with pytest.raises(RuntimeError):
            call()


def test_zeros_have_the_sign_that_pytorch_prints() -> None:
    """What is real of a real input's transform prints as 6.+0.j; of its inverse, a conjugate, as 1.5-0.j."""
    for n in (1, 2, 4, 5):
        x = w.arange(n, dtype=w.float64)
        own = [0] if n % 2 else [0, n // 2]
        assert not np.signbit(w.fft.fft(x).imag.numpy()[own]).any() and not np.signbit(w.fft.rfft(x).imag.numpy()[own]).any()
        assert np.signbit(w.fft.ifft(x).imag.numpy()[own]).all() and np.signbit(w.fft.ihfft(x).imag.numpy()[own]).all()
    assert repr(w.fft.fft2(w.eye(2))) == "tensor([[2.+0.j, 0.+0.j],\n        [0.+0.j, 2.+0.j]])"
