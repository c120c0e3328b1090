"""Products of layers: linear, bilinear, attention; and vectors scaled to a norm.

Owns: the `linear` record, and attention's weights as one record, so that one array of scores is all that is kept.
May import: wengert.extend, dropout. Must not know: devices; kernels are in kernels_layers.py.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from wengert.extend import (
    Tensor,
    dtypes,
    e,
    errors,
    labelled,
    products,
    r,
    relabel,
    s,
    shared_like,
    size_of,
    structural,
    sum_to,
    tensor_like,
    write_out,
)  # fmt: skip
from wengert_nn.dropout import dropout

matmul_ = products.matmul_


# ---- rules that need more than a line
def infer_linear(x: Any, weight: Any, bias: Any) -> Any:
    if len(weight.shape) != 2 or not len(x.shape) or x.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied (linear: the input's last size must be the weight's last, got "
            f"{list(x.shape)} and {list(weight.shape)})"
        )
    if tuple(bias.shape) not in ((weight.shape[0],), (1,), ()):
        raise RuntimeError(f"linear: the bias must be one number for each of {weight.shape[0]} outputs: {list(bias.shape)}")
    if not x.dtype == weight.dtype == bias.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {x.dtype} and {weight.dtype} (linear; its bias: {bias.dtype}); "
            "convert one with .to()"
        )
    return (*x.shape[:-1], weight.shape[0]), x.dtype


def as_rows(x: Any) -> Any:
    return x if len(x.shape) == 2 else s.reshape(x, (size_of(x.shape[:-1]), x.shape[-1]))


def infer_weights(q: Any, k: Any, *rest: Any) -> Any:
    if len(q.shape) < 2 or len(k.shape) < 2 or q.shape[-1] != k.shape[-1]:
        raise RuntimeError(f"attention: queries {list(q.shape)} and keys {list(k.shape)} must have the same last size")
    batch = errors.broadcast("attention", [tuple(q.shape[:-2]), tuple(k.shape[:-2])])
    if batch is not None:
        raise batch
    if q.dtype != k.dtype:
        raise RuntimeError(f"attention: query and key must have the same dtype, got {q.dtype} and {k.dtype}")
    shape = (*s.broadcast_shapes(tuple(q.shape[:-2]), tuple(k.shape[:-2])), q.shape[-2], k.shape[-2])
    if len(rest) > 1:
        shape = tuple(s.broadcast_shapes(shape, tuple(rest[0].shape)))
    return shape, q.dtype


def scores_rule(g: Any, out: Any) -> Any:
    """Return the gradient of the scores from that of their softmax."""
    return r.softmax_back(g, out, (len(out.shape) - 1,))


# fmt: off
linear_  = structural("linear", "x weight bias", infer_linear, label="AddmmBackward0",
    x=lambda g, weight: products.rows_(g, weight), weight=lambda g, x: matmul_(s.mT(as_rows(g)), as_rows(x)),
    bias=lambda g, bias_shape: sum_to(g, tuple(bias_shape)))
# softmax(scale q k^T) over the last dim; rows without a finite score are 0
weights_ = structural("attention_weights", "q k", infer_weights, params="scale", broadcasts=True, label="SoftmaxBackward0",
    once=scores_rule, q=lambda once, g, k, scale: matmul_(once, k) * scale,
    k=lambda once, g, q, scale: matmul_(s.mT(once), q) * scale, rows="c c -> c last 2")
# the same of scale q k^T + mask
masked_  = structural("masked_attention_weights", "q k mask", infer_weights, params="scale", broadcasts=True,
    label="SoftmaxBackward0", once=scores_rule, q=lambda once, g, k, scale: matmul_(once, k) * scale,
    k=lambda once, g, q, scale: matmul_(s.mT(once), q) * scale, mask=lambda once, g: once)
# fmt: on


# ---- layers
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Return input @ weight.T + bias; a weight of one dim gives one output."""
    if bias is None or weight.ndim != 2 or not input.ndim:
        product = products.matmul(input, s.mT(weight) if len(weight.shape) == 2 else weight)
        return product if bias is None else product + bias
    result = linear_(input, weight, bias)
    kind = input._array.dtype
    if weight._array.dtype is not kind or bias._array.dtype is not kind:  # which NumPy would promote
        infer_linear(input, weight, bias)
    return result if input.ndim == 2 else relabel(result, "ViewBackward0")


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Return x1^T W[o] x2 + bias[o] for each output o. Raises RuntimeError where sizes do not fit."""
    batch = tuple(input1.shape[:-1])
    if len(weight.shape) != 3 or batch != tuple(input2.shape[:-1]) or not len(input1.shape):
        raise RuntimeError(
            f"bilinear(): inputs of the same batch dims and a 3-D weight are expected, got {list(input1.shape)}, "
            f"{list(input2.shape)} and {list(weight.shape)}"
        )
    outputs, n, m = weight.shape
    if (input1.shape[-1], input2.shape[-1]) != (n, m) or (bias is not None and tuple(bias.shape) != (outputs,)):
        raise RuntimeError(
            f"bilinear(): sizes do not fit: inputs {list(input1.shape)} and {list(input2.shape)}, weight {list(weight.shape)}"
            + (f", bias {list(bias.shape)}" if bias is not None else "")
        )
    count = size_of(batch)
    turned = s.reshape(s.transpose_(weight, (1, 0, 2)), (n, outputs * m))
    left = s.reshape(products.matmul(s.reshape(input1, (count, n)), turned), (count, outputs, m))
    result = s.reshape(products.matmul(left, s.reshape(input2, (count, m, 1))), (*batch, outputs))
    return result if bias is None else result + bias


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Return input / max(|input|, eps), the p-norm along dim."""
    result = input / e.clamp_min(r.norm(input, p, dim, True), eps)
    return result if out is None else write_out("normalize", result, out)


