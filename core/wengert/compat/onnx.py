"""`wengert.onnx`: exporting models, which wengert does not.

Owns: the refusal. Must not know: anything else.
"""

from __future__ import annotations

from typing import Any, NoReturn


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError that says what to do instead."""
    raise NotImplementedError("onnx.export: wengert writes no ONNX files; save the state_dict() and export it from PyTorch")


dynamo_export = export


def is_in_onnx_export() -> bool:
    """Say that nothing is being exported."""
    return False


def register_custom_op_symbolic(*args: Any, **kwargs: Any) -> None:
    """Accepted for libraries that say how their operations would be exported."""


unregister_custom_op_symbolic = register_custom_op_symbolic


def parse_args(*kinds: str) -> Any:
    """Return a decorator that leaves the function as it is."""
    return lambda function: function
