"""Scientific programs: Gaussian process by Cholesky, Sinkhorn, k-means, HMM forward in log space, Kalman filter, PCA, Newton by Hessian, SGLD."""

import math

import numpy as np
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

torch.set_default_dtype(torch.float64)
torch.set_printoptions(precision=4, sci_mode=False, linewidth=110)
rng = np.random.default_rng(0)
X = torch.as_tensor(rng.uniform(-2, 2, (12, 1)))
y = torch.sin(2 * X).squeeze(-1) + 0.05 * torch.as_tensor(rng.normal(size=12))
raw = {k: torch.zeros((), requires_grad=True) for k in ("lengthscale", "outputscale", "noise")}


def kernel(a, b):
    l, s = nn.functional.softplus(raw["lengthscale"]), nn.functional.softplus(raw["outputscale"])
    return s * torch.exp(-0.5 * torch.cdist(a / l, b / l).square())


opt = torch.optim.Adam(raw.values(), lr=0.1)
for i in range(15):
    opt.zero_grad()
    K = kernel(X, X) + (nn.functional.softplus(raw["noise"]) + 1e-6) * torch.eye(12)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y.unsqueeze(-1), L).squeeze(-1)
    nll = 0.5 * y.dot(alpha) + L.diagonal().log().sum() + 6 * math.log(2 * math.pi)
    nll.backward()
    opt.step()
mvn = MultivariateNormal(torch.zeros(12), scale_tril=L.detach())
print(f"nll {nll.item():.5f} {-mvn.log_prob(y).item():.5f}", {k: round(v.item(), 4) for k, v in raw.items()})
Xs = torch.linspace(-2, 2, 5).unsqueeze(-1)
with torch.no_grad():
    Ks = kernel(X, Xs)
    mean = Ks.T @ alpha
    v = torch.linalg.solve_triangular(L, Ks, upper=False)
    cov = kernel(Xs, Xs) - v.T @ v
print(mean, cov.diagonal().clamp_min(0).sqrt())


def sinkhorn(a, b, C, eps=0.1, iters=30):
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(iters):
        f = -eps * torch.logsumexp((g[None, :] - C) / eps + b.log()[None, :], dim=1)
        g = -eps * torch.logsumexp((f[:, None] - C) / eps + a.log()[:, None], dim=0)
    P = torch.exp((f[:, None] + g[None, :] - C) / eps) * a[:, None] * b[None, :]
    return (P * C).sum(), P


pts, tgt = torch.as_tensor(rng.normal(size=(5, 2))).requires_grad_(), torch.as_tensor(rng.normal(size=(6, 2)))
cost, P = sinkhorn(torch.full((5,), 0.2), torch.full((6,), 1 / 6), torch.cdist(pts, tgt) ** 2)
cost.backward()
print(cost.item(), P.sum(0), pts.grad[0])
data = torch.cat([torch.as_tensor(rng.normal(c, 0.3, (10, 2))) for c in (-2, 0, 2)])
centers = data[[0, 10, 20]].clone()
for _ in range(5):
    assign = torch.cdist(data, centers).argmin(1)
    onehot = nn.functional.one_hot(assign, 3).to(data.dtype)
    centers = (onehot.T @ data) / onehot.sum(0, keepdim=True).T
    alt = torch.zeros(3, 2).index_add_(0, assign, data) / torch.bincount(assign, minlength=3).unsqueeze(1)
print(centers, torch.allclose(alt, centers), torch.bincount(assign).tolist(), torch.unique(assign, return_counts=True)[1])
T = torch.tensor([[0.7, 0.3], [0.4, 0.6]], requires_grad=True)
E = torch.tensor([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])
obs, log_alpha = [0, 1, 2, 2, 0], torch.log(torch.tensor([0.6, 0.4])) + E[:, 0].log()
for o in obs[1:]:
    log_alpha = torch.logsumexp(log_alpha.unsqueeze(1) + T.log(), 0) + E[:, o].log()
ll = log_alpha.logsumexp(0)
print(ll, torch.autograd.grad(ll, T)[0])
F_, H = torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
Q, R = 0.01 * torch.eye(2), torch.tensor([[0.25]])
m, S = torch.zeros(2, 1), torch.eye(2)
for z in (1.1, 2.0, 2.9, 4.2):
    m, S = F_ @ m, F_ @ S @ F_.mT + Q
    G = S @ H.mT @ torch.linalg.inv(H @ S @ H.mT + R)
    m, S = m + G @ (torch.tensor([[z]]) - H @ m), (torch.eye(2) - G @ H) @ S
print(m.flatten(), torch.linalg.eigvalsh(S))
Z = data - data.mean(0)
U, s, Vh = torch.linalg.svd(Z, full_matrices=False)
w, Q_ = torch.linalg.eigh(torch.cov(data.T))
print(s, (s**2 / 29), w.flip(0), (Vh[0] * Vh[0, 0].sign()), torch.linalg.matrix_rank(Z), torch.linalg.cond(Z))
A, b = torch.as_tensor(rng.normal(size=(20, 3))), torch.as_tensor((rng.uniform(size=20) < 0.5).astype(float))
beta = torch.zeros(3)


def nll_f(beta):
    return nn.functional.binary_cross_entropy_with_logits(A @ beta, b, reduction="sum") + 0.5 * beta @ beta


for _ in range(5):
    g, Hs = torch.autograd.functional.jacobian(nll_f, beta), torch.autograd.functional.hessian(nll_f, beta)
    beta = beta - torch.linalg.solve(Hs, g)
print(beta, g.norm() < 1e-8, torch.logdet(Hs), torch.linalg.lstsq(A, b).solution)
print(
    kl_divergence(Normal(0.0, 1.0), Normal(torch.tensor([1.0]), 2.0)),
    Normal(0, 1).cdf(torch.tensor(1.96)),
    torch.erfinv(torch.tensor(0.5)),
)
grid = torch.linspace(0, math.pi, 101)
print(
    torch.trapezoid(grid.sin(), grid),
    torch.cumulative_trapezoid(grid.sin(), grid)[-1],
    torch.gradient(grid.sin(), spacing=(grid,))[0][:2],
    torch.searchsorted(grid, torch.tensor([0.5, 1.5])),
    torch.bucketize(torch.tensor([0.1]), grid),
    torch.quantile(grid, torch.tensor([0.25, 0.5])),
)
poly = torch.vander(torch.tensor([1.0, 2.0, 3.0]), increasing=True)
print(
    poly,
    torch.kron(torch.eye(2), poly[:2, :2]),
    torch.block_diag(poly, torch.ones(1, 2)).shape,
    torch.cartesian_prod(torch.arange(2), torch.arange(2)).tolist(),
)
sig = torch.sin(grid * 8)
spec = torch.fft.rfft(sig * torch.hann_window(101))
print(
    spec.abs().argmax(),
    torch.fft.irfft(spec, n=101).sum(),
    torch.stft(sig, 32, hop_length=16, window=torch.hann_window(32), return_complex=True).abs().sum(),
)
