"""The Rosenbrock function and a least-squares fit, by L-BFGS with a closure."""

import torch

x = torch.tensor([-1.5, 2.0], dtype=torch.double, requires_grad=True)
optimizer = torch.optim.LBFGS([x], lr=1, max_iter=20, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    loss.backward()
    return loss


for step in range(4):
    loss = optimizer.step(closure)
    print(step, f"{loss.item():.6f}", *(f"{v:.5f}" for v in x.tolist()))

t = torch.linspace(0, 4, 50, dtype=torch.float64)
target = 2.5 * torch.exp(-1.3 * t) + 0.5
params = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.LBFGS([params], max_iter=30)


def fit():
    optimizer.zero_grad()
    loss = ((params[0] * torch.exp(-params[1] * t) + params[2] - target) ** 2).sum()
    loss.backward()
    return loss


optimizer.step(fit)
print(*(f"{v:.4f}" for v in params.detach().numpy()))
