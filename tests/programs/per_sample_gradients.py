"""Per-sample gradients with torch.func: functional_call, grad and vmap, against a loop; Jacobians and Hessians."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, hessian, jacrev, vmap

model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(torch.sin(torch.arange(p.numel()) * 0.8 + i).reshape(p.shape) * 0.7)
data = torch.linspace(-2, 2, 20).reshape(5, 4)
targets = torch.tensor([0, 2, 1, 1, 0])
params = {k: v.detach() for k, v in model.named_parameters()}
buffers = {k: v.detach() for k, v in model.named_buffers()}


def compute_loss(params, buffers, sample, target):
    predictions = functional_call(model, (params, buffers), (sample.unsqueeze(0),))
    return F.cross_entropy(predictions, target.unsqueeze(0))


ft_per_sample_grads = vmap(grad(compute_loss), in_dims=(None, None, 0, 0))(params, buffers, data, targets)
for name, g in ft_per_sample_grads.items():
    print(name, tuple(g.shape), [round(v, 5) for v in g.flatten(1).norm(dim=1).tolist()])
worst = 0.0
for i in range(len(data)):
    model.zero_grad()
    F.cross_entropy(model(data[i : i + 1]), targets[i : i + 1]).backward()
    for name, p in model.named_parameters():
        worst = max(worst, (p.grad - ft_per_sample_grads[name][i]).abs().max().item())
print(worst < 1e-6)
f = lambda x: (x.sin() * x.flip(0)).cumsum(0)
x = torch.linspace(0.1, 1, 3)
print(jacrev(f)(x).tolist())
print(hessian(lambda x: (x**3).prod())(x).tolist())
