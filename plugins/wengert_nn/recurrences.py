"""One step of a recurrent layer as one record: what remains when input and state are multiplied by their weights.

Owns: `lstm_cell` and `gru_cell`, and `lstm_pull` and `gru_pull`, their gradients at once on the host. May import:
wengert.extend, NumPy. Must not know: modules, devices; kernels are in kernels_recurrences.py. x comes from the input, y from
the state; their parts lie side by side in the last dim.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.extend import e, s, structural


def infer_cell(parts: int, name: str, x: Any, y: Any, state: Any) -> Any:
    shape = (*state.shape[:-1], parts * state.shape[-1])
    if not tuple(x.shape) == tuple(y.shape) == shape or not x.dtype == y.dtype == state.dtype:
        raise RuntimeError(
            f"{name}: a state of {list(state.shape)} goes with {list(shape)} of the same dtype, got {list(x.shape)}, "
            f"{x.dtype}, and {list(y.shape)}, {y.dtype}, for {state.dtype}"
        )
    return tuple(state.shape), state.dtype


def infer_lstm(x: Any, y: Any, c: Any) -> Any:
    made = infer_cell(4, "lstm", x, y, c)
    return made, made


def part(x: Any, i: int, n: int) -> Any:
    """Return the i-th n elements of the last dim."""
    return x[(slice(None),) * (len(x.shape) - 1) + (slice(i * n, (i + 1) * n),)]


def lstm_back(g: Any, x: Any, y: Any, c: Any, out: Any) -> Any:
    """Return the gradients of x + y and of c, recorded where they are differentiated again."""
    g_h, g_c = g
    at_once = isinstance(c, np.ndarray) and g_h is not None and g_c is not None  # what no transform looks into
    return (lstm_pull if at_once else lstm_slopes)(g_h, g_c, x, y, c, out[1])


def lstm_slopes(g_h: Any, g_c: Any, x: Any, y: Any, c: Any, new: Any) -> Any:
    """With i, f, u, o the four gates: c' = f c + i u, h' = o tanh(c')."""
    n = c.shape[-1]
    gates, t = x + y, e.tanh(new)
    i, f = e.sigmoid(part(gates, 0, n)), e.sigmoid(part(gates, 1, n))
    u, o = e.tanh(part(gates, 2, n)), e.sigmoid(part(gates, 3, n))
    if g_h is None:
        total, g_o = g_c, s.filled(c, tuple(c.shape), 0, None)
    else:
        total, g_o = g_h * o * (1.0 - t * t), g_h * t * o * (1.0 - o)
        total = total if g_c is None else total + g_c
    g_i, g_f, g_u = total * u * i * (1.0 - i), total * c * f * (1.0 - f), total * i * (1.0 - u * u)
    return s.concatenate((g_i, g_f, g_u, g_o), len(c.shape) - 1), total * f


def gru_back(g: Any, x: Any, y: Any, h: Any) -> Any:
    """Return the gradients of x, of y and of h, recorded where they are differentiated again."""
    return (gru_pull if isinstance(h, np.ndarray) else gru_slopes)(g, x, y, h)


def gru_slopes(g: Any, x: Any, y: Any, h: Any) -> Any:
    """m = tanh(x_n + r y_n), h' = m + z (h - m)."""
    n = h.shape[-1]
    r, z = (e.sigmoid(part(x, i, n) + part(y, i, n)) for i in (0, 1))
    inner = part(y, 2, n)
    m = e.tanh(part(x, 2, n) + r * inner)
    g_m = g * (1.0 - z) * (1.0 - m * m)
    g_r, g_z = g_m * inner * r * (1.0 - r), g * (h - m) * z * (1.0 - z)
    last = len(h.shape) - 1
    return s.concatenate((g_r, g_z, g_m), last), s.concatenate((g_r, g_z, g_m * r), last), g * z


def infer_lstm_pull(g_h: Any, g_c: Any, x: Any, y: Any, c: Any, new: Any) -> Any:
    return (tuple(x.shape), x.dtype), (tuple(c.shape), c.dtype)


def infer_gru_pull(g: Any, x: Any, y: Any, h: Any) -> Any:
    return (tuple(x.shape), x.dtype), (tuple(y.shape), y.dtype), (tuple(h.shape), h.dtype)


# fmt: off
# i, f, u, o = x + y;  c' = sigmoid(f) c + sigmoid(i) tanh(u);  h' = sigmoid(o) tanh(c');  returns h' and c'
lstm_cell = structural("lstm_cell", "x y c", infer_lstm, outputs=2, label="LstmCellBackward0", once=lstm_back,
    x=lambda g, once: once[0], y=lambda g, once: once[0], c=lambda g, once: once[1])
# r, z, n = x, y;  m = tanh(x_n + sigmoid(r) y_n);  h' = m + sigmoid(z) (h - m)
gru_cell = structural("gru_cell", "x y h", lambda x, y, h: infer_cell(3, "gru", x, y, h), label="GruCellBackward0",
    once=gru_back, x=lambda g, once: once[0], y=lambda g, once: once[1], h=lambda g, once: once[2])
# not differentiable themselves: the rules above record the formulas where that is asked for
lstm_pull = structural("lstm_pull", "a b x y c new", infer_lstm_pull, outputs=2)
gru_pull = structural("gru_pull", "a x y h", infer_gru_pull, outputs=3)
# fmt: on
