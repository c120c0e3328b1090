"""The tutorial on autograd: gradients, what requires them, vector-Jacobian products, Jacobians and Hessians."""

import torch
from torch.autograd import Variable
from torch.autograd.functional import hessian, jacobian, vjp

x = torch.ones(5)
y = torch.zeros(3)
w = torch.linspace(-1, 1, 15).reshape(5, 3).requires_grad_()
b = torch.tensor([0.1, -0.2, 0.3], requires_grad=True)
z = torch.matmul(x, w) + b
loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
print(f"Gradient function for z = {z.grad_fn.name()}")
loss.backward()
print(loss.item(), w.grad.tolist(), b.grad.tolist())
with torch.no_grad():
    print((torch.matmul(x, w) + b).requires_grad)
print(z.detach().requires_grad)
inp = torch.eye(4, 5, requires_grad=True)
out = (inp + 1).pow(2).t()
out.backward(torch.ones_like(out), retain_graph=True)
print(f"First call\n{inp.grad.sum().item()}")
out.backward(torch.ones_like(out), retain_graph=True)
print(f"Second call\n{inp.grad.sum().item()}")
inp.grad.zero_()
out.backward(torch.ones_like(out), retain_graph=True)
print(f"Call after zeroing gradients\n{inp.grad.sum().item()}")
v = Variable(torch.tensor([1.0, 2.0, 3.0]), requires_grad=True)
(g,) = torch.autograd.grad((v**3).sum(), v, create_graph=True)
(gg,) = torch.autograd.grad(g.sum(), v)
print(g.tolist(), gg.tolist())
print(jacobian(lambda a: a.exp() * a.sum(), torch.tensor([0.1, 0.2])).tolist())
print(hessian(lambda a: (a**2).sum() * a[0], torch.tensor([1.0, 2.0])).tolist())
print(vjp(lambda a: a**2, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.5]))[1].tolist())
try:
    w2 = torch.ones(2, requires_grad=True)
    w2 += 1
except RuntimeError as error:
    print("refused:", "in-place" in str(error))
