"""Denoising diffusion with a small network, sinusoidal time embedding, cosine schedule, DDIM sampling, EMA."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.default_rng(0)
noise_like = lambda x: torch.from_numpy(rng.standard_normal(tuple(x.shape))).to(x.dtype)


class SinusoidalPositionEmbeddings(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, time):
        half_dim = self.dim // 2
        embeddings = math.log(10000) / (half_dim - 1)
        embeddings = torch.exp(torch.arange(half_dim, device=time.device) * -embeddings)
        embeddings = time[:, None] * embeddings[None, :]
        return torch.cat((embeddings.sin(), embeddings.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.time_mlp = nn.Sequential(SinusoidalPositionEmbeddings(8), nn.Linear(8, hidden), nn.SiLU())
        self.inp = nn.Linear(2, hidden)
        self.blocks = nn.ModuleList([nn.Sequential(nn.GroupNorm(4, hidden), nn.SiLU(), nn.Linear(hidden, hidden)) for _ in range(2)])
        self.out = nn.Linear(hidden, 2)

    def forward(self, x, t):
        h = self.inp(x) + self.time_mlp(t)
        for block in self.blocks:
            h = h + block(h)
        return self.out(h)


def cosine_beta_schedule(timesteps, s=0.008):
    x = torch.linspace(0, timesteps, timesteps + 1)
    alphas_cumprod = torch.cos(((x / timesteps) + s) / (1 + s) * torch.pi * 0.5) ** 2
    alphas_cumprod = alphas_cumprod / alphas_cumprod[0]
    return torch.clip(1 - (alphas_cumprod[1:] / alphas_cumprod[:-1]), 0.0001, 0.9999)


T = 30
betas = cosine_beta_schedule(T)
alphas_cumprod = torch.cumprod(1.0 - betas, axis=0)
alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
posterior_variance = betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)


def extract(a, t, x_shape):
    out = a.gather(-1, t.cpu())
    return out.reshape(t.shape[0], *((1,) * (len(x_shape) - 1))).to(t.device)


def q_sample(x_start, t, noise):
    return extract(alphas_cumprod.sqrt(), t, x_start.shape) * x_start + extract((1.0 - alphas_cumprod).sqrt(), t, x_start.shape) * noise


theta = torch.linspace(0, 2 * math.pi, 65)[:-1]
data = torch.stack([theta.cos(), theta.sin()], 1)
model = Denoiser()
for i, (n, p) in enumerate(model.named_parameters()):
    if p.dim() > 1:
        p.data = torch.sin(torch.arange(p.numel()).float() * (0.9 + 0.17 * i)).view(p.shape) * (1.5 / p.shape[1]) ** 0.5
    elif n.endswith("bias"):
        p.data.zero_()
ema = {k: v.clone() for k, v in model.state_dict().items()}
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(60):
    t = torch.from_numpy(rng.integers(0, T, len(data))).long()
    noise = noise_like(data)
    loss = F.smooth_l1_loss(noise, model(q_sample(data, t, noise), t))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for k, v in model.state_dict().items():
            ema[k].lerp_(v, 0.1)
    if step % 20 == 19:
        print(step, f"{loss.item():.3f}")
model.load_state_dict(ema)


@torch.no_grad()
def ddim(shape):
    img = noise_like(torch.empty(shape))
    for i in reversed(range(0, T)):
        t = torch.full((shape[0],), i, dtype=torch.long)
        eps = model(img, t)
        x0 = (img - (1 - alphas_cumprod[i]).sqrt() * eps) / alphas_cumprod[i].sqrt()
        x0.clamp_(-1.5, 1.5)
        img = alphas_cumprod_prev[i].sqrt() * x0 + (1 - alphas_cumprod_prev[i]).sqrt() * eps
    return img


samples = ddim((5, 2))
print(samples.shape, [f"{v:.2f}" for v in samples.norm(dim=1).tolist()], f"{posterior_variance.sum().item():.4f}")
