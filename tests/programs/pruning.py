"""Pruning: random excluded, L1, structured, custom, global, iterative, remove; buffers and hooks as in the tutorial."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune


class LeNet(nn.Module):
    def __init__(self):
        super(LeNet, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 20)
        self.fc2 = nn.Linear(20, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, int(x.nelement() / x.shape[0]))
        x = F.relu(self.fc1(x))
        return self.fc2(x)


def fresh():
    m = LeNet()
    for i, (n, p) in enumerate(m.named_parameters()):
        p.data = torch.sin(torch.arange(p.numel()) * (0.7 + i)).float().view(p.shape) * 0.1
    return m


model = fresh()
module = model.conv1
print([n for n, _ in module.named_parameters()], list(module.named_buffers()))
prune.l1_unstructured(module, name="weight", amount=0.3)
print([n for n, _ in module.named_parameters()], [(n, b.sum().item()) for n, b in module.named_buffers()])
print(len(module._forward_pre_hooks))
prune.l1_unstructured(module, name="bias", amount=3)
print(module.bias)
prune.ln_structured(module, name="weight", amount=0.5, n=2, dim=0)
for hook in module._forward_pre_hooks.values():
    if hook._tensor_name == "weight":
        break
print([type(h).__name__ for h in hook], hook._tensor_name)
print(sorted(model.state_dict().keys()))
prune.remove(module, "weight")
print([n for n, _ in module.named_parameters()], float(torch.sum(module.weight == 0)))
new_model = fresh()
for name, module in new_model.named_modules():
    if isinstance(module, torch.nn.Conv2d):
        prune.l1_unstructured(module, name="weight", amount=0.2)
    elif isinstance(module, torch.nn.Linear):
        prune.l1_unstructured(module, name="weight", amount=0.4)
print(sorted(dict(new_model.named_buffers()).keys()))
model = fresh()
parameters_to_prune = (
    (model.conv1, "weight"),
    (model.conv2, "weight"),
    (model.fc1, "weight"),
    (model.fc2, "weight"),
)
prune.global_unstructured(parameters_to_prune, pruning_method=prune.L1Unstructured, amount=0.2)
for m, n in parameters_to_prune:
    print(f"Sparsity: {100.0 * float(torch.sum(getattr(m, n) == 0)) / float(getattr(m, n).nelement()):.2f}%")


class FooBarPruningMethod(prune.BasePruningMethod):
    """Prune every other entry in a tensor"""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0
        return mask


def foobar_unstructured(module, name):
    FooBarPruningMethod.apply(module, name)
    return module


model = fresh()
foobar_unstructured(model.fc2, name="bias")
print(model.fc2.bias_mask, prune.is_pruned(model), prune.is_pruned(model.fc1))
opt = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.linspace(-1, 1, 2 * 32 * 32).view(2, 1, 32, 32)
for _ in range(3):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), torch.tensor([1, 3]))
    loss.backward()
    opt.step()
    print(loss.item())
print(model.fc2.bias)
print(model.fc2.bias_orig.grad)
prune.custom_from_mask(model.fc1, "bias", torch.tensor([1.0, 0.0] * 10))
print(model.fc1.bias[:4], model.fc1)
prune.identity(model.conv2, "weight")
print(bool(model.conv2.weight_mask.all()))