# ---- attention
def additive(mask: Any, like: Any) -> Any:
    """Return a mask as what is added to scores: of bools, 0 where they are true and -inf elsewhere."""
    if mask._array.dtype != dtypes.B8:
        return mask
    zero = s.filled(like, (), 0, None)
    return e.where(mask, zero, -math.inf)


def causal(rows: int, columns: int, like: Any) -> Any:
    """Return the mask that hides each column after its row."""
    if rows * columns <= 1 << 18:
        return shared_like(like, hidden, rows, columns, like._array.dtype)
    if like.is_cpu:
        return tensor_like(like, hidden.__wrapped__(rows, columns, like._array.dtype))
    places = shared_like(like, np.arange, max(rows, columns))
    return additive(places[:columns] <= places[:rows, None], like)


@functools.lru_cache(8)
def hidden(rows: int, columns: int, dtype: Any) -> Any:
    """Return on the host 0 up to the diagonal, and -inf after it."""
    return np.where(np.tri(rows, columns, 0, bool), 0, -np.inf).astype(dtype)


def attend(query: Any, key: Any, value: Any, mask: Any, dropout_p: float, scale: float) -> tuple[Any, Any]:
    """Return attention's output and its weights."""
    weights = weights_(query, key, scale) if mask is None else masked_(query, key, mask, scale)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return matmul_(weights, value), weights


@labelled("ScaledDotProductFlashAttentionForCpuBackward0")
def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """Return softmax(scale query key^T + mask) value: the attention of each query to the keys.

    attn_mask: what is added to the scores, or bools of who attends to whom; is_causal: each to those before it. enable_gqa:
    heads of queries share heads of keys. Raises RuntimeError where shapes or types do not fit, or two masks are given.
    Source: A. Vaswani et al., Attention is all you need, 2017.
    """
    for name, x in (("query", query), ("key", key), ("value", value)):
        if not isinstance(x, Tensor):
            raise errors.not_a_tensor("scaled_dot_product_attention", x, name)
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype}, key.dtype: "
            f"{key.dtype}, and value.dtype: {value.dtype} instead."
        )
    if min(len(x.shape) for x in (query, key, value)) < 2:
        raise RuntimeError("Expected query, key, and value to all be at least 2 dimensional")
    if is_causal and attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key, value = shared_heads(query, key), shared_heads(query, value)
    mask = None
    if is_causal:
        mask = causal(query.shape[-2], key.shape[-2], query)
    elif attn_mask is not None:
        if attn_mask.dtype is not query.dtype and attn_mask._array.dtype != dtypes.B8:
            raise RuntimeError(
                f"Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                f"{attn_mask.dtype} and  query.dtype: {query.dtype} instead."
            )
        mask = additive(attn_mask, query)
    size = query.shape[-1]
    factor = (1 / math.sqrt(size) if size else 1.0) if scale is None else float(scale)
    if query._array.dtype.itemsize > 2:
        return attend(query, key, value, mask, dropout_p, factor)[0]
    wide = attend(query.float(), key.float(), value.float(), mask if mask is None else mask.float(), dropout_p, factor)[0]
    return wide.to(query.dtype)  # halves are rounded once


