"""A few steps of a GAN on a 2-d ring: two optimizers, detach, labels of ones and zeros."""

import numpy as np
import torch
import torch.nn as nn

rng = np.random.default_rng(7)


def real_batch(n):
    angle = rng.uniform(0, 2 * np.pi, n)
    return torch.tensor(np.stack([np.cos(angle), np.sin(angle)], 1), dtype=torch.float32)


def noise(n):
    return torch.from_numpy(rng.standard_normal((n, 4)).astype(np.float32))


def weights_init(m):
    if isinstance(m, nn.Linear):
        n = m.weight.numel()
        m.weight.data.copy_(torch.sin(torch.arange(n) * 2.3).view_as(m.weight) * 0.4)
        nn.init.zeros_(m.bias)


G = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 2)).apply(weights_init)
D = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1), nn.Sigmoid()).apply(weights_init)
criterion = nn.BCELoss()
optG = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
optD = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
for i in range(40):
    D.zero_grad()
    real = real_batch(32)
    errD_real = criterion(D(real).view(-1), torch.ones(32))
    errD_real.backward()
    fake = G(noise(32))
    errD_fake = criterion(D(fake.detach()).view(-1), torch.zeros(32))
    errD_fake.backward()
    optD.step()
    G.zero_grad()
    errG = criterion(D(fake).view(-1), torch.ones(32))
    errG.backward()
    optG.step()
    if i % 10 == 9:
        print(f"[{i}] Loss_D: {(errD_real + errD_fake).item():.4f} Loss_G: {errG.item():.4f}")
print(G(torch.zeros(1, 4)).tolist())
