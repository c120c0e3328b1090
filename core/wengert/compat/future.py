"""`torch.__future__`: two settings of how `Module.to` changes parameters, which are kept and change nothing.

Owns: these. May import: nothing. Must not know: modules. A parameter stays the same object here whatever is set.
"""

from __future__ import annotations

_set = {"overwrite": False, "swap": False}


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Keep a setting."""
    _set["overwrite"] = value


def get_overwrite_module_params_on_conversion() -> bool:
    """Return what was set."""
    return _set["overwrite"]


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Keep a setting."""
    _set["swap"] = value


def get_swap_module_params_on_conversion() -> bool:
    """Return what was set."""
    return _set["swap"]
