"""Linear layers, attention's weights and rows of a table, on devices made of an array module.

Owns: kernels (backend, *inputs, *params) -> array. May import: NumPy, the other kernels. Must not know: tensors, gradients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert_nn.kernels_activations import HALF, SINGLE
from wengert_nn.kernels_losses import within

SHORT, NARROW = 256, 80.0  # elements of a row; a difference whose exponential float32 has with all digits
LOW = 1e-4  # a row's sum of exponentials below the top of all rows, of which all digits are there
FEW = 64  # rows that BLAS multiplies by a large matrix sooner as its second factor than as its first

def linear(backend: Any, x: Any, weight: Any, bias: Any, out: Any = None) -> Any:
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    made = out.reshape(len(rows), len(weight)) if out is not None and out.flags.c_contiguous else None
    if type(rows) is np.ndarray and 2 * len(rows) <= len(weight) and len(rows) <= FEW and weight.size >= 1 << 16:
        made = np.empty((len(rows), len(weight)), weight.dtype) if made is None else made
        made[...] = np.matmul(weight, rows.T).T
    elif made is None:
        made = backend.xp.matmul(rows, weight.T)
    else:
        np.matmul(rows, weight.T, out=made)
    made += bias
    made = made if x.ndim == 2 else made.reshape((*x.shape[:-1], weight.shape[0]))
    if out is not None and not out.flags.c_contiguous:
        out[...] = made
    return made


linear.fills = True  # type: ignore[attr-defined]


def scaled_scores(xp: Any, q: Any, k: Any, scale: float) -> Any:
    """Return the products of queries and keys; thin keys are turned first, as BLAS takes twice as long for what is turned."""
    turned = k.swapaxes(-1, -2)
    return xp.matmul(q * scale, xp.ascontiguousarray(turned) if k.shape[-1] <= 64 else turned)


def attention_weights(backend: Any, q: Any, k: Any, scale: float) -> Any:
    """Softmax of the scores where they are."""
    if q.dtype == HALF:
        return attention_weights(backend, q.astype(SINGLE), k.astype(SINGLE), scale).astype(HALF)
    return softmax(backend, scaled_scores(backend.xp, q, k, scale), False)


def masked_attention_weights(backend: Any, q: Any, k: Any, mask: Any, scale: float) -> Any:
    xp = backend.xp
    if q.dtype == HALF:
        return masked_attention_weights(backend, q.astype(SINGLE), k.astype(SINGLE), mask, scale).astype(HALF)
    scores = scaled_scores(xp, q, k, scale)
    if len(np.broadcast_shapes(scores.shape, mask.shape)) > scores.ndim or mask.size > scores.size:
        return softmax(backend, scores + mask, True)
    return softmax(backend, xp.add(scores, mask, out=scores), True)


def softmax(backend: Any, scores: Any, masked: bool) -> Any:
    """Write softmax over the last dim to the scores; masked: rows without a finite one are 0."""
    xp = backend.xp
    if not scores.size:
        return scores
    if type(scores) is np.ndarray and scores.shape[-1] <= SHORT and scores.dtype == SINGLE and scores.ndim > 1:
        made = (short_masked if masked else short_softmax)(backend, scores)
        if made is not None:
            return made
    top = xp.max(scores, axis=-1, keepdims=True)
    if masked:
        xp.copyto(top, 0, where=top == -np.inf)
    scores -= top
    xp.exp(scores, out=scores)
    total = xp.add.reduce(scores, -1, None, None, True)
    if masked:
        xp.copyto(total, 1, where=total == 0)
    scores /= total
    return scores


def short_softmax(backend: Any, scores: Any) -> Any:
    """The same for short rows, on which NumPy takes longer to begin than to compute: with one top for all of them, where no
    exponential is too small for that (else None), and quotients by a product with factors that BLAS repeats."""
    xp = backend.xp
    top = xp.maximum.reduce(scores, None)
    if not top - xp.minimum.reduce(scores, None) < NARROW:
        return None
    scores -= top
    xp.exp(scores, out=scores)
    scores *= repeated(xp, row_sums(backend, scores), scores)
    return scores


def short_masked(backend: Any, scores: Any) -> Any:
    """The same where scores may be -inf: None where a row's exponentials are all too small for the top of all rows."""
    xp = backend.xp
    off = scores - xp.maximum.reduce(scores, None)
    powers = xp.exp(off, out=off)
    total = row_sums(backend, powers)
    if not xp.minimum.reduce(total, None) > LOW:
        return None
    return xp.multiply(powers, repeated(xp, total, scores), out=scores)


def row_sums(backend: Any, x: Any) -> Any:
    n = x.shape[-1]
    return x.reshape(-1, n).dot(backend.ones(n, x.dtype)).reshape(x.shape[:-1])


def repeated(xp: Any, total: Any, like: Any) -> Any:
    """Return 1 / total for each element of its row: of many short rows by a product with factors that BLAS repeats."""
    if not 1 << 12 < like.size <= 1 << 18 or like.shape[-1] >= 64:
        return xp.reciprocal(total)[..., None]
    factors = xp.zeros((*total.shape, 2), like.dtype)
    xp.divide(1, total, out=factors[..., 0])
    return xp.matmul(factors.reshape(-1, 2), xp.ones((2, like.shape[-1]), like.dtype)).reshape(like.shape)


def embedding(backend: Any, weight: Any, index: Any, padding: int, by_frequency: bool) -> Any:
    if isinstance(index, np.ndarray) and index.size and not within(index, len(weight)):
        raise IndexError("a row is out of range")
    return backend.xp.take(weight, index, axis=0)
