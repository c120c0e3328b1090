"""A loop written for automatic mixed precision, run where it is switched off."""

import torch
from torch.amp import GradScaler, autocast

use_amp = torch.cuda.is_available()
model = torch.nn.Linear(3, 2)
with torch.no_grad():
    model.weight.copy_(torch.linspace(-1, 1, 6).reshape(2, 3))
    model.bias.zero_()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = GradScaler("cuda", enabled=use_amp)
x = torch.linspace(0, 1, 12).reshape(4, 3)
for step in range(10):
    with autocast(device_type="cuda" if use_amp else "cpu", enabled=use_amp):
        loss = torch.nn.functional.mse_loss(model(x), x[:, :2])
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
print(f"{loss.item():.6f}", scaler.get_scale(), scaler.is_enabled(), scaler.state_dict())
