"""One parameter under two names: counted once, saved twice, given once to functional_call, kept through conversion and exchange."""

import copy

import torch
from torch import nn
from torch.func import functional_call, grad, hessian, vmap


class Speaker(nn.Module):
    def __init__(self, words=7, width=4):
        super().__init__()
        self.read = nn.Embedding(words, width)
        self.mix = nn.Linear(width, width)
        self.write = nn.Linear(width, words, bias=False)
        self.write.weight = self.read.weight
        self.register_buffer("offset", torch.zeros(words))
        for i, p in enumerate(self.parameters()):
            p.data = torch.sin(torch.arange(p.numel()) * 0.7 + i).view_as(p) * 0.5

    def forward(self, x):
        return self.write(torch.tanh(self.mix(self.read(x)))) + self.offset


model = Speaker()
x, y = torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([[2, 3, 4], [5, 0, 6]])
print([name for name, _ in model.named_parameters()], [name for name, _ in model.named_parameters(remove_duplicate=False)])
print(list(model.state_dict()), sum(p.numel() for p in model.parameters()), len(list(model.buffers())))


def loss(parameters, x, y, **options):
    scores = functional_call(model, parameters, (x,), **options)
    return nn.functional.cross_entropy(scores.flatten(0, -2), y.flatten())


own = {name: p.detach() for name, p in model.named_parameters()}
model.zero_grad()
nn.functional.cross_entropy(model(x).flatten(0, -2), y.flatten()).backward()
slopes = grad(loss)(own, x, y)
for name, p in model.named_parameters():
    print(name, torch.allclose(p.grad, slopes[name], atol=1e-6), slopes[name].norm())
other = {**{k: v for k, v in own.items() if k != "read.weight"}, "write.weight": own["read.weight"]}
print(torch.allclose(grad(loss)(other, x, y)["write.weight"], slopes["read.weight"], atol=1e-6))
apart = {**own, "write.weight": own["read.weight"] * 1}
halves = grad(lambda p: loss(p, x, y, tie_weights=False))(apart)
print(torch.allclose(halves["read.weight"] + halves["write.weight"], slopes["read.weight"], atol=1e-6), halves["write.weight"].norm())
each = vmap(grad(loss), in_dims=(None, 0, 0))(own, x, y)
print(each["read.weight"].shape, torch.allclose(each["mix.weight"].mean(0), slopes["mix.weight"], atol=1e-6))
bias = hessian(lambda b: loss({**own, "mix.bias": b}, x, y))(own["mix.bias"])
print(torch.linalg.eigvalsh(bias))
for wrong in (
    lambda: loss(apart, x, y),
    lambda: loss(own, x, y, strict=True),
    lambda: loss(({"mix.bias": own["mix.bias"]}, {"mix.bias": own["mix.bias"]}), x, y),
    lambda: loss({"nothing.weight": own["read.weight"]}, x, y),
):
    try:
        wrong()
    except (ValueError, RuntimeError, AttributeError) as error:
        print(type(error).__name__)
print(loss({**own, "unused": x}, x, y), loss((own, {"offset": torch.ones(7)}), x, y, strict=False), hasattr(model, "unused"))

twin = copy.deepcopy(model)
print(twin.write.weight is twin.read.weight, twin.read.weight is model.read.weight)
model.double()
print(model.write.weight is model.read.weight, model.read.weight.dtype)
optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.5)
fresh = nn.Parameter(torch.zeros(7, 4))
torch.utils.swap_tensors(twin.read.weight, fresh)
for _ in range(2):
    optimizer.zero_grad()
    nn.functional.cross_entropy(twin(x).flatten(0, -2), y.flatten()).backward()
    optimizer.step()
print(twin.write.weight is twin.read.weight, twin.read.weight.norm(), fresh.norm(), fresh.grad is None)
