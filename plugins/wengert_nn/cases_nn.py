"""Rows of the records of neural-network functions: activations, losses, layers, attention.

Owns: the rows and their oracles. May import: the helpers of cases, the families. Must not know: how a row is checked.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.special

import wengert_nn.activations
import wengert_nn.attention
import wengert_nn.compiled
import wengert_nn.embedding
import wengert_nn.losses
import wengert_nn.recurrences  # noqa: F401  (they enter the records)
from wengert.extend import OPS
from wengert.testing.cases import C, I, R, U, V, each, row, s, table

E = scipy.special.expit
NORMAL = scipy.special.ndtr


SMALL = V(np.linspace(-0.3, 0.3, 36).reshape(12, 3))
GATES = V(np.sin(np.arange(240.0)).reshape(4, 5, 12) * 0.4 + 0.5)


def lstm(x: Any, y: Any, c: Any) -> Any:
    i, f, u, o = np.split(x + y, 4, -1)
    new = E(f) * c + E(i) * np.tanh(u)
    return E(o) * np.tanh(new), new


def gru(x: Any, y: Any, h: Any) -> Any:
    (r, z), n = np.split(E(x + y), 3, -1)[:2], h.shape[-1]
    made = np.tanh(x[..., 2 * n :] + r * y[..., 2 * n :])
    return (1 - z) * made + z * h


def lstm_pull(g_h: Any, g_c: Any, x: Any, y: Any, c: Any, new: Any) -> Any:
    i, f, u, o = np.split(x + y, 4, -1)
    t, total = np.tanh(new), g_h * E(o) * (1 - np.tanh(new) ** 2) + g_c
    slope = [E(v) * (1 - E(v)) for v in (i, f, o)]
    parts = total * np.tanh(u) * slope[0], total * c * slope[1], total * E(i) * (1 - np.tanh(u) ** 2), g_h * t * slope[2]
    return np.concatenate(parts, -1), total * E(f)


def lstm_layer(x: Any, w: Any, h: Any, c: Any) -> Any:
    steps = []
    for given in x:
        gates = given + h @ w.T
        h, c = lstm(given, h @ w.T, c)
        i, f, u, o = np.split(gates, 4, -1)
        steps.append((h, c, np.concatenate([E(i), E(f), np.tanh(u), E(o)], -1)))
    return tuple(map(np.stack, zip(*steps, strict=True)))


def lstm_layer_pull(g: Any, w: Any, h: Any, c: Any, outputs: Any, cells: Any, gates: Any) -> Any:
    i, f, u, o = np.split(gates, 4, -1)
    before, t = np.concatenate([c[None], cells[:-1]]), np.tanh(cells)
    made, g_h, g_c = np.zeros_like(gates), np.zeros_like(h), np.zeros_like(c)
    slopes = [u * i * (1 - i), before * f * (1 - f), i * (1 - u * u), t * o * (1 - o)]
    for k in reversed(range(len(g))):
        g_h = g_h + g[k]
        g_c = g_c + g_h * o[k] * (1 - t[k] * t[k])
        made[k] = np.concatenate([*[g_c * slope[k] for slope in slopes[:3]], g_h * slopes[3][k]], -1)
        g_h, g_c = made[k] @ w, g_c * f[k]
    states = np.concatenate([h[None], outputs[:-1]])
    return made, np.einsum("tbi,tbj->ij", made, states), g_h, g_c


def gru_pull(g: Any, x: Any, y: Any, h: Any) -> Any:
    (r, z), n = np.split(E(x + y), 3, -1)[:2], h.shape[-1]
    inner = y[..., 2 * n :]
    m = np.tanh(x[..., 2 * n :] + r * inner)
    g_m = g * (1 - z) * (1 - m * m)
    first = [g_m * inner * r * (1 - r), g * (h - m) * z * (1 - z)]
    return np.concatenate([*first, g_m], -1), np.concatenate([*first, g_m * r], -1), g * z


def share_less(x: Any, scale: Any, a: Any, index: Any, ignored: int) -> Any:
    made = x * np.expand_dims(scale, 1)
    made[classes(x, index, ignored)[1]] -= a
    return made


def density(x: Any) -> Any:
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def softplus(x: Any, beta: float, threshold: float) -> Any:
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def elu_slope(x: Any, alpha: float, scale: float, inner: float) -> Any:
    return scale * np.where(x > 0, 1, alpha * inner * np.exp(x * inner))


def gelu_tanh(x: Any) -> Any:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_slope(x: Any) -> Any:
    h = 1e-30
    return np.imag(gelu_tanh(x + h * 1j)) / h


def classes(x: Any, index: Any, ignored: int) -> tuple[Any, Any]:
    """Return where samples count, and the key of their classes."""
    valid = index != ignored
    places = np.indices(index.shape)
    return valid, (places[0], np.where(valid, index, 0), *places[1:])


def pick(x: Any, index: Any, ignored: int) -> Any:
    valid, key = classes(x, index, ignored)
    return np.where(valid, x[key], 0.0)


def unpick(x: Any, index: Any, shape: Any, ignored: int) -> Any:
    made = np.zeros(shape)
    valid, key = classes(made, index, ignored)
    made[key] = np.where(valid, x, 0.0)
    return made


def cross_entropy(x: Any, index: Any, ignored: int) -> Any:
    return -pick(scipy.special.log_softmax(x, axis=1), index, ignored)


def cross_entropy_pull(a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    """a (exp(x - x[index] - y) - onehot(index)): with y the losses, the exponential is softmax(x)."""
    valid, key = classes(x, index, ignored)
    made = np.exp(x - np.expand_dims(x[key] + y, 1))
    made[key] -= 1
    return made * np.expand_dims(np.where(valid, a, 0), 1)


def attention(q: Any, k: Any, *rest: Any) -> Any:
    scores = rest[-1] * q @ k.swapaxes(-1, -2) + (rest[0] if len(rest) > 1 else 0)
    top = np.max(scores, -1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


CAUSAL = np.where(np.tri(3, 5) > 0, 0.0, -np.inf)
CAUSAL[0] = -np.inf  # a query that attends to nothing
HIDDEN = dataclasses.replace(V(CAUSAL), floating=False)  # no type but a float's has an infinity

RECORDS = table(
    each("gelu", R, oracle=lambda x: x * NORMAL(x)),
    each("normal_share", R, oracle=NORMAL, order=0),
    each("gelu_slope", R, R, oracle=lambda x, y: y + x * density(x), order=0),
    each("gelu_pull", R, R, C, oracle=lambda a, x, y: a * (NORMAL(x) + x * density(x)),
        call=lambda T, a, x, y: OPS["gelu_pull"](a, x, OPS["gelu"](x) + 0 * y)),
    each("gelu_with_slope", R, oracle=lambda x: (x * NORMAL(x), NORMAL(x) + x * density(x)), order=0),
    each("gelu_made", R, oracle=lambda x: x * NORMAL(x), call=lambda T, x: OPS["gelu_made"](x, *OPS["gelu_with_slope"](x))),
    each("gelu_push", R, R, C, oracle=lambda a, x, y: a * (NORMAL(x) + x * density(x)),
        call=lambda T, a, x, y: OPS["gelu_push"](a, x, OPS["gelu_with_slope"](x)[1] + 0 * y)),
    each("gelu_tanh", R, oracle=gelu_tanh),
    each("gelu_tanh_pull", R, R, oracle=lambda a, x: a * gelu_tanh_slope(x)),
    each("silu", R, oracle=lambda x: x * E(x)),
    each("silu_pull", R, R, R, oracle=lambda a, x, y: a * E(x) * (1 + x - y)),
    each("elu", R, args=((1.0, 1.0, 1.0), (1.5, 2.0, 0.5)),
        oracle=lambda x, alpha, scale, inner: scale * np.where(x > 0, x, alpha * np.expm1(x * inner))),
    each("elu_pull", R, R, args=((1.0, 1.0, 1.0), (1.5, 2.0, 0.5)),
        oracle=lambda a, x, *constants: a * elu_slope(x, *constants)),
    each("softplus", R, args=((1.0, 20.0), (2.0, 1.0), (0.5, 20.0)), oracle=softplus),
    each("softplus_pull", R, R, args=((1.0, 20.0), (2.0, 1.0)),
        oracle=lambda a, x, beta, threshold: a * np.where(x * beta > threshold, 1, E(x * beta))),
    each("log_sigmoid", R, oracle=scipy.special.log_expit),
    each("leaky_relu", R, args=((0.1,), (-0.5,), (2.0,)), oracle=lambda x, slope: np.where(x > 0, x, slope * x)),
    each("leaky_relu_pull", R, R, args=((0.1,), (-0.5,), (2.0,)), oracle=lambda a, x, slope: a * np.where(x > 0, 1, slope)),
    each("mish", R, oracle=lambda x: x * np.tanh(np.logaddexp(0, x))),
    each("hardtanh", R, args=((-1.0, 1.0), (0.0, 1.5)), oracle=np.clip, integers=True),
    each("hardsigmoid", R, oracle=lambda x: np.clip(x + 3, 0, 6) / 6),
    each("hardswish", R, oracle=lambda x: x * np.clip(x + 3, 0, 6) / 6),
    # losses
    row("pick", s(R(3, 4), I(3, high=4), -100), s(R(2, 3, 4, 2), I(2, 4, 2), -1), s(R(4, 3), V([0, 2, 1, 2]), 2),
        s(R(0, 3), I(0), -100), oracle=pick,
        bad=(s(R(3, 4), V([0, 4, 0]), -100), s(R(3, 4), I(4), -100))),
    row("unpick", s(R(3), I(3, high=4), (3, 4), -100), s(R(2, 4, 2), I(2, 4, 2), (2, 3, 4, 2), -1),
        s(R(4), V([0, 2, 1, 2]), (4, 3), 2), s(R(0), I(0), (0, 3), -100), oracle=unpick),
    row("cross_entropy", s(R(3, 4), I(3, high=4), -100), s(R(2, 3, 4, 2), I(2, 4, 2), -1), s(R(4, 3), V([0, 2, -7, 1]), -7),
        s(R(0, 3), I(0), -100), oracle=cross_entropy,
        bad=(s(R(3, 4), V([0, -1, 0]), -100),)),
    row("cross_entropy_pull", s(R(3), R(3, 4), R(3), I(3, high=4), -100), s(R(2, 4), R(2, 3, 4), R(2, 4), I(2, 4), -1),
        s(R(4), R(4, 3), R(4), V([0, 2, -7, 1]), -7), oracle=cross_entropy_pull),
    row("share_less", s(R(3, 4), R(3), R(3), I(3, high=4), -100), s(R(2, 3, 4), R(2, 4), R(2, 4), I(2, 4), -1),
        oracle=share_less, order=0),
    row("class_mean", s(R(3), I(3, high=4), -100), s(R(2, 3), I(2, 3), 2), oracle=lambda x, index, ignored:
        x.sum() / np.sum(index != ignored)),
    row("count_samples", s(I(3, 4), 2, np.dtype(np.float64)), s(V([1, -100, 3]), -100, np.dtype(np.float32)), order=0,
        oracle=lambda index, ignored, dtype: np.sum(index != ignored).astype(dtype)),
    row("mse", s(R(3, 4), R(3, 4), True), s(R(5), R(5), False), s(R(), R(), True), s(R(0, 2), R(0, 2), False),
        oracle=lambda x, y, mean: np.mean((x - y) ** 2) if mean else np.sum((x - y) ** 2)),
    each("huber", R, R, args=((1.0,), (0.35,)),
        oracle=lambda x, y, d: np.where(abs(x - y) < d, (x - y) ** 2 / 2, d * (abs(x - y) - d / 2))),
    each("bce", lambda *shape: V(np.linspace(0.15, 0.85, max(int(np.prod(shape)), 0)).reshape(shape)), U,
        oracle=lambda x, y: -(y * np.log(x) + (1 - y) * np.log1p(-x))),
    each("bce_logits", R, R, oracle=lambda x, y: np.maximum(x, 0) - x * y + np.log1p(np.exp(-abs(x)))),
    each("bce_logits_pull", R, R, R, oracle=lambda a, x, y: a * (E(x) - y)),
    # layers
    row("linear", s(R(5, 3), R(4, 3), R(4)), s(R(3), R(4, 3), R(4)), s(R(2, 5, 3), R(4, 3), R()), s(R(0, 3), R(4, 3), R(4)),
        oracle=lambda x, weight, bias: x @ weight.T + bias,
        bad=(s(R(5, 3), R(4, 2), R(4)), s(R(5, 3), R(4, 3), R(5)))),
    row("lstm_cell", s(R(5, 12), R(5, 12), R(5, 3)), s(R(4), R(4), R(1)), s(R(0, 8), R(0, 8), R(0, 2)), oracle=lstm,
        bad=(s(R(5, 12), R(5, 12), R(5, 4)), s(R(5, 12), R(1, 12), R(5, 3)))),
    row("gru_cell", s(R(5, 9), R(5, 9), R(5, 3)), s(R(3), R(3), R(1)), s(R(0, 6), R(0, 6), R(0, 2)), oracle=gru,
        bad=(s(R(5, 9), R(5, 9), R(5, 4)), s(R(5, 9), R(1, 9), R(5, 3)))),
    row("lstm_pull", s(R(5, 3), R(5, 3), R(5, 12), R(5, 12), R(5, 3), R(5, 3)), s(R(1), R(1), R(4), R(4), R(1), R(1)),
        oracle=lstm_pull, order=0),
    row("lstm_layer", s(R(4, 5, 12), R(12, 3), R(5, 3), R(5, 3)), s(R(2, 1, 4), R(4, 1), R(1, 1), R(1, 1)), oracle=lstm_layer,
        bad=(s(R(4, 5, 12), R(12, 3), R(5, 3), R(4, 3)), s(R(4, 5, 12), R(3, 12), R(5, 3), R(5, 3)))),
    row("lstm_layer_pull", s(R(4, 5, 3), SMALL, R(5, 3), R(5, 3), R(4, 5, 3), R(4, 5, 3), GATES),
        oracle=lstm_layer_pull, order=0),
    row("gru_pull", s(R(5, 3), R(5, 9), R(5, 9), R(5, 3)), s(R(1), R(3), R(3), R(1)), oracle=gru_pull, order=0),
    row("attention_weights", s(R(3, 4), R(5, 4), 0.5), s(R(2, 2, 3, 4), R(2, 1, 5, 4), 1.0), oracle=attention),
    row("masked_attention_weights", s(R(3, 4), R(5, 4), R(3, 5), 0.5), s(R(2, 2, 3, 4), R(2, 1, 5, 4), R(2, 1, 1, 5), 1.0),
        s(R(3, 4), R(5, 4), C(2, 3, 5), 0.5), s(R(3, 4), R(5, 4), HIDDEN, 0.5), oracle=attention),
    row("embedding", s(R(5, 3), I(4, high=5), -1, False), s(R(5, 3), I(2, 4, high=5), -1, False), s(R(5, 2), I(), -1, False),
        oracle=lambda weight, index, padding, by_frequency: weight[index],
        bad=(s(R(5, 3), V([0, 5]), -1, False),)),
    # its gradient is a sparse tensor, which the harness does not compare: tests/test_sparse.py does
    row("embedding_sparse", s(R(5, 3), I(4, high=5), -1, False), s(R(5, 3), I(2, 4, high=5), -1, False),
        oracle=lambda weight, index, *_: weight[index], order=0),
)
