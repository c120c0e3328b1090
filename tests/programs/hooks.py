"""Forward, backward and tensor hooks: activations, gradients, and what they change."""

import torch
import torch.nn as nn

model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(torch.sin(torch.arange(p.numel()) * 1.4 + i).reshape(p.shape))
activation, gradients = {}, {}


def get_activation(name):
    def hook(module, args, output):
        activation[name] = output.detach()

    return hook


def get_gradient(name):
    def hook(module, grad_input, grad_output):
        gradients[name] = [g.norm().item() for g in grad_output]

    return hook


handles = [m.register_forward_hook(get_activation(n)) for n, m in model.named_children()]
handles += [m.register_full_backward_hook(get_gradient(n)) for n, m in model.named_children()]
model[1].register_forward_pre_hook(lambda module, args: (args[0] * 0.5,))
x = torch.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
out = model(x)
out.register_hook(lambda grad: grad * 3)
out.retain_grad()
model[0].weight.register_hook(lambda g: g.clamp(-0.5, 0.5))
loss = out.pow(2).sum()
loss.backward()
print(f"{loss.item():.5f}")
for name in sorted(activation):
    print(name, activation[name].sum().item(), *gradients[name])
print(model[0].weight.grad.flatten().tolist())
print(out.grad.tolist(), x.grad.tolist())
for h in handles:
    h.remove()
model(x.detach())
print(len(model[0]._forward_hooks), len(model[1]._forward_pre_hooks))
