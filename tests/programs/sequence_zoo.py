"""Mixture of experts with top-k routing, Mamba-like selective scan, Transformer-XL relative shift, linear attention, ALiBi, nested beam search, seq2seq packing."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence, unpad_sequence


def fill(m, s=0.3):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


class Expert(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd), nn.Dropout(0.0))

    def forward(self, x):
        return self.net(x)


class SparseMoE(nn.Module):
    def __init__(self, n_embd, num_experts, top_k):
        super().__init__()
        self.router = nn.Linear(n_embd, num_experts)
        self.experts = nn.ModuleList([Expert(n_embd) for _ in range(num_experts)])
        self.top_k = top_k

    def forward(self, x):
        logits = self.router(x)
        top_k_logits, indices = logits.topk(self.top_k, dim=-1)
        zeros = torch.full_like(logits, float("-inf"))
        sparse_logits = zeros.scatter(-1, indices, top_k_logits)
        gating_output = F.softmax(sparse_logits, dim=-1)
        final_output = torch.zeros_like(x)
        flat_x = x.view(-1, x.size(-1))
        flat_gating_output = gating_output.view(-1, gating_output.size(-1))
        for i, expert in enumerate(self.experts):
            expert_mask = (indices == i).any(dim=-1)
            flat_mask = expert_mask.view(-1)
            if flat_mask.any():
                expert_input = flat_x[flat_mask]
                expert_output = expert(expert_input)
                gating_scores = flat_gating_output[flat_mask, i].unsqueeze(1)
                final_output[expert_mask] += (expert_output * gating_scores).squeeze(1)
        return final_output


class MambaBlock(nn.Module):
    def __init__(self, d, n=4, dt_rank=2, d_conv=3):
        super().__init__()
        self.in_proj = nn.Linear(d, 2 * d, bias=False)
        self.conv1d = nn.Conv1d(d, d, kernel_size=d_conv, groups=d, padding=d_conv - 1)
        self.x_proj = nn.Linear(d, dt_rank + n * 2, bias=False)
        self.dt_proj = nn.Linear(dt_rank, d)
        self.A_log = nn.Parameter(torch.zeros(d, n))
        self.D = nn.Parameter(torch.ones(d))
        self.out_proj = nn.Linear(d, d, bias=False)
        self.dt_rank = dt_rank

    def forward(self, x):
        b, l, d = x.shape
        x, res = self.in_proj(x).split(split_size=[d, d], dim=-1)
        x = x.transpose(1, 2)
        x = self.conv1d(x)[:, :, :l]
        x = F.silu(x.transpose(1, 2))
        y = self.ssm(x) * F.silu(res)
        return self.out_proj(y)

    def ssm(self, x):
        d_in, n = self.A_log.shape
        A = -torch.exp(self.A_log.float())
        x_dbl = self.x_proj(x)
        delta, B, C = x_dbl.split(split_size=[self.dt_rank, n, n], dim=-1)
        delta = F.softplus(self.dt_proj(delta))
        deltaA = torch.exp(torch.einsum("bld,dn->bldn", delta, A))
        deltaB_u = torch.einsum("bld,bln,bld->bldn", delta, B, x)
        h = torch.zeros((x.size(0), d_in, n), device=deltaA.device)
        ys = []
        for i in range(x.size(1)):
            h = deltaA[:, i] * h + deltaB_u[:, i]
            ys.append(torch.einsum("bdn,bn->bd", h, C[:, i, :]))
        return torch.stack(ys, dim=1) + x * self.D


def rel_shift(x):
    zero_pad = torch.zeros((x.size(0), 1, *x.size()[2:]))
    x_padded = torch.cat([zero_pad, x], dim=1)
    x_padded = x_padded.view(x.size(1) + 1, x.size(0), *x.size()[2:])
    return x_padded[1:].view_as(x)


def linear_attention(q, k, v):
    q, k = F.elu(q) + 1, F.elu(k) + 1
    kv = torch.einsum("nshd,nshm->nhmd", k, v)
    z = 1 / (torch.einsum("nlhd,nhd->nlh", q, k.sum(dim=1)) + 1e-6)
    return torch.einsum("nlhd,nhmd,nlh->nlhm", q, kv, z).contiguous()


class Decoder(nn.Module):
    def __init__(self, v=9, h=8):
        super().__init__()
        self.emb, self.rnn, self.out = (
            nn.Embedding(v, h),
            nn.GRU(h, h, num_layers=2, batch_first=True, dropout=0.0),
            nn.Linear(h, v),
        )

    def forward(self, x, h=None):
        y, h = self.rnn(self.emb(x), h)
        return F.log_softmax(self.out(y), -1), h


x = torch.sin(torch.arange(2 * 6 * 8) * 0.7).view(2, 6, 8)
for name, m in (("moe", SparseMoE(8, 3, 2)), ("mamba", MambaBlock(8))):
    fill(m)
    opt = torch.optim.Adam(m.parameters(), lr=1e-2)
    for i in range(4):
        loss = (m(x) - x.flip(1)).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(name, "%.5f" % loss.item(), sum(p.grad is None for p in m.parameters()))
print(rel_shift(torch.arange(9.0).view(3, 3, 1, 1)).squeeze(), linear_attention(*[x.view(2, 6, 2, 4)] * 3)[0, 0])
slopes = torch.tensor([2 ** (-8 / 4 * (i + 1)) for i in range(4)])
alibi = slopes.view(4, 1, 1) * (torch.arange(6)[None, :] - torch.arange(6)[:, None]).abs().neg()[None]
causal = torch.ones(6, 6, dtype=torch.bool).tril()
att = F.scaled_dot_product_attention(
    x.view(2, 6, 4, 2).transpose(1, 2),
    *[x.view(2, 6, 4, 2).transpose(1, 2)] * 2,
    attn_mask=alibi.masked_fill(~causal, float("-inf")),
)
print(att.shape, att.sum().item())
dec = fill(Decoder())


@torch.no_grad()
def beam(dec, width=3, steps=5):
    beams = [([0], 0.0, None)]
    for _ in range(steps):
        cand = []
        for toks, score, h in beams:
            lp, h2 = dec(torch.tensor([[toks[-1]]]), h)
            v, i = lp[0, -1].topk(width)
            cand += [(toks + [j], score + s, h2) for s, j in zip(v.tolist(), i.tolist())]
        beams = sorted(cand, key=lambda t: -t[1])[:width]
    return [(t, round(s, 4)) for t, s, _ in beams]


print(beam(dec))
seqs = [x[0, :4], x[1, :2], x[0]]
packed = pack_sequence(seqs, enforce_sorted=False)
print(isinstance(packed, PackedSequence), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
lstm = fill(nn.LSTM(8, 5, num_layers=2, bidirectional=True, proj_size=3))
out, (hn, cn) = lstm(packed)
padded, lens = pad_packed_sequence(out, total_length=7, padding_value=-1.0)
print(padded.shape, lens, hn.shape, cn.shape, padded[-1, 0, 0].item(), hn.sum().item())
print([tuple(u.shape) for u in unpad_sequence(padded, lens)])
hn.sum().backward()
print(lstm.weight_hr_l0.grad.norm(), lstm.weight_ih_l1_reverse.grad.norm(), [n for n, _ in lstm.named_parameters()][:6])
enc_layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True, activation=F.gelu)
enc = fill(nn.TransformerEncoder(enc_layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False))
pad = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
mask = nn.Transformer.generate_square_subsequent_mask(6)
y = enc(x, mask=mask, src_key_padding_mask=torch.zeros(2, 6).masked_fill(pad, float("-inf")), is_causal=True)
print(y[1, 3], mask[0])
mha = fill(nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True, kdim=8, vdim=8))
o, w = mha(x, x, x, need_weights=True, average_attn_weights=False, key_padding_mask=pad)
print(o.shape, w.shape, w[1, 0, 0])
print(math.isfinite(o.sum().item()))
