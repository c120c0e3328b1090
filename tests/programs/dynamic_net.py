"""A polynomial of random degree with a shared coefficient: Python's control flow inside of forward."""

import math
import random

import torch


class DynamicNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.coefficients = torch.nn.ParameterList(torch.nn.Parameter(torch.tensor(v)) for v in (0.1, -0.2, 0.3, 0.05, 0.001))

    def forward(self, x):
        a, b, c, d, e = self.coefficients
        y = a + b * x + c * x**2 + d * x**3
        for exp in range(4, random.randint(4, 6)):
            y = y + e * x**exp
        return y


random.seed(5)
x = torch.linspace(-math.pi, math.pi, 1000)
y = torch.sin(x)
model = DynamicNet()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-8, momentum=0.9)
for t in range(600):
    loss = torch.nn.functional.mse_loss(model(x), y, reduction="sum")
    if t % 150 == 149:
        print(t, f"{loss.item():.3f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
