"""Orthogonal layers by each map, trained; a dict of parameters in its order; fake quantization with its gradient; one_hot in vmap."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import orthogonal

x = torch.linspace(-1, 1, 12).reshape(4, 3)
for shape in ((3, 3), (3, 5), (3, 2)):
    for kind in (None, "matrix_exp", "cayley", "householder"):
        layer = nn.Linear(*shape, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.arange(layer.weight.numel()).square().reshape(layer.weight.shape).sin())
        kept = orthogonal(layer, orthogonal_map=kind)
        square = shape[0] == shape[1]
        start = layer.weight.detach().clone()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (layer(x) ** 3).sum().backward()
            optimizer.step()
        weight = layer.weight if layer.weight.shape[0] >= layer.weight.shape[1] else layer.weight.T
        print(shape, kind, sorted(layer.state_dict()), torch.dist(weight.T @ weight, torch.eye(weight.shape[1])).item() < 1e-4)
        print(layer.parametrizations.weight.original.shape, torch.dist(start, layer.weight).item() > 1e-3)
        if kind in (None, "householder") or square:
            print(start, layer.weight)
plain = nn.Linear(3, 5, bias=False)
nn.init.orthogonal_(plain.weight, 1.0)
start = plain.weight.detach().clone()
layer = orthogonal(plain, orthogonal_map="householder", use_trivialization=False)
print(torch.dist(layer.weight, start).item() < 1e-5, sorted(layer.state_dict()))
layer.weight = -start
print(torch.dist(layer.weight, -start).item() < 1e-5)
try:
    orthogonal(nn.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False).weight = torch.eye(3)
except NotImplementedError:
    print("no inverse")

table = nn.ParameterDict({"width": nn.Parameter(torch.ones(1)), "height": nn.Parameter(torch.zeros(2))})
print(list(table), [n for n, _ in table.named_parameters()], list(nn.ParameterDict([("b", torch.ones(1)), ("a", torch.ones(1))])))

w = torch.tensor([-3.0, -0.26, 0.04, 0.55, 2.0], requires_grad=True)
q = torch.fake_quantize_per_tensor_affine(w, 0.1, 2, -8, 7)
(q * torch.arange(1.0, 6.0)).sum().backward()
print(q, w.grad)
scale, zero = torch.tensor([0.1, 0.5]), torch.zeros(2, dtype=torch.int32)
print(torch.fake_quantize_per_channel_affine(x[:2], scale, zero, 0, -4, 3))
classes = torch.tensor([2, 0, 1])
print(torch.vmap(lambda c: F.one_hot(c, 4))(classes), F.one_hot(torch.ones(2, dtype=torch.long, device="meta"), 3).shape)
