"""A stand-in for CuPy on machines without a card: its names, over NumPy, stricter than CuPy is.

Owns: `installed`, the context in which `import cupy` gives it. facts.json says what CuPy has (collect.py wrote it); module.py
and array.py refuse what CuPy refuses, and a few things that it merely does otherwise; kernels.py runs CUDA C on the host.
What it cannot show: that a card computes the same, how fast, and cuBLAS, cuSOLVER and cuFFT, for which NumPy and SciPy stand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def installed(devices: int = 1) -> Iterator[None]:
    """Let `import cupy` and `import cupyx` find the stand-in, and wengert a device "cuda"; afterwards all is as it was."""
    from standin_cupy import module
    from wengert import backend
    from wengert.testing import device
    from wengert_cupy import probe

    def forget() -> None:
        probe.forget()
        backend._by_name.pop("cuda", None)
        backend._by_type.pop(module.ndarray, None)
        backend._forget()
        device._why.cache_clear()

    names = module.modules(devices)
    before = {name: sys.modules.get(name) for name in names}
    driver = probe.driver_version
    sys.modules.update(names)
    probe.driver_version = lambda: 13000  # type: ignore[assignment]
    forget()
    try:
        yield
    finally:
        probe.driver_version = driver
        for name, was in before.items():
            if was is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = was
        forget()
