"""`wengert.backends`: what PyTorch's programs ask and set about its libraries: they are not here, and settings change nothing.

Owns: `cudnn`, `mps`, `mkldnn` and their kin, as modules. Must not know: any device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class _Library(ModuleType):
    """A library of PyTorch's that is not here: it says so, and takes settings without effect."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(f"wengert.backends.{name}", f"PyTorch's {name}, which is not here; settings have no effect.")
        self.__path__: list[str] = []
        for key, value in settings.items():
            setattr(self, key, value)

    @staticmethod
    def is_available() -> bool:
        """Say that the library is not here."""
        return False

    is_built = is_available

    @staticmethod
    def version() -> None:
        """Return None: there is none."""

    @staticmethod
    @contextlib.contextmanager
    def flags(*args: Any, **kwargs: Any) -> Iterator[None]:
        """Return a context, or decorator, that changes nothing."""
        yield


class _Setting:
    """Settings that are kept and have no effect."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)


cudnn = _Library(
    "cudnn", enabled=False, benchmark=False, deterministic=True, allow_tf32=False, benchmark_limit=10, fp32_precision="ieee",
    conv=_Setting(fp32_precision="ieee"), rnn=_Setting(fp32_precision="ieee"),
)  # fmt: skip
cpu = _Library("cpu", get_cpu_capability=lambda: "DEFAULT")
mps = _Library("mps", is_macos13_or_newer=lambda: False)
mkl, mkldnn, openmp, opt_einsum, quantized, xnnpack = (
    _Library(name, enabled=False, engine="none") for name in ("mkl", "mkldnn", "openmp", "opt_einsum", "quantized", "xnnpack")
)


def _nothing(enabled: bool = True) -> None:
    """Accepted for PyTorch programs: there is one way to compute attention here."""


cuda = _Library(
    "cuda",
    matmul=_Setting(
        allow_tf32=False, allow_fp16_reduced_precision_reduction=False, allow_bf16_reduced_precision_reduction=False,
        fp32_precision="ieee",
    ),
    enable_flash_sdp=_nothing, enable_mem_efficient_sdp=_nothing, enable_math_sdp=_nothing, enable_cudnn_sdp=_nothing,
    flash_sdp_enabled=lambda: False, mem_efficient_sdp_enabled=lambda: False, math_sdp_enabled=lambda: True,
    sdp_kernel=lambda *args, **kwargs: contextlib.nullcontext(),
    preferred_linalg_library=lambda backend=None: "default", preferred_blas_library=lambda backend=None: "default",
)  # fmt: skip
