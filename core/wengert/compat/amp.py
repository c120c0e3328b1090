"""`wengert.amp`: automatic mixed precision, of which there is none: everything is computed in the types it has.

Owns: `autocast`, `GradScaler` and the questions about them, as PyTorch answers where they are disabled. Must not know: ops.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class autocast(contextlib.ContextDecorator):
    """Accepted for PyTorch programs: inside, operations keep their types, as with `enabled=False`."""

    def __init__(self, device_type: Any = None, dtype: Any = None, enabled: bool = True, cache_enabled: Any = None) -> None:
        self.device, self.fast_dtype = device_type, dtype

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class GradScaler:
    """Accepted for PyTorch programs: losses and gradients keep their scale, as with `enabled=False`."""

    def __init__(
        self, device: Any = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        self._growth, self._backoff, self._interval = growth_factor, backoff_factor, growth_interval

    def scale(self, outputs: Any) -> Any:
        """Return the losses as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Leave the gradients as they are."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Take a step of the optimizer."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Leave the scale at 1."""

    def get_scale(self) -> float:
        """Return the scale: 1."""
        return 1.0

    def get_growth_factor(self) -> float:
        """Return the growth factor that was given."""
        return self._growth

    def get_backoff_factor(self) -> float:
        """Return the backoff factor that was given."""
        return self._backoff

    def get_growth_interval(self) -> int:
        """Return the growth interval that was given."""
        return self._interval

    def is_enabled(self) -> bool:
        """Say that it is not."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return nothing, as PyTorch where scaling is disabled."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""


def _plain(f: Any = None, **options: Any) -> Any:
    """Return a function as it is: with or without options in the decorator."""
    return f if f is not None else functools.partial(_plain, **options)


custom_fwd = custom_bwd = _plain


def is_autocast_available(device_type: str) -> bool:
    """Say that no device has it."""
    return False


def is_autocast_enabled(device_type: Any = None) -> bool:
    """Say that it is not."""
    return False


def is_autocast_cache_enabled() -> bool:
    """Say that it is not."""
    return False


def get_autocast_dtype(device_type: str) -> Any:
    """Return the dtype that PyTorch would use there."""
    import wengert

    return wengert.dtypes.float16 if device_type == "cuda" else wengert.dtypes.by_name("bfloat16")
