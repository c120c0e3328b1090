"""Llama-like block: RMSNorm, rotary by complex numbers, grouped-query attention, KV cache, SwiGLU; LoRA on top; top-p sampling."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(torch.nn.Module):
    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        output = self._norm(x.float()).type_as(x)
        return output * self.weight


def precompute_freqs_cis(dim: int, end: int, theta: float = 10000.0):
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
    t = torch.arange(end, device=freqs.device)
    freqs = torch.outer(t, freqs).float()
    return torch.polar(torch.ones_like(freqs), freqs)


def reshape_for_broadcast(freqs_cis: torch.Tensor, x: torch.Tensor):
    ndim = x.ndim
    assert freqs_cis.shape == (x.shape[1], x.shape[-1])
    shape = [d if i == 1 or i == ndim - 1 else 1 for i, d in enumerate(x.shape)]
    return freqs_cis.view(*shape)


def apply_rotary_emb(xq, xk, freqs_cis) -> tuple[torch.Tensor, torch.Tensor]:
    xq_ = torch.view_as_complex(xq.float().reshape(*xq.shape[:-1], -1, 2))
    xk_ = torch.view_as_complex(xk.float().reshape(*xk.shape[:-1], -1, 2))
    freqs_cis = reshape_for_broadcast(freqs_cis, xq_)
    xq_out = torch.view_as_real(xq_ * freqs_cis).flatten(3)
    xk_out = torch.view_as_real(xk_ * freqs_cis).flatten(3)
    return xq_out.type_as(xq), xk_out.type_as(xk)


def repeat_kv(x: torch.Tensor, n_rep: int) -> torch.Tensor:
    bs, slen, n_kv_heads, head_dim = x.shape
    if n_rep == 1:
        return x
    return x[:, :, :, None, :].expand(bs, slen, n_kv_heads, n_rep, head_dim).reshape(bs, slen, n_kv_heads * n_rep, head_dim)


class Attention(nn.Module):
    def __init__(self, dim, n_heads, n_kv):
        super().__init__()
        self.n_heads, self.n_kv, self.hd = n_heads, n_kv, dim // n_heads
        self.wq = nn.Linear(dim, n_heads * self.hd, bias=False)
        self.wk = nn.Linear(dim, n_kv * self.hd, bias=False)
        self.wv = nn.Linear(dim, n_kv * self.hd, bias=False)
        self.wo = nn.Linear(n_heads * self.hd, dim, bias=False)
        self.cache_k = torch.zeros((2, 16, n_kv, self.hd))
        self.cache_v = torch.zeros((2, 16, n_kv, self.hd))

    def forward(self, x, start_pos, freqs_cis, mask: torch.Tensor | None, use_cache=False):
        bsz, seqlen, _ = x.shape
        xq, xk, xv = self.wq(x), self.wk(x), self.wv(x)
        xq = xq.view(bsz, seqlen, self.n_heads, self.hd)
        xk = xk.view(bsz, seqlen, self.n_kv, self.hd)
        xv = xv.view(bsz, seqlen, self.n_kv, self.hd)
        xq, xk = apply_rotary_emb(xq, xk, freqs_cis=freqs_cis)
        keys, values = xk, xv
        if use_cache:
            self.cache_k = self.cache_k.to(xq)
            self.cache_k[:bsz, start_pos : start_pos + seqlen] = xk
            self.cache_v[:bsz, start_pos : start_pos + seqlen] = xv
            keys = self.cache_k[:bsz, : start_pos + seqlen]
            values = self.cache_v[:bsz, : start_pos + seqlen]
        keys, values = repeat_kv(keys, self.n_heads // self.n_kv), repeat_kv(values, self.n_heads // self.n_kv)
        xq, keys, values = xq.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
        scores = torch.matmul(xq, keys.transpose(2, 3)) / math.sqrt(self.hd)
        if mask is not None:
            scores = scores + mask
        scores = F.softmax(scores.float(), dim=-1).type_as(xq)
        output = torch.matmul(scores, values).transpose(1, 2).contiguous().view(bsz, seqlen, -1)
        return self.wo(output)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Transformer(nn.Module):
    def __init__(self, vocab=17, dim=16):
        super().__init__()
        self.tok_embeddings = nn.Embedding(vocab, dim)
        self.attention, self.feed_forward = Attention(dim, 4, 2), FeedForward(dim, 24)
        self.attention_norm, self.ffn_norm, self.norm = RMSNorm(dim), RMSNorm(dim), nn.RMSNorm(dim, eps=1e-6)
        self.output = nn.Linear(dim, vocab, bias=False)
        self.freqs_cis = precompute_freqs_cis(dim // 4, 16)

    def forward(self, tokens, start_pos=0, use_cache=False):
        _bsz, seqlen = tokens.shape
        h = self.tok_embeddings(tokens)
        freqs_cis = self.freqs_cis[start_pos : start_pos + seqlen]
        mask = None
        if seqlen > 1:
            mask = torch.full((seqlen, seqlen), float("-inf"), device=tokens.device)
            mask = torch.triu(mask, diagonal=1)
            mask = torch.hstack([torch.zeros((seqlen, start_pos), device=tokens.device), mask]).type_as(h)
        h = h + self.attention(self.attention_norm(h), start_pos, freqs_cis, mask, use_cache)
        h = h + self.feed_forward(self.ffn_norm(h))
        return self.output(self.norm(h)).float()


def sample_top_p(probs, p):
    probs_sort, probs_idx = torch.sort(probs, dim=-1, descending=True)
    probs_sum = torch.cumsum(probs_sort, dim=-1)
    mask = probs_sum - probs_sort > p
    probs_sort[mask] = 0.0
    probs_sort.div_(probs_sort.sum(dim=-1, keepdim=True))
    next_token = torch.multinomial(probs_sort, num_samples=1)
    return torch.gather(probs_idx, -1, next_token)


class LoRALinear(nn.Module):
    def __init__(self, linear, r=2, alpha=4):
        super().__init__()
        self.linear = linear
        self.lora_A = nn.Parameter(torch.linspace(-1, 1, r * linear.in_features).view(r, -1))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, r))
        self.scaling = alpha / r
        linear.weight.requires_grad_(False)

    def forward(self, x):
        return self.linear(x) + (x @ self.lora_A.mT @ self.lora_B.mT) * self.scaling


model = Transformer()
for i, p in enumerate(model.parameters()):
    if p.dim() > 1:
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.3
toks = (torch.arange(20).view(2, 10) * 5) % 17
full = model(toks)
with torch.inference_mode():
    prefix = model(toks[:, :6], 0, True)
    steps = [model(toks[:, i : i + 1], i, True) for i in range(6, 10)]
    cached = torch.cat([prefix, *steps], 1)
print(torch.allclose(full, cached, atol=1e-5), full[0, -1, :4])
opt = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95))
for s in range(5):
    loss = F.cross_entropy(model(toks[:, :-1]).flatten(0, 1), toks[:, 1:].flatten())
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
print("%.5f" % loss.item())
for name in ("wq", "wv"):
    setattr(model.attention, name, LoRALinear(getattr(model.attention, name)))
for n, p in model.named_parameters():
    p.requires_grad = "lora_" in n
print([n for n, p in model.named_parameters() if p.requires_grad])
opt = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-2)
for s in range(5):
    loss = F.cross_entropy(model(toks[:, :-1]).flatten(0, 1), toks[:, 1:].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
print("%.5f" % loss.item(), sample_top_p(torch.softmax(full[:, -1] * 1000, -1), 0.5).tolist())
q = torch.cos(torch.arange(96.0)).view(1, 4, 3, 8)
kv = torch.sin(torch.arange(48.0)).view(1, 2, 3, 8)
print(F.scaled_dot_product_attention(q, kv, kv, enable_gqa=True, is_causal=True, scale=0.3).sum(-1))
