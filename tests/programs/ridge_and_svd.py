"""Linear algebra: ridge regression in closed form, principal components by SVD, power iteration, einsum."""

import numpy as np
import torch

rng = np.random.default_rng(0)
X = torch.from_numpy(rng.normal(size=(40, 5)))
w = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
y = X @ w + 0.1 * torch.from_numpy(rng.normal(size=40))
solved = torch.linalg.solve(X.T @ X + 0.1 * torch.eye(5, dtype=X.dtype), X.T @ y)
print(*(f"{v:.5f}" for v in solved))
centred = X - X.mean(0, keepdim=True)
U, S, Vh = torch.linalg.svd(centred, full_matrices=False)
print(*(f"{v:.5f}" for v in S), f"{(U @ torch.diag(S) @ Vh - centred).abs().max().item():.1f}")
A = X.T @ X
v = torch.ones(5, dtype=torch.float64)
for _ in range(200):
    v = A @ v
    v /= v.norm()
print(f"{torch.einsum('i,ij,j->', v, A, v).item():.5f}", f"{torch.linalg.eigvalsh(A)[-1].item():.5f}")
weights = torch.zeros(5, dtype=torch.float64, requires_grad=True)
for step in range(5):
    loss = torch.mean((X @ weights - y) ** 2) + 0.01 * weights.abs().sum()
    (g,) = torch.autograd.grad(loss, weights)
    weights.data -= 0.2 * g
    print(step, f"{loss.item():.6f}")
print(torch.cov(X.T)[0].tolist(), torch.quantile(y, torch.tensor([0.25, 0.5], dtype=y.dtype)).tolist())
