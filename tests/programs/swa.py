"""Stochastic weight averaging and exponential moving averages with torch.optim.swa_utils."""

import torch
import torch.optim.swa_utils as swa_utils
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn

x = torch.sin(torch.arange(64 * 4).float()).view(64, 4)
y = (x @ torch.tensor([1.0, -1.0, 2.0, 0.3])).unsqueeze(1).tanh()
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
for i, p in enumerate(model.parameters()):
    if p.dim() > 1:
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.5)
    elif i != 2:
        p.data.zero_()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
swa_model = AveragedModel(model)
ema_model = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
mine = AveragedModel(model, avg_fn=lambda averaged, current, n: 0.5 * averaged + 0.5 * current)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
swa_scheduler = SWALR(optimizer, anneal_strategy="linear", anneal_epochs=3, swa_lr=0.05)
for epoch in range(10):
    for input, target in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(input), target)
        loss.backward()
        optimizer.step()
        ema_model.update_parameters(model)
    if epoch > 4:
        swa_model.update_parameters(model)
        mine.update_parameters(model)
        swa_scheduler.step()
    else:
        scheduler.step()
    print(epoch, f"{loss.item():.4f}", f"{optimizer.param_groups[0]['lr']:.5f}")
update_bn(loader, swa_model)
swa_model.eval()
ema_model.eval()
model.eval()
with torch.no_grad():
    for m in (model, swa_model, ema_model, mine.eval()):
        print(f"{nn.functional.mse_loss(m(x), y).item():.4f}")
print(swa_model.n_averaged.item(), sorted(swa_model.state_dict())[:4], isinstance(swa_model.module[1], nn.BatchNorm1d))
print([f"{v:.3f}" for v in swa_model.module[1].running_mean.tolist()[:3]], sorted(n for n in dir(swa_utils) if n.startswith("get_")))
