"""A Gaussian process by Cholesky, with the jitter of a matrix that is not quite positive-definite."""

import torch
from torch.distributions import MultivariateNormal

x = torch.linspace(0, 1, 8, dtype=torch.double)
y = torch.sin(6 * x)
length = torch.tensor(0.2, dtype=torch.double, requires_grad=True)
noise = torch.tensor(-2.0, dtype=torch.double, requires_grad=True)
optimizer = torch.optim.Adam([length, noise], lr=0.05)


def kernel(a, b):
    return torch.exp(-0.5 * (a[:, None] - b[None]) ** 2 / length**2)


for i in range(10):
    optimizer.zero_grad()
    K = kernel(x, x) + noise.exp() * torch.eye(8)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y[:, None], L)
    loss = 0.5 * y @ alpha.squeeze() + L.diagonal().log().sum() + 4 * torch.log(torch.tensor(2 * torch.pi))
    loss.backward()
    optimizer.step()
    if i % 3 == 0:
        print(i, loss, length.grad, noise.grad)
prior = MultivariateNormal(torch.zeros(8, dtype=torch.double), kernel(x, x).detach() + 0.1 * torch.eye(8))
print(prior, prior.log_prob(y), prior.entropy())
at = torch.tensor([0.33, 0.77], dtype=torch.double)
with torch.no_grad():
    v = torch.linalg.solve_triangular(L, kernel(x, at), upper=False)
    print(kernel(at, x) @ alpha, kernel(at, at) - v.T @ v)


def safe_cholesky(A, jitter=1e-6):
    L, info = torch.linalg.cholesky_ex(A)
    tries = 0
    while bool((info > 0).any()):
        tries += 1
        print("bad", info)
        A = A + (info > 0).to(A.dtype)[..., None, None] * jitter * 10**tries * torch.eye(A.shape[-1], dtype=A.dtype)
        L, info = torch.linalg.cholesky_ex(A)
    return L


good = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.double)
bad = torch.tensor([[1.0, 1.0], [1.0, 1.0 - 1e-4]], dtype=torch.double)
print(safe_cholesky(torch.stack([good, bad, good])))
print(torch.linalg.cholesky_ex(torch.stack([good, -good]))[0][0], torch.linalg.inv_ex(torch.stack([good, 0 * good])).info)
for broken in (-torch.eye(3), torch.tensor([[2.0, 0, 0], [0, 1, 2], [0, 2, 1]])):
    try:
        torch.linalg.cholesky(broken)
    except torch.linalg.LinAlgError as error:
        print(str(error).rstrip("."))
print(torch.linalg.solve_ex(torch.stack([good, 0 * good]), torch.ones(2, 2, 1, dtype=torch.double)).result[0])
