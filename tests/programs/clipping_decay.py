"""Gradient clipping by norm and by value, weight decay by groups, gradient accumulation and the size of gradients."""

import torch
import torch.nn as nn

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(torch.cos(torch.arange(p.numel()) * 2.1 + i).view_as(p))
decay = [p for n, p in model.named_parameters() if n.endswith("weight")]
plain = [p for n, p in model.named_parameters() if n.endswith("bias")]
optimizer = torch.optim.SGD([{"params": decay, "weight_decay": 0.1}, {"params": plain}], lr=0.05, momentum=0.9, nesterov=True)
x = torch.linspace(-3, 3, 64).reshape(16, 4)
y = torch.stack([x.sum(1), x.prod(1)], dim=1)
for step in range(12):
    optimizer.zero_grad()
    total = 0.0
    for xs, ys in zip(x.chunk(4), y.chunk(4)):
        loss = nn.functional.smooth_l1_loss(model(xs), ys) / 4
        loss.backward()
        total += loss.item()
    if step < 6:
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
    else:
        norm = torch.sqrt(sum(p.grad.detach().norm() ** 2 for p in model.parameters()))
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
    optimizer.step()
    if step % 3 == 2:
        print(step, f"{total:.5f}", f"{norm.item():.5f}", f"{model[0].weight.norm().item():.5f}")
