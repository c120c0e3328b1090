"""`torch._tensor_str`, as far as libraries print tensors of their own with it.

Owns: the names. May import: printing, tensor. Must not know: how elements are written.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert import printing
from wengert._tensor import Tensor


class _Options:
    """The options that `set_printoptions` sets, as attributes."""

    def __getattr__(self, name: str) -> object:
        options = printing.get_printoptions()
        if name not in options:
            raise AttributeError(f"PRINT_OPTS has no {name!r}, only {', '.join(options)}")
        return options[name]


PRINT_OPTS = _Options()


def _tensor_str(self: Tensor, indent: int) -> str:
    """Return brackets and elements of a tensor that begins in a column."""
    return printing.elements(self.detach().cpu().numpy(), indent)


def _add_suffixes(tensor_str: str, suffixes: Sequence[str], indent: int, force_newline: bool) -> str:
    """Put what else is known behind the elements, on new lines where the line is full."""
    return printing.suffixed(tensor_str, list(suffixes), indent, force_newline)
