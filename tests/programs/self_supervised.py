"""SimCLR's NT-Xent, Barlow twins, BYOL with an EMA target, triplet and contrastive losses, focal loss, label smoothing, mixup, VICReg."""

import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def fill(m, s=0.3):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


x = torch.sin(torch.arange(96.0)).view(12, 8)
v1, v2 = x + 0.1 * x.roll(1, 0), x * 1.1


def nt_xent(z_i, z_j, temperature=0.5):
    N = 2 * z_i.size(0)
    z = torch.cat((z_i, z_j), dim=0)
    sim = nn.CosineSimilarity(dim=2)(z.unsqueeze(1), z.unsqueeze(0)) / temperature
    sim_i_j = torch.diag(sim, z_i.size(0))
    sim_j_i = torch.diag(sim, -z_i.size(0))
    positive_samples = torch.cat((sim_i_j, sim_j_i), dim=0).reshape(N, 1)
    mask = torch.ones((N, N), dtype=bool)
    mask = mask.fill_diagonal_(0)
    for i in range(z_i.size(0)):
        mask[i, z_i.size(0) + i] = 0
        mask[z_i.size(0) + i, i] = 0
    negative_samples = sim[mask].reshape(N, -1)
    labels = torch.from_numpy(__import__("numpy").array([0] * N)).reshape(-1).to(positive_samples.device).long()
    logits = torch.cat((positive_samples, negative_samples), dim=1)
    return nn.CrossEntropyLoss(reduction="sum")(logits, labels) / N


def off_diagonal(x):
    n, m = x.shape
    assert n == m
    return x.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()


def barlow(z1, z2, lambd=0.0051):
    bn = nn.BatchNorm1d(z1.shape[1], affine=False)
    c = bn(z1).T @ bn(z2)
    c.div_(z1.shape[0])
    on_diag = torch.diagonal(c).add_(-1).pow_(2).sum()
    off_diag = off_diagonal(c).pow_(2).sum()
    return on_diag + lambd * off_diag


def vicreg(x, y):
    repr_loss = F.mse_loss(x, y)
    x = x - x.mean(dim=0)
    y = y - y.mean(dim=0)
    std_x = torch.sqrt(x.var(dim=0) + 0.0001)
    std_y = torch.sqrt(y.var(dim=0) + 0.0001)
    std_loss = torch.mean(F.relu(1 - std_x)) / 2 + torch.mean(F.relu(1 - std_y)) / 2
    cov_x = (x.T @ x) / (x.shape[0] - 1)
    cov_loss = off_diagonal(cov_x).pow_(2).sum().div(x.shape[1])
    return 25 * repr_loss + 25 * std_loss + cov_loss


class LARS(torch.optim.Optimizer):
    def __init__(self, params, lr, weight_decay=0, momentum=0.9, eta=0.001):
        defaults = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, eta=eta)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                dp = p.grad
                if dp is None:
                    continue
                if p.ndim > 1:
                    dp = dp.add(p, alpha=g["weight_decay"])
                    param_norm = torch.norm(p)
                    update_norm = torch.norm(dp)
                    one = torch.ones_like(param_norm)
                    q = torch.where(
                        param_norm > 0.0, torch.where(update_norm > 0, (g["eta"] * param_norm / update_norm), one), one
                    )
                    dp = dp.mul(q)
                param_state = self.state[p]
                if "mu" not in param_state:
                    param_state["mu"] = torch.zeros_like(p)
                mu = param_state["mu"]
                mu.mul_(g["momentum"]).add_(dp)
                p.add_(mu, alpha=-g["lr"])


for name, loss_fn in (("ntxent", nt_xent), ("barlow", barlow), ("vicreg", vicreg)):
    net = fill(nn.Sequential(nn.Linear(8, 10), nn.BatchNorm1d(10), nn.ReLU(inplace=True), nn.Linear(10, 6, bias=False)))
    opt = LARS(net.parameters(), lr=0.5, weight_decay=1e-4, eta=0.02)
    for it in range(5):
        loss = loss_fn(net(v1), net(v2))
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(name, "%.4f" % loss.item())


class BYOL(nn.Module):
    def __init__(self):
        super().__init__()
        self.online = fill(nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6)))
        self.target = copy.deepcopy(self.online)
        self.predictor = fill(nn.Linear(6, 6))
        for p in self.target.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def momentum_update(self, m=0.9):
        for po, pt in zip(self.online.parameters(), self.target.parameters()):
            pt.data = pt.data * m + po.data * (1 - m)

    def forward(self, a, b):
        p = F.normalize(self.predictor(self.online(a)), dim=-1)
        with torch.no_grad():
            z = F.normalize(self.target(b), dim=-1)
        return 2 - 2 * (p * z).sum(dim=-1)


byol = BYOL()
opt = torch.optim.SGD([p for p in byol.parameters() if p.requires_grad], lr=0.1, momentum=0.9, nesterov=True)
for it in range(6):
    loss = (byol(v1, v2) + byol(v2, v1)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    byol.momentum_update()
print("byol %.5f" % loss.item(), byol.target[0].weight[0, :3])
trip = nn.TripletMarginLoss(margin=1.0, p=2, swap=True)
a = x[:4].clone().requires_grad_()
l = trip(a, x[4:8], x[8:])
l.backward()
print(l.item(), a.grad.norm())
tl = nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: 1.0 - F.cosine_similarity(x, y))
print(tl(a, x[4:8], x[8:]).item(), F.pairwise_distance(a, x[4:8]).data)


class FocalLoss(nn.Module):
    def __init__(self, gamma=2, alpha=None, reduction="mean"):
        super().__init__()
        self.gamma, self.alpha, self.reduction = gamma, alpha, reduction

    def forward(self, inputs, targets):
        ce = F.cross_entropy(inputs, targets, reduction="none", weight=self.alpha)
        pt = torch.exp(-ce)
        loss = (1 - pt) ** self.gamma * ce
        return getattr(loss, self.reduction)()


logits = x[:, :3].clone().requires_grad_()
y = torch.arange(12) % 3
FocalLoss(alpha=torch.tensor([1.0, 2.0, 0.5]))(logits, y).backward()
print(logits.grad[:2])
lam, index = 0.3, torch.arange(11, -1, -1)
mixed_x, y_a, y_b = lam * x + (1 - lam) * x[index, :], y, y[index]
crit = nn.CrossEntropyLoss(label_smoothing=0.1)
print(
    (lam * crit(mixed_x[:, :3], y_a) + (1 - lam) * crit(mixed_x[:, :3], y_b)).item(),
    crit(x[:, :3], F.softmax(x[:, 3:6], 1)).item(),
)


def bce_focal(p, t):
    return F.binary_cross_entropy_with_logits(p, t, pos_weight=torch.tensor([2.0, 1.0, 0.5]), reduction="none")


print(bce_focal(logits, (x[:, 3:6] > 0).float()).mean(0).data)
dice_in, dice_t = logits.sigmoid(), (x[:, 3:6] > 0).float()
smooth = 1.0
inter = (dice_in.view(-1) * dice_t.view(-1)).sum()
dice = 1 - (2.0 * inter + smooth) / (dice_in.sum() + dice_t.sum() + smooth)
dice.backward()
print(dice.item(), math.isclose(logits.grad.sum().item(), logits.grad.sum().item()))
