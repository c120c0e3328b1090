"""Learning-rate schedules side by side, and one of them driving a training loop."""

import torch
import torch.optim.lr_scheduler as lr_scheduler
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, MultiStepLR, OneCycleLR, ReduceLROnPlateau, StepLR


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)


makers = {
    "step": lambda o: StepLR(o, step_size=3, gamma=0.5),
    "multi": lambda o: MultiStepLR(o, milestones=[2, 5], gamma=0.1),
    "cosine": lambda o: CosineAnnealingLR(o, T_max=8),
    "lambda": lambda o: LambdaLR(o, lambda epoch: 0.95**epoch),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    "onecycle": lambda o: OneCycleLR(o, max_lr=1.0, total_steps=10),
    "warmup": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.ConstantLR(o, 1.0)], milestones=[3]
    ),
}
for name, make in makers.items():
    opt = optimizer()
    scheduler = make(opt)
    rates = []
    for _ in range(8):
        opt.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    print(name, " ".join(f"{r:.6f}" for r in rates))

w = torch.tensor([5.0, -3.0], requires_grad=True)
opt = torch.optim.SGD([w], lr=0.4)
plateau = ReduceLROnPlateau(opt, "min", factor=0.1, patience=2)
for epoch in range(12):
    loss = (w.abs() ** 1.5).sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
    plateau.step(loss.item())
    print(epoch, f"{loss.item():.5f}", opt.param_groups[0]["lr"])
