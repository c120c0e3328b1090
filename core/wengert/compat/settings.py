"""PyTorch's settings, as far as they mean something here: what is asked for is kept, and said when asked again.

Owns: the functions of `wengert` that set how PyTorch computes (determinism, precision, threads). Must not know: any op.
wengert's operations give the same result each time and compute float32 in float32, but for those of a graphics card, whose
backend reads `backend.settings`.
"""

from __future__ import annotations

from typing import Any

from wengert import backend

_deterministic = {"mode": False, "warn_only": False}
_precision = "highest"
_interop = 1
_warn_always = False

layout = str  # `x.layout` and `memory_format=` are strings here
memory_format = str


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for sums in one order: devices that add by atomic operations (cuda) take a slower way; all others do so anyway."""
    _deterministic.update(mode=bool(mode), warn_only=bool(warn_only))
    backend.settings["deterministic"] = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """Return what `use_deterministic_algorithms` set."""
    return _deterministic["mode"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return the `warn_only` that `use_deterministic_algorithms` set."""
    return _deterministic["warn_only"]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set both by one word: 0 "default", 1 "warn", 2 "error". Raises RuntimeError for others."""
    modes = {0: 0, 1: 1, 2: 2, "default": 0, "warn": 1, "error": 2}
    if debug_mode not in modes:
        raise RuntimeError(f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got {debug_mode}")
    use_deterministic_algorithms(modes[debug_mode] > 0, warn_only=modes[debug_mode] == 1)


def get_deterministic_debug_mode() -> int:
    """Return the number of the mode that is set."""
    return 0 if not _deterministic["mode"] else 1 if _deterministic["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Let float32 be multiplied in TF32 ("high", "medium") by devices that have it (cuda); others compute in float32, as all do
    for "highest", the default. Raises RuntimeError for an unknown word."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"set_float32_matmul_precision: expected 'highest', 'high' or 'medium', got {precision!r}")
    _precision = backend.settings["matmul_precision"] = precision


def get_float32_matmul_precision() -> str:
    """Return what `set_float32_matmul_precision` set."""
    return _precision


def set_num_interop_threads(n: int) -> None:
    """Accepted for PyTorch programs: operations run one after the other."""
    global _interop
    if n <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _interop = n


def get_num_interop_threads() -> int:
    """Return what `set_num_interop_threads` set."""
    return _interop


def set_flush_denormal(mode: bool) -> bool:
    """Say False, as PyTorch where it cannot: tiny numbers are kept."""
    return False


def set_warn_always(b: bool) -> None:
    """Accepted for PyTorch programs; Python's own filters decide."""
    global _warn_always
    _warn_always = bool(b)


def is_warn_always_enabled() -> bool:
    """Return what `set_warn_always` set."""
    return _warn_always


def is_storage(obj: Any) -> bool:
    """Say whether an object is a storage, as `Tensor.storage()` returns it."""
    return type(obj).__name__ in ("UntypedStorage", "TypedStorage") and hasattr(obj, "_cdata")


def typename(obj: Any) -> str:
    """Return the type of an object as PyTorch names it: torch.FloatTensor, or module and class."""
    from wengert import Tensor

    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "")
    return kind.__qualname__ if module in ("", "builtins", None) else f"{module}.{kind.__qualname__}"
