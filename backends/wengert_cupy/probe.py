"""What there is: CuPy, a driver, a toolkit, cards; and what to install where one is missing.

Owns: `found`, which tells and never raises anything but `NoDevice`. May import: the standard library, and CuPy once a driver is
there. Must not know: arrays, kernels. Nothing here initialises CUDA unless a driver and CuPy are there: a process that
asks `cuda.is_available()` without them can still fork.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from dataclasses import dataclass
from typing import Any

DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
INSUFFICIENT, NONE = 35, 100  # errors of CUDA: the driver is older than the runtime, and there is no card


class NoDevice(RuntimeError):
    """There is no CUDA device; the message says why and what to do."""


@dataclass(frozen=True)
class Card:
    """One card, as `wengert devices` and `wengert.cuda` show it."""

    index: int
    name: str
    capability: tuple[int, int]
    memory: int
    processors: int


def driver_version() -> int | None:
    """Return the newest CUDA that the installed driver supports, as 12040 for 12.4; None without a driver."""
    try:
        version = ctypes.c_int(0)
        ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return version.value


def wheel(version: int | None) -> str:
    """Return the extra of wengert that fits a driver."""
    return "cuda13" if version is not None and version >= 13000 else "cuda12"


def found() -> tuple[Card, ...]:
    """Return the cards that work. Raises NoDevice where there is none."""
    cards, missing = once()
    if missing:
        raise NoDevice(missing)
    return cards


@functools.cache
def once() -> tuple[tuple[Card, ...], str]:
    """Return the cards that work, or what is missing: nobody looks for a library a thousand times."""
    try:
        return look(), ""
    except NoDevice as error:
        return (), str(error)


def look() -> tuple[Card, ...]:
    version = driver_version()
    advice = f"pip install 'wengert[{wheel(version)}]'"
    if importlib.util.find_spec("cupy") is None:
        raise NoDevice(f"CuPy is not installed{'' if version else ', and no NVIDIA driver is'}; with a driver: {advice}")
    if version is None:
        raise NoDevice(f"no NVIDIA driver is installed ({DRIVER} was not found); CuPy is there")
    try:
        import cupy
    except Exception as error:  # a broken installation says what it is in many ways
        raise NoDevice(f"CuPy does not load: {' '.join(str(error).split())}; {advice}") from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        status = getattr(error, "status", None)
        if status == INSUFFICIENT:
            raise NoDevice(
                f"the NVIDIA driver (for CUDA {version // 1000}.{version % 1000 // 10}) is older than CuPy's CUDA; update it, "
                f"or {advice}"
            ) from None
        if status == NONE:
            raise NoDevice("the NVIDIA driver finds no card") from None
        raise NoDevice(f"CUDA does not start: {error}") from None
    if not count:
        raise NoDevice("the NVIDIA driver finds no card")
    _compiler(advice)
    return tuple([card(cupy, i) for i in range(count)])


def _compiler(advice: str) -> None:
    """Raise NoDevice where CUDA's runtime compiler or its headers are missing: no kernel of CuPy would run."""
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise NoDevice(f"CuPy finds a card, but no CUDA toolkit (NVRTC: {reason}); {advice} brings one") from None


def card(cupy: Any, index: int) -> Card:
    told = cupy.cuda.runtime.getDeviceProperties(index)
    name = told["name"].decode() if isinstance(told["name"], bytes) else str(told["name"])
    return Card(index, name, (told["major"], told["minor"]), int(told["totalGlobalMem"]), int(told["multiProcessorCount"]))


def forget() -> None:
    """Look again at the next call."""
    once.cache_clear()
