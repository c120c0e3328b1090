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


def lstm_layer(backend: Any, x: Any, w: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    xp, n = backend.xp, c.shape[-1]
    half = xp.full(4 * n, 0.5, x.dtype)  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves all gates
    half[2 * n : 3 * n] = 1
    rest = 1 - half
    gates, turned = x * half, xp.ascontiguousarray((w * half[:, None]).T)
    outputs, cells = xp.empty((len(x), *c.shape), x.dtype), xp.empty((len(x), *c.shape), x.dtype)
    product, i_u = xp.empty(x.shape[1:], x.dtype), xp.empty(c.shape, x.dtype)
    for gate, output, cell in zip(gates, outputs, cells, strict=True):
        gate += xp.matmul(h, turned, out=product)
        xp.tanh(gate, out=gate)
        gate *= half
        gate += rest
        xp.multiply(gate[..., n : 2 * n], c, out=cell)
        cell += xp.multiply(gate[..., :n], gate[..., 2 * n : 3 * n], out=i_u)
        xp.tanh(cell, out=output)
        output *= gate[..., 3 * n :]
        h, c = output, cell
    return outputs, cells, gates


def lstm_layer_pull(backend: Any, g: Any, w: Any, h: Any, c: Any, outputs: Any, cells: Any, gates: Any) -> tuple[Any, ...]:
    xp, n = backend.xp, c.shape[-1]
    f = gates[..., n : 2 * n]
    slopes = 1 - gates  # becomes what a gradient of the cell (of the state, for the last part) is multiplied by, at once
    slopes *= gates
    u = gates[..., 2 * n : 3 * n]
    slopes[..., 2 * n : 3 * n] = 1 - u * u
    t = xp.tanh(cells)
    slopes[..., :n] *= u
    slopes[1:, ..., n : 2 * n] *= cells[:-1]
    slopes[0, ..., n : 2 * n] *= c
    slopes[..., 2 * n : 3 * n] *= gates[..., :n]
    slopes[..., 3 * n :] *= t
    of_state = xp.multiply(t, t, out=t)
    xp.subtract(1, of_state, out=of_state)
    of_state *= gates[..., 3 * n :]
    g_state, g_cell = xp.zeros_like(h), xp.zeros_like(c)
    parts = slopes.reshape(*slopes.shape[:-1], 4, n)
    for row in reversed(range(len(g))):
        g_state += g[row]
        g_cell += of_state[row] * g_state
        parts[row, ..., :3, :] *= g_cell[..., None, :]
        parts[row, ..., 3, :] *= g_state
        xp.matmul(slopes[row], w, out=g_state)
        g_cell *= f[row]
    states = xp.concatenate((h[None], outputs[:-1]))
    return slopes, slopes.reshape(-1, 4 * n).T @ states.reshape(-1, n), g_state, g_cell
