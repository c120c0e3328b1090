"""`autograd.grad_mode`: where PyTorch keeps the switches.

Owns: nothing but the names, and a switch that has nothing to switch. May import: modes. Must not know: anything else.
"""

from __future__ import annotations

from wengert.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]


class set_multithreading_enabled:
    """Accepted for PyTorch programs: a backward here always runs in the thread that asked for it."""

    def __init__(self, mode: bool) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass
