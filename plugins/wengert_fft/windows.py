"""Window functions: `torch.signal.windows` and the older `torch.hann_window` and its kin.

Owns: the formulas, n = 0..M-1 and N = M - 1 (N = M for a periodic window). May import: wengert.extend, NumPy.
Must not know: devices; a window is computed in float64 on the host and handed over in its dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import index
from typing import Any

import numpy as np

from wengert.extend import category, creation, default_float, dtypes, errors

Formula = Callable[[np.ndarray[Any, Any], int], Any]


def made(m: int, sym: bool, formula: Formula, dtype: Any, device: Any, requires_grad: bool) -> Any:
    """Return formula(n, N) for each n; of one sample it is 1."""
    m = index(m)
    wanted = default_float() if dtype is None else dtypes.to_numpy(dtype)
    with errors.roomy(f"a window of {m}"):
        n = np.arange(m, dtype=np.float64)
        values = np.ones(m) if m < 2 else formula(n, m - 1 if sym else m)
        return creation.made(values.astype(wanted), device, requires_grad)


def cosines(a: Iterable[float]) -> Formula:
    """Return the formula sum_i (-1)^i a_i cos(2 pi i n / N)."""
    return lambda n, N: sum((-1) ** i * c * np.cos(2 * np.pi * i / N * n) for i, c in enumerate(a))


def triangle(n: np.ndarray[Any, Any], N: int) -> Any:
    return 1 - np.abs(2 * n / N - 1)


def bessel(beta: float) -> Formula:
    return lambda n, N: np.i0(beta * np.sqrt(np.maximum(1 - (2 * n / N - 1) ** 2, 0))) / np.i0(beta)


HANN, HAMMING, BLACKMAN = (0.5, 0.5), (0.54, 0.46), (0.42, 0.5, 0.08)
NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)  # the minimal four terms: A. Nuttall, IEEE Trans. ASSP 29, 1981


# ---- torch.signal.windows
def window(name: str, M: int, formula: Formula, sym: bool, dtype: Any, layout: Any, device: Any, requires_grad: bool) -> Any:
    """Return a window of M samples. Raises ValueError for a negative length, a dtype or layout that there is not."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout not in (None, "torch.strided"):
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype is not None and dtype not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return made(M, sym, formula, dtype, device, requires_grad)


def simple(name: str, formula: Formula, text: str) -> Any:
    """Return a public window function without arguments of its own."""

    def run(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Any:  # fmt: skip
        return window(name, M, formula, sym, dtype, layout, device, requires_grad)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Return {text} for n = 0..M-1, N = M - 1; sym=False makes it periodic, N = M."
    return run


# fmt: off
bartlett = simple("bartlett", triangle, "1 - |2 n / N - 1|")
blackman = simple("blackman", cosines(BLACKMAN), "0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)")
cosine   = simple("cosine", lambda n, N: np.sin(np.pi * (n + 0.5) / (N + 1)), "sin(pi (n + 1/2) / (N + 1))")
hamming  = simple("hamming", cosines(HAMMING), "0.54 - 0.46 cos(2 pi n / N)")
hann     = simple("hann", cosines(HANN), "sin^2(pi n / N)")
nuttall  = simple("nuttall", cosines(NUTTALL), "the minimum four-term Blackman-Harris window by Nuttall")
# fmt: on


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:  # fmt: skip
    """Return exp(-((n - N/2) / std)^2 / 2). Raises ValueError for std <= 0."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")

    def formula(n: Any, N: int) -> Any:
        return np.exp(-(((n - N / 2) / std) ** 2) / 2)

    return window("gaussian", M, formula, sym, dtype, layout, device, requires_grad)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
                layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """Return exp(-|n - center| / tau), center N/2 by default. Raises ValueError for tau <= 0, or a center if symmetric."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def formula(n: Any, N: int) -> Any:
        return np.exp(-np.abs(n - (N / 2 if center is None else center)) / tau)

    return window("exponential", M, formula, sym, dtype, layout, device, requires_grad)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
           requires_grad: bool = False) -> Any:  # fmt: skip
    """Return I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta). Raises ValueError for beta < 0."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return window("kaiser", M, bessel(beta), sym, dtype, layout, device, requires_grad)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = None,
                   device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """Return sum_i (-1)^i a_i cos(2 pi i n / N). Raises TypeError where `a` is no sequence, ValueError where it is empty."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = tuple(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return window("general_cosine", M, cosines(weights), sym, dtype, layout, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None,
                    device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """Return alpha - (1 - alpha) cos(2 pi n / N)."""
    return window("general_hamming", M, cosines((alpha, 1 - alpha)), sym, dtype, layout, device, requires_grad)


# ---- the older names: periodic by default, in any float dtype
def older(name: str, length: int, formula: Formula, periodic: bool, dtype: Any, device: Any, requires_grad: bool) -> Any:
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={length}")
    if dtype is not None and category(dtypes.to_numpy(dtype)) != dtypes.FLOATING:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    return made(length, not periodic, formula, dtype, device, requires_grad)


def simple_older(name: str, formula: Formula) -> Any:
    def run(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False, pin_memory: bool = False) -> Any:  # fmt: skip
        return older(name, window_length, formula, periodic, dtype, device, requires_grad)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Return signal.windows.{name.removesuffix('_window')}(window_length), periodic unless said otherwise."
    return run


bartlett_window = simple_older("bartlett_window", triangle)
blackman_window = simple_older("blackman_window", cosines(BLACKMAN))
hann_window = simple_older("hann_window", cosines(HANN))


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
                   layout: Any = None, device: Any = None, requires_grad: bool = False,
                   pin_memory: bool = False) -> Any:  # fmt: skip
    """Return alpha - beta cos(2 pi n / N), periodic unless said otherwise."""
    return older("hamming_window", window_length, cosines((alpha, beta)), periodic, dtype, device, requires_grad)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
                  device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Any:  # fmt: skip
    """Return signal.windows.kaiser(window_length, beta=beta), periodic unless said otherwise."""
    return older("kaiser_window", window_length, bessel(beta), periodic, dtype, device, requires_grad)
