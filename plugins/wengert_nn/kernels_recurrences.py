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


def lstm_pull(backend: Any, g_h: Any, g_c: Any, x: Any, y: Any, c: Any, new: Any) -> tuple[Any, Any]:
    xp, n = backend.xp, c.shape[-1]
    gates = x + y
    u = xp.tanh(gates[..., 2 * n : 3 * n])
    slopes = sigmoid(xp, gates) * (1 - gates)
    slopes[..., 2 * n : 3 * n] = 1 - u * u
    t = xp.tanh(new)
    total = 1 - t * t
    total *= gates[..., 3 * n :]
    total *= g_h
    total += g_c
    slopes[..., :n] *= total * u
    slopes[..., n : 2 * n] *= total * c
    slopes[..., 2 * n : 3 * n] *= total * gates[..., :n]
    slopes[..., 3 * n :] *= g_h * t
    total *= gates[..., n : 2 * n]
    return slopes, total


def gru_pull(backend: Any, g: Any, x: Any, y: Any, h: Any) -> tuple[Any, Any, Any]:
    xp, n = backend.xp, h.shape[-1]
    gates = sigmoid(xp, x[..., : 2 * n] + y[..., : 2 * n])
    r, z, inner = gates[..., :n], gates[..., n:], y[..., 2 * n :]
    m = r * inner
    m += x[..., 2 * n :]
    xp.tanh(m, out=m)
    g_x = xp.empty_like(x)
    g_m = g_x[..., 2 * n :]
    kept = g * z
    xp.subtract(g, kept, out=g_m)  # g (1 - z)
    g_m *= 1 - m * m
    slopes = xp.multiply(gates, 1 - gates, out=g_x[..., : 2 * n])
    slopes[..., :n] *= g_m * inner
    slopes[..., n:] *= g * (h - m)
    g_y = g_x.copy()
    g_y[..., 2 * n :] *= r
    return g_x, g_y, kept
