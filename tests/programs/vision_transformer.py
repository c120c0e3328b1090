"""A vision transformer: patches by unfold and by convolution, a class token, pre-norm encoder layers, einsum attention."""

import torch
import torch.nn.functional as F
from torch import einsum, nn


class PreNorm(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x, **kwargs):
        return self.fn(self.norm(x), **kwargs)


class Attention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=8, dropout=0.0):
        super().__init__()
        inner_dim = dim_head * heads
        self.heads, self.scale = heads, dim_head**-0.5
        self.attend = nn.Softmax(dim=-1)
        self.to_qkv = nn.Linear(dim, inner_dim * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner_dim, dim), nn.Dropout(dropout))

    def forward(self, x):
        b, n, _, h = *x.shape, self.heads
        q, k, v = map(lambda t: t.reshape(b, n, h, -1).permute(0, 2, 1, 3), self.to_qkv(x).chunk(3, dim=-1))
        dots = einsum("b h i d, b h j d -> b h i j", q, k) * self.scale
        out = einsum("b h i j, b h j d -> b h i d", self.attend(dots), v)
        same = F.scaled_dot_product_attention(q, k, v)
        assert torch.allclose(out, same, atol=1e-5)
        return self.to_out(out.permute(0, 2, 1, 3).reshape(b, n, -1))


class ViT(nn.Module):
    def __init__(self, image=8, patch=4, dim=16, depth=2, classes=3):
        super().__init__()
        self.patch = patch
        n = (image // patch) ** 2
        self.embed = nn.Conv2d(1, dim, kernel_size=patch, stride=patch)
        self.pos_embedding = nn.Parameter(torch.randn(1, n + 1, dim))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.layers = nn.ModuleList([])
        for _ in range(depth):
            self.layers.append(nn.ModuleList([PreNorm(dim, Attention(dim)), PreNorm(dim, nn.Sequential(nn.Linear(dim, 32), nn.GELU(approximate="tanh"), nn.Linear(32, dim)))]))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(dim, 4, 24, 0.0, F.gelu, batch_first=True, norm_first=True), 1, norm=nn.RMSNorm(dim), enable_nested_tensor=False)
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, img, pool="cls"):
        x = self.embed(img).flatten(2).transpose(1, 2)
        patches = F.unfold(img, self.patch, stride=self.patch).transpose(1, 2)
        other = patches @ self.embed.weight.flatten(1).T + self.embed.bias
        assert torch.allclose(x, other, atol=1e-5)
        cls_tokens = self.cls_token.expand(img.shape[0], -1, -1)
        x = torch.cat((cls_tokens, x), dim=1)
        x += self.pos_embedding[:, : x.size(1)]
        for attn, ff in self.layers:
            x = attn(x) + x
            x = ff(x) + x
        x = self.encoder(x)
        x = x.mean(dim=1) if pool == "mean" else x[:, 0]
        return self.mlp_head(x)


model = ViT()
with torch.no_grad():
    for i, (n, p) in enumerate(model.named_parameters()):
        if "norm" in n or "mlp_head.0" in n or ".norm" in n:
            continue
        p.copy_(torch.sin(torch.arange(p.numel()) * (0.83 + 0.07 * i)).reshape(p.shape) * 0.25)
x = torch.cos(torch.arange(6 * 64).float() * 0.17).view(6, 1, 8, 8) * torch.arange(1, 7).view(6, 1, 1, 1) / 4
y = torch.arange(6) % 3
decay = {n for n, p in model.named_parameters() if p.ndim > 1 and "pos" not in n}
groups = [{"params": [p for n, p in model.named_parameters() if n in decay], "weight_decay": 0.05}, {"params": [p for n, p in model.named_parameters() if n not in decay], "weight_decay": 0.0}]
optimizer = torch.optim.NAdam(groups, lr=5e-3)
warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / 4))
for step in range(10):
    loss = F.cross_entropy(model(x, pool="mean" if step % 2 else "cls"), y, weight=torch.tensor([1.0, 2.0, 0.5]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    warmup.step()
    print(step, f"{loss.item():.4f}")
print(len(decay), sum(p.numel() for p in model.parameters()), model(x).argmax(-1).tolist())
