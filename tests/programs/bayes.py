"""Bayesian inference: HMC, stochastic variational inference, a Gaussian process, k-means, PCA, EM of a mixture."""

import math

import numpy as np
import torch
from torch import distributions as dist
from torch.distributions import constraints, transform_to

rng = np.random.default_rng(1)
torch.set_default_dtype(torch.float64)
X = torch.tensor(rng.standard_normal((40, 2)))
true_w = torch.tensor([1.5, -0.7])
y = X @ true_w + 0.3 * torch.tensor(rng.standard_normal(40))


def log_joint(params):
    w, raw = params[:2], params[2]
    sigma = transform_to(constraints.positive)(raw)
    return dist.Normal(0.0, 1.0).log_prob(w).sum() + dist.Gamma(2.0, 2.0).log_prob(sigma) + raw + dist.Normal(X @ w, sigma).log_prob(y).sum()


def hmc(q, steps=5, eps=0.03):
    q = q.clone().requires_grad_()
    p = torch.tensor(rng.standard_normal(3))
    H0 = -log_joint(q) + 0.5 * p @ p
    x = q.detach().clone().requires_grad_()
    (g,) = torch.autograd.grad(log_joint(x), x)
    for _ in range(steps):
        p = p + 0.5 * eps * g
        x = (x + eps * p).detach().requires_grad_()
        (g,) = torch.autograd.grad(log_joint(x), x)
        p = p + 0.5 * eps * g
    H1 = -log_joint(x) + 0.5 * p @ p
    accept = math.log(rng.random()) < (H0 - H1).item()
    return (x if accept else q).detach(), accept


q, kept, accepted = torch.zeros(3), [], 0
for i in range(30):
    q, a = hmc(q)
    accepted += a
    if i >= 10:
        kept.append(q)
samples = torch.stack(kept)
print(accepted, samples.mean(0).numpy().round(3), samples.std(0).numpy().round(3))

loc = torch.zeros(2, requires_grad=True)
scale_tril = torch.eye(2).mul(0.5).requires_grad_()
opt = torch.optim.Adam([loc, scale_tril], lr=0.05)
prior = dist.MultivariateNormal(torch.zeros(2), torch.eye(2))
for step in range(40):
    q = dist.MultivariateNormal(loc, scale_tril=transform_to(constraints.lower_cholesky)(scale_tril))
    eps = torch.tensor(rng.standard_normal((4, 2)))
    w = loc + eps @ q.scale_tril.T
    elbo = dist.Normal(w @ X.T, 0.3).log_prob(y).sum(-1).mean() - dist.kl_divergence(q, prior)
    opt.zero_grad()
    (-elbo).backward()
    opt.step()
exact = torch.linalg.inv(X.T @ X / 0.09 + torch.eye(2))
print(loc.detach().numpy().round(2), (exact @ X.T @ y / 0.09).numpy().round(2), f"{elbo.item():.1f}")

xs = torch.linspace(0, 1, 12)
f = torch.sin(6 * xs)
log_params = torch.zeros(3, requires_grad=True)
opt = torch.optim.LBFGS([log_params], max_iter=8, line_search_fn="strong_wolfe")


def kernel(a, b, p):
    return p[0].exp() * torch.exp(-0.5 * torch.cdist(a[:, None], b[:, None]).pow(2) / p[1].exp() ** 2)


def nll():
    opt.zero_grad()
    K = kernel(xs, xs, log_params) + (log_params[2].exp() * 1e-2 + 1e-6) * torch.eye(12)
    loss = -dist.MultivariateNormal(torch.zeros(12), K).log_prob(f)
    loss.backward()
    return loss


before = nll().item()
opt.step(nll)
K = kernel(xs, xs, log_params) + 1e-6 * torch.eye(12)
L = torch.linalg.cholesky(K)
mean = kernel(torch.tensor([0.5]), xs, log_params) @ torch.cholesky_solve(f[:, None], L)
print(f"{before:.3f}", nll().item() < before, f"{mean.item():.3f}")

points = torch.cat([X * 0.3, X * 0.3 + 3])
centers = points[[0, -1]]
for _ in range(5):
    label = torch.cdist(points, centers).argmin(dim=1)
    centers = torch.stack([points[label == k].mean(dim=0) for k in range(2)])
print(torch.bincount(label).tolist(), centers.numpy().round(3).tolist())
U, S, Vh = torch.linalg.svd(points - points.mean(0), full_matrices=False)
print(S.numpy().round(3), (Vh[0] * Vh[0, 0].sign()).numpy().round(3), torch.cov(points.T).diagonal().numpy().round(3))
pi, mu, sd = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])
one = points[:, 0]
for _ in range(15):
    logp = dist.Normal(mu, sd).log_prob(one[:, None]) + pi.log()
    r = torch.softmax(logp, -1)
    n = r.sum(0)
    mu = (r * one[:, None]).sum(0) / n
    sd = ((r * (one[:, None] - mu) ** 2).sum(0) / n).sqrt()
    pi = n / len(one)
print(mu.numpy().round(3), sd.numpy().round(3), pi.numpy().round(3))
d = dist.Dirichlet(torch.tensor([2.0, 3.0, 5.0]))
print(d.mean.tolist(), f"{d.entropy().item():.4f} {dist.Beta(2.0, 5.0).log_prob(torch.tensor(0.3)).item():.4f} {dist.Poisson(3.0).log_prob(torch.tensor(2.0)).item():.4f}")
torch.set_default_dtype(torch.float32)
