"""RealNVP coupling layers trained by maximum likelihood, as a TransformedDistribution and by hand."""

import numpy as np
import torch
import torch.distributions as D
from torch import nn
from torch.distributions import constraints
from torch.distributions.transforms import AffineTransform, ComposeTransform, TanhTransform, Transform

rng = np.random.default_rng(0)
theta = rng.random(256) * np.pi
data = np.stack([np.cos(theta), np.sin(theta)], 1) + 0.05 * rng.standard_normal((256, 2))
data = torch.tensor(data, dtype=torch.float32)


class MLP(nn.Sequential):
    def __init__(self, k):
        super().__init__(nn.Linear(2, 16), nn.LeakyReLU(0.01), nn.Linear(16, 2), nn.Tanh())
        for i, p in enumerate(self.parameters()):
            nn.init.zeros_(p) if p.dim() == 1 else p.data.copy_(torch.sin(torch.arange(p.numel()) * (k + i + 1.0)).view(p.shape) * 0.4)


class RealNVP(nn.Module):
    def __init__(self, masks, prior):
        super().__init__()
        self.prior = prior
        self.register_buffer("mask", masks)
        self.t = torch.nn.ModuleList([MLP(0.3 * i) for i in range(len(masks))])
        self.s = torch.nn.ModuleList([MLP(0.5 * i + 0.1) for i in range(len(masks))])

    def g(self, z):
        x = z
        for i in range(len(self.t)):
            x_ = x * self.mask[i]
            s = self.s[i](x_) * (1 - self.mask[i])
            t = self.t[i](x_) * (1 - self.mask[i])
            x = x_ + (1 - self.mask[i]) * (x * torch.exp(s) + t)
        return x

    def f(self, x):
        log_det_J, z = x.new_zeros(x.shape[0]), x
        for i in reversed(range(len(self.t))):
            z_ = self.mask[i] * z
            s = self.s[i](z_) * (1 - self.mask[i])
            t = self.t[i](z_) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + z_
            log_det_J -= s.sum(dim=1)
        return z, log_det_J

    def log_prob(self, x):
        z, logp = self.f(x)
        return self.prior.log_prob(z) + logp


masks = torch.from_numpy(np.array([[0, 1], [1, 0]] * 3).astype(np.float32))
prior = D.MultivariateNormal(torch.zeros(2), torch.eye(2))
flow = RealNVP(masks, prior)
optimizer = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad], lr=5e-3)
for t in range(40):
    loss = -flow.log_prob(data).mean()
    optimizer.zero_grad()
    loss.backward(retain_graph=True)
    optimizer.step()
    if t % 10 == 9:
        print("iter %s:" % t, "loss = %.3f" % loss)
z, _ = flow.f(data[:4])
print(torch.allclose(flow.g(z), data[:4], atol=1e-4), sorted(dict(flow.named_buffers())))


class Planar(Transform):
    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, w, u, b):
        super().__init__(cache_size=1)
        self.w, self.u, self.b = w, u, b

    def _call(self, x):
        return x + self.u * torch.tanh(x @ self.w + self.b).unsqueeze(-1)

    def log_abs_det_jacobian(self, x, y):
        psi = (1 - torch.tanh(x @ self.w + self.b) ** 2).unsqueeze(-1) * self.w
        return torch.log(1e-4 + (1 + psi @ self.u).abs())


w, u, b = (torch.tensor(v, requires_grad=True) for v in ([0.5, -0.3], [0.4, 0.2], 0.1))
base = D.Independent(D.Normal(torch.zeros(2), torch.ones(2)), 1)
x = data[:5]
planar = Planar(w, u, b)
y = planar(x)
d = D.TransformedDistribution(base, [planar])
logp = d.log_prob(y)
logp.sum().backward()
print(logp.detach().numpy().round(3), w.grad.numpy().round(3))
squashed = D.TransformedDistribution(D.Normal(torch.tensor(0.3), torch.tensor(0.5)), ComposeTransform([TanhTransform(), AffineTransform(1.0, 2.0)]))
print(squashed.log_prob(torch.tensor([0.5, 1.0, 2.5])), squashed.support)
