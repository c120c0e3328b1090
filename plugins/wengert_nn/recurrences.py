"""One step of a recurrent layer as one record, and all steps of an LSTM.

Owns: `lstm_cell` and `gru_cell`, what remains of a step when input and state are multiplied by their weights; `lstm_layer`, all
steps for sequences of one length; `..._pull`, their gradients at once on the host. May import: wengert.extend, NumPy. Must not
know: modules, devices; kernels are in kernels_recurrences.py. x comes from the input, y from the state; their parts lie side
by side in the last dim.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.extend import e, products, s, structural


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


def eager_on_host(*tensors: Any) -> bool:
    """Say whether these lie on the host, and neither a capture nor a transform looks into what is done to them."""
    return all(type(x._array) is np.ndarray for x in tensors)


def infer_layer(x: Any, w: Any, h: Any, c: Any) -> Any:
    n = c.shape[-1]
    if (tuple(x.shape[1:]), tuple(w.shape), tuple(h.shape)) != ((*c.shape[:-1], 4 * n), (4 * n, n), tuple(c.shape)):
        raise RuntimeError(
            f"lstm: a state of {list(c.shape)} goes with inputs of [times, batch, {4 * n}] and a weight of {[4 * n, n]}, got "
            f"{list(x.shape)}, {list(w.shape)}, and a state of {list(h.shape)}"
        )
    made = (x.shape[0], *c.shape), c.dtype
    return made, made, (tuple(x.shape), x.dtype)


def lstm_layer_steps(x: Any, w: Any, h: Any, c: Any) -> Any:
    """Return the states, the cells and the gates of all steps, one step after another."""
    n, turned = c.shape[-1], s.transpose_(w, (1, 0))
    steps = []
    for row in range(x.shape[0]):
        gates = x[row] + products.matmul_(h, turned)
        i, f, u, o = (part(gates, k, n) for k in range(4))
        i, f, u, o = e.sigmoid(i), e.sigmoid(f), e.tanh(u), e.sigmoid(o)
        c = f * c + i * u
        h = o * e.tanh(c)
        steps.append((h, c, s.concatenate((i, f, u, o), len(c.shape) - 1)))
    return tuple(stacked(values) for values in zip(*steps, strict=True))


def lstm_layer_back(g: Any, w: Any, h: Any, c: Any, out: Any) -> Any:
    """Return the gradients of all inputs, recorded where they are differentiated again."""
    g_h, g_c, g_gates = g
    at_once = isinstance(c, np.ndarray) and g_h is not None and g_c is None and g_gates is None
    return lstm_layer_pull(g_h, w, h, c, *out) if at_once else lstm_layer_slopes(g, w, h, c, *out)


def stacked(values: Any) -> Any:
    """Return arrays one below the other, along a new first dim."""
    return s.concatenate([s.reshape(x, (1, *x.shape)) for x in values], 0)


def lstm_layer_slopes(g: Any, w: Any, h: Any, c: Any, outputs: Any, cells: Any, gates: Any) -> Any:
    """From the last step to the first: what the next step gives back joins what comes from above, as in `lstm_slopes`."""
    last, n = len(c.shape) - 1, c.shape[-1]
    made: list[Any] = []
    g_state, g_cell = s.filled(h, tuple(h.shape), 0, None), s.filled(c, tuple(c.shape), 0, None)
    for row in reversed(range(outputs.shape[0])):
        i, f, u, o = (part(gates[row], k, n) for k in range(4))
        t, before = e.tanh(cells[row]), cells[row - 1] if row else c
        g_h, g_c, g_gates = (None if x is None else x[row] for x in g)
        g_state = g_state if g_h is None else g_state + g_h
        g_cell = g_cell + g_state * o * (1.0 - t * t)
        g_cell = g_cell if g_c is None else g_cell + g_c
        of_gates = s.concatenate((g_cell * u, g_cell * before, g_cell * i, g_state * t), last)
        of_gates = of_gates if g_gates is None else of_gates + g_gates
        slopes = s.concatenate((i * (1.0 - i), f * (1.0 - f), 1.0 - u * u, o * (1.0 - o)), last)
        made.append(of_gates * slopes)
        g_state, g_cell = products.matmul_(made[-1], w), g_cell * f
    g_x = stacked(made[::-1])
    states = s.concatenate((s.reshape(h, (1, *h.shape)), outputs[:-1]), 0)
    g_w = products.matmul_(s.transpose_(s.reshape(g_x, (-1, 4 * n)), (1, 0)), s.reshape(states, (-1, n)))
    return g_x, g_w, g_state, g_cell


def lstm_layer_gradients(g: Any, *kept: Any) -> Any:
    """Return `lstm_layer_slopes` where only the states have a gradient."""
    return lstm_layer_slopes((g, None, None), *kept)


def infer_layer_pull(g: Any, w: Any, h: Any, c: Any, outputs: Any, cells: Any, gates: Any) -> Any:
    return tuple((tuple(x.shape), x.dtype) for x in (gates, w, h, c))


def infer_lstm_pull(g_h: Any, g_c: Any, x: Any, y: Any, c: Any, new: Any) -> Any:
    return (tuple(x.shape), x.dtype), (tuple(c.shape), c.dtype)


def infer_gru_pull(g: Any, x: Any, y: Any, h: Any) -> Any:
    return (tuple(x.shape), x.dtype), (tuple(y.shape), y.dtype), (tuple(h.shape), h.dtype)


# fmt: off
# i, f, u, o = x + y;  c' = sigmoid(f) c + sigmoid(i) tanh(u);  h' = sigmoid(o) tanh(c');  returns h' and c'
lstm_cell = structural("lstm_cell", "x y c", infer_lstm, outputs=2, label="LstmCellBackward0", once=lstm_back,
    x=lambda g, once: once[0], y=lambda g, once: once[0], c=lambda g, once: once[1])
# the same for each row of x, [times, batch, 4 n], with y = w h; returns h', c' and the gates of all steps
lstm_layer = structural("lstm_layer", "x w h c", infer_layer, outputs=3, label="LstmBackward0", once=lstm_layer_back,
    x=lambda g, once: once[0], w=lambda g, once: once[1], h=lambda g, once: once[2], c=lambda g, once: once[3])
# r, z, n = x, y;  m = tanh(x_n + sigmoid(r) y_n);  h' = m + sigmoid(z) (h - m)
gru_cell = structural("gru_cell", "x y h", lambda x, y, h: infer_cell(3, "gru", x, y, h), label="GruCellBackward0",
    once=gru_back, x=lambda g, once: once[0], y=lambda g, once: once[1], h=lambda g, once: once[2])
# not differentiable themselves: the rules above record the formulas where that is asked for
lstm_pull = structural("lstm_pull", "a b x y c new", infer_lstm_pull, outputs=2)
gru_pull = structural("gru_pull", "a x y h", infer_gru_pull, outputs=3)
lstm_layer_pull = structural("lstm_layer_pull", "a w h c outputs cells gates", infer_layer_pull, outputs=4)
# fmt: on
