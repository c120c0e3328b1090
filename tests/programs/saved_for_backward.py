"""What autograd keeps, seen by hooks: which values, in which order, with their histories."""

import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = torch.tensor([2.0, 4.0], requires_grad=True)


def pack(t):
    print("  pack", t)
    return t


def unpack(t):
    print("  unpack", t)
    return t


def run(name, make):
    print(name)
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        made = make()
    made.sum().backward()


run("multiply", lambda: x * y)
run("divide", lambda: x / y)
run("power", lambda: x**y)
run("atan2", lambda: torch.atan2(x, y))
run("maximum", lambda: torch.maximum(x, y))
run("matmul", lambda: x.view(1, 2) @ y.view(2, 1))
run("exp", lambda: x.exp())
run("tanh", lambda: x.tanh())
run("softmax", lambda: x.softmax(0))
run("std", lambda: x.std())
run("where", lambda: torch.where(x > 1, x, y))
run("multiply by a constant", lambda: x * torch.tensor([3.0, 5.0]))
print(x.grad, y.grad)

kept = []
with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t.detach().half(), lambda t: t.float()):
    loss = (torch.sigmoid(x) * x.exp()).sum()
loss.backward()
print(kept, x.grad)
