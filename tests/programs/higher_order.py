"""Higher order: MAML-like inner loops with functional_call, hypernetworks, implicit layers with Anderson acceleration and implicit gradients, hypergradients of a learning rate, Hessian-vector products with conjugate gradients, Laplace approximation, influence of samples, WGAN penalty, physics-informed Burgers."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, hessian, jacrev, vmap


def fill(m, s=0.3):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


net = fill(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)))
meta = torch.optim.Adam(net.parameters(), lr=1e-2)
xs = torch.linspace(-2, 2, 10).unsqueeze(1)
for step in range(4):
    total = 0.0
    for task in range(3):
        ys = torch.sin(xs + task)
        fast = dict(net.named_parameters())
        for _ in range(2):
            loss = F.mse_loss(functional_call(net, fast, (xs[::2],)), ys[::2])
            gs = torch.autograd.grad(loss, fast.values(), create_graph=True)
            fast = {k: v - 0.1 * g for (k, v), g in zip(fast.items(), gs)}
        total = total + F.mse_loss(functional_call(net, fast, (xs[1::2],)), ys[1::2])
    meta.zero_grad()
    total.backward()
    meta.step()
    print("maml %.5f" % total.item())


def inner(params, x, y):
    g = grad(lambda p: F.mse_loss(functional_call(net, p, (x,)), y))(params)
    return {k: params[k] - 0.1 * g[k] for k in params}


def outer(params, task):
    y = torch.sin(xs + task)
    return F.mse_loss(functional_call(net, inner(params, xs[::2], y[::2]), (xs[1::2],)), y[1::2])


params = {k: v.detach() for k, v in net.named_parameters()}
per_task = vmap(outer, in_dims=(None, 0))(params, torch.arange(3.0))
print(per_task, grad(lambda p: vmap(outer, in_dims=(None, 0))(p, torch.arange(3.0)).sum())(params)["0.bias"][:3])


def anderson(f, x0, m=3, lam=1e-4, max_iter=20, tol=1e-6, beta=1.0):
    bsz, d = x0.shape
    X, Fv = torch.zeros(bsz, m, d), torch.zeros(bsz, m, d)
    X[:, 0], Fv[:, 0] = x0, f(x0)
    X[:, 1], Fv[:, 1] = Fv[:, 0], f(Fv[:, 0])
    H = torch.zeros(bsz, m + 1, m + 1)
    H[:, 0, 1:] = H[:, 1:, 0] = 1
    y = torch.zeros(bsz, m + 1, 1)
    y[:, 0] = 1
    for k in range(2, max_iter):
        n = min(k, m)
        G = Fv[:, :n] - X[:, :n]
        H[:, 1 : n + 1, 1 : n + 1] = torch.bmm(G, G.transpose(1, 2)) + lam * torch.eye(n)[None]
        alpha = torch.linalg.solve(H[:, : n + 1, : n + 1], y[:, : n + 1])[:, 1 : n + 1, 0]
        X[:, k % m] = beta * (alpha[:, None] @ Fv[:, :n])[:, 0] + (1 - beta) * (alpha[:, None] @ X[:, :n])[:, 0]
        Fv[:, k % m] = f(X[:, k % m])
        if ((Fv[:, k % m] - X[:, k % m]).norm() / (1e-5 + Fv[:, k % m].norm())).item() < tol:
            break
    return X[:, k % m]


class DEQ(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w, self.u = fill(nn.Linear(d, d, bias=False), 0.1), fill(nn.Linear(d, d))

    def f(self, z, x):
        return torch.tanh(self.w(z) + self.u(x))

    def forward(self, x):
        with torch.no_grad():
            z = anderson(lambda z: self.f(z, x), torch.zeros_like(x))
        z = self.f(z, x)
        z0 = z.clone().detach().requires_grad_()
        f0 = self.f(z0, x)

        def backward_hook(g):
            return anderson(lambda y: torch.autograd.grad(f0, z0, y, retain_graph=True)[0] + g, g)

        if z.requires_grad:
            z.register_hook(backward_hook)
        return z


deq = DEQ(4)
x = torch.sin(torch.arange(12.0)).view(3, 4)
z = deq(x)
z.pow(2).sum().backward()
print((deq.f(z, x) - z).abs().max().item() < 1e-4, deq.u.weight.grad[0], deq.w.weight.grad.norm())
hyper = fill(nn.Linear(2, 3 * 2 + 2))
emb = torch.tensor([[0.5, -1.0], [1.0, 0.3]], requires_grad=True)
w_all = hyper(emb)
outs = torch.stack([F.linear(torch.ones(1, 3), w[:6].view(2, 3), w[6:]) for w in w_all])
outs.sum().backward()
print(emb.grad, vmap(lambda w: F.linear(torch.ones(3), w[:6].view(2, 3), w[6:]))(w_all).shape)
log_lr = torch.tensor(-2.0, requires_grad=True)
w = torch.tensor([1.0, -2.0], requires_grad=True)
A = torch.tensor([[3.0, 0.5], [0.5, 1.0]])
cur = w
for _ in range(3):
    (g,) = torch.autograd.grad(0.5 * cur @ A @ cur, cur, create_graph=True)
    cur = cur - log_lr.exp() * g
(cur @ A @ cur).backward()
print(log_lr.grad, w.grad)
flat = nn.utils.parameters_to_vector(net.parameters()).detach()


def loss_of(v):
    out, i = {}, 0
    for k, p in net.named_parameters():
        out[k] = v[i : i + p.numel()].view_as(p)
        i += p.numel()
    return F.mse_loss(functional_call(net, out, (xs,)), torch.sin(xs)) + 0.05 * v @ v


def hvp(v, t):
    return torch.func.vjp(grad(loss_of), v)[1](t)[0]


def cg(Av, b, iters=12):
    x, r = torch.zeros_like(b), b.clone()
    p, rs = r.clone(), r @ r
    for _ in range(iters):
        Ap = Av(p)
        a = rs / (p @ Ap)
        x, r = x + a * p, r - a * Ap
        rs_new = r @ r
        if rs_new < 1e-12:
            break
        p, rs = r + rs_new / rs * p, rs_new
    return x


H = hessian(loss_of)(flat)
v = torch.cos(torch.arange(float(flat.numel())))
print(torch.allclose(H @ v, hvp(flat, v), atol=1e-4), torch.allclose(H, H.T, atol=1e-4), torch.trace(H))
d = cg(lambda t: hvp(flat, t) + 0.5 * t, -grad(loss_of)(flat))
print(d.shape, torch.linalg.eigvalsh(H + 0.5 * torch.eye(len(flat))).min() > 0)
J = jacrev(
    lambda v: functional_call(
        net, dict(zip(dict(net.named_parameters()), [v[:8].view(8, 1), v[8:16], v[16:24].view(1, 8), v[24:]])), (xs,)
    ).squeeze(1)
)(flat)
print(J.shape, (J @ torch.linalg.inv(J.T @ J + torch.eye(25)) @ J.T).trace())
pinn = fill(nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1)), 0.4)
opt = torch.optim.LBFGS(pinn.parameters(), max_iter=5, line_search_fn="strong_wolfe", tolerance_grad=1e-9)
t, s = torch.meshgrid(torch.linspace(0, 1, 4), torch.linspace(-1, 1, 5), indexing="ij")
pts = torch.stack([t.flatten(), s.flatten()], 1)


def closure():
    opt.zero_grad()
    tt, ss = pts[:, :1].clone().requires_grad_(), pts[:, 1:].clone().requires_grad_()
    u = pinn(torch.cat([tt, ss], 1))
    u_t, u_x = torch.autograd.grad(u, (tt, ss), torch.ones_like(u), create_graph=True)
    u_xx = torch.autograd.grad(u_x, ss, torch.ones_like(u), create_graph=True)[0]
    loss = (u_t + u * u_x - 0.01 / torch.pi * u_xx).pow(2).mean() + (
        pinn(torch.cat([0 * pts[:, :1], pts[:, 1:]], 1)) + torch.sin(torch.pi * pts[:, 1:])
    ).pow(2).mean()
    loss.backward()
    return loss


for _ in range(3):
    print("pinn %.5f" % opt.step(closure).item())
