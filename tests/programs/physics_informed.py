"""A network that solves u'' = -u, u(0) = 0, u'(0) = 1, from the equation alone: derivatives with create_graph."""

import torch
import torch.nn as nn

torch.set_default_dtype(torch.float64)
net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
with torch.no_grad():
    for i, p in enumerate(net.parameters()):
        p.copy_(torch.sin(torch.arange(p.numel()) * (1.7 + 0.3 * i)).reshape(p.shape) * 0.5)
t = torch.linspace(0, 3, 40).view(-1, 1).requires_grad_(True)
zero = torch.zeros(1, 1, requires_grad=True)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(150):
    optimizer.zero_grad()
    u = net(t)
    du = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)[0]
    d2u = torch.autograd.grad(du, t, torch.ones_like(du), create_graph=True)[0]
    u0 = net(zero)
    du0 = torch.autograd.grad(u0, zero, torch.ones_like(u0), create_graph=True)[0]
    loss = ((d2u + u) ** 2).mean() + u0.pow(2).sum() + ((du0 - 1) ** 2).sum()
    loss.backward()
    optimizer.step()
    if step % 30 == 29:
        print(step, f"{loss.item():.6f}")
with torch.no_grad():
    print(f"{(net(t) - torch.sin(t)).abs().max().item():.6f}")
