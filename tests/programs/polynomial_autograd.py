"""Fit y = sin(x) by a third-order polynomial, with autograd and updates by hand."""

import math

import torch

torch.set_default_dtype(torch.float64)
x = torch.linspace(-math.pi, math.pi, 1000)
y = torch.sin(x)
coefficients = [torch.full((), v, requires_grad=True) for v in (0.1, -0.2, 0.3, 0.05)]
a, b, c, d = coefficients
print(a.requires_grad, a.is_leaf, a.grad)

for t in range(300):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum()
    if t % 100 == 99:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        for p in coefficients:
            p -= 2e-6 * p.grad
            p.grad = None
print(*(f"{p.item():.8f}" for p in coefficients))
