"""Model ensembling (functorch): stack_module_state, vmap over models, same and different minibatches, randomness, batch norm replaced."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import vmap
from torch.func import functional_call, grad, grad_and_value, replace_all_batch_norm_modules_, stack_module_state


class SimpleMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(16, 12)
        self.fc2 = nn.Linear(12, 12)
        self.fc3 = nn.Linear(12, 10)

    def forward(self, x):
        x = x.flatten(1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.fc2(x)
        x = F.relu(x)
        x = self.fc3(x)
        return x


device = "cpu"
num_models = 4
data = torch.sin(torch.arange(20 * 5 * 16) * 0.1).view(20, 5, 1, 4, 4)
targets = torch.arange(20 * 5).view(20, 5) % 10
models = [SimpleMLP().to(device) for _ in range(num_models)]
for j, m in enumerate(models):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i + 0.3 * j)).view_as(p) * 0.3
minibatches = data[:num_models]
predictions_diff_minibatch_loop = [model(minibatch) for model, minibatch in zip(models, minibatches)]
minibatch = data[0]
predictions2 = [model(minibatch) for model in models]
params, buffers = stack_module_state(models)
base_model = copy.deepcopy(models[0])
base_model = base_model.to("meta")
print(base_model.fc1.weight.device, params["fc1.weight"].shape)


def fmodel(params, buffers, x):
    return functional_call(base_model, (params, buffers), (x,))


print([p.size(0) for p in params.values()])
assert minibatches.shape == (num_models, 5, 1, 4, 4)
predictions1_vmap = vmap(fmodel)(params, buffers, minibatches)
print(torch.allclose(predictions1_vmap, torch.stack(predictions_diff_minibatch_loop), atol=1e-4))
predictions2_vmap = vmap(fmodel, in_dims=(0, 0, None))(params, buffers, minibatch)
print(torch.allclose(predictions2_vmap, torch.stack(predictions2), atol=1e-4), predictions2_vmap[2, 3])


def loss_fn(params, buffers, x, y):
    return F.cross_entropy(fmodel(params, buffers, x), y)


params = {k: v.detach() for k, v in params.items()}
for step in range(5):
    grads, losses = vmap(grad_and_value(loss_fn), in_dims=(0, 0, None, None))(params, buffers, data[step], targets[step])
    params = {k: p - 0.5 * grads[k] for k, p in params.items()}
    print(step, losses)
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
for i, p in enumerate(net.parameters()):
    p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.3
replace_all_batch_norm_modules_(net)
print(net[1].running_mean, net[1].track_running_stats)
ps, bs = dict(net.named_parameters()), dict(net.named_buffers())


def one(ps, bs, x, y):
    return F.cross_entropy(functional_call(net, (ps, bs), (x[None],)), y[None])


g = vmap(grad(one), in_dims=(None, None, 0, 0))(ps, bs, data[0], targets[0] % 2)
print({k: tuple(v.shape) for k, v in g.items()}, g["4.bias"].detach())
