"""Optimizer step in backward (official tutorial): post-accumulate hooks that step and clear, same result as the plain loop."""

import copy

import torch
from torch import nn


def make():
    m = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.3
    return m


IMAGE = torch.sin(torch.arange(60.0)).view(10, 6)


def train(model, optimizer):
    label = IMAGE.sum(1, keepdim=True)
    fake_loss = model(IMAGE).sub(label).pow(2).mean()
    fake_loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return fake_loss


m1 = make()
optimizer = torch.optim.Adam(m1.parameters(), lr=1e-2)
for _ in range(5):
    a = train(m1, optimizer)
m2 = make()
optimizer_dict = {p: torch.optim.Adam([p], lr=1e-2, foreach=False) for p in m2.parameters()}


def optimizer_hook(parameter) -> None:
    optimizer_dict[parameter].step()
    optimizer_dict[parameter].zero_grad()


for p in m2.parameters():
    p.register_post_accumulate_grad_hook(optimizer_hook)
for _ in range(5):
    b = m2(IMAGE).sub(IMAGE.sum(1, keepdim=True)).pow(2).mean()
    b.backward()
print(a.item(), b.item(), all(p.grad is None for p in m2.parameters()))
print(all(torch.allclose(p, q) for p, q in zip(m1.parameters(), m2.parameters())))
m3 = copy.deepcopy(m1)
opt3 = torch.optim.AdamW(
    [{"params": m3[0].parameters(), "lr": 1e-3}, {"params": [p for n, p in m3.named_parameters() if not n.startswith("0.")]}],
    lr=1e-2,
    weight_decay=0.1,
    amsgrad=True,
    capturable=False,
    fused=False,
)
print(opt3)
sched = torch.optim.lr_scheduler.SequentialLR(
    opt3,
    [torch.optim.lr_scheduler.LinearLR(opt3, 0.1, total_iters=3), torch.optim.lr_scheduler.CosineAnnealingLR(opt3, T_max=5)],
    milestones=[3],
)
for _ in range(6):
    l = train(m3, opt3)
    sched.step()
    print("%.5f" % l.item(), ["%.6f" % g["lr"] for g in opt3.param_groups])
before = opt3.state_dict()
print(sorted(before), before["param_groups"][0]["params"], sorted(before["state"][0]))
hist = []
h = opt3.register_step_post_hook(lambda o, args, kwargs: hist.append("post"))
h2 = opt3.register_step_pre_hook(lambda o, args, kwargs: hist.append("pre"))
train(m3, opt3)
h.remove()
h2.remove()
train(m3, opt3)
print(hist)
