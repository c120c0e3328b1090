"""Weight initialisation by apply, prune, parametrize, orthogonal layers, weight norm, parameters to vectors, EMA by hand."""

import copy
import math

import torch
import torch.nn as nn
import torch.nn.init as init
import torch.nn.utils.parametrize as parametrize
from torch.nn.utils import parameters_to_vector, prune, remove_weight_norm, vector_to_parameters, weight_norm
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.parametrizations import weight_norm as wn


def init_weights(m):
    if isinstance(m, nn.Linear):
        torch.nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("tanh"))
        m.bias.data.fill_(0.01)
    elif type(m) in (nn.LSTM, nn.GRU):
        for name, param in m.named_parameters():
            if "weight_ih" in name:
                init.xavier_uniform_(param.data)
            elif "weight_hh" in name:
                init.orthogonal_(param.data)
            elif "bias" in name:
                param.data.fill_(0)
                n = param.size(0)
                param.data[n // 4 : n // 2].fill_(1)


net = nn.Sequential(nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 30))
lstm = nn.LSTM(10, 12)
net.apply(init_weights)
lstm.apply(init_weights)
bound = 5 / 3 * math.sqrt(6 / 90)
print(net[0].weight.abs().max().item() <= bound, abs(net[0].weight.std().item() - bound / math.sqrt(3)) < 0.02, net[2].bias.unique().tolist())
print(torch.allclose(lstm.weight_hh_l0.t() @ lstm.weight_hh_l0, torch.eye(12), atol=1e-5), lstm.bias_ih_l0[12:24].sum().item())
for name, f in {"kaiming": lambda t: init.kaiming_normal_(t, nonlinearity="relu"), "trunc": lambda t: init.trunc_normal_(t, std=0.02, a=-0.04, b=0.04), "eye": init.eye_, "sparse": lambda t: init.sparse_(t, 0.1)}.items():
    t = f(torch.empty(100, 200))
    print(name, round(t.std().item(), 2), (t == 0).float().mean().item() > 0.05)


class Symmetric(nn.Module):
    def forward(self, X):
        return X.triu() + X.triu(1).transpose(-1, -2)

    def right_inverse(self, A):
        return A.triu()


layer = nn.Linear(3, 3)
parametrize.register_parametrization(layer, "weight", Symmetric())
print(torch.allclose(layer.weight, layer.weight.T), [n for n, _ in layer.named_parameters()], parametrize.is_parametrized(layer))
with torch.no_grad():
    layer.weight = torch.arange(9.0).view(3, 3)
print(layer.weight.tolist())
layer(torch.ones(1, 3)).sum().backward()
print(layer.parametrizations.weight.original.grad.tolist())
parametrize.remove_parametrizations(layer, "weight")
q = orthogonal(nn.Linear(4, 4))
print(torch.allclose(q.weight @ q.weight.T, torch.eye(4), atol=1e-5))
m = weight_norm(nn.Linear(4, 2), name="weight")
print(sorted(n for n, _ in m.named_parameters()), m.weight_g.shape)
remove_weight_norm(m)
print(sorted(n for n, _ in m.named_parameters()), sorted(n for n, _ in wn(nn.Linear(4, 2)).named_parameters()))
lin = nn.Linear(4, 5)
lin.weight.data = torch.arange(20.0).view(5, 4) - 9.5
prune.l1_unstructured(lin, name="weight", amount=0.3)
print(int((lin.weight == 0).sum()), sorted(lin.state_dict()), prune.is_pruned(lin))
prune.ln_structured(lin, "weight", amount=1, n=2, dim=0)
print((lin.weight == 0).all(1).tolist())
prune.remove(lin, "weight")
model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
vec = parameters_to_vector(model.parameters())
vector_to_parameters(torch.arange(len(vec)).float(), model.parameters())
print(len(vec), model[2].weight.tolist())
ema = copy.deepcopy(model)
for p in ema.parameters():
    p.requires_grad_(False)
with torch.no_grad():
    for p in model.parameters():
        p.mul_(2)
    for e, p in zip(ema.parameters(), model.parameters()):
        e.mul_(0.9).add_(p, alpha=0.1)
    for (ke, ve), (_, v) in zip(ema.state_dict().items(), model.state_dict().items()):
        ve.copy_(ve * 0.5 + (1 - 0.5) * v)
print([f"{v:.3f}" for v in ema[2].weight.flatten().tolist()])
