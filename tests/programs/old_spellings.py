"""Optimizers by hand as they were written for old PyTorch: the scale before the tensor, `.data`, `Variable`."""

import math

import torch
from torch.autograd import Variable

w = Variable(torch.tensor([[0.5, -1.0], [2.0, 0.3]]), requires_grad=True)
b = Variable(torch.zeros(2), requires_grad=True)
inputs = Variable(torch.linspace(-1, 1, 12).view(6, 2))
targets = Variable(torch.linspace(0, 1, 12).view(6, 2))
state = {}
for step in range(1, 9):
    loss = ((inputs.mm(w).add(b) - targets) ** 2).mean()
    loss.backward()
    for i, p in enumerate((w, b)):
        grad = p.grad.data
        first, second = state.setdefault(i, (torch.zeros_like(grad), torch.zeros_like(grad)))
        if i == 0:
            grad = grad.add(0.01, p.data)
        first.mul_(0.9).add_(1 - 0.9, grad)
        second.mul_(0.99).addcmul_(1 - 0.99, grad, grad)
        rate = 0.05 * math.sqrt(1 - 0.99**step) / (1 - 0.9**step)
        p.data.addcdiv_(-rate, first, second.sqrt().add_(1e-8))
        p.data.sub_(0.001, p.data)
        p.grad.data.zero_()
    if step % 3 == 0:
        print(step, loss.data, loss.item())
print(w, b, state[0])
print(torch.add(b.data, 2, b.data), torch.sub(b.data, 2, b.data), torch.addcmul(b.data, 0.5, b.data, b.data))
q = torch.ones(3, requires_grad=True)
r = (q * 1).add_(2.0, q)
r.sum().backward()
print(q.grad, torch.ones(1, 2, 1).squeeze(0, 2).shape, torch.ones(2, 3).count_nonzero(0, 1), torch.ones(3).broadcast_to(2, 3).shape)
try:
    q.data.mul_(1.0, q.data)
except TypeError:
    print("only sums take a scale")
