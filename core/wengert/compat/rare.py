"""Names at the top of `torch` that few programs use: arithmetic of sizes under trace, questions about how it was built.

Owns: these. May import: `wengert`'s public names, late. Must not know: any op.
A size is a Python number here, so PyTorch's functions of symbolic sizes are Python's own.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

has_lapack, has_mkl, has_openmp, has_spectral = True, False, False, True


def sym_int(a: Any) -> int:
    """Return a number as an int, towards zero."""
    return int(a)


def sym_float(a: Any) -> float:
    """Return a number as a float."""
    return float(a)


def sym_max(a: Any, b: Any) -> Any:
    """Return the larger of two numbers, a float if one of them is."""
    return float(max(a, b)) if isinstance(a, float) or isinstance(b, float) else max(a, b)


def sym_min(a: Any, b: Any) -> Any:
    """Return the smaller of two numbers, a float if one of them is."""
    return float(min(a, b)) if isinstance(a, float) or isinstance(b, float) else min(a, b)


def sym_not(a: Any) -> bool:
    """Return the opposite of a condition."""
    return not a


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """Return t where a condition holds, else f."""
    return t if b else f


def sym_sum(args: Any) -> Any:
    """Return the sum of numbers."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """Return the square root of a number."""
    return math.sqrt(a)


def get_device_module(device: Any = None) -> Any:
    """Return the module of a kind of device, such as `wengert.cuda`: of the default device for None. Raises RuntimeError."""
    import wengert

    kind = wengert.device(device if device is not None else wengert.get_default_device()).type
    if kind == "cpu":
        return importlib.import_module("wengert.compat.cpu")
    found = getattr(wengert, kind, None)
    if found is None:
        raise RuntimeError(f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'.")
    return found


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Turn anomaly mode on or off from now on."""
    from wengert import autograd

    autograd.set_detect_anomaly(mode, check_nan)


def resize_as_(input: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """Give input the shape of another tensor, in place, as `Tensor.resize_as_`."""
    return input.resize_as_(the_template)


def as_strided_(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Give input another size, stride and offset in its memory, as `Tensor.as_strided_`."""
    return input.as_strided_(size, stride, storage_offset)


def compiled_with_cxx11_abi() -> bool:
    """Say True: there is no C++ of another kind."""
    return True


def is_vulkan_available() -> bool:
    """Say False: there is no such device."""
    return False
