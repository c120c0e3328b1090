"""NumPy's functions called on tensors: `np.sin(x)`, `array * x`, `array -= x`.

Owns: `Tensor.__array_ufunc__`. May import: op records, the recorded call, tensor, creation. Must not know: any op. Records have
NumPy's names, so the function that NumPy was asked for is the op to call, and its gradient is recorded. What has no record, and
what writes to NumPy's memory, works on values, which a tensor that requires grad refuses: no gradient is lost silently.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert._tensor import Tensor
from wengert.op import OPS
from wengert.ops.creation import as_tensor
from wengert.record import OPERATORS, call

_REFLECTED = {getattr(np, op): f"__r{name}__" for name, op in {**OPERATORS, "matmul": "matmul"}.items()}


def on_tensors(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """Return what a function of NumPy gives: a tensor, or the array given as `out`.

    Raises RuntimeError for a tensor that requires grad where there is no op of that name, or with options; TypeError for a
    tensor as `out`.
    """
    if method == "__call__" and not options:
        reflected = getattr(inputs[-1], _REFLECTED.get(ufunc, ""), None)
        if reflected is not None and len(inputs) == 2 and not isinstance(inputs[0], Tensor):
            return reflected(inputs[0])  # an operator, whose left side is NumPy's
        op = OPS.get(ufunc.__name__)
        if op is not None and op.elementwise and not op.params and len(op.inputs) == len(inputs):
            return call(op, [as_tensor(x) if isinstance(x, np.ndarray) else x for x in inputs])
    targets = options.get("out", ())
    if any([isinstance(t, Tensor) for t in targets]):
        raise TypeError(f"np.{ufunc.__name__} writes to NumPy's arrays, not to a tensor; use the tensor's own in-place methods")
    made = getattr(ufunc, method)(*[x.numpy() if isinstance(x, Tensor) else x for x in inputs], **options)
    if targets:
        return made
    return tuple([as_tensor(m) for m in made]) if isinstance(made, tuple) else as_tensor(made)


setattr(Tensor, "__array_ufunc__", on_tensors)


def of_values(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
    """Return what a function of NumPy made of the tensor's values, `np.transpose` for example, as a tensor."""
    return as_tensor(np.asarray(array))


setattr(Tensor, "__array_wrap__", of_values)
