"""Steps of recurrent layers, on devices made of an array module.

Owns: kernels (backend, *inputs) -> arrays. May import: nothing. Must not know: tensors, gradients.
"""

from __future__ import annotations

from typing import Any


def sigmoid(xp: Any, x: Any) -> Any:
    """Write 1 / (1 + exp(-x)) to x."""
    one = x.dtype.type(1)
    xp.negative(x, out=x)
    xp.exp(x, out=x)
    x += one
    return xp.divide(one, x, out=x)


def lstm_cell(backend: Any, x: Any, y: Any, c: Any) -> Any:
    xp, n = backend.xp, c.shape[-1]
    gates = x + y
    u = xp.tanh(gates[..., 2 * n : 3 * n])
    sigmoid(xp, gates)
    new = gates[..., n : 2 * n] * c
    u *= gates[..., :n]
    new += u
    h = xp.tanh(new)
    h *= gates[..., 3 * n :]
    return h, new


def gru_cell(backend: Any, x: Any, y: Any, h: Any) -> Any:
    xp, n = backend.xp, h.shape[-1]
    gates = sigmoid(xp, x[..., : 2 * n] + y[..., : 2 * n])
    made = gates[..., :n] * y[..., 2 * n :]
    made += x[..., 2 * n :]
    xp.tanh(made, out=made)
    step = h - made
    step *= gates[..., n:]
    made += step
    return made
