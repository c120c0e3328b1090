"""Linear layers, attention's weights and rows of a table, on devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array. May import: NumPy, the other kernels. Must not know: tensors, gradients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert_nn.kernels_activations import HALF, SINGLE

SHORT, NARROW = 256, 80.0  # elements of a row; a difference whose exponential float32 has with all digits
FEW = 64  # rows that BLAS multiplies by a large matrix sooner as its second factor than as its first

def linear(backend: Any, x: Any, weight: Any, bias: Any) -> Any:
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    if type(rows) is np.ndarray and 2 * len(rows) <= len(weight) and len(rows) <= FEW and weight.size >= 1 << 16:
        made = np.empty((len(rows), len(weight)), weight.dtype)
        made[...] = np.matmul(weight, rows.T).T
    else:
        made = backend.xp.matmul(rows, weight.T)
    made += bias
    return made.reshape((*x.shape[:-1], weight.shape[0]))


def scaled_scores(xp: Any, q: Any, k: Any, scale: float) -> Any:
    """Return the products of queries and keys; thin keys are turned first, as BLAS takes twice as long for what is turned."""
    turned = k.swapaxes(-1, -2)
    return xp.matmul(q * scale, xp.ascontiguousarray(turned) if k.shape[-1] <= 64 else turned)


def attention_weights(backend: Any, q: Any, k: Any, scale: float) -> Any:
    """Softmax of the scores where they are."""
    if q.dtype == HALF:
        return attention_weights(backend, q.astype(SINGLE), k.astype(SINGLE), scale).astype(HALF)
    return softmax(backend.xp, scaled_scores(backend.xp, q, k, scale), False)


def masked_attention_weights(backend: Any, q: Any, k: Any, mask: Any, scale: float) -> Any:
    xp = backend.xp
    if q.dtype == HALF:
        return masked_attention_weights(backend, q.astype(SINGLE), k.astype(SINGLE), mask, scale).astype(HALF)
    scores = scaled_scores(xp, q, k, scale)
    if len(np.broadcast_shapes(scores.shape, mask.shape)) > scores.ndim or mask.size > scores.size:
        return softmax(xp, scores + mask, True)
    return softmax(xp, xp.add(scores, mask, out=scores), True)


def softmax(xp: Any, scores: Any, masked: bool) -> Any:
    """Write softmax over the last dim to the scores; masked: rows without a finite one are 0."""
    if not scores.size:
        return scores
    if not masked and type(scores) is np.ndarray and scores.shape[-1] <= SHORT and scores.dtype == SINGLE and scores.ndim > 1:
        made = short_softmax(xp, scores)
        if made is not None:
            return made
    top = xp.max(scores, axis=-1, keepdims=True)
    if masked:
        top[top == -np.inf] = 0
    scores -= top
    xp.exp(scores, out=scores)
    total = xp.add.reduce(scores, -1, None, None, True)
    if masked:
        total[total == 0] = 1
    scores /= total
    return scores


def short_softmax(xp: Any, scores: Any) -> Any:
    """The same for short rows, on which NumPy takes longer to begin than to compute: with one top for all of them, where no
    exponential is too small for that (else None), and quotients by a product with factors that BLAS repeats."""
    top = scores.max()
    if not top - scores.min() < NARROW:
        return None
    scores -= top
    xp.exp(scores, out=scores)
    width = scores.shape[-1]
    total = xp.matmul(scores, xp.ones(width, scores.dtype))
    factors = xp.zeros((*total.shape, 2), scores.dtype)
    xp.divide(1, total, out=factors[..., 0])
    scores *= xp.matmul(factors.reshape(-1, 2), xp.ones((2, width), scores.dtype)).reshape(scores.shape)
    return scores


def embedding(backend: Any, weight: Any, index: Any, padding: int, by_frequency: bool) -> Any:
    if isinstance(index, np.ndarray) and index.size and (index.min() < 0 or index.max() >= len(weight)):
        raise IndexError("a row is out of range")
    return backend.xp.take(weight, index, axis=0)
