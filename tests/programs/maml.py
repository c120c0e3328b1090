"""MAML on sine waves: inner steps with create_graph, functional_call, and the same by vmap and grad."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap
from torch.nn.utils.stateless import functional_call as old_functional_call

rng = np.random.RandomState(0)
net = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 1))
for i, p in enumerate(net.parameters()):
    with torch.no_grad():
        p.set_(torch.sin(torch.arange(p.numel()).float() * (1.3 + i)).view(p.shape) * 0.4)


def sample_tasks(n, k):
    A, phi = rng.uniform(0.5, 2.0, n), rng.uniform(0, np.pi, n)
    x = rng.uniform(-3, 3, (n, 2 * k, 1))
    y = A[:, None, None] * np.sin(x + phi[:, None, None])
    return [torch.tensor(v, dtype=torch.float32) for v in (x[:, :k], y[:, :k], x[:, k:], y[:, k:])]


def net_forward(x, params):
    x = F.linear(x, params[0], params[1]).relu()
    x = F.linear(x, params[2], params[3]).relu()
    return F.linear(x, params[4], params[5])


meta_opt = torch.optim.Adam(net.parameters(), lr=1e-2)
alpha = 0.05
for it in range(8):
    x1, y1, x2, y2 = sample_tasks(4, 5)
    meta_loss = 0.0
    for t in range(4):
        params = list(net.parameters())
        for _ in range(2):
            loss = F.mse_loss(net_forward(x1[t], params), y1[t])
            grads = torch.autograd.grad(loss, params, create_graph=True)
            params = [p - alpha * g for p, g in zip(params, grads)]
        meta_loss = meta_loss + F.mse_loss(net_forward(x2[t], params), y2[t])
    meta_opt.zero_grad()
    meta_loss.backward()
    first = [p.grad.clone() for p in net.parameters()]

    def loss_fn(params, x, y):
        return F.mse_loss(functional_call(net, params, (x,)), y)

    def adapted(params, x1, y1, x2, y2):
        for _ in range(2):
            grads = grad(loss_fn)(params, x1, y1)
            params = {k: params[k] - grads[k] * alpha for k in params}
        return loss_fn(params, x2, y2)

    params = {k: v for k, v in net.named_parameters()}
    meta_opt.zero_grad()
    other = vmap(adapted, in_dims=(None, 0, 0, 0, 0))(params, x1, y1, x2, y2).sum()
    other.backward()
    close = all(torch.allclose(a, p.grad, atol=1e-4) for a, p in zip(first, net.parameters()))
    meta_opt.step()
    print(it, f"{meta_loss.item():.4f}", f"{other.item():.4f}", close)
print(old_functional_call(net, {"4.bias": torch.tensor([100.0])}, torch.zeros(1, 1)).item() > 50)