def shared_heads(query: Any, x: Any) -> Any:
    """Return x with each of its heads (the third last dim) repeated for a group of the query's."""
    heads, own = query.shape[-3], x.shape[-3]
    if heads % own:
        raise RuntimeError(f"Number of heads in key and value must divide the number of heads in query, got {own} and {heads}")
    if heads == own:
        return x
    before, after = tuple(x.shape[:-2]), tuple(x.shape[-2:])
    wide = s.broadcast_to(s.unsqueeze(x, -3), (*before, heads // own, *after))
    return s.reshape(wide, (*before[:-1], heads, *after))


def multi_head_attention_forward(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any, in_proj_bias: Any,
    bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any, out_proj_bias: Any,
    training: bool = True, key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None, v_proj_weight: Any = None,
    static_k: Any = None, static_v: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Return the output of attention in several heads, and its weights (None unless need_weights).

    query, key and value are [length, batch, features], or [length, features] of one sample. Masks of bools hide where they
    are true; those of floats are added. Raises AssertionError, as PyTorch, or RuntimeError where sizes do not fit.
    """
    single, of_itself = len(query.shape) == 2, query is key is value
    if single:
        query, key, value = (s.unsqueeze(x, 1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else s.unsqueeze(key_padding_mask, 0)
    if len(query.shape) != 3 or len(key.shape) != 3 or len(value.shape) != 3:
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor, and key and value as it is, but received {len(query.shape)}D, "
            f"{len(key.shape)}D and {len(value.shape)}D"
        )
    target, batch, features = query.shape
    if features != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {features}")
    head = features // num_heads
    if head * num_heads != features:
        raise AssertionError(f"embed_dim {features} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if tuple(key.shape[: 2 if use_separate_proj_weight else 3]) != tuple(value.shape[: 2 if use_separate_proj_weight else 3]):
        raise AssertionError(f"key shape {list(key.shape)} does not match value shape {list(value.shape)}")
    # ---- projections
    if use_separate_proj_weight:
        parts: Any = [q_proj_weight, k_proj_weight, v_proj_weight]
        if any(part is None for part in parts):
            raise AssertionError("use_separate_proj_weight is True but q_proj_weight, k_proj_weight or v_proj_weight is None")
    elif of_itself:
        q, k, v = s.chunk(linear(query, in_proj_weight, in_proj_bias), 3, -1)
    else:
        parts = s.chunk(in_proj_weight, 3)
    if use_separate_proj_weight or not of_itself:
        biases = (None,) * 3 if in_proj_bias is None else s.chunk(in_proj_bias, 3)
        q, k, v = (linear(x, part, bias) for x, part, bias in zip((query, key, value), parts, biases, strict=True))
    attn_mask = additive_mask(attn_mask, query)
    padding = additive_mask(key_padding_mask, query)
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k = s.cat([k, s.expand(bias_k, 1, batch, features)])
        v = s.cat([v, s.expand(bias_v, 1, batch, features)])
        attn_mask, padding = one_more(attn_mask), one_more(padding)

    def by_head(x: Any) -> Any:
        """[length, batch, features] as [batch, heads, length, head]"""
        return s.transpose_(s.reshape(x, (x.shape[0], batch, num_heads, head)), (1, 2, 0, 3))

    def given(x: Any) -> Any:
        if tuple(x.shape[::2]) != (batch * num_heads, head):
            raise AssertionError(f"static key and value must be [{batch * num_heads}, length, {head}], got {list(x.shape)}")
        return s.reshape(x, (batch, num_heads, x.shape[1], head))

    q = by_head(q)
    k = by_head(k) if static_k is None else given(static_k)
    v = by_head(v) if static_v is None else given(static_v)
    if add_zero_attn:
        nothing = s.filled(k, (batch, num_heads, 1, head), 0, None)
        k, v = s.cat([k, nothing], 2), s.cat([v, nothing], 2)
        attn_mask, padding = one_more(attn_mask), one_more(padding)
    # ---- masks, as [batch or 1, heads or 1, target or 1, source]
    source = k.shape[2]
    mask = None
    if attn_mask is not None:
        shape = tuple(attn_mask.shape)
        if shape == (target, source):
            mask = attn_mask
        elif shape == (batch * num_heads, target, source):
            mask = s.reshape(attn_mask, (batch, num_heads, target, source))
        else:
            raise (RuntimeError if len(shape) in (2, 3) else AssertionError)(
                f"The shape of the attn_mask is {list(shape)}, but should be {[target, source]} or "
                f"{[batch * num_heads, target, source]}."
            )
    if padding is not None:
        if tuple(padding.shape) != (batch, source):
            raise AssertionError(f"key_padding_mask must be {[batch, source]}, got {list(padding.shape)}")
        padding = s.reshape(padding, (batch, 1, 1, source))
        mask = padding if mask is None else mask + padding
    if need_weights and mask is not None:  # asked for weights, a query that may see no key has none: nan
        mask = e.where(r.amax(mask, -1, True) == -math.inf, math.nan, mask)
    output, weights = attend(q, k, v, mask, dropout_p if training else 0.0, 1 / math.sqrt(head))
    output = s.reshape(s.transpose_(output, (2, 0, 1, 3)), (target * batch, features))
    output = s.reshape(linear(output, out_proj_weight, out_proj_bias), (target, batch, out_proj_weight.shape[0]))
    if not need_weights:
        return (s.squeeze(output, 1) if single else output), None
    if average_attn_weights:
        weights = r.mean(weights, 1)
    return (s.squeeze(output, 1), s.squeeze(weights, 0)) if single else (output, weights)


def additive_mask(mask: Any, like: Any) -> Any:
    """Return a mask of bools that hide, or of floats, as what is added to scores."""
    if mask is None:
        return None
    if mask._array.dtype == dtypes.B8:
        return additive(~mask, like)
    if dtypes.category(mask._array.dtype) != dtypes.FLOATING:
        raise AssertionError(f"attention: only bool and floating types of masks are supported, got {mask.dtype}")
    return mask.to(like.dtype)


def one_more(mask: Any) -> Any:
    """Return a mask with one more column, which is not hidden."""
    if mask is None:
        return None
    return s.cat([mask, s.filled(mask, (*mask.shape[:-1], 1), 0, None)], -1)
